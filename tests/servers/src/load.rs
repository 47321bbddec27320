//! Clients that use one database while something happens to it, and a ledger of what they were told.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keyfob::guard::{GuardErrorKind, Refusal};
use keyfob::store::{Store, StoreError, Swap};
use tokio::task::JoinHandle;

use crate::database::{Database, cause};
use crate::guarded::{ACCOUNT, Answer, Guarded, code, patient};
use crate::worker::at;

/// What the clients were told. Every number counts from the start.
#[derive(Default)]
pub struct Ledger {
    /// When the first code is new.
    first: u64,
    /// The round whose code is used now, and how many clients were told that they used the code of each round.
    round: AtomicU64,
    accepted: Mutex<BTreeMap<u64, u32>>,
    /// The highest number of the counter whose change was acknowledged, how many changes were, and their versions.
    highest: AtomicU64,
    changes: AtomicUsize,
    versions: Mutex<HashSet<u64>>,
    acceptances: AtomicUsize,
    /// Requests with an error or without an answer, by their cause.
    failures: Mutex<BTreeMap<String, usize>>,
    all_failures: AtomicUsize,
    /// Acknowledged changes that the database no longer has, and versions that were changed twice.
    lost: AtomicU64,
    changed_twice: AtomicUsize,
    /// Answers that must not be given in any state of the database.
    impossible: Mutex<Vec<String>>,
    paused: AtomicBool,
    stopped: AtomicBool,
}

/// Running clients. Half of them use codes with a guard, and half of them count with the store alone.
pub struct Load {
    pub ledger: Arc<Ledger>,
    tasks: Vec<JoinHandle<()>>,
}

/// How long an application waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
const COUNTER: &str = "counter";

impl Load {
    /// Enrolls an account, creates a counter, and starts the clients.
    pub async fn start(stores: Vec<Database>) -> Self {
        let guarded = Guarded::new(stores[0].clone(), patient());
        guarded.enroll(1).await;
        assert_eq!(stores[0].swap(COUNTER, None, Some(b"0")).await.unwrap(), Swap::Swapped);
        let ledger = Arc::new(Ledger { first: guarded.now(), ..Ledger::default() });
        let mut tasks = Vec::new();
        for store in stores {
            tasks.push(tokio::spawn(use_codes(ledger.clone(), store.clone())));
            tasks.push(tokio::spawn(count(ledger.clone(), store)));
        }
        Self { ledger, tasks }
    }

    /// Waits until the clients were told of so many more acceptances and changes.
    pub async fn wait_for(&self, more: usize) {
        let (acceptances, changes) = (self.ledger.acceptances(), self.ledger.changes());
        let started = Instant::now();
        while self.ledger.acceptances() < acceptances + more || self.ledger.changes() < changes + more {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the clients do not recover: {}",
                self.ledger.causes()
            );
            assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a client failed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn pause(&self, paused: bool) {
        self.ledger.paused.store(paused, Ordering::SeqCst);
    }

    /// Compares the stored records with what was acknowledged before they were loaded: how many codes would be accepted
    /// again, and how many changes of the counter are gone.
    pub async fn forgotten(&self, store: &Database) -> Result<(Vec<u64>, u64), StoreError> {
        let acknowledged: Vec<u64> = self.ledger.accepted.lock().unwrap().keys().rev().take(2000).copied().collect();
        let highest = self.ledger.highest.load(Ordering::SeqCst);
        let record = store.load(ACCOUNT).await?.map(|(_, record)| record);
        let number = number(store.load(COUNTER).await?.map(|(_, record)| record));
        let forgotten = |round: &u64| {
            let now = self.ledger.at(*round);
            // Without a record, the account has no second factor at all.
            record.is_none() || Answer::of(record.as_deref(), &patient(), now, &code(1, now)) == Answer::Accepted
        };
        let again = acknowledged.into_iter().filter(forgotten).collect();
        Ok((again, highest.saturating_sub(number.unwrap_or(0))))
    }

    /// Stops the clients, and checks that nothing was lost and nothing was accepted twice.
    pub async fn finish(self, store: &Database) -> Arc<Ledger> {
        let ledger = self.ledger.clone();
        let (again, gone) = self.forgotten(store).await.unwrap();
        assert!(again.is_empty() && gone == 0, "lost: {again:?} would be accepted again, {gone} changes are gone");
        let ledger_of_all = self.stop().await;
        ledger_of_all.check();
        let number = number(store.load(COUNTER).await.unwrap().map(|(_, record)| record)).unwrap_or(0) as usize;
        let (changes, failures) = (ledger.changes(), ledger.failures());
        assert!(
            (changes..=changes + failures).contains(&number),
            "{changes} changes were acknowledged, {failures} requests failed, and {number} changes are stored"
        );
        ledger
    }

    /// Stops the clients.
    pub async fn stop(self) -> Arc<Ledger> {
        self.ledger.stopped.store(true, Ordering::SeqCst);
        self.pause(false);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.ledger
    }
}

impl Ledger {
    pub fn acceptances(&self) -> usize {
        self.acceptances.load(Ordering::SeqCst)
    }

    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }

    pub fn failures(&self) -> usize {
        self.all_failures.load(Ordering::SeqCst)
    }

    /// When a round is.
    pub fn at(&self, round: u64) -> u64 {
        at(self.first, round as usize)
    }

    /// The causes of failures, the most frequent first.
    pub fn causes(&self) -> String {
        let failures = self.failures.lock().unwrap();
        let mut causes: Vec<(&String, &usize)> = failures.iter().collect();
        causes.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        causes.iter().map(|(cause, times)| format!("{cause} {times}x")).collect::<Vec<_>>().join(", ")
    }

    /// Forgets the causes until now, to count those of another outage. Returns the number of failures.
    pub fn clear_failures(&self) -> usize {
        let mut failures = self.failures.lock().unwrap();
        let all = failures.values().sum();
        failures.clear();
        all
    }

    /// How many codes were accepted more than once.
    pub fn accepted_twice(&self) -> usize {
        self.accepted.lock().unwrap().values().filter(|times| **times > 1).count()
    }

    pub fn check(&self) {
        let impossible = self.impossible.lock().unwrap();
        assert!(impossible.is_empty(), "{} impossible answers, such as {}", impossible.len(), impossible[0]);
        assert_eq!(self.accepted_twice(), 0, "codes were accepted twice");
        assert_eq!(self.lost(), 0, "acknowledged changes were lost");
        assert_eq!(self.changed_twice.load(Ordering::SeqCst), 0, "versions were changed twice");
    }

    fn failed(&self, cause: String) {
        self.all_failures.fetch_add(1, Ordering::SeqCst);
        *self.failures.lock().unwrap().entry(cause).or_default() += 1;
    }

    async fn proceed(&self) -> bool {
        while self.paused.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        !self.stopped.load(Ordering::SeqCst)
    }
}

/// Uses the code of each round, in competition with the other clients. Every sixteenth time, tries the latest code
/// again whose acceptance was acknowledged.
async fn use_codes(ledger: Arc<Ledger>, store: Database) {
    let guarded = Guarded::new(store, patient());
    let mut requests = 0_u64;
    while ledger.proceed().await {
        requests += 1;
        let latest = ledger.accepted.lock().unwrap().keys().next_back().copied();
        let again = latest.filter(|_| requests.is_multiple_of(16));
        let round = again.unwrap_or_else(|| ledger.round.load(Ordering::SeqCst));
        guarded.set(ledger.at(round));
        let next = || {
            let _ = ledger.round.compare_exchange(round, round + 1, Ordering::SeqCst, Ordering::SeqCst);
        };
        match tokio::time::timeout(PATIENCE, guarded.verify(&code(1, guarded.now()))).await {
            Ok(Ok(Answer::Accepted)) => {
                *ledger.accepted.lock().unwrap().entry(round).or_default() += 1;
                ledger.acceptances.fetch_add(1, Ordering::SeqCst);
                next();
            }
            Ok(Ok(Answer::Refused(Refusal::Replayed | Refusal::Throttled { .. }))) => next(),
            Ok(Ok(answer)) => ledger.impossible.lock().unwrap().push(format!("{answer:?}")),
            Ok(Err(error)) if error.kind() == GuardErrorKind::Contended => {}
            Ok(Err(error)) if error.kind() == GuardErrorKind::Store => {
                match error.source() {
                    Some(source) => ledger.failed(cause(source)),
                    None => ledger.impossible.lock().unwrap().push("an error of the store without a source".into()),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(Err(error)) => {
                ledger.impossible.lock().unwrap().push(format!("{error:?}"));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(_) => ledger.failed(TIMEOUT.into()),
        }
    }
}

/// Adds one to a number again and again. This shows each change that is lost, because the number falls behind what was
/// acknowledged before it was loaded.
async fn count(ledger: Arc<Ledger>, store: Database) {
    let failed = async |error: StoreError| {
        ledger.failed(cause(&*error));
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    while ledger.proceed().await {
        let kept = ledger.highest.load(Ordering::SeqCst);
        let loaded = match tokio::time::timeout(PATIENCE, store.load(COUNTER)).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => {
                failed(error).await;
                continue;
            }
            Err(_) => {
                ledger.failed(TIMEOUT.into());
                continue;
            }
        };
        let version = loaded.as_ref().map(|(version, _)| *version);
        let present = number(loaded.map(|(_, record)| record)).unwrap_or(0);
        if present < kept && ledger.highest.compare_exchange(kept, present, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        {
            ledger.lost.fetch_add(kept - present, Ordering::SeqCst);
            // The versions of the changes that are gone may come again.
            ledger.versions.lock().unwrap().clear();
            continue;
        }
        let next = present + 1;
        match tokio::time::timeout(PATIENCE, store.swap(COUNTER, version, Some(next.to_string().as_bytes()))).await {
            Ok(Ok(Swap::Swapped)) => {
                let version = version.map_or(0, keyfob::store::Version::get);
                let is_new = ledger.versions.lock().unwrap().insert(version);
                ledger.changed_twice.fetch_add(usize::from(!is_new), Ordering::SeqCst);
                ledger.changes.fetch_add(1, Ordering::SeqCst);
                ledger.highest.fetch_max(next, Ordering::SeqCst);
            }
            Ok(Ok(Swap::Conflict)) => {}
            Ok(Err(error)) => failed(error).await,
            Err(_) => ledger.failed(TIMEOUT.into()),
        }
    }
}

fn number(record: Option<Vec<u8>>) -> Option<u64> {
    String::from_utf8(record?).ok()?.parse().ok()
}

const TIMEOUT: &str = "the application stopped waiting";
