//! Sealing again under the primary key.

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
    /// Seals everything of the account under the primary key, if it is not. Answers whether there was something to do.
    ///
    /// An enrollment that nobody can confirm any more is forgotten rather than sealed again. To go through all accounts is
    /// what the example of `SqliteStore` does.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::KeyMissing`], [`GuardErrorKind::SealBroken`], [`GuardErrorKind::Randomness`].
    pub fn reseal(&self, context: &Context<'_>, random: &Randomness) -> Result<Transition<bool>, GuardError> {
        Ok(match self.resealed(context, random)? {
            Some(next) => next.changed(context, [EventKind::Resealed], true),
            None => Transition::of(false, vec![]),
        })
    }

    /// With everything sealed under the primary key, if something is not.
    pub(crate) fn resealed(&self, context: &Context<'_>, random: &Randomness) -> Result<Option<Self>, GuardError> {
        let mut next = self.clone();
        // Its key may have left the keyring since, which must not keep the rest from being sealed again.
        let over = |pending: &mut Pending| {
            !pending.is_waiting(context) && pending.authenticator.secret.key != *context.keyring.primary()
        };
        let mut resealed = next.pending.take_if(over).is_some();
        for one in next.active.iter_mut().chain(next.pending.as_mut().map(|pending| &mut pending.authenticator)) {
            if let Some(secret) = resealed_as(context.keyring, &one.secret, &one.owner(context.user), random)? {
                one.secret = secret;
                resealed = true;
            }
        }
        if let Some(set) = &mut next.recovery
            && let Some(key) = resealed_as(context.keyring, &set.key, &set.owner(context.user), random)?
        {
            set.key = key;
            resealed = true;
        }
        Ok(resealed.then_some(next))
    }

    /// Whether something of the account is sealed under an old key.
    pub(crate) fn needs_resealing(&self, keyring: &Keyring) -> bool {
        self.sealed().any(|sealed| sealed.key != *keyring.primary())
    }

    /// All that is under a key, an enrollment as well, whether it still waits or not.
    fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let authenticators = self.active.iter().chain(self.pending.as_ref().map(|pending| &pending.authenticator));
        authenticators.map(|one| &one.secret).chain(self.recovery.as_ref().map(|set| &set.key))
    }
}

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
