//! QR codes in a picture of a screen.

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
    /// The texts of all QR codes in a PNG, such as a screenshot that a user brings: from the top, one for each code. Codes
    /// that are light on dark come behind those that are dark on light, and codes that differ from what is around them
    /// in their color alone come last; a text that was found before is not repeated there.
    ///
    /// Any color type and depth; what is transparent is white, or black where that shows a code. It finds codes in any two
    /// colors that eyes can tell apart, also several in different ones, and in shades that change across the picture.
    /// They stand upright, lie on a side or are mirrored, have a border, and one pixel to a module or two and more: what
    /// a screen shows. A code that a camera saw at an angle is not found. What comes after 32 codes is left out.
    ///
    /// The text is converted from the encoding that the code declares: Unicode, or one of European languages such as
    /// ISO 8859-1; of all others what is ASCII. A code that declares nothing has UTF-8, or else ISO 8859-1 unless that
    /// gives no text. A code in another encoding, with Kanji, or with a part of a text is left out if there are others.
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
    /// pixels, which is found out before any of them is decompressed, and if no code was found, or only such whose text
    /// cannot be told; the error says why.
    ///
    /// # Security
    ///
    /// Picture and texts are wiped. The working memory of the decoder of `png` is not. The time depends on the picture.
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
                    // A code that is mirrored, or lies on a side, has rows for columns.
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

/// A picture, decompressed: one to four bytes per pixel.
struct Pixels {
    bytes: Zeroizing<Vec<u8>>,
    width: usize,
    color: ColorType,
}

impl Pixels {
    /// Calls `look` with one sample per pixel, for each way to tell colors apart that this picture needs, and with the
    /// rows that need it.
    fn planes(&self, mut look: impl FnMut(&[u8], &dyn Fn(usize) -> bool)) {
        let (bytes, width) = (&self.bytes, self.width);
        match self.color {
            // The decoder has replaced what is indexed.
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
    /// The weights of Rec. 601, in 256ths.
    fn luma(&self) -> u8 {
        let [red, green, blue] = [self.red, self.green, self.blue].map(u32::from);
        ((77 * red + 150 * green + 29 * blue) >> 8).to_le_bytes()[0]
    }

    /// Whether two neighbors differ in red or in blue by much that is hardly to be seen in their brightness.
    fn differs_in_color(&self, other: &Self) -> bool {
        let color = self.red.abs_diff(other.red).max(self.blue.abs_diff(other.blue));
        color >= 16 && self.luma().abs_diff(other.luma()) <= color >> 2
    }

    fn over_white(&self, sample: impl Fn(&Self) -> u8) -> u8 {
        !self.over_black(|pixel| !sample(pixel))
    }

    fn over_black(&self, sample: impl Fn(&Self) -> u8) -> u8 {
        // Dividing by 256 does, and leaves what is opaque as it is.
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
    // Colors of one brightness differ in red or in blue: green alone cannot make up for itself.
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
    plane.iter_mut().zip(pixels).for_each(|(place, pixel)| *place = sample(*pixel));
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

/// More than a screen shows for people to scan.
const MAX_CODES: usize = 32;

/// 5120 x 2880, the largest common screen, has 14.7 million.
const MAX_PIXELS: u64 = 1 << 24;

const NO_PNG: Error = Error::new(ErrorKind::Qr, "this is not a PNG, or it is damaged");
const NOT_FOUND: Error = Error::new(ErrorKind::Qr, "there is no QR code in the picture, or none that can be read");
const UNUSABLE: Error = Error::new(ErrorKind::Qr, "the QR code was found, but {}");
const TOO_MANY_PIXELS: Error = Error::new(ErrorKind::Qr, "the picture has more than {} pixels").number(MAX_PIXELS);
