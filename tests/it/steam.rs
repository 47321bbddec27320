use keyfob::{CodeError, Digits, Hotp, Secret, Steam, SteamCode, Step, Window};

use crate::{data, number, rows, text};

#[test]
fn vectors() {
    for row in rows(&data("steam"), "codes") {
        let secret = Secret::from_base32(text(row, "secret_base32")).unwrap();
        let steam = Steam::new(&secret);
        let (time, code) = (number(row, "time"), text(row, "code"));
        assert_eq!(steam.code_at(time).to_string(), code, "{row}");
        assert_eq!(steam.step(time), Step::new(number(row, "step")));
        for typed in [code.to_owned(), code.to_lowercase(), format!(" {}-{}\n", &code[..2], &code[2..])] {
            let typed = SteamCode::parse(&typed).unwrap();
            assert_eq!(steam.verify(&typed, time, Window::default()), Some(steam.step(time)));
            assert_eq!(steam.verify(&typed, time + 60, Window::default()), None);
        }
        // Eight digits and five of 26 symbols together leave no choice for the 31 bits behind them.
        let truncated = number(row, "truncated_decimal");
        let digits = Hotp::new(&secret).with_digits(Digits::Eight).code(number(row, "step"));
        assert_eq!(digits.to_string(), format!("{:08}", truncated % 100_000_000));
    }
}

#[test]
fn every_symbol_in_every_place() {
    const ALPHABET: &str = "23456789BCDFGHJKMNPQRTVWXY";
    for symbol in ALPHABET.chars() {
        for position in 0..5 {
            let mut text = ['2'; 5];
            text[position] = symbol;
            let text: String = text.into_iter().collect();
            assert_eq!(SteamCode::parse(&text).unwrap().to_string(), text);
        }
    }
    for other in (0..=0x7f).map(char::from).filter(|c| !ALPHABET.contains(c.to_ascii_uppercase())) {
        let error = if other.is_whitespace() || other == '-' { CodeError::Length } else { CodeError::Character };
        assert_eq!(SteamCode::parse(&format!("2222{other}")).unwrap_err(), error, "{other:?}");
    }
}

#[test]
fn what_is_no_code() {
    for (typed, error) in [
        ("", CodeError::Length),
        ("2222", CodeError::Length),
        ("222222", CodeError::Length),
        ("2222\u{20e3}2", CodeError::Character),
        ("2222é", CodeError::Character),
    ] {
        assert_eq!(SteamCode::parse(typed).unwrap_err(), error, "{typed:?}");
    }
    for typed in
        ["２ｄ２ｖ８", "\u{2068}2D2V8\u{2069}", "2D\u{2013}2V8", "\u{0662}d\u{06f2}v८", "2D\u{200b}2V8\u{feff}"]
    {
        assert_eq!(SteamCode::parse(typed).unwrap().to_string(), "2D2V8", "{typed:?}");
    }
}

#[test]
fn parsed_like_any_text() {
    assert_eq!("2d2v8".parse::<SteamCode>().unwrap().to_string(), "2D2V8");
    assert_eq!("2222".parse::<SteamCode>().unwrap_err(), CodeError::Length);
}

#[test]
fn a_code_changes_after_the_remaining_seconds() {
    let steam = Steam::new(&Secret::from_bytes(&[7; 20]).unwrap());
    for (at, left) in [(0, 30), (1, 29), (29, 1), (30, 30)] {
        assert_eq!(steam.remaining(at), left);
        assert_eq!(steam.step(at + u64::from(left)).get(), steam.step(at).get() + 1);
    }
}
