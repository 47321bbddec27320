//! An account's status, for the security page and for operators.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::guard::answer::notice::Notice;
use crate::guard::answer::verdict::Method;
use crate::guard::generation::Generation;
use crate::guard::id::{AuthenticatorId, DeviceId, KeyId};
use crate::guard::record::authenticator::Authenticator;
use crate::guard::record::budget::Gate;
use crate::guard::record::devices::Device;
use crate::key::Strength;
use crate::totp::Period;

/// The state of an account's second factor.
///
/// The example at [`Guard`](crate::Guard) shows it to the user. The example at
/// [`Guard::operator_unlock`](crate::Guard::operator_unlock) uses it to help a locked-out user.
#[derive(Clone, Debug)]
pub struct Status {
    pub(crate) authenticators: Vec<AuthenticatorStatus>,
    pub(crate) enrollment_pending: bool,
    pub(crate) recovery_codes_left: u8,
    pub(crate) has_recovery_codes: bool,
    pub(crate) generation: Generation,
    pub(crate) enrolled: bool,
    pub(crate) suspended: bool,
    pub(crate) devices: Vec<DeviceStatus>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) failures: u64,
    pub(crate) gate: Gate,
    pub(crate) keys: Vec<KeyId>,
    pub(crate) share: f64,
    pub(crate) policy: crate::guard::policy::Policy,
}

impl Status {
    /// Whether the account has a second factor. If so, a login requires a code, except on a trusted device.
    ///
    /// This is `true` even if an operator has revoked the last authenticator. In that case, only a recovery code is
    /// accepted.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.enrolled
    }

    /// The active authenticators, in the order in which they were confirmed.
    #[must_use]
    pub fn authenticators(&self) -> &[AuthenticatorStatus] {
        &self.authenticators
    }

    /// Whether an enrollment is waiting to be confirmed with a code.
    #[must_use]
    pub const fn enrollment_pending(&self) -> bool {
        self.enrollment_pending
    }

    /// Whether the user has ever been issued recovery codes for the current factors. If not, for example after an
    /// [adoption](crate::Guard::adopt) or an [invalidation](crate::Guard::operator_invalidate_codes), offer to generate
    /// them.
    #[must_use]
    pub const fn has_recovery_codes(&self) -> bool {
        self.has_recovery_codes
    }

    /// The number of unused recovery codes.
    #[must_use]
    pub const fn recovery_codes_left(&self) -> u8 {
        self.recovery_codes_left
    }

    /// The account's generation. It changes whenever the factors change or earlier logins become void.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether an operator has [suspended](crate::Guard::operator_suspend) the account.
    #[must_use]
    pub const fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// The trusted and known devices that have not expired, in the order in which they were added.
    #[must_use]
    pub fn devices(&self) -> &[DeviceStatus] {
        &self.devices
    }

    /// The notices that your application has not [acknowledged](crate::Guard::acknowledge) yet: what the user must be
    /// told about. Empty unless the policy [keeps notices](crate::Policy::with_notices).
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The number of failures since the last success, or since the account's wait was last ended.
    #[must_use]
    pub const fn consecutive_failures(&self) -> u64 {
        self.failures
    }

    /// The time, in Unix seconds, at which codes will be compared again. It applies to logins that do not come from a
    /// known device.
    ///
    /// `None` if codes are being compared now, or if the budget is exhausted and will not refill with time.
    #[must_use]
    pub const fn retry_at(&self) -> Option<u64> {
        match self.gate {
            Gate::Open | Gate::Exhausted { retry_at: None } => None,
            Gate::Throttled { retry_at } | Gate::Exhausted { retry_at: Some(retry_at) } => Some(retry_at),
        }
    }

    /// Whether the guess budget is used up for logins that do not come from a known device. The reserve for known
    /// devices may still have attempts left.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        matches!(self.gate, Gate::Exhausted { .. })
    }

    /// The ids of the keys under which this account's secrets are sealed. Once no account needs a key, remove it from
    /// the keyring.
    #[must_use]
    pub fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// An upper bound on the probability that an attacker who knows everything except the secrets guesses one of this
    /// account's codes within the given time. [`Policy::guess_probability`](crate::Policy::guess_probability) describes
    /// the bound for one authenticator; each additional authenticator adds codes that a guess can match.
    #[must_use]
    pub fn guess_probability(&self, within: Duration) -> f64 {
        self.policy.probability(within, self.share)
    }
}

/// A trusted or known device, for the list on a security page.
#[derive(Clone, Debug)]
pub struct DeviceStatus {
    id: DeviceId,
    name: String,
    trusted: bool,
    created: u64,
    ends: u64,
}

impl DeviceStatus {
    pub(crate) fn of(device: &Device, trusted: bool) -> Self {
        Self { id: device.id.clone(), name: device.name.clone(), trusted, created: device.created, ends: device.ends }
    }

    /// The device's id within the account, for [`Guard::forget_device`](crate::Guard::forget_device).
    #[must_use]
    pub const fn id(&self) -> &DeviceId {
        &self.id
    }

    /// The name given when the device was added, such as the browser's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a login on this device needs no code. If not, the device is only known: a login needs a code, and part
    /// of the guess budget is reserved for it.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The time at which the device was added, in Unix seconds.
    #[must_use]
    pub const fn created_at(&self) -> u64 {
        self.created
    }

    /// The time at which the device will be forgotten, in Unix seconds. For a known device, each login on the device
    /// with an authenticator code postpones it. Trust in a device can end earlier if the policy's limit has become
    /// shorter.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.ends
    }
}

/// An active authenticator, for the list on a security page. The example at [`Guard`](crate::Guard) shows such a list.
#[derive(Clone, Debug)]
pub struct AuthenticatorStatus {
    id: AuthenticatorId,
    name: String,
    period: Option<Period>,
    algorithm: Algorithm,
    digits: Digits,
    strength: Strength,
    created: u64,
    bound: u64,
    used: u64,
    drift: i64,
}

impl AuthenticatorStatus {
    pub(crate) fn of(authenticator: &Authenticator) -> Self {
        Self {
            id: authenticator.id.clone(),
            name: authenticator.name.clone(),
            period: authenticator.period,
            algorithm: authenticator.algorithm,
            digits: authenticator.digits,
            strength: Strength::of(authenticator.secret.secret_len()),
            created: authenticator.created,
            bound: authenticator.bound,
            used: authenticator.used,
            drift: authenticator.drift,
        }
    }

    /// The authenticator's id within the account.
    #[must_use]
    pub const fn id(&self) -> &AuthenticatorId {
        &self.id
    }

    /// The name that the user gave the authenticator, or an empty string if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the authenticator shows TOTP codes or HOTP codes: [`Method::Totp`] or [`Method::Hotp`].
    #[must_use]
    pub const fn method(&self) -> Method {
        if self.period.is_some() { Method::Totp } else { Method::Hotp }
    }

    /// The hash algorithm that the authenticator uses for its codes.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The number of digits in each code.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// How hard the secret is to guess. keyfob generates only strong secrets, but it accepts weak ones from other
    /// systems. Ask the owner of a weak secret to replace the authenticator.
    #[must_use]
    pub const fn strength(&self) -> Strength {
        self.strength
    }

    /// The time at which enrollment was started, in Unix seconds.
    #[must_use]
    pub const fn created_at(&self) -> u64 {
        self.created
    }

    /// The time at which the authenticator was bound to the account, in Unix seconds: when a code confirmed it, or when
    /// it was [adopted](crate::Guard::adopt).
    #[must_use]
    pub const fn bound_at(&self) -> u64 {
        self.bound
    }

    /// The time at which a login or a resynchronization last accepted a code from this authenticator, in Unix seconds.
    /// The code that confirmed the enrollment does not count.
    #[must_use]
    pub const fn used_at(&self) -> Option<u64> {
        if self.used == 0 { None } else { Some(self.used) }
    }

    /// The learned drift: how many steps the authenticator's clock is ahead of the server's clock, or behind it if the
    /// number is negative. It is always 0 for HOTP.
    #[must_use]
    pub const fn drift(&self) -> i64 {
        self.drift
    }
}
