//! Shared by the groups: inputs, the harness, the databases, an application, and the other libraries that need more
//! than one call.

#[cfg(feature = "keyfob")]
pub mod bare;
pub mod by_hand;
#[cfg(feature = "keyfob")]
mod guarded;
pub mod harness;
pub mod liboath;
#[cfg(feature = "keyfob")]
pub mod phone;
#[cfg(feature = "keyfob")]
// The file contains a test, too.
#[allow(unused_imports)]
#[path = "../../tests/it/servers.rs"]
pub mod servers;
#[cfg(feature = "keyfob")]
pub mod site;

/// The secret of the test vectors of RFC 4226 and RFC 6238.
pub const SECRET: &[u8; 20] = b"12345678901234567890";

/// A time from RFC 6238, appendix B, whose code begins with a zero.
pub const AT: u64 = 1_111_111_109;

/// The step of that time.
pub const STEP: u64 = AT / 30;

/// The last six of the eight digits in the appendix.
pub const CODE: &str = "081804";

/// [`CODE`] as a number.
pub const VALUE: u32 = 81_804;

/// Not the code of any step in the benchmarks; each benchmark that relies on this checks it.
pub const MISS: &str = "000000";

/// The store in MariaDB is also measured in a pool that it shares with the application.
pub const APPLICATIONS_POOL: &str = "keyfob, application's pool";

/// How many users are adopted at a time.
pub const ADOPTED: usize = 1000;

/// The kinds of files that are timed.
pub const FILES: [&str; 5] =
    ["transfer codes", "transfer codes of 1000 accounts", "list of URIs", "Aegis", "Bitwarden, CSV"];
