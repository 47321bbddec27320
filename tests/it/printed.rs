//! `Debug` of every public type and the text of every error, searched for what must not be there.

use std::ops::ControlFlow;

use keyfob::*;

use crate::oracle;

#[test]
fn nothing_printed_holds_a_secret_or_a_code() {
    let secret = Secret::from_bytes(SECRET).unwrap();
    let totp = Totp::new(&secret);
    let steam = Steam::new(&secret);
    let uri = KeyUri::totp("Example Inc", "alice@example.com", &secret).unwrap();
    let qr = uri.qr().unwrap();
    let steam_code = steam.code_at(59);

    let mut printed = Vec::new();
    let mut show = |value: &dyn std::fmt::Debug| {
        assert_ne!(format!("{value:?}"), "");
        printed.push(format!("{value:?} {value:#?}"));
    };
    show(&secret);
    show(&Key::from(&secret));
    show(&secret.expose_base32());
    show(&base32::encode(SECRET));
    show(&base32::decode(BASE32).unwrap());
    show(&totp);
    show(&Hotp::new(&secret));
    show(&steam);
    show(&totp.code_at(59));
    show(&steam_code);
    show(&uri);
    show(&uri.to_uri());
    show(&uri.manual_entry());
    show(&qr);
    show(&qr.terminal());
    show(&qr.svg());
    show(&KeyUri::parse_lenient(&uri.to_uri().to_uppercase()));
    show(&uri.clone().with_algorithm(Algorithm::Sha256).lint());
    let found = search::counters(&Hotp::new(&secret), [&totp.code_at(59)], 0..=2, |_| ControlFlow::Continue(()));
    show(&(&found.unwrap(), search::Stopped));
    show(&(Algorithm::Sha1, Digits::Six, Period::default(), Window::default(), LookAhead::default()));
    show(&(Step::new(1), Strength::Weak, ErrorKind::Code));

    let errors: [Error; 17] = [
        Code::parse(&format!("{CODE}x")).unwrap_err().into(),
        Code::parse(&format!("{CODE}{CODE}")).unwrap_err().into(),
        SteamCode::parse(&format!("{steam_code}{steam_code}")).unwrap_err().into(),
        Secret::from_base32(&format!("{BASE32}A")).unwrap_err(),
        Secret::from_base32(&format!("{BASE32}0")).unwrap_err(),
        Secret::from_base32(&format!("{BASE32}=A")).unwrap_err(),
        Secret::from_base32(&BASE32.repeat(100)).unwrap_err(),
        Secret::from_bytes(&SECRET[..9]).unwrap_err(),
        KeyUri::totp(&format!(":{BASE32}"), CODE, &secret).unwrap_err(),
        KeyUri::totp(BASE32, &format!("{CODE}\n"), &secret).unwrap_err(),
        KeyUri::totp(BASE32, "", &secret).unwrap_err(),
        KeyUri::totp(&BASE32.repeat(32), &BASE32.repeat(32), &secret).unwrap().qr().unwrap_err(),
        KeyUri::hotp("a", "b", &secret, 0).unwrap().with_period(Period::default()).unwrap_err(),
        Period::new(0).unwrap_err(),
        KeyUri::parse(&format!("otpauth://totp/a?secret={BASE32}&algorithm={BASE32}")).unwrap_err(),
        KeyUri::parse(&format!("otpauth://{BASE32}/a?secret={BASE32}")).unwrap_err(),
        KeyUri::parse(&format!("{BASE32}://totp/a?secret={BASE32}")).unwrap_err(),
    ];
    for error in errors {
        assert!(!error.to_string().is_empty());
        printed.push(format!("{error} {error:?} {error:#?}"));
    }

    assert_eq!(totp.code_at(59).to_string(), CODE);
    let steam_code = steam_code.to_string();
    // What is kept instead of the secret, and codes of it, as numbers.
    let mut numbers: Vec<String> =
        [0x36, 0x5c].iter().flat_map(|pad| oracle::sha1_state(SECRET, *pad)).map(|n| n.to_string()).collect();
    for counter in 0..3 {
        numbers.push(oracle::truncated(Algorithm::Sha1, SECRET, counter).to_string());
        numbers.push(oracle::code(Algorithm::Sha1, SECRET, counter, 6));
    }
    for line in &printed {
        for number in &numbers {
            assert!(!line.contains(number), "{number} in {line}");
        }
        for hidden in ["12345678", "31323334", "49, 50", "0x31", "GEZD", "secret=", "▀", CODE, "287, 82", &steam_code]
        {
            assert!(!line.contains(hidden), "{hidden:?} in {line}");
        }
    }
}

/// Where a text has numbers and words of its own, they stand in their order.
#[test]
fn errors_name_the_part_and_its_limits() {
    let secret = Secret::from_bytes(SECRET).unwrap();
    let uri = || KeyUri::totp("a", "b", &secret).unwrap();
    let long = "a".repeat(1025);
    for (error, text) in [
        (
            Secret::from_bytes(&SECRET[..9]).unwrap_err(),
            "a secret has at least 10 bytes (16 base32 characters), this one has 9",
        ),
        (Secret::from_bytes(&[0; 1025]).unwrap_err(), "a secret has at most 1024 bytes"),
        (LookAhead::new(11).unwrap_err(), "the look-ahead is at most 10 counters"),
        (Period::new(0).unwrap_err(), "the period is 1 to 86400 seconds; authenticator apps expect 30"),
        (Window::new(0, 11).unwrap_err(), "a window is at most 10 steps behind and 10 ahead"),
        (KeyUri::totp(&long, "b", &secret).unwrap_err(), "the issuer has more than 1024 bytes"),
        (KeyUri::totp("a", "b\n", &secret).unwrap_err(), "the account name contains a control character"),
        (KeyUri::parse(&" ".repeat(16385)).unwrap_err(), "a URI has at most 16384 bytes"),
        (
            uri().with_parameter("image", &"a".repeat(6000)).unwrap_err(),
            "a URI has at most 64 parameters beyond the usual ones, with 5120 bytes in all",
        ),
        (uri().qr().unwrap().png(41).unwrap_err(), "the side of a module is 1 to 40 pixels"),
        (
            Qr::new(&"a".repeat(2332)).unwrap_err(),
            "a QR code holds at most 2331 bytes and this text has 2332; shorten issuer or account",
        ),
        (import::parse(&vec![b' '; (16 << 20) + 1]).unwrap_err(), "a file has at most 16 MiB and 65536 accounts"),
    ] {
        assert_eq!(error.to_string(), text);
        assert!(format!("{error:?}").contains(text));
    }
    let error = base32::decode("GEZDGNBVGY3TQ0JQ").unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.position()),
        (
            "the character at position 14 of the secret is not one of A-Z and 2-7 \
             (0 and 1 are often a misread O and I or L, 8 a B, 9 a g)",
            Some(14)
        )
    );
}

#[test]
fn everything_crosses_threads() {
    fn crosses<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    crosses::<(Secret, Key<'_>, Hotp, Totp, Steam, Code, SteamCode, KeyUri, Qr, Terminal<'_>)>();
    crosses::<(Algorithm, Digits, Period, Window, LookAhead, Step, Strength)>();
    crosses::<(Error, ErrorKind, CodeError)>();
}

const SECRET: &[u8; 20] = b"12345678901234567890";
const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// Of the secret at 59 seconds.
const CODE: &str = "287082";
