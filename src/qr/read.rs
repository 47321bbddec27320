//! Reads QR codes from a screenshot.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use std::io::Cursor;

use png::{ColorType, Decoder, DecodingError, Limits, OutputInfo, Transformations};
use zeroize::Zeroizing;

use super::Qr;
use super::locate::{self, Picture};
use super::{decode, text};
use crate::error::{Error, ErrorKind};

impl Qr {
    /// Reads the strings of all QR codes in a PNG, such as a user's screenshot. Returns one string per code, from top
    /// to bottom within each of the following groups.
    ///
    /// Dark-on-light codes are the first group, and light-on-dark codes are the second. The last groups are codes that
    /// differ from their background only in color, and codes that are visible only with black behind transparent
    /// pixels. A string from an earlier group is not repeated in a later group.
    ///
    /// All color types and bit depths are supported. A picture with transparent pixels is read twice: with white and
    /// with black behind them. Codes may have any two colors that people can tell apart, different codes may have
    /// different colors, and shades may vary across the picture. A code may be upright, on its side or mirrored. Each
    /// code needs a border (quiet zone). Its modules must be either exactly one pixel wide or at least two pixels wide,
    /// as is the case on a screen. A code that was photographed at an angle is not found. At most 32 codes are
    /// returned.
    ///
    /// Each string is converted from the encoding that the code declares: UTF-8, UTF-16, UTF-32, or a European encoding
    /// such as ISO 8859-1. In other encodings, only ASCII is supported. A code that declares no encoding is read as
    /// UTF-8. If it is not valid UTF-8, it is read as ISO 8859-1, provided that the result is plausible. A code is
    /// skipped if its encoding is not supported, if it contains Kanji, or if it holds only part of a string. If no code
    /// at all can be read, an error is returned.
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
    /// [`ErrorKind::Qr`](crate::ErrorKind::Qr) if the file is not a PNG or is damaged, or if it has more than
    /// 16,777,216 pixels. The number of pixels is checked before decompression. The same kind of error is returned if
    /// no code was found, or if no code has a string that can be decoded. The error message says which of these
    /// happened.
    ///
    /// # Security
    ///
    /// The decompressed picture is wiped from memory before the function returns. Each returned string is wiped when it
    /// is dropped. The working memory of the `png` crate's decoder is not wiped. The running time depends on the
    /// picture.
    pub fn read_png(file: &[u8]) -> Result<Vec<Zeroizing<String>>, Error> {
        let pixels = decompress(file)?;
        let mut found: Vec<Zeroizing<String>> = Vec::new();
        let mut reason = None;
        pixels.planes(|samples, rows| {
            let finders = locate::finders(samples, pixels.width, rows);
            for (inverted, finders) in [false, true].into_iter().zip(&finders) {
                let picture = Picture { samples, width: pixels.width, inverted };
                let read = locate::codes(&picture, finders, |code| {
                    let dark = |row, column| code.is_dark(&picture, row, column);
                    // If a code is mirrored or on its side, its rows and columns are swapped.
                    let data = decode::data(code.side(), dark)
                        .or_else(|| decode::data(code.side(), |row, column| dark(column, row)));
                    text::text(&data?)
                });
                let before = found.len();
                for text in read {
                    match text {
                        Ok(text) if found.iter().take(before).all(|earlier| *earlier != text) => found.push(text),
                        Ok(_) => {}
                        Err(why) => reason = reason.or(Some(why)),
                    }
                }
            }
        });
        found.truncate(MAX_CODES);
        if found.is_empty() { Err(reason.map_or(NOT_FOUND, |reason| UNUSABLE.word(reason))) } else { Ok(found) }
    }
}

/// A decompressed picture with one to four bytes per pixel.
struct Pixels {
    bytes: Zeroizing<Vec<u8>>,
    width: usize,
    color: ColorType,
}

impl Pixels {
    /// Calls `look` once for each property by which this picture has to be searched: brightness (with white behind
    /// transparent pixels, and then with black if there are any), red, and blue. `look` takes one sample per pixel, and
    /// a function that returns whether a row needs to be searched.
    fn planes(&self, mut look: impl FnMut(&[u8], &dyn Fn(usize) -> bool)) {
        let (bytes, width) = (&self.bytes, self.width);
        match self.color {
            // The decoder expands indexed colors, so a decompressed picture is never `Indexed`.
            ColorType::Grayscale | ColorType::Indexed => look(bytes, &|_| true),
            ColorType::GrayscaleAlpha => {
                let split = |[gray, alpha]: [u8; 2]| Pixel { red: gray, green: gray, blue: gray, alpha };
                planes(bytes.as_chunks().0, width, split, look);
            }
            ColorType::Rgb => {
                let split = |[red, green, blue]: [u8; 3]| Pixel { red, green, blue, alpha: 255 };
                planes(bytes.as_chunks().0, width, split, look);
            }
            ColorType::Rgba => {
                let split = |[red, green, blue, alpha]: [u8; 4]| Pixel { red, green, blue, alpha };
                planes(bytes.as_chunks().0, width, split, look);
            }
        }
    }
}

struct Pixel {
    red: u8,
    green: u8,
    blue: u8,
    alpha: u8,
}

impl Pixel {
    /// Returns the brightness, computed with the Rec. 601 weights, which are rounded to multiples of 1/256.
    fn luma(&self) -> u8 {
        let [red, green, blue] = [self.red, self.green, self.blue].map(u32::from);
        ((77 * red + 150 * green + 29 * blue) >> 8).to_le_bytes()[0]
    }

    /// Returns whether two neighboring pixels differ by at least 16 in red or blue, and by at most a quarter of that
    /// difference in brightness.
    fn differs_in_color(&self, other: &Self) -> bool {
        let color = self.red.abs_diff(other.red).max(self.blue.abs_diff(other.blue));
        color >= 16 && self.luma().abs_diff(other.luma()) <= color >> 2
    }

    fn over_white(&self, sample: impl Fn(&Self) -> u8) -> u8 {
        !self.over_black(|pixel| !sample(pixel))
    }

    fn over_black(&self, sample: impl Fn(&Self) -> u8) -> u8 {
        // Dividing by 256 instead of 255 is accurate enough, and leaves opaque pixels unchanged.
        ((u16::from(self.alpha) * u16::from(sample(self)) + 255) >> 8).to_le_bytes()[0]
    }
}

fn planes<const N: usize>(
    pixels: &[[u8; N]],
    width: usize,
    split: impl Fn([u8; N]) -> Pixel,
    mut look: impl FnMut(&[u8], &dyn Fn(usize) -> bool),
) {
    let mut plane = Zeroizing::new(vec![0; pixels.len()]);
    fill(&mut plane, pixels, |pixel| split(pixel).over_white(Pixel::luma));
    look(&plane, &|_| true);
    if pixels.iter().any(|pixel| split(*pixel).alpha != 255) {
        fill(&mut plane, pixels, |pixel| split(pixel).over_black(Pixel::luma));
        look(&plane, &|_| true);
    }
    // Two colors of equal brightness differ in red or blue, since a difference in green alone changes the brightness.
    let is_colorful = |pair: &[[u8; N]]| match pair {
        [a, b] => a != b && split(*a).differs_in_color(&split(*b)),
        _ => false,
    };
    let colorful: Vec<bool> = pixels.chunks(width).map(|row| row.windows(2).any(is_colorful)).collect();
    if colorful.contains(&true) {
        let rows = |y: usize| colorful.get(y).is_some_and(|colorful| *colorful);
        fill(&mut plane, pixels, |pixel| split(pixel).over_white(|pixel| pixel.red));
        look(&plane, &rows);
        fill(&mut plane, pixels, |pixel| split(pixel).over_white(|pixel| pixel.blue));
        look(&plane, &rows);
    }
}

fn fill<const N: usize>(plane: &mut [u8], pixels: &[[u8; N]], sample: impl Fn([u8; N]) -> u8) {
    plane.iter_mut().zip(pixels).for_each(|(slot, pixel)| *slot = sample(*pixel));
}

fn decompress(file: &[u8]) -> Result<Pixels, Error> {
    let damaged = |_: DecodingError| NO_PNG;
    let too_large = || TOO_MANY_PIXELS;

    let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: 1 << 20 });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (u64::from(reader.info().width), u64::from(reader.info().height));
    if width.checked_mul(height).is_none_or(|pixels| pixels > MAX_PIXELS) {
        return Err(too_large());
    }
    let bytes = reader.output_buffer_size().ok_or_else(too_large)?;
    let mut bytes = Zeroizing::new(vec![0; bytes]);
    let OutputInfo { width, color_type: color, .. } = reader.next_frame(&mut bytes).map_err(damaged)?;
    let width = usize::try_from(width).map_err(|_| too_large())?;
    Ok(Pixels { bytes, width, color })
}

/// The maximum number of strings in the result. In practice, a screen never shows more codes than this at once.
const MAX_CODES: usize = 32;

/// The maximum number of pixels in a picture. The largest common screen, 5120 x 2880, has 14.7 million pixels.
const MAX_PIXELS: u64 = 1 << 24;

const NO_PNG: Error = Error::new(ErrorKind::Qr, "this is not a PNG, or it is damaged");
const NOT_FOUND: Error = Error::new(ErrorKind::Qr, "there is no QR code in the picture, or none that can be read");
const UNUSABLE: Error = Error::new(ErrorKind::Qr, "the QR code was found, but {}");
const TOO_MANY_PIXELS: Error = Error::new(ErrorKind::Qr, "the picture has more than {} pixels").number(MAX_PIXELS);
