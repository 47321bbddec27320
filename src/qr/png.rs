//! Renders a QR code as a PNG.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};
use png::{BitDepth, ColorType, Encoder, EncodingError};
use zeroize::Zeroizing;

use super::Qr;
use crate::error::{Error, ErrorKind};

impl Qr {
    /// Renders the code as a PNG with one bit per pixel. `module_size` is the width and height of a module in pixels,
    /// and must be between 1 and 40.
    ///
    /// Use PNGs in emails and on pages that cannot contain markup. Serve them with `Cache-Control: no-store`, from URLs
    /// that reveal nothing about the account.
    ///
    /// ```
    /// use keyfob::{KeyUri, Secret};
    ///
    /// let uri = KeyUri::totp("Example Inc", "alice@example.com", &Secret::generate())?;
    /// assert!(uri.qr()?.png(6)?.starts_with(b"\x89PNG"));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Qr`](crate::ErrorKind::Qr) if `module_size` is 0 or more than 40.
    pub fn png(&self, module_size: u8) -> Result<Zeroizing<Vec<u8>>, Error> {
        let scale = usize::from(module_size);
        let side = self.side() * scale;
        let pixels = u32::try_from(side).ok().filter(|_| (1..=MAX_SCALE).contains(&module_size));
        let pixels = pixels.ok_or(SCALE)?;

        // A set bit is white. All bits are set at first, and those of the dark modules are cleared.
        let bytes_per_row = side.div_ceil(8);
        let mut image = Zeroizing::new(vec![0xff; bytes_per_row * side]);
        for (y, line) in image.chunks_mut(bytes_per_row).enumerate() {
            for x in 0..side {
                if let (true, Some(byte)) = (self.is_dark(nth(y, scale), nth(x, scale)), line.get_mut(x >> 3)) {
                    *byte &= !(0x80 >> (x & 7));
                }
            }
        }

        // The compressed file is smaller than this capacity, so the buffer does not grow. Writing to memory does not
        // fail.
        let mut file = Zeroizing::new(Vec::with_capacity(image.len() + 1024));
        encode(&mut file, pixels, &image).map_err(|_| SCALE)?;
        Ok(file)
    }

    /// Returns the PNG from [`png`](Self::png) as a `data:` URL, for an image's `src` attribute. If the page has a
    /// content security policy, the policy must allow `img-src data:`. With [`svg`](Self::svg), this is not needed.
    ///
    /// ```
    /// use keyfob::{KeyUri, Secret};
    ///
    /// let uri = KeyUri::totp("Example Inc", "alice@example.com", &Secret::generate())?;
    /// let address = uri.qr()?.png_data_uri(6)?;
    /// let image = format!(r#"<img alt="QR code for your authenticator app" src="{}">"#, *address);
    /// assert!(image.contains("data:image/png;base64,iVBORw0KGgo"));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same errors as for [`png`](Self::png).
    pub fn png_data_uri(&self, module_size: u8) -> Result<Zeroizing<String>, Error> {
        const PREFIX: &str = "data:image/png;base64,";
        let file = self.png(module_size)?;
        let mut encoded = Zeroizing::new(vec![0; Base64::encoded_len(&file)]);
        // The buffer has the length that the encoder needs, so encoding does not fail.
        let encoded = Base64::encode(&file, &mut encoded).unwrap_or_default();
        let mut uri = Zeroizing::new(String::with_capacity(PREFIX.len() + encoded.len()));
        uri.push_str(PREFIX);
        uri.push_str(encoded);
        Ok(uri)
    }
}

fn encode(file: &mut Vec<u8>, side: u32, image: &[u8]) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(file, side, side);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::One);
    encoder.write_header()?.write_image_data(image)
}

/// The index of the module that contains a pixel.
#[allow(clippy::integer_division_remainder_used, reason = "the size of a picture is public")]
const fn nth(pixel: usize, scale: usize) -> usize {
    pixel / scale
}

const MAX_SCALE: u8 = 40;
const SCALE: Error = Error::new(ErrorKind::Qr, "the side of a module is 1 to {} pixels").number(MAX_SCALE as u64);
