//! The token of a trusted or known device.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use zeroize::Zeroizing;

use crate::base32;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::DeviceId;
use crate::guard::randomness::Randomness;

/// The token of a trusted or known device. Keep it in a cookie in the browser, and pass it to
/// [`Guard::begin_login`](crate::Guard::begin_login).
///
/// The token contains 256 random bits. The record stores only their hash, which is bound to the user.
///
/// # Security
///
/// Send the cookie with `HttpOnly`, `Secure`, `SameSite=Lax` and the prefix `__Host-`, and set its `Max-Age`. If
/// several people share a browser, give each of them a separate cookie, for example by adding a hash of the user's id
/// to its name.
///
/// ```
/// use keyfob::guard::DeviceToken;
///
/// let token: Option<DeviceToken> = "not a token".parse().ok(); // from the cookie
/// assert!(token.is_none()); // the login asks for a code
/// ```
#[derive(Clone)]
pub struct DeviceToken {
    pub(crate) id: DeviceId,
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

impl DeviceToken {
    /// The token as a string for the cookie. [`from_token`](Self::from_token) reads it.
    #[must_use]
    pub fn token(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(96));
        text.push_str(self.id.as_str());
        text.push('.');
        text.push_str(&base32::encode(&*self.secret));
        text
    }

    /// Reads a token, for example from a cookie. This does not check whether the device is known.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::UnknownDevice`] for a string that is not a device token. Treat such a cookie as missing.
    pub fn from_token(token: &str) -> Result<Self, GuardError> {
        let read = || {
            let (id, secret) = token.split_once('.')?;
            let secret = base32::decode(secret).ok()?;
            let secret = Zeroizing::new(secret.as_slice().try_into().ok()?);
            Some(Self { id: DeviceId::new(id).ok()?, secret })
        };
        // Only the canonical form is accepted, although the base32 parser also accepts other spellings.
        read().filter(|read| *read.token() == *token).ok_or(GuardErrorKind::UnknownDevice.into())
    }

    /// The id of the device, which [`Status::devices`](crate::guard::Status::devices) lists.
    #[must_use]
    pub const fn device(&self) -> &DeviceId {
        &self.id
    }

    pub(crate) fn generate(random: &Randomness) -> Result<Self, GuardError> {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(&mut *secret)?;
        Ok(Self { id: DeviceId::random(random)?, secret })
    }
}

impl FromStr for DeviceToken {
    type Err = GuardError;

    fn from_str(token: &str) -> Result<Self, GuardError> {
        Self::from_token(token)
    }
}

/// Prints the id, but not the secret.
impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceToken").field("id", &self.id).finish_non_exhaustive()
    }
}
