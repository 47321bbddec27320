//! The promises of a store that lists its accounts and adds many at once.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures_lite::future::block_on;
use keyfob::store::conformance;
use keyfob::store::{Accounts, MemoryStore, Store, StoreError, Swap, Version};

#[test]
fn the_reference_store_lists_and_adds() {
    let store = MemoryStore::new();
    // It may hold other accounts.
    for name in ["", "a", "keyfob", "z", "\u{1f511}"] {
        assert_eq!(block_on(store.swap(name, None, Some(b"other"))).unwrap(), Swap::Swapped);
    }
    conformance::check_accounts(&store, |test| block_on(test)).unwrap();
    // The first check removed what it had stored.
    conformance::check_accounts(&store, |test| block_on(test)).unwrap();
    conformance::check(&store, |test| block_on(test)).unwrap();
    conformance::check_accounts(&std::sync::Arc::new(store), |test| block_on(test)).unwrap();
}

#[test]
fn each_broken_list_is_caught() {
    let caught = |fault, violations: &[&str]| {
        let store = Broken { fault, inner: MemoryStore::new(), added: Mutex::default() };
        // As a store alone, it is sound.
        conformance::check(&store, |test| block_on(test)).unwrap();
        let checked = conformance::check_accounts(&store, |test| block_on(test));
        let text = checked.expect_err(&format!("{fault:?} passes")).to_string();
        assert!(violations.contains(&text.as_str()), "{fault:?}: {text}");
    };
    caught(Fault::Replaces, &["an existing record was replaced by an insertion"]);
    caught(Fault::AddsTheLast, &["the loaded record is not the stored record"]);
    caught(Fault::StopsAtConflict, &["an acknowledged record does not exist"]);
    caught(Fault::SaysYes, &["the store reports wrongly which records it added"]);
    caught(Fault::SaysNo, &["the store reports wrongly which records it added"]);
    caught(Fault::AnswersOnce, &["an insertion does not answer for each account"]);
    caught(Fault::FoldsNames, &["the store treats two different account names as the same"]);
    caught(Fault::LosesTheLast, &["an acknowledged record does not exist"]);
    caught(Fault::RepeatsVersions, &["a version was used again after a removal"]);
    caught(Fault::StartsOver, &["an account was listed twice"]);
    caught(Fault::StartsAt, &["an account was listed twice"]);
    caught(Fault::SkipsOne, &["an account that has a record was not listed"]);
    caught(Fault::SkipsCase, &["an account that has a record was not listed"]);
    caught(Fault::IgnoresLimit, &["a page has more accounts than were asked for"]);
    caught(Fault::OnlyFirstPage, &["an account that has a record was not listed"]);
    caught(Fault::Invents, &["an account was listed that was never stored"]);
    caught(Fault::Fails, &["the store failed: no answer"]);
    caught(Fault::Panics, &["the store panicked; the panic message is in the output of the test"]);
}

#[test]
fn a_store_that_looks_and_then_adds_is_caught() {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1) {
        assert!(std::env::var_os("CI").is_none(), "on one processor threads meet too seldom; give the checks two");
        return crate::guarded::report("skipped: on one processor threads meet too seldom");
    }
    let passes = |_: &usize| {
        let store = Broken { fault: Fault::Racy, inner: MemoryStore::new(), added: Mutex::default() };
        conformance::check_accounts(&store, |test| block_on(test)).is_ok()
    };
    let passed = (0..5).filter(passes).count();
    assert!(passed <= 1, "{passed} of 5 checks passed");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// An upsert.
    Replaces,
    /// Of several records for one account.
    AddsTheLast,
    /// Without an error.
    StopsAtConflict,
    SaysYes,
    SaysNo,
    AnswersOnce,
    /// When it looks for duplicates in the batch.
    FoldsNames,
    LosesTheLast,
    StartsOver,
    /// At the last account of the page before, and not after it.
    StartsAt,
    SkipsOne,
    /// As a database that ignores case when it compares.
    SkipsCase,
    IgnoresLimit,
    OnlyFirstPage,
    Invents,
    Fails,
    Panics,
    /// Gives each inserted record the same version.
    RepeatsVersions,
    /// Looks for the account, and then adds or replaces the record.
    Racy,
}

struct Broken {
    fault: Fault,
    inner: MemoryStore,
    /// The accounts whose record was inserted, and the version that the inner store gave it.
    added: Mutex<BTreeMap<String, Version>>,
}

impl Store for Broken {
    type Error = StoreError;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        let added = self.added.lock().unwrap().get(user).copied();
        let shown = |version| if Some(version) == added { Version::new(REPEATED) } else { version };
        Ok(self.inner.load(user).await?.map(|(version, record)| (shown(version), record)))
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        let added = self.added.lock().unwrap().get(user).copied();
        let expected = if expected == Some(Version::new(REPEATED)) { added } else { expected };
        Ok(self.inner.swap(user, expected, record).await?)
    }
}

impl Broken {
    async fn version(&self, user: &str) -> Option<Version> {
        self.inner.load(user).await.unwrap().map(|(version, _)| version)
    }

    async fn put(&self, user: &str, record: &[u8]) {
        while self.inner.swap(user, self.version(user).await, Some(record)).await.unwrap() == Swap::Conflict {}
    }
}

impl Accounts for Broken {
    async fn accounts(&self, after: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let all = self.inner.accounts("", u32::MAX).await?;
        let limit = limit as usize;
        Ok(match self.fault {
            Fault::StartsOver => all.into_iter().take(limit).collect(),
            Fault::StartsAt => all.into_iter().filter(|name| name.as_str() >= after).take(limit).collect(),
            Fault::SkipsOne => all.into_iter().filter(|name| name.as_str() > after).skip(1).take(limit).collect(),
            Fault::SkipsCase => {
                let mut all = all;
                all.sort_by_key(|name| name.to_lowercase());
                let after = after.to_lowercase();
                all.into_iter().filter(|name| name.to_lowercase() > after).take(limit).collect()
            }
            Fault::IgnoresLimit => all.into_iter().filter(|name| name.as_str() > after).collect(),
            Fault::OnlyFirstPage if !after.is_empty() => Vec::new(),
            Fault::Invents if after.is_empty() && limit > 1 => {
                let real = self.inner.accounts("", u32::try_from(limit - 1)?).await?;
                std::iter::once("keyfob-conformance".into()).chain(real).collect()
            }
            Fault::Fails => return Err("no answer".into()),
            Fault::Panics => panic!("the store panics"),
            _ => self.inner.accounts(after, u32::try_from(limit)?).await?,
        })
    }

    async fn insert(&self, records: &[(&str, &[u8])]) -> Result<Vec<bool>, StoreError> {
        Ok(match self.fault {
            Fault::Replaces => {
                let mut added = Vec::new();
                for (user, record) in records {
                    added.push(self.version(user).await.is_none());
                    self.put(user, record).await;
                }
                added
            }
            Fault::AddsTheLast => {
                let mut reversed = records.to_vec();
                reversed.reverse();
                let mut added = self.inner.insert(&reversed).await?;
                added.reverse();
                added
            }
            Fault::StopsAtConflict => {
                let mut added = Vec::new();
                for entry in records {
                    let is_first = added.iter().all(|added| *added);
                    added.push(is_first && self.inner.insert(&[*entry]).await?[0]);
                }
                added
            }
            Fault::SaysYes => self.inner.insert(records).await?.iter().map(|_| true).collect(),
            Fault::SaysNo => self.inner.insert(records).await?.iter().map(|_| false).collect(),
            Fault::AnswersOnce => self.inner.insert(records).await?.into_iter().take(1).collect(),
            Fault::FoldsNames => {
                let mut seen = std::collections::BTreeSet::new();
                let mut added = Vec::new();
                for entry in records {
                    added.push(seen.insert(entry.0.to_lowercase()) && self.inner.insert(&[*entry]).await?[0]);
                }
                added
            }
            Fault::LosesTheLast => {
                let Some((last, others)) = records.split_last() else { return Ok(Vec::new()) };
                let mut added = self.inner.insert(others).await?;
                added.push(self.version(last.0).await.is_none());
                added
            }
            Fault::RepeatsVersions => {
                let added = self.inner.insert(records).await?;
                for ((user, _), _) in records.iter().zip(&added).filter(|(_, added)| **added) {
                    let version = self.version(user).await.unwrap();
                    self.added.lock().unwrap().insert((*user).into(), version);
                }
                added
            }
            Fault::Racy => {
                let mut added = Vec::new();
                for (user, record) in records {
                    let is_new = self.version(user).await.is_none();
                    std::thread::yield_now();
                    if is_new {
                        self.put(user, record).await;
                    }
                    added.push(is_new);
                }
                added
            }
            _ => self.inner.insert(records).await?,
        })
    }
}

const REPEATED: u64 = 7 << 40;
