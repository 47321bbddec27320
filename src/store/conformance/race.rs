//! What threads do to one record together.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hint;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::{Test, Violation, failed, require, run};
use crate::store::{Store, Swap, Version};

/// All threads make, replace and remove one record, as fast as they can. A version ends once, and what was made and not
/// removed is there: a store that looks first and writes then lets two change one version, or make one record.
pub(super) fn for_one_version<S: Store>(
    clients: &[&S],
    block_on: &(impl Fn(Test<'_>) + Sync),
) -> Result<(), Violation> {
    let user = "keyfob-conformance-lives";
    let [first, ..] = clients else { return Ok(()) };
    let ended = Mutex::new(Vec::new());
    let (births, deaths) = (AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    together(clients, THREADS, |client, thread, meeting| {
        if !meeting.wait() {
            return Ok(());
        }
        let record = format!("of thread {thread}").into_bytes();
        let versions = run(block_on, async {
            let mut versions = Vec::new();
            let mut wishes = [Wish::Remove, Wish::Replace, Wish::Remove].into_iter().cycle();
            let mut left = CHANGES;
            while left > 0 || began.elapsed() < LEAST {
                let version = client.load(user).await.map_err(failed)?.map(|(version, _)| version);
                let (outcome, count) = match (version, wishes.next()) {
                    (None, _) => (client.swap(user, None, Some(&record)).await, Some(&births)),
                    (Some(version), Some(Wish::Remove)) => {
                        (client.swap(user, Some(version), None).await, Some(&deaths))
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
        lock(&ended).extend(versions);
        Ok(())
    })?;
    let mut ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.sort_unstable();
    let once = ended.windows(2).all(|pair| !matches!(pair, [one, other] if one == other));
    require(once, "two changes of one version took effect in a race")?;
    let there = u64::from(run(block_on, first.load(user))?.map_err(failed)?.is_some());
    let (births, deaths) = (births.into_inner(), deaths.into_inner());
    require(births <= deaths + there, "one record was made twice at once, or lost in a race")?;
    require(births == deaths + there, "a refused change took effect in a race")?;
    clear(clients, user, block_on)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Remove,
    Replace,
}

/// All threads add to one number, as fast as they can. Each acknowledged addition must be in it, and nothing else.
pub(super) fn for_one_number<S: Store>(clients: &[&S], block_on: &(impl Fn(Test<'_>) + Sync)) -> Result<(), Violation> {
    let user = "keyfob-conformance-race";
    let additions = AtomicU64::new(0);
    let [first, ..] = clients else { return Ok(()) };
    let made = run(block_on, first.swap(user, None, Some(b"0")))?.map_err(failed)?;
    require(made == Swap::Swapped, "a record that is not there could not be made")?;
    let began = Instant::now();
    together(clients, THREADS, |client, _, meeting| {
        if !meeting.wait() {
            return Ok(());
        }
        run(block_on, async {
            let mut left = CHANGES;
            while left > 0 || began.elapsed() < LEAST {
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
    let Some((_, record)) = run(block_on, first.load(user))?.map_err(failed)? else {
        return Err(Violation::Broken("a record was lost in a race"));
    };
    let (count, acknowledged) = (number(&record)?, additions.into_inner());
    require(count >= acknowledged, "acknowledged changes were lost in a race")?;
    require(count == acknowledged, "a refused change took effect in a race")?;
    clear(clients, user, block_on)
}

fn number(record: &[u8]) -> Result<u64, Violation> {
    let text = String::from_utf8_lossy(record);
    text.parse().map_err(|_| Violation::Broken("a record was torn in a race"))
}

fn clear<S: Store>(clients: &[&S], user: &str, block_on: &(impl Fn(Test<'_>) + Sync)) -> Result<(), Violation> {
    let [first, ..] = clients else { return Ok(()) };
    let Some((version, _)) = run(block_on, first.load(user))?.map_err(failed)? else { return Ok(()) };
    let removed = run(block_on, first.swap(user, Some(version), None))?.map_err(failed)?;
    require(removed == Swap::Swapped, "a record cannot be removed after a race")
}

/// The same in at least so many threads, and at least one for each client. The first violation ends it.
fn together<S: Store>(
    clients: &[&S],
    threads: usize,
    each: impl Fn(&S, usize, &Meeting) -> Result<(), Violation> + Sync,
) -> Result<(), Violation> {
    let threads = threads.max(clients.len());
    let meeting = Meeting { threads, arrived: AtomicUsize::new(0), over: AtomicBool::new(false) };
    let violation = Mutex::new(Ok(()));
    thread::scope(|scope| {
        for (thread, client) in clients.iter().cycle().take(threads).enumerate() {
            let (each, meeting, violation) = (&each, &meeting, &violation);
            scope.spawn(move || {
                let _leaves = Leaves(meeting);
                if let Err(error) = each(client, thread, meeting) {
                    let mut violation = lock(violation);
                    if violation.is_ok() {
                        *violation = Err(error);
                    }
                }
            });
        }
    });
    violation.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Where threads wait for each other. They spin: one that is woken later has lost the race before it begins.
struct Meeting {
    threads: usize,
    arrived: AtomicUsize,
    /// Somebody left.
    over: AtomicBool,
}

impl Meeting {
    /// Until all are here: whether they are.
    fn wait(&self) -> bool {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let mut spins = 0u32;
        while self.arrived.load(Ordering::SeqCst) < self.threads {
            if self.over.load(Ordering::SeqCst) {
                // Whoever came last may have left already.
                return self.arrived.load(Ordering::SeqCst) >= self.threads;
            }
            spins = spins.saturating_add(1);
            if spins < SPINS { hint::spin_loop() } else { thread::yield_now() }
        }
        true
    }
}

/// Also when `block_on` panics: the others would wait for ever.
struct Leaves<'a>(&'a Meeting);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const THREADS: usize = 8;
/// Of each thread, and more while there is time: a database is slow, and so is what may come between its look and its
/// write, but in memory there are nanoseconds between.
const CHANGES: u32 = 100;
const LEAST: Duration = Duration::from_millis(300);
/// A few microseconds.
const SPINS: u32 = 2000;
