//! The next record of a login is as long for an accepted code as for a refused one. Who sees how much a server sends to
//! its database could otherwise tell the verdict before the change is stored.

use std::cell::Cell;

use futures_lite::future::block_on;
use keyfob::guard::{
    Answer, Challenge, Change, Context, DeviceToken, EnrollmentTicket, Expectation, Login, Purpose, Randomness,
    Refusal, SecondFactor, Setup, Transition,
};
use keyfob::{KeyUri, Policy, Secret};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use serde_json::Value;

use super::{AL, Phone, World, keyring};

/// Decides without a store. Returns the length of the next record, and the length that it would have if its numbers
/// were not padded.
fn lengths<T>(
    world: &World,
    policy: &Policy,
    decide: impl FnOnce(&SecondFactor, &Context<'_>) -> Transition<T>,
) -> (usize, usize) {
    let keyring = keyring(&["2026"]);
    let context = Context::new(AL, world.now(), policy, &keyring).unwrap();
    let factor = SecondFactor::read(world.bytes(AL).as_deref()).unwrap();
    match decide(&factor, &context).change() {
        Change::Write(record) => {
            let value: Value = serde_json::from_slice(record).unwrap();
            (record.len(), serde_json::to_vec(&value).unwrap().len())
        }
        other => panic!("{other:?}"),
    }
}

fn challenge(world: &World, device: Option<&DeviceToken>) -> Challenge {
    match block_on(world.guard.begin_login(AL, Expectation::Enrolled, device)).unwrap() {
        Login::Challenge(challenge) => challenge,
        login => panic!("{login:?}"),
    }
}

fn ticket(world: &World) -> EnrollmentTicket {
    match block_on(world.guard.begin_login(AL, Expectation::RequiredFrom(0), None)).unwrap() {
        Login::MustEnroll(ticket) => ticket,
        login => panic!("{login:?}"),
    }
}

#[test]
fn an_accepted_answer_is_as_long_as_a_refused_one() {
    // Without the padding, the lengths of a hit and a miss differ: the test would notice a number that is not padded.
    let differ = Cell::new(0);
    let kinds = proptest::collection::vec(any::<bool>(), 1..=3);
    proptest!(ProptestConfig::with_cases(32), |(
        kinds in kinds, known in any::<bool>(), rounds in 0..=5usize, failures in 0..=4u32, chosen in any::<usize>(),
        notices in any::<bool>(), late in any::<bool>(), acknowledged in any::<bool>(), brink in any::<bool>(),
    )| {
        let policy = if notices { Policy::default().with_notices() } else { Policy::default() };
        // A record from before the policy has no notices yet.
        let world = World::with(if late { Policy::default() } else { policy.clone() });
        let mut phones: Vec<Phone> = Vec::new();
        for hotp in &kinds {
            let setup = if *hotp { Setup::hotp("al@example.com") } else { Setup::totp("al@example.com") };
            let proof = phones.first_mut().map(|phone| world.prove(phone, &Purpose::ADD));
            phones.push(world.add(AL, &setup, proof.as_ref()).0);
        }
        // Each round completes a login with each authenticator, and the first login remembers the device.
        let (mut device, mut used) = (None, Vec::new());
        for _ in 0..rounds {
            world.pass(30);
            used = phones.iter_mut().map(|phone| phone.code(world.now())).collect();
            for typed in &used {
                let answer = block_on(world.guard.answer(&challenge(&world, device.as_ref()), typed)).unwrap();
                let Answer::Accepted(sign_in) = answer else { panic!("{answer:?}") };
                if known && device.is_none() {
                    device = Some(block_on(world.guard.remember_device(sign_in.accepted().unwrap(), "laptop")).unwrap());
                }
            }
        }
        let chosen = chosen % phones.len();
        world.fail(&phones[chosen], failures);
        world.pass(30);
        if acknowledged {
            for notice in world.status().notices() {
                block_on(world.guard.acknowledge(AL, *notice)).unwrap();
            }
        }
        // The next miss exhausts the budget, and is a notice that a hit is not.
        let brink = brink && device.is_none();
        if brink {
            world.edit(|record| {
                record["budget"]["failures"] = 99.into();
                record["budget"]["failed_at"] = 0.into();
            });
        }
        let challenge = challenge(&world, device.as_ref());
        let answer =
            |typed: &str| lengths(&world, &policy, |factor, context| factor.answer(context, &challenge, typed).unwrap());
        let miss = answer(&phones[chosen].wrong(world.now()));
        let (typed, next) = (phones[chosen].code(world.now()), phones[chosen].clone().code(world.now() + 30));
        let hit = answer(&typed);
        let resync =
            |first: &str| lengths(&world, &policy, |factor, context| factor.resync(context, first, &next).unwrap());
        prop_assert_eq!(resync(&typed).0, resync(&phones[chosen].wrong(world.now())).0);
        prop_assert_eq!(hit.0, miss.0);
        differ.set(differ.get() + usize::from(hit.1 != miss.1));
        if let Some(used) = used.get(chosen) {
            // The first repetition of a used code is free, and the second is charged.
            prop_assert_eq!(answer(used).0, miss.0);
            if failures == 0 && !brink {
                assert_eq!(world.verify(used).unwrap_err(), Refusal::Replayed);
                prop_assert_eq!(answer(used).0, miss.0);
            }
        }
    });
    assert!(differ.get() > 16, "{differ:?}");
}

#[test]
fn an_enrollment_with_a_ticket_is_as_long_when_it_is_refused() {
    let mut differ = false;
    let secret = Secret::from_bytes(&[7; 20]).unwrap();
    let imported = Setup::import(&KeyUri::totp("Example", "al", &secret).unwrap()).unwrap();
    let setups = [imported, Setup::totp("al@example.com"), Setup::hotp("al@example.com")];
    let policies = [Policy::default(), Policy::default().with_notices()];
    for (setup, policy) in setups.into_iter().flat_map(|setup| policies.clone().map(|policy| (setup.clone(), policy))) {
        let world = World::with(policy.clone());
        let ticket = ticket(&world);
        let mut phone = Phone::of(&block_on(world.guard.enroll_with_ticket(&ticket, &setup)).unwrap());
        let typed = [phone.wrong(world.now()), phone.code(world.now())];
        // Codes from a clock that is ahead or behind are diagnosed if the secret was shown.
        let near = phone.uri.period().map(|_| [-7, 7].map(|by| phone.step(world.now()).saturating_add_signed(by)));
        let near = near.into_iter().flatten().map(|step| phone.hotp.code(step).to_string());
        let all: Vec<_> = typed
            .into_iter()
            .chain(near)
            .map(|typed| {
                let confirm = |factor: &SecondFactor, context: &Context<'_>| {
                    factor.confirm_with_ticket(context, &ticket, &typed).unwrap()
                };
                lengths(&world, &policy, confirm)
            })
            .collect();
        assert!(all.iter().all(|length| length.0 == all[0].0), "{all:?}");
        differ |= all[0].1 != all[1].1;
    }
    assert!(differ, "without the padding, the lengths of a miss and a hit differ");
}

/// A confirmation that replaces others, or exhausts the budget, has notices of its own.
#[test]
fn a_confirmation_with_notices_is_as_long_as_a_refusal() {
    let secret = Secret::from_bytes(&[7; 20]).unwrap();
    let imported = Setup::import(&KeyUri::totp("Example", "al", &secret).unwrap()).unwrap();
    let mut differ = false;
    let policies = [(Policy::default(), false), (Policy::strict(), true), (Policy::strict(), false)];
    for ((policy, exhausted), late) in policies.into_iter().flat_map(|row| [(row.clone(), false), (row, true)]) {
        for (imports, setup) in [(true, imported.clone()), (false, Setup::totp("al@example.com"))] {
            let policy = policy.clone().with_notices();
            let before = if late { Policy::default() } else { policy.clone() };
            let (world, mut first, _) = World::enrolled_with(before, &Setup::totp("al@example.com"));
            let proof = world.prove(&mut first, &Purpose::ADD);
            let setup = if exhausted { setup } else { setup.replacing(first.id.clone()) };
            let mut new = Phone::of(&world.enroll(AL, &setup, Some(&proof)).unwrap());
            for notice in world.status().notices() {
                block_on(world.guard.acknowledge(AL, *notice)).unwrap();
            }
            // At the brink, a wrong code for an imported secret exhausts the budget.
            let failures = if exhausted && !imports { 100 } else { 99 };
            world.edit(|record| record["budget"]["failures"] = failures.into());
            let confirm =
                |typed: &str| lengths(&world, &policy, |factor, context| factor.confirm(context, typed).unwrap());
            let [miss, hit] = [new.wrong(world.now()), new.code(world.now())].map(|typed| confirm(&typed));
            assert_eq!(hit.0, miss.0);
            differ |= hit.1 != miss.1;
        }
    }
    assert!(differ, "without the padding, the lengths of a miss and a hit differ");
}

/// A login that begins on a device changes nothing, whether or not the token is genuine.
#[test]
fn a_device_is_recognized_without_a_change() {
    let (world, mut phone, _) = World::enrolled();
    let accepted = world.verify(&phone.code(world.now())).unwrap();
    let (policy, keyring) = (Policy::default(), keyring(&["2026"]));
    let genuine = block_on(world.guard.remember_device(&accepted, "laptop")).unwrap();
    let token = genuine.token();
    let (id, secret) = token.split_once('.').unwrap();
    let forged: DeviceToken =
        format!("{id}.{}{}", if secret.starts_with('A') { 'B' } else { 'A' }, &secret[1..]).parse().unwrap();
    let context = Context::new(AL, world.now(), &policy, &keyring).unwrap();
    let factor = SecondFactor::read(world.bytes(AL).as_deref()).unwrap();
    for device in [Some(&genuine), Some(&forged), None] {
        let begun = factor.begin_login(&context, &Randomness::default(), Expectation::Enrolled, device).unwrap();
        assert!(matches!(begun.change(), Change::None));
    }
}
