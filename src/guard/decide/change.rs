//! Changes that the owner makes, each with a proof that the second factor was just used.

use alloc::vec;

use crate::guard::answer::event::{EventKind, events};
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::AuthenticatorId;
use crate::guard::proof::{Proof, Purpose};
use crate::guard::randomness::Randomness;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::{NAME_REFUSED, check_name};
use crate::guard::record::recovery::{RecoveryCodes, RecoverySet};

impl SecondFactor {
    /// Gives an authenticator another name. The proof is for [`Purpose::RENAME`]: by the names the owner chooses what to
    /// revoke, so somebody who has taken over a session must not be able to swap them.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`], [`GuardErrorKind::UnknownAuthenticator`], and [`GuardErrorKind::Invalid`] for more
    /// than 256 bytes and for control characters.
    pub fn rename(
        &self,
        context: &Context<'_>,
        authenticator: &AuthenticatorId,
        name: &str,
        proof: &Proof,
    ) -> Result<Transition<()>, GuardError> {
        if !check_name(name) {
            return Err(NAME_REFUSED.into());
        }
        self.check(context, proof, &Purpose::RENAME)?;
        let mut next = self.clone();
        let renamed = next.active.iter_mut().find(|one| one.id == *authenticator);
        let renamed = renamed.ok_or(GuardErrorKind::UnknownAuthenticator)?;
        if renamed.name == name {
            return Ok(Transition::of((), vec![]));
        }
        renamed.name = name.into();
        Ok(next.changed(context, [EventKind::Renamed { authenticator: authenticator.clone() }], ()))
    }

    /// Removes an authenticator for good. The proof is for [`Purpose::REVOKE`].
    ///
    /// An enrollment that waits ends with it: if a stranger began it, revoking is too late once it is confirmed.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`], [`GuardErrorKind::UnknownAuthenticator`], and
    /// [`GuardErrorKind::LastAuthenticator`]: an account without any is one that is disabled.
    pub fn revoke(
        &self,
        context: &Context<'_>,
        authenticator: &AuthenticatorId,
        proof: &Proof,
    ) -> Result<Transition<()>, GuardError> {
        self.check(context, proof, &Purpose::REVOKE)?;
        let mut next = self.clone();
        next.active.retain(|one| one.id != *authenticator);
        if next.active.len() == self.active.len() {
            return Err(GuardErrorKind::UnknownAuthenticator.into());
        }
        if next.active.is_empty() {
            return Err(GuardErrorKind::LastAuthenticator.into());
        }
        let canceled = next.cancel_enrollment(context);
        next.factors_changed();
        let revoked = EventKind::Revoked { authenticator: authenticator.clone() };
        Ok(next.changed(context, [revoked].into_iter().chain(canceled), ()))
    }

    /// Replaces the recovery codes; the old ones are dead. The proof is for [`Purpose::REGENERATE`].
    ///
    /// An enrollment that waits ends with it, as with [`revoke`](Self::revoke).
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`], [`GuardErrorKind::NotEnrolled`], [`GuardErrorKind::Randomness`].
    pub fn regenerate_recovery_codes(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        proof: &Proof,
    ) -> Result<Transition<RecoveryCodes>, GuardError> {
        if self.active.is_empty() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        self.check(context, proof, &Purpose::REGENERATE)?;
        let (codes, set) = RecoverySet::generate(context, random)?;
        let mut next = self.clone();
        next.recovery = Some(set);
        let canceled = next.cancel_enrollment(context);
        next.factors_changed();
        Ok(next.changed(context, [EventKind::RecoveryCodesRegenerated].into_iter().chain(canceled), codes))
    }

    /// Switches the second factor off, and forgets everything about it. The proof is for [`Purpose::DISABLE`].
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`], [`GuardErrorKind::NotEnrolled`].
    pub fn disable(&self, context: &Context<'_>, proof: &Proof) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        self.check(context, proof, &Purpose::DISABLE)?;
        self.operator_remove(context)
    }

    /// Drops the enrollment, and answers with what to report if it was still waiting.
    pub(crate) fn cancel_enrollment(&mut self, context: &Context<'_>) -> Option<EventKind> {
        let pending = self.pending.take().filter(|pending| pending.is_waiting(context))?;
        Some(EventKind::EnrollmentCanceled { authenticator: pending.authenticator.id })
    }

    pub(crate) fn changed<T: Send + 'static>(
        self,
        context: &Context<'_>,
        kinds: impl IntoIterator<Item = EventKind>,
        value: T,
    ) -> Transition<T> {
        let events = events(context, kinds);
        Transition::new(Change::Write(self.write()), move || Committed { value, events })
    }
}
