//! Changes that an operator makes. They require no proof.

use alloc::vec;

use crate::guard::answer::event::{EventKind, events};
use crate::guard::answer::invalidation::Invalidation;
use crate::guard::answer::notice::NoticeKind;
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::context::Context;
use crate::guard::decide::attempt::MAX_LEARNED_AFTER_RESYNC;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::{AuthenticatorId, OperatorId};
use crate::guard::randomness::Randomness;
use crate::guard::record::SecondFactor;
use crate::guard::token::login::{LoginToken, Purpose, Voucher};
use crate::guard::token::proof::{self, Proof};

impl SecondFactor {
    /// Removes the second factor without a proof. The record keeps only a tombstone. Before you call this,
    /// verify by other means who is asking. See [`Guard::operator_remove`](crate::Guard::operator_remove).
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`] if there is neither a second factor nor a pending enrollment.
    pub fn operator_remove(&self, context: &Context<'_>, operator: &OperatorId) -> Result<Transition<()>, GuardError> {
        if !self.is_enrolled() && self.pending.is_none() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        Ok(self.removed(context).map(|_| ()).by(operator))
    }

    /// Revokes an authenticator that was reported lost, without a proof.
    /// [`Guard::operator_revoke`](crate::Guard::operator_revoke) explains what happens if it is the last one.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::UnknownAuthenticator`] if no active authenticator has this id.
    pub fn operator_revoke(
        &self,
        context: &Context<'_>,
        authenticator: &AuthenticatorId,
        operator: &OperatorId,
    ) -> Result<Transition<()>, GuardError> {
        let mut next = self.clone();
        next.active.retain(|active| active.id != *authenticator);
        if next.active.len() == self.active.len() {
            return Err(GuardErrorKind::UnknownAuthenticator.into());
        }
        if next.active.is_empty() {
            next.revoked = context.now.max(1);
        }
        let canceled = next.drop_enrollment(context);
        next.factors_changed();
        next.note(context, NoticeKind::Removed, u64::MAX);
        let revoked = EventKind::Revoked { authenticator: authenticator.clone() };
        Ok(next.changed(context, [revoked].into_iter().chain(canceled), ()).by(operator))
    }

    /// Suspends the account. Until it is resumed, nobody can log in or change the factors. All earlier tokens and
    /// sessions become void. See [`Guard::operator_suspend`](crate::Guard::operator_suspend).
    pub fn operator_suspend(&self, context: &Context<'_>, operator: &OperatorId) -> Transition<()> {
        if self.suspended {
            return Transition::of((), vec![]);
        }
        let mut next = Self { suspended: true, ..self.clone() };
        let canceled = next.drop_enrollment(context);
        next.void_logins(context.now);
        next.changed(context, [EventKind::Suspended].into_iter().chain(canceled), ()).by(operator)
    }

    /// Ends the account's suspension. Earlier tokens and sessions stay void. See
    /// [`Guard::operator_resume`](crate::Guard::operator_resume).
    pub fn operator_resume(&self, context: &Context<'_>, operator: &OperatorId) -> Transition<()> {
        if !self.suspended {
            return Transition::of((), vec![]);
        }
        let mut next = Self { suspended: false, ..self.clone() };
        next.void_logins(context.now);
        next.changed(context, [EventKind::Resumed], ()).by(operator)
    }

    /// Erases the whole record, including the tombstone of a removed second factor.
    /// [`Guard::erase`](crate::Guard::erase) explains when an application needs this.
    pub fn erase(&self, context: &Context<'_>) -> Transition<()> {
        let canceled = self.clone().drop_enrollment(context);
        let events = events(context, [EventKind::Erased].into_iter().chain(canceled));
        Transition::new(Change::Remove, move || Committed { value: (), events })
    }

    /// Ends the account's wait, and refills the guess budget if it is exhausted.
    /// [`Guard::operator_unlock`](crate::Guard::operator_unlock) has an example.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`] if there is no second factor.
    /// * [`GuardErrorKind::UnlockRefused`] if the policy is strict.
    pub fn operator_unlock(&self, context: &Context<'_>, operator: &OperatorId) -> Result<Transition<()>, GuardError> {
        if !self.is_enrolled() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        if context.policy.is_strict() {
            return Err(GuardErrorKind::UnlockRefused.into());
        }
        let mut next = self.clone();
        next.budget.lift(context.policy, context.now, self.has_known_device(context.now), u64::MAX);
        Ok(next.changed(context, [EventKind::Unlocked], ()).by(operator))
    }

    /// Vouches for a user who has no working code, and returns a voucher with which the user can add an authenticator.
    /// See [`Guard::operator_vouch`](crate::Guard::operator_vouch).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`] if there is no second factor.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Randomness`] if the source of randomness failed.
    pub fn operator_vouch(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        operator: &OperatorId,
    ) -> Result<Transition<Voucher>, GuardError> {
        self.not_suspended()?;
        if !self.is_enrolled() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let token = LoginToken::make(context, random, Purpose::Voucher, self.generation(), None)?;
        // Only the last voucher can be redeemed, so the record needs room for one id.
        let next = Self { voucher: token.id, ..self.clone() };
        Ok(next.changed(context, [EventKind::Vouched], Voucher(token)).by(operator))
    }

    /// Redeems a voucher, and returns a proof with which the user can add an authenticator. See
    /// [`Guard::redeem`](crate::Guard::redeem).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::LoginRejected`] if the voucher is not genuine, has expired, was redeemed, is void or is for
    ///   another user, or if its key is not in the keyring.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    pub fn redeem(&self, context: &Context<'_>, voucher: &Voucher) -> Result<Transition<Proof>, GuardError> {
        let token = &voucher.0;
        token.check_genuine(context)?;
        self.not_suspended()?;
        token.check_current(context, self.generation())?;
        if token.id != self.voucher {
            return Err(GuardErrorKind::LoginRejected.into());
        }
        let proof = Proof::make(context, context.user, context.now, self.generation(), &proof::Purpose::VOUCHED);
        let next = Self { voucher: 0, ..self.clone() };
        Ok(next.changed(context, [EventKind::VoucherRedeemed], proof))
    }

    /// Refuses every code that may already have been used. Call this after restoring a backup.
    /// [`Guard::operator_invalidate_codes`](crate::Guard::operator_invalidate_codes) explains how long users cannot log
    /// in.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`] if there is neither a second factor nor a pending enrollment, the account is not
    /// suspended, and no earlier login became void.
    pub fn operator_invalidate_codes(
        &self,
        context: &Context<'_>,
        operator: &OperatorId,
    ) -> Result<Transition<Invalidation>, GuardError> {
        self.invalidated(context, true).map(|transition| transition.by(operator))
    }

    /// Refuses the TOTP codes of the current window and all earlier ones. Call this after restoring a backup.
    /// [`Guard::operator_invalidate_recent_codes`](crate::Guard::operator_invalidate_recent_codes) explains what this
    /// does not cover.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`] if there is neither a second factor nor a pending enrollment, the account is not
    /// suspended, and no earlier login became void.
    pub fn operator_invalidate_recent_codes(
        &self,
        context: &Context<'_>,
        operator: &OperatorId,
    ) -> Result<Transition<Invalidation>, GuardError> {
        self.invalidated(context, false).map(|transition| transition.by(operator))
    }

    /// Marks the TOTP codes up to the end of the current window as used, cancels the enrollment, and makes earlier
    /// logins void. If `strict` is set, also refuses every TOTP code that a resynchronization after the backup could
    /// have reached, refuses HOTP codes permanently, and removes the recovery codes.
    fn invalidated(&self, context: &Context<'_>, strict: bool) -> Result<Transition<Invalidation>, GuardError> {
        // An account without a second factor can have sessions that became void after the backup.
        let blank = self.generation().is_blank() && !self.suspended;
        if !self.is_enrolled() && self.pending.is_none() && blank {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let mut next = self.clone();
        let canceled = next.drop_enrollment(context);
        let mut invalidation = Invalidation::default();
        if strict {
            // Nothing shows which of them were used after the backup.
            invalidation.recovery_codes = next.recovery.take().map_or(0, |set| set.left());
        }
        for authenticator in &mut next.active {
            invalidation.to_check.push(authenticator.id.clone());
            let Some(period) = authenticator.period else {
                if strict {
                    authenticator.next = u64::MAX;
                    invalidation.to_replace.push(authenticator.id.clone());
                }
                continue;
            };
            let mut end = authenticator.window(context.policy, context.now).1;
            if strict {
                let now = period.steps(context.now);
                let window = u64::from(context.policy.window().ahead());
                // The last resynchronization either happened after the backup or is the one in the record. In both
                // cases, the guard may have learned more drift after it.
                let found = context.policy.resync_within().max(u64::try_from(authenticator.anchor).unwrap_or(0));
                let ahead = found.saturating_add(MAX_LEARNED_AFTER_RESYNC).saturating_add(window);
                end = end.max(now.saturating_add(ahead));
            }
            authenticator.next = authenticator.next.max(end.saturating_add(1));
            // The app shows the code of this step when its own clock reaches the step.
            let shown = authenticator.next.saturating_add_signed(authenticator.drift.saturating_neg());
            let usable_at = shown.saturating_mul(period.seconds().into());
            invalidation.usable_at = invalidation.usable_at.max(Some(usable_at));
        }
        // The generation must grow by more than the changes after the backup can have added. If it grew by less, later
        // changes could reach a generation that the account already had after the backup, and sessions and proofs from
        // that time would be valid again.
        next.generation = next.generation.wrapping_add(context.now).wrapping_add(1).max(1);
        next.void_logins(context.now);
        Ok(next.changed(context, [EventKind::CodesInvalidated].into_iter().chain(canceled), invalidation))
    }
}
