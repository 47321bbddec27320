use std::collections::BTreeSet;

use keyfob::{Algorithm, Digits, Effect, KeyUri, Period, Secret};

#[test]
fn lint_names_apps_and_effects() {
    let secret = Secret::generate_for(Algorithm::Sha512);
    let plain = || KeyUri::totp("Example", "alice@example.com", &secret).unwrap();
    let finds = |uri: &KeyUri, app: &str, effect: Effect| {
        uri.lint()
            .iter()
            .any(|finding| finding.app() == app && finding.effect() == effect && !finding.reason().is_empty())
    };
    assert_eq!(plain().lint().len(), 0);
    let steam_link = || KeyUri::parse_lenient(&format!("steam://{}", *secret.expose_base32())).unwrap().0;
    let period = |seconds| plain().with_period(Period::new(seconds).unwrap()).unwrap();
    let colon = format!("otpauth://totp/a:b:c?secret={}&issuer=a", *secret.expose_base32());
    let colon = || KeyUri::parse_lenient(&colon).unwrap().0;
    let cases = [
        (plain().with_algorithm(Algorithm::Sha256), "Microsoft Authenticator", Effect::WrongCode),
        (plain().with_algorithm(Algorithm::Sha512), "YubiKey with firmware before 4.3.1", Effect::Refused),
        (plain().with_digits(Digits::Eight), "Okta Verify", Effect::WrongCode),
        (plain().with_digits(Digits::Seven), "Authy", Effect::WrongCode),
        (period(60), "Duo Mobile", Effect::WrongCode),
        (period(301), "Apple Passwords", Effect::WrongCode),
        (KeyUri::hotp("Example", "a", &secret, 0).unwrap(), "Bitwarden", Effect::WrongCode),
        (KeyUri::totp("Steam", "a", &secret).unwrap(), "Ente Auth", Effect::WrongCode),
        (
            KeyUri::totp("E", "a", &Secret::from_bytes(&[1; 15]).unwrap()).unwrap(),
            "FreeOTP for Android",
            Effect::Refused,
        ),
        (KeyUri::hotp("E", "a", &secret, 1 << 31).unwrap(), "Stratum", Effect::Refused),
        (KeyUri::totp(&"E".repeat(40), &"a".repeat(40), &secret).unwrap(), "YubiKey", Effect::Refused),
        (KeyUri::totp("AT&T", "a", &secret).unwrap(), "Stratum", Effect::Mislabeled),
        (KeyUri::totp("", "a", &secret).unwrap(), "Microsoft Authenticator", Effect::Mislabeled),
        (plain().with_label_issuer("Other").unwrap(), "Aegis", Effect::Mislabeled),
        // Some apps look at the prefix only.
        (plain().with_label_issuer("Steam").unwrap(), "Stratum", Effect::WrongCode),
        (plain().with_label_issuer("AT&T").unwrap(), "2FAS for Android", Effect::Mislabeled),
        (plain().with_label_issuer(&"E".repeat(31)).unwrap(), "2FAS for Android", Effect::Mislabeled),
        (KeyUri::steam("Example", "a", &secret).unwrap(), "Bitwarden", Effect::WrongCode),
        (KeyUri::steam("Example", "a", &secret).unwrap(), "Google Authenticator", Effect::Refused),
        (steam_link(), "YubiKey", Effect::Refused),
        (KeyUri::steam("Example", "a", &secret).unwrap(), "FreeOTP for Android", Effect::WrongCode),
        (period(4), "FreeOTP for Android", Effect::Refused),
        (KeyUri::hotp("Example", "a", &secret, 0).unwrap(), "Apple Passwords", Effect::Refused),
        (KeyUri::hotp("E", "a", &secret, (1 << 53) + 1).unwrap(), "apps written in JavaScript", Effect::WrongCode),
        (colon(), "FreeOTP for Android", Effect::Refused),
        (colon(), "FreeOTP for iOS", Effect::Mislabeled),
        (KeyUri::totp("E", &"a".repeat(200), &secret).unwrap(), "cameras of older phones", Effect::Refused),
    ];
    assert!(!finds(&period(5), "FreeOTP for Android", Effect::Refused));
    assert!(!finds(
        &KeyUri::hotp("E", "a", &secret, 1 << 53).unwrap(),
        "apps written in JavaScript",
        Effect::WrongCode
    ));
    // Every row of the table has a case of its own above.
    let rows = include_str!("../../../src/uri/lint.rs").split_once("static TABLE: [Rule; ").unwrap().1;
    let rows: usize = rows.split_once(']').unwrap().0.parse().unwrap();
    let tested = |(uri, app, effect): &(KeyUri, &str, Effect)| {
        let findings = uri.lint();
        let reasons = findings.iter().filter(|finding| finding.app() == *app && finding.effect() == *effect);
        reasons.map(|finding| finding.reason()).collect::<Vec<_>>()
    };
    assert_eq!(cases.iter().flat_map(tested).collect::<BTreeSet<_>>().len(), rows);
    assert!(!finds(&steam_link(), "Bitwarden", Effect::WrongCode));
    for (uri, app, effect) in &cases {
        assert!(finds(uri, app, *effect), "{app} {effect:?} {:?}", uri.lint());
        let effects: Vec<Effect> = uri.lint().iter().map(|finding| finding.effect()).collect();
        assert!(effects.is_sorted());
    }
    // A name of exactly what a YubiKey stores.
    let at = |account: usize| KeyUri::totp("E", &"a".repeat(account), &secret).unwrap();
    assert!(!finds(&at(62), "YubiKey", Effect::Refused) && finds(&at(63), "YubiKey", Effect::Refused));
    let sixty = |account: usize| at(account).with_period(Period::new(60).unwrap()).unwrap();
    assert!(!finds(&sixty(59), "YubiKey", Effect::Refused) && finds(&sixty(60), "YubiKey", Effect::Refused));
}
