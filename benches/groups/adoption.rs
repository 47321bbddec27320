//! Users of another system, adopted into SQLite, compared with bare inserts of as many rows.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use keyfob::guard::{Adoptee, Adoption, OperatorId};
use keyfob::store::{SqliteStore, Store};
use keyfob::{Guard, KeyUri, Keyring, Secret};
use keyfob_benches::harness::criterion;
use keyfob_benches::{ADOPTED, AT, database};
use sqlx::SqlitePool;

/// The table is emptied after so many users.
const USERS: usize = 20_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut criterion = criterion();
    // In the target folder, because the temporary folder is often in memory, where syncing costs nothing.
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("adoption-{}.db", std::process::id()));
    let keyring = Keyring::parse(&Keyring::generate("2026").expect("random")).expect("valid");
    let operator = OperatorId::new("benchmark").expect("valid");
    let users: Vec<Adoptee> = (0..USERS).map(adoptee).collect();
    let (pool, guard, length) = runtime.block_on(async {
        let pool = database::open(&file, 1).await;
        let store = SqliteStore::from_pool(pool.clone()).await.expect("a table");
        let guard = Guard::new(store, keyring, "Example Inc").with_clock(|| Some(AT));
        let first = Adoptee { user: "user".into(), ..users[0].clone() };
        let adopted = guard.adopt(&first, &operator).await;
        assert!(matches!(adopted, Ok(Adoption::Adopted(_))));
        let (_, record) = guard.store().load("user").await.expect("loaded").expect("adopted");
        sqlx::query(
            "CREATE TABLE bare (account TEXT PRIMARY KEY, version INTEGER NOT NULL, record BLOB NOT NULL) \
             STRICT, WITHOUT ROWID",
        )
        .execute(&pool)
        .await
        .expect("a table");
        (pool, guard, record.len())
    });

    let mut group = criterion.benchmark_group("adoption");
    let adopt = async |batch: &[Adoptee]| {
        let answers = guard.adopt_batch(batch, &operator).await.expect("answered");
        answers.iter().filter(|answer| matches!(answer, Ok(Adoption::Adopted(_)))).count()
    };
    let insert = async |batch: &[Adoptee]| insert(&pool, batch, length).await;
    group.bench_function("keyfob", |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(rounds(times, &pool, "DELETE FROM keyfob_second_factor", &users, adopt))
        });
    });
    group.bench_function("bare inserts", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(rounds(times, &pool, "DELETE FROM bare", &users, insert)));
    });
    group.finish();
    criterion.final_summary();

    runtime.block_on(pool.close());
    for end in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(end);
        // The last connection removes two of the three files.
        let _ = std::fs::remove_file(name);
    }
}

fn adoptee(number: usize) -> Adoptee {
    let user = format!("user-{number:06}");
    let secret = Secret::from_bytes(format!("secret {number:013}").as_bytes()).expect("valid");
    Adoptee {
        uri: KeyUri::totp("Old", &user, &secret).expect("valid"),
        user,
        last_used: Some(AT / 30),
        name: String::new(),
    }
}

/// Stores so many batches, and returns the time that this took. Every row has to be new.
async fn rounds(
    times: u64,
    pool: &SqlitePool,
    empty: &'static str,
    users: &[Adoptee],
    store: impl AsyncFn(&[Adoptee]) -> usize,
) -> Duration {
    let mut total = Duration::ZERO;
    let batches = users.chunks(ADOPTED);
    let length = batches.len();
    for (round, batch) in (0..times).zip(batches.cycle()) {
        if (round as usize).is_multiple_of(length) {
            sqlx::query(empty).execute(pool).await.expect("emptied");
        }
        let start = Instant::now();
        let stored = store(batch).await;
        total += start.elapsed();
        assert_eq!(stored, ADOPTED);
    }
    total
}

/// The inserts that a store needs, in one transaction. Returns the number of new rows.
async fn insert(pool: &SqlitePool, batch: &[Adoptee], length: usize) -> usize {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.expect("begun");
    let mut rows = 0;
    for adoptee in batch {
        let query = sqlx::query("INSERT INTO bare VALUES (?, 0, ?) ON CONFLICT DO NOTHING");
        let query = query.bind(&adoptee.user).bind(vec![b'x'; length]);
        rows += query.execute(&mut *transaction).await.expect("inserted").rows_affected();
    }
    transaction.commit().await.expect("committed");
    rows as usize
}
