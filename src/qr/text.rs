//! Decodes the data of a QR code into a string: numeric, alphanumeric and byte segments (ISO/IEC 18004, section 7.4).

#![allow(clippy::integer_division_remainder_used, reason = "nothing is claimed on the time of reading a picture")]

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::charset;
use super::decode::Data;

/// Returns the string that a code contains. The result is `Some(Err(_))` with a reason if the code is valid but its
/// string cannot be determined, and `None` if the code is not valid.
pub(super) fn text(data: &Data) -> Option<Result<Zeroizing<String>, &'static str>> {
    let mut bits = Bits { bytes: &data.bytes, position: 0 };
    // A digit takes fewer bits than any other character, but still more than three. A byte becomes at most three bytes
    // of UTF-8. Therefore neither buffer grows.
    let most = 3 * data.bytes.len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    let mut text = Zeroizing::new(String::with_capacity(3 * most));
    let mut encoding = None;
    let width = |small, medium, large| match data.version {
        ..10 => small,
        10..27 => medium,
        _ => large,
    };
    // Mode 0 ends the data. If the data fills the code, there may be no room for mode 0.
    while let Some(mode) = bits.take(4).filter(|mode| *mode != 0) {
        match mode {
            1 => {
                let count = bits.take(width(10, 12, 14))?;
                for start in (0..count).step_by(3) {
                    let (size, limit) = match count - start {
                        1 => (4, 10),
                        2 => (7, 100),
                        _ => (10, 1000),
                    };
                    let number = bits.take(size).filter(|number| *number < limit)?;
                    for power in [100, 10, 1].into_iter().filter(|power| *power < limit) {
                        bytes.push(b'0' + u8::try_from(number / power % 10).ok()?);
                    }
                }
            }
            2 => {
                let count = bits.take(width(9, 11, 13))?;
                for start in (0..count).step_by(2) {
                    let pair = count - start > 1;
                    let number = bits.take(if pair { 11 } else { 6 })?;
                    let symbol = |number: u32| SYMBOLS.get(usize::try_from(number).ok()?).copied();
                    if pair {
                        bytes.push(symbol(number / 45)?);
                    }
                    bytes.push(symbol(if pair { number % 45 } else { number })?);
                }
            }
            4 => {
                for _ in 0..bits.take(width(8, 16, 16))? {
                    bytes.push(u8::try_from(bits.take(8)?).ok()?);
                }
            }
            7 => {
                if charset::decode(&bytes, encoding, &mut text).is_none() {
                    return Some(Err(ENCODING));
                }
                bytes.clear();
                encoding = Some(bits.designator()?);
            }
            3 => return Some(Err("it is a part of a text that several codes hold together")),
            // Mode 8 encodes Kanji by their numbers in JIS X 0208. Decoding them would require a large table.
            8 => return Some(Err(ENCODING)),
            5 | 9 => return Some(Err("it holds data of goods and no text")),
            _ => return None,
        }
    }
    if charset::decode(&bytes, encoding, &mut text).is_none() {
        return Some(Err(ENCODING));
    }
    Some(Ok(Zeroizing::new(text.as_str().into())))
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number, _| {
            let byte = self.bytes.get(self.position >> 3)?;
            let bit = byte >> (7 - (self.position & 7)) & 1;
            self.position += 1;
            Some(number << 1 | u32::from(bit))
        })
    }

    /// Reads an encoding's number, which takes one to three bytes. The number of leading 1 bits in the first byte is
    /// the number of bytes that follow it.
    fn designator(&mut self) -> Option<u32> {
        let first = self.take(8)?;
        match first >> 5 {
            0..4 => Some(first),
            4 | 5 => Some((first & 0x3f) << 8 | self.take(8)?),
            6 => Some((first & 0x1f) << 16 | self.take(16)?),
            _ => None,
        }
    }
}

/// The characters of an alphanumeric segment, indexed by value.
const SYMBOLS: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

const ENCODING: &str = "its text is in an encoding that is not supported; ask for a code in UTF-8";
