//! An operator vouches for a user who has no working code. The voucher adds an authenticator, once, and nothing else.

use futures_lite::future::block_on;
use keyfob::guard::{
    Challenge, Context, EnrollmentHandle, EnrollmentTicket, EventKind, Flow, GuardErrorKind, OperatorId, Proof,
    Purpose, Randomness, Refusal, SecondFactor, Setup, Voucher,
};
use keyfob::{KeyUri, Policy, Secret};

use super::dropped::{Stop, at_once, given_up, stopping};
use super::{AL, DAY, Phone, World, keyring, kind};

fn jane() -> OperatorId {
    OperatorId::new("jane@example.com").unwrap()
}

pub fn vouch(world: &World) -> Voucher {
    block_on(world.guard.operator_vouch(AL, &jane())).unwrap()
}

pub fn redeem(world: &World, voucher: &Voucher) -> Result<Proof, GuardErrorKind> {
    block_on(world.guard.redeem(voucher)).map_err(|error| error.kind())
}

const REJECTED: GuardErrorKind = GuardErrorKind::LoginRejected;

fn setup() -> Setup {
    Setup::totp("al@example.com")
}

#[test]
fn a_voucher_adds_an_authenticator_once() {
    let (world, mut lost, _) = World::enrolled();
    let generation = world.status().generation();
    let voucher = vouch(&world);
    assert_eq!((voucher.user(), voucher.expires_at()), (AL, world.now() + 900));
    let vouched = world.events.lock().unwrap().pop().unwrap();
    assert_eq!((vouched.kind(), vouched.operator(), vouched.user()), (&EventKind::Vouched, Some(&jane()), AL));
    assert!(vouched.to_string().contains(" operator=\"jane@example.com\" Vouched"), "{vouched}");
    let with_voucher = world.bytes(AL).unwrap();

    let voucher: Voucher = voucher.token().parse().unwrap();
    let proof = redeem(&world, &voucher).unwrap();
    let redeemed = world.events.lock().unwrap().pop().unwrap();
    assert_eq!((redeemed.kind(), redeemed.operator()), (&EventKind::VoucherRedeemed, None), "the user redeems it");
    assert_eq!(world.status().generation(), generation, "nothing has been added yet");
    let stored = world.stored(AL);
    assert_eq!(redeem(&world, &voucher).unwrap_err(), REJECTED);
    assert_eq!(world.heard(), [EventKind::Failed { flow: Flow::Redeem, kind: REJECTED }]);
    assert_eq!(world.stored(AL), stored);
    // The control: it is the record that knows. With the record from before, the voucher is good again.
    world.put(AL, &with_voucher);
    let again = redeem(&world, &voucher).unwrap();
    drop(again);

    let (mut new, codes) = world.add(AL, &setup(), Some(&proof));
    assert!(codes.is_empty(), "the user has recovery codes");
    for phone in [&mut lost, &mut new] {
        assert!(world.verify(&phone.code(world.now())).is_ok(), "the old one stays");
    }
    assert_eq!(kind(world.enroll(AL, &setup(), Some(&proof))), GuardErrorKind::ProofRejected, "twice");
}

/// The user has no recovery codes either, and gets some with the new authenticator.
#[test]
fn a_user_without_anything_gets_recovery_codes() {
    let (world, lost, old) = World::enrolled();
    block_on(world.guard.operator_revoke(AL, &lost.id, &jane())).unwrap();
    block_on(world.guard.operator_invalidate_codes(AL, &jane())).unwrap();
    assert_eq!(kind(world.enroll(AL, &setup(), None)), GuardErrorKind::ProofRequired, "the account stays protected");
    let proof = redeem(&world, &vouch(&world)).unwrap();
    let (mut new, codes) = world.add(AL, &setup(), Some(&proof));
    assert!(world.verify(&new.code(world.now())).is_ok() && world.verify(&codes[0]).is_ok());
    assert_eq!(world.verify(&old[0]).unwrap_err(), Refusal::WrongCode);
}

#[test]
fn what_makes_a_voucher_void() {
    type Change = fn(&World, &mut Phone, &[String]);
    let rows: [(&str, bool, Change); 20] = [
        // The control: these leave it as it is.
        ("nothing", false, |_, _, _| {}),
        ("a login", false, |world, phone, _| {
            world.pass(30);
            assert!(world.verify(&phone.code(world.now())).is_ok());
        }),
        ("failures", false, |world, phone, _| world.fail(phone, 3)),
        ("an enrollment", false, |world, phone, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            world.enroll(AL, &setup(), Some(&proof)).unwrap();
        }),
        ("an unlocking", false, |world, _, _| block_on(world.guard.operator_unlock(AL, &jane())).unwrap()),
        ("just before its end", false, |world, _, _| world.pass(899)),
        ("a clock a minute behind", false, |world, _, _| world.at(world.now() - 60)),
        ("its end", true, |world, _, _| world.pass(900)),
        ("a clock that was set back", true, |world, _, _| world.at(world.now() - 61)),
        ("another voucher", true, |world, _, _| drop(vouch(world))),
        ("a suspension", true, |world, _, _| {
            block_on(world.guard.operator_suspend(AL, &jane())).unwrap();
            block_on(world.guard.operator_resume(AL, &jane())).unwrap();
        }),
        ("a new authenticator", true, |world, phone, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            world.add(AL, &setup(), Some(&proof));
        }),
        ("a replaced one", true, |world, phone, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            world.add(AL, &setup().replacing(phone.id.clone()), Some(&proof));
        }),
        ("a revocation", true, |world, phone, _| {
            block_on(world.guard.operator_revoke(AL, &phone.id, &jane())).unwrap();
        }),
        ("new recovery codes", true, |world, phone, _| {
            let proof = world.prove(phone, &Purpose::REGENERATE);
            block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        }),
        ("a recovery code", true, |world, _, codes| assert!(world.verify(&codes[0]).is_ok())),
        ("a new password", true, |world, _, _| block_on(world.guard.forget_devices(AL)).map(drop).unwrap()),
        ("a restored backup", true, |world, _, _| {
            block_on(world.guard.operator_invalidate_recent_codes(AL, &jane())).map(drop).unwrap();
        }),
        ("a removal", true, |world, _, _| {
            block_on(world.guard.operator_remove(AL, &jane())).unwrap();
            world.add(AL, &setup(), None);
        }),
        ("an erasure", true, |world, _, _| {
            block_on(world.guard.erase(AL)).unwrap();
            world.add(AL, &setup(), None);
        }),
    ];
    for (name, void, change) in rows {
        let (world, mut phone, codes) = World::enrolled();
        let voucher = vouch(&world);
        change(&world, &mut phone, &codes);
        world.heard();
        let before = world.stored(AL);
        let outcome = redeem(&world, &voucher).map(drop);
        assert_eq!(outcome, if void { Err(REJECTED) } else { Ok(()) }, "{name}");
        assert_eq!(world.stored(AL) == before, void, "{name}");
        let expected = match void {
            true => EventKind::Failed { flow: Flow::Redeem, kind: REJECTED },
            false => EventKind::VoucherRedeemed,
        };
        assert_eq!(world.heard(), [expected], "{name}");
    }
}

/// What makes the voucher void makes the proof void, too, and the proof has an end of its own.
#[test]
fn the_proof_ends_with_what_it_was_made_for() {
    type Change = fn(&World);
    let rows: [(bool, Change); 5] = [
        (false, |world| world.pass(299)),
        (true, |world| world.pass(300)),
        (true, |world| block_on(world.guard.forget_devices(AL)).map(drop).unwrap()),
        (true, |world| block_on(world.guard.operator_invalidate_recent_codes(AL, &jane())).map(drop).unwrap()),
        // A second voucher takes nothing from somebody who has redeemed the first.
        (false, |world| drop(vouch(world))),
    ];
    for (row, (void, change)) in rows.into_iter().enumerate() {
        let (world, ..) = World::enrolled();
        let proof = redeem(&world, &vouch(&world)).unwrap();
        change(&world);
        let outcome = world.enroll(AL, &setup(), Some(&proof)).map(drop).map_err(|error| error.kind());
        assert_eq!(outcome, if void { Err(GuardErrorKind::ProofRejected) } else { Ok(()) }, "row {row}");
    }
}

#[test]
fn a_voucher_is_for_one_user_who_has_a_second_factor() {
    let (world, ..) = World::enrolled();
    assert_eq!(kind(block_on(world.guard.operator_vouch("bo", &jane()))), GuardErrorKind::NotEnrolled);
    world.enroll("bo", &setup(), None).unwrap();
    assert_eq!(kind(block_on(world.guard.operator_vouch("bo", &jane()))), GuardErrorKind::NotEnrolled);
    world.add("bo", &setup(), None);

    // Without a guard, the application names the user.
    let voucher = vouch(&world);
    let (policy, ring) = (Policy::default(), keyring(&["2026"]));
    let factor = SecondFactor::read(world.bytes(AL).as_deref()).unwrap();
    for (user, good) in [(AL, true), ("bo", false)] {
        let context = Context::new(user, world.now(), &policy, &ring).unwrap();
        assert_eq!(factor.redeem(&context, &voucher).is_ok(), good, "{user}");
    }
    // The proof is for the same user.
    let proof = redeem(&world, &voucher).unwrap();
    assert_eq!(kind(world.enroll("bo", &setup(), Some(&proof))), GuardErrorKind::ProofRejected);
    assert!(world.enroll(AL, &setup(), Some(&proof)).is_ok(), "control");

    let voucher = vouch(&world);
    block_on(world.guard.operator_suspend(AL, &jane())).unwrap();
    assert_eq!(kind(block_on(world.guard.operator_vouch(AL, &jane()))), GuardErrorKind::Suspended);
    assert_eq!(redeem(&world, &voucher).unwrap_err(), GuardErrorKind::Suspended);
}

/// Nobody who holds one can take an authenticator, or anything else, away from its owner.
#[test]
fn a_voucher_is_good_for_adding_only() {
    let (world, mut phone, _) = World::enrolled();
    let vouched = redeem(&world, &vouch(&world)).unwrap();
    let replacing = setup().replacing(phone.id.clone());
    let guard = &world.guard;
    let before = world.stored(AL);
    let transfer = super::proof::transfer();
    let application = Purpose::application("vouched").unwrap();
    let refused = [
        kind(world.enroll(AL, &replacing, Some(&vouched))),
        kind(block_on(guard.rename(AL, &phone.id, "x", &vouched))),
        kind(block_on(guard.revoke(AL, &phone.id, &vouched))),
        kind(block_on(guard.regenerate_recovery_codes(AL, &vouched))),
        kind(block_on(guard.disable(AL, &vouched))),
        kind(block_on(guard.check(AL, &vouched, &Purpose::ADD))),
        kind(block_on(guard.check(AL, &vouched, &transfer))),
        kind(block_on(guard.check(AL, &vouched, &application))),
    ];
    assert_eq!(refused, [GuardErrorKind::ProofRejected; 8]);
    assert_eq!(world.stored(AL), before);
    assert!(world.enroll(AL, &setup(), Some(&vouched)).is_ok());
    // The control: a proof that rests on a code replaces.
    let proof = world.prove(&mut phone, &Purpose::ADD);
    assert!(world.enroll(AL, &replacing, Some(&proof)).is_ok());
}

/// Otherwise, each voucher would be worth a hundred more guesses at the codes of the old authenticator.
#[test]
fn a_vouched_authenticator_refills_no_budget_and_ends_no_wait() {
    for (vouched, exhausted) in [(true, true), (true, false), (false, true), (false, false)] {
        let (world, mut phone, _) = World::enrolled();
        let proof = match vouched {
            true => redeem(&world, &vouch(&world)).unwrap(),
            // The control.
            false => world.prove(&mut phone, &Purpose::ADD),
        };
        let now = world.now();
        world.edit(|record| {
            let level = if exhausted { 100 * DAY } else { 20 * DAY };
            record["budget"]["failures"] = 7.into();
            (record["budget"]["level"], record["budget"]["level_at"]) = (level.into(), now.into());
            (record["budget"]["until"], record["budget"]["failed_at"]) = (now.into(), now.into());
        });
        let before = world.record()["budget"].clone();
        assert_eq!((world.status().is_exhausted(), world.status().retry_at().is_some()), (exhausted, true));
        let mut new = Phone::of(&world.enroll(AL, &setup(), Some(&proof)).unwrap());
        world.heard();
        world.confirm(AL, &new.code(world.now()));
        let after = world.record()["budget"].clone();
        for count in ["failures", "level", "failed_at", "reported_at"] {
            let kept = after[count] == before[count];
            let refilled = !vouched && (count == "failures" || count == "level" && exhausted);
            assert_eq!(kept, !refilled || before[count] == 0, "{vouched} {exhausted} {count}");
        }
        assert_eq!(world.status().is_exhausted(), exhausted && vouched);
        assert_eq!(world.status().retry_at().is_some(), vouched);
        assert_eq!(world.heard().contains(&EventKind::Unlocked), exhausted && !vouched);
    }
}

/// Nor does an imported one, whose holder can confirm it at any time.
#[test]
fn an_imported_secret_that_was_vouched_for_ends_no_row_of_failures() {
    let secret = Secret::from_bytes(&[7; 20]).unwrap();
    let imported = Setup::import(&KeyUri::totp("Other", "al", &secret).unwrap()).unwrap();
    for vouched in [true, false] {
        let (world, mut phone, _) = World::enrolled();
        let proof = match vouched {
            true => redeem(&world, &vouch(&world)).unwrap(),
            // The control: a proof that rests on a code.
            false => world.prove(&mut phone, &Purpose::ADD),
        };
        let mut new = Phone::of(&world.enroll(AL, &imported, Some(&proof)).unwrap());
        world.fail(&phone, 4);
        world.confirm(AL, &new.code(world.now()));
        assert_eq!(world.status().consecutive_failures(), if vouched { 4 } else { 0 });
    }
}

#[test]
fn the_proof_is_bound_to_the_session_once_it_is_text() {
    let (world, ..) = World::enrolled();
    let text = redeem(&world, &vouch(&world)).unwrap().token("session 1");
    for (session, good) in [(None, false), (Some("session 2"), false), (Some("session 1"), true)] {
        let proof = Proof::from_token(&text).unwrap();
        let proof = match session {
            Some(session) => proof.in_session(session),
            None => proof,
        };
        assert_eq!(world.enroll(AL, &setup(), Some(&proof)).is_ok(), good, "{session:?}");
    }
    // Nobody can turn it into a proof for something else.
    let renamed = text.replacen("vouched~", "add~", 1);
    assert_ne!(renamed, text);
    let proof = Proof::from_token(&renamed).unwrap().in_session("session 1");
    assert_eq!(kind(world.enroll(AL, &setup(), Some(&proof))), GuardErrorKind::ProofRejected);
}

/// Anybody can make one up, for any user. It reaches neither the store nor the log.
#[test]
fn a_made_up_voucher_is_refused_without_a_trace() {
    let (world, ..) = World::enrolled();
    let voucher = vouch(&world);
    let text = voucher.token();
    // A store that never answers: whatever asks it, waits.
    let deaf = stopping(&world, Stop::Load);
    world.heard();
    assert!(given_up(deaf.redeem(&voucher)), "control");
    assert_eq!(world.heard(), [EventKind::Dropped { flow: Flow::Redeem, may_have_changed: false }]);
    let mut forged = 0;
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(other) = String::from_utf8(bytes) else { continue };
        let Ok(other) = Voucher::from_token(&other) else { continue };
        forged += 1;
        assert_eq!(kind(at_once(deaf.redeem(&other))), REJECTED);
    }
    assert!(forged > 100 && world.heard().is_empty(), "{forged}");
    // Of another server, of another user, and of another kind.
    let foreign =
        block_on(world.again(Policy::default(), &keyring(&["2026x", "2026"])).guard.operator_vouch(AL, &jane()));
    world.heard();
    assert_eq!(kind(at_once(deaf.redeem(&foreign.unwrap()))), REJECTED);
    let other = text.replacen("~YWw~", "~Ym8~", 1);
    assert_eq!(kind(at_once(deaf.redeem(&Voucher::from_token(&other).unwrap()))), REJECTED);
    for name in ["login", "enroll"] {
        let renamed = text.replacen("vouch~", &format!("{name}~"), 1);
        assert!(Voucher::from_token(&renamed).is_err());
    }
    assert!(Challenge::from_token(&text).is_err() && EnrollmentTicket::from_token(&text).is_err());
    assert!(Proof::from_token(&text).is_err() && EnrollmentHandle::from_token(&text).is_err());
    let challenge = Challenge::from_token(&text.replacen("vouch~", "login~", 1)).unwrap();
    assert_eq!(kind(at_once(deaf.answer(&challenge, "123456"))), REJECTED);
    let pending = super::login::challenge(&world).token();
    let renamed = Voucher::from_token(&pending.replacen("login~", "vouch~", 1)).unwrap();
    assert_eq!(kind(at_once(deaf.redeem(&renamed))), REJECTED, "a password alone is no voucher");
    assert!(world.heard().is_empty());
    for text in ["", "~", "vouch~~~~~~~~", &text[1..], &format!("{text} ")] {
        assert_eq!(kind(Voucher::from_token(text)), REJECTED, "{text}");
    }
}

/// Whatever the record says, the id of a voucher is never the one that means that there is none.
#[test]
fn no_voucher_has_the_id_of_none() {
    let (mut world, ..) = World::enrolled();
    let guard = std::mem::replace(&mut world.guard, World::new().guard);
    world.guard = guard.with_randomness(Randomness::new(|buffer| {
        buffer.fill(0);
        Ok::<(), ()>(())
    }));
    let voucher = vouch(&world);
    assert_ne!(world.record()["voucher"], 0);
    assert!(redeem(&world, &voucher).is_ok() && world.record().get("voucher").is_none());
    assert_eq!(redeem(&world, &voucher).unwrap_err(), REJECTED);
}

/// Two requests at once redeem it once.
#[test]
fn of_two_requests_one_redeems_it() {
    for _ in 0..50 {
        let (world, ..) = World::enrolled();
        let voucher = vouch(&world);
        let barrier = std::sync::Barrier::new(4);
        let attempt = || {
            barrier.wait();
            redeem(&world, &voucher).is_ok()
        };
        let good = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(attempt)).collect();
            all.into_iter().map(|one| one.join().unwrap()).filter(|good| *good).count()
        });
        assert_eq!(good, 1);
    }
}
