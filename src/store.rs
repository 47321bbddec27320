//! Storage for the guard's records.
//!
//! The essential operation of a store is compare-and-swap: it replaces a record only if nothing else has changed the
//! record since it was loaded. All guarantees of the guard depend on this operation. [`conformance`] tests any store,
//! including your own.

pub mod conformance;
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "redis", feature = "sqlite"))]
mod options;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

#[cfg(any(feature = "mysql", feature = "postgres", feature = "redis"))]
use rand::TryRng;

pub use memory::MemoryStore;
#[cfg(feature = "mysql")]
pub use mysql::MySqlStore;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "redis", feature = "sqlite"))]
pub use options::StoreOptions;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// Keeps one record per account.
///
/// ```
/// use keyfob::store::{Store, Swap, Version};
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct Table {
///     records: Mutex<HashMap<String, (u64, Vec<u8>)>>,
///     last: AtomicU64,
/// }
///
/// impl Store for Table {
///     type Error = std::convert::Infallible;
///
///     async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
///         let records = self.records.lock().unwrap();
///         let row = records.get(user);
///         Ok(row.map(|(version, record)| (Version::new(*version), record.clone())))
///     }
///
///     async fn swap(
///         &self,
///         user: &str,
///         expected: Option<Version>,
///         record: Option<&[u8]>,
///     ) -> Result<Swap, Self::Error> {
///         // Compare and replace under the same lock.
///         let mut records = self.records.lock().unwrap();
///         let version = records.get(user).map(|(version, _)| Version::new(*version));
///         if version != expected {
///             return Ok(Swap::Conflict);
///         }
///         match record {
///             // One counter for all users, so that no version is used twice.
///             Some(record) => {
///                 let version = self.last.fetch_add(1, Ordering::Relaxed);
///                 records.insert(user.into(), (version, record.into()))
///             }
///             None => records.remove(user),
///         };
///         Ok(Swap::Swapped)
///     }
/// }
/// ```
pub trait Store: Send + Sync {
    /// The error type of the store. Any type that converts into a [`StoreError`] works.
    type Error: Into<StoreError> + Send;

    /// Loads an account's record and the record's version, or returns `None` if the account has no record.
    ///
    /// Read from the primary database, not from a replica that may lag. If a change is based on a stale record, the
    /// swap reports a conflict. A read-only call has no such check: a status, a proof check, or the answer that an
    /// account has no second factor can be out of date. A stale read can therefore let a user log in without a second
    /// factor.
    ///
    /// # Errors
    ///
    /// Returns an error if the store could not read the record.
    fn load(&self, user: &str) -> impl Future<Output = Result<Option<(Version, Vec<u8>)>, Self::Error>> + Send;

    /// Replaces the record with `record`, or removes it if `record` is `None`, in one atomic step.
    ///
    /// The record changes only if the version of the stored record is `expected`, or if there is no record and
    /// `expected` is `None`. In all other cases, this returns [`Swap::Conflict`]. Each change gives the record a
    /// version that this account has never had before, even if its record was removed in the meantime.
    ///
    /// When this returns [`Swap::Swapped`], the change is committed: it survives crashes and power failures, and is not
    /// part of a transaction that the caller can roll back.
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed, even if it is unknown whether the record was changed. A timeout is an
    /// error, never a [`Swap::Conflict`].
    fn swap(
        &self,
        user: &str,
        expected: Option<Version>,
        record: Option<&[u8]>,
    ) -> impl Future<Output = Result<Swap, Self::Error>> + Send;
}

/// A store that lists its accounts and adds many at once. All of keyfob's stores implement it.
///
/// [`Guard::adopt_batch`](crate::Guard::adopt_batch) needs it, and so does any program that iterates over all accounts.
pub trait Accounts: Store {
    /// Lists at most `limit` accounts that have a record, in order, starting after the account `after`.
    ///
    /// Start with an empty string, and continue with the last account of the previous page. The list after the last
    /// page is empty.
    ///
    /// # Errors
    ///
    /// Returns an error if the store could not read the accounts.
    fn accounts(&self, after: &str, limit: u32) -> impl Future<Output = Result<Vec<String>, Self::Error>> + Send;

    /// Adds each of these records, unless its account already has one. Returns, for each account in the same order,
    /// whether its record was added. If an account occurs twice, only the first record is added.
    ///
    /// When this returns, the records are committed, as after a [`swap`](Store::swap).
    ///
    /// # Errors
    ///
    /// Returns an error if the store failed. Some of the records may have been added.
    fn insert(&self, records: &[(&str, &[u8])]) -> impl Future<Output = Result<Vec<bool>, Self::Error>> + Send;
}

/// The version of a record: a number that the store chooses and that changes with each change of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u64);

impl Version {
    /// Makes a version from the store's number.
    #[must_use]
    pub const fn new(version: u64) -> Self {
        Self(version)
    }

    /// The store's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A random version below 2^61 for a new record.
    ///
    /// An account that is removed and enrolled again therefore does not reuse an earlier version, and a change that was
    /// prepared before the removal fails at the swap.
    #[cfg(any(feature = "mysql", feature = "postgres", feature = "redis"))]
    fn random() -> std::io::Result<Self> {
        let number = rand::rngs::SysRng.try_next_u64().map_err(std::io::Error::other)?;
        Ok(Self(number >> 3))
    }
}

/// Bytes as hexadecimal digits, for a statement that is sent without parameters. Digits need no escaping, whatever the
/// settings of the connection.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The outcome of [`Store::swap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// The record did not have the expected version, and was not changed.
    Conflict,
    /// The record was changed, and the change is committed.
    Swapped,
}

/// A boxed store error.
pub type StoreError = Box<dyn core::error::Error + Send + Sync>;

impl<S: Accounts> Accounts for alloc::sync::Arc<S> {
    fn accounts(&self, after: &str, limit: u32) -> impl Future<Output = Result<Vec<String>, Self::Error>> + Send {
        (**self).accounts(after, limit)
    }

    fn insert(&self, records: &[(&str, &[u8])]) -> impl Future<Output = Result<Vec<bool>, Self::Error>> + Send {
        (**self).insert(records)
    }
}

impl<S: Store> Store for alloc::sync::Arc<S> {
    type Error = S::Error;

    fn load(&self, user: &str) -> impl Future<Output = Result<Option<(Version, Vec<u8>)>, Self::Error>> + Send {
        (**self).load(user)
    }

    fn swap(
        &self,
        user: &str,
        expected: Option<Version>,
        record: Option<&[u8]>,
    ) -> impl Future<Output = Result<Swap, Self::Error>> + Send {
        (**self).swap(user, expected, record)
    }
}
