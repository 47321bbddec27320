use keyfob::{Code, CodeError, Digits, ErrorKind, SteamCode};

#[test]
fn every_code_of_six_digits_is_printed_as_it_was_typed() {
    for value in 0..1_000_000 {
        let text = format!("{value:06}");
        assert_eq!(Code::parse(&text).unwrap().to_string(), text);
    }
    for text in ["0000000", "9999999", "00000000", "99999999", "10000000", "01234567"] {
        assert_eq!(Code::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn what_people_type() {
    for (typed, canonical) in [
        ("012345", "012345"),
        (" 012 345\n", "012345"),
        ("012-345", "012345"),
        ("0 1 2 3 4 5", "012345"),
        ("012\u{a0}345", "012345"),
        ("012\u{202f}345\r\n", "012345"),
        ("\t012345", "012345"),
        ("０１２３４５", "012345"),
        ("０１２\u{3000}３４５", "012345"),
        ("０１２－３４５", "012345"),
        ("0 1 2 3 4 5 6 7", "01234567"),
    ] {
        let code = Code::parse(typed).unwrap();
        assert_eq!(code.to_string(), canonical, "{typed:?}");
        assert_eq!(usize::from(code.digits().get()), canonical.len());
    }
}

#[test]
fn what_is_no_code() {
    let long = " ".repeat(10_000_000);
    let many = "1".repeat(10_000_000);
    let longest = format!("123456{}", " ".repeat(58));
    assert!(Code::parse(&longest).is_ok());
    let longer = longest + " ";
    for (typed, error) in [
        ("", CodeError::Length),
        ("   ", CodeError::Length),
        ("12345", CodeError::Length),
        ("123456789", CodeError::Length),
        (&long, CodeError::Length),
        (&many, CodeError::Length),
        (&longer, CodeError::Length),
        ("12345a", CodeError::Character),
        ("+12345", CodeError::Character),
        ("1_2_3456", CodeError::Character),
        ("12345.6", CodeError::Character),
        ("123456\0", CodeError::Character),
        ("\u{202e}123456", CodeError::Character),
        ("123\u{200b}456", CodeError::Character),
        ("١٢٣٤٥٦", CodeError::Character),
        ("१२३४५६", CodeError::Character),
        ("①②③④⑤⑥", CodeError::Character),
        ("12345／", CodeError::Character),
        ("12345：", CodeError::Character),
        ("é12345", CodeError::Character),
    ] {
        assert_eq!(Code::parse(typed).unwrap_err(), error, "{:?}", &typed[..typed.len().min(20)]);
    }
}

#[test]
fn digits() {
    for digits in 0..=u8::MAX {
        match Digits::new(digits) {
            Ok(valid) => assert!((6..=8).contains(&digits) && valid.get() == digits),
            Err(error) => assert!(!(6..=8).contains(&digits) && error.kind() == ErrorKind::Digits),
        }
    }
    assert_eq!(Digits::default(), Digits::Six);
}

#[test]
fn printing_respects_the_format() {
    let code = Code::parse("012345").unwrap();
    assert_eq!(format!("{code:>8}|{code:<7}|"), "  012345|012345 |");
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_every_accepted_one_has_one_canonical_form(text in "\\PC{0,12}|[0-9 -]{0,14}") {
        if let Ok(code) = Code::parse(&text) {
            let canonical = code.to_string();
            proptest::prop_assert_eq!(canonical.len(), usize::from(code.digits().get()));
            proptest::prop_assert_eq!(Code::parse(&canonical).unwrap().to_string(), canonical);
        }
    }
}

#[test]
fn parsed_like_any_text() {
    for typed in ["012345", " 012-345\n", "０１２３４５６７"] {
        let code: Code = typed.parse().unwrap();
        assert_eq!(code.to_string(), Code::parse(typed).unwrap().to_string());
    }
    for (typed, error) in [("", CodeError::Length), ("12345", CodeError::Length), ("12345x", CodeError::Character)] {
        assert_eq!(typed.parse::<Code>().unwrap_err(), error);
    }
    let code: SteamCode = "2d2-v8".parse().unwrap();
    assert_eq!(code.to_string(), "2D2V8");
    assert_eq!("2D2V".parse::<SteamCode>().unwrap_err(), CodeError::Length);
    assert_eq!("2D2V1".parse::<SteamCode>().unwrap_err(), CodeError::Character);
}
