//! The guess budget: two failure counts per account, shared by all its authenticators, and the wait after a failure.
//!
//! The consecutive count makes guessing slow, and stops it after 100 consecutive failures. A success resets this count.
//!
//! A success does not reset the long-term count; only time reduces it. Without this count, an attacker whose victim
//! logs in every day could make about 30 guesses a day forever, and would have a few percent chance of succeeding
//! within a year. A rate limit alone would not help, because it only determines how long guessing takes.
//!
//! While an account has a known device, a quarter of each limit is reserved for guesses from its known devices. Guesses
//! from elsewhere cannot use up this reserve, so they cannot lock the owner out on a known device. The reserve is part
//! of the limits, so an attacker never gets more guesses than there would be without it.

use crate::ct;
use crate::guard::policy::{self, Policy};

/// The guess budget of an account. All times are Unix seconds. After an attempt, these numbers reveal the verdict, so
/// they are secret until the swap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The consecutive count: all failures since the last success, or since the wait was last lifted.
    pub(crate) failures: u64,
    /// The time of the last failure that did not come from a known device.
    pub(crate) failed_at: u64,
    /// The long-term count of all failures at the time `level_at`. Each failure adds [`FAILURE`] units.
    pub(crate) level: u64,
    pub(crate) level_at: u64,
    /// The latest time at which any server counted an attempt, by that server's clock.
    pub(crate) until: u64,
    /// The time at which a refusal last reported that the budget is exhausted, or 0 if none has done so since the
    /// budget was last refilled.
    pub(crate) reported_at: u64,
    /// The time of the last success, or 0 if there was none.
    pub(crate) succeeded_at: u64,
    /// How many of `failures` came from known devices.
    pub(crate) known_failures: u64,
    /// The time of the last failure that came from a known device.
    pub(crate) known_failed_at: u64,
    /// The long-term count of failures that came from known devices, as of `level_at`. These failures are also included
    /// in `level`.
    pub(crate) known_level: u64,
}

/// The part of the budget that a guess is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// The whole budget, because the account has no known device.
    Whole,
    /// The part that is not reserved. The account has a known device, but the guess does not come from one.
    Unreserved,
    /// The reserve for known devices. The guess comes from a known device.
    Reserved,
}

impl Share {
    /// Returns the share that a guess is charged to. `known` is whether the account has a known device, and
    /// `from_known` is whether the guess comes from one.
    pub(crate) fn of(policy: &Policy, known: bool, from_known: bool) -> Self {
        // A quarter of a limit below four is less than one failure. All guesses then share the whole budget.
        let divisible = reserve(policy.consecutive_failures()) > 0 && reserve(policy.long_term_failures()) > 0;
        match (known && divisible, from_known) {
            (false, _) => Self::Whole,
            (true, false) => Self::Unreserved,
            (true, true) => Self::Reserved,
        }
    }
}

/// Whether a code may be compared now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Throttled {
        retry_at: u64,
    },
    /// `retry_at` is set if another attempt will become possible after a wait.
    Exhausted {
        retry_at: Option<u64>,
    },
}

impl Budget {
    /// Returns whether a code may be compared now if its failure is charged to this share.
    pub(crate) fn gate(&self, policy: &Policy, now: u64, share: Share) -> Gate {
        let limit = policy.consecutive_failures();
        let others = self.failures.saturating_sub(self.known_failures);
        let used_up = match share {
            Share::Whole => false,
            Share::Unreserved => others >= limit - reserve(limit),
            Share::Reserved => self.known_failures >= reserve(limit),
        };
        if used_up || self.failures >= limit {
            return Gate::Exhausted { retry_at: None };
        }
        // Each time is corrected separately, just as `brought_back` corrects it.
        let [failed_at, known_failed_at] =
            [self.failed_at, self.known_failed_at].map(|failed_at| plausible(failed_at, now, SKEW));
        let (failures, failed_at) = match share {
            Share::Whole => (self.failures, failed_at.max(known_failed_at)),
            Share::Unreserved => (others, failed_at),
            Share::Reserved => (self.known_failures, known_failed_at),
        };
        let retry_at = match wait(policy, failures) {
            0 => now,
            wait => failed_at.saturating_add(wait),
        };
        if let Some(seconds) = self.excess(policy, now, share) {
            let drained = self.drains_from(now).max(now).saturating_add(seconds);
            return Gate::Exhausted { retry_at: Some(drained.max(retry_at)) };
        }
        if retry_at > now { Gate::Throttled { retry_at } } else { Gate::Open }
    }

    /// Returns the number of seconds until the long-term count has room for one more failure of this share, or `None`
    /// if it already has room.
    fn excess(&self, policy: &Policy, now: u64, share: Share) -> Option<u64> {
        let (level, known) = (self.level_now(policy, now) + FAILURE, self.known_level_now(policy, now));
        let limit = policy.long_term_failures() * FAILURE;
        let reserve = reserve(policy.long_term_failures()) * FAILURE;
        let total = level.saturating_sub(limit).div_ceil(policy.forgiven_per_day());
        let own = match share {
            Share::Whole => 0,
            Share::Unreserved => {
                let excess = level.saturating_sub(limit - reserve + known.min(reserve));
                // The total count drops at the full rate. If known devices have failures, their count drops at a
                // quarter of that rate, and the room for this share shrinks with it. The excess then shrinks at three
                // quarters of the rate.
                let quarters = if known > 0 { 3 } else { 4 };
                excess.saturating_mul(4).div_ceil(quarters * policy.forgiven_per_day())
            }
            Share::Reserved => {
                let excess = (known + FAILURE).saturating_sub(reserve);
                excess.saturating_mul(4).div_ceil(policy.forgiven_per_day())
            }
        };
        Some(total.max(own)).filter(|seconds| *seconds > 0)
    }

    /// Returns the corrected budget if the clock was set back. The caller must store it. If it were not stored, each
    /// request would restart the wait at the current time, and the wait would never end.
    pub(crate) fn brought_back(&self, now: u64) -> Option<Self> {
        let mut next = self.clone();
        next.failed_at = plausible(self.failed_at, now, SKEW);
        next.known_failed_at = plausible(self.known_failed_at, now, SKEW);
        next.level_at = plausible(self.level_at, now, DAY);
        (next != *self).then_some(next)
    }

    /// Returns the budget to store if this refusal has to report that the budget is exhausted, or `None` if no report
    /// is due.
    ///
    /// The request that exhausted the budget may have been dropped before its event was sent. The next refusal
    /// therefore reports it again, and so does one refusal per day while the budget stays exhausted.
    pub(crate) fn reported(&self, now: u64) -> Option<Self> {
        let due = self.reported_at == 0 || now.abs_diff(self.reported_at) >= DAY;
        due.then_some(Self { reported_at: now.max(1), ..*self })
    }

    /// Returns whether one more failure of this share, counted now, would exhaust the share.
    pub(crate) fn ends_with_a_failure(&self, policy: &Policy, now: u64, share: Share) -> bool {
        let mut budget = self.clone();
        budget.charge(policy, now, share, Outcome::FAILURE);
        matches!(budget.gate(policy, now, share), Gate::Exhausted { .. })
    }

    /// Returns whether any share of the budget is exhausted. `known` is whether the account has a known device.
    pub(crate) fn is_exhausted(&self, policy: &Policy, now: u64, known: bool) -> bool {
        let shares = [Share::of(policy, known, false), Share::of(policy, known, true)];
        shares.iter().any(|share| matches!(self.gate(policy, now, *share), Gate::Exhausted { .. }))
    }

    /// Ends the account's wait and, if any share of the budget is exhausted, refills the budget. Returns whether a
    /// share was exhausted.
    ///
    /// The caller has verified something that a guessing attacker does not have: a recovery code, a new authenticator
    /// or an operator's request. If the budget is not exhausted, the long-term count is kept. If it were reset as well,
    /// every call would give an attacker 100 more guesses.
    ///
    /// `granted` is a mask: all ones makes the change, and zero leaves everything as it is.
    pub(crate) fn lift(&mut self, policy: &Policy, now: u64, known: bool, granted: u64) -> bool {
        let exhausted = self.is_exhausted(policy, now, known);
        self.failures = ct::select(granted, 0, self.failures);
        self.known_failures = ct::select(granted, 0, self.known_failures);
        self.reported_at = ct::select(granted, 0, self.reported_at);
        if exhausted {
            self.level = ct::select(granted, 0, self.level);
            self.known_level = ct::select(granted, 0, self.known_level);
        }
        exhausted
    }

    /// Records the outcome of one comparison. A failure is charged to this share, and a success ends the waits of all
    /// shares.
    pub(crate) fn charge(&mut self, policy: &Policy, now: u64, share: Share, outcome: Outcome) {
        let (level, known_level) = (self.level_now(policy, now), self.known_level_now(policy, now));
        let Outcome { success, uncounted } = outcome;
        let failure = !success & !uncounted;
        let known = share == Share::Reserved;
        let [known_failure, other_failure] = [failure & ct::public(known), failure & ct::public(!known)];
        self.failures = ct::select(success, 0, self.failures.saturating_add(failure & 1));
        self.known_failures = ct::select(success, 0, self.known_failures.saturating_add(known_failure & 1));
        // These times never move back. If a server with a slow clock could move them back, the wait would end
        // immediately on a server with a correct clock.
        let (failed_at, known_failed_at) =
            (plausible(self.failed_at, now, SKEW), plausible(self.known_failed_at, now, SKEW));
        self.failed_at = ct::select(other_failure, failed_at.max(now), failed_at);
        self.known_failed_at = ct::select(known_failure, known_failed_at.max(now), known_failed_at);
        self.level = level + (failure & FAILURE);
        self.known_level = known_level + (known_failure & FAILURE);
        self.level_at = plausible(self.level_at, now, DAY).max(now);
        self.until = self.until.max(now);
        self.succeeded_at = ct::select(success, now.max(1), self.succeeded_at);
    }

    /// Returns the current long-term count, without the failures that have been forgiven.
    fn level_now(&self, policy: &Policy, now: u64) -> u64 {
        self.level.min(MAX_LEVEL).saturating_sub(self.elapsed(now).saturating_mul(policy.forgiven_per_day()))
    }

    /// Returns the current long-term count of known devices. It decreases at a quarter of the full rate.
    fn known_level_now(&self, policy: &Policy, now: u64) -> u64 {
        let forgiven = self.elapsed(now).saturating_mul(policy.forgiven_per_day()) >> QUARTER;
        self.known_level.min(MAX_LEVEL).saturating_sub(forgiven)
    }

    /// Returns the time for which failures are forgiven when the count is brought up to date now.
    fn elapsed(&self, now: u64) -> u64 {
        now.saturating_sub(self.drains_from(now))
    }

    /// Returns the time from which the long-term count still has to be decreased.
    ///
    /// The count has already been decreased for the time before `until`, and must not be decreased for it again. If it
    /// were, each failure counted by a server with a slow clock would make a server with a correct clock decrease the
    /// count again for the difference between the clocks.
    ///
    /// If `until` is in the future, the clock of some server is or was ahead, and the count decreases from `level_at`.
    /// A server that is slightly behind must not move `level_at` back, because the time in between would then count
    /// twice. So `level_at` moves back only if it is more than a day in the future.
    fn drains_from(&self, now: u64) -> u64 {
        if now >= self.until { self.until } else { plausible(self.level_at, now, DAY) }
    }
}

/// The outcome of a comparison, as masks. For a failure, neither mask is set.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    /// Set if the code was accepted.
    pub(crate) success: u64,
    /// Set if the code was not accepted, but must not count as a failure.
    pub(crate) uncounted: u64,
}

impl Outcome {
    pub(crate) const FAILURE: Self = Self { success: 0, uncounted: 0 };
}

/// Returns the part of a limit that is reserved for known devices.
const fn reserve(limit: u64) -> u64 {
    limit >> QUARTER
}

/// Returns the wait after this many consecutive failures, in seconds.
fn wait(policy: &Policy, failures: u64) -> u64 {
    let Some(doublings) = failures.checked_sub(policy.failures_before_wait()) else { return 0 };
    // The longest wait is at most a day, and 17 doublings of one second are more than that.
    (policy.first_wait() << doublings.min(17)).min(policy.longest_wait())
}

/// Returns a stored time, corrected if the clock has been set back since.
///
/// A time that is at most `tolerance` seconds in the future is kept, because it came from a server whose clock is
/// ahead. If a time is further in the future, the clock was set back. The current time replaces it, so that waits end.
fn plausible(at: u64, now: u64, tolerance: u64) -> u64 {
    if at.saturating_sub(now) > tolerance { now } else { at }
}

/// The tolerance for waits, in seconds. If a server's clock is off by more than this, the server refuses the codes of
/// every app, so somebody will notice.
const SKEW: u64 = 3600;
/// The tolerance for the long-term count, in seconds. It may be longer than [`SKEW`]: if no failure is forgiven for a
/// day, the owner loses a few attempts but is not locked out permanently.
const DAY: u64 = policy::DAY as u64;

/// Shifting a number right by this many bits yields a quarter, the part of the budget reserved for known devices.
const QUARTER: u32 = 2;

/// The number of units that a failure adds to the long-term count. If one failure is forgiven per day, the count drops
/// by one unit per second.
pub(crate) const FAILURE: u64 = DAY;
/// The largest failure count in a valid record.
pub(crate) const MAX_FAILURES: u64 = policy::MAX_FAILURES as u64;
pub(crate) const MAX_LEVEL: u64 = MAX_FAILURES * FAILURE;
