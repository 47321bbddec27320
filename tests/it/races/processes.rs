//! The same over processes that share a file: this program, started again.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use keyfob::guard::{GuardError, GuardErrorKind, Refusal};
use keyfob::store::{SqliteStore, Store};

use super::crash;
use crate::guarded::{Answer, Guarded, Racy, Scratch, code, patient, report, scaled, wrong};
use crate::peers::program;

/// Eight processes, one code a round, one acceptance.
#[test]
fn a_code_is_accepted_once_by_all_processes() {
    let rounds = scaled(500);
    let accepted = race("once", "swap", rounds);
    report(&format!("8 processes, {rounds} codes: {} acceptances", accepted.iter().sum::<usize>()));
    assert!(accepted.iter().all(|&accepted| accepted == 1), "accepted by so many: {accepted:?}");
}

#[test]
fn a_store_that_reads_and_then_writes_accepts_twice() {
    let accepted = race("twice", "racy", 100);
    let twice = accepted.iter().filter(|&&accepted| accepted > 1).count();
    report(&format!("read, then write: {twice} of {} codes accepted more than once", accepted.len()));
    assert!(twice > 0);
}

/// By how many of eight processes the code of each round is accepted.
fn race(name: &str, store: &str, rounds: usize) -> Vec<usize> {
    let scratch = Scratch::new(name);
    let first = enroll(&scratch.file("db")).0;
    let mut workers: Vec<_> = (0..8).map(|_| Worker::start(store, &scratch.file("db"))).collect();
    let mut accepted = vec![0; rounds];
    let numbers: Vec<usize> = (0..rounds).collect();
    // Within a batch they run freely. Nobody gives up on a code, so nobody gets ahead of one that was not accepted.
    for batch in numbers.chunks(10) {
        for worker in &mut workers {
            for &round in batch {
                let now = at(first, round);
                worker.ask(now, &code(1, now));
            }
        }
        for worker in &mut workers {
            for &round in batch {
                match worker.answer().as_str() {
                    "accepted" => accepted[round] += 1,
                    "replayed" | "throttled" => {}
                    other => panic!("round {round}: {other}"),
                }
            }
        }
    }
    accepted
}

#[test]
fn guesses_of_all_processes_are_counted_together() {
    let answered = |name, store| {
        let scratch = Scratch::new(name);
        let now = at(enroll(&scratch.file("db")).0, 0);
        let mut workers: Vec<_> = (0..8).map(|_| Worker::start(store, &scratch.file("db"))).collect();
        let typed: Vec<String> = wrong(1, now).take(320).collect();
        for (worker, typed) in workers.iter_mut().zip(typed.chunks(40)) {
            typed.iter().for_each(|typed| worker.ask(now, typed));
        }
        let mut answers = workers.iter_mut().flat_map(|worker| (0..40).map(|_| worker.answer()).collect::<Vec<_>>());
        let mut wrong = 0;
        answers.by_ref().for_each(|answer| match answer.as_str() {
            "wrong" => wrong += 1,
            "throttled" => {}
            other => panic!("{other}"),
        });
        wrong
    };
    assert_eq!(answered("guesses", "swap"), 10);
    assert!((0..10).any(|_| answered("guesses-racy", "racy") > 10));
}

#[test]
fn a_recovery_code_is_accepted_once_by_all_processes() {
    let most = |name, store| {
        let scratch = Scratch::new(name);
        let (now, codes) = enroll(&scratch.file("db"));
        let mut workers: Vec<_> = (0..30).map(|_| Worker::start(store, &scratch.file("db"))).collect();
        let mut accepted = |typed: &String| {
            workers.iter_mut().for_each(|worker| worker.ask(now, typed));
            workers.iter_mut().filter_map(|worker| (worker.answer() == "accepted").then_some(())).count()
        };
        let accepted: Vec<usize> = codes.iter().map(&mut accepted).collect();
        assert!(accepted.iter().all(|&accepted| accepted >= 1));
        accepted.into_iter().max().unwrap()
    };
    assert_eq!(most("recovery", "swap"), 1);
    assert!((0..10).any(|_| most("recovery-racy", "racy") > 1));
}

/// With fewer a power cut makes used codes good again. No kill can show it: what a process wrote outlives the process.
#[test]
fn each_acceptance_is_synced() {
    if program("strace", &["-f", "-o", "/dev/null", "true"]).is_none() {
        return;
    }
    let syncs = |name, store| {
        let scratch = Scratch::new(name);
        let first = enroll(&scratch.file("db")).0;
        let summary = scratch.file("summary");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-e", "trace=fsync,fdatasync", "-o"]).arg(&summary).arg(own());
        let mut worker = Worker::of(strace, store, &scratch.file("db"));
        for round in 0..ROUNDS {
            worker.ask(at(first, round), &code(1, at(first, round)));
            assert_eq!(worker.answer(), "accepted");
        }
        worker.end();
        let summary = std::fs::read_to_string(summary).unwrap();
        let rows = summary.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let calls = rows.filter(|row| matches!(row.last(), Some(&("fsync" | "fdatasync"))));
        calls.map(|row| row[3].parse::<usize>().unwrap()).sum::<usize>()
    };
    const ROUNDS: usize = 200;
    let (full, normal) = (syncs("full", "swap"), syncs("normal", "unsynced"));
    report(&format!("{ROUNDS} acceptances: {full} syncs, and {normal} with synchronous=NORMAL"));
    assert!(full >= ROUNDS);
    assert!(normal < ROUNDS / 4);
}

/// A process that answers to codes.
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    pub fn start(store: &str, file: &Path) -> Self {
        Self::of(Command::new(own()), store, file)
    }

    fn of(mut command: Command, store: &str, file: &Path) -> Self {
        command.args(["--exact", "races::worker", "--ignored", "--nocapture"]);
        command.env("KEYFOB_WORKER", store).env("KEYFOB_FILE", file);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut worker = Self { child, input, output };
        assert_eq!(worker.answer(), "ready");
        worker
    }

    pub fn ask(&mut self, now: u64, typed: &str) {
        self.tell(&format!("{now} {typed}"));
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Past what the test harness says.
    pub fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "a worker died");
            if let Some(answer) = line.strip_prefix(MARK) {
                return answer.trim_end().to_owned();
            }
        }
    }

    /// `SIGKILL`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the process does.
pub fn work() {
    // Also run by whoever runs all ignored tests.
    let Some(store) = std::env::var_os("KEYFOB_WORKER") else { return };
    let file = PathBuf::from(std::env::var_os("KEYFOB_FILE").unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match store.to_str().unwrap() {
            "swap" => serve(SqliteStore::open(&file).await.unwrap()).await,
            "racy" => serve(Racy(SqliteStore::open(&file).await.unwrap())).await,
            "behind" => serve(crash::Behind::new(SqliteStore::open(&file).await.unwrap())).await,
            "unsynced" => serve(crash::Unsynced::open(&file).await).await,
            other => panic!("{other}"),
        }
    });
}

async fn serve(store: impl Store) {
    let guarded = Guarded::new(store, patient());
    println!("\n{MARK}ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (now, typed) = line.split_once(' ').unwrap();
        if now == "run" {
            crash::run(&guarded, typed).await;
        }
        guarded.set(now.parse().unwrap());
        let contended = |answer: &Result<_, GuardError>| {
            answer.as_ref().is_err_and(|error| error.kind() == GuardErrorKind::Contended)
        };
        // A code alone, or a challenge and a code.
        let attempt = || async {
            match typed.split_once(' ') {
                Some((challenge, typed)) => super::logins::answer(&guarded.guard, challenge, typed).await,
                None => guarded.verify(typed).await,
            }
        };
        let mut answer = attempt().await;
        while contended(&answer) {
            answer = attempt().await;
        }
        let answer = match answer {
            Ok(Answer::Accepted) => "accepted".to_owned(),
            Ok(Answer::Refused(Refusal::Replayed)) => "replayed".to_owned(),
            Ok(Answer::Refused(Refusal::WrongCode)) => "wrong".to_owned(),
            Ok(Answer::Refused(Refusal::Throttled { .. })) => "throttled".to_owned(),
            Err(error) if error.kind() == GuardErrorKind::LoginRejected => "rejected".to_owned(),
            other => format!("{other:?}"),
        };
        println!("{MARK}{answer}");
    }
}

/// Enrolls, and says from when on codes are fresh, and the recovery codes.
pub fn enroll(file: &Path) -> (u64, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let guarded = Guarded::new(SqliteStore::open(file).await.unwrap(), patient());
        let (_, codes) = guarded.enroll(1).await;
        guarded.guard.store().close().await;
        (guarded.now(), codes)
    })
}

/// When a round is. A day later all failures of the round before are forgiven.
pub fn at(first: u64, round: usize) -> u64 {
    first + 86_400 * round as u64
}

fn own() -> PathBuf {
    std::env::current_exe().unwrap()
}

pub const MARK: &str = "= ";
