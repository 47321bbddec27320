//! The answers to a code: accepted or refused, and why.

use alloc::string::String;

use crate::guard::id::AuthenticatorId;

/// The answer to a code that a user typed. The example of [the module](crate::guard) handles both answers.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// The code is right and was not used before. The user may log in.
    Accepted(Accepted),
    /// The code was refused. The user may not log in.
    Refused(Refusal),
}

/// A successful verification.
///
/// This value cannot be cloned or serialized. To use the verification for a later change, make a
/// [`Proof`](crate::guard::Proof) from it.
#[derive(Debug)]
pub struct Accepted {
    pub(crate) user: String,
    pub(crate) at: u64,
    pub(crate) generation: u64,
    pub(crate) method: Method,
    pub(crate) authenticator: Option<(AuthenticatorId, String)>,
    pub(crate) drift: i64,
    pub(crate) recovery_codes_left: u8,
}

impl Accepted {
    /// The name of the account.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether the code was a TOTP code, an HOTP code or a recovery code. After a recovery code, have the user enroll a
    /// new authenticator.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The authenticator that the code belongs to, or `None` for a recovery code.
    #[must_use]
    pub fn authenticator(&self) -> Option<&AuthenticatorId> {
        self.authenticator.as_ref().map(|(id, _)| id)
    }

    /// The name that the user gave to this authenticator, or `None` for a recovery code.
    #[must_use]
    pub fn authenticator_name(&self) -> Option<&str> {
        self.authenticator.as_ref().map(|(_, name)| name.as_str())
    }

    /// How many steps the authenticator's clock is ahead of the server's clock, or behind it if the number is negative.
    /// For HOTP, this is the number of codes that were skipped. For a recovery code, it is 0.
    ///
    /// If most users' authenticators drift to the same side, the server's clock is probably wrong.
    #[must_use]
    pub const fn drift(&self) -> i64 {
        self.drift
    }

    /// The number of unused recovery codes. Tell the user when few are left.
    #[must_use]
    pub const fn recovery_codes_left(&self) -> u8 {
        self.recovery_codes_left
    }

    /// A number that changes whenever the factors change. See
    /// [`SecondFactor::generation`](crate::guard::SecondFactor::generation).
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

/// Why a code was refused. The reason is for the log: show the user the same message for every reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The guess budget is used up. No code was compared. A recovery code still works, and refills the budget.
    Exhausted {
        /// The time from which one more attempt is allowed, in Unix seconds, or `None` if waiting does not help.
        retry_at: Option<u64>,
    },
    /// The input does not have the form of a code or of a recovery code. It is a typing mistake, so it does not count
    /// as a failure.
    Malformed,
    /// The account has no second factor.
    NotEnrolled,
    /// The code is right but was used before. It counts as a failure, like a wrong code.
    Replayed,
    /// The account is waiting after too many failures. No code was compared.
    Throttled {
        /// The time from which codes are compared again, in Unix seconds.
        retry_at: u64,
    },
    /// The code is wrong.
    WrongCode,
}

/// The kind of code that was accepted. After a [recovery code](Self::RecoveryCode), have the user enroll a new
/// authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// An HOTP code, from an authenticator with a counter (RFC 4226).
    Hotp,
    /// A recovery code.
    RecoveryCode,
    /// A TOTP code, from an authenticator with a clock (RFC 6238).
    Totp,
}

/// The answer to a resynchronization. [`Policy::with_resync_within`](crate::Policy::with_resync_within) has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Resynchronization {
    /// Both codes match an authenticator, and its drift or counter was updated. Its next code will be accepted.
    Done {
        /// The authenticator that the codes belong to.
        authenticator: AuthenticatorId,
        /// How many steps the authenticator is ahead of the server's clock, or behind it if the number is negative. For
        /// HOTP, this is the number of codes that the authenticator was ahead.
        drift: i64,
    },
    /// The two codes match no authenticator or were used before, or they were not compared. The refusal is the reason.
    Refused(Refusal),
}
