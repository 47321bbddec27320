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
///         GuardErrorKind::NoEnrollment | GuardErrorKind::UnknownAuthenticator => 409, // the page is out of date
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

/// What was refused, or the kind. What the store said is the source, and not repeated here.
impl fmt::Display for GuardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(refused) if self.kind == GuardErrorKind::Invalid => refused.fmt(f),
            _ => self.kind.fmt(f),
        }
    }
}

impl core::error::Error for GuardError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        if self.kind == GuardErrorKind::Invalid { source.source() } else { Some(source) }
    }
}

/// What went wrong. New kinds may come. The example of [`GuardError`] answers with some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuardErrorKind {
    /// The clock cannot be read or stands before 1970.
    Clock,
    /// Other requests changed the record each time before this one could. Try again later.
    Contended,
    /// A name, a setting or an imported URI was refused; the message of the error says which.
    Invalid,
    /// The keyring has no key of the id that a secret was sealed under.
    KeyMissing,
    /// The last active authenticator cannot be revoked: disable the second factor instead.
    LastAuthenticator,
    /// No enrollment is waiting, or it waited too long.
    NoEnrollment,
    /// The account has no second factor.
    NotEnrolled,
    /// The proof is for another account or purpose, is too old, or was used.
    ProofRejected,
    /// The account has a second factor, and this needs a proof that it was just used.
    ProofRequired,
    /// There is no randomness to make a secret from.
    Randomness,
    /// The record cannot be understood. Codes used since a backup are good again if it is restored:
    /// [`SecondFactor::operator_invalidate_codes`](crate::guard::SecondFactor::operator_invalidate_codes) is for that.
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
    /// The name of the user is empty, longer than 255 bytes, or has control characters.
    User,
}

impl fmt::Display for GuardErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clock => "the clock cannot be read or stands before 1970; set it",
            Self::Contended => "other requests for this account came first each time; try again",
            Self::Invalid => "a name, a setting or an imported URI was refused; use another",
            Self::KeyMissing => {
                "the keyring lacks the key that this secret was sealed under; add it back as an old key"
            }
            Self::LastAuthenticator => "this is the last authenticator; disable the second factor instead",
            Self::NoEnrollment => "no enrollment is waiting for its code; start one",
            Self::NotEnrolled => "the account has no second factor; enroll first",
            Self::ProofRejected => "the proof is of another account or purpose, is too old, or was used; verify again",
            Self::ProofRequired => "the account has a second factor; verify first and bring the proof",
            Self::Randomness => "the source of randomness failed; try again",
            Self::RecordInvalid => {
                "the stored record cannot be understood; restore it from a backup, then fence the account (operator_invalidate_codes)"
            }
            Self::RecordNewer => "the stored record is of a newer version of keyfob; update this server",
            Self::SealBroken => {
                "a sealed secret does not open; restore the key or the record, one was changed or is of another account"
            }
            Self::SecretInUse => "the account has an authenticator with this secret; revoke it first",
            Self::Store => {
                "the store failed; if this was a change, it may have taken effect: load again before telling anybody"
            }
            Self::TooManyAuthenticators => "an account has at most eight authenticators; revoke one",
            Self::UnknownAuthenticator => "the account has no authenticator of this id; see its status",
            Self::User => "the name of a user has 1 to 255 bytes and no control characters",
        })
    }
}
