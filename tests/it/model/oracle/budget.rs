//! The guess budget of the oracle.

/// The limits of the policy, as plain numbers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub free: u64,
    pub first_wait: u64,
    pub longest_wait: u64,
    pub consecutive: u64,
    pub long_term: u64,
    pub per_day: u64,
    pub within: u64,
    pub behind: u64,
    pub ahead: u64,
    pub look_ahead: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    pub failures: u64,
    pub failed_at: u64,
    pub level: u64,
    pub level_at: u64,
    pub until: u64,
    pub reported_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    Exhausted(Option<u64>),
    Open,
    Throttled(u64),
}

impl Limits {
    pub fn wait(self, failures: u64) -> u64 {
        match failures {
            failures if failures < self.free => 0,
            failures => (self.first_wait << (failures - self.free).min(20)).min(self.longest_wait),
        }
    }
}

impl Budget {
    /// If the clock was set back by more than servers differ, times that are too far ahead count as the present.
    pub fn set_back(&mut self, now: u64) -> bool {
        let (failed_at, level_at) = (self.failed_at, self.level_at);
        if failed_at > now && failed_at - now > 3600 {
            self.failed_at = now;
        }
        if level_at > now && level_at - now > DAY {
            self.level_at = now;
        }
        (failed_at, level_at) != (self.failed_at, self.level_at)
    }

    fn drains_from(&self, now: u64) -> u64 {
        let mut budget = self.clone();
        budget.set_back(now);
        if now < self.until { budget.level_at } else { self.until }
    }

    fn level(&self, limits: Limits, now: u64) -> u64 {
        self.level.saturating_sub(now.saturating_sub(self.drains_from(now)).saturating_mul(limits.per_day))
    }

    pub fn gate(&self, limits: Limits, now: u64) -> Gate {
        let level = self.level(limits, now);
        if self.failures >= limits.consecutive {
            return Gate::Exhausted(None);
        }
        let mut budget = self.clone();
        budget.set_back(now);
        let wait = limits.wait(self.failures);
        let end = if wait > 0 { budget.failed_at.saturating_add(wait) } else { 0 };
        if level + DAY > limits.long_term * DAY {
            let wait = (level + DAY - limits.long_term * DAY).div_ceil(limits.per_day);
            return Gate::Exhausted(Some(end.max(self.drains_from(now).max(now).saturating_add(wait))));
        }
        if end > now { Gate::Throttled(end) } else { Gate::Open }
    }

    pub fn lift(&mut self, limits: Limits, now: u64) {
        if let Gate::Exhausted(_) = self.gate(limits, now) {
            self.level = 0;
        }
        self.failures = 0;
        self.reported_at = 0;
    }

    /// Reports exhaustion, unless a refusal reported it within a day.
    pub fn report(&mut self, now: u64) -> bool {
        let due = self.reported_at == 0 || now.abs_diff(self.reported_at) >= DAY;
        if due {
            self.reported_at = now.max(1);
        }
        due
    }

    pub fn failed(&mut self, limits: Limits, now: u64) {
        self.counted(limits, now);
        (self.failures, self.failed_at, self.level) = (self.failures + 1, self.failed_at.max(now), self.level + DAY);
    }

    fn counted(&mut self, limits: Limits, now: u64) {
        self.level = self.level(limits, now);
        self.set_back(now);
        (self.level_at, self.until) = (self.level_at.max(now), self.until.max(now));
    }

    pub fn succeeded(&mut self, limits: Limits, now: u64) {
        self.counted(limits, now);
        self.failures = 0;
    }
}

pub const DAY: u64 = 86_400;
