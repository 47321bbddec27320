//! The promises of a store, and that the conformance tests find a store that breaks one.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_lite::future::block_on;
use keyfob::store::conformance::{self, Violation};
use keyfob::store::{MemoryStore, Store, StoreError, Swap, Version};

use crate::guarded::report;

#[test]
fn the_reference_store_conforms() {
    let store = MemoryStore::new();
    conformance::check(&store, |test| block_on(test)).unwrap();
    // The first check removed what it had stored.
    conformance::check_all(&[&store, &store], |test| block_on(test)).unwrap();
    conformance::check_all::<MemoryStore>(&[], |_| panic!("nothing to run")).unwrap();
}

#[test]
fn each_broken_store_is_caught() {
    let caught = |fault, violations: &[&str]| {
        let violation =
            conformance::check(&Broken::new(fault), |test| block_on(test)).expect_err(&format!("{fault:?} passes"));
        let text = violation.to_string();
        assert!(violations.contains(&text.as_str()), "{fault:?}: {text}");
    };
    caught(Fault::IgnoresVersion, &["a record was replaced under an old version"]);
    caught(Fault::IgnoresVersionOfRemoval, &["a record was removed under an old version"]);
    caught(Fault::RemovesWhatNobodySaw, &["a swap that expects no record removed one"]);
    caught(Fault::MakesWhatIsNotThere, &["a record that does not exist was replaced"]);
    caught(Fault::LosesWrites, &["the loaded record is not the stored record"]);
    let lost = ["two changes of one version took effect in a race", "a record was created twice or lost in a race"];
    caught(Fault::LosesWritesOfRaces, &lost);
    caught(Fault::WritesRefused, &["a refused swap changed the version", "the loaded record is not the stored record"]);
    caught(Fault::ReusesVersions, &["a version was used again after a removal"]);
    caught(Fault::FoldsCase, &["the store treats two different account names as the same"]);
    caught(Fault::TrimsNames, &["the store treats two different account names as the same"]);
    caught(Fault::CutsNames, &["the store treats two different long account names as the same"]);
    caught(Fault::ForgetsAccount, &["a record could not be replaced under its current version"]);
    caught(Fault::CutsRecords, &["the loaded record is not the stored record"]);
    caught(Fault::TextOnly, &["the loaded record is not the stored record"]);
    caught(Fault::Fails, &["the store failed: no answer"]);
    let panicked = "the store panicked; the panic message is in the output of the test";
    caught(Fault::Panics, &[panicked]);
    caught(Fault::PanicsInRaces, &[panicked]);

    let fails = Broken::new(Fault::Fails);
    assert!(matches!(conformance::check(&fails, |test| block_on(test)), Err(Violation::Failed(_))));
}

#[test]
fn racy_stores_are_caught() {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1) {
        assert!(std::env::var_os("CI").is_none(), "on one processor threads meet too seldom; give the checks two");
        return report("skipped: on one processor threads meet too seldom");
    }
    let checks = 5;
    for fault in [Fault::RacySwap, Fault::RacyCreation, Fault::RacyRemoval, Fault::TornLoad] {
        let passes = |_: &usize| conformance::check(&Broken::new(fault), |test| block_on(test)).is_ok();
        let passed = (0..checks).filter(passes).count();
        report(&format!("{fault:?}: {passed} of {checks} checks passed"));
        // On a machine that is busy with other things, threads may hardly ever run side by side.
        assert!(passed <= checks / 5, "{fault:?}: {passed} of {checks} checks passed");
    }
}

#[test]
fn a_runtime_that_does_not_run_the_tests_is_no_pass() {
    let violation = conformance::check(&MemoryStore::new(), |test| drop(test)).unwrap_err();
    assert!(violation.to_string().contains("block_on"), "{violation}");
}

/// A panic of `block_on` is a violation that says how to call the check, and leaves no other thread waiting: neither in
/// the first part, nor on one thread of a race, nor between the races.
#[test]
fn a_runtime_that_panics_is_a_violation_that_says_how_to_call_it() {
    for panics in [0, 3, 9, 15] {
        let calls = AtomicU64::new(0);
        let checked = conformance::check(&MemoryStore::new(), |test| {
            assert!(calls.fetch_add(1, Ordering::SeqCst) != panics, "the runtime is gone");
            block_on(test);
        });
        let text = checked.expect_err(&format!("call {panics} panics, and the check passes")).to_string();
        assert!(text.starts_with("`block_on` panicked") && text.contains("spawn_blocking"), "call {panics}: {text}");
    }
    // The most likely cause: the handle is taken on a thread that belongs to no runtime.
    let no_runtime = conformance::check(&MemoryStore::new(), |test| tokio::runtime::Handle::current().block_on(test));
    assert!(no_runtime.unwrap_err().to_string().contains("take the handle of the runtime before the call"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_can_be_called_on_a_thread_of_a_runtime() {
    let store = NeedsRuntime(Arc::new(MemoryStore::new()));
    let runtime = tokio::runtime::Handle::current();
    conformance::check(&store, |test| runtime.block_on(test)).unwrap();
    conformance::check_all(&[&store, &store], |test| runtime.block_on(test)).unwrap();
    // A task is on a worker of the runtime.
    let task = tokio::spawn(async move { conformance::check(&store, |test| runtime.block_on(test)) });
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn with_one_thread_the_check_runs_in_spawn_blocking() {
    let store = NeedsRuntime(Arc::new(MemoryStore::new()));
    let runtime = tokio::runtime::Handle::current();
    let check = move || conformance::check(&store, |test| runtime.block_on(test));
    tokio::task::spawn_blocking(check).await.unwrap().unwrap();
}

/// A store whose calls panic outside of a runtime, even before they are polled, as those of a database driver may.
struct NeedsRuntime(Arc<MemoryStore>);

impl Store for NeedsRuntime {
    type Error = Infallible;

    fn load(&self, user: &str) -> impl Future<Output = Result<Option<(Version, Vec<u8>)>, Infallible>> + Send {
        let (store, user) = (self.0.clone(), user.to_owned());
        let task = tokio::spawn(async move { store.load(&user).await });
        async { task.await.unwrap() }
    }

    fn swap(
        &self,
        user: &str,
        expected: Option<Version>,
        record: Option<&[u8]>,
    ) -> impl Future<Output = Result<Swap, Infallible>> + Send {
        let (store, user, record) = (self.0.clone(), user.to_owned(), record.map(<[u8]>::to_vec));
        let task = tokio::spawn(async move { store.swap(&user, expected, record.as_deref()).await });
        async { task.await.unwrap() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    IgnoresVersion,
    IgnoresVersionOfRemoval,
    RemovesWhatNobodySaw,
    MakesWhatIsNotThere,
    /// Every fiftieth.
    LosesWrites,
    LosesWritesOfRaces,
    /// Answers with a conflict, but writes.
    WritesRefused,
    /// An account that is created again starts at the first version.
    ReusesVersions,
    FoldsCase,
    TrimsNames,
    CutsNames,
    /// Replaces the record of whichever account was changed last.
    ForgetsAccount,
    CutsRecords,
    TextOnly,
    /// Reads under one lock and writes under another.
    RacySwap,
    RacyCreation,
    RacyRemoval,
    /// The record of one state with the version of the next.
    TornLoad,
    Fails,
    Panics,
    /// On one thread of a race.
    PanicsInRaces,
}

struct Broken {
    fault: Fault,
    inner: MemoryStore,
    calls: AtomicU64,
    last: std::sync::Mutex<String>,
}

impl Broken {
    fn new(fault: Fault) -> Self {
        Self { fault, inner: MemoryStore::new(), calls: AtomicU64::new(0), last: std::sync::Mutex::default() }
    }

    /// Replaces the record, whichever version it has.
    async fn write(&self, name: &str, record: &[u8]) -> Result<Swap, Infallible> {
        while self.inner.swap(name, self.present(name).await, Some(record)).await? == Swap::Conflict {}
        Ok(Swap::Swapped)
    }

    async fn erase(&self, name: &str) -> Result<Swap, Infallible> {
        while let Some(present) = self.present(name).await {
            let _ = self.inner.swap(name, Some(present), None).await?;
        }
        Ok(Swap::Swapped)
    }

    async fn remove(&self, account: &str, expected: Option<Version>) -> Result<Swap, StoreError> {
        let name = self.name(account);
        let present = self.present(&name).await;
        self.pause();
        let outcome = match (self.fault, present) {
            (Fault::IgnoresVersionOfRemoval, Some(_)) if expected.is_some() => {
                self.inner.swap(&name, present, None).await
            }
            (Fault::RemovesWhatNobodySaw, Some(_)) if expected.is_none() => self.erase(&name).await,
            (Fault::RacyRemoval, Some(_)) if present == expected => self.erase(&name).await,
            (Fault::ReusesVersions, Some(_)) => {
                let version = Self::counted(self.inner.load(&name).await?).map(|(version, _)| version);
                if version == expected { self.inner.swap(&name, present, None).await } else { Ok(Swap::Conflict) }
            }
            _ => self.inner.swap(&name, expected, None).await,
        };
        Ok(outcome?)
    }

    /// A store that first reads and then writes is usually a database, so other threads can run in between.
    fn pause(&self) {
        if matches!(self.fault, Fault::RacySwap | Fault::RacyCreation | Fault::RacyRemoval | Fault::TornLoad) {
            std::thread::yield_now();
        }
    }

    fn name(&self, account: &str) -> String {
        match self.fault {
            Fault::FoldsCase => account.to_lowercase(),
            Fault::TrimsNames => account.trim().to_owned(),
            Fault::CutsNames => account.chars().take(48).collect(),
            _ => account.to_owned(),
        }
    }

    /// The version of the stored record.
    async fn present(&self, account: &str) -> Option<Version> {
        self.inner.load(account).await.unwrap().map(|(version, _)| version)
    }

    /// Versions that start at 1 each time a record is created are stored in front of the record.
    fn counted(stored: Option<(Version, Vec<u8>)>) -> Option<(Version, Vec<u8>)> {
        stored.map(|(_, record)| (Version::new(record[0].into()), record[1..].to_vec()))
    }
}

impl Store for Broken {
    type Error = StoreError;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        let stored = self.inner.load(&self.name(account)).await?;
        match self.fault {
            Fault::Fails => Err("no answer".into()),
            Fault::Panics => panic!("the store panics"),
            Fault::PanicsInRaces
                if account.ends_with("lives") && self.calls.fetch_add(1, Ordering::SeqCst) % 500 == 499 =>
            {
                panic!("the store panics")
            }
            Fault::ReusesVersions => Ok(Self::counted(stored)),
            Fault::TornLoad => {
                self.pause();
                let later = self.inner.load(&self.name(account)).await?;
                Ok(stored.zip(later).map(|((_, record), (version, _))| (version, record)))
            }
            _ => Ok(stored),
        }
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        let Some(record) = record else { return self.remove(account, expected).await };
        let name = self.name(account);
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let present = self.present(&name).await;
        self.pause();
        let outcome = match self.fault {
            Fault::RacySwap if present == expected => self.write(&name, record).await,
            Fault::RacyCreation if expected.is_none() && present.is_none() => self.write(&name, record).await,
            Fault::IgnoresVersion if expected.is_some() && present.is_some() => {
                self.inner.swap(&name, present, Some(record)).await
            }
            Fault::MakesWhatIsNotThere if present.is_none() => self.inner.swap(&name, None, Some(record)).await,
            Fault::LosesWrites if call % 50 == 49 && present == expected => Ok(Swap::Swapped),
            Fault::LosesWritesOfRaces if account.ends_with("lives") && call % 50 == 49 && present == expected => {
                Ok(Swap::Swapped)
            }
            Fault::WritesRefused if present != expected && present.is_some() => {
                let _ = self.inner.swap(&name, present, Some(record)).await?;
                Ok(Swap::Conflict)
            }
            Fault::ReusesVersions => {
                let stored = self.inner.load(&name).await?;
                let version = Self::counted(stored).map(|(version, _)| version);
                if version != expected {
                    return Ok(Swap::Conflict);
                }
                let next = version.map_or(1, |version| version.get() + 1);
                let record = [&[u8::try_from(next).unwrap()], record].concat();
                self.inner.swap(&name, present, Some(&record)).await
            }
            Fault::ForgetsAccount if expected.is_some() => {
                let last = self.last.lock().unwrap().clone();
                self.inner.swap(&last, expected, Some(record)).await
            }
            Fault::ForgetsAccount => {
                self.last.lock().unwrap().clone_from(&name);
                self.inner.swap(&name, expected, Some(record)).await
            }
            Fault::CutsRecords => self.inner.swap(&name, expected, Some(&record[..record.len().min(255)])).await,
            Fault::TextOnly => self.inner.swap(&name, expected, Some(String::from_utf8_lossy(record).as_bytes())).await,
            _ => self.inner.swap(&name, expected, Some(record)).await,
        };
        Ok(outcome?)
    }
}

mod accounts;
mod mysql;
mod postgres;
mod redis;
mod remote;
mod sqlite;
