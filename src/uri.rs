//! [`KeyUri`]: the `otpauth` URI that adds an account to an authenticator app.
//!
//! No RFC defines this URI. The grammar is Google's Key URI Format, which every app reads:
//!
//! ```text
//! otpauth://TYPE/[ISSUER:]ACCOUNT?secret=BASE32
//!     [&issuer=ISSUER][&algorithm=][&digits=][&period= | &counter=]
//! ```
//!
//! The writer always uses the spelling that the most apps read correctly. There are two readers: `parse`, which is
//! strict, and `parse_lenient`. `lint` reports what known apps do wrong with a URI.

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

/// The content of an `otpauth` URI: issuer, account, secret, and how codes are computed.
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
/// let parsed: KeyUri = uri.to_uri().parse()?; // strict, like KeyUri::parse
/// assert!(parsed == uri);
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// # Security
///
/// [`to_uri`](Self::to_uri), [`manual_entry`](Self::manual_entry) and the QR code contain the secret. Show them once,
/// only to the account's owner, over TLS, with `Cache-Control: no-store`. Never log them, and never send them to a
/// third-party QR code generator.
#[derive(Clone)]
pub struct KeyUri {
    factor: Factor,
    issuer: Option<String>,
    /// The issuer prefix of the label. `None` if the label has no prefix, or if the prefix equals the issuer.
    label_issuer: Option<String>,
    /// This is empty only for a `steam://` link, which contains no names.
    account: String,
    secret: Secret,
    algorithm: Algorithm,
    digits: Digits,
    defaults_written: bool,
    /// Parameters that keyfob does not interpret but an app may. A value may be a PIN, so the values are wiped.
    others: Vec<(String, Zeroizing<String>)>,
}

/// The moving factor: what changes from one code to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factor {
    Counter(u64),
    Period(Period),
    Steam,
}

impl KeyUri {
    /// Creates a TOTP account with SHA-1, six digits and a period of 30 seconds, which every app supports.
    ///
    /// `issuer` is the name of your service, which the app shows. If it is empty, the app shows only the account, or
    /// guesses an issuer. `account` distinguishes several accounts that one user has with your service. It is often an
    /// email address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) if the account is empty. The same error is returned if either name is
    /// longer than 1024 bytes or contains a colon (apps cut the name there), a control character, or part of an escaped
    /// URI, such as `&amp;digits=8`.
    pub fn totp(issuer: &str, account: &str, secret: &Secret) -> Result<Self, Error> {
        Self::new(Factor::Period(Period::default()), issuer, account, secret)
    }

    /// Creates an HOTP account. `counter` is the counter of the first code.
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
    /// The same as for [`totp`](Self::totp).
    pub fn hotp(issuer: &str, account: &str, secret: &Secret, counter: u64) -> Result<Self, Error> {
        Self::new(Factor::Counter(counter), issuer, account, secret)
    }

    /// Creates a Steam Guard account. Most apps do not support it.
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
    /// The same as for [`totp`](Self::totp).
    pub fn steam(issuer: &str, account: &str, secret: &Secret) -> Result<Self, Error> {
        Self::new(Factor::Steam, issuer, account, secret)
    }

    /// Creates a TOTP account with all settings of `totp`. `secret` must be the secret from which `totp` was created,
    /// because `totp` does not keep it.
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
    /// The same as for [`totp`](Self::totp), and [`ErrorKind::Uri`](crate::ErrorKind::Uri) for a T0 other than 0, which
    /// a URI cannot express.
    pub fn from_totp(issuer: &str, account: &str, secret: &Secret, totp: &Totp) -> Result<Self, Error> {
        if totp.t0() != 0 {
            return Err(T0);
        }
        let uri = Self::new(Factor::Period(totp.period()), issuer, account, secret)?;
        Ok(uri.with_algorithm(totp.algorithm()).with_digits(totp.digits()))
    }

    /// Creates an HOTP account with all settings of `hotp`. `counter` is the counter of the next code. See
    /// [`from_totp`](Self::from_totp) for an example.
    ///
    /// # Errors
    ///
    /// The same as for [`totp`](Self::totp).
    pub fn from_hotp(issuer: &str, account: &str, secret: &Secret, hotp: &Hotp, counter: u64) -> Result<Self, Error> {
        let uri = Self::hotp(issuer, account, secret, counter)?;
        Ok(uri.with_algorithm(hotp.algorithm()).with_digits(hotp.digits()))
    }

    /// Sets the hash function. Several apps ignore this setting and show wrong codes. Steam accounts are not changed,
    /// because their hash function is fixed.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        if self.factor != Factor::Steam {
            self.algorithm = algorithm;
        }
        self
    }

    /// Sets the number of digits. Several apps ignore this setting and show wrong codes. Steam accounts are not
    /// changed, because their code length is fixed.
    #[must_use]
    pub fn with_digits(mut self, digits: Digits) -> Self {
        if self.factor != Factor::Steam {
            self.digits = digits;
        }
        self
    }

    /// Sets the TOTP period. Several apps ignore this setting and show wrong codes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) for HOTP, which has no period, and for Steam, whose period is fixed.
    pub fn with_period(mut self, period: Period) -> Result<Self, Error> {
        let Factor::Period(own) = &mut self.factor else { return Err(NO_PERIOD) };
        *own = period;
        Ok(self)
    }

    /// Sets a label prefix that differs from the issuer. If there is no issuer, the prefix also becomes the issuer.
    ///
    /// Apple recommends using the name of the service as the prefix and its domain as the issuer. Other apps show only
    /// one of the two.
    ///
    /// ```
    /// use keyfob::{KeyUri, Secret};
    ///
    /// let uri = KeyUri::totp("example.com", "al", &Secret::generate())?
    ///     .with_label_issuer("Example Inc")?;
    /// assert!(uri.to_uri().starts_with("otpauth://totp/Example%20Inc:al?"));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same as for the issuer in [`totp`](Self::totp), and [`ErrorKind::Uri`](crate::ErrorKind::Uri) for a
    /// `steam://` link, which has no label.
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

    /// Sets a parameter that keyfob does not interpret but an app may, such as `color` or `image` (keyfob never fetches
    /// the image). An existing parameter of the same name, ignoring case, is replaced.
    ///
    /// ```
    /// use keyfob::{KeyUri, Secret};
    ///
    /// let uri = KeyUri::totp("Example", "al", &Secret::generate())?
    ///     .with_parameter("color", "3366CC")?;
    /// assert!(uri.to_uri().ends_with("&issuer=Example&color=3366CC"));
    /// assert!(uri.other_parameters().eq([("color", "3366CC")]));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) in these cases:
    ///
    /// * The name is empty, is a parameter that keyfob interprets, or is a damaged form of such a parameter, like
    ///   `amp;digits`.
    /// * The value contains such a parameter, like `;digits=`.
    /// * There would be more than 64 parameters that keyfob does not interpret, or more than 5120 bytes of them in
    ///   percent-encoded form.
    /// * The URI is a `steam://` link, which has no parameters.
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

    /// The issuer prefix of the label. `None` if the label has no prefix, or if the prefix equals the issuer.
    #[must_use]
    pub fn label_issuer(&self) -> Option<&str> {
        self.label_issuer.as_deref()
    }

    /// The account name. It is empty for a `steam://` link, which contains no names.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The secret that the service and the app share.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The hash function that HMAC uses.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The number of digits in a code. Steam accounts do not use it, because their codes have five symbols.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// The period of a TOTP account, or `None` for other accounts.
    #[must_use]
    pub const fn period(&self) -> Option<Period> {
        match self.factor {
            Factor::Period(period) => Some(period),
            Factor::Counter(_) | Factor::Steam => None,
        }
    }

    /// The counter of the first code of an HOTP account, or `None` for other accounts.
    #[must_use]
    pub const fn counter(&self) -> Option<u64> {
        match self.factor {
            Factor::Counter(counter) => Some(counter),
            Factor::Period(_) | Factor::Steam => None,
        }
    }

    /// The decoded names and values of the parameters that keyfob does not interpret. If one of them is an `image`,
    /// keyfob does not fetch it. See [`with_parameter`](Self::with_parameter) for an example.
    pub fn other_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.others.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Creates a [`Totp`] with the settings of this account, to verify its codes. Returns `None` if the account is not
    /// TOTP.
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

    /// Creates an [`Hotp`] with the settings of this account, to verify its codes. Returns `None` if the account is not
    /// HOTP.
    #[must_use]
    pub fn to_hotp(&self) -> Option<Hotp> {
        let hotp = Hotp::with_algorithm(&self.secret, self.algorithm).with_digits(self.digits);
        self.counter().map(|_| hotp)
    }

    /// Creates a [`Steam`] that verifies the codes of this account. Returns `None` if the account is not Steam Guard.
    #[must_use]
    pub fn to_steam(&self) -> Option<Steam> {
        (self.factor == Factor::Steam).then(|| Steam::new(&self.secret))
    }

    /// Writes algorithm, digits and period into the URI even if they have their default values. This makes the QR code
    /// larger, and its only benefit is a more explicit URI.
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

/// Trims and checks a name that the application passed in. Colons are refused, because apps cut names there.
fn check_name<'a>(part: &'static str, name: &'a str) -> Result<&'a str, Error> {
    if name.contains(':') {
        return Err(COLON.word(part));
    }
    trim_name(part, name)
}

/// Trims and checks a name. Apps drop spaces around a name and do not show control characters. The length limit ensures
/// that the reader accepts every URI that the writer produces.
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

/// Parses strictly, with [`KeyUri::parse`].
impl FromStr for KeyUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// Compares the contents of the URIs. Whether default values are written makes no difference. The secrets are compared
/// in constant time.
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

// In some of these messages, `{}` stands for the name of the part that is invalid.
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

/// The capacity in bytes of the largest QR code, version 40, at error correction level M.
#[cfg(any(feature = "migration", feature = "qr"))]
pub(crate) const QR_BYTES: usize = 2331;

#[cfg(any(feature = "migration", feature = "qr"))]
pub(crate) const fn too_long_for_qr(bytes: usize) -> Error {
    Error::new(ErrorKind::Qr, "a QR code holds at most {} bytes and this text has {}; shorten issuer or account")
        .number(QR_BYTES as u64)
        .number(bytes as u64)
}
