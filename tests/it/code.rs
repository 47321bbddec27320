use keyfob::{Code, CodeError, Digits, ErrorKind, SteamCode, base32};
use serde_json::Value;

use crate::peers::program;
use crate::{data, rows};

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
        ("\u{0662}\u{0668}\u{0667}\u{0660}\u{0668}\u{0662}", "287082"),
        ("\u{06f2}\u{06f8}\u{06f7}\u{06f0}\u{06f8}\u{06f2}", "287082"),
        ("१२३ ४५६", "123456"),
        ("১২৩৪৫৬৭", "1234567"),
        ("𝟏𝟐𝟑𝟒𝟓𝟔", "123456"),
        // Of three scripts: each digit is one.
        ("1２\u{0663}\u{06f4}५6", "123456"),
        ("\u{2068}287082\u{2069}", "287082"),
        ("\u{2068}\u{0662}\u{0668}\u{0667}\u{202f}\u{0660}\u{0668}\u{0662}\u{2069}", "287082"),
        ("\u{202e}123456\u{202c}", "123456"),
        ("\u{feff}123\u{200b}456\u{200f}", "123456"),
        ("123\u{ad}456", "123456"),
        ("287\u{2013}082", "287082"),
        ("287 \u{2014} 082", "287082"),
        ("287\u{2212}082", "287082"),
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
        ("①②③④⑤⑥", CodeError::Character),
        ("¹²³⁴⁵⁶", CodeError::Character),
        ("一二三四五六", CodeError::Character),
        ("Ⅰ12345", CodeError::Character),
        ("\u{2068}\u{2069}", CodeError::Length),
        ("\u{0662}\u{0668}\u{0667}\u{0660}\u{0668}", CodeError::Length),
        ("1\u{301}23456", CodeError::Character),
        ("1\u{2066}23456\u{2070}", CodeError::Character),
        ("123•456", CodeError::Character),
        ("123~456", CodeError::Character),
        ("12345／", CodeError::Character),
        ("12345：", CodeError::Character),
        ("é12345", CodeError::Character),
    ] {
        assert_eq!(Code::parse(typed).unwrap_err(), error, "{:?}", &typed[..typed.len().min(20)]);
    }
}

/// All characters: digits of every script, separators, and the rest, which is refused. Of secrets, only the separators.
#[test]
fn every_character_of_unicode() {
    let file = data("typed");
    let points = |name| rows(&file, name).iter().map(code_point).collect::<Vec<_>>();
    let (zeros, dashes, marks) = (points("zeros"), points("dashes"), points("marks"));
    assert!(zeros.len() > 70 && dashes.len() > 25 && marks.len() > 15);
    for character in (0..=0x0010_ffff).filter_map(char::from_u32) {
        let point = u32::from(character);
        let digit = zeros.iter().find_map(|zero| point.checked_sub(*zero).filter(|digit| *digit < 10));
        let separator =
            character.is_whitespace() || point == 0x2212 || dashes.contains(&point) || marks.contains(&point);
        let code = Code::parse(&format!("{character}123456")).map(|code| code.to_string());
        let expected = match digit {
            Some(digit) => Ok(format!("{digit}123456")),
            None if separator => Ok("123456".to_owned()),
            None => Err(CodeError::Character),
        };
        assert_eq!(code, expected, "{point:x}");
        let steam = SteamCode::parse(&format!("BCDF{character}")).map(|code| code.to_string());
        if let Some(digit) = digit {
            let expected = (digit > 1 && digit < 10).then(|| format!("BCDF{digit}")).ok_or(CodeError::Character);
            assert_eq!(steam, expected, "{point:x}");
        } else if separator {
            assert_eq!(steam.unwrap_err(), CodeError::Length, "{point:x}");
        }
        let secret = base32::decode(&format!("MZXW{character}6YTB"));
        assert_eq!(secret.is_ok_and(|secret| *secret == *b"fooba"), separator, "{point:x}");
    }
}

fn code_point(point: &Value) -> u32 {
    u32::from_str_radix(point.as_str().unwrap(), 16).unwrap()
}

/// The data of an independent source, which may be of an older version of Unicode.
#[test]
fn digits_and_dashes_are_those_of_python() {
    let Some(python) = program("python3", &["-c", "import unicodedata"]) else { return };
    const SCRIPT: &str = "
import unicodedata
for point in range(0x110000):
    kind = unicodedata.category(chr(point))
    if kind == 'Nd':
        print(f'{point - unicodedata.decimal(chr(point)):04x} zeros')
    elif kind == 'Pd':
        print(f'{point:04x} dashes')
    elif kind == 'Cn':
        print(f'{point:04x} later')
";
    let output = std::process::Command::new(python).args(["-c", SCRIPT]).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let of = |kind: &str| {
        let lines = output.lines().filter_map(|line| line.split_once(' ')).filter(|(_, own)| *own == kind);
        lines.map(|(point, _)| point.to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let (file, later) = (data("typed"), of("later"));
    for kind in ["zeros", "dashes"] {
        let listed = rows(&file, kind).iter().map(|point| point.as_str().unwrap().to_owned());
        assert_eq!(listed.filter(|point| !later.contains(point)).collect::<std::collections::BTreeSet<_>>(), of(kind));
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
    let code: Code = " 012-345\n".parse().unwrap();
    assert_eq!(code.to_string(), "012345");
    for (typed, message) in [("12345", CodeError::Length.to_string()), ("12345a", CodeError::Character.to_string())] {
        let error = typed.parse::<Code>().unwrap_err();
        assert!(error == Code::parse(typed).unwrap_err() && error.to_string() == message && !message.contains(typed));
    }
    assert_ne!(CodeError::Length.to_string(), CodeError::Character.to_string());
}
