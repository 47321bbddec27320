//! [`Key`]: the borrowed bytes of a secret, with a validated length. [`Strength`]: how hard a secret is to guess.

use crate::error::{Error, ErrorKind};

/// The borrowed bytes of a shared secret, from which [`Hotp`](crate::Hotp), [`Totp`](crate::Totp) and
/// [`Steam`](crate::Steam) are created.
///
/// A `&Secret` converts into a `Key`. A program without an allocator creates a `Key` from bytes that it stores itself:
///
/// ```
/// use keyfob::{Hotp, Key};
///
/// let hotp = Hotp::new(Key::new(b"12345678901234567890")?);
/// assert_eq!(hotp.code(0).to_string(), "755224");
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Key<'a>(&'a [u8]);

impl<'a> Key<'a> {
    /// The minimum length in bytes. The shortest secrets in use have 80 bits, or 16 base32 characters.
    pub const MIN_BYTES: usize = 10;

    /// The maximum length in bytes, which is longer than any secret in use. HMAC hashes a key that is longer than a
    /// block of the hash (64 or 128 bytes), so a longer secret would not be stronger.
    pub const MAX_BYTES: usize = 1024;

    /// Creates a key from 10 to 1024 bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Secret`](crate::ErrorKind::Secret) if there are fewer than 10 or more than 1024 bytes.
    pub const fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        match bytes.len() {
            0..Self::MIN_BYTES => Err(TOO_SHORT.number(bytes.len() as u64)),
            Self::MIN_BYTES..=Self::MAX_BYTES => Ok(Self(bytes)),
            _ => Err(TOO_LONG),
        }
    }

    /// How hard the secret is to guess, assuming that it is random.
    #[must_use]
    pub const fn strength(self) -> Strength {
        Strength::of(self.0.len())
    }

    /// Like [`new`](Self::new), but does not check the length. The caller must already have checked it.
    #[cfg(feature = "alloc")]
    pub(crate) const fn checked(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.0
    }
}

impl core::fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Key").field("strength", &self.strength()).finish_non_exhaustive()
    }
}

/// How hard a random secret is to guess, based on its length.
///
/// Old systems issued 80-bit secrets, and a library that refuses such secrets locks users out. keyfob accepts 80-bit
/// secrets and reports them as weak, but never generates one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Strength {
    /// At least 80 bits but fewer than 112, which is less than every current recommendation. Replace the secret when
    /// the user next logs in.
    Weak,
    /// At least 112 bits, the minimum in NIST SP 800-63B, but fewer than 128.
    Acceptable,
    /// At least 128 bits, as RFC 4226 (R6) requires.
    Strong,
}

impl Strength {
    /// Returns the strength of a random secret of this length in bytes.
    pub(crate) const fn of(bytes: usize) -> Self {
        match bytes {
            0..14 => Self::Weak,
            14..16 => Self::Acceptable,
            _ => Self::Strong,
        }
    }
}

/// [`Key::new`] fills the second `{}` with the refused secret's length in bytes.
const TOO_SHORT: Error =
    Error::new(ErrorKind::Secret, "a secret has at least {} bytes (16 base32 characters), this one has {}")
        .number(Key::MIN_BYTES as u64);
const TOO_LONG: Error = Error::new(ErrorKind::Secret, "a secret has at most {} bytes").number(Key::MAX_BYTES as u64);
