//! The databases, and the bare statements that keyfob's stores are compared with. They check nothing.

use std::path::Path;
use std::time::Duration;

use redis::aio::ConnectionManager;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, MySql, MySqlPool, PgPool, Postgres, QueryBuilder, SqlitePool};

use crate::servers::Server;

/// A table like that of the store, in the same database and with the same client, as an application would use it that
/// needs a versioned row: one select, and one update with the version as a condition.
#[allow(async_fn_in_trait)]
pub trait Bare {
    /// Creates the table.
    async fn create(&self);

    /// Adds rows in one transaction. Returns the number of new rows.
    async fn insert(&self, accounts: &[String], record: &[u8]) -> u64;

    /// Removes all rows of a table. In Redis, removes everything.
    async fn empty(&self, table: &str);

    async fn select(&self, account: &str) -> (i64, Vec<u8>);

    /// Returns the number of changed rows.
    async fn update(&self, account: &str, version: i64, record: &[u8]) -> u64;

    /// Two round trips, as many as a verification takes. Returns the number of changed rows.
    ///
    /// Every byte of the record changes: an update that stores the same bytes again would write less to the log.
    async fn select_and_update(&self, account: &str) -> u64 {
        let (version, mut record) = self.select(account).await;
        record.iter_mut().for_each(|byte| *byte ^= 0x55);
        self.update(account, version, &record).await
    }
}

/// The name of the bare table, or in Redis the first part of each key.
pub const TABLE: &str = "bare";
/// The name of keyfob's own table.
pub const KEYFOB: &str = "keyfob_second_factor";
/// As many as a store's own pool has.
const CONNECTIONS: u32 = 10;

/// With WAL and `synchronous = FULL`.
#[must_use]
pub fn sqlite_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(60))
}

/// Removes the files of a database that is closed.
pub fn remove_sqlite(file: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = file.to_path_buf().into_os_string();
        name.push(end);
        // The last connection removes two of the three files.
        let _ = std::fs::remove_file(name);
    }
}

/// A pool with the settings of a store's own pool, which does not test each connection before it is used.
///
/// # Panics
///
/// If the database cannot be opened.
pub async fn sqlite_pool(options: SqliteConnectOptions) -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(4).test_before_acquire(false);
    pool.connect_with(options).await.expect("a database")
}

/// # Panics
///
/// If the server cannot be reached.
pub async fn postgres_pool(url: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    pool.connect(url).await.expect("a server")
}

/// # Panics
///
/// If the server cannot be reached.
pub async fn mysql_pool(url: &str) -> MySqlPool {
    let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    pool.connect(url).await.expect("a server")
}

/// Creates a database on this server, and returns its URL.
///
/// # Panics
///
/// If the server cannot be reached.
pub async fn mysql_database(server: &Server) -> String {
    let pool = mysql_pool(&server.url("")).await;
    sqlx::query("CREATE DATABASE IF NOT EXISTS keyfob").execute(&pool).await.expect("a database");
    pool.close().await;
    server.url("keyfob")
}

impl Bare for SqlitePool {
    async fn create(&self) {
        let table = "CREATE TABLE bare (account TEXT PRIMARY KEY, version INTEGER NOT NULL, record BLOB NOT NULL) \
                     STRICT, WITHOUT ROWID";
        sqlx::query(table).execute(self).await.expect("a table");
    }

    async fn insert(&self, accounts: &[String], record: &[u8]) -> u64 {
        let mut transaction = self.begin_with("BEGIN IMMEDIATE").await.expect("begun");
        let mut rows = 0;
        for account in accounts {
            let insert = sqlx::query("INSERT INTO bare VALUES (?, 0, ?) ON CONFLICT DO NOTHING");
            let inserted = insert.bind(account).bind(record).execute(&mut *transaction).await;
            rows += inserted.expect("inserted").rows_affected();
        }
        transaction.commit().await.expect("committed");
        rows
    }

    async fn empty(&self, table: &str) {
        let delete = AssertSqlSafe(format!("DELETE FROM {table}"));
        sqlx::query(delete).execute(self).await.expect("emptied");
    }

    async fn select(&self, account: &str) -> (i64, Vec<u8>) {
        let select = sqlx::query_as("SELECT version, record FROM bare WHERE account = ?");
        select.bind(account).fetch_one(self).await.expect("selected")
    }

    async fn update(&self, account: &str, version: i64, record: &[u8]) -> u64 {
        let update = sqlx::query("UPDATE bare SET version = version + 1, record = ? WHERE account = ? AND version = ?");
        let updated = update.bind(record).bind(account).bind(version).execute(self).await;
        updated.expect("updated").rows_affected()
    }
}

impl Bare for PgPool {
    async fn create(&self) {
        let table = "CREATE TABLE bare \
                     (account text COLLATE \"C\" PRIMARY KEY, version bigint NOT NULL, record bytea NOT NULL)";
        sqlx::query(table).execute(self).await.expect("a table");
    }

    async fn insert(&self, accounts: &[String], record: &[u8]) -> u64 {
        let mut insert = QueryBuilder::<Postgres>::new("INSERT INTO bare (account, version, record) ");
        insert.push_values(accounts, |mut row, account| {
            row.push_bind(account).push("0").push_bind(record);
        });
        let inserted = insert.push(" ON CONFLICT DO NOTHING").build().execute(self).await;
        inserted.expect("inserted").rows_affected()
    }

    async fn empty(&self, table: &str) {
        let truncate = AssertSqlSafe(format!("TRUNCATE {table}"));
        sqlx::query(truncate).execute(self).await.expect("emptied");
    }

    async fn select(&self, account: &str) -> (i64, Vec<u8>) {
        let select = sqlx::query_as("SELECT version, record FROM bare WHERE account = $1");
        select.bind(account).fetch_one(self).await.expect("selected")
    }

    async fn update(&self, account: &str, version: i64, record: &[u8]) -> u64 {
        let update =
            sqlx::query("UPDATE bare SET version = version + 1, record = $3 WHERE account = $1 AND version = $2");
        let updated = update.bind(account).bind(version).bind(record).execute(self).await;
        updated.expect("updated").rows_affected()
    }
}

impl Bare for MySqlPool {
    async fn create(&self) {
        let table = "CREATE TABLE bare (account VARBINARY(255) NOT NULL PRIMARY KEY, version BIGINT NOT NULL, \
                     record MEDIUMBLOB NOT NULL) ENGINE = InnoDB";
        sqlx::query(table).execute(self).await.expect("a table");
    }

    async fn insert(&self, accounts: &[String], record: &[u8]) -> u64 {
        let mut insert = QueryBuilder::<MySql>::new("INSERT INTO bare (account, version, record) ");
        insert.push_values(accounts, |mut row, account| {
            row.push_bind(account).push("0").push_bind(record);
        });
        insert.build().execute(self).await.expect("inserted").rows_affected()
    }

    async fn empty(&self, table: &str) {
        let truncate = AssertSqlSafe(format!("TRUNCATE TABLE {table}"));
        sqlx::query(truncate).execute(self).await.expect("emptied");
    }

    async fn select(&self, account: &str) -> (i64, Vec<u8>) {
        let select = sqlx::query_as("SELECT version, record FROM bare WHERE account = ?");
        select.bind(account).fetch_one(self).await.expect("selected")
    }

    async fn update(&self, account: &str, version: i64, record: &[u8]) -> u64 {
        let update = sqlx::query("UPDATE bare SET version = version + 1, record = ? WHERE account = ? AND version = ?");
        let updated = update.bind(record).bind(account).bind(version).execute(self).await;
        updated.expect("updated").rows_affected()
    }
}

/// A key for each account: eight bytes for the version, and then the record, as in keyfob's store.
impl Bare for ConnectionManager {
    async fn create(&self) {}

    async fn insert(&self, accounts: &[String], record: &[u8]) -> u64 {
        let mut sets = redis::pipe();
        for account in accounts {
            sets.cmd("SET").arg(key(account)).arg(value(0, record)).ignore();
        }
        sets.exec_async(&mut self.clone()).await.expect("inserted");
        accounts.len() as u64
    }

    async fn empty(&self, _table: &str) {
        redis::cmd("FLUSHDB").exec_async(&mut self.clone()).await.expect("emptied");
    }

    async fn select(&self, account: &str) -> (i64, Vec<u8>) {
        let get = redis::cmd("GET").arg(key(account)).query_async::<Vec<u8>>(&mut self.clone()).await;
        let mut version = get.expect("selected");
        let record = version.split_off(8);
        (i64::from_be_bytes(version.try_into().expect("eight bytes")), record)
    }

    async fn update(&self, account: &str, version: i64, record: &[u8]) -> u64 {
        let mut script = redis::cmd("EVAL");
        script.arg(SCRIPT).arg(2).arg(key(account)).arg(TABLE).arg(&version.to_be_bytes()[..]);
        script.arg(value(version + 1, record)).arg(account);
        script.query_async(&mut self.clone()).await.expect("updated")
    }
}

fn key(account: &str) -> String {
    format!("{TABLE}:{account}")
}

fn value(version: i64, record: &[u8]) -> Vec<u8> {
    [&version.to_be_bytes(), record].concat()
}

/// The script of keyfob's store.
const SCRIPT: &str = include_str!("../../src/store/redis.lua");
