//! The store in a PostgreSQL database.

use keyfob::Policy;
use keyfob::guard::GuardErrorKind;
use keyfob::store::{Accounts, PostgresStore, Store, StoreOptions, Swap};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};

use super::remote;
use crate::guarded::{ACCOUNT, Answer, Guarded, code, report, wrong};
use crate::servers::{Kind, Server, shared};

/// A database of its own on the shared server, and its URL.
async fn database(name: &str) -> Option<String> {
    let server = shared(Kind::Postgres)?;
    execute(&server.url("postgres"), &format!("CREATE DATABASE {name}")).await;
    Some(server.url(name))
}

async fn execute(url: &str, sql: &str) {
    let pool = PgPoolOptions::new().max_connections(1).connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    pool.close().await;
}

/// A pool of one connection, so that what is set on it stays set.
async fn single(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(1).connect(url).await.unwrap()
}

async fn clients(url: &str, count: usize) -> Vec<PostgresStore> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let options = url.parse::<PgConnectOptions>().unwrap().extra_float_digits(None::<i8>);
        let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
        clients.push(PostgresStore::from_pool(pool).await.unwrap());
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms() {
    let Some(url) = database("conforms").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    remote::lists_and_adds(&store).await;
    remote::conforms(vec![store]).await;
    remote::conforms(clients(&url, 4).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_isolation_level_conforms() {
    let Some(url) = database("isolation").await else { return };
    let levels = ["read uncommitted", "read committed", "repeatable read", "serializable"];
    let checks = levels.map(|level| {
        let url = url.clone();
        tokio::spawn(async move {
            let options = url.parse::<PgConnectOptions>().unwrap().options([("default_transaction_isolation", level)]);
            let pool = PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
            let set: String = sqlx::query_scalar("SHOW transaction_isolation").fetch_one(&pool).await.unwrap();
            assert_eq!(set, level);
            let table = StoreOptions::new().with_table(&level.replace(' ', "_")).unwrap();
            let store = PostgresStore::from_pool_with(pool, table).await.unwrap();
            if level == "serializable" {
                remote::lists_and_adds(&store).await;
            }
            remote::conforms(vec![store]).await;
        })
    });
    for check in checks {
        check.await.unwrap();
    }
}

/// This version of PgBouncer does not know prepared statements, and gives each statement another connection.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms_through_a_pooler() {
    let (Some(_), Some(pooler)) = (database("pooled").await, shared(Kind::PgBouncer)) else { return };
    let store = PostgresStore::open(&pooler.url("pooled")).await.unwrap();
    remote::lists_and_adds(&store).await;
    let mut clients = clients(&pooler.url("pooled"), 3).await;
    clients.push(store);
    remote::accepts_once("PgBouncer", clients.clone()).await;
    remote::conforms(clients).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_is_accepted() {
    let Some(url) = database("race").await else { return };
    remote::accepts_once("PostgreSQL", clients(&url, 6).await).await;
    remote::survives_dropped_requests(PostgresStore::open(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing() {
    let Some(server) = Server::start(Kind::Postgres, "kills", &[]) else { return };
    let clients = clients(&server.url("postgres"), 3).await;
    remote::survives_a_pause(&server, clients[0].clone()).await;
    remote::survives_kills(server, clients).await;
}

/// The documented statement is the one that is run, and is enough for a role that may not create tables.
#[tokio::test]
async fn the_table_can_be_made_by_a_migration() {
    let Some(url) = database("migrated").await else { return };
    let documented = include_str!("../../../src/store/postgres.sql");
    let columns = "SELECT string_agg(concat_ws(' ', column_name, data_type, collation_name, is_nullable), ', ' \
                   ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = $1";
    let pool = single(&url).await;
    let describe = async |table: &str| -> Option<String> {
        sqlx::query_scalar(columns).bind(table.to_owned()).fetch_one(&pool).await.unwrap()
    };
    let named = StoreOptions::new().with_table("Made.Here").unwrap();
    assert!(PostgresStore::open_with(&url, named.clone()).await.is_err(), "the schema is not created");
    execute(&url, "CREATE SCHEMA \"Made\"; CREATE ROLE app LOGIN; GRANT CONNECT ON DATABASE migrated TO app").await;

    let app = url.replace("postgres@", "app@");
    let denied = PostgresStore::open(&app).await.unwrap_err();
    assert_eq!(denied.as_database_error().unwrap().code().unwrap(), "42501");
    execute(&url, documented).await;
    execute(&url, "GRANT SELECT, INSERT, UPDATE, DELETE ON keyfob_second_factor TO app").await;
    let store = PostgresStore::open(&app).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);

    let other = PostgresStore::open_with(&url, named.clone()).await.unwrap();
    assert_eq!(other.load(ACCOUNT).await.unwrap(), None);
    assert_eq!(describe("Here").await, describe("keyfob_second_factor").await);
    assert_eq!(describe("Here").await.unwrap(), "account text C NO, version bigint NO, record bytea NO");
    // Opened again, by several at once.
    let opening: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let (url, options) = (url.clone(), StoreOptions::new().with_table("new").unwrap());
                async move { PostgresStore::open_with(&url, options).await }
            })
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
    // The background writer must not flush for the control.
    let Some(server) = Server::start(Kind::Postgres, "settings", &["wal_writer_delay=10s"]) else { return };
    let url = server.url("postgres");
    let store = PostgresStore::from_pool(single(&url).await).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    let pool = single(&url).await;
    let set = async |setting: &str| {
        for sql in [&format!("ALTER SYSTEM SET {setting}"), "SELECT pg_reload_conf()"] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        }
        let (name, value) = setting.split_once(" = ").unwrap();
        let shown = async || -> String {
            sqlx::query_scalar(AssertSqlSafe(format!("SHOW {name}"))).persistent(false).fetch_one(&pool).await.unwrap()
        };
        while shown().await != value {}
    };
    for setting in ["fsync", "full_page_writes"] {
        set(&format!("{setting} = off")).await;
        let lossy = PostgresStore::open_with(&url, StoreOptions::new().allow_lost_changes()).await.unwrap();
        let refused = PostgresStore::open(&url).await.unwrap_err().to_string();
        assert!(refused.contains(setting), "{refused}");
        // A store that was open before does not go on either.
        let (version, _) = lossy.load(ACCOUNT).await.unwrap().unwrap();
        for error in [
            store.load(ACCOUNT).await.unwrap_err(),
            store.swap(ACCOUNT, Some(version), Some(b"2")).await.unwrap_err(),
            store.swap(ACCOUNT, Some(version), None).await.unwrap_err(),
            store.swap("other", None, Some(b"2")).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains(setting), "{error}");
        }
        assert_eq!(lossy.load(ACCOUNT).await.unwrap().unwrap().0, version);
        set(&format!("{setting} = on")).await;
        assert!(PostgresStore::open(&url).await.is_ok(), "control");
    }
    for (scope, undo) in [
        ("ALTER ROLE postgres SET synchronous_commit = off", "ALTER ROLE postgres RESET synchronous_commit"),
        ("ALTER DATABASE postgres SET synchronous_commit = off", "ALTER DATABASE postgres RESET synchronous_commit"),
    ] {
        execute(&url, scope).await;
        let refused = PostgresStore::open(&url).await.unwrap_err().to_string();
        assert!(refused.contains("synchronous_commit"), "{refused}");
        assert!(PostgresStore::open_with(&url, StoreOptions::new().allow_lost_changes()).await.is_ok());
        execute(&url, undo).await;
    }
    assert!(PostgresStore::open(&url).await.is_ok(), "control");

    // On a connection that was changed later, each change is flushed all the same.
    let asynchronous = single(&url).await;
    let store = PostgresStore::from_pool(asynchronous.clone()).await.unwrap();
    sqlx::raw_sql("SET synchronous_commit = off").execute(&asynchronous).await.unwrap();
    let lsn = async |function: &str| -> i64 {
        let sql = format!("SELECT ({function}() - '0/0')::bigint");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap()
    };
    let (mut flushed, mut control) = (0, 0);
    for round in 0..40 {
        let before = lsn("pg_current_wal_insert_lsn").await;
        if round % 4 == 3 {
            assert_eq!(store.swap(&format!("{round}"), None, Some(b"x")).await.unwrap(), Swap::Swapped);
        } else {
            let (version, _) = store.load(ACCOUNT).await.unwrap().unwrap();
            assert_eq!(store.swap(ACCOUNT, Some(version), Some(b"x")).await.unwrap(), Swap::Swapped);
        }
        flushed += usize::from(lsn("pg_current_wal_flush_lsn").await > before);
        let before = lsn("pg_current_wal_insert_lsn").await;
        sqlx::raw_sql("UPDATE keyfob_second_factor SET version = version + 1").execute(&asynchronous).await.unwrap();
        control += usize::from(lsn("pg_current_wal_flush_lsn").await > before);
    }
    report(&format!(
        "PostgreSQL: of 40 changes, {flushed} were flushed, and {control} bare ones without synchronous_commit"
    ));
    assert_eq!(flushed, 40);
    assert!(control < 10);
    let shown: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&asynchronous).await.unwrap();
    assert_eq!(shown, "off", "it was set for the change only");
    // Stop the server outside of the runtime.
    drop(server);
}

/// Whatever the statement, and with both protocols.
#[tokio::test]
async fn no_connection_of_a_pool_loses_a_change_or_reads_from_the_past() {
    let Some(url) = database("transactions").await else { return };
    let pool = single(&url).await;
    let store = PostgresStore::from_pool(pool.clone()).await.unwrap();
    let other = PostgresStore::open(&url).await.unwrap();
    for begin in ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1"] {
        for prepared in [true, false] {
            if !prepared {
                // As if a pooler had lost it.
                let _ = store.load(ACCOUNT).await.unwrap();
                sqlx::raw_sql("DEALLOCATE ALL").execute(&pool).await.unwrap();
                let _ = store.load(ACCOUNT).await.unwrap();
            }
            assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
            let (version, _) = store.load(ACCOUNT).await.unwrap().unwrap();
            sqlx::raw_sql(begin).execute(&pool).await.unwrap();
            for error in [
                store.load(ACCOUNT).await.unwrap_err(),
                store.load("nobody").await.unwrap_err(),
                store.swap("nobody", None, None).await.unwrap_err(),
                store.accounts("", 10).await.unwrap_err(),
            ] {
                assert!(error.to_string().contains("transaction"), "{error}");
            }
            for changed in [
                store.swap(ACCOUNT, Some(version), Some(b"2")).await,
                store.swap("new", None, Some(b"2")).await,
                store.swap(ACCOUNT, Some(version), None).await,
            ] {
                assert!(changed.is_err(), "acknowledged, and rolled back");
            }
            // What was refused did not happen either.
            sqlx::raw_sql("COMMIT").execute(&pool).await.unwrap();
            assert_eq!(other.load(ACCOUNT).await.unwrap().unwrap().0, version);
            assert_eq!(other.load("new").await.unwrap(), None);
            assert_eq!(store.swap(ACCOUNT, Some(version), None).await.unwrap(), Swap::Swapped);
        }
    }
}

/// If the database rolled a statement back, it had no effect. Other errors can hide that it had one.
#[tokio::test]
async fn a_statement_is_repeated_only_if_it_was_rolled_back() {
    let Some(url) = database("repeated").await else { return };
    let pool = single(&url).await;
    let store = PostgresStore::from_pool(pool.clone()).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    let (version, _) = store.load(ACCOUNT).await.unwrap().unwrap();
    // A sequence is not rolled back, so it counts how often a statement ran.
    let fails = "CREATE SEQUENCE tries; CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM nextval('tries'); RAISE EXCEPTION 'no' USING ERRCODE = current_setting('test.code'); END $$;
        CREATE TRIGGER fails BEFORE INSERT OR UPDATE OR DELETE ON keyfob_second_factor
        FOR EACH ROW EXECUTE FUNCTION fail()";
    sqlx::raw_sql(fails).execute(&pool).await.unwrap();
    for (code, conflicts, repeated) in [("P0001", false, 1), ("40001", true, 8), ("40P01", true, 8)] {
        sqlx::raw_sql(AssertSqlSafe(format!("SET test.code = '{code}'"))).execute(&pool).await.unwrap();
        for (expected, record, tries) in
            [(Some(version), Some(&b"2"[..]), 1), (Some(version), None, 1), (None, Some(b"2"), repeated)]
        {
            sqlx::raw_sql("SELECT setval('tries', 1, false)").execute(&pool).await.unwrap();
            let user = if expected.is_some() { ACCOUNT } else { "new" };
            let answer = store.swap(user, expected, record).await;
            assert_eq!(answer.ok(), conflicts.then_some(Swap::Conflict), "{code} {expected:?}");
            let next: i64 = sqlx::query_scalar("SELECT nextval('tries')").fetch_one(&pool).await.unwrap();
            assert_eq!(next - 1, tries, "{code} {expected:?}");
        }
        assert!(store.insert(&[("new", b"2")]).await.is_err());
    }
}

/// A standby can be behind its primary, and can show a code as unused.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused() {
    let Some(server) = Server::start(Kind::Postgres, "standby", &[]) else { return };
    let pool = PgPoolOptions::new().max_connections(1).connect(&server.url("postgres")).await.unwrap();
    let store = PostgresStore::from_pool(pool.clone()).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    server.restart_as_standby();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM keyfob_second_factor").fetch_one(&pool).await.unwrap();
    assert_eq!(rows, 1, "control: a standby can be read");
    for error in [
        store.load(ACCOUNT).await.map(drop).unwrap_err(),
        store.accounts("", 10).await.map(drop).unwrap_err(),
        PostgresStore::open(&server.url("postgres")).await.map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("recovery"), "{error}");
    }
    assert!(store.swap(ACCOUNT, None, Some(b"2")).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_down_gives_no_verdict() {
    let Some(url) = database("down").await else { return };
    let short = std::time::Duration::from_millis(200);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(short).connect(&url).await.unwrap();
    let guarded = Guarded::new(PostgresStore::from_pool(pool.clone()).await.unwrap(), Policy::default());
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
    // Read-only.
    sqlx::raw_sql("SET default_transaction_read_only = on").execute(&pool).await.unwrap();
    closed().await;
    assert!(guarded.guard.store().load(ACCOUNT).await.unwrap_err().to_string().contains("read-only"));
    sqlx::raw_sql("SET default_transaction_read_only = off").execute(&pool).await.unwrap();
    // Without the table.
    sqlx::raw_sql("ALTER TABLE keyfob_second_factor RENAME TO away").execute(&pool).await.unwrap();
    closed().await;
    sqlx::raw_sql("ALTER TABLE away RENAME TO keyfob_second_factor").execute(&pool).await.unwrap();
    // Full.
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$; \
                CREATE TRIGGER t BEFORE UPDATE ON keyfob_second_factor EXECUTE FUNCTION full_disk()";
    sqlx::raw_sql(full).execute(&pool).await.unwrap();
    closed().await;
    sqlx::raw_sql("DROP TRIGGER t ON keyfob_second_factor").execute(&pool).await.unwrap();
    // The connection is cut.
    let other = single(&url).await;
    sqlx::raw_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'down' AND pid <> pg_backend_pid()",
    )
    .execute(&other)
    .await
    .unwrap();
    assert_eq!(guarded.guard.status(ACCOUNT).await.map_or(0, |status| status.consecutive_failures()), 0);
    let answer = match guarded.verify(&right).await {
        Err(_) => guarded.verify(&right).await,
        answer => answer,
    };
    assert_eq!(answer.unwrap(), Answer::Accepted);
}

#[tokio::test]
async fn errors_hide_the_password() {
    let options = StoreOptions::new();
    for url in [
        "postgres://app:hunter2@localhost:1/app",
        "postgres://app:hunter2@localhost:none/app",
        "postgres://app:hunter2@[/app",
        "app:hunter2@localhost",
        "postgres://app:hunter2@localhost/app?host=/nowhere",
        "postgres://app:hunter2@localhost/app?sslmode=hunter",
    ] {
        // What is refused is tried again until the time is up.
        if url.contains(":1/") {
            continue;
        }
        remote::hides_password(&PostgresStore::open_with(url, options.clone()).await.unwrap_err());
    }
    let options: PgConnectOptions = "postgres://app:hunter2@localhost:1/app".parse().unwrap();
    let pool = PgPoolOptions::new().acquire_timeout(std::time::Duration::from_millis(50)).connect_lazy_with(options);
    remote::hides_password(&PostgresStore::from_pool(pool).await.unwrap_err());
    let Some(url) = database("printed").await else { return };
    let store = PostgresStore::open(&url.replace("postgres@", "postgres:hunter2@")).await.unwrap();
    assert!(!format!("{store:?}").contains("hunter2"));
}

#[test]
fn a_table_has_a_name_that_needs_no_escaping() {
    assert_eq!(StoreOptions::new().with_table("keyfob_second_factor").unwrap(), StoreOptions::default());
    for name in ["a", "_", "second_factor", "Auth.Second_Factor_2", &"x".repeat(63)] {
        assert!(StoreOptions::new().with_table(name).is_ok(), "{name}");
    }
    for name in [
        "",
        ".",
        "a.",
        ".a",
        "a.b.c",
        "1a",
        "a.1",
        "a b",
        "a\"b",
        "a`b",
        "a;b",
        "a'",
        "a-b",
        "a\0",
        "\u{e4}",
        "a$1",
        "{a}",
        "a\\",
        &"x".repeat(64),
        "keyfob; DROP TABLE users",
    ] {
        let error = StoreOptions::new().with_table(name).unwrap_err();
        assert_eq!(error.kind(), keyfob::ErrorKind::Table, "{name}");
    }
}
