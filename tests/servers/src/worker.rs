//! Processes that use the same database: this program, started again.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use keyfob::Policy;
use keyfob::guard::{GuardErrorKind, Refusal};
use keyfob::store::Store;

use crate::database::Database;
use crate::guarded::{Answer, Guarded, Racy, code, patient, wrong};
use crate::servers::Kind;

/// What a worker does.
#[derive(Clone, Copy, PartialEq)]
pub enum Role {
    Patient,
    Default,
    /// The control: reads, compares, and then writes.
    Racy,
}

/// A process that verifies codes.
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts several workers, and waits until all of them have connected.
    pub fn start(count: usize, role: Role, kind: Kind, url: &str) -> Vec<Self> {
        let mut workers: Vec<Self> = (0..count).map(|_| Self::spawn(role, kind, url)).collect();
        workers.iter_mut().for_each(|worker| assert_eq!(worker.answer(), "ready"));
        workers
    }

    fn spawn(role: Role, kind: Kind, url: &str) -> Self {
        let role = match role {
            Role::Patient => "patient",
            Role::Default => "default",
            Role::Racy => "racy",
        };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["worker", role, &format!("{kind:?}"), url]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// Asks to verify the codes of `count` rounds, starting with the round `from`.
    pub fn race(&mut self, first: u64, from: usize, count: usize) {
        self.tell(&format!("race {first} {from} {count}"));
    }

    /// Asks for wrong codes at one moment, `from` the first of them.
    pub fn guess(&mut self, now: u64, from: usize, count: usize) {
        self.tell(&format!("guess {now} {from} {count}"));
    }

    pub fn verify(&mut self, now: u64, typed: &str) {
        self.tell(&format!("verify {now} {typed}"));
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// One letter for each code, as [`letter`] says.
    pub fn answer(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "a worker died");
        line.trim_end().to_owned()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// When a round is. A day later, the failures of the round before are forgiven.
pub fn at(first: u64, round: usize) -> u64 {
    first + 86_400 * round as u64
}

/// What the process does, until its input ends.
pub fn work(words: &[String]) {
    let [role, kind, url] = words else { panic!("a worker needs a role, a server and a URL") };
    let kind = match kind.as_str() {
        "MariaDb" => Kind::MariaDb,
        "Redis" => Kind::Redis,
        _ => Kind::Postgres,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Database::open(kind, url).await.unwrap();
        match role.as_str() {
            "racy" => serve(Guarded::new(Racy(store), patient())).await,
            "patient" => serve(Guarded::new(store, patient())).await,
            _ => serve(Guarded::new(store, Policy::default())).await,
        }
    });
}

async fn serve(guarded: Guarded<impl Store>) {
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| words[index].parse::<usize>().unwrap();
        let mut answers = String::new();
        match words[0] {
            "race" => {
                for round in number(2)..number(2) + number(3) {
                    guarded.set(at(number(1) as u64, round));
                    answers.push(letter(&guarded, &code(1, guarded.now())).await);
                }
            }
            "guess" => {
                guarded.set(number(1) as u64);
                for typed in wrong(1, guarded.now()).skip(number(2)).take(number(3)) {
                    answers.push(letter(&guarded, &typed).await);
                }
            }
            _ => {
                guarded.set(number(1) as u64);
                answers.push(letter(&guarded, words[2]).await);
            }
        }
        println!("{answers}");
    }
}

/// Accepted, replayed, wrong, throttled, exhausted. There must be no other answer.
async fn letter(guarded: &Guarded<impl Store>, typed: &str) -> char {
    loop {
        match guarded.verify(typed).await {
            Ok(Answer::Accepted) => return 'A',
            Ok(Answer::Refused(Refusal::Replayed)) => return 'R',
            Ok(Answer::Refused(Refusal::WrongCode)) => return 'W',
            Ok(Answer::Refused(Refusal::Throttled { .. })) => return 'T',
            Ok(Answer::Refused(Refusal::Exhausted { .. })) => return 'X',
            Err(error) if error.kind() == GuardErrorKind::Contended => {}
            other => panic!("{other:?}"),
        }
    }
}
