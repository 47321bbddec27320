//! The login around the code: challenges, tickets, expectations, sessions and suspension.

use std::time::Duration;

use futures_lite::future::block_on;
use keyfob::guard::{
    Answer, AuthenticatorId, Challenge, Confirmation, Context, DeviceId, EnrollmentTicket, EventKind, Expectation,
    Generation, GuardErrorKind, Login, Method, Purpose, Refusal, SecondFactor, Setup, SignIn, SignInMethod,
};
use keyfob::{Policy, Secret};

use super::{AL, DAY, Phone, T, World, YEAR, entry, keyring, kind};

pub fn challenge(world: &World) -> Challenge {
    match world.begin(None) {
        Login::Challenge(challenge) => challenge,
        other => panic!("{other:?}"),
    }
}

pub fn ticket(world: &World, user: &str) -> EnrollmentTicket {
    match block_on(world.guard.begin_login(user, Expectation::RequiredFrom(0), None)).unwrap() {
        Login::MustEnroll(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// The sign-in for this code, or why there is none.
pub fn answer(world: &World, challenge: &Challenge, typed: &str) -> Result<SignIn, Result<Refusal, GuardErrorKind>> {
    match block_on(world.guard.answer(challenge, typed)) {
        Ok(Answer::Accepted(sign_in)) => Ok(sign_in),
        Ok(Answer::Refused(refusal)) => Err(Ok(refusal)),
        Err(error) => Err(Err(error.kind())),
    }
}

const REJECTED: Result<Refusal, GuardErrorKind> = Err(GuardErrorKind::LoginRejected);

#[test]
fn a_sign_in_says_what_it_rests_on() {
    let (world, mut phone, codes) = World::enrolled();
    let generation = world.status().generation();
    world.fail(&phone, 3);
    world.heard();
    let now = world.now();
    let sign_in = answer(&world, &challenge(&world), &phone.code(now)).unwrap();
    assert_eq!((sign_in.user(), sign_in.at(), sign_in.generation()), (AL, now, generation));
    assert_eq!((sign_in.method(), sign_in.amr()), (SignInMethod::Code(Method::Totp), &["otp", "mfa"][..]));
    assert_eq!((sign_in.failures_before(), sign_in.last_success_at()), (3, Some(T)), "T is the confirmation");
    assert_eq!(sign_in.accepted().unwrap().authenticator(), Some(&phone.id));
    let method = sign_in.method();
    assert!(
        matches!(&*world.heard(), [EventKind::Accepted { .. }, EventKind::SignedIn { method: told }] if *told == method)
    );

    world.pass(DAY);
    let sign_in = answer(&world, &challenge(&world), &codes[0]).unwrap();
    assert_eq!((sign_in.method(), sign_in.amr()), (SignInMethod::Code(Method::RecoveryCode), &["mfa"][..]));
    assert_eq!((sign_in.failures_before(), sign_in.last_success_at()), (0, Some(now)));
    assert!(sign_in.generation() != generation && sign_in.generation() == world.status().generation());
    // Somebody who calls `verify` learns the same.
    world.pass(30);
    world.fail(&phone, 2);
    let accepted = world.verify(&phone.code(world.now())).unwrap();
    assert_eq!((accepted.failures_before(), accepted.last_success_at()), (2, Some(now + DAY)));
}

#[test]
fn without_a_second_factor_the_expectation_decides() {
    let world = World::new();
    let begin = |expectation| block_on(world.guard.begin_login(AL, expectation, None));
    let method = |expectation| match begin(expectation) {
        Ok(Login::Complete(sign_in)) => {
            assert!(sign_in.accepted().is_none() && sign_in.amr().is_empty());
            assert_eq!(sign_in.generation(), Generation::default());
            Ok(sign_in.method())
        }
        Ok(Login::MustEnroll(_)) => Err(None),
        Ok(Login::Challenge(_)) => panic!(),
        Err(error) => Err(Some(error.kind())),
    };
    let grace = |until| Ok(SignInMethod::Grace { until });
    for enroll in [false, true] {
        if enroll {
            // An enrollment that waits for its first code changes nothing.
            world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap();
        }
        assert_eq!(method(Expectation::Optional), Ok(SignInMethod::NoSecondFactor));
        assert_eq!(method(Expectation::Enrolled), Err(Some(GuardErrorKind::RecordMissing)));
        assert_eq!(method(Expectation::RequiredFrom(T + 1)), grace(T + 1));
        assert_eq!(method(Expectation::RequiredFrom(T)), Err(None));
    }
}

/// Nothing that the user does moves the deadline.
#[test]
fn grace_ends_at_its_first_deadline() {
    let (world, mut phone, _) = World::enrolled();
    let deadline = world.now() + 10 * DAY;
    let backup = world.bytes(AL).unwrap();
    let begin = || block_on(world.guard.begin_login(AL, Expectation::RequiredFrom(deadline), None)).unwrap();
    let due = |login: Login| match login {
        Login::Complete(sign_in) => sign_in.method() != SignInMethod::Grace { until: deadline },
        Login::MustEnroll(_) | Login::Challenge(_) => true,
    };
    type Meanwhile = fn(&World, &mut Phone, &[u8]);
    let meanwhile: [Meanwhile; 4] = [
        |world, phone, _| {
            let proof = world.prove(phone, &Purpose::DISABLE);
            block_on(world.guard.disable(AL, &proof)).unwrap();
        },
        |world, phone, _| {
            *phone = world.add(AL, &Setup::totp("al@example.com"), None).0;
            block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
        },
        |world, _, backup| {
            world.put(AL, backup);
            block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
        },
        |world, _, _| block_on(world.guard.erase(AL)).unwrap(),
    ];
    for change in meanwhile {
        change(&world, &mut phone, &backup);
        let now = world.now();
        for (at, expected) in [(now, false), (deadline - 1, false), (deadline, true), (deadline + YEAR, true)] {
            world.at(at);
            assert_eq!(due(begin()), expected, "{at}");
        }
        world.at(now + DAY);
    }
}

#[test]
fn a_challenge_is_for_one_user_five_minutes_and_one_success() {
    let (world, mut phone, codes) = World::enrolled();
    let (mut other, _) = world.add("bo", &Setup::totp("bo@example.com"), None);
    // A refusal leaves it open, a success does not.
    let first = challenge(&world);
    assert_eq!(answer(&world, &first, &phone.wrong(world.now())).unwrap_err(), Ok(Refusal::WrongCode));
    let typed = phone.code(world.now());
    assert!(answer(&world, &first, &typed).is_ok());
    world.pass(30);
    for typed in [&typed, &phone.code(world.now()), &codes[0]] {
        assert_eq!(answer(&world, &first, typed).unwrap_err(), REJECTED);
    }
    assert_eq!(world.status().consecutive_failures(), 0, "nothing was compared");

    // The code of another user does not open it, and it does not open the account of another user.
    let second = challenge(&world);
    assert_eq!(second.user(), AL);
    assert_eq!(answer(&world, &second, &other.code(world.now())).unwrap_err(), Ok(Refusal::WrongCode));

    // Five minutes, and the clock of the next server may be up to a minute behind.
    let made = world.now();
    for (at, expected) in [
        (made + 299, None),
        (made + 300, Some(REJECTED)),
        (made + YEAR, Some(REJECTED)),
        (made - 60, None),
        (made - 61, Some(REJECTED)),
        (u64::MAX / 2, Some(REJECTED)),
    ] {
        world.at(at);
        let refused = answer(&world, &second, "000").unwrap_err();
        assert_eq!(refused, expected.unwrap_or(Ok(Refusal::Malformed)), "{at} of {made}");
    }
    // The policy can make it shorter, on the server that makes it and on the one that checks it.
    let short =
        world.again(Policy::default().with_login_lifetime(Duration::from_secs(30)).unwrap(), &keyring(&["2026"]));
    world.at(made);
    let made_short = challenge(&short);
    world.at(made + 30);
    assert_eq!(answer(&short, &second, "000").unwrap_err(), REJECTED);
    assert_eq!(answer(&world, &made_short, "000").unwrap_err(), REJECTED);
    assert_eq!(answer(&world, &second, "000").unwrap_err(), Ok(Refusal::Malformed), "control");
    assert_eq!(made_short.expires_at(), made + 30);
}

#[test]
fn two_logins_at_once_both_succeed() {
    let (world, mut phone, codes) = World::enrolled();
    let [first, second, third] = [(); 3].map(|()| challenge(&world));
    assert!(answer(&world, &second, &phone.code(world.now())).is_ok());
    world.pass(30);
    assert!(answer(&world, &first, &phone.code(world.now())).is_ok());
    // Control: a recovery code makes every other login void.
    let fourth = challenge(&world);
    assert!(answer(&world, &third, &codes[0]).is_ok());
    world.pass(30);
    assert_eq!(answer(&world, &fourth, &phone.code(world.now())).unwrap_err(), REJECTED);
}

/// The slots for completed logins are bounded. While all are taken, no code is compared.
#[test]
fn a_completed_login_is_remembered_until_its_challenge_has_expired() {
    let policy = Policy::default().with_look_ahead(keyfob::LookAhead::new(10).unwrap());
    let (world, mut token, _) = World::enrolled_with(policy, &Setup::hotp("al@example.com"));
    let challenges: Vec<_> = (0..18).map(|_| challenge(&world)).collect();
    let now = world.now();
    for challenge in &challenges[..16] {
        assert!(answer(&world, challenge, &token.code(now)).is_ok());
    }
    let retry_at = now + 300 + 60;
    let stored = world.stored(AL);
    for typed in [token.code(now), token.wrong(now)] {
        assert_eq!(answer(&world, &challenges[16], &typed).unwrap_err(), Ok(Refusal::Throttled { retry_at }));
    }
    assert_eq!(world.stored(AL), stored, "nothing was compared");
    world.at(retry_at - 1);
    assert_eq!(answer(&world, &challenge(&world), &token.code(now)).unwrap_err(), Ok(Refusal::Throttled { retry_at }));
    world.at(retry_at);
    // No server accepts the completed ones any more, even if its clock is a minute behind.
    world.at(now + 299);
    assert!(challenges[..16].iter().all(|challenge| answer(&world, challenge, "1").unwrap_err() == REJECTED));
    world.at(retry_at);
    token.counter -= 2;
    assert!(answer(&world, &challenge(&world), &token.code(now)).is_ok());
}

/// Every bit of a token counts, and a token of one kind is none of another.
#[test]
fn a_token_cannot_be_forged_or_used_for_something_else() {
    let (world, mut phone, _) = World::enrolled();
    let text = challenge(&world).token();
    let accepts = |text: &str| match Challenge::from_token(text) {
        Ok(challenge) => {
            assert_eq!(challenge.token(), text);
            answer(&world, &challenge, "1").unwrap_err() == Ok(Refusal::Malformed)
        }
        Err(error) => {
            assert_eq!(error.kind(), GuardErrorKind::LoginRejected);
            false
        }
    };
    assert!(accepts(&text), "control");
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!String::from_utf8(bytes).is_ok_and(|other| accepts(&other)), "bit {bit}");
    }
    for length in 0..text.len() {
        assert!(!accepts(&text[..length]) && !accepts(&text[length + 1..]));
    }
    // A challenge is no ticket, a ticket is no challenge, and neither is a proof, whatever is written in front.
    let made = ticket(&world, "bo").token();
    assert!(EnrollmentTicket::from_token(&text).is_err() && Challenge::from_token(&made).is_err());
    let renamed = text.replacen("login~", "enroll~", 1);
    let renamed = EnrollmentTicket::from_token(&renamed).unwrap();
    assert_eq!(
        kind(block_on(world.guard.enroll_with_ticket(&renamed, &Setup::totp("al")))),
        GuardErrorKind::LoginRejected
    );
    assert!(keyfob::guard::Proof::from_token(&text).is_err());
    let proof = world.prove(&mut phone, &Purpose::ADD).token("s");
    assert!(Challenge::from_token(&proof).is_err() && EnrollmentTicket::from_token(&proof).is_err());
    let printed =
        format!("{:?} {:?}", Challenge::from_token(&text).unwrap(), EnrollmentTicket::from_token(&made).unwrap());
    let mac = text.rsplit('~').next().unwrap();
    assert!(printed.contains(AL) && !printed.contains(&mac[..10]));
}

/// What ends a pending login, what ends a session, and what does neither.
#[test]
fn what_makes_a_login_void() {
    type Change = fn(&World, &mut Phone, &[String]);
    let changes: [(&str, bool, Change); 12] = [
        ("revoke", true, |world, phone, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            let (other, _) = world.add(AL, &Setup::totp("al"), Some(&proof));
            let proof = world.prove(phone, &Purpose::REVOKE);
            block_on(world.guard.revoke(AL, &other.id, &proof)).unwrap();
        }),
        ("add", true, |world, phone, _| {
            let proof = world.prove(phone, &Purpose::ADD);
            world.add(AL, &Setup::totp("al"), Some(&proof));
        }),
        ("disable and enroll again", true, |world, phone, _| {
            let proof = world.prove(phone, &Purpose::DISABLE);
            block_on(world.guard.disable(AL, &proof)).unwrap();
            *phone = world.add(AL, &Setup::totp("al"), None).0;
        }),
        ("operator's reset", true, |world, phone, _| {
            block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
            *phone = world.add(AL, &Setup::totp("al"), None).0;
        }),
        ("new recovery codes", true, |world, phone, _| {
            let proof = world.prove(phone, &Purpose::REGENERATE);
            block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        }),
        ("recovery", true, |world, _, codes| assert!(world.verify(&codes[0]).is_ok())),
        ("new password", true, |world, _, _| {
            block_on(world.guard.forget_devices(AL)).unwrap();
        }),
        ("suspension", true, |world, _, _| {
            block_on(world.guard.operator_suspend(AL, &crate::operator())).unwrap();
            block_on(world.guard.operator_resume(AL, &crate::operator())).unwrap();
        }),
        ("restored backup", true, |world, _, _| {
            block_on(world.guard.operator_invalidate_recent_codes(AL, &crate::operator())).unwrap();
            world.pass(90);
        }),
        ("login", false, |world, phone, _| {
            world.pass(30);
            assert!(world.verify(&phone.code(world.now())).is_ok());
        }),
        ("failures", false, |world, phone, _| world.fail(phone, 3)),
        ("rename, enrollment", false, |world, phone, _| {
            let proof = world.prove(phone, &Purpose::RENAME);
            block_on(world.guard.rename(AL, &phone.id, "x", &proof)).unwrap();
            let proof = world.prove(phone, &Purpose::ADD);
            world.enroll(AL, &Setup::totp("al"), Some(&proof)).unwrap();
        }),
    ];
    for (name, void, change) in changes {
        let (world, mut phone, codes) = World::enrolled();
        let sign_in = answer(&world, &challenge(&world), &phone.code(world.now())).unwrap();
        let pending = challenge(&world);
        let is_current = |generation| block_on(world.guard.is_current(AL, generation)).unwrap();
        assert!(is_current(sign_in.generation()));
        change(&world, &mut phone, &codes);
        world.pass(30);
        let outcome = answer(&world, &pending, &phone.code(world.now()));
        assert_eq!(outcome.is_err_and(|refused| refused == REJECTED), void, "{name}: the pending login");
        assert_eq!(!is_current(sign_in.generation()), void, "{name}: the session");
        if void {
            let accepted = sign_in.accepted().unwrap();
            let remembered = block_on(world.guard.remember_device(accepted, "x"));
            assert_eq!(kind(remembered), GuardErrorKind::ProofRejected, "{name}: the sign-in");
            let proof = world.guard.prove(accepted, &Purpose::ADD);
            assert!(block_on(world.guard.check(AL, &proof, &Purpose::ADD)).is_err(), "{name}: a proof");
        }
    }
}

/// The call that changes something hands back the generation after it, so that it does not end the session it came
/// from.
#[test]
fn a_change_returns_the_generation_after_it() {
    let (world, mut phone, _) = World::enrolled();
    let mut generations = vec![world.status().generation()];
    let mut check = |generation: Generation, name: &str| {
        assert_eq!(generation, world.status().generation(), "{name}");
        assert!(block_on(world.guard.is_current(AL, generation)).unwrap(), "{name}");
        assert!(!generations.contains(&generation), "{name}: a generation returned");
        assert_eq!(generation.to_string().parse(), Ok(generation));
        generations.push(generation);
    };
    let proof = world.prove(&mut phone, &Purpose::ADD);
    let mut second = Phone::of(&world.enroll(AL, &Setup::totp("al"), Some(&proof)).unwrap());
    check(world.confirm(AL, &second.code(world.now())).generation(), "confirm");
    let proof = world.prove(&mut phone, &Purpose::REGENERATE);
    check(block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap().generation(), "regenerate");
    let proof = world.prove(&mut phone, &Purpose::REVOKE);
    check(block_on(world.guard.revoke(AL, &second.id, &proof)).unwrap(), "revoke");
    check(block_on(world.guard.forget_devices(AL)).unwrap(), "forget devices");
    let proof = world.prove(&mut phone, &Purpose::DISABLE);
    check(block_on(world.guard.disable(AL, &proof)).unwrap(), "disable");
    let enrollment = world.enroll(AL, &Setup::totp("al"), None).unwrap();
    let before = world.status().generation();
    let confirmed = world.confirm(AL, &Phone::of(&enrollment).code(world.now()));
    assert_eq!(generations_of(&confirmed), [Some(confirmed.generation()); 2]);
    assert_ne!(before, confirmed.generation());
    for text in ["", "1", "1.", ".1", "01.1", "1.01", "+1.1", "1.1.1", "1.1 ", "18446744073709551616.0"] {
        assert!(text.parse::<Generation>().is_err(), "{text}");
    }
    let json = serde_json::to_string(&before).unwrap();
    assert_eq!(json, format!("\"{before}\""));
    assert_eq!(serde_json::from_str::<Generation>(&json).unwrap(), before);
}

fn generations_of(confirmed: &keyfob::guard::Confirmed) -> [Option<Generation>; 2] {
    [Some(confirmed.generation()), confirmed.recovery_codes().map(keyfob::guard::RecoveryCodes::generation)]
}

/// A ticket enrolls the first authenticator and nothing else, and ends in a sign-in.
#[test]
fn a_required_authenticator_is_enrolled_in_the_middle_of_a_login() {
    let world = World::new();
    let setup = Setup::totp("al@example.com");
    let made = ticket(&world, AL);
    assert_eq!((made.user(), made.expires_at()), (AL, T + 900));
    let mut phone = Phone::of(&block_on(world.guard.enroll_with_ticket(&made, &setup)).unwrap());
    let other = ticket(&world, AL);
    let confirm = |ticket: &EnrollmentTicket, typed: &str| block_on(world.guard.confirm_with_ticket(ticket, typed));
    // Neither another ticket nor a session confirms what this one began.
    let typed = phone.code(world.now());
    assert_eq!(kind(confirm(&other, &typed)), GuardErrorKind::NoEnrollment);
    assert_eq!(kind(block_on(world.guard.confirm(AL, &typed))), GuardErrorKind::NoEnrollment);
    let Confirmation::Refused { .. } = confirm(&made, &phone.wrong(T)).unwrap() else { panic!() };
    world.heard();
    let Confirmation::Confirmed(confirmed) = confirm(&made, &typed).unwrap() else { panic!() };
    assert_eq!(confirmed.recovery_codes().unwrap().iter().len(), 10);
    let heard = world.heard();
    assert!(
        matches!(&*heard, [EventKind::Confirmed { .. }, EventKind::SignedIn { .. }, EventKind::RecoveryCodesIssued]),
        "{heard:?}"
    );
    let sign_in = confirmed.into_sign_in().unwrap();
    assert_eq!((sign_in.method(), sign_in.user()), (SignInMethod::Code(Method::Totp), AL));
    assert!(block_on(world.guard.is_current(AL, sign_in.generation())).unwrap());
    // It is as good as a login: it may remember the device and prove itself.
    assert!(block_on(world.guard.remember_device(sign_in.accepted().unwrap(), "x")).is_ok());
    // Both tickets are void now.
    for ticket in [&made, &other] {
        assert_eq!(kind(block_on(world.guard.enroll_with_ticket(ticket, &setup))), GuardErrorKind::LoginRejected);
        assert_eq!(kind(confirm(ticket, "000000")), GuardErrorKind::LoginRejected);
    }
    // An enrollment of a session is not confirmed by a ticket.
    world.enroll("bo", &setup, None).unwrap();
    let made = ticket(&world, "bo");
    assert_eq!(kind(confirm(&made, "000000")), GuardErrorKind::NoEnrollment);
    // It lasts as long as an enrollment, and a new password ends it.
    world.pass(899);
    assert!(block_on(world.guard.enroll_with_ticket(&made, &setup)).is_ok());
    world.pass(1);
    assert_eq!(kind(block_on(world.guard.enroll_with_ticket(&made, &setup))), GuardErrorKind::LoginRejected);
    for user in ["bo", "never seen"] {
        let made = ticket(&world, user);
        block_on(world.guard.forget_devices(user)).unwrap();
        assert_eq!(kind(block_on(world.guard.enroll_with_ticket(&made, &setup))), GuardErrorKind::LoginRejected);
    }
    // With an HOTP token, and for an account whose second factor was removed.
    block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
    let made = ticket(&world, AL);
    let setup = Setup::hotp("al@example.com").with_name("token").unwrap();
    let mut token = Phone::of(&block_on(world.guard.enroll_with_ticket(&made, &setup)).unwrap());
    let Confirmation::Confirmed(confirmed) = confirm(&made, &token.code(world.now())).unwrap() else { panic!() };
    let sign_in = confirmed.into_sign_in().unwrap();
    assert_eq!(sign_in.method(), SignInMethod::Code(Method::Hotp));
    assert_eq!(sign_in.accepted().unwrap().authenticator_name(), Some("token"));
}

#[test]
fn a_removed_second_factor_is_told_from_a_lost_one() {
    let (world, mut phone, _) = World::enrolled();
    let expected = |world: &World| kind(block_on(world.guard.begin_login(AL, Expectation::Enrolled, None)));
    let proof = world.prove(&mut phone, &Purpose::DISABLE);
    let at = world.now();
    block_on(world.guard.disable(AL, &proof)).unwrap();
    assert_eq!(expected(&world), GuardErrorKind::Removed);
    // Another enrollment that is not confirmed, and an operator who cancels it, leave the trace as it is.
    world.enroll(AL, &Setup::totp("al"), None).unwrap();
    assert_eq!(expected(&world), GuardErrorKind::Removed);
    block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
    assert_eq!((expected(&world), world.record()["removed"].clone()), (GuardErrorKind::Removed, at.into()));
    // What is left has no secret, no code and no name.
    assert!(world.bytes(AL).unwrap().len() < 500);
    block_on(world.guard.erase(AL)).unwrap();
    assert_eq!(expected(&world), GuardErrorKind::RecordMissing);
    assert!(world.bytes(AL).is_none());
    assert!(block_on(world.guard.erase(AL)).is_ok(), "there is nothing to erase");
    // Enrolled again, it has no trace of the removal.
    world.add(AL, &Setup::totp("al"), None);
    assert!(matches!(world.begin(None), Login::Challenge(_)));
}

#[test]
fn a_suspended_account_refuses_every_flow() {
    for enrolled in [true, false] {
        let policy = Policy::default().with_trusted_devices(Duration::from_secs(30 * DAY)).unwrap();
        let world = World::with(policy);
        let enrollment = world.enroll(AL, &Setup::totp("al"), None).unwrap();
        let (mut phone, handle) = (Phone::of(&enrollment), enrollment.handle().clone());
        let mut codes = Vec::new();
        let mut device = None;
        let accepted = if enrolled {
            let confirmed = world.confirm(AL, &phone.code(world.now()));
            codes = confirmed.recovery_codes().unwrap().iter().map(String::from).collect();
            world.pass(30);
            let sign_in = answer(&world, &challenge(&world), &phone.code(world.now())).unwrap();
            let accepted = sign_in.accepted().unwrap();
            device = Some(block_on(world.guard.trust_device(accepted, "x", Duration::from_secs(DAY))).unwrap());
            Some(sign_in)
        } else {
            None
        };
        let pending = enrolled.then(|| challenge(&world));
        let voucher = enrolled.then(|| super::vouch::vouch(&world));
        let made = (!enrolled).then(|| ticket(&world, AL));
        let generation = world.status().generation();
        world.heard();
        block_on(world.guard.operator_suspend(AL, &crate::operator())).unwrap();
        assert_eq!(world.heard()[0], EventKind::Suspended);
        world.pass(30);
        let typed = phone.code(world.now());
        let guard = &world.guard;
        let setup = Setup::totp("al");
        let mut kinds = vec![
            kind(block_on(guard.verify(AL, &typed))),
            kind(block_on(guard.resync(AL, &typed, &typed))),
            kind(block_on(guard.confirm(AL, &typed))),
            kind(block_on(guard.enroll(AL, &setup))),
            kind(block_on(guard.reopen_enrollment(&handle, "al"))),
            kind(block_on(guard.operator_vouch(AL, &crate::operator()))),
        ];
        for expectation in [Expectation::Optional, Expectation::Enrolled, Expectation::RequiredFrom(u64::MAX)] {
            kinds.push(kind(block_on(guard.begin_login(AL, expectation, device.as_ref()))));
        }
        kinds.extend(codes.first().map(|code| kind(block_on(guard.verify(AL, code)))));
        kinds.extend(pending.as_ref().map(|pending| kind(block_on(guard.answer(pending, &typed)))));
        kinds.extend(voucher.as_ref().map(|voucher| kind(block_on(guard.redeem(voucher)))));
        kinds.extend(made.as_ref().map(|made| kind(block_on(guard.enroll_with_ticket(made, &setup)))));
        kinds.extend(made.as_ref().map(|made| kind(block_on(guard.confirm_with_ticket(made, &typed)))));
        if let Some(accepted) = accepted.as_ref().and_then(SignIn::accepted) {
            let proof = |purpose| guard.prove(accepted, &purpose);
            let id = AuthenticatorId::new("x").unwrap();
            kinds.extend([
                kind(block_on(guard.remember_device(accepted, "x"))),
                kind(block_on(guard.replace_recovery_code(accepted))),
                kind(block_on(guard.trust_device(accepted, "x", Duration::from_secs(60)))),
                kind(block_on(guard.check(AL, &proof(Purpose::ADD), &Purpose::ADD))),
                kind(block_on(guard.enroll_another(AL, &setup, &proof(Purpose::ADD)))),
                kind(block_on(guard.rename(AL, &id, "x", &proof(Purpose::RENAME)))),
                kind(block_on(guard.revoke(AL, &id, &proof(Purpose::REVOKE)))),
                kind(block_on(guard.regenerate_recovery_codes(AL, &proof(Purpose::REGENERATE)))),
                kind(block_on(guard.disable(AL, &proof(Purpose::DISABLE)))),
            ]);
        }
        assert_eq!(kinds, vec![GuardErrorKind::Suspended; kinds.len()]);
        let is_current = |generation| block_on(guard.is_current(AL, generation)).unwrap();
        assert!(!is_current(generation) && !is_current(world.status().generation()) && world.status().is_suspended());
        // An operator may still help, and removal does not end it.
        if enrolled {
            block_on(guard.operator_unlock(AL, &crate::operator())).unwrap();
            assert!(world.status().is_active());
            block_on(guard.operator_suspend(AL, &crate::operator())).unwrap();
        }
        world.heard();
        let stored = world.stored(AL);
        block_on(guard.operator_suspend(AL, &crate::operator())).unwrap();
        assert!(world.heard().is_empty() && world.stored(AL) == stored, "suspended twice");
        block_on(guard.operator_resume(AL, &crate::operator())).unwrap();
        assert!(world.heard() == [EventKind::Resumed] && !is_current(generation));
        block_on(guard.operator_resume(AL, &crate::operator())).unwrap();
        assert!(world.heard().is_empty());
        // What was made before stays void, and the factors work.
        assert!(pending.is_none_or(|pending| answer(&world, &pending, &typed).unwrap_err() == REJECTED));
        if enrolled {
            assert!(matches!(world.begin(device.as_ref()), Login::Challenge(_)));
            assert!(answer(&world, &challenge(&world), &typed).is_ok());
            block_on(guard.operator_suspend(AL, &crate::operator())).unwrap();
            block_on(guard.operator_remove(AL, &crate::operator())).unwrap();
            assert_eq!(kind(block_on(guard.enroll(AL, &setup))), GuardErrorKind::Suspended);
        }
    }
}

/// A token under an old key is good as long as the key is in the keyring.
#[test]
fn tokens_survive_the_rotation_of_keys() {
    let (world, mut phone, _) = World::enrolled();
    let sign_in = answer(&world, &challenge(&world), &phone.code(world.now())).unwrap();
    let device = block_on(world.guard.remember_device(sign_in.accepted().unwrap(), "x")).unwrap();
    let [first, second] = [(); 2].map(|()| challenge(&world));
    world.pass(30);
    let rotated = world.again(Policy::default(), &keyring(&["2027", "2026"]));
    assert!(answer(&rotated, &first, &phone.code(world.now())).is_ok());
    world.pass(30);
    let Login::Challenge(made) = rotated.begin(Some(&device)) else { panic!() };
    assert_eq!(answer(&rotated, &made, &phone.code(world.now())).unwrap().device(), Some(device.device()));
    let other = keyfob::Keyring::parse(&entry("x").replace("x:", "2027:")).unwrap();
    assert_eq!(answer(&world.again(Policy::default(), &other), &second, "1").unwrap_err(), REJECTED);
}

#[test]
fn a_login_by_a_known_device_says_which() {
    let (world, mut phone, codes) = World::enrolled();
    let sign_in = answer(&world, &challenge(&world), &phone.code(world.now())).unwrap();
    assert!(sign_in.device().is_none());
    let device = block_on(world.guard.remember_device(sign_in.accepted().unwrap(), "x")).unwrap();
    let made = || match world.begin(Some(&device)) {
        Login::Challenge(challenge) => challenge,
        other => panic!("{other:?}"),
    };
    world.pass(30);
    assert_eq!(answer(&world, &made(), &phone.code(world.now())).unwrap().device(), Some(device.device()));
    // A recovery code forgets all devices, so the answer to it names none.
    assert!(answer(&world, &made(), &codes[0]).unwrap().device().is_none());
    assert!(world.status().devices().is_empty());
    for id in ["", "A", "a b"] {
        assert!(DeviceId::new(id).is_err() && id.parse::<DeviceId>().is_err());
    }
}

/// The secrets that a login handles are in no event, no error and no printed value.
#[test]
fn a_login_prints_no_secret() {
    let policy = Policy::default().with_trusted_devices(Duration::from_secs(DAY)).unwrap();
    let (world, mut phone, _) = World::enrolled_with(policy, &Setup::totp("al@example.com"));
    let typed = phone.code(world.now());
    let made = challenge(&world);
    let sign_in = answer(&world, &made, &typed).unwrap();
    let device = block_on(world.guard.trust_device(sign_in.accepted().unwrap(), "x", Duration::from_secs(60))).unwrap();
    let login = world.begin(Some(&device));
    let printed = format!("{made:?} {sign_in:?} {device:?} {login:?} {:?} {}", world.status(), world.heard_as_text());
    let secret = device.token().split_once('.').unwrap().1.to_owned();
    let mac = made.token().rsplit('~').next().unwrap().to_owned();
    for hidden in [&typed, &secret[..12], &mac[..12]] {
        assert!(!printed.contains(hidden), "{hidden} in {printed}");
    }
    assert!(Secret::from_base32(&secret).is_ok_and(|secret| secret.expose_bytes().len() == 32));
}

/// Anybody can send a made-up token. It reaches neither the store nor the log.
#[test]
fn a_made_up_token_is_refused_without_a_trace() {
    let (world, ..) = World::enrolled();
    block_on(world.guard.operator_suspend(AL, &crate::operator())).unwrap();
    world.heard();
    let foreign = world.again(Policy::default(), &keyring(&["x"]));
    let made = ticket(&foreign, "bo");
    let genuine = ticket(&world, "bo");
    let renamed = genuine.token().replacen("enroll~", "login~", 1);
    let refused = |token: &str| answer(&world, &Challenge::from_token(token).unwrap(), "1").unwrap_err();
    assert_eq!(refused(&renamed), REJECTED);
    assert_eq!(
        refused(&renamed.replacen("~Ym8~", "~YWw~", 1)),
        REJECTED,
        "whether an account is suspended is not told"
    );
    assert_eq!(
        kind(block_on(world.guard.enroll_with_ticket(&made, &Setup::totp("al")))),
        GuardErrorKind::LoginRejected
    );
    assert_eq!(kind(block_on(world.guard.confirm_with_ticket(&made, "1"))), GuardErrorKind::LoginRejected);
    assert!(world.heard().is_empty());
    // A name that no account can have is not even read.
    for name in ["", "YQo", &"YWFh".repeat(86)] {
        assert!(Challenge::from_token(&renamed.replacen("~Ym8~", &format!("~{name}~"), 1)).is_err(), "{name}");
    }
    // Control: a genuine token of a user who may not use it is reported.
    block_on(world.guard.operator_suspend("bo", &crate::operator())).unwrap();
    world.heard();
    assert_eq!(kind(block_on(world.guard.confirm_with_ticket(&genuine, "1"))), GuardErrorKind::Suspended);
    assert!(matches!(&*world.heard(), [EventKind::Failed { kind: GuardErrorKind::Suspended, .. }]));
}

/// Logins that were completed while the clock was a year ahead must not lock the owner out for that year.
#[test]
fn logins_of_a_clock_that_was_ahead_take_no_slot_for_long() {
    let (world, mut token, _) = World::enrolled_with(Policy::default(), &Setup::hotp("al@example.com"));
    let now = world.now();
    world.at(now + YEAR);
    for _ in 0..16 {
        assert!(answer(&world, &challenge(&world), &token.code(now)).is_ok());
    }
    let last = challenge(&world);
    assert!(matches!(answer(&world, &last, &token.code(now)).unwrap_err(), Ok(Refusal::Throttled { .. })), "control");
    token.counter -= 1;
    world.at(now);
    assert!(answer(&world, &challenge(&world), &token.code(now)).is_ok());
}

/// While all slots are taken, a recovery code still works.
#[test]
fn a_recovery_code_needs_no_slot() {
    let (world, mut token, codes) = World::enrolled_with(Policy::default(), &Setup::hotp("al@example.com"));
    for _ in 0..16 {
        assert!(answer(&world, &challenge(&world), &token.code(world.now())).is_ok());
    }
    let [first, second] = [challenge(&world), challenge(&world)];
    assert!(matches!(answer(&world, &first, &token.code(world.now())), Err(Ok(Refusal::Throttled { .. }))), "control");
    assert!(answer(&world, &first, &codes[0]).is_ok());
    for challenge in [&first, &second] {
        assert_eq!(answer(&world, challenge, &codes[1]).unwrap_err(), REJECTED);
    }
}

/// Somebody else may have begun the enrollment, so recovery cancels it.
#[test]
fn a_recovery_code_cancels_a_pending_enrollment() {
    let (world, mut phone, codes) = World::enrolled();
    let proof = world.prove(&mut phone, &Purpose::ADD);
    let mut second = Phone::of(&world.enroll(AL, &Setup::totp("al"), Some(&proof)).unwrap());
    world.heard();
    assert!(world.verify(&codes[0]).is_ok());
    assert!(world.heard().contains(&EventKind::EnrollmentCanceled { authenticator: second.id.clone() }));
    let typed = second.code(world.now());
    assert_eq!(kind(block_on(world.guard.confirm(AL, &typed))), GuardErrorKind::NoEnrollment);
}

/// The request of a thief cannot save a session from a reset that comes at the same time.
#[test]
fn only_a_current_session_is_renewed() {
    let world = World::new();
    let mut session = block_on(world.guard.forget_devices(AL)).unwrap();
    for _ in 0..3 {
        let renewed = block_on(world.guard.forget_devices_in_session(AL, session)).unwrap().unwrap();
        assert!(block_on(world.guard.is_current(AL, renewed)).unwrap() && renewed != session);
        let reset = block_on(world.guard.forget_devices(AL)).unwrap();
        let before = world.bytes(AL).unwrap();
        for ended in [session, renewed, Generation::default()] {
            assert_eq!(block_on(world.guard.forget_devices_in_session(AL, ended)).unwrap(), None);
        }
        assert_eq!(world.bytes(AL).unwrap(), before);
        session = reset;
    }
}

/// A session that ended after the backup stays ended, also for a user who has no second factor.
#[test]
fn an_invalidation_covers_accounts_without_a_second_factor() {
    let world = World::new();
    let before = block_on(world.guard.forget_devices(AL)).unwrap();
    let backup = world.bytes(AL).unwrap();
    world.pass(60);
    block_on(world.guard.forget_devices(AL)).unwrap();
    let is_current = || block_on(world.guard.is_current(AL, before)).unwrap();
    assert!(!is_current());
    world.put(AL, &backup);
    assert!(is_current(), "control");
    world.pass(60);
    block_on(world.guard.operator_invalidate_codes(AL, &crate::operator())).unwrap();
    assert!(!is_current());
    assert_eq!(
        kind(block_on(world.guard.operator_invalidate_codes("never seen", &crate::operator()))),
        GuardErrorKind::NotEnrolled
    );
}

/// The same checks without a guard, for an application that passes the user and the challenge itself.
#[test]
fn a_challenge_without_a_guard_is_checked_by_the_decision() {
    let (world, ..) = World::enrolled();
    let (policy, keys) = (Policy::default(), keyring(&["2026"]));
    let record = world.bytes(AL).unwrap();
    let factor = SecondFactor::read(Some(&record)).unwrap();
    let answers = |user: &str, challenge: &Challenge| {
        let context = Context::new(user, world.now(), &policy, &keys).unwrap();
        factor.answer(&context, challenge, "1").map(drop).map_err(|error| error.kind())
    };
    let made = challenge(&world);
    assert_eq!(answers(AL, &made), Ok(()), "control");
    // The record of another user that differs in nothing but the name.
    assert_eq!(answers("mallory", &made), Err(GuardErrorKind::LoginRejected));
    // Made up, with the right user, time and generation.
    let foreign = keyfob::Keyring::parse(&entry("x").replace("x:", "2026:")).unwrap();
    let forged = challenge(&world.again(Policy::default(), &foreign));
    assert_eq!(answers(AL, &forged), Err(GuardErrorKind::LoginRejected));
    let nobody = SecondFactor::read(None).unwrap();
    let setup = Setup::totp("al");
    let enrolls = |user: &str, ticket: &EnrollmentTicket| {
        let context = Context::new(user, world.now(), &policy, &keys).unwrap();
        let random = super::randomness(1);
        nobody.enroll_with_ticket(&context, &random, "Example", &setup, ticket).map(drop).map_err(|error| error.kind())
    };
    let made = ticket(&world, "bo");
    assert_eq!(enrolls("bo", &made), Ok(()), "control");
    assert_eq!(enrolls("mallory", &made), Err(GuardErrorKind::LoginRejected));
    let forged = ticket(&world.again(Policy::default(), &foreign), "bo");
    assert_eq!(enrolls("bo", &forged), Err(GuardErrorKind::LoginRejected));
}
