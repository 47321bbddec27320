//! Codes in two colors of which neither is black or white, or that are hardly to be told apart.

use png::{BitDepth, ColorType};

use super::{BLACK, BLACK_ON_WHITE, Page, WHITE, encode, qr, texts};
use crate::Random;

/// Pairs of colors, the darker first. zxing-cpp finds those of `in_brightness` as well.
pub fn pairs() -> impl Iterator<Item = [[u8; 3]; 2]> {
    in_brightness().into_iter().chain(in_color())
}

pub fn in_brightness() -> Vec<[[u8; 3]; 2]> {
    let mut pairs = vec![
        [BLACK, [0x22; 3]],
        [BLACK, [0x33; 3]],
        [BLACK, [0x2e, 0x34, 0x40]],
        [[0x1a; 3], [0x44; 3]],
        [[0x2e, 0x34, 0x40], [0x4c, 0x56, 0x6a]],
        [[0xcc; 3], WHITE],
        [[0xff, 0xd7, 0x00], WHITE],
        [[0xe0; 3], WHITE],
        [[0xd0, 0xe0, 0xff], WHITE],
        // One channel alone differs.
        [BLACK, [0xa0, 0, 0]],
        [BLACK, [0, 0x40, 0]],
        [[0x80, 0x80, 0], [0x80, 0x80, 0xff]],
        [[0xff, 0xff, 0], WHITE],
    ];
    // Gray on gray, all the way up.
    pairs.extend((0..=223).step_by(16).map(|gray| [[gray; 3], [gray + 32; 3]]));
    pairs
}

fn in_color() -> Vec<[[u8; 3]; 2]> {
    let mut pairs = vec![
        // One brightness.
        [[255, 0, 0], [0, 130, 0]],
        [[255, 0, 255], [0, 181, 0]],
        [[0, 0, 255], [0, 49, 0]],
        [[200, 100, 100], [100, 151, 100]],
        [[100, 100, 100], [100, 81, 200]],
        // One channel, by a little.
        [[30, 60, 90], [60, 60, 90]],
        [[30, 60, 90], [30, 76, 90]],
        [[30, 60, 90], [30, 60, 120]],
        [[255, 255, 220], WHITE],
        [BLACK, [0, 0, 40]],
    ];
    pairs.extend((0..=247).step_by(13).map(|gray| [[gray; 3], [gray + 8; 3]]));
    pairs
}

#[test]
fn any_two_that_can_be_told_apart() {
    let (qr, text) = qr();
    for [dark, light] in pairs() {
        for (scale, colors) in [(10, [dark, light]), (30, [dark, light]), (40, [light, dark])] {
            let mut page = Page::new(400, 300, colors[1]);
            page.draw(&qr, 40, 30, scale, colors);
            assert_eq!(texts(&page.png()), [text.as_str()], "{colors:?} at {scale} tenths of a pixel");
        }
    }
}

#[test]
fn pictures_of_reports() {
    let folder = format!("{}/tests/data/pictures", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for path in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let expected = match path.file_stem().unwrap().to_str().unwrap() {
            "iso_8859_1" => "otpauth://totp/Müller:jürgen?secret=GEZDGNBVGY3TQOJQ&issuer=Müller",
            _ => concat!(
                "otpauth://totp/Example%20Inc:alice%40example.com",
                "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example%20Inc"
            ),
        };
        assert_eq!(texts(&std::fs::read(&path).unwrap()), [expected], "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 6);
}

/// A page in the dark, bright text on it, and a card that is darker still: what is bright elsewhere does not matter.
#[test]
fn beside_what_is_brighter_and_darker() {
    let (qr, text) = qr();
    let mut random = Random(5);
    for (page_color, card, colors) in [
        ([30; 3], [45; 3], [BLACK, [45; 3]]),
        (WHITE, [34; 3], [BLACK, [34; 3]]),
        (BLACK, WHITE, [[230; 3], WHITE]),
        (WHITE, BLACK, [[24; 3], BLACK]),
        ([128; 3], [46, 52, 64], [[59, 66, 82], [46, 52, 64]]),
    ] {
        let mut page = Page::new(640, 480, page_color);
        // Letters, or what is as thin.
        for _ in 0..4000 {
            let (x, y) = (random.below(636) as usize, random.below(478) as usize);
            let color = [[255; 3], [0; 3], [200, 30, 30]][random.below(3) as usize];
            for dx in 0..random.below(4) as usize {
                page.pixels[y * 640 + x + dx] = color;
                page.pixels[(y + 1) * 640 + x] = color;
            }
        }
        for y in 100..400 {
            page.pixels[y * 640 + 150..y * 640 + 500].fill(card);
        }
        page.draw(&qr, 200, 120, 40, colors);
        assert_eq!(texts(&page.png()), [text.as_str()], "{colors:?}");
    }
}

#[test]
fn many_pairs_in_one_picture() {
    let pairs: Vec<_> = pairs().take(24).collect();
    let codes: Vec<String> = (10..34).map(|n| format!("otpauth-migration://offline?data={n}")).collect();
    let mut page = Page::new(6 * 160, 4 * 160, [90, 120, 20]);
    for (n, (colors, code)) in pairs.iter().zip(&codes).enumerate() {
        let colors = if n % 3 == 0 { [colors[1], colors[0]] } else { *colors };
        page.draw(&keyfob::Qr::new(code).unwrap(), 160 * (n % 6) + 9, 160 * (n / 6) + 9, 35, colors);
    }
    let mut found = texts(&page.png());
    found.sort();
    assert_eq!(found, codes);
}

/// Shades that change across the picture, by more than the two of the code differ.
#[test]
fn from_bright_to_dark() {
    let (qr, text) = qr();
    for (colors, per_pixel) in [
        (BLACK_ON_WHITE, [0, 0]),
        ([[20; 3], [80; 3]], [20, 0]),
        ([[20; 3], [80; 3]], [0, 30]),
        ([[20; 3], [60; 3]], [15, 15]),
        ([[60; 3], [20; 3]], [15, 15]),
        ([[120; 3], [180; 3]], [10, -30]),
    ] {
        let mut page = Page::new(260, 260, colors[1]);
        page.draw(&qr, 20, 20, 40, colors);
        for (position, pixel) in page.pixels.iter_mut().enumerate() {
            let (x, y) = ((position % 260) as i64, (position / 260) as i64);
            let change = (per_pixel[0] * x + per_pixel[1] * y) / 100;
            *pixel = pixel.map(|sample| (i64::from(sample) + change).clamp(0, 255) as u8);
        }
        assert_eq!(texts(&page.png()), [text.as_str()], "{colors:?} {per_pixel:?}");
    }
}

/// What a camera, or a picture that was compressed and shown again, adds: a third of the difference.
#[test]
fn with_noise() {
    let (qr, text) = qr();
    let mut random = Random(9);
    for (colors, noise) in [
        (BLACK_ON_WHITE, 80),
        ([[40; 3], [140; 3]], 32),
        ([[20; 3], [54; 3]], 10),
        ([[204; 3], [245; 3]], 13),
        ([[250; 3], [235; 3]], 4),
        ([[255, 60, 60], [30, 158, 30]], 40),
    ] {
        for scale in [20, 33, 60] {
            let mut page = Page::new(500, 420, colors[1]);
            page.draw(&qr, 31, 17, scale, colors);
            for pixel in &mut page.pixels {
                *pixel = pixel.map(|sample| {
                    let noise = random.below(noise + 1) as i64 - noise as i64 / 2;
                    (i64::from(sample) + noise).clamp(0, 255) as u8
                });
            }
            assert_eq!(texts(&page.png()), [text.as_str()], "{colors:?} with {noise} at {scale}");
        }
    }
}

/// Drawn in another size than it is shown, with colors in between at the edges.
#[test]
fn blurred() {
    let (qr, text) = qr();
    for colors in [BLACK_ON_WHITE, [BLACK, [0x22; 3]], [[0xff, 0xd7, 0], WHITE], [[0xec; 3], [0x2e, 0x34, 0x40]]] {
        for hundredths in [150, 170, 200, 230, 310, 475] {
            let side = qr.side() * hundredths / 100;
            let mut page = Page::new(side + 60, side + 50, colors[1]);
            for (x, y) in (0..side * side).map(|position| (position % side, position / side)) {
                // How much of the pixel is dark, in squares of a tenth.
                let dark = (0..100).filter(|part| {
                    let module = |pixel: usize, tenth: usize| (10 * pixel + tenth) * 10 / hundredths;
                    qr.is_dark(module(y, part / 10), module(x, part % 10))
                });
                let dark = dark.count();
                let mix = |channel: usize| {
                    ((dark * usize::from(colors[0][channel]) + (100 - dark) * usize::from(colors[1][channel])) / 100)
                        as u8
                };
                page.pixels[(y + 25) * page.width + x + 30] = [mix(0), mix(1), mix(2)];
            }
            assert_eq!(texts(&page.png()), [text.as_str()], "{colors:?} at {hundredths} hundredths of a pixel");
        }
    }
}

#[test]
fn in_every_kind_of_png() {
    let (qr, text) = qr();
    let side = qr.side() * 3;
    let check = |color, depth, palette: Option<&[u8]>, dark: &[u8], light: &[u8]| {
        for [dark, light] in [[dark, light], [light, dark]] {
            let pixels = (0..side * side).map(|position| qr.is_dark(position / side / 3, position % side / 3));
            let data: Vec<u8> = pixels.flat_map(|is_dark| if is_dark { dark } else { light }).copied().collect();
            let file = encode(side, side, color, depth, palette, &data);
            assert_eq!(texts(&file), [text.as_str()], "{color:?} {depth:?} {dark:?} {light:?}");
        }
    };
    let palette = [[0x2e, 0x34, 0x40], [0, 0, 0], [255, 0, 0], [0, 130, 0], [255, 255, 255], [240, 240, 240]].concat();
    for [dark, light] in [[1, 0], [2, 3], [5, 4]] {
        check(ColorType::Indexed, BitDepth::Eight, Some(&palette), &[dark], &[light]);
    }
    check(ColorType::Grayscale, BitDepth::Eight, None, &[0], &[20]);
    check(ColorType::Grayscale, BitDepth::Sixteen, None, &[230, 9], &[250, 0]);
    check(ColorType::Rgb, BitDepth::Sixteen, None, &[0; 6], &[34, 1, 34, 2, 34, 3]);
    check(ColorType::Rgba, BitDepth::Eight, None, &[0, 0, 0, 255], &[34, 34, 34, 255]);
    // What is transparent shows white, or black, or something in between.
    for color in [BLACK, WHITE, [0x80; 3], [0xff, 0xd7, 0]] {
        let [red, green, blue] = color;
        check(ColorType::Rgba, BitDepth::Eight, None, &[red, green, blue, 255], &[red, green, blue, 0]);
        check(ColorType::Rgba, BitDepth::Eight, None, &[red, green, blue, 255], &[0; 4]);
    }
    check(ColorType::GrayscaleAlpha, BitDepth::Eight, None, &[255, 255], &[255, 0]);
    check(ColorType::GrayscaleAlpha, BitDepth::Eight, None, &[0, 60], &[0, 20]);
    check(ColorType::GrayscaleAlpha, BitDepth::Sixteen, None, &[255, 255, 255, 255], &[0, 0, 0, 0]);
}
