//! Base32 (RFC 4648, section 6) without lookup tables or branches on secret data.
//!
//! The running time depends on the length of the text, the positions of its separators, and whether it is valid, but
//! not on the encoded bytes. A decoder with a lookup table reads from memory addresses that depend on the secret, and a
//! cache side channel can reveal which addresses were read.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use zeroize::Zeroizing;

use crate::ct;
use crate::error::{Error, ErrorKind};
use crate::typed::{Piece, is_separator, pieces};

/// Encodes bytes in uppercase, without padding.
///
/// ```
/// assert_eq!(*keyfob::base32::encode(b"foobar"), "MZXW6YTBOI");
/// ```
#[must_use]
pub fn encode(bytes: &[u8]) -> Zeroizing<String> {
    // The buffer has enough capacity from the start, because growing would leave a copy of the secret in freed memory.
    // It holds bytes, because pushing a `char` onto a `String` branches on its UTF-8 length.
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len().div_ceil(5).saturating_mul(8)));
    for group in bytes.chunks(5) {
        let mut word = [0; 8];
        word.iter_mut().skip(3).zip(group).for_each(|(to, from)| *to = *from);
        let word = Zeroizing::new(u64::from_be_bytes(word));
        for index in 0..(group.len() * 8).div_ceil(5) {
            text.push(symbol((*word >> (35 - 5 * index)).to_le_bytes()[0] & 31));
        }
    }
    // The conversion does not copy the bytes. It cannot fail, because all bytes are ASCII.
    Zeroizing::new(String::from_utf8(mem::take(&mut *text)).unwrap_or_default())
}

/// Decodes base32 as people paste it: in uppercase or lowercase, with or without padding, spaces, and dashes of any
/// width.
///
/// The invisible marks that a clipboard adds are also ignored. Letters and digits must be ASCII. The unused bits of the
/// last character are ignored, because some programs do not set them to zero.
///
/// ```
/// assert_eq!(*keyfob::base32::decode("mzxw 6ytb oi")?, b"foobar");
///
/// let error = keyfob::base32::decode("MZXW6YT8").unwrap_err();
/// assert_eq!(error.position(), Some(8));
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Secret`] if a character is not base32, if padding is not at the end, or if no base32 text has this
/// number of characters. In the first two cases, the error has a position. A 0 is not read as an O, because apps
/// disagree on its meaning.
pub fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let values = values(text)?;
    if matches!(values.len() & 7, 1 | 3 | 6) {
        return Err(LENGTH.number(values.len() as u64));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(values.len()));
    for group in values.chunks(8) {
        let mut word = Zeroizing::new(0u64);
        for index in 0..8 {
            *word = (*word << 5) | group.get(index).map_or(0, |value| u64::from(*value));
        }
        let whole = (group.len() * 5) >> 3;
        bytes.extend(word.to_be_bytes().iter().skip(3).take(whole));
    }
    Ok(bytes)
}

/// Returns the five-bit values of the base32 characters in `text`.
fn values(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut values = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut padding = None;
    let letter = |byte| ct::mask_within(byte, b'A', b'Z') | ct::mask_within(byte, b'a', b'z');
    let pieces = pieces(text, |byte| letter(byte) | ct::mask_within(byte, b'2', b'7'));
    for (position, piece) in (1..).zip(pieces) {
        match piece {
            Piece::Symbol(symbol) => {
                if let Some(position) = padding {
                    return Err(PADDING.at(position));
                }
                // The lower five bits of `A` and `a` are 1 and stand for 0; those of `2` are 18 and stand for 26.
                let low = u64::from(symbol & 31);
                values.push(ct::select(letter(symbol), low.wrapping_sub(1), low + 8).to_le_bytes()[0]);
            }
            Piece::Other('=') => padding = padding.or(Some(position)),
            Piece::Other(character) if is_separator(character) => {}
            Piece::Other(character) => {
                let is_look_alike = matches!(character, '0' | '1' | '8' | '9');
                return Err(if is_look_alike { LOOK_ALIKE } else { SYMBOL }.at(position));
            }
        }
    }
    Ok(values)
}

/// Returns the base32 character for a five-bit value.
fn symbol(value: u8) -> u8 {
    let letter = u64::from(b'A') + u64::from(value);
    ct::ascii(ct::select(ct::mask_within(value, 0, 25), letter, u64::from(value) + 24).to_le_bytes()[0])
}

const LENGTH: Error =
    Error::new(ErrorKind::Secret, "no secret has {} base32 characters; one or more are missing or too many");
const PADDING: Error = Error::new(ErrorKind::Secret, "the padding at position {} is not at the end of the secret");
const SYMBOL: Error =
    Error::new(ErrorKind::Secret, "the character at position {} of the secret is not one of A-Z and 2-7");
const LOOK_ALIKE: Error = Error::new(
    ErrorKind::Secret,
    "the character at position {} of the secret is not one of A-Z and 2-7 \
     (0 and 1 are often a misread O and I or L, 8 a B, 9 a g)",
);
