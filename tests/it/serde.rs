use keyfob::{Algorithm, Digits, KeyUri, LookAhead, Period, Secret, Step, Window};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{data, rows, text};

#[test]
fn settings_are_read_as_they_are_written() {
    fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, text: &str) {
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        assert_eq!(serde_json::from_str::<T>(text).unwrap(), value);
        // A format without names and types.
        assert_eq!(postcard::from_bytes::<T>(&postcard::to_allocvec(&value).unwrap()).unwrap(), value);
    }
    same(Algorithm::Sha1, "\"SHA1\"");
    same(Algorithm::Sha256, "\"SHA256\"");
    same(Algorithm::Sha512, "\"SHA512\"");
    same(Digits::Eight, "8");
    same(LookAhead::default(), "5");
    same(Period::default(), "30");
    same(Step::new(u64::MAX), "18446744073709551615");
    same(Window::new(2, 0).unwrap(), r#"{"behind":2,"ahead":0}"#);
}

#[test]
fn what_a_constructor_refuses_is_not_read() {
    fn refused<T: DeserializeOwned>(texts: &[&str]) {
        texts.iter().for_each(|text| assert!(serde_json::from_str::<T>(text).is_err(), "{text}"));
    }
    refused::<Digits>(&["0", "5", "9", "12", "256", "-6", "6.0", "\"6\"", "null"]);
    refused::<Period>(&["0", "86401", "-1", "4294967326"]);
    refused::<LookAhead>(&["11", "255"]);
    refused::<Window>(&[r#"{"behind":11,"ahead":0}"#, r#"{"behind":0}"#, r#"{"behind":0,"ahead":0,"to":0}"#]);
    refused::<Algorithm>(&["\"MD5\"", "\"sha1\"", "\"\"", "1"]);
    refused::<Step>(&["-1", "18446744073709551616"]);
    refused::<Exposed>(&[
        r#"{"secret":"MZXW6YTB","uri":"otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}"#,
        r#"{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","uri":"otpauth://totp/a?secret=gezdgnbvgy3tqojq"}"#,
    ]);
}

#[derive(Serialize, Deserialize)]
struct Exposed {
    #[serde(with = "keyfob::serde::secret")]
    secret: Secret,
    #[serde(with = "keyfob::serde::uri")]
    uri: KeyUri,
}

#[test]
fn secrets_are_written_where_the_field_says_so() {
    let secret = Secret::generate();
    let uri = KeyUri::hotp("Example", "al", &secret, 7).unwrap();
    let text = serde_json::to_string(&Exposed { secret: secret.clone(), uri: uri.clone() }).unwrap();
    let read: Exposed = serde_json::from_str(&text).unwrap();
    assert!(read.secret == secret && read.uri == uri);
    let bytes = postcard::to_allocvec(&read).unwrap();
    let read: Exposed = postcard::from_bytes(&bytes).unwrap();
    assert!(read.secret == secret && read.uri == uri);
}

/// Whichever of its readers a URI came through.
#[test]
fn every_uri_is_read_as_it_was_written() {
    let secret = Secret::generate();
    let mut found = 0;
    for case in rows(&data("uri_parse"), "cases") {
        let Ok((uri, _)) = KeyUri::parse_lenient(text(case, "uri")) else { continue };
        let text = serde_json::to_string(&Exposed { secret: secret.clone(), uri: uri.clone() }).unwrap();
        let read: Exposed = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(read.uri, uri, "{case}");
        found += 1;
    }
    assert!(found > 20);
}

#[test]
fn errors_hold_nothing_of_what_was_read() {
    let text = r#"{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ8","uri":""}"#;
    let error = serde_json::from_str::<Exposed>(text).err().unwrap().to_string();
    assert!(error.contains("position 32") && !error.contains("GEZD"), "{error}");

    // Secrets of digits only that somebody forgot to quote, and other values in the place of one.
    const DIGITS: &str = "2345672345672345";
    let quoted = format!("\"{DIGITS}\"");
    let uri = format!("\"otpauth://totp/a?secret={DIGITS}\"");
    serde_json::from_str::<Exposed>(&format!(r#"{{"secret":{quoted},"uri":{uri}}}"#)).unwrap();
    for value in [
        DIGITS.to_owned(),
        format!("-{DIGITS}"),
        format!("{DIGITS}{DIGITS}{DIGITS}"),
        format!("{DIGITS}.5"),
        format!("[{quoted}]"),
        format!("{{{quoted}:{quoted}}}"),
        format!("{quoted}{DIGITS}"),
        format!("\"{DIGITS}\\x\""),
        "true".into(),
        "null".into(),
    ] {
        for text in [format!(r#"{{"secret":{value},"uri":{uri}}}"#), format!(r#"{{"secret":{quoted},"uri":{value}}}"#)]
        {
            let error = serde_json::from_str::<Exposed>(&text).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("23456"), "{error}");
        }
    }
}
