//! An in-memory store.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::Bound;
use std::sync::{Mutex, PoisonError};

use crate::store::{Accounts, Store, Swap, Version};

/// Keeps records in memory, for tests. Its source is also a short reference for your own store.
///
/// All records are lost on restart. The store then no longer knows which accounts have a second factor and which codes
/// were used.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    /// Counts the changes of all accounts, so that an account that is removed and enrolled again gets new versions.
    changes: u64,
    by_user: BTreeMap<String, (Version, Vec<u8>)>,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).by_user.get(user).cloned())
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        // A poisoned lock is safe to use, because no line below panics between two changes.
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.by_user.get(user).map(|(version, _)| *version) != expected {
            return Ok(Swap::Conflict);
        }
        records.changes += 1;
        let version = Version::new(records.changes);
        match record {
            Some(record) => records.by_user.insert(user.into(), (version, record.into())),
            None => records.by_user.remove(user),
        };
        Ok(Swap::Swapped)
    }
}

impl Accounts for MemoryStore {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, Self::Error> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let range = records.by_user.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        Ok(range.take(limit).map(|(user, _)| user.clone()).collect())
    }

    async fn insert(&self, new: &[(&str, &[u8])]) -> Result<Vec<bool>, Self::Error> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Records { changes, by_user } = &mut *records;
        let insert = |(user, record): &(&str, &[u8])| match by_user.entry((*user).into()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                *changes += 1;
                entry.insert((Version::new(*changes), (*record).into()));
                true
            }
        };
        Ok(new.iter().map(insert).collect())
    }
}
