//! A store in a PostgreSQL database, with `sqlx`.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions, PgRow, PgSeverity};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row};

use super::hex;
use super::options::StoreOptions;
use crate::store::{Accounts, Store, Swap, Version};

/// Keeps records in a PostgreSQL database, in the table `keyfob_second_factor`.
///
/// Any number of servers can share the database. Every change is one statement in its own transaction, and is flushed
/// to disk before the store acknowledges it.
///
/// ```no_run
/// use keyfob::store::PostgresStore;
/// use keyfob::{Guard, Keyring};
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::open("postgres://app:password@db.example.com/app").await?;
/// let guard = Guard::new(store, Keyring::parse(&std::env::var("KEYFOB_KEYS")?)?, "Example Inc");
/// # Ok(()) }
/// ```
///
/// This store needs the `tokio` runtime and Rust 1.94, which `sqlx` 0.9 requires. The pool type of `sqlx` 0.9 is part
/// of the public interface. For TLS, depend on `sqlx` yourself and enable one of its `tls` features.
///
/// # The table
///
/// The store creates this table unless it exists. If the store's role may not create tables, or if you use migrations,
/// create it yourself:
///
/// ```sql
#[doc = include_str!("postgres.sql")]
/// ```
///
/// The role needs `SELECT`, `INSERT`, `UPDATE` and `DELETE` on the table. [`StoreOptions::with_table`] chooses another
/// name.
///
/// # What the server must guarantee
///
/// If one of these settings could lose acknowledged changes, the store refuses to open, and its error names the
/// setting: `fsync`, `full_page_writes` and `synchronous_commit`. `synchronous_commit` can differ by role, database and
/// connection. Therefore each change also enables it for its own transaction where it is off, and checks the other two
/// settings again. The value `local` and all stronger values are accepted. [`StoreOptions::allow_lost_changes`] skips
/// all of these checks.
///
/// The store reads from the primary only. A server in recovery, such as a hot standby, is refused, and so is a
/// connection on which transactions are read-only by default.
///
/// A failover to an asynchronous standby loses the last acknowledged changes: used codes are accepted again until you
/// call [`Guard::operator_invalidate_codes`](crate::Guard::operator_invalidate_codes) for each account. To avoid this,
/// set `synchronous_standby_names`, and do not set `synchronous_commit` to `local`.
///
/// # Connection poolers
///
/// The store works through a pooler such as PgBouncer, in transaction mode as well. It uses prepared statements. If the
/// pooler does not support them, the store notices the first error that this causes, repeats the statement without
/// preparing it, and prepares no more statements. Each statement takes one round trip in either case.
///
/// Every isolation level can be the default of the connection. If the database rolls back a change because of a
/// concurrent one (`40001`, `40P01`), that is a [`Swap::Conflict`]. If the outcome is unknown, for example because the
/// connection was lost, that is an error.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    statements: Arc<Statements>,
}

impl PostgresStore {
    /// Connects to a server, and creates the table if it does not exist. See [`PostgresStore`] for an example.
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
        let pool = PgPoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Testing each connection before it is used would double the round trips. One that was just used needs no
            // test. If the server was restarted in the meantime, its next request fails, and the pool replaces it.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for >= IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            });
        // PgBouncer refuses this startup parameter, and the store needs no floating-point numbers.
        let connect = url.parse::<PgConnectOptions>()?.extra_float_digits(None::<i8>);
        Self::with_pool(pool.connect_with(connect).await?, &options, true).await
    }

    /// Uses an existing pool from your application, and creates the table if it does not exist.
    ///
    /// If a connection was returned to the pool with an open transaction, the store returns an error. A change in that
    /// transaction might be rolled back, and the transaction might read the database as it was when it began.
    ///
    /// ```no_run
    /// use keyfob::store::PostgresStore;
    /// use sqlx::PgPool;
    ///
    /// # async fn open() -> Result<(), sqlx::Error> {
    /// let pool = PgPool::connect("postgres://app@localhost/app").await?;
    /// let store = PostgresStore::from_pool(pool.clone()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`sqlx::Error`] if the database fails, or if it may lose acknowledged changes.
    pub async fn from_pool(pool: PgPool) -> Result<Self, sqlx::Error> {
        Self::from_pool_with(pool, StoreOptions::new()).await
    }

    /// Like [`from_pool`](Self::from_pool), with another table or with other checks.
    ///
    /// # Errors
    ///
    /// As for [`from_pool`](Self::from_pool).
    pub async fn from_pool_with(pool: PgPool, options: StoreOptions) -> Result<Self, sqlx::Error> {
        Self::with_pool(pool, &options, false).await
    }

    async fn with_pool(pool: PgPool, options: &StoreOptions, is_own: bool) -> Result<Self, sqlx::Error> {
        let store = Self { pool, statements: Arc::new(Statements::new(options, is_own)) };
        let mut connection = store.pool.acquire().await?;
        // Refused only here: each change enables the setting for itself.
        let asynchronous = "SELECT current_setting('synchronous_commit') = 'off'";
        if !options.accepts_loss() && sqlx::raw_sql(asynchronous).fetch_one(&mut *connection).await?.try_get(0)? {
            return Err(refusal("synchronous_commit"));
        }
        store.check(&mut connection).await?;
        let table = options.quoted("\"");
        // Without the right to create tables, `IF NOT EXISTS` fails even if the table exists.
        let exists = format!("SELECT to_regclass('{table}') IS NOT NULL");
        let exists = || AssertSqlSafe(exists.clone());
        if !sqlx::raw_sql(exists()).fetch_one(&mut *connection).await?.try_get::<bool, _>(0)? {
            let create = options.rename(include_str!("postgres.sql"), "\"");
            let created = sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await;
            // Another server may have created it in the meantime.
            if let Err(error) = created
                && !sqlx::raw_sql(exists()).fetch_one(&mut *connection).await?.try_get::<bool, _>(0)?
            {
                return Err(error);
            }
        }
        drop(connection);
        Ok(store)
    }

    /// Waits for running requests, and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Returns an error if statements on this connection are not durable, or may read from the past.
    async fn check(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let row = sqlx::raw_sql(AssertSqlSafe(self.statements.check.clone())).fetch_one(connection).await?;
        expect(&row, "durable")
    }

    /// Runs a statement in its own transaction, and returns its rows.
    async fn run(
        &self,
        connection: &mut PgConnection,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        if let Some(prepared) = &statement.prepared
            && !self.statements.unprepared.load(Ordering::Relaxed)
        {
            let mut query = sqlx::query(AssertSqlSafe(prepared.clone()));
            for parameter in parameters {
                query = match *parameter {
                    Parameter::Text(text) => query.bind(text),
                    Parameter::Number(number) => query.bind(number),
                    Parameter::Bytes(bytes) => query.bind(bytes),
                };
            }
            match query.fetch_all(&mut *connection).await {
                Err(error) if is_unprepared(&error) => self.statements.unprepared.store(true, Ordering::Relaxed),
                rows => return rows,
            }
        }
        let mut text = statement.text.clone();
        for (placeholder, parameter) in ["$1", "$2", "$3"].into_iter().zip(parameters) {
            text = text.replace(placeholder, &parameter.literal());
        }
        sqlx::raw_sql(AssertSqlSafe(text)).fetch_all(connection).await
    }

    /// Like [`run`](Self::run), but runs the statement again if the database rolled it back.
    async fn repeat(
        &self,
        connection: &mut PgConnection,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        for _ in 1..ATTEMPTS {
            match self.run(connection, statement, parameters).await {
                Err(error) if is_rolled_back(&error) => {}
                rows => return rows,
            }
        }
        self.run(connection, statement, parameters).await
    }

    /// Adds records to accounts that have none. No account may occur twice. Returns the accounts that were added.
    async fn add(&self, records: impl Iterator<Item = (&str, &[u8])>) -> Result<Vec<String>, sqlx::Error> {
        let mut rows = Vec::new();
        for (user, record) in records {
            let version = Parameter::Number(Version::random()?.get().cast_signed());
            let [user, record] = [Parameter::Text(user), Parameter::Bytes(record)].map(|value| value.literal());
            rows.push(format!("({user}, {}, {record})", version.literal()));
        }
        let text = self.statements.insert.text.replace("$1", &rows.join(", "));
        let insert = Statement { prepared: None, text };
        let mut connection = self.pool.acquire().await?;
        let added = self.repeat(&mut connection, &insert, &[]).await?;
        if added.is_empty() {
            self.check(&mut connection).await?;
        }
        added.iter().map(|row| row.try_get(0)).collect()
    }
}

impl Store for PostgresStore {
    type Error = sqlx::Error;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        let mut connection = self.pool.acquire().await?;
        let rows = self.repeat(&mut connection, &self.statements.load, &[Parameter::Text(user)]).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        expect(row, "load")?;
        let Some(version) = row.try_get::<Option<i64>, _>(1)? else { return Ok(None) };
        Ok(Some((Version::new(version.cast_unsigned()), row.try_get(2)?)))
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        let Some(version) = expected else {
            let swapped = match record {
                Some(record) => match self.add(core::iter::once((user, record))).await {
                    Err(error) if is_rolled_back(&error) => false,
                    added => !added?.is_empty(),
                },
                None => self.load(user).await?.is_none(),
            };
            return Ok(if swapped { Swap::Swapped } else { Swap::Conflict });
        };
        let (user, version) = (Parameter::Text(user), Parameter::Number(version.get().cast_signed()));
        let mut connection = self.pool.acquire().await?;
        let changed = match record {
            Some(record) => {
                let parameters = [user, version, Parameter::Bytes(record)];
                self.run(&mut connection, &self.statements.update, &parameters).await
            }
            None => self.run(&mut connection, &self.statements.remove, &[user, version]).await,
        };
        match changed {
            Err(error) if is_rolled_back(&error) => Ok(Swap::Conflict),
            Err(error) => Err(error),
            Ok(rows) => match rows.first() {
                Some(row) => {
                    expect(row, if record.is_some() { "update" } else { "remove" })?;
                    Ok(Swap::Swapped)
                }
                // Either the version is not the expected one, or the statement refused to run.
                None => self.check(&mut connection).await.map(|()| Swap::Conflict),
            },
        }
    }
}

impl Accounts for PostgresStore {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, Self::Error> {
        let limit = Parameter::Number(limit.into());
        let mut connection = self.pool.acquire().await?;
        let rows = self.repeat(&mut connection, &self.statements.accounts, &[Parameter::Text(after), limit]).await?;
        if rows.is_empty() {
            self.check(&mut connection).await?;
        }
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// All records are added by one statement, which is flushed to disk once.
    async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
        let mut first = BTreeMap::new();
        for (index, (user, record)) in records.iter().enumerate() {
            first.entry(*user).or_insert((index, *record));
        }
        let mut inserted = vec![false; records.len()];
        if first.is_empty() {
            return Ok(inserted);
        }
        for user in self.add(first.iter().map(|(user, (_, record))| (*user, *record))).await? {
            if let Some(added) = first.get(&*user).and_then(|(index, _)| inserted.get_mut(*index)) {
                *added = true;
            }
        }
        Ok(inserted)
    }
}

/// The statements of a store, with the name of its table.
#[derive(Debug)]
struct Statements {
    load: Statement,
    update: Statement,
    remove: Statement,
    accounts: Statement,
    /// Takes any number of rows in place of `$1`.
    insert: Statement,
    check: Arc<str>,
    /// Set once a pooler has shown that it does not support prepared statements.
    unprepared: AtomicBool,
}

/// The same statement for both protocols of PostgreSQL. Both take one round trip.
///
/// No two prepared statements take the same number of parameters, and each row begins with the name of its statement. A
/// pooler that mixes up its clients' prepared statements therefore causes an error, and never a wrong answer.
#[derive(Debug)]
struct Statement {
    /// Only for the statements of a login.
    prepared: Option<Arc<str>>,
    /// With literals in place of the parameters.
    text: String,
}

impl Statements {
    /// In a pool that nobody else uses, no connection has an open transaction. Looking for one takes longer than all
    /// other checks together.
    fn new(options: &StoreOptions, is_own: bool) -> Self {
        let table = options.quoted("\"");
        let prepared_alone = if is_own { "TRUE" } else { PREPARED_ALONE };
        let settings = if options.accepts_loss() { "" } else { SETTINGS };
        let durable = if options.accepts_loss() { "" } else { DURABLE };
        // The name of the statement, or the reason why it must not be used.
        let state = |name: &str| {
            format!(
                "CASE WHEN ({{alone}}) IS NOT TRUE THEN 'transaction' WHEN pg_is_in_recovery() THEN 'in recovery' \
                 WHEN current_setting('transaction_read_only') = 'on' THEN 'read-only'{settings} ELSE '{name}' END"
            )
        };
        let statement = |sql: String| Statement {
            prepared: Some(sql.replace("{alone}", prepared_alone).into()),
            text: sql.replace("{alone}", TEXT_ALONE),
        };
        let unprepared = |sql: String| Statement { prepared: None, text: sql.replace("{alone}", TEXT_ALONE) };
        let (load, check) = (state("load"), state("durable"));
        Self {
            load: statement(format!(
                "SELECT {load}, version, record FROM (SELECT) AS one LEFT JOIN {table} ON account = $1"
            )),
            update: statement(format!(
                "UPDATE {table} SET version = version + 1, record = $3 \
                 WHERE account = $1 AND version = $2 AND ({{alone}}){durable} RETURNING 'update'"
            )),
            remove: statement(format!(
                "DELETE FROM {table} WHERE account = $1 AND version = $2 AND ({{alone}}){durable} RETURNING 'remove'"
            )),
            accounts: unprepared(format!(
                "SELECT account FROM {table} WHERE account > $1 AND ({{alone}}) AND NOT pg_is_in_recovery() \
                 ORDER BY account LIMIT $2"
            )),
            insert: unprepared(format!(
                "INSERT INTO {table} (account, version, record) SELECT * FROM (VALUES $1) AS new \
                 WHERE ({{alone}}){durable} ON CONFLICT DO NOTHING RETURNING account"
            )),
            check: unprepared(format!("SELECT {check}")).text.into(),
            unprepared: AtomicBool::new(false),
        }
    }
}

enum Parameter<'a> {
    Text(&'a str),
    Number(i64),
    Bytes(&'a [u8]),
}

impl Parameter<'_> {
    /// The value as a literal that needs no escaping.
    fn literal(&self) -> String {
        match self {
            Self::Text(text) => format!("convert_from(decode('{}', 'hex'), 'UTF8')", hex(text.as_bytes())),
            Self::Number(number) => format!("{number}::bigint"),
            Self::Bytes(bytes) => format!("decode('{}', 'hex')", hex(bytes)),
        }
    }
}

/// Checks that a row is the answer of this statement, and that the statement was allowed to run.
fn expect(row: &PgRow, statement: &str) -> Result<(), sqlx::Error> {
    let state: &str = row.try_get(0)?;
    if state == statement { Ok(()) } else { Err(refusal(state)) }
}

fn refusal(state: &str) -> sqlx::Error {
    let reason = match state {
        "transaction" => "a connection of this pool is inside a transaction that was neither committed nor rolled back",
        "in recovery" => "the server is in recovery (pg_is_in_recovery); connect to the primary server",
        "read-only" => "transactions are read-only (transaction_read_only); connect to a primary that can be written",
        "synchronous_commit" => "synchronous_commit is off, so a crash can lose acknowledged changes; set it to on",
        "fsync" => "fsync is off, so a crash can lose acknowledged changes; set it to on",
        "full_page_writes" => "full_page_writes is off, so a crash can lose acknowledged changes; set it to on",
        _ => "the answer of another statement arrived; the pooler mixes up prepared statements",
    };
    sqlx::Error::Configuration(reason.into())
}

/// Whether the statement did not run because the prepared statement was missing, taken by another client of the pooler,
/// or made before the table was altered.
fn is_unprepared(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return false;
    };
    // A pooler also reports lost connections with 08P01, but those are fatal.
    matches!(error.code(), "26000" | "42P05" | "0A000")
        || (error.code() == "08P01" && matches!(error.severity(), PgSeverity::Error))
}

/// Whether the database rolled back the statement because of a concurrent one, so that nothing was changed.
fn is_rolled_back(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// Whether the statement has its own transaction. `now` is the time at which the transaction began.
///
/// A prepared statement begins its transaction when it is bound, and so does its portal, which has no name. A statement
/// without parameters begins its transaction when it arrives.
const PREPARED_ALONE: &str = "now() = (SELECT creation_time FROM pg_cursor() WHERE name = '')";
const TEXT_ALONE: &str = "now() = statement_timestamp()";

/// Finds settings that can lose acknowledged changes.
const SETTINGS: &str = " WHEN current_setting('fsync') <> 'on' THEN 'fsync' \
     WHEN current_setting('full_page_writes') <> 'on' THEN 'full_page_writes'";
/// The same as a condition. It also enables `synchronous_commit` for this transaction, unless a stronger value is set.
const DURABLE: &str = " AND current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' \
     AND (current_setting('synchronous_commit') <> 'off' OR set_config('synchronous_commit', 'on', true) = 'on')";

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection of our own pool may be idle before it is tested.
const IDLE: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 8;
