use futures_lite::future::block_on;
use keyfob::guard::{
    Adoptee, Confirmation, Context, Diagnosis, EventKind, GuardErrorKind, Method, Purpose, Refusal, SecondFactor, Setup,
};
use keyfob::{Algorithm, Digits, ErrorKind, Hotp, KeyUri, Period, Policy, Secret};

use super::{AL, DAY, Phone, T, World, keyring, kind, randomness};

#[test]
fn a_new_authenticator_stands_beside_what_works() {
    let (world, mut first, codes) = World::enrolled();
    assert_eq!(codes.len(), 10);
    assert_eq!(kind(world.enroll(AL, &Setup::totp("al@example.com"), None)), GuardErrorKind::ProofRequired);
    let proof = world.prove(&mut first, &Purpose::ADD);
    let generation = world.status().generation();
    let enrollment = world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof)).unwrap();
    assert_eq!(enrollment.manual_entry(), enrollment.uri().manual_entry());
    let mut second = Phone::of(&enrollment);
    assert!(world.status().enrollment_pending() && world.status().generation() == generation);
    world.pass(60);
    assert_eq!(world.verify(&second.code(world.now())).unwrap_err(), Refusal::WrongCode);
    assert_eq!(*world.verify(&first.code(world.now())).unwrap().authenticator().unwrap(), first.id);

    let typed = second.code(world.now());
    let confirmed = world.confirm(AL, &typed);
    assert!(*confirmed.authenticator() == second.id && confirmed.recovery_codes().is_none());
    assert_eq!(world.verify(&typed).unwrap_err(), Refusal::Replayed, "the code that confirmed is a login");
    assert_eq!(kind(block_on(world.guard.confirm(AL, &typed))), GuardErrorKind::NoEnrollment);
    assert!(!world.status().enrollment_pending() && world.status().generation() != generation);
    world.pass(30);
    for phone in [&mut first, &mut second] {
        assert_eq!(*world.verify(&phone.code(world.now())).unwrap().authenticator().unwrap(), phone.id);
    }
    let heard = world.heard();
    assert!(heard.contains(&EventKind::EnrollmentStarted { authenticator: second.id.clone() }));
    assert!(heard.contains(&EventKind::Confirmed { authenticator: second.id }));
}

#[test]
fn an_enrollment_expires_and_is_replaced() {
    for (waits, good) in [(0, true), (899, true), (900, false), (86_400, false)] {
        let world = World::new();
        let enrollment = world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap();
        assert_eq!(enrollment.expires_at(), T + 900);
        world.pass(waits);
        let typed = Phone::of(&enrollment).code(world.now());
        match block_on(world.guard.confirm(AL, &typed)) {
            Ok(Confirmation::Confirmed(_)) => assert!(good),
            other => assert!(!good && kind(other) == GuardErrorKind::NoEnrollment),
        }
    }
    let world = World::new();
    let mut dropped = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
    world.heard();
    let mut kept = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
    let canceled = EventKind::EnrollmentCanceled { authenticator: dropped.id.clone() };
    assert_eq!(world.heard()[0], canceled, "an enrollment ended, and nobody heard of it");
    let Confirmation::Refused { refusal, .. } = block_on(world.guard.confirm(AL, &dropped.code(T))).unwrap() else {
        panic!("an enrollment that was replaced was confirmed")
    };
    assert_eq!(refusal, Refusal::WrongCode);
    let _ = world.confirm(AL, &kept.code(T));
}

#[test]
fn an_enrollment_survives_a_clock_set_back_a_little_and_is_never_endless() {
    for (back, good) in [(1, true), (899, true), (900, false), (365 * 86_400, false)] {
        let world = World::new();
        let mut phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
        world.at(T - back);
        match block_on(world.guard.confirm(AL, &phone.code(world.now()))) {
            Ok(Confirmation::Confirmed(_)) => assert!(good),
            other => assert!(!good && kind(other) == GuardErrorKind::NoEnrollment, "{back}"),
        }
    }
}

#[test]
fn an_enrollment_forgives_twenty_wrong_codes() {
    let world = World::new();
    let mut phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
    for typed in ["", "12345", "hello", "1234567890123456789"] {
        let answer = block_on(world.guard.confirm(AL, typed)).unwrap();
        assert!(matches!(answer, Confirmation::Refused { refusal, .. } if refusal == Refusal::Malformed));
    }
    world.heard();
    for _ in 0..20 {
        let answer = block_on(world.guard.confirm(AL, &phone.wrong(T))).unwrap();
        assert!(matches!(answer, Confirmation::Refused { refusal, .. } if refusal == Refusal::WrongCode));
    }
    assert!(world.heard().iter().all(|kind| matches!(kind, EventKind::EnrollmentRefused { .. })));
    assert_eq!(kind(block_on(world.guard.confirm(AL, &phone.code(T)))), GuardErrorKind::NoEnrollment);
    assert_eq!(world.verify(&phone.code(T)).unwrap_err(), Refusal::NotEnrolled);
}

#[test]
fn one_takes_the_place_of_another() {
    let (world, mut old, _) = World::enrolled();
    let proof = world.prove(&mut old, &Purpose::ADD);
    let nobody = keyfob::guard::AuthenticatorId::new("nobody").unwrap();
    let setup = Setup::totp("al@example.com").replacing(nobody);
    assert_eq!(kind(world.enroll(AL, &setup, Some(&proof))), GuardErrorKind::UnknownAuthenticator);
    let setup = Setup::totp("al@example.com").replacing(old.id.clone()).with_name("new").unwrap();
    let mut new = Phone::of(&world.enroll(AL, &setup, Some(&proof)).unwrap());
    world.heard();
    assert!(world.confirm(AL, &new.code(world.now())).recovery_codes().is_none());
    // The owner hears of both: of the one that came and of the one that went.
    let (confirmed, revoked) = (new.id.clone(), old.id.clone());
    let expected = [EventKind::Confirmed { authenticator: confirmed }, EventKind::Revoked { authenticator: revoked }];
    assert_eq!(world.heard(), expected);
    world.pass(60);
    let status = world.status();
    assert!(status.authenticators().len() == 1 && status.authenticators()[0].name() == "new");
    assert_eq!(world.verify(&old.code(world.now())).unwrap_err(), Refusal::WrongCode);
    assert_eq!(world.verify(&new.code(world.now())).unwrap().authenticator_name(), Some("new"));
    assert_eq!(kind(world.enroll(AL, &setup, Some(&proof))), GuardErrorKind::ProofRejected, "a proof was used twice");
}

#[test]
fn eight_are_the_most() {
    let (world, mut first, _) = World::enrolled();
    for _ in 1..8 {
        let proof = world.prove(&mut first, &Purpose::ADD);
        world.add(AL, &Setup::hotp("al@example.com"), Some(&proof));
    }
    let proof = world.prove(&mut first, &Purpose::ADD);
    assert_eq!(
        kind(world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof))),
        GuardErrorKind::TooManyAuthenticators
    );
    let last = world.status().authenticators()[7].id().clone();
    world.add(AL, &Setup::totp("al@example.com").replacing(last), Some(&proof));
    assert_eq!(world.status().authenticators().len(), 8);
}

#[test]
fn tokens_that_have_a_secret_are_imported() {
    let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
    let uri = KeyUri::hotp("Other", "al", &secret, 1000).unwrap().with_digits(Digits::Eight);
    let (world, mut phone, _) = World::enrolled_with(Policy::default(), &Setup::import(&uri).unwrap());
    assert!(*phone.uri.secret() == secret && phone.counter == 1001 && phone.uri.digits() == Digits::Eight);
    let accepted = world.verify(&phone.code(world.now())).unwrap();
    assert!(accepted.method() == Method::Hotp && accepted.drift() == 0);
    let early = Hotp::new(&secret).with_digits(Digits::Eight).code(999).to_string();
    assert_eq!(world.verify(&early).unwrap_err(), Refusal::WrongCode);

    let steam = KeyUri::steam("Steam", "al", &secret).unwrap();
    assert_eq!(Setup::import(&steam).unwrap_err().kind(), ErrorKind::Uri);
    for name in ["\n", &"x".repeat(257)] {
        assert_eq!(Setup::totp("al@example.com").with_name(name).unwrap_err().kind(), ErrorKind::Name);
    }
}

#[test]
fn what_an_app_does_differently_is_said() {
    type Show = fn(&Secret) -> String;
    const NOW: u64 = T - T % 60 + 20;
    let setup = || Setup::totp("al@example.com");
    let rows: [(Setup, Show, Option<Diagnosis>); 8] = [
        (
            setup().with_algorithm(Algorithm::Sha256),
            |secret| Hotp::new(secret).code(NOW / 30).to_string(),
            Some(Diagnosis::AlgorithmIgnored(Algorithm::Sha1)),
        ),
        (
            setup(),
            |secret| Hotp::with_algorithm(secret, Algorithm::Sha512).code(NOW / 30).to_string(),
            Some(Diagnosis::AlgorithmIgnored(Algorithm::Sha512)),
        ),
        (
            setup().with_digits(Digits::Eight),
            |secret| Hotp::new(secret).code(NOW / 30).to_string(),
            Some(Diagnosis::DigitsIgnored(Digits::Six)),
        ),
        (
            setup(),
            |secret| Hotp::new(secret).code(NOW / 60).to_string(),
            Some(Diagnosis::PeriodIgnored(Period::new(60).unwrap())),
        ),
        (setup(), |secret| Hotp::new(secret).code(NOW / 30 + 10).to_string(), Some(Diagnosis::ClockOff(300))),
        (setup(), |secret| Hotp::new(secret).code(NOW / 30 - 14).to_string(), Some(Diagnosis::ClockOff(-420))),
        (setup(), |secret| Hotp::new(secret).code(NOW / 30 + 240).to_string(), Some(Diagnosis::ClockOff(7200))),
        (setup(), |secret| Hotp::new(secret).code(NOW / 30 - 660).to_string(), Some(Diagnosis::ClockOff(-19_800))),
    ];
    for (setup, show, expected) in rows {
        let world = World::new();
        world.at(NOW);
        let enrollment = world.enroll(AL, &setup, None).unwrap();
        let typed = show(enrollment.uri().secret());
        let Confirmation::Refused { refusal, diagnosis } = block_on(world.guard.confirm(AL, &typed)).unwrap() else {
            panic!("confirmed: {expected:?}")
        };
        assert_eq!((refusal, diagnosis), (Refusal::WrongCode, expected));
        assert_eq!(world.heard()[1], EventKind::EnrollmentRefused { reason: Refusal::WrongCode, diagnosis });
        let _ = world.confirm(AL, &Phone::of(&enrollment).code(NOW));
    }
    let world = World::new();
    let phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
    let far = phone.hotp.code(phone.step(T) + 1_000_000).to_string();
    let answer = block_on(world.guard.confirm(AL, &far)).unwrap();
    assert!(matches!(answer, Confirmation::Refused { diagnosis: None, .. }));
}

#[test]
fn names_that_no_account_or_uri_can_have_are_refused() {
    let world = World::new();
    for account in ["", "a\nb", "\u{7f}", &"x".repeat(256)] {
        assert_eq!(kind(world.enroll(account, &Setup::totp("al@example.com"), None)), GuardErrorKind::User);
        assert_eq!(kind(world.try_verify(account, "123456")), GuardErrorKind::User);
    }
    assert_eq!(kind(block_on(world.guard.enroll(AL, &Setup::totp("")))), GuardErrorKind::Invalid);
    assert_eq!(kind(block_on(world.guard.enroll(AL, &Setup::totp("a:b")))), GuardErrorKind::Invalid);
    assert!(world.bytes(AL).is_none());
}

#[test]
fn a_new_factor_refills_the_budget_only_when_it_is_exhausted() {
    // The re-binding of NIST SP 800-63B-4, section 3.2.2: it takes a proof, so no guesser gets here. But were each of
    // them a hundred guesses more, somebody who changes phones would be guessed sooner than the policy says.
    for exhausted in [false, true] {
        let (world, mut first, _) = World::enrolled();
        let proof = world.prove(&mut first, &Purpose::ADD);
        let level = if exhausted { 100 * DAY } else { 99 * DAY };
        world.edit(|record| record["budget"]["level"] = level.into());
        world.edit(|record| record["budget"]["failures"] = 7.into());
        assert_eq!(world.status().is_exhausted(), exhausted);
        let mut second = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof)).unwrap());
        world.heard();
        world.confirm(AL, &second.code(world.now()));
        let kept = if exhausted { 0 } else { level };
        assert_eq!(world.record()["budget"]["level"], kept, "guesses were refilled");
        assert_eq!(world.heard().contains(&EventKind::Unlocked), exhausted);
        assert_eq!((world.status().consecutive_failures(), world.status().is_exhausted()), (0, false));
    }
}

#[test]
fn one_secret_is_enrolled_once() {
    let secret = Secret::generate();
    let setup = Setup::import(&KeyUri::totp("a", "b", &secret).unwrap()).unwrap();
    let (world, mut phone, _) = World::enrolled_with(Policy::default(), &setup);
    let proof = world.prove(&mut phone, &Purpose::ADD);
    assert_eq!(kind(world.enroll(AL, &setup, Some(&proof))), GuardErrorKind::SecretInUse);
    assert!(world.enroll("bo", &setup, None).is_ok());
}

/// A confirmation counts for its user, and only until the generation changes.
#[test]
fn the_first_recovery_codes_need_the_confirmation_of_the_same_user() {
    let world = World::new();
    let mut phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
    let confirmed = world.confirm(AL, &phone.code(T));
    let (policy, ring) = (Policy::default(), keyring(&["2026"]));
    let codes = |user| {
        let factor = SecondFactor::read(world.bytes(AL).as_deref()).unwrap();
        let context = Context::new(user, T, &policy, &ring).unwrap();
        factor.first_recovery_codes(&context, &randomness(1), &confirmed).map(drop).map_err(|error| error.kind())
    };
    assert_eq!(codes(AL), Ok(()));
    assert_eq!(codes("bo"), Err(GuardErrorKind::ProofRejected));
    block_on(world.guard.forget_devices(AL)).unwrap();
    assert_eq!(codes(AL), Err(GuardErrorKind::ProofRejected));
}

#[test]
fn an_enrollment_ends_when_the_factors_change() {
    for change in [Purpose::REVOKE, Purpose::REGENERATE] {
        let (world, mut phone, _) = World::enrolled();
        let proof = world.prove(&mut phone, &Purpose::ADD);
        let (other, _) = world.add(AL, &Setup::totp("al@example.com"), Some(&proof));
        let proof = world.prove(&mut phone, &Purpose::ADD);
        world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof)).unwrap();
        assert!(world.status().enrollment_pending());
        let proof = world.prove(&mut phone, &change);
        if change == Purpose::REVOKE {
            block_on(world.guard.revoke(AL, &other.id, &proof)).unwrap();
        } else {
            block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        }
        assert!(!world.status().enrollment_pending());
        assert_eq!(kind(block_on(world.guard.confirm(AL, "123456"))), GuardErrorKind::NoEnrollment);
    }
}

/// RFC 6238, sections 3 and 5.1: a secret for each prover, as long as the output of the hash.
#[test]
fn each_enrollment_has_a_secret_of_its_own() {
    let world = World::new();
    let mut seen = std::collections::BTreeSet::new();
    for (algorithm, length) in [(Algorithm::Sha1, 20), (Algorithm::Sha256, 32), (Algorithm::Sha512, 64)] {
        let setup = Setup::totp("al@example.com").with_algorithm(algorithm);
        // Ten users, and one who begins ten times.
        for user in (0..10).map(|number| number.to_string()).chain(std::iter::repeat_n(AL.into(), 10)) {
            let enrollment = world.enroll(&user, &setup, None).unwrap();
            let secret = enrollment.uri().secret().expose_bytes();
            assert_eq!(secret.len(), length, "{algorithm}");
            assert!(seen.insert(secret[..20].to_vec()), "a secret was issued twice");
        }
    }
}

/// NIST SP 800-63B-4, section 4.1: the status says when each authenticator was bound.
#[test]
fn the_time_of_binding_is_that_of_the_right_code_or_of_the_adoption() {
    let world = World::new();
    let mut phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
    world.pass(300);
    let _ = block_on(world.guard.confirm(AL, &phone.wrong(world.now()))).unwrap();
    world.pass(100);
    let _ = world.confirm(AL, &phone.code(world.now()));
    world.pass(60);
    assert!(world.verify(&phone.code(world.now())).is_ok());
    let times = |user| {
        let status = block_on(world.guard.status(user)).unwrap();
        (status.authenticators()[0].created_at(), status.authenticators()[0].bound_at())
    };
    assert_eq!(times(AL), (T, T + 400));

    let uri = KeyUri::totp("Old", "bo", &Secret::from_bytes(&[7; 20]).unwrap()).unwrap();
    let adoptee = Adoptee { user: "bo".into(), uri, last_used: None, name: String::new() };
    let _ = block_on(world.guard.adopt(&adoptee, &crate::operator())).unwrap();
    assert_eq!(times("bo"), (world.now(), world.now()));
}
