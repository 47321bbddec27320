//! The code that proves a new authenticator.

use alloc::string::String;
use alloc::vec;

use crate::code::Code;
use crate::ct;
use crate::guard::answer::enrollment::{Confirmation, Confirmed};
use crate::guard::answer::event::{Event, EventKind, events};
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::answer::verdict::Refusal;
use crate::guard::context::Context;
use crate::guard::decide::diagnosis::HiddenDiagnosis;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::randomness::Randomness;
use crate::guard::record::authenticator::{Authenticator, Pending};
use crate::guard::record::recovery::{RecoveryCodes, RecoverySet};
use crate::guard::record::{SecondFactor, generation_after};

impl SecondFactor {
    /// Activates the pending authenticator by its code, which counts as used from then on.
    ///
    /// Where the secret was made by [`enroll`](Self::enroll), the user who is asked has just been shown it: a wrong code is
    /// one of the twenty that an enrollment forgives, and comes with a [`Diagnosis`]. Where it was imported, a wrong code is a
    /// guess. It is charged to the guess budget of the account as a wrong code of a login is, it waits as that does, and there
    /// is no diagnosis.
    ///
    /// The first authenticator of an account needs recovery codes beside it:
    /// [`first_recovery_codes`](Self::first_recovery_codes) makes them, in a transition of its own.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NoEnrollment`] if none is waiting, it waited too long, or too many codes were wrong.
    /// [`GuardErrorKind::KeyMissing`] and [`GuardErrorKind::SealBroken`] if its secret does not open.
    pub fn confirm(&self, context: &Context<'_>, typed: &str) -> Result<Transition<Confirmation>, GuardError> {
        let waiting = self.pending.as_ref().filter(|pending| pending.is_waiting(context));
        let pending = waiting.ok_or(GuardErrorKind::NoEnrollment)?;
        let refused = |reason, change, exhausted: Option<EventKind>| {
            let refused = EventKind::EnrollmentRefused { reason, diagnosis: None };
            let events = events(context, [refused].into_iter().chain(exhausted));
            let value = Confirmation::Refused { refusal: reason, diagnosis: None };
            Transition::new(change, move || Committed { value, events })
        };
        let Ok(code) = Code::parse(typed) else { return Ok(refused(Refusal::Malformed, Change::None, None)) };
        if pending.imported
            && let Some((reason, change, exhausted)) = self.barred(context)
        {
            return Ok(refused(reason, change, exhausted));
        }

        // Up to the swap, a right code and a wrong one do the same work, and write records of the same length: an answer
        // that lost its swap is decided again, and its time must not tell what it was.
        let authenticator = &pending.authenticator;
        let (from, to) = authenticator.window(context.policy, context.now);
        let hotp = authenticator.hotp(context.user, context.keyring)?;
        let (hit, counter) = hotp.scan([&code], from.max(authenticator.next), to).hidden();
        let hit = hit & !authenticator.was_disclosed(counter);
        let diagnosis =
            if pending.imported { HiddenDiagnosis::none() } else { pending.diagnose(context, &code, to)? };

        let mut next = self.clone();
        let mut lifted = false;
        if pending.imported {
            next.budget.charge(context.policy, context.now, hit);
        } else if !self.active.is_empty() {
            // The re-binding of NIST SP 800-63B-4, section 3.2.2. It took a proof, so no guesser gets here. The first
            // authenticator of an account takes none, and so lifts nothing.
            lifted = next.budget.lift(context.policy, context.now, hit);
        }
        next.pending = Some(Pending {
            tries: ct::select(hit, pending.tries, pending.tries.saturating_add(1)),
            confirmed: hit & 1,
            authenticator: Authenticator {
                next: ct::select(hit, counter.wrapping_add(1), authenticator.next),
                disclosed: ct::select(!hit & diagnosis.future, diagnosis.step.wrapping_add(1), authenticator.disclosed),
                ..authenticator.clone()
            },
            ..pending.clone()
        });
        let record = next.write();

        let (id, replaced) = (authenticator.id.clone(), pending.replaces.clone());
        let exhausts = pending.imported && self.budget.ends_with_a_failure(context.policy, context.now);
        let generation = generation_after(self.generation);
        let (user, now) = (String::from(context.user), context.now);
        Ok(Transition::new(Change::Write(record), move || {
            let event = |kind| Event::new(&user, now, kind);
            // Public: the record that carries the consequence is stored.
            if ct::declassify(hit) {
                let mut events = vec![event(EventKind::Confirmed { authenticator: id.clone() })];
                events.extend(replaced.map(|authenticator| event(EventKind::Revoked { authenticator })));
                events.extend(lifted.then(|| event(EventKind::Unlocked)));
                let user = user.clone();
                let confirmed = Confirmed { user, generation, authenticator: id, recovery_codes: None };
                return Committed { value: Confirmation::Confirmed(confirmed), events };
            }
            let (reason, diagnosis) = (Refusal::WrongCode, diagnosis.reveal());
            let mut events = vec![event(EventKind::EnrollmentRefused { reason, diagnosis })];
            events.extend(exhausts.then(|| event(EventKind::Exhausted)));
            Committed { value: Confirmation::Refused { refusal: reason, diagnosis }, events }
        }))
    }

    /// Makes the recovery codes that belong to the first authenticator of an user, right after it was confirmed: `None`
    /// if the account has recovery codes.
    ///
    /// If the answer is lost, [`regenerate_recovery_codes`](Self::regenerate_recovery_codes) makes others.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`] if the confirmation is of another user, or if the factors have changed since.
    /// [`GuardErrorKind::Randomness`].
    pub fn first_recovery_codes(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        confirmed: &Confirmed,
    ) -> Result<Transition<Option<RecoveryCodes>>, GuardError> {
        if confirmed.user != context.user || confirmed.generation != self.generation {
            return Err(GuardErrorKind::ProofRejected.into());
        }
        if self.recovery.is_some() {
            return Ok(Transition::of(None, vec![]));
        }
        let (codes, set) = RecoverySet::generate(context, random)?;
        let next = Self { recovery: Some(set), ..self.clone() };
        Ok(next.changed(context, [EventKind::RecoveryCodesIssued], Some(codes)))
    }
}
