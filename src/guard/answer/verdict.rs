//! The result of checking a code: accepted or refused, and why.

use alloc::string::String;

use crate::guard::generation::Generation;
use crate::guard::id::AuthenticatorId;

/// The result of checking a code that a user typed. The example in [the module](crate::guard) handles both results.
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
    pub(crate) generation: Generation,
    pub(crate) method: Method,
    pub(crate) authenticator: Option<(AuthenticatorId, String)>,
    pub(crate) drift: i64,
    pub(crate) recovery_codes_left: u8,
    pub(crate) history: History,
    /// The stored hash of the recovery code that was used, if it was one.
    pub(crate) used_recovery_code: Option<[u8; 32]>,
}

/// The history of an account before a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) failures: u64,
    /// 0 if no code was accepted before.
    pub(crate) succeeded_at: u64,
}

impl History {
    pub(crate) const fn last_success(self) -> Option<u64> {
        if self.succeeded_at == 0 { None } else { Some(self.succeeded_at) }
    }
}

impl Accepted {
    /// The name of the account.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether the code was a TOTP code, an HOTP code or a recovery code. After a recovery code, show a new one
    /// ([`Guard::replace_recovery_code`](crate::Guard::replace_recovery_code)), and have the user enroll a new
    /// authenticator.
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
    /// If most users' authenticators drift in the same direction, the server's clock is probably wrong.
    #[must_use]
    pub const fn drift(&self) -> i64 {
        self.drift
    }

    /// The number of unused recovery codes. Tell the user when few are left. After an enrollment with a ticket, this is
    /// 0, because the recovery codes are made afterwards.
    #[must_use]
    pub const fn recovery_codes_left(&self) -> u8 {
        self.recovery_codes_left
    }

    /// The account's generation after this verification. A recovery code changes the generation, because it voids
    /// earlier logins.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The number of consecutive failures before this code. Tell the user if there were any (OWASP ASVS 5.0, 6.3.5). An
    /// accepted code resets the count, and so does a new authenticator or an operator's unlock that ends the account's
    /// wait.
    #[must_use]
    pub const fn failures_before(&self) -> u64 {
        self.history.failures
    }

    /// The time at which a code was last accepted before this one, in Unix seconds, or `None` if none was. A code that
    /// confirmed an enrollment counts only if the secret was imported.
    #[must_use]
    pub const fn last_success_at(&self) -> Option<u64> {
        self.history.last_success()
    }
}

/// Why a code was refused. You may tell a user who has typed the correct password the reason. [The
/// guide](crate::guide::login) has a table. To anybody else, show the same message for every reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The guess budget, or the part of it that is available to this login, is used up. No code was compared. A
    /// recovery code still works, and refills the budget.
    Exhausted {
        /// The time from which one more attempt is allowed, in Unix seconds, or `None` if waiting does not help.
        retry_at: Option<u64>,
    },
    /// The input does not have the format of a code or a recovery code. This is a typing mistake, so it does not count
    /// as a failure.
    Malformed,
    /// The account has no second factor.
    NotEnrolled,
    /// The code is right but was used before. It counts as a failure, like a wrong code, with one exception: the first
    /// repetition of the last accepted code, for example after a double click, is not counted.
    Replayed,
    /// The account has to wait after too many failures, or too many logins were completed in a short time
    /// ([`Guard::answer`](crate::Guard::answer)). No code was compared.
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

/// The result of a resynchronization. [`Policy::with_resync_within`](crate::Policy::with_resync_within) has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Resynchronization {
    /// Both codes match an authenticator, and its drift or counter was updated. Its next code will be accepted.
    Done {
        /// The authenticator that the codes belong to.
        authenticator: AuthenticatorId,
        /// How many steps the authenticator is ahead of the server's clock, or behind it if the number is negative. For
        /// HOTP, this is how many codes ahead the authenticator was.
        drift: i64,
    },
    /// The two codes match no authenticator or were used before, or they were not compared. The refusal gives the
    /// reason.
    Refused(Refusal),
}
