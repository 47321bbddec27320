//! A store in a MySQL or MariaDB database, with `sqlx`.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use sqlx::mysql::{MySqlArguments, MySqlDatabaseError, MySqlPoolOptions, MySqlRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, MySql, MySqlPool, Row};

use super::hex;
use super::options::StoreOptions;
use crate::store::{Accounts, Store, Swap, Version};

/// Keeps records in a MySQL or MariaDB database, in the table `keyfob_second_factor`.
///
/// Any number of servers can share the database. Every change is one statement in its own transaction, and is flushed
/// to disk before the store acknowledges it.
///
/// ```no_run
/// use keyfob::store::MySqlStore;
/// use keyfob::{Guard, Keyring};
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MySqlStore::open("mysql://app:password@db.example.com/app").await?;
/// let guard = Guard::new(store, Keyring::parse(&std::env::var("KEYFOB_KEYS")?)?, "Example Inc");
/// # Ok(()) }
/// ```
///
/// This store needs the `tokio` runtime and Rust 1.94, which `sqlx` 0.9 requires. The pool type of `sqlx` 0.9 is part
/// of the public interface. For TLS, depend on `sqlx` yourself and enable one of its `tls` features.
///
/// # The table
///
/// The store creates this table unless it exists. If the store's user may not create tables, or if you use migrations,
/// create it yourself:
///
/// ```sql
#[doc = include_str!("mysql.sql")]
/// ```
///
/// The user needs `SELECT`, `INSERT`, `UPDATE` and `DELETE` on the table. [`StoreOptions::with_table`] chooses another
/// name. Names of accounts are binary, so they are compared byte by byte, whatever the collation of the database.
///
/// # What the server must guarantee
///
/// If one of these settings could lose acknowledged changes, the store refuses to open, and its error names the
/// setting: `innodb_flush_log_at_trx_commit`, `sync_binlog` (if the binary log is enabled), `innodb_doublewrite`, and
/// the table's storage engine. Each request checks the first two again.
/// [`StoreOptions::allow_lost_changes`] skips all of these checks.
///
/// The store reads from the primary only, and refuses a server on which `read_only` is set. Set it on every replica.
///
/// A failover to an asynchronous replica loses the last acknowledged changes: used codes are accepted again until you
/// call [`Guard::operator_invalidate_codes`](crate::Guard::operator_invalidate_codes) for each account.
///
/// # Settings of the connection
///
/// `autocommit`, the isolation level and the client's found-rows flag can have any value. In your application's pool,
/// each request sets its own isolation level and ends with `COMMIT`, in one message without prepared statements. In its
/// own pool, the store sets both when it connects, and prepares its statements, which is faster.
///
/// A deadlock (error 1213) is a [`Swap::Conflict`]. A lock wait timeout (1205) is an error, because waiting again could
/// take minutes. If the outcome is unknown, for example because the connection was lost, that is an error, too.
#[derive(Clone, Debug)]
pub struct MySqlStore {
    pool: MySqlPool,
    statements: Arc<Statements>,
}

impl MySqlStore {
    /// Connects to a server, and creates the table if it does not exist. See [`MySqlStore`] for an example.
    ///
    /// The pool has at most ten connections. If none is available within ten seconds, a request fails.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the URL is invalid, if the server cannot be reached, or if it may lose acknowledged changes.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        Self::open_with(url, StoreOptions::new()).await
    }

    /// Like [`open`](Self::open), with another table or with other checks.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_with(url: &str, options: StoreOptions) -> Result<Self, sqlx::Error> {
        let pool = MySqlPoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Testing each connection before it is used would double the round trips. One that was just used needs no
            // test. If the server was restarted in the meantime, its next request fails, and the pool replaces it.
            .test_before_acquire(false)
            // Nobody else uses these connections, so these settings stay in effect.
            .after_connect(|connection, _| {
                Box::pin(async move { sqlx::raw_sql(OWN_CONNECTION).execute(connection).await.map(drop) })
            })
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for >= IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            });
        Self::with_pool(pool.connect(url).await?, &options, true).await
    }

    /// Uses an existing pool from your application, and creates the table if it does not exist.
    ///
    /// If a connection was returned to the pool with an open transaction, the store returns an error. A change in that
    /// transaction might be rolled back, and the transaction might read the database as it was when it began.
    ///
    /// ```no_run
    /// use keyfob::store::MySqlStore;
    /// use sqlx::MySqlPool;
    ///
    /// # async fn open() -> Result<(), sqlx::Error> {
    /// let pool = MySqlPool::connect("mysql://app@localhost/app").await?;
    /// let store = MySqlStore::from_pool(pool.clone()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the database fails, or if it may lose acknowledged changes.
    pub async fn from_pool(pool: MySqlPool) -> Result<Self, sqlx::Error> {
        Self::from_pool_with(pool, StoreOptions::new()).await
    }

    /// Like [`from_pool`](Self::from_pool), with another table or with other checks.
    ///
    /// # Errors
    ///
    /// As for [`from_pool`](Self::from_pool).
    pub async fn from_pool_with(pool: MySqlPool, options: StoreOptions) -> Result<Self, sqlx::Error> {
        Self::with_pool(pool, &options, false).await
    }

    /// `is_own` says that nobody else uses the pool.
    async fn with_pool(pool: MySqlPool, options: &StoreOptions, is_own: bool) -> Result<Self, sqlx::Error> {
        let store = Self { pool, statements: Arc::new(Statements::new(options, is_own)) };
        if !options.accepts_loss() {
            // A torn page is repaired from the doublewrite buffer. Some servers can change this setting while they run,
            // which the store does not notice.
            let torn = "SELECT UPPER(CONCAT(@@innodb_doublewrite)) IN ('0', 'OFF', 'DETECT_ONLY')";
            if store.rows(torn).await?.first().map_or(Ok(true), |row| row.try_get::<bool, _>(0))? {
                return Err(refusal("innodb_doublewrite"));
            }
        }
        store.check().await?;
        let mut engine = store.engine().await?;
        if engine.is_none() {
            let created = store.change(&options.rename(include_str!("mysql.sql"), "`")).await;
            engine = store.engine().await?;
            // Another server may have created it in the meantime.
            if engine.is_none() {
                created?;
            }
        }
        match engine {
            Some(engine) if engine != "InnoDB" && !options.accepts_loss() => Err(refusal("ENGINE")),
            _ => Ok(store),
        }
    }

    /// Waits for running requests, and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The storage engine of the table, if the table exists.
    async fn engine(&self) -> Result<Option<String>, sqlx::Error> {
        self.rows(&self.statements.engine).await?.first().map(|row| row.try_get(0)).transpose()
    }

    /// Returns an error if the server is read-only or may lose acknowledged changes.
    async fn check(&self) -> Result<(), sqlx::Error> {
        let rows = self.rows(&format!("SELECT {}", self.statements.state)).await?;
        expect(rows.first().ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Runs a query of a login in its own transaction.
    async fn load_rows(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<Vec<MySqlRow>, sqlx::Error> {
        if self.statements.is_own {
            return bind(statement, values).fetch_all(&self.pool).await;
        }
        self.rows(&fill(statement, values)).await
    }

    /// Runs a change of a login in its own transaction, and returns the number of rows that it changed.
    async fn change_row(&self, statement: &Arc<str>, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        if self.statements.is_own {
            return Ok(bind(statement, values).execute(&self.pool).await?.rows_affected());
        }
        self.change(&fill(statement, values)).await
    }

    /// Runs a query without values in its own transaction.
    async fn rows(&self, query: &str) -> Result<Vec<MySqlRow>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(alone(query))).fetch_all(&mut *connection).await;
        settle(connection, rows).await
    }

    /// Runs a statement without values in its own transaction, and returns the number of rows that it changed.
    async fn change(&self, statement: &str) -> Result<u64, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let result = sqlx::raw_sql(AssertSqlSafe(alone(statement))).execute(&mut *connection).await;
        Ok(settle(connection, result).await?.rows_affected())
    }
}

impl Store for MySqlStore {
    type Error = sqlx::Error;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        let rows = self.load_rows(&self.statements.load, &[Value::Bytes(user.as_bytes())]).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        expect(row)?;
        let Some(version) = row.try_get::<Option<i64>, _>(1)? else { return Ok(None) };
        Ok(Some((Version::new(version.cast_unsigned()), row.try_get(2)?)))
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        let Statements { update, remove, add, .. } = &*self.statements;
        if record.is_some_and(|record| !fits(user, record)) {
            return Err(too_long());
        }
        let account = Value::Bytes(user.as_bytes());
        let version = |version: Version| Value::Number(version.get().cast_signed());
        let changed = match (expected, record) {
            (Some(expected), Some(record)) => {
                self.change_row(update, &[Value::Bytes(record), account, version(expected)]).await
            }
            (Some(expected), None) => self.change_row(remove, &[account, version(expected)]).await,
            (None, Some(record)) => {
                self.change_row(add, &[account, version(Version::random()?), Value::Bytes(record)]).await
            }
            (None, None) => {
                return Ok(if self.load(user).await?.is_none() { Swap::Swapped } else { Swap::Conflict });
            }
        };
        match changed {
            Ok(1) => Ok(Swap::Swapped),
            // Either the version is not the expected one, or the server is no longer durable.
            Ok(_) => self.check().await.map(|()| Swap::Conflict),
            Err(error) if is_conflict(&error) => Ok(Swap::Conflict),
            Err(error) => Err(error),
        }
    }
}

impl Accounts for MySqlStore {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, Self::Error> {
        let (table, after) = (&self.statements.table, literal(after.as_bytes()));
        self.check().await?;
        let query = format!("SELECT account FROM {table} WHERE account > {after} ORDER BY account LIMIT {limit}");
        self.rows(&query).await?.iter().map(account).collect()
    }

    /// All records are added by one statement, which is flushed to disk once.
    async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
        let mut first = BTreeMap::new();
        for (index, (user, record)) in records.iter().enumerate() {
            first.entry(*user).or_insert((index, *record));
        }
        let mut inserted = vec![false; records.len()];
        let table = &self.statements.table;
        let mut attempt = 0;
        while !first.is_empty() {
            self.check().await?;
            // `INSERT IGNORE` would also ignore other errors, so the accounts that have a record are left out.
            let users: Vec<String> = first.keys().map(|user| literal(user.as_bytes())).collect();
            let query = format!("SELECT account FROM {table} WHERE account IN ({})", users.join(", "));
            let existing = self.rows(&query).await?;
            let existing = existing.iter().map(account).collect::<Result<BTreeSet<String>, _>>()?;
            first.retain(|user, _| !existing.contains(*user));
            if first.is_empty() {
                break;
            }
            let rows = first.iter().map(|(user, (_, record))| Ok(format!("({})", columns(user, record)?)));
            let rows = rows.collect::<Result<Vec<_>, sqlx::Error>>()?.join(", ");
            match self.change(&format!("INSERT INTO {table} (account, version, record) VALUES {rows}")).await {
                // In the meantime, another client added one of them.
                Err(error) if is_conflict(&error) && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
                Ok(_) => {
                    for (index, _) in first.values() {
                        inserted.get_mut(*index).into_iter().for_each(|added| *added = true);
                    }
                    break;
                }
            }
        }
        Ok(inserted)
    }
}

/// The statements of a store, with the name of its table.
#[derive(Debug)]
struct Statements {
    /// Whether nobody else uses the pool. Then no connection has an open transaction, and statements can be prepared.
    is_own: bool,
    table: String,
    engine: String,
    /// An expression: the reason why the server must not be used, or `usable`.
    state: String,
    load: Arc<str>,
    update: Arc<str>,
    remove: Arc<str>,
    add: Arc<str>,
}

impl Statements {
    fn new(options: &StoreOptions, is_own: bool) -> Self {
        let (settings, durable) = if options.accepts_loss() { ("", "TRUE") } else { (SETTINGS, DURABLE) };
        let (schema, name) = options.names();
        let schema = schema.map_or("DATABASE()".into(), |schema| format!("'{schema}'"));
        let table = options.quoted("`");
        let state = format!(
            "CASE WHEN UPPER(CONCAT(@@read_only)) NOT IN ('0', 'OFF') THEN 'read_only'{settings} ELSE 'usable' END"
        );
        Self {
            is_own,
            engine: format!(
                "SELECT engine FROM information_schema.tables WHERE table_schema = {schema} AND table_name = '{name}'"
            ),
            load: format!("SELECT {state}, version, record FROM (SELECT 1) AS one LEFT JOIN {table} ON account = ?")
                .into(),
            update: format!(
                "UPDATE {table} SET version = version + 1, record = ? WHERE account = ? AND version = ? AND {durable}"
            )
            .into(),
            remove: format!("DELETE FROM {table} WHERE account = ? AND version = ? AND {durable}").into(),
            add: format!("INSERT INTO {table} (account, version, record) SELECT ?, ?, ? FROM DUAL WHERE {durable}")
                .into(),
            table,
            state,
        }
    }
}

enum Value<'a> {
    Bytes(&'a [u8]),
    Number(i64),
}

/// A prepared statement.
fn bind<'a>(statement: &Arc<str>, values: &[Value<'a>]) -> Query<'a, MySql, MySqlArguments> {
    values.iter().fold(sqlx::query(AssertSqlSafe(statement.clone())), |query, value| match *value {
        Value::Bytes(bytes) => query.bind(bytes),
        Value::Number(number) => query.bind(number),
    })
}

/// The same statement as text, with literals that need no escaping.
fn fill(statement: &str, values: &[Value<'_>]) -> String {
    values.iter().fold(statement.into(), |statement: String, value| match value {
        Value::Bytes(bytes) => statement.replacen('?', &literal(bytes), 1),
        Value::Number(number) => statement.replacen('?', &format!("{number}"), 1),
    })
}

/// A statement in its own transaction, in one message.
///
/// `SET TRANSACTION` fails inside a transaction, such as one that the application left open, and the server then skips
/// the rest. `COMMIT` is for connections without `autocommit`.
fn alone(statement: &str) -> String {
    format!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE; {statement}; COMMIT")
}

/// Leaves no transaction behind if a statement failed.
async fn settle<T>(
    mut connection: sqlx::pool::PoolConnection<MySql>,
    result: Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    match &result {
        Ok(_) => {}
        Err(error) if number(error) == Some(CANNOT_CHANGE_TRANSACTION) => return Err(refusal("transaction")),
        // Without `autocommit`, the transaction is still open. The server has rolled back the statement already.
        Err(error) if error.as_database_error().is_some() => {
            if sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.is_err() {
                connection.close_on_drop();
            }
        }
        Err(_) => connection.close_on_drop(),
    }
    result
}

fn expect(row: &MySqlRow) -> Result<(), sqlx::Error> {
    let state: &str = row.try_get(0)?;
    if state == "usable" { Ok(()) } else { Err(refusal(state)) }
}

fn refusal(state: &str) -> sqlx::Error {
    let reason = match state {
        "transaction" => "a connection of this pool is inside a transaction that was neither committed nor rolled back",
        "read_only" => "the server is read-only (read_only), as replicas are; connect to the primary server",
        "sync_binlog" => "sync_binlog is not 1, so a crash can lose acknowledged changes; set it to 1",
        "innodb_doublewrite" => "innodb_doublewrite is off, so a crash can lose acknowledged changes; set it to ON",
        "ENGINE" => {
            "the storage engine of the table is not InnoDB, so a crash can lose acknowledged changes; convert it"
        }
        _ => "innodb_flush_log_at_trx_commit is not 1, so a crash can lose acknowledged changes; set it to 1",
    };
    sqlx::Error::Configuration(reason.into())
}

fn number(error: &sqlx::Error) -> Option<u16> {
    let error = error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?;
    Some(error.number())
}

/// Whether nothing was changed because of a concurrent change: a duplicate key, a deadlock, or a row that is newer than
/// the transaction (`innodb_snapshot_isolation` of MariaDB).
fn is_conflict(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(1062 | 1213 | 1020))
}

/// The columns of a new record.
fn columns(user: &str, record: &[u8]) -> Result<String, sqlx::Error> {
    if !fits(user, record) {
        return Err(too_long());
    }
    Ok(format!("{}, {}, {}", literal(user.as_bytes()), Version::random()?.get(), literal(record)))
}

/// Checks the lengths. Without strict mode, the server would cut off what is too long.
fn fits(user: &str, record: &[u8]) -> bool {
    user.len() <= LONGEST_ACCOUNT && record.len() <= LONGEST_RECORD
}

fn too_long() -> sqlx::Error {
    sqlx::Error::Encode("the name of the account or the record is too long for its column".into())
}

/// Bytes as a literal that needs no escaping.
fn literal(bytes: &[u8]) -> String {
    format!("x'{}'", hex(bytes))
}

fn account(row: &MySqlRow) -> Result<String, sqlx::Error> {
    String::from_utf8(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.utf8_error().into()))
}

/// Finds settings that can lose acknowledged changes.
const SETTINGS: &str = " WHEN @@innodb_flush_log_at_trx_commit <> 1 THEN 'innodb_flush_log_at_trx_commit' \
     WHEN @@log_bin AND @@sync_binlog <> 1 THEN 'sync_binlog'";
/// The same as a condition for changes. With `read_only`, changes fail anyway.
const DURABLE: &str = "@@innodb_flush_log_at_trx_commit = 1 AND (NOT @@log_bin OR @@sync_binlog = 1)";

/// The settings of a connection that nobody else uses.
const OWN_CONNECTION: &str = "SET autocommit = 1; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE";
/// `ER_CANT_CHANGE_TX_CHARACTERISTICS`.
const CANNOT_CHANGE_TRANSACTION: u16 = 1568;
/// `VARBINARY(255)`.
const LONGEST_ACCOUNT: usize = 255;
/// `MEDIUMBLOB`.
const LONGEST_RECORD: usize = (1 << 24) - 1;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection of our own pool may be idle before it is tested.
const IDLE: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 64;
