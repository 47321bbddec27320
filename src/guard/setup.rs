//! The settings for an authenticator to be enrolled.

use alloc::string::String;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::error::{Error, ErrorKind};
use crate::guard::context::Context;
use crate::guard::error::GuardError;
use crate::guard::id::AuthenticatorId;
use crate::guard::keyring::Owner;
use crate::guard::policy::Policy;
use crate::guard::randomness::Randomness;
use crate::guard::record::authenticator::{Authenticator, NAME_REFUSED, check_name};
use crate::key::Strength;
use crate::secret::Secret;
use crate::totp::Period;
use crate::uri::{KeyUri, not_supported};

/// The settings for an authenticator to be enrolled. The defaults are TOTP, SHA-1, six digits and a 30-second period,
/// which every app supports.
///
/// ```
/// use keyfob::guard::{AuthenticatorId, Setup};
/// use keyfob::{Digits, KeyUri};
///
/// let app = Setup::totp("alice@example.com").with_name("work phone")?;
/// let button = Setup::hotp("alice@example.com")
///     .with_digits(Digits::Eight)
///     .with_name("key ring")?;
///
/// // A hardware token with a secret from the factory. Its counter is at 7.
/// let uri = KeyUri::parse(concat!(
///     "otpauth://hotp/Example:0042?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
///     "&issuer=Example&counter=7",
/// ))?;
/// let token = Setup::import(&uri)?.with_name("token 0042")?;
///
/// // A replacement for an active authenticator. `Status` lists the ids.
/// let old_phone = AuthenticatorId::new("hcpbmjdnoaeglkfi")?;
/// let new_phone = Setup::totp("alice@example.com").replacing(old_phone);
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// The example for [`Guard`](crate::Guard) enrolls an authenticator.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(crate) period: Option<Period>,
    pub(crate) counter: u64,
    /// `None` if the policy chooses.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) digits: Digits,
    pub(crate) secret: Option<Secret>,
    pub(crate) label: String,
    pub(crate) name: String,
    pub(crate) replaces: Option<AuthenticatorId>,
}

impl Setup {
    /// Sets up a TOTP authenticator, which is an app or a hardware token with a clock.
    ///
    /// The app shows `label` beside the name of your service. A user with several accounts at your service tells them
    /// apart by this label, which is often the email address.
    #[must_use]
    pub fn totp(label: &str) -> Self {
        Self {
            period: Some(Period::default()),
            counter: 0,
            algorithm: None,
            digits: Digits::default(),
            secret: None,
            label: label.into(),
            name: String::new(),
            replaces: None,
        }
    }

    /// Sets up an HOTP authenticator, which is a token with a button and a counter. `label` has the same meaning as for
    /// [`totp`](Self::totp).
    #[must_use]
    pub fn hotp(label: &str) -> Self {
        Self { period: None, ..Self::totp(label) }
    }

    /// Sets up an authenticator that already has a secret, such as a hardware token with a factory-set secret, or an
    /// account that is moved from another system. The label is the account name in the URI.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) for a Steam URI, because Steam codes do not consist of digits.
    pub fn import(uri: &KeyUri) -> Result<Self, Error> {
        if uri.to_steam().is_some() {
            return Err(not_supported("steam"));
        }
        Ok(Self {
            period: uri.period(),
            counter: uri.counter().unwrap_or(0),
            algorithm: Some(uri.algorithm()),
            digits: uri.digits(),
            secret: Some(uri.secret().clone()),
            ..Self::totp(uri.account())
        })
    }

    pub(crate) fn algorithm(&self, policy: &Policy) -> Algorithm {
        self.algorithm.unwrap_or(policy.algorithm())
    }

    /// # Errors
    ///
    /// [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) if the policy is strict, and the imported
    /// secret is weak or the period is too long.
    pub(crate) fn check(&self, policy: &Policy) -> Result<(), GuardError> {
        if policy.is_strict() {
            if self.secret.as_ref().is_some_and(|secret| secret.strength() < Strength::Acceptable) {
                return Err(WEAK.into());
            }
            if self.period.is_some_and(|period| period.seconds() > MAX_PERIOD) {
                return Err(LONG_PERIOD.into());
            }
        }
        Ok(())
    }

    /// Makes a new authenticator with these settings and this secret, which is sealed for the user.
    pub(crate) fn authenticator(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        secret: &Secret,
    ) -> Result<Authenticator, GuardError> {
        let id = AuthenticatorId::random(random)?;
        let Self { period, digits, .. } = *self;
        let algorithm = self.algorithm(context.policy);
        let owner = Owner::authenticator(context.user, &id, algorithm, digits, period);
        Ok(Authenticator {
            secret: context.keyring.seal(secret.expose_bytes(), &owner, random)?,
            id,
            name: self.name.clone(),
            period,
            algorithm,
            digits,
            created: context.now,
            bound: 0,
            next: self.counter,
            disclosed: 0,
            repeated: 0,
            drift: 0,
            lean: 0,
            anchor: 0,
            used: 0,
        })
    }

    /// Sets the hash algorithm. Several apps ignore this setting and show wrong codes, which
    /// [`Diagnosis`](crate::guard::Diagnosis) detects. Without this call, the policy decides
    /// ([`Policy::with_algorithm`](crate::Policy::with_algorithm)).
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Sets the number of digits. Several apps ignore this setting, which [`Diagnosis`](crate::guard::Diagnosis)
    /// detects.
    #[must_use]
    pub fn with_digits(mut self, digits: Digits) -> Self {
        self.digits = digits;
        self
    }

    /// Sets the name by which the user recognizes the authenticator in a list.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is longer than 256 bytes or contains control characters.
    pub fn with_name(mut self, name: &str) -> Result<Self, Error> {
        if !check_name(name) {
            return Err(NAME_REFUSED);
        }
        self.name = name.into();
        Ok(self)
    }

    /// Makes the new authenticator replace an active one, which is removed once the new authenticator is confirmed.
    #[must_use]
    pub fn replacing(mut self, authenticator: AuthenticatorId) -> Self {
        self.replaces = Some(authenticator);
        self
    }
}

/// The longest period that a strict policy allows, in seconds. NIST SP 800-63B-4, section 3.1.4.1, requires a new code
/// at least every two minutes.
const MAX_PERIOD: u32 = 120;
const WEAK: Error =
    Error::new(ErrorKind::Policy, "the policy is strict: an imported secret has at least 112 bits (14 bytes)");
const LONG_PERIOD: Error =
    Error::new(ErrorKind::Policy, "the policy is strict: a period is at most {} seconds").number(MAX_PERIOD as u64);
