use std::collections::BTreeSet;
use std::time::Duration;

use futures_lite::future::block_on;
use keyfob::guard::{
    Answer, Change, Context, Expectation, GuardErrorKind, Login, Purpose, Refusal, SecondFactor, Setup, Transition,
};
use keyfob::store::Swap;
use keyfob::{KeyUri, Policy, Secret, Verdict};
use proptest::prelude::{any, proptest};
use proptest::{option, sample};
use serde_json::{Value, json};

use super::{AL, DAY, Phone, T, World, budget, keyring, kind};
use crate::data;

fn read(record: &[u8]) -> Result<SecondFactor, GuardErrorKind> {
    SecondFactor::read(Some(record)).map_err(|error| error.kind())
}

fn bytes(record: &Value) -> Vec<u8> {
    serde_json::to_vec(record).unwrap()
}

/// Decides without a store: what would be written, and the verdict.
fn decide(record: &[u8], now: u64, typed: &str) -> (Option<Vec<u8>>, Result<(), Refusal>) {
    let (policy, keyring) = (Policy::default(), keyring(&["2026"]));
    let context = Context::new(AL, now, &policy, &keyring).unwrap();
    let transition = read(record).unwrap().verify(&context, typed).unwrap();
    let written = written(&transition);
    match transition.committed(Swap::Swapped).unwrap().value {
        Verdict::Accepted(_) => (written, Ok(())),
        Verdict::Refused(refused) => (written, Err(refused)),
    }
}

fn written<T>(transition: &Transition<T>) -> Option<Vec<u8>> {
    match transition.change() {
        Change::Write(record) => Some(record.clone()),
        _ => None,
    }
}

/// An account with everything that a record can hold.
fn full() -> (World, Phone, Phone, Vec<String>) {
    let policy = Policy::default().with_trusted_devices(Duration::from_secs(30 * DAY)).unwrap().with_notices();
    let (world, mut app, codes) = World::enrolled_with(policy, &Setup::totp("al@example.com"));
    let proof = world.prove(&mut app, &Purpose::ADD);
    let (token, _) = world.add(AL, &Setup::hotp("al@example.com").with_name("a \"b\" \u{e9}").unwrap(), Some(&proof));
    assert!(world.verify(&codes[0]).is_ok());
    let proof = world.prove(&mut app, &Purpose::ADD);
    world.enroll(AL, &Setup::totp("al@example.com").replacing(token.id.clone()), Some(&proof)).unwrap();
    world.pass(60);
    let Answer::Accepted(sign_in) = world.log_in(&app.code(world.now()), None) else { panic!() };
    let accepted = sign_in.accepted().unwrap();
    block_on(world.guard.trust_device(accepted, "Firefox", Duration::from_secs(DAY))).unwrap();
    block_on(world.guard.remember_device(accepted, "a \"b\"")).unwrap();
    world.fail(&app, 1);
    block_on(world.guard.operator_vouch(AL, &crate::operator())).unwrap();
    (world, app, token, codes)
}

#[test]
fn what_was_read_is_what_is_written() {
    let (world, ..) = full();
    let original = world.record();
    let (policy, keyring) = (Policy::default(), keyring(&["2026"]));
    let context = Context::new(AL, T, &policy, &keyring).unwrap();
    // An operator who ends waits where there are none: a change that changes nothing.
    let again =
        |record: &[u8]| written(&read(record).unwrap().operator_unlock(&context, &crate::operator()).unwrap()).unwrap();
    let big = || sample::select(vec![0, 1, 9, 10, 99, 100, T, (1 << 53) - 1, 1 << 53, 1 << 63, u64::MAX - 1, u64::MAX]);
    let number = move || proptest::prop_oneof![big(), any::<u64>()];
    let numbers = proptest::collection::vec(number(), 24);
    let rest = (-3000..=3000i64, -2..=2i64, 0..=6_300_000u64, any::<bool>(), 0..=10usize);
    let name = option::of("[^\\p{Cc}]{0,60}");
    proptest!(|(n in numbers, (drift, lean, level, imported, codes) in rest, name in name)| {
        let mut record = original.clone();
        record["generation"] = n[0].into();
        for (position, created, next, used) in [(0, n[1], n[2], n[3]), (1, n[4], n[5], n[6])] {
            let one = &mut record["active"][position];
            (one["created"], one["next"], one["used"]) = (created.into(), next.into(), used.into());
            (one["disclosed"], one["bound"]) = (n[13].into(), n[20].into());
        }
        let one = &mut record["active"][0];
        (one["drift"], one["lean"], one["name"]) = (drift.into(), lean.into(), "x".into());
        if let Some(name) = name {
            record["active"][1]["name"] = name.into();
        }
        record["budget"] = budget(json!({
            "failed_at": n[7], "level": level, "level_at": n[8], "until": n[12], "succeeded_at": n[15],
            "known_failed_at": n[16], "known_level": level / 8,
        }));
        record["epoch"] = n[17].into();
        (record["devices"][0]["created"], record["devices"][1]["ends"]) = (n[18].into(), n[19].into());
        (record["pending"]["since"], record["pending"]["tries"]) = (n[9].into(), n[14].into());
        record["pending"]["imported"] = imported.into();
        (record["recovery"]["created"], record["recovery"]["codes"][1][1]) = (n[10].into(), n[11].into());
        record["recovery"]["codes"].as_array_mut().unwrap().truncate(codes);
        // Without a voucher, the field is missing.
        record["voucher"] = n[21].max(1).into();
        record["notices"] = json!([n[22], n[23], 0, n[22] / 3, T]);
        let written = again(&bytes(&record));
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), record);
        assert_eq!(again(&written), written);
    });
}

/// Beside each field the page says what it is, and it has no other: a field in the first column is written.
#[test]
fn the_page_on_the_record_names_every_field() {
    let (world, ..) = full();
    let mut written = BTreeSet::new();
    leaves("", &world.record(), &mut written);
    // The fields of an account whose second factor was removed, and that is enrolling again.
    block_on(world.guard.operator_remove(AL, &crate::operator())).unwrap();
    let login = block_on(world.guard.begin_login(AL, Expectation::RequiredFrom(0), None)).unwrap();
    let Login::MustEnroll(ticket) = login else { panic!() };
    block_on(world.guard.enroll_with_ticket(&ticket, &Setup::totp("al@example.com"))).unwrap();
    leaves("", &world.record(), &mut written);
    block_on(world.guard.operator_suspend(AL, &crate::operator())).unwrap();
    leaves("", &world.record(), &mut written);
    // An enrollment with a voucher, and one that takes the place of all under a strict policy.
    for strict in [false, true] {
        let policy = if strict { Policy::strict() } else { Policy::default() };
        let (world, phone, codes) = World::enrolled_with(policy, &Setup::totp("al@example.com"));
        let proof = match strict {
            true => {
                world.edit(|record| record["budget"]["failures"] = 100.into());
                let accepted = world.verify(&codes[0]).unwrap();
                world.guard.prove(&accepted, &Purpose::ADD)
            }
            false => {
                let voucher = block_on(world.guard.operator_vouch(AL, &crate::operator())).unwrap();
                block_on(world.guard.redeem(&voucher)).unwrap()
            }
        };
        world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof)).unwrap();
        let _ = block_on(world.guard.confirm(AL, &phone.wrong(world.now()))).unwrap();
        leaves("", &world.record(), &mut written);
    }
    let page = include_str!("../../../docs/record.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let named: BTreeSet<_> = rows.map(String::from).collect();
    assert_eq!(named, written);
}

fn leaves(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            // An authenticator that waits has the fields of one that is active.
            leaves(if inner == "pending.authenticator" { "active[]" } else { &inner }, field, found);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            let index = if item.is_array() || item.is_object() { String::new() } else { index.to_string() };
            leaves(&format!("{path}[{index}]"), item, found);
        }),
        _ => {
            found.insert(path.into());
        }
    }
}

#[test]
fn the_size_of_a_record_does_not_tell_the_verdict() {
    let (policy, keyring) = (Policy::default(), keyring(&["2026"]));
    for setup in [Setup::totp("al@example.com"), Setup::hotp("al@example.com")] {
        let (world, mut phone, _) = World::enrolled_with(Policy::default(), &setup);
        // Numbers that are about to get a digit more.
        for (failures, level, next) in [(0, 0, 9), (4, 86_399, 99_999), (0, 8_553_600, u64::MAX - 10)] {
            let clock = phone.uri.period().is_some();
            let next = if clock { next.min(u64::MAX / 30 - 10) } else { next };
            let now = if clock { next * 30 } else { T };
            phone.counter = next;
            let mut record = world.record();
            record["active"][0]["next"] = next.into();
            record["budget"] = budget(json!({ "failures": failures, "level": level, "level_at": now, "until": now }));
            let record = bytes(&record);
            let typed = [phone.hotp.code(next).to_string(), phone.wrong(now), phone.hotp.code(next - 1).to_string()];
            let (records, verdicts): (Vec<_>, Vec<_>) = typed.iter().map(|typed| decide(&record, now, typed)).unzip();
            assert_eq!(verdicts, [Ok(()), Err(Refusal::WrongCode), Err(Refusal::Replayed)]);
            let lengths: Vec<usize> = records.into_iter().map(|record| record.unwrap().len()).collect();
            assert_eq!(lengths, [lengths[0]; 3]);

            let context = Context::new(AL, now, &policy, &keyring).unwrap();
            let after = phone.hotp.code(next + 1).to_string();
            for first in &typed {
                let transition = read(&record).unwrap().resync(&context, first, &after).unwrap();
                assert_eq!(written(&transition).unwrap().len(), lengths[0]);
            }
        }
    }
}

#[test]
fn a_record_of_a_newer_version_is_left_alone() {
    let (world, mut phone, codes) = World::enrolled();
    let proof = world.prove(&mut phone, &Purpose::DISABLE);
    let original = world.record();
    let typed = phone.code(world.now() + 30);
    for version in [2, 3, u64::MAX] {
        let mut newer = original.clone();
        newer["v"] = version.into();
        newer["active"][0]["passkeys"] = json!([1, 2]);
        newer["more"] = json!({ "a": null });
        for record in [bytes(&newer), bytes(&json!({ "v": version })), bytes(&json!({ "x": "y", "v": version }))] {
            world.put(AL, &record);
            world.pass(30);
            let (guard, before) = (&world.guard, world.stored(AL));
            let kinds = [
                kind(world.try_verify(AL, &typed)),
                kind(world.try_verify(AL, &codes[0])),
                kind(world.try_verify(AL, "no code")),
                kind(world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof))),
                kind(block_on(guard.confirm(AL, &typed))),
                kind(block_on(guard.resync(AL, &typed, &typed))),
                kind(block_on(guard.status(AL))),
                kind(block_on(guard.disable(AL, &proof))),
                kind(block_on(guard.operator_remove(AL, &crate::operator()))),
                kind(block_on(guard.operator_unlock(AL, &crate::operator()))),
                kind(block_on(guard.reseal(AL))),
            ];
            assert_eq!(kinds, [GuardErrorKind::RecordNewer; 11]);
            assert_eq!(world.stored(AL), before);
        }
    }
    assert!(block_on(world.guard.status(AL)).unwrap_err().to_string().contains("update this server"));
}

#[test]
fn a_damaged_record_lets_nobody_in() {
    let (world, app, _, codes) = full();
    let record = world.bytes(AL).unwrap();
    let value = |record: &[u8]| serde_json::from_slice::<Value>(record).unwrap();
    let next = |record: &[u8]| value(record)["active"][0]["next"].as_u64().unwrap();
    // At the step that was used last, so that its code is refused for that alone.
    let now = (next(&record) - 1) * 30;
    let (spent, wrong) = (app.hotp.code(next(&record) - 1).to_string(), app.wrong(now));
    let (policy, keyring) = (Policy::default(), keyring(&["2026"]));
    let context = Context::new(AL, now, &policy, &keyring).unwrap();
    let accepted = |record: &[u8], typed: &str| {
        let verdict = SecondFactor::read(Some(record)).and_then(|factor| factor.verify(&context, typed));
        let verdict = verdict.and_then(|transition| transition.committed(Swap::Swapped));
        verdict.is_ok_and(|committed| matches!(committed.value, Verdict::Accepted(_)))
    };
    assert_eq!(decide(&record, now, &spent).1, Err(Refusal::Replayed));
    assert!(accepted(&record, &codes[1]), "control");

    for length in 0..record.len() {
        assert_eq!(read(&record[..length]).unwrap_err(), GuardErrorKind::RecordInvalid);
    }
    for (position, bit) in (0..record.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
        let mut other = record.clone();
        other[position] ^= 1 << bit;
        if read(&other).is_err() {
            continue;
        }
        assert!(!accepted(&other, &wrong) && !accepted(&other, &codes[0]), "bit {bit} of byte {position}");
        if accepted(&other, &spent) {
            // A digit of the very number that says what is spent. Who can write records can restore old ones as well.
            assert!(next(&other) < next(&record), "bit {bit} of byte {position}");
        }
    }
}

#[test]
fn a_record_is_at_most_64_kib() {
    let (world, mut phone, _) = World::enrolled();
    let mut record = world.bytes(AL).unwrap();
    record.resize(1 << 16, b' ');
    assert!(decide(&record, world.now(), &phone.code(world.now())).1.is_ok());
    record.push(b' ');
    assert_eq!(read(&record).unwrap_err(), GuardErrorKind::RecordInvalid);
    // The largest that there can be has room.
    let setup = |byte| {
        let secret = Secret::from_bytes(&[byte; 1024]).unwrap();
        let setup = Setup::import(&KeyUri::totp("a", "b", &secret).unwrap()).unwrap();
        setup.with_name(&"\"".repeat(256)).unwrap()
    };
    let (world, mut first, _) = World::enrolled_with(Policy::default(), &setup(0));
    for byte in 1..8 {
        let proof = world.prove(&mut first, &Purpose::ADD);
        world.add(AL, &setup(byte), Some(&proof));
    }
    let Answer::Accepted(sign_in) = world.log_in(&first.code(world.now()), None) else { panic!() };
    for _ in 0..16 {
        let name = "\"".repeat(256);
        block_on(world.guard.remember_device(sign_in.accepted().unwrap(), &name)).unwrap();
    }
    assert!(world.bytes(AL).unwrap().len() < 1 << 15);
}

#[test]
fn the_record_of_another_account_is_no_way_in() {
    let (world, mut phone, codes) = World::enrolled();
    let record = world.bytes(AL).unwrap();
    world.put("mallory", &record);
    let before = world.stored("mallory");
    for typed in [&phone.code(world.now()), &codes[0]] {
        assert_eq!(kind(world.try_verify("mallory", typed)), GuardErrorKind::SealBroken);
    }
    assert_eq!(world.stored("mallory"), before);
}

/// Makes eight active authenticators, which are as many as there can be, with the ids `b` to `k`. The one that waits
/// replaces `replaces`.
fn eight(record: &mut Value, replaces: Option<&str>) {
    let one = record["active"][0].clone();
    let with = |id: &str| {
        let mut other = one.clone();
        other["id"] = id.into();
        other
    };
    record["active"] = ["b", "c", "d", "f", "g", "h", "j", "k"].map(with).to_vec().into();
    let pending = record["pending"].as_object_mut().unwrap();
    pending.remove("replaces");
    pending.extend(replaces.map(|id| ("replaces".into(), id.into())));
}

#[test]
fn what_no_version_wrote_is_not_read() {
    let (world, ..) = full();
    let record = world.record();
    type Edit = fn(&mut Value);
    let edits: [Edit; 59] = [
        |r| r["v"] = 0.into(),
        |r| r["v"] = (-1).into(),
        |r| r["v"] = "1".into(),
        |r| r["v"] = Value::Null,
        |r| r["generation"] = (-1).into(),
        |r| r["generation"] = 0.5.into(),
        |r| r["active"] = json!({}),
        |r| r["active"] = vec![r["active"][0].clone(); 9].into(),
        |r| r["active"][1]["id"] = r["active"][0]["id"].clone(),
        |r| r["active"][0]["id"] = "".into(),
        |r| r["active"][0]["id"] = "A".into(),
        |r| r["active"][0]["name"] = "\n".into(),
        |r| r["active"][0]["name"] = "x".repeat(257).into(),
        |r| r["active"][0]["period"] = 0.into(),
        |r| r["active"][0]["period"] = 86_401.into(),
        |r| r["active"][0]["algorithm"] = "MD5".into(),
        |r| r["active"][0]["digits"] = 5.into(),
        |r| r["active"][0]["drift"] = 3001.into(),
        |r| r["active"][0]["drift"] = i64::MIN.into(),
        |r| r["active"][0]["lean"] = 3.into(),
        |r| r["active"][0]["anchor"] = 3001.into(),
        |r| r["active"][0]["secret"]["sealed"] = "!".into(),
        |r| r["active"][0]["secret"]["key"] = "".into(),
        |r| r["active"][1]["drift"] = 1.into(),
        |r| r["pending"]["authenticator"]["id"] = r["active"][0]["id"].clone(),
        |r| eight(r, None),
        |r| eight(r, Some("m")),
        |r| r["pending"]["tries"] = (-1).into(),
        |r| r["pending"]["confirmed"] = 2.into(),
        |r| r["pending"]["imported"] = 1.into(),
        |r| r["pending"]["replaces"] = "-".into(),
        |r| r["recovery"]["codes"] = vec![r["recovery"]["codes"][0].clone(); 11].into(),
        |r| r["recovery"]["codes"][0][0] = "A".repeat(42).into(),
        |r| r["recovery"]["codes"][0][0] = "AB".repeat(22).into(),
        |r| r["recovery"]["codes"][0][1] = (-1).into(),
        |r| r["recovery"]["codes"][0].as_array_mut().unwrap().push(0.into()),
        |r| r["recovery"]["codes"][0].as_array_mut().unwrap().truncate(1),
        |r| r["budget"]["failures"] = 101.into(),
        |r| r["budget"]["level"] = 8_640_001.into(),
        |r| r["budget"]["known_level"] = 8_640_001.into(),
        |r| r["budget"]["known_failures"] = 101.into(),
        |r| r["epoch"] = (-1).into(),
        |r| r["removed"] = 1.into(), // although an authenticator is active
        |r| r["suspended"] = 0.into(),
        |r| r["devices"] = vec![r["devices"][0].clone(); 17].into(),
        |r| r["devices"][0]["id"] = "A".into(),
        |r| r["devices"][0]["name"] = "\n".into(),
        |r| r["devices"][0]["hash"] = "a".repeat(63).into(),
        |r| r["devices"][0]["trusted"] = 1.into(),
        |r| r["logins"] = "0".repeat(511).into(),
        |r| r["logins"] = "0".repeat(576).into(),
        |r| r["logins"] = "g".repeat(512).into(),
        |r| r["voucher"] = (-1).into(),
        |r| r["notices"] = vec![0; 4].into(),
        |r| r["notices"] = vec![0; 6].into(),
        |r| r["notices"][4] = (-1).into(),
        |r| r["active"][0]["bound"] = (-1).into(),
        |r| r["pending"]["vouched"] = 1.into(),
        |r| r["pending"]["replaces_all"] = 1.into(),
    ];
    for (row, edit) in edits.into_iter().enumerate() {
        let mut other = record.clone();
        edit(&mut other);
        assert_eq!(read(&bytes(&other)).err(), Some(GuardErrorKind::RecordInvalid), "row {row}");
    }
    let limits: [Edit; 5] = [
        |r| (r["active"][0]["drift"], r["active"][0]["lean"]) = (3000.into(), 2.into()),
        |r| (r["active"][0]["drift"], r["active"][0]["lean"]) = ((-3000).into(), (-2).into()),
        |r| r["active"][0]["anchor"] = 3000.into(),
        |r| r["active"][0]["anchor"] = (-3000).into(),
        |r| eight(r, Some("k")),
    ];
    for (row, edit) in limits.into_iter().enumerate() {
        let mut other = record.clone();
        edit(&mut other);
        assert_eq!(read(&bytes(&other)).err(), None, "row {row}");
    }
    // A field too many, and a field too few, everywhere. What an account need not have may be missing.
    let objects = ["", "/active/0", "/active/0/secret", "/pending", "/recovery", "/budget", "/devices/0"];
    for object in objects {
        let mut more = record.clone();
        more.pointer_mut(object).unwrap()["more"] = 1.into();
        assert_eq!(read(&bytes(&more)).err(), Some(GuardErrorKind::RecordInvalid), "{object}");
        for field in record.pointer(object).unwrap().as_object().unwrap().keys() {
            let optional = match object {
                "" => ["pending", "recovery", "devices", "logins", "voucher", "notices"].contains(&field.as_str()),
                "/pending" => field == "replaces",
                _ => false,
            };
            let mut less = record.clone();
            less.pointer_mut(object).unwrap().as_object_mut().unwrap().remove(field);
            // Without a period it is a counter: that the seal notices.
            let optional = optional || (object == "/active/0" && field == "period");
            assert_eq!(read(&bytes(&less)).is_ok(), optional, "{object} {field}");
        }
    }
    for text in ["", "null", "[]", "{}", "1", "\"\"", "{\"v\":1}", "{\"v\":1,\"v\":2}", "{\"v\":2", "\u{feff}{\"v\":2}"]
    {
        assert_eq!(read(text.as_bytes()).err(), Some(GuardErrorKind::RecordInvalid), "{text}");
    }
    assert_eq!(read(&[0xff; 40]).err(), Some(GuardErrorKind::RecordInvalid));
    assert_eq!(read(&vec![b'['; 1 << 16]).err(), Some(GuardErrorKind::RecordInvalid));
}

#[test]
fn records_of_the_first_version_are_read_for_ever() {
    let file = data("guard_record_v1");
    let world = World::new();
    world.put(AL, &bytes(&file["record"]));
    world.at(file["now"].as_u64().unwrap());
    for (typed, expected) in [("app", true), ("app", false), ("token", true), ("recovery", true), ("used", false)] {
        assert_eq!(world.verify(file[typed].as_str().unwrap()).is_ok(), expected, "{typed}");
    }
    assert_eq!(world.status().recovery_codes_left(), 8);
}

/// What the page calls safe to change by hand, and the trap that it names.
#[test]
fn what_is_changed_by_hand_does_what_the_page_says() {
    let (world, mut phone, codes) = World::enrolled();
    // A code that was not used, refused from here on.
    let step = phone.step(world.now());
    world.edit(|record| record["active"][0]["next"] = (step + 1).into());
    assert_eq!(world.verify(&phone.code(world.now())).unwrap_err(), Refusal::Replayed);
    world.edit(|record| record["recovery"]["codes"][2][1] = 1.into());
    assert_eq!(world.verify(&codes[2]).unwrap_err(), Refusal::Replayed);
    assert_eq!(world.status().recovery_codes_left(), 9);
    // These numbers of the budget are what an operator resets.
    world.edit(|record| {
        record["budget"]["failures"] = 100.into();
        record["budget"]["known_failures"] = 25.into();
        record["budget"]["level"] = (100 * DAY).into();
        record["budget"]["known_level"] = (25 * DAY).into();
    });
    assert!(world.status().is_exhausted());
    let numbers = ["failures", "known_failures", "level", "known_level", "reported_at"];
    world.edit(|record| numbers.iter().for_each(|name| record["budget"][name] = 0.into()));
    assert!(!world.status().is_exhausted());
    world.pass(30);
    assert!(world.verify(&phone.code(world.now())).is_ok());

    // An enrollment that waits can be removed. Confirmed, it is an authenticator.
    let remove = |world: &World| world.edit(|record| drop(record.as_object_mut().unwrap().remove("pending")));
    let proof = world.prove(&mut phone, &Purpose::ADD);
    world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof)).unwrap();
    remove(&world);
    assert!(!world.status().enrollment_pending() && world.status().authenticators().len() == 1);
    let proof = world.prove(&mut phone, &Purpose::ADD);
    let mut second = Phone::of(&world.enroll(AL, &Setup::totp("al@example.com"), Some(&proof)).unwrap());
    world.confirm(AL, &second.code(world.now()));
    assert_eq!((world.record()["pending"]["confirmed"].clone(), world.status().authenticators().len()), (1.into(), 2));
    remove(&world);
    assert_eq!(world.status().authenticators().len(), 1);
}
