//! Steam Guard codes: TOTP (RFC 6238) with five symbols instead of digits.

use core::fmt;
use core::str::FromStr;

use zeroize::{Zeroize, Zeroizing};

use crate::code::{CodeError, MAX_BYTES};
use crate::ct::{self, Divisor};
use crate::hotp::Newest;
use crate::key::Key;
use crate::totp::{Step, Totp, Window};
use crate::typed::symbols;

/// Generates and verifies Steam Guard codes.
///
/// A code is the HMAC-SHA-1 of a 30-second step, truncated as in RFC 4226. It is written in base 26, as five symbols
/// from `23456789BCDFGHJKMNPQRTVWXY`, least significant first. Windows work as for [`Totp`], and the caller has the
/// same responsibilities: store the matched step before you act on the result, accept only greater steps from then on,
/// and limit the number of guesses.
///
/// ```
/// use keyfob::{Secret, Steam, SteamCode, Window};
///
/// let steam = Steam::new(&Secret::from_base32("C6OVNHTGKJWE3HVP642NTFSFKA4MO53B")?);
/// assert_eq!(steam.code_at(59).to_string(), "2D2V8");
///
/// let typed = SteamCode::parse("2d2v8")?;
/// assert!(steam.verify(&typed, 59, Window::default()).is_some());
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone)]
pub struct Steam {
    totp: Totp,
}

impl Steam {
    /// Creates a `Steam` from Steam's `shared_secret`, which is base64 in Steam's own files and base32 in `otpauth`
    /// URIs.
    #[must_use]
    pub fn new<'k>(key: impl Into<Key<'k>>) -> Self {
        Self { totp: Totp::new(key) }
    }

    /// The time step that contains the Unix time `at`.
    #[must_use]
    pub const fn step(&self, at: u64) -> Step {
        self.totp.step(at)
    }

    /// The number of seconds from `at` until the code changes: 1 to 30.
    #[must_use]
    pub const fn remaining(&self, at: u64) -> u32 {
        self.totp.remaining(at)
    }

    /// The code that the authenticator shows at the Unix time `at`.
    #[must_use]
    pub fn code_at(&self, at: u64) -> SteamCode {
        SteamCode { value: CODES.divide(self.totp.hmac().truncated(self.step(at).get())).1 }
    }

    /// Returns the step in the window around `at` whose code matches, or `None`, as [`Totp::verify`] does.
    #[must_use]
    pub fn verify(&self, code: &SteamCode, at: u64, window: Window) -> Option<Step> {
        let steps = self.totp.steps(at, window)?;
        let matches = |truncated| ct::mask_eq(code.value, CODES.divide(truncated).1);
        Newest::of(self.totp.hmac(), *steps.start(), *steps.end(), matches).counter().map(Step::new)
    }
}

impl fmt::Debug for Steam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steam").finish_non_exhaustive()
    }
}

/// A Steam Guard code of five symbols, stored as the base-26 number that they represent.
///
/// Like [`Code`](crate::Code), it does not implement `PartialEq`, its `Debug` does not print the code, and it is wiped
/// on drop.
#[derive(Clone)]
pub struct SteamCode {
    value: u32,
}

impl SteamCode {
    /// Parses a code that a person typed or pasted: five symbols, uppercase or lowercase.
    ///
    /// White space, dashes and invisible marks are ignored, and digits may be from any script, as in
    /// [`Code::parse`](crate::Code::parse). Full-width letters are accepted too.
    ///
    /// # Errors
    ///
    /// [`CodeError::Character`] for a character that is not in the alphabet. [`CodeError::Length`] if there are not
    /// exactly five symbols, and for more than 64 bytes of text.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let mut value = Zeroizing::new(0);
        let mut weight = 1;
        let mut count = 0;
        for symbol in symbols(text, MAX_BYTES, |byte| index_of(byte).1) {
            let digit = index_of(symbol?).0;
            count += 1;
            if count > SYMBOLS {
                return Err(CodeError::Length);
            }
            *value += digit * weight;
            weight *= 26;
        }
        if count == SYMBOLS { Ok(Self { value: *value }) } else { Err(CodeError::Length) }
    }
}

/// Parses a code with [`SteamCode::parse`].
impl FromStr for SteamCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        Self::parse(text)
    }
}

/// Prints the symbols as the authenticator shows them.
impl fmt::Display for SteamCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Zeroizing::new([0; SYMBOLS]);
        let mut rest = Zeroizing::new(self.value);
        for byte in text.iter_mut() {
            let (quotient, digit) = ALPHABET_SIZE.divide(*rest);
            *rest = quotient;
            *byte = symbol(digit);
        }
        f.pad(str::from_utf8(&*text).unwrap_or_default())
    }
}

impl fmt::Debug for SteamCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteamCode").finish_non_exhaustive()
    }
}

impl Drop for SteamCode {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// Returns the index of a symbol in the alphabet, and a mask that is all ones if the alphabet contains the symbol. The
/// symbol is compared with the whole alphabet, because a table lookup with a secret symbol would leave a trace in the
/// cache.
fn index_of(symbol: u8) -> (u32, u64) {
    let capital = symbol ^ (ct::mask_within(symbol, b'a', b'z').to_le_bytes()[0] & 0x20);
    let mut index = 0;
    let mut any = 0;
    for (candidate, letter) in (0..).zip(ALPHABET) {
        let mask = ct::mask_eq(capital.into(), letter.into());
        index |= mask & candidate;
        any |= mask;
    }
    (index.to_le_bytes()[0].into(), any)
}

/// Returns the symbol at an index. Like [`index_of`], this reads the whole alphabet.
fn symbol(digit: u32) -> u8 {
    let mut symbol = 0;
    for (index, candidate) in (0..).zip(ALPHABET) {
        symbol |= ct::mask_eq(digit, index) & u64::from(candidate);
    }
    symbol.to_le_bytes()[0]
}

const ALPHABET: [u8; 26] = *b"23456789BCDFGHJKMNPQRTVWXY";
const ALPHABET_SIZE: Divisor = Divisor::new(26);
const SYMBOLS: usize = 5;
/// The number of different codes.
const CODES: Divisor = Divisor::new(26u32.pow(5));
