//! The `otpauth` URI: what an authenticator app is told about an account.
//!
//! There is no RFC. The grammar is the one that Google's Key URI Format describes and every app reads:
//!
//! ```text
//! otpauth://TYPE/[ISSUER:]ACCOUNT?secret=BASE32[&issuer=ISSUER][&algorithm=][&digits=][&period= | &counter=]
//! ```
//!
//! The writer is strict: one spelling, which is the one that the largest number of apps reads correctly.

use alloc::string::String;
use core::fmt::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::error::{Cause, Error};
use crate::secret::Secret;
use crate::totp::Period;

/// What an authenticator app is told: whose account it is, the secret, and how to make codes from it.
///
/// ```
/// use keyfob::{KeyUri, Secret};
///
/// let secret = Secret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")?;
/// let uri = KeyUri::totp("Example Inc", "alice@example.com", &secret)?;
/// assert_eq!(
///     *uri.to_uri(),
///     "otpauth://totp/Example%20Inc:alice@example.com\
///      ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example%20Inc"
/// );
/// assert_eq!(*uri.manual_entry(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// # Security
///
/// [`to_uri`](Self::to_uri), [`manual_entry`](Self::manual_entry) and the QR code contain the secret. Show them once,
/// to its owner, over TLS, with `Cache-Control: no-store`; never log them and never pass them to a service that draws
/// QR codes.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyUri {
    factor: Factor,
    issuer: Option<String>,
    account: String,
    secret: Secret,
    algorithm: Algorithm,
    digits: Digits,
    defaults_written: bool,
}

/// What moves a code on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Factor {
    Counter(u64),
    Period(Period),
}

impl KeyUri {
    /// For an authenticator that counts time. SHA-1, six digits, 30 seconds: what every app supports.
    ///
    /// `issuer` is the name of your service, which the app shows; with an empty one the app shows the account alone, or
    /// guesses. `account` is what tells the user's accounts with you apart, often the mail address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) for an empty account, and for a colon or a control character in
    /// either name: apps cut the name at a colon.
    pub fn totp(issuer: &str, account: &str, secret: &Secret) -> Result<Self, Error> {
        Self::new(Factor::Period(Period::default()), issuer, account, secret)
    }

    /// For an authenticator that counts presses of a button. `counter` is the one of its first code.
    ///
    /// # Errors
    ///
    /// As for [`totp`](Self::totp).
    pub fn hotp(issuer: &str, account: &str, secret: &Secret, counter: u64) -> Result<Self, Error> {
        Self::new(Factor::Counter(counter), issuer, account, secret)
    }

    /// Another hash function. Several apps ignore it and show wrong codes.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Codes of another length. Several apps ignore it and show wrong codes.
    #[must_use]
    pub fn with_digits(mut self, digits: Digits) -> Self {
        self.digits = digits;
        self
    }

    /// Codes that live for another time. Several apps ignore it and show wrong codes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) for HOTP, which has no period.
    pub fn with_period(mut self, period: Period) -> Result<Self, Error> {
        match &mut self.factor {
            Factor::Counter(_) => Err(Error::new(Cause::PeriodOfHotp)),
            Factor::Period(own) => {
                *own = period;
                Ok(self)
            }
        }
    }

    /// Writes algorithm, digits and period even where they are the default. The QR code grows, and nothing is gained
    /// but a URI that explains itself.
    #[must_use]
    pub fn with_defaults_written(mut self) -> Self {
        self.defaults_written = true;
        self
    }

    /// The URI. It contains the secret.
    #[must_use]
    pub fn to_uri(&self) -> Zeroizing<String> {
        let names = self.account.len() + 2 * self.issuer.as_ref().map_or(0, String::len);
        let secret = self.secret.expose_base32();
        // Room for the whole text, so that it never grows and leaves a copy of the secret behind: a percent-encoded
        // byte takes three characters, and everything but names and secret takes at most 87.
        let mut uri = Zeroizing::new(String::with_capacity(3 * names + secret.len() + 128));
        // Writing to a `String` does not fail.
        let _ = self.write(&mut uri, &secret);
        uri
    }

    /// The secret for people who cannot scan: base32 in groups of four.
    #[must_use]
    pub fn manual_entry(&self) -> Zeroizing<String> {
        let secret = self.secret.expose_base32();
        let mut text = Zeroizing::new(String::with_capacity(secret.len() + (secret.len() >> 2)));
        for (place, symbol) in secret.chars().enumerate() {
            if place & 3 == 0 && place > 0 {
                text.push(' ');
            }
            text.push(symbol);
        }
        text
    }

    fn new(factor: Factor, issuer: &str, account: &str, secret: &Secret) -> Result<Self, Error> {
        for (part, name) in [("issuer", issuer), ("account name", account)] {
            if name.contains(':') {
                return Err(Error::new(Cause::Colon(part)));
            }
            if name.contains(char::is_control) {
                return Err(Error::new(Cause::Control(part)));
            }
        }
        if account.is_empty() {
            return Err(Error::new(Cause::AccountEmpty));
        }
        Ok(Self {
            factor,
            issuer: (!issuer.is_empty()).then(|| issuer.into()),
            account: account.into(),
            secret: secret.clone(),
            algorithm: Algorithm::default(),
            digits: Digits::default(),
            defaults_written: false,
        })
    }

    fn write(&self, uri: &mut String, secret: &str) -> fmt::Result {
        uri.push_str(match self.factor {
            Factor::Counter(_) => "otpauth://hotp/",
            Factor::Period(_) => "otpauth://totp/",
        });
        // Some apps show only the prefix of the label, others prefer the parameter: both, alike.
        if let Some(issuer) = &self.issuer {
            write!(uri, "{}:", utf8_percent_encode(issuer, ENCODED))?;
        }
        write!(uri, "{}?secret={secret}", utf8_percent_encode(&self.account, ENCODED))?;
        if let Some(issuer) = &self.issuer {
            write!(uri, "&issuer={}", utf8_percent_encode(issuer, ENCODED))?;
        }
        // Left out where it is the default: a smaller QR code, and apps that trip over a parameter do not.
        if self.defaults_written || self.algorithm != Algorithm::default() {
            write!(uri, "&algorithm={}", self.algorithm)?;
        }
        if self.defaults_written || self.digits != Digits::default() {
            write!(uri, "&digits={}", self.digits.get())?;
        }
        match self.factor {
            Factor::Counter(counter) => write!(uri, "&counter={counter}"),
            Factor::Period(period) if self.defaults_written || period != Period::default() => {
                write!(uri, "&period={}", period.seconds())
            }
            Factor::Period(_) => Ok(()),
        }
    }
}

impl fmt::Debug for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyUri")
            .field("factor", &self.factor)
            .field("issuer", &self.issuer)
            .field("account", &self.account)
            .field("secret", &self.secret)
            .field("algorithm", &self.algorithm)
            .field("digits", &self.digits)
            .finish_non_exhaustive()
    }
}

/// A space must be `%20` and a plus `%2B`: parsers disagree on whether `+` is a space.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');
