use ::base32::Alphabet;
use keyfob::{ErrorKind, base32};
use proptest::prelude::*;

use crate::fuzz::is_separator;
use crate::{data, hex, rows, text, to_hex};

#[test]
fn rfc4648() {
    let file = data("rfc4648_base32");
    let rfc = rows(&file, "rfc").iter().filter(|row| text(row, "encoding") == "base32");
    let mut count = 0;
    for row in rfc {
        let (plain, padded) = (text(row, "plain").as_bytes(), text(row, "encoded"));
        assert_eq!(*base32::encode(plain), padded.trim_end_matches('='));
        assert_eq!(*base32::decode(padded).unwrap(), plain);
        count += 1;
    }
    assert_eq!(count, 7);
    for row in rows(&file, "every_length_0_to_20_bytes") {
        let (bytes, unpadded) = (hex(text(row, "hex")), text(row, "unpadded"));
        assert_eq!(*base32::encode(&bytes), unpadded);
        for form in [unpadded.to_owned(), unpadded.to_lowercase(), text(row, "padded").to_owned()] {
            assert_eq!(*base32::decode(&form).unwrap(), bytes);
        }
    }
    for row in rows(&file, "lenient_forms_of_one_20_byte_secret") {
        assert_eq!(to_hex(&base32::decode(text(row, "input")).unwrap()), text(row, "hex"));
    }
    for row in rows(&file, "non_canonical") {
        let bytes = base32::decode(text(row, "input")).unwrap();
        assert_eq!(
            (to_hex(&bytes).as_str(), base32::encode(&bytes).as_str()),
            (text(row, "decoded_hex"), text(row, "canonical"))
        );
    }
    for row in rows(&file, "invalid") {
        assert_eq!(base32::decode(text(row, "input")).unwrap_err().kind(), ErrorKind::Secret, "{row}");
    }
}

#[test]
fn every_character_is_a_symbol_a_separator_or_an_error() {
    for character in (0..=0x2ff).chain(0x2000..0x2100).chain(0xfe00..0x1_0000).filter_map(char::from_u32) {
        let decoded = base32::decode(&format!("AAAAAAA{character}"));
        let upper = character.to_ascii_uppercase();
        if let Some(digit) = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(upper) {
            assert_eq!(decoded.unwrap()[4], digit as u8);
        } else if character == '=' || is_separator(character) {
            assert_eq!(decoded.unwrap().len(), 4);
        } else {
            let error = decoded.unwrap_err();
            assert_eq!(error.position(), Some(8), "{character:?}");
            assert_eq!(error.to_string().contains("misread"), "0189".contains(character));
        }
    }
}

#[test]
fn positions_count_characters() {
    for (input, position) in [
        ("0AAAAAAA", 1),
        ("AAAA AAA1", 9),
        ("é", 1),
        ("ＡAAAAAAA", 1),
        ("AAéA", 3),
        ("AA==AA", 3),
        ("\u{202e}A8", 3),
        ("A\u{2013}\u{200b}0", 4),
    ] {
        assert_eq!(base32::decode(input).unwrap_err().position(), Some(position), "{input:?}");
    }
}

#[test]
fn what_a_clipboard_adds() {
    for typed in
        ["\u{2068}MZXW 6YTB\u{2069}", "MZXW\u{2013}6YTB", "MZXW\u{2212}6YTB=", "\u{feff}MZXW\u{ad}6YTB\u{200b}"]
    {
        assert_eq!(*base32::decode(typed).unwrap(), *b"fooba", "{typed:?}");
    }
    // A letter or a digit that is not ASCII is none of the alphabet.
    for typed in ["ＭZXW6YTB", "\u{0662}ZXW6YTB", "２ZXW6YTB", "ſZXW6YTB", "\u{212a}ZXW6YTB"] {
        assert_eq!(base32::decode(typed).unwrap_err().position(), Some(1), "{typed:?}");
    }
}

#[test]
fn long_texts() {
    let long = "A".repeat(10_000_000);
    assert_eq!(base32::decode(&long).unwrap().len(), 6_250_000);
    assert_eq!(base32::decode(&"=".repeat(10_000_000)).unwrap().len(), 0);
    assert_eq!(base32::decode(&format!("{long}8")).unwrap_err().position(), Some(10_000_001));
}

proptest! {
    #[test]
    fn the_crate_base32_agrees(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for padding in [false, true] {
            let text = ::base32::encode(Alphabet::Rfc4648 { padding }, &bytes);
            prop_assert_eq!(&*base32::decode(&text).unwrap(), &bytes);
        }
        let text = base32::encode(&bytes);
        prop_assert_eq!(::base32::decode(Alphabet::Rfc4648 { padding: false }, &text).unwrap(), bytes);
    }

    #[test]
    fn decode_undoes_encode(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(&*base32::decode(&base32::encode(&bytes)).unwrap(), &bytes);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = base32::decode(&text);
    }
}
