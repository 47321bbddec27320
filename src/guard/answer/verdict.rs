//! What is answered to a code.

use alloc::string::String;

use crate::guard::id::AuthenticatorId;

/// The answer to an attempt, as in the example of [the module](crate::guard).
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// The second factor is there.
    Accepted(Accepted),
    /// It is not.
    Refused(Refusal),
}

/// An attempt that succeeded, once: it cannot be copied or stored. What it is good for later is a
/// [`Proof`](crate::guard::Proof).
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
    /// Whose.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// By what. After a recovery code, have the user enroll a new authenticator.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// By which authenticator, unless it was a recovery code.
    #[must_use]
    pub fn authenticator(&self) -> Option<&AuthenticatorId> {
        self.authenticator.as_ref().map(|(id, _)| id)
    }

    /// The name that its user gave it.
    #[must_use]
    pub fn authenticator_name(&self) -> Option<&str> {
        self.authenticator.as_ref().map(|(_, name)| name.as_str())
    }

    /// How many steps the authenticator's clock is ahead of the server's; for HOTP, how many codes were skipped. If it is
    /// off to the same side for most users, it is the server's clock.
    #[must_use]
    pub const fn drift(&self) -> i64 {
        self.drift
    }

    /// How many recovery codes are left. Tell the user when they become few.
    #[must_use]
    pub const fn recovery_codes_left(&self) -> u8 {
        self.recovery_codes_left
    }

    /// Which factors the account has, as a number: [`SecondFactor::generation`].
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

/// Why an attempt failed. This is for the log: show the user one message, whatever the reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The guess budget is used up, and nothing was compared. A recovery code still works, and lifts it.
    Exhausted {
        /// When time alone gives one more attempt, in Unix seconds, if it will.
        retry_at: Option<u64>,
    },
    /// What was typed is no code of any kind: a typing mistake, not a guess. Nothing was charged.
    Malformed,
    /// The account has no second factor.
    NotEnrolled,
    /// The code was right and had been used. Charged like a wrong one.
    Replayed,
    /// Too soon after too many failures, and nothing was compared.
    Throttled {
        /// From when on a code is compared, in Unix seconds.
        retry_at: u64,
    },
    /// The code is wrong.
    WrongCode,
}

/// What proved the second factor. After [`RecoveryCode`](Self::RecoveryCode), have the user enroll a new authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// A code of a counter.
    Hotp,
    /// A recovery code.
    RecoveryCode,
    /// A code of a moment.
    Totp,
}

/// The answer to a resynchronization. [`Policy::with_resync_within`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Resynchronization {
    /// The authenticator was found. Its next code will be accepted.
    Done {
        /// Which.
        authenticator: AuthenticatorId,
        /// How many steps it is ahead of the server's clock, or how many counters it was ahead.
        drift: i64,
    },
    /// Nothing was found, or the budget does not allow a try.
    Refused(Refusal),
}
