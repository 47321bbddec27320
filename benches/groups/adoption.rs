//! Users of another system, adopted into a store, compared with bare inserts of as many rows.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use criterion::Criterion;
use keyfob::Guard;
use keyfob::guard::{Adoptee, Adoption, OperatorId};
use keyfob::store::{Accounts, PostgresStore, SqliteStore};
use keyfob_benches::bare::{self, Bare};
use keyfob_benches::harness::criterion;
use keyfob_benches::phone::{Phone, account, key_uri};
use keyfob_benches::servers::{Kind, shared};
use keyfob_benches::{ADOPTED, AT};
use tokio::runtime::Runtime;

/// The table is emptied after so many users.
const USERS: usize = 20_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut criterion = criterion();
    // In the target folder, because the temporary folder is often in memory, where syncing costs nothing.
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("adoption-{}.db", std::process::id()));
    let (store, pool) = runtime.block_on(async {
        let pool = bare::sqlite_pool(bare::sqlite_options(&file)).await;
        (SqliteStore::from_pool(pool.clone()).await.expect("durable"), pool)
    });
    measure(&mut criterion, &runtime, "SQLite", store, &pool);
    runtime.block_on(pool.close());
    bare::remove_sqlite(&file);

    if let Some(server) = shared(Kind::Postgres) {
        let (store, pool) = runtime.block_on(async {
            let pool = bare::postgres_pool(&server.url("postgres")).await;
            (PostgresStore::from_pool(pool.clone()).await.expect("durable"), pool)
        });
        measure(&mut criterion, &runtime, "PostgreSQL", store, &pool);
    }
    criterion.final_summary();
}

fn measure<S: Accounts>(criterion: &mut Criterion, runtime: &Runtime, name: &str, store: S, bare: &impl Bare) {
    let guard = Phone::new(store).guard;
    let operator = OperatorId::new("benchmark").expect("valid");
    let users: Vec<Adoptee> = (0..USERS).map(adoptee).collect();
    let record = runtime.block_on(async {
        bare.create().await;
        let adopted = guard.adopt(&users[0], &operator).await;
        assert!(matches!(adopted, Ok(Adoption::Adopted(_))));
        guard.store().load(&users[0].user).await.ok().flatten().expect("adopted").1
    });

    let mut group = criterion.benchmark_group(format!("adoption, {name}"));
    let adopt = async |batch: &[Adoptee]| adopt(&guard, batch, &operator).await;
    group.bench_function("keyfob", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(rounds(times, bare, bare::KEYFOB, &users, adopt)));
    });
    let insert = async |batch: &[Adoptee]| {
        let accounts: Vec<String> = batch.iter().map(|adoptee| adoptee.user.clone()).collect();
        bare.insert(&accounts, &record).await as usize
    };
    group.bench_function("bare inserts", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(rounds(times, bare, bare::TABLE, &users, insert)));
    });
    group.finish();
}

async fn adopt<S: Accounts>(guard: &Guard<S>, batch: &[Adoptee], operator: &OperatorId) -> usize {
    let answers = guard.adopt_batch(batch, operator).await.expect("answered");
    answers.iter().filter(|answer| matches!(answer, Ok(Adoption::Adopted(_)))).count()
}

fn adoptee(number: usize) -> Adoptee {
    let user = account(number);
    Adoptee { uri: key_uri(&user), user, last_used: Some(AT / 30), name: String::new() }
}

/// Stores so many batches, and returns the time that this took. Every row has to be new.
async fn rounds(
    times: u64,
    bare: &impl Bare,
    table: &str,
    users: &[Adoptee],
    store: impl AsyncFn(&[Adoptee]) -> usize,
) -> Duration {
    let mut total = Duration::ZERO;
    let batches = users.chunks(ADOPTED);
    let length = batches.len();
    for (round, batch) in (0..times).zip(batches.cycle()) {
        if (round as usize).is_multiple_of(length) {
            bare.empty(table).await;
        }
        let start = Instant::now();
        let stored = store(batch).await;
        total += start.elapsed();
        assert_eq!(stored, ADOPTED);
    }
    total
}
