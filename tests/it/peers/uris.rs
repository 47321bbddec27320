//! Accounts of all kinds, written by keyfob and read by other libraries, and the other way round.

use keyfob::{Algorithm, KeyUri, Period};
use serde_json::{Value, json};

use super::{Limits, accounts, converse, program};
use crate::{number, text};

/// What a library reads is what was written; what it writes is read, strictly, as the same account; its code is ours.
fn agree(peer: &str, limits: &Limits, program: &str, script: &str) {
    let accounts = accounts(300, limits);
    let lines = accounts.iter().map(|(uri, moment)| {
        let mut account = fields(uri);
        account["uri"] = json!(*uri.to_uri());
        account["moment"] = json!(moment);
        account.to_string()
    });
    let answers = converse(program, &[script], lines);
    assert_eq!(answers.len(), accounts.len());
    for ((uri, moment), answer) in accounts.iter().zip(&answers) {
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(answer["read"], fields(uri), "{peer} reads {}", *uri.to_uri());
        // A key of Yubico's makes the codes, and nothing writes URIs there.
        if peer != "yubikit" {
            let written = text(&answer, "uri");
            let read = KeyUri::parse(written).unwrap_or_else(|error| panic!("{peer} writes {written}: {error}"));
            assert!(read == *uri, "{peer} writes {written} for {}", *uri.to_uri());
            let own = match (uri.to_totp(), uri.to_hotp()) {
                (Some(totp), _) => totp.code_at(*moment),
                (None, hotp) => hotp.unwrap().code(uri.counter().unwrap()),
            };
            assert_eq!(text(&answer, "code"), own.to_string(), "{peer} at {moment} for {}", *uri.to_uri());
        } else {
            // What the lint says of a YubiKey is what Yubico's own code makes of it.
            let stored = number(&answer, "stored");
            let refused = |uri: &KeyUri| uri.lint().iter().any(|finding| finding.reason().contains("64 bytes"));
            let uri = uri.clone().with_algorithm(Algorithm::Sha1);
            assert_eq!(refused(&uri), stored > 64, "{}", *uri.to_uri());
        }
    }
}

fn fields(uri: &KeyUri) -> Value {
    json!({
        "type": if uri.period().is_some() { "totp" } else { "hotp" },
        "issuer": uri.issuer(),
        "account": uri.account(),
        "secret": *uri.secret().expose_base32(),
        "algorithm": uri.algorithm().to_string(),
        "digits": uri.digits().get(),
        "period": uri.period().map(Period::seconds),
        "counter": uri.counter(),
    })
}

#[test]
fn pyotp_agrees() {
    let Some(python) = program("python3", &["-c", "import pyotp"]) else { return };
    // Shorter secrets and longer periods are errors there.
    let limits = Limits { shortest_secret: 14, longest_period: 120, ..Limits::default() };
    agree("pyotp", &limits, &python, "tests/peers/uris_pyotp.py");
}

#[test]
fn yubikit_agrees() {
    let Some(python) = program("python3", &["-c", "import yubikit.oath"]) else { return };
    agree("yubikit", &Limits::default(), &python, "tests/peers/uris_yubikit.py");
}

#[test]
fn otpauth_agrees() {
    let Some(node) = program("node", &["-e", "require('otpauth')"]) else { return };
    // A counter is a number of JavaScript.
    let limits = Limits { largest_counter: (1 << 53) - 1, ..Limits::default() };
    agree("otpauth", &limits, &node, "tests/peers/uris_otpauth.cjs");
}

#[test]
fn otplib_agrees() {
    let Some(node) = program("node", &["-e", "require('otplib')"]) else { return };
    // Other secrets and longer periods are errors there, unless a caller allows for them.
    let limits =
        Limits { shortest_secret: 16, longest_secret: 64, longest_period: 3600, largest_counter: (1 << 53) - 1 };
    agree("otplib", &limits, &node, "tests/peers/uris_otplib.cjs");
}
