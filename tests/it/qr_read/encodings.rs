//! What a code declares its text to be in.

use keyfob::{ErrorKind, Qr};
use png::{BitDepth, ColorType};
use qrcode::bits::Bits;
use qrcode::canvas::{Canvas, MaskPattern};
use qrcode::ec::construct_codewords;
use qrcode::{Color, EcLevel, QrCode, QrResult, Version};
use rqrr::{Grid, SimpleGrid};

use super::{encode, texts};
use crate::Random;

const LEVELS: [EcLevel; 4] = [EcLevel::L, EcLevel::M, EcLevel::Q, EcLevel::H];

/// Not as many as levels, or a multiple, so that each mask meets each level.
const MASKS: [MaskPattern; 9] = [
    MaskPattern::Checkerboard,
    MaskPattern::HorizontalLines,
    MaskPattern::VerticalLines,
    MaskPattern::DiagonalLines,
    MaskPattern::LargeCheckerboard,
    MaskPattern::Fields,
    MaskPattern::Diamonds,
    MaskPattern::Meadow,
    MaskPattern::Checkerboard,
];

/// A code with these segments, in the smallest version that holds them.
pub fn code(segments: impl Fn(&mut Bits) -> QrResult<()>) -> QrCode {
    let code = (1..=40).find_map(|version| {
        let mut bits = Bits::new(Version::Normal(version));
        segments(&mut bits).ok()?;
        bits.push_terminator(EcLevel::M).ok()?;
        QrCode::with_bits(bits, EcLevel::M).ok()
    });
    code.expect("it fits")
}

pub fn declared(eci: u32, bytes: &[u8]) -> QrCode {
    code(|bits| {
        bits.push_eci_designator(eci)?;
        bits.push_byte_data(bytes)
    })
}

pub fn plain(bytes: &[u8]) -> QrCode {
    code(|bits| bits.push_byte_data(bytes))
}

pub fn picture(code: &QrCode) -> Vec<u8> {
    modules(code.width(), &code.to_colors())
}

fn modules(width: usize, colors: &[Color]) -> Vec<u8> {
    let side = 3 * (width + 8);
    let module = |pixel: usize| (pixel / 3).checked_sub(4).filter(|module| *module < width);
    let shade = |position: usize| match module(position / side).zip(module(position % side)) {
        Some((row, column)) if colors[row * width + column] == Color::Dark => 0,
        _ => 255,
    };
    let pixels: Vec<u8> = (0..side * side).map(shade).collect();
    encode(side, side, ColorType::Grayscale, BitDepth::Eight, None, &pixels)
}

/// An encoding's number, some text, and its bytes.
pub fn rows() -> Vec<(u32, String, Vec<u8>)> {
    let uri = |name: &str| format!("otpauth://totp/{name}:al?secret=GEZDGNBVGY3TQOJQ&issuer={name}");
    let mut rows = Vec::new();
    let mut add = |eci: u32, name: &str, bytes: &[u8]| {
        let (text, marked) = (uri(name), uri("@").into_bytes());
        let bytes = marked.split(|byte| *byte == b'@').collect::<Vec<_>>().join(bytes);
        rows.push((eci, text, bytes));
    };
    for eci in [1, 3] {
        add(eci, "Müller", b"M\xfcller");
        add(eci, "¿Ñandú ÿ?", b"\xbf\xd1and\xfa \xff?");
    }
    add(2, "é½", b"\x82\xab");
    add(4, "Łódź", b"\xa3\xf3d\xbc");
    add(5, "Ħaż-Żebbuġ", b"\xa1a\xbf-\xafebbu\xf5");
    add(6, "Rīga", b"R\xefga");
    add(7, "Привет", b"\xbf\xe0\xd8\xd2\xd5\xe2");
    add(9, "Αθήνα", b"\xc1\xe8\xde\xed\xe1");
    add(11, "İğşı", b"\xdd\xf0\xfe\xfd");
    add(12, "Ŋ", b"\xaf");
    add(15, "Ąž", b"\xc0\xfe");
    add(16, "Ŵ", b"\xd0");
    add(17, "Œuvre €", b"\xbcuvre \xa4");
    add(18, "Țara", b"\xdeara");
    add(21, "Łódź", b"\xa3\xf3d\x9f");
    add(22, "Привет", b"\xcf\xf0\xe8\xe2\xe5\xf2");
    add(23, "“Müller” €", b"\x93M\xfcller\x94 \x80");
    add(26, "Müller 你好 😀", "Müller 你好 😀".as_bytes());
    // All the others begin with ASCII, which is what a URI that escapes the rest consists of.
    for eci in (0..=13).chain(15..=18).chain(20..=24).chain(26..=32).chain([170]) {
        add(eci, "M%C3%BCller", b"M%C3%BCller");
    }
    for (eci, bytes) in [
        (25, uri("Müller 😀").encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()),
        (33, uri("Müller 😀").encode_utf16().flat_map(u16::to_le_bytes).collect()),
        (34, uri("Müller 😀").chars().flat_map(|c| u32::from(c).to_be_bytes()).collect()),
        (35, uri("Müller 😀").chars().flat_map(|c| u32::from(c).to_le_bytes()).collect()),
    ] {
        rows.push((eci, uri("Müller 😀"), bytes));
    }
    rows
}

#[test]
fn converted() {
    for (eci, text, bytes) in rows() {
        assert_eq!(texts(&picture(&declared(eci, &bytes))), [text], "encoding {eci}");
    }
    // It holds until the next one, and for all kinds of segments.
    let mixed = code(|bits| {
        bits.push_byte_data("ü".as_bytes())?;
        bits.push_eci_designator(3)?;
        bits.push_byte_data(b"\xfc")?;
        bits.push_numeric_data(b"0123456789")?;
        bits.push_alphanumeric_data(b"AZ $%*+-./:")?;
        bits.push_eci_designator(26)?;
        // One character in two segments.
        bits.push_byte_data(b"\xc3")?;
        bits.push_byte_data(b"\xbc")?;
        bits.push_eci_designator(4)
    });
    assert_eq!(texts(&picture(&mixed)), ["üü0123456789AZ $%*+-./:ü"]);
}

/// The standard says ISO 8859-1, and some of the most widespread writers do so; the others write UTF-8.
#[test]
fn undeclared() {
    for (bytes, text) in [
        ("Müller 你好".as_bytes(), "Müller 你好"),
        (b"M\xfcller", "Müller"),
        (b"Acme\xae \xc5sa, cora\xe7\xe3o, compa\xf1\xeda", "Acme® Åsa, coração, compañía"),
        (
            b"otpauth://totp/P\xe4\xe4kk\xf6nen?secret=GEZDGNBVGY3TQOJQ",
            "otpauth://totp/Pääkkönen?secret=GEZDGNBVGY3TQOJQ",
        ),
    ] {
        assert_eq!(texts(&picture(&plain(bytes))), [text]);
    }
    for bytes in [
        // Shift JIS with kanji and with half-width kana, GB 2312, EUC-JP, EUC-KR, Big5.
        &b"\x93\xfa\x96{"[..],
        b"al \xb1\xb2",
        b"\xc4\xe3\xba\xc3",
        b"al \xcd\xf5",
        b"\xc6\xfc",
        b"\xc7\xd1\xb1\xdb",
        b"\xa4p\xa9\xfa",
        // Windows-1251, ISO 8859-7, Windows-1252.
        b"\xcf\xf0\xe8\xe2\xe5\xf2",
        b"\xc1\xe8\xde\xed\xe1",
        b"\x93a\x94",
    ] {
        let error = Qr::read_png(&picture(&plain(bytes))).unwrap_err();
        assert!(error.to_string().contains("ask for a code in UTF-8"), "{bytes:x?}: {error}");
    }
}

/// A text that nobody wrote is worse than none, and the error says that there is a code.
#[test]
fn refused() {
    #[track_caller]
    fn assert_refused(code: &QrCode, reason: &str) {
        let error = Qr::read_png(&picture(code)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Qr);
        assert!(error.to_string().contains("was found") && error.to_string().contains(reason), "{error}");
    }
    let encoding = "ask for a code in UTF-8";
    for (eci, bytes) in [
        (20, &b"\x93\xfa\x96{"[..]),
        (8, b"\xe5"),
        (28, b"\xa7A"),
        (29, b"\xc4\xe3"),
        (30, b"\xc7\xd1"),
        // Nothing is there in these.
        (3, b"\x80"),
        (4, b"\x99"),
        (5, b"\xa5"),
        (23, b"\x81"),
        (26, b"M\xfcller"),
        (27, b"M\xfcller"),
        (170, b"\xa0"),
        (25, b"\xd8\x00"),
        (25, b"\0a\0"),
        (33, b"a"),
        (34, b"\0\x11\0\0"),
        (35, b"a\0\0"),
        // No encodings, or none that is known.
        (14, b"a"),
        (19, b"a"),
        (899, b"a"),
        (16_383, b"a"),
        (999_999, b"a"),
    ] {
        assert_refused(&declared(eci, bytes), encoding);
    }
    // Two kanji whose bytes in Shift JIS are, as it happens, UTF-8.
    assert_refused(&code(|bits| bits.push_kanji_data(b"\xe0\xa0\x81A")), encoding);
    assert_refused(&code(|bits| bits.push_kanji_data(b"\x93\xfa\x96{")), encoding);
    assert_refused(
        &code(|bits| {
            bits.push_byte_data(b"otpauth://totp/")?;
            bits.push_kanji_data(b"\x93\xfa")
        }),
        encoding,
    );
    assert_refused(
        &code(|bits| {
            bits.push_fnc1_first_position()?;
            bits.push_byte_data(b"01049123451234591597033130128")
        }),
        "no text",
    );
    // The first of two that belong together: the mode, two numbers, the parity, and then a byte.
    let data = [0x30, 0x15, 0xa4, 0x01, 0x61].into_iter().chain([0; 11]).collect::<Vec<u8>>();
    let error = Qr::read_png(&modules(21, &drawn(&data))).unwrap_err();
    assert!(error.to_string().contains("several codes"), "{error}");
}

/// A code of version 1 with this data, whatever it means.
fn drawn(data: &[u8]) -> Vec<Color> {
    masked(data, Version::Normal(1), EcLevel::M, MaskPattern::Checkerboard)
}

fn masked(data: &[u8], version: Version, level: EcLevel, mask: MaskPattern) -> Vec<Color> {
    let (data, parity) = construct_codewords(data, version, level).unwrap();
    let mut canvas = Canvas::new(version, level);
    canvas.draw_all_functional_patterns();
    canvas.draw_data(&data, &parity);
    canvas.apply_mask(mask);
    canvas.into_colors()
}

/// What no writer makes: numbers beyond the digits and letters that they stand for, and lengths beyond the end.
#[test]
fn out_of_order() {
    for start in [
        // Three digits as 1000, two as 100, one as 10; two letters as 2025, one as 45.
        [0x10, 0x0f, 0xe8, 0x00],
        [0x10, 0x0b, 0x20, 0x00],
        [0x10, 0x06, 0x80, 0x00],
        [0x20, 0x17, 0xe9, 0x00],
        [0x20, 0x0d, 0xb4, 0x00],
        // More bytes, digits and letters than there are.
        [0x4f, 0xf0, 0x00, 0x00],
        [0x1f, 0xfc, 0x00, 0x00],
        [0x2f, 0xf8, 0x00, 0x00],
        // A number of an encoding in four bytes, and modes that there are not.
        [0x7e, 0x00, 0x00, 0x00],
        [0x60, 0x00, 0x00, 0x00],
        [0xf0, 0x00, 0x00, 0x00],
    ] {
        let data: Vec<u8> = start.into_iter().chain([0; 12]).collect();
        let error = Qr::read_png(&modules(21, &drawn(&data))).unwrap_err();
        assert!(error.to_string().contains("none that can be read"), "{start:x?}: {error}");
    }
}

/// Every version with every level, and each mask with some: as another reader has it, also with errors in it. Digits and
/// letters as well, since the widths of lengths depend on the version.
#[test]
fn every_size() {
    let mut random = Random(3);
    let mut masks = MASKS.into_iter().cycle();
    for version in 1..=40 {
        for level in LEVELS {
            let mut bits = Bits::new(Version::Normal(version));
            let some = usize::try_from(version).unwrap() % 4;
            bits.push_numeric_data(&b"012"[..some]).unwrap();
            bits.push_alphanumeric_data(&b"A B"[..some]).unwrap();
            let room = (bits.max_len(level).unwrap() - bits.len()).saturating_sub(20) / 8;
            bits.push_byte_data(&vec![b'x'; room]).unwrap();
            bits.push_terminator(level).unwrap();
            let width = usize::try_from(Version::Normal(version).width()).unwrap();
            let mut colors = masked(&bits.into_bytes(), Version::Normal(version), level, masks.next().unwrap());
            let text = format!("{}{}{}", &"012"[..some], &"A B"[..some], "x".repeat(room));
            for damage in 0..if version < 10 { 4 } else { 2 } {
                let grid = SimpleGrid::from_func(width, |x, y| colors[y * width + x] == Color::Dark);
                let other = Grid::new(grid).decode().ok().map(|(_, text)| text);
                assert!(damage > 0 || other.as_ref() == Some(&text));
                // The other reader gives up on a few that can be corrected. Neither may make something up.
                let read = texts(&modules(width, &colors));
                let right = read == [text.as_str()] || (read.is_empty() && other.is_none());
                assert!(right, "{version} {level:?} {damage}: {read:?}, and {other:?}");
                // Away from the finders and what is between them.
                for _ in 0..width / 4 {
                    let [row, column] = [0; 2].map(|_: usize| 9 + random.below(width as u64 - 9) as usize);
                    colors[row * width + column] = Color::Dark;
                }
            }
        }
    }
}
