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
use crate::error::{Cause, Error};

impl Qr {
    /// The texts of all QR codes in a PNG, such as a screenshot that a user brings: from the top, one for each code. Codes in
    /// pale or dark colours come behind those in black on white, and then inverted ones; a text that was found before is
    /// not repeated there.
    ///
    /// Any colour type and depth; what is transparent is white. It finds codes that stand upright, lie on a side or are
    /// mirrored, dark on light or the other way round, with a border, at one pixel to a module or two and more: what a
    /// screen shows. A code that a camera saw at an angle is not found. What comes after 32 codes is left
    /// out.
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
        let (grey, width) = decompress(file)?;
        let mut found: Vec<Zeroizing<String>> = Vec::new();
        let mut reason = None;
        // Black on white first. Then paler and darker pairs of colours, and all of it on a dark page.
        for inverted in [false, true] {
            for threshold in [128, 64, 192] {
                let picture = Picture { grey: &grey, width, threshold, inverted };
                let texts = locate::codes(&picture, |code| {
                    let dark = |row, column| code.is_dark(&picture, row, column);
                    // A code that is mirrored, or lies on a side, has rows for columns.
                    let data = decode::data(code.side(), dark)
                        .or_else(|| decode::data(code.side(), |row, column| dark(column, row)));
                    text::text(&data?)
                });
                let before = found.len();
                for text in texts {
                    match text {
                        Ok(text) if found.iter().take(before).all(|earlier| *earlier != text) => found.push(text),
                        Ok(_) => {}
                        Err(why) => reason = reason.or(Some(why)),
                    }
                }
            }
        }
        found.truncate(MAX_CODES);
        if found.is_empty() { Err(Error::new(reason.map_or(Cause::QrNotFound, Cause::QrText))) } else { Ok(found) }
    }
}

/// One byte per pixel, row by row, and the width.
fn decompress(file: &[u8]) -> Result<(Zeroizing<Vec<u8>>, usize), Error> {
    let damaged = |_: DecodingError| Error::new(Cause::QrNoPng);
    let too_large = || Error::new(Cause::QrTooManyPixels { limit: MAX_PIXELS });

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
    let mut rows = Zeroizing::new(vec![0; bytes]);
    let OutputInfo { width, color_type, .. } = reader.next_frame(&mut rows).map_err(damaged)?;
    let width = usize::try_from(width).map_err(|_| too_large())?;

    let grey = match color_type {
        ColorType::Grayscale | ColorType::Indexed => rows,
        ColorType::GrayscaleAlpha => over_white(rows.as_chunks().0, |[grey, alpha]| (grey, alpha)),
        ColorType::Rgb => over_white(rows.as_chunks().0, |[red, green, blue]| (luma(red, green, blue), 255)),
        ColorType::Rgba => over_white(rows.as_chunks().0, |[red, green, blue, alpha]| (luma(red, green, blue), alpha)),
    };
    Ok((grey, width))
}

fn over_white<const N: usize>(pixels: &[[u8; N]], split: impl Fn([u8; N]) -> (u8, u8)) -> Zeroizing<Vec<u8>> {
    let blend = |pixel: &[u8; N]| {
        let (grey, alpha) = split(*pixel);
        // 255 - alpha * (255 - grey) / 255, where dividing by 256 does for a threshold.
        255 - ((u16::from(alpha) * u16::from(255 - grey) + 255) >> 8).to_le_bytes()[0]
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
