//! One error for everything a developer can get wrong. It never holds a secret, a code or a URI.

use core::fmt;

/// Why a value was refused. The message names the parameter, its range and, where there is one, the position.
///
/// ```
/// use keyfob::{ErrorKind, Secret};
///
/// let error = Secret::from_base32("GEZDGNBVGY3TQ0JQ").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Secret);
/// assert_eq!(error.position(), Some(14));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    /// With `{}` in place of each value.
    message: &'static str,
    values: [Option<Value>; 3],
    position: Option<usize>,
}

/// A number or a fixed word: nothing of what was refused may be in an error, and no type for it can hold any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Number(u64),
    #[cfg(feature = "uri")]
    Word(&'static str),
}

impl Error {
    /// What was refused.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The character that was refused, counted from 1 the way a person counts, where one character is to blame.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        self.position
    }

    /// Each `{}` of the message, of at most three, waits for a value.
    pub(crate) const fn new(kind: ErrorKind, message: &'static str) -> Self {
        Self { kind, message, values: [None; 3], position: None }
    }

    /// Fills the next `{}`.
    pub(crate) const fn number(self, number: u64) -> Self {
        self.with(Value::Number(number))
    }

    /// Fills the next `{}`.
    #[cfg(feature = "uri")]
    pub(crate) const fn word(self, word: &'static str) -> Self {
        self.with(Value::Word(word))
    }

    /// Fills the next `{}` with the position of the character that is to blame.
    #[cfg(feature = "alloc")]
    pub(crate) const fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self.number(position as u64)
    }

    const fn with(mut self, value: Value) -> Self {
        self.values = match self.values {
            [None, ..] => [Some(value), None, None],
            [first, None, _] => [first, Some(value), None],
            [first, second, _] => [first, second, Some(value)],
        };
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts = self.message.split("{}");
        f.write_str(texts.next().unwrap_or_default())?;
        for (text, value) in texts.zip(self.values) {
            match value {
                Some(Value::Number(number)) => write!(f, "{number}{text}")?,
                #[cfg(feature = "uri")]
                Some(Value::Word(word)) => write!(f, "{word}{text}")?,
                None => f.write_str(text)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &format_args!("{self}"))
            .field("position", &self.position)
            .finish()
    }
}

impl core::error::Error for Error {}

/// What was refused. New kinds may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not a code: [`CodeError`](crate::CodeError).
    Code,
    /// The number of digits.
    Digits,
    /// A backup or a key file that is encrypted, and was not opened.
    Encrypted,
    /// A backup of another app, or an account in it.
    Import,
    /// The keys that seal secrets.
    Keyring,
    /// The look-ahead of HOTP.
    LookAhead,
    /// A transfer between authenticators.
    Migration,
    /// The name of an authenticator.
    Name,
    /// The period of TOTP.
    Period,
    /// The limits of the guard.
    Policy,
    /// A key file of hardware tokens, or a token in it.
    Pskc,
    /// A QR code: text too long, module size out of range, no PNG, too many pixels, or none found.
    Qr,
    /// The secret, or its base32 text.
    Secret,
    /// An `otpauth` URI, or an issuer, an account or the name of an algorithm for one.
    Uri,
    /// The window of TOTP.
    Window,
}
