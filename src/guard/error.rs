//! The errors of the guard. A wrong code is not an error: it is reported as a [`Verdict`](crate::Verdict).

use alloc::boxed::Box;
use core::fmt;

use crate::error::Error;

/// The reason why the guard could not answer a request. Nobody was let in, and the record is unchanged unless the
/// [kind](GuardErrorKind) says otherwise.
///
/// The error message says what to do. It never contains a secret, a code or a URI.
///
/// ```
/// use keyfob::guard::{GuardError, GuardErrorKind};
///
/// fn http_status(error: &GuardError) -> u16 {
///     match error.kind() {
///         // Ask the user for a code first.
///         GuardErrorKind::ProofRequired | GuardErrorKind::ProofRejected => 403,
///         // The page is out of date.
///         GuardErrorKind::NoEnrollment | GuardErrorKind::UnknownAuthenticator => 409,
///         GuardErrorKind::Contended | GuardErrorKind::Store => 503,
///         // Log the message for an operator.
///         _ => 500,
///     }
/// }
/// ```
#[derive(Debug)]
pub struct GuardError {
    kind: GuardErrorKind,
    source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl GuardError {
    /// Returns the kind of the error, which an application can match on.
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

/// Converts the error for a refused name, setting or imported URI to [`GuardErrorKind::Invalid`].
impl From<Error> for GuardError {
    fn from(error: Error) -> Self {
        Self::with_source(GuardErrorKind::Invalid, error)
    }
}

/// Prints the message of the kind, or for [`GuardErrorKind::Invalid`] the message for the refused value. The error of
/// the store is available as the source, so it is not repeated here.
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

/// The kind of a [`GuardError`]. New kinds may be added. The example of [`GuardError`] maps them to HTTP status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuardErrorKind {
    /// The clock cannot be read, or is set to a time before 1970.
    Clock,
    /// Every attempt failed because another request for this account changed the record first. Try again.
    Contended,
    /// A name, a setting or an imported URI was refused. The message of the error says which.
    Invalid,
    /// The keyring does not have the key that a secret was sealed under.
    KeyMissing,
    /// The last active authenticator cannot be revoked. Disable the second factor instead.
    LastAuthenticator,
    /// No enrollment is pending. An earlier one may have expired, or ended after 20 wrong codes.
    NoEnrollment,
    /// The account has no second factor.
    NotEnrolled,
    /// The proof is for another account or purpose or has expired, or the factors have changed since it was made. This
    /// is also the error for a token that cannot be parsed, and for a proof whose key is no longer in the keyring.
    ProofRejected,
    /// The account has a second factor, so this change needs a proof of a recent verification.
    ProofRequired,
    /// The source of randomness failed.
    Randomness,
    /// The stored bytes are not a valid record. If you restore a backup, codes that were used since the backup are
    /// accepted again until you call
    /// [`SecondFactor::operator_invalidate_codes`](crate::guard::SecondFactor::operator_invalidate_codes).
    RecordInvalid,
    /// A newer version of keyfob wrote the record.
    RecordNewer,
    /// A sealed secret cannot be decrypted. The secret, its settings or the key was changed, or the secret belongs to
    /// another account.
    SealBroken,
    /// The account already has an authenticator with this secret.
    SecretInUse,
    /// The store failed. It is unknown whether a change took effect.
    Store,
    /// The account already has eight authenticators, the maximum.
    TooManyAuthenticators,
    /// The account has no authenticator with this id.
    UnknownAuthenticator,
    /// The name of the account is empty, longer than 255 bytes, or contains control characters.
    User,
}

impl fmt::Display for GuardErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clock => "the clock cannot be read or is set to a time before 1970; set it",
            Self::Contended => "other requests for this account changed the record first; try again",
            Self::Invalid => "a name, a setting or an imported URI was refused; use another",
            Self::KeyMissing => {
                "the keyring does not have the key that this secret was sealed under; add it back as an old key"
            }
            Self::LastAuthenticator => "this is the last authenticator; disable the second factor instead",
            Self::NoEnrollment => "no enrollment is pending, or it has expired; start one",
            Self::NotEnrolled => "the account has no second factor; enroll first",
            Self::ProofRejected => "the proof is for another account or purpose, is too old, or was used; verify again",
            Self::ProofRequired => "the account has a second factor; verify first and pass the proof",
            Self::Randomness => "the source of randomness failed; try again",
            Self::RecordInvalid => {
                "the stored record is damaged; restore it from a backup, then call operator_invalidate_codes"
            }
            Self::RecordNewer => "a newer version of keyfob wrote the stored record; update this server",
            Self::SealBroken => {
                "a sealed secret cannot be decrypted; restore the key or the record, one of them was changed"
            }
            Self::SecretInUse => "the account already has an authenticator with this secret; revoke it first",
            Self::Store => {
                "the store failed, and a change may have taken effect; load the account again before you tell the user"
            }
            Self::TooManyAuthenticators => "the account already has eight authenticators, the maximum; revoke one",
            Self::UnknownAuthenticator => "the account has no authenticator with this id; its status lists the ids",
            Self::User => "the name of an account has 1 to 255 bytes and no control characters; use another",
        })
    }
}
