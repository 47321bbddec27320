//! Changes that the account's owner makes. Each requires a proof that the second factor was just used.

use alloc::vec;

use crate::guard::answer::event::{EventKind, events};
use crate::guard::answer::notice::{Notice, NoticeKind};
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::answer::verdict::Accepted;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::generation::Generation;
use crate::guard::id::AuthenticatorId;
use crate::guard::randomness::Randomness;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::{NAME_REFUSED, check_name};
use crate::guard::record::notices::Notices;
use crate::guard::record::recovery::{RecoveryCodes, RecoverySet};
use crate::guard::token::proof::{Proof, Purpose};

impl SecondFactor {
    /// Renames an authenticator, with a proof for [`Purpose::RENAME`]. See [`Guard::rename`](crate::Guard::rename).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::Invalid`] if the name is longer than 256 bytes or contains control characters.
    /// * [`GuardErrorKind::ProofRejected`] if the proof is not valid for this change. [`check`](Self::check) lists the
    ///   reasons.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::UnknownAuthenticator`] if no active authenticator has this id.
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
        let renamed = next.active.iter_mut().find(|active| active.id == *authenticator);
        let renamed = renamed.ok_or(GuardErrorKind::UnknownAuthenticator)?;
        if renamed.name == name {
            return Ok(Transition::of((), vec![]));
        }
        renamed.name = name.into();
        Ok(next.changed(context, [EventKind::Renamed { authenticator: authenticator.clone() }], ()))
    }

    /// Removes an authenticator permanently, with a proof for [`Purpose::REVOKE`]. See
    /// [`Guard::revoke`](crate::Guard::revoke).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`] if the proof is not valid for this change. [`check`](Self::check) lists the
    ///   reasons.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::UnknownAuthenticator`] if no active authenticator has this id.
    /// * [`GuardErrorKind::LastAuthenticator`] if it is the only active authenticator.
    pub fn revoke(
        &self,
        context: &Context<'_>,
        authenticator: &AuthenticatorId,
        proof: &Proof,
    ) -> Result<Transition<Generation>, GuardError> {
        self.check(context, proof, &Purpose::REVOKE)?;
        let mut next = self.clone();
        next.active.retain(|active| active.id != *authenticator);
        if next.active.len() == self.active.len() {
            return Err(GuardErrorKind::UnknownAuthenticator.into());
        }
        if next.active.is_empty() {
            return Err(GuardErrorKind::LastAuthenticator.into());
        }
        let canceled = next.drop_enrollment(context);
        next.factors_changed();
        next.note(context, NoticeKind::Removed, u64::MAX);
        let revoked = EventKind::Revoked { authenticator: authenticator.clone() };
        let generation = next.generation();
        Ok(next.changed(context, [revoked].into_iter().chain(canceled), generation))
    }

    /// Replaces the recovery codes, with a proof for [`Purpose::REGENERATE`]. See
    /// [`Guard::regenerate_recovery_codes`](crate::Guard::regenerate_recovery_codes).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`] if there is no active authenticator.
    /// * [`GuardErrorKind::ProofRejected`] if the proof is not valid for this change. [`check`](Self::check) lists the
    ///   reasons.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Randomness`] if the source of randomness failed.
    pub fn regenerate_recovery_codes(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        proof: &Proof,
    ) -> Result<Transition<RecoveryCodes>, GuardError> {
        if !self.is_enrolled() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        self.check(context, proof, &Purpose::REGENERATE)?;
        let (mut codes, set) = RecoverySet::generate(context, random)?;
        let mut next = self.clone();
        next.recovery = Some(set);
        let canceled = next.drop_enrollment(context);
        next.factors_changed();
        next.note(context, NoticeKind::RecoveryCodesReplaced, u64::MAX);
        codes.generation = next.generation();
        Ok(next.changed(context, [EventKind::RecoveryCodesRegenerated].into_iter().chain(canceled), codes))
    }

    /// Replaces the recovery code that was just used with a new one. See
    /// [`Guard::replace_recovery_code`](crate::Guard::replace_recovery_code).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`] if the code was accepted for another user or longer ago than the lifetime of
    ///   a proof, or if the generation has changed since the code was accepted.
    /// * [`GuardErrorKind::KeyMissing`] or [`GuardErrorKind::SealBroken`] if the key of the recovery codes cannot be
    ///   opened.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Randomness`] if the source of randomness failed.
    pub fn replace_recovery_code(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        accepted: &Accepted,
    ) -> Result<Transition<Option<RecoveryCodes>>, GuardError> {
        self.not_suspended()?;
        self.check_accepted(context, accepted)?;
        let mut next = self.clone();
        // The hash is not secret: without its key, it reveals nothing about the code.
        let is_used = |(hash, used): &([u8; 32], u64)| Some(*hash) == accepted.used_recovery_code && *used != 0;
        let set = next.recovery.as_mut().filter(|set| set.codes.iter().any(is_used));
        let Some(set) = set else { return Ok(Transition::of(None, vec![])) };
        let (mut codes, hash) = RecoveryCodes::replacement(&*set.open(context)?, random)?;
        set.codes.iter_mut().filter(|code| is_used(code)).for_each(|code| *code = (hash, 0));
        codes.generation = self.generation();
        let left = set.left();
        Ok(next.changed(context, [EventKind::RecoveryCodeReplaced { left }], Some(codes)))
    }

    /// Disables the second factor, with a proof for [`Purpose::DISABLE`]. The record keeps only a tombstone.
    /// See [`Guard::disable`](crate::Guard::disable).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`] if there is no active authenticator.
    /// * [`GuardErrorKind::ProofRejected`] if the proof is not valid for this change. [`check`](Self::check) lists the
    ///   reasons.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    pub fn disable(&self, context: &Context<'_>, proof: &Proof) -> Result<Transition<Generation>, GuardError> {
        if !self.is_enrolled() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        self.check(context, proof, &Purpose::DISABLE)?;
        Ok(self.removed(context))
    }

    /// Removes the authenticators, the pending enrollment, the recovery codes, the devices, the completed logins and
    /// the failure counts. What remains distinguishes a removed second factor from a lost record. It has a new
    /// generation, so earlier sessions and tokens are void.
    pub(crate) fn removed(&self, context: &Context<'_>) -> Transition<Generation> {
        let mut next = Self {
            generation: self.generation,
            epoch: self.epoch,
            // The tombstone of an earlier removal keeps its time. Removing only a pending enrollment does not count as
            // a removal.
            removed: if self.is_enrolled() { context.now.max(1) } else { self.removed },
            suspended: self.suspended,
            notices: self.notices.clone(),
            ..Self::default()
        };
        if self.is_enrolled() {
            next.note(context, NoticeKind::Removed, u64::MAX);
        }
        next.factors_changed();
        next.void_logins(context.now);
        let generation = next.generation();
        let canceled = self.clone().drop_enrollment(context);
        let disabled = self.is_enrolled().then_some(EventKind::Disabled);
        next.changed(context, disabled.into_iter().chain(canceled), generation)
    }

    /// Removes a notice that the user has been told about. See [`Guard::acknowledge`](crate::Guard::acknowledge).
    pub fn acknowledge(&self, context: &Context<'_>, notice: Notice) -> Transition<()> {
        let mut next = self.clone();
        match next.notices.as_mut().is_some_and(|notices| notices.acknowledge(notice)) {
            true => next.changed(context, [], ()),
            false => Transition::of((), vec![]),
        }
    }

    /// Returns an event for each notice that should have been acknowledged by now.
    pub(crate) fn overdue(&self, now: u64) -> impl Iterator<Item = EventKind> {
        let pending = self.notices.iter().flat_map(Notices::pending);
        // A time in the future means that a clock was ahead. The age of the notice is then unknown, so it is reported.
        let overdue = pending.filter(move |notice| now.abs_diff(notice.at()) >= TIME_TO_TELL);
        overdue.map(|notice| EventKind::Unacknowledged { notice })
    }

    /// Removes the enrollment. Returns an event if the enrollment was still pending.
    pub(crate) fn drop_enrollment(&mut self, context: &Context<'_>) -> Option<EventKind> {
        let pending = self.pending.take().filter(|pending| pending.is_waiting(context))?;
        Some(EventKind::EnrollmentCanceled { authenticator: pending.authenticator.id })
    }

    /// Returns a transition that writes this record and sends these events.
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

/// How long the application may take to tell the user and acknowledge the notice, in seconds. Only then do later
/// requests report the notice again.
const TIME_TO_TELL: u64 = 300;
