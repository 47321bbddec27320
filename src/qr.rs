//! Generates QR codes from URIs, and reads QR codes from screenshots. Both run locally, because an online service would
//! learn the secret.

#[cfg(feature = "qr-read")]
mod charset;
#[cfg(feature = "qr-read")]
mod decode;
#[cfg(feature = "qr-read")]
mod locate;
#[cfg(feature = "png")]
mod png;
#[cfg(feature = "qr-read")]
mod read;
mod svg;
mod terminal;
#[cfg(feature = "qr-read")]
mod text;

use core::fmt;

use qrcode::bits::Bits;
use qrcode::{Color, EcLevel, QrCode, QrResult, Version};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::uri::{KeyUri, QR_BYTES, too_long_for_qr};

pub use svg::Svg;
pub use terminal::Terminal;

impl KeyUri {
    /// Encodes the URI as a QR code, with error correction level M.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Qr`](crate::ErrorKind::Qr) if the URI is longer than 2331 bytes. Keep the URI short: a phone scans
    /// a 200-byte code far more easily than a longer one.
    pub fn qr(&self) -> Result<Qr, Error> {
        Qr::new(&self.to_uri())
    }
}

/// A QR code that contains a [`KeyUri`] or another string.
///
/// ```
/// use keyfob::{KeyUri, Secret};
///
/// let uri = KeyUri::totp("Example Inc", "alice@example.com", &Secret::generate())?;
/// println!("{}", uri.qr()?.terminal());
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// The QR code of a URI contains the secret, just as the URI does.
#[derive(Clone)]
pub struct Qr {
    width: usize,
    /// The modules row by row, without the quiet zone. 1 is a dark module and 0 is a light module.
    dark: Zeroizing<alloc::vec::Vec<u8>>,
}

impl Qr {
    /// Encodes any string as a QR code, with error correction level M. The string can be a URI that transfers accounts
    /// between apps, for example.
    ///
    /// ```
    /// # #[cfg(feature = "migration")] {
    /// use keyfob::{KeyUri, Qr, Secret, Transfer};
    ///
    /// let accounts = [KeyUri::totp("Example", "al", &Secret::generate())?];
    /// for code in Transfer::export(&accounts, 77)? {
    ///     println!("{}", Qr::new(&code)?.terminal());
    /// }
    /// # }
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Qr`](crate::ErrorKind::Qr) if the string is longer than 2331 bytes.
    pub fn new(text: &str) -> Result<Self, Error> {
        let too_long = || too_long_for_qr(text.len());
        if text.len() > QR_BYTES {
            return Err(too_long());
        }
        // The whole string is a single byte segment. Splitting it into alphanumeric and numeric segments makes some
        // codes one version smaller. However, the segments that the `qrcode` crate chooses make other codes larger than
        // the standard's capacity table allows.
        let with_version = |version| -> QrResult<QrCode> {
            let mut bits = Bits::new(Version::Normal(version));
            bits.push_byte_data(text.as_bytes())?;
            bits.push_terminator(EcLevel::M)?;
            QrCode::with_bits(bits, EcLevel::M)
        };
        let code = (1..=40).find_map(|version| with_version(version).ok()).ok_or_else(too_long)?;
        let width = code.width();
        let dark = code.into_colors().into_iter().map(|color| u8::from(color == Color::Dark)).collect();
        Ok(Self { width, dark: Zeroizing::new(dark) })
    }

    /// Returns the code as text for a terminal: `println!("{}", qr.terminal())`.
    ///
    /// The text sets its own colors: black on white, from the fixed part of the 256-color palette. A terminal theme may
    /// change the other colors so that the code is inverted, and several readers cannot read an inverted code. Each
    /// line of text holds two rows of modules.
    #[must_use]
    pub const fn terminal(&self) -> Terminal<'_> {
        Terminal::new(self)
    }

    /// Returns the code as SVG markup to insert into a page.
    #[must_use]
    pub const fn svg(&self) -> Svg<'_> {
        Svg::new(self)
    }

    /// The number of modules per side, including the quiet zone of four modules on each side.
    #[must_use]
    pub const fn side(&self) -> usize {
        self.width + 2 * QUIET_ZONE
    }

    /// Returns whether a module is dark. Use this to render the QR code yourself. Rows are counted from the top and
    /// columns from the left, both from 0 and including the quiet zone. Everything outside the code is light.
    ///
    /// ```
    /// use keyfob::Qr;
    ///
    /// let qr = Qr::new("otpauth://...")?;
    /// for row in 0..qr.side() {
    ///     let line: String = (0..qr.side()).map(|column| if qr.is_dark(row, column) { "##" } else { "  " }).collect();
    ///     println!("{line}");
    /// }
    /// assert!(qr.is_dark(4, 4) && !qr.is_dark(0, 0));
    /// # Ok::<(), keyfob::Error>(())
    /// ```
    #[must_use]
    pub fn is_dark(&self, row: usize, column: usize) -> bool {
        let inside = |module: usize| module.checked_sub(QUIET_ZONE).filter(|module| *module < self.width);
        let (Some(row), Some(column)) = (inside(row), inside(column)) else { return false };
        self.dark.get(row * self.width + column).is_some_and(|dark| *dark != 0)
    }
}

impl fmt::Debug for Qr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Qr").field("width", &self.width).finish_non_exhaustive()
    }
}

/// The width of the light border around the code, in modules. Without it, most readers cannot find a code on a dark
/// page or terminal.
const QUIET_ZONE: usize = 4;
