//! Many processes at once, with one account.

use keyfob::Policy;
use keyfob::guard::Refusal;
use keyfob::store::MemoryStore;

use crate::database::{self, Database};
use crate::guarded::{Answer, Guarded, patient, wrong};
use crate::progress::{Outcome, Progress, grouped};
use crate::servers::Kind;
use crate::worker::{Role, Worker};

const PROCESSES: usize = 8;

/// A database with one account: its URL, when its codes are new, and its recovery codes.
async fn account(kind: Kind, policy: Policy) -> (String, u64, Vec<String>) {
    let server = database::shared(kind);
    let url = server.url(&database::create(server, kind).await);
    let store = Database::open(kind, &url).await.unwrap();
    let guarded = Guarded::new(store.clone(), policy);
    let (_, codes) = guarded.enroll(1).await;
    store.close().await;
    (url, guarded.now(), codes)
}

/// Eight processes, one code a round: exactly one of them is told that it was accepted.
pub async fn once(kind: Kind, progress: &Progress) -> Outcome {
    let rounds = progress.scaled(10_000, 300);
    let (accepted, letters) = race(kind, Role::Patient, rounds, progress).await;
    let winners = |count: usize| accepted.iter().filter(|accepted| **accepted == count).count();
    assert_eq!(
        winners(1),
        rounds,
        "rounds without a winner: {}, with more: {}",
        winners(0),
        rounds - winners(0) - winners(1)
    );
    let control = progress.scaled(500, 100);
    let (racy, _) = race(kind, Role::Racy, control, progress).await;
    let twice = racy.iter().filter(|accepted| **accepted > 1).count();
    assert!(twice > 0, "the control passes: no code was accepted twice by a store that reads and then writes");
    let replayed = letters.chars().filter(|letter| *letter == 'R').count();
    Outcome {
        did: format!(
            "{PROCESSES} processes, {} codes, {} attempts: exactly one process accepted each code, and {} attempts \
             were refused as replays",
            grouped(rounds),
            grouped(PROCESSES * rounds),
            grouped(replayed)
        ),
        control: format!("read, then write: {twice} of {control} codes accepted more than once"),
    }
}

/// By how many processes the code of each round was accepted, and all answers.
async fn race(kind: Kind, role: Role, rounds: usize, progress: &Progress) -> (Vec<usize>, String) {
    const BATCH: usize = 10;
    let (url, first, _) = account(kind, patient()).await;
    let mut accepted = vec![0; rounds];
    let mut all = String::new();
    database::blocking(|| {
        let mut workers = Worker::start(PROCESSES, role, kind, &url);
        // Within a batch the processes run freely. None goes on before it has an answer, so none gets ahead of a code
        // that was not accepted yet.
        for from in (0..rounds).step_by(BATCH) {
            let count = BATCH.min(rounds - from);
            workers.iter_mut().for_each(|worker| worker.race(first, from, count));
            for worker in &mut workers {
                let answers = worker.answer();
                for (index, letter) in answers.chars().enumerate() {
                    match letter {
                        'A' => accepted[from + index] += 1,
                        'R' | 'T' => {}
                        other => panic!("round {}: {other}", from + index),
                    }
                }
                assert_eq!(answers.len(), count);
                all.push_str(&answers);
            }
            let which = if role == Role::Racy { "control: " } else { "" };
            progress.say(format!("{which}{} of {rounds} codes", from + count));
        }
    });
    (accepted, all)
}

/// Guesses of eight processes: as many are compared as one process alone could have compared.
pub async fn guesses(kind: Kind, progress: &Progress) -> Outcome {
    let (hours, each) = (progress.scaled(100, 10), progress.scaled(125, 25));
    let compared = guess(kind, Role::Default, hours, each, progress).await;
    let alone = alone(hours, each).await;
    assert_eq!(compared, alone, "compared in each hour by 8 processes, and by one process alone");
    let (free, racy) = {
        let free = patient_free().await;
        let mut most = 0;
        for _ in 0..20 {
            most = most.max(guess(kind, Role::Racy, 1, 40, progress).await[0]);
            if most > free {
                break;
            }
        }
        (free, most)
    };
    assert!(racy > free, "the control passes: a store that reads and then writes compared {racy} guesses");
    let total: usize = compared.iter().sum();
    Outcome {
        did: format!(
            "{PROCESSES} processes, {} guesses over {hours} hours: {total} compared, {} of them in the first hour, as \
             by one client with the store in memory",
            grouped(PROCESSES * hours * each),
            compared[0]
        ),
        control: format!("read, then write: {racy} compared at one moment instead of {free}"),
    }
}

/// How many guesses the processes could compare, hour by hour.
async fn guess(kind: Kind, role: Role, hours: usize, each: usize, progress: &Progress) -> Vec<usize> {
    let policy = if role == Role::Racy { patient() } else { Policy::default() };
    let (url, first, _) = account(kind, policy).await;
    let mut compared = vec![0; hours];
    database::blocking(|| {
        let mut workers = Worker::start(PROCESSES, role, kind, &url);
        for (hour, compared) in compared.iter_mut().enumerate() {
            let now = first + 3600 * hour as u64;
            workers.iter_mut().enumerate().for_each(|(index, worker)| worker.guess(now, index * each, each));
            for worker in &mut workers {
                let answers = worker.answer();
                assert_eq!(answers.len(), each);
                for letter in answers.chars() {
                    match letter {
                        'W' => *compared += 1,
                        'T' | 'X' => {}
                        other => panic!("a guess: {other}"),
                    }
                }
            }
            progress.say(format!("{} guesses", (hour + 1) * PROCESSES * each));
        }
    });
    compared
}

/// The same guesses, one after another.
async fn alone(hours: usize, each: usize) -> Vec<usize> {
    let guarded = Guarded::new(MemoryStore::new(), Policy::default());
    guarded.enroll(1).await;
    let first = guarded.now();
    let mut compared = vec![0; hours];
    for (hour, compared) in compared.iter_mut().enumerate() {
        guarded.set(first + 3600 * hour as u64);
        for typed in wrong(1, guarded.now()).take(PROCESSES * each) {
            match guarded.verify(&typed).await.unwrap() {
                Answer::Refused(Refusal::WrongCode) => *compared += 1,
                Answer::Refused(Refusal::Throttled { .. } | Refusal::Exhausted { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    compared
}

/// How many guesses the policy of the control allows at one moment.
async fn patient_free() -> usize {
    let guarded = Guarded::new(MemoryStore::new(), patient());
    guarded.enroll(1).await;
    let mut free = 0;
    for typed in wrong(1, guarded.now()) {
        if guarded.verify(&typed).await.unwrap() != Answer::Refused(Refusal::WrongCode) {
            break;
        }
        free += 1;
    }
    free
}

/// Thirty processes and the same recovery codes: one process is told that it was accepted.
pub async fn recovery(kind: Kind, progress: &Progress) -> Outcome {
    const CLIENTS: usize = 30;
    let sets = progress.scaled(3, 1);
    let mut codes = 0;
    for _ in 0..sets {
        let accepted = recover(kind, Role::Patient, CLIENTS, progress).await;
        assert!(accepted.iter().all(|accepted| *accepted == 1), "each code was accepted so often: {accepted:?}");
        codes += accepted.len();
    }
    let mut most = 0;
    for _ in 0..10 {
        most = most.max(recover(kind, Role::Racy, CLIENTS, progress).await.into_iter().max().unwrap());
        if most > 1 {
            break;
        }
    }
    assert!(most > 1, "the control passes: a store that reads and then writes accepted each recovery code once");
    Outcome {
        did: format!("{CLIENTS} processes, {codes} recovery codes: exactly one process accepted each code"),
        control: format!("read, then write: one code accepted by {most} processes"),
    }
}

async fn recover(kind: Kind, role: Role, clients: usize, progress: &Progress) -> Vec<usize> {
    let (url, now, codes) = account(kind, patient()).await;
    database::blocking(|| {
        let mut workers = Worker::start(clients, role, kind, &url);
        let mut accepted = Vec::new();
        for (index, typed) in codes.iter().enumerate() {
            progress.say(format!("recovery code {}", index + 1));
            workers.iter_mut().for_each(|worker| worker.verify(now, typed));
            accepted.push(workers.iter_mut().filter_map(|worker| (worker.answer() == "A").then_some(())).count());
        }
        accepted
    })
}
