//! Reseals an account's secrets under the primary key.

use alloc::vec;

use crate::guard::answer::event::EventKind;
use crate::guard::answer::transition::Transition;
use crate::guard::context::Context;
use crate::guard::error::GuardError;
use crate::guard::keyring::{Keyring, Owner, Sealed};
use crate::guard::randomness::Randomness;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::Pending;

impl SecondFactor {
    /// Reseals all of the account's secrets under the primary key. Returns whether any secret was sealed under an old
    /// key. See [`Guard::reseal`](crate::Guard::reseal).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if a secret cannot be opened.
    /// * [`GuardErrorKind::Randomness`](crate::guard::GuardErrorKind::Randomness) if the source of randomness failed.
    pub fn reseal(&self, context: &Context<'_>, random: &Randomness) -> Result<Transition<bool>, GuardError> {
        let mut next = self.clone();
        // The key of an expired enrollment may no longer be in the keyring. This must not prevent the other secrets
        // from being resealed, so the enrollment is removed.
        let expired = |pending: &mut Pending| {
            !pending.is_waiting(context) && pending.authenticator.secret.key != *context.keyring.primary()
        };
        let mut resealed = next.pending.take_if(expired).is_some();
        let pending = next.pending.as_mut().map(|pending| &mut pending.authenticator);
        for authenticator in next.active.iter_mut().chain(pending) {
            let owner = authenticator.owner(context.user);
            if let Some(secret) = resealed_as(context.keyring, &authenticator.secret, &owner, random)? {
                authenticator.secret = secret;
                resealed = true;
            }
        }
        if let Some(set) = &mut next.recovery
            && let Some(key) = resealed_as(context.keyring, &set.key, &set.owner(context.user), random)?
        {
            set.key = key;
            resealed = true;
        }
        Ok(match resealed {
            true => next.changed(context, [EventKind::Resealed], true),
            false => Transition::of(false, vec![]),
        })
    }
}

/// Reseals the secret under the primary key. Returns `None` if it is already sealed under that key.
fn resealed_as(
    keyring: &Keyring,
    sealed: &Sealed,
    owner: &Owner<'_>,
    random: &Randomness,
) -> Result<Option<Sealed>, GuardError> {
    if sealed.key == *keyring.primary() {
        return Ok(None);
    }
    let secret = keyring.open(sealed, owner)?;
    keyring.seal(&secret, owner, random).map(Some)
}
