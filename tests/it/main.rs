//! One integration binary: a module per concept, vectors as data in `tests/data`.

mod adoption;
mod algorithm;
mod allocator;
mod attack;
mod base32;
mod code;
mod conformance;
mod ct;
mod fuzz;
mod guard;
mod guarded;
mod guide;
mod hotp;
mod import;
mod memory;
mod model;
mod oracle;
mod peers;
mod printed;
mod protocol;
mod pskc;
mod qr;
mod qr_read;
mod races;
mod random;
mod search;
mod secret;
mod serde;
mod servers;
mod steam;
mod store;
mod totp;
mod transfer;
mod uri;

use random::Random;
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: allocator::Watch = allocator::Watch;

/// Who acts as an operator in the tests.
fn operator() -> keyfob::guard::OperatorId {
    keyfob::guard::OperatorId::new("operator").unwrap()
}

/// A file of `tests/data`.
fn data(name: &str) -> Value {
    let path = format!("{}/tests/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn rows<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("no list {name}"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name}"))
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no number {name}"))
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many codes are compared with those of another implementation, unless `KEYFOB_CASES` says.
fn cases(usual: usize) -> usize {
    std::env::var("KEYFOB_CASES").map_or(usual, |cases| cases.parse().expect("KEYFOB_CASES is a number"))
}

/// A text in UTF-8 and UTF-16, with a byte order mark and without.
fn encodings(text: &str) -> Vec<Vec<u8>> {
    let wide = |to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    let (little, big) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
    let marked = [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].into_iter().zip([text.as_bytes(), &little, &big]);
    marked.map(|(mark, bytes)| [mark, bytes].concat()).chain([little.clone(), big.clone()]).collect()
}

/// Flips a bit, or cuts, or repeats a range.
fn damage(file: &mut Vec<u8>, random: &mut Random) {
    let mut position = || usize::try_from(random.below(file.len() as u64 + 1)).unwrap();
    let (a, b) = (position(), position());
    let range = a.min(b)..a.max(b);
    match random.below(3) {
        0 if a < file.len() => file[a] ^= 1 << random.below(8),
        1 => drop(file.drain(range)),
        _ => {
            let copy = file[range].to_vec();
            file.splice(a..a, copy);
        }
    }
}
