//! What an adversary's reading of the guard and the stores has found, one test each.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use futures_lite::future::block_on;
use keyfob::guard::{Accepted, Confirmation, Enrolment, EventKind, GuardErrorKind, Purpose, Setup};
use keyfob::store::{MemoryStore, Store, Swap, Version, conformance};
use keyfob::{Guard, Keyring, Policy, Totp, Verdict};

const ACCOUNT: &str = "user-17";

/// Servers that share a store and a clock.
struct World {
    store: Arc<MemoryStore>,
    now: Arc<AtomicU64>,
}

impl World {
    fn new() -> Self {
        Self { store: Arc::default(), now: Arc::new(AtomicU64::new(1_900_000_000)) }
    }

    fn server(&self, keys: &str) -> Guard<Arc<MemoryStore>> {
        let now = self.now.clone();
        let guard = Guard::new(self.store.clone(), Keyring::parse(keys).unwrap(), "Example Inc");
        guard.with_clock(move || Some(now.load(SeqCst)))
    }

    fn now(&self) -> u64 {
        self.now.load(SeqCst)
    }

    fn later(&self, seconds: u64) -> u64 {
        self.now.fetch_add(seconds, SeqCst) + seconds
    }
}

fn key(id: &str) -> String {
    Keyring::generate_entry(id, &mut rand::rngs::SysRng).unwrap().to_string()
}

fn phone(enrolment: &Enrolment) -> Totp {
    enrolment.uri().to_totp().unwrap()
}

/// Enrols the first authenticator.
fn enrol(world: &World, guard: &Guard<Arc<MemoryStore>>) -> Totp {
    let phone = phone(&block_on(guard.enroll(ACCOUNT, "alice")).unwrap());
    let code = phone.code_at(world.now()).to_string();
    let Confirmation::Confirmed(_) = block_on(guard.confirm(ACCOUNT, &code)).unwrap() else { panic!() };
    phone
}

/// Logs in, at a later step.
fn log_in(world: &World, guard: &Guard<Arc<MemoryStore>>, phone: &Totp) -> Accepted {
    let code = phone.code_at(world.later(90)).to_string();
    let Verdict::Accepted(accepted) = block_on(guard.verify(ACCOUNT, &code)).unwrap() else { panic!() };
    accepted
}

#[test]
fn a_clock_set_back_does_not_keep_an_enrolment_waiting() {
    let world = World::new();
    let guard = world.server(&key("a"));
    let real = world.now();
    world.now.store(real + 365 * 86_400, SeqCst);
    let phone = phone(&block_on(guard.enroll(ACCOUNT, "alice")).unwrap());
    world.now.store(real + 300 * 86_400, SeqCst);
    let code = phone.code_at(world.now()).to_string();
    let refused = block_on(guard.confirm(ACCOUNT, &code)).unwrap_err();
    assert_eq!(refused.kind(), GuardErrorKind::NoEnrolment);
    // Servers a little apart are no reason.
    world.now.store(real + 365 * 86_400 - 60, SeqCst);
    let code = phone.code_at(world.now()).to_string();
    assert!(matches!(block_on(guard.confirm(ACCOUNT, &code)).unwrap(), Confirmation::Confirmed(_)));
}

#[test]
fn an_enrolment_that_is_over_holds_up_no_rotation() {
    let world = World::new();
    let [first, second, third] = ["first", "second", "third"].map(key);
    let old = world.server(&first);
    let phone = enrol(&world, &old);
    let both = world.server(&format!("{second},{first}"));
    let proof = both.prove(&log_in(&world, &both, &phone), &Purpose::ADD).unwrap();
    let ids = || block_on(both.status(ACCOUNT)).unwrap().keys().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(ids(), ["second"]);

    // By a server that has not heard of the rotation.
    let behind = world.server(&format!("{first},{second}"));
    block_on(behind.enroll_with(ACCOUNT, "alice", &Setup::totp(), Some(&proof))).unwrap();
    assert_eq!(ids(), ["first", "second"], "as long as it can be confirmed, its key is needed");
    world.later(86_400);
    assert_eq!(ids(), ["second"]);
    assert!(!block_on(both.status(ACCOUNT)).unwrap().enrolment_pending());

    let next = world.server(&format!("{third},{second}"));
    assert!(block_on(next.reseal(ACCOUNT)).unwrap());
    assert!(!block_on(next.reseal(ACCOUNT)).unwrap());
    let _ = log_in(&world, &world.server(&third), &phone);
}

/// A store with one mistake. What it compares and what it does then are under the lock one by one.
#[derive(Default)]
struct Careless {
    mistake: Mistake,
    records: Mutex<HashMap<String, (u64, Vec<u8>)>>,
    last: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mistake {
    #[default]
    None,
    CreationRaces,
    ReplacementRaces,
    RemovalRaces,
    NamesAreCut,
    EveryAccountOfThisVersion,
}

impl Careless {
    fn key<'a>(&self, account: &'a str) -> &'a str {
        let cut = account.char_indices().map(|(at, _)| at).nth(48);
        cut.filter(|_| self.mistake == Mistake::NamesAreCut).map_or(account, |at| &account[..at])
    }

    fn change(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Swap {
        let account = self.key(account);
        let racing = match (expected, record) {
            (None, _) => Mistake::CreationRaces,
            (_, Some(_)) => Mistake::ReplacementRaces,
            (_, None) => Mistake::RemovalRaces,
        };
        let mut records = self.records.lock().unwrap();
        if records.get(account).map(|(version, _)| Version::new(*version)) != expected {
            return Swap::Conflict;
        }
        if self.mistake == racing {
            drop(records);
            std::thread::yield_now();
            records = self.records.lock().unwrap();
        }
        let version = self.last.fetch_add(1, SeqCst);
        match record {
            Some(record) if self.mistake == Mistake::EveryAccountOfThisVersion && expected.is_some() => {
                // Versions that are counted for each account meet.
                records.values_mut().for_each(|stored| *stored = (version, record.into()));
            }
            Some(record) => drop(records.insert(account.into(), (version, record.into()))),
            None => drop(records.remove(account)),
        }
        Swap::Swapped
    }
}

impl Store for Careless {
    type Error = Infallible;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        let records = self.records.lock().unwrap();
        Ok(records.get(self.key(account)).map(|(version, record)| (Version::new(*version), record.clone())))
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: &[u8]) -> Result<Swap, Self::Error> {
        Ok(self.change(account, expected, Some(record)))
    }

    async fn remove(&self, account: &str, expected: Version) -> Result<Swap, Self::Error> {
        Ok(self.change(account, Some(expected), None))
    }
}

#[test]
fn conformance_tells_careless_stores() {
    let of = |mistake| conformance::check(&Careless { mistake, ..Careless::default() }, |test| block_on(test));
    of(Mistake::None).unwrap();
    let races = [Mistake::CreationRaces, Mistake::ReplacementRaces, Mistake::RemovalRaces];
    for mistake in races.into_iter().chain([Mistake::NamesAreCut, Mistake::EveryAccountOfThisVersion]) {
        assert!(of(mistake).is_err(), "{mistake:?} passes");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn no_connection_of_a_pool_loses_a_change() {
    use keyfob::store::SqliteStore;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

    let file = std::env::temp_dir().join(format!("keyfob-pool-{}.db", std::process::id()));
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options.journal_mode(SqliteJournalMode::Wal)).await.unwrap();
    let store = SqliteStore::from_pool(pool.clone()).await.unwrap();
    let version = async || store.load(ACCOUNT).await.unwrap().map(|(version, _)| version);

    // The application forgets that it has begun something.
    sqlx::raw_sql("BEGIN").execute(&pool).await.unwrap();
    assert!(store.swap(ACCOUNT, None, b"1").await.is_err(), "acknowledged, and rolled back");
    sqlx::raw_sql("ROLLBACK").execute(&pool).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, b"1").await.unwrap(), Swap::Swapped);
    let born = version().await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&pool).await.unwrap();
    assert!(store.swap(ACCOUNT, Some(born), b"2").await.is_err());
    assert!(store.remove(ACCOUNT, born).await.is_err());
    sqlx::raw_sql("ROLLBACK").execute(&pool).await.unwrap();

    // Or wants something else to be fast.
    sqlx::raw_sql("PRAGMA synchronous = OFF").execute(&pool).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, Some(born), b"2").await.unwrap(), Swap::Swapped);
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&pool).await.unwrap();
    assert_eq!(synchronous, 2);
    sqlx::raw_sql("PRAGMA synchronous = OFF").execute(&pool).await.unwrap();
    assert_eq!(store.remove(ACCOUNT, version().await.unwrap()).await.unwrap(), Swap::Swapped);
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&pool).await.unwrap();
    assert_eq!(synchronous, 2);

    store.close().await;
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", file.display()));
    }
}

#[test]
fn a_fence_brings_a_generation_that_was_never_there() {
    let world = World::new();
    let keys = key("a");
    let guard = world.server(&keys);
    let phone = enrol(&world, &guard);
    let (_, backup) = block_on(world.store.load(ACCOUNT)).unwrap().unwrap();
    let transfer = Purpose::application("transfer").unwrap();

    let proof = guard.prove(&log_in(&world, &guard, &phone), &Purpose::REGENERATE).unwrap();
    block_on(guard.regenerate_recovery_codes(ACCOUNT, &proof)).unwrap();
    let accepted = log_in(&world, &guard, &phone);
    let (generation, stale) = (accepted.generation(), guard.prove(&accepted, &transfer).unwrap());

    let (version, _) = block_on(world.store.load(ACCOUNT)).unwrap().unwrap();
    assert_eq!(block_on(world.store.swap(ACCOUNT, Some(version), &backup)).unwrap(), Swap::Swapped);
    let fenced = Arc::new(AtomicU64::new(0));
    let count = fenced.clone();
    let guard = guard.with_events(move |event| {
        count.fetch_add(u64::from(*event.kind() == EventKind::Fenced), SeqCst);
    });
    block_on(guard.operator_fence(ACCOUNT)).unwrap();
    assert_eq!(fenced.load(SeqCst), 1);

    // One change after the backup, as before: another state of the factors, and no device trusts it.
    let proof = guard.prove(&log_in(&world, &guard, &phone), &Purpose::REGENERATE).unwrap();
    block_on(guard.regenerate_recovery_codes(ACCOUNT, &proof)).unwrap();
    assert_ne!(block_on(guard.status(ACCOUNT)).unwrap().generation(), generation);
    assert!(block_on(guard.check(ACCOUNT, &stale, &transfer)).is_err());
}

#[test]
fn an_attempt_is_possible_when_it_is_said_to_be() {
    let world = World::new();
    let policy = Policy::default().with_waits(5, 86_400, 86_400).unwrap().with_long_term(5, 24).unwrap();
    let guard = world.server(&key("a")).with_policy(policy);
    let phone = enrol(&world, &guard);
    let now = world.later(900);
    let shown: Vec<_> = [now - 30, now, now + 30].map(|at| phone.code_at(at).to_string()).into();
    let wrong = (0..4).map(|guess| format!("{guess:06}")).find(|guess| !shown.contains(guess)).unwrap();
    for _ in 0..5 {
        let _ = block_on(guard.verify(ACCOUNT, &wrong)).unwrap();
    }
    let retry_at = block_on(guard.status(ACCOUNT)).unwrap().retry_at().unwrap();
    world.now.store(retry_at, SeqCst);
    let code = phone.code_at(retry_at).to_string();
    assert!(matches!(block_on(guard.verify(ACCOUNT, &code)).unwrap(), Verdict::Accepted(_)));
}
