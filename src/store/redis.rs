//! A store in a Redis or Valkey database, with `redis`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, RedisError};

use super::options::StoreOptions;
use crate::store::{Accounts, Store, Swap, Version};

/// Keeps records in a Redis or Valkey database, under keys that begin with `{keyfob_second_factor}`.
///
/// Any number of servers can share the database. Each change is one script, which the server runs as a whole, and is
/// synced to disk before the store acknowledges it.
///
/// ```no_run
/// use keyfob::store::RedisStore;
/// use keyfob::{Guard, Keyring};
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::open("redis://app:password@db.example.com").await?;
/// let guard = Guard::new(store, Keyring::parse(&std::env::var("KEYFOB_KEYS")?)?, "Example Inc");
/// # Ok(()) }
/// ```
///
/// This store needs the `tokio` runtime and Redis 6.2 or newer. The client type of `redis` 1 is part of the public
/// interface. For TLS, depend on `redis` yourself and enable one of its `tls` features.
///
/// # The keys
///
/// The record of `user-17` is the string `{keyfob_second_factor}:user-17`: eight bytes for the version, and then the
/// record. The sorted set `{keyfob_second_factor}` lists the accounts. [`StoreOptions::with_table`] chooses another
/// name instead of `keyfob_second_factor`. A restricted user needs access to these keys and the commands `EVAL`,
/// `GETEX`, `GETRANGE`, `SET`, `DEL`, `ZADD`, `ZREM`, `ZRANGE`, `INFO`, `CONFIG GET` and, if the URL names a database,
/// `SELECT`.
///
/// # What the server must guarantee
///
/// The default settings of Redis lose the last changes in a crash, and used codes would be accepted again. The store
/// refuses to open unless these settings are as follows, and the error names the setting:
///
/// ```text
/// appendonly yes
/// appendfsync always
/// maxmemory-policy noeviction
/// ```
///
/// They are checked again after each error, because the server may have been restarted. A change by `CONFIG SET` is
/// not noticed. Managed services often hide `appendfsync`; see [`StoreOptions::trust_unreadable_settings`].
/// [`StoreOptions::allow_lost_changes`] skips all of these checks. With a slower `appendfsync`, the command `WAITAOF`
/// would make each change durable, but it would also hold up all other requests on the connection, for up to a second.
///
/// A replica is refused, also for reading.
///
/// Replication is asynchronous. A failover can lose acknowledged changes, whatever the settings: used codes are
/// accepted again until you call [`Guard::operator_invalidate_codes`](crate::Guard::operator_invalidate_codes) for each
/// account.
/// If you cannot accept this, use another database.
///
/// A Redis Cluster keeps all accounts of one store in the same slot, because of the braces in the keys. The store does
/// not follow redirections of a cluster, and was not tested with one.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
    keys: Arc<Keys>,
}

struct Keys {
    options: StoreOptions,
    /// The sorted set of the accounts.
    index: String,
    /// Before the name of an account.
    prefix: String,
    /// Whether the settings of the server were found durable, and no request has failed since then.
    checked: AtomicBool,
    closed: AtomicBool,
}

impl RedisStore {
    /// Connects to a server. See [`RedisStore`] for an example.
    ///
    /// A request that takes longer than five seconds fails. A connection that was lost is replaced.
    ///
    /// # Errors
    ///
    /// [`RedisError`] if the URL is invalid, if the server cannot be reached, or if it may lose acknowledged changes.
    pub async fn open(url: &str) -> Result<Self, RedisError> {
        Self::open_with(url, StoreOptions::new()).await
    }

    /// Like [`open`](Self::open), with other keys or with other checks.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_with(url: &str, options: StoreOptions) -> Result<Self, RedisError> {
        Self::from_client_with(Client::open(url)?, options).await
    }

    /// Connects with a client that your application has configured, for example for TLS.
    ///
    /// ```no_run
    /// use keyfob::store::RedisStore;
    ///
    /// # async fn open() -> Result<(), redis::RedisError> {
    /// let client = redis::Client::open("redis://localhost/2")?;
    /// let store = RedisStore::from_client(client).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn from_client(client: Client) -> Result<Self, RedisError> {
        Self::from_client_with(client, StoreOptions::new()).await
    }

    /// Like [`from_client`](Self::from_client), with other keys or with other checks.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn from_client_with(client: Client, options: StoreOptions) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_max_delay(LONGEST_DELAY);
        let index = format!("{{{}}}", options.quoted(""));
        let keys = Keys {
            prefix: format!("{index}:"),
            index,
            options,
            checked: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        let store =
            Self { connection: ConnectionManager::new_with_config(client, config).await?, keys: Arc::new(keys) };
        store.request(async |_| Ok(())).await?;
        Ok(store)
    }

    /// Refuses further requests by this store and its clones. The connection is closed with the last of them.
    // Asynchronous like `close` of the other stores.
    #[allow(clippy::unused_async)]
    pub async fn close(&self) {
        self.keys.closed.store(true, Ordering::SeqCst);
    }

    /// Runs a request, after checking the server if a request has failed before.
    async fn request<T>(
        &self,
        request: impl AsyncFnOnce(&mut ConnectionManager) -> Result<T, RedisError>,
    ) -> Result<T, RedisError> {
        if self.keys.closed.load(Ordering::SeqCst) {
            return Err(refusal(CLOSED));
        }
        let mut connection = self.connection.clone();
        if !self.keys.checked.load(Ordering::SeqCst) {
            self.check(&mut connection).await?;
            self.keys.checked.store(true, Ordering::SeqCst);
        }
        let result = request(&mut connection).await;
        if result.is_err() {
            self.keys.checked.store(false, Ordering::SeqCst);
        }
        result
    }

    /// Returns an error if the server is a replica or may lose acknowledged changes.
    async fn check(&self, connection: &mut ConnectionManager) -> Result<(), RedisError> {
        let options = &self.keys.options;
        let trusts = options.trusts_unreadable() || options.accepts_loss();
        let info = match redis::cmd("INFO").query_async::<String>(connection).await {
            // Forbidden, and not a lost connection.
            Err(error) if error.code().is_some() && trusts => String::new(),
            info => info?,
        };
        let shown = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        if shown("role").is_some_and(|role| role != "master") {
            return Err(refusal(REPLICA));
        }
        if options.accepts_loss() {
            return Ok(());
        }
        for (name, durable, reason) in
            [("aof_enabled", "1", NO_APPEND_ONLY_FILE), ("maxmemory_policy", "noeviction", EVICTION)]
        {
            if shown(name).map_or(!trusts, |value| value != durable) {
                return Err(refusal(reason));
            }
        }
        let answer = redis::cmd("CONFIG").arg("GET").arg("appendfsync").query_async::<Vec<String>>(connection).await;
        let appendfsync = match answer {
            // Some services answer with an empty list.
            Ok(answer) => answer.into_iter().nth(1),
            // Renamed or forbidden, and not a lost connection.
            Err(error) if error.code().is_some() => None,
            Err(error) => return Err(error),
        };
        match appendfsync.as_deref() {
            Some("always") => Ok(()),
            Some(_) => Err(refusal(NOT_ALWAYS)),
            None if trusts => Ok(()),
            None => Err(refusal(HIDDEN)),
        }
    }

    fn key(&self, user: &str) -> String {
        format!("{}{user}", self.keys.prefix)
    }
}

impl fmt::Debug for RedisStore {
    /// Prints no part of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("options", &self.keys.options).finish_non_exhaustive()
    }
}

impl Store for RedisStore {
    type Error = RedisError;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        // Without an option, `GETEX` only reads, but a replica refuses it, as it refuses everything that could write.
        let mut get = redis::cmd("GETEX");
        get.arg(self.key(user));
        let value: Option<Vec<u8>> = self.request(async |connection| get.query_async(connection).await).await?;
        let Some(value) = value else { return Ok(None) };
        let (version, record) = value.split_first_chunk().ok_or_else(|| refusal(FOREIGN))?;
        Ok(Some((Version::new(u64::from_be_bytes(*version)), record.into())))
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        let next = match expected {
            Some(version) => Version::new(version.get().wrapping_add(1)),
            None => Version::random()?,
        };
        let mut script = eval(SWAP, 2);
        script.arg(self.key(user)).arg(&self.keys.index);
        script.arg(expected.map_or(Vec::new(), |version| version.get().to_be_bytes().into()));
        script.arg(record.map_or(Vec::new(), |record| value(next, record))).arg(user);
        let swapped: bool = self.request(async |connection| script.query_async(connection).await).await?;
        Ok(if swapped { Swap::Swapped } else { Swap::Conflict })
    }
}

impl Accounts for RedisStore {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, Self::Error> {
        let mut list = redis::pipe();
        // No account has this key. A replica refuses the command, as in `load`.
        list.cmd("GETEX").arg(&self.keys.prefix).ignore();
        list.cmd("ZRANGE").arg(&self.keys.index).arg(format!("({after}")).arg("+").arg("BYLEX");
        list.arg("LIMIT").arg(0).arg(limit);
        let (accounts,) = self.request(async |connection| list.query_async(connection).await).await?;
        Ok(accounts)
    }

    /// A thousand records are added at a time, and synced to disk once.
    async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
        let mut inserted = Vec::with_capacity(records.len());
        for batch in records.chunks(BATCH) {
            let mut script = eval(INSERT, batch.len() + 1);
            script.arg(&self.keys.index);
            for (user, _) in batch {
                script.arg(self.key(user));
            }
            for (user, record) in batch {
                script.arg(value(Version::random()?, record)).arg(*user);
            }
            let added: Vec<bool> = self.request(async |connection| script.query_async(connection).await).await?;
            inserted.extend(added);
        }
        Ok(inserted)
    }
}

/// An `EVAL` command for a script with this many keys.
///
/// The server keeps what it has compiled. Sending only the hash would save half a kilobyte, but would fail after each
/// restart of the server.
fn eval(script: &str, keys: usize) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(keys);
    command
}

fn value(version: Version, record: &[u8]) -> Vec<u8> {
    [&version.get().to_be_bytes(), record].concat()
}

fn refusal(reason: &'static str) -> RedisError {
    (ErrorKind::Client, reason).into()
}

const REPLICA: &str = "the server is a replica (role); connect to the primary server";
const NO_APPEND_ONLY_FILE: &str = "appendonly is not yes, so a crash can lose acknowledged changes; set it to yes";
const EVICTION: &str = "maxmemory-policy is not noeviction, so the server can remove accounts; set it to noeviction";
const NOT_ALWAYS: &str = "appendfsync is not always, so a crash can lose acknowledged changes; set it to always";
const HIDDEN: &str = "the server hides appendfsync, so it may lose acknowledged changes; allow `CONFIG GET`, or call \
     `StoreOptions::trust_unreadable_settings` if the service promises that it loses none";
const CLOSED: &str = "the store was closed";
const FOREIGN: &str = "a key of this store holds a value that the store did not write";

/// Replaces the record if its version is the first argument. An empty string stands for no record.
const SWAP: &str = include_str!("redis.lua");

/// Adds each record whose key does not exist.
const INSERT: &str = "
local added = {}
for number = 2, #KEYS do
  local record, account = ARGV[2 * number - 3], ARGV[2 * number - 2]
  local is_new = redis.call('SET', KEYS[number], record, 'NX')
  if is_new then redis.call('ZADD', KEYS[1], 0, account) end
  added[number - 1] = is_new and 1 or 0
end
return added
";

const TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts to connect.
const LONGEST_DELAY: Duration = Duration::from_secs(1);
const BATCH: usize = 1000;
