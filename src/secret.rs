//! [`Secret`]: the key that a server and an authenticator share. It is wiped on drop, and `Debug` does not print it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use core::fmt;
use core::str::FromStr;

use rand::TryCryptoRng;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::base32;
use crate::ct;
use crate::error::Error;
use crate::key::{Key, Strength};

/// The secret that an authenticator and a server share.
///
/// ```
/// use keyfob::{Secret, Strength, Totp};
///
/// let issued = Secret::generate();
/// assert_eq!(issued.strength(), Strength::Strong);
///
/// let imported = Secret::from_base32("gezd gnbv gy3t qojq")?; // 80 bits, from an old system
/// assert_eq!(imported.strength(), Strength::Weak);
/// let totp = Totp::new(&imported);
///
/// let same: Secret = "GEZDGNBVGY3TQOJQ".parse()?; // base32 as well
/// assert_eq!(same, imported);
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// The only ways to read a secret are [`expose_bytes`](Self::expose_bytes) and [`expose_base32`](Self::expose_base32),
/// and the functions that pass it to an app or a file: `to_uri`, `manual_entry` and `qr` of a [`KeyUri`](crate::KeyUri)
/// or an enrollment, `Transfer::export`, `serde::secret` and `serde::uri`. `Secret` has no `Display`, `Deref`,
/// `Serialize`, `Hash` or `Ord`, and its `Debug` prints only the strength. Comparison takes constant time. The memory
/// is wiped on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Generates a random 20-byte secret with the operating system's random number generator. This is the recommended
    /// length for SHA-1, the default algorithm.
    ///
    /// # Panics
    ///
    /// Panics if the system's random number generator fails. On supported systems, it does not fail after boot. To
    /// handle this case as an error, use [`generate_with`](Self::generate_with) with `rand::rngs::SysRng`.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn generate() -> Self {
        Self::generate_for(Algorithm::Sha1)
    }

    /// Generates a random secret with the operating system's random number generator. The secret is as long as the
    /// algorithm's hash output: 20, 32 or 64 bytes.
    ///
    /// # Panics
    ///
    /// Panics under the same condition as [`generate`](Self::generate).
    #[cfg(feature = "std")]
    #[must_use]
    #[allow(clippy::expect_used, reason = "an application must not continue without randomness")]
    pub fn generate_for(algorithm: Algorithm) -> Self {
        Self::generate_with(algorithm, &mut rand::rngs::SysRng).expect("the operating system has randomness")
    }

    /// Generates a random secret with `rng`, a random number generator that implements `TryCryptoRng` from `rand` 0.10.
    /// The secret is as long as the algorithm's hash output: 20, 32 or 64 bytes.
    ///
    /// # Errors
    ///
    /// Returns the generator's error. A generator that implements `CryptoRng` cannot fail.
    pub fn generate_with<R: TryCryptoRng>(algorithm: Algorithm, rng: &mut R) -> Result<Self, R::Error> {
        let mut secret = Self(Zeroizing::new(vec![0; algorithm.secret_bytes()].into_boxed_slice()));
        rng.try_fill_bytes(&mut secret.0)?;
        Ok(secret)
    }

    /// Creates a secret from a copy of `bytes`, which must be 10 to 1024 bytes long. You must wipe `bytes` yourself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Secret`](crate::ErrorKind::Secret) if there are fewer than 10 or more than 1024 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Key::new(bytes).map(|key| Self(Zeroizing::new(key.bytes().into())))
    }

    /// Parses a secret in base32, as people paste it: uppercase or lowercase, with or without spaces, dashes and
    /// padding.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Secret`](crate::ErrorKind::Secret) if the text is not base32, or if it decodes to fewer than 10 or
    /// more than 1024 bytes. If a single character is at fault, the error contains its position.
    pub fn from_base32(text: &str) -> Result<Self, Error> {
        Self::from_bytes(&base32::decode(text)?)
    }

    /// How hard the secret is to guess, assuming that it is random.
    #[must_use]
    pub fn strength(&self) -> Strength {
        Key::from(self).strength()
    }

    /// The bytes in plaintext.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the secret in plaintext as base32, uppercase and without padding.
    #[must_use]
    pub fn expose_base32(&self) -> Zeroizing<String> {
        base32::encode(&self.0)
    }
}

/// Parses base32 with [`Secret::from_base32`].
impl FromStr for Secret {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_base32(text)
    }
}

impl<'a> From<&'a Secret> for Key<'a> {
    fn from(secret: &'a Secret) -> Self {
        Self::checked(&secret.0)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        ct::eq(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("strength", &self.strength()).finish_non_exhaustive()
    }
}
