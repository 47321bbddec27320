//! Many at once: however they interleave, a code counts once and a guess is paid for.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::block_on;
use keyfob::guard::{GuardErrorKind, Refusal};
use keyfob::store::{MemoryStore, Store};
use keyfob::{Guard, Policy};

use crate::guarded::{ACCOUNT, Answer, Guarded, Racy, code, report, scaled, wrong};

mod crash;
mod logins;
mod processes;

/// Scaled, a hundred thousand guesses at one moment.
#[test]
fn as_many_guesses_are_answered_as_are_free() {
    let each = scaled(125);
    let answered = guesses(MemoryStore::new(), each);
    // A race needs some luck.
    let racy = (0..200).map(|_| guesses(Racy(MemoryStore::new()), 10)).find(|answered| *answered > 5);
    report(&format!("{} guesses: {answered} answered; read, then write: {racy:?} of 400", CLIENTS * each));
    assert_eq!(answered, 5);
    assert!(racy.is_some());
}

/// How many of the guesses of forty clients are answered.
fn guesses(store: impl Store, each: usize) -> usize {
    let guarded = Guarded::new(store, Policy::default());
    block_on(guarded.enroll(1));
    let typed: Vec<String> = wrong(1, guarded.now()).take(CLIENTS * each).collect();
    let (answered, start) = (AtomicUsize::new(0), Barrier::new(CLIENTS));
    std::thread::scope(|scope| {
        for typed in typed.chunks(each) {
            let (guarded, answered, start) = (&guarded, &answered, &start);
            scope.spawn(move || {
                start.wait();
                for typed in typed {
                    match block_on(guarded.verify(typed)) {
                        Ok(Answer::Refused(Refusal::WrongCode)) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Ok(Answer::Refused(Refusal::Throttled { .. })) => {}
                        Err(error) => assert_eq!(error.kind(), GuardErrorKind::Contended),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    // Nor is the right code compared now.
    let right = block_on(guarded.verify(&code(1, guarded.now()))).unwrap();
    assert!(matches!(right, Answer::Refused(Refusal::Throttled { .. })), "{right:?}");
    answered.into_inner()
}

/// A code and a recovery code, by forty threads.
#[test]
fn one_of_many_is_accepted() {
    for _ in 0..20 {
        let guarded = Guarded::new(MemoryStore::new(), Policy::default());
        let (_, codes) = block_on(guarded.enroll(1));
        for typed in [code(1, guarded.now()), codes[0].clone()] {
            assert_eq!(accepted(&guarded.guard, &typed), 1);
        }
    }
}

#[test]
fn a_store_that_reads_and_then_writes_accepts_more() {
    assert!((0..200).any(|_| {
        let guarded = Guarded::new(Racy(MemoryStore::new()), Policy::default());
        let (_, codes) = block_on(guarded.enroll(1));
        accepted(&guarded.guard, &code(1, guarded.now())) > 1 || accepted(&guarded.guard, &codes[0]) > 1
    }));
}

fn accepted(guard: &Guard<impl Store>, typed: &str) -> usize {
    let start = Barrier::new(CLIENTS);
    let attempt = || {
        start.wait();
        block_on(guard.verify(ACCOUNT, typed)).is_ok_and(|verdict| Answer::from(verdict) == Answer::Accepted)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(attempt)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).filter(|accepted| *accepted).count()
    })
}

#[test]
#[ignore = "what the other tests run in processes of their own"]
fn worker() {
    processes::work();
}

const CLIENTS: usize = 40;
