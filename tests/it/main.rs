//! One integration binary: a module per concept, vectors as data in `tests/data`.

mod algorithm;
#[cfg(feature = "guard")]
mod attack;
mod base32;
mod code;
mod conformance;
mod ct;
#[cfg(all(feature = "import", feature = "png", feature = "qr-read"))]
mod fuzz;
#[cfg(feature = "guard")]
mod guard;
#[cfg(feature = "guard")]
mod guarded;
#[cfg(feature = "png")]
mod guide;
mod hotp;
#[cfg(feature = "import")]
mod import;
mod memory;
#[cfg(feature = "migration")]
mod migration;
#[cfg(feature = "guard")]
mod model;
mod oracle;
mod peers;
mod printed;
#[cfg(feature = "guard")]
mod protocol;
#[cfg(feature = "import")]
mod pskc;
mod qr;
#[cfg(feature = "qr-read")]
mod qr_read;
#[cfg(feature = "guard")]
mod races;
mod random;
mod search;
mod secret;
#[cfg(feature = "serde")]
mod serde;
mod steam;
#[cfg(feature = "guard")]
mod store;
mod totp;
mod uri;

use random::Random;
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: memory::Watch = memory::Watch;

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

/// Flips a bit, or cuts, or repeats a range.
#[cfg(any(feature = "import", feature = "pskc"))]
fn damage(file: &mut Vec<u8>, random: &mut Random) {
    let mut place = || usize::try_from(random.below(file.len() as u64 + 1)).unwrap();
    let (a, b) = (place(), place());
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
