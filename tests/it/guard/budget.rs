use futures_lite::future::block_on;
use keyfob::Policy;
use keyfob::guard::{EventKind, GuardErrorKind, Refusal, Resynchronization, Setup};
use proptest::prelude::{Just, prop_oneof, proptest};
use serde_json::json;

use super::{AL, DAY, T, World, YEAR, budget, keyring, kind};

#[test]
fn five_are_free_then_waits_double_to_an_hour() {
    let (world, phone, _) = World::enrolled();
    world.fail(&phone, 4);
    for wait in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] {
        assert_eq!(world.verify(&phone.wrong(world.now())).unwrap_err(), Refusal::WrongCode);
        let (failed_at, before) = (world.now(), world.stored(AL));
        for later in [0, 1, wait - 1] {
            world.at(failed_at + later);
            let typed = phone.hotp.code(phone.step(world.now())).to_string();
            assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Throttled { retry_at: failed_at + wait });
            assert_eq!(world.status().retry_at(), Some(failed_at + wait));
        }
        assert_eq!(world.stored(AL), before, "a refusal without a comparison was written");
        world.pass(1);
        assert_eq!(world.status().retry_at(), None);
    }
}

#[test]
fn a_success_ends_the_waits() {
    let (world, mut phone, codes) = World::enrolled();
    for by_recovery in [false, true] {
        world.fail(&phone, 7);
        if by_recovery {
            assert!(world.verify(&codes[0]).is_ok());
        } else {
            world.pass(120);
            assert!(world.verify(&phone.code(world.now())).is_ok());
        }
        assert_eq!(world.status().consecutive_failures(), 0);
        world.pass(30);
        world.fail(&phone, 4);
        assert_eq!(world.status().retry_at(), None);
        world.pass(30);
        assert!(world.verify(&phone.code(world.now())).is_ok());
    }
}

/// A double click, or a client that retries, must not delay its owner. Were more repetitions free, somebody who has
/// observed one code could keep changing the record.
#[test]
fn the_first_repetition_of_a_code_is_free_and_the_next_are_charged() {
    for setup in [Setup::totp("al@example.com"), Setup::hotp("al@example.com")] {
        let (world, mut phone, _) = World::enrolled_with(Policy::default(), &setup);
        let mut typed = String::new();
        for (before, code) in [(0, 1), (5, 2)] {
            if before > 0 {
                world.at(world.status().retry_at());
            }
            typed = phone.code(world.now());
            assert!(world.verify(&typed).is_ok());
            assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Replayed);
            assert_eq!(world.status().consecutive_failures(), 0, "code {code}: the first repetition is charged");
            let stored = world.stored(AL);
            for failures in 1..=5 {
                assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Replayed);
                assert_eq!(world.status().consecutive_failures(), failures, "code {code}: a repetition is free");
            }
            assert_ne!(world.stored(AL), stored);
            assert!(matches!(world.verify(&typed), Err(Refusal::Throttled { .. })));
        }
        // An older code is no repetition of the last one, even if it is still in the window.
        world.at(world.status().retry_at());
        assert!(world.verify(&phone.code(world.now())).is_ok());
        assert_eq!(world.verify(&typed).is_err(), world.status().consecutive_failures() == 1);
    }
}

#[test]
fn a_hundred_in_a_row_are_the_end_until_it_is_lifted() {
    // A drain so fast that the long-term count stays out of the way.
    let policy = Policy::default().with_long_term(100, 24).unwrap();
    let (world, mut phone, codes) = World::enrolled_with(policy, &Setup::totp("al@example.com"));
    world.fail(&phone, 99);
    assert!(!world.heard().contains(&EventKind::Exhausted));
    world.fail(&phone, 1);
    assert!(world.heard().contains(&EventKind::Exhausted));
    for passed in [0, DAY, 10 * YEAR] {
        world.pass(passed);
        assert_eq!(world.verify(&phone.code(world.now())).unwrap_err(), Refusal::Exhausted { retry_at: None });
        assert!(world.status().is_exhausted() && world.status().retry_at().is_none());
    }
    world.heard();
    assert!(world.verify(&codes[3]).is_ok());
    assert_eq!(world.heard()[1..], [EventKind::Recovered { left: 9 }, EventKind::Unlocked]);
    assert!(world.verify(&phone.code(world.now())).is_ok());

    world.fail(&phone, 100);
    assert!(world.status().is_exhausted());
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    assert!(!world.status().is_exhausted());
    assert_eq!(world.record()["budget"]["level"], 0);
    world.pass(30);
    assert!(world.verify(&phone.code(world.now())).is_ok());

    // One that is not exhausted is not refilled.
    world.fail(&phone, 9);
    let level = world.record()["budget"]["level"].clone();
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    assert_eq!((world.status().consecutive_failures(), world.record()["budget"]["level"].clone()), (0, level));
}

#[test]
fn the_long_term_count_is_drained_by_time_alone() {
    for (capacity, drain) in [(10u8, 1u8), (25, 4), (100, 4), (100, 24), (5, 24)] {
        let policy = Policy::default().with_long_term(capacity, drain).unwrap();
        let (world, mut phone, codes) = World::enrolled_with(policy, &Setup::totp("al@example.com"));
        let (begin, mut released) = (world.now(), 0u64);
        // The owner logs in, if that is possible, then three guesses, each hour for thirty days.
        for _ in 0..720 {
            world.pass(3600);
            let _ = world.verify(&phone.code(world.now()));
            for _ in 0..3 {
                match world.verify(&phone.wrong(world.now())) {
                    Err(Refusal::WrongCode) => released += 1,
                    Err(Refusal::Exhausted { retry_at: Some(retry_at) }) => {
                        assert!(retry_at > world.now());
                        assert!(retry_at - world.now() <= DAY / u64::from(drain), "I9: {retry_at}");
                    }
                    other => panic!("{other:?}"),
                }
            }
            let elapsed = world.now() - begin;
            assert!(released * DAY <= u64::from(capacity) * DAY + elapsed * u64::from(drain), "I3");
        }
        let elapsed = world.now() - begin;
        let most = u64::from(capacity) + elapsed * u64::from(drain) / DAY;
        assert!(released + 1 >= most.min(3 * 720), "{released} of {most}: stricter than it says");
        if world.status().is_exhausted() {
            let retry_at = world.status().retry_at().unwrap();
            world.at(retry_at - 1);
            assert!(matches!(world.verify(&phone.wrong(world.now())), Err(Refusal::Exhausted { .. })));
            world.at(retry_at);
            assert_eq!(world.verify(&phone.wrong(world.now())).unwrap_err(), Refusal::WrongCode);
            assert!(world.status().is_exhausted());
            assert!(world.verify(&codes[0]).is_ok());
            assert!(!world.status().is_exhausted());
        }
    }
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out_and_gives_nothing_away() {
    // A second more than an hour is no server that lags.
    for back in [3601, DAY, YEAR, 50 * YEAR] {
        let (world, phone, _) = World::enrolled();
        world.fail(&phone, 8);
        let then = world.now();
        world.at(then - back);
        let level = |world: &World| world.record()["budget"]["level"].as_u64().unwrap();
        let before = level(&world);
        // The wait begins anew, once, and ends.
        let Err(Refusal::Throttled { retry_at }) = world.verify(&phone.wrong(world.now())) else { panic!() };
        assert_eq!(retry_at, world.now() + 240);
        world.pass(239);
        assert_eq!(world.verify(&phone.wrong(world.now())).unwrap_err(), Refusal::Throttled { retry_at });
        world.pass(1);
        assert_eq!(world.verify(&phone.wrong(world.now())).unwrap_err(), Refusal::WrongCode);
        assert_eq!(world.status().consecutive_failures(), 9);
        // Not for the time that was counted before, nor for a day that may be another server's.
        let forgiven = if back <= DAY { 0 } else { 4 * 240 };
        assert_eq!(level(&world), before - forgiven + DAY, "a leak was gained");
        // Codes of steps that are spent stay so, in the past and in the present.
        let spent = world.record()["active"][0]["next"].as_u64().unwrap() - 1;
        world.at(then + DAY);
        let code = phone.hotp.code(spent).to_string();
        assert!(world.verify(&code).is_err());
        world.pass(DAY);
        assert!(world.verify(&phone.hotp.code(phone.step(world.now())).to_string()).is_ok());
    }
}

#[test]
fn a_clock_that_ran_ahead_is_said() {
    let (world, mut phone, _) = World::enrolled();
    let true_time = world.now();
    world.pass(YEAR);
    assert!(world.verify(&phone.code(world.now())).is_ok());
    world.at(true_time + 60);
    world.heard();
    assert!(world.verify(&phone.code(world.now())).is_err(), "I2");
    let behind = world.heard().into_iter().find_map(|kind| match kind {
        EventKind::ClockBehind { authenticator, seconds } if authenticator == phone.id => Some(seconds),
        _ => None,
    });
    assert!(behind.is_some_and(|seconds| seconds.abs_diff(YEAR) < 300), "{behind:?}");
}

#[test]
fn an_attempt_is_possible_when_it_is_said_to_be() {
    // Of the two counts, the one that forgives first is not the one that is waited for.
    let policy =
        Policy::default().with_waits(crate::guarded::waits(5, 86_400, 86_400)).unwrap().with_long_term(5, 24).unwrap();
    let (world, mut phone, _) = World::enrolled_with(policy, &Setup::totp("al@example.com"));
    world.fail(&phone, 5);
    assert!(world.status().is_exhausted());
    world.at(world.status().retry_at());
    assert!(world.verify(&phone.code(world.now())).is_ok());
}

/// Two servers, and the clock of one stands near 1970: who forgives the distance forgives everything, again and again.
#[test]
fn clocks_that_are_far_apart_forgive_nothing_twice() {
    let (world, phone, _) = World::enrolled();
    let mut compared = 0;
    for hour in 0..30 * 24 {
        world.at(T + hour * 3600);
        // The owner's logins end the waits.
        world.edit(|record| record["budget"]["failures"] = 0.into());
        for _ in 0..4 {
            let answer = world.verify(&phone.wrong(world.now()));
            compared += u32::from(answer.is_err_and(|reason| reason == Refusal::WrongCode));
        }
        world.at(1000 + hour * 3600);
        let _ = world.verify(&phone.wrong(world.now()));
    }
    assert!((100..=100 + 30 * 4).contains(&compared), "{compared}");
}

/// A wait is as long whichever server is asked, if they differ by an hour at most; further off, both counts still hold.
#[test]
fn a_server_that_lags_ends_no_wait() {
    for lag in [1, 60, 1800, 3600, 7200] {
        let (world, phone, _) = World::enrolled();
        world.fail(&phone, 8);
        let (now, before) = (world.now(), world.stored(AL));
        let throttled = Refusal::Throttled { retry_at: now + 240 };
        assert_eq!(world.verify(&phone.wrong(now)).unwrap_err(), throttled);
        world.at(now - lag);
        let there = world.verify(&phone.wrong(world.now())).unwrap_err();
        world.at(now);
        if lag > 3600 {
            // As a clock that was set back: the wait begins anew there, and is over here.
            assert_eq!(there, Refusal::Throttled { retry_at: now - lag + 240 });
            assert_eq!(world.verify(&phone.wrong(now)).unwrap_err(), Refusal::WrongCode);
            assert_eq!(world.status().consecutive_failures(), 9);
            continue;
        }
        assert_eq!((there, world.stored(AL)), (throttled, before), "something was written for it");
        assert_eq!(world.verify(&phone.wrong(now)).unwrap_err(), throttled);
        // Nor does a failure that is counted there, once the wait is over, begin its wait earlier.
        world.at(now + 240 + lag);
        assert_eq!(world.verify(&phone.wrong(world.now())).unwrap_err(), Refusal::WrongCode);
        let after = Refusal::Throttled { retry_at: now + 240 + lag + 480 };
        world.at(now + 240);
        assert_eq!(world.verify(&phone.wrong(world.now())).unwrap_err(), after);
        world.edit(|record| record["budget"]["failures"] = 0.into());
        assert_eq!(world.verify(&phone.wrong(world.now())).unwrap_err(), Refusal::WrongCode);
        assert_eq!(world.record()["budget"]["failed_at"], now + 240 + lag);
    }
}

/// Guesses at servers that lag, for thirty days, as many as are answered: all of them together stay within the total. In
/// some of these lives a clock was ahead by a year, once.
#[test]
fn servers_whose_clocks_differ_share_one_total() {
    for (lags, ahead) in [
        (&[0, 60][..], false),
        (&[0, 1800], false),
        (&[0, 7200], false),
        (&[0, DAY], false),
        (&[0, 6 * 3600], true),
        (&[6 * 3600, 0, 60], true),
        (&[0, 6 * 3600, DAY], true),
    ] {
        let (world, phone, _) = World::enrolled();
        let (begin, mut compared, mut former) = (world.now(), 0, Former::default());
        let mut guess = |now: u64| {
            world.at(now);
            // The owner's logins end the waits.
            world.edit(|record| record["budget"]["failures"] = 0.into());
            former.guess(now);
            let answer = world.verify(&phone.wrong(now));
            compared += u32::from(answer.is_err_and(|reason| reason == Refusal::WrongCode));
        };
        if ahead {
            guess(begin + YEAR);
        }
        for hour in 0..30 * 24 {
            lags.iter().for_each(|lag| guess(begin + hour * 3600 - lag));
        }
        assert!((200..=100 + 30 * 4).contains(&compared), "{lags:?}: {compared}");
        // The control: a count that goes back to the clock of whoever counts.
        assert!(!ahead || former.compared > 300, "{lags:?}: {}", former.compared);
    }
}

/// The long-term count, had a server that lags moved `level_at` back.
#[derive(Default)]
struct Former {
    level: u64,
    level_at: u64,
    until: u64,
    compared: u32,
}

impl Former {
    fn guess(&mut self, now: u64) {
        let since = if now >= self.until { self.until } else { self.level_at };
        let level = self.level.saturating_sub(now.saturating_sub(since) * 4);
        if level <= 99 * DAY {
            (self.level, self.level_at, self.until) = (level + DAY, now, self.until.max(now));
            self.compared += 1;
        } else {
            self.level_at = self.level_at.min(now);
        }
    }
}

#[test]
fn an_attempt_that_is_barred_compares_nothing_and_writes_nothing() {
    for (failures, level) in [(5, 0), (100, 0), (0, 8_640_000)] {
        let (world, mut phone, _) = World::enrolled();
        let now = world.now();
        world.edit(|record| {
            record["budget"] = budget(json!({
                "failures": failures, "failed_at": now, "level": level, "level_at": now, "until": now,
                "reported_at": now,
            }));
            // Whoever opens the secret, which comes before all comparing, finds it broken.
            record["active"][0]["digits"] = 7.into();
        });
        let before = world.stored(AL);
        for typed in [phone.code(now), phone.wrong(now)] {
            let reason = world.verify(&typed).unwrap_err();
            assert!(matches!(reason, Refusal::Throttled { .. } | Refusal::Exhausted { .. }), "I4: {reason:?}");
            let answer = block_on(world.guard.resync(AL, &typed, &typed)).unwrap();
            assert!(matches!(answer, Resynchronization::Refused(refused) if refused == reason), "I4");
        }
        assert_eq!(world.stored(AL), before);
        block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
        assert_eq!(kind(world.try_verify(AL, &phone.code(now))), GuardErrorKind::SealBroken, "control");
    }
}

#[test]
fn another_policy_holds_for_what_was_counted_before() {
    let (world, mut phone, _) = World::enrolled();
    world.fail(&phone, 50);
    let last = world.now();
    let with = |policy: Policy| world.again(policy, &keyring(&["2026"])).status();
    let default = Policy::default;
    assert_eq!(with(default()).retry_at(), Some(last + 3600));
    assert_eq!(with(default().with_waits(crate::guarded::waits(10, 1, 7)).unwrap()).retry_at(), Some(last + 7));
    let few = with(default().with_consecutive_failures(10).unwrap());
    assert!(few.is_exhausted() && few.retry_at().is_none());
    let small = with(default().with_long_term(10, 1).unwrap());
    assert!(small.is_exhausted() && small.retry_at().is_some_and(|at| (1..=41 * DAY).contains(&(at - last))));
    assert!(!with(default().with_consecutive_failures(51).unwrap()).is_exhausted());
    // And back: nothing was lost by looking.
    world.at(last + 3600);
    assert!(world.verify(&phone.code(world.now())).is_ok());
}

#[test]
fn waits_are_bounded_and_end_whatever_was_counted_when() {
    let (world, phone, _) = World::enrolled();
    let original = world.record();
    let moment = || prop_oneof![0..=u64::MAX, T - YEAR..=T + YEAR, Just(0), Just(u64::MAX)];
    let waits = (1..=10u8, 1..=86_400u32, 1..=86_400u32);
    let limits = (10..=100u8, 10..=100u8, 1..=24u8);
    proptest!(|(now in prop_oneof![0..1u64 << 62, T - YEAR..=T + YEAR], (free, a, b) in waits, (row, cap, drain) in limits,
                failures in 0..=100u64, level in 0..=8_640_000u64, failed_at in moment(), (level_at, until) in (moment(), moment()))| {
        let policy = Policy::default().with_waits(crate::guarded::waits(free, a.min(b), a.max(b))).unwrap();
        let policy = policy.with_consecutive_failures(row).unwrap().with_long_term(cap, drain).unwrap();
        let world = world.again(policy, &keyring(&["2026"]));
        let mut record = original.clone();
        record["budget"] =
            budget(json!({ "failures": failures, "failed_at": failed_at, "level": level, "level_at": level_at, "until": until }));
        world.put(AL, &serde_json::to_vec(&record).unwrap());
        world.at(now);
        let longest = match world.verify(&phone.wrong(now)).unwrap_err() {
            Refusal::Exhausted { retry_at: None } => {
                assert!(failures >= row.into());
                world.at(now.saturating_add(100 * YEAR));
                assert_eq!(world.status().retry_at(), None, "I10");
                return Ok(());
            }
            // What another server has counted may lie ahead by a day, or an hour.
            Refusal::Exhausted { .. } => DAY + (100 * DAY / u64::from(drain) + 1).max(a.max(b).into()),
            Refusal::Throttled { .. } => 3600 + u64::from(a.max(b)),
            Refusal::WrongCode => return Ok(()),
            other => panic!("{other:?}"),
        };
        // By as many refusals as there are, each at the moment that the last one named, a code is compared. One more comes
        // where a clock gets to a moment that another has counted at before: nothing is forgiven twice.
        let mut begin = now;
        for last in [longest, longest, 3600 + u64::from(a.max(b)), 0] {
            let Some(retry_at) = world.status().retry_at() else { break };
            assert!(last > 0 && retry_at > begin && retry_at - begin <= last, "I9: {retry_at} at {begin}");
            world.at(retry_at);
            begin = retry_at;
        }
        assert_eq!(world.verify(&phone.wrong(begin)).unwrap_err(), Refusal::WrongCode);
    });
}
