//! HOTP: counter-based codes (RFC 4226).

use core::fmt;
use core::ops::RangeInclusive;

use crate::algorithm::{Algorithm, Hmac};
use crate::code::{Code, Digits};
use crate::ct;
use crate::error::{Error, ErrorKind};
use crate::key::Key;

/// Generates and verifies HOTP codes (RFC 4226).
///
/// An `Hotp` holds the HMAC states derived from the secret, not the secret itself, and wipes them on drop. Generating a
/// code takes two calls to the hash's compression function and allocates no memory.
///
/// ```
/// use keyfob::{Code, Hotp, LookAhead, Secret};
///
/// let secret = Secret::generate();
/// let hotp = Hotp::new(&secret);
/// let mut next = 0;
///
/// // The button was pressed twice by accident, so the token shows its third code.
/// let typed = Code::parse(&hotp.code(2).to_string())?;
/// if let Some(counter) = hotp.verify(&typed, next, LookAhead::default()) {
///     next = counter + 1; // store this before you act on the result
/// }
/// assert_eq!(next, 3);
/// # Ok::<(), keyfob::CodeError>(())
/// ```
///
/// # Security
///
/// [`verify`](Self::verify) only compares codes. RFC 4226, section 7, requires more of its caller: store the counter
/// after the matched one atomically *before* you act on the result, and limit the number of guesses.
#[derive(Clone)]
pub struct Hotp {
    hmac: Hmac,
    digits: Digits,
}

impl Hotp {
    /// Creates an `Hotp` with HMAC-SHA-1 and six digits, which every authenticator supports.
    #[must_use]
    pub fn new<'k>(key: impl Into<Key<'k>>) -> Self {
        Self::with_algorithm(key, Algorithm::Sha1)
    }

    /// Like [`new`](Self::new), with a different hash function. RFC 4226 defines only SHA-1; some tokens use SHA-256 or
    /// SHA-512, which RFC 6238 allows for TOTP.
    #[must_use]
    pub fn with_algorithm<'k>(key: impl Into<Key<'k>>, algorithm: Algorithm) -> Self {
        Self { hmac: Hmac::new(algorithm, key.into()), digits: Digits::default() }
    }

    /// Sets the number of digits in a code.
    #[must_use]
    pub fn with_digits(mut self, digits: Digits) -> Self {
        self.digits = digits;
        self
    }

    /// The hash function that HMAC uses.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.hmac.algorithm()
    }

    /// The number of digits in a code.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// The code for a counter (RFC 4226, section 5.3).
    #[must_use]
    pub fn code(&self, counter: u64) -> Code {
        Code::new(self.hmac.truncated(counter), self.digits)
    }

    /// Returns the counter in `from ..= from + look_ahead` whose code matches, or `None` if there is no match.
    ///
    /// `from` is the next expected counter; earlier counters are never tried. All codes in the range are computed and
    /// compared, even after a match. If two counters have the same code, the later one is returned. If the earlier one
    /// were returned, the code just used would still be valid at the later counter. Store `matched + 1`, the *next*
    /// counter, and pass it as `from` the next time.
    #[must_use]
    pub fn verify(&self, code: &Code, from: u64, look_ahead: LookAhead) -> Option<u64> {
        self.newest([code], look_ahead.counters(from))
    }

    /// Finds the counter of a token that is far ahead of the server, using two consecutive codes (RFC 4226, section
    /// 7.4).
    ///
    /// Searches the counters `from ..= from + within`. Returns the counter of the *second* code, or `None` if there is
    /// no match. Store the counter after it, as with [`verify`](Self::verify). Two random six-digit codes match with a
    /// probability of `within` in 10^12, so a wide search is safe, whereas a wide [`LookAhead`] is not. All codes in
    /// the range are computed and compared.
    ///
    /// ```
    /// use keyfob::{Hotp, Secret};
    ///
    /// let hotp = Hotp::new(&Secret::generate());
    /// let counter = hotp.resync(&hotp.code(700), &hotp.code(701), 4, 1000);
    /// assert_eq!(counter, Some(701));
    /// ```
    #[must_use]
    pub fn resync(&self, first: &Code, second: &Code, from: u64, within: u16) -> Option<u64> {
        self.newest([first, second], from..=from.saturating_add(within.into()))
    }

    pub(crate) const fn hmac(&self) -> &Hmac {
        &self.hmac
    }

    /// Searches the range for these consecutive codes and returns the counter of the last code. If there are several
    /// matches, returns the latest one.
    pub(crate) fn newest<const N: usize>(&self, codes: [&Code; N], counters: RangeInclusive<u64>) -> Option<u64> {
        self.scan(codes, *counters.start(), *counters.end()).counter()
    }

    /// Like [`newest`](Self::newest), but does not reveal whether there was a match.
    pub(crate) fn scan<const N: usize>(&self, codes: [&Code; N], first: u64, last: u64) -> Newest {
        let Some(mut codes) = Consecutive::new(codes, self.digits) else { return Newest::default() };
        Newest::of(&self.hmac, first, last, |truncated| codes.matches(truncated))
    }
}

impl fmt::Debug for Hotp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hotp")
            .field("algorithm", &self.algorithm())
            .field("digits", &self.digits)
            .finish_non_exhaustive()
    }
}

/// How many counters after the expected one are accepted (RFC 4226, section 7.2): 0 to 10, with a default of 5.
///
/// Each additional counter is one more code that a guess can match. A look-ahead of 5 allows for five unused codes,
/// such as those produced when the button is pressed by accident. Use [`Hotp::resync`] for a token that is further
/// ahead.
///
/// ```
/// use keyfob::{Hotp, LookAhead, Secret};
///
/// let hotp = Hotp::new(&Secret::generate());
/// assert_eq!(hotp.verify(&hotp.code(3), 1, LookAhead::new(2)?), Some(3));
/// assert!(LookAhead::new(11).is_err());
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookAhead(u8);

impl LookAhead {
    /// Accepts only the expected counter.
    pub const NONE: Self = Self(0);

    /// Creates a look-ahead that accepts `counters` counters after the expected one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LookAhead`](crate::ErrorKind::LookAhead) if `counters` is above 10.
    pub const fn new(counters: u8) -> Result<Self, Error> {
        if counters > MAX_LOOK_AHEAD { Err(LOOK_AHEAD_TOO_FAR) } else { Ok(Self(counters)) }
    }

    /// The number of counters after the expected one.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The counters that are accepted if `from` is the next expected one.
    pub(crate) fn counters(self, from: u64) -> RangeInclusive<u64> {
        from..=from.saturating_add(self.0.into())
    }
}

impl Default for LookAhead {
    fn default() -> Self {
        Self(5)
    }
}

/// The state of a search for consecutive codes, which visits the counters in ascending order.
pub(crate) struct Consecutive<'a, const N: usize> {
    codes: [&'a Code; N],
    digits: Digits,
    /// For each code, a mask: all ones if this code matches the current counter and the codes before it match the
    /// counters before it.
    shown: [u64; N],
}

impl<'a, const N: usize> Consecutive<'a, N> {
    /// Returns `None` if the number of digits in a code is not `digits`. The number of digits is public.
    pub(crate) fn new(codes: [&'a Code; N], digits: Digits) -> Option<Self> {
        codes.iter().all(|code| code.digits() == digits).then_some(Self { codes, digits, shown: [0; N] })
    }

    /// Processes the truncated value of the next counter. Returns all ones if the last code matches this counter and
    /// the other codes match the counters before it. Must be called once for each counter, in ascending order.
    pub(crate) fn matches(&mut self, truncated: u32) -> u64 {
        let value = self.digits.reduce(truncated);
        let mut before = u64::MAX;
        for (shown, code) in self.shown.iter_mut().zip(self.codes) {
            let all_so_far = before & code.mask_eq(value);
            before = core::mem::replace(shown, all_so_far);
        }
        self.shown.last().copied().unwrap_or(0)
    }
}

/// The last counter that has matched so far. No branch depends on it until `counter` makes it public.
#[derive(Default)]
pub(crate) struct Newest {
    counter: u64,
    matches: u64,
}

impl Newest {
    /// Searches `first..=last`. `mask` takes the 31-bit truncated value of each counter and returns all ones for a
    /// match. Every value is computed, so the time does not depend on where the match is.
    pub(crate) fn of(hmac: &Hmac, first: u64, last: u64, mut mask: impl FnMut(u32) -> u64) -> Self {
        let mut newest = Self::default();
        hmac.for_each_truncated(first, last, |counter, truncated| newest.record(counter, mask(truncated)));
        newest
    }

    pub(crate) fn record(&mut self, counter: u64, mask: u64) {
        self.counter = ct::select(mask, counter, self.counter);
        self.matches = self.matches.wrapping_add(mask & 1);
    }

    /// The number of counters that matched.
    pub(crate) const fn matches(&self) -> u64 {
        self.matches
    }

    /// The mask (all ones if there was a match) and the counter, both still secret.
    #[cfg(feature = "guard")]
    pub(crate) fn hidden(&self) -> (u64, u64) {
        (!ct::mask_same(self.matches, 0), self.counter)
    }

    /// Returns the last counter that matched, or `None`, and makes it public. The result may be public, because the
    /// caller reports whether there was a match and stores the counter.
    pub(crate) fn counter(&self) -> Option<u64> {
        ct::declassify(self.matches).then_some(self.counter)
    }
}

const MAX_LOOK_AHEAD: u8 = 10;
const LOOK_AHEAD_TOO_FAR: Error =
    Error::new(ErrorKind::LookAhead, "the look-ahead is at most {} counters").number(MAX_LOOK_AHEAD as u64);
