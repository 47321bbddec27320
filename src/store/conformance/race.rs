//! Tests in which several threads change one record at the same time.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hint;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::accounts::ANSWERS;
use super::{NO_THREAD, Test, Violation, current, failed, require, run};
use crate::store::{Accounts, Store, Swap, Version};

/// All threads create, replace and remove one record, as fast as they can.
///
/// Each version may be changed only once, and a record that was created and not removed must exist. A store that first
/// reads and then writes lets two threads change the same version, or create the same record.
pub(super) fn for_one_version<S: Store>(
    clients: &[&S],
    block_on: &(impl Fn(Test<'_>) + Sync),
) -> Result<(), Violation> {
    let user = "keyfob-conformance-lives";
    let [first, ..] = clients else { return Ok(()) };
    let changed = Mutex::new(Vec::new());
    let (creations, removals) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    together(clients, THREADS, |client, thread, barrier| {
        if !barrier.wait() {
            return Ok(());
        }
        let record = format!("of thread {thread}").into_bytes();
        let versions = run(block_on, async {
            let mut versions = Vec::new();
            let mut actions = [Action::Remove, Action::Replace, Action::Remove].into_iter().cycle();
            let mut left = CHANGES;
            while left > 0 || started.elapsed() < MIN_DURATION {
                let version = client.load(user).await.map_err(failed)?.map(|(version, _)| version);
                let (outcome, count) = match (version, actions.next()) {
                    (None, _) => (client.swap(user, None, Some(&record)).await, Some(&creations)),
                    (Some(version), Some(Action::Remove)) => {
                        (client.swap(user, Some(version), None).await, Some(&removals))
                    }
                    (Some(_), _) => (client.swap(user, version, Some(&record)).await, None),
                };
                if outcome.map_err(failed)? == Swap::Swapped {
                    versions.extend(version.map(Version::get));
                    if let Some(count) = count {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    left = left.saturating_sub(1);
                }
            }
            Ok(versions)
        })??;
        lock(&changed).extend(versions);
        Ok(())
    })?;
    let mut changed = changed.into_inner().unwrap_or_else(PoisonError::into_inner);
    changed.sort_unstable();
    let distinct = changed.windows(2).all(|pair| !matches!(pair, [version, next] if version == next));
    require(distinct, "two changes of one version took effect in a race")?;
    let exists = u64::from(run(block_on, async { first.load(user).await })?.map_err(failed)?.is_some());
    let (creations, removals) = (creations.into_inner(), removals.into_inner());
    require(creations <= removals + exists, "a record was created twice or lost in a race")?;
    require(creations == removals + exists, "a refused change took effect in a race")?;
    clear(clients, user, block_on)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Remove,
    Replace,
}

/// All threads increment one number as fast as they can. At the end, it must equal the number of acknowledged
/// increments.
pub(super) fn for_one_number<S: Store>(clients: &[&S], block_on: &(impl Fn(Test<'_>) + Sync)) -> Result<(), Violation> {
    let user = "keyfob-conformance-race";
    let additions = AtomicU64::new(0);
    let [first, ..] = clients else { return Ok(()) };
    let created = run(block_on, async { first.swap(user, None, Some(b"0")).await })?.map_err(failed)?;
    require(created == Swap::Swapped, "a record could not be created")?;
    let started = Instant::now();
    together(clients, THREADS, |client, _, barrier| {
        if !barrier.wait() {
            return Ok(());
        }
        run(block_on, async {
            let mut left = CHANGES;
            while left > 0 || started.elapsed() < MIN_DURATION {
                let Some((version, record)) = client.load(user).await.map_err(failed)? else {
                    return Err(Violation::Broken("a record vanished in a race"));
                };
                let next = format!("{}", number(&record)? + 1);
                if client.swap(user, Some(version), Some(next.as_bytes())).await.map_err(failed)? == Swap::Swapped {
                    additions.fetch_add(1, Ordering::SeqCst);
                    left = left.saturating_sub(1);
                }
            }
            Ok(())
        })?
    })?;
    let Some((_, record)) = run(block_on, async { first.load(user).await })?.map_err(failed)? else {
        return Err(Violation::Broken("a record was lost in a race"));
    };
    let (count, acknowledged) = (number(&record)?, additions.into_inner());
    require(count >= acknowledged, "acknowledged changes were lost in a race")?;
    require(count == acknowledged, "a refused change took effect in a race")?;
    clear(clients, user, block_on)
}

/// All threads add the same accounts, a few at a time. Each account must get the record of one thread, and only that
/// thread may be told that it added the record.
pub(super) fn for_insertions<S: Accounts>(store: &S, block_on: &(impl Fn(Test<'_>) + Sync)) -> Result<(), Violation> {
    let names = |round: usize| -> Vec<String> {
        (0..BATCH).map(|number| format!("keyfob-conformance-race-{round}-{number}")).collect()
    };
    // A thread that falls behind skips to the newest round, where the others are.
    let newest = AtomicUsize::new(0);
    let winners: Mutex<Vec<(String, Vec<u8>)>> = Mutex::default();
    together(&[store], THREADS, |store, thread, barrier| {
        if !barrier.wait() {
            return Ok(());
        }
        let record = format!("of thread {thread}").into_bytes();
        run(block_on, async {
            loop {
                let round = newest.load(Ordering::SeqCst);
                if round >= INSERTIONS {
                    return Ok(());
                }
                let names = names(round);
                let records: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &*record)).collect();
                let added = store.insert(&records).await.map_err(failed)?;
                require(added.len() == records.len(), ANSWERS)?;
                let added = names.into_iter().zip(added).filter(|(_, added)| *added);
                lock(&winners).extend(added.map(|(name, _)| (name, record.clone())));
                newest.fetch_max(round + 1, Ordering::SeqCst);
            }
        })?
    })?;
    let mut winners = winners.into_inner().unwrap_or_else(PoisonError::into_inner);
    winners.sort_unstable();
    let distinct = winners.windows(2).all(|pair| !matches!(pair, [(name, _), (next, _)] if name == next));
    require(distinct, "in a race, a record was added twice")?;
    require(winners.len() == INSERTIONS * BATCH, "in a race, no thread was told that it added a record")?;
    run(block_on, async {
        for (name, record) in &winners {
            let version = current(store, name, record).await?;
            let removed = store.swap(name, Some(version), None).await.map_err(failed)?;
            require(removed == Swap::Swapped, "a record could not be removed after a race")?;
        }
        Ok(())
    })?
}

fn number(record: &[u8]) -> Result<u64, Violation> {
    let text = String::from_utf8_lossy(record);
    text.parse().map_err(|_| Violation::Broken("a record mixes the bytes of two changes after a race"))
}

/// Removes the record of a race, if there is one.
fn clear<S: Store>(clients: &[&S], user: &str, block_on: &(impl Fn(Test<'_>) + Sync)) -> Result<(), Violation> {
    let [first, ..] = clients else { return Ok(()) };
    let loaded = run(block_on, async { first.load(user).await })?.map_err(failed)?;
    let Some((version, _)) = loaded else { return Ok(()) };
    let removed = run(block_on, async { first.swap(user, Some(version), None).await })?.map_err(failed)?;
    require(removed == Swap::Swapped, "a record could not be removed after a race")
}

/// Runs `each` on at least `threads` threads, and on at least one for each client. Returns the first violation.
fn together<S: Store>(
    clients: &[&S],
    threads: usize,
    each: impl Fn(&S, usize, &SpinBarrier) -> Result<(), Violation> + Sync,
) -> Result<(), Violation> {
    let threads = threads.max(clients.len());
    let barrier = SpinBarrier { threads, arrived: AtomicUsize::new(0), abandoned: AtomicBool::new(false) };
    let violation = Mutex::new(Ok(()));
    let report = |error| {
        let mut violation = lock(&violation);
        if violation.is_ok() {
            *violation = Err(error);
        }
    };
    thread::scope(|scope| {
        for (thread, client) in clients.iter().cycle().take(threads).enumerate() {
            let (each, barrier, report) = (&each, &barrier, &report);
            let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                let _abandons = AbandonOnDrop(barrier);
                if let Err(error) = each(client, thread, barrier) {
                    report(error);
                }
            });
            if spawned.is_err() {
                // The threads that have already started must not wait for this one.
                drop(AbandonOnDrop(barrier));
                report(Violation::Broken(NO_THREAD));
                return;
            }
        }
    });
    violation.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A barrier at which threads wait for each other before a race. They spin, because a thread that sleeps would wake up
/// after the others have started.
struct SpinBarrier {
    threads: usize,
    arrived: AtomicUsize,
    /// Set when a thread ends, because a thread that ends before it arrives would make the others wait forever.
    abandoned: AtomicBool,
}

impl SpinBarrier {
    /// Waits until all threads have arrived. Returns `false` if a thread ended before that.
    fn wait(&self) -> bool {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let mut spins = 0u32;
        while self.arrived.load(Ordering::SeqCst) < self.threads {
            if self.abandoned.load(Ordering::SeqCst) {
                // The last thread may have arrived and ended since the loop checked the count.
                return self.arrived.load(Ordering::SeqCst) >= self.threads;
            }
            spins = spins.saturating_add(1);
            if spins < SPINS { hint::spin_loop() } else { thread::yield_now() }
        }
        true
    }
}

/// Marks the barrier as abandoned when a thread ends, even by a panic. Without this, the other threads would wait
/// forever.
struct AbandonOnDrop<'a>(&'a SpinBarrier);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const THREADS: usize = 8;
/// The minimum number of changes per thread. A slow database takes a long time between its read and its write, so this
/// many changes are enough to find a race.
const CHANGES: u32 = 100;
/// The minimum duration of a race. An in-memory store takes only nanoseconds between its read and its write, so a race
/// needs many attempts.
const MIN_DURATION: Duration = Duration::from_millis(300);
/// The number of rounds in which records are added. Each round adds [`BATCH`] records.
const INSERTIONS: usize = 100;
const BATCH: usize = 5;
/// The number of spins before a waiting thread yields: a few microseconds.
const SPINS: u32 = 2000;
