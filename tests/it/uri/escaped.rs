//! URIs that a page or a program escaped once too often: read with a warning, or refused, and never with other settings
//! than they have.

use keyfob::{Algorithm, ErrorKind, KeyUri, Secret, Warning};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// All settings are read, with this warning alone, and strictly it is refused.
#[track_caller]
fn is_read(text: &str) -> KeyUri {
    let (uri, warnings) = KeyUri::parse_lenient(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(warnings, [Warning::HtmlEscape], "{text}");
    let error = KeyUri::parse(text).unwrap_err();
    assert_eq!(error.to_string(), Warning::HtmlEscape.to_string(), "{text}");
    assert_eq!(*uri.secret().expose_base32(), SECRET, "{text}");
    // What was read is written as it should have been.
    assert_eq!(KeyUri::parse(&uri.to_uri()).unwrap(), uri, "{text}");
    uri
}

#[track_caller]
fn is_refused(text: &str) {
    let errors =
        [KeyUri::parse_lenient(text).map(|(uri, _)| uri), KeyUri::parse(text)].map(|read| read.expect_err(text));
    for error in errors {
        assert!([ErrorKind::Uri, ErrorKind::Secret, ErrorKind::Digits, ErrorKind::Period].contains(&error.kind()));
        assert!(!error.to_string().contains("GEZD") && !error.to_string().contains("approval"), "{text}: {error}");
    }
}

/// The plain URI's settings.
fn has_all_settings(uri: &KeyUri) -> bool {
    let totp = uri.to_totp().unwrap();
    (totp.algorithm(), totp.digits().get(), totp.period().seconds()) == (Algorithm::Sha256, 8, 60)
        && (uri.issuer(), uri.account()) == (Some("Example"), "al")
        && uri.other_parameters().next().is_none()
}

#[test]
fn each_spelling_of_the_ampersand() {
    let plain = format!("otpauth://totp/Example:al?secret={SECRET}&issuer=Example&algorithm=SHA256&digits=8&period=60");
    assert!(has_all_settings(&KeyUri::parse(&plain).unwrap()));
    for spelling in [
        "&amp;",
        "&AMP;",
        "&Amp;",
        "&#038;",
        "&#38;",
        "&#0038;",
        "&#x26;",
        "&#X26;",
        "&#x0026;",
        "&amp;amp;",
        "&#38;amp;",
        "&amp;amp;amp;",
        "&amp;#038;",
        "&#x26;#x26;",
        "&amp",
        "&AMP",
        "&#38",
        "&#038",
        "&#x26",
        "&#X026",
        "&amp;&",
        "&&amp;",
    ] {
        assert!(has_all_settings(&is_read(&plain.replace('&', spelling))), "{spelling}");
        // In front of one parameter alone.
        for name in ["issuer", "algorithm", "digits", "period"] {
            let text = plain.replace(&format!("&{name}"), &format!("{spelling}{name}"));
            assert!(has_all_settings(&is_read(&text)), "{text}");
        }
        let secret_last =
            format!("otpauth://totp/Example:al?issuer=Example&algorithm=SHA256&digits=8&period=60&secret={SECRET}");
        assert!(has_all_settings(&is_read(&secret_last.replace('&', spelling))), "{spelling}");
        let begins = plain.replace('?', &format!("?{spelling}"));
        assert!(has_all_settings(&is_read(&begins)), "{begins}");

        let hotp = format!("otpauth://hotp/Example:al?counter=7{spelling}secret={SECRET}{spelling}digits=8");
        assert_eq!((is_read(&hotp).counter(), is_read(&hotp).digits().get()), (Some(7), 8), "{hotp}");
        let hotp = format!("otpauth://hotp/Example:al?secret={SECRET}{spelling}counter=7");
        assert_eq!(is_read(&hotp).counter(), Some(7), "{hotp}");
        let steam = format!("otpauth://totp/Example:al?secret={SECRET}{spelling}encoder=steam");
        assert!(is_read(&steam).to_steam().is_some(), "{steam}");
    }
    // Names of parameters in another case have a warning of their own.
    let text = plain.replace('&', "&amp").replace("digits", "Digits");
    let (uri, warnings) = KeyUri::parse_lenient(&text).unwrap();
    assert!(has_all_settings(&uri));
    assert_eq!(warnings, [Warning::HtmlEscape, Warning::ParameterSpelling]);
}

/// Templates escape more than the ampersand: `=`, `/`, or all that is neither letter nor digit.
#[test]
fn more_than_the_ampersand() {
    let plain = format!("otpauth://totp/Example:al?secret={SECRET}&issuer=Example&algorithm=SHA256&digits=8&period=60");
    let mustache = plain.replace('&', "&amp;").replace('=', "&#x3D;").replace('/', "&#x2F;");
    let named = plain.replace('&', "&amp;").replace(':', "&colon;").replace('/', "&sol;").replace('?', "&quest;");
    let named = named.replace('=', "&equals;");
    let all = |hex: bool| -> String {
        let escape = |c: char| match c {
            c if c.is_ascii_alphanumeric() => c.to_string(),
            c if hex => format!("&#x{:x};", u32::from(c)),
            c => format!("&#{};", u32::from(c)),
        };
        plain.chars().map(escape).collect()
    };
    let equals = plain.replace('&', "&amp").replace('=', "&#61;");
    for text in [mustache.clone(), named, all(true), all(false), equals, mustache.replace('&', "&amp;")] {
        assert!(has_all_settings(&is_read(&text)), "{text}");
    }
    let percent = format!("otpauth://totp/Example%20Inc:al?secret={SECRET}").replace('%', "&#37;");
    assert_eq!(is_read(&percent).issuer(), Some("Example Inc"));
}

#[test]
fn an_ampersand_in_a_name_stays_there() {
    for (names, issuer, account) in [
        ("AT&amp;T:al?secret=K", "AT&T", "al"),
        ("Example:R&amp;D?secret=K", "Example", "R&D"),
        ("Johnson%20&amp;%20Johnson:al?secret=K&issuer=Johnson%20&amp;%20Johnson", "Johnson & Johnson", "al"),
        ("al?secret=K&issuer=AT&amp;T", "AT&T", "al"),
        ("al?issuer=AT&amp;T&secret=K", "AT&T", "al"),
        ("al?issuer=AT&amp;T&amp;secret=K", "AT&T", "al"),
        ("al?issuer=A&#38;B&amp;C&amp;secret=K", "A&B&C", "al"),
        ("O&#39;Neil:al?secret=K", "O'Neil", "al"),
        ("&quot;A&quot;:al?secret=K&issuer=&quot;A&quot;", "\"A\"", "al"),
        ("a&lt;b:al?secret=K&amp;issuer=a&lt;b", "a<b", "al"),
    ] {
        let uri = is_read(&format!("otpauth://totp/{}", names.replace("=K", &format!("={SECRET}"))));
        assert_eq!((uri.issuer(), uri.account()), (Some(issuer), account), "{names}");
        assert_eq!(uri.other_parameters().count(), 0, "{names}");
    }
    let (uri, warnings) =
        KeyUri::parse_lenient(&format!("otpauth://totp/Johnson &amp; Johnson:al?secret={SECRET}&digits=8")).unwrap();
    assert_eq!((uri.issuer(), uri.digits().get()), (Some("Johnson & Johnson"), 8));
    assert_eq!(warnings, [Warning::HtmlEscape, Warning::RawCharacter]);
    // A name that was percent-encoded is the one that the writer meant.
    let text = format!("otpauth://totp/a%26amp%3Bb:al?secret={SECRET}&issuer=a%26amp%3Bb");
    assert_eq!(KeyUri::parse(&text).unwrap().issuer(), Some("a&amp;b"));
    // An app's parameter is none of these.
    let uri = is_read(&format!("otpauth://totp/a?secret={SECRET}&amp;image=x&amp;lock"));
    assert!(uri.other_parameters().eq([("image", "x"), ("lock", "")]));
    let text = format!("otpauth://totp/a?secret={SECRET}&amplitude=3&lt=4&amp=5&amprenewal=6&#");
    let (uri, warnings) = KeyUri::parse_lenient(&text).unwrap();
    assert_eq!((uri.other_parameters().count(), warnings.as_slice()), (5, &[Warning::RawCharacter][..]));
}

/// Whatever looks like a parameter that keyfob knows is read or refused.
#[test]
fn a_parameter_that_is_not_separated_is_refused() {
    for rest in [
        "secret=K;digits=8",
        "secret=K;issuer=Example;algorithm=SHA256",
        "issuer=Example;secret=K",
        "secret=K&issuer=Example;digits=8",
        "secret=K&issuer=Example;Digits=8",
        "secret=K&image=x;digits=8",
        "secret=K?digits=8",
        "secret=K&issuer=Example?digits=8",
        "secret=K&issuer=Example#digits=8",
        "issuer=Example%26secret=K",
        "issuer=Example%26amp%3Bsecret=K",
        "issuer=Example%26amp%3Bsecret%3DK",
        "secret=K%26amp%3Bdigits=8",
        "secret=K%26amp%3Bdigits%3D8",
        "secret=K%26digits=8",
        "secret=K&issuer=Example%26amp%3Bdigits=8",
        "secret=K&issuer=Example%26amp%3Bdigits%3D8",
        "secret=K&issuer=Example%26amp%3B%20digits%3D8",
        "secret=K&issuer=Example%26%23038%3Bdigits%3D8",
        "secret=K&issuer=Example%26digits=8",
        "secret=K&issuer=Example%26ampdigits=8",
        "secret=K&issuer=Example%26%2338digits=8",
        "secret=K&issuer=Example%3Bdigits=8",
        "secret=K&encoder=x%26digits=8",
        "secret=K&encoder=steam%26amp%3Bdigits=8",
        "secret=K&algorithm=SHA1%26amp%3Bdigits=8",
        "secret=K&period=30%26amp%3Bdigits=8",
        "secret=K&image=x%26amp%3Bdigits=8",
        "secret=K&image=x%26amp%3Bdigits%3D8",
        "secret=K&image=x%26digits=8",
        // Remains of an escaped separator in the name.
        "secret=K&amp%3Bdigits=8",
        "secret=K&amp%3Bamp%3Bdigits=8",
        "secret=K&#038%3Bdigits=8",
        "secret=K&%23038%3Bdigits=8",
        "secret=K&%2338digits=8",
        "secret=K&%23x26digits=8",
        "secret=K&x26%3Bdigits=8",
        "secret=K&%26digits=8",
        "secret=K&%61mpdigits=8",
        "secret=K&%61mpDigits=8",
        "secret=K&unknown;digits=8",
        "secret=K&digits;=8",
        "secret=K&period;com",
        "secret=K&digits%5B%5D=8",
        "secret=K&-digits=8",
        "secret=K&+digits=8",
        "secret=K&%E2%80%8Bdigits=8",
        "secret=K&di%C2%ADgits=8",
        "secret=K&digits%3D=8",
        "secret=K&?digits=8",
        "?secret=K&digits=8",
        "amp;secret=K&digits=8",
        "#038;secret=K",
        "ampsecret=K",
        // The page's quotes around it.
        "secret=K&quot;",
        "secret=K&amp;digits=8&quot;",
        "secret=K&amp;period=60&#34;",
    ] {
        is_refused(&format!("otpauth://totp/Example:al?{}", rest.replace("=K", &format!("={SECRET}"))));
    }
    for label in
        ["al&digits=8", "al%26digits=8", "al;digits=8", "al%26amp%3Bdigits%3D8", "a&amp;digits=8:al", "al&period=60"]
    {
        is_refused(&format!("otpauth://totp/{label}?secret={SECRET}"));
    }
    is_refused(&format!("otpauth://totp/Example:al&secret={SECRET}"));
    is_refused(&format!("&quot;otpauth://totp/Example:al?secret={SECRET}&amp;digits=8&quot;"));
    is_refused(&format!("steam://{SECRET}&amp;digits=8"));
}

/// Spaces around the name of a parameter mean nothing.
#[test]
fn spaces_around_a_name() {
    for name in ["%20digits", "digits%20", "%09digits%0A", "%C2%A0Digits"] {
        let (uri, warnings) = KeyUri::parse_lenient(&format!("otpauth://totp/al?secret={SECRET}&{name}=8")).unwrap();
        assert_eq!((uri.digits().get(), warnings.as_slice()), (8, &[Warning::ParameterSpelling][..]), "{name}");
    }
    let text = format!("otpauth://totp/al?secret={SECRET}&issuer=a& issuer=b");
    assert_eq!(KeyUri::parse_lenient(&text).unwrap_err().kind(), ErrorKind::Uri);
}

/// What the readers refuse is not written, and what only looks like it is.
#[test]
fn names_and_parameters_that_would_not_come_back() {
    let secret = Secret::generate();
    for name in ["Example&amp;digits=8", "a;Period=60", "a&#038;secret=x", "a; counter = 3"] {
        assert_eq!(KeyUri::totp(name, "al", &secret).unwrap_err().kind(), ErrorKind::Uri, "{name}");
        assert_eq!(KeyUri::totp("Example", name, &secret).unwrap_err().kind(), ErrorKind::Uri, "{name}");
        let uri = KeyUri::totp("Example", "al", &secret).unwrap();
        assert_eq!(uri.clone().with_label_issuer(name).unwrap_err().kind(), ErrorKind::Uri, "{name}");
        assert_eq!(uri.with_parameter("x", name).unwrap_err().kind(), ErrorKind::Uri, "{name}");
    }
    for name in [" digits", "Digits ", "amp;digits", "#038;period", "ampsecret", "x26issuer", "digits[]", "-counter"] {
        let uri = KeyUri::totp("Example", "al", &secret).unwrap();
        assert_eq!(uri.with_parameter(name, "8").unwrap_err().kind(), ErrorKind::Uri, "{name}");
    }
    for name in
        ["a&b;c", "AT&amp;T", "a&digits=8", "a?period=60", "digits=8", "a;digit=8", "no;xdigits=8", "&amp;", "a=b;c=d"]
    {
        let uri = KeyUri::totp(name, name, &secret).unwrap().with_parameter("x", name).unwrap();
        assert_eq!(KeyUri::parse(&uri.to_uri()).unwrap(), uri, "{name}");
    }
    for name in ["amp;x", "amplitude", "x-issuer", "digit", "secrets", "amp", "&amp;", "38", "lock"] {
        let uri = KeyUri::totp("a", "b", &secret).unwrap().with_parameter(name, "8").unwrap();
        assert_eq!(KeyUri::parse(&uri.to_uri()).unwrap(), uri, "{name}");
    }
}

#[test]
fn long_texts_take_no_long_time() {
    for piece in
        ["&amp;", "&amp;amp;", "&ampdigits", "&#38", "&amp;issuer=", "=", ";digits=", "&#x3D;", "&issuer=a&amp;b"]
    {
        let text = format!("otpauth://totp/al?secret={SECRET}&issuer={}", piece.repeat(16_000 / piece.len()));
        let _ = KeyUri::parse_lenient(&text);
    }
}

proptest::proptest! {
    /// Escaped for a page, whole or in its ampersands, a URI means the same or is refused.
    #[test]
    fn escaping_changes_nothing(
        issuer in "[^:;\\p{Cc}]{0,8}",
        account in "[^:;\\p{Cc} ][^:;\\p{Cc}]{0,8}",
        period in 1u32..100,
        times in 1usize..3,
        all in proptest::prelude::any::<bool>(),
    ) {
        let uri = KeyUri::totp(&issuer, &account, &Secret::from_base32(SECRET).unwrap()).unwrap();
        let uri = uri.with_period(keyfob::Period::new(period).unwrap()).unwrap().with_defaults_written();
        let escape = |text: &str| {
            let escape = |c: char| match c {
                '&' => "&amp;".to_owned(),
                '=' | '/' | '%' | '?' if all => format!("&#{};", u32::from(c)),
                c => c.to_string(),
            };
            text.chars().map(escape).collect::<String>()
        };
        let text = (0..times).fold(uri.to_uri().to_string(), |text, _| escape(&text));
        proptest::prop_assert_eq!(&KeyUri::parse_lenient(&text).unwrap(), &(uri, vec![Warning::HtmlEscape]));
    }
}
