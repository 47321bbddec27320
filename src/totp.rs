//! TOTP: time-based codes (RFC 6238).

use core::fmt;
use core::ops::RangeInclusive;

use crate::algorithm::{Algorithm, Hmac};
use crate::code::{Code, Digits};
use crate::error::{Error, ErrorKind};
use crate::hotp::Hotp;
use crate::key::Key;

/// Generates and verifies TOTP codes (RFC 6238).
///
/// A `Totp` holds the HMAC states derived from the secret, not the secret itself, and wipes them on drop. Times are
/// passed as arguments: Unix timestamps in seconds. Only the `*_now` methods, which need the feature `std`, read the
/// system clock.
///
/// ```
/// use keyfob::{Algorithm, Digits, Key, Totp, Window};
///
/// // The third test vector of RFC 6238, appendix B.
/// let secret = b"1234567890123456789012345678901234567890123456789012345678901234";
/// let totp = Totp::with_algorithm(Key::new(secret)?, Algorithm::Sha512)
///     .with_digits(Digits::Eight);
///
/// let code = totp.code_at(59);
/// assert_eq!(code.to_string(), "90693936");
/// assert_eq!(totp.verify(&code, 59, Window::default()), Some(totp.step(59)));
/// assert_eq!(totp.verify(&code, 59 + 60, Window::default()), None);
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// # Security
///
/// [`verify`](Self::verify) only compares codes. RFC 6238, section 5.2, requires more of its caller: store the matched
/// step atomically *before* you act on the result, accept only greater steps from then on, and limit the number of
/// guesses.
#[derive(Clone)]
pub struct Totp {
    hotp: Hotp,
    period: Period,
    t0: u64,
}

impl Totp {
    /// Creates a `Totp` with HMAC-SHA-1, six digits and a 30-second period, which every authenticator app supports.
    #[must_use]
    pub fn new<'k>(key: impl Into<Key<'k>>) -> Self {
        Self::with_algorithm(key, Algorithm::Sha1)
    }

    /// Like [`new`](Self::new), with a different hash function.
    #[must_use]
    pub fn with_algorithm<'k>(key: impl Into<Key<'k>>, algorithm: Algorithm) -> Self {
        Self { hotp: Hotp::with_algorithm(key, algorithm), period: Period::default(), t0: 0 }
    }

    /// Sets the number of digits in a code.
    #[must_use]
    pub fn with_digits(mut self, digits: Digits) -> Self {
        self.hotp = self.hotp.with_digits(digits);
        self
    }

    /// Sets the period: how long each code is shown.
    #[must_use]
    pub fn with_period(mut self, period: Period) -> Self {
        self.period = period;
        self
    }

    /// Sets T0, the Unix time in seconds at which step 0 begins (RFC 6238, section 4.1). The default is 0, and
    /// `otpauth` URIs cannot express any other value.
    #[must_use]
    pub fn with_t0(mut self, t0: u64) -> Self {
        self.t0 = t0;
        self
    }

    /// The hash function that HMAC uses.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.hotp.algorithm()
    }

    /// The number of digits in a code.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.hotp.digits()
    }

    /// The period: how long each code is shown.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    #[cfg(feature = "uri")]
    pub(crate) const fn t0(&self) -> u64 {
        self.t0
    }

    /// The time step that contains the Unix time `at`. Times before T0 belong to step 0.
    #[must_use]
    pub const fn step(&self, at: u64) -> Step {
        Step(self.period.steps(at.saturating_sub(self.t0)))
    }

    /// The number of seconds from `at` until the code changes: at least 1, and at most the period. Before T0, it is the
    /// whole period.
    #[must_use]
    #[allow(clippy::integer_division_remainder_used, reason = "times and periods are public")]
    #[allow(clippy::cast_possible_truncation, reason = "a remainder is smaller than the divisor")]
    pub const fn remaining(&self, at: u64) -> u32 {
        self.period.0 - (at.saturating_sub(self.t0) % self.period.0 as u64) as u32
    }

    /// The code that the authenticator shows at the Unix time `at`.
    #[must_use]
    pub fn code_at(&self, at: u64) -> Code {
        self.hotp.code(self.step(at).0)
    }

    /// Returns the step in the window around `at` whose code matches, or `None` if there is no match.
    ///
    /// All codes in the window are computed and compared, even after a match. If two steps in the window have the same
    /// code, the later step is returned, so that storing it invalidates the code for the whole window. If `at` is
    /// before T0, every code is refused.
    #[must_use]
    pub fn verify(&self, code: &Code, at: u64, window: Window) -> Option<Step> {
        self.hotp.newest([code], self.steps(at, window)?).map(Step)
    }

    /// Finds the step of an authenticator whose clock is far off, using two consecutive codes (RFC 6238, section 6).
    ///
    /// `at` is the Unix time at which the second code was typed. The search covers the step that contains `at` and up
    /// to `within` steps before and after it. Returns the step of the *second* code, or `None` if there is no match or
    /// `at` is before T0. [`Step::offset_from`] converts the step to the offset to store. Two random six-digit codes
    /// match with a probability of `2 * within` in 10^12, so a wide search is safe, whereas a wide [`Window`] is not.
    ///
    /// Neither code may be used again: accept the result only if it is greater than the last stored step, and store it.
    /// If the two codes were shown an hour ago, the offset is wrong by an hour.
    ///
    /// ```
    /// use keyfob::{Secret, Totp};
    ///
    /// let totp = Totp::new(&Secret::generate());
    /// // A phone whose clock is 14 minutes slow.
    /// let slow = |now: u64| totp.code_at(now - 14 * 60);
    ///
    /// let (first, second) = (1_900_000_000, 1_900_000_030);
    /// let step = totp.resync(&slow(first), &slow(second), second, 100);
    /// assert_eq!(step.map(|step| step.offset_from(totp.step(second))), Some(-28));
    /// ```
    #[must_use]
    pub fn resync(&self, first: &Code, second: &Code, at: u64, within: u16) -> Option<Step> {
        self.hotp.newest([first, second], self.steps_within(at, within.into())?).map(Step)
    }

    /// Returns the steps of the window around `at`, or `None` if `at` is before T0.
    pub(crate) fn steps(&self, at: u64, window: Window) -> Option<RangeInclusive<u64>> {
        self.steps_around(at, window.behind.into(), window.ahead.into())
    }

    /// Returns the step that contains `at` and up to `within` steps before and after it, or `None` if `at` is before
    /// T0.
    pub(crate) fn steps_within(&self, at: u64, within: u64) -> Option<RangeInclusive<u64>> {
        self.steps_around(at, within, within)
    }

    fn steps_around(&self, at: u64, behind: u64, ahead: u64) -> Option<RangeInclusive<u64>> {
        let current = self.step(at).0;
        (at >= self.t0).then(|| current.saturating_sub(behind)..=current.saturating_add(ahead))
    }

    pub(crate) const fn hotp(&self) -> &Hotp {
        &self.hotp
    }

    pub(crate) const fn hmac(&self) -> &Hmac {
        self.hotp.hmac()
    }
}

/// Methods that read the system clock. If the clock is set to a time before 1970, `code_now` returns the code for step
/// 0, and `verify_now` refuses every code.
#[cfg(feature = "std")]
impl Totp {
    /// The code that the authenticator shows now.
    #[must_use]
    pub fn code_now(&self) -> Code {
        self.code_at(now().unwrap_or(0))
    }

    /// The number of seconds until the current code changes.
    #[must_use]
    pub fn remaining_now(&self) -> u32 {
        self.remaining(now().unwrap_or(0))
    }

    /// Verifies a code at the current time, as [`verify`](Self::verify) does.
    #[must_use]
    pub fn verify_now(&self, code: &Code, window: Window) -> Option<Step> {
        self.verify(code, now()?, window)
    }
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Totp")
            .field("algorithm", &self.algorithm())
            .field("digits", &self.digits())
            .field("period", &self.period)
            .field("t0", &self.t0)
            .finish_non_exhaustive()
    }
}

/// A time step: the number of whole periods since T0, called T in RFC 6238, section 4.2.
///
/// Store the step of the last accepted code. The step is not secret: it reveals when the user logged in, but nothing
/// about the secret.
///
/// ```
/// use keyfob::{Secret, Step, Totp, Window};
///
/// let totp = Totp::new(&Secret::generate());
/// let now = 1_900_000_000;
/// let code = totp.code_at(now);
/// let stored = totp.verify(&code, now, Window::default()).map(Step::get); // store this
///
/// let last = stored.map(Step::new); // when it is loaded again
/// let replayed = totp.verify(&code, now, Window::default());
/// assert!(replayed <= last); // refuse: only a greater step is accepted
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(u64);

impl Step {
    /// Creates a step from a stored number.
    #[must_use]
    pub const fn new(step: u64) -> Self {
        Self(step)
    }

    /// The number to store.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The signed distance in steps from `other` to `self`: positive if `self` is later.
    ///
    /// If `self` is the authenticator's step and `other` the server's, this is how far the authenticator's clock is
    /// ahead. Multiply it by the period, and add the product to the time that you pass to [`Totp::verify`].
    #[must_use]
    pub const fn offset_from(self, other: Self) -> i64 {
        let distance = self.0.abs_diff(other.0);
        let distance = if distance > i64::MAX as u64 { i64::MAX } else { distance.cast_signed() };
        if self.0 < other.0 { -distance } else { distance }
    }
}

/// Prints the number, for logs.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The TOTP period: how long a code is shown. It is 1 to 86,400 seconds, and 30 seconds by default (RFC 6238, section
/// 5.2).
///
/// Several apps ignore a period other than 30 seconds and show wrong codes.
///
/// ```
/// use keyfob::{Period, Secret, Totp};
///
/// let totp = Totp::new(&Secret::generate()).with_period(Period::new(60)?);
/// assert_eq!(totp.step(119).get(), 1);
/// assert!(Period::new(0).is_err());
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u32);

impl Period {
    const MAX_SECONDS: u32 = 86_400;
    const DEFAULT_SECONDS: u32 = 30;

    pub(crate) const REFUSED: Error =
        Error::new(ErrorKind::Period, "the period is 1 to {} seconds; authenticator apps expect {}")
            .number(Self::MAX_SECONDS as u64)
            .number(Self::DEFAULT_SECONDS as u64);

    /// Creates a period of `seconds` seconds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Period`](crate::ErrorKind::Period) for 0 and for more than 86,400 seconds (one day).
    pub const fn new(seconds: u32) -> Result<Self, Error> {
        match seconds {
            1..=Self::MAX_SECONDS => Ok(Self(seconds)),
            _ => Err(Self::REFUSED),
        }
    }

    /// The number of seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// The number of whole periods in `seconds`.
    #[allow(clippy::integer_division_remainder_used, reason = "times and periods are public")]
    pub(crate) const fn steps(self, seconds: u64) -> u64 {
        seconds / self.0 as u64
    }
}

impl Default for Period {
    fn default() -> Self {
        Self(Self::DEFAULT_SECONDS)
    }
}

/// How many steps before and after the current step are accepted. The default is one step on each side, and the maximum
/// is 10 on each side.
///
/// Steps behind allow for the time it takes to read and type a code, and for a slow clock; steps ahead allow for a fast
/// clock (RFC 6238, section 5.2). Each additional step is one more code that a guess can match.
///
/// ```
/// use keyfob::{Secret, Totp, Window};
///
/// let totp = Totp::new(&Secret::generate());
/// let (now, late) = (1_900_000_000, Window::new(2, 0)?);
/// assert_eq!(totp.verify(&totp.code_at(now - 60), now, late), Some(totp.step(now - 60)));
/// assert!(Window::new(11, 0).is_err());
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    behind: u8,
    ahead: u8,
}

impl Window {
    /// The maximum number of steps on each side.
    const MAX: u8 = 10;

    const TOO_WIDE: Error = Error::new(ErrorKind::Window, "a window is at most {} steps behind and {} ahead")
        .number(Self::MAX as u64)
        .number(Self::MAX as u64);

    /// Accepts only the current step.
    pub const CURRENT: Self = Self { behind: 0, ahead: 0 };

    /// Creates a window of `behind` steps before and `ahead` steps after the current step.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Window`](crate::ErrorKind::Window) if `behind` or `ahead` is above 10.
    pub const fn new(behind: u8, ahead: u8) -> Result<Self, Error> {
        if behind > Self::MAX || ahead > Self::MAX { Err(Self::TOO_WIDE) } else { Ok(Self { behind, ahead }) }
    }

    /// The number of steps accepted before the current one.
    #[must_use]
    pub const fn behind(self) -> u8 {
        self.behind
    }

    /// The number of steps accepted after the current one.
    #[must_use]
    pub const fn ahead(self) -> u8 {
        self.ahead
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { behind: 1, ahead: 1 }
    }
}

/// The system time in Unix seconds, or `None` if the clock is set before 1970.
#[cfg(feature = "std")]
pub(crate) fn now() -> Option<u64> {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since_1970.as_secs())
}
