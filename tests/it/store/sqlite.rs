//! The store that is a file.

use keyfob::Policy;
use keyfob::guard::{GuardErrorKind, Refusal};
use keyfob::store::{Accounts, SqliteStore, Store, StoreOptions, Swap, conformance};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::guarded::{ACCOUNT, Answer, Guarded, Scratch, code, wrong};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    let scratch = Scratch::new("conforms");
    let open = async || SqliteStore::open(scratch.file("db")).await.unwrap();
    // A pool each, as two processes would have.
    let (one, other) = (open().await, open().await);
    tokio::task::spawn_blocking(move || {
        let handle = tokio::runtime::Handle::current();
        conformance::check(&one, |test| handle.block_on(test)).unwrap();
        conformance::check_all(&[&one, &other], |test| handle.block_on(test)).unwrap();
        conformance::check_accounts(&one, |test| handle.block_on(test)).unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_database_that_does_not_sync_is_refused() {
    let scratch = Scratch::new("sync");
    let journals = [
        SqliteJournalMode::Wal,
        SqliteJournalMode::Delete,
        SqliteJournalMode::Truncate,
        SqliteJournalMode::Persist,
        SqliteJournalMode::Memory,
        SqliteJournalMode::Off,
    ];
    let levels = [SqliteSynchronous::Off, SqliteSynchronous::Normal, SqliteSynchronous::Full, SqliteSynchronous::Extra];
    for (position, journal) in journals.into_iter().enumerate() {
        for (level, synchronous) in levels.into_iter().enumerate() {
            let options = SqliteConnectOptions::new()
                .filename(scratch.file(&format!("{position}-{level}")))
                .create_if_missing(true)
                .journal_mode(journal)
                .synchronous(synchronous);
            let pool = SqlitePool::connect_with(options).await.unwrap();
            let opened = SqliteStore::from_pool(pool).await;
            assert_eq!(opened.is_ok(), position == 0 && level >= 2, "journal {position}, level {level}");
            if let Err(error) = opened {
                assert!(error.to_string().contains("do not sync"), "{error}");
            }
        }
    }
    let memory = SqlitePool::connect("sqlite::memory:").await.unwrap();
    assert!(SqliteStore::from_pool(memory).await.is_err());
}

#[tokio::test]
async fn records_survive_and_the_table_is_made_once() {
    let scratch = Scratch::new("survive");
    let store = SqliteStore::open(scratch.file("db")).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"\0\xff'")).await.unwrap(), Swap::Swapped);
    let before = store.load(ACCOUNT).await.unwrap().unwrap();
    let beside = SqliteStore::open(scratch.file("db")).await.unwrap();
    assert_eq!(beside.load(ACCOUNT).await.unwrap().unwrap(), before);
    store.close().await;
    beside.close().await;

    let store = SqliteStore::open(scratch.file("db")).await.unwrap();
    assert_eq!(store.load(ACCOUNT).await.unwrap().unwrap(), before);
    assert_eq!(store.swap(ACCOUNT, Some(before.0), Some(b"next")).await.unwrap(), Swap::Swapped);
    assert_eq!(store.swap(ACCOUNT, Some(before.0), Some(b"late")).await.unwrap(), Swap::Conflict);
}

/// The documented statement is the one that is run.
#[tokio::test]
async fn the_table_can_be_named() {
    let scratch = Scratch::new("named");
    let options = SqliteConnectOptions::new().filename(scratch.file("db")).create_if_missing(true);
    let pool = SqlitePool::connect_with(options.journal_mode(SqliteJournalMode::Wal)).await.unwrap();
    sqlx::raw_sql(include_str!("../../../src/store/sqlite.sql")).execute(&pool).await.unwrap();
    let store = SqliteStore::open(scratch.file("db")).await.unwrap();
    let named = StoreOptions::new().with_table("Other_1").unwrap();
    let other = SqliteStore::open_with(scratch.file("db"), named).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    assert_eq!(other.load(ACCOUNT).await.unwrap(), None);
    assert_eq!(other.insert(&[(ACCOUNT, b"2")]).await.unwrap(), [true]);
    let tables: Vec<(String, String)> =
        sqlx::query_as("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetch_all(&pool).await.unwrap();
    let [(documented, first), (named, second)] = &tables[..] else { panic!("{tables:?}") };
    assert_eq!(second.replace(&format!("\"{named}\""), documented), *first);

    let single = || SqlitePoolOptions::new().max_connections(1);
    let memory = single().connect("sqlite::memory:").await.unwrap();
    assert!(SqliteStore::from_pool(memory.clone()).await.is_err());
    let lossy = StoreOptions::new().allow_lost_changes();
    let store = SqliteStore::from_pool_with(memory, lossy).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
}

/// The first start of a service with several processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_new_file_is_opened_by_several_at_once() {
    let scratch = Scratch::new("first");
    for round in 0..10 {
        let file = scratch.file(&round.to_string());
        let opening: Vec<_> = (0..8).map(|_| tokio::spawn(SqliteStore::open(file.clone()))).collect();
        for opened in opening {
            opened.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn accounts_come_in_pages() {
    let scratch = Scratch::new("pages");
    let store = SqliteStore::open(scratch.file("db")).await.unwrap();
    assert!(store.accounts("", 10).await.unwrap().is_empty());
    let mut names: Vec<String> = (0..25).map(|number| format!("user-{number}")).collect();
    names.extend(["User-1", "\u{e4}", "' OR 1 = 1", "%", "_"].map(str::to_owned));
    for name in &names {
        assert_eq!(store.swap(name, None, Some(b"x")).await.unwrap(), Swap::Swapped);
    }
    // By bytes, as Rust sorts.
    names.sort();
    for limit in [1, 7, 30, 100] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = store.accounts(&after, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit as usize);
            after.clone_from(last);
            found.extend(page);
        }
        assert_eq!(found, names, "pages of {limit}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_gives_no_verdict() {
    let scratch = Scratch::new("down");
    let store = SqliteStore::open(scratch.file("db")).await.unwrap();
    let guarded = Guarded::new(store.clone(), Policy::default());
    guarded.enroll(1).await;
    let right = code(1, guarded.now());

    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(scratch.file("db"))).await.unwrap();
    sqlx::query("ALTER TABLE keyfob_second_factor RENAME TO away").execute(&pool).await.unwrap();
    let gone = guarded.verify(&right).await.unwrap_err();
    assert_eq!(gone.kind(), GuardErrorKind::Store);
    sqlx::query("ALTER TABLE away RENAME TO keyfob_second_factor").execute(&pool).await.unwrap();

    // What can be read and not written lets nobody in either.
    sqlx::query("CREATE TRIGGER full BEFORE UPDATE ON keyfob_second_factor BEGIN SELECT RAISE(ABORT, 'full'); END")
        .execute(&pool)
        .await
        .unwrap();
    for typed in [&right, &wrong(1, guarded.now()).next().unwrap()] {
        assert_eq!(guarded.verify(typed).await.unwrap_err().kind(), GuardErrorKind::Store);
    }
    sqlx::query("DROP TRIGGER full").execute(&pool).await.unwrap();
    assert_eq!(guarded.guard.status(ACCOUNT).await.unwrap().consecutive_failures(), 0);

    assert_eq!(guarded.verify(&right).await.unwrap(), Answer::Accepted);
    store.close().await;
    for typed in [right.as_str(), "not a code"] {
        let closed = guarded.verify(typed).await.unwrap_err();
        assert_eq!(closed.kind(), GuardErrorKind::Store);
        assert!(std::error::Error::source(&closed).is_some());
    }
    assert!(SqliteStore::open(scratch.file("no such directory/db")).await.is_err());
}

#[tokio::test]
async fn a_failure_outlives_the_transaction_of_the_caller() {
    let scratch = Scratch::new("rollback");
    let options = SqliteConnectOptions::new()
        .filename(scratch.file("db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(std::time::Duration::ZERO);
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
    let guarded = Guarded::new(SqliteStore::from_pool(pool.clone()).await.unwrap(), Policy::default());
    guarded.enroll(1).await;
    let typed = wrong(1, guarded.now()).next().unwrap();

    for failures in 1..=3 {
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query("SELECT account FROM keyfob_second_factor").fetch_all(&mut *transaction).await.unwrap();
        assert_eq!(guarded.verify(&typed).await.unwrap(), Answer::Refused(Refusal::WrongCode));
        transaction.rollback().await.unwrap();
        assert_eq!(guarded.guard.status(ACCOUNT).await.unwrap().consecutive_failures(), failures);
    }

    // One that holds the lock keeps the guard from writing, and so from answering.
    let transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    for typed in [typed, code(1, guarded.now())] {
        assert_eq!(guarded.verify(&typed).await.unwrap_err().kind(), GuardErrorKind::Store);
    }
    transaction.rollback().await.unwrap();
    assert_eq!(guarded.guard.status(ACCOUNT).await.unwrap().consecutive_failures(), 3);
    assert_eq!(guarded.verify(&code(1, guarded.now())).await.unwrap(), Answer::Accepted);
}

/// A connection that the application left inside a transaction reads from the past: an account enrolled since has no
/// second factor there, and whoever has the password would be let in.
#[tokio::test]
async fn no_connection_of_a_pool_reads_from_the_past() {
    let scratch = Scratch::new("past");
    let other = Guarded::new(SqliteStore::open(scratch.file("db")).await.unwrap(), Policy::default());
    let options = SqliteConnectOptions::new().filename(scratch.file("db")).journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let store = SqliteStore::from_pool(pool.clone()).await.unwrap();
    let guarded = Guarded::new(store.clone(), Policy::default());
    sqlx::raw_sql("BEGIN; SELECT * FROM keyfob_second_factor").execute(&pool).await.unwrap();

    other.enroll(1).await;
    guarded.set(other.now());
    let control: Option<i64> =
        sqlx::query_scalar("SELECT version FROM keyfob_second_factor").fetch_optional(&pool).await.unwrap();
    assert_eq!(control, None, "control: this connection does not see the account");
    let right = code(1, other.now());
    assert_eq!(guarded.verify(&right).await.unwrap_err().kind(), GuardErrorKind::Store);
    assert_eq!(guarded.guard.status(ACCOUNT).await.unwrap_err().kind(), GuardErrorKind::Store);
    assert!(store.accounts("", 10).await.is_err());
    sqlx::raw_sql("ROLLBACK").execute(&pool).await.unwrap();
    assert_eq!(guarded.verify(&right).await.unwrap(), Answer::Accepted);
    assert_eq!(store.accounts("", 10).await.unwrap(), [ACCOUNT]);
}

/// A change that waits within somebody's transaction is not stored, and one that is not synced is not kept.
#[tokio::test]
async fn no_connection_of_a_pool_loses_a_change() {
    let scratch = Scratch::new("pool");
    let options = SqliteConnectOptions::new().filename(scratch.file("db")).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options.journal_mode(SqliteJournalMode::Wal)).await.unwrap();
    let store = SqliteStore::from_pool(pool.clone()).await.unwrap();
    let version = async || store.load(ACCOUNT).await.unwrap().map(|(version, _)| version);

    // The application forgets that it has begun something.
    sqlx::raw_sql("BEGIN").execute(&pool).await.unwrap();
    assert!(store.swap(ACCOUNT, None, Some(b"1")).await.is_err(), "acknowledged, and rolled back");
    sqlx::raw_sql("ROLLBACK").execute(&pool).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    let born = version().await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&pool).await.unwrap();
    assert!(store.swap(ACCOUNT, Some(born), Some(b"2")).await.is_err());
    assert!(store.swap(ACCOUNT, Some(born), None).await.is_err());
    sqlx::raw_sql("ROLLBACK").execute(&pool).await.unwrap();

    // Or wants something else to be fast.
    let synchronous = async || sqlx::query_scalar::<_, i64>("PRAGMA synchronous").fetch_one(&pool).await.unwrap();
    sqlx::raw_sql("PRAGMA synchronous = OFF").execute(&pool).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, Some(born), Some(b"2")).await.unwrap(), Swap::Swapped);
    assert_eq!(synchronous().await, 2);
    sqlx::raw_sql("PRAGMA synchronous = OFF").execute(&pool).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, version().await, None).await.unwrap(), Swap::Swapped);
    assert_eq!(synchronous().await, 2);
    store.close().await;
}
