//! What a store promises, and that the suite notices when one does not keep it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_lite::future::block_on;
use keyfob::store::conformance::{self, Violation};
use keyfob::store::{MemoryStore, Store, StoreError, Swap, Version};

use crate::guarded::report;

#[test]
fn the_reference_store_conforms() {
    let store = MemoryStore::new();
    conformance::check(&store, |test| block_on(test)).unwrap();
    // It leaves nothing behind.
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
    caught(Fault::RemovesWhatNobodySaw, &["a record was removed by somebody who had seen none"]);
    caught(Fault::MakesWhatIsNotThere, &["a record that is not there was replaced"]);
    caught(Fault::LosesWrites, &["what was loaded is not what was stored"]);
    let lost =
        ["two changes of one version took effect in a race", "one record was made twice at once, or lost in a race"];
    caught(Fault::LosesWritesOfRaces, &lost);
    caught(Fault::WritesRefused, &["a refused change changed something", "what was loaded is not what was stored"]);
    caught(Fault::ReusesVersions, &["a version came back after a removal"]);
    caught(Fault::FoldsCase, &["two accounts are one to the store"]);
    caught(Fault::TrimsNames, &["two accounts are one to the store"]);
    caught(Fault::CutsNames, &["two accounts with long names are one to the store"]);
    caught(Fault::ForgetsAccount, &["a record could not be replaced under its own version"]);
    caught(Fault::CutsRecords, &["what was loaded is not what was stored"]);
    caught(Fault::TextOnly, &["what was loaded is not what was stored"]);
    caught(Fault::Fails, &["the store failed: no answer"]);

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
    // Nor does one that panics in one thread leave the others waiting.
    let calls = AtomicU64::new(0);
    let panics = || {
        conformance::check(&MemoryStore::new(), |test| {
            assert!(calls.fetch_add(1, Ordering::SeqCst) != 3, "the runtime is gone");
            block_on(test);
        })
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    IgnoresVersion,
    IgnoresVersionOfRemoval,
    RemovesWhatNobodySaw,
    MakesWhatIsNotThere,
    /// Now and then.
    LosesWrites,
    LosesWritesOfRaces,
    /// Says conflict, and writes all the same.
    WritesRefused,
    /// An account that comes back begins at the first version.
    ReusesVersions,
    FoldsCase,
    TrimsNames,
    CutsNames,
    /// Replaces the record of whichever account was changed last.
    ForgetsAccount,
    CutsRecords,
    TextOnly,
    /// Looks under one lock and writes under another.
    RacySwap,
    RacyCreation,
    RacyRemoval,
    /// The record of one state with the version of the next.
    TornLoad,
    Fails,
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

    /// Whatever is there.
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

    /// A store that looks first is further away than the next lock: it lets others come between.
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

    /// What is there, by its own version.
    async fn present(&self, account: &str) -> Option<Version> {
        self.inner.load(account).await.unwrap().map(|(version, _)| version)
    }

    /// Versions that count from one in each life of a record stand in front of the record.
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

mod sqlite;
