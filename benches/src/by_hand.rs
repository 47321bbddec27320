//! What an application writes if it has HMAC but no library for one-time passwords.

use std::ops::RangeInclusive;

/// HMAC-SHA-1 with its key absorbed.
pub trait Mac {
    fn new(key: &[u8]) -> Self;
    fn tag(&self, message: [u8; 8]) -> impl AsRef<[u8]>;
}

impl Mac for ring::hmac::Key {
    fn new(key: &[u8]) -> Self {
        Self::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key)
    }

    fn tag(&self, message: [u8; 8]) -> impl AsRef<[u8]> {
        ring::hmac::sign(self, &message)
    }
}

impl Mac for aws_lc_rs::hmac::Key {
    fn new(key: &[u8]) -> Self {
        Self::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key)
    }

    fn tag(&self, message: [u8; 8]) -> impl AsRef<[u8]> {
        aws_lc_rs::hmac::sign(self, &message)
    }
}

impl Mac for hmac::Hmac<sha1::Sha1> {
    fn new(key: &[u8]) -> Self {
        hmac::KeyInit::new_from_slice(key).expect("HMAC takes keys of every length")
    }

    fn tag(&self, message: [u8; 8]) -> impl AsRef<[u8]> {
        use hmac::Mac;

        self.clone().chain_update(message).finalize().into_bytes()
    }
}

/// The six digits of a counter (RFC 4226, section 5.3).
pub fn code(mac: &impl Mac, counter: u64) -> u32 {
    let tag = mac.tag(counter.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[19] & 15);
    let truncated: [u8; 4] = tag[offset..offset + 4].try_into().expect("four bytes");
    (u32::from_be_bytes(truncated) & 0x7fff_ffff) % 1_000_000
}

/// Whether one of the counters has these six digits. Stops at the first.
pub fn find(mac: &impl Mac, typed: &str, counters: RangeInclusive<u64>) -> Option<u64> {
    let typed: u32 = typed.parse().ok()?;
    counters.into_iter().find(|&counter| code(mac, counter) == typed)
}
