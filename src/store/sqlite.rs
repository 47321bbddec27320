//! A store in an SQLite database, with `sqlx`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use std::path::Path;
use std::time::Instant;

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Row, Sqlite, SqlitePool};

use super::options::StoreOptions;
use crate::store::{Accounts, Store, Swap, Version};

/// Keeps records in an SQLite database, in the table `keyfob_second_factor`.
///
/// Any number of processes on one machine can share the file. The database uses WAL mode, and syncs every change to
/// disk before the store acknowledges it. The store checks this when it is opened: without the sync, a power failure
/// could undo changes, and used codes would be accepted again.
///
/// The store creates this table unless it exists. [`StoreOptions::with_table`] chooses another name.
///
/// ```sql
#[doc = include_str!("sqlite.sql")]
/// ```
///
/// [`StoreOptions::allow_lost_changes`] also accepts a database that the store would otherwise refuse to open, such as
/// one in memory.
///
/// This store needs the `tokio` runtime, a C compiler, and Rust 1.94, which `sqlx` 0.9 requires. The pool type of
/// `sqlx` 0.9 is part of the public interface.
///
/// ```
/// use keyfob::store::SqliteStore;
/// use keyfob::{Guard, Keyring};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = Keyring::generate("2026")?;
/// # let database = std::env::temp_dir().join(format!("keyfob-sqlite-{}.db", std::process::id()));
/// let store = SqliteStore::open(&database).await?;
/// let guard = Guard::new(store, Keyring::parse(&keys)?, "Example Inc");
/// # guard.enroll("user-17", &keyfob::guard::Setup::totp("alice@example.com")).await?;
///
/// // When the server stops.
/// guard.store().close().await;
/// # std::fs::remove_file(database)?;
/// # Ok(()) }
/// ```
///
/// After you restore a backup, codes that were used after the backup was made would be accepted again.
/// [`Guard::operator_invalidate_codes`](crate::Guard::operator_invalidate_codes) has a program that prevents this.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pool: SqlitePool,
    statements: Arc<Statements>,
}

impl SqliteStore {
    /// Opens a database file, and creates it if it does not exist. See [`SqliteStore`] for an example.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the file cannot be opened, or if the database does not sync changes to disk.
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self, sqlx::Error> {
        Self::open_with(path, StoreOptions::new()).await
    }

    /// Like [`open`](Self::open), with another table.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_with(path: impl AsRef<Path> + Send, options: StoreOptions) -> Result<Self, sqlx::Error> {
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // On macOS a plain fsync can leave the data in the disk's cache.
            .pragma("fullfsync", "on")
            .busy_timeout(BUSY_TIMEOUT);
        let started = Instant::now();
        loop {
            let connected = SqlitePoolOptions::new()
                .max_connections(4)
                .test_before_acquire(false)
                .connect_with(connect.clone())
                .await;
            // Switching a new file to WAL needs exclusive access, and SQLite does not apply the busy timeout to this
            // switch.
            let busy = |error: &sqlx::Error| error.as_database_error()?.code().map(|code| code == "5");
            if connected.as_ref().is_err_and(|error| busy(error) == Some(true)) && started.elapsed() < BUSY_TIMEOUT {
                continue;
            }
            return Self::with_pool(connected?, &options, Pool::Own).await;
        }
    }

    /// Uses an existing pool from your application, and creates the table in its database.
    ///
    /// Configure the pool with `journal_mode` WAL and `synchronous` `FULL` or `EXTRA`, as in the example. This method
    /// checks one connection, and the store sets `synchronous` to `FULL` on each connection before using it.
    ///
    /// If a connection was returned to the pool with an open transaction, the store returns an error. Such a connection
    /// would read the database as it was when the transaction began.
    ///
    /// ```no_run
    /// use keyfob::store::SqliteStore;
    /// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
    /// use sqlx::sqlite::{SqlitePoolOptions, SqliteSynchronous};
    ///
    /// # async fn open() -> Result<(), sqlx::Error> {
    /// let options = SqliteConnectOptions::new()
    ///     .filename("users.db")
    ///     .journal_mode(SqliteJournalMode::Wal)
    ///     .synchronous(SqliteSynchronous::Full);
    /// let pool = SqlitePoolOptions::new().connect_with(options).await?;
    /// let store = SqliteStore::from_pool(pool.clone()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the database fails, or if it does not sync changes to disk.
    pub async fn from_pool(pool: SqlitePool) -> Result<Self, sqlx::Error> {
        Self::from_pool_with(pool, StoreOptions::new()).await
    }

    /// Like [`from_pool`](Self::from_pool), with another table or without the check of the syncs.
    ///
    /// # Errors
    ///
    /// As for [`from_pool`](Self::from_pool).
    pub async fn from_pool_with(pool: SqlitePool, options: StoreOptions) -> Result<Self, sqlx::Error> {
        Self::with_pool(pool, &options, Pool::Shared).await
    }

    async fn with_pool(pool: SqlitePool, options: &StoreOptions, owner: Pool) -> Result<Self, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        if !options.accepts_loss() {
            let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
            let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
            if synchronous < 2 || journal != "wal" {
                let reason =
                    "the connections of this pool do not sync to disk; set journal_mode to WAL and synchronous to FULL";
                return Err(sqlx::Error::Configuration(reason.into()));
            }
        }
        let create = options.rename(include_str!("sqlite.sql"), "\"");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await?;
        drop(connection);
        Ok(Self { pool, statements: Arc::new(Statements::new(options, owner)) })
    }

    /// Prepares a statement each time if it begins with a `PRAGMA`. SQLite runs a `PRAGMA` when it is prepared, and not
    /// when a cached statement is used again.
    fn query(&self, statement: &Arc<str>) -> Query<'_, Sqlite, SqliteArguments> {
        sqlx::query(AssertSqlSafe(statement.clone())).persistent(self.statements.before.is_empty())
    }

    /// Waits for running requests, and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Each operation is a single statement, and therefore a separate transaction.
impl Store for SqliteStore {
    type Error = sqlx::Error;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        let row = self.query(&self.statements.load).bind(user).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((Version::new(row.try_get::<i64, _>(0)?.cast_unsigned()), row.try_get(1)?)))
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        let expected = expected.map(|version| version.get().cast_signed());
        let query = match (expected, record) {
            (Some(version), Some(record)) => self.query(&self.statements.update).bind(record).bind(user).bind(version),
            (Some(version), None) => self.query(&self.statements.remove).bind(user).bind(version),
            (None, Some(record)) => self.query(&self.statements.insert).bind(user).bind(record),
            (None, None) => {
                return Ok(if self.load(user).await?.is_none() { Swap::Swapped } else { Swap::Conflict });
            }
        };
        // All rows, because the change is committed after the last one.
        let changed = query.fetch_all(&self.pool).await?;
        Ok(if changed.len() == 1 { Swap::Swapped } else { Swap::Conflict })
    }
}

impl Accounts for SqliteStore {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, Self::Error> {
        let rows = self.query(&self.statements.accounts).bind(after).bind(limit).fetch_all(&self.pool).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// All records are added in one transaction, which is synced to disk once.
    async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
        let mut connection = self.pool.acquire().await?;
        sqlx::raw_sql(self.statements.before).execute(&mut *connection).await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut inserted = Vec::with_capacity(records.len());
        for (user, record) in records {
            let insert = sqlx::query(AssertSqlSafe(self.statements.insert_in_transaction.clone()));
            let result = insert.bind(*user).bind(*record).execute(&mut *transaction).await?;
            inserted.push(result.rows_affected() == 1);
        }
        transaction.commit().await?;
        Ok(inserted)
    }
}

/// The statements of a store, with the name of its table.
///
/// In a pool of the application, all but `insert_in_transaction` begin with `before`, in the same request to SQLite.
#[derive(Debug)]
struct Statements {
    before: &'static str,
    load: Arc<str>,
    update: Arc<str>,
    remove: Arc<str>,
    insert: Arc<str>,
    accounts: Arc<str>,
    insert_in_transaction: Arc<str>,
}

impl Statements {
    fn new(options: &StoreOptions, owner: Pool) -> Self {
        let before = match owner {
            Pool::Own => "",
            Pool::Shared => SYNCED,
        };
        let table = options.quoted("\"");
        // A new record starts at a random version. An account that is removed and enrolled again therefore does not
        // reuse an earlier version, and a change that was prepared before the removal fails at the swap.
        let insert = format!(
            "INSERT INTO {table} (account, version, record) VALUES (?, random() & 0x1fffffffffffffff, ?) \
             ON CONFLICT DO NOTHING"
        );
        Self {
            before,
            load: format!("{before}SELECT version, record FROM {table} WHERE account = ?").into(),
            update: format!(
                "{before}UPDATE {table} SET version = version + 1, record = ? WHERE account = ? AND version = ? \
                 RETURNING 1"
            )
            .into(),
            remove: format!("{before}DELETE FROM {table} WHERE account = ? AND version = ? RETURNING 1").into(),
            insert: format!("{before}{insert} RETURNING 1").into(),
            accounts: format!("{before}SELECT account FROM {table} WHERE account > ? ORDER BY account LIMIT ?").into(),
            insert_in_transaction: insert.into(),
        }
    }
}

/// Who uses the pool.
#[derive(Clone, Copy)]
enum Pool {
    /// Only this store, so no connection has other settings or an open transaction.
    Own,
    /// Also the application.
    Shared,
}

/// Ensures that the next statement runs in a separate transaction and is synced to disk.
///
/// SQLite refuses to set `synchronous` inside a transaction, such as one that the application left open. A statement in
/// that transaction would not be committed, and would read the database as it was when the transaction began. For an
/// account that enrolled since then, it would find no second factor.
const SYNCED: &str = "PRAGMA synchronous = FULL; ";
/// How long to wait while other connections hold a lock on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
