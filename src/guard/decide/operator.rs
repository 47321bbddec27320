//! What an operator may do without a proof.

use crate::guard::answer::event::{EventKind, events};
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::context::Context;
use crate::guard::decide::attempt::MAX_LEARNED_AFTER_RESYNC;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::record::SecondFactor;

impl SecondFactor {
    /// Removes the second factor without a proof: for an operator who has made sure by other means who is asking. This
    /// is where social engineering aims; see that a second person has to agree, and that the user is told.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`].
    pub fn operator_remove(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() && self.pending.is_none() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let canceled = self.clone().cancel_enrollment(context);
        let disabled = (!self.active.is_empty()).then_some(EventKind::Disabled);
        let events = events(context, disabled.into_iter().chain(canceled));
        Ok(Transition::new(Change::Remove, move || Committed { value: (), events }))
    }

    /// Ends the waits, and refills the guess budget if it is exhausted: for an operator who knows that the guessing has ended.
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::GuardError;
    /// use keyfob::store::Store;
    ///
    /// /// The owner cannot log in. Two people have made sure that it is the owner, and that nobody is guessing any more.
    /// async fn help(guard: &Guard<impl Store>, user: &str, has_recovery_codes: bool) -> Result<(), GuardError> {
    ///     let status = guard.status(user).await?;
    ///     if has_recovery_codes && status.recovery_codes_left() > 0 {
    ///         println!("A recovery code works, whatever was guessed.");
    ///     } else if status.is_exhausted() || status.retry_at().is_some() {
    ///         guard.operator_unlock(user).await?; // the app works again
    ///     } else {
    ///         guard.operator_remove(user).await?; // the app is lost as well
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`].
    pub fn operator_unlock(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let mut next = self.clone();
        next.budget.lift(context.policy, context.now, u64::MAX);
        Ok(next.changed(context, [EventKind::Unlocked], ()))
    }

    /// Refuses every code that can have been used up to this moment: for an operator who has restored the store from a
    /// backup, in which what was used since then is unused again. An enrollment that waits is dropped. The generation changes
    /// to one that the account never had, so proofs and trusted devices from before are void.
    ///
    /// This is strict, and it costs the owners something:
    ///
    /// * An authenticator with a clock may have been [resynchronized](Self::resync) since the backup, by up to
    ///   [`Policy::with_resync_within`](crate::Policy::with_resync_within) steps, and may have learned forty more since. So all codes up
    ///   to there are refused: by default for 81 minutes.
    /// * What an authenticator that counts has used since the backup nobody knows. It is refused from now on. Have its owner
    ///   replace it.
    ///
    /// Recovery codes work meanwhile, those that were used since the backup included, and authenticators that were revoked
    /// since are back: replace the codes, and look at the list. [`operator_invalidate_recent_codes`](Self::operator_invalidate_recent_codes) locks
    /// nobody out and covers less.
    ///
    /// The example of `SqliteStore` goes through all accounts.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`] for an account that has neither an authenticator nor an enrollment.
    pub fn operator_invalidate_codes(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        self.fenced(context, true)
    }

    /// As [`operator_invalidate_codes`](Self::operator_invalidate_codes), for apps and tokens whose clocks are right: refuses the codes up to the
    /// end of the present window, so that everybody is in again within two minutes.
    ///
    /// What it gives up: an authenticator that was resynchronized to a clock ahead since the backup accepts its used codes
    /// again when the server's clock gets there, and one that counts accepts those used since the backup.
    ///
    /// # Errors
    ///
    /// As for [`operator_invalidate_codes`](Self::operator_invalidate_codes).
    pub fn operator_invalidate_recent_codes(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        self.fenced(context, false)
    }

    fn fenced(&self, context: &Context<'_>, strict: bool) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() && self.pending.is_none() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let mut next = self.clone();
        let canceled = next.cancel_enrollment(context);
        for one in &mut next.active {
            let Some(period) = one.period else {
                one.next = if strict { u64::MAX } else { one.next };
                continue;
            };
            let mut end = one.window(context.policy, context.now).1;
            if strict {
                let now = period.steps(context.now);
                let window = u64::from(context.policy.window().ahead());
                // The last resynchronization may be one of since the backup, or the one that the record knows.
                let found = context.policy.resync_within().max(u64::try_from(one.anchor).unwrap_or(0));
                let ahead = found.saturating_add(MAX_LEARNED_AFTER_RESYNC).saturating_add(window);
                end = end.max(now.saturating_add(ahead));
            }
            one.next = one.next.max(end.saturating_add(1));
        }
        // By more than anybody has counted since the backup: the next changes must not meet what they had made of it.
        next.generation = next.generation.wrapping_add(context.now).wrapping_add(1).max(1);
        Ok(next.changed(context, [EventKind::CodesInvalidated].into_iter().chain(canceled), ()))
    }
}
