//! The store in a MariaDB database. It was not run with MySQL, which Debian does not have.

use std::time::Duration;

use keyfob::Policy;
use keyfob::guard::GuardErrorKind;
use keyfob::store::{Accounts, MySqlStore, Store, StoreOptions, Swap};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, MySqlPool};

use super::remote;
use crate::guarded::{ACCOUNT, Answer, Guarded, code, report, wrong};
use crate::peers::program;
use crate::servers::{Kind, Server, shared};

/// A database of its own on the shared server, and its URL.
async fn database(name: &str) -> Option<String> {
    let server = shared(Kind::MariaDb)?;
    // With this collation, letters of different case and with different accents are equal.
    let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci");
    execute(&server.url(""), &create).await;
    Some(server.url(name))
}

async fn execute(url: &str, sql: &str) {
    let pool = single(url).await;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    pool.close().await;
}

/// A pool of one connection, so that what is set on it stays set.
async fn single(url: &str) -> MySqlPool {
    MySqlPoolOptions::new().max_connections(1).connect(url).await.unwrap()
}

/// A pool whose connections begin with these statements.
async fn prepared(url: &str, statements: &'static str) -> MySqlPool {
    let pool = MySqlPoolOptions::new().max_connections(4).after_connect(move |connection, _| {
        Box::pin(async move { sqlx::raw_sql(statements).execute(connection).await.map(drop) })
    });
    pool.connect(url).await.unwrap()
}

async fn clients(url: &str, count: usize) -> Vec<MySqlStore> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let pool = MySqlPoolOptions::new().max_connections(2).connect(url).await.unwrap();
        clients.push(MySqlStore::from_pool(pool).await.unwrap());
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_conforms() {
    let Some(url) = database("conforms").await else { return };
    let store = MySqlStore::open(&url).await.unwrap();
    remote::lists_and_adds(&store).await;
    remote::conforms(vec![store]).await;
    remote::conforms(clients(&url, 4).await).await;
}

/// Also without `autocommit`, where a statement alone would never be committed, and in a mode that cuts off what is too
/// long.
#[tokio::test(flavor = "multi_thread")]
async fn each_isolation_level_conforms() {
    let Some(url) = database("isolation").await else { return };
    let checks = [
        "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET sql_mode = ''",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET autocommit = 0",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE; SET autocommit = 0",
    ];
    let checks = checks.into_iter().enumerate().map(|(index, statements)| {
        let url = url.clone();
        tokio::spawn(async move {
            let table = StoreOptions::new().with_table(&format!("isolation.level_{index}")).unwrap();
            let pool = prepared(&url, statements).await;
            let store = MySqlStore::from_pool_with(pool, table).await.unwrap();
            if index > 1 {
                remote::lists_and_adds(&store).await;
            }
            remote::conforms(vec![store]).await;
        })
    });
    for check in checks.collect::<Vec<_>>() {
        check.await.unwrap();
    }
}

/// `sqlx` sets the client's found-rows flag, so the opposite is what another client would count.
#[tokio::test]
async fn rows_that_are_found_are_rows_that_are_changed() {
    let Some(url) = database("found_rows").await else { return };
    let store = MySqlStore::open(&url).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"same")).await.unwrap(), Swap::Swapped);
    let (version, _) = store.load(ACCOUNT).await.unwrap().unwrap();
    // The same record again is a change, because its version changes.
    assert_eq!(store.swap(ACCOUNT, Some(version), Some(b"same")).await.unwrap(), Swap::Swapped);
    assert_eq!(store.swap(ACCOUNT, Some(version), Some(b"same")).await.unwrap(), Swap::Conflict);
    let pool = single(&url).await;
    let update = "UPDATE keyfob_second_factor SET version = version + 1, record = record";
    assert_eq!(sqlx::raw_sql(update).execute(&pool).await.unwrap().rows_affected(), 1);
    // `ROW_COUNT` counts changed rows, whatever the flag says.
    let changed = format!("{update}; SELECT ROW_COUNT()");
    let row = sqlx::raw_sql(AssertSqlSafe(changed)).fetch_one(&pool).await.unwrap();
    assert_eq!(sqlx::Row::get::<i64, _>(&row, 0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_is_accepted() {
    let Some(url) = database("race").await else { return };
    remote::accepts_once("MariaDB", clients(&url, 6).await).await;
    remote::survives_dropped_requests(MySqlStore::open(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing() {
    let Some(server) = Server::start(Kind::MariaDb, "kills", &[]) else { return };
    execute(&server.url(""), "CREATE DATABASE kills").await;
    let clients = clients(&server.url("kills"), 3).await;
    remote::survives_a_pause(&server, clients[0].clone()).await;
    remote::survives_kills(server, clients).await;
}

/// The documented statement is the one that is run, and is enough for a user who may not create tables.
#[tokio::test]
async fn the_table_can_be_made_by_a_migration() {
    let Some(url) = database("migrated").await else { return };
    let documented = include_str!("../../../src/store/mysql.sql");
    let grant =
        "CREATE USER migrated@localhost; GRANT SELECT, INSERT, UPDATE, DELETE ON migrated.* TO migrated@localhost";
    execute(&url, grant).await;
    let app = url.replace("root@", "migrated@");
    assert!(MySqlStore::open(&app).await.is_err());
    execute(&url, documented).await;
    let store = MySqlStore::open(&app).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);

    let named = StoreOptions::new().with_table("Other_1").unwrap();
    let other = MySqlStore::open_with(&url, named).await.unwrap();
    assert_eq!(other.load(ACCOUNT).await.unwrap(), None);
    let pool = single(&url).await;
    let describe = async |table: &str| -> String {
        let sql = format!("SHOW CREATE TABLE {table}");
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
        sqlx::Row::get::<String, _>(&row, 1).replace(table, "")
    };
    assert_eq!(describe("Other_1").await, describe("keyfob_second_factor").await);
    // Opened again, by several at once.
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let (url, options) = (url.clone(), StoreOptions::new().with_table("new").unwrap());
            tokio::spawn(async move { MySqlStore::open_with(&url, options).await })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
    store.close().await;
    assert!(store.load(ACCOUNT).await.is_err());
}

#[tokio::test]
async fn a_server_that_loses_changes_is_refused_by_the_name_of_the_setting() {
    let Some(server) = Server::start(Kind::MariaDb, "settings", &["log-bin", "sync-binlog=1"]) else { return };
    execute(&server.url(""), "CREATE DATABASE settings").await;
    let url = server.url("settings");
    let store = MySqlStore::open(&url).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    for (setting, lossy, durable) in
        [("innodb_flush_log_at_trx_commit", [0, 2], 1), ("sync_binlog", [0, 100], 1), ("read_only", [1, 1], 0)]
    {
        for value in lossy {
            execute(&url, &format!("SET GLOBAL {setting} = {value}")).await;
            let refused = MySqlStore::open(&url).await.unwrap_err().to_string();
            assert!(refused.contains(setting), "{refused}");
            let allowed = MySqlStore::open_with(&url, StoreOptions::new().allow_lost_changes()).await;
            assert_eq!(allowed.is_ok(), setting != "read_only");
            for error in [store.load(ACCOUNT).await.unwrap_err(), store.accounts("", 1).await.unwrap_err()] {
                assert!(error.to_string().contains(setting), "{error}");
            }
            if let Ok(lossy) = allowed {
                let (version, _) = lossy.load(ACCOUNT).await.unwrap().unwrap();
                for error in [
                    store.swap(ACCOUNT, Some(version), Some(b"2")).await.unwrap_err(),
                    store.swap(ACCOUNT, Some(version), None).await.unwrap_err(),
                    store.swap("other", None, Some(b"2")).await.unwrap_err(),
                    store.insert(&[("other", b"2")]).await.unwrap_err(),
                ] {
                    assert!(error.to_string().contains(setting), "{error}");
                }
                assert_eq!(lossy.swap(ACCOUNT, Some(version), Some(b"1")).await.unwrap(), Swap::Swapped);
            }
        }
        execute(&url, &format!("SET GLOBAL {setting} = {durable}")).await;
        assert!(MySqlStore::open(&url).await.is_ok(), "control");
    }
    // The store's own connections have the settings that they need, whatever the default is.
    let defaults = "SET GLOBAL autocommit = 0; SET GLOBAL TRANSACTION ISOLATION LEVEL READ UNCOMMITTED, READ ONLY";
    execute(&url, defaults).await;
    let own = MySqlStore::open(&url).await.unwrap();
    let foreign = single(&url).await;
    let off: i64 = sqlx::query_scalar("SELECT @@autocommit").fetch_one(&foreign).await.unwrap();
    assert_eq!(off, 0, "control");
    let (version, _) = own.load(ACCOUNT).await.unwrap().unwrap();
    assert_eq!(own.swap(ACCOUNT, Some(version), Some(b"2")).await.unwrap(), Swap::Swapped);
    assert_eq!(own.swap(ACCOUNT, Some(version), Some(b"2")).await.unwrap(), Swap::Conflict);
    let other = MySqlStore::from_pool(foreign).await.unwrap();
    assert_eq!(other.load(ACCOUNT).await.unwrap().unwrap().1, b"2");
    execute(&url, "SET GLOBAL autocommit = 1; SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE")
        .await;

    execute(&url, "ALTER TABLE keyfob_second_factor ENGINE = Aria").await;
    let refused = MySqlStore::open(&url).await.unwrap_err().to_string();
    assert!(refused.contains("storage engine"), "{refused}");
    drop(store);
    drop(server);

    let Some(server) = Server::start(Kind::MariaDb, "torn", &["innodb-doublewrite=0", "sync-binlog=0"]) else { return };
    execute(&server.url(""), "CREATE DATABASE settings").await;
    let refused = MySqlStore::open(&server.url("settings")).await.unwrap_err().to_string();
    assert!(refused.contains("innodb_doublewrite"), "{refused}");
    let options = StoreOptions::new().allow_lost_changes();
    assert!(MySqlStore::open_with(&server.url("settings"), options).await.is_ok());
}

/// The server syncs before it answers.
#[tokio::test]
async fn each_change_is_synced() {
    let Some(_) = program("strace", &["-f", "-o", "/dev/null", "true"]) else { return };
    let Some(server) = Server::start(Kind::MariaDb, "synced", &[]) else { return };
    execute(&server.url(""), "CREATE DATABASE synced").await;
    let url = server.url("synced");
    let mut counts = [0, 0];
    for (count, setting) in counts.iter_mut().zip([1, 2]) {
        execute(&url, &format!("SET GLOBAL innodb_flush_log_at_trx_commit = {setting}")).await;
        let options = StoreOptions::new();
        let options = if setting == 1 { options } else { options.allow_lost_changes() };
        *count = remote::syncs(&server, &MySqlStore::open_with(&url, options).await.unwrap()).await;
    }
    report(&format!("MariaDB: 40 changes, {} syncs, and {} with the setting 2", counts[0], counts[1]));
    assert!(counts[0] >= 40 && counts[1] < 20, "{counts:?}");
}

#[tokio::test]
async fn no_connection_of_a_pool_loses_a_change_or_reads_from_the_past() {
    let Some(url) = database("transactions").await else { return };
    let pool = single(&url).await;
    let store = MySqlStore::from_pool(pool.clone()).await.unwrap();
    let other = MySqlStore::open(&url).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    let (version, _) = store.load(ACCOUNT).await.unwrap().unwrap();
    // Without `autocommit`, each statement of the application begins a transaction.
    for (begin, end) in [
        ("BEGIN; SELECT * FROM keyfob_second_factor", "COMMIT"),
        ("START TRANSACTION READ ONLY", "COMMIT"),
        ("SET autocommit = 0; SELECT * FROM keyfob_second_factor", "COMMIT; SET autocommit = 1"),
    ] {
        sqlx::raw_sql(begin).execute(&pool).await.unwrap();
        let enrolled = other.swap("past", None, Some(b"1")).await.unwrap();
        assert_eq!(enrolled, Swap::Swapped);
        for error in [
            store.load("past").await.unwrap_err(),
            store.accounts("", 10).await.unwrap_err(),
            store.swap(ACCOUNT, Some(version), Some(b"2")).await.unwrap_err(),
            store.swap("new", None, Some(b"2")).await.unwrap_err(),
            store.swap(ACCOUNT, Some(version), None).await.unwrap_err(),
            store.insert(&[("new", b"2")]).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains("transaction"), "{error}");
        }
        // What was refused did not happen either, and the transaction is still the application's.
        sqlx::raw_sql(end).execute(&pool).await.unwrap();
        assert_eq!(other.load(ACCOUNT).await.unwrap().unwrap().0, version);
        assert_eq!(other.load("new").await.unwrap(), None);
        let (born, _) = store.load("past").await.unwrap().unwrap();
        assert_eq!(store.swap("past", Some(born), None).await.unwrap(), Swap::Swapped);
    }

    // Without `autocommit`, a change that failed leaves no lock behind.
    sqlx::raw_sql("SET autocommit = 0").execute(&pool).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"2")).await.unwrap(), Swap::Conflict);
    assert_eq!(store.swap(ACCOUNT, Some(version), Some(b"2")).await.unwrap(), Swap::Swapped);
    let (seen, record) = other.load(ACCOUNT).await.unwrap().unwrap();
    assert_eq!((seen.get(), &*record), (version.get() + 1, &b"2"[..]));
    assert_eq!(other.swap(ACCOUNT, Some(seen), Some(b"3")).await.unwrap(), Swap::Swapped);
}

/// A lock wait that times out is an error, not a conflict.
#[tokio::test]
async fn a_lock_wait_that_times_out_is_an_error() {
    let Some(url) = database("locked").await else { return };
    let (locking, waiting) = (single(&url).await, prepared(&url, "SET innodb_lock_wait_timeout = 1").await);
    let store = MySqlStore::from_pool(waiting).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    let (version, _) = store.load(ACCOUNT).await.unwrap().unwrap();
    sqlx::raw_sql("BEGIN; SELECT * FROM keyfob_second_factor FOR UPDATE").execute(&locking).await.unwrap();
    let error = store.swap(ACCOUNT, Some(version), Some(b"2")).await.unwrap_err();
    assert!(error.to_string().contains("1205"), "{error}");
    sqlx::raw_sql("ROLLBACK").execute(&locking).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, Some(version), Some(b"2")).await.unwrap(), Swap::Swapped);
}

#[tokio::test]
async fn a_statement_is_repeated_only_after_a_conflict() {
    let Some(url) = database("repeated").await else { return };
    let pool = single(&url).await;
    let store = MySqlStore::from_pool(pool.clone()).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    let (version, _) = store.load(ACCOUNT).await.unwrap().unwrap();
    // A variable is not rolled back, so it counts how often a statement ran.
    for (number, tries) in [(1644, 1), (1062, 65), (1213, 65)] {
        for event in ["INSERT", "UPDATE"] {
            let fails = format!(
                "CREATE OR REPLACE TRIGGER fails_{event} BEFORE {event} ON keyfob_second_factor FOR EACH ROW BEGIN
                SET @tries = @tries + 1; SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}; END; SET @tries = 0"
            );
            sqlx::raw_sql(AssertSqlSafe(fails)).execute(&pool).await.unwrap();
        }
        let counted = async || sqlx::query_scalar::<_, i64>("SELECT @tries").fetch_one(&pool).await.unwrap();
        assert!(store.insert(&[("new", b"2"), ("newer", b"2")]).await.is_err());
        assert_eq!(counted().await, tries, "{number}");
        let answer = store.swap(ACCOUNT, Some(version), Some(b"2")).await;
        assert_eq!(answer.ok(), (number != 1644).then_some(Swap::Conflict), "{number}");
        assert_eq!(counted().await, tries + 1, "{number}");
    }
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let Some(url) = database("too_long").await else { return };
    let store = MySqlStore::from_pool(prepared(&url, "SET sql_mode = ''").await).await.unwrap();
    let long = "x".repeat(256);
    assert!(store.swap(&long, None, Some(b"1")).await.is_err());
    assert!(store.insert(&[(&long, b"1")]).await.is_err());
    assert!(store.swap(ACCOUNT, None, Some(&vec![0; 1 << 24])).await.is_err());
    assert_eq!(store.accounts("", 10).await.unwrap(), [""; 0]);
    let pool = single(&url).await;
    let foreign = "INSERT INTO keyfob_second_factor VALUES (x'ff', 1, '')";
    sqlx::raw_sql(foreign).execute(&pool).await.unwrap();
    assert!(store.accounts("", 10).await.is_err(), "not a name that this store could have written");
}

#[tokio::test]
async fn a_server_that_is_down_gives_no_verdict() {
    let Some(url) = database("down").await else { return };
    let short = Duration::from_millis(200);
    let pool = MySqlPoolOptions::new().max_connections(1).acquire_timeout(short).connect(&url).await.unwrap();
    let guarded = Guarded::new(MySqlStore::from_pool(pool.clone()).await.unwrap(), Policy::default());
    guarded.enroll(1).await;
    let right = code(1, guarded.now());
    let guess = wrong(1, guarded.now()).next().unwrap();
    let closed = async || {
        for typed in [&right, &guess] {
            assert_eq!(guarded.verify(typed).await.unwrap_err().kind(), GuardErrorKind::Store);
        }
    };
    // Out of connections.
    let held = pool.acquire().await.unwrap();
    closed().await;
    drop(held);
    // Without the table.
    sqlx::raw_sql("RENAME TABLE keyfob_second_factor TO away").execute(&pool).await.unwrap();
    closed().await;
    sqlx::raw_sql("RENAME TABLE away TO keyfob_second_factor").execute(&pool).await.unwrap();
    // Full.
    let full = "CREATE TRIGGER full BEFORE UPDATE ON keyfob_second_factor FOR EACH ROW \
                SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'";
    sqlx::raw_sql(full).execute(&pool).await.unwrap();
    closed().await;
    sqlx::raw_sql("DROP TRIGGER full").execute(&pool).await.unwrap();
    // The connection is cut.
    let id: u64 = sqlx::query_scalar("SELECT CONNECTION_ID()").fetch_one(&pool).await.unwrap();
    execute(&url, &format!("KILL {id}")).await;
    let answer = match guarded.verify(&right).await {
        Err(_) => guarded.verify(&right).await,
        answer => answer,
    };
    assert_eq!(answer.unwrap(), Answer::Accepted);
}

#[tokio::test]
async fn errors_hide_the_password() {
    for url in [
        "mysql://app:hunter2@localhost:none/app",
        "mysql://app:hunter2@[/app",
        "app:hunter2@localhost",
        "mysql://app:hunter2@localhost/app?socket=/nowhere",
        "mysql://app:hunter2@localhost/app?ssl-mode=hunter",
    ] {
        remote::hides_password(&MySqlStore::open(url).await.unwrap_err());
    }
    let options: MySqlConnectOptions = "mysql://app:hunter2@localhost:1/app".parse().unwrap();
    let pool = MySqlPoolOptions::new().acquire_timeout(Duration::from_millis(50)).connect_lazy_with(options);
    remote::hides_password(&MySqlStore::from_pool(pool).await.unwrap_err());
    let Some(url) = database("printed").await else { return };
    remote::hides_password(&MySqlStore::open(&url.replace("root@", "root:hunter2@")).await.unwrap_err());
    let store = MySqlStore::open(&url).await.unwrap();
    assert!(!format!("{store:?}").contains("hunter2"));
}
