//! What an account and a login cost in each store.

use std::path::Path;
use std::time::Instant;

use futures_util::future::join_all;
use keyfob::guard::OperatorId;
use keyfob::store::{Accounts, MySqlStore, PostgresStore, RedisStore, SqliteStore};
use keyfob_benches::bare;
use keyfob_benches::phone::{AT_ONCE, Phone, accounts};
use keyfob_benches::servers::{Kind, Server, shared};
use tokio::runtime::Runtime;

use super::database::{Database, Sqlite};
use super::proxy::{Proxy, Traffic};
use super::syncs::Syncs;
use crate::machine::Machine;

/// All but the record are means per account or per login. A login is a `begin_login` and an `answer`.
pub struct Costs {
    pub store: &'static str,
    pub record: usize,
    /// Bytes after the database has been compacted.
    pub compact: f64,
    /// Bytes after ten logins per account, with a vacuum after each round.
    pub used: f64,
    pub traffic: Option<Traffic>,
    /// Log bytes of the first login since a checkpoint, and of further logins.
    pub first_log: f64,
    pub log: f64,
    /// Alone, and 32 at once.
    pub syncs: Option<[f64; 2]>,
    /// Accounts per second.
    pub listed: f64,
    pub swept: f64,
    pub swept_at_once: f64,
}

const LOGINS: usize = 10;
const SWEEPS: usize = 8;
const PAGE: u32 = 1000;

pub fn measure(runtime: &Runtime, machine: &Machine, count: usize) -> Vec<Costs> {
    let mut costs = vec![runtime.block_on(sqlite(&machine.target, count))];
    if let Some(server) = shared(Kind::Postgres) {
        costs.push(runtime.block_on(async {
            let url = server.url("postgres");
            let (proxy, proxied) = Proxy::start(Kind::Postgres, &url);
            let pool = bare::postgres_pool(&url).await;
            let store = PostgresStore::from_pool(pool.clone()).await.expect("durable");
            let proxied = PostgresStore::open(&proxied).await.expect("durable");
            let traffic = traffic(proxied, &proxy).await;
            let costs = costs_of("PostgreSQL", count, store, &pool, || processes(server)).await;
            Costs { traffic: Some(traffic), ..costs }
        }));
    }
    if let Some(server) = shared(Kind::MariaDb) {
        costs.push(runtime.block_on(async {
            let url = bare::mysql_database(server).await;
            let (proxy, proxied) = Proxy::start(Kind::MariaDb, &url);
            let pool = bare::mysql_pool(&url).await;
            let store = MySqlStore::open(&url).await.expect("durable");
            let proxied = MySqlStore::open(&proxied).await.expect("durable");
            let traffic = traffic(proxied, &proxy).await;
            let costs = costs_of("MariaDB", count, store, &pool, || processes(server)).await;
            Costs { traffic: Some(traffic), ..costs }
        }));
    }
    if let Some(server) = shared(Kind::Redis) {
        costs.push(runtime.block_on(async {
            let url = server.url("0");
            let (proxy, proxied) = Proxy::start(Kind::Redis, &url);
            let client = redis::Client::open(url).expect("valid");
            let connection = client.get_connection_manager().await.expect("a server");
            let store = RedisStore::from_client(client).await.expect("durable");
            let proxied = RedisStore::open(&proxied).await.expect("durable");
            let traffic = traffic(proxied, &proxy).await;
            let costs = costs_of("Redis", count, store, &connection, || processes(server)).await;
            Costs { traffic: Some(traffic), ..costs }
        }));
    }
    costs
}

async fn sqlite(target: &Path, count: usize) -> Costs {
    let file = target.join(format!("size-{}.db", std::process::id()));
    // All that is written to the log stays there until `compact`.
    let pool = bare::sqlite_pool(bare::sqlite_options(&file).pragma("wal_autocheckpoint", "0")).await;
    let store = SqliteStore::from_pool(pool.clone()).await.expect("durable");
    let database = Sqlite { pool: pool.clone(), file: file.clone() };
    let costs = costs_of("SQLite", count, store, &database, || vec![std::process::id().to_string()]).await;
    pool.close().await;
    bare::remove_sqlite(&file);
    costs
}

/// The server and the processes that it started for its clients.
fn processes(server: &Server) -> Vec<String> {
    let children = std::process::Command::new("pgrep").args(["-P", &server.pid()]).output().expect("pgrep");
    let children = String::from_utf8_lossy(&children.stdout).into_owned();
    children.split_whitespace().map(str::to_owned).chain([server.pid()]).collect()
}

/// Logs in often enough that the pool has its connections and all statements are prepared, and then counts what further
/// logins send and receive.
async fn traffic(store: impl Accounts, proxy: &Proxy) -> Traffic {
    const COUNTED: usize = 50;
    const USER: &str = "proxied";

    let phone = Phone::new(store);
    phone.enroll(USER).await;
    phone.wait();
    let sign_in = phone.sign_in(USER, None).await;
    let accepted = sign_in.accepted().expect("with a code");
    phone.guard.remember_device(accepted, "laptop").await.expect("remembered");
    let mut traffic = proxy.take();
    for _ in 0..2 {
        for _ in 0..COUNTED {
            phone.wait();
            let _ = phone.sign_in(USER, None).await;
        }
        traffic = proxy.take();
    }
    phone.guard.erase(USER).await.expect("erased");
    traffic.each(COUNTED)
}

async fn costs_of<S: Accounts>(
    store_name: &'static str,
    count: usize,
    store: S,
    database: &impl Database,
    processes: impl Fn() -> Vec<String>,
) -> Costs {
    println!("\n{store_name}: {count} accounts");
    let (phone, accounts) = (Phone::new(store), accounts(count));
    let each = |number: f64| number / count as f64;
    let before = database.stored().await;
    for some in accounts.chunks(AT_ONCE) {
        join_all(some.iter().map(|account| phone.enroll(account))).await;
    }
    // A usual record: one app, ten recovery codes, one known device, and the logins of the last minutes.
    phone.wait();
    for some in accounts.chunks(AT_ONCE) {
        join_all(some.iter().map(async |account| {
            let sign_in = phone.sign_in(account, None).await;
            let accepted = sign_in.accepted().expect("with a code");
            phone.guard.remember_device(accepted, "Firefox on Linux").await.expect("remembered");
        }))
        .await;
    }
    let (_, record) = phone.guard.store().load(&accounts[0]).await.ok().flatten().expect("enrolled");
    database.compact().await;
    let compact = each(database.stored().await - before);

    // One at a time, each account once: some of the pages are written for the first time since the checkpoint.
    let some = &accounts[..count.min(500)];
    let mut logs = [0.0; 2];
    for log in &mut logs {
        let before = database.logged().await;
        phone.wait();
        for account in some {
            let _ = phone.sign_in(account, None).await;
        }
        *log = (database.logged().await - before) / some.len() as f64;
        database.vacuum().await;
    }

    let syncs = syncs(&phone, some, database, &processes).await;
    for _ in 0..LOGINS {
        at_once(&phone, &accounts).await;
        database.vacuum().await;
    }
    let used = each(database.stored().await - before);

    let start = Instant::now();
    assert_eq!(list(&phone).await, count);
    let listed = count as f64 / start.elapsed().as_secs_f64();
    let [swept, swept_at_once] = [sweep(&phone, &accounts, 1).await, sweep(&phone, &accounts, SWEEPS).await];
    Costs {
        store: store_name,
        record: record.len(),
        compact,
        used,
        traffic: None,
        first_log: logs[0],
        log: logs[1],
        syncs,
        listed,
        swept,
        swept_at_once,
    }
}

/// Thirty seconds later, a login for each of these accounts, 32 at once.
async fn at_once<S: Accounts>(phone: &Phone<S>, accounts: &[String]) {
    phone.wait();
    for some in accounts.chunks(AT_ONCE) {
        join_all(some.iter().map(|account| phone.sign_in(account, None))).await;
    }
}

/// Syncs per login, alone and 32 at once.
async fn syncs<S: Accounts>(
    phone: &Phone<S>,
    accounts: &[String],
    database: &impl Database,
    processes: &impl Fn() -> Vec<String>,
) -> Option<[f64; 2]> {
    let alone = Syncs::trace(&processes())?;
    phone.wait();
    for account in accounts {
        let _ = phone.sign_in(account, None).await;
    }
    let alone = alone.count();
    database.vacuum().await;
    let together = Syncs::trace(&processes())?;
    at_once(phone, accounts).await;
    let together = together.count();
    database.vacuum().await;
    Some([alone, together].map(|syncs| syncs as f64 / accounts.len() as f64))
}

async fn list<S: Accounts>(phone: &Phone<S>) -> usize {
    let (mut last, mut listed) = (String::new(), 0);
    loop {
        let page = phone.guard.store().accounts(&last, PAGE).await.ok().expect("listed");
        let Some(end) = page.last() else { return listed };
        last.clone_from(end);
        listed += page.len();
    }
}

/// Changes all accounts, by sweeps that start at different names. Returns the number of accounts per second.
async fn sweep<S: Accounts>(phone: &Phone<S>, accounts: &[String], sweeps: usize) -> f64 {
    phone.wait();
    let operator = &OperatorId::new("benchmark").expect("valid");
    let start = Instant::now();
    let parts = accounts.chunks(accounts.len().div_ceil(sweeps));
    let mut after = String::new();
    let parts = parts.map(|part| {
        let after = std::mem::replace(&mut after, part.last().cloned().unwrap_or_default());
        async move {
            let invalidate = |user: String| async move { phone.guard.operator_invalidate_codes(&user, operator).await };
            let page = phone.guard.sweep(&after, part.len() as u32, invalidate).await.expect("listed");
            page.accounts().iter().filter(|(_, answer)| answer.is_ok()).count()
        }
    });
    let changed: usize = join_all(parts).await.into_iter().sum();
    assert_eq!(changed, accounts.len());
    changed as f64 / start.elapsed().as_secs_f64()
}
