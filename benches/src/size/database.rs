//! How large the databases and their logs are.

use std::path::PathBuf;

use redis::aio::ConnectionManager;
use sqlx::{MySqlPool, PgPool, SqlitePool};

pub trait Database {
    /// Removes what is no longer needed, so that only the current records are left, and ends with a checkpoint.
    async fn compact(&self);

    /// Lets space be used again, as a server does from time to time.
    async fn vacuum(&self) {}

    /// The bytes of the table and its indexes.
    async fn stored(&self) -> f64;

    /// The bytes that were written to the log up to now.
    async fn logged(&self) -> f64;
}

pub struct Sqlite {
    pub pool: SqlitePool,
    pub file: PathBuf,
}

impl Database for Sqlite {
    async fn compact(&self) {
        sqlx::raw_sql("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.pool).await.expect("compacted");
    }

    async fn stored(&self) -> f64 {
        let size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
        sqlx::query_scalar::<_, i64>(size).fetch_one(&self.pool).await.expect("a size") as f64
    }

    async fn logged(&self) -> f64 {
        let mut log = self.file.clone().into_os_string();
        log.push("-wal");
        std::fs::metadata(log).expect("a log").len() as f64
    }
}

impl Database for PgPool {
    async fn compact(&self) {
        for statement in ["VACUUM FULL keyfob_second_factor", "CHECKPOINT"] {
            sqlx::raw_sql(statement).execute(self).await.expect("compacted");
        }
    }

    async fn vacuum(&self) {
        sqlx::raw_sql("VACUUM keyfob_second_factor").execute(self).await.expect("vacuumed");
    }

    async fn stored(&self) -> f64 {
        let size = "SELECT pg_total_relation_size('keyfob_second_factor')";
        sqlx::query_scalar::<_, i64>(size).fetch_one(self).await.expect("a size") as f64
    }

    async fn logged(&self) -> f64 {
        let position = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
        sqlx::query_scalar::<_, i64>(position).fetch_one(self).await.expect("a position") as f64
    }
}

impl Database for MySqlPool {
    async fn compact(&self) {
        sqlx::raw_sql("OPTIMIZE TABLE keyfob_second_factor").fetch_all(self).await.expect("compacted");
    }

    async fn stored(&self) -> f64 {
        // Without this, the size may be an old estimate.
        sqlx::raw_sql("ANALYZE TABLE keyfob_second_factor").fetch_all(self).await.expect("analyzed");
        let size = "SELECT CAST(data_length + index_length AS SIGNED) FROM information_schema.tables \
                    WHERE table_schema = DATABASE() AND table_name = 'keyfob_second_factor'";
        sqlx::query_scalar::<_, i64>(size).fetch_one(self).await.expect("a size") as f64
    }

    async fn logged(&self) -> f64 {
        let position = "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
                        WHERE variable_name = 'Innodb_lsn_current'";
        sqlx::query_scalar::<_, i64>(position).fetch_one(self).await.expect("a position") as f64
    }
}

impl Database for ConnectionManager {
    /// A memory store has nothing to remove. Its log is rewritten in the background from time to time.
    async fn compact(&self) {}

    async fn stored(&self) -> f64 {
        info(self, "used_memory").await
    }

    async fn logged(&self) -> f64 {
        info(self, "aof_current_size").await
    }
}

async fn info(connection: &ConnectionManager, name: &str) -> f64 {
    let info: String = redis::cmd("INFO").query_async(&mut connection.clone()).await.expect("info");
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("a value").parse().expect("a number")
}
