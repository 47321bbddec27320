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
            Cause::Keyring(_) => ErrorKind::Keyring,
            Cause::Name => ErrorKind::Name,
            Cause::Policy(_) => ErrorKind::Policy,
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
            | Cause::ParameterKnown
            | Cause::ParametersTooMany
            | Cause::PercentEncoding
            | Cause::T0
            | Cause::Tolerated(_)
            | Cause::UriNotSupported(_)
            | Cause::UriTooLong => ErrorKind::Uri,
            Cause::Encrypted { .. } | Cause::ImportBinary | Cause::PskcKey | Cause::PskcLocked { .. } => {
                ErrorKind::Encrypted
            }
            Cause::AccountKind
            | Cause::ImportEntry
            | Cause::ImportField(_)
            | Cause::ImportMalformed
            | Cause::ImportRow
            | Cause::ImportTooLarge
            | Cause::ImportUnknown
            | Cause::NotSupported(_) => ErrorKind::Import,
            Cause::MigrationCannot
            | Cause::MigrationContradiction
            | Cause::MigrationMalformed
            | Cause::MigrationMissing { .. }
            | Cause::MigrationOther
            | Cause::MigrationTooMany
            | Cause::MigrationType => ErrorKind::Migration,
            Cause::PskcCipher
            | Cause::PskcDerivation
            | Cause::PskcMalformed
            | Cause::PskcResponse
            | Cause::PskcSecret
            | Cause::PskcToken => ErrorKind::Pskc,
            Cause::QrNoPng
            | Cause::QrNotFound
            | Cause::QrScale
            | Cause::QrText(_)
            | Cause::QrTooLong { .. }
            | Cause::QrTooManyPixels { .. } => ErrorKind::Qr,
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
            Cause::Keyring(reason) => write!(f, "the keyring cannot be used: {reason}"),
            Cause::Name => f.write_str("a name has at most 256 bytes and no control characters"),
            Cause::Policy(reason) => write!(f, "the policy is out of range: {reason}"),
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
            Cause::Contradiction => f.write_str("a parameter is given twice, with different values"),
            Cause::Counter => f.write_str("the counter is not a number from 0 to 18446744073709551615"),
            Cause::NoLabel => f.write_str("the URI names no account"),
            Cause::NoSecret => f.write_str("the URI has no secret; some are for approval by a message, not for codes"),
            Cause::NoUri => f.write_str("this is not an otpauth URI: otpauth://totp/... or otpauth://hotp/..."),
            Cause::NotUtf8 => f.write_str("a part of the URI is not UTF-8 once it is decoded"),
            Cause::ParameterKnown => f.write_str("the parameter has no name, or one that the URI gets from its account"),
            Cause::ParametersTooMany => {
                f.write_str("a URI has at most 64 parameters beyond the usual ones, with 5120 bytes in all")
            }
            Cause::PercentEncoding => f.write_str("a % is not followed by two hexadecimal digits"),
            Cause::T0 => f.write_str("apps count the steps of TOTP from 1970: T0 must be 0"),
            Cause::Tolerated(warning) => f.write_str(warning),
            Cause::UriNotSupported(name) => write!(f, "URIs of the kind {name} are not supported"),
            Cause::UriTooLong => f.write_str("a URI has at most 16384 bytes"),
            Cause::AccountKind => f.write_str("the account is not TOTP, HOTP or Steam"),
            Cause::Encrypted { app, remedy } => write!(f, "this backup of {app} is encrypted; {remedy}"),
            Cause::ImportBinary => f.write_str(
                "this is not text: no backup at all, or an encrypted one, such as andOTP's; export it without encryption",
            ),
            Cause::ImportEntry => f.write_str("the entry is damaged: it is not an object, or names a field twice"),
            Cause::ImportField(name) => write!(f, "the field {name} is missing, or not what it should be"),
            Cause::ImportMalformed => f.write_str("the file is damaged or cut off; export it again"),
            Cause::ImportRow => {
                f.write_str("the row is damaged: a quote is not closed, or there are more fields than the first row names")
            }
            Cause::ImportTooLarge => f.write_str("a file has at most 16 MiB and 65536 accounts"),
            Cause::ImportUnknown => f.write_str("this is no backup of an app that keyfob knows"),
            Cause::NotSupported(kind) => write!(f, "accounts of the kind {kind} are not supported"),
            Cause::MigrationCannot => f.write_str(
                "a transfer holds TOTP of 30 seconds and HOTP, with six or eight digits and counters below 2^63",
            ),
            Cause::MigrationContradiction => f.write_str("the QR codes of the transfer contradict each other"),
            Cause::MigrationMalformed => {
                f.write_str("this is not an otpauth-migration URI, or a part of it is missing")
            }
            Cause::MigrationMissing { code, of } => write!(f, "code {code} of the {of} codes of the transfer is missing"),
            Cause::MigrationOther => f.write_str("the QR code belongs to another transfer"),
            Cause::MigrationTooMany => f.write_str("a transfer has at most 1000 QR codes; export fewer accounts at a time"),
            Cause::MigrationType => f.write_str("the account is neither TOTP nor HOTP"),
            Cause::QrNoPng => f.write_str("this is not a PNG, or it is damaged"),
            Cause::QrNotFound => f.write_str("there is no QR code in the picture, or none that can be read"),
            Cause::PskcCipher => f.write_str(
                "the value is not encrypted with AES-CBC and a MAC of HMAC with SHA-1, SHA-256 or SHA-512",
            ),
            Cause::PskcDerivation => f.write_str(
                "the password is not for PBKDF2 with a salt, 1 to 2000000 iterations and a key of 16, 24 or 32 bytes",
            ),
            Cause::PskcKey => f.write_str("the password or key is not the one of this file, or the file was changed"),
            Cause::PskcLocked { password } => write!(
                f,
                "the key file is encrypted; give keyfob::pskc the {} that its sender has for it",
                if password { "password" } else { "pre-shared key" }
            ),
            Cause::PskcMalformed => f.write_str("this is not a key file (PSKC, RFC 6030), or it is damaged"),
            Cause::PskcResponse => f.write_str("the codes of this token are not plain digits"),
            Cause::PskcSecret => f.write_str("the file has no secret for this token, or two"),
            Cause::PskcToken => f.write_str("the token is damaged: a value is given twice, or is longer than 64 KiB"),
            Cause::QrText(reason) => write!(f, "the QR code was found, but {reason}"),
            Cause::QrScale => f.write_str("the side of a module is 1 to 40 pixels"),
            Cause::QrTooLong { bytes, limit } => {
                write!(f, "a QR code holds at most {limit} bytes and this text has {bytes}; shorten issuer or account")
            }
            Cause::QrTooManyPixels { limit } => write!(f, "the picture has more than {limit} pixels"),
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
    /// An `otpauth` URI, or an issuer or account for one.
    Uri,
    /// The window of TOTP.
    Window,
}

/// The precise reason. Lengths and positions only: nothing of what was refused may be in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(all(feature = "guard", feature = "import", feature = "png", feature = "pskc", feature = "qr-read")),
    allow(dead_code, reason = "each feature brings more that can be refused")
)]
pub(crate) enum Cause {
    Code(CodeError),
    Digits,
    Keyring(&'static str),
    LookAhead,
    Name,
    Period,
    Policy(&'static str),
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
    ParameterKnown,
    ParametersTooMany,
    PercentEncoding,
    T0,
    Tolerated(&'static str),
    UriNotSupported(&'static str),
    UriTooLong,
    AccountKind,
    Encrypted { app: &'static str, remedy: &'static str },
    ImportBinary,
    ImportEntry,
    ImportField(&'static str),
    ImportMalformed,
    ImportRow,
    ImportTooLarge,
    ImportUnknown,
    NotSupported(&'static str),
    MigrationCannot,
    MigrationContradiction,
    MigrationMalformed,
    MigrationMissing { code: u32, of: u32 },
    MigrationOther,
    MigrationTooMany,
    MigrationType,
    QrNoPng,
    QrNotFound,
    PskcCipher,
    PskcDerivation,
    PskcKey,
    PskcLocked { password: bool },
    PskcMalformed,
    PskcResponse,
    PskcSecret,
    PskcToken,
    QrScale,
    QrText(&'static str),
    NoPeriod,
    QrTooLong { bytes: usize, limit: usize },
    QrTooManyPixels { limit: u64 },
}
