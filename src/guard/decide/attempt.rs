//! One attempt: checks whether the guess budget allows a comparison, compares the code with every authenticator, and
//! charges the budget.
//!
//! Until the swap, a match, a miss and a replay do the same work: everything is computed with masks.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::ct;
use crate::guard::answer::event::{Event, EventKind, Flow, events};
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::answer::verdict::{Method, Refusal};
use crate::guard::context::Context;
use crate::guard::error::GuardError;
use crate::guard::id::AuthenticatorId;
use crate::guard::policy::Policy;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::{Authenticator, LEANS, MAX_DRIFT};
use crate::guard::record::budget::{Budget, Gate};

impl SecondFactor {
    /// If the budget allows no comparison now: the refusal, the change to store, and an event to send besides the
    /// refusal.
    pub(crate) fn barred(&self, context: &Context<'_>) -> Option<(Refusal, Change, Option<EventKind>)> {
        let reason = match self.budget.gate(context.policy, context.now) {
            Gate::Open => return None,
            Gate::Throttled { retry_at } => Refusal::Throttled { retry_at },
            Gate::Exhausted { retry_at } => Refusal::Exhausted { retry_at },
        };
        // Refusals write nothing: otherwise an attacker could make the swaps of the owner fail by sending many
        // requests. There are two exceptions: the clock was set back, or it is time to report the exhausted budget
        // again.
        let mut budget = self.budget.brought_back(context.now);
        let mut report = None;
        if matches!(reason, Refusal::Exhausted { .. })
            && let Some(reported) = budget.as_ref().unwrap_or(&self.budget).reported(context.now)
        {
            budget = Some(reported);
            report = Some(EventKind::Exhausted);
        }
        let written = |budget| Change::Write(Self { budget, ..self.clone() }.write());
        Some((reason, budget.map_or(Change::None, written), report))
    }

    /// Whether one more failure in this flow would use up the guess budget now.
    pub(crate) fn exhausted_by(&self, flow: Flow, context: &Context<'_>) -> bool {
        let charged = match flow {
            Flow::Resync | Flow::Verify => !self.active.is_empty(),
            Flow::Confirm => self.pending.as_ref().is_some_and(|pending| pending.imported),
            _ => false,
        };
        charged && self.budget.ends_with_a_failure(context.policy, context.now)
    }

    /// Compares a code with every active authenticator and charges the budget. Returns the next record and the hidden
    /// verdict.
    ///
    /// `compare` takes an authenticator and its first unused counter, and returns two masks (accepted, replayed) and
    /// the counter that matched. `update` changes the authenticator if the first mask is set.
    pub(crate) fn attempt(
        &self,
        context: &Context<'_>,
        compare: impl Fn(&Authenticator, u64) -> Result<(u64, u64, u64), GuardError>,
        update: impl Fn(&mut Authenticator, u64, &Context<'_>, u64),
    ) -> Result<(Vec<u8>, Hidden), GuardError> {
        let mut next = self.clone();
        let (mut accepted, mut replayed, mut matched, mut drift) = (0, 0, 0, 0);
        for (authenticator, index) in next.active.iter_mut().zip(0u64..) {
            let unused = authenticator.next;
            let (fresh, replay, counter) = compare(authenticator, unused)?;
            let base = authenticator.period.map_or(unused, |period| period.steps(context.now));
            // If two authenticators show the same code at once, it is used for both and reported for the first.
            let first = fresh & !accepted;
            matched = ct::select(first, index, matched);
            drift = ct::select(first, counter.wrapping_sub(base), drift);
            accepted |= fresh;
            replayed |= replay;
            update(authenticator, fresh, context, counter);
            authenticator.next = ct::select(fresh, counter.wrapping_add(1), unused);
            authenticator.used = ct::select(fresh, context.now.max(1), authenticator.used);
        }
        next.budget.charge(context.policy, context.now, accepted);
        let record = next.write();
        let hidden = Hidden {
            accepted,
            replayed,
            matched,
            drift: drift.cast_signed(),
            context: (context.user.into(), context.now, context.policy.clone()),
            budget: self.budget.clone(),
            authenticators: next.active,
        };
        Ok((record, hidden))
    }

    /// Refuses without a comparison.
    pub(crate) fn refusal(
        &self,
        context: &Context<'_>,
        reason: Refusal,
        change: Change,
        exhausted: Option<EventKind>,
    ) -> Transition<Refusal> {
        let events = events(context, [EventKind::Refused { reason }].into_iter().chain(exhausted));
        Transition::new(change, move || Committed { value: reason, events })
    }
}

impl Authenticator {
    /// The first and the last step or counter to compare. For HOTP this includes the last used counter, to recognize a
    /// replay; a TOTP window includes used steps anyway.
    pub(crate) fn window(&self, policy: &Policy, now: u64) -> (u64, u64) {
        let (from, to) = match self.period {
            Some(period) => {
                let expected = self.expected_step(period, now);
                let (behind, ahead) = (policy.window().behind(), policy.window().ahead());
                (expected.saturating_sub(behind.into()), expected.saturating_add(ahead.into()))
            }
            None => (self.next.saturating_sub(1), self.next.saturating_add(policy.look_ahead().get().into())),
        };
        // After `u64::MAX` there is no next counter, so its code could never be marked as used.
        (from, to.min(LAST))
    }

    /// Learns drift: after [`LEANS`] accepted codes in a row that are off to the same side, the drift moves by one step
    /// to that side. A single one may come from a user who types slowly.
    ///
    /// The learned drift is at most [`MAX_LEARNED`] steps. A clock that is further off needs [`SecondFactor::resync`],
    /// and may then learn [`MAX_LEARNED_AFTER_RESYNC`] steps more.
    pub(crate) fn learn(&mut self, fresh: u64, now: u64, counter: u64) {
        let Some(period) = self.period else { return };
        let (drift, lean) = (self.drift, self.lean);
        let deviation = counter.wrapping_sub(self.expected_step(period, now)).cast_signed();
        let (late, none) = (ct::mask_negative(deviation), ct::mask_same(deviation.cast_unsigned(), 0));
        // -1, 0 or 1.
        let side = ct::select(none, 0, late | 1).cast_signed();
        // A code that is off to the other side starts the count again.
        let kept = ct::select(ct::mask_negative(lean.wrapping_mul(side)), 0, lean.cast_unsigned()).cast_signed();
        let leaning = ct::select(none, 0, kept.wrapping_add(side).cast_unsigned()).cast_signed();
        let full = ct::mask_same(ct::magnitude(leaning), LEANS);
        let moved = drift.wrapping_add(side);
        let anchor = self.anchor;
        let most = ct::select(ct::mask_same(anchor.cast_unsigned(), 0), MAX_LEARNED, MAX_LEARNED_AFTER_RESYNC);
        let [distance, former] = [moved, drift].map(|drift| ct::magnitude(drift.wrapping_sub(anchor)));
        let near = ct::mask_less(distance, most + 1) | ct::mask_less(distance, former);
        let small = near & ct::mask_less(ct::magnitude(moved), MAX_DRIFT + 1);
        let leaning = ct::select(full, 0, leaning.cast_unsigned());
        self.lean = ct::select(fresh, leaning, lean.cast_unsigned()).cast_signed();
        self.drift = ct::select(fresh & full & small, moved.cast_unsigned(), drift.cast_unsigned()).cast_signed();
    }

    /// An event if every code that this authenticator can show now is used already, by the server's clock and the
    /// drift: its codes are refused until the clock has passed the used ones.
    pub(crate) fn clock_behind(&self, policy: &Policy, now: u64) -> Option<EventKind> {
        let period = self.period?;
        let steps = self.next.checked_sub(self.window(policy, now).1.saturating_add(2))?;
        let seconds = steps.saturating_add(1).saturating_mul(period.seconds().into());
        Some(EventKind::ClockBehind { authenticator: self.id.clone(), seconds })
    }
}

/// A verdict whose change is not stored yet. Nothing may branch on it before the swap.
pub(crate) struct Hidden {
    /// A mask: the code is right and unused.
    pub(crate) accepted: u64,
    /// A mask: the code is right and used.
    pub(crate) replayed: u64,
    /// The index of the first authenticator that accepted the code.
    pub(crate) matched: u64,
    pub(crate) drift: i64,
    pub(crate) context: (String, u64, Policy),
    /// The budget from before the attempt, which is public.
    pub(crate) budget: Budget,
    pub(crate) authenticators: Vec<Authenticator>,
}

/// An accepted code, after the swap.
pub(crate) struct Revealed {
    pub(crate) id: AuthenticatorId,
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) drift: i64,
}

impl Hidden {
    /// Reads the verdict. Only [`Transition::committed`] runs this, after the swap: the record that accepts or counts
    /// the code is stored, so the verdict may be public.
    pub(crate) fn reveal(self) -> Result<Revealed, (Refusal, Vec<Event>)> {
        let (user, now, policy) = self.context;
        if ct::declassify(self.accepted) {
            // The record also shows which authenticator it was, because the counter of that one has moved.
            let is_match = |(_, index): &(Authenticator, u64)| ct::declassify(ct::mask_same(self.matched, *index));
            if let Some((authenticator, _)) = self.authenticators.into_iter().zip(0..).find(is_match) {
                let method = if authenticator.period.is_some() { Method::Totp } else { Method::Hotp };
                return Ok(Revealed { id: authenticator.id, name: authenticator.name, method, drift: self.drift });
            }
        }
        let reason = if ct::declassify(self.replayed) { Refusal::Replayed } else { Refusal::WrongCode };
        let mut events = vec![Event::new(&user, now, EventKind::Refused { reason })];
        // The budget from before the attempt is public, and this is known to be a failure.
        if self.budget.ends_with_a_failure(&policy, now) {
            events.push(Event::new(&user, now, EventKind::Exhausted));
        }
        Err((reason, events))
    }
}

/// The last counter that has a successor.
pub(crate) const LAST: u64 = u64::MAX - 1;

/// How many steps of drift are learned without a resynchronization: 5 minutes at a period of 30 seconds.
pub(crate) const MAX_LEARNED: u64 = 10;

/// How many further steps of drift are learned after a resynchronization, which shows that the clock is poor: as many
/// as a token loses in 13 years if it loses 90 seconds a year, which makers of tokens allow.
pub(crate) const MAX_LEARNED_AFTER_RESYNC: u64 = 40;

const _: () = assert!(MAX_LEARNED < MAX_DRIFT);
