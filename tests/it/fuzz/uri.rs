//! `otpauth` URIs: strict is lenient without a warning, and what was read is written and read again.

use keyfob::guard::Setup;
use keyfob::{KeyUri, Warning};

pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (strict, lenient) = (KeyUri::parse(text), KeyUri::parse_lenient(text));
    let clean = lenient.as_ref().is_ok_and(|(_, warnings)| warnings.is_empty());
    assert_eq!(strict.is_ok(), clean);
    let Ok((uri, _)) = lenient else { return };
    if let Ok(strict) = strict {
        assert!(strict == uri);
    }
    law(&uri);
}

/// Of every URI, wherever it came from.
pub fn law(uri: &KeyUri) {
    let written = uri.to_uri();
    assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
    let (again, warnings) = KeyUri::parse_lenient(&written).unwrap();
    assert!(again == *uri && again.to_uri() == written);
    let all = uri.clone().with_defaults_written();
    assert!(KeyUri::parse_lenient(&all.to_uri()).unwrap().0 == *uri);
    assert!(warnings.iter().all(|warning| matches!(warning, Warning::Colon | Warning::SteamLink)), "{warnings:?}");

    let kinds = [uri.to_totp().is_some(), uri.to_hotp().is_some(), uri.to_steam().is_some()];
    assert_eq!(kinds.iter().filter(|is| **is).count(), 1);
    assert_eq!([uri.period().is_some(), uri.counter().is_some()], [kinds[0], kinds[1]]);
    assert_eq!(Setup::import(uri).is_err(), kinds[2]);
    assert!(keyfob::Secret::from_base32(&uri.manual_entry()).unwrap() == *uri.secret());
    if let Some(totp) = uri.to_totp() {
        assert_eq!((totp.algorithm(), totp.digits()), (uri.algorithm(), uri.digits()));
        assert!(totp.verify(&totp.code_at(u64::MAX), u64::MAX, keyfob::Window::default()).is_some());
    }
    uri.lint().into_iter().for_each(|finding| assert!(!finding.app().is_empty()));
}
