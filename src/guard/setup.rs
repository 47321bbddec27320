//! What kind of authenticator to enroll.

use alloc::string::String;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::error::Error;
use crate::guard::id::AuthenticatorId;
use crate::guard::record::authenticator::{NAME_REFUSED, check_name};
use crate::secret::Secret;
use crate::totp::Period;
use crate::uri::{KeyUri, not_supported};

/// What kind of authenticator to enroll. The default is what every app supports: TOTP, SHA-1, six digits, 30 seconds.
///
/// ```
/// use keyfob::guard::{AuthenticatorId, Setup};
/// use keyfob::{Digits, KeyUri};
///
/// let app = Setup::totp("alice@example.com").with_name("work phone")?;
/// let button = Setup::hotp("alice@example.com").with_digits(Digits::Eight).with_name("key ring")?;
///
/// // A token with a secret from the factory, at the counter where it stands.
/// let uri = KeyUri::parse("otpauth://hotp/Example:0042?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example&counter=7")?;
/// let token = Setup::import(&uri)?.with_name("token 0042")?;
///
/// // In the place of one that the account has: the id is in its `Status`.
/// let new_phone = AuthenticatorId::new("hcpbmjdnoaeglkfi").map(|old| Setup::totp("alice@example.com").replacing(old));
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// The example of [`Guard`](crate::Guard) enrolls with one.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(crate) period: Option<Period>,
    pub(crate) counter: u64,
    pub(crate) algorithm: Algorithm,
    pub(crate) digits: Digits,
    pub(crate) secret: Option<Secret>,
    pub(crate) label: String,
    pub(crate) name: String,
    pub(crate) replaces: Option<AuthenticatorId>,
}

impl Setup {
    /// An app, or a token with a clock. `label` is what the app shows beside the name of the service, to tell the user's
    /// accounts with you apart: often the email address.
    #[must_use]
    pub fn totp(label: &str) -> Self {
        Self {
            period: Some(Period::default()),
            counter: 0,
            algorithm: Algorithm::default(),
            digits: Digits::default(),
            secret: None,
            label: label.into(),
            name: String::new(),
            replaces: None,
        }
    }

    /// An authenticator that counts presses of a button. `label` is as for [`totp`](Self::totp).
    #[must_use]
    pub fn hotp(label: &str) -> Self {
        Self { period: None, ..Self::totp(label) }
    }

    /// An authenticator that has a secret already: a token seeded in the factory, or an account of another system. The label
    /// is the account of the URI.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) for Steam, whose codes are no numbers.
    pub fn import(uri: &KeyUri) -> Result<Self, Error> {
        if uri.to_steam().is_some() {
            return Err(not_supported("steam"));
        }
        Ok(Self {
            period: uri.period(),
            counter: uri.counter().unwrap_or(0),
            algorithm: uri.algorithm(),
            digits: uri.digits(),
            secret: Some(uri.secret().clone()),
            ..Self::totp(uri.account())
        })
    }

    /// Another hash function. Several apps ignore it and show wrong codes, which [`Diagnosis`] will say.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Codes of another length. Several apps ignore it.
    #[must_use]
    pub fn with_digits(mut self, digits: Digits) -> Self {
        self.digits = digits;
        self
    }

    /// A name by which its user tells it from others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) for more than 256 bytes and for control characters.
    pub fn with_name(mut self, name: &str) -> Result<Self, Error> {
        if !check_name(name) {
            return Err(NAME_REFUSED);
        }
        self.name = name.into();
        Ok(self)
    }

    /// Once confirmed, it takes the place of this one.
    #[must_use]
    pub fn replacing(mut self, authenticator: AuthenticatorId) -> Self {
        self.replaces = Some(authenticator);
        self
    }
}
