//! The account, the time, the policy and the keys that a method call on a [`SecondFactor`](crate::guard::SecondFactor)
//! uses.

use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::keyring::Keyring;
use crate::guard::policy::Policy;

/// The account, the time, the policy and the keys that a method call on a [`SecondFactor`](crate::guard::SecondFactor)
/// uses.
///
/// Create a new `Context` for each call, with the current time, as in the example for [`Change`](crate::guard::Change).
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub(crate) user: &'a str,
    pub(crate) now: u64,
    pub(crate) policy: &'a Policy,
    pub(crate) keyring: &'a Keyring,
}

impl<'a> Context<'a> {
    /// Creates the context for an account. `now` is the current time in Unix seconds.
    ///
    /// `user` is the account name. Sealed secrets are cryptographically bound to this name, so use an identifier that
    /// never changes, such as the user's primary key.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::User`] if the account name is empty, longer than 255 bytes, or contains control characters.
    pub fn new(user: &'a str, now: u64, policy: &'a Policy, keyring: &'a Keyring) -> Result<Self, GuardError> {
        if !is_user(user) {
            return Err(GuardErrorKind::User.into());
        }
        Ok(Self { user, now, policy, keyring })
    }
}

/// Returns whether a string is a valid account name.
pub(crate) fn is_user(user: &str) -> bool {
    matches!(user.len(), 1..=255) && !user.contains(char::is_control)
}
