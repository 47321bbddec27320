//! A durable SQLite database. keyfob's store and the bare statements that it is compared with share it.

use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// Opens the database with WAL and `synchronous = FULL`.
pub async fn open(file: &Path, connections: u32) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(60));
    SqlitePoolOptions::new().max_connections(connections).connect_with(options).await.expect("a database")
}
