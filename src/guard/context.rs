//! The account, the time, the policy and the keys that a call on a [`SecondFactor`](crate::guard::SecondFactor) uses.

use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::keyring::Keyring;
use crate::guard::policy::Policy;

/// The account, the time, the policy and the keys that a call on a [`SecondFactor`](crate::guard::SecondFactor) uses.
///
/// Make a new `Context` for each call, with the current time, as in the example of [`Change`](crate::guard::Change).
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub(crate) user: &'a str,
    pub(crate) now: u64,
    pub(crate) policy: &'a Policy,
    pub(crate) keyring: &'a Keyring,
}

impl<'a> Context<'a> {
    /// Makes the context for an account, at a time in Unix seconds.
    ///
    /// `user` names the account. Secrets are encrypted for this name, so use an identifier that never changes, such as
    /// the user's primary key.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::User`] unless the name of the account has 1 to 255 bytes and no control
    /// characters.
    pub fn new(user: &'a str, now: u64, policy: &'a Policy, keyring: &'a Keyring) -> Result<Self, GuardError> {
        if !matches!(user.len(), 1..=255) || user.contains(char::is_control) {
            return Err(GuardErrorKind::User.into());
        }
        Ok(Self { user, now, policy, keyring })
    }
}
