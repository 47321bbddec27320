//! How the second factor of an account stands.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::guard::answer::verdict::Method;
use crate::guard::id::{AuthenticatorId, KeyId};
use crate::guard::record::authenticator::Authenticator;
use crate::guard::record::budget::Gate;
use crate::totp::Period;

/// How the second factor of an account stands. The example of [`Guard`](crate::Guard) shows it to the user, the one of
/// [`SecondFactor::operator_unlock`] to an operator.
#[derive(Clone, Debug)]
pub struct Status {
    pub(crate) authenticators: Vec<AuthenticatorStatus>,
    pub(crate) enrollment_pending: bool,
    pub(crate) recovery_codes_left: u8,
    pub(crate) generation: u64,
    pub(crate) failures: u64,
    pub(crate) gate: Gate,
    pub(crate) keys: Vec<KeyId>,
    pub(crate) share: f64,
    pub(crate) policy: crate::guard::Policy,
}

impl Status {
    /// Whether a second factor is asked for at all.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.authenticators.is_empty()
    }

    /// The active authenticators.
    #[must_use]
    pub fn authenticators(&self) -> &[AuthenticatorStatus] {
        &self.authenticators
    }

    /// Whether an authenticator was shown, has not proved itself yet, and still can.
    #[must_use]
    pub const fn enrollment_pending(&self) -> bool {
        self.enrollment_pending
    }

    /// How many recovery codes are left.
    #[must_use]
    pub const fn recovery_codes_left(&self) -> u8 {
        self.recovery_codes_left
    }

    /// [`SecondFactor::generation`].
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Failures since the last success.
    #[must_use]
    pub const fn consecutive_failures(&self) -> u64 {
        self.failures
    }

    /// When the next code will be compared, in Unix seconds, if one is not compared now.
    #[must_use]
    pub const fn retry_at(&self) -> Option<u64> {
        match self.gate {
            Gate::Open | Gate::Exhausted { retry_at: None } => None,
            Gate::Throttled { retry_at } | Gate::Exhausted { retry_at: Some(retry_at) } => Some(retry_at),
        }
    }

    /// Whether the guess budget is used up.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        matches!(self.gate, Gate::Exhausted { .. })
    }

    /// The keys that this account needs. One that no account needs can leave the keyring.
    #[must_use]
    pub fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// [`Policy::guess_probability`](crate::Policy::guess_probability) for the authenticators that the account has: each
    /// of them is one more that a guess can hit.
    #[must_use]
    pub fn guess_probability(&self, within: Duration) -> f64 {
        self.policy.probability(within, self.share)
    }
}

/// One active authenticator, to show in a list, as in the example of [`Guard`](crate::Guard).
#[derive(Clone, Debug)]
pub struct AuthenticatorStatus {
    id: AuthenticatorId,
    name: String,
    period: Option<Period>,
    algorithm: Algorithm,
    digits: Digits,
    created: u64,
    used: u64,
    drift: i64,
}

impl AuthenticatorStatus {
    pub(crate) fn of(one: &Authenticator) -> Self {
        Self {
            id: one.id.clone(),
            name: one.name.clone(),
            period: one.period,
            algorithm: one.algorithm,
            digits: one.digits,
            created: one.created,
            used: one.used,
            drift: one.drift,
        }
    }

    /// Its id within the account.
    #[must_use]
    pub const fn id(&self) -> &AuthenticatorId {
        &self.id
    }

    /// The name that its user gave it, or nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it counts time or presses of a button.
    #[must_use]
    pub const fn method(&self) -> Method {
        if self.period.is_some() { Method::Totp } else { Method::Hotp }
    }

    /// The hash function inside HMAC.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How many digits its codes have.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// When its enrollment began, in Unix seconds.
    #[must_use]
    pub const fn created_at(&self) -> u64 {
        self.created
    }

    /// When a code of it was accepted last, in Unix seconds. The code that confirmed it does not count.
    #[must_use]
    pub const fn used_at(&self) -> Option<u64> {
        if self.used == 0 { None } else { Some(self.used) }
    }

    /// How many steps its clock is taken to be ahead of the server's.
    #[must_use]
    pub const fn drift(&self) -> i64 {
        self.drift
    }
}
