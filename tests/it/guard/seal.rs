use std::collections::BTreeSet;

use base64ct::{Base64Unpadded, Encoding};
use futures_lite::future::block_on;
use keyfob::guard::{AuthenticatorId, EventKind, GuardErrorKind, Purpose, Setup};
use keyfob::{ErrorKind, KeyUri, Keyring, Policy, Secret};
use serde_json::Value;

use super::{AL, DAY, Phone, World, entry, keyring, kind};

const APP: &str = "/active/0/secret";
const RECOVERY: &str = "/recovery/key";

/// What becomes of a code, or a recovery code, under this record.
fn outcome(world: &World, account: &str, record: &Value, typed: &str) -> Option<GuardErrorKind> {
    world.put(account, &serde_json::to_vec(record).unwrap());
    world.try_verify(account, typed).err().map(|error| error.kind())
}

/// The sealed secrets of the record, and for each what needs it to be open.
fn cases(codes: &[String]) -> [(&'static str, String); 2] {
    [(APP, "000000".to_owned()), (RECOVERY, codes[0].clone())]
}

fn changed(record: &Value, pointer: &str, value: impl Into<Value>) -> Value {
    let mut record = record.clone();
    *record.pointer_mut(pointer).unwrap() = value.into();
    record
}

#[test]
fn every_bit_of_a_sealed_secret_matters() {
    let (world, _, codes) = World::enrolled();
    let record = world.record();
    for (object, typed) in cases(&codes) {
        assert_eq!(outcome(&world, AL, &record, &typed), None, "control");
        let pointer = format!("{object}/sealed");
        let sealed = Base64Unpadded::decode_vec(record.pointer(&pointer).unwrap().as_str().unwrap()).unwrap();
        let with = |bytes: &[u8]| changed(&record, &pointer, Base64Unpadded::encode_string(bytes));
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(outcome(&world, AL, &with(&bytes), &typed), Some(GuardErrorKind::SealBroken), "{object} {bit}");
        }
        for length in 0..sealed.len() {
            let least = 24 + 1 + 16;
            let expected = if length < least { GuardErrorKind::RecordInvalid } else { GuardErrorKind::SealBroken };
            assert_eq!(outcome(&world, AL, &with(&sealed[..length]), &typed), Some(expected), "{object} {length}");
            assert!(outcome(&world, AL, &with(&sealed[sealed.len() - length..]), &typed).is_some());
        }
        let longer = [sealed.as_slice(), &[0]].concat();
        assert_eq!(outcome(&world, AL, &with(&longer), &typed), Some(GuardErrorKind::SealBroken));
    }
}

#[test]
fn a_secret_opens_for_its_own_account_only() {
    let (world, _, codes) = World::enrolled();
    let record = world.record();
    let flips = (0..AL.len() * 8).filter_map(|bit| {
        let mut bytes = AL.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        String::from_utf8(bytes).ok().filter(|name| !name.contains(char::is_control))
    });
    let others: Vec<String> = flips.chain(["a", "l", "all", " al", "al ", "la"].map(Into::into)).collect();
    assert!(others.len() > 12);
    for (_, typed) in cases(&codes) {
        for other in &others {
            assert_eq!(outcome(&world, other, &record, &typed), Some(GuardErrorKind::SealBroken), "{other}");
        }
    }
    // The border between the name of the account and the id: what follows another is the same text.
    for pointer in ["/active/0/id", "/recovery/id"] {
        let id = record.pointer(pointer).unwrap().as_str().unwrap();
        let moved = changed(&record, pointer, &id[1..]);
        let typed = if pointer == "/active/0/id" { "000000" } else { &codes[0] };
        let account = format!("{AL}{}", &id[..1]);
        assert_eq!(outcome(&world, &account, &moved, typed), Some(GuardErrorKind::SealBroken));
    }
}

#[test]
fn a_secret_opens_for_its_own_authenticator_and_purpose_only() {
    let (world, _, codes) = World::enrolled();
    let record = world.record();
    for (pointer, (_, typed)) in ["/active/0/id", "/recovery/id"].into_iter().zip(cases(&codes)) {
        let id = record.pointer(pointer).unwrap().as_str().unwrap();
        for bit in 0..id.len() * 8 {
            let mut bytes = id.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(other) = String::from_utf8(bytes) else { continue };
            let valid = other.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            let expected = if valid { GuardErrorKind::SealBroken } else { GuardErrorKind::RecordInvalid };
            assert_eq!(outcome(&world, AL, &changed(&record, pointer, other), &typed), Some(expected));
        }
        let shorter = changed(&record, pointer, &id[1..]);
        assert_eq!(outcome(&world, AL, &shorter, &typed), Some(GuardErrorKind::SealBroken));
    }
    // The key of the recovery codes as the secret of an app, whose holder could then compute its codes, and the reverse.
    let mut moved = changed(&record, APP, record.pointer(RECOVERY).unwrap().clone());
    moved["active"][0]["id"] = record["recovery"]["id"].clone();
    assert_eq!(outcome(&world, AL, &moved, "000000"), Some(GuardErrorKind::SealBroken));
    let mut moved = changed(&record, RECOVERY, record.pointer(APP).unwrap().clone());
    moved["recovery"]["id"] = record["active"][0]["id"].clone();
    assert_eq!(outcome(&world, AL, &moved, &codes[0]), Some(GuardErrorKind::SealBroken));
}

#[test]
fn a_secret_opens_for_its_own_parameters_only() {
    for setup in [Setup::totp("al@example.com"), Setup::hotp("al@example.com")] {
        let (world, _, _) = World::enrolled_with(Policy::default(), &setup);
        let record = world.record();
        let broken = |field: &str, value: Value| {
            let mut other = record.clone();
            other["active"][0][field] = value;
            if other != record {
                assert_eq!(outcome(&world, AL, &other, "000000"), Some(GuardErrorKind::SealBroken), "{field}");
            }
        };
        ["SHA1", "SHA256", "SHA512"].into_iter().for_each(|name| broken("algorithm", name.into()));
        // A code of another length is compared as well, so the length of what is typed is no way around.
        [6, 7, 8].into_iter().for_each(|digits| broken("digits", digits.into()));
        let periods = (0..17).map(|bit| 30 ^ (1 << bit)).filter(|period| (1..=86_400).contains(period));
        periods.chain([30, 60]).for_each(|period| broken("period", period.into()));
        if record["active"][0]["period"].is_u64() {
            let mut counts = record.clone();
            counts["active"][0].as_object_mut().unwrap().remove("period");
            assert_eq!(outcome(&world, AL, &counts, "000000"), Some(GuardErrorKind::SealBroken));
        }
        assert_eq!(outcome(&world, AL, &record, "000000"), None, "control");
    }
}

#[test]
fn a_key_that_is_missing_is_not_a_broken_seal() {
    let (world, mut phone, codes) = World::enrolled();
    let record = world.record();
    let missing = world.again(Policy::default(), &keyring(&["2027"]));
    let typed = phone.code(world.now());
    for typed in [&typed, &codes[0]] {
        let before = world.stored(AL);
        let error = missing.try_verify(AL, typed).unwrap_err();
        assert_eq!(error.kind(), GuardErrorKind::KeyMissing);
        assert!(error.to_string().contains("add it back as an old key"), "{error}");
        assert_eq!(world.stored(AL), before, "a guess was charged that was not compared, or the other way round");
    }
    assert_eq!(kind(block_on(missing.guard.reseal(AL))), GuardErrorKind::KeyMissing);

    // The right key by another name, and another key by the right name.
    let key = entry("2026").split_once(':').unwrap().1.to_owned();
    let renamed = Keyring::parse(&format!("2027:{key}")).unwrap();
    let other = Keyring::parse(&entry("other").replace("other:", "2026:")).unwrap();
    for (ring, id) in [(renamed, "2027"), (other, "2026")] {
        let world = world.again(Policy::default(), &ring);
        for (object, typed) in cases(&codes) {
            let record = changed(&record, &format!("{object}/key"), id);
            assert_eq!(outcome(&world, AL, &record, &typed), Some(GuardErrorKind::SealBroken));
        }
    }
    world.put(AL, &serde_json::to_vec(&record).unwrap());
    assert!(world.verify(&typed).is_ok(), "the answer of a server with the wrong keys cost the owner something");
}

#[test]
fn keys_are_rotated_without_losing_anybody() {
    let (world, mut phone, codes) = World::enrolled();
    let rings = [&["2026"][..], &["2027", "2026"], &["2028", "2027", "2026"], &["2028"]];
    let ids = |world: &World| world.status().keys().iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
    for (turn, ring) in rings.iter().enumerate() {
        let world = world.again(Policy::default(), &keyring(ring));
        let old = ring.get(1).unwrap_or(&ring[0]);
        assert_eq!(ids(&world), [*old]);
        world.pass(30);
        let sealed = |world: &World| [APP, RECOVERY].map(|pointer| world.record().pointer(pointer).unwrap().clone());
        let before = sealed(&world);
        // No login changes what is sealed, by whichever way in.
        let typed = match turn {
            1 => phone.wrong(world.now()),
            2 => codes[0].clone(),
            _ => phone.code(world.now()),
        };
        assert_eq!(world.verify(&typed).is_ok(), turn != 1);
        assert_eq!((ids(&world), sealed(&world)), (vec![(*old).to_owned()], before.clone()));
        world.heard();
        // A call of its own does, once.
        let changes = ring.len() > 1;
        assert_eq!(block_on(world.guard.reseal(AL)).unwrap(), changes);
        assert_eq!(world.heard(), if changes { vec![EventKind::Resealed] } else { vec![] });
        assert_eq!(ids(&world), [ring[0]]);
        for (after, before) in sealed(&world).iter().zip(before) {
            assert_eq!(*after != before, changes);
        }
        assert!(!block_on(world.guard.reseal(AL)).unwrap() && world.heard().is_empty());
    }
    let world = world.again(Policy::default(), &keyring(&["2028"]));
    world.pass(30);
    assert!(world.verify(&phone.code(world.now())).is_ok() && world.verify(&codes[1]).is_ok());
}

#[test]
fn an_enrollment_that_waits_needs_its_key_as_well() {
    let world = World::new();
    let mut phone = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), None).unwrap());
    let world = world.again(Policy::default(), &keyring(&["2027", "2026"]));
    assert_eq!(world.status().keys()[0].as_str(), "2026");
    assert!(block_on(world.guard.reseal(AL)).unwrap());
    assert_eq!(world.status().keys()[0].as_str(), "2027");
    let world = world.again(Policy::default(), &keyring(&["2027"]));
    let _ = world.confirm(AL, &phone.code(world.now()));
    world.pass(30);
    assert!(world.verify(&phone.code(world.now())).is_ok());
}

#[test]
fn an_enrollment_that_is_over_holds_up_no_rotation() {
    let (world, mut phone, _) = World::enrolled();
    let proof = world.prove(&mut phone, &Purpose::ADD);
    let keys = |world: &World| world.status().keys().iter().map(ToString::to_string).collect::<Vec<_>>();
    world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof)).unwrap();
    // All but the enrollment, as by a server that has not heard of it.
    let pending = world.record()["pending"].clone();
    let world = world.again(Policy::default(), &keyring(&["2027", "2026"]));
    assert!(block_on(world.guard.reseal(AL)).unwrap());
    world.edit(|record| record["pending"] = pending);
    assert_eq!(keys(&world), ["2026", "2027"], "as long as it can be confirmed, its key is needed");
    world.pass(DAY);
    assert_eq!(keys(&world), ["2027"]);

    let world = world.again(Policy::default(), &keyring(&["2028", "2027"]));
    assert!(block_on(world.guard.reseal(AL)).unwrap());
    let world = world.again(Policy::default(), &keyring(&["2028"]));
    assert!(world.verify(&phone.code(world.now())).is_ok());
}

#[test]
fn nothing_is_sealed_twice_alike() {
    let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
    let setup = Setup::import(&KeyUri::totp("Other", "al", &secret).unwrap()).unwrap();
    let world = World::new();
    let mut seen = BTreeSet::new();
    for account in 0..50 {
        let account = account.to_string();
        world.add(&account, &setup, None);
        let record: Value = serde_json::from_slice(&world.bytes(&account).unwrap()).unwrap();
        for pointer in [APP, RECOVERY] {
            // 24 bytes, the nonce.
            let text = record.pointer(pointer).unwrap()["sealed"].as_str().unwrap()[..32].to_owned();
            assert!(seen.insert(text), "a nonce was used twice");
        }
    }
}

#[test]
fn a_keyring_is_read_strictly() {
    let (a, b) = (entry("a"), entry("b"));
    for text in [format!("{a},{b}"), format!(" {a}\n{b}\n"), format!(",{a},,{b},"), format!("{a} , {b}")] {
        let ring = Keyring::parse(&text).unwrap();
        assert_eq!((ring.primary().as_str(), format!("{ring:?}")), ("a", r#"[KeyId("a"), KeyId("b")]"#.into()));
    }
    let short = a.strip_suffix(char::is_alphanumeric).unwrap();
    let long = "x".repeat(33);
    let key = a.split_once(':').unwrap().1;
    let (symbol, padding) = (format!("{a}1"), a.replacen("A", "=", 1));
    for text in [
        "",
        " , ",
        key,
        &format!("{a},{a}"),
        short,
        &format!("{a}AAAAAAAA"),
        &format!("{long}:{key}"),
        "a:",
        ":",
        &symbol,
        &padding,
    ] {
        let error = Keyring::parse(text).unwrap_err();
        assert_eq!((error.kind(), error.position()), (ErrorKind::Keyring, None));
        assert!(!error.to_string().contains(&key[..20]));
    }
    for id in ["", " ", "a b", "ä", "a:b", "a~b", "a,b", &long] {
        assert_eq!(kind(Keyring::generate(id)), GuardErrorKind::Invalid);
    }
    let made = Keyring::generate("k-1_2.3").unwrap();
    assert_eq!(Keyring::parse(&made).unwrap().primary().as_str(), "k-1_2.3");
    assert_ne!(*made, *Keyring::generate("k-1_2.3").unwrap());
}

#[test]
fn keys_and_ids_are_parsed_like_any_text() {
    let text = entry("a");
    assert_eq!(format!("{:?}", text.parse::<Keyring>().unwrap()), r#"[KeyId("a")]"#);
    assert_eq!(":".parse::<Keyring>().unwrap_err(), Keyring::parse(":").unwrap_err());
    // No variable has the first name, and the value of the second is not a keyring.
    for variable in ["KEYFOB_NO_SUCH_VARIABLE", "PATH"] {
        assert_eq!(Keyring::from_env(variable).unwrap_err().kind(), ErrorKind::Keyring);
    }
    let id: AuthenticatorId = "abc1".parse().unwrap();
    assert_eq!(format!("{id:>6}"), "  abc1");
    assert!("../admin".parse::<AuthenticatorId>().is_err());
}
