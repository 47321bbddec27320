mod escaped;
mod lint;

use std::cell::Cell;
use std::collections::BTreeSet;

use keyfob::{Algorithm, Digits, Error, ErrorKind, Hotp, KeyUri, Period, Secret, Totp, Warning};
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;

use crate::{data, hex, number, rows, text};

#[test]
fn written_and_refused() {
    for case in rows(&data("uri_build"), "cases") {
        match (build(&case["input"]), case["uri"].as_str()) {
            (Ok(uri), Some(expected)) => assert_eq!(*uri.to_uri(), expected),
            (Err(error), None) => {
                let expected = match text(case, "name") {
                    "digits_5" => ErrorKind::Digits,
                    "period_0" => ErrorKind::Period,
                    "empty_secret" => ErrorKind::Secret,
                    _ => ErrorKind::Uri,
                };
                assert_eq!(error.kind(), expected, "{case}");
            }
            (built, _) => panic!("{case}: {built:?}"),
        }
    }
}

fn build(input: &serde_json::Value) -> Result<KeyUri, Error> {
    let secret = Secret::from_bytes(&hex(text(input, "secret_hex")))?;
    let issuer = input["issuer"].as_str().unwrap_or_default();
    let account = text(input, "account");
    let uri = match text(input, "type") {
        "totp" => KeyUri::totp(issuer, account, &secret)?
            .with_period(Period::new(u32::try_from(number(input, "period")).unwrap())?)?,
        _ => KeyUri::hotp(issuer, account, &secret, text(input, "counter").parse().unwrap())?,
    };
    let uri = uri
        .with_algorithm(match text(input, "algorithm") {
            "SHA256" => Algorithm::Sha256,
            "SHA512" => Algorithm::Sha512,
            _ => Algorithm::Sha1,
        })
        .with_digits(Digits::new(u8::try_from(number(input, "digits")).unwrap())?);
    Ok(if input["explicit"] == true { uri.with_defaults_written() } else { uri })
}

#[test]
fn names_that_apps_would_cut() {
    let secret = Secret::generate();
    for (issuer, account) in
        [("a:b", "c"), ("a", "b:c"), ("a", ""), ("", ""), ("a\u{7f}", "b"), ("a", "b\u{85}"), ("a", "\n")]
    {
        assert_eq!(KeyUri::totp(issuer, account, &secret).unwrap_err().kind(), ErrorKind::Uri);
        assert_eq!(KeyUri::hotp(issuer, account, &secret, 0).unwrap_err().kind(), ErrorKind::Uri);
    }
    let hotp = KeyUri::hotp("a", "b", &secret, u64::MAX).unwrap();
    assert!(hotp.to_uri().ends_with("&counter=18446744073709551615"));
    assert_eq!(hotp.with_period(Period::default()).unwrap_err().kind(), ErrorKind::Uri);
}

#[test]
fn the_longest_uri_of_short_names() {
    let secret = Secret::from_bytes(&[0xff; 1024]).unwrap();
    let uri = KeyUri::hotp("", "ü", &secret, u64::MAX).unwrap().with_defaults_written().to_uri();
    assert!(uri.starts_with("otpauth://hotp/%C3%BC?secret=7777"));
}

/// Whatever may be written can be read.
#[test]
fn the_longest_uri_of_all() {
    let secret = Secret::from_bytes(&[0xff; 1024]).unwrap();
    let name = |first| format!("{first}{}", "ü".repeat(511));
    let uri = KeyUri::hotp(&format!(" {}", name("ab")), &name("ü"), &secret, u64::MAX).unwrap();
    let uri = uri.with_label_issuer(&name("cd")).unwrap().with_algorithm(Algorithm::Sha512).with_defaults_written();
    assert_eq!(KeyUri::parse(&uri.to_uri()).unwrap(), uri);

    // With parameters that keyfob does not know, of as many bytes as there may be.
    let with = |count: usize, last: usize| {
        let others: String = (1..count).map(|position| format!("&x{position:02}=%C3%BC")).collect();
        KeyUri::parse(&format!("{}{others}&y={}", *uri.to_uri(), "y".repeat(last)))
    };
    let last = 5120 - 63 * "&x00=%C3%BC".len() - "&y=".len();
    let longest = with(64, last).unwrap();
    assert_eq!(longest.other_parameters().count(), 64);
    assert_eq!(KeyUri::parse(&longest.to_uri()).unwrap(), longest);
    for refused in [with(65, 1), with(64, last + 1)] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Uri);
    }

    for long in [name("abc"), name("ü").repeat(1000)] {
        for refused in [
            KeyUri::totp(&long, "a", &secret),
            KeyUri::steam("a", &long, &secret),
            uri.clone().with_label_issuer(&long),
            KeyUri::parse(&uri.to_uri().replacen("ab%C3%BC", "abc%C3%BC", 1)),
            KeyUri::parse(&uri.to_uri().replacen("cd%C3%BC", "cde%C3%BC", 1)),
            KeyUri::parse(&uri.to_uri().replacen("?", "x?", 1)),
        ] {
            assert_eq!(refused.unwrap_err().to_string().split(" has more").nth(1), Some(" than 1024 bytes"));
        }
    }
}

#[test]
fn manual_entry_in_groups_of_four() {
    let entry = |bytes: &[u8]| {
        let uri = KeyUri::totp("a", "b", &Secret::from_bytes(bytes).unwrap()).unwrap();
        uri.manual_entry().to_string()
    };
    assert_eq!(entry(b"12345678901234567890"), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    assert_eq!(entry(b"12345678901"), "GEZD GNBV GY3T QOJQ GE");
}

#[test]
fn read_as_they_are_written_in_the_wild() {
    let file = data("uri_parse");
    for case in rows(&file, "cases") {
        let (text_, name) = (text(case, "uri"), text(case, "name"));
        let strict = KeyUri::parse(text_);
        let lenient = KeyUri::parse_lenient(text_);
        let expected = &case["lenient"];
        // Of these two the message names what is not supported.
        if let "yaotp" | "motp" = expected["type"].as_str().unwrap_or_default().replace("yandex", "yaotp").as_str() {
            let error = lenient.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Uri);
            let error = error.to_string();
            assert!(error.contains("yaotp") || error.contains("motp"), "{error}");
            continue;
        }
        if text(expected, "result") == "error" {
            let kind = match name {
                "digits10" | "digitsx" => ErrorKind::Digits,
                "period0" => ErrorKind::Period,
                "secret_0189" | "secret_empty" => ErrorKind::Secret,
                _ => ErrorKind::Uri,
            };
            assert_eq!([lenient.unwrap_err().kind(), strict.unwrap_err().kind()], [kind; 2], "{name}");
            continue;
        }
        let (uri, warnings) = lenient.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut rules: Vec<&str> = warnings.iter().copied().map(rule).collect();
        rules.sort_unstable();
        rules.dedup();
        let expected_rules: Vec<&str> = rows(case, "warnings").iter().map(|rule| rule.as_str().unwrap()).collect();
        assert_eq!(rules, expected_rules, "{name}");
        assert_eq!(strict.is_ok(), case["strict"] == "ok", "{name}");
        if let Ok(strict) = strict {
            assert_eq!(strict, uri, "{name}");
        }

        assert_eq!(uri.issuer(), expected["issuer"].as_str(), "{name}");
        assert_eq!(uri.account(), expected["account"].as_str().unwrap_or_default(), "{name}");
        assert_eq!(uri.label_issuer(), expected["label_issuer"].as_str(), "{name}");
        assert_eq!(uri.algorithm().to_string(), text(expected, "algorithm"), "{name}");
        assert_eq!(*uri.secret().expose_base32(), text(expected, "secret_base32"), "{name}");
        match text(expected, "type") {
            "totp" => assert_eq!(u64::from(uri.to_totp().unwrap().period().seconds()), number(expected, "period")),
            "hotp" => {
                let counter = text(expected, "counter").parse().unwrap();
                assert_eq!(uri.counter(), Some(counter));
                if let Some(code) = expected["code"].as_str() {
                    assert_eq!(uri.to_hotp().unwrap().code(counter).to_string(), code);
                }
            }
            "steam" => assert!(uri.to_steam().is_some() && uri.to_totp().is_none()),
            other => panic!("{other}"),
        }
        if text(expected, "type") != "steam" {
            assert_eq!(u64::from(uri.digits().get()), number(expected, "digits"), "{name}");
        }
        let others: serde_json::Map<_, _> =
            uri.other_parameters().map(|(name, value)| (name.to_owned(), value.into())).collect();
        assert_eq!(
            serde_json::Value::from(others),
            expected.get("extra").cloned().unwrap_or(serde_json::json!({})),
            "{name}"
        );

        // What was read is written so that it is read again, without a warning unless a name has a colon.
        let (again, warnings) = KeyUri::parse_lenient(&uri.to_uri()).unwrap();
        assert_eq!(again, uri, "{name}");
        assert!(warnings.iter().all(|warning| [Warning::Colon, Warning::SteamLink].contains(warning)), "{name}");
    }
}

fn rule(warning: Warning) -> &'static str {
    match warning {
        Warning::WhiteSpace | Warning::SchemeSpelling => "P1",
        Warning::RawCharacter => "P2",
        Warning::ParameterSpelling | Warning::RepeatedParameter => "P3",
        Warning::Plus => "P4",
        Warning::Colon => "P5",
        Warning::SecretSpelling => "P7",
        Warning::LeftOverBits => "P8",
        Warning::AlgorithmSpelling => "P9",
        Warning::NumberSpelling => "P10",
        Warning::ForeignParameter => "P11",
        Warning::NoCounter => "P12",
        Warning::SteamLink => "P13",
        _ => panic!("{warning}"),
    }
}

#[test]
fn one_warning_each() {
    const SECRET: &str = "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let mut texts = BTreeSet::new();
    for (uri, warning) in [
        (format!(" otpauth://totp/a?{SECRET}\n"), Warning::WhiteSpace),
        (format!("Otpauth://totp/a?{SECRET}"), Warning::SchemeSpelling),
        (format!("otpauth://Totp/a?{SECRET}"), Warning::SchemeSpelling),
        (format!("otpauth://totp/a b?{SECRET}"), Warning::RawCharacter),
        (format!("otpauth://totp/a?{SECRET}&x=a\nb"), Warning::RawCharacter),
        (format!("otpauth://totp/a?{SECRET}&x=\u{7f}"), Warning::RawCharacter),
        (format!("otpauth://totp/a?{SECRET}&Digits=6"), Warning::ParameterSpelling),
        (format!("otpauth://totp/a?{SECRET}&ISSUER="), Warning::ParameterSpelling),
        (format!("otpauth://totp/a?{SECRET}&issuer=b&issuer=b%20"), Warning::RepeatedParameter),
        (format!("otpauth://totp/a?{SECRET}&{SECRET}"), Warning::RepeatedParameter),
        (format!("otpauth://totp/a?{SECRET}&digits=6&digits=6"), Warning::RepeatedParameter),
        (format!("otpauth://totp/a?{SECRET}&image=x&image=x"), Warning::RepeatedParameter),
        (format!("otpauth://totp/a?{SECRET}&image=x&Image=x"), Warning::RepeatedParameter),
        (format!("otpauth://totp/a?{SECRET}&issuer=b+c"), Warning::Plus),
        (format!("otpauth://totp/a?{SECRET}&amp;issuer=b"), Warning::HtmlEscape),
        (format!("otpauth://totp/a?{SECRET}&%20digits=6"), Warning::ParameterSpelling),
        (format!("otpauth://totp/a:b:c?{SECRET}"), Warning::Colon),
        (format!("otpauth://totp/a?{}", SECRET.to_lowercase()), Warning::SecretSpelling),
        (format!("otpauth://totp/a?{SECRET}&algorithm=hmac-sha-1"), Warning::AlgorithmSpelling),
        (format!("otpauth://totp/a?{SECRET}&counter=1"), Warning::ForeignParameter),
        (format!("otpauth://hotp/a?{SECRET}&counter=1&period=30"), Warning::ForeignParameter),
        (format!("otpauth://hotp/a?{SECRET}"), Warning::NoCounter),
        (format!("otpauth://totp/a?{SECRET}&digits=06"), Warning::NumberSpelling),
        (format!("otpauth://totp/a?{SECRET}&period=030"), Warning::NumberSpelling),
        (format!("otpauth://hotp/a?{SECRET}&counter=00"), Warning::NumberSpelling),
        (format!("otpauth://totp/a?{SECRET}&encoder=Steam"), Warning::SchemeSpelling),
        ("steam://C6OVNHTGKJWE3HVP642NTFSFKA4MO53B".into(), Warning::SteamLink),
        (format!("otpauth://steam/a?{SECRET}&digits=8"), Warning::ForeignParameter),
        (format!("otpauth://steam/a?{SECRET}&algorithm=SHA256"), Warning::ForeignParameter),
        // What is ignored may be anything.
        (format!("otpauth://hotp/a?{SECRET}&counter=1&period=0"), Warning::ForeignParameter),
        (format!("otpauth://hotp/a?{SECRET}&counter=1&period="), Warning::ForeignParameter),
        (format!("otpauth://totp/a?{SECRET}&counter=-1"), Warning::ForeignParameter),
        (format!("otpauth://totp/a?{SECRET}&encoder=steam&digits=x&counter="), Warning::ForeignParameter),
    ] {
        let (_, warnings) = KeyUri::parse_lenient(&uri).unwrap_or_else(|error| panic!("{uri}: {error}"));
        assert_eq!(warnings, [warning], "{uri}");
        let error = KeyUri::parse(&uri).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Uri);
        assert_eq!(error.to_string(), warning.to_string());
        texts.insert(warning.to_string());
    }
    assert_eq!(texts.len(), 14, "{texts:?}");
}

/// At the edge of what is looked at, and an encoder that is none.
#[test]
fn limits_and_what_is_kept() {
    const URI: &str = "otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let padded = |length: usize| KeyUri::parse_lenient(&format!("{URI}{}", " ".repeat(length - URI.len()))).err();
    assert_eq!(padded(16384), None);
    for length in [16385, 16386, 20000] {
        assert_eq!(padded(length).unwrap().to_string(), "a URI has at most 16384 bytes");
    }
    let prefixed = KeyUri::parse(URI).unwrap().with_label_issuer("b").unwrap();
    assert!(prefixed.to_uri().starts_with("otpauth://totp/b:a?"));
    let uri = KeyUri::parse(&format!("{URI}&encoder=other")).unwrap();
    assert!(uri.other_parameters().eq([("encoder", "other")]) && uri.to_totp().is_some());
}

#[test]
fn steam_has_its_own_settings() {
    let secret = Secret::generate();
    let uri = KeyUri::steam("a", "b", &secret).unwrap();
    let same = uri.clone().with_algorithm(Algorithm::Sha512).with_digits(Digits::Eight);
    assert_eq!(same, uri);
    assert_eq!((same.algorithm(), same.digits()), (Algorithm::Sha1, Digits::Six));
    let (link, _) = KeyUri::parse_lenient(&format!("steam://{}", *secret.expose_base32())).unwrap();
    assert_eq!(link.with_label_issuer("a").unwrap_err().kind(), ErrorKind::Uri);

    let text = format!("otpauth://hotp/a?secret={}&counter=1&encoder=steam", *secret.expose_base32());
    assert!(KeyUri::parse_lenient(&text).unwrap_err().to_string().contains("hotp with encoder=steam"));
}

#[test]
fn from_verifiers_and_back() {
    let secret = Secret::generate_for(Algorithm::Sha256);
    let totp = Totp::with_algorithm(&secret, Algorithm::Sha256)
        .with_digits(Digits::Eight)
        .with_period(Period::new(60).unwrap());
    let uri = KeyUri::from_totp("a", "b", &secret, &totp).unwrap();
    assert!(uri.to_uri().ends_with("&issuer=a&algorithm=SHA256&digits=8&period=60"));
    let code = |totp: &Totp| totp.code_at(1_900_000_000).to_string();
    assert_eq!(code(&uri.to_totp().unwrap()), code(&totp));
    let shifted = totp.with_t0(1);
    assert_eq!(KeyUri::from_totp("a", "b", &secret, &shifted).unwrap_err().kind(), ErrorKind::Uri);
    assert!(KeyUri::from_totp("a", "b", &secret, &shifted.with_t0(0)).unwrap() == uri);

    let hotp = Hotp::with_algorithm(&secret, Algorithm::Sha512).with_digits(Digits::Seven);
    let uri = KeyUri::from_hotp("a", "b", &secret, &hotp, 9).unwrap();
    assert!(uri.to_uri().ends_with("&issuer=a&algorithm=SHA512&digits=7&counter=9"));
    assert_eq!(uri.to_hotp().unwrap().code(9).to_string(), hotp.code(9).to_string());
    assert_eq!(KeyUri::from_hotp("a:", "b", &secret, &hotp, 9).unwrap_err().kind(), ErrorKind::Uri);
}

/// Each part counts, and the way it is spelled does not.
#[test]
fn equality() {
    let secret = Secret::from_bytes(&[1; 20]).unwrap();
    let uri = || KeyUri::totp("Example", "al", &secret).unwrap();
    assert_eq!(uri(), uri().with_defaults_written());
    let others = [
        KeyUri::totp("Other", "al", &secret).unwrap(),
        KeyUri::totp("Example", "bo", &secret).unwrap(),
        KeyUri::totp("Example", "al", &Secret::from_bytes(&[7; 20]).unwrap()).unwrap(),
        KeyUri::hotp("Example", "al", &secret, 0).unwrap(),
        KeyUri::hotp("Example", "al", &secret, 1).unwrap(),
        KeyUri::steam("Example", "al", &secret).unwrap(),
        uri().with_algorithm(Algorithm::Sha256),
        uri().with_digits(Digits::Eight),
        uri().with_period(Period::new(60).unwrap()).unwrap(),
        uri().with_label_issuer("Prefix").unwrap(),
        uri().with_parameter("color", "red").unwrap(),
    ];
    for (position, other) in others.iter().enumerate() {
        assert_ne!(*other, uri(), "{position}");
        assert_eq!(others.iter().filter(|one| *one == other).count(), 1, "{position}");
    }
}

#[test]
fn parameters_for_apps() {
    let uri = KeyUri::totp("a", "b", &Secret::generate()).unwrap();
    let with = |name: &str, value: &str| uri.clone().with_parameter(name, value);
    let both = with("image", "https://example.com/a.png?x=1&y=2").unwrap().with_parameter("color", "3366CC").unwrap();
    assert!(both.to_uri().ends_with("&image=https%3A%2F%2Fexample.com%2Fa.png%3Fx%3D1%26y%3D2&color=3366CC"));
    let again = both.with_parameter("Image", "").unwrap();
    assert!(again.other_parameters().eq([("color", "3366CC"), ("Image", "")]));
    assert!(KeyUri::parse(&again.to_uri()).unwrap() == again);
    for (name, value) in [("é &=#", "+%\n\0"), ("x", " ")] {
        let uri = with(name, value).unwrap();
        assert!(KeyUri::parse(&uri.to_uri()).unwrap() == uri);
    }
    let long = "é".repeat(900);
    for (name, value) in [("", "x"), ("secret", "x"), ("Issuer", "x"), ("ENCODER", "steam"), ("x", &*long)] {
        assert_eq!(with(name, value).unwrap_err().kind(), ErrorKind::Uri, "{name}");
    }
    let many = (0..64).try_fold(uri.clone(), |uri, n| uri.with_parameter(&format!("x{n}"), "")).unwrap();
    assert!(KeyUri::parse(&many.to_uri()).unwrap() == many);
    assert_eq!(many.with_parameter("y", "").unwrap_err().kind(), ErrorKind::Uri);
    let (link, _) = KeyUri::parse_lenient("steam://GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
    assert_eq!(link.with_parameter("x", "").unwrap_err().kind(), ErrorKind::Uri);
}

proptest::proptest! {
    /// The position is the one in the secret as it stands there, with its separators.
    #[test]
    fn the_character_to_blame(symbols in proptest::collection::vec("[A-Z2-7]|\\+|%20|-", 16..40), wrong in 0usize..16) {
        let secret: String = symbols.iter().enumerate().map(|(at, symbol)| if at == wrong { "8" } else { symbol }).collect();
        let error = KeyUri::parse_lenient(&format!("otpauth://totp/a?secret={secret}")).unwrap_err();
        prop_assert_eq!(error.position(), Some(wrong + 1));
    }
}

#[test]
fn what_is_no_uri() {
    const SECRET: &str = "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let long = format!("otpauth://totp/{}?{SECRET}", "a".repeat(1_000_000));
    for (uri, kind) in [
        ("", ErrorKind::Uri),
        ("otpauth", ErrorKind::Uri),
        ("otpauth:totp/a", ErrorKind::Uri),
        ("otpauth://", ErrorKind::Uri),
        ("otpauth://totp/", ErrorKind::Uri),
        ("otpauth://totp/a", ErrorKind::Uri),
        ("otpauth://totp/a?issuer=b", ErrorKind::Uri),
        (&format!("https://totp/a?{SECRET}"), ErrorKind::Uri),
        (&format!("otpauth://ttop/a?{SECRET}"), ErrorKind::Uri),
        (&format!("otpauth://totp/?{SECRET}"), ErrorKind::Uri),
        (&format!("otpauth://totp/b:?{SECRET}"), ErrorKind::Uri),
        (&format!("otpauth://totp/a%?{SECRET}"), ErrorKind::Uri),
        (&format!("otpauth://totp/a%2?{SECRET}"), ErrorKind::Uri),
        (&format!("otpauth://totp/a%zz?{SECRET}"), ErrorKind::Uri),
        (&format!("otpauth://totp/a%0a?{SECRET}"), ErrorKind::Uri),
        (&format!("otpauth://totp/a?{SECRET}&issuer=b%00"), ErrorKind::Uri),
        (&format!("otpauth://totp/c%07:a?{SECRET}&issuer=b"), ErrorKind::Uri),
        (&format!("otpauth://totp/a?{SECRET}&digits=6&digits=8"), ErrorKind::Uri),
        (&format!("otpauth://totp/a?{SECRET}&x=1&x=2"), ErrorKind::Uri),
        (&format!("otpauth://totp/a?{SECRET}&x=1&X=2"), ErrorKind::Uri),
        (&format!("otpauth://totp/a?{SECRET}&algorithm=MD5"), ErrorKind::Uri),
        (&format!("otpauth://totp/a?{SECRET}&algorithm="), ErrorKind::Uri),
        (&format!("otpauth://hotp/a?{SECRET}&counter=-1"), ErrorKind::Uri),
        (&format!("otpauth://hotp/a?{SECRET}&counter=18446744073709551616"), ErrorKind::Uri),
        (&format!("otpauth://totp/a?{SECRET}&digits=+6"), ErrorKind::Digits),
        (&format!("otpauth://totp/a?{SECRET}&digits=256"), ErrorKind::Digits),
        (&format!("otpauth://totp/a?{SECRET}&digits=5"), ErrorKind::Digits),
        (&format!("otpauth://totp/a?{SECRET}&period=86401"), ErrorKind::Period),
        (&format!("otpauth://steam/a?{SECRET}&period=60"), ErrorKind::Period),
        ("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ%FF", ErrorKind::Uri),
        ("otpauth://totp/a?secret=MZXW6YTB", ErrorKind::Secret),
        ("otpauth-migration://offline?data=CjEK", ErrorKind::Uri),
        ("phonefactor://activate", ErrorKind::Uri),
        (&long, ErrorKind::Uri),
    ] {
        let error = KeyUri::parse_lenient(uri).unwrap_err();
        assert_eq!(error.kind(), kind, "{}", &uri[..uri.len().min(100)]);
        assert!(!error.to_string().contains("GEZD") && !format!("{error:?}").contains("GEZD"));
        assert!(KeyUri::parse(uri).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn what_is_written_is_read(
        issuer in "[^:\\p{Cc}]{0,12}",
        prefix in "([^:\\p{Cc}]{1,6})?",
        account in "[^:\\p{Cc} ][^:\\p{Cc}]{0,12}",
        secret in proptest::collection::vec(proptest::prelude::any::<u8>(), 10..70),
        kind in 0..3,
        algorithm in 0usize..3,
        digits in 6u8..=8,
        number in proptest::prelude::any::<u64>(),
        defaults in proptest::prelude::any::<bool>(),
    ) {
        let secret = Secret::from_bytes(&secret).unwrap();
        let uri = match kind {
            0 => KeyUri::totp(&issuer, &account, &secret).unwrap().with_period(Period::new((number % 86_400) as u32 + 1).unwrap()).unwrap(),
            1 => KeyUri::hotp(&issuer, &account, &secret, number).unwrap(),
            _ => KeyUri::steam(&issuer, &account, &secret).unwrap(),
        };
        let uri = uri.with_label_issuer(&prefix).unwrap();
        let uri = uri
            .with_algorithm([Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512][algorithm])
            .with_digits(Digits::new(digits).unwrap());
        let uri = if defaults { uri.with_defaults_written() } else { uri };
        let text = uri.to_uri();
        proptest::prop_assert_eq!(&KeyUri::parse(&text).unwrap(), &uri);
        proptest::prop_assert!(text.is_ascii());
    }

    #[test]
    fn no_text_panics(text in "(otpauth://(totp|hotp|steam)/)?[a-z:%/?&=0-9A-Z+# é]{0,60}") {
        let _ = KeyUri::parse_lenient(&text);
    }
}

/// What was read is written so that it is read again, whatever stands in the names.
#[test]
fn what_is_read_is_written_and_read() {
    const LIKE: &str = "otpauth://(totp|hotp|steam)/([aA:]|%20|%3A){1,8}\\?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
        (&issuer=[aA:+ ]{0,5})?(&(digits|algorithm|period|counter|encoder|x)=(8|30|SHA256|steam|[a8%: ]{0,8})){0,4}";
    let read = Cell::new(0u32);
    let texts = TestRunner::new(ProptestConfig::with_cases(4096)).run(&string_regex(LIKE).unwrap(), |text| {
        let Ok((uri, _)) = KeyUri::parse_lenient(&text) else { return Ok(()) };
        read.set(read.get() + 1);
        let written = uri.to_uri();
        let (again, warnings) = KeyUri::parse_lenient(&written).unwrap();
        prop_assert_eq!(&again, &uri);
        prop_assert!(warnings.iter().all(|warning| *warning == Warning::Colon), "{:?}", warnings);
        let names = [again.issuer().unwrap_or_default(), again.account(), again.label_issuer().unwrap_or_default()];
        prop_assert!(names.iter().all(|name| name.trim() == *name));
        prop_assert_eq!(warnings.is_empty(), KeyUri::parse(&written).is_ok());
        Ok(())
    });
    texts.unwrap();
    assert!(read.get() > 512, "only {} of the texts were URIs", read.get());
}

#[test]
fn parsed_strictly_like_any_text() {
    let strict = "otpauth://totp/ACME:al?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ACME";
    assert!(strict.parse() == KeyUri::parse(strict));
    for text in [&strict.replace("totp", "TOTP"), &format!(" {strict}"), "", "otpauth://totp/"] {
        let error = text.parse::<KeyUri>().unwrap_err();
        assert!(KeyUri::parse(text) == Err(error));
    }
}
