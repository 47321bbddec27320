//! A verification and a login by the guard: the decision alone, and with a store, compared with bare statements on that
//! store.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::Criterion;
use futures_util::future::join_all;
use keyfob::guard::{
    Answer, Challenge, Change, Committed, Context, DeviceToken, Expectation, Login, Randomness, SecondFactor, Setup,
    SignIn, SignInMethod,
};
use keyfob::store::{MemoryStore, SqliteStore, Store, Swap, Version};
use keyfob::{Guard, Key, KeyUri, Keyring, Policy, Secret, Totp, Verdict};
use keyfob_benches::harness::{criterion, time};
use keyfob_benches::{AT, MISS, SECRET, database};
use sqlx::SqlitePool;
use tokio::runtime::Runtime;

const ACCOUNT: &str = "user-17";
/// How many accounts are verified at once.
const AT_ONCE: u64 = 32;
/// How many logins with a code of one app can be completed until the first challenge has expired. After that, their
/// slots in the record are used again.
const REMEMBERED: u64 = 12;
const MONTH: Duration = Duration::from_secs(30 * 86_400);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut criterion = criterion();
    decision(&mut criterion, &runtime);
    login(&mut criterion, &runtime);
    sqlite(&mut criterion, &runtime);
    criterion.final_summary();
}

/// A store in memory that counts its calls.
#[derive(Default)]
struct Counted {
    store: MemoryStore,
    trips: AtomicU64,
}

impl Store for Counted {
    type Error = std::convert::Infallible;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        self.trips.fetch_add(1, Ordering::Relaxed);
        self.store.load(account).await
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        self.trips.fetch_add(1, Ordering::Relaxed);
        self.store.swap(account, expected, record).await
    }
}

/// A guard with a clock that can be set, and the phone of its accounts.
struct Bench<S> {
    guard: Guard<S>,
    keyring: Keyring,
    clock: Arc<AtomicU64>,
    phone: Totp,
}

impl<S: Store> Bench<S> {
    fn new(store: S) -> Self {
        let entry = Keyring::generate("2026").expect("random");
        let keyring = Keyring::parse(&entry).expect("valid");
        let clock = Arc::new(AtomicU64::new(AT));
        let time = clock.clone();
        let guard = Guard::new(store, keyring.clone(), "Example Inc")
            .with_policy(policy())
            .with_clock(move || Some(time.load(Ordering::Relaxed)));
        Self { guard, keyring, clock, phone: Totp::new(Key::new(SECRET).expect("valid")) }
    }

    async fn enroll(&self, account: &str) {
        let secret = Secret::from_bytes(SECRET).expect("valid");
        let setup = Setup::import(&KeyUri::totp("Example Inc", "alice", &secret).expect("valid")).expect("TOTP");
        self.guard.enroll(account, &setup).await.expect("enrolled");
        let _ = self.guard.confirm(account, &self.code()).await.expect("confirmed");
    }

    fn code(&self) -> String {
        self.phone.code_at(self.clock.load(Ordering::Relaxed)).to_string()
    }

    /// Begins a login for which a code is due.
    async fn challenge(&self, device: Option<&DeviceToken>) -> Challenge {
        match self.guard.begin_login(ACCOUNT, Expectation::Enrolled, device).await.expect("decided") {
            Login::Challenge(challenge) => challenge,
            login => panic!("no code is due: {login:?}"),
        }
    }

    /// Thirty seconds later, completes a login with the code of that time.
    async fn sign_in(&self, device: Option<&DeviceToken>) -> SignIn {
        self.clock.fetch_add(30, Ordering::Relaxed);
        match self.guard.answer(&self.challenge(device).await, &self.code()).await.expect("decided") {
            Answer::Accepted(sign_in) => sign_in,
            Answer::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    /// Thirty seconds later, with the code of that time.
    async fn accept(&self) -> bool {
        self.clock.fetch_add(30, Ordering::Relaxed);
        matches!(self.guard.verify(ACCOUNT, &self.code()).await, Ok(Verdict::Accepted(_)))
    }

    async fn accept_all(&self) -> usize {
        self.clock.fetch_add(30, Ordering::Relaxed);
        let code = self.code();
        let accounts: Vec<_> = accounts().collect();
        let verdicts = join_all(accounts.iter().map(|account| self.guard.verify(account, &code))).await;
        verdicts.iter().filter(|verdict| matches!(verdict, Ok(Verdict::Accepted(_)))).count()
    }
}

/// The default policy, but with trusted devices.
fn policy() -> Policy {
    Policy::default().with_trusted_devices(MONTH).expect("valid")
}

fn accounts() -> impl Iterator<Item = String> {
    (0..AT_ONCE).map(|number| format!("user-{number}"))
}

fn decision(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("guard, decision");
    let bench = Bench::new(Counted::default());
    runtime.block_on(bench.enroll(ACCOUNT));

    // From the bytes of a record to the verdict, always from the same record, so the budget never runs out.
    let (_, record) = runtime.block_on(bench.guard.store().load(ACCOUNT)).expect("infallible").expect("enrolled");
    let policy = policy();
    let decide = |typed: &str| {
        let context = Context::new(ACCOUNT, black_box(AT + 30), &policy, &bench.keyring).expect("valid");
        let factor = SecondFactor::read(Some(black_box(&record))).expect("valid");
        let transition = factor.verify(&context, black_box(typed)).expect("decided");
        assert!(matches!(transition.change(), Change::Write(_)));
        let Committed { value, events } = transition.committed(Swap::Swapped).expect("committed");
        (matches!(value, Verdict::Accepted(_)), events.len())
    };
    let code = bench.phone.code_at(AT + 30).to_string();
    time(&mut group, "keyfob, right code", || decide(&code), |(accepted, _)| accepted, true);
    time(&mut group, "keyfob, wrong code", || decide(MISS), |(accepted, _)| accepted, false);

    // With the store in memory, one load and one swap.
    let trips = || bench.guard.store().trips.swap(0, Ordering::Relaxed);
    trips();
    let accept = || runtime.block_on(bench.accept());
    assert!(accept());
    assert_eq!(trips(), 2, "round trips to the store");
    time(&mut group, "keyfob, right code, store in memory", accept, |accepted| accepted, true);
    group.finish();
}

/// From the bytes of a record to the answer, without a store. The account has a known device, a trusted device and
/// twelve completed logins. The number does not matter for the time: the slots have a fixed length.
fn login(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("guard, login");
    let bench = Bench::new(MemoryStore::new());
    let (known, trusted, record) = runtime.block_on(async {
        bench.enroll(ACCOUNT).await;
        let sign_in = bench.sign_in(None).await;
        let accepted = sign_in.accepted().expect("with a code");
        let known = bench.guard.remember_device(accepted, "laptop").await.expect("remembered");
        let trusted = bench.guard.trust_device(accepted, "desktop", MONTH).await.expect("trusted");
        for _ in 1..REMEMBERED + 4 {
            let _ = bench.sign_in(Some(&known)).await;
        }
        let (_, record) = bench.guard.store().load(ACCOUNT).await.expect("infallible").expect("enrolled");
        (known, trusted, record)
    });
    let text = String::from_utf8(record.clone()).expect("JSON");
    let logins = text.split_once("\"logins\":\"").expect("completed logins").1.split('"').next().expect("their slots");
    let slots = logins.as_bytes().chunks(32).filter(|slot| slot.iter().any(|digit| *digit != b'0'));
    assert_eq!(slots.count() as u64, REMEMBERED, "the slots of expired challenges are used again");

    bench.clock.fetch_add(30, Ordering::Relaxed);
    let now = bench.clock.load(Ordering::Relaxed);
    let (policy, random) = (policy(), Randomness::default());
    let context = || Context::new(ACCOUNT, black_box(now), &policy, &bench.keyring).expect("valid");
    let read = || SecondFactor::read(Some(black_box(&record))).expect("valid");

    let begin = |device: &DeviceToken| {
        let begun = read().begin_login(&context(), &random, Expectation::Enrolled, Some(black_box(device)));
        let transition = begun.expect("decided");
        assert!(matches!(transition.change(), Change::None));
        transition.committed(Swap::Swapped).expect("committed").value
    };
    let trusts = |login| matches!(login, Login::Complete(sign_in) if sign_in.method() == SignInMethod::TrustedDevice);
    let asks = |login| matches!(login, Login::Challenge(challenge) if challenge.user() == ACCOUNT);
    time(&mut group, "keyfob, begin_login, challenge", || begin(&known), asks, true);
    time(&mut group, "keyfob, begin_login, trusted device", || begin(&trusted), trusts, true);

    let challenge = runtime.block_on(bench.challenge(Some(&known)));
    let answer = |typed: &str| {
        let transition = read().answer(&context(), black_box(&challenge), black_box(typed)).expect("decided");
        assert!(matches!(transition.change(), Change::Write(_)));
        transition.committed(Swap::Swapped).expect("committed").value
    };
    let code = bench.code();
    // The device that the login came from, or `None` for a refusal.
    let signed_in = |answer| match answer {
        Answer::Accepted(sign_in) => sign_in.device().cloned(),
        Answer::Refused(_) => None,
    };
    time(&mut group, "keyfob, answer, right code", || answer(&code), signed_in, Some(known.device().clone()));
    time(&mut group, "keyfob, answer, wrong code", || answer(MISS), signed_in, None);
    group.finish();
}

/// Compared with the same statement on the same table, with a record of the same length and the same durability.
fn sqlite(criterion: &mut Criterion, runtime: &Runtime) {
    // In the target folder, because the temporary folder is often in memory, where syncing costs nothing.
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("guard-{}.db", std::process::id()));
    let (bench, pool, length) = runtime.block_on(async {
        let pool = database::open(&file, 4).await;
        let bench = Bench::new(SqliteStore::from_pool(pool.clone()).await.expect("a table"));
        for account in accounts() {
            bench.enroll(&account).await;
        }
        let (_, record) = bench.guard.store().load(ACCOUNT).await.expect("loaded").expect("enrolled");
        sqlx::query(
            "CREATE TABLE bare (account TEXT PRIMARY KEY, version INTEGER NOT NULL, record BLOB NOT NULL) \
             STRICT, WITHOUT ROWID",
        )
        .execute(&pool)
        .await
        .expect("a table");
        for account in accounts() {
            let insert = sqlx::query("INSERT INTO bare VALUES (?, 0, ?)").bind(account).bind(&record);
            insert.execute(&pool).await.expect("inserted");
        }
        (bench, pool, record.len())
    });

    let mut group = criterion.benchmark_group("guard, SQLite");
    time(&mut group, "keyfob", || runtime.block_on(bench.accept()), |accepted| accepted, true);
    time(&mut group, "one durable update", || runtime.block_on(update(&pool, ACCOUNT, length)), |rows| rows, 1);
    group.finish();

    let mut group = criterion.benchmark_group("guard, SQLite, 32 at once");
    time(&mut group, "keyfob", || runtime.block_on(bench.accept_all()), |accepted| accepted, AT_ONCE as usize);
    let update_all = || async {
        let accounts: Vec<_> = accounts().collect();
        let rows = join_all(accounts.iter().map(|account| update(&pool, account, length))).await;
        rows.into_iter().sum::<u64>()
    };
    time(&mut group, "durable updates", || runtime.block_on(update_all()), |rows| rows, AT_ONCE);
    group.finish();

    runtime.block_on(pool.close());
    for end in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(end);
        // The last connection removes two of the three files.
        let _ = std::fs::remove_file(name);
    }
}

/// The bare update that a store needs. Returns the number of changed rows.
async fn update(pool: &SqlitePool, account: &str, length: usize) -> u64 {
    let query = sqlx::query("UPDATE bare SET version = version + 1, record = ? WHERE account = ?");
    query.bind(vec![b'x'; length]).bind(account).execute(pool).await.expect("updated").rows_affected()
}
