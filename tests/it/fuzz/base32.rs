//! Base32 beside `data-encoding`, and what people paste beside a plain rule.

use std::sync::LazyLock;

use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use keyfob::{Secret, base32};

use super::code::is_separator;

pub fn run(data: &[u8]) {
    let written = base32::encode(data);
    assert_eq!(*written, BASE32_NOPAD.encode(data));
    assert_eq!(*base32::decode(&written).unwrap(), data);

    let Ok(text) = str::from_utf8(data) else { return };
    let strict = BASE32_NOPAD.decode(data);
    let read = base32::decode(text);
    if let Ok(strict) = &strict {
        assert_eq!(**read.as_ref().unwrap(), *strict);
    }
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

fn pasted(text: &str) -> Option<Vec<u8>> {
    let kept: String = text.chars().filter(|c| !is_separator(*c)).collect();
    let symbols = kept.trim_end_matches('=');
    LAX.decode(symbols.to_ascii_uppercase().as_bytes()).ok()
}

static LAX: LazyLock<Encoding> = LazyLock::new(|| {
    let mut rules = Specification::new();
    rules.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    rules.check_trailing_bits = false;
    rules.encoding().unwrap()
});
