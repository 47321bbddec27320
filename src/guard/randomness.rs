//! The source of randomness for secrets, nonces and ids.

use alloc::boxed::Box;
use core::fmt;

use rand::TryRng;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::secret::Secret;

/// A source of random bytes that requests can share. The default is the operating system's random number generator.
///
/// ```
/// use keyfob::guard::{GuardErrorKind, Randomness, Setup};
/// use keyfob::store::MemoryStore;
/// use keyfob::{Guard, Keyring};
/// use rand::TryRng;
/// # futures_lite::future::block_on(async {
///
/// let system = Randomness::new(|buffer| rand::rngs::SysRng.try_fill_bytes(buffer));
/// let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
/// let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc")
///     .with_randomness(system);
/// guard.enroll("user-17", &Setup::totp("alice@example.com")).await?;
///
/// // If the source fails, no secret is made.
/// let guard = guard.with_randomness(Randomness::new(|_| Err("no device")));
/// let error = guard.enroll("user-18", &Setup::totp("bob@example.com")).await.unwrap_err();
/// assert_eq!(error.kind(), GuardErrorKind::Randomness);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct Randomness(Box<Fill>);

type Fill = dyn Fn(&mut [u8]) -> bool + Send + Sync;

impl Randomness {
    /// Creates a source from a function that fills a buffer with random bytes, or fails.
    ///
    /// # Security
    ///
    /// Secrets and nonces are made from these bytes, so the bytes must be as unpredictable as those of the operating
    /// system's generator.
    #[must_use]
    pub fn new<E>(fill: impl Fn(&mut [u8]) -> Result<(), E> + Send + Sync + 'static) -> Self {
        Self(Box::new(move |buffer| fill(buffer).is_ok()))
    }

    pub(crate) fn secret(&self, algorithm: Algorithm) -> Result<Secret, GuardError> {
        let mut bytes = Zeroizing::new([0; 64]);
        let bytes = bytes.split_at_mut(algorithm.secret_bytes()).0;
        self.fill(bytes)?;
        Ok(Secret::from_bytes(bytes)?)
    }

    /// Returns the first generation of an account. The number is random, because an account that is erased and enrolled
    /// again must not reuse a generation that it had before. It is below 2^52, so that JSON parsers that store numbers
    /// as doubles read it exactly.
    pub(crate) fn generation(&self) -> Result<u64, GuardError> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok((u64::from_le_bytes(bytes) >> 12).max(1))
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) -> Result<(), GuardError> {
        if (self.0)(bytes) { Ok(()) } else { Err(GuardErrorKind::Randomness.into()) }
    }
}

/// Uses the operating system's generator.
impl Default for Randomness {
    fn default() -> Self {
        Self::new(|bytes| rand::rngs::SysRng.try_fill_bytes(bytes))
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Randomness").finish_non_exhaustive()
    }
}
