//! Transfers: as texts, and as the payload alone, which a fuzzer gets deeper into.

use base64ct::{Base64Url, Encoding};
use keyfob::{KeyUri, Qr, Transfer, TransferCode};

pub fn run(data: &[u8]) {
    if let Some(payload) = data.strip_prefix(b"!") {
        let text = format!("otpauth-migration://offline?data={}", Base64Url::encode_string(payload));
        law(&text);
    } else if let Ok(text) = str::from_utf8(data) {
        law(text);
    }
}

fn law(text: &str) {
    let Ok(part) = TransferCode::parse(text) else { return };
    assert!(part.batch_size() >= 1);
    let found: Vec<KeyUri> = part.entries().iter().flatten().cloned().collect();
    found.iter().for_each(super::uri::law);
    if let Ok(codes) = Transfer::export(&found, part.batch_id()) {
        let mut transfer = Transfer::new();
        for code in codes.iter().rev().chain(&codes) {
            assert!(Qr::new(code).is_ok());
            transfer.add(TransferCode::parse(code).unwrap()).unwrap();
        }
        assert_eq!(transfer.is_complete(), !found.is_empty());
        if let Ok(entries) = transfer.finish() {
            assert!(entries.into_iter().map(Result::unwrap).eq(found));
        }
    } else {
        // Only what the format cannot say, or a QR code cannot hold.
        let told = |uri: &KeyUri| {
            let moment = uri.period().is_some_and(|period| period.seconds() == 30);
            let bytes = uri.secret().expose_bytes().len() + uri.account().len() + 2 * uri.issuer().map_or(0, str::len);
            let counter = uri.counter().is_some_and(|counter| i64::try_from(counter).is_ok());
            uri.digits().get() != 7 && (moment || counter) && bytes < 450
        };
        assert!(!found.iter().all(told));
    }
    let mut transfer = Transfer::new();
    let fits = part.batch_index() < part.batch_size() && part.batch_size() <= 1000;
    assert_eq!(transfer.add(part.clone()).is_ok(), fits);
    assert_eq!(transfer.missing().count(), if fits { part.batch_size() as usize - 1 } else { 0 });
}
