//! The guard, flow by flow. Every test has a [`World`]: a guard over a store in memory, with a clock that stands still.

mod budget;
mod bypass;
mod change;
mod devices;
mod dropped;
mod enrollment;
mod events;

mod imported;
mod length;
mod limits;
mod login;
mod notices;
mod operator;
mod policy;
mod printed;
mod proof;
mod record;
mod recovery;
mod reopen;
mod restore;
mod rotation;
mod seal;
mod strict;
mod verify;
mod vouch;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures_lite::future::block_on;
use keyfob::guard::{
    Accepted, Answer, AuthenticatorId, Confirmation, Confirmed, DeviceToken, Enrollment, Event, EventKind, Expectation,
    GuardError, GuardErrorKind, Login, Proof, Purpose, Randomness, Refusal, Setup, Status,
};
use keyfob::store::{MemoryStore, Store, Swap, Version};
use keyfob::{Guard, Hotp, KeyUri, Keyring, Policy, Verdict};
use serde_json::{Value, json};

use crate::Random;

pub const T: u64 = 1_900_000_000;
pub const DAY: u64 = 86_400;
pub const YEAR: u64 = 365 * DAY;
pub const AL: &str = "al";

/// A guard, its clock, and who listens to it.
pub struct World {
    pub guard: Guard<Arc<MemoryStore>>,
    store: Arc<MemoryStore>,
    clock: Arc<Mutex<Option<u64>>>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Policy::default())
    }

    pub fn with(policy: Policy) -> Self {
        let clock = Arc::new(Mutex::new(Some(T)));
        Self::over(MemoryStore::new().into(), clock, Arc::default(), policy, &keyring(&["2026"]))
    }

    /// The same store, clock and listener, with other settings: a server after a new configuration.
    pub fn again(&self, policy: Policy, keyring: &Keyring) -> Self {
        Self::over(self.store.clone(), self.clock.clone(), self.events.clone(), policy, keyring)
    }

    fn over(
        store: Arc<MemoryStore>,
        clock: Arc<Mutex<Option<u64>>>,
        events: Arc<Mutex<Vec<Event>>>,
        policy: Policy,
        keyring: &Keyring,
    ) -> Self {
        let (time, heard) = (clock.clone(), events.clone());
        let guard = Guard::new(store.clone(), keyring.clone(), "Example")
            .with_policy(policy)
            .with_clock(move || *time.lock().unwrap())
            .with_randomness(randomness(7))
            .with_events(move |event| heard.lock().unwrap().push(event.clone()));
        Self { guard, store, clock, events }
    }

    /// One account with an app, and a minute passed since.
    pub fn enrolled() -> (Self, Phone, Vec<String>) {
        Self::enrolled_with(Policy::default(), &Setup::totp("al@example.com"))
    }

    pub fn enrolled_with(policy: Policy, setup: &Setup) -> (Self, Phone, Vec<String>) {
        let world = Self::with(policy);
        let (phone, codes) = world.add(AL, setup, None);
        (world, phone, codes)
    }

    /// Enrolls one authenticator, lets a minute pass, and forgets what was heard.
    pub fn add(&self, account: &str, setup: &Setup, proof: Option<&Proof>) -> (Phone, Vec<String>) {
        let mut phone = Phone::of(&self.enroll(account, setup, proof).unwrap());
        let typed = phone.code(self.now());
        let confirmed = self.confirm(account, &typed);
        let codes = confirmed.recovery_codes().map_or(Vec::new(), |codes| codes.iter().map(Into::into).collect());
        self.pass(60);
        self.heard();
        (phone, codes)
    }

    pub fn now(&self) -> u64 {
        self.clock.lock().unwrap().unwrap()
    }

    pub fn at(&self, now: impl Into<Option<u64>>) {
        *self.clock.lock().unwrap() = now.into();
    }

    pub fn pass(&self, seconds: u64) {
        self.at(self.now() + seconds);
    }

    /// What was heard since it was asked last.
    pub fn heard(&self) -> Vec<EventKind> {
        self.events.lock().unwrap().drain(..).map(|event| event.kind().clone()).collect()
    }

    pub fn heard_as_text(&self) -> String {
        self.events.lock().unwrap().iter().map(|event| format!("{event} {event:?}\n")).collect()
    }

    pub fn enroll(&self, account: &str, setup: &Setup, proof: Option<&Proof>) -> Result<Enrollment, GuardError> {
        block_on(async {
            match proof {
                Some(proof) => self.guard.enroll_another(account, setup, proof).await,
                None => self.guard.enroll(account, setup).await,
            }
        })
    }

    pub fn confirm(&self, account: &str, typed: &str) -> Confirmed {
        match block_on(self.guard.confirm(account, typed)).unwrap() {
            Confirmation::Confirmed(confirmed) => confirmed,
            Confirmation::Refused { refusal, .. } => panic!("{refusal:?}"),
        }
    }

    pub fn try_verify(&self, account: &str, typed: &str) -> Result<Result<Accepted, Refusal>, GuardError> {
        Ok(match block_on(self.guard.verify(account, typed))? {
            Verdict::Accepted(accepted) => Ok(accepted),
            Verdict::Refused(refused) => Err(refused),
        })
    }

    /// A login with a code, from its beginning.
    pub fn log_in(&self, typed: &str, device: Option<&DeviceToken>) -> Answer {
        let Login::Challenge(challenge) = self.begin(device) else { panic!("no code is due") };
        block_on(self.guard.answer(&challenge, typed)).unwrap()
    }

    pub fn begin(&self, device: Option<&DeviceToken>) -> Login {
        block_on(self.guard.begin_login(AL, Expectation::Enrolled, device)).unwrap()
    }

    pub fn verify(&self, typed: &str) -> Result<Accepted, Refusal> {
        self.try_verify(AL, typed).unwrap()
    }

    /// Logs in, thirty seconds later, and proves it.
    pub fn prove(&self, phone: &mut Phone, purpose: &Purpose) -> Proof {
        self.pass(30);
        let accepted = self.verify(&phone.code(self.now())).unwrap();
        self.guard.prove(&accepted, purpose)
    }

    pub fn status(&self) -> Status {
        block_on(self.guard.status(AL)).unwrap()
    }

    pub fn bytes(&self, account: &str) -> Option<Vec<u8>> {
        self.stored(account).map(|(_, record)| record)
    }

    /// The version as well, which tells whether anything was written.
    pub fn stored(&self, account: &str) -> Option<(Version, Vec<u8>)> {
        block_on(self.store.load(account)).unwrap()
    }

    pub fn record(&self) -> Value {
        serde_json::from_slice(&self.bytes(AL).unwrap()).unwrap()
    }

    pub fn put(&self, account: &str, record: &[u8]) {
        let version = self.stored(account).map(|(version, _)| version);
        assert_eq!(block_on(self.store.swap(account, version, Some(record))).unwrap(), Swap::Swapped);
    }

    /// Changes the stored record of the one account.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut record = self.record();
        change(&mut record);
        self.put(AL, &serde_json::to_vec(&record).unwrap());
    }

    /// So many wrong codes, none of which is right in the window; each as soon as it is compared.
    pub fn fail(&self, phone: &Phone, times: u32) {
        for _ in 0..times {
            if let Some(retry_at) = self.status().retry_at() {
                self.at(retry_at);
            }
            assert_eq!(self.verify(&phone.wrong(self.now())).unwrap_err(), Refusal::WrongCode);
        }
    }
}

/// The budget of a record with these fields. All others are 0.
pub fn budget(fields: Value) -> Value {
    let mut budget = json!({
        "failures": 0, "failed_at": 0, "level": 0, "level_at": 0, "until": 0, "reported_at": 0, "succeeded_at": 0,
        "known_failures": 0, "known_failed_at": 0, "known_level": 0,
    });
    let Value::Object(fields) = fields else { panic!() };
    fields.into_iter().for_each(|(name, value)| budget[name] = value);
    budget
}

/// An authenticator, which need not agree with what the server thinks of it.
#[derive(Clone)]
pub struct Phone {
    pub id: AuthenticatorId,
    pub uri: KeyUri,
    pub hotp: Hotp,
    pub counter: u64,
    /// Seconds.
    pub ahead: i64,
}

impl Phone {
    pub fn of(enrollment: &Enrollment) -> Self {
        let uri = enrollment.uri().clone();
        let hotp = Hotp::with_algorithm(uri.secret(), uri.algorithm()).with_digits(uri.digits());
        let counter = uri.counter().unwrap_or(0);
        Self { id: enrollment.authenticator().clone(), uri, hotp, counter, ahead: 0 }
    }

    pub fn step(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.ahead) / u64::from(self.uri.period().unwrap().seconds())
    }

    /// The code of this moment, or the next one of a counter.
    pub fn code(&mut self, now: u64) -> String {
        if self.uri.period().is_some() {
            return self.hotp.code(self.step(now)).to_string();
        }
        self.counter += 1;
        self.hotp.code(self.counter - 1).to_string()
    }

    /// A code that is not good at any counter or step that is near.
    pub fn wrong(&self, now: u64) -> String {
        let middle = if self.uri.period().is_some() { self.step(now) } else { self.counter };
        let near: Vec<String> =
            (middle.saturating_sub(30)..middle.saturating_add(30)).map(|at| self.hotp.code(at).to_string()).collect();
        let mut codes = (424_242..).map(|number| format!("{number:0width$}", width = self.uri.digits().get().into()));
        codes.find(|code| !near.contains(code)).unwrap()
    }
}

pub fn entry(id: &str) -> String {
    let mut seed = [0; 32];
    seed[..id.len()].copy_from_slice(id.as_bytes());
    format!("{id}:{}", *keyfob::base32::encode(&seed))
}

/// Keys with these ids, the primary one first.
pub fn keyring(ids: &[&str]) -> Keyring {
    Keyring::parse(&ids.iter().map(|id| entry(id)).collect::<Vec<_>>().join(",")).unwrap()
}

/// Not random at all: the same on every run.
pub fn randomness(seed: u64) -> Randomness {
    let random = Mutex::new(Random(seed));
    Randomness::new(move |buffer| {
        let mut random = random.lock().unwrap();
        buffer.iter_mut().for_each(|byte| *byte = random.next().to_le_bytes()[0]);
        Ok::<(), ()>(())
    })
}

pub fn kind<T: Debug>(result: Result<T, GuardError>) -> GuardErrorKind {
    result.unwrap_err().kind()
}
