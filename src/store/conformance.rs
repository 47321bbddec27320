//! Puts a store to the test: edge cases and races that a store gets wrong in practice.
//!
//! ```
//! use keyfob::store::{MemoryStore, conformance};
//!
//! conformance::check(&MemoryStore::new(), |future| futures_lite::future::block_on(future))?;
//! # Ok::<(), conformance::Violation>(())
//! ```
//!
//! A store that needs a runtime gets it from `block_on`, which is called from several threads at once; with tokio,
//! `|future| handle.block_on(future)`. A store that several processes share is best handed in as several clients of one
//! database: see [`check_all`].
//!
//! # What a pass means
//!
//! Names, bytes and versions are looked at one by one: such a fault is found for certain. Races are provoked, some
//! thousand times. A store that looks first and writes then is found if another thread can get between the two, so run
//! it on two processors or more, and in the way that the application has it: a client for each process.
//!
//! What no test from within can find: a change that is acknowledged and lost at a power cut or at a failover, one that
//! the caller's transaction takes back, and an unknown outcome that is called a conflict.

mod race;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;
use std::sync::{Mutex, PoisonError};

use crate::store::{Store, StoreError, Swap, Version};

/// A test to run to its end.
pub type Test<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Tests one store, as in the example of [the module](self). It must be empty, or at least hold no account whose name
/// begins with `keyfob-conformance`.
///
/// It takes 0.6 seconds or more. The two races last 0.3 seconds each at least, and until each of eight threads has made 100
/// changes: a store that makes 100 changes a second needs about 20 seconds. `block_on` is called from all of the threads
/// at once.
///
/// # Errors
///
/// [`Violation`] with the first promise that the store broke.
pub fn check<S: Store>(store: &S, block_on: impl Fn(Test<'_>) + Sync) -> Result<(), Violation> {
    check_all(&[store], block_on)
}

/// Tests several clients of one database, as several processes would have them, against each other. With more than eight
/// there are as many threads as clients.
///
/// ```no_run
/// use keyfob::store::{SqliteStore, conformance};
///
/// let runtime = tokio::runtime::Runtime::new()?;
/// let one = runtime.block_on(SqliteStore::open("conformance.db"))?;
/// let other = runtime.block_on(SqliteStore::open("conformance.db"))?;
/// conformance::check_all(&[&one, &other], |test| runtime.block_on(test))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Violation`] with the first promise that the store broke.
pub fn check_all<S: Store>(clients: &[&S], block_on: impl Fn(Test<'_>) + Sync) -> Result<(), Violation> {
    let [first, ..] = clients else { return Ok(()) };
    run(&block_on, alone(*first))??;
    race::for_one_version(clients, &block_on)?;
    race::for_one_number(clients, &block_on)
}

/// What the test says, once it ended.
fn run<T: Send>(block_on: &impl Fn(Test<'_>), test: impl Future<Output = T> + Send) -> Result<T, Violation> {
    let outcome = Mutex::new(None);
    block_on(Box::pin(async {
        let ended = test.await;
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
    }));
    let outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.ok_or(Violation::Broken("`block_on` came back before the test had ended"))
}

async fn alone<S: Store>(store: &S) -> Result<(), Violation> {
    let user = "keyfob-conformance";
    let mut seen: Vec<Version> = Vec::new();

    require(store.load(user).await.map_err(failed)?.is_none(), "an account that was never stored has a record")?;
    let nowhere = store.swap(user, Some(Version::new(1)), Some(b"x")).await.map_err(failed)?;
    require(nowhere == Swap::Conflict, "a record that is not there was replaced")?;
    let nothing = store.swap(user, Some(Version::new(1)), None).await.map_err(failed)?;
    require(nothing == Swap::Conflict, "a record that is not there was removed")?;
    let nothing = store.swap(user, None, None).await.map_err(failed)?;
    require(nothing == Swap::Swapped, "where there was no record, there could not be none")?;
    require(store.load(user).await.map_err(failed)?.is_none(), "a refused swap left a record")?;

    // Twice, because what comes after a removal must not meet its past.
    for life in 0..2u8 {
        let all_bytes: Vec<u8> = (0..=u8::MAX).collect();
        let born = store.swap(user, None, Some(&all_bytes)).await.map_err(failed)?;
        require(born == Swap::Swapped, "a record that is not there could not be made")?;
        let mut version = current(store, user, &all_bytes).await?;
        require(!seen.contains(&version), "a version came back after a removal")?;
        for old in &seen {
            let late = store.swap(user, Some(*old), Some(b"late")).await.map_err(failed)?;
            require(late == Swap::Conflict, "a decision from before a removal took effect after it")?;
            let late = store.swap(user, Some(*old), None).await.map_err(failed)?;
            require(late == Swap::Conflict, "a removal from before a removal took effect after it")?;
        }
        let again = store.swap(user, None, Some(b"again")).await.map_err(failed)?;
        require(again == Swap::Conflict, "a record was made where one was")?;
        let none = store.swap(user, None, None).await.map_err(failed)?;
        require(none == Swap::Conflict, "a record was removed by somebody who had seen none")?;
        current(store, user, &all_bytes).await?;

        for round in 0..ROUNDS {
            let record = format!("life {life} round {round}").into_bytes();
            let swapped = store.swap(user, Some(version), Some(&record)).await.map_err(failed)?;
            require(swapped == Swap::Swapped, "a record could not be replaced under its own version")?;
            seen.push(version);
            let next = current(store, user, &record).await?;
            require(!seen.contains(&next), "a version was used twice")?;
            let stale = store.swap(user, Some(version), Some(b"stale")).await.map_err(failed)?;
            require(stale == Swap::Conflict, "a record was replaced under an old version")?;
            let stale = store.swap(user, Some(version), None).await.map_err(failed)?;
            require(stale == Swap::Conflict, "a record was removed under an old version")?;
            require(current(store, user, &record).await? == next, "a refused change changed something")?;
            version = next;
        }
        let removed = store.swap(user, Some(version), None).await.map_err(failed)?;
        require(removed == Swap::Swapped, "a record could not be removed under its own version")?;
        require(store.load(user).await.map_err(failed)?.is_none(), "a record is there after it was removed")?;
        seen.push(version);
    }

    // Databases fold case, trim spaces and normalize accents where nobody expects it.
    let names =
        ["-a", "-A", "-a ", "- a", "-\u{e4}", "-a\u{308}", "-%", "-_", "-'", "-\\"].map(|end| format!("{user}{end}"));
    for name in &names {
        let record = name.as_bytes();
        require(
            store.swap(name, None, Some(record)).await.map_err(failed)? == Swap::Swapped,
            "two accounts are one to the store",
        )?;
    }
    for name in &names {
        let version = current(store, name, name.as_bytes()).await?;
        let swapped = store.swap(name, Some(version), Some(&changed(name))).await.map_err(failed)?;
        require(swapped == Swap::Swapped, "a record could not be replaced under its own version")?;
    }
    let long = format!("{user}{}", "\u{1f511}".repeat(59));
    let large = vec![0; 1 << 16];
    require(
        store.swap(&long, None, Some(&large)).await.map_err(failed)? == Swap::Swapped,
        "a long name or a large record was refused",
    )?;
    let version = current(store, &long, &large).await?;
    // Of the same 254 bytes but for the last: a store may cut names off.
    let neighbor = format!("{user}{}\u{1f510}", "\u{1f511}".repeat(58));
    require(
        store.load(&neighbor).await.map_err(failed)?.is_none(),
        "two accounts with long names are one to the store",
    )?;
    require(
        store.swap(&long, Some(version), None).await.map_err(failed)? == Swap::Swapped,
        "an account with a long name cannot be removed",
    )?;
    for name in &names {
        let version = current(store, name, &changed(name)).await?;
        require(
            store.swap(name, Some(version), None).await.map_err(failed)? == Swap::Swapped,
            "an account cannot be removed",
        )?;
    }
    Ok(())
}

/// The second record of an account: a store may forget which one a change is for.
fn changed(name: &str) -> Vec<u8> {
    [name.as_bytes(), b" changed"].concat()
}

async fn current<S: Store>(store: &S, user: &str, record: &[u8]) -> Result<Version, Violation> {
    match store.load(user).await.map_err(failed)? {
        Some((version, loaded)) if loaded == record => Ok(version),
        Some(_) => Err(Violation::Broken("what was loaded is not what was stored")),
        None => Err(Violation::Broken("an acknowledged record is not there")),
    }
}

fn failed(error: impl Into<StoreError>) -> Violation {
    Violation::Failed(error.into())
}

fn require(kept: bool, violation: &'static str) -> Result<(), Violation> {
    if kept { Ok(()) } else { Err(Violation::Broken(violation)) }
}

/// What a store did wrong. Printed, it says which promise was broken: fail a test with it, as in the example of
/// [the module](self).
#[derive(Debug)]
#[non_exhaustive]
pub enum Violation {
    /// It broke a promise.
    Broken(&'static str),
    /// It failed where nothing should fail.
    Failed(StoreError),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(promise) => f.write_str(promise),
            Self::Failed(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl core::error::Error for Violation {}

const ROUNDS: u32 = 100;
