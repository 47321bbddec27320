//! The page that shows the secret, shown again; and enrollments that are canceled.

use futures_lite::future::block_on;
use keyfob::guard::{Confirmation, Context, Enrollment, EnrollmentHandle, EventKind, Flow, GuardErrorKind, Purpose};
use keyfob::guard::{Proof, SecondFactor, Setup, Voucher};
use keyfob::{Algorithm, Digits, KeyUri, Period, Policy, Secret};

use super::dropped::{Stop, at_once, given_up, stopping};
use super::login::ticket;
use super::{AL, DAY, Phone, T, World, keyring, kind};

const LABEL: &str = "al@example.com";

fn reopen(world: &World, handle: &EnrollmentHandle) -> Result<Enrollment, GuardErrorKind> {
    block_on(world.guard.reopen_enrollment(handle, LABEL)).map_err(|error| error.kind())
}

fn same(one: &Enrollment, other: &Enrollment) -> bool {
    *one.uri().to_uri() == *other.uri().to_uri()
        && one.authenticator() == other.authenticator()
        && one.expires_at() == other.expires_at()
        && one.handle().token() == other.handle().token()
        && *one.manual_entry() == *other.manual_entry()
}

/// Everything that can be enrolled.
fn setups() -> [Setup; 6] {
    let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
    let totp = KeyUri::totp("Other", LABEL, &secret).unwrap();
    let hotp = KeyUri::hotp("Other", LABEL, &secret, 1000).unwrap().with_digits(Digits::Eight);
    let totp = totp.with_period(Period::new(60).unwrap()).unwrap().with_algorithm(Algorithm::Sha256);
    [
        Setup::totp(LABEL),
        Setup::totp(LABEL).with_algorithm(Algorithm::Sha512).with_digits(Digits::Eight),
        Setup::hotp(LABEL),
        Setup::hotp(LABEL).with_name("token").unwrap(),
        Setup::import(&totp).unwrap(),
        Setup::import(&hotp).unwrap(),
    ]
}

#[test]
fn the_same_page_is_shown_while_the_enrollment_waits() {
    for setup in setups() {
        let world = World::new();
        let shown = world.enroll(AL, &setup, None).unwrap();
        let mut phone = Phone::of(&shown);
        let (stored, handle) = (world.stored(AL), shown.handle().token());
        world.heard();
        let handle: EnrollmentHandle = handle.parse().unwrap();
        assert_eq!(handle.user(), AL);
        for passed in [0, 1, 898] {
            world.pass(passed);
            assert!(same(&reopen(&world, &handle).unwrap(), &shown));
        }
        assert!(world.stored(AL) == stored && world.heard().is_empty(), "looking changes nothing");
        // A wrong code in between does not count as another counter.
        let _ = block_on(world.guard.confirm(AL, &phone.wrong(world.now()))).unwrap();
        assert!(same(&reopen(&world, &handle).unwrap(), &shown));
        // The label is what the caller says, as it is not stored.
        let other = block_on(world.guard.reopen_enrollment(&handle, "other")).unwrap();
        assert_eq!((other.uri().account(), other.uri().secret()), ("other", shown.uri().secret()));
        let refused = block_on(world.guard.reopen_enrollment(&handle, "a:b"));
        assert_eq!(kind(refused), GuardErrorKind::Invalid);
        world.confirm(AL, &phone.code(world.now()));
    }
    // The one that is enrolled during a login, too.
    let world = World::new();
    let ticket = ticket(&world, AL);
    let shown = block_on(world.guard.enroll_with_ticket(&ticket, &Setup::totp(LABEL))).unwrap();
    assert!(same(&reopen(&world, shown.handle()).unwrap(), &shown));
}

#[test]
fn nothing_is_shown_once_the_enrollment_is_over() {
    type Change = fn(&World, &Enrollment);
    let rows: [(&str, Change); 10] = [
        ("confirmed", |world, enrollment| {
            world.confirm(AL, &Phone::of(enrollment).code(world.now()));
        }),
        ("canceled", |world, _| block_on(world.guard.cancel_enrollment(AL)).unwrap()),
        ("replaced", |world, _| drop(world.enroll(AL, &Setup::totp(LABEL), None).unwrap())),
        ("expired", |world, _| world.pass(900)),
        ("a clock far back", |world, _| world.at(T - 900)),
        ("twenty wrong codes", |world, enrollment| {
            let wrong = Phone::of(enrollment).wrong(world.now());
            (0..20).for_each(|_| drop(block_on(world.guard.confirm(AL, &wrong)).unwrap()));
        }),
        ("erased", |world, _| block_on(world.guard.erase(AL)).unwrap()),
        ("removed", |world, _| block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap()),
        ("a new password", |world, _| block_on(world.guard.forget_devices(AL)).map(drop).unwrap()),
        ("a restored backup", |world, _| {
            block_on(world.guard.operator_invalidate_codes(AL, &crate::operator())).map(drop).unwrap();
        }),
    ];
    for (name, change) in rows {
        let world = World::new();
        let enrollment = world.enroll(AL, &Setup::totp(LABEL), None).unwrap();
        assert!(reopen(&world, enrollment.handle()).is_ok(), "control");
        change(&world, &enrollment);
        world.heard();
        assert_eq!(reopen(&world, enrollment.handle()).unwrap_err(), GuardErrorKind::NoEnrollment, "{name}");
        let failed = EventKind::Failed { flow: Flow::ReopenEnrollment, kind: GuardErrorKind::NoEnrollment };
        assert_eq!(world.heard(), [failed], "{name}");
    }
    let world = World::new();
    let enrollment = world.enroll(AL, &Setup::totp(LABEL), None).unwrap();
    block_on(world.guard.operator_suspend(AL, &crate::operator())).unwrap();
    assert_eq!(reopen(&world, enrollment.handle()).unwrap_err(), GuardErrorKind::Suspended);
}

#[test]
fn a_handle_is_for_one_enrollment_of_one_user() {
    let world = World::new();
    let [first, second] = [(); 2].map(|()| world.enroll(AL, &Setup::totp(LABEL), None).unwrap());
    let bo = world.enroll("bo", &Setup::totp(LABEL), None).unwrap();
    assert_eq!(reopen(&world, first.handle()).unwrap_err(), GuardErrorKind::NoEnrollment);
    assert!(same(&reopen(&world, second.handle()).unwrap(), &second));
    assert!(same(&reopen(&world, bo.handle()).unwrap(), &bo));
    // Without a guard, the application names the user. A handle of somebody else shows nothing, not even if the record
    // is the one that the handle is for.
    let (policy, ring) = (Policy::default(), keyring(&["2026"]));
    for (user, handle, good) in
        [(AL, &second, true), (AL, &first, false), (AL, &bo, false), ("bo", &second, false), ("bo", &bo, true)]
    {
        let context = Context::new(user, world.now(), &policy, &ring).unwrap();
        for record in [AL, "bo"] {
            let factor = SecondFactor::read(world.bytes(record).as_deref()).unwrap();
            let shown = factor.reopen_enrollment(&context, "Example", LABEL, handle.handle());
            assert_eq!(shown.is_ok(), good && record == user, "{user} {record}");
        }
    }
}

/// Somebody who has taken over the session while its owner enrolls wants the secret that the owner is about to confirm.
#[test]
fn a_stolen_session_without_the_handle_shows_no_secret() {
    let (world, mut phone, _) = World::enrolled();
    let proof = world.prove(&mut phone, &Purpose::ADD);
    let owner = world.enroll(AL, &Setup::totp(LABEL), Some(&proof)).unwrap();
    let secret = owner.uri().secret().expose_base32().to_string();
    let shows = |text: &str| text.replace(' ', "").contains(&secret);

    // All that a session can ask for. It knows the user and, from an event or a page, the id.
    let seen = format!("{:?} {} {:?}", world.status(), world.heard_as_text(), world.guard);
    assert!(!shows(&seen) && seen.contains(owner.authenticator().as_str()));
    // A handle that is made up, with all that is known and a MAC that is not, reaches neither the store nor the log.
    let text = owner.handle().token();
    let deaf = stopping(&world, Stop::Load);
    world.heard();
    assert!(given_up(deaf.reopen_enrollment(owner.handle(), LABEL)), "control");
    world.heard();
    let (public, mac) = text.rsplit_once('~').unwrap();
    let zeros = format!("{public}~{}", *keyfob::base32::encode(&[0; 32]));
    let mut forged = vec![EnrollmentHandle::from_token(&zeros).unwrap()];
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(other) = String::from_utf8(bytes) else { continue };
        forged.extend(EnrollmentHandle::from_token(&other));
    }
    assert!(forged.len() > 100, "{}", forged.len());
    for handle in &forged {
        assert_eq!(kind(at_once(deaf.reopen_enrollment(handle, LABEL))), GuardErrorKind::NoEnrollment);
    }
    // Without a guard, the decision checks it.
    let (policy, ring) = (Policy::default(), keyring(&["2026"]));
    let context = Context::new(AL, world.now(), &policy, &ring).unwrap();
    let factor = SecondFactor::read(world.bytes(AL).as_deref()).unwrap();
    let decide = |handle: &EnrollmentHandle| factor.reopen_enrollment(&context, "Example", LABEL, handle);
    assert!(decide(owner.handle()).is_ok(), "control");
    assert!(forged.iter().all(|handle| kind(decide(handle)) == GuardErrorKind::NoEnrollment));
    // Nor is anything else with a MAC a handle.
    let voucher = block_on(world.guard.operator_vouch(AL, &crate::operator())).unwrap().token();
    assert!(
        EnrollmentHandle::from_token(&voucher).is_err() && EnrollmentHandle::from_token(&proof.token("s")).is_err()
    );
    assert!(Voucher::from_token(&text).is_err() && Proof::from_token(&text).is_err());
    let spliced = format!("{public}~{}", voucher.rsplit('~').next().unwrap());
    let spliced = EnrollmentHandle::from_token(&spliced).unwrap();
    assert_eq!(kind(at_once(deaf.reopen_enrollment(&spliced, LABEL))), GuardErrorKind::NoEnrollment);
    assert!(!world.heard().iter().any(|kind| matches!(kind, EventKind::Failed { .. })));
    // A thief who has a proof can begin another enrollment. That ends the owner's, and its handle shows nothing.
    let thief = world.enroll(AL, &Setup::totp(LABEL), Some(&proof)).unwrap();
    assert!(!shows(&thief.uri().to_uri()));
    assert!(world.heard().contains(&EventKind::EnrollmentCanceled { authenticator: owner.authenticator().clone() }));
    assert_eq!(reopen(&world, owner.handle()).unwrap_err(), GuardErrorKind::NoEnrollment);

    // The control: with the handle, the secret is there.
    let owner = world.enroll(AL, &Setup::totp(LABEL), Some(&proof)).unwrap();
    let again = reopen(&world, owner.handle()).unwrap();
    assert!(again.uri().secret() == owner.uri().secret() && !format!("{:?}", owner.handle()).contains(&mac[..10]));
    for text in ["", "~", "~~~", public, &text[3..], &format!("{text}~"), &format!("!{text}")] {
        assert_eq!(kind(EnrollmentHandle::from_token(text)), GuardErrorKind::NoEnrollment, "{text}");
    }
}

#[test]
fn a_handle_is_good_as_long_as_its_key_is_there() {
    let world = World::new();
    let shown = world.enroll(AL, &Setup::totp(LABEL), None).unwrap();
    let rotated = world.again(Policy::default(), &keyring(&["2027", "2026"]));
    for resealed in [false, true] {
        assert_eq!(block_on(rotated.guard.reseal(AL)).unwrap(), !resealed);
        assert!(same(&reopen(&rotated, shown.handle()).unwrap(), &shown));
    }
    // The secret could be opened, but nobody knows whether the handle is genuine.
    let gone = world.again(Policy::default(), &keyring(&["2027"]));
    assert_eq!(reopen(&gone, shown.handle()).unwrap_err(), GuardErrorKind::NoEnrollment);
}

/// The error of a key that is missing is not hidden from whoever holds the handle.
#[test]
fn a_secret_that_cannot_be_opened_is_an_error() {
    let world = World::new();
    let shown = world.enroll(AL, &Setup::totp(LABEL), None).unwrap();
    for (field, value, expected) in
        [("key", "2027", GuardErrorKind::KeyMissing), ("sealed", "", GuardErrorKind::SealBroken)]
    {
        let before = world.bytes(AL).unwrap();
        world.edit(|record| {
            let secret = &mut record["pending"]["authenticator"]["secret"];
            let mut text = secret[field].as_str().unwrap().to_owned();
            match field {
                "key" => text = value.into(),
                _ => text.replace_range(..1, if text.starts_with('A') { "B" } else { "A" }),
            }
            secret[field] = text.into();
        });
        assert_eq!(reopen(&world, shown.handle()).unwrap_err(), expected);
        world.put(AL, &before);
    }
}

#[test]
fn an_enrollment_is_canceled_with_one_event() {
    for enrolled in [false, true] {
        let world = World::new();
        let mut phone = enrolled.then(|| world.add(AL, &Setup::totp(LABEL), None).0);
        let proof = phone.as_mut().map(|phone| world.prove(phone, &Purpose::ADD));
        let enrollment = world.enroll(AL, &Setup::totp(LABEL), proof.as_ref()).unwrap();
        let generation = world.status().generation();
        world.heard();
        block_on(world.guard.cancel_enrollment(AL)).unwrap();
        let authenticator = enrollment.authenticator().clone();
        assert_eq!(world.heard(), [EventKind::EnrollmentCanceled { authenticator }]);
        let status = world.status();
        assert!(!status.enrollment_pending() && status.is_active() == enrolled);
        assert_eq!(status.generation(), generation, "no session ends");
        assert_eq!(reopen(&world, enrollment.handle()).unwrap_err(), GuardErrorKind::NoEnrollment);
        let typed = Phone::of(&enrollment).code(world.now());
        assert_eq!(kind(block_on(world.guard.confirm(AL, &typed))), GuardErrorKind::NoEnrollment);
        // There is none now.
        world.heard();
        let stored = world.stored(AL);
        assert_eq!(kind(block_on(world.guard.cancel_enrollment(AL))), GuardErrorKind::NoEnrollment);
        let failed = EventKind::Failed { flow: Flow::CancelEnrollment, kind: GuardErrorKind::NoEnrollment };
        assert!(world.heard() == [failed] && world.stored(AL) == stored);
        // The old handle does not show the next one, and the proof is still good for it.
        let next = world.enroll(AL, &Setup::totp(LABEL), proof.as_ref()).unwrap();
        assert_eq!(reopen(&world, enrollment.handle()).unwrap_err(), GuardErrorKind::NoEnrollment);
        let confirmed = block_on(world.guard.confirm(AL, &Phone::of(&next).code(world.now()))).unwrap();
        assert!(matches!(confirmed, Confirmation::Confirmed(_)));
        // What is active is not canceled.
        assert_eq!(kind(block_on(world.guard.cancel_enrollment(AL))), GuardErrorKind::NoEnrollment);
    }
    // One that has expired was over before.
    let world = World::new();
    world.enroll(AL, &Setup::totp(LABEL), None).unwrap();
    world.pass(DAY);
    assert_eq!(kind(block_on(world.guard.cancel_enrollment(AL))), GuardErrorKind::NoEnrollment);
}
