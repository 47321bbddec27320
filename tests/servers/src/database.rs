//! The three stores as one type, and what the checks do with the servers beside the stores.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keyfob::store::{Accounts, MySqlStore, PostgresStore, RedisStore, Store, StoreError, StoreOptions, Swap, Version};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};

use crate::servers::{Kind, Server};

/// A store for one of the servers.
#[derive(Clone)]
pub enum Database {
    Postgres(PostgresStore),
    MariaDb(MySqlStore),
    Redis(RedisStore),
}

impl Database {
    /// Opens a store as an application with no pool of its own does.
    pub async fn open(kind: Kind, url: &str) -> Result<Self, StoreError> {
        Self::open_with(kind, url, StoreOptions::new()).await
    }

    pub async fn open_with(kind: Kind, url: &str, options: StoreOptions) -> Result<Self, StoreError> {
        Ok(match kind {
            Kind::MariaDb => Self::MariaDb(MySqlStore::open_with(url, options).await?),
            Kind::Redis => Self::Redis(RedisStore::open_with(url, options).await?),
            _ => Self::Postgres(PostgresStore::open_with(url, options).await?),
        })
    }

    /// Opens a store with a pool of the application. It has few connections, and a request waits for one at most half
    /// a second. `session` is run on each new connection.
    pub async fn pooled(
        kind: Kind,
        url: &str,
        options: StoreOptions,
        session: &'static str,
    ) -> Result<Self, StoreError> {
        let wait = Duration::from_millis(500);
        Ok(match kind {
            Kind::MariaDb => {
                let pool = MySqlPoolOptions::new().max_connections(3).acquire_timeout(wait);
                let pool = pool.after_connect(move |connection, _| {
                    Box::pin(async move { sqlx::raw_sql(session).execute(connection).await.map(drop) })
                });
                let pool = pool.connect_with(url.parse::<MySqlConnectOptions>()?).await?;
                Self::MariaDb(MySqlStore::from_pool_with(pool, options).await?)
            }
            Kind::Redis => Self::Redis(RedisStore::from_client_with(redis::Client::open(url)?, options).await?),
            _ => {
                let pool = PgPoolOptions::new().max_connections(3).acquire_timeout(wait);
                let pool = pool.after_connect(move |connection, _| {
                    Box::pin(async move { sqlx::raw_sql(session).execute(connection).await.map(drop) })
                });
                let options_of_url = url.parse::<PgConnectOptions>()?.extra_float_digits(None::<i8>);
                let pool = pool.connect_with(options_of_url).await?;
                Self::Postgres(PostgresStore::from_pool_with(pool, options).await?)
            }
        })
    }

    pub async fn close(&self) {
        match self {
            Self::Postgres(store) => store.close().await,
            Self::MariaDb(store) => store.close().await,
            Self::Redis(store) => store.close().await,
        }
    }
}

impl Store for Database {
    type Error = StoreError;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        Ok(match self {
            Self::Postgres(store) => store.load(user).await?,
            Self::MariaDb(store) => store.load(user).await?,
            Self::Redis(store) => store.load(user).await?,
        })
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        Ok(match self {
            Self::Postgres(store) => store.swap(user, expected, record).await?,
            Self::MariaDb(store) => store.swap(user, expected, record).await?,
            Self::Redis(store) => store.swap(user, expected, record).await?,
        })
    }
}

impl Accounts for Database {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        Ok(match self {
            Self::Postgres(store) => store.accounts(after, limit).await?,
            Self::MariaDb(store) => store.accounts(after, limit).await?,
            Self::Redis(store) => store.accounts(after, limit).await?,
        })
    }

    async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, StoreError> {
        Ok(match self {
            Self::Postgres(store) => store.insert(records).await?,
            Self::MariaDb(store) => store.insert(records).await?,
            Self::Redis(store) => store.insert(records).await?,
        })
    }
}

/// The server of this kind that most checks share.
pub fn shared(kind: Kind) -> &'static Server {
    static SERVERS: [OnceLock<Server>; 4] = [const { OnceLock::new() }; 4];
    SERVERS[kind as usize].get_or_init(|| match kind {
        // Thirty processes have up to ten connections each.
        Kind::Postgres => start(kind, "campaign", &["max_connections=400"]),
        Kind::MariaDb => start(kind, "campaign", &["max-connections=400"]),
        Kind::Redis => start(kind, "campaign", &[]),
        Kind::PgBouncer => {
            let url = shared(Kind::Postgres).url("postgres");
            let (_, folder) = url.split_once("host=").expect("the URL names the folder of the socket");
            start(kind, "campaign", &[&format!("* = host={folder}")])
        }
    })
}

/// A server of its own for one check.
pub fn start(kind: Kind, name: &str, settings: &[&str]) -> Server {
    let mut settings = settings.to_vec();
    if kind == Kind::Redis {
        // Databases have numbers, and each check takes the next one.
        settings.push("databases=4096");
    }
    Server::start(kind, name, &settings).unwrap_or_else(|| panic!("{kind:?} is not installed"))
}

/// Creates an empty database on a server, and returns its name. Redis has a fixed number of databases.
pub async fn create(server: &Server, kind: Kind) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    wait_until_up(server, kind).await;
    match kind {
        Kind::Redis => {
            assert!(number < 4096, "no database is left");
            number.to_string()
        }
        _ => {
            let name = format!("keyfob_{number}");
            let at = if kind == Kind::MariaDb { "" } else { "postgres" };
            // With this collation, letters of different case and with different accents are equal.
            let collation =
                if kind == Kind::MariaDb { " CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci" } else { "" };
            command(kind, &server.url(at), &format!("CREATE DATABASE {name}{collation}")).await.unwrap();
            name
        }
    }
}

/// Runs a statement or, on Redis, a command, on a new connection. Returns the first column of the first row, or an
/// empty string.
pub async fn command(kind: Kind, url: &str, text: &str) -> Result<String, StoreError> {
    use sqlx::Row;
    let sql = AssertSqlSafe(text.to_owned());
    match kind {
        Kind::Redis => {
            let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
            let mut command = redis::Cmd::new();
            for word in text.split(' ') {
                command.arg(word);
            }
            Ok(match command.query_async(&mut connection).await? {
                redis::Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                _ => String::new(),
            })
        }
        Kind::MariaDb => {
            let mut connection = MySqlConnection::connect(url).await?;
            let row = sqlx::raw_sql(sql).fetch_optional(&mut connection).await?;
            let text = row.and_then(|row| row.try_get(0).ok()).unwrap_or_default();
            connection.close().await?;
            Ok(text)
        }
        _ => {
            let mut connection = PgConnection::connect(url).await?;
            let row = sqlx::raw_sql(sql).fetch_optional(&mut connection).await?;
            let text = row.and_then(|row| row.try_get(0).ok()).unwrap_or_default();
            connection.close().await?;
            Ok(text)
        }
    }
}

/// The URL for statements that concern the whole server.
pub fn whole(server: &Server, kind: Kind) -> String {
    server.url(match kind {
        Kind::MariaDb => "",
        Kind::Redis => "0",
        _ => "postgres",
    })
}

/// Waits until the server answers. It accepts connections a little earlier.
pub async fn wait_until_up(server: &Server, kind: Kind) {
    let started = Instant::now();
    let probe = if kind == Kind::Redis { "PING" } else { "SELECT 'up'" };
    while let Err(error) = command(kind, &whole(server, kind), probe).await {
        assert!(started.elapsed() < Duration::from_secs(60), "{kind:?} does not start: {error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A server's name and version.
pub async fn version(kind: Kind) -> String {
    let server = shared(kind);
    let url = whole(server, kind);
    wait_until_up(server, kind).await;
    match kind {
        Kind::Redis => {
            let info = command(kind, &url, "INFO server").await.unwrap();
            let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("?");
            format!("Redis {version}")
        }
        Kind::MariaDb => format!("MariaDB {}", command(kind, &url, "SELECT VERSION()").await.unwrap()),
        _ => format!("PostgreSQL {}", command(kind, &url, "SHOW server_version").await.unwrap()),
    }
}

/// Runs what blocks without stopping the other tasks.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// A short name for the cause of a failed request, for counting: the variant, and the code of the database.
pub fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<sqlx::Error>() {
        return match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                Some(error) => format!("error {}", error.number()),
                None => format!("SQLSTATE {}", error.code().unwrap_or_default()),
            },
            sqlx::Error::Io(error) => format!("I/O ({:?})", error.kind()),
            sqlx::Error::PoolTimedOut => "no connection in time".into(),
            sqlx::Error::Configuration(error) => {
                format!("refused: {}", error.to_string().split([',', ';']).next().unwrap_or_default())
            }
            other => format!("{other}").chars().take(60).collect(),
        };
    }
    if let Some(error) = error.downcast_ref::<redis::RedisError>() {
        if error.is_timeout() {
            return "no answer in time".into();
        }
        if error.is_io_error() || error.is_connection_dropped() {
            return "connection lost".into();
        }
        return error.code().map_or_else(
            || error.to_string().split([',', ';']).next().unwrap_or_default().chars().take(60).collect(),
            str::to_owned,
        );
    }
    error.to_string().chars().take(60).collect()
}
