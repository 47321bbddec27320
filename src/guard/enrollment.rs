//! Enrollment: an authenticator is shown, stands beside whatever works today, and counts once it has proved itself.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, same_hmac_key};
use crate::code::{Code, Digits};
use crate::ct;
use crate::error::Error;
use crate::guard::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::event::{Event, EventKind};
use crate::guard::proof::{Proof, Purpose};
use crate::guard::randomness::Randomness;
use crate::guard::record::{
    Authenticator, AuthenticatorId, Pending, RecoverySet, SecondFactor, check_name, generation_after,
};
use crate::guard::recovery::RecoveryCodes;
use crate::guard::seal::Owner;
use crate::guard::transition::{Change, Committed, Transition};
use crate::guard::verify::Refusal;
use crate::hotp::Hotp;
use crate::key::Key;
use crate::secret::Secret;
use crate::totp::Period;
use crate::uri::KeyUri;

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
    period: Option<Period>,
    counter: u64,
    algorithm: Algorithm,
    digits: Digits,
    secret: Option<Secret>,
    label: String,
    name: String,
    replaces: Option<AuthenticatorId>,
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
            return Err(crate::uri::not_supported("steam"));
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
            return Err(crate::guard::record::NAME_REFUSED);
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
pub struct Enrollment {
    authenticator: AuthenticatorId,
    uri: KeyUri,
    expires_at: u64,
}

impl Enrollment {
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

/// The answer to the code that is to prove an enrollment. [`Diagnosis`] has an example.
#[derive(Debug)]
#[must_use]
pub enum Confirmation {
    /// The authenticator is active. Its code is spent: it is no login.
    Confirmed(Confirmed),
    /// The code does not fit.
    Refused {
        /// Why. The user who enrolls may be told more than this, by the diagnosis.
        refusal: Refusal,
        /// What the authenticator seems to do differently.
        diagnosis: Option<Diagnosis>,
    },
}

/// An authenticator that has proved itself.
#[derive(Debug)]
pub struct Confirmed {
    user: String,
    /// After the confirmation.
    generation: u64,
    authenticator: AuthenticatorId,
    pub(crate) recovery_codes: Option<RecoveryCodes>,
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
    /// Shows a new authenticator, pending until [`confirm`](Self::confirm). What worked before works on; an enrollment that
    /// was waiting is dropped.
    ///
    /// `issuer` is the name of your service, as authenticator apps will show it. The proof is for [`Purpose::ADD`], and needed once the account has an active authenticator.
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
        issuer: &str,
        setup: &Setup,
        proof: Option<&Proof>,
    ) -> Result<Transition<Enrollment>, GuardError> {
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
            Some(period) => KeyUri::totp(issuer, &setup.label, &secret)?.with_period(period)?,
            None => KeyUri::hotp(issuer, &setup.label, &secret, setup.counter)?,
        };
        let uri = uri.with_algorithm(setup.algorithm).with_digits(setup.digits);

        let id = AuthenticatorId::random(random)?;
        let Setup { period, algorithm, digits, .. } = *setup;
        let owner = Owner::authenticator(context.user, &id, algorithm, digits, period);
        let authenticator = Authenticator {
            secret: context.keyring.seal(secret.expose_bytes(), &owner, random)?,
            id: id.clone(),
            name: setup.name.clone(),
            period,
            algorithm,
            digits,
            created: context.now,
            next: setup.counter,
            disclosed: 0,
            drift: 0,
            lean: 0,
            resynced: 0,
            used: 0,
        };

        let mut next = self.clone();
        if next.generation == 0 {
            next.generation = random.generation()?;
        }
        let canceled = next.cancel_enrollment(context);
        next.pending = Some(Pending {
            authenticator,
            since: context.now,
            imported: setup.secret.is_some(),
            tries: 0,
            confirmed: 0,
            replaces: setup.replaces.clone(),
        });
        let started = EventKind::EnrollmentStarted { authenticator: id.clone() };
        let events = context.events(canceled.into_iter().chain([started]));
        let expires_at = context.now.saturating_add(context.policy.enrollment_lifetime());
        let enrollment = Enrollment { authenticator: id, uri, expires_at };
        Ok(Transition::new(Change::Write(next.write()), move || Committed { value: enrollment, events }))
    }

    /// Activates the pending authenticator by its code, which counts as used from then on.
    ///
    /// Where the secret was made by [`enroll`](Self::enroll), the user who is asked has just been shown it: a wrong code is
    /// one of the twenty that an enrollment forgives, and comes with a [`Diagnosis`]. Where it was imported, a wrong code is a
    /// guess. It is charged to the guess budget of the account as a wrong code of a login is, it waits as that does, and there
    /// is no diagnosis.
    ///
    /// The first authenticator of an account needs recovery codes beside it:
    /// [`first_recovery_codes`](Self::first_recovery_codes) makes them, in a transition of its own.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NoEnrollment`] if none is waiting, it waited too long, or too many codes were wrong.
    /// [`GuardErrorKind::KeyMissing`] and [`GuardErrorKind::SealBroken`] if its secret does not open.
    pub fn confirm(&self, context: &Context<'_>, typed: &str) -> Result<Transition<Confirmation>, GuardError> {
        let waiting = self.pending.as_ref().filter(|pending| pending.is_waiting(context));
        let pending = waiting.ok_or(GuardErrorKind::NoEnrollment)?;
        let refused = |reason, change, exhausted: Option<EventKind>| {
            let refused = EventKind::EnrollmentRefused { reason, diagnosis: None };
            let events = context.events([refused].into_iter().chain(exhausted));
            let value = Confirmation::Refused { refusal: reason, diagnosis: None };
            Transition::new(change, move || Committed { value, events })
        };
        let Ok(code) = Code::parse(typed) else { return Ok(refused(Refusal::Malformed, Change::None, None)) };
        if pending.imported
            && let Some((reason, change, exhausted)) = self.barred(context)
        {
            return Ok(refused(reason, change, exhausted));
        }

        // Up to the swap, a right code and a wrong one do the same work, and write records of the same length: an answer
        // that lost its swap is decided again, and its time must not tell what it was.
        let authenticator = &pending.authenticator;
        let (from, to) = authenticator.window(context.policy, context.now);
        let hotp = authenticator.hotp(context.user, context.keyring)?;
        let (hit, counter) = hotp.scan([&code], from.max(authenticator.next), to).hidden();
        let hit = hit & !authenticator.was_disclosed(counter);
        let diagnosis =
            if pending.imported { HiddenDiagnosis::none() } else { pending.diagnose(context, &code, to)? };

        let mut next = self.clone();
        let mut lifted = false;
        if pending.imported {
            next.budget.charge(context.policy, context.now, hit);
        } else if !self.active.is_empty() {
            // The re-binding of NIST SP 800-63B-4, section 3.2.2. It took a proof, so no guesser gets here. The first
            // authenticator of an account takes none, and so lifts nothing.
            lifted = next.budget.lift(context.policy, context.now, hit);
        }
        next.pending = Some(Pending {
            tries: ct::select(hit, pending.tries, pending.tries.saturating_add(1)),
            confirmed: hit & 1,
            authenticator: Authenticator {
                next: ct::select(hit, counter.wrapping_add(1), authenticator.next),
                disclosed: ct::select(!hit & diagnosis.future, diagnosis.step.wrapping_add(1), authenticator.disclosed),
                ..authenticator.clone()
            },
            ..pending.clone()
        });
        let record = next.write();

        let (id, replaced) = (authenticator.id.clone(), pending.replaces.clone());
        let exhausts = pending.imported && self.budget.ends_with_a_failure(context.policy, context.now);
        let generation = generation_after(self.generation);
        let (user, now) = (String::from(context.user), context.now);
        Ok(Transition::new(Change::Write(record), move || {
            let event = |kind| Event::new(&user, now, kind);
            // Public: the record that carries the consequence is stored.
            if ct::declassify(hit) {
                let mut events = vec![event(EventKind::Confirmed { authenticator: id.clone() })];
                events.extend(replaced.map(|authenticator| event(EventKind::Revoked { authenticator })));
                events.extend(lifted.then(|| event(EventKind::Unlocked)));
                let user = user.clone();
                let confirmed = Confirmed { user, generation, authenticator: id, recovery_codes: None };
                return Committed { value: Confirmation::Confirmed(confirmed), events };
            }
            let (reason, diagnosis) = (Refusal::WrongCode, diagnosis.reveal());
            let mut events = vec![event(EventKind::EnrollmentRefused { reason, diagnosis })];
            events.extend(exhausts.then(|| event(EventKind::Exhausted)));
            Committed { value: Confirmation::Refused { refusal: reason, diagnosis }, events }
        }))
    }

    /// Makes the recovery codes that belong to the first authenticator of an user, right after it was confirmed: `None`
    /// if the account has recovery codes.
    ///
    /// If the answer is lost, [`regenerate_recovery_codes`](Self::regenerate_recovery_codes) makes others.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`] if the confirmation is of another user, or if the factors have changed since.
    /// [`GuardErrorKind::Randomness`].
    pub fn first_recovery_codes(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        confirmed: &Confirmed,
    ) -> Result<Transition<Option<RecoveryCodes>>, GuardError> {
        if confirmed.user != context.user || confirmed.generation != self.generation {
            return Err(GuardErrorKind::ProofRejected.into());
        }
        if self.recovery.is_some() {
            return Ok(Transition::of(None, vec![]));
        }
        let (codes, set) = RecoverySet::generate(context, random)?;
        let next = Self { recovery: Some(set), ..self.clone() };
        Ok(next.changed(context, [EventKind::RecoveryCodesIssued], Some(codes)))
    }
}

impl SecondFactor {
    fn has_secret(&self, context: &Context<'_>, secret: &Secret) -> bool {
        // One that does not open now is no reason not to enroll another.
        let opened = |one: &Authenticator| context.keyring.open(&one.secret, &one.owner(context.user)).ok();
        self.active.iter().filter_map(opened).any(|opened| match Key::new(&opened) {
            Ok(key) => same_hmac_key(key, secret.into()),
            Err(_) => false,
        })
    }
}

impl Pending {
    /// Whether a code may still confirm it. A beginning in the future was seen by a clock that ran a little ahead; if it
    /// is further off than an enrollment lasts, the clock was set back, and nobody knows how long this has waited.
    pub(crate) fn is_waiting(&self, context: &Context<'_>) -> bool {
        context.now.abs_diff(self.since) < context.policy.enrollment_lifetime() && self.tries < MAX_TRIES
    }

    /// Tries what apps are known to get wrong, the likeliest first. All of it is computed, always: the time must not tell.
    /// `end` is the last step of the window in which a code confirms.
    fn diagnose(&self, context: &Context<'_>, code: &Code, end: u64) -> Result<HiddenDiagnosis, GuardError> {
        let one = &self.authenticator;
        let secret = context.keyring.open(&one.secret, &one.owner(context.user))?;
        let key = Key::new(&secret).map_err(|_| GuardErrorKind::SealBroken)?;
        let hotp = |algorithm| Hotp::with_algorithm(key, algorithm).with_digits(code.digits());
        let around = |period: Period, at: u64| {
            let step = period.steps(at);
            (step.saturating_sub(1), step.saturating_add(1))
        };
        let now = |period: Option<Period>| match period {
            Some(period) => around(period, context.now),
            None => (one.next, one.next.saturating_add(context.policy.look_ahead().get().into())),
        };
        let shows = |algorithm, (from, to)| hotp(algorithm).scan([code], from, to).hidden();
        let algorithms = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
        let mut found = HiddenDiagnosis::none();
        if code.digits() != one.digits {
            let ignored = |algorithm| shows(algorithm, now(one.period)).0;
            let any = algorithms.map(ignored).into_iter().fold(0, |any, mask| any | mask);
            found.consider(any, Diagnosis::DigitsIgnored(code.digits()));
            return Ok(found);
        }
        for algorithm in algorithms.into_iter().filter(|algorithm| *algorithm != one.algorithm) {
            found.consider(shows(algorithm, now(one.period)).0, Diagnosis::AlgorithmIgnored(algorithm));
        }
        let Some(period) = one.period else { return Ok(found) };
        for other in [30, 60].into_iter().filter_map(|seconds| Period::new(seconds).ok()) {
            if other != period {
                let (ignored, _) = shows(one.algorithm, now(Some(other)));
                found.consider(ignored, Diagnosis::PeriodIgnored(other));
            }
        }
        // An hour on either side; then a wrong time zone, which is off by whole quarters of an hour up to fourteen hours.
        let hotp = hotp(one.algorithm);
        let (step, hour) = (period.steps(context.now), period.steps(3600));
        let near = hotp.scan([code], step.saturating_sub(hour), step.saturating_add(hour)).hidden();
        let ahead = near.1.wrapping_sub(step).wrapping_mul(period.seconds().into()).cast_signed();
        found.consider_clock(near, ahead, (end, one.disclosed));
        for zone in (5..=56).flat_map(|quarters: i64| [quarters * 900, quarters * -900]) {
            let (from, to) = around(period, context.now.saturating_add_signed(zone));
            found.consider_clock(hotp.scan([code], from, to).hidden(), zone, (end, one.disclosed));
        }
        Ok(found)
    }
}

/// What was found out about a wrong code, and must not show before the swap.
struct HiddenDiagnosis {
    candidates: Vec<Diagnosis>,
    /// Which of them it is, counted from 1, or 0.
    found: u64,
    /// By how many seconds the clock is ahead, for [`Diagnosis::ClockOff`].
    seconds: u64,
    step: u64,
    /// All ones if the code is that of a step which has yet to come.
    future: u64,
}

impl HiddenDiagnosis {
    const fn none() -> Self {
        Self { candidates: Vec::new(), found: 0, seconds: 0, step: 0, future: 0 }
    }

    /// Takes this one if `mask` says so and none before it was taken.
    fn consider(&mut self, mask: u64, diagnosis: Diagnosis) -> u64 {
        self.candidates.push(diagnosis);
        let taken = mask & ct::mask_same(self.found, 0);
        let number = self.candidates.len().try_into().unwrap_or(u64::MAX);
        self.found = ct::select(taken, number, self.found);
        taken
    }

    /// To say that a code is that of a later moment is to say which code will be right then, to somebody who may have
    /// guessed it. So it is said of one step for each enrollment, whose code is used from then on.
    fn consider_clock(&mut self, (hit, step): (u64, u64), seconds: i64, (end, disclosed): (u64, u64)) {
        let future = ct::mask_less(end, step);
        let withheld = future & !ct::mask_same(disclosed, 0) & !ct::mask_same(disclosed, step.wrapping_add(1));
        let taken = self.consider(hit & !withheld, Diagnosis::ClockOff(0));
        self.seconds = ct::select(taken, seconds.cast_unsigned(), self.seconds);
        self.step = ct::select(taken, step, self.step);
        self.future = ct::select(taken, future, self.future);
    }

    /// Public: it is told, and a step that it discloses is stored.
    fn reveal(self) -> Option<Diagnosis> {
        let found = |(_, number): &(Diagnosis, u64)| ct::declassify(ct::mask_same(self.found, *number));
        match self.candidates.into_iter().zip(1..).find(found)?.0 {
            Diagnosis::ClockOff(_) => Some(Diagnosis::ClockOff(self.seconds.cast_signed())),
            diagnosis => Some(diagnosis),
        }
    }
}

/// Wrong codes that an enrollment forgives.
const MAX_TRIES: u64 = 20;
