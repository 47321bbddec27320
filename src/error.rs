//! One error for everything a developer can get wrong. It never holds a secret, a code or a URI.

use core::fmt;

use crate::code::CodeError;
use crate::key::Key;

/// Why a value was refused. The message names the parameter, its range and, where there is one, the position.
///
/// ```
/// use keyfob::{ErrorKind, Secret};
///
/// let error = Secret::from_base32("GEZDGNBVGY3TQ0JQ").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Secret);
/// assert_eq!(error.position(), Some(14));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    cause: Cause,
}

impl Error {
    /// What was refused.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self.cause {
            Cause::Code(_) => ErrorKind::Code,
            Cause::Digits => ErrorKind::Digits,
            Cause::LookAhead => ErrorKind::LookAhead,
            Cause::Period => ErrorKind::Period,
            Cause::Window => ErrorKind::Window,
            Cause::Base32Length { .. }
            | Cause::Base32Padding { .. }
            | Cause::Base32Symbol { .. }
            | Cause::SecretTooLong
            | Cause::SecretTooShort { .. } => ErrorKind::Secret,
            Cause::AccountEmpty
            | Cause::AlgorithmUnknown
            | Cause::Colon(_)
            | Cause::Contradiction
            | Cause::Control(_)
            | Cause::Counter
            | Cause::NameTooLong(_)
            | Cause::NoLabel
            | Cause::NoPeriod
            | Cause::NoSecret
            | Cause::NoUri
            | Cause::NotUtf8
            | Cause::ParametersTooMany
            | Cause::PercentEncoding
            | Cause::Tolerated(_)
            | Cause::UriNotSupported(_)
            | Cause::UriTooLong => ErrorKind::Uri,
            Cause::MigrationCannot | Cause::MigrationMalformed | Cause::MigrationType => ErrorKind::Migration,
            Cause::QrScale | Cause::QrTooLong { .. } => ErrorKind::Qr,
        }
    }

    /// The character that was refused, counted from 1 the way a person counts, where one character is to blame.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        match self.cause {
            Cause::Base32Padding { position } | Cause::Base32Symbol { position, .. } => Some(position),
            _ => None,
        }
    }

    pub(crate) const fn new(cause: Cause) -> Self {
        Self { cause }
    }
}

impl From<CodeError> for Error {
    fn from(error: CodeError) -> Self {
        Self::new(Cause::Code(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Code(error) => error.fmt(f),
            Cause::Digits => f.write_str("a code has 6, 7 or 8 digits"),
            Cause::LookAhead => f.write_str("the look-ahead is at most 10 counters"),
            Cause::Period => f.write_str("the period is 1 to 86400 seconds; authenticator apps expect 30"),
            Cause::Window => f.write_str("a window is at most 10 steps behind and 10 ahead"),
            Cause::Base32Length { symbols } => {
                write!(f, "no secret has {symbols} base32 characters; one or more are missing or too many")
            }
            Cause::Base32Padding { position } => {
                write!(f, "the padding at position {position} is not at the end of the secret")
            }
            Cause::Base32Symbol { position, look_alike } => {
                write!(f, "the character at position {position} of the secret is not one of A-Z and 2-7")?;
                if look_alike {
                    f.write_str(" (0 and 1 are often a misread O and I or L, 8 a B, 9 a g)")?;
                }
                Ok(())
            }
            Cause::SecretTooLong => write!(f, "a secret has at most {} bytes", Key::MAX_BYTES),
            Cause::SecretTooShort { bytes } => {
                write!(f, "a secret has at least {} bytes (16 base32 characters), this one has {bytes}", Key::MIN_BYTES)
            }
            Cause::AccountEmpty => f.write_str("the account name is empty"),
            Cause::Colon(part) => {
                write!(f, "the {part} contains a colon, which separates issuer and account; leave it out")
            }
            Cause::Control(part) => write!(f, "the {part} contains a control character"),
            Cause::NameTooLong(part) => write!(f, "the {part} has more than 1024 bytes"),
            Cause::NoPeriod => f.write_str("a period belongs to TOTP: HOTP counts events, and Steam has its own"),
            Cause::AlgorithmUnknown => f.write_str("the algorithm is not SHA1, SHA256 or SHA512"),
            Cause::Contradiction => f.write_str("a parameter stands there twice, with different values"),
            Cause::Counter => f.write_str("the counter is not a number from 0 to 18446744073709551615"),
            Cause::NoLabel => f.write_str("the URI names no account"),
            Cause::NoSecret => f.write_str("the URI has no secret; some are for approval by a message, not for codes"),
            Cause::NoUri => f.write_str("this is not an otpauth URI: otpauth://totp/... or otpauth://hotp/..."),
            Cause::NotUtf8 => f.write_str("a part of the URI is not UTF-8 once it is decoded"),
            Cause::ParametersTooMany => {
                f.write_str("a URI has at most 64 parameters beyond the usual ones, with 5120 bytes in all")
            }
            Cause::PercentEncoding => f.write_str("a % is not followed by two hexadecimal digits"),
            Cause::Tolerated(warning) => f.write_str(warning),
            Cause::UriNotSupported(name) => write!(f, "URIs of the kind {name} are not supported"),
            Cause::UriTooLong => f.write_str("a URI has at most 16384 bytes"),
            Cause::MigrationCannot => f.write_str(
                "a transfer holds TOTP of 30 seconds and HOTP, with six or eight digits and counters below 2^63",
            ),
            Cause::MigrationMalformed => {
                f.write_str("this is not an otpauth-migration URI, or a part of it is missing")
            }
            Cause::MigrationType => f.write_str("the account is neither TOTP nor HOTP"),
            Cause::QrScale => f.write_str("the side of a module is 1 to 40 pixels"),
            Cause::QrTooLong { bytes, limit } => {
                write!(f, "a QR code holds at most {limit} bytes and this text has {bytes}; shorten issuer or account")
            }
        }
    }
}

impl core::error::Error for Error {}

/// What was refused. New kinds may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not a code: [`CodeError`].
    Code,
    /// The number of digits.
    Digits,
    /// The look-ahead of HOTP.
    LookAhead,
    /// A transfer between authenticators.
    Migration,
    /// The period of TOTP.
    Period,
    /// The URI does not fit into a QR code.
    Qr,
    /// The secret, or its base32 text.
    Secret,
    /// The issuer, the account, or a parameter that does not belong to this kind of URI.
    Uri,
    /// The window of TOTP.
    Window,
}

/// The precise reason. Lengths and positions only: nothing of what was refused may be in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(all(feature = "migration", feature = "png")),
    allow(dead_code, reason = "each feature brings more that can be refused")
)]
pub(crate) enum Cause {
    Code(CodeError),
    Digits,
    LookAhead,
    Period,
    Window,
    Base32Length { symbols: usize },
    Base32Padding { position: usize },
    Base32Symbol { position: usize, look_alike: bool },
    SecretTooLong,
    SecretTooShort { bytes: usize },
    AccountEmpty,
    Colon(&'static str),
    Control(&'static str),
    NameTooLong(&'static str),
    AlgorithmUnknown,
    Contradiction,
    Counter,
    NoLabel,
    NoSecret,
    NoUri,
    NotUtf8,
    ParametersTooMany,
    PercentEncoding,
    Tolerated(&'static str),
    UriNotSupported(&'static str),
    UriTooLong,
    MigrationCannot,
    MigrationMalformed,
    MigrationType,
    QrScale,
    NoPeriod,
    QrTooLong { bytes: usize, limit: usize },
}
