//! Requests whose caller gives up: a client that hangs up, a timeout that fires.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;
use keyfob::guard::{Confirmation, EventKind, Flow, GuardErrorKind, Purpose, Refusal, Setup};
use keyfob::store::{MemoryStore, Store, Swap, Version};
use keyfob::{Guard, Policy, Verdict};

use super::{AL, DAY, Phone, T, World, keyring, kind};

/// Where a store stops answering.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stop {
    Load,
    BeforeTheChange,
    AfterTheChange,
    /// After so many changes, of which the last is stored.
    AfterChanges(usize),
}

pub struct Stopping {
    inner: Arc<MemoryStore>,
    stop: Mutex<Stop>,
    changes: AtomicUsize,
}

impl Stopping {
    fn at(&self) -> Stop {
        *self.stop.lock().unwrap()
    }

    async fn change(&self, change: impl Future<Output = Result<Swap, std::convert::Infallible>>) -> Swap {
        if self.at() == Stop::BeforeTheChange {
            std::future::pending::<()>().await;
        }
        let Ok(swap) = change.await;
        let changes = self.changes.fetch_add(1, SeqCst) + 1;
        if self.at() == Stop::AfterTheChange || self.at() == Stop::AfterChanges(changes) {
            std::future::pending::<()>().await;
        }
        swap
    }
}

impl Store for Stopping {
    type Error = std::convert::Infallible;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        if self.at() == Stop::Load {
            std::future::pending::<()>().await;
        }
        self.inner.load(account).await
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        Ok(self.change(self.inner.swap(account, expected, record)).await)
    }
}

/// A guard over the world's records, clock and listener whose store stops answering.
pub fn stopping(world: &World, stop: Stop) -> Guard<Arc<Stopping>> {
    let (inner, stop) = (world.store.clone(), Mutex::new(stop));
    let (clock, events) = (world.clock.clone(), world.events.clone());
    Guard::new(Arc::new(Stopping { inner, stop, changes: AtomicUsize::new(0) }), keyring(&["2026"]), "Example")
        .with_clock(move || *clock.lock().unwrap())
        .with_randomness(super::randomness(11))
        .with_events(move |event| events.lock().unwrap().push(event.clone()))
}

/// Asks, and gives up as soon as there is something to wait for.
pub fn given_up<T>(request: impl Future<Output = T>) -> bool {
    pin!(request).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// The answer of a request that has nothing to wait for.
pub fn at_once<T>(request: impl Future<Output = T>) -> T {
    match pin!(request).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits for the store"),
    }
}

/// Every flow that changes something says so if it is dropped, and whether it may have changed something.
#[test]
fn every_flow_reports_that_it_was_dropped() {
    for (stop, may_have_changed) in [(Stop::Load, false), (Stop::BeforeTheChange, true), (Stop::AfterTheChange, true)] {
        for flow in [
            Flow::Acknowledge,
            Flow::CancelEnrollment,
            Flow::Confirm,
            Flow::Disable,
            Flow::Enroll,
            Flow::OperatorInvalidateCodes,
            Flow::OperatorUnlock,
            Flow::OperatorRemove,
            Flow::OperatorVouch,
            Flow::Redeem,
            Flow::RegenerateRecoveryCodes,
            Flow::Rename,
            Flow::ReplaceRecoveryCode,
            Flow::Resync,
            Flow::Revoke,
            Flow::Verify,
        ] {
            let (world, mut phone, codes) =
                World::enrolled_with(Policy::default().with_notices(), &Setup::totp("al@example.com"));
            let recovered = world.verify(&codes[0]).unwrap();
            let prove = |phone: &mut Phone, purpose| world.prove(phone, purpose);
            let add = prove(&mut phone, &Purpose::ADD);
            let (other, _) = world.add(AL, &Setup::totp("al@example.com"), Some(&add));
            let purpose = match flow {
                Flow::CancelEnrollment | Flow::Confirm | Flow::Enroll => Purpose::ADD,
                Flow::Disable => Purpose::DISABLE,
                Flow::RegenerateRecoveryCodes => Purpose::REGENERATE,
                Flow::Rename => Purpose::RENAME,
                _ => Purpose::REVOKE,
            };
            let proof = prove(&mut phone, &purpose);
            let mut typed = String::from("000000");
            if let Flow::CancelEnrollment | Flow::Confirm = flow {
                let mut third = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof)).unwrap());
                typed = third.code(world.now());
            }
            // A login with a recovery code that nothing has changed since, for the flow that needs one.
            let recovered = match flow {
                Flow::ReplaceRecoveryCode => world.verify(&codes[1]).unwrap(),
                _ => recovered,
            };
            let voucher = block_on(world.guard.operator_vouch(AL, &crate::operator())).unwrap();
            let notice = world.status().notices()[0];
            let guard = stopping(&world, stop);
            let before = world.stored(AL);
            world.heard();
            let dropped = match flow {
                Flow::Acknowledge => given_up(guard.acknowledge(AL, notice)),
                Flow::CancelEnrollment => given_up(guard.cancel_enrollment(AL)),
                Flow::OperatorVouch => given_up(guard.operator_vouch(AL, &crate::operator())),
                Flow::Redeem => given_up(guard.redeem(&voucher)),
                Flow::ReplaceRecoveryCode => given_up(guard.replace_recovery_code(&recovered)),
                Flow::Confirm => given_up(guard.confirm(AL, &typed)),
                Flow::Disable => given_up(guard.disable(AL, &proof)),
                Flow::Enroll => given_up(guard.enroll_another(AL, &Setup::totp("al@example.com"), &proof)),
                Flow::OperatorInvalidateCodes => given_up(guard.operator_invalidate_codes(AL, &crate::operator())),
                Flow::OperatorUnlock => given_up(guard.operator_unlock(AL, &crate::operator())),
                Flow::OperatorRemove => given_up(guard.operator_remove(AL, &crate::operator())),
                Flow::RegenerateRecoveryCodes => given_up(guard.regenerate_recovery_codes(AL, &proof)),
                Flow::Rename => given_up(guard.rename(AL, &other.id, "x", &proof)),
                Flow::Resync => given_up(guard.resync(AL, "000000", "000001")),
                Flow::Revoke => given_up(guard.revoke(AL, &other.id, &proof)),
                _ => given_up(guard.verify(AL, &typed)),
            };
            assert!(dropped, "{flow:?} waits for nothing");
            assert_eq!(world.heard(), [EventKind::Dropped { flow, may_have_changed }], "{flow:?}, {stop:?}");
            assert_eq!(world.stored(AL) != before, stop == Stop::AfterTheChange, "{flow:?}, {stop:?}");
        }
    }
}

/// One event for each guess that was counted, whoever hangs up; and the one that ends the budget says that as well.
#[test]
fn a_hundred_guesses_that_are_dropped_are_a_hundred_events() {
    let (world, phone, _) = World::enrolled();
    let guard = stopping(&world, Stop::AfterTheChange);
    for guess in 1..=100 {
        if let Some(retry_at) = world.status().retry_at() {
            world.at(retry_at);
        }
        world.heard();
        assert!(given_up(guard.verify(AL, &phone.wrong(world.now()))));
        assert_eq!(world.status().consecutive_failures(), guess);
        let mut expected = vec![EventKind::Dropped { flow: Flow::Verify, may_have_changed: true }];
        expected.extend((guess == 100).then_some(EventKind::Exhausted));
        assert_eq!(world.heard(), expected, "{guess}");
    }
    assert!(world.status().is_exhausted());
}

/// Also where a server died before it could say so.
#[test]
fn that_the_budget_is_exhausted_is_said_again() {
    let (world, phone, _) = World::enrolled();
    let exhausted = |world: &World| {
        let reason = world.verify(&phone.wrong(world.now())).unwrap_err();
        assert!(matches!(reason, Refusal::Exhausted { .. }));
        world.heard().contains(&EventKind::Exhausted)
    };
    world.edit(|record| record["budget"]["failures"] = 100.into());
    world.heard();
    // With the next refusal, and then once a day: whoever goes on does not send a notice with each request.
    assert!(exhausted(&world));
    let stored = world.stored(AL);
    for pass in [0, 1, DAY - 2] {
        world.pass(pass);
        assert!(!exhausted(&world), "{pass}");
    }
    assert_eq!(world.stored(AL), stored, "a refusal was written");
    world.pass(1);
    assert!(exhausted(&world) && !exhausted(&world));
    // From a budget that was refilled on, it begins anew.
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    world.edit(|record| record["budget"]["failures"] = 100.into());
    assert!(exhausted(&world) && !exhausted(&world));
}

/// The first recovery codes of an account are stored by a change of their own.
#[test]
fn a_first_confirmation_that_is_dropped_has_a_way_to_recovery_codes() {
    for (stop, left) in [(Stop::AfterChanges(1), 0), (Stop::AfterChanges(2), 10)] {
        let world = World::new();
        let mut phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
        world.heard();
        let guard = stopping(&world, stop);
        assert!(given_up(guard.confirm(AL, &phone.code(T))));
        let heard = world.heard();
        let flow = if left == 0 { Flow::Confirm } else { Flow::RecoveryCodes };
        assert!(heard.contains(&EventKind::Dropped { flow, may_have_changed: true }), "{heard:?}");
        let status = world.status();
        assert!(status.is_active() && status.recovery_codes_left() == left);
        let proof = world.prove(&mut phone, &Purpose::REGENERATE);
        let codes = block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        let code = codes.iter().next().unwrap();
        assert!(world.verify(code).is_ok());
    }
}

/// An error behind the commit is as silent as a caller who is gone, unless it is reported.
#[test]
fn a_change_that_fails_is_reported_with_its_flow() {
    let (world, mut phone, _) = World::enrolled();
    let proof = world.prove(&mut phone, &Purpose::REVOKE);
    world.heard();
    assert_eq!(kind(block_on(world.guard.disable(AL, &proof))), GuardErrorKind::ProofRejected);
    let failed = |flow| EventKind::Failed { flow, kind: GuardErrorKind::ProofRejected };
    assert_eq!(world.heard(), [failed(Flow::Disable)]);
    assert_eq!(kind(block_on(world.guard.check(AL, &proof, &Purpose::ADD))), GuardErrorKind::ProofRejected);
    assert_eq!(world.heard(), [failed(Flow::Check)]);
}

#[test]
fn nothing_follows_on_a_verdict_that_could_delay_it() {
    let (world, mut phone, codes) = World::enrolled();
    for typed in [phone.code(world.now()), codes[0].clone()] {
        world.edit(|record| record["budget"]["failures"] = 0.into());
        let inner = world.store.clone();
        let store = Stopping { inner, stop: Mutex::new(Stop::AfterChanges(2)), changes: AtomicUsize::new(0) };
        let now = world.now();
        let guard = Guard::new(store, keyring(&["2027", "2026"]), "Example").with_clock(move || Some(now));
        // One change, which the verdict needs. Nothing is sealed under the new key on the way.
        let mut request = pin!(guard.verify(AL, &typed));
        let Poll::Ready(verdict) = request.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a second change")
        };
        assert!(matches!(verdict.unwrap(), Verdict::Accepted(_)));
        assert_eq!(world.status().keys()[0].as_str(), "2026");
        // The control: the second change is the one where the store stops answering.
        assert!(given_up(guard.reseal(AL)));
        assert_eq!(world.status().keys()[0].as_str(), "2027");
        // Back under the old one, for the next round.
        let back = world.again(Policy::default(), &keyring(&["2026", "2027"]));
        assert!(block_on(back.guard.reseal(AL)).unwrap());
    }
}

/// It is called after the commit, so the answer is the caller's whatever it does, and so are the other events.
#[test]
fn a_listener_that_panics_takes_no_answer_with_it() {
    let (world, mut phone, codes) = World::enrolled();
    let heard = Arc::new(AtomicUsize::new(0));
    let (listener, now) = (heard.clone(), world.now());
    let guard = Guard::new(world.store.clone(), keyring(&["2026"]), "Example")
        .with_clock(move || Some(now))
        .with_events(move |_| {
            listener.fetch_add(1, SeqCst);
            panic!("the mail server is down")
        });
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let answers = [&phone.code(now), &codes[0]].map(|typed| block_on(guard.verify(AL, typed)).unwrap());
    let refused = block_on(guard.confirm(AL, "123456")).map(|_| ());
    let guard = stopping(&world, Stop::AfterTheChange).with_events(|_| panic!("again"));
    let dropped = given_up(guard.verify(AL, "123456"));
    std::panic::set_hook(hook);
    assert!(answers.iter().all(|verdict| matches!(verdict, Verdict::Accepted(_))));
    assert!(dropped && kind(refused) == GuardErrorKind::NoEnrollment);
    // Accepted, accepted and recovered, failed.
    assert_eq!(heard.load(SeqCst), 4);
}

/// Requests that lose their swaps may wait for a moment before they try again, and the wait is drawn for each.
#[test]
fn a_swap_that_was_lost_waits_for_a_random_moment() {
    let world = World::new();
    let waits = Arc::new(Mutex::new(Vec::new()));
    let waited = waits.clone();
    let store = Arc::new(Losing { inner: MemoryStore::new(), left: AtomicUsize::new(0) });
    let guard = Guard::new(store.clone(), keyring(&["2026"]), "Example").with_sleep(move |duration| {
        waited.lock().unwrap().push(duration);
        std::future::ready(())
    });
    let enrollment = block_on(guard.enroll(AL, &Setup::totp("al"))).unwrap();
    assert!(waits.lock().unwrap().is_empty(), "nothing was lost");
    store.left.store(7, SeqCst);
    let answer = block_on(guard.confirm(AL, "000000")).unwrap();
    assert!(matches!(answer, Confirmation::Refused { .. }));
    let waits = std::mem::take(&mut *waits.lock().unwrap());
    assert_eq!(waits.len(), 7);
    for (round, wait) in waits.iter().enumerate() {
        assert!(wait.as_micros() < 2048 << round, "{round}: {wait:?}");
    }
    assert!(waits.iter().any(|wait| wait.as_millis() > 0) && waits.windows(2).any(|pair| pair[0] != pair[1]));
    drop((world, enrollment));
}

struct Losing {
    inner: MemoryStore,
    left: AtomicUsize,
}

impl Store for Losing {
    type Error = std::convert::Infallible;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        self.inner.load(account).await
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        let lost = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if lost { Ok(Swap::Conflict) } else { self.inner.swap(account, expected, record).await }
    }
}

/// Whatever comes of an attempt, it is an event, and so is a proof that is rejected or missing.
#[test]
fn every_attempt_is_an_event() {
    let (world, mut phone, codes) = World::enrolled();
    let right = phone.code(world.now());
    assert!(world.verify(&right).is_ok());
    assert!(matches!(&*world.heard(), [EventKind::Accepted { .. }]));
    assert!(world.verify(&codes[0]).is_ok());
    assert!(matches!(&*world.heard(), [EventKind::Accepted { .. }, EventKind::Recovered { left: 9 }]));
    let wrong = phone.wrong(world.now());
    for (typed, reason) in [
        (&*right, Refusal::Replayed),
        (&wrong, Refusal::WrongCode),
        ("12345", Refusal::Malformed),
        (&codes[0], Refusal::Replayed),
        (&codes[1][1..], Refusal::Malformed),
    ] {
        assert_eq!(world.verify(typed).unwrap_err(), reason);
        assert_eq!(world.heard(), [EventKind::Refused { reason }], "{typed}");
    }
    assert!(world.try_verify("bo", "123456").unwrap().is_err());
    assert_eq!(world.heard(), [EventKind::Refused { reason: Refusal::NotEnrolled }]);
    for (first, reason) in [(&*wrong, Refusal::WrongCode), ("12345", Refusal::Malformed)] {
        let _ = block_on(world.guard.resync(AL, first, &wrong)).unwrap();
        assert_eq!(world.heard(), [EventKind::Refused { reason }]);
    }
    let pending = Phone::of(&world.enroll("bo", &Setup::totp("bo@example.com"), None).unwrap());
    world.heard();
    for (typed, expected) in [(pending.wrong(world.now()), Refusal::WrongCode), ("12345".into(), Refusal::Malformed)] {
        let _ = block_on(world.guard.confirm("bo", &typed)).unwrap();
        assert!(matches!(&*world.heard(), [EventKind::EnrollmentRefused { reason, .. }] if *reason == expected));
    }

    let proof = world.prove(&mut phone, &crate::guard::proof::transfer());
    let guard = &world.guard;
    world.heard();
    let setup = Setup::totp("al@example.com");
    let rejected = GuardErrorKind::ProofRejected;
    for (flow, expected, answer) in [
        (Flow::Check, rejected, block_on(guard.check(AL, &proof, &Purpose::ADD))),
        (Flow::Enroll, rejected, block_on(guard.enroll_another(AL, &setup, &proof)).map(drop)),
        (Flow::Enroll, GuardErrorKind::ProofRequired, block_on(guard.enroll(AL, &setup)).map(drop)),
        (Flow::Rename, rejected, block_on(guard.rename(AL, &phone.id, "x", &proof))),
        (Flow::Revoke, rejected, block_on(guard.revoke(AL, &phone.id, &proof)).map(drop)),
        (Flow::RegenerateRecoveryCodes, rejected, block_on(guard.regenerate_recovery_codes(AL, &proof)).map(drop)),
        (Flow::Disable, rejected, block_on(guard.disable(AL, &proof)).map(drop)),
    ] {
        assert_eq!(kind(answer), expected);
        assert_eq!(world.events.lock().unwrap().remove(0).kind(), &EventKind::Failed { flow, kind: expected });
    }
    assert!(world.heard().is_empty());
}
