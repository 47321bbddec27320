use keyfob::{Algorithm, Digits, Error, ErrorKind, KeyUri, Period, Qr, Secret, Transfer, TransferCode};
use proptest::prelude::*;

use crate::{data, number, rows, text};

#[test]
fn transfers_as_apps_write_them() {
    let mut canonicals = 0;
    for case in rows(&data("otpauth_migration"), "cases") {
        let (name, expected) = (text(case, "name"), &case["expected"]);
        let parsed = TransferCode::parse(text(case, "uri"));
        if expected.get("error").is_some() {
            assert_eq!(parsed.unwrap_err().kind(), ErrorKind::Migration, "{name}");
            continue;
        }
        let migration = parsed.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(u64::from(migration.batch_size()), number(expected, "batch_size"), "{name}");
        assert_eq!(u64::from(migration.batch_index()), number(expected, "batch_index"), "{name}");
        assert_eq!(i64::from(migration.batch_id()), expected["batch_id"].as_i64().unwrap(), "{name}");
        let accounts = rows(expected, "accounts");
        assert_eq!(migration.entries().len(), accounts.len(), "{name}");
        for (entry, account) in migration.entries().iter().zip(accounts) {
            if let Some(error) = account["error"].as_str() {
                let kind = if error == "empty secret" { ErrorKind::Secret } else { ErrorKind::Uri };
                assert_eq!(entry.as_ref().unwrap_err().kind(), kind, "{name}");
                continue;
            }
            let uri = entry.as_ref().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(uri.issuer(), account["issuer"].as_str(), "{name}");
            assert_eq!(uri.account(), text(account, "account"), "{name}");
            assert_eq!(uri.algorithm().to_string(), text(account, "algorithm"), "{name}");
            assert_eq!(u64::from(uri.digits().get()), number(account, "digits"), "{name}");
            assert_eq!(*uri.secret().expose_base32(), text(account, "secret_base32"), "{name}");
            match text(account, "type") {
                "totp" => assert_eq!(uri.period(), Some(Period::default()), "{name}"),
                _ => assert_eq!(uri.counter(), Some(number(account, "counter")), "{name}"),
            }
        }
        // What an exporter writes of it: standard base64, escaped, with all numbers of the batch.
        if let Some(canonical) = case["canonical_uri"].as_str() {
            let accounts: Vec<KeyUri> = migration.entries().iter().map(|entry| entry.clone().unwrap()).collect();
            let written = Transfer::export(&accounts, migration.batch_id()).unwrap();
            assert!(written.len() == 1 && *written[0] == *canonical, "{name}");
            canonicals += 1;
        }
    }
    assert_eq!(canonicals, 5);
}

/// Five accounts to a code or fewer, and a picture that a camera reads, however long the names and the secrets are.
#[test]
fn every_code_can_be_drawn() {
    let limit = usize::try_from(number(&data("qr_byte_capacity")["M"], "25")).unwrap();
    let account = |secret: &[u8], issuer: &str, account: &str| {
        KeyUri::hotp(issuer, account, &Secret::from_bytes(secret).unwrap(), (1 << 63) - 1).unwrap()
    };
    let name = |bytes: usize| "e".repeat(bytes);
    for (uri, fewest) in [
        (account(&[7; 20], "Example Inc", "alice@example.com"), 5),
        (account(&[7; 64], &name(20), &name(20)), 4),
        // All of the secret is escaped.
        (account(&[0xff; 64], "Example Inc", "alice@example.com"), 2),
        (account(&[7; 20], &name(200), &name(200)), 1),
        (account(&[7; 20], &name(300), &name(600)), 1),
        (account(&[7; 64], &name(1024), &name(400)), 1),
        (account(&[7; 1024], "a", "b"), 1),
    ] {
        for (count, id) in [(5, 0), (5, -1), (9, i32::MAX), (700, i32::MIN)] {
            let accounts = vec![uri.clone(); count];
            let codes = Transfer::export(&accounts, id).unwrap();
            assert!((count.div_ceil(5)..=count.div_ceil(fewest)).contains(&codes.len()), "{}", codes.len());
            let mut transfer = Transfer::new();
            for code in &codes {
                let part = TransferCode::parse(code).unwrap();
                assert!(part.entries().len() == 1 || code.len() <= limit);
                transfer.add(part).unwrap();
            }
            for code in codes.iter().take(3) {
                assert!(Qr::new(code).is_ok());
            }
            assert!(transfer.finish().unwrap().into_iter().map(Result::unwrap).eq(accounts));
        }
    }

    let long = account(&[7; 1024], &name(1024), &name(1024));
    let error = Transfer::export(&[account(&[7; 20], "a", "b"), long], 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Qr);
    assert!(error.to_string().contains("at most 2331 bytes"), "{error}");
    // As many codes as `Transfer` takes, and one more.
    let many = vec![account(&[7; 20], "a", "b"); 5001];
    assert_eq!(Transfer::export(&many[..5000], 1).unwrap().len(), 1000);
    assert_eq!(Transfer::export(&many, 1).unwrap_err().kind(), ErrorKind::Migration);
}

#[test]
fn what_a_transfer_cannot_say() {
    let secret = Secret::generate();
    let totp = || KeyUri::totp("a", "b", &secret).unwrap();
    for uri in [
        totp().with_digits(Digits::Seven),
        totp().with_period(Period::new(60).unwrap()).unwrap(),
        KeyUri::steam("a", "b", &secret).unwrap(),
        KeyUri::hotp("a", "b", &secret, 1 << 63).unwrap(),
    ] {
        assert_eq!(Transfer::export(&[totp(), uri], 1).unwrap_err().kind(), ErrorKind::Migration);
    }
    assert!(Transfer::export(&[], 1).unwrap().is_empty());
}

#[test]
fn what_is_no_transfer() {
    let huge = format!("otpauth-migration://offline?data={}", "A".repeat(1_000_000));
    for text in [
        "",
        "otpauth-migration://offline",
        "otpauth-migration://offline?",
        "otpauth-migration://online?data=EAEYASAAKJWa7zo%3D",
        "otpauth://offline?data=EAEYASAAKJWa7zo%3D",
        "otpauth-migration://offline?data=E",
        "otpauth-migration://offline?data=!!!!",
        "otpauth-migration://offline?data=%ff%ff%ff%ff",
        // A group, and a batch that does not fit.
        "otpauth-migration://offline?data=Cw==",
        "otpauth-migration://offline?data=GP////////////8B",
        &huge,
    ] {
        let error = TransferCode::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Migration, "{}", &text[..text.len().min(80)]);
    }
    assert!(TransferCode::parse("otpauth-migration://offline?data=").unwrap().entries().is_empty());
    let two = TransferCode::parse("otpauth-migration://offline?data=EAE=&DATA=EAEYAQ==").unwrap_err();
    assert_eq!(two.to_string(), "a parameter is given twice, with different values");
}

/// A transfer of so many codes, with an account in each.
fn codes(count: u32, id: i32) -> Vec<TransferCode> {
    let account = |n| KeyUri::totp("a", &format!("user{n}"), &Secret::from_bytes(&[7; 20]).unwrap()).unwrap();
    let accounts: Vec<KeyUri> = (0..5 * count).map(account).collect();
    Transfer::export(&accounts, id).unwrap().iter().map(|code| TransferCode::parse(code).unwrap()).collect()
}

#[test]
fn what_does_not_belong_to_a_transfer() {
    let mut transfer = Transfer::new();
    assert!(!transfer.is_complete() && transfer.missing().next().is_none());
    let mut transfer_of = |code: &TransferCode| {
        let before = transfer.clone();
        let added = transfer.add(code.clone());
        if let Err(error) = &added {
            assert_eq!(error.kind(), ErrorKind::Migration);
            assert!(transfer == before);
        }
        added.map_err(|error| error.to_string())
    };
    // An empty batch of this size and place: fields 3 and 4.
    let empty = |size: u8, index: u8| {
        let payload = base64(&[0x18, size, 0x20, index]);
        TransferCode::parse(&format!("otpauth-migration://offline?data={payload}")).unwrap()
    };
    let other = "the QR code belongs to another transfer";
    let contradiction = "the QR codes of the transfer contradict each other";
    assert_eq!(transfer_of(&empty(3, 3)).unwrap_err(), contradiction);
    assert_eq!(transfer_of(&empty(1, 7)).unwrap_err(), contradiction);
    assert_eq!(transfer_of(&codes(3, 0)[1]), Ok(()));
    assert_eq!(transfer_of(&codes(3, -1)[0]).unwrap_err(), other);
    assert_eq!(transfer_of(&codes(4, 0)[0]).unwrap_err(), contradiction);
    assert_eq!(transfer_of(&empty(3, 1)).unwrap_err(), contradiction);
    assert_eq!(transfer_of(&codes(3, 0)[1]), Ok(()));
    assert_eq!(transfer.missing().collect::<Vec<_>>(), [0, 2]);
    let transfer = transfer.finish().unwrap_err();
    assert_eq!(transfer.missing().count(), 2);

    // 2^32 - 1 codes.
    let payload = base64(&[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    let huge = TransferCode::parse(&format!("otpauth-migration://offline?data={payload}")).unwrap();
    assert_eq!(huge.batch_size(), u32::MAX);
    assert_eq!(Transfer::new().add(huge).unwrap_err().to_string(), contradiction);

    // A code that says nothing of a batch is a transfer.
    let mut transfer = Transfer::new();
    transfer.add(TransferCode::parse("otpauth-migration://offline?data=").unwrap()).unwrap();
    assert!(transfer.finish().unwrap().is_empty());
}

fn base64(payload: &[u8]) -> String {
    use base64ct::Encoding;
    base64ct::Base64::encode_string(payload)
}

/// A name that only the lenient reader takes.
fn with_colon(issuer: &str, account: &str, secret: &Secret) -> Result<KeyUri, Error> {
    let [issuer, account] = [issuer, account].map(|name| name.bytes().map(|b| format!("%{b:02x}")).collect::<String>());
    let uri = format!("otpauth://totp/{issuer}:{account}a?secret={}&issuer={issuer}", *secret.expose_base32());
    KeyUri::parse_lenient(&uri).map(|(uri, _)| uri)
}

/// One account of a payload, field by field: secret, name, issuer and what else there is, then one that is good.
fn transfer(name: &[u8], issuer: &[u8], rest: &[u8]) -> Vec<Result<KeyUri, Error>> {
    let account = |name: &[u8], issuer: &[u8], rest: &[u8]| {
        let fields = [(1, &[7; 20][..]), (2, name), (3, issuer)].map(|(number, bytes)| field(number, bytes));
        field(1, &[&fields.concat(), rest].concat())
    };
    read(&[account(name, issuer, rest), account(b"good", b"", &[])].concat()).unwrap().into_entries()
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    [&[number << 3 | 2, (length & 127) as u8 | 128, (length >> 7) as u8], bytes].concat()
}

fn read(payload: &[u8]) -> Result<TransferCode, Error> {
    TransferCode::parse(&format!("otpauth-migration://offline?data={}", base64(payload)))
}

#[test]
fn one_bad_account_among_good_ones() {
    let long = [b'x'; 1025];
    let minus_one = [&[6 << 3, 1, 7 << 3][..], &[0xff; 9], &[1]].concat();
    for (name, issuer, rest) in [
        (&b"a\xff"[..], &b""[..], &b""[..]),
        (b"a", b"\xff", b""),
        (b"a", b"\0", b""),
        (b"\n", b"", b""),
        (b"A: ", b"A", b""),
        (&long, b"", b""),
        (b"a", &long, b""),
        (b"a", b"", &minus_one),
        (b"a", b"", &[6 << 3, 3]),
    ] {
        let entries = transfer(name, issuer, rest);
        assert!(entries[0].is_err() && entries[1].as_ref().unwrap().account() == "good", "{entries:?}");
        assert!(!format!("{entries:?}").contains("7, 7"));
    }
    // A counter that TOTP does not have is no reason.
    assert!(transfer(b"a", b"", &minus_one[2..])[0].is_ok());
}

#[test]
fn issuer_and_name_with_spaces_and_colons() {
    for (issuer, name, expected) in [
        ("A ", "A:al", (Some("A"), "al")),
        (" A ", " A : al ", (Some("A"), "al")),
        ("  ", "A: al", (None, "A: al")),
        ("", ":al", (None, ":al")),
        ("A", "A:A:al", (Some("A"), "A:al")),
    ] {
        let uri = transfer(name.as_bytes(), issuer.as_bytes(), &[]).remove(0).unwrap();
        assert_eq!((uri.issuer(), uri.account()), expected);
        assert_eq!(KeyUri::parse_lenient(&uri.to_uri()).unwrap().0, uri);
        let texts = Transfer::export(std::slice::from_ref(&uri), 1).unwrap();
        assert_eq!(TransferCode::parse(&texts[0]).unwrap().into_entries().remove(0).unwrap(), uri);
    }
}

#[test]
fn the_lower_half_of_a_batch_id() {
    for (varint, id) in [
        (&[0xfb, 0xff, 0xff, 0xff, 0x0f][..], -5),
        (&[0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], -5),
        (&[5], 5),
        (&[0x85, 0x80, 0x80, 0x80, 0x10], 5),
    ] {
        assert_eq!(read(&[&[5 << 3], varint].concat()).unwrap().batch_id(), id);
    }
}

proptest! {
    #[test]
    fn codes_come_in_any_order_and_twice(
        id in prop::sample::select(vec![0, 1, -1, i32::MIN, i32::MAX]),
        (count, order) in (1u32..9).prop_flat_map(|count| (Just(count), prop::collection::vec(0..count, 0..40))),
        rest in any::<prop::sample::Index>(),
    ) {
        let codes = codes(count, id);
        let mut transfer = Transfer::new();
        let mut seen = std::collections::BTreeSet::new();
        // At the end all of them, from somewhere on.
        let all = (0..count).map(|n| (n + u32::try_from(rest.index(100)).unwrap()) % count);
        for index in order.into_iter().chain(all) {
            transfer.add(codes[index as usize].clone()).unwrap();
            seen.insert(index);
            let missing: Vec<u32> = (0..count).filter(|index| !seen.contains(index)).collect();
            prop_assert_eq!(transfer.is_complete(), missing.is_empty());
            prop_assert_eq!(transfer.missing().collect::<Vec<_>>(), missing);
        }
        let entries: Vec<_> = codes.into_iter().flat_map(TransferCode::into_entries).collect();
        prop_assert!(transfer.finish().unwrap() == entries);
    }

    #[test]
    fn what_is_exported_is_read(
        accounts in prop::collection::vec(
            ("[^:\\p{Cc} ]{0,8}|a", "[^:\\p{Cc} ]{1,8}|(a|:| ){1,6}", prop::collection::vec(any::<u8>(), 10..70), 0usize..3, any::<bool>(), prop::option::of(0u64..1 << 63)),
            0..13,
        ),
        id in any::<i32>(),
    ) {
        let accounts: Vec<KeyUri> = accounts.iter().map(|(issuer, account, secret, algorithm, eight, counter)| {
            let secret = Secret::from_bytes(secret).unwrap();
            let uri = match counter {
                _ if account.contains(':') || account.trim().is_empty() => with_colon(issuer, account, &secret),
                Some(counter) => KeyUri::hotp(issuer, account, &secret, *counter),
                None => KeyUri::totp(issuer, account, &secret),
            };
            let algorithm = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512][*algorithm];
            uri.unwrap().with_algorithm(algorithm).with_digits(if *eight { Digits::Eight } else { Digits::Six })
        }).collect();
        let codes = Transfer::export(&accounts, id).unwrap();
        let mut read = Vec::new();
        for (index, code) in codes.iter().enumerate() {
            let part = TransferCode::parse(code).unwrap();
            prop_assert!(part.entries().len() == 1 || (part.entries().len() <= 5 && code.len() <= 997));
            prop_assert_eq!((part.batch_id(), part.batch_index() as usize, part.batch_size() as usize), (id, index, codes.len()));
            read.extend(part.into_entries().into_iter().map(Result::unwrap));
        }
        prop_assert_eq!(read, accounts);
    }

    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..60)) {
        let text: String = payload.iter().map(|byte| format!("%{byte:02x}")).collect();
        let _ = TransferCode::parse(&format!("otpauth-migration://offline?data={text}"));
        let _ = TransferCode::parse(&format!("otpauth-migration://offline?data={}", base64(&payload)));
    }
}
