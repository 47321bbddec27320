//! A verification with each store, compared with bare statements in the same database: one select and one update.

use std::path::PathBuf;

use criterion::Criterion;
use futures_util::future::join_all;
use keyfob::store::{MySqlStore, PostgresStore, RedisStore, SqliteStore, Store, StoreOptions};
use keyfob_benches::APPLICATIONS_POOL;
use keyfob_benches::bare::{self, Bare};
use keyfob_benches::harness::{Run, criterion, time_in_turn};
use keyfob_benches::phone::{AT_ONCE, Phone, accounts};
use keyfob_benches::servers::{Kind, shared};
use tokio::runtime::Runtime;

fn main() {
    // A server runs on another processor, but all of its clients share one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut criterion = criterion();
    // In the target folder, because the temporary folder is often in memory, where syncing costs nothing.
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("stores-{}.db", std::process::id()));
    let (stores, pool) = runtime.block_on(async {
        let pool = bare::sqlite_pool(bare::sqlite_options(&file)).await;
        let own = SqliteStore::open(&file).await.expect("durable");
        let shared = SqliteStore::from_pool_with(pool.clone(), shared_pool()).await.expect("durable");
        (both(own, shared), pool)
    });
    measure(&mut criterion, &runtime, "SQLite", stores, &pool);
    runtime.block_on(pool.close());
    bare::remove_sqlite(&file);
    if let Some(server) = shared(Kind::Postgres) {
        let (stores, pool) = runtime.block_on(async {
            let url = server.url("postgres");
            let pool = bare::postgres_pool(&url).await;
            let own = PostgresStore::open(&url).await.expect("durable");
            let shared = PostgresStore::from_pool_with(pool.clone(), shared_pool()).await.expect("durable");
            (both(own, shared), pool)
        });
        measure(&mut criterion, &runtime, "PostgreSQL", stores, &pool);
    }
    if let Some(server) = shared(Kind::MariaDb) {
        let (stores, pool) = runtime.block_on(async {
            let url = bare::mysql_database(server).await;
            let pool = bare::mysql_pool(&url).await;
            let own = MySqlStore::open(&url).await.expect("durable");
            let shared = MySqlStore::from_pool_with(pool.clone(), shared_pool()).await.expect("durable");
            (both(own, shared), pool)
        });
        measure(&mut criterion, &runtime, "MariaDB", stores, &pool);
    }
    if let Some(server) = shared(Kind::Redis) {
        let (store, connection) = runtime.block_on(async {
            let client = redis::Client::open(server.url("0")).expect("valid");
            let connection = client.get_connection_manager().await.expect("a server");
            (RedisStore::from_client(client).await.expect("durable"), connection)
        });
        measure(&mut criterion, &runtime, "Redis", vec![("keyfob", store)], &connection);
    }
    criterion.final_summary();
}

/// The store with a pool of its own, and with one that the application uses as well. They use different tables.
fn both<S>(own: S, shared: S) -> Vec<(&'static str, S)> {
    vec![("keyfob", own), (APPLICATIONS_POOL, shared)]
}

fn shared_pool() -> StoreOptions {
    StoreOptions::new().with_table("shared_pool").expect("valid")
}

/// Measures verifications with these stores, and bare statements with the same client.
fn measure<S: Store>(
    criterion: &mut Criterion,
    runtime: &Runtime,
    name: &str,
    stores: Vec<(&str, S)>,
    bare: &impl Bare,
) {
    let accounts = accounts(AT_ONCE);
    let phones: Vec<_> = stores.into_iter().map(|(row, store)| (row, Phone::new(store))).collect();
    runtime.block_on(async {
        for (_, phone) in &phones {
            for account in &accounts {
                phone.enroll(account).await;
            }
        }
        let (_, record) = phones[0].1.guard.store().load(&accounts[0]).await.ok().flatten().expect("enrolled");
        bare.create().await;
        assert_eq!(bare.insert(&accounts, &record).await, AT_ONCE as u64);
    });

    let mut runs: Vec<(&str, Run<'_>)> = Vec::new();
    for (row, phone) in &phones {
        runs.push((row, Box::new(|| runtime.block_on(phone.accept_one(&accounts[0])).into())));
    }
    let update = || runtime.block_on(bare.select_and_update(&accounts[0])) as usize;
    runs.push(("bare select and update", Box::new(update)));
    let mut group = criterion.benchmark_group(format!("store, {name}"));
    time_in_turn(&mut group, runs, 1);
    group.finish();

    let mut runs: Vec<(&str, Run<'_>)> = Vec::new();
    for (row, phone) in &phones {
        runs.push((row, Box::new(|| runtime.block_on(phone.accept(&accounts)))));
    }
    let update = || {
        let updates = accounts.iter().map(|account| bare.select_and_update(account));
        runtime.block_on(join_all(updates)).into_iter().sum::<u64>() as usize
    };
    runs.push(("bare selects and updates", Box::new(update)));
    let mut group = criterion.benchmark_group(format!("store, {name}, 32 at once"));
    time_in_turn(&mut group, runs, AT_ONCE);
    group.finish();
}
