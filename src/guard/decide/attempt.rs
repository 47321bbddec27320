//! One attempt: whether a code may be compared at all, the comparison with every authenticator, and the charge.

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
    /// Why no code may be compared now, if so, what has to be stored for it, and what to report besides the refusal.
    pub(crate) fn barred(&self, context: &Context<'_>) -> Option<(Refusal, Change, Option<EventKind>)> {
        let reason = match self.budget.gate(context.policy, context.now) {
            Gate::Open => return None,
            Gate::Throttled { retry_at } => Refusal::Throttled { retry_at },
            Gate::Exhausted { retry_at } => Refusal::Exhausted { retry_at },
        };
        // Refusals write nothing, or they would be a way to keep the record busy. The exceptions are a clock that was set
        // back, and an exhausted budget that is reported again.
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

    /// Whether a failure in this flow, counted now, would use up the guess budget.
    pub(crate) fn exhausted_by(&self, flow: Flow, context: &Context<'_>) -> bool {
        let charged = match flow {
            Flow::Resync | Flow::Verify => !self.active.is_empty(),
            Flow::Confirm => self.pending.as_ref().is_some_and(|pending| pending.imported),
            _ => false,
        };
        charged && self.budget.ends_with_a_failure(context.policy, context.now)
    }

    /// Compares with every active authenticator, and charges the budget. `compare` gives two masks, accepted and
    /// replayed, and the counter that matched; `moved` changes the authenticator under the first mask.
    pub(crate) fn attempt(
        &self,
        context: &Context<'_>,
        compare: impl Fn(&Authenticator, u64) -> Result<(u64, u64, u64), GuardError>,
        moved: impl Fn(&mut Authenticator, u64, &Context<'_>, u64),
    ) -> Result<(Vec<u8>, Hidden), GuardError> {
        let mut next = self.clone();
        let (mut accepted, mut replayed, mut place, mut drift) = (0, 0, 0, 0);
        for (authenticator, here) in next.active.iter_mut().zip(0u64..) {
            let spent = authenticator.next;
            let (fresh, replay, counter) = compare(authenticator, spent)?;
            let base = authenticator.period.map_or(spent, |period| period.steps(context.now));
            // A code that two authenticators show at once is spent for both, and told of the first.
            let first = fresh & !accepted;
            place = ct::select(first, here, place);
            drift = ct::select(first, counter.wrapping_sub(base), drift);
            accepted |= fresh;
            replayed |= replay;
            moved(authenticator, fresh, context, counter);
            authenticator.next = ct::select(fresh, counter.wrapping_add(1), spent);
            authenticator.used = ct::select(fresh, context.now.max(1), authenticator.used);
        }
        next.budget.charge(context.policy, context.now, accepted);
        let record = next.write();
        let hidden = Hidden {
            accepted,
            replayed,
            place,
            drift: drift.cast_signed(),
            context: (context.user.into(), context.now, context.policy.clone()),
            budget: self.budget.clone(),
            authenticators: next.active,
        };
        Ok((record, hidden))
    }

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
    /// The first and the last step or counter to look at. One is looked at that is spent, to tell a replay.
    pub(crate) fn window(&self, policy: &Policy, now: u64) -> (u64, u64) {
        let (from, to) = match self.period {
            Some(period) => {
                let expected = self.expected_step(period, now);
                let (behind, ahead) = (policy.window().behind(), policy.window().ahead());
                (expected.saturating_sub(behind.into()), expected.saturating_add(ahead.into()))
            }
            None => (self.next.saturating_sub(1), self.next.saturating_add(policy.look_ahead().get().into())),
        };
        // The last counter there is has no next one, so it could be used for ever.
        (from, to.min(LAST))
    }

    /// Moves the drift by one step after some acceptances in a row on one side of it. A single one may be a user who
    /// types slowly. What is learned stays small until the owner has resynchronized: a clock that is far off is for
    /// [`SecondFactor::resync`], and learning goes on from there.
    pub(crate) fn learn(&mut self, fresh: u64, now: u64, counter: u64) {
        let Some(period) = self.period else { return };
        let (drift, lean) = (self.drift, self.lean);
        let deviation = counter.wrapping_sub(self.expected_step(period, now)).cast_signed();
        let (late, none) = (ct::mask_negative(deviation), ct::mask_same(deviation.cast_unsigned(), 0));
        // -1, 0 or 1.
        let side = ct::select(none, 0, late | 1).cast_signed();
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

    /// Whether all codes that this authenticator can show by our clock are spent.
    pub(crate) fn clock_behind(&self, policy: &Policy, now: u64) -> Option<EventKind> {
        let period = self.period?;
        let steps = self.next.checked_sub(self.window(policy, now).1.saturating_add(2))?;
        let seconds = steps.saturating_add(1).saturating_mul(period.seconds().into());
        Some(EventKind::ClockBehind { authenticator: self.id.clone(), seconds })
    }
}

/// What was decided, and not yet stored.
pub(crate) struct Hidden {
    /// Masks.
    pub(crate) accepted: u64,
    pub(crate) replayed: u64,
    /// Of the authenticator.
    pub(crate) place: u64,
    pub(crate) drift: i64,
    pub(crate) context: (String, u64, Policy),
    /// Before the attempt.
    pub(crate) budget: Budget,
    pub(crate) authenticators: Vec<Authenticator>,
}

pub(crate) struct Revealed {
    pub(crate) id: AuthenticatorId,
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) drift: i64,
}

impl Hidden {
    /// Public from here on: the record that carries the consequence is stored.
    pub(crate) fn reveal(self) -> Result<Revealed, (Refusal, Vec<Event>)> {
        let (user, now, policy) = self.context;
        if ct::declassify(self.accepted) {
            // Whose code it was is stored as well, as the step that is spent.
            let found = |(_, place): &(Authenticator, u64)| ct::declassify(ct::mask_same(self.place, *place));
            if let Some((one, _)) = self.authenticators.into_iter().zip(0..).find(found) {
                let method = if one.period.is_some() { Method::Totp } else { Method::Hotp };
                return Ok(Revealed { id: one.id, name: one.name, method, drift: self.drift });
            }
        }
        let reason = if ct::declassify(self.replayed) { Refusal::Replayed } else { Refusal::WrongCode };
        let mut events = vec![Event::new(&user, now, EventKind::Refused { reason })];
        // From the budget before the attempt, which is public.
        if self.budget.ends_with_a_failure(&policy, now) {
            events.push(Event::new(&user, now, EventKind::Exhausted));
        }
        Err((reason, events))
    }
}

/// The last counter that has a next one.
pub(crate) const LAST: u64 = u64::MAX - 1;

/// Steps: five minutes of the usual period.
pub(crate) const MAX_LEARNED: u64 = 10;
/// Steps: as many as a token loses in thirteen years at the 90 seconds a year that makers allow. An authenticator that needed
/// a resynchronization has a poor clock, so it may drift further than others.
pub(crate) const MAX_LEARNED_AFTER_RESYNC: u64 = 40;

const _: () = assert!(MAX_LEARNED < MAX_DRIFT);
