//! The handle of an enrollment, with which the page that shows the secret can be shown again.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::ct;
use crate::guard::context::{Context, is_user};
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::{AuthenticatorId, KeyId};
use crate::guard::keyring::{Keyring, RingKey};
use crate::guard::token;

/// Shows the holder the secret of a pending enrollment again, for example after the page was reloaded.
/// [`Enrollment::handle`](crate::guard::Enrollment::handle) returns it to whoever began the enrollment.
///
/// It is valid for one enrollment, until that enrollment is confirmed, is canceled or expires.
///
/// # Security
///
/// Whoever holds the handle can read the secret. Keep it in a cookie of its own or in a hidden field of the form, and
/// not in the session: somebody who takes over the session would then be able to read the secret that its owner is
/// about to confirm.
#[derive(Clone)]
pub struct EnrollmentHandle {
    user: String,
    pub(crate) authenticator: AuthenticatorId,
    key: KeyId,
    mac: [u8; 32],
}

impl EnrollmentHandle {
    pub(crate) fn make(context: &Context<'_>, authenticator: AuthenticatorId) -> Self {
        let key = context.keyring.primary_key();
        let mut handle = Self { user: context.user.into(), authenticator, key: key.id.clone(), mac: [0; 32] };
        handle.mac = handle.expected(key);
        handle
    }

    /// Returns whether keyfob made this handle. The authenticator's id is not secret, so it is not enough.
    pub(crate) fn is_genuine(&self, keyring: &Keyring) -> bool {
        let Some(key) = keyring.key(&self.key) else { return false };
        // The result may be public: the caller is told whether the MAC is valid.
        ct::declassify(ct::mask(ct::eq(&self.expected(key), &self.mac).into()))
    }

    fn expected(&self, key: &RingKey) -> [u8; 32] {
        token::mac(key, "keyfob 1 enrollment", &[&self.user, self.authenticator.as_str()], &[])
    }

    /// The user whose enrollment this is. For a value from [`from_token`](Self::from_token), do not trust this name
    /// until [`Guard::reopen_enrollment`](crate::Guard::reopen_enrollment) has accepted the value.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The handle as a string. [`from_token`](Self::from_token) reads it.
    #[must_use]
    pub fn token(&self) -> String {
        let user = Base64UrlUnpadded::encode_string(self.user.as_bytes());
        token::write(&[&user, &self.authenticator], &self.key, &self.mac)
    }

    /// Parses a handle without checking it. [`Guard::reopen_enrollment`](crate::Guard::reopen_enrollment) checks it.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NoEnrollment`] for a string that does not have the form of a handle.
    pub fn from_token(token: &str) -> Result<Self, GuardError> {
        Self::read(token).ok_or(GuardErrorKind::NoEnrollment.into())
    }

    fn read(text: &str) -> Option<Self> {
        let ([user, authenticator], key, mac) = token::read::<2>(text)?;
        let user = String::from_utf8(Base64UrlUnpadded::decode_vec(user).ok()?).ok().filter(|user| is_user(user))?;
        let handle = Self { user, authenticator: AuthenticatorId::new(authenticator).ok()?, key, mac };
        (handle.token() == text).then_some(handle)
    }
}

impl FromStr for EnrollmentHandle {
    type Err = GuardError;

    fn from_str(token: &str) -> Result<Self, GuardError> {
        Self::from_token(token)
    }
}

/// Prints the user and the authenticator's id, but not the MAC.
impl fmt::Debug for EnrollmentHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollmentHandle")
            .field("user", &self.user)
            .field("authenticator", &self.authenticator)
            .finish_non_exhaustive()
    }
}
