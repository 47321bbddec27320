use std::fmt::Write;
use std::fs;
use std::time::Instant;

use keyfob::import::{self, App, Import};
use keyfob::{Error, ErrorKind, KeyUri, Secret, Transfer};
use proptest::prelude::*;

use crate::{Random, data, number, rows, text};

/// The sample, the app, and what of the four accounts is not in it.
const SAMPLES: [(&str, App, &[&str]); 10] = [
    ("2fas_plain.2fas", App::TwoFas, &[]),
    ("aegis_plain.json", App::Aegis, &[]),
    ("andotp_plain.json", App::AndOtp, &[]),
    ("bitwarden.csv", App::Bitwarden, &["hotp"]),
    ("bitwarden.json", App::Bitwarden, &["hotp"]),
    ("ente_plain.txt", App::Ente, &[]),
    ("freeotp_plus.json", App::FreeOtpPlus, &["steam"]),
    ("proton_authenticator.json", App::Proton, &["hotp", "steam"]),
    ("stratum_plain.json", App::Stratum, &[]),
    ("uri_list.txt", App::UriList, &[]),
];

const ENCRYPTED: [(&str, &str); 8] = [
    ("2fas_encrypted.2fas", "2FAS"),
    ("aegis_encrypted.json", "Aegis"),
    ("andotp_encrypted.bin", "andOTP"),
    ("andotp_encrypted_old.bin", "andOTP"),
    ("bitwarden_encrypted_argon2id.json", "Bitwarden"),
    ("bitwarden_encrypted_pbkdf2.json", "Bitwarden"),
    ("ente_encrypted.json", "Ente Auth"),
    ("ente_encrypted_old_tag0.json", "Ente Auth"),
];

fn sample(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/backups/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[track_caller]
fn entries(file: &str) -> Vec<Result<KeyUri, Error>> {
    import::parse(file.as_bytes()).unwrap_or_else(|error| panic!("{error}")).into_entries()
}

#[track_caller]
fn one(file: &str) -> Result<KeyUri, Error> {
    let mut entries = entries(file);
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

#[test]
fn backups_as_apps_write_them() {
    let expected = data("backups/expected");
    for (name, app, missing) in SAMPLES {
        let import = import::parse(&sample(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(import.app(), app, "{name}");
        let mut entries = import.into_entries().into_iter();
        for account in rows(&expected, "accounts") {
            let kind = text(account, "type");
            if missing.contains(&kind) {
                continue;
            }
            let uri = entries.next().unwrap().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(uri.issuer(), account["issuer"].as_str(), "{name}");
            assert_eq!(uri.account(), text(account, "account"), "{name}");
            assert_eq!(uri.algorithm().to_string(), text(account, "algorithm"), "{name}");
            assert_eq!(*uri.secret().expose_base32(), text(account, "secret_base32"), "{name}");
            let code = match kind {
                "totp" => uri.to_totp().unwrap().code_at(59).to_string(),
                "hotp" => uri.to_hotp().unwrap().code(number(account, "counter")).to_string(),
                _ => uri.to_steam().unwrap().code_at(59).to_string(),
            };
            assert_eq!(uri.counter(), account["counter"].as_u64(), "{name}");
            assert_eq!(code, text(account, "code_at_59"), "{name}");
            let (again, _) = KeyUri::parse_lenient(&uri.to_uri()).unwrap();
            assert!(again == uri, "{name}: {again:?}, {uri:?}");
        }
        match name {
            "aegis_plain.json" => {
                for kind in ["mOTP", "Yandex"] {
                    let error = entries.next().unwrap().unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Import);
                    assert_eq!(error.to_string(), format!("accounts of the kind {kind} are not supported"));
                }
            }
            "bitwarden.json" => {
                let bare = &expected["extra_entries"]["bitwarden.json"];
                let uri = entries.next().unwrap().unwrap();
                assert_eq!((uri.issuer(), uri.account()), (bare["issuer"].as_str(), text(bare, "account")));
                assert_eq!(*uri.secret().expose_base32(), text(bare, "secret_base32"));
            }
            _ => {}
        }
        assert!(entries.next().is_none(), "{name}");
    }
}

#[test]
fn encrypted_backups_are_named_and_refused() {
    for (name, app) in ENCRYPTED {
        let error = import::parse(&sample(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encrypted, "{name}");
        let message = error.to_string();
        assert!(message.contains(app) && message.contains("export"), "{name}: {message}");
    }
    for (file, app) in [
        (&b"AUTHENTICATORPRO\x01\x02"[..], "Stratum"),
        (b"AuthenticatorPro\xff", "Stratum"),
        (b"\xac\xed\x00\x05sr", "FreeOTP"),
        (br#"{"version":1,"salt":"AAAA","content":"AAAA"}"#, "Proton"),
        (br#"{"encrypted":true,"passwordProtected":false,"items":[]}"#, "Bitwarden"),
    ] {
        let error = import::parse(file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encrypted, "{app}");
        assert!(error.to_string().contains(app), "{error}");
    }
}

/// Each file of the data, as it stands there and in other encodings.
#[test]
fn files_as_they_are_in_the_wild() {
    let data = data("import");
    for row in rows(&data, "files") {
        let (name, file) = (text(row, "name"), text(row, "file"));
        let found = import::parse(file.as_bytes()).map(Import::into_entries);
        for bytes in crate::encodings(file) {
            assert!(import::parse(&bytes).map(Import::into_entries) == found, "{name}");
        }
        if let Some(part) = row["error"].as_str() {
            let error = found.expect_err(name).to_string();
            assert!(error.contains(part), "{name}: {error}");
            continue;
        }
        let (found, expected) = (found.unwrap_or_else(|error| panic!("{name}: {error}")), rows(row, "entries"));
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for (entry, expected) in found.iter().zip(expected) {
            if let Some(part) = expected["error"].as_str() {
                let error = entry.as_ref().expect_err(name).to_string();
                assert!(error.contains(part), "{name}: {error}");
                continue;
            }
            let uri = entry.as_ref().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                (uri.issuer(), uri.account()),
                (expected["issuer"].as_str(), text(expected, "account")),
                "{name}"
            );
            assert_eq!(uri.secret().expose_bytes(), b"12345678901234567890", "{name}");
            assert_eq!(uri.algorithm().to_string(), expected["algorithm"].as_str().unwrap_or("SHA1"), "{name}");
            assert_eq!(u64::from(uri.digits().get()), expected["digits"].as_u64().unwrap_or(6), "{name}");
            let period = uri.period().map(|period| u64::from(period.seconds()));
            assert!(period.is_none() || period == expected["period"].as_u64().or(Some(30)), "{name}");
            // What keyfob writes, its strict reader takes, unless the name has a colon of its own.
            assert!(uri.account().contains(':') || KeyUri::parse(&uri.to_uri()).is_ok(), "{name}");
        }
    }
}

#[test]
fn samples_in_other_encodings() {
    for (name, app, _) in SAMPLES {
        let file = String::from_utf8(sample(name)).unwrap();
        let found = import::parse(file.as_bytes()).unwrap();
        for bytes in crate::encodings(&file) {
            let again = import::parse(&bytes).unwrap();
            assert!(again.app() == app && again == found, "{name}");
        }
    }
    // What is neither, or was cut off, is not called encrypted.
    let list = "otpauth://totp/M\u{fc}ller:al?secret=GEZDGNBVGY3TQOJQ\n";
    let latin: Vec<u8> = list.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let wide: Vec<u8> = list.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf32 = [&[0xff, 0xfe, 0, 0][..], &list.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<u8>>()];
    let half = [&b"\xff\xfe"[..], &wide, b"\x00\xd8"].concat();
    for bytes in [latin, wide[..9].to_vec(), [b"\xff\xfe", &wide[1..]].concat(), utf32.concat(), half] {
        let error = import::parse(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Import);
        assert!(error.to_string().contains("neither UTF-8 nor UTF-16"), "{error}");
    }
}

/// What a message tells people to do helps them.
#[test]
fn advice_is_true() {
    for (file, advice) in [
        (&b"\xac\xed\x00\x05sr"[..], "open it with its password in a program that reads it, and export it there"),
        (br#"{"encrypted":true,"items":[]}"#, "in the format .json, not .json (Encrypted)"),
        (br#"{"kdfParams":{}}"#, "as plain text"),
        (br#"{"services":[],"servicesEncrypted":"a"}"#, "without a password"),
        (br#"{"version":1,"salt":"AAAA","content":"AAAA"}"#, "without a password"),
        (b"AUTHENTICATORPRO", "without encryption"),
        (br#"{"header":{"slots":[]},"db":""}"#, "without encryption"),
    ] {
        let error = import::parse(file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encrypted);
        assert!(error.to_string().ends_with(advice), "{error}");
    }
}

#[test]
fn a_transfer_of_google_authenticator() {
    let secret = Secret::generate();
    let accounts: Vec<_> = (0..7).map(|n| KeyUri::totp("a", &n.to_string(), &secret).unwrap()).collect();
    let texts = Transfer::export(&accounts, 1).unwrap();
    let file = format!("{}\n{}\n", *texts[0], *texts[1]);
    let import = import::parse(file.as_bytes()).unwrap();
    assert_eq!(import.app(), App::GoogleAuthenticator);
    let found: Vec<_> = import.into_entries().into_iter().map(Result::unwrap).collect();
    assert!(found == accounts);
}

#[test]
fn a_transfer_in_any_order_with_gaps() {
    let secret = Secret::generate();
    let accounts: Vec<_> = (0..13).map(|n| KeyUri::totp("a", &n.to_string(), &secret).unwrap()).collect();
    let texts = Transfer::export(&accounts, -7).unwrap();
    let other = Transfer::export(&accounts[..1], 8).unwrap().remove(0);
    let [one, two, three] = [0, 1, 2].map(|index: usize| texts[index].as_str());
    let read = |lines: &[&str]| entries(&lines.join("\n")).into_iter().map(Result::ok).collect::<Vec<_>>();
    let all: Vec<_> = accounts.iter().cloned().map(Some).collect();

    // Any order, twice, and once more in another spelling.
    let spelled = two.replace("%3D", "=").replace("data=", "x=&data=");
    assert!(read(&[three, one, two, one, &spelled, three]) == all);
    // Another transfer, and a URI, in between: each account once.
    let uri = KeyUri::totp("b", "c", &secret).unwrap();
    let expected: Vec<_> = [Some(uri.clone())].into_iter().chain(all.clone()).chain([all[0].clone()]).collect();
    assert!(read(&[two, &other, &uri.to_uri(), three, one, &other]) == expected);
    // What is missing has its place.
    let gap = entries(&format!("{three}\n{one}"));
    assert_eq!(
        gap.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [[true; 5], [false, true, true, true, false]].concat()[..9]
    );
    let error = gap[5].as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Migration);
    assert_eq!(error.to_string(), "code 2 of the 3 codes of the transfer is missing");
    // Programs that leave the batch out have no way to say that codes belong together, and lose nothing.
    let single = |n: usize| Transfer::export(&accounts[n..=n], 0).unwrap().remove(0);
    let singles = [single(0), single(1), single(0), single(2), single(1)];
    assert!(read(&singles.each_ref().map(|text| text.as_str())) == all[..3]);
    // A place that is not among the codes.
    assert_eq!(one_error("otpauth-migration://offline?data=GAEgAg=="), ErrorKind::Migration);
}

#[track_caller]
fn one_error(file: &str) -> ErrorKind {
    one(file).unwrap_err().kind()
}

#[test]
fn quotes_in_tables() {
    const SECRET: &str = "GEZDGNBVGY3TQOJQ";
    let read = |rows: &str| {
        let table = format!("name,notes,login_totp\n{}", rows.replace('S', SECRET));
        let names = entries(&table).into_iter().map(|entry| match entry {
            Ok(uri) => uri.issuer().unwrap().to_owned(),
            Err(error) => error.to_string().split(' ').nth(1).unwrap().to_owned(),
        });
        names.collect::<Vec<_>>().join(" ")
    };
    // In a field a quote is a character.
    assert_eq!(read("a,5\" disk,S\nb,,S\nc,3\" disk,S"), "a b c");
    assert_eq!(read("a\"\"b,\"\",S\n\"c\"\"\",\"x,\n\"\"y\",\"S\"\r\n"), "a\"\"b c\"");
    // Behind a closing quote, too.
    assert_eq!(read("a,\"5\" disk\",S\nb,,S"), "a b");
    // Too many fields are one row's fault, and too few are none.
    assert_eq!(read("a,,S\nb,c,d,S\nc,,S\nd,e\n"), "a row c");
    assert_eq!(read(&format!("a{}\nb,,S", ",".repeat(1000))), "row b");
    // A quote that is not closed costs its own row.
    assert_eq!(read("a,,S\nb,\"5,S\nc,,S\nd,,S"), "a row c d");
    assert_eq!(read("a,\"x\ny\",S\n\"b\nb\",\"5,S\nc,\"\",S"), "a row c");
    assert_eq!(read("a,,\"S"), "row");
}

/// Names as JSON may spell them, in a backup of 2FAS.
#[test]
fn escapes_in_json() {
    let name = |text: &str| {
        let service = format!(r#"{{"secret":"GEZDGNBVGY3TQOJQ","name":"{text}","otp":{{"tokenType":"TOTP"}}}}"#);
        let uri = one(&format!(r#"{{"services":[{service}],"schemaVersion":4}}"#))?;
        Ok::<_, Error>(uri.issuer().unwrap_or_default().to_owned())
    };
    assert_eq!(name(r#"a \"b\" \\ \/ c"#).unwrap(), r#"a "b" \ / c"#);
    assert_eq!(name(r"\u00e9\u20AC\ud83d\ude00 x").unwrap(), "é€😀 x");
    // Halves of a character, and control characters, which no name has.
    for text in [r"a\ud83d", r"a\ud83dx", r"a\ud83d\u0041", r"a\ude00", r"a\b", r"a\fb", r"a\nb", r"a\rb", r"a\tb"] {
        assert!(name(text).is_err(), "{text}");
    }
}

#[test]
fn one_bad_entry_never_loses_the_others() {
    let bad = "GEZDGNBVGY3TQ0JQ";
    let good = "GEZDGNBVGY3TQOJQ";
    let link = |secret: &str| format!("otpauth://totp/a:b?secret={secret}");
    let aegis = |secret: &str| {
        format!(r#"{{"type":"totp","name":"b","issuer":"a","info":{{"secret":"{secret}","algo":"SHA1"}}}}"#)
    };
    let two_fas = |secret: &str| format!(r#"{{"name":"a","secret":"{secret}","otp":{{"account":"b"}}}}"#);
    let and_otp = |secret: &str| format!(r#"{{"secret":"{secret}","label":"b","type":"TOTP","issuer":"a"}}"#);
    let bitwarden = |secret: &str| format!(r#"{{"type":1,"name":"a","login":{{"username":"b","totp":"{secret}"}}}}"#);
    let stratum = |secret: &str| format!(r#"{{"Type":2,"Issuer":"a","Username":"b","Secret":"{secret}"}}"#);
    let proton = |secret: &str| format!(r#"{{"content":{{"uri":"{}","name":"b"}}}}"#, link(secret));
    let free_otp = |byte: &str| {
        format!(r#"{{"algo":"SHA1","issuerExt":"a","label":"b","type":"TOTP","secret":[{byte},2,3,4,5,6,7,8,9,10]}}"#)
    };
    let files = [
        (
            format!(
                r#"{{"version":1,"header":{{"slots":null}},"db":{{"entries":[{},7,{},{}]}}}}"#,
                aegis(good),
                aegis(bad),
                aegis(good)
            ),
            "Aegis",
        ),
        (
            format!(r#"{{"services":[{},7,{},{}],"schemaVersion":4}}"#, two_fas(good), two_fas(bad), two_fas(good)),
            "2FAS",
        ),
        (format!("[{},7,{},{}]", and_otp(good), and_otp(bad), and_otp(good)), "andOTP"),
        (format!(r#"{{"items":[{},7,{},{}]}}"#, bitwarden(good), bitwarden(bad), bitwarden(good)), "Bitwarden"),
        (format!(r#"{{"Authenticators":[{},7,{},{}]}}"#, stratum(good), stratum(bad), stratum(good)), "Stratum"),
        (
            format!(r#"{{"version":1,"entries":[{},7,{},{}]}}"#, proton(good), proton(bad), proton(good)),
            "Proton Authenticator",
        ),
        (format!(r#"{{"tokens":[{},7,{},{}]}}"#, free_otp("-1"), free_otp("128"), free_otp("127")), "FreeOTP+"),
        (format!("name,login_totp\na,{good}\na,b,c\na,\"{bad}\"\n\"a\",\"{good}\"\n"), "Bitwarden"),
        (format!("{}\n7\n{}\n\n{}", link(good), link(bad), link(good)), "list of URIs"),
    ];
    for (file, app) in files {
        let import = import::parse(file.as_bytes()).unwrap_or_else(|error| panic!("{app}: {error}"));
        assert_eq!(import.app().to_string(), app);
        let fine: Vec<_> = import.entries().iter().map(Result::is_ok).collect();
        assert_eq!(fine, [true, false, false, true], "{app}");
    }
}

#[test]
fn quirks() {
    let secret = "GEZDGNBVGY3TQOJQ";
    let and_otp = |fields: &str| one(&format!(r#"[{{"secret":"{secret}",{fields}}}]"#));
    // andOTP before it knew issuers; a new file with an empty issuer is left as it is.
    let old = and_otp(r#""label":"ACME - al - b","type":"TOTP""#).unwrap();
    assert_eq!((old.issuer(), old.account()), (Some("ACME"), "al - b"));
    let new = and_otp(r#""label":"ACME - al","issuer":"","type":"TOTP""#).unwrap();
    assert_eq!((new.issuer(), new.account()), (None, "ACME - al"));
    // One of the two names is empty.
    let named = and_otp(r#""label":"","issuer":"ACME""#).unwrap();
    assert_eq!((named.issuer(), named.account()), (Some("ACME"), "ACME"));
    assert_eq!(and_otp(r#""label":"","issuer":" ""#).unwrap_err().kind(), ErrorKind::Uri);
    // Escapes, and a field twice.
    let escaped = and_otp(r#""label":"\u00e4\ud83d\ude00\/\\\"","issuer":"a\u0026b""#).unwrap();
    assert_eq!((escaped.issuer(), escaped.account()), (Some("a&b"), "ä😀/\\\""));
    for label in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, "7", "[]"] {
        assert_eq!(and_otp(&format!(r#""label":{label}"#)).unwrap_err().kind(), ErrorKind::Import, "{label}");
    }
    assert_eq!(and_otp(r#""label":"a","period":30,"period":30"#).unwrap_err().kind(), ErrorKind::Import);
    for (fields, kind) in [
        (r#""digits":9"#, ErrorKind::Digits),
        (r#""digits":300"#, ErrorKind::Digits),
        (r#""digits":"6""#, ErrorKind::Import),
        (r#""digits":6.0"#, ErrorKind::Import),
        (r#""period":0"#, ErrorKind::Period),
        (r#""period":-30"#, ErrorKind::Import),
        (r#""period":4294967326"#, ErrorKind::Period),
        (r#""algorithm":"MD5""#, ErrorKind::Uri),
        // Steam has its own.
        (r#""type":"STEAM","period":60"#, ErrorKind::Period),
        (r#""type":"STEAM","period":0"#, ErrorKind::Period),
        (r#""type":"MOTP""#, ErrorKind::Import),
        (r#""type":"none""#, ErrorKind::Import),
    ] {
        assert_eq!(and_otp(&format!(r#""label":"a",{fields}"#)).unwrap_err().kind(), kind, "{fields}");
    }

    // FreeOTP+ counts before it computes: -1 before the first code.
    let free_otp = |counter: &str| {
        one(&format!(
            r#"{{"tokens":[{{"type":"HOTP","label":"a","counter":{counter},"secret":[-128,1,2,3,4,5,6,7,8,127]}}]}}"#
        ))
    };
    assert_eq!(free_otp("-1").unwrap().counter(), Some(0));
    assert_eq!(free_otp("9223372036854775806").unwrap().counter(), Some((1 << 63) - 1));
    for counter in ["-2", "9223372036854775807", "1e3"] {
        assert_eq!(free_otp(counter).unwrap_err().kind(), ErrorKind::Uri, "{counter}");
    }
    assert_eq!(free_otp("0").unwrap().secret().expose_bytes()[..2], [128, 1]);

    // 2FAS: the name that a person gave comes before the issuer.
    let renamed = one(&format!(
        r#"{{"services":[{{"name":"Mine","secret":"{secret}","otp":{{"issuer":"ACME","account":"al"}}}}]}}"#
    ));
    assert_eq!(renamed.unwrap().issuer(), Some("Mine"));
    // Ente puts commas between URIs; other commas belong to names.
    let list = format!("\u{feff}otpauth://totp/a,b:c?secret={secret},OTPAUTH://totp/d?secret={secret}\r\n");
    let names: Vec<_> = entries(&list).into_iter().map(|entry| entry.unwrap().account().to_owned()).collect();
    assert_eq!(names, ["c", "d"]);
    // A table of Bitwarden with quotes, line breaks and another order of columns.
    let table = format!("\"login_totp\",notes,name\r\n{secret},\"a \"\"b\"\",\r\nc\",\"A, \"\"B\"\"\"\r\n,,x\r\n");
    assert_eq!(one(&table).unwrap().issuer(), Some("A, \"B\""));
}

#[test]
fn as_many_accounts_as_there_may_be() {
    for (count, message) in [(65_536, "this is no"), (65_537, "a file has at most 16 MiB and 65536 accounts")] {
        let elements = ["0"; 65_537][..count].join(",");
        for file in [format!("[{elements}]"), format!(r#"{{"items":[{elements}]}}"#)] {
            match import::parse(file.as_bytes()) {
                Ok(import) => assert_eq!((count, import.entries().len()), (65_536, 65_536)),
                Err(error) => assert!(error.to_string().starts_with(message), "{error}"),
            }
        }
    }
}

#[test]
fn what_is_no_backup() {
    for (file, kind) in [
        (&b""[..], ErrorKind::Import),
        (b"\xef\xbb\xbf", ErrorKind::Import),
        (b"hello", ErrorKind::Import),
        (b"{}", ErrorKind::Import),
        (b"[]", ErrorKind::Import),
        (b"[{}]", ErrorKind::Import),
        (b"<html/>", ErrorKind::Import),
        (br#"{"header":{"slots":null},"db":7}"#, ErrorKind::Import),
        (br#"{"header":[],"db":{}}"#, ErrorKind::Import),
        (br#"{"services":{}}"#, ErrorKind::Import),
        (br#"{"services":[],"services":[]}"#, ErrorKind::Import),
        (br#"{"items":[]} x"#, ErrorKind::Import),
        (b"{\"items\":[\"\xff\"]}", ErrorKind::Import),
        (b"name,login_totp\"", ErrorKind::Import),
        (b"name\tlogin_totp\nx\ty", ErrorKind::Import),
        (b"\x89PNG\r\n\x1a\n\xff\xff", ErrorKind::Encrypted),
    ] {
        let error = import::parse(file).unwrap_err();
        assert_eq!(error.kind(), kind, "{}: {error}", file.escape_ascii());
    }
    for (name, ..) in SAMPLES.iter().filter(|(name, ..)| name.contains("json") || name.contains("2fas")) {
        let file = sample(name);
        let end = file.iter().rposition(|byte| !byte.is_ascii_whitespace()).unwrap();
        for cut in (1..end).step_by(7) {
            assert_eq!(import::parse(&file[..cut]).unwrap_err().kind(), ErrorKind::Import, "{name} {cut}");
        }
    }
}

/// Each of these files is as large as a file may be, or nearly. The time is a hundred times what a fast machine needs.
#[test]
fn bombs() {
    const SIZE: usize = 16 * 1024 * 1024 - 64;
    let repeat = |head: &str, middle: &str, tail: &str| {
        format!("{head}{}{tail}", middle.repeat((SIZE - head.len() - tail.len()) / middle.len()))
    };
    // The identifier of each is a number of 21 bits.
    let codes: String = (0..300_000u32).fold(String::new(), |mut text, n| {
        use base64ct::Encoding;
        let [a, b, c] = [n | 128, n >> 7 | 128, n >> 14].map(|part| part.to_le_bytes()[0]);
        let _ =
            writeln!(text, "otpauth-migration://offline?data={}", base64ct::Base64::encode_string(&[0x28, a, b, c]));
        text
    });
    let many: String = (0..3000).fold(String::new(), |mut text, n| {
        let _ = write!(text, "&{n}=");
        text
    });
    for (what, file) in [
        ("nested", repeat("", "[", "")),
        ("nested entries", repeat(r#"{"items":[{"login":"#, r#"{"a":["#, "")),
        ("elements", repeat(r#"{"items":[0"#, ",0", "]}")),
        ("fields", repeat(r#"{"items":[],"a":0"#, r#","b":0"#, "}")),
        ("commas", repeat("login_totp\n", ",", "")),
        ("rows", repeat("login_totp\n", "x\n", "")),
        ("empty rows", repeat("name,login_totp\n", "\n", "")),
        ("empty rows of Windows", repeat("name,login_totp\n", "\r\n", "")),
        ("rows of empty fields", repeat("name,login_totp\n", ",\n", "")),
        ("columns", repeat(&format!("login_totp{}\n", ",".repeat(255)), &format!("{}\n", ",".repeat(255)), "")),
        (
            "key files",
            format!(
                "<KeyContainer><KeyPackage><DeviceInfo><SerialNo>{}</SerialNo></DeviceInfo>{}</KeyPackage></KeyContainer>",
                "a".repeat(65_536),
                "<Key/>".repeat(65_536)
            ),
        ),
        (
            "key files with long values",
            repeat(
                "<KeyContainer><KeyPackage>",
                &format!("<Key Id='{}'/>", "a".repeat(300)),
                "</KeyPackage></KeyContainer>",
            ),
        ),
        ("names", repeat("otpauth://totp/a:b?secret=GEZDGNBVGY3TQ0JQ\n", ":,otpauth:/", "")),
        ("quotes", repeat("login_totp\n", "\"", "")),
        ("name", repeat(r#"[{"secret":"GEZDGNBVGY3TQOJQ","label":""#, "a", r#""}]"#)),
        ("escapes", repeat(r#"[{"secret":"GEZDGNBVGY3TQOJQ","label":""#, "\\u0061", r#""}]"#)),
        ("secret", repeat(r#"[{"label":"a","secret":""#, "A", r#""}]"#)),
        ("lines", repeat("otpauth://\n", "x\n", "")),
        ("URI commas", repeat("otpauth://\n", ", ", "")),
        ("parameters", repeat("", &format!("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ{many}\n"), "")),
        ("transfers", repeat("", &format!("otpauth-migration://offline?data={}\n", "CgAK".repeat(21_000)), "")),
        ("codes", codes),
        ("unclosed", repeat("login_totp\n", "\"a\n\",", "\"")),
        ("too large", "x".repeat(SIZE + 128)),
    ] {
        let start = Instant::now();
        let bad = match import::parse(file.as_bytes()) {
            Ok(import) => import.entries().iter().all(Result::is_err),
            Err(error) => error.kind() == ErrorKind::Import,
        };
        assert!(bad, "{what}");
        let taken = start.elapsed();
        println!("{what}: {taken:?}");
        assert!(taken.as_secs() < 30, "{what}: {taken:?}");
    }
}

/// What is printed of a damaged file holds no part of a secret. An account that was read may, if the damage put a secret
/// where its name was.
#[track_caller]
fn check_printed(file: &[u8]) {
    let printed = match import::parse(file) {
        Ok(import) => {
            let mut printed = format!("{import:?}");
            for entry in import.entries() {
                if let Err(error) = entry {
                    let _ = write!(printed, "{error} {error:?}");
                }
            }
            printed
        }
        Err(error) => format!("{error} {error:?}"),
    };
    for secret in ["GEZD", "gezd", "AAAQ", "VXWX", "UHWX", "8128", "6174", "49, 50"] {
        assert!(!printed.contains(secret), "{secret}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), start in 0usize..5) {
        let mut file = [&b""[..], b"{", b"[{", b"login_totp\n", b"otpauth://"][start].to_vec();
        file.extend(bytes);
        let _ = import::parse(&file);
    }

    #[test]
    fn damaged_backups_do_not_panic_and_tell_nothing(which in 0usize..18, seed in any::<u64>()) {
        let mut random = Random(seed);
        let name = SAMPLES.iter().map(|sample| sample.0).chain(ENCRYPTED.map(|sample| sample.0)).nth(which).unwrap();
        let mut file = sample(name);
        for _ in 0..=random.below(3) {
            crate::damage(&mut file, &mut random);
        }
        check_printed(&file);
    }
}

#[test]
fn samples_tell_nothing() {
    for (name, ..) in SAMPLES {
        check_printed(&sample(name));
    }
    // The control: the texts that are looked for are in the samples.
    assert!(String::from_utf8(sample("aegis_plain.json")).unwrap().contains("GEZD"));
}
