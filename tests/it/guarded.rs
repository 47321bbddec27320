//! An account that is enrolled, its phone, and a clock that stands where it is put.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keyfob::guard::{AuthenticatorId, Confirmation, Context, Refusal, SecondFactor, Setup, Waits};
use keyfob::store::{MemoryStore, Store, StoreError, Swap, Version};
use keyfob::{Guard, KeyUri, Keyring, Policy, Secret, Totp, Verdict};

pub const ACCOUNT: &str = "user-17";
pub const START: u64 = 1_900_000_000;
pub const KEYS: &str = "2026:GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA";

/// A guard whose clock is set by hand.
pub struct Guarded<S> {
    pub guard: Guard<S>,
    clock: Arc<AtomicU64>,
}

impl<S: Store> Guarded<S> {
    pub fn new(store: S, policy: Policy) -> Self {
        let clock = Arc::new(AtomicU64::new(START));
        let guard = Guard::new(store, keyring(), "Example Inc").with_policy(policy).with_clock({
            let clock = clock.clone();
            move || Some(clock.load(Ordering::SeqCst))
        });
        Self { guard, clock }
    }

    pub fn set(&self, now: u64) {
        self.clock.store(now, Ordering::SeqCst);
    }

    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// Enrolls the phone of `seed`, and goes on to where it shows a code that is not spent.
    pub async fn enroll(&self, seed: u8) -> (AuthenticatorId, Vec<String>) {
        let secret = Secret::from_bytes(&[seed; 20]).unwrap();
        let setup = Setup::import(&KeyUri::totp("Example Inc", "alice", &secret).unwrap()).unwrap();
        self.guard.enroll(ACCOUNT, &setup).await.unwrap();
        let confirmation = self.guard.confirm(ACCOUNT, &code(seed, self.now())).await.unwrap();
        let Confirmation::Confirmed(confirmed) = confirmation else { panic!("the code does not confirm") };
        self.set(self.now() + 60);
        let codes = confirmed.recovery_codes().map_or(vec![], |codes| codes.iter().map(str::to_owned).collect());
        (confirmed.authenticator().clone(), codes)
    }

    pub async fn verify(&self, typed: &str) -> Result<Answer, keyfob::guard::GuardError> {
        Ok(Answer::from(self.guard.verify(ACCOUNT, typed).await?))
    }

    /// As wrong as `count` different codes are that the phone of `seed` does not show now.
    pub async fn fail(&self, seed: u8, count: usize) {
        for typed in wrong(seed, self.now()).take(count) {
            assert_eq!(self.verify(&typed).await.unwrap(), Answer::Refused(Refusal::WrongCode));
        }
    }
}

/// A verdict that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    Refused(Refusal),
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted(_) => Self::Accepted,
            Verdict::Refused(refused) => Self::Refused(refused),
        }
    }
}

impl Answer {
    /// What a record as it is, alone, answers. Nothing is stored.
    pub fn of(record: Option<&[u8]>, policy: &Policy, now: u64, typed: &str) -> Self {
        let keyring = keyring();
        let context = Context::new(ACCOUNT, now, policy, &keyring).unwrap();
        let transition = SecondFactor::read(record).unwrap().verify(&context, typed).unwrap();
        transition.committed(Swap::Swapped).unwrap().value.into()
    }
}

pub fn keyring() -> Keyring {
    Keyring::parse(KEYS).unwrap()
}

pub fn code(seed: u8, now: u64) -> String {
    Totp::new(&Secret::from_bytes(&[seed; 20]).unwrap()).code_at(now).to_string()
}

/// Codes that are wrong, and were a little earlier and will be a little later.
pub fn wrong(seed: u8, now: u64) -> impl Iterator<Item = String> {
    let right: Vec<String> = (0..40).map(|step| code(seed, now - 600 + 30 * step)).collect();
    (0..1_000_000).map(|number| format!("{number:06}")).filter(move |typed| !right.contains(typed))
}

/// After so many failures, so many seconds, and at most so many.
pub fn waits(after_failures: u8, first: u32, longest: u32) -> Waits {
    Waits { after_failures, first: Duration::from_secs(first.into()), longest: Duration::from_secs(longest.into()) }
}

/// The policy that stands the most attempts: with a day between rounds nothing adds up.
pub fn patient() -> Policy {
    Policy::default().with_waits(waits(10, 30, 3600)).unwrap().with_long_term(100, 24).unwrap()
}

pub async fn record(store: &impl Store) -> Option<Vec<u8>> {
    let loaded = store.load(ACCOUNT).await.map_err(Into::<StoreError>::into);
    loaded.unwrap().map(|(_, record)| record)
}

/// The same record in a store of its own.
pub async fn copy(store: &impl Store) -> MemoryStore {
    let copy = MemoryStore::new();
    if let Some(record) = record(store).await {
        let _ = copy.swap(ACCOUNT, None, Some(&record)).await.unwrap();
    }
    copy
}

/// Reads, compares, and then writes: what a store must not do.
pub struct Racy<S>(pub S);

impl<S: Store> Racy<S> {
    async fn version(&self, account: &str) -> Result<Option<Version>, StoreError> {
        Ok(self.load(account).await?.map(|(version, _)| version))
    }
}

impl<S: Store> Store for Racy<S> {
    type Error = StoreError;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        self.0.load(account).await.map_err(Into::into)
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        if self.version(account).await? != expected {
            return Ok(Swap::Conflict);
        }
        // What another process does in between, it does not notice.
        std::thread::yield_now();
        futures_lite::future::yield_now().await;
        while self.0.swap(account, self.version(account).await?, record).await.map_err(Into::into)? == Swap::Conflict {}
        Ok(Swap::Swapped)
    }
}

/// A file that goes with its directory.
pub struct Scratch(std::path::PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        // Several runs of the suite may share the directory.
        let path = std::env::temp_dir().join(format!("keyfob-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// So many times, or as often as `KEYFOB_SCALE` says.
pub fn scaled(times: usize) -> usize {
    times * std::env::var("KEYFOB_SCALE").map_or(1, |scale| scale.parse::<usize>().expect("KEYFOB_SCALE is a number"))
}

/// Around the capture of the test harness.
pub fn report(figures: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{figures}\n").as_bytes());
}
