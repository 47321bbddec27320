//! The store behind a URL. Another store needs a variant, an arm in `open` and an arm in `each`.

use std::path::Path;

use keyfob::store::{
    Accounts, MySqlStore, PostgresStore, RedisStore, SqliteStore, Store, StoreError, StoreOptions, Swap, Version,
};

use crate::exit::{Failure, chain};

/// One of the stores that keyfob ships.
#[derive(Debug)]
pub(crate) enum Database {
    MySql(MySqlStore),
    Postgres(PostgresStore),
    Redis(RedisStore),
    Sqlite(SqliteStore),
}

/// Calls a method of whichever store it is.
macro_rules! each {
    ($database:expr, $store:ident => $call:expr) => {
        match $database {
            Database::MySql($store) => $call,
            Database::Postgres($store) => $call,
            Database::Redis($store) => $call,
            Database::Sqlite($store) => $call,
        }
    };
}

impl Database {
    pub(crate) async fn open(url: &str, options: StoreOptions) -> Result<Self, Failure> {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let opened = match scheme {
            "mysql" | "mariadb" => MySqlStore::open_with(url, options).await.map(Self::MySql).map_err(StoreError::from),
            "postgres" | "postgresql" => {
                PostgresStore::open_with(url, options).await.map(Self::Postgres).map_err(StoreError::from)
            }
            "redis" | "rediss" | "valkey" | "valkeys" | "unix" | "redis+unix" => {
                RedisStore::open_with(url, options).await.map(Self::Redis).map_err(StoreError::from)
            }
            "sqlite" => {
                let file = existing_file(url, rest)?;
                SqliteStore::open_with(file, options).await.map(Self::Sqlite).map_err(StoreError::from)
            }
            _ => {
                return Err(Failure::usage(
                    "the store's URL begins with none of sqlite:, postgres:, mysql: and redis:",
                ));
            }
        };
        opened.map_err(|error| {
            let reason = match error.downcast_ref() {
                // The pool tries until its time is up, and does not keep the reason.
                Some(sqlx::Error::PoolTimedOut) => "no connection within ten seconds; is the server running?".into(),
                _ => chain(&*error),
            };
            Failure::failed(format_args!("{}: {reason}", without_password(url)))
        })
    }

    /// How many accounts a sweep processes at the same time. SQLite has one writer, and waiting for each other makes
    /// several of them slower.
    pub(crate) const fn jobs(&self) -> u16 {
        match self {
            Self::Sqlite(_) => 1,
            Self::MySql(_) | Self::Postgres(_) | Self::Redis(_) => 8,
        }
    }

    pub(crate) async fn close(&self) {
        each!(self, store => store.close().await);
    }
}

impl Store for Database {
    type Error = StoreError;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        each!(self, store => store.load(user).await.map_err(Into::into))
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        each!(self, store => store.swap(user, expected, record).await.map_err(Into::into))
    }
}

impl Accounts for Database {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        each!(self, store => store.accounts(after, limit).await.map_err(Into::into))
    }

    async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, StoreError> {
        each!(self, store => store.insert(records).await.map_err(Into::into))
    }
}

/// The path in an SQLite URL. The store would create a missing file, and a mistyped path would look like a database
/// without accounts.
fn existing_file<'a>(url: &str, rest: &'a str) -> Result<&'a Path, Failure> {
    let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::failed(format_args!(
        "{}: there is no such database; if it is a new one, create an empty file first",
        without_password(url)
    )))
}

/// The URL as messages and files may show it: without a password, and without parameters that may be one.
pub(crate) fn without_password(url: &str) -> String {
    // The login goes first: a password that should have been escaped can contain a question mark.
    let url = without_login(url);
    let (url, parameters) = url.split_once('?').unwrap_or((&url, ""));
    let harmless = |parameter: &&str| HARMLESS.iter().any(|name| parameter.starts_with(name));
    let parameters: Vec<&str> = parameters.split('&').filter(harmless).collect();
    if parameters.is_empty() { url.into() } else { format!("{url}?{}", parameters.join("&")) }
}

/// Parameters that tell one server or database from another.
const HARMLESS: [&str; 4] = ["host=", "port=", "socket=", "db="];

fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    match rest.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => url.into(),
    }
}

/// Whether the URL contains a password.
pub(crate) fn has_password(url: &str) -> bool {
    let login = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map(|(login, _)| login);
    login.is_some_and(|login| login.contains(':')) || url.contains("password=")
}
