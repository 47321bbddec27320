//! QR codes in a picture of a screen.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use std::io::Cursor;

use png::{ColorType, Decoder, DecodingError, Limits, OutputInfo, Transformations};
use rqrr::{BitGrid, Grid};
use zeroize::Zeroizing;

use super::Qr;
use super::locate::{self, Located, Picture};
use crate::error::{Error, ErrorKind};

impl Qr {
    /// The texts of all QR codes in a PNG, such as a screenshot that a user brings: from the top, one for each code. Codes in
    /// pale or dark colors come behind those in black on white, and then inverted ones; a text that was found before is
    /// not repeated there.
    ///
    /// Any color type and depth; what is transparent is white. It finds codes that stand upright, lie on a side or are
    /// mirrored, dark on light or the other way round, with a border, at one pixel to a module or two and more: what a
    /// screen shows. A code that a camera saw at an angle is not found. A text that is not UTF-8 is left out, and so is
    /// what comes after 32 codes.
    ///
    /// ```
    /// # #[cfg(feature = "png")] {
    /// use keyfob::{KeyUri, Qr, Secret};
    ///
    /// let uri = KeyUri::totp("Example Inc", "alice@example.com", &Secret::generate())?;
    /// let screenshot = uri.qr()?.png(4)?;
    /// for text in Qr::read_png(&screenshot)? {
    ///     assert!(KeyUri::parse(&text)? == uri);
    /// }
    /// # }
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Qr`](crate::ErrorKind::Qr) if it is not a PNG or a damaged one, if it has more than 16 777 216
    /// pixels, which is found out before any of them is decompressed, and if no code was found.
    ///
    /// # Security
    ///
    /// Picture and texts are wiped. The working memory of the decoders, `png` and `rqrr`, is not. The time depends on
    /// the picture.
    pub fn read_png(file: &[u8]) -> Result<Vec<Zeroizing<String>>, Error> {
        let (gray, width) = decompress(file)?;
        let mut found: Vec<Zeroizing<String>> = Vec::new();
        // Black on white first. Then paler and darker pairs of colors, and all of it on a dark page.
        for inverted in [false, true] {
            for threshold in [128, 64, 192] {
                let picture = Picture { gray: &gray, width, threshold, inverted };
                let mut texts = locate::codes(&picture, |code| read(&picture, code));
                texts.retain(|text| !found.contains(text));
                found.append(&mut texts);
            }
        }
        found.truncate(MAX_CODES);
        if found.is_empty() { Err(NOT_FOUND) } else { Ok(found) }
    }
}

fn read(picture: &Picture<'_>, code: &Located) -> Option<Zeroizing<String>> {
    // The longest text has 7089 digits. What does not fit is an error of the decoder, not a larger buffer.
    let mut buffer = Zeroizing::new(vec![0; 8192]);
    let mut rest = &mut buffer[..];
    Grid::new(Modules { picture, code }).decode_to(&mut rest).ok()?;
    let unused = rest.len();
    let used = buffer.len() - unused;
    str::from_utf8(buffer.get(..used)?).ok().map(|text| Zeroizing::new(text.into()))
}

struct Modules<'a> {
    picture: &'a Picture<'a>,
    code: &'a Located,
}

impl BitGrid for Modules<'_> {
    fn size(&self) -> usize {
        self.code.side()
    }

    fn bit(&self, row: usize, column: usize) -> bool {
        self.code.is_dark(self.picture, row, column)
    }
}

/// One byte per pixel, row by row, and the width.
fn decompress(file: &[u8]) -> Result<(Zeroizing<Vec<u8>>, usize), Error> {
    let damaged = |_: DecodingError| NO_PNG;

    let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: 1 << 20 });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (u64::from(reader.info().width), u64::from(reader.info().height));
    if width.checked_mul(height).is_none_or(|pixels| pixels > MAX_PIXELS) {
        return Err(TOO_MANY_PIXELS);
    }
    let bytes = reader.output_buffer_size().ok_or(TOO_MANY_PIXELS)?;
    let mut rows = Zeroizing::new(vec![0; bytes]);
    let OutputInfo { width, color_type, .. } = reader.next_frame(&mut rows).map_err(damaged)?;
    let width = usize::try_from(width).map_err(|_| TOO_MANY_PIXELS)?;

    let gray = match color_type {
        ColorType::Grayscale | ColorType::Indexed => rows,
        ColorType::GrayscaleAlpha => over_white(rows.as_chunks().0, |[gray, alpha]| (gray, alpha)),
        ColorType::Rgb => over_white(rows.as_chunks().0, |[red, green, blue]| (luma(red, green, blue), 255)),
        ColorType::Rgba => over_white(rows.as_chunks().0, |[red, green, blue, alpha]| (luma(red, green, blue), alpha)),
    };
    Ok((gray, width))
}

fn over_white<const N: usize>(pixels: &[[u8; N]], split: impl Fn([u8; N]) -> (u8, u8)) -> Zeroizing<Vec<u8>> {
    let blend = |pixel: &[u8; N]| {
        let (gray, alpha) = split(*pixel);
        // 255 - alpha * (255 - gray) / 255, where dividing by 256 does for a threshold.
        255 - ((u16::from(alpha) * u16::from(255 - gray) + 255) >> 8).to_le_bytes()[0]
    };
    Zeroizing::new(pixels.iter().map(blend).collect())
}

/// The weights of Rec. 601, in 256ths.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue)) >> 8).to_le_bytes()[0]
}

/// More than a screen shows for people to scan.
const MAX_CODES: usize = 32;

/// 5120 x 2880, the largest common screen, has 14.7 million.
const MAX_PIXELS: u64 = 1 << 24;

const NO_PNG: Error = Error::new(ErrorKind::Qr, "this is not a PNG, or it is damaged");
const NOT_FOUND: Error = Error::new(ErrorKind::Qr, "there is no QR code in the picture, or none that can be read");
const TOO_MANY_PIXELS: Error = Error::new(ErrorKind::Qr, "the picture has more than {} pixels").number(MAX_PIXELS);
