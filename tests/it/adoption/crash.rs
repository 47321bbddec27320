//! A program that takes over many users and is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use keyfob::guard::{Adoptee, Adoption, Context, SecondFactor};
use keyfob::store::{Accounts, SqliteStore, Store, Swap};
use keyfob::{Guard, Hotp, KeyUri, Policy, Secret, Verdict};

use super::{NOW, STEP, operator};
use crate::Random;
use crate::guarded::{Scratch, keyring, report};

const USERS: usize = 20_000;
const BATCH: usize = 500;
const MARK: &str = "= ";

#[test]
fn a_killed_adoption_is_finished_by_the_next_run() {
    let scratch = Scratch::new("adoption");
    let file = scratch.file("db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut random = Random(23);
    let mut kept = BTreeMap::new();
    let mut counts = Vec::new();
    for kill in 1..=3 {
        let mut worker = Worker::start(&file);
        // A quarter of the batches in each life, and then until a moment within the next one.
        let until = USERS / 4 * kill;
        while worker.next() < until {}
        worker.begin();
        (0..random.below(500)).for_each(|_| std::thread::yield_now());
        worker.kill();

        let stored = runtime.block_on(read(&file));
        assert!([until, until + BATCH].contains(&stored.len()), "{} users after kill {kill}", stored.len());
        assert!(kept.iter().all(|(user, record)| stored.get(user) == Some(record)), "a record was changed");
        for number in (0..USERS).step_by(4) {
            let half = stored.get(&user(number)).is_some_and(|record| authenticators(record) != 2);
            assert!(!half, "{} has one authenticator of two", user(number));
        }
        counts.push(stored.len());
        kept = stored;
    }
    let mut worker = Worker::start(&file);
    while worker.next() < USERS {}
    worker.end();

    let stored = runtime.block_on(read(&file));
    report(&format!("killed with {counts:?} of {USERS} users; all are there after the last run"));
    assert!(kept.iter().all(|(user, record)| stored.get(user) == Some(record)), "a record was changed");
    let users: BTreeSet<String> = (0..USERS).map(user).collect();
    assert!(stored.keys().eq(&users), "{} users", stored.len());

    // Each record accepts the next code of its user, and not the last one that was used. A user with two authenticators
    // has both or none, whenever the program was killed.
    let (keyring, policy) = (keyring(), Policy::default());
    for number in 0..USERS {
        let name = user(number);
        let accepts = |now: u64, step: u64| {
            let context = Context::new(&name, now, &policy, &keyring).unwrap();
            let factor = SecondFactor::read(Some(&stored[&name])).unwrap();
            let all = if number.is_multiple_of(4) { vec![number, USERS + number] } else { vec![number] };
            let good = all.into_iter().map(|number| {
                let transition = factor.verify(&context, &code(number, step));
                let verdict = transition.unwrap().committed(Swap::Swapped).unwrap().value;
                matches!(verdict, Verdict::Accepted(_))
            });
            let good: Vec<bool> = good.collect();
            assert!(good.iter().all(|one| *one == good[0]), "{name}");
            good[0]
        };
        assert!(!accepts(NOW, STEP) && accepts(NOW + 30, STEP + 1), "{name}");
        assert_eq!(authenticators(&stored[&name]), adoptees(number).len(), "{name}");
    }
    // Through the store as well, for some.
    runtime.block_on(async {
        let store = SqliteStore::open(&file).await.unwrap();
        let guard = Guard::new(store, keyring.clone(), "Example Inc").with_clock(|| Some(NOW + 30));
        for number in (0..USERS).step_by(USERS / 50) {
            let verdict = guard.verify(&user(number), &code(number, STEP + 1)).await.unwrap();
            assert!(matches!(verdict, Verdict::Accepted(_)));
        }
        guard.store().close().await;
    });
}

/// Each authenticator has one sealed secret, and these users have no recovery codes.
fn authenticators(record: &[u8]) -> usize {
    str::from_utf8(record).unwrap().matches("\"sealed\":").count()
}

/// All records, by user.
async fn read(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let store = SqliteStore::open(file).await.unwrap();
    let (mut records, mut listed, mut last) = (BTreeMap::new(), 0, String::new());
    loop {
        let page = store.accounts(&last, 1000).await.unwrap();
        let Some(end) = page.last() else { break };
        last.clone_from(end);
        listed += page.len();
        for user in page {
            let (_, record) = store.load(&user).await.unwrap().unwrap();
            records.insert(user, record);
        }
    }
    store.close().await;
    assert_eq!(listed, records.len(), "a user was listed twice");
    records
}

/// A process that takes over a batch for each line that it reads.
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(file: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "adoption::crash::worker", "--ignored", "--nocapture"]);
        command.env("KEYFOB_ADOPTION", file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn begin(&mut self) {
        writeln!(self.input.as_mut().unwrap()).unwrap();
    }

    /// Returns how many users the worker has been through after its next batch.
    fn next(&mut self) -> usize {
        self.begin();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the worker died");
            if let Some(done) = line.strip_prefix(MARK) {
                return done.trim_end().parse().unwrap();
            }
        }
    }

    /// `SIGKILL`.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
#[ignore = "what another test runs in a process of its own"]
fn worker() {
    // Also run by whoever runs all ignored tests.
    let Some(file) = std::env::var_os("KEYFOB_ADOPTION") else { return };
    println!();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(PathBuf::from(file)).await.unwrap();
        let guard = Guard::new(store, keyring(), "Example Inc").with_clock(|| Some(NOW));
        let (mut done, mut adopted) = (0, 0);
        let mut lines = std::io::stdin().lines();
        for numbers in (0..USERS).collect::<Vec<_>>().chunks(BATCH) {
            lines.next().unwrap().unwrap();
            let batch: Vec<_> = numbers.iter().copied().flat_map(adoptees).collect();
            for answer in guard.adopt_batch(&batch, &operator()).await.unwrap() {
                adopted += usize::from(matches!(answer.unwrap(), Adoption::Adopted(_)));
            }
            done += numbers.len();
            println!("{MARK}{done}");
        }
        assert!(adopted < USERS + USERS / 4, "an earlier process has stored some");
        guard.store().close().await;
    });
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

fn secret(number: usize) -> Secret {
    Secret::from_bytes(format!("secret {number:013}").as_bytes()).unwrap()
}

/// Every fourth user has a second authenticator.
fn adoptees(number: usize) -> Vec<Adoptee> {
    let secrets = [Some(number), number.is_multiple_of(4).then_some(USERS + number)];
    let adoptee = |secret_of: usize| {
        let user = user(number);
        let uri = KeyUri::totp("Old", &user, &secret(secret_of)).unwrap();
        Adoptee { user, uri, last_used: Some(STEP), name: String::new() }
    };
    secrets.into_iter().flatten().map(adoptee).collect()
}

fn code(number: usize, step: u64) -> String {
    Hotp::new(&secret(number)).code(step).to_string()
}
