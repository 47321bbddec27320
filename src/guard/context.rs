//! What a decision depends on besides the record: the user, the time, the limits and the keys.

use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::keyring::Keyring;
use crate::guard::policy::Policy;

/// What a decision of [`SecondFactor`] depends on besides the record. The example of [`Change`] makes one for each.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub(crate) user: &'a str,
    pub(crate) now: u64,
    pub(crate) policy: &'a Policy,
    pub(crate) keyring: &'a Keyring,
}

impl<'a> Context<'a> {
    /// For an user, at a time in Unix seconds.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::User`] unless the name of the account has 1 to 255 bytes and no control characters.
    pub fn new(user: &'a str, now: u64, policy: &'a Policy, keyring: &'a Keyring) -> Result<Self, GuardError> {
        if !matches!(user.len(), 1..=255) || user.contains(char::is_control) {
            return Err(GuardErrorKind::User.into());
        }
        Ok(Self { user, now, policy, keyring })
    }
}
