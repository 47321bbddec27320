//! Checks a code that was typed during a login.
//!
//! Until the swap, the check of an authenticator's code does the same work for a match, a miss and a replay. Every
//! result is computed with masks, and a single code path writes the next record, whose length does not depend on the
//! verdict. The verdict is first read after the swap, in the closure that [`Transition::committed`] runs.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::code::Code;
use crate::ct;
use crate::guard::answer::event::{Event, EventKind, events};
use crate::guard::answer::notice::NoticeKind;
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::answer::verdict::{Accepted, History, Method, Refusal, Verdict};
use crate::guard::context::Context;
use crate::guard::decide::attempt::Revealed;
use crate::guard::error::GuardError;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::Authenticator;
use crate::guard::record::budget::Share;
use crate::guard::record::devices::recognized;
use crate::guard::record::recovery::RecoveryCode;
use crate::guard::token::device::DeviceToken;

impl SecondFactor {
    /// Checks what the user typed during a login: a code of any active authenticator, or a recovery code. See
    /// [`Guard::verify`](crate::Guard::verify).
    ///
    /// Store the change before you use the verdict, in a transaction that a failed login does not roll back. A refusal
    /// can change the record too, because it counts a failure.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    /// [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if the secret of any active
    /// authenticator cannot be opened. For a recovery code, only the key of the recovery codes has to be opened.
    /// [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    pub fn verify(&self, context: &Context<'_>, typed: &str) -> Result<Transition<Verdict>, GuardError> {
        self.verify_on_device(context, typed, None)
    }

    /// Checks a code that may have been typed on a known device. See
    /// [`Guard::verify_on_device`](crate::Guard::verify_on_device).
    ///
    /// # Errors
    ///
    /// The same errors as for [`verify`](Self::verify).
    pub fn verify_on_device(
        &self,
        context: &Context<'_>,
        typed: &str,
        device: Option<&DeviceToken>,
    ) -> Result<Transition<Verdict>, GuardError> {
        let known = device.and_then(|token| recognized(&self.devices, token, context));
        self.verify_in(context, typed, self.share(context, known.is_some()), |_, _| {})
    }

    /// Checks a code, and charges a failure to this share of the guess budget. `complete` takes the next record and a
    /// mask that is set if the code was accepted, and changes the record only if the mask is set.
    pub(crate) fn verify_in(
        &self,
        context: &Context<'_>,
        typed: &str,
        share: Share,
        complete: impl FnOnce(&mut Self, u64),
    ) -> Result<Transition<Verdict>, GuardError> {
        self.not_suspended()?;
        if !self.is_enrolled() {
            return Ok(self.refused(context, Refusal::NotEnrolled, Change::None));
        }
        // Try to parse a recovery code first. `Code::parse` branches on which bytes are digits, and the positions of
        // the digits in a recovery code must stay secret.
        if let Some(code) = RecoveryCode::parse(typed) {
            return match code.is_valid() {
                true => self.verify_recovery_code(context, &code, complete),
                false => Ok(self.refused(context, Refusal::Malformed, Change::None)),
            };
        }
        match Code::parse(typed) {
            Ok(code) => self.verify_code(context, &code, share, complete),
            Err(_) => Ok(self.refused(context, Refusal::Malformed, Change::None)),
        }
    }

    fn verify_code(
        &self,
        context: &Context<'_>,
        code: &Code,
        share: Share,
        complete: impl FnOnce(&mut Self, u64),
    ) -> Result<Transition<Verdict>, GuardError> {
        if let Some((reason, change, exhausted)) = self.barred(context, share) {
            return Ok(self.refusal(context, reason, change, exhausted).map(Verdict::Refused));
        }
        let (next, hidden) = self.attempt(
            context,
            share,
            |authenticator, unused| {
                let (from, to) = authenticator.window(context.policy, context.now);
                let hotp = authenticator.hotp(context.user, context.keyring)?;
                let (hit, counter) = hotp.scan([code], from, to).hidden();
                let replayed = ct::mask_less(counter, unused) | authenticator.was_disclosed(counter);
                Ok((hit & !replayed, hit & replayed, counter))
            },
            |authenticator, fresh, context, counter| authenticator.learn(fresh, context.now, counter),
            complete,
        )?;

        let user = String::from(context.user);
        let (now, generation, history) = (context.now, self.generation(), self.history());
        let recovery_codes_left = self.recovery.as_ref().map_or(0, |recovery| recovery.left());
        let behind = |authenticator: &Authenticator| authenticator.clock_behind(context.policy, now);
        let clocks_behind: Vec<_> = self.active.iter().filter_map(behind).collect();
        let exhausts = hidden.exhausts;
        let transition = Transition::new(Change::Write(next), move || match hidden.reveal() {
            Ok(Revealed { id, method, name, drift }) => {
                let kind = EventKind::Accepted { method, authenticator: Some(id.clone()), drift };
                let events = vec![Event::new(&user, now, kind)];
                let authenticator = Some((id, name));
                let accepted = Accepted {
                    user,
                    at: now,
                    generation,
                    method,
                    authenticator,
                    drift,
                    recovery_codes_left,
                    history,
                    used_recovery_code: None,
                };
                Committed { value: Verdict::Accepted(accepted), events }
            }
            Err((refused, mut events)) => {
                events.extend(clocks_behind.into_iter().map(|kind| Event::new(&user, now, kind)));
                Committed { value: Verdict::Refused(refused), events }
            }
        });
        Ok(transition.exhausting(exhausts))
    }

    /// Compares the code with the hashes of all recovery codes. A 115-bit code cannot be guessed, so a miss is not
    /// counted and writes nothing.
    fn verify_recovery_code(
        &self,
        context: &Context<'_>,
        code: &RecoveryCode,
        complete: impl FnOnce(&mut Self, u64),
    ) -> Result<Transition<Verdict>, GuardError> {
        let Some(set) = &self.recovery else { return Ok(self.refused(context, Refusal::WrongCode, Change::None)) };
        let key = set.open(context)?;
        let hash = code.hash(&key);
        let matches: Vec<_> = set.codes.iter().map(|(stored, _)| ct::mask(ct::eq(stored, &hash).into())).collect();
        // The result may be public before the swap. Nobody sends a valid 115-bit code by chance, so the sender already
        // knows the answer. The new record also shows which code was used.
        let slot = matches.into_iter().position(ct::declassify);
        let mut next = self.clone();
        let used = slot.and_then(|slot| next.recovery.as_mut()?.codes.get_mut(slot));
        let Some((_, used)) = used else { return Ok(self.refused(context, Refusal::WrongCode, Change::None)) };
        if *used != 0 {
            return Ok(self.refused(context, Refusal::Replayed, Change::None));
        }
        // 0 means that the code is unused.
        *used = context.now.max(1);
        // Under a strict policy, only an authenticator's own code or a new authenticator resets the counts.
        let lifted = !context.policy.is_strict()
            && next.budget.lift(context.policy, context.now, self.has_known_device(context.now), u64::MAX);
        next.budget.succeeded_at = context.now.max(1);
        // An owner who uses a recovery code may be recovering from an attack, so earlier logins become void.
        next.void_logins(context.now);
        let canceled = next.drop_enrollment(context);
        next.note(context, NoticeKind::Recovered, u64::MAX);
        complete(&mut next, u64::MAX);
        let left = next.recovery.as_ref().map_or(0, |recovery| recovery.left());
        let accepted = Accepted {
            user: context.user.into(),
            at: context.now,
            generation: next.generation(),
            method: Method::RecoveryCode,
            authenticator: None,
            drift: 0,
            recovery_codes_left: left,
            history: self.history(),
            used_recovery_code: Some(hash),
        };
        let accept = EventKind::Accepted { method: Method::RecoveryCode, authenticator: None, drift: 0 };
        let kinds = [accept, EventKind::Recovered { left }]
            .into_iter()
            .chain(lifted.then_some(EventKind::Unlocked))
            .chain(canceled);
        let events = events(context, kinds);
        Ok(Transition::new(Change::Write(next.write()), move || Committed {
            value: Verdict::Accepted(accepted),
            events,
        }))
    }

    pub(crate) const fn history(&self) -> History {
        History { failures: self.budget.failures, succeeded_at: self.budget.succeeded_at }
    }

    fn refused(&self, context: &Context<'_>, reason: Refusal, change: Change) -> Transition<Verdict> {
        self.refusal(context, reason, change, None).map(Verdict::Refused)
    }
}
