//! A guard with a clock that can be set, and the phone of its accounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use keyfob::guard::{Answer, Challenge, DeviceToken, EventKind, Expectation, Login, Setup, SignIn};
use keyfob::store::Store;
use keyfob::{Guard, Key, KeyUri, Keyring, Policy, Secret, Totp, Verdict};

use crate::{AT, SECRET};

/// How many accounts are verified at once.
pub const AT_ONCE: usize = 32;
pub const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// All accounts have the same secret.
pub struct Phone<S> {
    pub guard: Arc<Guard<S>>,
    pub keyring: Keyring,
    clock: Arc<AtomicU64>,
    totp: Totp,
}

impl<S: Store> Phone<S> {
    /// # Panics
    ///
    /// Without a source of randomness.
    pub fn new(store: S) -> Self {
        Self::build(store, |guard| guard)
    }

    /// Also counts the codes that the guard accepts.
    ///
    /// # Panics
    ///
    /// Without a source of randomness.
    pub fn counting(store: S) -> (Self, Arc<AtomicU64>) {
        let accepted = Arc::new(AtomicU64::new(0));
        let count = accepted.clone();
        let phone = Self::build(store, |guard| {
            guard.with_events(move |event| {
                let accepted = matches!(event.kind(), EventKind::Accepted { .. });
                count.fetch_add(accepted.into(), Ordering::Relaxed);
            })
        });
        (phone, accepted)
    }

    fn build(store: S, finish: impl FnOnce(Guard<S>) -> Guard<S>) -> Self {
        let entry = Keyring::generate("2026").expect("random");
        let keyring = Keyring::parse(&entry).expect("valid");
        let clock = Arc::new(AtomicU64::new(AT));
        let time = clock.clone();
        let guard = Guard::new(store, keyring.clone(), "Example Inc")
            .with_policy(policy())
            .with_clock(move || Some(time.load(Ordering::Relaxed)));
        Self { guard: Arc::new(finish(guard)), keyring, clock, totp: Totp::new(Key::new(SECRET).expect("valid")) }
    }

    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Lets thirty seconds pass, after which each account has a code that was not used.
    ///
    /// Of a million codes, a few are equal to the one before. Then it lets another thirty seconds pass.
    pub fn wait(&self) {
        let code = |at| self.totp.code_at(at).to_string();
        loop {
            let before = self.clock.fetch_add(30, Ordering::Relaxed);
            if code(before) != code(before + 30) {
                break;
            }
        }
    }

    #[must_use]
    pub fn code(&self) -> String {
        self.totp.code_at(self.now()).to_string()
    }

    /// # Panics
    ///
    /// If the store fails, or if the account is enrolled.
    pub async fn enroll(&self, account: &str) {
        let setup = Setup::import(&key_uri(account)).expect("TOTP");
        self.guard.enroll(account, &setup).await.expect("enrolled");
        let _ = self.guard.confirm(account, &self.code()).await.expect("confirmed");
    }

    /// Begins a login for which a code is due.
    ///
    /// # Panics
    ///
    /// If the store fails, or if no code is due.
    pub async fn challenge(&self, account: &str, device: Option<&DeviceToken>) -> Challenge {
        match self.guard.begin_login(account, Expectation::Enrolled, device).await.expect("decided") {
            Login::Challenge(challenge) => challenge,
            login => panic!("no code is due: {login:?}"),
        }
    }

    /// A login with the current code.
    ///
    /// # Panics
    ///
    /// If the store fails, or if the code was used.
    pub async fn sign_in(&self, account: &str, device: Option<&DeviceToken>) -> SignIn {
        let challenge = self.challenge(account, device).await;
        match self.guard.answer(&challenge, &self.code()).await.expect("decided") {
            Answer::Accepted(sign_in) => sign_in,
            Answer::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    /// Thirty seconds later, verifies the current code.
    pub async fn accept_one(&self, account: &str) -> bool {
        self.wait();
        matches!(self.guard.verify(account, &self.code()).await, Ok(Verdict::Accepted(_)))
    }

    /// Thirty seconds later, verifies the current code of these accounts at once. Returns how many were accepted.
    pub async fn accept(&self, accounts: &[String]) -> usize {
        self.wait();
        let code = self.code();
        let verdicts = join_all(accounts.iter().map(|account| self.guard.verify(account, &code))).await;
        verdicts.iter().filter(|verdict| matches!(verdict, Ok(Verdict::Accepted(_)))).count()
    }
}

/// What another system knows about an account's app.
///
/// # Panics
///
/// If the name cannot be part of a URI.
#[must_use]
pub fn key_uri(account: &str) -> KeyUri {
    KeyUri::totp("Example Inc", account, &Secret::from_bytes(SECRET).expect("valid")).expect("valid")
}

/// The default policy, but with trusted devices.
///
/// # Panics
///
/// Never: the lifetime is valid.
#[must_use]
pub fn policy() -> Policy {
    Policy::default().with_trusted_devices(MONTH).expect("valid")
}

/// The names of so many accounts, in order.
#[must_use]
pub fn accounts(count: usize) -> Vec<String> {
    (0..count).map(account).collect()
}

#[must_use]
pub fn account(number: usize) -> String {
    format!("user-{number:07}")
}
