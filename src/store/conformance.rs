//! Tests a store's handling of the edge cases and races that stores get wrong in practice.
//!
//! ```
//! use keyfob::store::{MemoryStore, conformance};
//!
//! conformance::check(&MemoryStore::new(), |test| futures_lite::future::block_on(test))?;
//! # Ok::<(), conformance::Violation>(())
//! ```
//!
//! # How to call it
//!
//! Call [`check`] in a test of your store. It blocks the calling thread until all tests have finished. It starts
//! several threads that call `block_on` at the same time. `block_on` must run the future to completion.
//!
//! A store that needs an async runtime gets it from `block_on`. With tokio, get the runtime's handle before the call,
//! because the test threads are not threads of the runtime:
//!
//! ```
//! use keyfob::store::{MemoryStore, conformance};
//!
//! // In a test: #[tokio::test(flavor = "multi_thread")]
//! #[tokio::main(flavor = "multi_thread")]
//! async fn main() -> Result<(), conformance::Violation> {
//!     let store = MemoryStore::new();
//!     let runtime = tokio::runtime::Handle::current();
//!     conformance::check(&store, |test| runtime.block_on(test))
//! }
//! ```
//!
//! A single-threaded runtime (`flavor = "current_thread"`) cannot drive timers or network I/O while `check` blocks that
//! thread. With such a runtime, run `check` inside `tokio::task::spawn_blocking`.
//!
//! If several processes of your application share the database, use [`check_all`] with one client for each process.
//! If the store also implements [`Accounts`], call [`check_accounts`] as well.
//!
//! # What a pass means
//!
//! The tests of names, bytes and versions are deterministic: they always detect a store that gets these wrong. Each
//! race test makes at least 800 changes. It detects a store that reads and then writes in two separate steps, provided
//! that another thread can run between the steps. For this reason, run the tests on at least two processors, and use
//! the store the same way your application does.
//!
//! These tests cannot detect a change that is acknowledged and then lost in a power failure or a failover, a change
//! that is rolled back with the caller's transaction, or an unknown outcome that is reported as a conflict.

mod accounts;
mod race;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::panic::AssertUnwindSafe;
use core::pin::{Pin, pin};
use std::panic::catch_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::store::{Accounts, Store, StoreError, Swap, Version};

/// A test, as a future that `block_on` has to run to completion.
pub type Test<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Tests one store. [The module](self) has examples, and explains how to use an async runtime.
///
/// The store must hold no account whose name begins with `keyfob-conformance`. If all tests pass, they leave no record
/// behind.
///
/// The tests take at least 0.6 seconds. There are two race tests. Each of them runs for at least 0.3 seconds, and until
/// each of the eight threads has made 100 changes. A store that makes 100 changes per second needs about 20 seconds.
///
/// # Errors
///
/// [`Violation`], which names the first promise that the store broke or the mistake that `block_on` made.
pub fn check<S: Store>(store: &S, block_on: impl Fn(Test<'_>) + Sync) -> Result<(), Violation> {
    check_all(&[store], block_on)
}

/// Tests several clients of the same database at the same time, as several processes would use it. The tests use eight
/// threads, or one thread per client if there are more than eight clients.
///
/// ```no_run
/// use keyfob::store::{SqliteStore, conformance};
///
/// let runtime = tokio::runtime::Runtime::new()?;
/// let first = runtime.block_on(SqliteStore::open("conformance.db"))?;
/// let second = runtime.block_on(SqliteStore::open("conformance.db"))?;
/// conformance::check_all(&[&first, &second], |test| runtime.block_on(test))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Violation`], which names the first promise that the store broke or the mistake that `block_on` made.
pub fn check_all<S: Store>(clients: &[&S], block_on: impl Fn(Test<'_>) + Sync) -> Result<(), Violation> {
    let [first, ..] = clients else { return Ok(()) };
    apart(|| {
        run(&block_on, sequence(*first))??;
        race::for_one_version(clients, &block_on)?;
        race::for_one_number(clients, &block_on)
    })
}

/// Tests whether a store lists its accounts and adds many at once as [`Accounts`] promises. Also call [`check`], which
/// tests everything else.
///
/// The store must hold no account whose name begins with `keyfob-conformance`. It may hold other accounts, which the
/// tests list several times. If all tests pass, they leave no record behind. A store that makes 100 changes per second
/// needs about ten seconds.
///
/// ```
/// use keyfob::store::{MemoryStore, conformance};
///
/// let store = MemoryStore::new();
/// conformance::check_accounts(&store, |test| futures_lite::future::block_on(test))?;
/// # Ok::<(), conformance::Violation>(())
/// ```
///
/// # Errors
///
/// [`Violation`], which names the first promise that the store broke or the mistake that `block_on` made.
pub fn check_accounts<S: Accounts>(store: &S, block_on: impl Fn(Test<'_>) + Sync) -> Result<(), Violation> {
    apart(|| {
        run(&block_on, accounts::insertion(store))??;
        run(&block_on, accounts::pages(store))??;
        race::for_insertions(store, &block_on)
    })
}

/// Runs the tests on a separate thread. The caller's thread may belong to a runtime, and a runtime does not let its
/// threads block on a future.
fn apart(tests: impl FnOnce() -> Result<(), Violation> + Send) -> Result<(), Violation> {
    thread::scope(|scope| match thread::Builder::new().spawn_scoped(scope, tests) {
        Ok(checking) => checking.join().unwrap_or(Err(Violation::Broken(STORE_PANICKED))),
        Err(_) => Err(Violation::Broken(NO_THREAD)),
    })
}

/// Runs a test with `block_on`, and returns its result. A panic is caught and returned as a violation that says whether
/// the store or `block_on` panicked. Catching it keeps the other threads from waiting for the thread that panicked.
fn run<T: Send>(block_on: &impl Fn(Test<'_>), test: impl Future<Output = T> + Send) -> Result<T, Violation> {
    let outcome = Mutex::new(None);
    let future: Test<'_> = Box::pin(async {
        let mut test = pin!(test);
        // A panic during this poll comes from the store. It is caught here, because a panic that reaches `block_on` is
        // reported as a panic of `block_on`.
        let finished = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| test.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => core::task::Poll::Ready(Err(Violation::Broken(STORE_PANICKED))),
        });
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(finished.await);
    });
    let returned = catch_unwind(AssertUnwindSafe(|| block_on(future)));
    let outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    match (returned, outcome) {
        (Ok(()), Some(outcome)) => outcome,
        (Ok(()), None) => Err(Violation::Broken(NOT_FINISHED)),
        (Err(_), _) => Err(Violation::Broken(BLOCK_ON_PANICKED)),
    }
}

/// Runs the tests that need only one thread.
async fn sequence<S: Store>(store: &S) -> Result<(), Violation> {
    let user = "keyfob-conformance";
    let mut seen: Vec<Version> = Vec::new();

    require(store.load(user).await.map_err(failed)?.is_none(), "an account that was never stored has a record")?;
    let replaced = store.swap(user, Some(Version::new(1)), Some(b"x")).await.map_err(failed)?;
    require(replaced == Swap::Conflict, "a record that does not exist was replaced")?;
    let removed = store.swap(user, Some(Version::new(1)), None).await.map_err(failed)?;
    require(removed == Swap::Conflict, "a record that does not exist was removed")?;
    let unchanged = store.swap(user, None, None).await.map_err(failed)?;
    require(unchanged == Swap::Swapped, "a swap from no record to no record is a conflict")?;
    require(store.load(user).await.map_err(failed)?.is_none(), "a refused swap stored a record")?;

    // This runs twice, because a record that is created after a removal must not reuse a version from before the
    // removal.
    for life in 0..2u8 {
        let all_bytes: Vec<u8> = (0..=u8::MAX).collect();
        let created = store.swap(user, None, Some(&all_bytes)).await.map_err(failed)?;
        require(created == Swap::Swapped, "a record could not be created")?;
        let mut version = current(store, user, &all_bytes).await?;
        require(!seen.contains(&version), "a version was used again after a removal")?;
        for old in &seen {
            let late = store.swap(user, Some(*old), Some(b"late")).await.map_err(failed)?;
            require(late == Swap::Conflict, "a decision from before a removal took effect after it")?;
            let late = store.swap(user, Some(*old), None).await.map_err(failed)?;
            require(late == Swap::Conflict, "a removal from before a removal took effect after it")?;
        }
        let again = store.swap(user, None, Some(b"again")).await.map_err(failed)?;
        require(again == Swap::Conflict, "a swap that expects no record replaced one")?;
        let removed = store.swap(user, None, None).await.map_err(failed)?;
        require(removed == Swap::Conflict, "a swap that expects no record removed one")?;
        current(store, user, &all_bytes).await?;

        for round in 0..ROUNDS {
            let record = format!("life {life} round {round}").into_bytes();
            let swapped = store.swap(user, Some(version), Some(&record)).await.map_err(failed)?;
            require(swapped == Swap::Swapped, NOT_REPLACED)?;
            seen.push(version);
            let next = current(store, user, &record).await?;
            require(!seen.contains(&next), "a version was used twice")?;
            let stale = store.swap(user, Some(version), Some(b"stale")).await.map_err(failed)?;
            require(stale == Swap::Conflict, "a record was replaced under an old version")?;
            let stale = store.swap(user, Some(version), None).await.map_err(failed)?;
            require(stale == Swap::Conflict, "a record was removed under an old version")?;
            require(current(store, user, &record).await? == next, "a refused swap changed the version")?;
            version = next;
        }
        let removed = store.swap(user, Some(version), None).await.map_err(failed)?;
        require(removed == Swap::Swapped, "a record could not be removed under its current version")?;
        require(store.load(user).await.map_err(failed)?.is_none(), "a record still exists after it was removed")?;
        seen.push(version);
    }

    let names = names();
    for name in &names {
        let created = store.swap(name, None, Some(name.as_bytes())).await.map_err(failed)?;
        require(created == Swap::Swapped, "the store treats two different account names as the same")?;
    }
    for name in &names {
        let version = current(store, name, name.as_bytes()).await?;
        let swapped = store.swap(name, Some(version), Some(&changed(name))).await.map_err(failed)?;
        require(swapped == Swap::Swapped, NOT_REPLACED)?;
    }
    let long = format!("{user}{}", "\u{1f511}".repeat(59));
    let large = vec![0; 1 << 16];
    let created = store.swap(&long, None, Some(&large)).await.map_err(failed)?;
    require(created == Swap::Swapped, "a name of 254 bytes or a record of 64 KiB was refused")?;
    let version = current(store, &long, &large).await?;
    // This name differs from `long` only in the last of its 254 bytes. A store that truncates names confuses the two.
    let neighbor = format!("{user}{}\u{1f510}", "\u{1f511}".repeat(58));
    require(
        store.load(&neighbor).await.map_err(failed)?.is_none(),
        "the store treats two different long account names as the same",
    )?;
    let removed = store.swap(&long, Some(version), None).await.map_err(failed)?;
    require(removed == Swap::Swapped, "an account with a long name could not be removed")?;
    for name in &names {
        let version = current(store, name, &changed(name)).await?;
        let removed = store.swap(name, Some(version), None).await.map_err(failed)?;
        require(removed == Swap::Swapped, "an account could not be removed")?;
    }
    Ok(())
}

/// Some databases ignore case, trim spaces or normalize accents when they compare keys.
fn names() -> [String; 10] {
    ["-a", "-A", "-a ", "- a", "-\u{e4}", "-a\u{308}", "-%", "-_", "-'", "-\\"]
        .map(|end| format!("keyfob-conformance{end}"))
}

/// Returns the second record of an account. It contains the account name, so that the tests detect a store that changes
/// another account's record.
fn changed(name: &str) -> Vec<u8> {
    [name.as_bytes(), b" changed"].concat()
}

/// Returns the version of the stored record, after checking that the record has these bytes.
async fn current<S: Store>(store: &S, user: &str, record: &[u8]) -> Result<Version, Violation> {
    match store.load(user).await.map_err(failed)? {
        Some((version, loaded)) if loaded == record => Ok(version),
        Some(_) => Err(Violation::Broken("the loaded record is not the stored record")),
        None => Err(Violation::Broken("an acknowledged record does not exist")),
    }
}

fn failed(error: impl Into<StoreError>) -> Violation {
    Violation::Failed(error.into())
}

fn require(kept: bool, violation: &'static str) -> Result<(), Violation> {
    if kept { Ok(()) } else { Err(Violation::Broken(violation)) }
}

/// What a store did wrong. The message names the broken promise. Return the violation from your test, as in the example
/// of [the module](self).
#[derive(Debug)]
#[non_exhaustive]
pub enum Violation {
    /// The store broke a promise, or `block_on` did not run a test.
    Broken(&'static str),
    /// The store returned an error although nothing had failed.
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
const NOT_REPLACED: &str = "a record could not be replaced under its current version";
const STORE_PANICKED: &str = "the store panicked; the panic message is in the output of the test";
const NOT_FINISHED: &str = "`block_on` returned before the test had finished; it has to run the future to its end";
const BLOCK_ON_PANICKED: &str = "`block_on` panicked; it is called on threads outside of any runtime: take the handle \
     of the runtime before the call, and call the check from a plain thread or with `spawn_blocking`";
const NO_THREAD: &str = "a thread for the test could not be started; run the test with fewer other threads";
