//! Commit before reveal: the verdict is that of the record it was stored in, whatever the store does meanwhile.
//!
//! Scripted stores, one thread: every run is the same.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_lite::future::{block_on, or, yield_now};
use keyfob::guard::{GuardErrorKind, Purpose, Refusal, Setup};
use keyfob::store::{MemoryStore, Store, StoreError, Swap, Version};
use keyfob::{KeyUri, Policy, Secret, Verdict};

use crate::guarded::{ACCOUNT, Answer, Guarded, Racy, code, copy, record, wrong};

const SEED: u8 = 1;

/// The record becomes another while the guard's swaps are lost.
#[test]
fn after_lost_swaps_the_verdict_is_that_of_the_new_record() {
    block_on(async {
        let (store, recovery_code, now) = enrolled().await;
        let original = record(&store).await;
        let (right, typed_wrong) = (code(SEED, now), wrong(SEED, now).nth(50).unwrap());
        let policy = Policy::default();
        let refused = |reason| Answer::Refused(reason);
        let throttled = refused(Refusal::Throttled { retry_at: now + 30 });
        let exhausted = refused(Refusal::Exhausted { retry_at: None });
        let (unknown, replayed) = (refused(Refusal::WrongCode), refused(Refusal::Replayed));
        let cases = [
            ("throttled", becomes(&store, now, Step::Throttled).await, &right, throttled),
            ("throttled", becomes(&store, now, Step::Throttled).await, &typed_wrong, throttled),
            ("exhausted", becomes(&store, now, Step::Exhausted).await, &right, exhausted),
            ("used", becomes(&store, now, Step::Used).await, &right, replayed),
            ("recovered", becomes(&store, now, Step::Recovered(&recovery_code)).await, &recovery_code, replayed),
            ("revoked", becomes(&store, now, Step::Revoked).await, &right, unknown),
            ("enrolled anew", becomes(&store, now, Step::EnrolledAnew).await, &right, unknown),
            ("removed", None, &right, refused(Refusal::NotEnrolled)),
        ];
        for (name, new, typed, expected) in cases {
            assert_eq!(Answer::of(new.as_deref(), &policy, now, typed), expected, "{name}");
            let before = Answer::of(original.as_deref(), &policy, now, typed);
            assert_ne!(before, expected, "{name}: the record before would answer the same");
            for lost in 1..8 {
                // Changes that look like nothing, and then the one that counts.
                let meddle = async |inner: &MemoryStore, swaps: usize| match swaps {
                    _ if swaps < lost => put(inner, original.as_deref()).await,
                    _ if swaps == lost => put(inner, new.as_deref()).await,
                    _ => {}
                };
                let attempt = async |lies| {
                    let script = Script { lies, ..Script::new(copy(&store).await, meddle) };
                    let guarded = at(script, now);
                    let answer = guarded.verify(typed).await.unwrap();
                    (answer, guarded.guard.store().loads.load(Ordering::SeqCst))
                };
                assert_eq!(attempt(false).await, (expected, lost + 1), "{name} after {lost}");
                // A store that hides that it lost shows what would be revealed without the second look.
                assert_eq!(attempt(true).await, (before, 1), "{name} after {lost}");
            }
        }
    });
}

#[test]
fn a_store_that_always_conflicts_gets_no_verdict() {
    block_on(async {
        let (store, recovery_code, now) = enrolled().await;
        let original = record(&store).await;
        for typed in [code(SEED, now), wrong(SEED, now).next().unwrap(), recovery_code] {
            let meddle = async |inner: &MemoryStore, _| put(inner, original.as_deref()).await;
            let guarded = at(Script::new(copy(&store).await, meddle), now);
            assert_eq!(guarded.verify(&typed).await.unwrap_err().kind(), GuardErrorKind::Contended);
            let script = guarded.guard.store();
            assert_eq!((script.loads.load(Ordering::SeqCst), script.swaps.load(Ordering::SeqCst)), (8, 8));
            assert_eq!(record(&script.inner).await, original);
        }
    });
}

/// A time-out after sending: the swap took effect, and nobody was told.
#[test]
fn an_unknown_outcome_is_no_verdict_and_no_second_try() {
    block_on(async {
        let (store, recovery_code, now) = enrolled().await;
        let nothing = async |_: &MemoryStore, _| {};
        for (commits, again) in [(true, Answer::Refused(Refusal::Replayed)), (false, Answer::Accepted)] {
            for typed in [&code(SEED, now), &recovery_code] {
                let failure = Some(commits);
                let guarded = at(Script { failure, ..Script::new(copy(&store).await, nothing) }, now);
                assert_eq!(guarded.verify(typed).await.unwrap_err().kind(), GuardErrorKind::Store);
                assert_eq!(guarded.guard.store().loads.load(Ordering::SeqCst), 1, "it was tried again");
                let inner = copy(&guarded.guard.store().inner).await;
                assert_eq!(at(inner, now).verify(typed).await.unwrap(), again, "commits: {commits}");
            }
            let guarded = at(Script { failure: Some(commits), ..Script::new(copy(&store).await, nothing) }, now);
            let guess = wrong(SEED, now).next().unwrap();
            assert_eq!(guarded.verify(&guess).await.unwrap_err().kind(), GuardErrorKind::Store);
            let status = guarded.guard.status(ACCOUNT).await.unwrap();
            assert_eq!(status.consecutive_failures(), u64::from(commits), "commits: {commits}");
        }
    });
}

/// An application's time-out drops the future after any number of polls of a slow store: nothing is told, and the record is
/// the one before or the one after. An answer is told only with the one after.
#[test]
fn an_attempt_that_is_given_up_was_made_or_not() {
    block_on(async {
        let (store, recovery_code, now) = enrolled().await;
        let original = record(&store).await;
        let guess = wrong(SEED, now).next().unwrap();
        let refused = |reason| Answer::Refused(reason);
        for (typed, first, again) in [
            (code(SEED, now), Answer::Accepted, Refusal::Replayed),
            (recovery_code, Answer::Accepted, Refusal::Replayed),
            (guess, refused(Refusal::WrongCode), Refusal::WrongCode),
        ] {
            let (mut before, mut after) = (0, 0);
            loop {
                let slow = at(Slow(copy(&store).await), now);
                let time_out = async {
                    for _ in 0..before + after {
                        yield_now().await;
                    }
                    None
                };
                let answer = or(async { Some(slow.verify(&typed).await.unwrap()) }, time_out).await;
                let left = record(&slow.guard.store().0).await;
                let then = Answer::of(left.as_deref(), &Policy::default(), now, &typed);
                match (answer, left == original) {
                    (None, true) => before += 1,
                    (None, false) => after += 1,
                    (Some(answer), false) => {
                        assert_eq!((answer, then), (first, refused(again)));
                        break;
                    }
                    (Some(answer), true) => panic!("{answer:?} was told, and nothing is stored"),
                }
                assert_eq!(then, if left == original { first } else { refused(again) });
            }
            assert!(before > PENDING && after >= PENDING, "{before} times before the swap, {after} after it");
        }
    });
}

/// Between load and swap the account is removed and enrolled again, with as many changes as it had.
#[test]
fn a_decision_on_a_former_life_of_the_account_is_dropped() {
    let answer = |store: Arc<dyn Fn() -> Restarting>| {
        block_on(async {
            let store = Arc::new(store());
            let owner = Guarded::new(store.clone(), Policy::default());
            let _ = owner.enroll(SEED).await;
            let now = owner.now();
            let (version, _) = store.load(ACCOUNT).await.unwrap().unwrap();
            // What a guard in another process has decided by now.
            let keyring = crate::guarded::keyring();
            let policy = Policy::default();
            let context = keyfob::guard::Context::new(ACCOUNT, now, &policy, &keyring).unwrap();
            let loaded = record(&store).await;
            let factor = keyfob::guard::SecondFactor::read(loaded.as_deref()).unwrap();
            let transition = factor.verify(&context, &code(SEED, now)).unwrap();
            let keyfob::guard::Change::Write(next) = transition.change() else { panic!() };

            owner.guard.erase(ACCOUNT).await.unwrap();
            let _ = owner.enroll(2).await;
            let swap = store.swap(ACCOUNT, Some(version), Some(next)).await.unwrap();
            let dropped = transition.committed(swap).is_err();
            let old = owner.verify(&code(SEED, owner.now())).await.unwrap();
            (dropped, old)
        })
    };
    assert_eq!(answer(Arc::new(Restarting::never)), (true, Answer::Refused(Refusal::WrongCode)));
    // Versions that begin anew bring the former phone back.
    assert_eq!(answer(Arc::new(Restarting::always)), (false, Answer::Accepted));
}

/// Sixty-four clients in step: all load, then all swap.
#[test]
fn clients_of_one_account_make_progress_until_they_are_throttled() {
    let (store, recovery_code, now) = block_on(enrolled());
    let guesses: Vec<String> = wrong(SEED, now).take(64).collect();
    let count =
        |answers: &[Result<Answer, GuardErrorKind>], wanted| answers.iter().filter(|one| **one == Ok(wanted)).count();
    let throttled = Answer::Refused(Refusal::Throttled { retry_at: now + 30 });
    let wrong_code = Answer::Refused(Refusal::WrongCode);

    let lockstep = at(Lockstep::new(block_on(copy(&store))), now);
    let answers = in_step(&lockstep, &guesses);
    assert_eq!(count(&answers, wrong_code), 5);
    assert_eq!(count(&answers, throttled), 59);
    // One wins each round, and nobody writes after the fifth.
    assert_eq!(lockstep.guard.store().swaps(), 64 + 63 + 62 + 61 + 60);
    let answers = in_step(&lockstep, &guesses);
    assert_eq!(count(&answers, throttled), 64);
    assert_eq!(lockstep.guard.store().swaps(), 310);

    let replayed = Answer::Refused(Refusal::Replayed);
    // The first repetition of an authenticator's code is not charged, the next five are.
    for (typed, replays) in [(code(SEED, now), 6), (recovery_code, 63)] {
        let lockstep = at(Lockstep::new(block_on(copy(&store))), now);
        let answers = in_step(&lockstep, &vec![typed; 64]);
        let counts = [Answer::Accepted, replayed, throttled].map(|answer| count(&answers, answer));
        assert_eq!(counts, [1, replays, 63 - replays]);
    }

    // A store that looks and then writes answers them all.
    let racy = at(Lockstep::new(Racy(block_on(copy(&store)))), now);
    assert_eq!(count(&in_step(&racy, &guesses), wrong_code), 64);
    let racy = at(Lockstep::new(Racy(block_on(copy(&store)))), now);
    assert_eq!(count(&in_step(&racy, &vec![code(SEED, now); 64]), Answer::Accepted), 64);
}

/// An account with one phone, a recovery code of it, and a moment at which the phone shows a fresh code.
async fn enrolled() -> (MemoryStore, String, u64) {
    let guarded = Guarded::new(MemoryStore::new(), Policy::default());
    let (_, codes) = guarded.enroll(SEED).await;
    (copy(guarded.guard.store()).await, codes[0].clone(), guarded.now())
}

fn at<S: Store>(store: S, now: u64) -> Guarded<S> {
    let guarded = Guarded::new(store, Policy::default());
    guarded.set(now);
    guarded
}

enum Step<'a> {
    Throttled,
    Exhausted,
    Used,
    Recovered(&'a str),
    Revoked,
    EnrolledAnew,
}

/// What somebody else makes of the record until `now`.
async fn becomes(store: &MemoryStore, now: u64, step: Step<'_>) -> Option<Vec<u8>> {
    let guarded = at(copy(store).await, now);
    match step {
        Step::Throttled => guarded.fail(SEED, 5).await,
        Step::Exhausted => {
            guarded.set(now - 40_000_000);
            for guess in wrong(SEED, now).take(100) {
                guarded.set(guarded.now() + 86_400);
                assert_eq!(guarded.verify(&guess).await.unwrap(), Answer::Refused(Refusal::WrongCode));
            }
        }
        Step::Used => assert_eq!(guarded.verify(&code(SEED, now)).await.unwrap(), Answer::Accepted),
        Step::Recovered(typed) => assert_eq!(guarded.verify(typed).await.unwrap(), Answer::Accepted),
        Step::Revoked => {
            // The phone is replaced by another, with a code that was fresh a moment before.
            let proof = |typed: String, purpose: Purpose| {
                let guarded = &guarded;
                async move {
                    let Verdict::Accepted(accepted) = guarded.guard.verify(ACCOUNT, &typed).await.unwrap() else {
                        panic!()
                    };
                    guarded.guard.prove(&accepted, &purpose)
                }
            };
            let phone = guarded.guard.status(ACCOUNT).await.unwrap().authenticators()[0].id().clone();
            let earlier = code(SEED, now - 30);
            let uri = KeyUri::totp("Example Inc", "alice", &Secret::from_bytes(&[2; 20]).unwrap()).unwrap();
            let add = proof(earlier, Purpose::ADD).await;
            guarded.guard.enroll_another(ACCOUNT, &Setup::import(&uri).unwrap(), &add).await.unwrap();
            let _ = guarded.guard.confirm(ACCOUNT, &code(2, now - 30)).await.unwrap();
            let revoke = proof(code(2, now), Purpose::REVOKE).await;
            guarded.guard.revoke(ACCOUNT, &phone, &revoke).await.unwrap();
        }
        Step::EnrolledAnew => {
            guarded.guard.operator_remove(ACCOUNT, &crate::operator()).await.unwrap();
            guarded.set(now - 60);
            let _ = guarded.enroll(2).await;
        }
    }
    record(guarded.guard.store()).await
}

/// Writes or removes, whatever is there: a new version in any case.
async fn put(store: &MemoryStore, record: Option<&[u8]>) {
    let version = store.load(ACCOUNT).await.unwrap().map(|(version, _)| version);
    assert_eq!(store.swap(ACCOUNT, version, record).await.unwrap(), Swap::Swapped);
}

/// A store that something happens in just before each swap.
struct Script<F> {
    inner: MemoryStore,
    meddle: F,
    loads: AtomicUsize,
    swaps: AtomicUsize,
    /// Says that lost swaps took effect.
    lies: bool,
    /// Fails, after the swap or without.
    failure: Option<bool>,
}

impl<F> Script<F> {
    fn new(inner: MemoryStore, meddle: F) -> Self {
        Self { inner, meddle, loads: AtomicUsize::new(0), swaps: AtomicUsize::new(0), lies: false, failure: None }
    }
}

impl<F: AsyncFn(&MemoryStore, usize) + Send + Sync> Store for Script<F> {
    type Error = StoreError;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok(self.inner.load(account).await?)
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        let swaps = self.swaps.fetch_add(1, Ordering::SeqCst) + 1;
        block_on((self.meddle)(&self.inner, swaps));
        if self.failure == Some(false) {
            return Err("no connection".into());
        }
        let outcome = self.inner.swap(account, expected, record).await?;
        match self.failure {
            Some(_) => Err("no answer in time".into()),
            None if self.lies => Ok(Swap::Swapped),
            None => Ok(outcome),
        }
    }
}

/// A store that takes its time before and after whatever it does.
struct Slow(MemoryStore);

const PENDING: usize = 5;

impl Slow {
    async fn wait() {
        for _ in 0..PENDING {
            yield_now().await;
        }
    }
}

impl Store for Slow {
    type Error = Infallible;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, Infallible> {
        Self::wait().await;
        let loaded = self.0.load(account).await;
        Self::wait().await;
        loaded
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Infallible> {
        Self::wait().await;
        let swap = self.0.swap(account, expected, record).await;
        Self::wait().await;
        swap
    }
}

/// A store whose versions count the changes of a life, or of all lives.
struct Restarting {
    records: Mutex<HashMap<String, Life>>,
    restarts: bool,
}

type Life = (u64, Option<Vec<u8>>);

impl Restarting {
    fn never() -> Self {
        Self { records: Mutex::default(), restarts: false }
    }

    fn always() -> Self {
        Self { records: Mutex::default(), restarts: true }
    }

    fn change(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Swap {
        let mut records = self.records.lock().unwrap();
        let (version, stored) = records.entry(account.into()).or_default();
        if stored.as_ref().map(|_| Version::new(*version)) != expected {
            return Swap::Conflict;
        }
        *version = if self.restarts && record.is_none() { 0 } else { *version + 1 };
        *stored = record.map(Into::into);
        Swap::Swapped
    }
}

impl Store for Restarting {
    type Error = StoreError;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        let records = self.records.lock().unwrap();
        let Some((version, Some(record))) = records.get(account) else { return Ok(None) };
        Ok(Some((Version::new(*version), record.clone())))
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        Ok(self.change(account, expected, record))
    }
}

/// A store that lets the other clients go first, before each answer.
struct Lockstep<S> {
    inner: S,
    swaps: AtomicUsize,
}

impl<S> Lockstep<S> {
    fn new(inner: S) -> Self {
        Self { inner, swaps: AtomicUsize::new(0) }
    }

    fn swaps(&self) -> usize {
        self.swaps.load(Ordering::SeqCst)
    }
}

impl<S: Store> Store for Lockstep<S> {
    type Error = S::Error;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, S::Error> {
        let loaded = self.inner.load(account).await;
        yield_now().await;
        loaded
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, S::Error> {
        self.swaps.fetch_add(1, Ordering::SeqCst);
        let outcome = self.inner.swap(account, expected, record).await;
        yield_now().await;
        outcome
    }
}

/// A client for each, and each makes one step at a time.
fn in_step(guarded: &Guarded<impl Store>, typed: &[String]) -> Vec<Result<Answer, GuardErrorKind>> {
    let attempt = |typed| async move { guarded.verify(typed).await.map_err(|error| error.kind()) };
    let mut clients: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    typed.iter().for_each(|typed| clients.push(Box::pin(attempt(typed))));
    let mut answers = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while !clients.is_empty() {
        clients.retain_mut(|client| match client.as_mut().poll(&mut context) {
            Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            Poll::Pending => true,
        });
    }
    answers
}
