//! A pending login that several processes complete at the same time, each with a code of its own.

use keyfob::guard::{Answer as LoginAnswer, Challenge, Confirmation, Expectation, GuardError, Login, Setup};
use keyfob::store::{SqliteStore, Store};
use keyfob::{Guard, Hotp, KeyUri, Secret};

use super::processes::{Worker, at};
use crate::guarded::{ACCOUNT, Answer, Guarded, Scratch, patient, report, scaled};

/// The codes of one token that are right at once, each in another process: only one of them completes the login.
#[test]
fn a_login_is_completed_once_by_all_processes() {
    let rounds = scaled(50);
    let completed = complete("login", "swap", rounds);
    report(&format!("8 processes, {rounds} logins: {} completed", completed.iter().sum::<usize>()));
    assert!(completed.iter().all(|&completed| completed == 1), "completed so often: {completed:?}");
    // The control: a store that reads and then writes.
    let racy = (0..10).map(|_| complete("login-racy", "racy", 20)).find(|rounds| rounds.iter().any(|&times| times > 1));
    assert!(racy.is_some());
}

/// How often the login of each round was completed by eight processes.
fn complete(name: &str, store: &str, rounds: usize) -> Vec<usize> {
    let scratch = Scratch::new(name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let owner = Guarded::new(runtime.block_on(SqliteStore::open(scratch.file("db"))).unwrap(), patient());
    let secret = Secret::from_bytes(&[1; 20]).unwrap();
    let token = Hotp::new(&secret);
    let setup = Setup::import(&KeyUri::hotp("Example Inc", "alice", &secret, 0).unwrap()).unwrap();
    runtime.block_on(async {
        owner.guard.enroll(ACCOUNT, &setup).await.unwrap();
        let confirmation = owner.guard.confirm(ACCOUNT, &token.code(0).to_string()).await.unwrap();
        assert!(matches!(confirmation, Confirmation::Confirmed(_)));
    });
    let mut workers: Vec<_> = (0..8).map(|_| Worker::start(store, &scratch.file("db"))).collect();
    let (first, mut counter) = (owner.now() + 60, 1);
    (0..rounds)
        .map(|round| {
            let now = at(first, round);
            owner.set(now);
            let begun = owner.guard.begin_login(ACCOUNT, Expectation::Enrolled, None);
            let Login::Challenge(challenge) = runtime.block_on(begun).unwrap() else { panic!() };
            let ahead = |index: usize| index as u64 % 6;
            for (index, worker) in workers.iter_mut().enumerate() {
                worker.ask(now, &format!("{} {}", challenge.token(), token.code(counter + ahead(index))));
            }
            let mut accepted = Vec::new();
            for (index, worker) in workers.iter_mut().enumerate() {
                match worker.answer().as_str() {
                    "accepted" => accepted.push(ahead(index)),
                    "rejected" | "replayed" | "wrong" | "throttled" => {}
                    other => panic!("round {round}: {other}"),
                }
            }
            counter += accepted.iter().max().map_or(0, |ahead| ahead + 1);
            accepted.len()
        })
        .collect()
}

/// What a worker does with a challenge and a code.
pub async fn answer(guard: &Guard<impl Store>, challenge: &str, typed: &str) -> Result<Answer, GuardError> {
    Ok(match guard.answer(&Challenge::from_token(challenge)?, typed).await? {
        LoginAnswer::Accepted(_) => Answer::Accepted,
        LoginAnswer::Refused(refusal) => Answer::Refused(refusal),
    })
}
