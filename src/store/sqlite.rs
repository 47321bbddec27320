//! A store in an SQLite database, with `sqlx`.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use std::path::Path;
use std::time::Instant;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Row, Sqlite, SqlitePool};

use crate::store::{Accounts, Store, Swap, Version};

/// Keeps records in an SQLite database, in the table `keyfob_second_factor`.
///
/// Any number of processes on one machine can share the file. The database uses WAL mode, and syncs every change to
/// disk before the store acknowledges it. The store checks this when it is opened: without the sync, a power failure
/// could undo changes, and used codes would be accepted again.
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
}

impl SqliteStore {
    /// Opens a database file, and creates it if it does not exist. See [`SqliteStore`] for an example.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the file cannot be opened, or if the database does not sync changes to disk.
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // On macOS a plain fsync can leave the data in the disk's cache.
            .pragma("fullfsync", "on")
            .busy_timeout(BUSY_TIMEOUT);
        let started = Instant::now();
        loop {
            let connected = SqlitePoolOptions::new().max_connections(4).connect_with(options.clone()).await;
            // Switching a new file to WAL needs exclusive access, and SQLite does not apply the busy timeout to this
            // switch.
            let busy = |error: &sqlx::Error| error.as_database_error()?.code().map(|code| code == "5");
            if connected.as_ref().is_err_and(|error| busy(error) == Some(true)) && started.elapsed() < BUSY_TIMEOUT {
                continue;
            }
            return Self::from_pool(connected?).await;
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
        let mut connection = pool.acquire().await?;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
        if synchronous < 2 || journal != "wal" {
            let reason =
                "the connections of this pool do not sync to disk; set journal_mode to WAL and synchronous to FULL";
            return Err(sqlx::Error::Configuration(reason.into()));
        }
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS keyfob_second_factor \
             (account TEXT PRIMARY KEY, version INTEGER NOT NULL, record BLOB NOT NULL) STRICT, WITHOUT ROWID",
        )
        .execute(&mut *connection)
        .await?;
        drop(connection);
        Ok(Self { pool })
    }

    /// Returns a connection whose next statement runs in a separate transaction and is synced to disk.
    ///
    /// SQLite refuses to set `synchronous` inside a transaction, such as one that the application left open. A
    /// statement in that transaction would not be committed, and would read the database as it was when the transaction
    /// began. For an account that enrolled since then, it would find no second factor.
    async fn connection(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        sqlx::raw_sql("PRAGMA synchronous = FULL").execute(&mut *connection).await?;
        Ok(connection)
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
        let query = "SELECT version, record FROM keyfob_second_factor WHERE account = ?";
        let mut connection = self.connection().await?;
        let row = sqlx::query(query).bind(user).fetch_optional(&mut *connection).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((Version::new(row.try_get::<i64, _>(0)?.cast_unsigned()), row.try_get(1)?)))
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        let mut connection = self.connection().await?;
        let expected = expected.map(|version| version.get().cast_signed());
        let query = match (expected, record) {
            (Some(version), Some(record)) => {
                let query = "UPDATE keyfob_second_factor SET version = version + 1, record = ? \
                             WHERE account = ? AND version = ?";
                sqlx::query(query).bind(record).bind(user).bind(version)
            }
            (Some(version), None) => {
                let query = "DELETE FROM keyfob_second_factor WHERE account = ? AND version = ?";
                sqlx::query(query).bind(user).bind(version)
            }
            (None, Some(record)) => {
                // A new record starts at a random version. An account that is removed and enrolled again therefore does
                // not reuse an earlier version, and a change that was prepared before the removal fails at the swap.
                let query = "INSERT INTO keyfob_second_factor (account, version, record) \
                             VALUES (?, random() & 0x1fffffffffffffff, ?) ON CONFLICT DO NOTHING";
                sqlx::query(query).bind(user).bind(record)
            }
            (None, None) => {
                let query = sqlx::query("SELECT 1 FROM keyfob_second_factor WHERE account = ?").bind(user);
                let exists = query.fetch_optional(&mut *connection).await?.is_some();
                return Ok(if exists { Swap::Conflict } else { Swap::Swapped });
            }
        };
        let result = query.execute(&mut *connection).await?;
        Ok(if result.rows_affected() == 1 { Swap::Swapped } else { Swap::Conflict })
    }
}

impl Accounts for SqliteStore {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, Self::Error> {
        let mut connection = self.connection().await?;
        let query = "SELECT account FROM keyfob_second_factor WHERE account > ? ORDER BY account LIMIT ?";
        sqlx::query_scalar(query).bind(after).bind(limit).fetch_all(&mut *connection).await
    }

    /// All records are added in one transaction, which is synced to disk once.
    async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
        let mut connection = self.connection().await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let query = "INSERT INTO keyfob_second_factor (account, version, record) \
                     VALUES (?, random() & 0x1fffffffffffffff, ?) ON CONFLICT DO NOTHING";
        let mut inserted = Vec::with_capacity(records.len());
        for (user, record) in records {
            let result = sqlx::query(query).bind(*user).bind(*record).execute(&mut *transaction).await?;
            inserted.push(result.rows_affected() == 1);
        }
        transaction.commit().await?;
        Ok(inserted)
    }
}

/// How long to wait while other connections hold a lock on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
