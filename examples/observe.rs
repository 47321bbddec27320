//! Sends keyfob's events to `tracing`, counts them, and notices that the server's clock is wrong:
//! `cargo run --example observe`.
//!
//! Seven users log in three times. Then the server's clock falls 30 seconds behind, and they log in three times more.
//! At the end, somebody guesses codes.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use keyfob::guard::{Confirmation, Event, EventKind, Method, Setup};
use keyfob::store::MemoryStore;
use keyfob::{Guard, Keyring, Totp, Verdict};
use tracing::{debug, info, warn};

/// How many logins the median is computed from. A real service would use a few hundred.
const LOGINS: usize = 21;

/// Listens to the events. The guard waits for the listener, so it only formats a line and updates a few numbers.
#[derive(Default)]
struct Observer(Mutex<Numbers>);

#[derive(Default)]
struct Numbers {
    /// How many events of each kind there were. A real service would export these to its metrics system.
    counts: BTreeMap<String, u64>,
    /// How far the apps were ahead of the server's clock in the last logins, in steps of 30 seconds.
    drifts: VecDeque<i64>,
    median: i64,
}

impl Observer {
    fn hear(&self, event: &Event) {
        let (user, kind, operator) = (event.user(), event.kind(), event.operator().map(|operator| operator.as_str()));
        match kind {
            // An operator should look at these.
            EventKind::ClockBehind { .. }
            | EventKind::Dropped { .. }
            | EventKind::Exhausted
            | EventKind::Failed { .. }
            | EventKind::Unacknowledged { .. } => warn!(user, operator, ?kind),
            // There are many of these.
            EventKind::Accepted { .. } | EventKind::SignedIn { .. } => debug!(user, operator, ?kind),
            _ => info!(user, operator, ?kind),
        }
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *numbers.counts.entry(name(kind)).or_default() += 1;
        if let EventKind::Accepted { method: Method::Totp, drift, .. } = kind {
            numbers.drift(*drift);
        }
    }
}

impl Numbers {
    /// Many phones have a clock that is a little wrong, but they are not all wrong in the same direction. If the median
    /// of the last logins is not 0, the server's own clock is wrong.
    fn drift(&mut self, drift: i64) {
        self.drifts.push_back(drift);
        if self.drifts.len() <= LOGINS {
            return;
        }
        self.drifts.pop_front();
        let mut sorted: Vec<i64> = self.drifts.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted[LOGINS / 2];
        // Each change is reported once.
        if median != self.median {
            self.median = median;
            match median {
                0 => info!("the server's clock is right again"),
                steps if steps > 0 => warn!("the server's clock is about {} s behind", 30 * steps),
                steps => warn!("the server's clock is about {} s ahead", -30 * steps),
            }
        }
    }
}

/// `Accepted { method: Totp, .. }` becomes `Accepted`.
fn name(kind: &EventKind) -> String {
    format!("{kind:?}").split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default().into()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The events contain the time. The default format would also print the time of the line.
    tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false).init();

    let time = Arc::new(AtomicU64::new(1_900_000_000));
    let behind = Arc::new(AtomicU64::new(0)); // how far the server's clock is behind, in seconds
    let clock = {
        let (time, behind) = (time.clone(), behind.clone());
        move || Some(time.load(Relaxed) - behind.load(Relaxed))
    };
    let store = Arc::new(MemoryStore::new());
    let keys = Keyring::generate("2026")?;

    let setup = Guard::new(store.clone(), Keyring::parse(&keys)?, "Example Inc").with_clock(clock.clone());
    let mut users = Vec::new();
    for number in 1..=7 {
        let user = format!("user-{number}");
        users.push((enroll(&setup, &user, time.load(Relaxed)).await?, user));
    }

    let observer = Arc::new(Observer::default());
    let listener = observer.clone();
    let guard = Guard::new(store, Keyring::parse(&keys)?, "Example Inc")
        .with_clock(clock)
        .with_events(move |event| listener.hear(event));

    println!("Seven users log in three times. Accepted codes are at level DEBUG, so they are not shown.");
    log_in(&guard, &users, &time).await?;

    println!("\nThe server's clock stops for 30 seconds. keyfob still accepts the codes, but their drift changes.");
    behind.store(30, Relaxed);
    log_in(&guard, &users, &time).await?;
    behind.store(0, Relaxed);

    println!("\nSomebody who knows the password of user-3 guesses codes. The sixth guess is not even compared.");
    time.fetch_add(3600, Relaxed);
    for _ in 0..6 {
        let Verdict::Refused(_) = guard.verify("user-3", "000000").await? else {
            return Err("the guess was right, which happens once in a million".into());
        };
    }

    println!("\nThe counters:");
    let numbers = observer.0.lock().unwrap_or_else(PoisonError::into_inner);
    numbers.counts.iter().for_each(|(kind, count)| println!("{count:>5} {kind}"));
    Ok(())
}

/// Enrolls a user, and returns the app.
async fn enroll(guard: &Guard<Arc<MemoryStore>>, user: &str, now: u64) -> Result<Totp, Box<dyn Error>> {
    let enrollment = guard.enroll(user, &Setup::totp(user)).await?;
    let app = enrollment.uri().to_totp().ok_or("a TOTP enrollment")?;
    match guard.confirm(user, &app.code_at(now).to_string()).await? {
        Confirmation::Confirmed(_) => Ok(app),
        Confirmation::Refused { .. } => Err("the code should confirm the app".into()),
    }
}

/// Everybody logs in three times. The apps' clocks are right.
async fn log_in(
    guard: &Guard<Arc<MemoryStore>>,
    users: &[(Totp, String)],
    time: &AtomicU64,
) -> Result<(), Box<dyn Error>> {
    for _ in 0..3 {
        let now = time.fetch_add(60, Relaxed) + 60;
        for (app, user) in users {
            let Verdict::Accepted(_) = guard.verify(user, &app.code_at(now).to_string()).await? else {
                return Err("the code should be accepted".into());
            };
        }
    }
    Ok(())
}
