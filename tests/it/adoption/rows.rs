//! Rows of other libraries, converted, and the codes that those libraries compute for them. `tests/data/rows` has the
//! rows and says where they come from.

use std::collections::BTreeMap;

use keyfob::guard::Adoptee;
use keyfob::pskc::{self, Unlock};
use keyfob::{Algorithm, Digits, KeyUri, Period, Secret};
use serde_json::Value;

use super::{Answer, NOW, Site, adopted};
use crate::{data, hex, number, rows, text};

/// Takes the users over, and compares which of the expected codes are accepted.
fn take_over(users: &[(Adoptee, &Value)]) {
    let all: Vec<Adoptee> = users.iter().map(|(adoptee, _)| adoptee.clone()).collect();
    let site = Site::new();
    assert!(site.adopt_batch(&all).iter().all(adopted));
    for (adoptee, codes) in users {
        let codes = codes.as_array().unwrap();
        assert!(codes.len() >= 4);
        let next = match (adoptee.uri.period(), adoptee.last_used) {
            (Some(_), Some(last)) => last + 1,
            (Some(period), None) => NOW / u64::from(period.seconds()) + 2,
            (None, last) => last.map_or(0, |last| last + 1).max(adoptee.uri.counter().unwrap()),
        };
        let mut accepted = 0;
        for code in codes {
            let moment = code["step"].as_u64().or(code["counter"].as_u64()).unwrap();
            site.set(code["at"].as_u64().unwrap_or(NOW).max(NOW));
            let answer = site.verify(&adoptee.user, text(code, "code"));
            assert_eq!(answer == Answer::Accepted, moment >= next, "{}: {moment}, {answer:?}", adoptee.user);
            accepted += usize::from(moment >= next);
        }
        assert!(accepted >= 2, "{}: only {accepted} codes", adoptee.user);
        site.set(NOW);
    }
    // The control: with another secret, none is accepted.
    let site = Site::new();
    let other = |adoptee: &Adoptee| {
        let bytes: Vec<u8> = adoptee.uri.secret().expose_bytes().iter().map(|byte| byte ^ 1).collect();
        let secret = Secret::from_bytes(&bytes).unwrap();
        let uri = match adoptee.uri.counter() {
            Some(counter) => KeyUri::hotp("Old", "x", &secret, counter).unwrap(),
            None => KeyUri::totp("Old", "x", &secret).unwrap().with_period(adoptee.uri.period().unwrap()).unwrap(),
        };
        let uri = uri.with_algorithm(adoptee.uri.algorithm()).with_digits(adoptee.uri.digits());
        Adoptee { uri, ..adoptee.clone() }
    };
    let others: Vec<Adoptee> = all.iter().map(other).collect();
    assert!(site.adopt_batch(&others).iter().all(adopted));
    for (adoptee, codes) in users {
        for code in codes.as_array().unwrap().iter().take(4) {
            site.set(code["at"].as_u64().unwrap_or(NOW).max(NOW));
            assert_ne!(site.verify(&adoptee.user, text(code, "code")), Answer::Accepted, "{}", adoptee.user);
        }
        site.set(NOW);
    }
}

fn totp(user: &str, secret: &Secret, algorithm: &str, digits: u64, period: u64) -> KeyUri {
    KeyUri::totp("Old", user, secret)
        .unwrap()
        .with_algorithm(algorithm_of(algorithm))
        .with_digits(digits_of(digits))
        .with_period(Period::new(u32::try_from(period).unwrap()).unwrap())
        .unwrap()
}

fn digits_of(digits: u64) -> Digits {
    Digits::new(u8::try_from(digits).unwrap()).unwrap()
}

fn algorithm_of(name: &str) -> Algorithm {
    match name {
        "SHA1" | "HmacSHA1" => Algorithm::Sha1,
        "SHA256" | "HmacSHA256" => Algorithm::Sha256,
        "SHA512" | "HmacSHA512" => Algorithm::Sha512,
        other => panic!("{other}"),
    }
}

#[test]
fn totp_rs() {
    let file = data("rows/totp_rs");
    for column in ["totp_secret", "totp_url"] {
        let convert = |entry: &'_ Value| {
            let row = &entry["row"];
            let uri = match column {
                "totp_url" => KeyUri::parse_lenient(text(row, column)).unwrap().0,
                _ => {
                    // Its settings are in the source of the application.
                    let (algorithm, digits, period) =
                        if number(row, "id") == 2 { ("SHA256", 8, 60) } else { ("SHA1", 6, 30) };
                    let secret = Secret::from_base32(text(row, column)).unwrap();
                    totp(text(row, "email"), &secret, algorithm, digits, period)
                }
            };
            Adoptee { user: row["id"].to_string(), uri, last_used: row["totp_last_step"].as_u64(), name: String::new() }
        };
        let users: Vec<_> = rows(&file, "rows").iter().map(|entry| (convert(entry), &entry["codes"])).collect();
        assert_eq!(users.len(), 3);
        take_over(&users);
    }
}

#[test]
fn django_otp() {
    let file = data("rows/django_otp");
    let user = |row: &Value| row["user_id"].to_string();
    let key = |row: &Value| Secret::from_bytes(&hex(text(row, "key"))).unwrap();
    let (mut users, mut left) = (Vec::new(), Vec::new());
    for entry in rows(&file, "totp") {
        let row = &entry["row"];
        if number(row, "confirmed") == 0 || number(row, "t0") != 0 {
            left.push(user(row));
            continue;
        }
        let uri = totp(&user(row), &key(row), "SHA1", number(row, "digits"), number(row, "step"));
        // -1 if no code was used.
        users.push((
            Adoptee { user: user(row), uri, last_used: row["last_t"].as_u64(), name: String::new() },
            &entry["codes"],
        ));
    }
    assert_eq!((users.len(), left), (4, vec!["5".to_owned(), "6".to_owned()]));
    take_over(&users);

    let mut users = Vec::new();
    for entry in rows(&file, "hotp") {
        let row = &entry["row"];
        let uri = KeyUri::hotp("Old", "x", &key(row), number(row, "counter")).unwrap();
        let uri = uri.with_digits(digits_of(number(row, "digits")));
        users.push((Adoptee { user: user(row), uri, last_used: None, name: String::new() }, &entry["codes"]));
    }
    assert_eq!(users.len(), 2);
    take_over(&users);
}

#[test]
fn better_auth() {
    let file = data("rows/better_auth");
    let (mut users, mut left) = (Vec::new(), Vec::new());
    for entry in rows(&file, "rows") {
        let user = text(&entry["row"], "userId");
        if number(&entry["row"], "verified") == 0 {
            left.push(text(&entry["user"], "email"));
            continue;
        }
        let secret = match text(entry, "decrypted").split_once(':') {
            Some(("base32", secret)) => Secret::from_base32(secret).unwrap(),
            _ => Secret::from_bytes(text(entry, "decrypted").as_bytes()).unwrap(),
        };
        users.push((
            Adoptee {
                user: user.into(),
                uri: totp(user, &secret, "SHA1", 6, 30),
                last_used: None,
                name: String::new(),
            },
            &entry["codes"],
        ));
        // The URI in the QR code that the user scanned has the same secret.
        if let Some(shown) = entry["totpURI"].as_str() {
            assert!(KeyUri::parse_lenient(shown).unwrap().0.secret() == &secret);
        }
    }
    assert_eq!((users.len(), left), (3, vec!["carol@example.com"]));
    take_over(&users);
}

#[test]
fn devise_two_factor() {
    let file = data("rows/devise_two_factor");
    let entries = rows(&file, "rows").iter().filter(|entry| entry["row"]["otp_required_for_login"] == true);
    let convert = |row: &Value| {
        let secret = Secret::from_base32(text(row, "otp_secret")).unwrap();
        let uri = totp(text(row, "email"), &secret, "SHA1", 6, 30);
        // The step of the login, whose code may be that of the next step.
        let last_used = row["consumed_timestep"].as_u64().map(|step| step + 1);
        Adoptee { user: row["id"].to_string(), uri, last_used, name: String::new() }
    };
    let users: Vec<_> = entries.map(|entry| (convert(&entry["row"]), &entry["codes"])).collect();
    assert_eq!(users.len(), 2);
    take_over(&users);
}

#[test]
fn fortify() {
    let file = data("rows/fortify");
    let entries = rows(&file, "rows").iter().filter(|entry| !entry["row"]["two_factor_confirmed_at"].is_null());
    let convert = |row: &Value| {
        let secret = Secret::from_base32(text(row, "two_factor_secret")).unwrap();
        Adoptee {
            user: row["id"].to_string(),
            uri: totp("x", &secret, "SHA1", 6, 30),
            last_used: None,
            name: String::new(),
        }
    };
    let users: Vec<_> = entries.map(|entry| (convert(&entry["row"]), &entry["codes"])).collect();
    assert_eq!(users.len(), 2);
    assert_eq!(users[0].0.uri.secret().expose_bytes().len(), 10, "80 bits");
    take_over(&users);
}

#[test]
fn keycloak() {
    let file = data("rows/keycloak");
    let convert = |row: &Value| {
        let json = |column| serde_json::from_str::<Value>(text(row, column)).unwrap();
        let (secret, settings) = (json("secret_data"), json("credential_data"));
        let secret = match settings["secretEncoding"].as_str() {
            Some("BASE32") => Secret::from_base32(text(&secret, "value")).unwrap(),
            None => Secret::from_bytes(text(&secret, "value").as_bytes()).unwrap(),
            other => panic!("{other:?}"),
        };
        let (user, algorithm, digits) =
            (text(row, "user_id"), text(&settings, "algorithm"), number(&settings, "digits"));
        let uri = match text(&settings, "subType") {
            "totp" => totp(user, &secret, algorithm, digits, number(&settings, "period")),
            _ => KeyUri::hotp("Old", user, &secret, number(&settings, "counter"))
                .unwrap()
                .with_algorithm(algorithm_of(algorithm))
                .with_digits(digits_of(digits)),
        };
        Adoptee { user: user.into(), uri, last_used: None, name: String::new() }
    };
    let users: Vec<_> = rows(&file, "rows").iter().map(|entry| (convert(&entry["row"]), &entry["codes"])).collect();
    assert_eq!(users.len(), 3);
    take_over(&users);
}

#[test]
fn authelia() {
    let file = data("rows/authelia");
    let convert = |row: &Value| {
        let secret = Secret::from_base32(text(row, "secret")).unwrap();
        let (algorithm, digits, period) = (text(row, "algorithm"), number(row, "digits"), number(row, "period"));
        let user = text(row, "username");
        Adoptee {
            user: user.into(),
            uri: totp(user, &secret, algorithm, digits, period),
            last_used: None,
            name: String::new(),
        }
    };
    let users: Vec<_> = rows(&file, "rows").iter().map(|entry| (convert(&entry["row"]), &entry["codes"])).collect();
    assert_eq!(users.len(), 2);
    take_over(&users);
}

/// Its key file has the settings and the next counter of HOTP tokens, under the serial number. The row has the user,
/// and for TOTP, the last step that was used.
#[test]
fn privacyidea() {
    let file = data("rows/privacyidea");
    let tokens = pskc::parse(text(&file, "file").as_bytes(), Unlock::Key(&hex(text(&file, "key")))).unwrap();
    let by_serial: BTreeMap<String, KeyUri> =
        tokens.into_iter().map(Result::unwrap).map(|uri| (uri.account().to_owned(), uri)).collect();
    let convert = |row: &Value| {
        let serial = text(row, "serial");
        let uri = by_serial[serial].clone();
        let last_used = uri.period().map(|_| number(row, "count"));
        assert_eq!(uri.counter(), last_used.is_none().then(|| number(row, "count")));
        Adoptee { user: serial.into(), uri, last_used, name: String::new() }
    };
    let users: Vec<_> = rows(&file, "rows").iter().map(|entry| (convert(&entry["row"]), &entry["codes"])).collect();
    assert_eq!(users.len(), 3);
    take_over(&users);
}
