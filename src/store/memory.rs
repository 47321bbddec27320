//! The store that forgets.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use crate::store::{Store, Swap, Version};

/// Keeps records in memory: for tests, and to read as the reference of what a store does.
///
/// A restart forgets who has a second factor and which codes were used.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    /// Counts the changes of all accounts, so that a removed account does not begin anew.
    changes: u64,
    of: BTreeMap<String, (Version, Vec<u8>)>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).of.get(user).cloned())
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        // A thread that panicked while it held the lock did not do so in the lines below.
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.of.get(user).map(|(version, _)| *version) != expected {
            return Ok(Swap::Conflict);
        }
        records.changes += 1;
        let version = Version::new(records.changes);
        match record {
            Some(record) => records.of.insert(user.into(), (version, record.into())),
            None => records.of.remove(user),
        };
        Ok(Swap::Swapped)
    }
}
