//! Base32 (RFC 4648, section 6), without tables and without branches on the data.
//!
//! The time depends on the length of the text, on where its separators stand, and on whether it is valid: on nothing
//! else. Decoders with a lookup table leave the secret's trace in the cache.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use base32ct::{Base32UpperUnpadded, Encoding};
use zeroize::Zeroizing;

use crate::ct;
use crate::error::{Cause, Error};

/// Writes bytes in capitals, without padding.
///
/// ```
/// assert_eq!(*keyfob::base32::encode(b"foobar"), "MZXW6YTBOI");
/// ```
#[must_use]
pub fn encode(bytes: &[u8]) -> Zeroizing<String> {
    let mut symbols = Zeroizing::new(vec![0; Base32UpperUnpadded::encoded_len(bytes)]);
    // The buffer has the length that the encoder asks for, which is its only way to fail.
    let text = Base32UpperUnpadded::encode(bytes, &mut symbols).unwrap_or_default();
    Zeroizing::new(text.into())
}

/// Reads what people paste: in capitals or not, with spaces or hyphens, with padding or without.
///
/// Left-over bits of the last character that are not zero, which some producers write, are ignored.
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
/// [`ErrorKind::Secret`](crate::ErrorKind::Secret) with the position of a character that base32 does not have, for
/// padding that is not at the end, and for a number of characters that no bytes encode to. Characters are never
/// guessed: apps disagree on whether a 0 is an O.
pub fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let symbols = symbols(text)?;
    if matches!(symbols.len() & 7, 1 | 3 | 6) {
        return Err(Error::new(Cause::Base32Length { symbols: symbols.len() }));
    }
    let mut bytes = Zeroizing::new(vec![0; (symbols.len() * 5) >> 3]);
    // Alphabet and length are checked, and the buffer has the length that the decoder asks for.
    Base32UpperUnpadded::decode(&*symbols, &mut bytes)
        .map_err(|_| Error::new(Cause::Base32Length { symbols: symbols.len() }))?;
    Ok(bytes)
}

/// The characters of the alphabet in `text`, in capitals.
fn symbols(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Never grows, so it leaves no copy behind.
    let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut padding = None;
    for (position, character) in (1..).zip(text.chars()) {
        // A character beyond ASCII is in none of the ranges; which one it is stays public.
        let byte = u8::try_from(character).unwrap_or(0);
        let lower = ct::mask_within(byte, b'a', b'z');
        let upper = ct::mask_within(byte, b'A', b'Z');
        let digit = ct::mask_within(byte, b'2', b'7');
        // Which characters belong to the secret is public, which ones they are is not.
        if (lower | upper | digit) != 0 {
            if let Some(position) = padding {
                return Err(Error::new(Cause::Base32Padding { position }));
            }
            symbols.push(byte ^ (lower.to_le_bytes()[0] & 0x20));
        } else if character == '=' {
            padding = padding.or(Some(position));
        } else if !character.is_whitespace() && character != '-' {
            let look_alike = matches!(character, '0' | '1' | '8' | '9');
            return Err(Error::new(Cause::Base32Symbol { position, look_alike }));
        }
    }
    Ok(symbols)
}
