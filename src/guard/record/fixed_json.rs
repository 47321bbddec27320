//! JSON, written without looking at what the numbers are.

use alloc::vec::Vec;

use serde::Serialize;

use crate::ct;
use crate::guard::keyring::Sealed;

pub(crate) struct Json(pub(crate) Vec<u8>);

impl Json {
    pub(crate) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        // Writing to a vector does not fail.
        let _ = text.serialize(&mut serde_json::Serializer::new(&mut self.0));
    }

    /// A number that no verdict changes.
    pub(crate) fn plain(&mut self, number: u64) {
        let _ = number.serialize(&mut serde_json::Serializer::new(&mut self.0));
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.fixed(ct::magnitude(number), ct::mask_negative(number));
    }

    /// A number in as many characters as the largest one, with white space before it, which JSON permits. `negative` is
    /// a mask.
    pub(crate) fn fixed(&mut self, number: u64, negative: u64) {
        let mut text = [b' '; 21];
        let mut rest = number;
        // Masks: whether all digits are written, and the sign as well. A zero has one digit.
        let mut written = 0;
        let mut signed = 0;
        for place in text.iter_mut().rev() {
            let (quotient, digit) = ct::divide_by_ten(rest);
            let sign = ct::select(negative & !signed, b'-'.into(), b' '.into());
            *place = ct::select(written, sign, u64::from(b'0') | digit).to_le_bytes()[0];
            signed |= written;
            written |= ct::mask_same(quotient, 0);
            rest = quotient;
        }
        self.0.extend_from_slice(&text);
    }

    pub(crate) fn sealed(&mut self, sealed: &Sealed) {
        self.raw("{\"key\":");
        self.text(sealed.key.as_str());
        self.raw(",\"sealed\":\"");
        self.raw(sealed.as_str());
        self.raw("\"}");
    }
}

/// Ten hashes are half of a record, so these two are loops that become vector instructions.
pub(crate) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for ([high, low], byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        (*high, *low) = (byte >> 4, byte & 15);
    }
    text.map(|nibble| nibble + if nibble < 10 { b'0' } else { b'a' - 10 })
}
