//! [`Code`]: the digits that an authenticator shows and a person types.
//!
//! Typed text is parsed into a [`Code`] once, and only the `Code` is passed on. Some libraries ignored spaces when they
//! compared a code, but not when they counted attempts. Their attempt limits have been bypassed by adding spaces.

use core::fmt;
use core::str::FromStr;

use zeroize::{Zeroize, Zeroizing};

use crate::ct::{self, Divisor};
use crate::error::{Error, ErrorKind};
use crate::typed::{Unreadable, symbols};

/// An HOTP or TOTP code of 6, 7 or 8 digits, including leading zeros.
///
/// ```
/// use keyfob::Code;
///
/// let code = Code::parse("012 345")?;
/// assert_eq!(code.to_string(), "012345");
/// assert!(Code::parse("12345").is_err());
///
/// let code: Code = "012-345".parse()?; // the same
/// # Ok::<(), keyfob::CodeError>(())
/// ```
///
/// `Code` does not implement `PartialEq`, because comparing codes is only part of verifying one.
/// [`Totp::verify`](crate::Totp::verify) returns the *step* that matched, and a caller who does not store that step
/// accepts the same code twice.
///
/// ```compile_fail
/// use keyfob::{Code, Secret, Totp};
///
/// let totp = Totp::new(&Secret::generate());
/// if totp.code_now() == Code::parse("123456").unwrap() { /* does not compile */ }
/// ```
///
/// `Debug` prints only the number of digits. The value is wiped on drop.
#[derive(Clone)]
pub struct Code {
    value: u32,
    digits: Digits,
}

impl Code {
    /// Parses a code that a person typed or pasted: 6 to 8 digits.
    ///
    /// Digits may be from any script in Unicode 18: Arabic, Persian, Devanagari, full-width and so on. White space,
    /// dashes of any width and the invisible marks that a phone's clipboard puts around digits are ignored wherever
    /// they appear. The running time depends on which characters of the string are digits, not on which digits they
    /// are.
    ///
    /// ```
    /// use keyfob::Code;
    ///
    /// let arabic = "\u{2068}\u{0662}\u{0668}\u{0667}\u{2013}\u{0660}\u{0668}\u{0662}\u{2069}";
    /// assert_eq!(Code::parse(arabic)?.to_string(), "287082");
    /// # Ok::<(), keyfob::CodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CodeError::Character`] for any other character. [`CodeError::Length`] for fewer than 6 or more than 8 digits,
    /// and for more than 64 bytes of text. Such input is not a guess, so you need not count it against the account's
    /// guess limit.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let mut value = Zeroizing::new(0);
        let mut count = 0;
        for symbol in symbols(text, MAX_BYTES, |byte| ct::mask_within(byte, b'0', b'9')) {
            let digit = u32::from(symbol? - b'0');
            count += 1;
            if count > Digits::Eight.get() {
                return Err(CodeError::Length);
            }
            *value = *value * 10 + digit;
        }
        Digits::new(count).map(|digits| Self { value: *value, digits }).map_err(|_| CodeError::Length)
    }

    /// The number of digits.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    pub(crate) fn new(truncated: u32, digits: Digits) -> Self {
        Self { value: digits.reduce(truncated), digits }
    }

    /// Returns a mask: all ones if the code has this value, all zeros if it does not.
    pub(crate) fn mask_eq(&self, value: u32) -> u64 {
        ct::mask_eq(self.value, value)
    }
}

/// Parses a code with [`Code::parse`].
impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        Self::parse(text)
    }
}

/// Prints the digits as the authenticator shows them, including leading zeros.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TEN: Divisor = Divisor::new(10);
        let mut text = Zeroizing::new([b'0'; 8]);
        let mut rest = Zeroizing::new(self.value);
        let shown = text.split_at_mut(self.digits.get().into()).0;
        for byte in shown.iter_mut().rev() {
            let (quotient, digit) = TEN.divide(*rest);
            *rest = quotient;
            *byte = b'0' | digit.to_le_bytes()[0];
        }
        f.pad(str::from_utf8(shown).unwrap_or_default())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("digits", &self.digits).finish_non_exhaustive()
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// The number of digits in a code: 6, 7 or 8 (RFC 4226, section 5.3).
///
/// Every authenticator app supports six digits.
///
/// ```
/// use keyfob::{Digits, Hotp, Secret};
///
/// let hotp = Hotp::new(&Secret::generate()).with_digits(Digits::new(8)?);
/// assert_eq!(hotp.code(0).to_string().len(), 8);
/// assert!(Digits::new(5).is_err());
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digits {
    /// Six digits: 10^6 possible codes.
    #[default]
    Six = 6,
    /// Seven digits: 10^7 possible codes. Few apps support this length.
    Seven = 7,
    /// Eight digits: 10^8 possible codes.
    Eight = 8,
}

impl Digits {
    pub(crate) const REFUSED: Error = Error::new(ErrorKind::Digits, "a code has 6, 7 or 8 digits");

    /// Creates a `Digits` from a number, for example from a settings file or a URI.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Digits`](crate::ErrorKind::Digits) if the number is not 6, 7 or 8.
    pub const fn new(digits: u8) -> Result<Self, Error> {
        match digits {
            6 => Ok(Self::Six),
            7 => Ok(Self::Seven),
            8 => Ok(Self::Eight),
            _ => Err(Self::REFUSED),
        }
    }

    /// The number of digits, as an integer.
    #[must_use]
    pub const fn get(self) -> u8 {
        self as u8
    }

    /// Returns `truncated` modulo 10^digits. `truncated` is a truncated HMAC value, which is below 2^31.
    pub(crate) fn reduce(self, truncated: u32) -> u32 {
        const MODULI: [Divisor; 3] = [Divisor::new(1_000_000), Divisor::new(10_000_000), Divisor::new(100_000_000)];
        let [six, seven, eight] = MODULI;
        let modulus = match self {
            Self::Six => six,
            Self::Seven => seven,
            Self::Eight => eight,
        };
        modulus.divide(truncated).1
    }
}

/// The reason why typed text is not a code. The error indicates a typing mistake, not a guess, and reveals nothing
/// about the correct code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodeError {
    /// A character is neither part of a code nor ignored by [`Code::parse`] (white space, dashes, invisible marks).
    Character,
    /// There are too few or too many digits, or more than 64 bytes of text.
    Length,
}

impl CodeError {
    const fn message(self) -> &'static str {
        match self {
            Self::Character => "a code consists of the symbols that the authenticator shows and nothing else",
            Self::Length => "a code has as many symbols as the authenticator shows; some are missing or too many",
        }
    }
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for CodeError {}

impl From<Unreadable> for CodeError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Character => Self::Character,
            Unreadable::TooLong => Self::Length,
        }
    }
}

impl From<CodeError> for Error {
    fn from(error: CodeError) -> Self {
        Self::new(ErrorKind::Code, error.message())
    }
}

/// The maximum length of typed text in bytes. Eight digits take at most 32 bytes, and the rest is for separators.
/// Longer text is refused without being parsed.
pub(crate) const MAX_BYTES: usize = 64;
