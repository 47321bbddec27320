//! One table of an SQLite database, through `sqlx`.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use std::path::Path;
use std::time::Instant;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, Sqlite, SqlitePool};

use crate::store::{Store, Swap, Version};

/// Keeps records in an SQLite database, in a table of its own, `keyfob_second_factor`.
///
/// Any number of processes on one machine may share the file. It is in WAL mode and every change is synced before it
/// is acknowledged, which is checked when the store is opened: with less, a power cut makes used codes good again.
///
/// This needs Rust 1.94, by way of `sqlx` 0.9, whose pool is in the interface, a C compiler, and the `tokio` runtime.
///
/// After a backup was restored, the used codes in it are good again. This goes through all accounts and ends that:
///
/// ```
/// use keyfob::guard::GuardErrorKind;
/// use keyfob::store::SqliteStore;
/// use keyfob::{Guard, Keyring};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let keys = Keyring::generate("2026")?;
/// # let database = std::env::temp_dir().join(format!("keyfob-sqlite-{}.db", std::process::id()));
/// let guard = Guard::new(SqliteStore::open(&database).await?, Keyring::parse(&keys)?, "Example Inc");
/// # guard.enroll("user-17", &keyfob::guard::Setup::totp("alice@example.com")).await?;
/// let mut last = String::new();
/// loop {
///     let accounts = guard.store().accounts(&last, 1000).await?;
///     let Some(end) = accounts.last() else { break };
///     last.clone_from(end);
///     for user in &accounts {
///         match guard.operator_invalidate_codes(user).await {
///             Err(error) if error.kind() == GuardErrorKind::NotEnrolled => {} // an enrollment was begun, and no more
///             fenced => fenced?,
///         }
///         guard.reseal(user).await?; // if the backup is from before a new key
///     }
/// }
/// # assert_eq!(last, "user-17");
/// guard.store().close().await;
/// # std::fs::remove_file(database)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pool: SqlitePool,
}

impl SqliteStore {
    /// Opens the database in a file, which is created if it is not there, as in the example of the type.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if it cannot be opened, or does not sync.
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // Where a sync leaves the data in the disk's cache without it.
            .pragma("fullfsync", "on")
            .busy_timeout(PATIENCE);
        let began = Instant::now();
        loop {
            let connected = SqlitePoolOptions::new().max_connections(4).connect_with(options.clone()).await;
            // A new file becomes WAL while nobody else has it open, and for that SQLite does not wait.
            let busy = |error: &sqlx::Error| error.as_database_error()?.code().map(|code| code == "5");
            if connected.as_ref().is_err_and(|error| busy(error) == Some(true)) && began.elapsed() < PATIENCE {
                continue;
            }
            return Self::from_pool(connected?).await;
        }
    }

    /// Uses a pool that the application has already, and makes the table in its database.
    ///
    /// All connections of the pool must have `synchronous` `FULL` or `EXTRA`, and WAL as their journal, as
    /// [`SqliteConnectOptions`] sets them. One of them is looked at, and each is set to `FULL` before it is used. On one
    /// that comes back to the pool within a transaction, everything fails: it would read what was there when the
    /// transaction began.
    ///
    /// ```no_run
    /// use keyfob::store::SqliteStore;
    /// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
    ///
    /// # async fn open() -> Result<(), sqlx::Error> {
    /// let options = SqliteConnectOptions::new().filename("users.db");
    /// let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    /// let pool = SqlitePoolOptions::new().connect_with(options).await?;
    /// let store = SqliteStore::from_pool(pool.clone()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the database fails, or does not sync.
    pub async fn from_pool(pool: SqlitePool) -> Result<Self, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
        if synchronous < 2 || journal != "wal" {
            let reason = "the connections of this pool do not sync: set journal_mode to WAL and synchronous to FULL";
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

    /// The accounts that have a record, in order, at most `limit`, from the one after `after`: to go through all of them
    /// after a key was rotated or a backup restored, as in the example of the type. Begin with an empty text, go on with
    /// the last account of the page before; an empty page is the end.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the database fails.
    pub async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, sqlx::Error> {
        let mut connection = self.connection().await?;
        let query = "SELECT account FROM keyfob_second_factor WHERE account > ? ORDER BY account LIMIT ?";
        sqlx::query_scalar(query).bind(after).bind(limit).fetch_all(&mut *connection).await
    }

    /// A connection whose next statement is synced, and a transaction of its own: SQLite refuses this setting within a
    /// transaction, such as one that the application left open. A statement in there would not be stored yet, and would
    /// read what the database held when the transaction began: for an account enrolled since, that is no second factor.
    async fn connection(&self) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        sqlx::raw_sql("PRAGMA synchronous = FULL").execute(&mut *connection).await?;
        Ok(connection)
    }

    /// Waits for what is under way, and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Each of these is one statement, and so a transaction of its own.
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
                // An account that was removed and comes back begins at a random version, far from any that it had: a
                // decision from before the removal must not meet its own version again.
                let query = "INSERT INTO keyfob_second_factor (account, version, record) \
                             VALUES (?, random() & 0x1fffffffffffffff, ?) ON CONFLICT DO NOTHING";
                sqlx::query(query).bind(user).bind(record)
            }
            (None, None) => {
                let found = sqlx::query("SELECT 1 FROM keyfob_second_factor WHERE account = ?").bind(user);
                let found = found.fetch_optional(&mut *connection).await?.is_some();
                return Ok(if found { Swap::Conflict } else { Swap::Swapped });
            }
        };
        let result = query.execute(&mut *connection).await?;
        Ok(if result.rows_affected() == 1 { Swap::Swapped } else { Swap::Conflict })
    }
}

/// With others who use the file.
const PATIENCE: Duration = Duration::from_secs(10);
