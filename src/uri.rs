//! The `otpauth` URI: what an authenticator app is told about an account.
//!
//! There is no RFC. The grammar is the one that Google's Key URI Format describes and every app reads:
//!
//! ```text
//! otpauth://TYPE/[ISSUER:]ACCOUNT?secret=BASE32[&issuer=ISSUER][&algorithm=][&digits=][&period= | &counter=]
//! ```
//!
//! The writer is strict: one spelling, which is the one that the largest number of apps reads correctly. There are two
//! readers, `parse` and `parse_lenient`, and `lint` knows the apps.

#[cfg(any(feature = "import", feature = "pskc"))]
mod account;
mod escaped;
mod lint;
#[cfg(any(feature = "import", feature = "migration", feature = "pskc"))]
mod names;
mod parse;
mod write;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

#[cfg(any(feature = "import", feature = "pskc"))]
pub(crate) use account::Account;
#[cfg(feature = "import")]
pub(crate) use account::{KIND_UNKNOWN, entry_uri};
pub use lint::{Effect, Finding};
#[cfg(any(feature = "migration", feature = "pskc"))]
pub(crate) use names::without_prefix;
pub use parse::Warning;
#[cfg(any(feature = "import", feature = "pskc"))]
pub(crate) use parse::algorithm;
#[cfg(feature = "guard")]
pub(crate) use parse::not_supported;
#[cfg(feature = "migration")]
pub(crate) use parse::{CONTRADICTION, NOT_UTF8};

use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::error::{Error, ErrorKind};
use crate::hotp::Hotp;
use crate::secret::Secret;
use crate::steam::Steam;
use crate::totp::{Period, Totp};

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
///
/// let read: KeyUri = uri.to_uri().parse()?; // strictly, as KeyUri::parse does
/// assert!(read == uri);
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// # Security
///
/// [`to_uri`](Self::to_uri), [`manual_entry`](Self::manual_entry) and the QR code contain the secret. Show them once,
/// to its owner, over TLS, with `Cache-Control: no-store`; never log them and never pass them to a service that draws
/// QR codes.
#[derive(Clone)]
pub struct KeyUri {
    factor: Factor,
    issuer: Option<String>,
    /// The prefix of the label, where it is not the issuer.
    label_issuer: Option<String>,
    /// Empty only in a Steam link, which has no names.
    account: String,
    secret: Secret,
    algorithm: Algorithm,
    digits: Digits,
    defaults_written: bool,
    /// Parameters that mean nothing to keyfob, and may to an app: one is a PIN.
    others: Vec<(String, Zeroizing<String>)>,
}

/// What moves a code on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    Counter(u64),
    Period(Period),
    Steam,
}

impl KeyUri {
    /// For an authenticator that counts time. SHA-1, six digits, 30 seconds: what every app supports.
    ///
    /// `issuer` is the name of your service, which the app shows; with an empty one the app shows the account alone, or
    /// guesses. `account` is what tells the user's accounts with you apart, often the mail address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) for an empty account, and for a colon, a control character, more than
    /// 1024 bytes or the rest of an escaped URI, such as `&amp;digits=8`, in either name: apps cut the name at a colon.
    pub fn totp(issuer: &str, account: &str, secret: &Secret) -> Result<Self, Error> {
        Self::new(Factor::Period(Period::default()), issuer, account, secret)
    }

    /// For an authenticator that counts presses of a button. `counter` is the one of its first code.
    ///
    /// ```
    /// use keyfob::{KeyUri, Secret};
    ///
    /// let uri = KeyUri::hotp("Example", "al", &Secret::generate(), 0)?;
    /// assert!(uri.to_uri().ends_with("&issuer=Example&counter=0"));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`totp`](Self::totp).
    pub fn hotp(issuer: &str, account: &str, secret: &Secret, counter: u64) -> Result<Self, Error> {
        Self::new(Factor::Counter(counter), issuer, account, secret)
    }

    /// For a Steam Guard authenticator. Most apps do not know it.
    ///
    /// ```
    /// use keyfob::{KeyUri, Secret};
    ///
    /// let uri = KeyUri::steam("Steam", "al", &Secret::generate())?;
    /// assert!(uri.to_uri().starts_with("otpauth://steam/Steam:al?secret="));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`totp`](Self::totp).
    pub fn steam(issuer: &str, account: &str, secret: &Secret) -> Result<Self, Error> {
        Self::new(Factor::Steam, issuer, account, secret)
    }

    /// For the authenticator that `totp` checks, with all its settings. `secret` is the one that it was made of, and which
    /// it no longer holds.
    ///
    /// ```
    /// use keyfob::{Digits, KeyUri, Secret, Totp};
    ///
    /// let secret = Secret::generate();
    /// let totp = Totp::new(&secret).with_digits(Digits::Eight);
    /// let uri = KeyUri::from_totp("Example", "al", &secret, &totp)?;
    /// assert!(uri.to_uri().ends_with("&digits=8"));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`totp`](Self::totp), and for a T0 other than 0, which no app can be told.
    pub fn from_totp(issuer: &str, account: &str, secret: &Secret, totp: &Totp) -> Result<Self, Error> {
        if totp.t0() != 0 {
            return Err(T0);
        }
        let uri = Self::new(Factor::Period(totp.period()), issuer, account, secret)?;
        Ok(uri.with_algorithm(totp.algorithm()).with_digits(totp.digits()))
    }

    /// For the authenticator that `hotp` checks, with all its settings: [`from_totp`](Self::from_totp). `counter` is the one
    /// of its next code.
    ///
    /// # Errors
    ///
    /// As for [`totp`](Self::totp).
    pub fn from_hotp(issuer: &str, account: &str, secret: &Secret, hotp: &Hotp, counter: u64) -> Result<Self, Error> {
        let uri = Self::hotp(issuer, account, secret, counter)?;
        Ok(uri.with_algorithm(hotp.algorithm()).with_digits(hotp.digits()))
    }

    /// Another hash function. Several apps ignore it and show wrong codes. Steam has its own: nothing changes.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        if self.factor != Factor::Steam {
            self.algorithm = algorithm;
        }
        self
    }

    /// Codes of another length. Several apps ignore it and show wrong codes. Steam has its own: nothing changes.
    #[must_use]
    pub fn with_digits(mut self, digits: Digits) -> Self {
        if self.factor != Factor::Steam {
            self.digits = digits;
        }
        self
    }

    /// Codes that live for another time. Several apps ignore it and show wrong codes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) for HOTP, which has no period, and for Steam, which has its own.
    pub fn with_period(mut self, period: Period) -> Result<Self, Error> {
        let Factor::Period(own) = &mut self.factor else { return Err(NO_PERIOD) };
        *own = period;
        Ok(self)
    }

    /// A prefix of the label that is not the issuer. It becomes the issuer where there is none.
    ///
    /// Apple asks for this: the name of the service there, its domain as the issuer. Other apps show the one or the
    /// other.
    ///
    /// ```
    /// use keyfob::{KeyUri, Secret};
    ///
    /// let uri = KeyUri::totp("example.com", "al", &Secret::generate())?.with_label_issuer("Example Inc")?;
    /// assert!(uri.to_uri().starts_with("otpauth://totp/Example%20Inc:al?"));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for the issuer of [`totp`](Self::totp), and for a `steam://` link, which has no label.
    pub fn with_label_issuer(mut self, prefix: &str) -> Result<Self, Error> {
        if self.account.is_empty() {
            return Err(ACCOUNT_EMPTY);
        }
        let prefix = check_name("issuer", prefix)?;
        if self.issuer.is_none() && !prefix.is_empty() {
            self.issuer = Some(prefix.into());
        }
        let differs = !prefix.is_empty() && self.issuer.as_deref() != Some(prefix);
        self.label_issuer = differs.then(|| prefix.into());
        Ok(self)
    }

    /// A parameter that means nothing to keyfob, and may to an app: an `image`, whose address is carried and never fetched,
    /// or a `color`. It takes the place of one with this name, in capitals or not.
    ///
    /// ```
    /// use keyfob::{KeyUri, Secret};
    ///
    /// let uri = KeyUri::totp("Example", "al", &Secret::generate())?.with_parameter("color", "3366CC")?;
    /// assert!(uri.to_uri().ends_with("&issuer=Example&color=3366CC"));
    /// assert!(uri.other_parameters().eq([("color", "3366CC")]));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) for an empty name and for one that keyfob knows or what is left of one, such
    /// as `amp;digits`, for `;digits=` and the like in a value, for more than 64 parameters or 5120 bytes in all, and for a
    /// `steam://` link, which has none.
    pub fn with_parameter(mut self, name: &str, value: &str) -> Result<Self, Error> {
        if self.account.is_empty() {
            return Err(ACCOUNT_EMPTY);
        }
        if name.is_empty() || escaped::is_reserved(name) {
            return Err(PARAMETER_KNOWN);
        }
        escaped::check_hidden("value of a parameter", value, &[';'])?;
        self.others.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.others.push((name.into(), Zeroizing::new(value.into())));
        if parse::is_too_much(&self.others) { Err(parse::PARAMETERS_TOO_MANY) } else { Ok(self) }
    }

    /// The issuer, if there is one.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The prefix of the label, where it differs from the issuer.
    #[must_use]
    pub fn label_issuer(&self) -> Option<&str> {
        self.label_issuer.as_deref()
    }

    /// The account. Empty for a `steam://` link, which has no names.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The hash function inside HMAC.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How many digits a code has. A Steam code has five symbols instead.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// How long a code is shown, for TOTP.
    #[must_use]
    pub const fn period(&self) -> Option<Period> {
        match self.factor {
            Factor::Period(period) => Some(period),
            Factor::Counter(_) | Factor::Steam => None,
        }
    }

    /// The counter of the first code, for HOTP.
    #[must_use]
    pub const fn counter(&self) -> Option<u64> {
        match self.factor {
            Factor::Counter(counter) => Some(counter),
            Factor::Period(_) | Factor::Steam => None,
        }
    }

    /// Parameters that mean nothing to keyfob: names and values, decoded. An `image` among them is never fetched.
    /// [`with_parameter`](Self::with_parameter) has an example.
    pub fn other_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.others.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What checks the codes of this URI, with all its settings, if it is a TOTP one.
    ///
    /// ```
    /// use keyfob::{Digits, KeyUri, Secret};
    ///
    /// let uri = KeyUri::totp("Example", "al", &Secret::generate())?.with_digits(Digits::Eight);
    /// assert_eq!(uri.to_totp().map(|totp| totp.digits()), Some(Digits::Eight));
    /// assert!(uri.to_hotp().is_none());
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    #[must_use]
    pub fn to_totp(&self) -> Option<Totp> {
        let totp = Totp::with_algorithm(&self.secret, self.algorithm).with_digits(self.digits);
        self.period().map(|period| totp.with_period(period))
    }

    /// What checks the codes of this URI, if it is a HOTP one.
    #[must_use]
    pub fn to_hotp(&self) -> Option<Hotp> {
        let hotp = Hotp::with_algorithm(&self.secret, self.algorithm).with_digits(self.digits);
        self.counter().map(|_| hotp)
    }

    /// What checks the codes of this URI, if it is a Steam Guard one.
    #[must_use]
    pub fn to_steam(&self) -> Option<Steam> {
        (self.factor == Factor::Steam).then(|| Steam::new(&self.secret))
    }

    /// Writes algorithm, digits and period even where they are the default. The QR code grows, and nothing is gained
    /// but a URI that explains itself.
    #[must_use]
    pub fn with_defaults_written(mut self) -> Self {
        self.defaults_written = true;
        self
    }

    fn new(factor: Factor, issuer: &str, account: &str, secret: &Secret) -> Result<Self, Error> {
        let (issuer, account) = (check_name("issuer", issuer)?, check_name("account name", account)?);
        if account.is_empty() {
            return Err(ACCOUNT_EMPTY);
        }
        let issuer = (!issuer.is_empty()).then(|| issuer.into());
        Ok(Self::with(factor, issuer, account.into(), secret.clone()))
    }

    pub(crate) fn with(factor: Factor, issuer: Option<String>, account: String, secret: Secret) -> Self {
        Self {
            factor,
            issuer,
            label_issuer: None,
            account,
            secret,
            algorithm: Algorithm::default(),
            digits: Digits::default(),
            defaults_written: false,
            others: Vec::new(),
        }
    }
}

/// Apps cut names at a colon.
fn check_name<'a>(part: &'static str, name: &'a str) -> Result<&'a str, Error> {
    if name.contains(':') {
        return Err(COLON.word(part));
    }
    trim_name(part, name)
}

/// Apps drop spaces around a name and do not show a control character. With the bound, what is written is never too
/// long for the reader.
pub(crate) fn trim_name<'a>(part: &'static str, name: &'a str) -> Result<&'a str, Error> {
    let name = name.trim_matches(' ');
    if name.len() > MAX_NAME_BYTES {
        return Err(name_too_long(part));
    }
    if name.contains(char::is_control) {
        return Err(CONTROL.word(part));
    }
    escaped::check_hidden(part, name, &[';'])?;
    Ok(name)
}

/// [`KeyUri::parse`], which is strict.
impl FromStr for KeyUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// By what the URI means. Whether defaults are written is a matter of spelling. The secrets are compared in constant
/// time.
impl PartialEq for KeyUri {
    fn eq(&self, other: &Self) -> bool {
        self.factor == other.factor
            && self.issuer == other.issuer
            && self.label_issuer == other.label_issuer
            && self.account == other.account
            && self.algorithm == other.algorithm
            && self.digits == other.digits
            && self.others == other.others
            && self.secret == other.secret
    }
}

impl Eq for KeyUri {}

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

const MAX_NAME_BYTES: usize = 1024;

const fn name_too_long(part: &'static str) -> Error {
    Error::new(ErrorKind::Uri, "the {} has more than {} bytes").word(part).number(MAX_NAME_BYTES as u64)
}

// What is wrong with a URI or its parts. Some wait for the name of the part.
const COLON: Error =
    Error::new(ErrorKind::Uri, "the {} contains a colon, which separates issuer and account; leave it out");
const CONTROL: Error = Error::new(ErrorKind::Uri, "the {} contains a control character");
const NO_PERIOD: Error =
    Error::new(ErrorKind::Uri, "a period belongs to TOTP: HOTP counts events, and Steam has its own");
const PARAMETER_KNOWN: Error =
    Error::new(ErrorKind::Uri, "the parameter has no name, or one that the URI gets from its account");
const T0: Error = Error::new(ErrorKind::Uri, "apps count the steps of TOTP from 1970: T0 must be 0");
pub(crate) const ACCOUNT_EMPTY: Error = Error::new(ErrorKind::Uri, "the account name is empty");
pub(crate) const COUNTER: Error =
    Error::new(ErrorKind::Uri, "the counter is not a number from 0 to {}").number(u64::MAX);

/// What fits into the largest QR code, version 40, at error correction level M.
#[cfg(any(feature = "migration", feature = "qr"))]
pub(crate) const QR_BYTES: usize = 2331;

#[cfg(any(feature = "migration", feature = "qr"))]
pub(crate) const fn too_long_for_qr(bytes: usize) -> Error {
    Error::new(ErrorKind::Qr, "a QR code holds at most {} bytes and this text has {}; shorten issuer or account")
        .number(QR_BYTES as u64)
        .number(bytes as u64)
}
