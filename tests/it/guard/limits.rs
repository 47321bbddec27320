use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use futures_lite::future::block_on;
use keyfob::guard::{
    Adoptee, Confirmation, EventKind, Flow, GuardError, GuardErrorKind, Purpose, Randomness, Refusal, Setup,
};
use keyfob::store::{MemoryStore, Store, Swap, Version};
use keyfob::{Guard, KeyUri, Policy, Secret, Verdict, Window};

use super::{AL, DAY, Phone, T, World, YEAR, keyring, kind};

#[test]
fn without_a_clock_there_is_no_answer() {
    let (world, mut phone, codes) = World::enrolled();
    let proof = world.prove(&mut phone, &Purpose::DISABLE);
    let (before, typed) = (world.stored(AL), phone.code(world.now() + 30));
    world.at(None);
    let guard = &world.guard;
    let kinds = [
        kind(world.try_verify(AL, &typed)),
        kind(world.try_verify(AL, &codes[0])),
        kind(world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof))),
        kind(block_on(guard.confirm(AL, &typed))),
        kind(block_on(guard.resync(AL, &typed, &typed))),
        kind(block_on(guard.check(AL, &proof, &Purpose::DISABLE))),
        kind(block_on(guard.disable(AL, &proof))),
        kind(block_on(guard.status(AL))),
    ];
    assert_eq!(kinds, [GuardErrorKind::Clock; 8]);
    assert_eq!(world.stored(AL), before);
}

#[test]
fn used_steps_stay_used_over_all_jumps_of_the_clock() {
    // Nothing is learned, and the budget is not what refuses.
    let (world, phone, _) =
        World::enrolled_with(Policy::default().with_window(Window::CURRENT), &Setup::totp("al@example.com"));
    let lift = || block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    let begin = world.now();
    let mut last = phone.step(begin) - 1;
    for jump in [0, 30, -30, 3600, -3600, 86_400, -86_400, 0, 31_536_000, -31_536_000, 60, 63_072_000, 1, 31_536_000] {
        world.at(begin.saturating_add_signed(jump));
        let here = phone.step(world.now());
        for step in here - 2..=here + 2 {
            lift();
            let good = step > last && step == here;
            assert_eq!(world.verify(&phone.hotp.code(step).to_string()).is_ok(), good, "I1, I2: {jump} {step}");
            last = if good { step } else { last };
        }
    }
}

#[test]
fn a_year_ahead_and_back_locks_nobody_out_of_recovery() {
    let (world, phone, codes) = World::enrolled();
    let now = world.now();
    world.at(now + YEAR);
    world.fail(&phone, 8);
    world.at(now);
    let Err(Refusal::Throttled { retry_at }) = world.verify(&phone.wrong(now)) else { panic!() };
    assert!(retry_at <= now + 3600, "I9");
    assert!(world.verify(&codes[0]).is_ok());
    world.at(now + 2 * YEAR);
    assert!(world.verify(&phone.hotp.code(phone.step(world.now())).to_string()).is_ok());
}

#[test]
fn without_randomness_nothing_is_made_and_nothing_is_lost() {
    // The source fails at the n-th call, for every n that is reached.
    let failing = |at: usize| {
        let calls = AtomicUsize::new(0);
        Randomness::new(move |buffer| {
            buffer.fill(calls.load(SeqCst).to_le_bytes()[0]);
            if calls.fetch_add(1, SeqCst) == at { Err(()) } else { Ok(()) }
        })
    };
    let failures = |attempt: &dyn Fn(&mut World) -> Result<(), GuardError>, world: &dyn Fn() -> World| {
        (0..)
            .take_while(|&at| {
                let mut world = world();
                let guard = std::mem::replace(&mut world.guard, World::new().guard);
                world.guard = guard.with_randomness(failing(at));
                let before = world.stored(AL);
                match attempt(&mut world) {
                    Ok(()) => false,
                    Err(error) => {
                        assert_eq!(error.kind(), GuardErrorKind::Randomness);
                        assert_eq!(world.stored(AL), before);
                        true
                    }
                }
            })
            .count()
    };
    // Secret, id, nonce, generation.
    assert_eq!(failures(&|world| world.enroll(AL, &Setup::totp("al@example.com"), None).map(drop), &World::new), 4);

    // To confirm takes none. The recovery codes do: their key, ten codes, id, nonce.
    for at in 0..=13 {
        let mut world = World::new();
        let mut phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
        world.guard = world.guard.with_randomness(failing(at));
        let typed = phone.code(T);
        let confirmed = match block_on(world.guard.confirm(AL, &typed)).unwrap() {
            Confirmation::Confirmed(confirmed) => confirmed,
            Confirmation::Refused { refusal, .. } => panic!("{refusal:?}"),
        };
        let (codes, kind) = (confirmed.recovery_codes().is_some(), GuardErrorKind::Randomness);
        assert_eq!((codes, world.status().recovery_codes_left()), if at < 13 { (false, 0) } else { (true, 10) });
        let failed = EventKind::Failed { flow: Flow::RecoveryCodes, kind };
        assert_eq!(world.heard().contains(&failed), at < 13);
        // There is a way to them.
        world.guard = world.guard.with_randomness(super::randomness(at as u64));
        let proof = world.prove(&mut phone, &Purpose::REGENERATE);
        assert!(block_on(world.guard.regenerate_recovery_codes(AL, &proof)).is_ok());
        assert_eq!(world.status().recovery_codes_left(), 10);
    }

    let enrolled = || World::enrolled().0;
    let proof = {
        let (world, mut phone, _) = World::enrolled();
        world.prove(&mut phone, &Purpose::REGENERATE)
    };
    let regenerate = |world: &mut World| {
        world.pass(30);
        block_on(world.guard.regenerate_recovery_codes(AL, &proof)).map(drop)
    };
    assert_eq!(failures(&regenerate, &enrolled), 13);
    // A voucher takes an id, and a new recovery code its symbols.
    let vouch = |world: &mut World| block_on(world.guard.operator_vouch(AL, &crate::operator())).map(drop);
    assert_eq!(failures(&vouch, &enrolled), 1);
    let accepted = std::cell::RefCell::new(None);
    let recovered = || {
        let (world, _, codes) = World::enrolled();
        accepted.replace(Some(world.verify(&codes[0]).unwrap()));
        world
    };
    let replace = |world: &mut World| {
        let accepted = accepted.borrow();
        block_on(world.guard.replace_recovery_code(accepted.as_ref().unwrap())).map(drop)
    };
    assert_eq!(failures(&replace, &recovered), 1);
    // An authenticator that is adopted takes an id and a nonce, and the record a generation. One that fails takes all of
    // the user's with it, so that the next run finds none of them.
    let adoptees = [1, 2].map(|seed| {
        let uri = KeyUri::totp("Old", "al", &Secret::from_bytes(&[seed; 20]).unwrap()).unwrap();
        Adoptee { user: AL.into(), uri, last_used: None, name: String::new() }
    });
    let adopt = |world: &mut World| {
        let mut answers = block_on(world.guard.adopt_batch(&adoptees, &crate::operator())).unwrap();
        let (second, first) = (answers.pop().unwrap(), answers.pop().unwrap());
        assert_eq!(second.is_ok(), first.is_ok());
        first.map(drop)
    };
    assert_eq!(failures(&adopt, &World::new), 5);
    let old = || enrolled().again(Policy::default(), &keyring(&["2027", "2026"]));
    assert_eq!(failures(&|world| block_on(world.guard.reseal(AL)).map(drop), &old), 2);

    // A login needs none, not even when a new key waits.
    let (world, mut phone, _) = World::enrolled();
    let mut world = world.again(Policy::default(), &keyring(&["2027", "2026"]));
    world.guard = world.guard.with_randomness(Randomness::new(|_| Err(())));
    assert!(world.verify(&phone.code(world.now())).is_ok());
    assert_eq!(world.status().keys()[0].as_str(), "2026");
}

/// A store whose swaps go wrong for a while.
struct Faulty {
    inner: Arc<MemoryStore>,
    loads: AtomicUsize,
    /// So many swaps in a row, and how.
    bad: AtomicUsize,
    fault: Fault,
}

#[derive(Clone, Copy)]
enum Fault {
    /// Somebody else was faster.
    Conflict,
    /// The answer was lost on the way back.
    Lost,
    /// Nothing took effect.
    Down,
}

impl Store for Faulty {
    type Error = io::Error;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, io::Error> {
        self.loads.fetch_add(1, SeqCst);
        Ok(self.inner.load(account).await.unwrap())
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, io::Error> {
        let bad = self.bad.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        match self.fault {
            Fault::Conflict if bad => return Ok(Swap::Conflict),
            Fault::Down if bad => return Err(io::ErrorKind::TimedOut.into()),
            _ => {}
        }
        let swap = self.inner.swap(account, expected, record).await.unwrap();
        if bad { Err(io::ErrorKind::TimedOut.into()) } else { Ok(swap) }
    }
}

/// A guard over the world's record whose next swaps go wrong, and what it says of a code.
fn through(world: &World, bad: usize, fault: Fault) -> (Guard<Arc<Faulty>>, Arc<Faulty>) {
    let (loads, bad) = (AtomicUsize::new(0), AtomicUsize::new(bad));
    let store = Arc::new(Faulty { inner: world.store.clone(), loads, bad, fault });
    let now = world.now();
    let events = world.events.clone();
    let guard = Guard::new(store.clone(), keyring(&["2026"]), "Example")
        .with_clock(move || Some(now))
        .with_events(move |event| events.lock().unwrap().push(event.clone()));
    (guard, store)
}

#[test]
fn eight_swaps_may_be_lost() {
    let (world, mut phone, _) = World::enrolled();
    for bad in 0..=10 {
        world.pass(30);
        let typed = phone.code(world.now());
        let before = world.stored(AL);
        let (guard, store) = through(&world, bad, Fault::Conflict);
        let verdict = block_on(guard.verify(AL, &typed));
        assert_eq!(store.loads.load(SeqCst), (bad + 1).min(8), "G4");
        if bad < 8 {
            assert!(matches!(verdict.unwrap(), Verdict::Accepted(_)));
            assert_eq!(world.heard().len(), 1, "an attempt is told of once");
        } else {
            assert_eq!(kind(verdict), GuardErrorKind::Contended);
            assert_eq!(world.stored(AL), before, "I6");
            let (flow, kind) = (Flow::Verify, GuardErrorKind::Contended);
            assert_eq!(world.heard(), [EventKind::Failed { flow, kind }]);
        }
    }
}

#[test]
fn an_unknown_outcome_is_no_verdict() {
    let (world, mut phone, codes) = World::enrolled();
    for (fault, again) in [(Fault::Lost, false), (Fault::Down, true)] {
        world.pass(DAY);
        let code = if again { &codes[0] } else { &codes[1] };
        for typed in [&phone.code(world.now()), code] {
            let (guard, _) = through(&world, 1, fault);
            let error = block_on(guard.verify(AL, typed)).unwrap_err();
            assert_eq!(error.kind(), GuardErrorKind::Store);
            let said = std::error::Error::source(&error).unwrap().to_string();
            assert!(!error.to_string().contains(&said), "{error}: {said}");
            let (flow, kind) = (Flow::Verify, GuardErrorKind::Store);
            assert_eq!(world.heard(), [EventKind::Failed { flow, kind }], "I5");
            // What took effect is used up, and what did not is not.
            match world.verify(typed) {
                Ok(_) => assert!(again, "G5: {typed}"),
                Err(reason) => assert!(!again && reason == Refusal::Replayed),
            }
            world.heard();
        }
    }
}

/// Who can write to the database can remove the record, and no record is no second factor: the login has to know
/// by other means that there was one.
#[test]
fn a_record_that_was_deleted_is_an_account_without_a_second_factor() {
    let (world, mut phone, codes) = World::enrolled();
    let version = world.stored(AL).map(|(version, _)| version);
    assert_eq!(block_on(world.store.swap(AL, version, None)).unwrap(), Swap::Swapped);
    assert!(!world.status().is_active());
    for typed in [&phone.code(world.now()), &codes[0]] {
        assert_eq!(world.verify(typed).unwrap_err(), Refusal::NotEnrolled);
    }
    assert!(world.enroll(AL, &Setup::totp("al@example.com"), None).is_ok());
}
