//! Decodes files in UTF-8, or in UTF-16 as saved by Windows programs. Also defines size limits for files.

use alloc::string::String;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// Returns the text of a file, without its byte order mark. UTF-16 is converted into `buffer`, which is wiped on drop
/// because the text contains secrets.
///
/// UTF-16 without a byte order mark is recognized by its first two characters, which are ASCII in every supported
/// format. Returns `None` if the bytes are not valid UTF-8 or UTF-16.
pub(crate) fn text<'a>(bytes: &'a [u8], buffer: &'a mut Zeroizing<String>) -> Option<&'a str> {
    let (from_bytes, bytes): (fn([u8; 2]) -> u16, _) = match bytes {
        // Refuse UTF-32, whose byte order mark begins with that of UTF-16.
        [0xff, 0xfe, 0, 0, ..] => return None,
        [0xff, 0xfe, rest @ ..] => (u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => (u16::from_be_bytes, rest),
        [a, 0, b, 0, ..] if is_ascii_text(*a) && is_ascii_text(*b) => (u16::from_le_bytes, bytes),
        [0, a, 0, b, ..] if is_ascii_text(*a) && is_ascii_text(*b) => (u16::from_be_bytes, bytes),
        _ => return str::from_utf8(bytes).ok().map(|text| text.strip_prefix('\u{feff}').unwrap_or(text)),
    };
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    let characters = || char::decode_utf16(units.iter().map(|unit| from_bytes(*unit)));
    // Allocate the final size at once: a growing buffer would leave a copy of the secrets in freed memory.
    let length = characters().map(|character| character.map_or(0, char::len_utf8)).sum();
    *buffer = Zeroizing::new(String::with_capacity(length));
    for character in characters() {
        buffer.push(character.ok()?);
    }
    Some(buffer)
}

fn is_ascii_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte.is_ascii_whitespace()
}

/// The maximum size of a file. Aegis backups are the largest, because they contain the icon of every account, but even
/// they are smaller than this.
pub(crate) const MAX_BYTES: usize = 16 << 20;
/// The maximum number of accounts or tokens in a file.
pub(crate) const MAX_ENTRIES: usize = 1 << 16;
pub(crate) const TOO_LARGE: Error = Error::new(ErrorKind::Import, "a file has at most {} MiB and {} accounts")
    .number(MAX_BYTES as u64 >> 20)
    .number(MAX_ENTRIES as u64);
