//! What operators do, and that the events say who did it.

use futures_lite::future::block_on;
use keyfob::guard::{
    Adoptee, Adoption, Answer, AuthenticatorId, EventKind, Expectation, GuardErrorKind, Login, OperatorId, Purpose,
    Refusal, Setup,
};

use super::login::{answer, challenge};
use super::{AL, Phone, World, kind};

fn jane() -> OperatorId {
    OperatorId::new("jane@example.com").unwrap()
}

#[test]
fn events_say_which_operator() {
    let (world, mut phone, _) = World::enrolled();
    let guard = &world.guard;
    let jane = jane();
    let proof = world.prove(&mut phone, &Purpose::ADD);
    let (second, _) = world.add(AL, &Setup::totp("al"), Some(&proof));
    world.events.lock().unwrap().clear();
    let nobody = AuthenticatorId::new("nobody").unwrap();
    block_on(guard.operator_unlock(AL, &jane)).unwrap();
    block_on(guard.operator_revoke(AL, &second.id, &jane)).unwrap();
    block_on(guard.operator_suspend(AL, &jane)).unwrap();
    block_on(guard.operator_resume(AL, &jane)).unwrap();
    block_on(guard.operator_vouch(AL, &jane)).unwrap();
    block_on(guard.operator_invalidate_codes(AL, &jane)).unwrap();
    block_on(guard.operator_invalidate_recent_codes(AL, &jane)).unwrap();
    block_on(guard.operator_remove(AL, &jane)).unwrap();
    let bo = Adoptee { user: "bo".into(), uri: phone.uri.clone(), last_used: None, name: String::new() };
    let adoption = block_on(guard.adopt(&bo, &jane)).unwrap();
    assert!(matches!(adoption, Adoption::Adopted(_)));
    // What fails says so, too.
    assert_eq!(kind(block_on(guard.operator_revoke(AL, &nobody, &jane))), GuardErrorKind::UnknownAuthenticator);
    assert_eq!(kind(block_on(guard.operator_vouch(AL, &jane))), GuardErrorKind::NotEnrolled);
    let events: Vec<_> = world.events.lock().unwrap().drain(..).collect();
    assert_eq!(events.len(), 11);
    for event in events {
        assert_eq!(event.operator(), Some(&jane), "{event}");
        assert!(event.to_string().contains(" operator=\"jane@example.com\" "), "{event}");
    }
    // Control: what users do names no operator.
    block_on(guard.forget_devices(AL)).unwrap();
    let events: Vec<_> = world.events.lock().unwrap().drain(..).collect();
    assert!(!events.is_empty() && events.iter().all(|event| event.operator().is_none()));
    for name in ["", "a\nb", "\u{85}", &"x".repeat(256)] {
        assert!(OperatorId::new(name).is_err() && name.parse::<OperatorId>().is_err(), "{name:?}");
    }
    assert_eq!(OperatorId::new(&"x".repeat(255)).unwrap().to_string().len(), 255);
}

/// A loss is reported: the authenticator is void at once. The account stays protected even if it was the last one.
#[test]
fn an_operator_revokes_what_was_lost() {
    let (world, mut phone, codes) = World::enrolled();
    let proof = world.prove(&mut phone, &Purpose::ADD);
    let (mut second, _) = world.add(AL, &Setup::totp("al"), Some(&proof));
    let generation = world.status().generation();
    let pending = challenge(&world);
    world.heard();
    block_on(world.guard.operator_revoke(AL, &phone.id, &jane())).unwrap();
    assert_eq!(world.heard(), [EventKind::Revoked { authenticator: phone.id.clone() }]);
    assert!(!block_on(world.guard.is_current(AL, generation)).unwrap());
    assert_eq!(answer(&world, &pending, &second.code(world.now())).unwrap_err(), Err(GuardErrorKind::LoginRejected));
    assert_eq!(answer(&world, &challenge(&world), &phone.code(world.now())).unwrap_err(), Ok(Refusal::WrongCode));
    assert!(answer(&world, &challenge(&world), &second.code(world.now())).is_ok(), "the other one still works");

    // The last one: whatever the application expects, a code is due.
    block_on(world.guard.operator_revoke(AL, &second.id, &jane())).unwrap();
    world.pass(30);
    assert!(world.status().is_active() && world.status().authenticators().is_empty());
    for expectation in [Expectation::Enrolled, Expectation::Optional, Expectation::RequiredFrom(0)] {
        let login = block_on(world.guard.begin_login(AL, expectation, None)).unwrap();
        assert!(matches!(login, Login::Challenge(_)), "{expectation:?}");
    }
    let setup = Setup::totp("al");
    assert_eq!(kind(world.enroll(AL, &setup, None)), GuardErrorKind::ProofRequired);
    for phone in [&mut phone, &mut second] {
        let refused = answer(&world, &challenge(&world), &phone.code(world.now())).unwrap_err();
        assert_eq!(refused, Ok(Refusal::WrongCode));
    }
    // A recovery code lets the owner in, who then adds another authenticator.
    let sign_in = answer(&world, &challenge(&world), &codes[0]).unwrap();
    let proof = world.guard.prove(sign_in.accepted().unwrap(), &Purpose::ADD);
    let (mut third, more) = world.add(AL, &setup, Some(&proof));
    assert!(more.is_empty(), "the recovery codes are still those of before");
    let Answer::Accepted(_) = world.log_in(&third.code(world.now()), None) else { panic!() };
    assert_eq!(world.record()["revoked"], 0);

    // Without a recovery code, the only way is to remove the second factor. The owner can disable it, too.
    block_on(world.guard.operator_revoke(AL, &third.id, &jane())).unwrap();
    world.pass(30);
    let sign_in = answer(&world, &challenge(&world), &codes[1]).unwrap();
    let proof = world.guard.prove(sign_in.accepted().unwrap(), &Purpose::REGENERATE);
    assert_eq!(block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap().iter().len(), 10);
    block_on(world.guard.operator_remove(AL, &jane())).unwrap();
    assert!(!world.status().is_active());
    let expected = block_on(world.guard.begin_login(AL, Expectation::Enrolled, None));
    assert_eq!(kind(expected), GuardErrorKind::Removed);
    let enrollment = world.enroll(AL, &setup, None).unwrap();
    world.confirm(AL, &Phone::of(&enrollment).code(world.now()));
    assert!(world.status().is_active());
}
