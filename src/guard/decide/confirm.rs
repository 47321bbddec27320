//! Confirms a new authenticator with its first code, and makes the first recovery codes.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ct;
use crate::guard::answer::enrollment::{Confirmation, Confirmed};
use crate::guard::answer::event::{Event, EventKind, events};
use crate::guard::answer::notice::NoticeKind;
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::answer::verdict::Refusal;
use crate::guard::context::Context;
use crate::guard::decide::diagnosis::HiddenDiagnosis;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::generation::Generation;
use crate::guard::randomness::Randomness;
use crate::guard::record::authenticator::{Authenticator, Pending};
use crate::guard::record::budget::Outcome;
use crate::guard::record::recovery::{RecoveryCodes, RecoverySet};
use crate::guard::record::{SecondFactor, generation_after};

impl SecondFactor {
    /// Confirms the pending enrollment with a code from the new authenticator, which becomes active. See
    /// [`Guard::confirm`](crate::Guard::confirm).
    ///
    /// After a user's first authenticator is confirmed, call [`first_recovery_codes`](Self::first_recovery_codes),
    /// which makes the recovery codes in a separate transition.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NoEnrollment`] if no enrollment is pending, or if the pending one has expired, has had 20
    ///   wrong codes, or was started with a ticket.
    /// * [`GuardErrorKind::KeyMissing`] or [`GuardErrorKind::SealBroken`] if the new authenticator's secret cannot be
    ///   opened.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    pub fn confirm(&self, context: &Context<'_>, typed: &str) -> Result<Transition<Confirmation>, GuardError> {
        self.confirm_enrollment(context, typed, 0)
    }

    /// Confirms the pending enrollment that was started with the ticket whose id is `ticket`, or without a ticket if
    /// `ticket` is 0.
    pub(crate) fn confirm_enrollment(
        &self,
        context: &Context<'_>,
        typed: &str,
        ticket: u64,
    ) -> Result<Transition<Confirmation>, GuardError> {
        self.not_suspended()?;
        let begun = |pending: &&Pending| pending.ticket == ticket && pending.is_waiting(context);
        let waiting = self.pending.as_ref().filter(begun);
        let pending = waiting.ok_or(GuardErrorKind::NoEnrollment)?;
        let refused = |reason, change, exhausted: Option<EventKind>| {
            let refused = EventKind::EnrollmentRefused { reason, diagnosis: None };
            let events = events(context, [refused].into_iter().chain(exhausted));
            let value = Confirmation::Refused { refusal: reason, diagnosis: None };
            Transition::new(change, move || Committed { value, events })
        };
        let share = self.share(context, false);
        let Ok(code) = Code::parse(typed) else { return Ok(refused(Refusal::Malformed, Change::None, None)) };
        if pending.imported
            && let Some((reason, change, exhausted)) = self.barred(context, share)
        {
            return Ok(refused(reason, change, exhausted));
        }

        // Until the swap, the work and the length of the record are the same for a right and a wrong code. If the swap
        // fails with a conflict, the code is checked again, so the time taken must not reveal the first answer.
        let authenticator = &pending.authenticator;
        let (from, to) = authenticator.window(context.policy, context.now);
        let hotp = authenticator.hotp(context.user, context.keyring)?;
        let (hit, counter) = hotp.scan([&code], from.max(authenticator.next), to).hidden();
        let hit = hit & !authenticator.was_disclosed(counter);
        let diagnosis =
            if pending.imported { HiddenDiagnosis::none() } else { pending.diagnose(context, &code, to)? };

        let mut next = self.clone();
        let (mut lifted, mut replaces_all) = (false, false);
        let exhausted = self.is_exhausted(context);
        if pending.imported {
            // The holder of an imported secret can confirm it at any time. So under a strict policy, and with a voucher,
            // confirming it does not allow more guesses at the authenticators that stay.
            let keeps = hit & ct::public(self.is_enrolled() && (pending.vouched || context.policy.is_strict()));
            let outcome = Outcome { success: hit & !keeps, uncounted: keeps };
            next.budget.charge(context.policy, context.now, share, outcome);
        } else if self.is_enrolled() && !pending.vouched && (exhausted || !context.policy.is_strict()) {
            // A new authenticator ends the account's wait. This is the re-binding described in NIST SP 800-63B-4,
            // section 3.2.2. The enrollment required a proof, so an attacker who can only guess cannot get this far. A
            // user's first authenticator requires no proof, so it does not end the wait.
            lifted = next.budget.lift(context.policy, context.now, self.has_known_device(context.now), hit);
            replaces_all = context.policy.is_strict();
        }
        next.budget.succeeded_at = ct::select(hit, context.now.max(1), next.budget.succeeded_at);
        next.pending = Some(Pending {
            replaces_all,
            tries: ct::select(hit, pending.tries, pending.tries.saturating_add(1)),
            confirmed: hit & 1,
            authenticator: Authenticator {
                bound: ct::select(hit, context.now.max(1), 0),
                next: ct::select(hit, counter.wrapping_add(1), authenticator.next),
                disclosed: ct::select(!hit & diagnosis.future, diagnosis.step.wrapping_add(1), authenticator.disclosed),
                ..authenticator.clone()
            },
            ..pending.clone()
        });
        let exhausts = pending.imported && self.budget.ends_with_a_failure(context.policy, context.now, share);
        let replaces = |active: &&Authenticator| replaces_all || Some(&active.id) == pending.replaces.as_ref();
        let replaced: Vec<_> = self.active.iter().filter(replaces).map(|active| active.id.clone()).collect();
        next.note(context, NoticeKind::Added, hit);
        next.note(context, NoticeKind::Removed, hit & ct::public(!replaced.is_empty()));
        next.note(context, NoticeKind::Exhausted, !hit & ct::public(exhausts));
        let record = next.write();

        let id = authenticator.id.clone();
        let generation = Generation { factors: generation_after(self.generation), epoch: self.epoch };
        let (user, now) = (String::from(context.user), context.now);
        let transition = Transition::new(Change::Write(record), move || {
            let event = |kind| Event::new(&user, now, kind);
            // The record that marks the code as used, or counts the failure, is now stored. So it is safe to reveal
            // whether the code matched.
            if ct::declassify(hit) {
                let mut events = vec![event(EventKind::Confirmed { authenticator: id.clone() })];
                events.extend(replaced.into_iter().map(|authenticator| event(EventKind::Revoked { authenticator })));
                events.extend(lifted.then(|| event(EventKind::Unlocked)));
                let user = user.clone();
                let confirmed = Confirmed { user, generation, authenticator: id, recovery_codes: None, sign_in: None };
                return Committed { value: Confirmation::Confirmed(confirmed), events };
            }
            let (reason, diagnosis) = (Refusal::WrongCode, diagnosis.reveal());
            let mut events = vec![event(EventKind::EnrollmentRefused { reason, diagnosis })];
            events.extend(exhausts.then(|| event(EventKind::Exhausted)));
            Committed { value: Confirmation::Refused { refusal: reason, diagnosis }, events }
        });
        Ok(transition.exhausting(exhausts))
    }

    /// Makes a user's first recovery codes. Call this right after [`confirm`](Self::confirm). Returns `None` if the
    /// user already has recovery codes.
    ///
    /// Sends [`EventKind::RecoveryCodesIssued`]. If the answer is lost,
    /// [`regenerate_recovery_codes`](Self::regenerate_recovery_codes) makes new codes.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`] if the confirmation belongs to another user, or if the generation has
    ///   changed since then.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Randomness`] if the source of randomness failed.
    pub fn first_recovery_codes(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        confirmed: &Confirmed,
    ) -> Result<Transition<Option<RecoveryCodes>>, GuardError> {
        self.not_suspended()?;
        if confirmed.user != context.user || confirmed.generation != self.generation() {
            return Err(GuardErrorKind::ProofRejected.into());
        }
        if self.recovery.is_some() {
            return Ok(Transition::of(None, vec![]));
        }
        let (mut codes, set) = RecoverySet::generate(context, random)?;
        codes.generation = self.generation();
        let next = Self { recovery: Some(set), ..self.clone() };
        Ok(next.changed(context, [EventKind::RecoveryCodesIssued], Some(codes)))
    }
}
