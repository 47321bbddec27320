//! What keeps the guard from answering. Not a wrong code: that is a [`Verdict`](crate::Verdict).

use alloc::boxed::Box;
use core::fmt;

use crate::error::Error;

/// Why there is no answer. Nobody was let in, and no record was changed unless the kind says so.
///
/// The message says what to do. It never holds a secret, a code or a URI.
///
/// ```
/// use keyfob::guard::{GuardError, GuardErrorKind};
///
/// fn http_status(error: &GuardError) -> u16 {
///     match error.kind() {
///         GuardErrorKind::ProofRequired | GuardErrorKind::ProofRejected => 403, // ask for a code first
///         GuardErrorKind::NoEnrolment | GuardErrorKind::UnknownAuthenticator => 409, // the page is out of date
///         GuardErrorKind::Contended | GuardErrorKind::Store => 503,
///         _ => 500, // for an operator: log the message
///     }
/// }
/// ```
#[derive(Debug)]
pub struct GuardError {
    kind: GuardErrorKind,
    source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl GuardError {
    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> GuardErrorKind {
        self.kind
    }

    pub(crate) const fn new(kind: GuardErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn with_source(
        kind: GuardErrorKind,
        source: impl Into<Box<dyn core::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(source.into()) }
    }
}

impl From<GuardErrorKind> for GuardError {
    fn from(kind: GuardErrorKind) -> Self {
        Self::new(kind)
    }
}

/// A name, a setting or an imported URI that was refused.
impl From<Error> for GuardError {
    fn from(error: Error) -> Self {
        Self::with_source(GuardErrorKind::Invalid, error)
    }
}

impl fmt::Display for GuardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for GuardError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What went wrong. New kinds may come. The example of [`GuardError`] answers with some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuardErrorKind {
    /// The name of the account is empty, longer than 255 bytes, or has control characters.
    Account,
    /// The clock stands before 1970 or cannot be read.
    Clock,
    /// Other requests changed the record each time before this one could. Try again later.
    Contended,
    /// A name, a setting or an imported URI was refused; the source says which.
    Invalid,
    /// The keyring has no key of the id that a secret was sealed under.
    KeyMissing,
    /// The last active authenticator cannot be revoked: disable the second factor instead.
    LastAuthenticator,
    /// No enrolment is waiting, or it waited too long.
    NoEnrolment,
    /// The account has no second factor.
    NotEnrolled,
    /// The proof is for another account or purpose, is too old, or was used.
    ProofRejected,
    /// The account has a second factor, and this needs a proof that it was just used.
    ProofRequired,
    /// There is no randomness to make a secret from.
    Randomness,
    /// The record cannot be understood.
    RecordInvalid,
    /// The record was written by a newer version of keyfob.
    RecordNewer,
    /// A sealed secret does not open: it, its settings or the key were changed, or it belongs elsewhere.
    SealBroken,
    /// The account has an authenticator with this secret.
    SecretInUse,
    /// The store failed, and whether a change took effect is unknown.
    Store,
    /// An account has at most eight authenticators.
    TooManyAuthenticators,
    /// The account has no authenticator of this id.
    UnknownAuthenticator,
}

impl fmt::Display for GuardErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "the name of an account has 1 to 255 bytes and no control characters",
            Self::Clock => "the clock stands before 1970; set it",
            Self::Contended => "other requests for this account came first each time; try again",
            Self::Invalid => "a setting was refused",
            Self::KeyMissing => {
                "the keyring lacks the key that this secret was sealed under; add it back as an old key"
            }
            Self::LastAuthenticator => "this is the last authenticator; disable the second factor instead",
            Self::NoEnrolment => "no enrolment is waiting for its code; start one",
            Self::NotEnrolled => "the account has no second factor",
            Self::ProofRejected => "the proof is of another account or purpose, is too old, or was used; verify again",
            Self::ProofRequired => "the account has a second factor; verify first and bring the proof",
            Self::Randomness => "the source of randomness failed",
            Self::RecordInvalid => "the stored record cannot be understood; restore it from a backup",
            Self::RecordNewer => "the stored record is of a newer version of keyfob; update this server",
            Self::SealBroken => {
                "a sealed secret does not open; the record or the key was changed, or is of another account"
            }
            Self::SecretInUse => "the account has an authenticator with this secret; revoke it first",
            Self::Store => "the store failed, and whether the change took effect is unknown",
            Self::TooManyAuthenticators => "an account has at most eight authenticators; revoke one",
            Self::UnknownAuthenticator => "the account has no authenticator of this id",
        })
    }
}
