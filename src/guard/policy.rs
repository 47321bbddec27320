//! The limits, and the odds that follow from them.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::hotp::LookAhead;
use crate::totp::Window;

/// How many guesses an account stands, how wide a window is, how long things last.
///
/// The default is meant for everybody. No setting turns a limit off, and none goes beyond the hundred consecutive
/// failures of NIST SP 800-63B-4, section 3.2.2. Settings read from a file go through the same checks.
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
    resync_within: u16,
}

impl Policy {
    /// The window of TOTP: by default one step on either side.
    #[must_use]
    pub fn with_window(mut self, window: Window) -> Self {
        self.0.window = window;
        self
    }

    /// The look-ahead of HOTP: by default 5.
    #[must_use]
    pub fn with_look_ahead(mut self, look_ahead: LookAhead) -> Self {
        self.0.look_ahead = look_ahead;
        self
    }

    /// How long an account waits after failures in a row: by default 30 seconds after the fifth, twice as long after each
    /// further one, and never longer than an hour. While it waits, no code is compared.
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
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `after_failures` is 1 to 10, and `first` is at least a second,
    /// at most `longest`, and `longest` at most a day. Fractions of a second are dropped.
    pub fn with_waits(mut self, waits: Waits) -> Result<Self, Error> {
        self.0.failures_before_wait = waits.after_failures;
        self.0.first_wait = seconds(waits.first);
        self.0.longest_wait = seconds(waits.longest);
        self.0.try_into()
    }

    /// So many consecutive failures exhaust the budget, until a recovery code or an operator lifts it. By default 100.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless it is at least [`Waits::after_failures`], and at most 100.
    pub fn with_consecutive_failures(mut self, failures: u8) -> Result<Self, Error> {
        self.0.consecutive_failures = failures;
        self.0.try_into()
    }

    /// So many failures in all exhaust it as well, whatever succeeds in between; `forgiven_per_day` of them are forgotten
    /// each day. By default 100 and 4.
    ///
    /// This is what stops an attacker who guesses a little between the logins of the owner, for years.
    ///
    /// It does not keep the owner's app working meanwhile. Somebody who knows the password and asks again and again takes
    /// each attempt that time gives back before the owner can: asked once a minute, the account refused the owner's codes
    /// on all of 60 simulated days. A recovery code always gets past, and ends the waits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless `failures` is at least [`Waits::after_failures`] and at most 100,
    /// and 1 <= `forgiven_per_day` <= 24.
    pub fn with_long_term(mut self, failures: u8, forgiven_per_day: u8) -> Result<Self, Error> {
        self.0 = Settings { long_term_failures: failures, forgiven_per_day, ..self.0 };
        self.0.try_into()
    }

    /// How long an enrollment waits for its code: by default 15 minutes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless it is a minute to a day.
    pub fn with_enrollment_lifetime(mut self, lifetime: Duration) -> Result<Self, Error> {
        self.0.enrollment_lifetime = seconds(lifetime);
        self.0.try_into()
    }

    /// How long a [`Proof`](crate::guard::Proof) is good for: by default 5 minutes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless it is 10 seconds to an hour.
    pub fn with_proof_lifetime(mut self, lifetime: Duration) -> Result<Self, Error> {
        self.0.proof_lifetime = seconds(lifetime);
        self.0.try_into()
    }

    /// How far off two consecutive codes may be in a resynchronization: by default 120 steps or counters.
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
    /// let shown = |counter| token.code(counter).to_string();
    /// let Confirmation::Confirmed(_) = guard.confirm("user-17", &shown(0)).await? else { panic!() };
    ///
    /// // Pressed 29 times in a pocket.
    /// assert!(matches!(guard.verify("user-17", &shown(30)).await?, Verdict::Refused(_)));
    /// let found = guard.resync("user-17", &shown(30), &shown(31)).await?;
    /// assert!(matches!(found, Resynchronization::Done { drift: 30, .. }));
    /// assert!(matches!(guard.verify("user-17", &shown(32)).await?, Verdict::Accepted(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) unless it is 1 to 3000.
    pub fn with_resync_within(mut self, steps: u16) -> Result<Self, Error> {
        self.0.resync_within = steps;
        self.0.try_into()
    }

    /// An upper bound on the probability that somebody who has everything but the secret guesses a code of one account
    /// within this time, starting with a full budget: one TOTP authenticator with six digits. What a recovery code, a new
    /// authenticator or an operator refills when it is exhausted comes on top.
    ///
    /// It is the number of guesses the long-term budget lets through, times the codes that are right at one moment, in
    /// a million. [`Status::guess_probability`](crate::guard::Status::guess_probability) says it for the authenticators
    /// that an account has.
    #[must_use]
    pub fn guess_probability(&self, within: Duration) -> f64 {
        self.probability(within, self.codes_of_totp() / 1e6)
    }

    /// `share`: of all codes, how many are right at one moment.
    pub(crate) fn probability(&self, within: Duration, share: f64) -> f64 {
        let days = within.as_secs_f64() / f64::from(DAY);
        let guesses = f64::from(self.0.long_term_failures) + f64::from(self.0.forgiven_per_day) * days;
        (guesses.floor() * share).min(1.0)
    }

    pub(crate) fn codes_of_totp(&self) -> f64 {
        f64::from(self.0.window.behind()) + f64::from(self.0.window.ahead()) + 1.0
    }

    pub(crate) fn codes_of_hotp(&self) -> f64 {
        f64::from(self.0.look_ahead.get()) + 1.0
    }

    pub(crate) const fn window(&self) -> Window {
        self.0.window
    }

    pub(crate) const fn look_ahead(&self) -> LookAhead {
        self.0.look_ahead
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

    pub(crate) fn resync_within(&self) -> u64 {
        self.0.resync_within.into()
    }

    /// The wait after so many consecutive failures.
    pub(crate) fn wait(&self, failures: u64) -> u64 {
        let Some(doublings) = failures.checked_sub(self.0.failures_before_wait.into()) else { return 0 };
        let longest = u64::from(self.0.longest_wait);
        // Seventeen doublings of a second are more than a day.
        (u64::from(self.0.first_wait) << doublings.min(17)).min(longest)
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
            resync_within: 120,
        }
    }
}

impl TryFrom<Settings> for Policy {
    type Error = Error;

    fn try_from(settings: Settings) -> Result<Self, Error> {
        let refused = |reason| Err(Error::new(ErrorKind::Policy, "the policy is out of range: {}").word(reason));
        if !matches!(settings.failures_before_wait, 1..=10) {
            return refused("the first wait comes after 1 to 10 failures");
        }
        if settings.first_wait < 1 || settings.longest_wait < settings.first_wait || settings.longest_wait > DAY {
            return refused("waits are at least a second, at most a day, and do not shrink");
        }
        if !(settings.failures_before_wait..=NIST).contains(&settings.consecutive_failures) {
            return refused(
                "at most 100 consecutive failures are allowed, and no fewer than come before the first wait",
            );
        }
        if !(settings.failures_before_wait..=NIST).contains(&settings.long_term_failures) {
            return refused("at most 100 failures in all are allowed, and no fewer than come before the first wait");
        }
        if !matches!(settings.forgiven_per_day, 1..=24) {
            return refused("1 to 24 failures are forgiven a day");
        }
        if !(60..=DAY).contains(&settings.enrollment_lifetime) {
            return refused("an enrollment lasts a minute to a day");
        }
        if !matches!(settings.proof_lifetime, 10..=3600) {
            return refused("a proof lasts 10 seconds to an hour");
        }
        if !matches!(settings.resync_within, 1..=3000) {
            return refused("a resynchronization looks at most 3000 steps away");
        }
        Ok(Self(settings))
    }
}

impl From<Policy> for Settings {
    fn from(policy: Policy) -> Self {
        policy.0
    }
}

/// How long an account waits after failures in a row: see [`Policy::with_waits`], with an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Which failure in a row is the first that is followed by a wait: 1 to 10.
    pub after_failures: u8,
    /// The wait after that failure. Each further one doubles it.
    pub first: Duration,
    /// No wait is longer than this.
    pub longest: Duration,
}

/// Too many for any setting is refused with the setting.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Seconds.
pub(crate) const DAY: u32 = 86_400;
/// The limit of NIST SP 800-63B-4, section 3.2.2.
pub(crate) const NIST: u8 = 100;
