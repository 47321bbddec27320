//! [`Error`]: why a value was refused. An error never contains a secret, a code or a URI.

use core::fmt;

/// Why a value was refused. The message names the parameter, and gives its range and the position of the offending
/// character where they apply.
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
    /// The message, with a `{}` placeholder for each value.
    message: &'static str,
    values: [Option<Value>; 3],
    position: Option<usize>,
}

/// A number or a static string. An error must never contain any part of the rejected input, and with this type it
/// cannot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Number(u64),
    #[cfg(feature = "uri")]
    Word(&'static str),
}

impl Error {
    /// The kind of value that was refused.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The position of the offending character, counted from 1, if there is one.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        self.position
    }

    /// Creates an error. The message may contain up to three `{}`, which `number`, `word` and `at` fill in order.
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

    /// Fills the next `{}` with the position of the offending character.
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

/// The kind of value that was refused. New kinds may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Typed text that is not a code. An error of this kind is made from a [`CodeError`](crate::CodeError).
    Code,
    /// The number of digits in a code.
    Digits,
    /// An encrypted backup or key file that could not be opened.
    Encrypted,
    /// Another app's backup or an account in it, or a file that is too large.
    Import,
    /// The keys that encrypt secrets in the database.
    Keyring,
    /// The HOTP look-ahead.
    LookAhead,
    /// A Google Authenticator transfer, or one of its QR codes.
    Migration,
    /// The name of an authenticator.
    Name,
    /// The TOTP period.
    Period,
    /// A limit in the guard's policy.
    Policy,
    /// A key file for hardware tokens, or a token in it.
    Pskc,
    /// A QR code: the text is too long, the module size is out of range, or the image is not a PNG, has too many pixels
    /// or contains no QR code.
    Qr,
    /// A secret, or its base32 text.
    Secret,
    /// The name of a store's table.
    Table,
    /// An `otpauth` URI, or a part of one: issuer, account, parameter or algorithm name.
    Uri,
    /// The TOTP window.
    Window,
}
