//! The errors of the guard. A wrong code is not an error: it is reported in the answer, for example as a
//! [`Verdict`](crate::Verdict).

use alloc::boxed::Box;
use core::fmt;

use crate::error::Error;

/// The reason why the guard could not answer a request. A request that fails never completes a login. The record is
/// unchanged unless the [kind](GuardErrorKind) says otherwise.
///
/// The error message says what to do. It never contains a secret, a code or a URI.
///
/// ```
/// use keyfob::guard::{GuardError, GuardErrorKind};
///
/// fn http_status(error: &GuardError) -> u16 {
///     match error.kind() {
///         // Begin the login again.
///         GuardErrorKind::LoginRejected => 401,
///         // Ask the user for a code first.
///         GuardErrorKind::ProofRequired | GuardErrorKind::ProofRejected => 403,
///         GuardErrorKind::Suspended | GuardErrorKind::TrustRefused => 403,
///         // The page is out of date.
///         GuardErrorKind::NoEnrollment | GuardErrorKind::UnknownAuthenticator => 409,
///         GuardErrorKind::TooManyDevices | GuardErrorKind::UnknownDevice => 409,
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
    /// Returns the kind of error, for the application to match on.
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

/// Prints the message for this kind of error. For [`GuardErrorKind::Invalid`], prints the message about the refused
/// value instead. The store's own error is available as the source, so it is not repeated here.
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

/// The kind of a [`GuardError`]. New kinds may be added. The example for [`GuardError`] maps kinds to HTTP status
/// codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuardErrorKind {
    /// The clock cannot be read, or is set to a time before 1970.
    Clock,
    /// Every attempt to store the change failed because another request changed the account's record first. Try again.
    Contended,
    /// A name, a setting or an imported URI was refused. The error message says which one.
    Invalid,
    /// The keyring does not contain the key under which a secret was sealed.
    KeyMissing,
    /// The pending login, the ticket or the voucher has expired, was already used, became void, or belongs to another
    /// user. This is also the error for a token that cannot be parsed, or whose key is no longer in the keyring. Start
    /// over, beginning with the password, or ask for another voucher.
    LoginRejected,
    /// The last active authenticator cannot be revoked. Disable the second factor instead.
    LastAuthenticator,
    /// No enrollment is pending. An earlier one may have expired, or ended after 20 wrong codes. This is also the error
    /// if an enrollment that was started with a ticket is confirmed without that ticket, or vice versa, and for the
    /// handle of another enrollment.
    NoEnrollment,
    /// The account has no second factor.
    NotEnrolled,
    /// The proof is for another account, purpose or session; it has expired; or the
    /// [generation](crate::guard::Generation) has changed since the verification. This is also the error for a token
    /// that cannot be parsed, for a proof whose key is no longer in the keyring, and for an accepted code that is too
    /// old to add a device.
    ProofRejected,
    /// The account has a second factor, so this change requires a proof of a recent verification.
    ProofRequired,
    /// The source of randomness failed.
    Randomness,
    /// The application expects the user to have a second factor, but there is no record of one. It may have been lost,
    /// or the store may be out of date. The login fails.
    RecordMissing,
    /// The stored bytes are not a valid record. If you restore a backup, codes that were used after the backup was made
    /// are accepted again until you call
    /// [`SecondFactor::operator_invalidate_codes`](crate::guard::SecondFactor::operator_invalidate_codes).
    RecordInvalid,
    /// A newer version of keyfob wrote the record.
    RecordNewer,
    /// The application expects the user to have a second factor, but the user or an operator has disabled it, or the
    /// store is out of date. Find out which before you correct the application's own record of the user, and never
    /// correct it automatically.
    Removed,
    /// A sealed secret cannot be decrypted. The secret, its settings or the key was changed, or the secret belongs to
    /// another account.
    SealBroken,
    /// The account already has an authenticator with this secret.
    SecretInUse,
    /// The store failed. It is unknown whether a change took effect.
    Store,
    /// An operator has suspended the account.
    Suspended,
    /// The account already has eight authenticators, the maximum.
    TooManyAuthenticators,
    /// The account already has sixteen trusted devices, the maximum. Adding a known device does not displace any of
    /// them.
    TooManyDevices,
    /// The policy does not allow trusted devices, or the requested lifetime is less than a second or longer than the
    /// policy allows.
    TrustRefused,
    /// The account has no active authenticator with this id.
    UnknownAuthenticator,
    /// The account has no device with this id, or a given string is not a device token.
    UnknownDevice,
    /// The policy is [strict](crate::Policy::strict), so an exhausted authenticator can only be replaced.
    UnlockRefused,
    /// The account name is empty, longer than 255 bytes, or contains control characters.
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
            Self::LoginRejected => "the login, ticket or voucher has expired, was used or became void; begin again",
            Self::LastAuthenticator => "this is the last authenticator; disable the second factor instead",
            Self::NoEnrollment => "no enrollment is pending, or it has expired; start one",
            Self::NotEnrolled => "the account has no second factor; enroll first",
            Self::ProofRejected => {
                "the proof is for another account, session or purpose, is too old, or is void; verify again"
            }
            Self::ProofRequired => "the account has a second factor; verify first and pass the proof",
            Self::Randomness => "the source of randomness failed; try again",
            Self::RecordMissing => {
                "the user is expected to have a second factor, but has no record of one; restore it from a backup"
            }
            Self::RecordInvalid => {
                "the stored record is damaged; restore it from a backup, then call operator_invalidate_codes"
            }
            Self::RecordNewer => "a newer version of keyfob wrote the stored record; update this server",
            Self::Removed => {
                "the user is expected to have a second factor, but it was removed or the store is out of date; find out \
                 which"
            }
            Self::SealBroken => {
                "a sealed secret cannot be decrypted; restore the key or the record, one of them was changed"
            }
            Self::SecretInUse => "the account already has an authenticator with this secret; revoke it first",
            Self::Store => {
                "the store failed, and a change may have taken effect; load the account again before you tell the user"
            }
            Self::Suspended => "the account is suspended; an operator can resume it",
            Self::TooManyAuthenticators => "the account already has eight authenticators, the maximum; revoke one",
            Self::TooManyDevices => "the account already has sixteen trusted devices, the maximum; forget one",
            Self::TrustRefused => "the policy does not allow this device to be trusted for this long; ask for a code",
            Self::UnknownAuthenticator => "the account has no authenticator with this id; its status lists the ids",
            Self::UnknownDevice => "the account has no such device; its status lists the ids",
            Self::UnlockRefused => "the policy is strict: an exhausted authenticator can only be replaced or removed",
            Self::User => "the name of an account has 1 to 255 bytes and no control characters; use another",
        })
    }
}
