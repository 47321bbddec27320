//! Backups: none panics, each account that is found is a URI as any other, and a byte order mark changes nothing.

use keyfob::import;

pub fn run(data: &[u8]) {
    let Ok(found) = import::detect(data) else { return };
    found.entries().iter().flatten().for_each(super::uri::law);
    assert!(found.entries().iter().flatten().count() <= data.len());
    if !data.starts_with(&BOM) {
        let marked = import::detect(&[&BOM[..], b"\r\n", data].concat());
        assert_eq!(marked.map(|again| again == found), Ok(true));
    }
}

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
