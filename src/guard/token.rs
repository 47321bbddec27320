//! Short-lived strings with a MAC: proofs, pending logins, enrollment tickets, enrollment handles and vouchers. They
//! share a format and a MAC computation.
//!
//! A device token has no MAC. It contains a random secret whose hash is in the record.

pub(crate) mod device;
pub(crate) mod enrollment;
pub(crate) mod login;
pub(crate) mod proof;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::base32;
use crate::guard::id::KeyId;
use crate::guard::keyring::{RingKey, message};

/// Writes the fields, the key id and the MAC, separated by `~`.
pub(crate) fn write(fields: &[&dyn core::fmt::Display], key: &KeyId, mac: &[u8; 32]) -> String {
    let mut text = String::with_capacity(256);
    for field in fields {
        // Writing to a string cannot fail.
        let _ = write!(text, "{field}~");
    }
    let _ = write!(text, "{key}~{}", *base32::encode(mac));
    text
}

/// Splits a token into its fields, its key id and its MAC. Returns `None` if the token does not consist of `N` fields,
/// a key id and a 32-byte MAC. Does not check the MAC.
///
/// The caller writes the token again and compares the two strings, so that only the canonical form is accepted.
pub(crate) fn read<const N: usize>(token: &str) -> Option<([&str; N], KeyId, [u8; 32])> {
    let (rest, mac) = token.rsplit_once('~')?;
    let (rest, key) = rest.rsplit_once('~')?;
    let fields: Vec<&str> = rest.split('~').collect();
    let mac = base32::decode(mac).ok()?.as_slice().try_into().ok()?;
    Some((fields.try_into().ok()?, KeyId::new(key)?, mac))
}

/// Computes the MAC of a token. The MAC covers `kind`, so a token of one kind is never valid as another.
pub(crate) fn mac(key: &RingKey, kind: &str, texts: &[&str], numbers: &[u64]) -> [u8; 32] {
    let texts: Vec<&str> = [kind].into_iter().chain(texts.iter().copied()).collect();
    key.token_mac(&message(&texts, numbers))
}

/// Returns whether a token is valid at the time `now`. A token carries its own expiry, and the policy of the server
/// that checks it sets a maximum lifetime. Whichever ends first applies.
///
/// A token dated up to [`SKEW`] seconds in the future is valid, because the clock of the server that made it may be
/// ahead. A date further in the future means that a clock was set back. The token's age is then unknown, so the token
/// is not valid.
pub(crate) fn is_timely(made: u64, expires: u64, lifetime: u64, now: u64) -> bool {
    made <= now.saturating_add(SKEW) && now < expires.min(made.saturating_add(lifetime))
}

/// How far the clocks of two servers may differ, in seconds.
pub(crate) const SKEW: u64 = 60;
