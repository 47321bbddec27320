//! Backups: none panics, each account that is found is a URI as any other, an entry takes a byte at least, and neither a
//! byte order mark nor UTF-16 changes anything. Memory is a multiple of the file.

use keyfob::{Error, KeyUri, import};

use crate::allocator::most_held;

pub fn run(data: &[u8]) {
    let _ = linear(data.len(), || import::parse(data).map(import::Import::into_entries));
    let Ok(found) = import::parse(data) else { return };
    found.entries().iter().flatten().for_each(super::uri::law);
    assert!(found.entries().len() <= data.len());
    if !data.starts_with(&BOM) {
        let marked = import::parse(&[&BOM[..], b"\r\n", data].concat());
        assert_eq!(marked.map(|again| again == found), Ok(true));
    }
    // With zeros at its beginning it is UTF-16 already, or UTF-32.
    if let Ok(text) = str::from_utf8(data)
        && !data.iter().take(4).any(|byte| *byte == 0)
    {
        let units = "\u{feff}".encode_utf16().chain(text.trim_start_matches('\u{feff}').encode_utf16());
        let wide: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
        assert_eq!(import::parse(&wide).map(|again| again == found), Ok(true));
    }
}

/// Of a reader of files: it holds at most 64 bytes for each byte of the file, which short entries need, and three times
/// what it returns. So what belongs to the whole file is not copied for each entry.
pub fn linear(
    length: usize,
    read: impl FnOnce() -> Result<Vec<Result<KeyUri, Error>>, Error>,
) -> Result<Vec<Result<KeyUri, Error>>, Error> {
    let mut found = None;
    let held = most_held(|| found = Some(read()));
    let found = found.unwrap();
    let entries = found.as_ref().map_or(0, Vec::len);
    let limit = 64 * 1024 + 64 * length + 3 * size_of::<Result<KeyUri, Error>>() * entries;
    assert!(held <= limit, "assertion: {held} bytes are held for a file of {length} with {entries} entries");
    found
}

/// A control: the first line is copied for each of the others.
#[allow(dead_code, reason = "for the tests of keyfob")]
pub fn planted(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let header = lines.next().unwrap_or_default();
    let _ = linear(data.len(), || {
        let copies: Vec<_> = lines.map(|_| header.to_vec()).collect();
        assert!(copies.len() <= data.len());
        Ok(Vec::new())
    });
}

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
