//! The devices of an account. A login on a trusted device needs no code. A login on a known device needs a code, and
//! part of the guess budget is reserved for it.

use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::ct;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::DeviceId;
use crate::guard::keyring::message;
use crate::guard::token::SKEW;
use crate::guard::token::device::DeviceToken;

/// A stored device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) name: String,
    /// The hash of the secret in the device's token. The secret is random, so the hash needs no key. The token
    /// therefore stays valid when the keyring's keys are rotated.
    pub(crate) hash: [u8; 32],
    /// Whether the device is trusted. If not, it is only known.
    pub(crate) trusted: bool,
    pub(crate) created: u64,
    /// The time at which the device is forgotten. For a trusted device, this time never moves. For a known device, it
    /// moves with each authenticator code that is accepted from this device. This time therefore reveals the verdict,
    /// so it is secret until the swap.
    pub(crate) ends: u64,
}

impl Device {
    /// Returns whether the device still counts as known. If not, it is treated as forgotten.
    ///
    /// A device that was added up to [`SKEW`] seconds in the future is accepted, because the clock of the server that
    /// added it may be ahead. If it was added further in the future, the clock was set back. The age of the device is
    /// then unknown, so it is not accepted.
    pub(crate) fn is_current(&self, now: u64) -> bool {
        self.created <= now.saturating_add(SKEW) && now < self.ends
    }

    /// Returns whether a login on the device needs no code. The shorter of two lifetimes applies: the one that was set
    /// when the device was added, and the one that the policy allows now.
    pub(crate) fn is_trusted(&self, context: &Context<'_>) -> bool {
        let within = |lifetime| context.now < self.created.saturating_add(lifetime);
        self.trusted && self.is_current(context.now) && context.policy.trusted_device_lifetime().is_some_and(within)
    }
}

/// Returns the current device that a token is valid for, or `None` if there is none.
///
/// The id is public. The hashes are compared in constant time, although an attacker cannot choose the hash.
pub(crate) fn recognized<'a>(devices: &'a [Device], token: &DeviceToken, context: &Context<'_>) -> Option<&'a Device> {
    let device = devices.iter().find(|device| device.id == token.id)?;
    let same = ct::mask(ct::eq(&device.hash, &hash(context.user, token)).into());
    // Whether a token is valid may be public: the answer to the request shows it.
    (ct::declassify(same) && device.is_current(context.now)).then_some(device)
}

/// Returns the hash that is stored for a token. It is bound to the user, so a token is not valid for any other user.
pub(crate) fn hash(user: &str, token: &DeviceToken) -> [u8; 32] {
    let hash = Sha256::new().chain_update(message(&["keyfob 1 device", user, token.id.as_str()], &[]));
    hash.chain_update(*token.secret).finalize().into()
}

/// Adds a device. If the list is full, removes another device and returns its id: the known device that expires first
/// or, if all are trusted, the trusted one that expires first. A known device never displaces a trusted one.
///
/// # Errors
///
/// [`GuardErrorKind::TooManyDevices`] if the device is only known, and all others are trusted.
pub(crate) fn insert(devices: &mut Vec<Device>, device: Device, now: u64) -> Result<Option<DeviceId>, GuardError> {
    devices.retain(|device| now < device.ends);
    let mut removed = None;
    if devices.len() >= MAX_DEVICES {
        let candidates = devices.iter().enumerate().filter(|(_, listed)| device.trusted || !listed.trusted);
        let first = candidates.min_by_key(|(_, listed)| (listed.trusted, listed.ends));
        let (index, _) = first.ok_or(GuardErrorKind::TooManyDevices)?;
        removed = Some(devices.remove(index).id);
    }
    devices.push(device);
    Ok(removed)
}

/// The maximum number of devices per account.
pub(crate) const MAX_DEVICES: usize = 16;

/// How long a known device is remembered after its last login with a code, in seconds: 180 days.
pub(crate) const KNOWN_LIFETIME: u64 = 180 * 86_400;
