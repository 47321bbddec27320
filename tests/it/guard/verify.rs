use futures_lite::future::block_on;
use keyfob::guard::{EventKind, Method, Purpose, Refusal, Resynchronization, Setup};
use keyfob::{Algorithm, Digits, KeyUri, LookAhead, Policy, Secret, Totp, Window};

use super::{AL, DAY, Phone, T, World};

#[test]
fn a_moment_is_accepted_once_within_the_window() {
    let windows = [Window::CURRENT, Window::default(), Window::new(2, 0).unwrap(), Window::new(0, 10).unwrap()];
    for window in windows {
        for off in -12..=12 {
            let (world, mut phone, _) =
                World::enrolled_with(Policy::default().with_window(window), &Setup::totp("al@example.com"));
            world.pass(DAY);
            phone.ahead = off * 30;
            let typed = phone.code(world.now());
            let good = (-i64::from(window.behind())..=i64::from(window.ahead())).contains(&off);
            match world.verify(&typed) {
                Ok(accepted) => assert!(good && accepted.method() == Method::Totp && accepted.drift() == off),
                Err(reason) => assert!(!good && reason == Refusal::WrongCode, "{off} {reason:?}"),
            }
            let again = world.verify(&typed).unwrap_err();
            assert_eq!(again, if good { Refusal::Replayed } else { Refusal::WrongCode });
        }
    }
}

#[test]
fn steps_only_go_forward() {
    let (world, phone, _) = World::enrolled();
    let step = phone.step(world.now());
    let code = |at: u64| phone.hotp.code(at).to_string();
    assert!(world.verify(&code(step + 1)).is_ok());
    for spent in [step + 1, step, step - 1] {
        assert_eq!(world.verify(&code(spent)).unwrap_err(), Refusal::Replayed);
    }
    assert_eq!(world.verify(&code(step + 2)).unwrap_err(), Refusal::WrongCode);
    world.pass(30);
    assert!(world.verify(&code(step + 2)).is_ok());
}

#[test]
fn a_counter_is_accepted_once_within_the_look_ahead() {
    for ahead in [0, 5, 10] {
        for skipped in 0..=12 {
            let policy = Policy::default().with_look_ahead(LookAhead::new(ahead).unwrap());
            let (world, mut phone, _) = World::enrolled_with(policy, &Setup::hotp("al@example.com"));
            phone.counter += u64::from(skipped);
            let typed = phone.code(world.now());
            match world.verify(&typed) {
                Ok(accepted) => {
                    assert!(skipped <= ahead && accepted.method() == Method::Hotp);
                    assert_eq!(accepted.drift(), i64::from(skipped));
                    assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Replayed);
                    assert!(world.verify(&phone.code(world.now())).is_ok());
                }
                Err(reason) => {
                    assert!(skipped > ahead && reason == Refusal::WrongCode);
                    phone.counter = 1;
                    assert!(world.verify(&phone.code(world.now())).is_ok(), "a failure moved the counter");
                }
            }
        }
    }
}

#[test]
fn any_of_eight_authenticators_will_do() {
    let (world, mut first, _) = World::enrolled();
    let (totp, hotp) = (|| Setup::totp("al@example.com"), || Setup::hotp("al@example.com"));
    let others = [
        hotp().with_name("token").unwrap(),
        totp().with_algorithm(Algorithm::Sha256),
        totp().with_algorithm(Algorithm::Sha512).with_digits(Digits::Eight),
        totp().with_digits(Digits::Seven),
        hotp().with_algorithm(Algorithm::Sha256),
        hotp().with_digits(Digits::Eight),
        totp(),
    ];
    let mut phones: Vec<Phone> = others
        .iter()
        .map(|setup| {
            let proof = world.prove(&mut first, &Purpose::ADD);
            world.add(AL, setup, Some(&proof)).0
        })
        .collect();
    phones.push(first);
    for _ in 0..3 {
        world.pass(30);
        for phone in &mut phones {
            let accepted = world.verify(&phone.code(world.now())).unwrap();
            assert_eq!(*accepted.authenticator().unwrap(), phone.id);
            let counts = phone.uri.period().is_none();
            assert_eq!(accepted.method(), if counts { Method::Hotp } else { Method::Totp });
        }
    }
    let status = world.status();
    assert_eq!(status.authenticators().len(), 8);
    assert!(status.authenticators().iter().all(|one| one.used_at() == Some(world.now())));
    assert_eq!(status.authenticators()[1].name(), "token");
}

#[test]
fn a_code_that_two_authenticators_share_is_spent_for_both() {
    let setup = |secret: &[u8; 20]| {
        Setup::import(&KeyUri::totp("Other", "al", &Secret::from_bytes(secret).unwrap()).unwrap()).unwrap()
    };
    // Two secrets whose codes meet once. Of two thousand, some pair does.
    let at = T + 240;
    let mut codes = std::collections::HashMap::new();
    let (first, second) = (0u64..)
        .find_map(|number| {
            let mut secret = [7; 20];
            secret[..8].copy_from_slice(&number.to_be_bytes());
            let code = Totp::new(&Secret::from_bytes(&secret).unwrap()).code_at(at).to_string();
            codes.insert(code, secret).map(|other| (other, secret))
        })
        .unwrap();
    let (world, mut one, _) = World::enrolled_with(Policy::default(), &setup(&first));
    let proof = world.prove(&mut one, &Purpose::ADD);
    let (mut other, _) = world.add(AL, &setup(&second), Some(&proof));
    world.at(at);
    let typed = one.code(world.now());
    assert_eq!(typed, other.code(world.now()));
    assert_eq!(*world.verify(&typed).unwrap().authenticator().unwrap(), one.id);
    assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Replayed);
    let next = |at: usize| world.record()["active"][at]["next"].as_u64().unwrap();
    assert_eq!(next(0), next(1));
}

#[test]
fn what_is_no_code_is_not_charged_and_nothing_is_written() {
    let (world, mut phone, codes) = World::enrolled();
    let before = world.stored(AL);
    let long = "1".repeat(1000);
    let recovery = codes[0].replace('-', "");
    let texts = ["", " ", "12345", "123456789", "12345a", "+123456", "1\u{301}23456", &long, &recovery[1..], "①②③④⑤⑥"];
    for typed in texts.iter().cycle().take(300) {
        assert_eq!(world.verify(typed).unwrap_err(), Refusal::Malformed, "{typed}");
    }
    assert_eq!(world.stored(AL), before);
    assert_eq!(world.heard()[0], EventKind::Refused { reason: Refusal::Malformed });
    let code = phone.code(world.now());
    assert!(world.verify(&format!(" {} - {}\n", &code[..3], &code[3..])).is_ok());
}

#[test]
fn an_account_without_a_second_factor_has_none_to_verify() {
    let world = World::new();
    for typed in ["123456", "", "AAAA-AAAA"] {
        assert_eq!(world.verify(typed).unwrap_err(), Refusal::NotEnrolled);
    }
    let answer = block_on(world.guard.resync(AL, "123456", "123457")).unwrap();
    assert!(matches!(answer, Resynchronization::Refused(refused) if refused == Refusal::NotEnrolled));
    assert!(world.bytes(AL).is_none() && !world.status().is_active());
}

#[test]
fn drift_is_learnt_after_three_acceptances_and_bounded() {
    for side in [1, -1] {
        let (world, mut phone, _) = World::enrolled();
        world.pass(DAY);
        let drift = || world.status().authenticators()[0].drift();
        phone.ahead = 30 * side;
        for (accepted, expected) in [(1, 0), (2, 0), (3, side)] {
            world.pass(300);
            assert!(world.verify(&phone.code(world.now())).is_ok(), "{accepted}");
            assert_eq!(drift(), expected, "after {accepted} acceptances");
        }
        // In step with what was learned, so nothing more is; then on the other side, which begins anew.
        for _ in 0..9 {
            world.pass(300);
            assert!(world.verify(&phone.code(world.now())).is_ok());
            assert_eq!(drift(), side);
        }
        for ahead in 2..40i64 {
            for _ in 0..3 {
                world.pass(300);
                phone.ahead = 30 * side * ahead.min(11);
                assert!(world.verify(&phone.code(world.now())).is_ok());
            }
            assert_eq!(drift(), side * ahead.min(10), "what is learned is bounded");
        }
        phone.ahead = 30 * side * 12;
        world.pass(300);
        assert_eq!(world.verify(&phone.code(world.now())).unwrap_err(), Refusal::WrongCode);
    }
}

#[test]
fn drift_is_learned_up_to_3000_steps() {
    for (drift, learned) in [(2998, 2999), (2999, 3000), (3000, 3000)] {
        for side in [1, -1] {
            let (world, mut phone, _) = World::enrolled();
            world.pass(10 * DAY);
            world.edit(|record| {
                let one = &mut record["active"][0];
                (one["drift"], one["anchor"]) = ((side * drift).into(), (side * 2990).into());
                one["lean"] = (side * 2).into();
            });
            phone.ahead = 30 * side * (drift + 1);
            assert!(world.verify(&phone.code(world.now())).is_ok());
            assert_eq!(world.status().authenticators()[0].drift(), side * learned, "from {drift}");
        }
    }
}

/// A token within its maker's limits, whose clock loses 90 seconds a year, and an owner who logs in each day and has it
/// resynchronized when it is refused.
#[test]
fn a_clock_that_drifts_for_years_is_resynchronized_once() {
    for side in [-1, 1] {
        let (world, mut phone, _) = World::enrolled();
        let (begin, mut resynchronized) = (world.now(), 0);
        for day in 1..=16 * 365 {
            world.at(begin + day * DAY);
            phone.ahead = side * i64::try_from(day * 90 / 365).unwrap();
            if world.verify(&phone.code(world.now())).is_ok() {
                continue;
            }
            resynchronized += 1;
            let step = phone.step(world.now());
            let codes = [step, step + 1].map(|at| phone.hotp.code(at).to_string());
            let answer = block_on(world.guard.resync(AL, &codes[0], &codes[1])).unwrap();
            assert!(matches!(answer, Resynchronization::Done { .. }), "day {day}");
        }
        assert_eq!(resynchronized, 1, "{side}");
        assert_eq!(world.status().authenticators()[0].drift().abs(), 48);
    }
}

#[test]
fn an_app_that_ran_off_is_found_by_two_codes() {
    for off in [-120, -50, -2, 0, 2, 119, 120] {
        let (world, phone, _) = World::enrolled();
        world.pass(DAY);
        let step = phone.step(world.now()).checked_add_signed(off).unwrap();
        let code = |at: u64| phone.hotp.code(at).to_string();
        let answer = block_on(world.guard.resync(AL, &code(step - 1), &code(step))).unwrap();
        if off == -120 {
            assert!(matches!(answer, Resynchronization::Refused(_)), "the first of the two is out of reach");
            continue;
        }
        assert_eq!(answer, Resynchronization::Done { authenticator: phone.id.clone(), drift: off });
        assert!(world.heard().contains(&EventKind::Resynchronized { authenticator: phone.id.clone(), drift: off }));
        for spent in [step - 1, step] {
            assert_eq!(world.verify(&code(spent)).unwrap_err(), Refusal::Replayed);
        }
        assert_eq!(world.verify(&code(step + 1)).unwrap().drift(), off + 1);
    }
}

#[test]
fn a_token_that_was_pressed_too_often_is_found_by_two_codes() {
    for skipped in [0, 6, 119] {
        let (world, mut phone, _) = World::enrolled_with(Policy::default(), &Setup::hotp("al@example.com"));
        phone.counter += skipped;
        let (first, second) = (phone.code(T), phone.code(T));
        let answer = block_on(world.guard.resync(AL, &first, &second)).unwrap();
        assert!(matches!(answer, Resynchronization::Done { .. }), "{skipped} {answer:?}");
        assert_eq!(world.verify(&second).unwrap_err(), Refusal::Replayed);
        assert!(world.verify(&phone.code(T)).is_ok());
    }
}

#[test]
fn a_resynchronization_spends_and_is_charged() {
    let (world, mut phone, _) = World::enrolled();
    let step = phone.step(world.now());
    let code = |at: u64| phone.hotp.code(at).to_string();
    assert!(world.verify(&code(step)).is_ok());
    // The first of the two was used to log in, then the second was confirmed only.
    let rows = [(step, step + 1), (step - 1, step), (step + 1, step), (step + 1, step + 3), (step + 200, step + 201)];
    for (failures, (first, second)) in (1..).zip(rows) {
        let answer = block_on(world.guard.resync(AL, &code(first), &code(second))).unwrap();
        assert!(matches!(answer, Resynchronization::Refused(refused) if refused == Refusal::WrongCode));
        assert_eq!(world.status().consecutive_failures(), failures);
    }
    let answer = block_on(world.guard.resync(AL, &code(step + 1), &code(step + 2))).unwrap();
    let retry_at = world.now() + 30;
    assert!(matches!(answer, Resynchronization::Refused(refused) if refused == Refusal::Throttled { retry_at }));
    let answer = block_on(world.guard.resync(AL, "12345", "123456")).unwrap();
    assert!(matches!(answer, Resynchronization::Refused(refused) if refused == Refusal::Malformed));
    world.pass(30);
    assert!(world.verify(&phone.code(world.now())).is_ok());
}

#[test]
fn a_resynchronization_at_the_ends_of_time_leaves_a_record_that_can_be_read() {
    let policy = Policy::default().with_resync_within(3000).unwrap();
    for now in [0, 29, 90_000, T, u64::MAX - 90_000, u64::MAX] {
        for off in [-2999i64, 2999, 3000] {
            let (world, phone, _) = World::enrolled_with(policy.clone(), &Setup::totp("al@example.com"));
            world.edit(|record| record["active"][0]["next"] = 0.into());
            world.at(now);
            let step = phone.step(now).saturating_add_signed(off);
            let codes = [step.saturating_sub(1), step].map(|at| phone.hotp.code(at).to_string());
            let _ = block_on(world.guard.resync(AL, &codes[0], &codes[1])).unwrap();
            assert!(world.status().authenticators()[0].drift().unsigned_abs() <= 3000);
        }
    }
}

#[test]
fn the_ends_of_the_clock_and_of_the_counter() {
    let (world, mut phone, _) = World::enrolled();
    for now in [0, 1, 30, u64::MAX - 1, u64::MAX] {
        world.at(now);
        world.edit(|record| record["active"][0]["next"] = 0.into());
        let typed = phone.code(now);
        assert!(world.verify(&typed).is_ok(), "{now}");
        assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Replayed);
    }
    let (world, mut token, _) = World::enrolled_with(Policy::default(), &Setup::hotp("al@example.com"));
    world.edit(|record| record["active"][0]["next"] = (u64::MAX - 1).into());
    token.counter = u64::MAX - 1;
    let last = token.code(T);
    assert!(world.verify(&last).is_ok());
    assert_eq!(world.verify(&last).unwrap_err(), Refusal::Replayed);
    let none = token.hotp.code(u64::MAX).to_string();
    assert_eq!(
        world.verify(&none).unwrap_err(),
        Refusal::WrongCode,
        "a counter without a next one could be used twice"
    );
}

#[test]
fn equal_codes_in_the_window_are_spent_together() {
    // Two steps that are neighbors and show the same digits: the newest of them is the match, so both are dead.
    let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
    let setup = Setup::import(&KeyUri::totp("Other", "al", &secret).unwrap()).unwrap();
    let (world, phone, _) = World::enrolled_with(Policy::default(), &setup);
    let begin = phone.step(world.now()) + 2;
    let twin = (begin..).find(|&step| phone.hotp.code(step).to_string() == phone.hotp.code(step + 1).to_string());
    let twin = twin.unwrap();
    world.at(twin * 30);
    let typed = phone.hotp.code(twin).to_string();
    assert_eq!(world.verify(&typed).unwrap().drift(), 1);
    for later in [0, 30, 60] {
        world.at(twin * 30 + later);
        assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Replayed);
    }
}

/// What it costs to offer a resynchronization: codes that were seen and not used are good for an hour, three in a row.
#[test]
fn three_unused_codes_of_the_last_hour_get_in_by_a_resynchronization() {
    let (world, phone, _) = World::enrolled();
    world.pass(3600);
    let seen = phone.step(world.now()) - 100;
    let code = |at: u64| phone.hotp.code(at).to_string();
    assert_eq!(world.verify(&code(seen + 2)).unwrap_err(), Refusal::WrongCode, "control");
    let answer = block_on(world.guard.resync(AL, &code(seen), &code(seen + 1))).unwrap();
    assert!(matches!(answer, Resynchronization::Done { drift: -99, .. }));
    assert!(world.verify(&code(seen + 2)).is_ok());
}
