//! Changes that an operator makes. They require no proof.

use crate::guard::answer::event::{EventKind, events};
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::context::Context;
use crate::guard::decide::attempt::MAX_LEARNED_AFTER_RESYNC;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::record::SecondFactor;

impl SecondFactor {
    /// Removes the second factor without a proof. Before you call this, verify by other means who is asking. See
    /// [`Guard::operator_remove`](crate::Guard::operator_remove).
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`] if there is neither an authenticator nor an enrollment.
    pub fn operator_remove(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() && self.pending.is_none() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let canceled = self.clone().cancel_enrollment(context);
        let disabled = (!self.active.is_empty()).then_some(EventKind::Disabled);
        let events = events(context, disabled.into_iter().chain(canceled));
        Ok(Transition::new(Change::Remove, move || Committed { value: (), events }))
    }

    /// Ends the waits of the account, and refills the guess budget if it is exhausted.
    /// [`Guard::operator_unlock`](crate::Guard::operator_unlock) has an example.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`] if there is no active authenticator.
    pub fn operator_unlock(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let mut next = self.clone();
        next.budget.lift(context.policy, context.now, u64::MAX);
        Ok(next.changed(context, [EventKind::Unlocked], ()))
    }

    /// Refuses every code that may already have been used. Call this after a backup was restored. See
    /// [`Guard::operator_invalidate_codes`](crate::Guard::operator_invalidate_codes), which says for how long users
    /// cannot log in.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`] if there is neither an authenticator nor an enrollment.
    pub fn operator_invalidate_codes(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        self.invalidated(context, true)
    }

    /// Refuses the TOTP codes of the current window and all earlier ones. Call this after a backup was restored. See
    /// [`Guard::operator_invalidate_recent_codes`](crate::Guard::operator_invalidate_recent_codes), which says what
    /// this does not cover.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`] if there is neither an authenticator nor an enrollment.
    pub fn operator_invalidate_recent_codes(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        self.invalidated(context, false)
    }

    /// Marks the TOTP codes up to the end of the current window as used, and cancels the enrollment. If `strict` is
    /// set, also covers a resynchronization after the backup, and refuses HOTP codes permanently.
    fn invalidated(&self, context: &Context<'_>, strict: bool) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() && self.pending.is_none() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let mut next = self.clone();
        let canceled = next.cancel_enrollment(context);
        for authenticator in &mut next.active {
            let Some(period) = authenticator.period else {
                if strict {
                    authenticator.next = u64::MAX;
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
        }
        // The generation must grow by more than the changes after the backup can have added. Otherwise later changes
        // would reach a generation that the account already had after the backup, and proofs and trusted devices from
        // that time would be valid again.
        next.generation = next.generation.wrapping_add(context.now).wrapping_add(1).max(1);
        Ok(next.changed(context, [EventKind::CodesInvalidated].into_iter().chain(canceled), ()))
    }
}
