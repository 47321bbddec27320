use keyfob::{ErrorKind, KeyUri, Qr, Secret};

use crate::{data, number};

#[test]
fn three_ways_to_draw_one_code() {
    let secret = Secret::generate();
    for account in ["a", "alice@example.com", &"a".repeat(300)] {
        let qr = KeyUri::totp("Example Inc", account, &secret).unwrap().qr().unwrap();
        let modules = colors(&qr);
        assert_eq!(blocks(&qr.terminal().plain_on_light().to_string(), true), modules);
        assert_eq!(blocks(&qr.terminal().plain_on_dark().to_string(), false), modules);

        // Width as the standard has it, a light border of four, and a finder pattern in three corners.
        let side = modules[0].len();
        assert!(modules.iter().all(|row| row.len() == side) && (side - 8) % 4 == 1);
        for (y, row) in modules.iter().enumerate() {
            let border = |position: usize| position < 4 || position + 4 >= side;
            assert!((0..side).filter(|x| border(*x) || border(y)).all(|x| !row[x]));
        }
        for (row, column) in [(4, 4), (4, side - 11), (side - 11, 4)] {
            for (y, line) in
                ["#######", "#     #", "# ### #", "# ### #", "# ### #", "#     #", "#######"].iter().enumerate()
            {
                let drawn: String =
                    modules[row + y][column..column + 7].iter().map(|dark| if *dark { '#' } else { ' ' }).collect();
                assert_eq!(&drawn, line);
            }
        }
    }
}

/// The standard's table says how many bytes each version holds. A URI of one byte more needs the next, whatever it
/// consists of, and beyond the last version there is an error that says the limit.
#[test]
fn versions_by_length() {
    let secret = Secret::generate();
    let start = format!("{}&x=", *KeyUri::totp("", "a", &secret).unwrap().to_uri());
    let qr = |length: usize, text: &str| {
        let value: String = text.chars().cycle().take(length - start.len()).collect();
        let uri = KeyUri::parse(&format!("{start}{value}")).unwrap();
        assert_eq!(uri.to_uri().len(), length);
        uri.qr()
    };
    let capacities = &data("qr_byte_capacity")["M"];
    for version in 5..=40 {
        let capacity = usize::try_from(number(capacities, &version.to_string())).unwrap();
        for text in ["a", "5", "A", "55555a", "AAAAAAAAAA5a"] {
            assert_eq!(colors(&qr(capacity, text).unwrap()).len(), 17 + 4 * version + 8, "{version} {text}");
            match qr(capacity + 1, text) {
                Ok(next) => assert_eq!(colors(&next).len(), 17 + 4 * (version + 1) + 8),
                Err(error) => {
                    assert_eq!((version, error.kind()), (40, ErrorKind::Qr));
                    assert!(error.to_string().contains(&format!("at most {capacity} bytes")));
                }
            }
        }
    }
    assert_eq!(Qr::new(&"a".repeat(10_000_000)).unwrap_err().kind(), ErrorKind::Qr);
}

/// The modules as the colored form shows them: dark where a half of a character has color 16.
pub fn colors(qr: &Qr) -> Vec<Vec<bool>> {
    let drawn = qr.terminal().to_string();
    let mut rows = Vec::new();
    for line in drawn.lines() {
        let line = line.strip_suffix("\x1b[0m").expect("colors end with the line");
        let (mut upper, mut lower) = (Vec::new(), Vec::new());
        for run in line.split_terminator("\x1b[38;5;").filter(|run| !run.is_empty()) {
            let (colors, text) = run.split_once('m').unwrap();
            let (foreground, background) = colors.split_once(";48;5;").unwrap();
            assert!([foreground, background].iter().all(|color| ["16", "231"].contains(color)));
            assert!(text.chars().all(|half| half == '▀'));
            upper.extend(text.chars().map(|_| foreground == "16"));
            lower.extend(text.chars().map(|_| background == "16"));
        }
        rows.extend([upper, lower]);
    }
    crop(rows)
}

/// The modules as blocks of text show them, where a block is a module of this color.
pub fn blocks(drawn: &str, dark: bool) -> Vec<Vec<bool>> {
    let half = |filled: &'static str| move |c: char| filled.contains(c) == dark;
    let rows =
        drawn.lines().flat_map(|line| [line.chars().map(half("█▀")).collect(), line.chars().map(half("█▄")).collect()]);
    crop(rows.collect())
}

/// A code has an odd number of rows, and text shows two at a time.
fn crop(mut rows: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    assert_eq!(rows.len(), rows[0].len() + 1);
    assert!(rows.pop().unwrap().iter().all(|dark| !dark));
    rows
}

pub fn pgm(modules: &[Vec<bool>], scale: usize) -> Vec<u8> {
    let side = modules.len() * scale;
    let mut picture = format!("P5 {side} {side} 255\n").into_bytes();
    for row in modules {
        let line: Vec<u8> = row.iter().flat_map(|dark| vec![if *dark { 0 } else { 255 }; scale]).collect();
        (0..scale).for_each(|_| picture.extend(&line));
    }
    picture
}

#[test]
fn svg_is_markup_for_a_strict_page() {
    let qr = KeyUri::totp("Example Inc", "alice@example.com", &Secret::generate()).unwrap().qr().unwrap();
    let svg = qr.svg().to_string();
    let side = qr.side();
    assert!(svg.contains(&format!("width=\"{0}\" height=\"{0}\" viewBox=\"0 0 {side} {side}\"", 5 * side)));
    for forbidden in ["style", "<script", "href", "url(", "currentColor"] {
        assert!(!svg.contains(forbidden), "{forbidden}");
    }
    let svg = qr.svg().with_module_size(u16::MAX).with_label("\"><script>&'\0\u{1}").to_string();
    assert!(svg.contains(&format!("width=\"{}\"", side * 65_535)));
    assert!(svg.contains("aria-label=\"&quot;&gt;&lt;script&gt;&amp;&#39;\"") && svg.contains("&#39;</title>"));
    // Drawn by its own path, it is the code.
    let path = svg.rsplit_once(" d=\"").unwrap().1.split_once('"').unwrap().0;
    let mut drawn = vec![vec![false; side]; side];
    for run in path.split('M').skip(1) {
        let (position, rest) = run.split_once('h').unwrap();
        let (x, y) = position.split_once(' ').unwrap();
        let (length, _) = rest.split_once('v').unwrap();
        let (x, y, length): (usize, usize, usize) = (x.parse().unwrap(), y.parse().unwrap(), length.parse().unwrap());
        drawn[y][x..x + length].fill(true);
    }
    assert_eq!(drawn, colors(&qr));
    assert!(!qr.is_dark(usize::MAX, 0) && !qr.is_dark(0, usize::MAX) && qr.is_dark(4, 4));
}

#[test]
fn png_has_one_bit_per_pixel_in_the_size_asked_for() {
    let qr = KeyUri::totp("Example Inc", "alice@example.com", &Secret::generate()).unwrap().qr().unwrap();
    for scale in [1, 2, 7, 40] {
        let file = qr.png(scale).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file[..])).read_info().unwrap();
        let side = qr.side() * usize::from(scale);
        assert_eq!((reader.info().width as usize, reader.info().height as usize), (side, side));
        assert_eq!(
            (reader.info().bit_depth, reader.info().color_type),
            (png::BitDepth::One, png::ColorType::Grayscale)
        );
        let mut rows = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut rows).unwrap();
        for (y, x) in
            [(0, 0), (side / 2, side / 3), (side - 1, side - 1), (4 * usize::from(scale), 4 * usize::from(scale))]
        {
            let white = rows[y * frame.line_size + x / 8] >> (7 - x % 8) & 1 == 1;
            assert_eq!(white, !qr.is_dark(y / usize::from(scale), x / usize::from(scale)));
        }
        let address = qr.png_data_uri(scale).unwrap();
        let encoded = address.strip_prefix("data:image/png;base64,").unwrap().as_bytes();
        assert_eq!(data_encoding::BASE64.decode(encoded).unwrap(), file[..]);
    }
    for scale in [0, 41, 255] {
        assert_eq!(qr.png(scale).unwrap_err().kind(), ErrorKind::Qr);
        assert_eq!(qr.png_data_uri(scale).unwrap_err().kind(), ErrorKind::Qr);
    }
}
