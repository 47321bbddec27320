//! Base32 beside the crate `base32`, which shares no code with keyfob, and what people paste beside a plain rule.

use ::base32::Alphabet;
use keyfob::{Secret, base32};

use super::code::is_separator;

pub fn run(data: &[u8]) {
    let written = base32::encode(data);
    assert_eq!(*written, ::base32::encode(RFC, data));
    assert_eq!(*base32::decode(&written).unwrap(), data);

    let Ok(text) = str::from_utf8(data) else { return };
    let read = base32::decode(text);
    assert_eq!(read.as_ref().ok().map(|bytes| bytes.to_vec()), pasted(text));
    if let Some(position) = read.as_ref().err().and_then(keyfob::Error::position) {
        assert!((1..=text.chars().count()).contains(&position));
    }
    let secret = Secret::from_base32(text);
    assert_eq!(secret.is_ok(), read.as_ref().is_ok_and(|bytes| (10..=1024).contains(&bytes.len())));
    if let Ok(secret) = secret {
        assert_eq!(secret.expose_bytes(), **read.as_ref().unwrap());
        assert!(Secret::from_base32(&secret.expose_base32()).unwrap() == secret);
    }
}

/// The rule for pasted text: separators are dropped, then padding at the end; lowercase letters count as
/// uppercase; the last symbol may have bits set that belong to no byte.
fn pasted(text: &str) -> Option<Vec<u8>> {
    let kept: String = text.chars().filter(|c| !is_separator(*c)).collect();
    let symbols = kept.trim_end_matches('=').to_ascii_uppercase();
    // No number of bytes has so many symbols. The crate drops the last one.
    let impossible = matches!(symbols.len() % 8, 1 | 3 | 6);
    ::base32::decode(RFC, &symbols).filter(|_| !impossible)
}

const RFC: Alphabet = Alphabet::Rfc4648 { padding: false };
