//! What is left to do for an account after its codes were invalidated.

use alloc::vec::Vec;

use crate::guard::id::AuthenticatorId;

/// What an operator or the user still has to do after
/// [`Guard::operator_invalidate_codes`](crate::Guard::operator_invalidate_codes) or
/// [`Guard::operator_invalidate_recent_codes`](crate::Guard::operator_invalidate_recent_codes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalidation {
    pub(crate) usable_at: Option<u64>,
    pub(crate) to_replace: Vec<AuthenticatorId>,
    pub(crate) to_check: Vec<AuthenticatorId>,
    pub(crate) recovery_codes: u8,
}

impl Invalidation {
    /// The time at which all of the account's TOTP authenticators are accepted again, in Unix seconds, or `None` if it
    /// has none.
    #[must_use]
    pub const fn usable_at(&self) -> Option<u64> {
        self.usable_at
    }

    /// The HOTP authenticators that have to be replaced, because none of their codes is accepted anymore. Empty after
    /// [`Guard::operator_invalidate_recent_codes`](crate::Guard::operator_invalidate_recent_codes).
    #[must_use]
    pub fn to_replace(&self) -> &[AuthenticatorId] {
        &self.to_replace
    }

    /// All active authenticators. Any of them may have been revoked after the backup, which the restored record cannot
    /// show. Ask the user to check the list, or compare it with your log of [`EventKind::Revoked`].
    ///
    /// [`EventKind::Revoked`]: crate::guard::EventKind::Revoked
    #[must_use]
    pub fn to_check(&self) -> &[AuthenticatorId] {
        &self.to_check
    }

    /// The number of unused recovery codes that were removed. Ask the user to generate new ones.
    ///
    /// This is 0 if the codes were removed by an earlier call, for example by a sweep that was interrupted.
    /// [`Status::has_recovery_codes`](crate::guard::Status::has_recovery_codes) still shows that the user has none.
    #[must_use]
    pub const fn recovery_codes_voided(&self) -> u8 {
        self.recovery_codes
    }
}
