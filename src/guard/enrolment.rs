//! Enrolment: an authenticator is shown, stands beside whatever works today, and counts once it has proved itself.

use alloc::string::String;
use alloc::vec;

use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::code::{Code, Digits};
use crate::ct;
use crate::error::{Cause, Error};
use crate::guard::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::event::EventKind;
use crate::guard::proof::{Proof, Purpose};
use crate::guard::randomness::Randomness;
use crate::guard::record::{Authenticator, AuthenticatorId, Pending, RecoverySet, SecondFactor, check_name};
use crate::guard::recovery::RecoveryCodes;
use crate::guard::seal::Owner;
use crate::guard::transition::{Change, Committed, Transition};
use crate::guard::verify::{Refusal, Refused};
use crate::hotp::Hotp;
use crate::key::Key;
use crate::secret::Secret;
use crate::totp::Period;
use crate::uri::KeyUri;

/// What kind of authenticator to enrol. The default is what every app supports: TOTP, SHA-1, six digits, 30 seconds.
///
/// ```
/// use keyfob::guard::{AuthenticatorId, Setup};
/// use keyfob::{Digits, KeyUri};
///
/// let app = Setup::totp().with_name("work phone")?;
/// let button = Setup::hotp().with_digits(Digits::Eight).with_name("key ring")?;
///
/// // A token with a secret from the factory, at the counter where it stands.
/// let uri = KeyUri::parse("otpauth://hotp/Example:0042?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example&counter=7")?;
/// let token = Setup::import(&uri)?.with_name("token 0042")?;
///
/// // In the place of one that the account has: the id is in its `Status`.
/// let new_phone = AuthenticatorId::new("hcpbmjdnoaeglkfi").map(|old| Setup::totp().replacing(old));
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// The example of [`Guard`](crate::Guard) enrols with one.
#[derive(Clone, Debug)]
pub struct Setup {
    period: Option<Period>,
    counter: u64,
    algorithm: Algorithm,
    digits: Digits,
    secret: Option<Secret>,
    name: String,
    replaces: Option<AuthenticatorId>,
}

impl Setup {
    /// An app, or a token with a clock.
    #[must_use]
    pub fn totp() -> Self {
        Self {
            period: Some(Period::default()),
            counter: 0,
            algorithm: Algorithm::default(),
            digits: Digits::default(),
            secret: None,
            name: String::new(),
            replaces: None,
        }
    }

    /// An authenticator that counts presses of a button.
    #[must_use]
    pub fn hotp() -> Self {
        Self { period: None, ..Self::totp() }
    }

    /// One that has a secret already: a token seeded in the factory, or an account of another system.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Uri`](crate::ErrorKind::Uri) for Steam, whose codes are no numbers.
    pub fn import(uri: &KeyUri) -> Result<Self, Error> {
        if uri.to_steam().is_some() {
            return Err(Error::new(Cause::UriNotSupported("steam")));
        }
        Ok(Self {
            period: uri.period(),
            counter: uri.counter().unwrap_or(0),
            algorithm: uri.algorithm(),
            digits: uri.digits(),
            secret: Some(uri.secret().clone()),
            ..Self::totp()
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
            return Err(Error::new(Cause::Name));
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

/// An authenticator to show to its user: as a QR code, and as text for people who cannot scan. The first example of [the
/// crate](crate) does both.
///
/// It holds the secret. Show it over TLS, to the user who is logged in, in a page that nothing caches.
#[derive(Debug)]
pub struct Enrolment {
    authenticator: AuthenticatorId,
    uri: KeyUri,
    expires_at: u64,
}

impl Enrolment {
    /// The id that the authenticator has from now on.
    #[must_use]
    pub const fn authenticator(&self) -> &AuthenticatorId {
        &self.authenticator
    }

    /// What the app is told.
    #[must_use]
    pub const fn uri(&self) -> &KeyUri {
        &self.uri
    }

    /// The QR code.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Qr`](crate::ErrorKind::Qr) if names and secret are too long for one.
    #[cfg(feature = "qr")]
    pub fn qr(&self) -> Result<crate::Qr, Error> {
        self.uri.qr()
    }

    /// The secret in groups of four, to type.
    #[must_use]
    pub fn manual_entry(&self) -> Zeroizing<String> {
        self.uri.manual_entry()
    }

    /// Until when, in Unix seconds, a code confirms it.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// The answer to the code that is to prove an enrolment. [`Diagnosis`] has an example.
#[derive(Debug)]
#[must_use]
pub enum Confirmation {
    /// The authenticator is active. Its code is spent: it is no login.
    Confirmed(Confirmed),
    /// The code does not fit.
    Refused {
        /// As for a login. The user who enrols may well be told more: that is what the diagnosis is for.
        refused: Refused,
        /// What the authenticator seems to do differently.
        diagnosis: Option<Diagnosis>,
    },
}

/// An authenticator that has proved itself.
#[derive(Debug)]
pub struct Confirmed {
    authenticator: AuthenticatorId,
    recovery_codes: Option<RecoveryCodes>,
}

impl Confirmed {
    /// Which.
    #[must_use]
    pub const fn authenticator(&self) -> &AuthenticatorId {
        &self.authenticator
    }

    /// The first authenticator of an account brings recovery codes. They are shown now, and never again.
    #[must_use]
    pub const fn recovery_codes(&self) -> Option<&RecoveryCodes> {
        self.recovery_codes.as_ref()
    }
}

/// Why a new authenticator shows other codes than it should. A guess from one code: about one wrong code in a thousand
/// looks like something by accident.
///
/// ```
/// use keyfob::guard::{Confirmation, Diagnosis};
///
/// fn advice(confirmation: &Confirmation) -> &'static str {
///     match confirmation {
///         Confirmation::Confirmed(_) => "It works.",
///         Confirmation::Refused { diagnosis: Some(Diagnosis::ClockOff(_)), .. } => "Set the clock of your phone.",
///         Confirmation::Refused { diagnosis: Some(_), .. } => "This app cannot do what we need. Take another.",
///         Confirmation::Refused { diagnosis: None, .. } => "That code did not work. Type the one that is shown now.",
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Diagnosis {
    /// The app computes with this algorithm, whatever it was told.
    AlgorithmIgnored(Algorithm),
    /// The clock of the device is off: by so many seconds ahead, or behind if below zero. Whole hours are a wrong time
    /// zone.
    ClockOff(i64),
    /// The app shows this many digits, whatever it was told.
    DigitsIgnored(Digits),
    /// The app has this period, whatever it was told.
    PeriodIgnored(Period),
}

impl SecondFactor {
    /// Shows a new authenticator, pending until [`confirm`](Self::confirm). What worked before works on; an enrolment that
    /// was waiting is dropped.
    ///
    /// `issuer` is the name of your service, `account_name` what tells the user's accounts with you apart, often the mail
    /// address. The proof is for [`Purpose::ADD`], and needed once the account has an active authenticator.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRequired`], [`GuardErrorKind::ProofRejected`], [`GuardErrorKind::TooManyAuthenticators`],
    /// [`GuardErrorKind::UnknownAuthenticator`] for one to replace, [`GuardErrorKind::SecretInUse`] for an imported secret
    /// that an active authenticator has, [`GuardErrorKind::Invalid`] for names that no URI can carry,
    /// [`GuardErrorKind::Randomness`].
    pub fn enroll(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        setup: &Setup,
        (issuer, account_name): (&str, &str),
        proof: Option<&Proof>,
    ) -> Result<Transition<Enrolment>, GuardError> {
        if !self.active.is_empty() {
            self.check(context, proof.ok_or(GuardErrorKind::ProofRequired)?, &Purpose::ADD)?;
        }
        if setup.replaces.as_ref().is_some_and(|id| self.active.iter().all(|one| one.id != *id)) {
            return Err(GuardErrorKind::UnknownAuthenticator.into());
        }
        if setup.replaces.is_none() && self.active.len() >= Self::MAX_AUTHENTICATORS {
            return Err(GuardErrorKind::TooManyAuthenticators.into());
        }
        let secret = match &setup.secret {
            // Twice, each code would be good twice: once for either.
            Some(secret) if self.has_secret(context, secret) => return Err(GuardErrorKind::SecretInUse.into()),
            Some(secret) => secret.clone(),
            None => random.secret(setup.algorithm)?,
        };
        let uri = match setup.period {
            Some(period) => KeyUri::totp(issuer, account_name, &secret)?.with_period(period)?,
            None => KeyUri::hotp(issuer, account_name, &secret, setup.counter)?,
        };
        let uri = uri.with_algorithm(setup.algorithm).with_digits(setup.digits);

        let id = AuthenticatorId::random(random)?;
        let Setup { period, algorithm, digits, .. } = *setup;
        let owner = Owner::authenticator(context.account, &id, algorithm, digits, period);
        let authenticator = Authenticator {
            secret: context.keyring.seal(secret.expose_bytes(), &owner, random)?,
            id: id.clone(),
            name: setup.name.clone(),
            period,
            algorithm,
            digits,
            created: context.now,
            next: setup.counter,
            offset: 0,
            lean: 0,
            used: 0,
        };

        let mut next = self.clone();
        if next.generation == 0 {
            next.generation = random.generation()?;
        }
        next.pending = Some(Pending { authenticator, since: context.now, tries: 0, replaces: setup.replaces.clone() });
        let events = context.events([EventKind::EnrolmentStarted { authenticator: id.clone() }]);
        let expires_at = context.now.saturating_add(context.policy.enrolment_lifetime());
        let enrolment = Enrolment { authenticator: id, uri, expires_at };
        Ok(Transition::new(Change::Write(next.write()), move || Committed { value: enrolment, events }))
    }

    /// Activates the pending authenticator by its code, and spends the code. The first of an account brings recovery
    /// codes.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NoEnrolment`] if none is waiting, it waited too long, or too many codes were wrong.
    pub fn confirm(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        typed: &str,
    ) -> Result<Transition<Confirmation>, GuardError> {
        let waiting = self.pending.as_ref().filter(|pending| pending.is_waiting(context));
        let pending = waiting.ok_or(GuardErrorKind::NoEnrolment)?;
        let Ok(code) = Code::parse(typed) else {
            let refused = Refused::new(Refusal::Malformed);
            return Ok(Transition::of(Confirmation::Refused { refused, diagnosis: None }, vec![]));
        };
        let mut next = self.clone();
        // Nothing is protected by this authenticator yet, and whoever asks has just been shown its secret: what follows
        // may take its time. It is read after the swap all the same.
        match pending.matching(context, &code)? {
            Some(counter) => {
                let mut authenticator = pending.authenticator.clone();
                authenticator.next = counter.saturating_add(1);
                let id = authenticator.id.clone();
                next.pending = None;
                next.active.retain(|one| Some(&one.id) != pending.replaces.as_ref());
                next.active.push(authenticator);
                next.factors_changed();
                // The re-binding of NIST SP 800-63B-4, section 3.2.2. It took a proof, so no guesser gets here.
                let lifted = next.budget.lift(context.policy, context.now);
                let mut recovery_codes = None;
                if next.recovery.is_none() {
                    let (codes, set) = RecoverySet::generate(context, random)?;
                    recovery_codes = Some(codes);
                    next.recovery = Some(set);
                }
                let confirmed = EventKind::Confirmed { authenticator: id.clone() };
                let events = context.events([confirmed].into_iter().chain(lifted.then_some(EventKind::Lifted)));
                let value = Confirmation::Confirmed(Confirmed { authenticator: id, recovery_codes });
                Ok(Transition::new(Change::Write(next.write()), move || Committed { value, events }))
            }
            None => {
                let diagnosis = pending.diagnose(context, &code)?;
                next.pending = Some(Pending { tries: pending.tries.saturating_add(1), ..pending.clone() });
                let events = context.events([EventKind::EnrolmentRefused { diagnosis }]);
                let value = Confirmation::Refused { refused: Refused::new(Refusal::WrongCode), diagnosis };
                Ok(Transition::new(Change::Write(next.write()), move || Committed { value, events }))
            }
        }
    }
}

impl SecondFactor {
    fn has_secret(&self, context: &Context<'_>, secret: &Secret) -> bool {
        // One that does not open now is no reason not to enrol another.
        let opened = |one: &Authenticator| context.keyring.open(&one.secret, &one.owner(context.account)).ok();
        self.active.iter().filter_map(opened).any(|opened| ct::eq(&opened, secret.expose_bytes()))
    }
}

impl Pending {
    /// Whether a code may still confirm it. A beginning in the future was seen by a clock that ran a little ahead; if it
    /// is further off than an enrolment lasts, the clock was set back, and nobody knows how long this has waited.
    pub(crate) fn is_waiting(&self, context: &Context<'_>) -> bool {
        context.now.abs_diff(self.since) < context.policy.enrolment_lifetime() && self.tries < MAX_TRIES
    }

    fn matching(&self, context: &Context<'_>, code: &Code) -> Result<Option<u64>, GuardError> {
        let one = &self.authenticator;
        let hotp = one.hotp(context.account, context.keyring)?;
        let (from, to) = one.window(context.policy, context.now);
        Ok(hotp.newest([code], from.max(one.next), to))
    }

    /// Tries what apps are known to get wrong, the likeliest first.
    fn diagnose(&self, context: &Context<'_>, code: &Code) -> Result<Option<Diagnosis>, GuardError> {
        let one = &self.authenticator;
        let secret = context.keyring.open(&one.secret, &one.owner(context.account))?;
        let key = Key::new(&secret).map_err(|_| GuardErrorKind::SealBroken)?;
        let shows = |algorithm, period: Option<Period>, at: u64| {
            let hotp = Hotp::with_algorithm(key, algorithm).with_digits(code.digits());
            let (from, to) = match period {
                Some(period) => {
                    let step = period.steps(at);
                    (step.saturating_sub(1), step.saturating_add(1))
                }
                None => (one.next, one.next.saturating_add(context.policy.look_ahead().get().into())),
            };
            hotp.newest([code], from, to).is_some()
        };
        let algorithms = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
        if code.digits() != one.digits {
            let same = algorithms.into_iter().any(|algorithm| shows(algorithm, one.period, context.now));
            return Ok(same.then_some(Diagnosis::DigitsIgnored(code.digits())));
        }
        let other = |algorithm: &Algorithm| *algorithm != one.algorithm;
        if let Some(algorithm) =
            algorithms.into_iter().filter(other).find(|&algorithm| shows(algorithm, one.period, context.now))
        {
            return Ok(Some(Diagnosis::AlgorithmIgnored(algorithm)));
        }
        let Some(period) = one.period else { return Ok(None) };
        let periods = [30, 60].into_iter().filter_map(|seconds| Period::new(seconds).ok());
        if let Some(period) =
            periods.filter(|other| *other != period).find(|&period| shows(one.algorithm, Some(period), context.now))
        {
            return Ok(Some(Diagnosis::PeriodIgnored(period)));
        }
        // An hour on either side; then a wrong time zone, which is off by whole quarters of an hour up to fourteen hours.
        let hotp = Hotp::with_algorithm(key, one.algorithm).with_digits(one.digits);
        let now = period.steps(context.now);
        let seconds = i64::from(period.seconds());
        let hour = period.steps(3600);
        if let Some(step) = hotp.newest([code], now.saturating_sub(hour), now.saturating_add(hour)) {
            let steps = step.wrapping_sub(now).cast_signed();
            return Ok(Some(Diagnosis::ClockOff(steps.saturating_mul(seconds))));
        }
        let zones = (5..=56).flat_map(|quarters: i64| [quarters * 900, quarters * -900]);
        let zone =
            zones.into_iter().find(|&zone| shows(one.algorithm, Some(period), context.now.saturating_add_signed(zone)));
        Ok(zone.map(Diagnosis::ClockOff))
    }
}

/// Wrong codes that an enrolment forgives.
const MAX_TRIES: u8 = 20;
