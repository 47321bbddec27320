//! TOTP, the code of a moment (RFC 6238).

use core::fmt;
use core::ops::RangeInclusive;

use crate::algorithm::{Algorithm, Hmac};
use crate::code::{Code, Digits};
use crate::error::{Error, ErrorKind};
use crate::hotp::Hotp;
use crate::key::Key;

/// Makes and checks TOTP codes (RFC 6238).
///
/// Keeps the hash states that the secret leads to instead of the secret, and wipes them on drop. Times are Unix
/// seconds and always an argument; with the feature `std` the `*_now` twins read the system clock.
///
/// ```
/// use keyfob::{Algorithm, Digits, Key, Totp, Window};
///
/// // The third row of RFC 6238, appendix B.
/// let secret = b"1234567890123456789012345678901234567890123456789012345678901234";
/// let totp = Totp::with_algorithm(Key::new(secret)?, Algorithm::Sha512).with_digits(Digits::Eight);
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
/// Who calls [`verify`](Self::verify) owes what RFC 6238, section 5.2, asks for: store the step that matched,
/// atomically, *before* the answer is used, accept only greater steps from then on, and limit how often anybody may
/// guess.
#[derive(Clone)]
pub struct Totp {
    hotp: Hotp,
    period: Period,
    t0: u64,
}

impl Totp {
    /// HMAC-SHA-1, six digits, 30 seconds: what every authenticator app supports.
    #[must_use]
    pub fn new<'k>(key: impl Into<Key<'k>>) -> Self {
        Self::with_algorithm(key, Algorithm::Sha1)
    }

    /// Another hash function.
    #[must_use]
    pub fn with_algorithm<'k>(key: impl Into<Key<'k>>, algorithm: Algorithm) -> Self {
        Self { hotp: Hotp::with_algorithm(key, algorithm), period: Period::default(), t0: 0 }
    }

    /// Codes of another length.
    #[must_use]
    pub fn with_digits(mut self, digits: Digits) -> Self {
        self.hotp = self.hotp.with_digits(digits);
        self
    }

    /// Codes that live for another time.
    #[must_use]
    pub fn with_period(mut self, period: Period) -> Self {
        self.period = period;
        self
    }

    /// The Unix time at which step 0 begins: T0 of RFC 6238, section 4.1, by default 0. No app can be told another.
    #[must_use]
    pub fn with_t0(mut self, t0: u64) -> Self {
        self.t0 = t0;
        self
    }

    /// The hash function inside HMAC.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.hotp.algorithm()
    }

    /// How many digits a code has.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.hotp.digits()
    }

    /// How long a code is shown.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    #[cfg(feature = "uri")]
    pub(crate) const fn t0(&self) -> u64 {
        self.t0
    }

    /// The step that a time lies in. Times before T0 count as step 0.
    #[must_use]
    pub const fn step(&self, at: u64) -> Step {
        Step(self.period.steps(at.saturating_sub(self.t0)))
    }

    /// For how many seconds more the code of this moment is shown, 1 to the period. Before T0, the period.
    #[must_use]
    #[allow(clippy::integer_division_remainder_used, reason = "times and periods are public")]
    #[allow(clippy::cast_possible_truncation, reason = "a remainder is smaller than the divisor")]
    pub const fn remaining(&self, at: u64) -> u32 {
        self.period.0 - (at.saturating_sub(self.t0) % self.period.0 as u64) as u32
    }

    /// The code that the authenticator shows at this time.
    #[must_use]
    pub fn code_at(&self, at: u64) -> Code {
        self.hotp.code(self.step(at).0)
    }

    /// The step within the window around `at` whose code this is, or `None`.
    ///
    /// All steps of the window are computed and compared whatever matches. Should two of them have these digits, the
    /// newest is returned, so that the digits are spent for the whole window once that step is stored. Before T0 no
    /// code is right.
    #[must_use]
    pub fn verify(&self, code: &Code, at: u64, window: Window) -> Option<Step> {
        self.hotp.newest([code], self.steps(at, window)?).map(Step)
    }

    /// Finds an authenticator whose clock is far off, by two codes shown one after the other (RFC 6238, section 6).
    ///
    /// `at` is the time when the second was typed. Looks at all steps at most `within` before or after it and returns the
    /// step of the *second* code; [`Step::offset_from`] turns it into the offset to store. The chance that two random
    /// codes of six digits match is twice `within` in 10^12, so a wide search is safe where a wide [`Window`] is not.
    ///
    /// Both codes are spent: accept only a step greater than the last one stored, and store it. Codes that were shown an
    /// hour ago resynchronize an authenticator to an hour ago.
    ///
    /// ```
    /// use keyfob::{Secret, Totp};
    ///
    /// let totp = Totp::new(&Secret::generate());
    /// let slow = |now: u64| totp.code_at(now - 14 * 60); // a phone whose clock is 14 minutes late
    ///
    /// let (first, second) = (1_900_000_000, 1_900_000_030);
    /// let step = totp.resync(&slow(first), &slow(second), second, 100);
    /// assert_eq!(step.map(|step| step.offset_from(totp.step(second))), Some(-28));
    /// ```
    #[must_use]
    pub fn resync(&self, first: &Code, second: &Code, at: u64, within: u16) -> Option<Step> {
        self.hotp.newest([first, second], self.steps_within(at, within.into())?).map(Step)
    }

    /// The steps of a window, unless T0 is still to come.
    pub(crate) fn steps(&self, at: u64, window: Window) -> Option<RangeInclusive<u64>> {
        self.steps_around(at, window.behind.into(), window.ahead.into())
    }

    /// As many on either side.
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

/// What reads the clock. A clock before 1970 shows the code of step 0 and accepts nothing.
#[cfg(feature = "std")]
impl Totp {
    /// The code that the authenticator shows now.
    #[must_use]
    pub fn code_now(&self) -> Code {
        self.code_at(now().unwrap_or(0))
    }

    /// For how many seconds more it shows that code.
    #[must_use]
    pub fn remaining_now(&self) -> u32 {
        self.remaining(now().unwrap_or(0))
    }

    /// [`verify`](Self::verify) around the present time.
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

/// The number of a period since T0: the T of RFC 6238, section 4.2.
///
/// This is what to store after a code was accepted. It is public: it says when somebody logged in, nothing about the
/// secret.
///
/// ```
/// use keyfob::{Secret, Step, Totp, Window};
///
/// let totp = Totp::new(&Secret::generate());
/// let now = 1_900_000_000;
/// let stored = totp.verify(&totp.code_at(now), now, Window::default()).map(Step::get); // into the database
///
/// let last = stored.map(Step::new); // and back
/// let again = totp.verify(&totp.code_at(now), now, Window::default());
/// assert!(again <= last); // only a greater step is accepted
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(u64);

impl Step {
    /// A step read back from where it was stored.
    #[must_use]
    pub const fn new(step: u64) -> Self {
        Self(step)
    }

    /// The number, to store.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// How many steps this one lies after (or, below zero, before) another.
    ///
    /// For a step that an authenticator is at and the step that the server is at, this is how far the authenticator's
    /// clock is ahead. Add it, times the period, to the time that you verify at.
    #[must_use]
    pub const fn offset_from(self, other: Self) -> i64 {
        let distance = self.0.abs_diff(other.0);
        let distance = if distance > i64::MAX as u64 { i64::MAX } else { distance.cast_signed() };
        if self.0 < other.0 { -distance } else { distance }
    }
}

/// The number, to log.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long a code is shown: 1 to 86 400 seconds, by default 30 (RFC 6238, section 5.2).
///
/// Several apps ignore any other value and show wrong codes.
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

    /// So many seconds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Period`](crate::ErrorKind::Period) for 0 and for more than a day.
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

    /// How many whole periods these seconds are.
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

/// Which steps around the current one are accepted: by default one behind and one ahead, at most ten on either side.
///
/// Behind covers the time it takes to read and type, and a slow clock; ahead covers a fast clock (RFC 6238, section
/// 5.2). Every step is one more code that a guess can hit.
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
    /// Steps on either side.
    const MAX: u8 = 10;

    const TOO_WIDE: Error = Error::new(ErrorKind::Window, "a window is at most {} steps behind and {} ahead")
        .number(Self::MAX as u64)
        .number(Self::MAX as u64);

    /// The current step only.
    pub const CURRENT: Self = Self { behind: 0, ahead: 0 };

    /// So many steps before and after the current one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Window`](crate::ErrorKind::Window) if one of them is above 10.
    pub const fn new(behind: u8, ahead: u8) -> Result<Self, Error> {
        if behind > Self::MAX || ahead > Self::MAX { Err(Self::TOO_WIDE) } else { Ok(Self { behind, ahead }) }
    }

    /// Steps before the current one.
    #[must_use]
    pub const fn behind(self) -> u8 {
        self.behind
    }

    /// Steps after the current one.
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

/// Unix seconds, unless the clock stands before 1970.
#[cfg(feature = "std")]
pub(crate) fn now() -> Option<u64> {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since_1970.as_secs())
}
