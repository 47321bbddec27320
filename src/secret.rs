//! The shared secret: generated, imported, graded, wiped, and never printed by accident.

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
/// let imported = Secret::from_base32("gezd gnbv gy3t qojq")?; // 80 bits, of an old system
/// assert_eq!(imported.strength(), Strength::Weak);
/// let totp = Totp::new(&imported);
///
/// let same: Secret = "GEZDGNBVGY3TQOJQ".parse()?; // base32 as well
/// assert_eq!(same, imported);
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// It leaves by two doors of its own, [`expose_bytes`](Self::expose_bytes) and [`expose_base32`](Self::expose_base32),
/// and by those that tell an app: `to_uri`, `manual_entry` and `qr` of a [`KeyUri`](crate::KeyUri) or an enrollment,
/// `Transfer::export`, and the functions for serde, `serde::secret` and `serde::uri`. There is no `Display`, no `Deref`,
/// no `Serialize`, no `Hash` and no order; `Debug` shows the strength. Comparison is constant time. The memory is wiped
/// on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Twenty random bytes from the operating system: what SHA-1, the default, asks for.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give, which no supported one does after boot.
    /// [`generate_with`](Self::generate_with) and `rand::rngs::SysRng` make that case an error.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn generate() -> Self {
        Self::generate_for(Algorithm::Sha1)
    }

    /// Random bytes from the operating system, as many as the algorithm's hash has: 20, 32 or 64.
    ///
    /// # Panics
    ///
    /// Like [`generate`](Self::generate).
    #[cfg(feature = "std")]
    #[must_use]
    #[allow(clippy::expect_used, reason = "an application without randomness must not go on")]
    pub fn generate_for(algorithm: Algorithm) -> Self {
        Self::generate_with(algorithm, &mut rand::rngs::SysRng).expect("the operating system has randomness")
    }

    /// Random bytes from a generator of the caller's choice, by the traits of `rand` 0.10.
    ///
    /// # Errors
    ///
    /// What the generator fails with. One that implements `CryptoRng` cannot fail.
    pub fn generate_with<R: TryCryptoRng>(algorithm: Algorithm, rng: &mut R) -> Result<Self, R::Error> {
        let mut secret = Self(Zeroizing::new(vec![0; algorithm.secret_bytes()].into_boxed_slice()));
        rng.try_fill_bytes(&mut secret.0)?;
        Ok(secret)
    }

    /// Imports a secret that exists already. The caller's copy stays the caller's to wipe.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Secret`](crate::ErrorKind::Secret) unless it has 10 to 1024 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Key::new(bytes).map(|key| Self(Zeroizing::new(key.bytes().into())))
    }

    /// Imports a secret as people paste it: in capitals or not, with spaces, dashes and padding or without.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Secret`](crate::ErrorKind::Secret) for text that is not base32, with the position of the character
    /// to blame, and unless it stands for 10 to 1024 bytes.
    pub fn from_base32(text: &str) -> Result<Self, Error> {
        Self::from_bytes(&base32::decode(text)?)
    }

    /// How hard the secret is to guess, if it was random.
    #[must_use]
    pub fn strength(&self) -> Strength {
        Key::from(self).strength()
    }

    /// The bytes, in the open.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes in base32, in capitals and without padding, in the open.
    #[must_use]
    pub fn expose_base32(&self) -> Zeroizing<String> {
        base32::encode(&self.0)
    }
}

/// [`Secret::from_base32`].
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
