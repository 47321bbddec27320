//! Where the records of the guard are kept.
//!
//! A store replaces one record by another if nobody else did so in between, and that is all: every rule of the guard
//! rests on this one promise. [`conformance`] puts any store to the test, yours included.

pub mod conformance;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

use alloc::boxed::Box;
use alloc::vec::Vec;

pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// Keeps one record per account.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use keyfob::store::{Store, Swap, Version};
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
///         let found = records.get(user);
///         Ok(found.map(|(version, record)| (Version::new(*version), record.clone())))
///     }
///
///     async fn swap(
///         &self,
///         user: &str,
///         expected: Option<Version>,
///         record: Option<&[u8]>,
///     ) -> Result<Swap, Self::Error> {
///         // Compared and replaced under one lock.
///         let mut records = self.records.lock().unwrap();
///         if records.get(user).map(|(version, _)| Version::new(*version)) != expected {
///             return Ok(Swap::Conflict);
///         }
///         match record {
///             // One counter for all users, so that no version is ever given out twice.
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
    /// Why the store could not answer. Any error will do.
    type Error: Into<StoreError> + Send;

    /// The record of an account and its version, or `None` if there is none. If it is stale, a decision that changes it
    /// is lost at the swap. What is answered without a change is as stale as this: a status, a check of a proof, and that
    /// an account has no second factor. So a replica that lags may let somebody in without one.
    ///
    /// # Errors
    ///
    /// If the store cannot tell.
    fn load(&self, user: &str) -> impl Future<Output = Result<Option<(Version, Vec<u8>)>, Self::Error>> + Send;

    /// Replaces the record by `record`, or removes it if that is `None`, in one step that no other process can come between.
    /// This happens only if the version of the stored record is `expected`, or if there is none and `expected` is `None`.
    /// A new record gets a version that this user never had, not even before a removal.
    ///
    /// When it answers [`Swap::Swapped`], the record survives a crash and a power cut. It is in no transaction that
    /// somebody else may roll back.
    ///
    /// # Errors
    ///
    /// If it is unknown whether the record was replaced: a time-out is this, and never a conflict.
    fn swap(
        &self,
        user: &str,
        expected: Option<Version>,
        record: Option<&[u8]>,
    ) -> impl Future<Output = Result<Swap, Self::Error>> + Send;
}

/// Which state of a record this is. A number that the store chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u64);

impl Version {
    /// From the store's number.
    #[must_use]
    pub const fn new(version: u64) -> Self {
        Self(version)
    }

    /// The store's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// The record had another version, and is as it was.
    Conflict,
    /// The change took effect, for good.
    Swapped,
}

/// Why a store could not answer: any error, in a box.
pub type StoreError = Box<dyn core::error::Error + Send + Sync>;

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
