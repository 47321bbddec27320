//! Writes JSON values: strings, fixed-width numbers and sealed secrets. `write.rs` and `read.rs` define the format of
//! the record.
//!
//! A number that depends on a verdict is written with a fixed width and without branches, so that neither the length of
//! the record nor the time taken to write it reveals the verdict before the swap.

use alloc::vec::Vec;

use serde::Serialize;

use crate::ct;
use crate::guard::keyring::Sealed;
use crate::guard::record::authenticator::MAX_DRIFT;

/// JSON text that is being written.
pub(crate) struct Json(pub(crate) Vec<u8>);

impl Json {
    /// Appends text that is valid JSON.
    pub(crate) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Appends a string, quoted and escaped.
    pub(crate) fn text(&mut self, text: &str) {
        // Writing a string or a number to a vector cannot fail.
        let _ = text.serialize(&mut serde_json::Serializer::new(&mut self.0));
    }

    /// Appends a number that does not depend on a verdict, without padding.
    pub(crate) fn plain(&mut self, number: u64) {
        let _ = number.serialize(&mut serde_json::Serializer::new(&mut self.0));
    }

    /// Appends a signed number with the fixed width. It is at most [`MAX_DRIFT`] steps in either direction.
    pub(crate) fn signed(&mut self, number: i64) {
        self.fixed(ct::magnitude(number), ct::mask_negative(number));
    }

    /// Appends a number as 21 characters, padded with spaces on the left, which JSON permits. `negative` is a mask: all
    /// ones for a negative number, whose magnitude must be below 10^7.
    pub(crate) fn fixed(&mut self, number: u64, negative: u64) {
        // Each of the three words in `digits` holds eight digits, one per byte, starting with the most significant
        // byte. The eight characters of a word are computed at once, with additions, shifts and masks. There is no
        // condition that the compiler could turn into a branch.
        let (rest, low) = ct::divide_by_hundred_million(number);
        let (high, middle) = ct::divide_by_hundred_million(rest);
        let digits = [high, middle, low].map(eight_digits);
        // A byte's top bit is set if its digit is written: if that digit or an earlier one is not 0. The last digit is
        // always written.
        let [first, second, third] = digits.map(|word| word.wrapping_add(each(0x7f)) & each(0x80));
        let first = spread(first);
        let second = spread(second | (first << 56));
        let third = spread(third | (second << 56) | 0x80);
        // Likewise, the top bit marks the position of a minus sign, directly to the left of the first written digit. The
        // magnitude of a negative number has at most seven digits, so its sign is in the last word.
        let sign = (third << 8) & !third & negative;
        let mut text = [0; 24];
        let words = digits.into_iter().zip([first, second, third]).zip([0, 0, sign]);
        for (characters, ((digits, written), sign)) in text.as_chunks_mut().0.iter_mut().zip(words) {
            // 0x20 is a space, 0x30 is the digit 0, and 0x2d is the minus sign.
            let sign = (sign >> 4) | (sign >> 5) | (sign >> 7);
            *characters = (each(0x20) | (written >> 3) | digits | sign).to_be_bytes();
        }
        // The largest number has twenty digits, so three of the 24 characters are dropped.
        let [_, _, _, text @ ..] = &text;
        self.0.extend_from_slice(text);
    }

    /// Appends a sealed secret as an object.
    pub(crate) fn sealed(&mut self, sealed: &Sealed) {
        self.raw("{\"key\":");
        self.text(sealed.key.as_str());
        self.raw(",\"sealed\":\"");
        self.raw(sealed.as_str());
        self.raw("\"}");
    }
}

/// Returns the eight decimal digits of a number below 10^8, one per byte, with the first digit in the most significant
/// byte.
///
/// Each step divides the numbers in all lanes by the same power of ten. It multiplies by a reciprocal, which is exact
/// for numbers of this size.
const fn eight_digits(number: u64) -> u64 {
    let high = (number * 109_951_163) >> 40;
    let fours = (high << 32) | (number - high * 10_000);
    let high = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = (high << 16) | (fours - high * 100);
    let high = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (high << 8) | (twos - high * 10)
}

/// Returns a word in which every byte is `byte`.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Finds the most significant byte whose top bit is set, and sets the top bit of every byte after it. In `word`, no
/// bits other than top bits may be set.
const fn spread(word: u64) -> u64 {
    let word = word | (word >> 8);
    let word = word | (word >> 16);
    word | (word >> 32)
}

/// Encodes 32 bytes in hexadecimal. It does not branch, because the ids of completed logins depend on the verdict.
/// Hashes make up half of a record, so the encoding has to be fast: it uses loops that the compiler vectorizes.
pub(crate) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for ([high, low], byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        (*high, *low) = (byte >> 4, byte & 15);
    }
    // 1 for each nibble that becomes a letter, and 0 for each nibble that becomes a digit.
    let letters = ct::hidden(text.map(|nibble| (nibble + 6) >> 4));
    for (character, letter) in text.iter_mut().zip(letters) {
        *character += b'0' + letter * (b'a' - 10 - b'0');
    }
    text
}

const _: () = assert!(MAX_DRIFT < 10_000_000);
