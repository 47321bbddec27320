use keyfob::{Algorithm, Digits, Error, ErrorKind, KeyUri, Period, Secret};

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
    let long = "ü".repeat(1_000_000);
    let uri = KeyUri::totp(&long, &long, &Secret::generate()).unwrap().to_uri();
    assert!(uri.len() > 18_000_000);
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
