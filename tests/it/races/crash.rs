//! Processes that are killed.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use keyfob::guard::Refusal;
use keyfob::store::{SqliteStore, Store, StoreError, Swap, Version};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};

use super::processes::{MARK, Worker, at, enroll};
use crate::Random;
use crate::guarded::{Answer, Guarded, Scratch, code, patient, record, report, scaled, wrong};

#[test]
fn no_acknowledged_acceptance_is_lost_by_a_kill() {
    let kills = scaled(10);
    let lives = lives("kills", "swap", 2, kills);
    let mut accepted = lives.acknowledged.clone();
    accepted.sort_unstable();
    accepted.dedup();
    assert_eq!(accepted.len(), lives.acknowledged.len(), "a code was accepted twice");
    assert_eq!(lives.forgotten, [0; 0], "acknowledged codes are good again");
    assert!(lives.refused > 0 && lives.uncharged == 0, "refusals were told and not charged");
    // What a kill takes away is the answer, of each of the two at most.
    let last = accepted.last().unwrap() + 1;
    assert!(last - accepted.len() <= 2 * kills, "{} of {last} codes were accepted", accepted.len());
    report(&format!("{kills} kills: all of {} acceptances kept, and of {} refusals", accepted.len(), lives.refused));
}

#[test]
fn a_store_that_writes_behind_loses_some() {
    let lives = lives("behind", "behind", 1, 10);
    assert!(lives.uncharged > 0);
    let (lost, of) = (lives.forgotten.len(), lives.acknowledged.len());
    let mut different = lives.acknowledged;
    different.sort_unstable();
    different.dedup();
    // What one life loses, the next one accepts again. Only the last kill can leave it forgotten.
    let again = of - different.len();
    report(&format!("written behind, 10 kills: of {of} acceptances {again} twice, {lost} forgotten"));
    assert!(again + lost > 0);
}

struct Lives {
    /// The rounds whose acceptance a worker wrote to its log.
    acknowledged: Vec<usize>,
    /// Those that the last record would accept again.
    forgotten: Vec<usize>,
    /// How many refusals of wrong codes are in the logs, and after how many kills the last one was not in the record.
    refused: usize,
    uncharged: usize,
}

/// Workers that verify until they are killed at a random moment, again and again.
fn lives(name: &str, store: &str, workers: usize, kills: usize) -> Lives {
    let scratch = Scratch::new(name);
    let file = scratch.file("db");
    let first = enroll(&file).0;
    let mut random = Random(11);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut acknowledged: Vec<usize> = Vec::new();
    let (mut refused, mut uncharged, mut latest) = (0, 0, 0);
    for life in 0..kills {
        // Back to where codes are spent, so that one whose acceptance was lost would be accepted again.
        let from = acknowledged.iter().max().map_or(0, |last| last.saturating_sub(2));
        let log = |number: usize| scratch.file(&format!("{life}-{number}"));
        let start = |number| {
            let mut worker = Worker::start(store, &file);
            worker.tell(&format!("run {first} {from} {}", log(number).display()));
            worker
        };
        let mut running: Vec<Worker> = (0..workers).map(start).collect();
        for _ in 0..1 + random.below(30) {
            running[0].answer();
        }
        for worker in running {
            (0..random.below(500)).for_each(|_| std::thread::yield_now());
            worker.kill();
        }
        for number in 0..workers {
            let log = std::fs::read_to_string(log(number)).unwrap_or_default();
            // A line that has no end was not synced.
            for line in log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
                match line.strip_prefix("refused ") {
                    None => acknowledged.push(line.parse::<usize>().unwrap()),
                    Some(round) => (refused, latest) = (refused + 1, latest.max(round.parse::<usize>().unwrap())),
                }
            }
        }
        // The latest moment at which anything was counted; the codes that are right come before the wrong ones.
        let record: serde_json::Value = runtime.block_on(async {
            let store = SqliteStore::open(&file).await.unwrap();
            serde_json::from_slice(&record(&store).await.unwrap()).unwrap()
        });
        uncharged +=
            usize::from(record["budget"]["until"].as_u64().unwrap() < at(first, latest) + LATER && refused > 0);
    }
    let record = runtime.block_on(async {
        let store = SqliteStore::open(&file).await.unwrap();
        let guarded = Guarded::new(store, patient());
        guarded.guard.operator_unlock(crate::guarded::ACCOUNT, &crate::operator()).await.unwrap();
        record(guarded.guard.store()).await
    });
    let replayed = Answer::Refused(Refusal::Replayed);
    let kept = |round: &usize| {
        let now = at(first, *round);
        Answer::of(record.as_deref(), &patient(), now, &code(1, now)) == replayed
    };
    let forgotten = acknowledged.iter().copied().filter(|round| !kept(round)).collect();
    Lives { acknowledged, forgotten, refused, uncharged }
}

/// Verifies one code after the other, a right one and a wrong one, and writes each answer to a log before it tells of it.
/// Until it is killed.
pub async fn run(guarded: &Guarded<impl Store>, settings: &str) {
    let mut settings = settings.splitn(3, ' ');
    let mut number = || settings.next().unwrap().parse::<u64>().unwrap();
    let (first, from) = (number(), usize::try_from(number()).unwrap());
    let mut log = File::create(settings.next().unwrap()).unwrap();
    for round in from.. {
        guarded.set(at(first, round));
        if guarded.verify(&code(1, guarded.now())).await.is_ok_and(|answer| answer == Answer::Accepted) {
            log.write_all(format!("{round}\n").as_bytes()).unwrap();
            log.sync_data().unwrap();
        }
        guarded.set(guarded.now() + LATER);
        let guess = wrong(1, guarded.now()).next().unwrap();
        if guarded.verify(&guess).await.is_ok_and(|answer| answer == Answer::Refused(Refusal::WrongCode)) {
            log.write_all(format!("refused {round}\n").as_bytes()).unwrap();
            log.sync_data().unwrap();
        }
        println!("{MARK}{round}");
    }
}

/// From the right code of a round to the wrong one.
const LATER: u64 = 3600;

/// Acknowledges, and writes every eighth change: what a cache in front of a database does.
pub struct Behind {
    inner: SqliteStore,
    ahead: Mutex<Option<(Version, Vec<u8>)>>,
}

impl Behind {
    pub fn new(inner: SqliteStore) -> Self {
        Self { inner, ahead: Mutex::new(None) }
    }
}

impl Store for Behind {
    type Error = StoreError;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        let ahead = self.ahead.lock().unwrap().clone();
        if ahead.is_some() { Ok(ahead) } else { Ok(self.inner.load(account).await?) }
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        let next = expected.map_or(0, Version::get) + 1;
        *self.ahead.lock().unwrap() = record.map(|record| (Version::new(next), record.to_vec()));
        if next.is_multiple_of(8) {
            let stored = self.inner.load(account).await?.map(|(version, _)| version);
            let _ = self.inner.swap(account, stored, record).await?;
        }
        Ok(Swap::Swapped)
    }
}

/// The same statement, on connections as SQLite's own advice for WAL has them.
pub struct Unsynced {
    inner: SqliteStore,
    pool: SqlitePool,
}

impl Unsynced {
    pub async fn open(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file).synchronous(SqliteSynchronous::Normal);
        let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
        Self { inner: SqliteStore::open(file).await.unwrap(), pool }
    }
}

impl Store for Unsynced {
    type Error = sqlx::Error;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, sqlx::Error> {
        self.inner.load(account).await
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, sqlx::Error> {
        let (Some(version), Some(record)) = (expected, record) else {
            return self.inner.swap(account, expected, record).await;
        };
        let update =
            "UPDATE keyfob_second_factor SET version = version + 1, record = ? WHERE account = ? AND version = ?";
        let update = sqlx::query(update).bind(record).bind(account).bind(version.get().cast_signed());
        let changed = update.execute(&self.pool).await?.rows_affected();
        Ok(if changed == 1 { Swap::Swapped } else { Swap::Conflict })
    }
}
