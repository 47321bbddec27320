//! Enrollments of secrets that exist already: a code for one of them is a guess, whatever path it takes.

use futures_lite::future::block_on;
use keyfob::guard::{
    Change, Confirmation, Context, Diagnosis, EventKind, GuardErrorKind, Purpose, Refusal, Resynchronization,
    SecondFactor, Setup,
};
use keyfob::{Algorithm, Digits, KeyUri, Policy, Secret, Totp};

use super::{AL, DAY, Phone, T, World, keyring, kind};

fn old_secret() -> Setup {
    let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
    Setup::import(&KeyUri::totp("Old", "al", &secret).unwrap()).unwrap()
}

/// What an application does that takes old secrets over at the next login: enroll, ask for the code, and again.
fn guess(world: &World, typed: &str) -> Option<Refusal> {
    world.enroll(AL, &old_secret(), None).unwrap();
    match block_on(world.guard.confirm(AL, typed)).unwrap() {
        Confirmation::Confirmed(_) => None,
        Confirmation::Refused { refusal, diagnosis } => {
            assert_eq!(diagnosis, None, "a guess was told more than that it is wrong");
            Some(refusal)
        }
    }
}

#[test]
fn codes_for_an_imported_secret_are_charged() {
    let world = World::new();
    let mut phone = Phone::of(&world.enroll(AL, &old_secret(), None).unwrap());
    for wrong in 0..5 {
        assert_eq!(guess(&world, &phone.wrong(T)), Some(Refusal::WrongCode), "{wrong}");
    }
    // From here on nothing is compared, not even the right code.
    let retry_at = T + 30;
    assert_eq!(guess(&world, &phone.code(T)), Some(Refusal::Throttled { retry_at }));
    assert_eq!(world.status().retry_at(), Some(retry_at));
    world.at(retry_at);
    assert_eq!(guess(&world, &phone.code(retry_at)), None);
    assert_eq!(world.status().consecutive_failures(), 0);
}

#[test]
fn an_imported_secret_is_guessed_a_hundred_times_and_no_more() {
    let world = World::new();
    let mut phone = Phone::of(&world.enroll(AL, &old_secret(), None).unwrap());
    let mut compared = 0;
    for _ in 0..10_000 {
        match guess(&world, &phone.wrong(world.now())) {
            Some(Refusal::WrongCode) => compared += 1,
            Some(Refusal::Throttled { retry_at }) => world.at(retry_at),
            Some(Refusal::Exhausted { .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(compared, 100);
    let heard = world.heard();
    assert!(heard.contains(&EventKind::Exhausted));
    // Neither does the right code help now, nor an authenticator that takes no proof: the first of an account.
    world.pass(1);
    assert!(matches!(guess(&world, &phone.code(world.now())), Some(Refusal::Exhausted { .. })));
    let mut own = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
    world.confirm(AL, &own.code(world.now()));
    assert!(world.status().is_exhausted());
    block_on(world.guard.operator_unlock(AL, &crate::operator())).unwrap();
    world.pass(30);
    assert!(world.verify(&own.code(world.now())).is_ok());
}

/// Guesses by all paths together: at the login, at the confirmation, and at the resynchronization.
#[test]
fn all_paths_share_one_budget() {
    let (world, mut first, _) = World::enrolled();
    let proof = world.prove(&mut first, &Purpose::ADD);
    let token = Phone::of(&world.enroll(AL, &old_secret(), Some(&proof)).unwrap());
    for failures in 1..=5 {
        let wrong = token.wrong(world.now());
        match failures % 3 {
            0 => drop(world.verify(&first.wrong(world.now())).unwrap_err()),
            1 => drop(block_on(world.guard.confirm(AL, &wrong)).unwrap()),
            _ => drop(block_on(world.guard.resync(AL, "000000", "000000")).unwrap()),
        }
        assert_eq!(world.status().consecutive_failures(), failures);
    }
    let answer = block_on(world.guard.confirm(AL, &token.wrong(world.now()))).unwrap();
    assert!(matches!(answer, Confirmation::Refused { refusal, .. }
        if matches!(refusal, Refusal::Throttled { .. })));
    assert!(matches!(world.verify(&first.code(world.now())).unwrap_err(), Refusal::Throttled { .. }));
}

/// A decision that loses its swap is thrown away, so nothing about it may tell what it was.
#[test]
fn a_confirmation_is_as_long_as_a_refusal() {
    let (policy, keyring) = (Policy::default(), keyring(&["2026"]));
    for setup in [old_secret(), Setup::totp("al@example.com"), Setup::hotp("al@example.com")] {
        let (world, mut first, _) = World::enrolled();
        let proof = world.prove(&mut first, &Purpose::ADD);
        let mut phone = Phone::of(&world.enroll(AL, &setup, Some(&proof)).unwrap());
        let context = Context::new(AL, world.now(), &policy, &keyring).unwrap();
        let factor = SecondFactor::read(world.bytes(AL).as_deref()).unwrap();
        let near = phone.uri.period().map(|_| phone.hotp.code(phone.step(world.now()) + 7).to_string());
        let typed = [Some(phone.wrong(world.now())), Some(phone.code(world.now())), near];
        let lengths: Vec<usize> = typed
            .into_iter()
            .flatten()
            .map(|typed| match factor.confirm(&context, &typed).unwrap().change() {
                Change::Write(record) => record.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{lengths:?}");
    }
}

/// A diagnosis that a clock is ahead says of a code that it will be right later. It says so once, and that code is used.
#[test]
fn a_diagnosis_tells_of_no_code_that_will_be_accepted() {
    for ahead in [4, 120, 600, 56 * 30] {
        let world = World::new();
        let mut phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
        let step = phone.step(T);
        let hotp = phone.hotp.clone();
        let code = |at: u64| hotp.code(at).to_string();
        let diagnosis = |typed: &str| match block_on(world.guard.confirm(AL, typed)).unwrap() {
            Confirmation::Refused { diagnosis, .. } => diagnosis,
            Confirmation::Confirmed(_) => panic!("{typed}"),
        };
        let told = diagnosis(&code(step + ahead));
        assert!(matches!(told, Some(Diagnosis::ClockOff(seconds)) if seconds > 0), "{ahead}: {told:?}");
        assert_eq!(diagnosis(&code(step + ahead)), told, "the same code may be typed again");
        assert_eq!(diagnosis(&code(step + ahead + 31)), None, "a second code of the future");
        // One of the past tells nothing that is good later.
        assert_eq!(diagnosis(&code(step - 8)), Some(Diagnosis::ClockOff(-240)));

        let typed = phone.code(T);
        world.confirm(AL, &typed);
        world.at((step + ahead) * 30);
        assert_eq!(world.verify(&code(step + ahead)).unwrap_err(), Refusal::Replayed);
        // Nor as one of two codes in a row.
        for first in [step + ahead - 1, step + ahead] {
            let answer = block_on(world.guard.resync(AL, &code(first), &code(first + 1))).unwrap();
            assert!(matches!(answer, Resynchronization::Refused(Refusal::WrongCode)), "{ahead}: {answer:?}");
        }
        world.pass(30);
        assert!(world.verify(&phone.code(world.now())).is_ok());
        assert_eq!(world.verify(&code(step + ahead)).unwrap_err(), Refusal::Replayed);
    }
    // Not even to confirm.
    let world = World::new();
    let phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
    let typed = phone.hotp.code(phone.step(T) + 20).to_string();
    for now in [T, T + 600] {
        world.at(now);
        assert!(matches!(block_on(world.guard.confirm(AL, &typed)).unwrap(), Confirmation::Refused { .. }));
    }
}

/// To HMAC a secret, the same with zeros behind it, and the hash of a long one are one key: they show the same codes.
#[test]
fn secrets_that_show_the_same_codes_are_one_secret() {
    let short: Vec<u8> = (1..=20).collect();
    let padded = |length: usize| [&short[..], &vec![0; length - 20]].concat();
    let long: Vec<u8> = (0..100).collect();
    let hashed = |algorithm: &str| -> Vec<u8> {
        use sha1::Digest;
        match algorithm {
            "sha1" => sha1::Sha1::digest(&long).to_vec(),
            _ => sha2::Sha256::digest(&long).to_vec(),
        }
    };
    use Algorithm::{Sha1, Sha256, Sha512};
    let rows = [
        (Sha1, short.clone(), padded(21), true),
        (Sha256, short.clone(), padded(64), true),
        (Sha512, short.clone(), padded(128), true),
        (Sha512, padded(64), padded(128), true),
        (Sha1, long.clone(), hashed("sha1"), true),
        (Sha256, long.clone(), hashed("sha256"), true),
        // The zeros are before it.
        (Sha1, short.clone(), [&[0], &short[..]].concat(), false),
        (Sha1, short.clone(), [&short[..], &[1]].concat(), false),
    ];
    for (algorithm, first, second, same) in rows {
        let uri = |bytes: &[u8]| {
            let secret = Secret::from_bytes(bytes).unwrap();
            KeyUri::totp("Old", "al", &secret).unwrap().with_algorithm(algorithm)
        };
        let shows = |bytes: &[u8]| {
            let secret = Secret::from_bytes(bytes).unwrap();
            Totp::with_algorithm(&secret, algorithm).with_digits(Digits::Eight).code_at(T).to_string()
        };
        assert_eq!(shows(&first) == shows(&second), same, "control");
        let (world, mut phone, _) = World::enrolled_with(Policy::default(), &Setup::import(&uri(&first)).unwrap());
        let proof = world.prove(&mut phone, &Purpose::ADD);
        let again = world.enroll(AL, &Setup::import(&uri(&second)).unwrap(), Some(&proof));
        match same {
            true => assert_eq!(kind(again), GuardErrorKind::SecretInUse, "{algorithm} {}", second.len()),
            false => assert!(again.is_ok()),
        }
    }
}

#[test]
fn the_status_counts_an_imported_secret_among_what_can_be_guessed() {
    let world = World::new();
    let year = std::time::Duration::from_secs(365 * DAY);
    assert_eq!(world.status().guess_probability(year), 0.0);
    world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap();
    assert_eq!(world.status().guess_probability(year), 0.0, "its secret was just shown");
    world.enroll(AL, &old_secret(), None).unwrap();
    assert_eq!(world.status().guess_probability(year), Policy::default().guess_probability(year));
}
