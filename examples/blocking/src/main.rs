//! Two-factor authentication without an async runtime: `cargo run --manifest-path examples/blocking/Cargo.toml`.
//!
//! [`SecondFactor`] decides and performs no I/O, so it works with any blocking database client. This example uses
//! `rusqlite`, which takes the place of `Guard` and a `Store`. It enrolls an app, accepts a code, refuses the same code
//! again, and lets eight threads use one code at once.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keyfob::guard::{
    Change, Confirmation, Context, Enrollment, GuardError, Randomness, Refusal, SecondFactor, Setup, Transition,
};
use keyfob::store::Swap;
use keyfob::{Keyring, Policy, Verdict};
use rusqlite::{Connection, OptionalExtension, params};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USER: &str = "user-17";
const THREADS: usize = 8;
/// Each failed attempt means that another thread has stored its change. Each of the others stores at most one.
const ATTEMPTS: usize = THREADS;

/// The second factors of all users, over a connection of this thread's own.
struct SecondFactors {
    database: Connection,
    keyring: Keyring,
    policy: Policy,
    random: Randomness,
}

impl SecondFactors {
    fn open(file: &Path, keyring: Keyring) -> Result<Self> {
        let database = Connection::open(file)?;
        database.busy_timeout(Duration::from_secs(10))?;
        // Without the sync to disk, a power failure could undo the last changes, and used codes would be accepted again.
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.execute(
            "CREATE TABLE IF NOT EXISTS second_factor \
             (user TEXT PRIMARY KEY, version INTEGER NOT NULL, record BLOB) STRICT, WITHOUT ROWID",
            (),
        )?;
        Ok(Self { database, keyring, policy: Policy::default(), random: Randomness::default() })
    }

    fn enroll(&self, now: u64, user: &str, label: &str) -> Result<Enrollment> {
        let setup = Setup::totp(label);
        self.transact(now, user, |factor, context| factor.enroll(context, &self.random, "Example Inc", &setup, None))
    }

    fn confirm(&self, now: u64, user: &str, typed: &str) -> Result<Confirmation> {
        self.transact(now, user, |factor, context| factor.confirm(context, typed))
    }

    fn verify(&self, now: u64, user: &str, typed: &str) -> Result<Verdict> {
        self.transact(now, user, |factor, context| factor.verify(context, typed))
    }

    fn erase(&self, now: u64, user: &str) -> Result<()> {
        self.transact(now, user, |factor, context| Ok(factor.erase(context)))
    }

    /// Loads the record, decides, stores the change, and only then reads the answer. Works for every method of
    /// `SecondFactor`.
    fn transact<T>(
        &self,
        now: u64,
        user: &str,
        decide: impl Fn(&SecondFactor, &Context<'_>) -> std::result::Result<Transition<T>, GuardError>,
    ) -> Result<T> {
        let context = Context::new(user, now, &self.policy, &self.keyring)?;
        for _ in 0..ATTEMPTS {
            let (version, record) = self.load(user)?.unzip();
            let transition = decide(&SecondFactor::read(record.flatten().as_deref())?, &context)?;
            let swap = match transition.change() {
                Change::None => Swap::Swapped,
                change => self.swap(user, version, change.record())?,
            };
            // After a conflict, this is an error: decide again, on the record that the other thread has stored.
            if let Ok(committed) = transition.committed(swap) {
                committed.events.iter().for_each(|event| println!("  [log] {event}"));
                return Ok(committed.value);
            }
        }
        Err("too many requests for one user at once".into())
    }

    fn load(&self, user: &str) -> rusqlite::Result<Option<(i64, Option<Vec<u8>>)>> {
        let mut select = self.database.prepare_cached("SELECT version, record FROM second_factor WHERE user = ?")?;
        select.query_row([user], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    }

    /// Replaces the record if its version is the expected one.
    ///
    /// This follows the three rules of the documentation of `keyfob::guard`:
    ///
    /// * No version is used twice: a removed record becomes `NULL`, its row is kept, and the version goes on counting.
    /// * If no row was loaded, the insert does nothing if there is a row by now.
    /// * The change is committed when this returns. Each statement is a transaction of its own, because no method of
    ///   this type begins one.
    fn swap(&self, user: &str, expected: Option<i64>, record: Option<&[u8]>) -> rusqlite::Result<Swap> {
        let rows = match expected {
            Some(version) => self
                .database
                .prepare_cached(
                    "UPDATE second_factor SET version = version + 1, record = ? WHERE user = ? AND version = ?",
                )?
                .execute(params![record, user, version])?,
            None => self
                .database
                .prepare_cached(
                    "INSERT INTO second_factor (user, version, record) VALUES (?, 1, ?) ON CONFLICT DO NOTHING",
                )?
                .execute(params![user, record])?,
        };
        Ok(if rows == 1 { Swap::Swapped } else { Swap::Conflict })
    }
}

fn main() -> Result<()> {
    let file = std::env::temp_dir().join(format!("keyfob-blocking-{}.db", std::process::id()));
    let done = run(&file);
    for end in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(end);
        // The last connection has removed two of the three files.
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
    done
}

fn run(file: &Path) -> Result<()> {
    // A service makes its keys once, and keeps them in its secret manager.
    let keys = Keyring::generate("2026")?;
    let open = || SecondFactors::open(file, Keyring::parse(&keys)?);
    let factors = open()?;
    let mut now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();

    let enrollment = factors.enroll(now, USER, "alice@example.com")?;
    // In place of the phone.
    let app = enrollment.uri().to_totp().ok_or("not a TOTP app")?;
    let Confirmation::Confirmed(_) = factors.confirm(now, USER, &app.code_at(now).to_string())? else {
        return Err("the first code was refused".into());
    };
    println!("Enrolled.");

    now += 30;
    let typed = app.code_at(now).to_string();
    let Verdict::Accepted(_) = factors.verify(now, USER, &typed)? else {
        return Err("a correct code was refused".into());
    };
    println!("A code was accepted.");
    let Verdict::Refused(Refusal::Replayed) = factors.verify(now, USER, &typed)? else {
        return Err("a used code was not refused as a replay".into());
    };
    println!("The same code was refused.");

    now += 30;
    let typed = app.code_at(now).to_string();
    let accepted = thread::scope(|scope| -> Result<usize> {
        let log_in = || -> Result<bool> { Ok(matches!(open()?.verify(now, USER, &typed)?, Verdict::Accepted(_))) };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(log_in)).collect();
        let mut accepted = 0;
        for thread in threads {
            accepted += usize::from(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(accepted)
    })?;
    if accepted != 1 {
        return Err(format!("{THREADS} threads used one code at once, and it was accepted {accepted} times").into());
    }
    println!("{THREADS} threads used one code at once, and it was accepted once.");

    // A user who enrolls again gets a version that no decision from before the removal expects.
    let version = |factors: &SecondFactors| Ok::<_, rusqlite::Error>(factors.load(USER)?.map(|(version, _)| version));
    let before = version(&factors)?;
    factors.erase(now, USER)?;
    factors.enroll(now, USER, "alice@example.com")?;
    if version(&factors)? <= before {
        return Err("a version was used twice".into());
    }
    println!("Erased, and enrolled again.");
    Ok(())
}
