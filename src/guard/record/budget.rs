//! How many guesses are left: two counts per user, shared by all its authenticators.
//!
//! The consecutive count is reset by success; it makes guessing slow, and ends it after a hundred. The long-term count
//! is drained by time alone. Without it, an attacker whose victim logs in each day has some thirty guesses a day for
//! ever, which is a few per cent in a year. A rate is no limit: it only says how long guessing takes.

use crate::ct;
use crate::guard::policy::{self, Policy};

/// Times are Unix seconds. After a decision, and until it is stored, the numbers tell the verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Consecutive failures.
    pub(crate) failures: u64,
    /// When the last of them was.
    pub(crate) failed_at: u64,
    /// The long-term count, in [`FAILURE`]ths, at `level_at`.
    pub(crate) level: u64,
    pub(crate) level_at: u64,
    /// The latest moment at which anything was counted, by whichever clock.
    pub(crate) until: u64,
    /// When a refusal last reported that the budget is exhausted; 0 if none has since it was lifted.
    pub(crate) reported_at: u64,
}

/// Whether a code may be compared at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Throttled {
        retry_at: u64,
    },
    /// `retry_at` is set if time alone will open it again.
    Exhausted {
        retry_at: Option<u64>,
    },
}

impl Budget {
    pub(crate) fn gate(&self, policy: &Policy, now: u64) -> Gate {
        if self.failures >= policy.consecutive_failures() {
            return Gate::Exhausted { retry_at: None };
        }
        let retry_at = match policy.wait(self.failures) {
            0 => now,
            wait => known(self.failed_at, now, SKEW).saturating_add(wait),
        };
        let excess = (self.level_now(policy, now) + FAILURE).saturating_sub(policy.long_term_failures() * FAILURE);
        if excess > 0 {
            let drained = self.drains_from(now).max(now).saturating_add(excess.div_ceil(policy.forgiven_per_day()));
            return Gate::Exhausted { retry_at: Some(drained.max(retry_at)) };
        }
        if retry_at > now { Gate::Throttled { retry_at } } else { Gate::Open }
    }

    /// The numbers as they are now, if the clock was set back. Stored, they make a wait end that would begin anew with
    /// each look at the clock.
    pub(crate) fn brought_back(&self, now: u64) -> Option<Self> {
        let (failed_at, level_at) = (known(self.failed_at, now, SKEW), known(self.level_at, now, DAY));
        ((failed_at, level_at) != (self.failed_at, self.level_at)).then_some(Self { failed_at, level_at, ..*self })
    }

    /// What to store before a refusal reports once more that the budget is exhausted, if it is time to. The attempt that
    /// exhausted it may have been dropped before anybody heard of it, so the next refusal reports it again, and while it
    /// stays exhausted, one refusal a day does.
    pub(crate) fn reported(&self, now: u64) -> Option<Self> {
        let due = self.reported_at == 0 || now.abs_diff(self.reported_at) >= DAY;
        due.then_some(Self { reported_at: now.max(1), ..*self })
    }

    /// Whether one more failure, counted now, would leave it exhausted.
    pub(crate) fn ends_with_a_failure(&self, policy: &Policy, now: u64) -> bool {
        let mut budget = self.clone();
        budget.charge(policy, now, 0);
        matches!(budget.gate(policy, now), Gate::Exhausted { .. })
    }

    /// By what no guesser has: a recovery code, a new authenticator, an operator. The waits end; the long-term count goes
    /// on unless the budget is exhausted, or each such event would be as good as a hundred more guesses. Answers whether it
    /// was. Nothing happens unless `granted`, a mask, says so.
    pub(crate) fn lift(&mut self, policy: &Policy, now: u64, granted: u64) -> bool {
        let exhausted = matches!(self.gate(policy, now), Gate::Exhausted { .. });
        self.failures = ct::select(granted, 0, self.failures);
        self.reported_at = ct::select(granted, 0, self.reported_at);
        if exhausted {
            self.level = ct::select(granted, 0, self.level);
        }
        exhausted
    }

    /// After one more code was compared. `success` is a mask.
    pub(crate) fn charge(&mut self, policy: &Policy, now: u64, success: u64) {
        let level = self.level_now(policy, now);
        let failed_at = known(self.failed_at, now, SKEW);
        self.failures = ct::select(success, 0, self.failures.saturating_add(1));
        // Never back: the server whose clock is right would be open at once.
        self.failed_at = ct::select(success, failed_at, failed_at.max(now));
        self.level = ct::select(success, level, level + FAILURE);
        self.level_at = known(self.level_at, now, DAY).max(now);
        self.until = self.until.max(now);
    }

    fn level_now(&self, policy: &Policy, now: u64) -> u64 {
        let elapsed = now.saturating_sub(self.drains_from(now));
        self.level.min(MAX_LEVEL).saturating_sub(elapsed.saturating_mul(policy.forgiven_per_day()))
    }

    /// No time passed between a moment in the future and now: nothing is forgiven for it. Nor is anything for the same
    /// time twice: of two servers, one with a clock that is far behind, the other would forgive the difference with each
    /// failure that the first has counted. Once a clock has run far ahead, that is up to `level_at`, which for this does
    /// not follow a server that lags by less than a day.
    fn drains_from(&self, now: u64) -> u64 {
        if now >= self.until { self.until } else { known(self.level_at, now, DAY) }
    }
}

/// A moment as it was stored. One that lies ahead by `most` or less was seen by a server whose clock is ahead of this
/// one, and holds; if it lies further ahead, the clock was set back, and it counts as now, so that waits end.
fn known(at: u64, now: u64, most: u64) -> u64 {
    if at.saturating_sub(now) > most { now } else { at }
}

/// Seconds. A server that is further off than this refuses the codes of every app, and is noticed.
const SKEW: u64 = 3600;
/// Longer than for a wait: to pause the drain for so long costs a few failures of forgiveness, and keeps nobody out for
/// good.
const DAY: u64 = policy::DAY as u64;

/// One failure. A failure forgiven a day is one unit a second.
pub(crate) const FAILURE: u64 = DAY;
/// A budget cannot be larger: NIST SP 800-63B-4, section 3.2.2.
pub(crate) const MAX_FAILURES: u64 = policy::NIST as u64;
pub(crate) const MAX_LEVEL: u64 = MAX_FAILURES * FAILURE;
