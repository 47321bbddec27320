//! The strict policy. Each test runs under the default policy as well, which is its control.

use std::time::Duration;

use futures_lite::future::block_on;
use keyfob::guard::{
    Adoptee, Adoption, AuthenticatorId, Confirmation, EventKind, GuardErrorKind, Login, Purpose, Refusal, Setup,
};
use keyfob::{Algorithm, ErrorKind, KeyUri, Period, Policy, Secret, Strength};

use super::vouch::{redeem, vouch};
use super::{AL, DAY, Phone, World, keyring, kind};

fn setup() -> Setup {
    Setup::totp("al@example.com")
}

/// How many wrong codes are compared before a code of an authenticator is accepted again. In between, the owner uses
/// recovery codes, and an operator tries to unlock the account.
fn compared(policy: Policy) -> (u32, World, Phone) {
    let (world, phone, codes) = World::enrolled_with(policy, &setup());
    let (mut codes, mut compared) = (codes.into_iter(), 0);
    let mut help = || {
        assert!(codes.next().is_none_or(|code| world.verify(&code).is_ok()), "a recovery code logs the owner in");
        drop(block_on(world.guard.operator_unlock(AL, &crate::operator())));
    };
    while compared < 150 {
        if let Some(retry_at) = world.status().retry_at() {
            world.at(retry_at);
        }
        match world.verify(&phone.wrong(world.now())).unwrap_err() {
            Refusal::WrongCode => compared += 1,
            Refusal::Exhausted { .. } => {
                help();
                if world.status().is_exhausted() {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
        if compared % 20 == 7 {
            help();
        }
    }
    (compared, world, phone)
}

/// NIST SP 800-63B-4, section 3.2.2: no more than 100 consecutive failed attempts.
#[test]
fn a_hundred_comparisons_in_a_row_are_all() {
    let (strict, world, mut phone) = compared(Policy::strict());
    assert_eq!(strict, 100);
    assert!(world.status().is_exhausted());
    for passed in [0, DAY, 1000 * DAY] {
        world.pass(passed);
        assert_eq!(world.verify(&phone.code(world.now())).unwrap_err(), Refusal::Exhausted { retry_at: None });
        assert_eq!(kind(block_on(world.guard.operator_unlock(AL, &crate::operator()))), GuardErrorKind::UnlockRefused);
    }
    // The control: by default, recovery codes and operators allow more.
    let (default, ..) = compared(Policy::default());
    assert_eq!(default, 150, "the test ended here");
}

/// A success of the authenticator itself ends the row, under both policies.
#[test]
fn a_success_begins_a_new_row() {
    for policy in [Policy::strict(), Policy::default()] {
        let policy = policy.with_long_term(100, 24).unwrap();
        let (world, mut phone, codes) = World::enrolled_with(policy.clone(), &setup());
        world.fail(&phone, 60);
        world.at(world.status().retry_at().unwrap());
        // A recovery code only does so by default.
        assert!(world.verify(&codes[0]).is_ok());
        let strict = policy != Policy::default().with_long_term(100, 24).unwrap();
        assert_eq!(world.status().consecutive_failures(), if strict { 60 } else { 0 });
        world.pass(3600);
        assert!(world.verify(&phone.code(world.now())).is_ok());
        assert_eq!(world.status().consecutive_failures(), 0);
        world.pass(DAY);
        world.fail(&phone, 60);
        assert!(!world.status().is_exhausted());
    }
}

/// Waits go on, so that somebody who guesses between the owner's recoveries does not guess faster.
#[test]
fn a_recovery_code_ends_no_wait() {
    for (policy, waits) in [(Policy::strict(), true), (Policy::default(), false)] {
        let (world, phone, codes) = World::enrolled_with(policy, &setup());
        world.fail(&phone, 10);
        assert!(world.status().retry_at().is_some());
        world.heard();
        assert!(world.verify(&codes[0]).is_ok());
        assert!(!world.heard().contains(&EventKind::Unlocked));
        assert_eq!(world.status().retry_at().is_some(), waits);
    }
}

/// An account with two authenticators and a budget that is exhausted or not, and a proof that rests on a recovery code.
fn two(policy: Policy, exhausted: bool) -> (World, Vec<Phone>, keyfob::guard::Proof) {
    let (world, mut app, codes) = World::enrolled_with(policy, &setup());
    let proof = world.prove(&mut app, &Purpose::ADD);
    let (token, _) = world.add(AL, &Setup::hotp("al@example.com"), Some(&proof));
    if exhausted {
        world.edit(|record| record["budget"]["failures"] = 100.into());
    }
    let accepted = world.verify(&codes[0]).unwrap();
    let proof = world.guard.prove(&accepted, &Purpose::ADD);
    // By default, the recovery code has refilled the budget.
    if exhausted {
        world.edit(|record| record["budget"]["failures"] = 100.into());
    }
    assert_eq!(world.status().is_exhausted(), exhausted);
    world.heard();
    (world, vec![app, token], proof)
}

fn active(world: &World) -> Vec<AuthenticatorId> {
    world.status().authenticators().iter().map(|one| one.id().clone()).collect()
}

#[test]
fn a_new_authenticator_takes_the_place_of_all_exhausted_ones() {
    for (strict, exhausted) in [(true, true), (true, false), (false, true), (false, false)] {
        for replacing in [false, true] {
            let policy = if strict { Policy::strict() } else { Policy::default() };
            let (world, mut old, proof) = two(policy, exhausted);
            let setup = if replacing { setup().replacing(old[1].id.clone()) } else { setup() };
            let mut new = Phone::of(&world.enroll(AL, &setup, Some(&proof)).unwrap());
            world.heard();
            world.confirm(AL, &new.code(world.now()));
            let all = strict && exhausted;
            let gone: Vec<_> = match (all, replacing) {
                (true, _) => old.iter().map(|phone| phone.id.clone()).collect(),
                (false, true) => vec![old[1].id.clone()],
                (false, false) => vec![],
            };
            let mut expected = vec![EventKind::Confirmed { authenticator: new.id.clone() }];
            expected.extend(gone.iter().map(|id| EventKind::Revoked { authenticator: id.clone() }));
            expected.extend(exhausted.then_some(EventKind::Unlocked));
            assert_eq!(world.heard(), expected, "{strict} {exhausted} {replacing}");
            let left = old.iter().map(|phone| phone.id.clone()).filter(|id| !gone.contains(id));
            assert_eq!(active(&world), left.chain([new.id.clone()]).collect::<Vec<_>>());
            assert!(!world.status().is_exhausted(), "the new one can be used");
            world.pass(60);
            assert!(world.verify(&new.code(world.now())).is_ok());
            for phone in &mut old {
                world.pass(60);
                let accepted = world.verify(&phone.code(world.now())).is_ok();
                assert_eq!(accepted, !gone.contains(&phone.id), "{strict} {exhausted} {replacing}");
            }
        }
    }
}

/// What counts is the budget at the last code, which is the one that confirms.
#[test]
fn a_wrong_first_code_decides_nothing() {
    for exhausted_first in [true, false] {
        let (world, old, proof) = two(Policy::strict(), exhausted_first);
        let mut new = Phone::of(&world.enroll(AL, &setup(), Some(&proof)).unwrap());
        let _ = block_on(world.guard.confirm(AL, &new.wrong(world.now()))).unwrap();
        assert_eq!(active(&world).len(), 2, "nothing is removed by a wrong code");
        world.edit(|record| record["budget"]["failures"] = if exhausted_first { 0 } else { 100 }.into());
        world.confirm(AL, &new.code(world.now()));
        assert_eq!(active(&world).len(), if exhausted_first { old.len() + 1 } else { 1 });
    }
}

/// A voucher replaces nothing under this policy either, so the account stays exhausted.
#[test]
fn a_voucher_does_not_replace_what_is_exhausted() {
    for policy in [Policy::strict(), Policy::default()] {
        let (world, old, _) = two(policy, true);
        let proof = redeem(&world, &vouch(&world)).unwrap();
        let mut new = Phone::of(&world.enroll(AL, &setup(), Some(&proof)).unwrap());
        world.heard();
        world.confirm(AL, &new.code(world.now()));
        assert_eq!(world.heard(), [EventKind::Confirmed { authenticator: new.id.clone() }]);
        assert_eq!(active(&world).len(), old.len() + 1);
        world.pass(60);
        assert!(matches!(world.verify(&new.code(world.now())), Err(Refusal::Exhausted { .. })));
    }
}

/// An imported secret may be one that somebody guesses, so an exhausted budget is no moment to confirm it.
#[test]
fn an_imported_secret_does_not_replace_what_is_exhausted() {
    let (world, old, proof) = two(Policy::strict(), true);
    let secret = Secret::from_bytes(&[7; 20]).unwrap();
    let imported = Setup::import(&KeyUri::totp("Other", "al", &secret).unwrap()).unwrap();
    let mut new = Phone::of(&world.enroll(AL, &imported, Some(&proof)).unwrap());
    let answer = block_on(world.guard.confirm(AL, &new.code(world.now()))).unwrap();
    assert!(matches!(answer, Confirmation::Refused { refusal: Refusal::Exhausted { .. }, .. }), "{answer:?}");
    assert_eq!(active(&world).len(), old.len());
}

/// Its holder can confirm it whenever the row of failures is long, so it ends none.
#[test]
fn an_imported_secret_ends_no_row_of_failures() {
    let secret = Secret::from_bytes(&[7; 20]).unwrap();
    let imported = Setup::import(&KeyUri::totp("Other", "al", &secret).unwrap()).unwrap();
    for (policy, failures) in [(Policy::strict(), 4), (Policy::default(), 0)] {
        let (world, mut phone, _) = World::enrolled_with(policy, &setup());
        let proof = world.prove(&mut phone, &Purpose::ADD);
        let mut new = Phone::of(&world.enroll(AL, &imported, Some(&proof)).unwrap());
        world.fail(&phone, 4);
        world.confirm(AL, &new.code(world.now()));
        assert_eq!((world.status().consecutive_failures(), active(&world).len()), (failures, 2));
        // The code of an authenticator in a login does.
        world.pass(60);
        assert!(world.verify(&new.code(world.now())).is_ok());
        assert_eq!(world.status().consecutive_failures(), 0);
    }
}

/// NIST SP 800-63B-4, section 3.1.4.1.
#[test]
fn weak_secrets_and_long_periods_are_refused() {
    let uri = |length: usize, period: u32| {
        let secret = Secret::from_bytes(&vec![7; length]).unwrap();
        match period {
            0 => KeyUri::hotp("Old", "al", &secret, 0).unwrap(),
            _ => KeyUri::totp("Old", "al", &secret).unwrap().with_period(Period::new(period).unwrap()).unwrap(),
        }
    };
    let weak = Some("the policy is strict: an imported secret has at least 112 bits (14 bytes)");
    let long = Some("the policy is strict: a period is at most 120 seconds");
    let rows = [
        (10, 30, weak),
        (13, 30, weak),
        (13, 0, weak),
        (14, 30, None),
        (14, 0, None),
        (16, 120, None),
        (20, 121, long),
        (20, 300, long),
        (64, 120, None),
    ];
    for (strict, policy) in [(true, Policy::strict()), (false, Policy::default())] {
        for (length, period, message) in rows {
            let message = message.filter(|_| strict);
            let uri = uri(length, period);
            let world = World::with(policy.clone());
            let adoptee =
                |user: &str| Adoptee { user: user.into(), uri: uri.clone(), last_used: None, name: String::new() };
            let refused = [
                world.enroll(AL, &Setup::import(&uri).unwrap(), None).err(),
                block_on(world.guard.adopt(&adoptee("bo"), &crate::operator())).err(),
                block_on(world.guard.adopt_batch(&[adoptee("cy")], &crate::operator())).unwrap().remove(0).err(),
            ];
            for error in &refused {
                assert_eq!(error.as_ref().map(|error| error.kind()), message.map(|_| GuardErrorKind::Invalid));
                let told = error.as_ref().map(ToString::to_string);
                assert_eq!(told.as_deref(), message, "{length} bytes, {period} seconds");
            }
            for user in [AL, "bo", "cy"] {
                assert_eq!(world.bytes(user).is_some(), message.is_none(), "{user}");
            }
        }
    }
    // What was enrolled before is kept, and the status says which of it is weak.
    let (world, mut phone, _) = World::enrolled_with(Policy::default(), &Setup::import(&uri(10, 300)).unwrap());
    let strict = world.again(Policy::strict(), &keyring(&["2026"]));
    strict.pass(300);
    assert!(strict.verify(&phone.code(strict.now())).is_ok());
    assert_eq!(strict.status().authenticators()[0].strength(), Strength::Weak);
}

#[test]
fn no_device_is_trusted_under_a_strict_policy() {
    let day = Duration::from_secs(DAY);
    let error = Policy::strict().with_trusted_devices(day).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Policy, "the policy is out of range: a strict policy does not allow trusted devices")
    );
    let default = Policy::default().with_trusted_devices(day).unwrap();
    for (strict, good) in [("true", false), ("false", true)] {
        let text = format!("{{\"strict\":{strict},\"trusted_device_lifetime\":86400}}");
        let read = serde_json::from_str::<Policy>(&text);
        assert_eq!(read.is_ok(), good, "{text}");
        assert!(read.is_ok_and(|policy| policy == default) == good);
    }
    // In a format without names as well: the last three fields are the algorithm, strict and notices.
    let mut bytes = postcard::to_allocvec(&default).unwrap();
    assert_eq!(postcard::from_bytes::<Policy>(&bytes).unwrap(), default);
    let position = bytes.len() - 2;
    assert_eq!(std::mem::replace(&mut bytes[position], 1), 0);
    assert!(postcard::from_bytes::<Policy>(&bytes).is_err());

    // A device that was trusted before needs a code again. It still has its share of the budget.
    let (world, mut phone, _) = World::enrolled_with(default, &setup());
    let accepted = world.verify(&phone.code(world.now())).unwrap();
    let token = block_on(world.guard.trust_device(&accepted, "x", day)).unwrap();
    assert!(matches!(world.begin(Some(&token)), Login::Complete(_)), "control");
    let strict = world.again(Policy::strict(), &keyring(&["2026"]));
    assert!(matches!(strict.begin(Some(&token)), Login::Challenge(_)));
    assert_eq!(kind(block_on(strict.guard.trust_device(&accepted, "y", day))), GuardErrorKind::TrustRefused);
    assert!(block_on(strict.guard.remember_device(&accepted, "z")).is_ok());
    assert!(strict.status().devices().iter().all(|device| !device.is_trusted()));
}

#[test]
fn the_policy_chooses_the_algorithm_unless_the_setup_does() {
    let uri = KeyUri::totp("Old", "al", &Secret::from_bytes(&[7; 20]).unwrap()).unwrap();
    for policy in [Policy::default(), Policy::strict()] {
        for (chosen, length) in [(Algorithm::Sha1, 20), (Algorithm::Sha256, 32), (Algorithm::Sha512, 64)] {
            let world = World::with(policy.clone().with_algorithm(chosen));
            for new in [setup(), Setup::hotp("al@example.com")] {
                let enrollment = world.enroll(AL, &new, None).unwrap();
                assert_eq!(enrollment.uri().algorithm(), chosen);
                assert_eq!(enrollment.uri().secret().expose_bytes().len(), length);
                // What was shown is what is stored.
                let mut phone = Phone::of(&enrollment);
                world.confirm(AL, &phone.code(world.now()));
                assert_eq!(world.status().authenticators()[0].algorithm(), chosen);
                world.pass(60);
                assert!(world.verify(&phone.code(world.now())).is_ok());
                block_on(world.guard.erase(AL)).unwrap();
            }
            let named = world.enroll(AL, &setup().with_algorithm(Algorithm::Sha1), None).unwrap();
            assert_eq!(named.uri().algorithm(), Algorithm::Sha1);
            // An app that has a secret has an algorithm, too.
            let imported = world.enroll(AL, &Setup::import(&uri).unwrap(), None).unwrap();
            assert_eq!(imported.uri().algorithm(), Algorithm::Sha1);
        }
        let unnamed = World::with(policy).enroll(AL, &setup(), None).unwrap();
        assert_eq!(unnamed.uri().algorithm(), Algorithm::Sha1, "the default");
    }
}

#[test]
fn the_status_tells_the_strength_of_each_secret() {
    let lengths = [10, 13, 14, 15, 16, 20, 32, 63, 64, 1024];
    let world = World::new();
    for (seed, length) in (1..).zip(lengths) {
        let uri = KeyUri::totp("Old", "al", &Secret::from_bytes(&vec![seed; length]).unwrap()).unwrap();
        let adoptee = Adoptee { user: AL.into(), uri, last_used: None, name: String::new() };
        let adopted = block_on(world.guard.adopt(&adoptee, &crate::operator())).unwrap();
        assert!(matches!(adopted, Adoption::Adopted(_)));
        let expected = match length {
            0..14 => Strength::Weak,
            14 | 15 => Strength::Acceptable,
            _ => Strength::Strong,
        };
        assert_eq!(world.status().authenticators()[0].strength(), expected, "{length} bytes");
        // Without the keys as well.
        let without = world.again(Policy::default(), &keyring(&["other"]));
        assert_eq!(without.status().authenticators()[0].strength(), expected, "{length} bytes");
        block_on(world.guard.erase(AL)).unwrap();
    }
    world.add(AL, &setup(), None);
    assert_eq!(world.status().authenticators()[0].strength(), Strength::Strong);
}
