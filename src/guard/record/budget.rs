//! The guess budget: two failure counts per account, shared by all its authenticators, and the wait after a failure.
//!
//! The consecutive count makes guessing slow, and stops it after 100 consecutive failures. A success resets this count.
//!
//! A success does not reset the long-term count; only time reduces it. Without this count, an attacker whose victim
//! logs in every day could make about 30 guesses a day forever, and would succeed within a year with a probability of a
//! few percent. A rate limit alone would not help, because it only determines how long guessing takes.

use crate::ct;
use crate::guard::policy::{self, Policy};

/// The guess budget of an account. All times are Unix seconds. After an attempt, these numbers reveal the verdict, so
/// they are secret until the swap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The consecutive count.
    pub(crate) failures: u64,
    /// The time of the last failure.
    pub(crate) failed_at: u64,
    /// The long-term count at the time `level_at`. Each failure adds [`FAILURE`] units.
    pub(crate) level: u64,
    pub(crate) level_at: u64,
    /// The latest time at which any server counted an attempt, by its own clock.
    pub(crate) until: u64,
    /// The time at which a refusal last reported that the budget is exhausted, or 0 if none did since the budget was
    /// last refilled.
    pub(crate) reported_at: u64,
}

/// Whether a code may be compared now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Throttled {
        retry_at: u64,
    },
    /// `retry_at` is set if another attempt becomes possible by waiting.
    Exhausted {
        retry_at: Option<u64>,
    },
}

impl Budget {
    /// Returns whether a code may be compared now.
    pub(crate) fn gate(&self, policy: &Policy, now: u64) -> Gate {
        if self.failures >= policy.consecutive_failures() {
            return Gate::Exhausted { retry_at: None };
        }
        let retry_at = match wait(policy, self.failures) {
            0 => now,
            wait => plausible(self.failed_at, now, SKEW).saturating_add(wait),
        };
        let excess = (self.level_now(policy, now) + FAILURE).saturating_sub(policy.long_term_failures() * FAILURE);
        if excess > 0 {
            let drained = self.drains_from(now).max(now).saturating_add(excess.div_ceil(policy.forgiven_per_day()));
            return Gate::Exhausted { retry_at: Some(drained.max(retry_at)) };
        }
        if retry_at > now { Gate::Throttled { retry_at } } else { Gate::Open }
    }

    /// Returns the corrected budget if the clock was set back. The caller must store it. Otherwise each request would
    /// start the wait again at the current time, and the wait would never end.
    pub(crate) fn brought_back(&self, now: u64) -> Option<Self> {
        let (failed_at, level_at) = (plausible(self.failed_at, now, SKEW), plausible(self.level_at, now, DAY));
        ((failed_at, level_at) != (self.failed_at, self.level_at)).then_some(Self { failed_at, level_at, ..*self })
    }

    /// Returns the budget to store if this refusal has to report that the budget is exhausted, or `None` if no report
    /// is due.
    ///
    /// The request that exhausted the budget may have been dropped before its event was sent. The next refusal
    /// therefore reports it again, and so does one refusal a day while the budget stays exhausted.
    pub(crate) fn reported(&self, now: u64) -> Option<Self> {
        let due = self.reported_at == 0 || now.abs_diff(self.reported_at) >= DAY;
        due.then_some(Self { reported_at: now.max(1), ..*self })
    }

    /// Returns whether one more failure, counted now, would exhaust the budget.
    pub(crate) fn ends_with_a_failure(&self, policy: &Policy, now: u64) -> bool {
        let mut budget = self.clone();
        budget.charge(policy, now, 0);
        matches!(budget.gate(policy, now), Gate::Exhausted { .. })
    }

    /// Ends the waits, and refills the budget if it is exhausted. Returns whether it was exhausted.
    ///
    /// The caller has verified something that an attacker who guesses does not have: a recovery code, a new
    /// authenticator or an operator's request. If the budget is not exhausted, the long-term count is kept. Otherwise
    /// each lift would give an attacker 100 more guesses.
    ///
    /// `granted` is a mask. Unless it is set, nothing changes.
    pub(crate) fn lift(&mut self, policy: &Policy, now: u64, granted: u64) -> bool {
        let exhausted = matches!(self.gate(policy, now), Gate::Exhausted { .. });
        self.failures = ct::select(granted, 0, self.failures);
        self.reported_at = ct::select(granted, 0, self.reported_at);
        if exhausted {
            self.level = ct::select(granted, 0, self.level);
        }
        exhausted
    }

    /// Counts one comparison: as a success if the mask `success` is set, otherwise as a failure.
    pub(crate) fn charge(&mut self, policy: &Policy, now: u64, success: u64) {
        let level = self.level_now(policy, now);
        let failed_at = plausible(self.failed_at, now, SKEW);
        self.failures = ct::select(success, 0, self.failures.saturating_add(1));
        // `failed_at` never moves back. If a server with a slow clock could move it back, the wait would be over at
        // once for a server with a correct clock.
        self.failed_at = ct::select(success, failed_at, failed_at.max(now));
        self.level = ct::select(success, level, level + FAILURE);
        self.level_at = plausible(self.level_at, now, DAY).max(now);
        self.until = self.until.max(now);
    }

    /// Returns the long-term count now, without the failures that were forgiven.
    fn level_now(&self, policy: &Policy, now: u64) -> u64 {
        let elapsed = now.saturating_sub(self.drains_from(now));
        self.level.min(MAX_LEVEL).saturating_sub(elapsed.saturating_mul(policy.forgiven_per_day()))
    }

    /// Returns the time since which the long-term count decreases.
    ///
    /// The count has already been decreased for the time before `until`, and must not be decreased for it again.
    /// Otherwise, each failure that a server with a slow clock counts would make a server with a correct clock decrease
    /// the count for the difference of their clocks once more.
    ///
    /// If `until` is in the future, the clock of some server is or was ahead, and the count decreases from `level_at`.
    /// A server that is slightly behind must not move `level_at` back, because the time in between would then count
    /// twice. So `level_at` moves back only if it is more than a day in the future.
    fn drains_from(&self, now: u64) -> u64 {
        if now >= self.until { self.until } else { plausible(self.level_at, now, DAY) }
    }
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
/// every app, so somebody notices.
const SKEW: u64 = 3600;
/// The tolerance for the long-term count, in seconds. It may be longer than [`SKEW`]: if no failure is forgiven for a
/// day, the owner loses a few attempts but is not locked out for good.
const DAY: u64 = policy::DAY as u64;

/// The number of units that a failure adds to the long-term count. If one failure is forgiven per day, the count drops
/// by one unit per second.
pub(crate) const FAILURE: u64 = DAY;
/// The largest failure count in a valid record.
pub(crate) const MAX_FAILURES: u64 = policy::MAX_FAILURES as u64;
pub(crate) const MAX_LEVEL: u64 = MAX_FAILURES * FAILURE;
