//! Processes one attempt: checks whether the guess budget allows a comparison, compares the code with every
//! authenticator, and charges the budget.
//!
//! Until the swap, the work is the same for a match, a miss and a replay, because every result is computed with masks
//! instead of branches.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::ct;
use crate::guard::answer::event::{Event, EventKind, events};
use crate::guard::answer::notice::NoticeKind;
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::answer::verdict::{Method, Refusal};
use crate::guard::context::Context;
use crate::guard::error::GuardError;
use crate::guard::id::AuthenticatorId;
use crate::guard::policy::Policy;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::{Authenticator, LEANS, MAX_DRIFT};
use crate::guard::record::budget::{Gate, Outcome, Share};

impl SecondFactor {
    /// Returns `None` if the budget allows a comparison now. If not, returns the refusal, the change to store, and in
    /// some cases an event to send in addition to the refusal.
    pub(crate) fn barred(&self, context: &Context<'_>, share: Share) -> Option<(Refusal, Change, Option<EventKind>)> {
        let reason = match self.budget.gate(context.policy, context.now, share) {
            Gate::Open => return None,
            Gate::Throttled { retry_at } => Refusal::Throttled { retry_at },
            Gate::Exhausted { retry_at } => Refusal::Exhausted { retry_at },
        };
        // A refusal normally writes nothing. If every refusal wrote the record, an attacker could make the owner's
        // swaps fail by sending many requests. A refusal writes only if the clock was set back, or if it is time to
        // report the exhausted budget again.
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

    /// Compares a code with every active authenticator and charges the budget. Returns the next record and the hidden
    /// verdict.
    ///
    /// `compare` takes an authenticator and its first unused counter, and returns two masks (accepted, replayed) and
    /// the counter that matched. `update` changes the authenticator if the first mask is set. `complete` takes the next
    /// record and a mask that is set if the code was accepted, and changes the record only in that case.
    pub(crate) fn attempt(
        &self,
        context: &Context<'_>,
        share: Share,
        compare: impl Fn(&Authenticator, u64) -> Result<(u64, u64, u64), GuardError>,
        update: impl Fn(&mut Authenticator, u64, &Context<'_>, u64),
        complete: impl FnOnce(&mut Self, u64),
    ) -> Result<(Vec<u8>, Hidden), GuardError> {
        let mut next = self.clone();
        let (mut accepted, mut replayed, mut repeated, mut matched, mut drift) = (0, 0, 0, 0, 0);
        for (authenticator, index) in next.active.iter_mut().zip(0u64..) {
            let unused = authenticator.next;
            let (fresh, replay, counter) = compare(authenticator, unused)?;
            let base = authenticator.period.map_or(unused, |period| period.steps(context.now));
            // If two authenticators show the same code at the same time, it counts as used for both and is reported for
            // the first.
            let first = fresh & !accepted;
            matched = ct::select(first, index, matched);
            drift = ct::select(first, counter.wrapping_sub(base), drift);
            accepted |= fresh;
            replayed |= replay;
            // The last accepted code may arrive again, for example after a double click. That is not a guess, so the
            // first repetition is free. If every repetition were free, somebody who has observed one code could keep
            // changing the record and make the owner's swaps fail.
            let repeats = replay & ct::mask_same(counter.wrapping_add(1), unused);
            let free = repeats & !ct::mask_same(authenticator.repeated, unused);
            authenticator.repeated = ct::select(free, unused, authenticator.repeated);
            repeated |= free;
            update(authenticator, fresh, context, counter);
            authenticator.next = ct::select(fresh, counter.wrapping_add(1), unused);
            authenticator.used = ct::select(fresh, context.now.max(1), authenticator.used);
        }
        let uncounted = repeated & !accepted;
        next.budget.charge(context.policy, context.now, share, Outcome { success: accepted, uncounted });
        complete(&mut next, accepted);
        let exhausts = self.budget.ends_with_a_failure(context.policy, context.now, share);
        next.note(context, NoticeKind::Exhausted, !accepted & !uncounted & ct::public(exhausts));
        let record = next.write();
        let hidden = Hidden {
            accepted,
            replayed,
            uncounted,
            matched,
            drift: drift.cast_signed(),
            context: (context.user.into(), context.now),
            exhausts,
            authenticators: next.active,
        };
        Ok((record, hidden))
    }

    /// Makes the transition for a refusal that does not have to stay secret until the swap.
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
    /// Returns the first and the last step or counter to compare. For HOTP, the range includes the last used counter,
    /// so that a replay is recognized. A TOTP window includes used steps anyway.
    pub(crate) fn window(&self, policy: &Policy, now: u64) -> (u64, u64) {
        let (from, to) = match self.period {
            Some(period) => {
                let expected = self.expected_step(period, now);
                let (behind, ahead) = (policy.window().behind(), policy.window().ahead());
                (expected.saturating_sub(behind.into()), expected.saturating_add(ahead.into()))
            }
            None => (self.next.saturating_sub(1), self.next.saturating_add(policy.look_ahead().get().into())),
        };
        // After `u64::MAX` there is no next counter, so the code of `u64::MAX` could never be marked as used.
        (from, to.min(LAST))
    }

    /// Updates the learned drift: after [`LEANS`] accepted codes in a row that are off in the same direction, the drift
    /// moves by one step in that direction. A single code that is off may come from a user who types slowly.
    ///
    /// The learned drift is at most [`MAX_LEARNED`] steps. A clock that is farther off needs [`SecondFactor::resync`].
    /// After that, up to [`MAX_LEARNED_AFTER_RESYNC`] more steps are learned.
    pub(crate) fn learn(&mut self, fresh: u64, now: u64, counter: u64) {
        let Some(period) = self.period else { return };
        let (drift, lean) = (self.drift, self.lean);
        let deviation = counter.wrapping_sub(self.expected_step(period, now)).cast_signed();
        let (late, none) = (ct::mask_negative(deviation), ct::mask_same(deviation.cast_unsigned(), 0));
        // `side` is -1 if the authenticator is behind, 1 if it is ahead, and 0 if it is on time.
        let side = ct::select(none, 0, late | 1).cast_signed();
        // A code that is off in the other direction resets the count.
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

    /// Returns an event if a step after the end of the current window already counts as used. All codes of this
    /// authenticator are then refused until the window reaches an unused step. Returns `None` for HOTP.
    pub(crate) fn clock_behind(&self, policy: &Policy, now: u64) -> Option<EventKind> {
        let period = self.period?;
        let steps = self.next.checked_sub(self.window(policy, now).1.saturating_add(2))?;
        let seconds = steps.saturating_add(1).saturating_mul(period.seconds().into());
        Some(EventKind::ClockBehind { authenticator: self.id.clone(), seconds })
    }
}

/// A verdict whose change is not stored yet. Code must not branch on the verdict before the swap.
pub(crate) struct Hidden {
    /// A mask that is set if the code is right and unused.
    pub(crate) accepted: u64,
    /// A mask that is set if the code is right but used.
    pub(crate) replayed: u64,
    /// The index of the first authenticator that accepted the code.
    pub(crate) matched: u64,
    pub(crate) drift: i64,
    /// A mask that is set if the code is refused but not counted as a failure.
    pub(crate) uncounted: u64,
    pub(crate) context: (String, u64),
    /// Whether a failure exhausts the budget. This does not depend on the verdict, so it is public.
    pub(crate) exhausts: bool,
    pub(crate) authenticators: Vec<Authenticator>,
}

/// What is known about an accepted code after the swap.
pub(crate) struct Revealed {
    pub(crate) id: AuthenticatorId,
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) drift: i64,
}

impl Hidden {
    /// Returns what is known about the accepted code, or the refusal and its events.
    ///
    /// Call this only in the closure that [`Transition::committed`] runs after the swap. The record that accepts or
    /// counts the code has been stored by then, so the verdict may be public.
    pub(crate) fn reveal(self) -> Result<Revealed, (Refusal, Vec<Event>)> {
        let (user, now) = self.context;
        if ct::declassify(self.accepted) {
            // The stored record also shows which authenticator accepted the code, because its counter has moved.
            let is_match = |(_, index): &(Authenticator, u64)| ct::declassify(ct::mask_same(self.matched, *index));
            if let Some((authenticator, _)) = self.authenticators.into_iter().zip(0..).find(is_match) {
                let method = if authenticator.period.is_some() { Method::Totp } else { Method::Hotp };
                return Ok(Revealed { id: authenticator.id, name: authenticator.name, method, drift: self.drift });
            }
        }
        let reason = if ct::declassify(self.replayed) { Refusal::Replayed } else { Refusal::WrongCode };
        let mut events = vec![Event::new(&user, now, EventKind::Refused { reason })];
        if self.exhausts && !ct::declassify(self.uncounted) {
            events.push(Event::new(&user, now, EventKind::Exhausted));
        }
        Err((reason, events))
    }
}

/// The largest counter whose code can be accepted. After `u64::MAX`, no counter could mark the code as used.
pub(crate) const LAST: u64 = u64::MAX - 1;

/// The largest drift, in steps, that is learned without a resynchronization. With a period of 30 seconds, it is 5
/// minutes.
pub(crate) const MAX_LEARNED: u64 = 10;

/// The largest drift, in steps, that is learned in addition to the drift that a resynchronization found. It is larger
/// because a clock that needed a resynchronization is inaccurate. Token makers allow an error of 90 seconds a year.
/// With a period of 30 seconds, a token with this error reaches the limit after 13 years.
pub(crate) const MAX_LEARNED_AFTER_RESYNC: u64 = 40;

const _: () = assert!(MAX_LEARNED < MAX_DRIFT);
