//! The policy of the guard: the limits on guessing, the window and the lifetimes. It also gives an upper bound on the
//! probability that guessing succeeds.
//!
//! NIST SP 800-63B-4, section 3.2.2, allows at most 100 consecutive failures. As an example, it describes waits that
//! grow from 30 seconds to an hour, and the default follows this example. All other numbers are keyfob's own. The
//! counts and the waits are computed in `record/budget.rs`.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::algorithm::Algorithm;
use crate::error::{Error, ErrorKind};
use crate::hotp::LookAhead;
use crate::totp::Window;

/// The limits on guessing, the window for codes, and the lifetimes of enrollments, proofs, pending logins and trusted
/// devices.
///
/// The default suits most applications. The limits cannot be disabled, and no setting allows more than the 100
/// consecutive failures that NIST SP 800-63B-4, section 3.2.2, permits. A deserialized policy is checked in the same
/// way.
///
/// ```
/// use std::time::Duration;
/// use keyfob::{Policy, Window};
///
/// let policy = Policy::default().with_window(Window::CURRENT).with_long_term(50, 1)?;
/// assert!(policy.guess_probability(Duration::from_secs(365 * 86_400)) < 0.0005);
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Settings", into = "Settings")]
pub struct Policy(Settings);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "Policy", default, deny_unknown_fields)]
struct Settings {
    window: Window,
    look_ahead: LookAhead,
    failures_before_wait: u8,
    first_wait: u32,
    longest_wait: u32,
    consecutive_failures: u8,
    long_term_failures: u8,
    forgiven_per_day: u8,
    enrollment_lifetime: u32,
    proof_lifetime: u32,
    login_lifetime: u32,
    trusted_device_lifetime: Option<u32>,
    resync_within: u16,
    algorithm: Algorithm,
    strict: bool,
    notices: bool,
}

impl Policy {
    /// Returns the default policy with stricter rules, for an organization that has to follow NIST SP 800-63B-4 where
    /// the default deviates from it:
    ///
    /// * **An exhausted authenticator can only be replaced** (section 3.2.2). A recovery code still logs the user in,
    ///   but does not end a wait or refill the guess budget, and
    ///   [`operator_unlock`](crate::Guard::operator_unlock) is refused. If a user confirms a new authenticator while
    ///   the budget is exhausted, all the old ones are removed.
    /// * **Weak secrets are refused**: an imported or adopted secret has at least 112 bits, and a period is at most 120
    ///   seconds (section 3.1.4.1).
    /// * **No device can be trusted** (section 5.1).
    ///
    /// The rules belong together: no setting turns one of them off. In a configuration file, the setting is
    /// `"strict": true`. Authenticators that were enrolled before you switched to this policy are kept.
    /// [`AuthenticatorStatus::strength`](crate::guard::AuthenticatorStatus::strength) shows which of them are weak. A
    /// user who has no recovery code when the budget is exhausted can only start over, after
    /// [`operator_remove`](crate::Guard::operator_remove).
    ///
    /// ```
    /// use keyfob::{Algorithm, Policy};
    ///
    /// // Every app that this organization hands out supports SHA-256.
    /// let policy = Policy::strict().with_algorithm(Algorithm::Sha256);
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn strict() -> Self {
        Self(Settings { strict: true, ..Settings::default() })
    }

    /// Sets the hash algorithm for new authenticators whose [`Setup`](crate::guard::Setup) names none. The default is
    /// SHA-1, because several apps ignore this setting and show wrong codes.
    ///
    /// Choose SHA-256 only if all your users have apps that support it. `docs/apps.md` in the repository lists what
    /// apps do. OWASP ASVS 5.0, appendix C, classifies HMAC-SHA-1 as legacy.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.0.algorithm = algorithm;
        self
    }

    /// Keeps a [`Notice`](crate::guard::Notice) in the record for each change that the user must be told about, until
    /// your application [acknowledges](crate::Guard::acknowledge) it. By default, no notices are kept.
    ///
    /// An event is lost if the server crashes between the change and the email. A notice is stored together with the
    /// change, so it survives the crash. Later requests for the same user report it with
    /// [`EventKind::Unacknowledged`](crate::guard::EventKind::Unacknowledged), and
    /// [`Status::notices`](crate::guard::Status::notices) lists it.
    #[must_use]
    pub fn with_notices(mut self) -> Self {
        self.0.notices = true;
        self
    }

    /// Sets the TOTP window: the number of steps on each side of the current step whose codes are also accepted. The
    /// default is one on each side.
    #[must_use]
    pub fn with_window(mut self, window: Window) -> Self {
        self.0.window = window;
        self
    }

    /// Sets the HOTP look-ahead: the number of codes that a user may have skipped. The default is 5.
    #[must_use]
    pub fn with_look_ahead(mut self, look_ahead: LookAhead) -> Self {
        self.0.look_ahead = look_ahead;
        self
    }

    /// Sets how long an account must wait after consecutive failures. During a wait, codes are refused without being
    /// compared.
    ///
    /// By default the wait is 30 seconds after the fifth failure, doubles with each further failure, and is at most an
    /// hour.
    ///
    /// ```
    /// use core::time::Duration;
    /// use keyfob::Policy;
    /// use keyfob::guard::Waits;
    ///
    /// let policy = Policy::default().with_waits(Waits {
    ///     after_failures: 3,
    ///     first: Duration::from_secs(60),
    ///     longest: Duration::from_secs(900),
    /// })?;
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `after_failures` is 1 to 10, `first` is at least a second
    /// and at most `longest`, and `longest` is at most a day. Fractions of a second are dropped.
    pub fn with_waits(mut self, waits: Waits) -> Result<Self, Error> {
        self.0.failures_before_wait = waits.after_failures;
        self.0.first_wait = seconds(waits.first);
        self.0.longest_wait = seconds(waits.longest);
        self.0.try_into()
    }

    /// Sets how many consecutive failures exhaust the guess budget. The default is 100. While an account has a
    /// [known device](crate::Guard::remember_device), a quarter of these failures are reserved for its known devices.
    ///
    /// An exhausted budget stays exhausted until a recovery code, a new authenticator or an operator refills it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `failures` is at least [`Waits::after_failures`] and at
    /// most 100.
    pub fn with_consecutive_failures(mut self, failures: u8) -> Result<Self, Error> {
        self.0.consecutive_failures = failures;
        self.0.try_into()
    }

    /// Sets how many failures in total exhaust the guess budget, and how many of these failures are forgiven per day.
    /// Successes do not reset this count. The defaults are 100 and 4.
    ///
    /// This limit stops an attacker who makes a few guesses between the owner's logins and keeps this up for years.
    ///
    /// The limit does not keep the owner's app usable during an attack. An attacker who knows the password and keeps
    /// trying uses up each forgiven attempt before the owner can use it. In a simulation of 60 days with one attempt
    /// per minute, the owner's codes were refused every day. A recovery code always works and ends the waits, and a
    /// [known device](crate::Guard::remember_device) has its own attempts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `failures` is at least [`Waits::after_failures`] and at
    /// most 100, and `forgiven_per_day` is 1 to 24.
    pub fn with_long_term(mut self, failures: u8, forgiven_per_day: u8) -> Result<Self, Error> {
        self.0 = Settings { long_term_failures: failures, forgiven_per_day, ..self.0 };
        self.0.try_into()
    }

    /// Sets how long a pending enrollment can be confirmed, and how long an
    /// [`EnrollmentTicket`](crate::guard::EnrollmentTicket) is valid. The default is 15 minutes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `lifetime` is 1 minute to 1 day.
    pub fn with_enrollment_lifetime(mut self, lifetime: Duration) -> Result<Self, Error> {
        self.0.enrollment_lifetime = seconds(lifetime);
        self.0.try_into()
    }

    /// Sets how long a [`Proof`](crate::guard::Proof) is valid, and how long a device can be
    /// [trusted](crate::Guard::trust_device) or [remembered](crate::Guard::remember_device) after a code was accepted.
    /// The default is 5 minutes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `lifetime` is 10 seconds to 1 hour.
    pub fn with_proof_lifetime(mut self, lifetime: Duration) -> Result<Self, Error> {
        self.0.proof_lifetime = seconds(lifetime);
        self.0.try_into()
    }

    /// Sets how long a [`Challenge`](crate::guard::Challenge) is valid: the time that the user has to enter a code
    /// after entering the password. The default is 5 minutes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `lifetime` is 30 seconds to 5 minutes.
    pub fn with_login_lifetime(mut self, lifetime: Duration) -> Result<Self, Error> {
        self.0.login_lifetime = seconds(lifetime);
        self.0.try_into()
    }

    /// Allows [trusted devices](crate::Guard::trust_device), on which users can log in without a code for at most this
    /// long. 30 days is a common choice. By default, no device can be trusted.
    ///
    /// This limit also applies to devices that were trusted earlier under a longer limit. If you remove this setting,
    /// trusted devices require a code again.
    ///
    /// # Security
    ///
    /// A stolen password and the stolen cookie of a trusted device together are enough to log in. NIST SP 800-63B-4,
    /// section 5.1, does not count a remembered browser as authentication at AAL2. If you have to meet AAL2, do not
    /// allow trusted devices.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `longest` is 1 to 90 days, and for a
    /// [strict](Self::strict) policy.
    pub fn with_trusted_devices(mut self, longest: Duration) -> Result<Self, Error> {
        self.0.trusted_device_lifetime = Some(seconds(longest));
        self.0.try_into()
    }

    /// Sets how many steps or counters a resynchronization searches for an authenticator that is out of sync. The
    /// default is 120.
    ///
    /// ```
    /// use keyfob::guard::{Confirmation, Resynchronization, Setup};
    /// use keyfob::store::MemoryStore;
    /// use keyfob::{Guard, Keyring, Policy, Verdict};
    /// # futures_lite::future::block_on(async {
    ///
    /// let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
    /// let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc")
    ///     .with_policy(Policy::default().with_resync_within(50)?);
    /// let enrollment = guard.enroll("user-17", &Setup::hotp("alice")).await?;
    /// let token = enrollment.uri().to_hotp().ok_or("not HOTP")?;
    /// let code = |counter| token.code(counter).to_string();
    /// let confirmation = guard.confirm("user-17", &code(0)).await?;
    /// assert!(matches!(confirmation, Confirmation::Confirmed(_)));
    ///
    /// // The button was pressed 29 times by accident, so the token is out of sync.
    /// let verdict = guard.verify("user-17", &code(30)).await?;
    /// assert!(matches!(verdict, Verdict::Refused(_)));
    /// let found = guard.resync("user-17", &code(30), &code(31)).await?;
    /// assert!(matches!(found, Resynchronization::Done { drift: 30, .. }));
    /// let verdict = guard.verify("user-17", &code(32)).await?;
    /// assert!(matches!(verdict, Verdict::Accepted(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `steps` is 1 to 3000.
    pub fn with_resync_within(mut self, steps: u16) -> Result<Self, Error> {
        self.0.resync_within = steps;
        self.0.try_into()
    }

    /// Returns an upper bound on the probability that an attacker guesses one of an account's codes within this time.
    /// The attacker is assumed to know everything but the secret.
    ///
    /// The account is assumed to have one six-digit TOTP authenticator and to start with a full guess budget. The bound
    /// is the number of guesses that the long-term limit allows, times the number of codes in the window, divided by a
    /// million. Guesses from known devices are included in that number, so the bound also holds for an attacker who has
    /// the cookie of a [known device](crate::Guard::remember_device). The bound does not cover guesses made after an
    /// exhausted budget is refilled by a recovery code, a new authenticator or an operator.
    ///
    /// [`Status::guess_probability`](crate::guard::Status::guess_probability) gives the bound for the authenticators
    /// that an account actually has.
    #[must_use]
    pub fn guess_probability(&self, within: Duration) -> f64 {
        self.probability(within, self.codes_of_totp() / 1e6)
    }

    /// Returns the upper bound on the probability of a successful guess within this time. `share` is the fraction of
    /// all possible codes that is accepted at any one time.
    pub(crate) fn probability(&self, within: Duration, share: f64) -> f64 {
        let days = within.as_secs_f64() / f64::from(DAY);
        let guesses = f64::from(self.0.long_term_failures) + f64::from(self.0.forgiven_per_day) * days;
        (guesses.floor() * share).min(1.0)
    }

    /// The number of TOTP codes that are accepted at any one time.
    pub(crate) fn codes_of_totp(&self) -> f64 {
        f64::from(self.0.window.behind()) + f64::from(self.0.window.ahead()) + 1.0
    }

    /// The number of HOTP codes that are accepted at any one time.
    pub(crate) fn codes_of_hotp(&self) -> f64 {
        f64::from(self.0.look_ahead.get()) + 1.0
    }

    pub(crate) const fn window(&self) -> Window {
        self.0.window
    }

    pub(crate) const fn look_ahead(&self) -> LookAhead {
        self.0.look_ahead
    }

    pub(crate) fn failures_before_wait(&self) -> u64 {
        self.0.failures_before_wait.into()
    }

    pub(crate) fn first_wait(&self) -> u64 {
        self.0.first_wait.into()
    }

    pub(crate) fn longest_wait(&self) -> u64 {
        self.0.longest_wait.into()
    }

    pub(crate) fn consecutive_failures(&self) -> u64 {
        self.0.consecutive_failures.into()
    }

    pub(crate) fn long_term_failures(&self) -> u64 {
        self.0.long_term_failures.into()
    }

    pub(crate) fn forgiven_per_day(&self) -> u64 {
        self.0.forgiven_per_day.into()
    }

    pub(crate) fn enrollment_lifetime(&self) -> u64 {
        self.0.enrollment_lifetime.into()
    }

    pub(crate) fn proof_lifetime(&self) -> u64 {
        self.0.proof_lifetime.into()
    }

    pub(crate) fn login_lifetime(&self) -> u64 {
        self.0.login_lifetime.into()
    }

    /// The longest time for which a device can be trusted, or `None` if no device can be.
    pub(crate) fn trusted_device_lifetime(&self) -> Option<u64> {
        self.0.trusted_device_lifetime.map(u64::from)
    }

    pub(crate) fn resync_within(&self) -> u64 {
        self.0.resync_within.into()
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    pub(crate) const fn is_strict(&self) -> bool {
        self.0.strict
    }

    pub(crate) const fn keeps_notices(&self) -> bool {
        self.0.notices
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Window::default(),
            look_ahead: LookAhead::default(),
            failures_before_wait: 5,
            first_wait: 30,
            longest_wait: 3600,
            consecutive_failures: 100,
            long_term_failures: 100,
            forgiven_per_day: 4,
            enrollment_lifetime: 900,
            proof_lifetime: 300,
            login_lifetime: 300,
            trusted_device_lifetime: None,
            resync_within: 120,
            algorithm: Algorithm::Sha1,
            strict: false,
            notices: false,
        }
    }
}

impl TryFrom<Settings> for Policy {
    type Error = Error;

    fn try_from(settings: Settings) -> Result<Self, Error> {
        let refused = |reason| Err(Error::new(ErrorKind::Policy, "the policy is out of range: {}").word(reason));
        if !matches!(settings.failures_before_wait, 1..=10) {
            return refused("the first wait is after failure 1 to 10");
        }
        if settings.first_wait < 1 || settings.longest_wait < settings.first_wait || settings.longest_wait > DAY {
            return refused("waits are 1 second to 1 day, and the first is not longer than the longest");
        }
        if !(settings.failures_before_wait..=MAX_FAILURES).contains(&settings.consecutive_failures) {
            return refused(
                "the limit on consecutive failures is at most 100, and not below the failure before the first wait",
            );
        }
        if !(settings.failures_before_wait..=MAX_FAILURES).contains(&settings.long_term_failures) {
            return refused(
                "the limit on failures in total is at most 100, and not below the failure before the first wait",
            );
        }
        if !matches!(settings.forgiven_per_day, 1..=24) {
            return refused("1 to 24 failures are forgiven per day");
        }
        if !(60..=DAY).contains(&settings.enrollment_lifetime) {
            return refused("the lifetime of an enrollment is 1 minute to 1 day");
        }
        if !matches!(settings.proof_lifetime, 10..=3600) {
            return refused("the lifetime of a proof is 10 seconds to 1 hour");
        }
        if !(30..=MAX_LOGIN_LIFETIME).contains(&settings.login_lifetime) {
            return refused("the lifetime of a pending login is 30 seconds to 5 minutes");
        }
        if settings.trusted_device_lifetime.is_some_and(|lifetime| !(DAY..=90 * DAY).contains(&lifetime)) {
            return refused("the lifetime of a trusted device is 1 to 90 days");
        }
        if settings.strict && settings.trusted_device_lifetime.is_some() {
            return refused("a strict policy does not allow trusted devices");
        }
        if !matches!(settings.resync_within, 1..=3000) {
            return refused("a resynchronization searches 1 to 3000 steps");
        }
        Ok(Self(settings))
    }
}

impl From<Policy> for Settings {
    fn from(policy: Policy) -> Self {
        policy.0
    }
}

/// How long an account must wait after consecutive failures. [`Policy::with_waits`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The number of consecutive failures after which the first wait starts: 1 to 10.
    pub after_failures: u8,
    /// The length of the first wait. Each further failure doubles the wait.
    pub first: Duration,
    /// The maximum wait.
    pub longest: Duration,
}

/// Converts a duration to whole seconds. A duration that does not fit in a `u32` becomes `u32::MAX`, which every
/// setting's range check refuses.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// The longest lifetime that a policy can set for a pending login, in seconds.
pub(crate) const MAX_LOGIN_LIFETIME: u32 = 300;

/// The number of seconds in a day.
pub(crate) const DAY: u32 = 86_400;
/// The highest failure limit that a policy can set. NIST SP 800-63B-4, section 3.2.2, allows an account at most 100
/// consecutive failures.
pub(crate) const MAX_FAILURES: u8 = 100;
