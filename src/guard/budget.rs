//! How many guesses are left: two counts per account, shared by all its authenticators.
//!
//! The consecutive count is reset by success; it makes guessing slow, and ends it after a hundred. The long-term count
//! is drained by time alone. Without it, an attacker whose victim logs in each day has some thirty guesses a day for
//! ever, which is a few per cent in a year. A rate is no limit: it only says how long guessing takes.

use crate::ct;
use crate::guard::policy::Policy;

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
        // A failure in the future was made by a clock that ran ahead: it counts as made now, and waits stay bounded.
        let retry_at = self.failed_at.min(now).saturating_add(policy.wait(self.failures));
        let excess = (self.level_now(policy, now) + FAILURE).saturating_sub(policy.long_term_failures() * FAILURE);
        if excess > 0 {
            let wait = excess.div_ceil(policy.forgiven_per_day());
            return Gate::Exhausted { retry_at: Some(now.saturating_add(wait).max(retry_at)) };
        }
        if retry_at > now { Gate::Throttled { retry_at } } else { Gate::Open }
    }

    /// The numbers as they are now, if some of them lie in the future. Stored, they make a wait end that would begin
    /// anew with each look at the clock.
    pub(crate) fn brought_back(&self, now: u64) -> Option<Self> {
        (self.failed_at > now || self.level_at > now).then(|| Self {
            failed_at: self.failed_at.min(now),
            level_at: self.level_at.min(now),
            ..*self
        })
    }

    /// After one more code was compared. `success` is a mask.
    pub(crate) fn charge(&mut self, policy: &Policy, now: u64, success: u64) {
        let level = self.level_now(policy, now);
        self.failures = ct::select(success, 0, self.failures.saturating_add(1));
        self.failed_at = ct::select(success, self.failed_at.min(now), now);
        self.level = ct::select(success, level, level + FAILURE);
        self.level_at = now;
        self.until = self.until.max(now);
    }

    /// No time passed between a moment in the future and now: nothing is forgiven for it. Nor is anything for the same
    /// time twice: of two servers, one with a clock that is far behind, the other would forgive the difference with each
    /// failure that the first has counted.
    fn level_now(&self, policy: &Policy, now: u64) -> u64 {
        let elapsed = now.saturating_sub(if now >= self.until { self.until } else { self.level_at });
        self.level.min(MAX_LEVEL).saturating_sub(elapsed.saturating_mul(policy.forgiven_per_day()))
    }
}

/// One failure. A failure forgiven a day is one unit a second.
pub(crate) const FAILURE: u64 = 86_400;
/// A budget cannot be larger: NIST SP 800-63B-4, section 3.2.2.
pub(crate) const MAX_FAILURES: u64 = 100;
pub(crate) const MAX_LEVEL: u64 = MAX_FAILURES * FAILURE;
