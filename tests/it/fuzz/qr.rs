//! QR codes: what is drawn another reader reads; what is read need not be drawn by anybody.

use keyfob::Qr;
use rqrr::{Grid, SimpleGrid};

pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((0, file)) => drop(Qr::read_png(file)),
        Some((1, pixels)) => picture(pixels),
        Some((2, rest)) => damaged(rest),
        Some((3, rest)) => shaded(rest),
        _ => drawn(data),
    }
}

fn drawn(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let drawn = Qr::new(&text);
    assert_eq!(drawn.is_ok(), text.len() <= 2331);
    let Ok(qr) = drawn else { return };
    let width = qr.side() - 8;
    let grid = SimpleGrid::from_func(width, |x, y| qr.is_dark(y + 4, x + 4));
    let (_, read) = Grid::new(grid).decode().unwrap();
    assert_eq!(read, text);
    if text.len() < 400 {
        let read = Qr::read_png(&qr.png(1 + (text.len() % 3) as u8).unwrap()).unwrap();
        assert_eq!(read.iter().map(|text| text.as_str()).collect::<Vec<_>>(), [&*text]);
    }
}

/// Bits as pixels, in a picture of some width.
fn picture(bits: &[u8]) {
    let Some((width, bits)) = bits.split_first() else { return };
    let width = usize::from(*width) + 1;
    let dark = |position: usize| bits[position / 8] >> (position % 8) & 1 != 0;
    let gray: Vec<u8> =
        (0..bits.len() * 8 / width * width).map(|position| if dark(position) { 0 } else { 255 }).collect();
    if !gray.is_empty() {
        let _ = Qr::read_png(&png(width, &gray));
    }
}

/// A code with modules turned around.
fn damaged(places: &[u8]) {
    let qr = Qr::new("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ").unwrap();
    let side = qr.side();
    let shade = |position: usize| if qr.is_dark(position / side, position % side) { 0 } else { 255 };
    let mut gray: Vec<u8> = (0..side * side).map(shade).collect();
    for position in places.as_chunks().0.iter().map(|pair| usize::from(u16::from_le_bytes(*pair)) % (side * side)) {
        gray[position] ^= 255;
    }
    let _ = Qr::read_png(&png(side, &gray));
}

/// A code in any two shades that differ enough, on a page in a third one.
fn shaded(data: &[u8]) {
    let Some(([dark, light, page], text)) = data.split_first_chunk() else { return };
    let text = String::from_utf8_lossy(text);
    let Some(qr) = Qr::new(&text).ok().filter(|_| text.len() < 400 && dark.abs_diff(*light) >= 4) else { return };
    let side = qr.side() + 4;
    let inside = |position: usize| (2..side - 2).contains(&position);
    let shade = |(row, column): (usize, usize)| match () {
        () if !inside(row) || !inside(column) => *page,
        () if qr.is_dark(row - 2, column - 2) => *dark,
        () => *light,
    };
    let gray: Vec<u8> = (0..side * side).map(|position| shade((position / side, position % side))).collect();
    let read = Qr::read_png(&png(side, &gray)).unwrap();
    assert_eq!(read.iter().map(|text| text.as_str()).collect::<Vec<_>>(), [&*text]);
}

fn png(width: usize, gray: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, (gray.len() / width) as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_compression(png::Compression::NoCompression);
    encoder.write_header().unwrap().write_image_data(gray).unwrap();
    file
}
