//! Trusted and known devices.

use std::time::Duration;

use futures_lite::future::block_on;
use keyfob::guard::{
    Answer, DeviceToken, EventKind, Expectation, GuardErrorKind, Login, Purpose, Refusal, Setup, SignIn, SignInMethod,
};
use keyfob::{Keyring, Policy, Verdict};

use super::login::{answer, challenge};
use super::{AL, DAY, Phone, World, YEAR, keyring, kind};

const MONTH: Duration = Duration::from_secs(30 * DAY);

/// A policy that allows trusted devices for thirty days.
fn trusting() -> Policy {
    Policy::default().with_trusted_devices(MONTH).unwrap()
}

fn log_in(world: &World, phone: &mut Phone) -> SignIn {
    world.pass(30);
    answer(world, &challenge(world), &phone.code(world.now())).unwrap()
}

fn trust(world: &World, sign_in: &SignIn, lifetime: Duration) -> DeviceToken {
    block_on(world.guard.trust_device(sign_in.accepted().unwrap(), "Firefox", lifetime)).unwrap()
}

fn remember(world: &World, sign_in: &SignIn) -> DeviceToken {
    block_on(world.guard.remember_device(sign_in.accepted().unwrap(), "Chrome")).unwrap()
}

/// Whether a login with this token needs no code.
fn passes(world: &World, user: &str, token: &DeviceToken) -> bool {
    let login = block_on(world.guard.begin_login(user, Expectation::Enrolled, Some(token))).unwrap();
    match login {
        Login::Complete(sign_in) => {
            assert_eq!(sign_in.method(), SignInMethod::TrustedDevice);
            assert!(sign_in.accepted().is_none() && sign_in.amr().is_empty());
            true
        }
        Login::Challenge(_) => false,
        Login::MustEnroll(_) => panic!(),
    }
}

/// An account, its phone, its recovery codes and a trusted device.
fn trusted() -> (World, Phone, Vec<String>, DeviceToken) {
    let (world, mut phone, codes) = World::enrolled_with(trusting(), &Setup::totp("al@example.com"));
    let sign_in = log_in(&world, &mut phone);
    let token = trust(&world, &sign_in, MONTH);
    (world, phone, codes, token)
}

#[test]
fn no_device_is_trusted_unless_the_policy_allows_it() {
    let (world, mut phone, ..) = trusted();
    let sign_in = log_in(&world, &mut phone);
    let refused = |world: &World, lifetime| {
        let accepted = sign_in.accepted().unwrap();
        kind(block_on(world.guard.trust_device(accepted, "x", lifetime))) == GuardErrorKind::TrustRefused
    };
    let strict = world.again(Policy::default(), &keyring(&["2026"]));
    assert!(refused(&strict, Duration::from_secs(DAY)));
    assert!(refused(&world, MONTH + Duration::from_secs(1)) && refused(&world, Duration::ZERO));
    for days in [0, 91] {
        assert!(Policy::default().with_trusted_devices(Duration::from_secs(days * DAY)).is_err());
    }
    assert!(Policy::default().with_trusted_devices(Duration::from_secs(90 * DAY)).is_ok());
    for name in ["\n", &"x".repeat(257)] {
        let accepted = sign_in.accepted().unwrap();
        assert_eq!(kind(block_on(world.guard.trust_device(accepted, name, MONTH))), GuardErrorKind::Invalid);
    }
}

/// A stolen cookie lets in, together with the password, until its end. It renews nothing and proves nothing.
#[test]
fn the_end_of_a_trusted_device_never_moves() {
    let (world, mut phone, _, token) = trusted();
    let made = world.now();
    let status = world.status();
    let listed = &status.devices()[0];
    assert_eq!((listed.id(), listed.name(), listed.created_at()), (token.device(), "Firefox", made));
    assert_eq!(listed.expires_at(), made + MONTH.as_secs());
    for (at, expected) in [
        (made, true),
        (made + MONTH.as_secs() - 1, true),
        (made + MONTH.as_secs(), false),
        (made + YEAR, false),
        (made - 60, true),
        (made - 61, false),
        (0, false),
    ] {
        world.at(at);
        assert_eq!(passes(&world, AL, &token), expected, "{at}");
    }
    world.at(made);
    let strict = world.again(Policy::default(), &keyring(&["2026"]));
    for day in 1..30 {
        world.at(made + day * DAY);
        assert!(passes(&world, AL, &token), "{day}");
        // Not even a code that is typed on it moves the end.
        let Login::Challenge(made) = strict.begin(Some(&token)) else { panic!() };
        assert!(answer(&strict, &made, &phone.code(world.now())).is_ok());
    }
    world.at(made + MONTH.as_secs());
    assert!(!passes(&world, AL, &token) && world.status().devices().is_empty());
}

/// A shorter limit in the policy holds at once, and so does one that forbids all.
#[test]
fn the_shorter_of_two_lifetimes_counts() {
    let (world, mut phone, _, token) = trusted();
    let made = world.now();
    let day =
        world.again(Policy::default().with_trusted_devices(Duration::from_secs(DAY)).unwrap(), &keyring(&["2026"]));
    world.at(made + DAY - 1);
    assert!(passes(&day, AL, &token));
    world.at(made + DAY);
    assert!(!passes(&day, AL, &token) && passes(&world, AL, &token));
    let strict = world.again(Policy::default(), &keyring(&["2026"]));
    assert!(!passes(&strict, AL, &token) && !strict.status().devices()[0].is_trusted());
    assert!(world.status().devices()[0].is_trusted());
    let sign_in = log_in(&world, &mut phone);
    let short = trust(&world, &sign_in, Duration::from_secs(60));
    world.pass(59);
    assert!(passes(&world, AL, &short));
    world.pass(1);
    assert!(!passes(&world, AL, &short));
}

/// For each way in which trust ends: the token is void afterwards, and stays void if the account enrolls again.
#[test]
fn what_ends_the_trust_in_all_devices() {
    type Change = fn(&World, &mut Phone, &[String], &DeviceToken);
    let changes: [(&str, bool, Change); 13] = [
        ("add", true, |world, phone, _, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            world.add(AL, &Setup::totp("al"), Some(&proof));
        }),
        ("revoke", true, |world, phone, _, _| {
            // The other authenticator was there before the device.
            let proof = world.prove(phone, &Purpose::REVOKE);
            let ids: Vec<_> = world.status().authenticators().iter().map(|active| active.id().clone()).collect();
            block_on(world.guard.revoke(AL, ids.iter().find(|id| **id != phone.id).unwrap(), &proof)).unwrap();
        }),
        ("disable", true, |world, phone, _, _| {
            let proof = world.prove(phone, &Purpose::DISABLE);
            block_on(world.guard.disable(AL, &proof)).unwrap();
            *phone = world.add(AL, &Setup::totp("al"), None).0;
        }),
        ("operator's reset", true, |world, phone, _, _| {
            block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
            *phone = world.add(AL, &Setup::totp("al"), None).0;
        }),
        ("erased", true, |world, phone, _, _| {
            block_on(world.guard.erase(AL)).unwrap();
            *phone = world.add(AL, &Setup::totp("al"), None).0;
        }),
        ("recovery", true, |world, _, codes, _| assert!(world.verify(&codes[0]).is_ok())),
        ("recovery in a login", true, |world, _, codes, _| {
            assert!(answer(world, &challenge(world), &codes[1]).is_ok());
        }),
        ("new recovery codes", true, |world, phone, _, _| {
            let proof = world.prove(phone, &Purpose::REGENERATE);
            block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        }),
        ("new password", true, |world, _, _, _| {
            block_on(world.guard.forget_devices(AL)).unwrap();
        }),
        ("suspension", true, |world, _, _, _| {
            block_on(world.guard.operator_suspend(AL, &crate::operator())).unwrap();
            block_on(world.guard.operator_resume(AL, &crate::operator())).unwrap();
        }),
        ("restored backup", true, |world, _, _, _| {
            block_on(world.guard.operator_invalidate_codes(AL, &crate::operator())).unwrap();
        }),
        ("forgotten", true, |world, _, _, token| block_on(world.guard.forget_device(AL, token.device())).unwrap()),
        ("logins, failures, a new name", false, |world, phone, _, _| {
            world.pass(30);
            assert!(world.verify(&phone.code(world.now())).is_ok());
            world.fail(phone, 20);
            let id = phone.id.clone();
            world.pass(3600);
            let proof = world.prove(phone, &Purpose::RENAME);
            block_on(world.guard.rename(AL, &id, "x", &proof)).unwrap();
            assert!(block_on(world.guard.reseal(AL)).is_ok());
        }),
    ];
    for (name, ends, change) in changes {
        let (world, mut phone, codes) = World::enrolled_with(trusting(), &Setup::totp("al@example.com"));
        let proof = world.prove(&mut phone, &Purpose::ADD);
        world.add(AL, &Setup::totp("al"), Some(&proof));
        let token = trust(&world, &log_in(&world, &mut phone), MONTH);
        assert!(passes(&world, AL, &token), "control");
        change(&world, &mut phone, &codes, &token);
        assert_eq!(!passes(&world, AL, &token), ends, "{name}");
        assert_eq!(world.status().devices().is_empty(), ends, "{name}");
    }
}

/// A restored backup knows nothing of what was forgotten since, until its codes are invalidated.
#[test]
fn a_device_from_a_backup_is_void_after_the_invalidation() {
    let (world, _, _, token) = trusted();
    let backup = world.bytes(AL).unwrap();
    block_on(world.guard.forget_device(AL, token.device())).unwrap();
    assert!(!passes(&world, AL, &token));
    world.put(AL, &backup);
    assert!(passes(&world, AL, &token), "control");
    block_on(world.guard.operator_invalidate_recent_codes(AL, &crate::operator())).unwrap();
    assert!(!passes(&world, AL, &token));
}

#[test]
fn a_token_is_for_one_user() {
    let (world, _, _, token) = trusted();
    let (mut other, _) = world.add("bo", &Setup::totp("bo@example.com"), None);
    assert!(!passes(&world, "bo", &token));
    // Two users of one browser: each has a cookie, and both work.
    let Login::Challenge(made) = block_on(world.guard.begin_login("bo", Expectation::Enrolled, Some(&token))).unwrap()
    else {
        panic!()
    };
    let typed = other.code(world.now());
    let Answer::Accepted(sign_in) = block_on(world.guard.answer(&made, &typed)).unwrap() else { panic!() };
    let second = trust(&world, &sign_in, MONTH);
    assert!(passes(&world, AL, &token) && passes(&world, "bo", &second));
    assert!(!passes(&world, AL, &second) && !passes(&world, "bo", &token));
    // Even if the stored device is copied to the other account, the hash is bound to the user.
    let mut record: serde_json::Value = serde_json::from_slice(&world.bytes("bo").unwrap()).unwrap();
    record["devices"] = world.record()["devices"].clone();
    world.put("bo", &serde_json::to_vec(&record).unwrap());
    assert!(!passes(&world, "bo", &token));
}

#[test]
fn a_token_cannot_be_guessed_or_made_from_the_record() {
    let (world, _, _, token) = trusted();
    let text = token.token().to_string();
    let passes = |text: &str| DeviceToken::from_token(text).is_ok_and(|token| passes(&world, AL, &token));
    assert!(passes(&text), "control");
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!String::from_utf8(bytes).is_ok_and(|other| passes(&other)), "bit {bit}");
    }
    let hash = world.record()["devices"][0]["hash"].as_str().unwrap().to_owned();
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap()).collect();
    let id = token.device();
    assert!(!passes(&format!("{id}.{}", *keyfob::base32::encode(&bytes))));
    for text in ["", ".", "x", "x.", &format!("{id}."), &format!("{id}.AAAA"), &format!("{text}A"), &format!(" {text}")]
    {
        assert_eq!(kind(DeviceToken::from_token(text)), GuardErrorKind::UnknownDevice, "{text:?}");
    }
}

/// Nothing rotates, so requests that arrive at once do not disturb one another.
#[test]
fn fifty_requests_at_once_from_a_trusted_device_all_pass() {
    let (world, _, _, token) = trusted();
    let stored = world.stored(AL);
    let passed = std::thread::scope(|scope| {
        let requests: Vec<_> = (0..50).map(|_| scope.spawn(|| passes(&world, AL, &token))).collect();
        requests.into_iter().filter(|_| true).map(|request| request.join().unwrap()).filter(|passed| *passed).count()
    });
    assert_eq!((passed, world.stored(AL)), (50, stored));
}

#[test]
fn a_list_is_full_at_sixteen() {
    let (world, mut phone, _, first) = trusted();
    let sign_in = log_in(&world, &mut phone);
    let known: Vec<_> = (0..15).map(|_| remember(&world, &sign_in)).collect();
    let ids = |world: &World| world.status().devices().iter().map(|device| device.id().clone()).collect::<Vec<_>>();
    assert_eq!(ids(&world).len(), 16);
    // The known device that ends first makes room, and never a trusted one.
    world.heard();
    let another = remember(&world, &sign_in);
    let forgotten = EventKind::DeviceForgotten { device: known[0].device().clone() };
    assert_eq!(world.heard(), [EventKind::DeviceAdded { device: another.device().clone(), trusted: false }, forgotten]);
    let trusted: Vec<_> = (1..=15).map(|hours| trust(&world, &sign_in, Duration::from_secs(hours * 3600))).collect();
    assert!(world.status().devices().iter().all(|device| device.is_trusted()) && ids(&world).len() == 16);
    let refused = block_on(world.guard.remember_device(sign_in.accepted().unwrap(), "x"));
    assert_eq!(kind(refused), GuardErrorKind::TooManyDevices);
    assert!(passes(&world, AL, &first));
    // A trusted device is added even if all others end later.
    let short = trust(&world, &sign_in, Duration::from_secs(1800));
    assert!(passes(&world, AL, &short) && !passes(&world, AL, &trusted[0]));
    let last = trust(&world, &sign_in, MONTH);
    assert!(!passes(&world, AL, &short) && passes(&world, AL, &trusted[1]) && passes(&world, AL, &last));
    // A device that ends in this second leaves room, so a known one can be added.
    world.pass(2 * 3600 - 30);
    let known_again = remember(&world, &log_in(&world, &mut phone));
    assert!(ids(&world).contains(known_again.device()));
    world.pass(DAY);
    assert_eq!(ids(&world).len(), 3);
    assert_eq!(kind(block_on(world.guard.forget_device(AL, known[0].device()))), GuardErrorKind::UnknownDevice);
    assert_eq!(kind(block_on(world.guard.forget_device("bo", last.device()))), GuardErrorKind::UnknownDevice);
}

/// Only a code that was typed minutes ago adds a device.
#[test]
fn a_device_is_added_by_a_fresh_code_only() {
    let (world, mut phone, _, _) = trusted();
    let sign_in = log_in(&world, &mut phone);
    let add = || block_on(world.guard.remember_device(sign_in.accepted().unwrap(), "x")).map(drop);
    world.pass(299);
    assert!(add().is_ok());
    world.pass(1);
    assert_eq!(kind(add()), GuardErrorKind::ProofRejected);
    world.pass(DAY);
    assert_eq!(kind(add()), GuardErrorKind::ProofRejected);
}

/// A known device needs a code, and stays known for 180 days after each.
#[test]
fn a_known_device_is_remembered_from_its_last_code_on() {
    let (world, mut phone, _) = World::enrolled();
    let token = remember(&world, &log_in(&world, &mut phone));
    let lasts = 180 * DAY;
    for _ in 0..3 {
        world.pass(lasts - 1);
        let Login::Challenge(made) = world.begin(Some(&token)) else { panic!("a known device needs a code") };
        // A wrong code moves nothing.
        let before = world.status().devices()[0].expires_at();
        assert_eq!(answer(&world, &made, &phone.wrong(world.now())).unwrap_err(), Ok(Refusal::WrongCode));
        assert_eq!(world.status().devices()[0].expires_at(), before);
        assert_eq!(answer(&world, &made, &phone.code(world.now())).unwrap().device(), Some(token.device()));
        assert_eq!(world.status().devices()[0].expires_at(), world.now() + lasts);
    }
    world.pass(lasts);
    assert!(world.status().devices().is_empty());
    let Login::Challenge(made) = world.begin(Some(&token)) else { panic!() };
    assert!(answer(&world, &made, &phone.code(world.now())).unwrap().device().is_none());
}

/// A challenge that began on a known device is charged like any other once the device is forgotten.
#[test]
fn a_device_is_looked_up_again_when_the_code_arrives() {
    let (world, mut phone, _) = World::enrolled();
    let sign_in = log_in(&world, &mut phone);
    let [token, other] = [remember(&world, &sign_in), remember(&world, &sign_in)];
    let Login::Challenge(made) = world.begin(Some(&token)) else { panic!() };
    let known_failures = || world.record()["budget"]["known_failures"].as_u64().unwrap();
    assert!(answer(&world, &made, &phone.wrong(world.now())).is_err());
    assert_eq!(known_failures(), 1);
    block_on(world.guard.forget_device(AL, token.device())).unwrap();
    assert!(answer(&world, &made, &phone.wrong(world.now())).is_err());
    assert_eq!((known_failures(), world.status().consecutive_failures()), (1, 2));
    block_on(world.guard.forget_device(AL, other.device())).unwrap();
    world.pass(30);
    assert!(answer(&world, &made, &phone.code(world.now())).unwrap().device().is_none());
}

/// The two shares wait apart, and each is used up apart. A success on either resets both.
#[test]
fn known_devices_have_a_share_of_the_budget() {
    let (world, mut phone, _) = World::enrolled();
    let token = remember(&world, &log_in(&world, &mut phone));
    let guesses = phone.clone();
    let guess = |device: Option<&DeviceToken>| {
        let Login::Challenge(made) = world.begin(device) else { panic!() };
        answer(&world, &made, &guesses.wrong(world.now())).unwrap_err().unwrap()
    };
    for _ in 0..5 {
        assert_eq!(guess(None), Refusal::WrongCode);
    }
    assert!(matches!(guess(None), Refusal::Throttled { .. }));
    for _ in 0..5 {
        assert_eq!(guess(Some(&token)), Refusal::WrongCode);
    }
    assert!(matches!(guess(Some(&token)), Refusal::Throttled { .. }));
    assert_eq!(world.status().consecutive_failures(), 10);
    // To the end of each: 75 and 25, which are the hundred of the whole account.
    let count = |device: Option<&DeviceToken>, already| {
        let mut guesses = already;
        loop {
            match guess(device) {
                Refusal::WrongCode => guesses += 1,
                Refusal::Throttled { retry_at } => world.at(retry_at),
                Refusal::Exhausted { .. } => break guesses,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(count(None, 5), 75);
    assert_eq!(count(Some(&token), 5), 25);
    assert_eq!(world.status().consecutive_failures(), 100);
    // A known device that has used up the reserve guesses like any other.
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    assert_eq!((count(Some(&token), 0), count(None, 0)), (100, 0));
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    // Step-up verification can use the reserve, too.
    assert_eq!(count(None, 0), 75);
    let step_up = |device| match block_on(world.guard.verify_on_device(AL, &guesses.wrong(world.now()), device)) {
        Ok(Verdict::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert!(matches!(step_up(None), Refusal::Exhausted { .. }));
    assert_eq!(step_up(Some(&token)), Refusal::WrongCode);
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    for device in [None, Some(&token)] {
        for _ in 0..3 {
            assert_eq!(guess(Some(&token)), Refusal::WrongCode);
            assert_eq!(guess(None), Refusal::WrongCode);
        }
        world.pass(30);
        let Login::Challenge(made) = world.begin(device) else { panic!() };
        assert!(answer(&world, &made, &phone.code(world.now())).is_ok());
        let budget = &world.record()["budget"];
        assert_eq!((&budget["failures"], &budget["known_failures"]), (&0.into(), &0.into()));
    }
}

/// The refusal of a share says from when on it has room again.
#[test]
fn an_exhausted_share_has_room_at_the_time_of_the_refusal() {
    for known_level in [0, 4 * DAY] {
        let (world, mut phone, _) = World::enrolled();
        let _ = remember(&world, &log_in(&world, &mut phone));
        world.edit(|record| {
            let budget = &mut record["budget"];
            (budget["level"], budget["known_level"]) = ((90 * DAY).into(), known_level.into());
        });
        let guess = || {
            let Login::Challenge(made) = world.begin(None) else { panic!() };
            answer(&world, &made, &phone.wrong(world.now())).unwrap_err().unwrap()
        };
        let Refusal::Exhausted { retry_at: Some(retry_at) } = guess() else { panic!() };
        world.at(retry_at - 1);
        assert_eq!(guess(), Refusal::Exhausted { retry_at: Some(retry_at) });
        world.at(retry_at);
        assert_eq!(guess(), Refusal::WrongCode);
    }
}

/// A limit that is too small to be divided is not divided.
#[test]
fn a_small_budget_has_no_reserve() {
    let policy = Policy::default().with_waits(crate::guarded::waits(1, 1, 1)).unwrap();
    let long_term = policy.clone().with_long_term(3, 1).unwrap();
    let policy = policy.with_consecutive_failures(3).unwrap();
    let (world, mut phone, _) = World::enrolled_with(policy.clone(), &Setup::totp("al@example.com"));
    let token = remember(&world, &log_in(&world, &mut phone));
    // One that is not exhausted is not refilled by an operator.
    world.edit(|record| record["budget"]["level"] = DAY.into());
    for other in [policy, long_term] {
        let other = world.again(other, &keyring(&["2026"]));
        block_on(other.guard.operator_unlock(AL, &crate::operator())).unwrap();
        assert_eq!(other.record()["budget"]["level"], DAY);
    }
    for device in [None, Some(&token), None] {
        world.pass(1);
        let Login::Challenge(made) = world.begin(device) else { panic!() };
        assert_eq!(answer(&world, &made, &phone.wrong(world.now())).unwrap_err(), Ok(Refusal::WrongCode));
    }
    let Login::Challenge(made) = world.begin(Some(&token)) else { panic!() };
    assert_eq!(answer(&world, &made, &phone.code(world.now())).unwrap_err(), Ok(Refusal::Exhausted { retry_at: None }));
}

/// The hash needs no key, so a token outlives the keys.
#[test]
fn a_token_needs_no_key_of_the_keyring() {
    let (world, _, _, token) = trusted();
    let other: Keyring = keyring(&["2030"]);
    assert!(passes(&world.again(trusting(), &other), AL, &token));
}
