//! HOTP, the code of a counter (RFC 4226).

use core::fmt;
use core::ops::RangeInclusive;

use crate::algorithm::{Algorithm, Hmac};
use crate::code::{Code, Digits};
use crate::ct;
use crate::error::{Error, ErrorKind};
use crate::key::Key;

/// Makes and checks HOTP codes (RFC 4226).
///
/// Keeps the hash states that the secret leads to instead of the secret, and wipes them on drop. Making a code costs
/// two compressions of the hash and allocates nothing.
///
/// ```
/// use keyfob::{Code, Hotp, LookAhead, Secret};
///
/// let secret = Secret::generate();
/// let hotp = Hotp::new(&secret);
/// let mut next = 0;
///
/// let typed = Code::parse(&hotp.code(2).to_string())?; // the button was pressed twice in a pocket
/// if let Some(counter) = hotp.verify(&typed, next, LookAhead::default()) {
///     next = counter + 1; // store this before telling anybody
/// }
/// assert_eq!(next, 3);
/// # Ok::<(), keyfob::CodeError>(())
/// ```
///
/// # Security
///
/// Who calls [`verify`](Self::verify) owes what RFC 4226, section 7, asks for: store the counter after the one that
/// matched, atomically, *before* the answer is used, and limit how often anybody may guess.
#[derive(Clone)]
pub struct Hotp {
    hmac: Hmac,
    digits: Digits,
}

impl Hotp {
    /// HMAC-SHA-1 and six digits: what every authenticator supports.
    #[must_use]
    pub fn new<'k>(key: impl Into<Key<'k>>) -> Self {
        Self::with_algorithm(key, Algorithm::Sha1)
    }

    /// Another hash function. RFC 4226 knows SHA-1 only; some tokens use the others of RFC 6238.
    #[must_use]
    pub fn with_algorithm<'k>(key: impl Into<Key<'k>>, algorithm: Algorithm) -> Self {
        Self { hmac: Hmac::new(algorithm, key.into()), digits: Digits::default() }
    }

    /// Codes of another length.
    #[must_use]
    pub fn with_digits(mut self, digits: Digits) -> Self {
        self.digits = digits;
        self
    }

    /// The hash function inside HMAC.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.hmac.algorithm()
    }

    /// How many digits a code has.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// The code of a counter (RFC 4226, section 5.3).
    #[must_use]
    pub fn code(&self, counter: u64) -> Code {
        Code::new(self.hmac.truncated(counter), self.digits)
    }

    /// The counter of `from ..= from + look_ahead` whose code this is, or `None`.
    ///
    /// `from` is the next counter expected; earlier ones are never looked at. All counters are computed and compared
    /// whatever matches. Should two of them have these digits, the later is returned: returning the earlier would
    /// leave a code that was just seen valid. Store the *next* counter, `matched + 1`, and verify from there.
    #[must_use]
    pub fn verify(&self, code: &Code, from: u64, look_ahead: LookAhead) -> Option<u64> {
        self.newest([code], look_ahead.counters(from))
    }

    /// Finds a token whose counter is far ahead, by two codes shown one after the other (RFC 4226, section 7.4).
    ///
    /// Looks at the counters `from ..= from + within` and returns that of the *second* code. Store the one after it, as
    /// after [`verify`](Self::verify). The chance that two random codes of six digits match is `within` in 10^12, so a
    /// wide search is safe where a wide [`LookAhead`] is not. All counters are computed, always.
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

    /// The last of the counters at which these codes, one after the other, have been shown.
    pub(crate) fn newest<const N: usize>(&self, codes: [&Code; N], counters: RangeInclusive<u64>) -> Option<u64> {
        self.scan(codes, *counters.start(), *counters.end()).counter()
    }

    /// The same, with the verdict still hidden.
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

/// How many counters beyond the expected one a code may be from (RFC 4226, section 7.2): 0 to 10, by default 5.
///
/// Each counter more is one more code that a guess can hit. Five forgive a button pressed by accident; a token further
/// off is what [`Hotp::resync`] is for.
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
    /// The expected counter only.
    pub const NONE: Self = Self(0);

    /// So many counters beyond the expected one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LookAhead`](crate::ErrorKind::LookAhead) above 10.
    pub const fn new(counters: u8) -> Result<Self, Error> {
        if counters > MAX_LOOK_AHEAD { Err(LOOK_AHEAD_TOO_FAR) } else { Ok(Self(counters)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The counters that are accepted where `from` is the next one expected.
    pub(crate) fn counters(self, from: u64) -> RangeInclusive<u64> {
        from..=from.saturating_add(self.0.into())
    }
}

impl Default for LookAhead {
    fn default() -> Self {
        Self(5)
    }
}

/// Codes that an authenticator has shown one after the other.
pub(crate) struct Consecutive<'a, const N: usize> {
    codes: [&'a Code; N],
    digits: Digits,
    /// For each code, whether it and all codes before it were those of the counters up to this one.
    shown: [u64; N],
}

impl<'a, const N: usize> Consecutive<'a, N> {
    /// `None` unless all codes have so many digits, which is public.
    pub(crate) fn new(codes: [&'a Code; N], digits: Digits) -> Option<Self> {
        codes.iter().all(|code| code.digits() == digits).then_some(Self { codes, digits, shown: [0; N] })
    }

    /// All ones if the last of the codes is the one of this counter, and the others those of the counters before.
    /// Counters come in order.
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

/// The last counter that matched so far.
#[derive(Default)]
pub(crate) struct Newest {
    counter: u64,
    matches: u64,
}

impl Newest {
    /// Of `first..=last`, by a mask for the 31 bits of each. All of them are computed, always.
    pub(crate) fn of(hmac: &Hmac, first: u64, last: u64, mut mask: impl FnMut(u32) -> u64) -> Self {
        let mut newest = Self::default();
        hmac.for_each_truncated(first, last, |counter, truncated| newest.record(counter, mask(truncated)));
        newest
    }

    pub(crate) fn record(&mut self, counter: u64, mask: u64) {
        self.counter = ct::select(mask, counter, self.counter);
        self.matches = self.matches.wrapping_add(mask & 1);
    }

    /// How many counters matched.
    pub(crate) const fn matches(&self) -> u64 {
        self.matches
    }

    /// A mask of all ones if there was a match, and its counter.
    #[cfg(feature = "guard")]
    pub(crate) fn hidden(&self) -> (u64, u64) {
        (!ct::mask_same(self.matches, 0), self.counter)
    }

    /// Public from here on: the verdict, and on acceptance the counter, which the caller has to store.
    pub(crate) fn counter(&self) -> Option<u64> {
        ct::declassify(self.matches).then_some(self.counter)
    }
}

const MAX_LOOK_AHEAD: u8 = 10;
const LOOK_AHEAD_TOO_FAR: Error =
    Error::new(ErrorKind::LookAhead, "the look-ahead is at most {} counters").number(MAX_LOOK_AHEAD as u64);
