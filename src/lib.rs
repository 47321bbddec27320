#![doc = include_str!("../docs/crate.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
// The only exception is in algorithm/lanes.rs, which calls a function compiled for CPU features that are detected at
// run time.
#![deny(unsafe_code)]
#![warn(unreachable_pub, clippy::alloc_instead_of_core, clippy::std_instead_of_alloc, clippy::std_instead_of_core)]
// No public function panics on any input.
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
#![warn(clippy::cast_lossless, clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]
// The time that a division takes depends on its operands, so it can leak secrets.
#![warn(clippy::integer_division_remainder_used)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

// The core: no allocator and no I/O. Only methods that need the feature `std` read the clock.
mod algorithm;
mod code;
pub mod ct;
mod error;
mod hotp;
mod key;
pub mod search;
mod steam;
mod totp;
mod truncation;
mod typed;

// Secrets and their base32 encoding.
#[cfg(feature = "alloc")]
pub mod base32;
#[cfg(feature = "alloc")]
mod secret;

// Serialization of settings for files and databases.
#[cfg(feature = "serde")]
pub mod serde;

// Provisioning: URIs, QR codes, and imports from other apps.
#[cfg(feature = "pskc")]
mod encoding;
#[cfg(feature = "import")]
pub mod import;
#[cfg(feature = "pskc")]
pub mod pskc;
#[cfg(feature = "qr")]
mod qr;
#[cfg(feature = "migration")]
mod transfer;
#[cfg(feature = "uri")]
mod uri;

// The stateful second factor: replay protection, guess limits, recovery.
#[cfg(feature = "guard")]
pub mod guard;
#[cfg(feature = "guard")]
pub mod store;

// The guide's chapters contain no items. They link to items from every feature.
#[cfg(any(doc, doctest))]
#[cfg_attr(
    not(all(
        feature = "import",
        feature = "mysql",
        feature = "postgres",
        feature = "qr",
        feature = "redis",
        feature = "sqlite"
    )),
    allow(rustdoc::broken_intra_doc_links)
)]
pub mod guide;

// The public interface.
pub use algorithm::Algorithm;
pub use code::{Code, CodeError, Digits};
pub use error::{Error, ErrorKind};
#[cfg(feature = "guard")]
pub use guard::{Guard, Keyring, Policy, Verdict};
pub use hotp::{Hotp, LookAhead};
pub use key::{Key, Strength};
#[cfg(feature = "qr")]
pub use qr::{Qr, Svg, Terminal};
#[cfg(feature = "alloc")]
pub use secret::Secret;
pub use steam::{Steam, SteamCode};
pub use totp::{Period, Step, Totp, Window};
#[cfg(feature = "migration")]
pub use transfer::{Transfer, TransferCode};
#[cfg(feature = "uri")]
pub use uri::{Effect, Finding, KeyUri, Warning};
