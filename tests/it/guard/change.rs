use futures_lite::future::block_on;
use keyfob::guard::{
    AuthenticatorId, EventKind, Generation, GuardErrorKind, Method, Purpose, Refusal, SecondFactor, Setup,
};
use keyfob::{Algorithm, Digits, Policy};

use super::{AL, DAY, Phone, T, World, kind};

/// An account with an app and a token.
fn two() -> (World, Phone, Phone) {
    let (world, mut app, _) = World::enrolled();
    let proof = world.prove(&mut app, &Purpose::ADD);
    let (token, _) = world.add(AL, &Setup::hotp("al@example.com").with_name("token").unwrap(), Some(&proof));
    (world, app, token)
}

fn nobody() -> AuthenticatorId {
    AuthenticatorId::new("nobody").unwrap()
}

#[test]
fn the_status_says_what_the_account_has() {
    let world = World::new();
    let status = world.status();
    assert!(
        !status.is_active()
            && !status.is_exhausted()
            && status.generation() == Generation::default()
            && status.keys().is_empty()
    );
    assert_eq!((status.recovery_codes_left(), status.retry_at(), status.consecutive_failures()), (0, None, 0));

    let setup = Setup::totp("al@example.com")
        .with_algorithm(Algorithm::Sha512)
        .with_digits(Digits::Eight)
        .with_name("büro")
        .unwrap();
    let (mut phone, _) = world.add(AL, &setup, None);
    let status = world.status();
    let [one] = status.authenticators() else { panic!() };
    assert!(status.is_active() && !status.enrollment_pending() && status.recovery_codes_left() == 10);
    assert_eq!((one.id(), one.name(), one.method()), (&phone.id, "büro", Method::Totp));
    assert_eq!((one.algorithm(), one.digits(), one.drift()), (Algorithm::Sha512, Digits::Eight, 0));
    // The code that confirmed it was no login.
    assert_eq!((one.created_at(), one.used_at()), (T, None));
    assert_eq!(AuthenticatorId::new(one.id().as_str()).as_ref(), Ok(one.id()));

    world.pass(DAY);
    assert!(world.verify(&phone.code(world.now())).is_ok());
    world.fail(&phone, 2);
    let before = world.stored(AL);
    let status = world.status();
    assert_eq!((status.authenticators()[0].used_at(), status.consecutive_failures()), (Some(world.now()), 2));
    assert_eq!(world.stored(AL), before, "looking changes nothing");
    for id in ["", "A", "a b", "ä", "a-b", &"x".repeat(33)] {
        assert!(AuthenticatorId::new(id).is_err(), "{id}");
    }
}

#[test]
fn a_name_is_changed_and_nothing_else() {
    let (world, mut app, mut token) = two();
    let proof = world.prove(&mut app, &Purpose::RENAME);
    let before = world.record();
    world.heard();
    block_on(world.guard.rename(AL, &token.id, "der \"grüne\" \\", &proof)).unwrap();
    assert_eq!(world.heard(), [EventKind::Renamed { authenticator: token.id.clone() }]);
    // The same name again is no change, and is not written.
    let stored = world.stored(AL);
    block_on(world.guard.rename(AL, &token.id, "der \"grüne\" \\", &proof)).unwrap();
    assert!(world.heard().is_empty() && world.stored(AL) == stored);
    let mut expected = before.clone();
    expected["active"][1]["name"] = "der \"grüne\" \\".into();
    assert_eq!(world.record(), expected);
    assert_eq!(world.verify(&token.code(world.now())).unwrap().authenticator_name(), Some("der \"grüne\" \\"));

    let before = world.stored(AL);
    for (id, name, expected) in [
        (&nobody(), "x", GuardErrorKind::UnknownAuthenticator),
        (&app.id, "a\nb", GuardErrorKind::Invalid),
        (&app.id, &*"x".repeat(257), GuardErrorKind::Invalid),
    ] {
        assert_eq!(kind(block_on(world.guard.rename(AL, id, name, &proof))), expected);
    }
    // Somebody who has taken over a session has no proof, and a proof for something else is none.
    let other = world.prove(&mut app, &Purpose::REVOKE);
    let before = (before, world.stored(AL)).1;
    assert_eq!(kind(block_on(world.guard.rename(AL, &app.id, "x", &other))), GuardErrorKind::ProofRejected);
    assert_eq!(world.stored(AL), before);
}

#[test]
fn what_is_revoked_never_comes_back() {
    let (world, mut app, mut token) = two();
    let generation = world.status().generation();
    let proof = world.prove(&mut app, &Purpose::REVOKE);
    assert_eq!(kind(block_on(world.guard.revoke(AL, &nobody(), &proof))), GuardErrorKind::UnknownAuthenticator);
    world.heard();
    block_on(world.guard.revoke(AL, &token.id, &proof)).unwrap();
    assert_eq!(world.heard(), [EventKind::Revoked { authenticator: token.id.clone() }]);
    assert_ne!(world.status().generation(), generation);
    assert_eq!(world.verify(&token.code(world.now())).unwrap_err(), Refusal::WrongCode, "I10");
    let codes = [token.code(T), token.code(T)];
    let answer = block_on(world.guard.resync(AL, &codes[0], &codes[1])).unwrap();
    assert!(matches!(answer, keyfob::guard::Resynchronization::Refused(_)), "I10");
    let rename = world.prove(&mut app, &Purpose::RENAME);
    let renamed = block_on(world.guard.rename(AL, &token.id, "x", &rename));
    assert_eq!(kind(renamed), GuardErrorKind::UnknownAuthenticator);

    // The proof is void, and the last one stays.
    assert_eq!(kind(block_on(world.guard.revoke(AL, &app.id, &proof))), GuardErrorKind::ProofRejected);
    let proof = world.prove(&mut app, &Purpose::REVOKE);
    assert_eq!(kind(block_on(world.guard.revoke(AL, &app.id, &proof))), GuardErrorKind::LastAuthenticator);
    world.pass(30);
    assert!(world.verify(&app.code(world.now())).is_ok());
}

#[test]
fn changes_need_the_proof_that_is_made_for_them() {
    let (world, mut app, token) = two();
    let purposes = [Purpose::ADD, Purpose::DISABLE, Purpose::REGENERATE, Purpose::REVOKE];
    for purpose in &purposes {
        let proof = world.prove(&mut app, purpose);
        let before = world.stored(AL);
        let mut refused = Vec::new();
        if *purpose != Purpose::ADD {
            refused.push(kind(world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof))));
        }
        if *purpose != Purpose::DISABLE {
            refused.push(kind(block_on(world.guard.disable(AL, &proof))));
        }
        if *purpose != Purpose::REGENERATE {
            refused.push(kind(block_on(world.guard.regenerate_recovery_codes(AL, &proof))));
        }
        if *purpose != Purpose::REVOKE {
            refused.push(kind(block_on(world.guard.revoke(AL, &token.id, &proof))));
        }
        assert_eq!(refused, [GuardErrorKind::ProofRejected; 3]);
        assert_eq!(world.stored(AL), before);
    }
}

#[test]
fn who_switches_it_off_has_none() {
    let (world, mut app, _) = two();
    let proof = world.prove(&mut app, &Purpose::DISABLE);
    world.heard();
    let before = world.status().generation();
    let after = block_on(world.guard.disable(AL, &proof)).unwrap();
    assert_eq!(world.heard(), [EventKind::Disabled]);
    assert!(world.bytes(AL).unwrap().len() < 500 && world.record()["removed"] == world.now(), "a trace is kept");
    assert!(after != before && after == world.status().generation());
    assert_eq!(world.verify(&app.code(world.now())).unwrap_err(), Refusal::NotEnrolled);
    // A new beginning is another one: a trusted device of the old one is none of the new.
    let enrollment = world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap();
    assert_ne!(*enrollment.authenticator(), app.id);
    assert_eq!(kind(block_on(world.guard.disable(AL, &proof))), GuardErrorKind::NotEnrolled);
}

#[test]
fn without_a_second_factor_there_is_nothing_to_change() {
    let (world, mut phone, _) = World::enrolled();
    let proof = world.prove(&mut phone, &Purpose::DISABLE);
    let guard = &world.guard;
    let kinds = |account: &str| {
        [
            kind(block_on(guard.rename(account, &phone.id, "x", &proof))),
            kind(block_on(guard.regenerate_recovery_codes(account, &proof))),
            kind(block_on(guard.disable(account, &proof))),
            kind(block_on(guard.operator_unlock(account, &crate::operator()))),
        ]
    };
    use GuardErrorKind::{NoEnrollment, NotEnrolled, ProofRejected};
    let expected = [ProofRejected, NotEnrolled, NotEnrolled, NotEnrolled];
    assert_eq!(kinds("bo"), expected);
    assert_eq!(kind(block_on(guard.confirm("bo", "123456"))), NoEnrollment);
    assert_eq!(kind(block_on(guard.operator_remove("bo", &crate::operator()))), NotEnrolled);
    assert_eq!(kind(block_on(guard.operator_invalidate_codes("bo", &crate::operator()))), NotEnrolled);
    assert!(!block_on(guard.reseal("bo")).unwrap());
    assert!(world.bytes("bo").is_none());
    // An enrollment that waits is no second factor yet, but can be removed.
    world.enroll("bo", &Setup::totp("al@example.com"), None).unwrap();
    let before = world.stored("bo");
    assert_eq!(kinds("bo"), expected);
    assert_eq!(world.stored("bo"), before);
    world.heard();
    block_on(guard.operator_remove("bo", &crate::operator())).unwrap();
    // Nothing was switched off.
    assert!(matches!(&*world.heard(), [EventKind::EnrollmentCanceled { .. }]));
    assert_eq!(kind(block_on(guard.operator_remove("bo", &crate::operator()))), NotEnrolled);
    world.heard();
    block_on(guard.erase("bo")).unwrap();
    assert!(world.bytes("bo").is_none() && world.heard() == [EventKind::Erased]);
}

#[test]
fn an_operator_removes_and_lifts_without_a_proof() {
    let (world, phone, _) = World::enrolled();
    world.fail(&phone, 20);
    world.heard();
    let generation = world.status().generation();
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    assert_eq!(world.heard(), [EventKind::Unlocked]);
    assert_eq!(world.status().consecutive_failures(), 0);
    assert_eq!(world.status().generation(), generation, "no factor changed");
    block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
    assert!(world.heard() == [EventKind::Disabled] && !world.status().is_active());
}

#[test]
fn a_fence_refuses_what_a_backup_forgot() {
    for window in [keyfob::Window::CURRENT, keyfob::Window::default()] {
        let (world, mut phone, _) =
            World::enrolled_with(Policy::default().with_window(window), &Setup::totp("al@example.com"));
        let backup = world.bytes(AL).unwrap();
        world.pass(DAY);
        let typed = phone.code(world.now());
        assert!(world.verify(&typed).is_ok());
        world.put(AL, &backup);
        // Control: without a fence a used code is good again.
        assert!(world.verify(&typed).is_ok());
        world.put(AL, &backup);
        block_on(world.guard.operator_invalidate_recent_codes(AL, &crate::operator())).unwrap();
        let ahead = i64::from(window.ahead());
        for later in -2..=ahead {
            let step = phone.step(world.now()).saturating_add_signed(later);
            assert!(world.verify(&phone.hotp.code(step).to_string()).is_err(), "{later}");
            block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
        }
        world.pass(30 * (u64::from(window.ahead()) + 1));
        assert!(world.verify(&phone.code(world.now())).is_ok(), "the fence locks the owner out");
        // It moves nothing back.
        let next = world.record()["active"][0]["next"].clone();
        world.at(T);
        for fence in [true, false] {
            Fence::of(fence).raise(&world);
            assert_eq!(world.record()["active"][0]["next"], next);
        }
    }
}

/// The promise of the strict kind, for every authenticator and whatever waits.
#[test]
fn a_fence_holds_for_what_was_resynchronized_counted_or_begun() {
    // An app that was found to be ahead since the backup: its used codes are those of the future.
    let (world, phone, _) = World::enrolled();
    let backup = world.bytes(AL).unwrap();
    world.pass(DAY);
    let step = phone.step(world.now());
    let code = |at: u64| phone.hotp.code(at).to_string();
    for ahead in [90, 119] {
        let answer = block_on(world.guard.resync(AL, &code(step + ahead - 1), &code(step + ahead))).unwrap();
        assert!(matches!(answer, keyfob::guard::Resynchronization::Done { .. }));
    }
    world.pass(30);
    let used = [code(step + 119), code(step + 120), code(step + 121)];
    assert!(world.verify(&used[2]).is_ok());
    let fence = |strict| {
        world.put(AL, &backup);
        world.at((step + 1) * 30);
        Fence::of(strict).raise(&world);
    };
    // The kind that is not strict is the control.
    for strict in [true, false] {
        fence(strict);
        let resynchronized = block_on(world.guard.resync(AL, &used[0], &used[1])).unwrap();
        assert_eq!(matches!(resynchronized, keyfob::guard::Resynchronization::Refused(_)), strict);
        fence(strict);
        for ahead in 119..=123 {
            world.at((step + ahead) * 30);
            assert_eq!(world.verify(&used[2]).is_err(), strict || ahead != 120, "{ahead}");
            block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
        }
    }
    // Its owner is back after 81 minutes.
    world.put(AL, &backup);
    world.at((step + 1) * 30);
    block_on(world.guard.operator_invalidate_codes(AL, &crate::operator())).unwrap();
    world.pass(82 * 60);
    assert!(world.verify(&code(phone.step(world.now()))).is_ok());

    // A token that counts: nobody knows how far it has come.
    let (world, mut token, codes) = World::enrolled_with(Policy::default(), &Setup::hotp("al@example.com"));
    let backup = world.bytes(AL).unwrap();
    let typed = token.code(T);
    assert!(world.verify(&typed).is_ok());
    for strict in [true, false] {
        world.put(AL, &backup);
        Fence::of(strict).raise(&world);
        assert_eq!(world.verify(&typed).is_err(), strict, "the other kind is the control");
    }
    // It can be replaced. No recovery code is left, so an operator vouches for the owner, who then revokes the token.
    world.put(AL, &backup);
    block_on(world.guard.operator_invalidate_codes(AL, &crate::operator())).unwrap();
    assert_eq!(world.verify(&codes[0]).unwrap_err(), Refusal::WrongCode);
    let voucher = block_on(world.guard.operator_vouch(AL, &crate::operator())).unwrap();
    let proof = block_on(world.guard.redeem(&voucher)).unwrap();
    let (mut new, _) = world.add(AL, &Setup::hotp("al@example.com"), Some(&proof));
    let proof = world.prove(&mut new, &Purpose::REVOKE);
    block_on(world.guard.revoke(AL, &token.id, &proof)).unwrap();
    assert!(world.verify(&new.code(T)).is_ok() && world.status().authenticators().len() == 1);

    // A thief's enrollment that the owner ended since: it must not come back, with an authenticator beside it or without.
    for first in [true, false] {
        let (world, mut thief) = if first {
            let world = World::new();
            let thief = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
            (world, thief)
        } else {
            let (world, mut phone, _) = World::enrolled();
            let proof = world.prove(&mut phone, &Purpose::ADD);
            let thief = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof)).unwrap());
            (world, thief)
        };
        for strict in [true, false] {
            world.heard();
            let before = world.bytes(AL).unwrap();
            Fence::of(strict).raise(&world);
            let canceled = EventKind::EnrollmentCanceled { authenticator: thief.id.clone() };
            assert_eq!(world.heard(), [EventKind::CodesInvalidated, canceled]);
            let typed = thief.code(world.now());
            assert_eq!(kind(block_on(world.guard.confirm(AL, &typed))), GuardErrorKind::NoEnrollment);
            world.put(AL, &before);
        }
        let typed = thief.code(world.now());
        let _ = world.confirm(AL, &typed);
    }
}

/// Or proofs and devices from before the backup would be trusted again, once as much had changed as then.
#[test]
fn a_fence_brings_a_generation_that_was_never_there() {
    let (world, mut phone, codes) = World::enrolled();
    let backup = world.bytes(AL).unwrap();
    let before = world.now();
    let transfer = Purpose::application("transfer").unwrap();
    let regenerate = |world: &World, phone: &mut Phone| {
        let proof = world.prove(phone, &Purpose::REGENERATE);
        block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        world.status().generation()
    };
    let generation = regenerate(&world, &mut phone);
    let proof = world.prove(&mut phone, &transfer);
    assert!(block_on(world.guard.check(AL, &proof, &transfer)).is_ok());
    let invalidated = world.now();
    // The control: without the fence, as many changes lead back to the generation, and the proof is good again.
    for fence in [Fence::None, Fence::Recent, Fence::Strict] {
        world.put(AL, &backup);
        world.at(invalidated);
        world.heard();
        fence.raise(&world);
        if fence != Fence::None {
            assert_eq!(world.heard(), [EventKind::CodesInvalidated]);
        }
        world.pass(30);
        match fence {
            Fence::None => {
                world.at(before);
                assert_eq!(regenerate(&world, &mut phone), generation);
                world.at(invalidated);
            }
            // By a recovery code: the fence refuses the app for a moment.
            Fence::Recent => {
                let accepted = world.verify(&codes[0]).unwrap();
                let again = world.guard.prove(&accepted, &Purpose::REGENERATE);
                block_on(world.guard.regenerate_recovery_codes(AL, &again)).unwrap();
            }
            // Now the recovery codes are gone, and the app is refused for an hour. Then the proof has expired anyway, so
            // the account is changed by somebody who has a voucher.
            Fence::Strict => {
                let voucher = block_on(world.guard.operator_vouch(AL, &crate::operator())).unwrap();
                let vouched = block_on(world.guard.redeem(&voucher)).unwrap();
                let mut new = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), Some(&vouched)).unwrap());
                world.confirm(AL, &new.code(world.now()));
            }
        }
        assert_eq!(world.status().generation() == generation, fence == Fence::None);
        assert_eq!(block_on(world.guard.check(AL, &proof, &transfer)).is_ok(), fence == Fence::None);
    }
}

/// What an operator does after a backup was restored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fence {
    None,
    Recent,
    Strict,
}

impl Fence {
    fn of(strict: bool) -> Self {
        if strict { Self::Strict } else { Self::Recent }
    }

    fn raise(self, world: &World) {
        match self {
            Self::None => {}
            Self::Recent => {
                block_on(world.guard.operator_invalidate_recent_codes(AL, &crate::operator())).map(drop).unwrap();
            }
            Self::Strict => block_on(world.guard.operator_invalidate_codes(AL, &crate::operator())).map(drop).unwrap(),
        }
    }
}

/// What a restored backup gives back all the same. SECURITY.md says so; an operator looks at the status.
#[test]
fn a_fence_does_not_cover_revocations_and_counts() {
    let (world, mut app, codes) = World::enrolled();
    let proof = world.prove(&mut app, &Purpose::ADD);
    let (token, _) = world.add(AL, &Setup::totp("al@example.com"), Some(&proof));
    let backup = world.bytes(AL).unwrap();
    assert!(world.verify(&codes[0]).is_ok());
    let proof = world.prove(&mut app, &Purpose::REVOKE);
    block_on(world.guard.revoke(AL, &token.id, &proof)).unwrap();
    world.fail(&app, 3);
    let state = || {
        let status = world.status();
        (status.recovery_codes_left(), status.authenticators().len(), status.consecutive_failures())
    };
    assert_eq!(state(), (9, 1, 3));
    for (fence, left) in [(Fence::Strict, 0), (Fence::Recent, 10)] {
        world.put(AL, &backup);
        fence.raise(&world);
        assert_eq!(state(), (left, 2, 0), "{fence:?}");
        // The milder kind does not cover recovery codes either.
        assert_eq!(world.verify(&codes[0]).is_ok(), fence == Fence::Recent);
    }
}

#[test]
fn an_invalidation_holds_for_what_was_learned_since_the_backup() {
    let (world, mut phone, _) = World::enrolled();
    world.edit(|record| {
        record["active"][0]["drift"] = 130.into();
        record["active"][0]["anchor"] = 130.into();
    });
    world.pass(DAY);
    let backup = world.bytes(AL).unwrap();
    let mut last = String::new();
    for ahead in 131..150i64 {
        for _ in 0..3 {
            world.pass(300);
            phone.ahead = 30 * ahead;
            last = phone.code(world.now());
            assert!(world.verify(&last).is_ok());
        }
    }
    world.put(AL, &backup);
    block_on(world.guard.operator_invalidate_codes(AL, &crate::operator())).unwrap();
    let now = world.now();
    for later in 0..60 {
        world.at(now + later * 30);
        if world.verify(&last).is_ok() {
            panic!("a used code is accepted after {later} steps")
        }
        block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    }
}

#[test]
fn the_generation_never_returns_to_that_of_no_record() {
    let (world, mut app, token) = two();
    // The token was the last change. It is active, but is stored as confirmed, and activating it counts as one change.
    world.edit(|record| record["generation"] = (u64::MAX - 1).into());
    let last: Generation = format!("{}.0", u64::MAX).parse().unwrap();
    let generation = SecondFactor::read(world.bytes(AL).as_deref()).unwrap().generation();
    assert_eq!((generation, world.status().generation()), (last, last));
    let accepted = world.verify(&app.code(world.now())).unwrap();
    assert_eq!(accepted.generation(), last, "a login changes no factor");
    let proof = world.prove(&mut app, &Purpose::REVOKE);
    let revoked = block_on(world.guard.revoke(AL, &token.id, &proof)).unwrap();
    assert_eq!((revoked, revoked.to_string().as_str()), (world.status().generation(), "1.0"), "0 means no factors");
}
