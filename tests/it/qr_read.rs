pub mod colors;
pub mod encodings;

use keyfob::{ErrorKind, KeyUri, Qr, Secret};
use png::{BitDepth, ColorType, Compression, Encoder};
use proptest::prelude::*;

use crate::Random;

/// A picture in colors, drawn like a page.
#[derive(Clone)]
struct Page {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Page {
    fn new(width: usize, height: usize, color: [u8; 3]) -> Self {
        Self { width, pixels: vec![color; width * height] }
    }

    fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    /// `scale` is in tenths of a pixel to the module.
    fn draw(&mut self, qr: &Qr, left: usize, top: usize, scale: usize, [dark, light]: [[u8; 3]; 2]) {
        let side = qr.side() * scale / 10;
        for y in 0..side {
            for x in 0..side {
                let color = if qr.is_dark((10 * y + 5) / scale, (10 * x + 5) / scale) { dark } else { light };
                self.pixels[(top + y) * self.width + left + x] = color;
            }
        }
    }

    fn png(&self) -> Vec<u8> {
        encode(self.width, self.height(), ColorType::Rgb, BitDepth::Eight, None, &self.pixels.concat())
    }

    fn turned(&self) -> Self {
        let (width, height) = (self.height(), self.width);
        let pixel = |position: usize| self.pixels[(width - 1 - position % width) * self.width + position / width];
        Self { width, pixels: (0..width * height).map(pixel).collect() }
    }

    fn mirrored(&self) -> Self {
        Self {
            width: self.width,
            pixels: self.pixels.chunks(self.width).flat_map(|row| row.iter().rev().copied()).collect(),
        }
    }
}

fn encode(
    width: usize,
    height: usize,
    color: ColorType,
    depth: BitDepth,
    palette: Option<&[u8]>,
    data: &[u8],
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, u32::try_from(width).unwrap(), u32::try_from(height).unwrap());
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_compression(Compression::Fast);
    if let Some(palette) = palette {
        encoder.set_palette(palette.to_vec());
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    file
}

/// A picture of a code alone.
pub fn page(qr: &Qr, scale: usize, colors: [[u8; 3]; 2]) -> Vec<u8> {
    let side = qr.side() * scale / 10;
    let mut page = Page::new(side, side, colors[1]);
    page.draw(qr, 0, 0, scale, colors);
    page.png()
}

fn texts(file: &[u8]) -> Vec<String> {
    Qr::read_png(file).unwrap_or_default().iter().map(|text| text.to_string()).collect()
}

#[track_caller]
fn assert_nothing(file: &[u8], reason: &str) {
    let error = Qr::read_png(file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Qr);
    assert!(error.to_string().contains(reason), "{error}");
}

const BLACK: [u8; 3] = [0; 3];
const WHITE: [u8; 3] = [255; 3];
const BLACK_ON_WHITE: [[u8; 3]; 2] = [BLACK, WHITE];

fn qr() -> (Qr, String) {
    let uri = KeyUri::totp("Example Inc", "alice@example.com", &Secret::generate()).unwrap();
    (uri.qr().unwrap(), uri.to_uri().to_string())
}

#[test]
fn what_is_drawn_is_read() {
    for bytes in [1, 100, 200, 400, 800, 1600, 2331] {
        let text = "a".repeat(bytes);
        for scale in [1, 2, 3, 4, 7, 12] {
            assert_eq!(
                texts(&Qr::new(&text).unwrap().png(scale).unwrap()),
                [text.as_str()],
                "{bytes} at scale {scale}"
            );
        }
    }
    for text in ["", "a", "你好 😀", "otpauth-migration://offline?data=EAEYASAA"] {
        assert_eq!(texts(&Qr::new(text).unwrap().png(3).unwrap()), [text]);
    }
}

#[test]
fn as_a_screen_shows_it() {
    let (qr, text) = qr();
    // In a page, at sizes that browsers make of it, in each position.
    for scale in [10, 17, 20, 21, 22, 23, 25, 28, 31, 37, 45, 60, 125] {
        let mut page = Page::new(1200, 900, [180, 200, 240]);
        page.draw(&qr, 313, 87, scale, BLACK_ON_WHITE);
        for (name, page) in [("upright", page.clone()), ("turned", page.turned()), ("mirrored", page.mirrored())] {
            assert_eq!(texts(&page.png()), [text.as_str()], "{name} at {scale} tenths of a pixel");
        }
    }
    // In a terminal, whose cells are not quite twice as high as wide.
    let mut page = Page::new(400, 300, BLACK);
    page.draw(&qr, 40, 30, 50, BLACK_ON_WHITE);
    page.pixels = page.pixels.chunks(5 * 400).flat_map(|rows| [&rows[..400], rows].concat()).collect();
    assert_eq!(texts(&page.png()), [text.as_str()]);

    // In other colors, and the other way round, which keyfob never draws.
    for colors in [
        [[0, 0, 128], [255, 255, 224]],
        [[90, 90, 90], [150, 150, 150]],
        [[0, 0, 0], [90, 90, 90]],
        [[150, 150, 150], [250, 250, 250]],
        [WHITE, BLACK],
        [[220, 220, 220], [30, 30, 40]],
    ] {
        let mut page = Page::new(400, 300, colors[1]);
        page.draw(&qr, 40, 30, 40, colors);
        assert_eq!(texts(&page.png()), [text.as_str()], "{colors:?}");
    }
}

#[test]
fn among_other_things() {
    let mut random = Random(11);
    let (qr, text) = qr();
    // Noise around it, and some in it.
    let mut page = Page::new(800, 600, WHITE);
    for pixel in &mut page.pixels {
        *pixel = [0; 3].map(|_: u8| random.next().to_le_bytes()[0]);
    }
    page.draw(&qr, 200, 100, 50, BLACK_ON_WHITE);
    for pixel in &mut page.pixels {
        let noise = random.below(100);
        *pixel = pixel.map(|sample| u8::try_from(u64::from(sample).saturating_sub(50) + noise).unwrap_or(255));
    }
    assert_eq!(texts(&page.png()), [text]);

    // Several, in reading order by their tops, and no limit below 32.
    let codes: Vec<String> = (0..32).map(|n| format!("otpauth-migration://offline?data={n}")).collect();
    let mut page = Page::new(1280, 640, WHITE);
    for (n, code) in codes.iter().enumerate() {
        page.draw(&Qr::new(code).unwrap(), 160 * (n % 8), 160 * (n / 8), 40, BLACK_ON_WHITE);
    }
    assert_eq!(texts(&page.png()), codes);
}

#[test]
fn every_kind_of_png() {
    let (qr, text) = qr();
    let scale = 3;
    let side = qr.side() * scale;
    let dark = |position: usize| qr.is_dark(position / side / scale, position % side / scale);
    let samples = |dark_sample: &[u8], light_sample: &[u8]| -> Vec<u8> {
        (0..side * side)
            .flat_map(|position| if dark(position) { dark_sample.to_vec() } else { light_sample.to_vec() })
            .collect()
    };
    let packed = |bits: usize, dark_sample: u8, light_sample: u8| -> Vec<u8> {
        let per_byte = 8 / bits;
        let row = |y: usize| {
            (0..side.div_ceil(per_byte)).map(move |byte| {
                (0..per_byte).fold(0, |packed, position| {
                    let x = byte * per_byte + position;
                    let sample = if x < side && dark(y * side + x) { dark_sample } else { light_sample };
                    packed << bits | sample
                })
            })
        };
        (0..side).flat_map(row).collect()
    };
    let palette: Vec<u8> = [[255; 3], [0, 0, 60], [9; 3]].concat();
    let check = |color, depth, palette: Option<&[u8]>, data: &[u8]| {
        assert_eq!(texts(&encode(side, side, color, depth, palette, data)), [text.as_str()], "{color:?} {depth:?}");
    };
    check(ColorType::Grayscale, BitDepth::One, None, &packed(1, 0, 1));
    check(ColorType::Grayscale, BitDepth::Two, None, &packed(2, 0, 3));
    check(ColorType::Grayscale, BitDepth::Four, None, &packed(4, 1, 15));
    check(ColorType::Grayscale, BitDepth::Eight, None, &samples(&[9], &[250]));
    check(ColorType::Grayscale, BitDepth::Sixteen, None, &samples(&[9, 1], &[250, 2]));
    check(ColorType::Indexed, BitDepth::One, Some(&palette), &packed(1, 1, 0));
    check(ColorType::Indexed, BitDepth::Two, Some(&palette), &packed(2, 2, 0));
    check(ColorType::Indexed, BitDepth::Four, Some(&palette), &packed(4, 1, 0));
    check(ColorType::Indexed, BitDepth::Eight, Some(&palette), &samples(&[2], &[0]));
    check(ColorType::Rgb, BitDepth::Eight, None, &samples(&[0, 0, 120], &[255, 255, 200]));
    check(ColorType::Rgb, BitDepth::Sixteen, None, &samples(&[0; 6], &[255; 6]));
    // Transparent is white, whatever color it has.
    check(ColorType::Rgba, BitDepth::Eight, None, &samples(&[0, 0, 0, 255], &[0, 0, 0, 0]));
    check(ColorType::Rgba, BitDepth::Sixteen, None, &samples(&[0, 0, 0, 0, 0, 0, 255, 255], &[0; 8]));
    check(ColorType::GrayscaleAlpha, BitDepth::Eight, None, &samples(&[0, 255], &[0, 0]));
    check(ColorType::GrayscaleAlpha, BitDepth::Sixteen, None, &samples(&[0, 0, 255, 0], &[0, 0, 9, 0]));
}

#[test]
fn what_is_no_picture_of_a_code() {
    let (qr, _) = qr();
    let mut page = Page::new(300, 300, WHITE);
    page.draw(&qr, 20, 20, 40, BLACK_ON_WHITE);
    let file = page.png();
    assert_nothing(b"", "not a PNG");
    assert_nothing(b"GIF89a", "not a PNG");
    assert_nothing(&file[..file.len() / 2], "damaged");
    assert_nothing(&Page::new(300, 300, WHITE).png(), "no QR code");
    assert_nothing(&Page::new(1, 1, BLACK).png(), "no QR code");
    // Half of it is covered: more than error correction makes up for.
    page.pixels[150 * 300..].fill(BLACK);
    assert_nothing(&page.png(), "no QR code");
    // Tiny files of many pixels: refused by what the header says, and by the amount there is.
    let row = vec![0; 65_536 / 8];
    let bomb = encode(65_536, 257, ColorType::Grayscale, BitDepth::One, None, &row.repeat(257));
    assert!(bomb.len() < 20_000);
    assert_nothing(&bomb, "more than 16777216 pixels");
    let largest = encode(65_536, 256, ColorType::Grayscale, BitDepth::One, None, &row.repeat(256));
    assert_nothing(&largest, "no QR code");
    let mut lies = encode(8, 8, ColorType::Grayscale, BitDepth::One, None, &[0; 8]);
    lies[16..24].fill(0xff);
    assert_nothing(&lies, "");
}

/// One in black on white does not hide those in other colors, nor the other way round.
#[test]
fn codes_in_several_colors() {
    let mut page = Page::new(700, 600, [128, 128, 140]);
    let codes: Vec<String> = (0..5).map(|n| format!("otpauth-migration://offline?data={n}")).collect();
    for (n, colors) in
        [BLACK_ON_WHITE, [BLACK, [100; 3]], [[160; 3], WHITE], [WHITE, BLACK], BLACK_ON_WHITE].into_iter().enumerate()
    {
        page.draw(&Qr::new(&codes[n]).unwrap(), 20 + 220 * (n % 3), 20 + 250 * (n / 3), 40, colors);
    }
    // Once more, what is there already.
    page.draw(&Qr::new(&codes[0]).unwrap(), 460, 270, 40, [WHITE, BLACK]);
    let mut found = texts(&page.png());
    assert_eq!(found[0], codes[0]);
    found.sort();
    assert_eq!(found, codes);
}

/// A picture can be made of nothing but corners of codes.
#[test]
fn many_corners_and_no_code() {
    let finder = Qr::new("").unwrap();
    for apart in [8, 9, 14, 20, 40] {
        let mut page = Page::new(1500, 1500, WHITE);
        for y in 0..1500 {
            for x in 0..1500 {
                let (row, column) = (y / 2 % apart, x / 2 % apart);
                let timing = (row == 6 && column % 2 == 0) || (column == 6 && row % 2 == 0);
                if (row < 7 && column < 7 && finder.is_dark(row + 4, column + 4)) || (timing && row.max(column) > 6) {
                    page.pixels[y * 1500 + x] = BLACK;
                }
            }
        }
        assert_nothing(&page.png(), "no QR code");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The decoder gets modules that no encoder makes.
    #[test]
    fn no_module_makes_it_panic(
        length in 1usize..400,
        scale in 1usize..3,
        changes in prop::collection::vec((any::<u16>(), any::<u16>()), 0..600),
    ) {
        let qr = Qr::new(&"a".repeat(length)).unwrap();
        let side = qr.side();
        let mut page = Page::new(side * scale, side * scale, WHITE);
        page.draw(&qr, 0, 0, 10 * scale, BLACK_ON_WHITE);
        for (row, column) in changes {
            let (row, column) = (4 + usize::from(row) % (side - 8), 4 + usize::from(column) % (side - 8));
            // Finders and timing stay, so that it is found.
            if row == 10 || column == 10 || (row.min(column) < 12 && !(12..side - 12).contains(&row.max(column))) {
                continue;
            }
            for position in 0..scale * scale {
                let (x, y) = (column * scale + position % scale, row * scale + position / scale);
                let pixel = &mut page.pixels[y * side * scale + x];
                *pixel = pixel.map(|sample| !sample);
            }
        }
        let _ = Qr::read_png(&page.png());
    }

    #[test]
    fn no_bytes_make_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut page = Page::new(60, 60, WHITE);
        page.draw(&Qr::new("a").unwrap(), 5, 5, 15, BLACK_ON_WHITE);
        let mut file = page.png();
        for (position, byte) in changes {
            let position = position.index(file.len());
            file[position] = byte;
        }
        file.truncate(cut.map_or(file.len(), |cut| cut.index(file.len())));
        let _ = Qr::read_png(&file);
    }
}
