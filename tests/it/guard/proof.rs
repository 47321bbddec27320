use futures_lite::future::block_on;
use keyfob::Policy;
use keyfob::guard::{GuardError, GuardErrorKind, Proof, Purpose, Setup};

use super::{AL, Phone, World, YEAR, entry, keyring, kind};

const SESSION: &str = "session 8812";

fn good(world: &World, account: &str, proof: &Proof, purpose: &Purpose) -> bool {
    match block_on(world.guard.check(account, proof, purpose)) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), GuardErrorKind::ProofRejected);
            false
        }
    }
}

/// A token that arrives in the session that it was made for.
fn read(token: &str) -> Result<Proof, GuardError> {
    Ok(Proof::from_token(token)?.in_session(SESSION))
}

pub fn transfer() -> Purpose {
    Purpose::application("transfer").unwrap()
}

fn proven() -> (World, Phone, Proof) {
    let (world, mut phone, _) = World::enrolled();
    let proof = world.prove(&mut phone, &transfer());
    (world, phone, proof)
}

#[test]
fn every_bit_of_a_token_matters() {
    let (world, _, proof) = proven();
    let token = proof.token(SESSION);
    let accepts = |token: &str| read(token).is_ok_and(|proof| good(&world, AL, &proof, &transfer()));
    assert!(accepts(&token), "control");
    for bit in 0..token.len() * 8 {
        let mut bytes = token.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = String::from_utf8(bytes) {
            assert!(!accepts(&other), "{other}");
        }
    }
    for length in 0..token.len() {
        assert!(!accepts(&token[..length]) && !accepts(&token[token.len() - length..]));
    }
    // Other spellings of the same, and the border between two parts.
    let [purpose, generation, made, expires, key, mac] = token.split('~').collect::<Vec<_>>().try_into().unwrap();
    for parts in [
        [purpose, generation, made, expires, key, &mac.to_lowercase()],
        [purpose, generation, made, expires, key, &format!("{mac}====")],
        [purpose, &format!("0{generation}"), made, expires, key, mac],
        [purpose, generation, made, &format!("+{expires}"), key, mac],
        [purpose, made, generation, expires, key, mac],
        [purpose, generation, expires, made, key, mac],
        [purpose, &generation[..1], &format!("{}{made}", &generation[1..]), expires, key, mac],
    ] {
        assert!(!accepts(&parts.join("~")), "{parts:?}");
    }
    for text in [format!("{token}~"), format!(" {token}"), format!("{token}\n"), String::new(), "~~~~".into()] {
        assert_eq!(kind(read(&text)), GuardErrorKind::ProofRejected);
    }
}

#[test]
fn a_proof_is_for_one_purpose() {
    let (world, mut phone, _) = World::enrolled();
    let purposes = [Purpose::ADD, Purpose::DISABLE, Purpose::REGENERATE, Purpose::REVOKE, transfer()];
    for made in &purposes {
        let proof = world.prove(&mut phone, made);
        for asked in &purposes {
            assert_eq!(good(&world, AL, &proof, asked), made == asked, "{made:?} for {asked:?}");
        }
    }
    // No name that an application chooses is one of keyfob's own.
    assert!(Purpose::application("add").unwrap() != Purpose::ADD);
    for name in ["", "Add", "a b", "a~b", "ä", "a_b", &"x".repeat(33)] {
        assert!(Purpose::application(name).is_err(), "{name}");
    }
    assert!(Purpose::application(&"x".repeat(32)).is_ok());
}

#[test]
fn a_proof_is_for_one_account() {
    let (world, mut phone, _) = World::enrolled();
    world.add("bo", &Setup::totp("al@example.com"), None);
    let proof = world.prove(&mut phone, &transfer());
    assert!(good(&world, AL, &proof, &transfer()) && !good(&world, "bo", &proof, &transfer()));
    // Even if nothing but the name is another.
    world.put("bo", &world.bytes(AL).unwrap());
    assert!(!good(&world, "bo", &proof, &transfer()));
    assert!(!good(&world, "nobody", &proof, &transfer()));
}

#[test]
fn a_proof_lasts_five_minutes_whatever_the_clock_does() {
    for lifetime in [10, 300, 3600] {
        let (world, mut phone, _) = World::enrolled_with(
            Policy::default().with_proof_lifetime(std::time::Duration::from_secs(lifetime)).unwrap(),
            &Setup::totp("al@example.com"),
        );
        let proof = world.prove(&mut phone, &transfer());
        let (made, lifetime) = (world.now(), lifetime);
        for (now, expected) in [
            (made, true),
            (made + lifetime - 1, true),
            (made + lifetime, false),
            (made + YEAR, false),
            // The clock of the server that checks it may be a minute behind. If it is set back further, the age of the
            // proof is unknown.
            (made - 60, true),
            (made - 61, false),
            (made - YEAR, false),
            (0, false),
            (u64::MAX, false),
            (made + 1, true),
        ] {
            world.at(now);
            assert_eq!(good(&world, AL, &proof, &transfer()), expected, "{now} of {made}");
        }
    }
    // Who checks a proof asks how old it is, and who makes one says how old it may become: the shorter of the two counts.
    for (makes, checks) in [(3600, 60), (60, 3600)] {
        let with = |lifetime| Policy::default().with_proof_lifetime(std::time::Duration::from_secs(lifetime)).unwrap();
        let (world, mut phone, _) = World::enrolled_with(with(makes), &Setup::totp("al@example.com"));
        let proof = world.prove(&mut phone, &transfer());
        let made = world.now();
        for (age, expected) in [(0, true), (59, true), (60, false), (3541, false)] {
            world.at(made + age);
            let other = world.again(with(checks), &keyring(&["2026"]));
            assert_eq!(good(&other, AL, &proof, &transfer()), expected, "made for {makes}, aged {age} of {checks}");
        }
    }
}

#[test]
fn a_change_of_the_factors_ends_all_proofs() {
    type Change = fn(&World, &mut Phone);
    let changes: [Change; 3] = [
        |world, phone| {
            let proof = world.prove(phone, &Purpose::ADD);
            world.add(AL, &Setup::hotp("al@example.com"), Some(&proof));
        },
        |world, phone| {
            let proof = world.prove(phone, &Purpose::REGENERATE);
            block_on(world.guard.regenerate_recovery_codes(AL, &proof)).unwrap();
        },
        |world, _| {
            block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
            world.add(AL, &Setup::totp("al@example.com"), None);
        },
    ];
    for change in changes {
        let (world, mut phone, proof) = proven();
        change(&world, &mut phone);
        assert!(!good(&world, AL, &proof, &transfer()));
        block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
        assert!(!good(&world, AL, &proof, &transfer()), "good for an account without a second factor");
    }
    let (world, mut phone, proof) = proven();
    // What is no change of the factors: a login, a failure, another name.
    world.pass(30);
    assert!(world.verify(&phone.code(world.now())).is_ok() && world.verify(&phone.wrong(world.now())).is_err());
    let rename = world.prove(&mut phone, &Purpose::RENAME);
    for name in ["new", "newer"] {
        block_on(world.guard.rename(AL, &phone.id, name, &rename)).unwrap();
    }
    assert!(good(&world, AL, &proof, &transfer()) && good(&world, AL, &proof, &transfer()));
}

#[test]
fn a_proof_needs_the_key_it_was_made_under() {
    let (world, _, proof) = proven();
    let with = |ring: &keyfob::Keyring| good(&world.again(Policy::default(), ring), AL, &proof, &transfer());
    assert!(with(&keyring(&["2027", "2026"])) && !with(&keyring(&["2027"])));
    assert!(!with(&keyfob::Keyring::parse(&entry("x").replace("x:", "2026:")).unwrap()));
}

#[test]
fn a_token_is_worth_nothing_in_another_session() {
    let (world, _, proof) = proven();
    let token = proof.token(SESSION);
    let accepts = |proof: Result<Proof, GuardError>| good(&world, AL, &proof.unwrap(), &transfer());
    assert!(accepts(Proof::from_token(&token).map(|proof| proof.in_session(SESSION))), "control");
    assert!(accepts(token.parse::<Proof>().map(|proof| proof.in_session(SESSION))));
    for other in ["", "session 8813", "session 8812 "] {
        assert!(!accepts(Proof::from_token(&token).map(|proof| proof.in_session(other))), "{other:?}");
        // The token that a thief makes from it is bound to the first session, too.
        let again = Proof::from_token(&token).unwrap().in_session(other).token(other);
        assert!(again == token && !accepts(Proof::from_token(&again).map(|proof| proof.in_session(other))));
    }
    assert!(!accepts(Proof::from_token(&token)), "no session was named");
    // Inside the request that made it, a proof needs no session, and naming one does no harm.
    assert!(good(&world, AL, &proof.clone().in_session("any"), &transfer()) && good(&world, AL, &proof, &transfer()));
}

#[test]
fn a_token_cannot_be_rewritten_to_what_is_asked_for() {
    let (world, mut phone, proof) = proven();
    let generation = world.status().generation();
    let regenerate = world.prove(&mut phone, &Purpose::REGENERATE);
    block_on(world.guard.regenerate_recovery_codes(AL, &regenerate)).unwrap();
    let newer = world.status().generation();
    let token = proof.token(SESSION).replace(&generation.to_string(), &newer.to_string());
    assert!(token != proof.token(SESSION) && !good(&world, AL, &read(&token).unwrap(), &transfer()));
    let proof = world.prove(&mut phone, &transfer());
    let token = proof.token(SESSION).replace("app-transfer", "disable");
    assert!(!good(&world, AL, &read(&token).unwrap(), &Purpose::DISABLE));
    assert!(good(&world, AL, &proof, &transfer()), "control");
}
