//! A code: what an authenticator shows and a person types.
//!
//! A typed text becomes a [`Code`] once, at the door, and nothing behind the door sees the text again. Libraries that
//! compare one spelling and count attempts under another have been bypassed with a space.

use core::fmt;
use core::str::FromStr;

use zeroize::{Zeroize, Zeroizing};

use crate::ct::{self, Divisor};
use crate::error::{Error, ErrorKind};
use crate::typed::{Unreadable, symbols};

/// A code of 6, 7 or 8 digits, leading zeros included.
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
/// A code is not comparable with `==`: comparing is the small part of verifying. [`Totp::verify`](crate::Totp::verify)
/// says *which step* matched, and a caller who does not store it lets the same code in twice.
///
/// ```compile_fail
/// # use keyfob::{Code, Secret, Totp};
/// # let totp = Totp::new(&Secret::generate());
/// if totp.code_now() == Code::parse("123456").unwrap() { /* does not compile */ }
/// ```
///
/// `Debug` shows the number of digits only; the value is wiped on drop.
#[derive(Clone)]
pub struct Code {
    value: u32,
    digits: Digits,
}

impl Code {
    /// Reads what a person typed or pasted: 6 to 8 digits.
    ///
    /// A digit may be of any script: Arabic, Persian, Devanagari, full-width and all others that Unicode 18 has. White
    /// space and dashes of any width are dropped wherever they stand, and so are the invisible marks that a phone's clipboard
    /// puts around digits. The time depends on the shape of the text, not on the digits.
    ///
    /// ```
    /// # use keyfob::Code;
    /// let shown_in_cairo = "\u{2068}\u{0662}\u{0668}\u{0667}\u{2013}\u{0660}\u{0668}\u{0662}\u{2069}";
    /// assert_eq!(Code::parse(shown_in_cairo)?.to_string(), "287082");
    /// # Ok::<(), keyfob::CodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CodeError`] for any other character and for any other number of digits. Neither is a guess: it need not be
    /// charged to an account.
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

    /// How many digits the code has.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    pub(crate) fn new(truncated: u32, digits: Digits) -> Self {
        Self { value: digits.reduce(truncated), digits }
    }

    /// All ones if the code is the one with this value.
    pub(crate) fn mask_eq(&self, value: u32) -> u64 {
        ct::mask_eq(self.value, value)
    }
}

/// [`Code::parse`].
impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        Self::parse(text)
    }
}

/// The digits, zeros included, as the authenticator shows them.
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

/// How many digits a code has: 6, 7 or 8 (RFC 4226, section 5.3).
///
/// Six is what every authenticator app supports.
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
    /// One million codes.
    #[default]
    Six = 6,
    /// Ten million codes. Few apps show them.
    Seven = 7,
    /// A hundred million codes.
    Eight = 8,
}

impl Digits {
    pub(crate) const REFUSED: Error = Error::new(ErrorKind::Digits, "a code has 6, 7 or 8 digits");

    /// From a number, as settings files and URIs hold it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Digits`](crate::ErrorKind::Digits) if it is not 6, 7 or 8.
    pub const fn new(digits: u8) -> Result<Self, Error> {
        match digits {
            6 => Ok(Self::Six),
            7 => Ok(Self::Seven),
            8 => Ok(Self::Eight),
            _ => Err(Self::REFUSED),
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self as u8
    }

    /// The last digits of a number below 2^31.
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

/// Why a text is not a code. It is the typist's mistake, no guess, and says nothing about the right code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodeError {
    /// A character that is not a digit, white space, a dash or one of the marks that [`Code::parse`] drops.
    Character,
    /// Too few or too many digits.
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

/// Eight wide digits with room for separators. A longer text is not read at all.
pub(crate) const MAX_BYTES: usize = 64;
