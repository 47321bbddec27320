//! Writes JSON values: strings, numbers in a fixed width and sealed secrets. `write.rs` and `read.rs` define the format
//! of the record.
//!
//! A number that depends on a verdict is written in a fixed width and without branches, so that neither the length of
//! the record nor the time to write it reveals the verdict before the swap.

use alloc::vec::Vec;

use serde::Serialize;

use crate::ct;
use crate::guard::keyring::Sealed;

/// JSON under construction.
pub(crate) struct Json(pub(crate) Vec<u8>);

impl Json {
    /// Appends text that is valid JSON.
    pub(crate) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Appends a string, with quotes and escapes.
    pub(crate) fn text(&mut self, text: &str) {
        // Writing a string or a number to a vector does not fail.
        let _ = text.serialize(&mut serde_json::Serializer::new(&mut self.0));
    }

    /// Appends a number that does not depend on a verdict, in its usual form.
    pub(crate) fn plain(&mut self, number: u64) {
        let _ = number.serialize(&mut serde_json::Serializer::new(&mut self.0));
    }

    /// Appends a signed number in the fixed width.
    pub(crate) fn signed(&mut self, number: i64) {
        self.fixed(ct::magnitude(number), ct::mask_negative(number));
    }

    /// Appends a number in 21 characters, which is enough for the largest number and a sign. The number is padded with
    /// spaces on the left, which JSON permits. `negative` is a mask.
    pub(crate) fn fixed(&mut self, number: u64, negative: u64) {
        let mut text = [b' '; 21];
        let mut rest = number;
        // `written` is a mask that is set once all digits are written, and `signed` once the sign is written. Zero has
        // one digit.
        let mut written = 0;
        let mut signed = 0;
        for character in text.iter_mut().rev() {
            let (quotient, digit) = ct::divide_by_ten(rest);
            let sign = ct::select(negative & !signed, b'-'.into(), b' '.into());
            *character = ct::select(written, sign, u64::from(b'0') | digit).to_le_bytes()[0];
            signed |= written;
            written |= ct::mask_same(quotient, 0);
            rest = quotient;
        }
        self.0.extend_from_slice(&text);
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

/// Encodes a hash in hexadecimal. Ten hashes make up half of a record, so this has to be fast: it uses two loops that
/// the compiler vectorizes.
pub(crate) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for ([high, low], byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        (*high, *low) = (byte >> 4, byte & 15);
    }
    text.map(|nibble| nibble + if nibble < 10 { b'0' } else { b'a' - 10 })
}
