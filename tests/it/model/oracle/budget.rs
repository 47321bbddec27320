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
    /// For how long a device can be trusted, or 0 if no device can be.
    pub trust: u64,
    /// Whether the policy is strict: neither recovery codes nor operators allow more guesses.
    pub strict: bool,
    /// Whether the policy keeps notices.
    pub notices: bool,
}

/// The fields that begin with `known` are what known devices did. It counts in the other fields as well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    pub failures: u64,
    /// The time of the last failure that was not from a known device.
    pub failed_at: u64,
    pub level: u64,
    pub level_at: u64,
    pub until: u64,
    pub reported_at: u64,
    pub succeeded_at: u64,
    pub known_failures: u64,
    pub known_failed_at: u64,
    pub known_level: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    Exhausted(Option<u64>),
    Open,
    Throttled(u64),
}

/// What a guess is charged to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// A quarter, for known devices.
    Reserved,
    /// The other three quarters, for everybody else.
    Unreserved,
    /// The account has no known device.
    Whole,
}

impl Limits {
    pub fn wait(self, failures: u64) -> u64 {
        match failures {
            failures if failures < self.free => 0,
            failures => (self.first_wait << (failures - self.free).min(20)).min(self.longest_wait),
        }
    }

    pub fn share(self, known: bool, from_known: bool) -> Share {
        if !known || self.consecutive < 4 || self.long_term < 4 {
            Share::Whole
        } else if from_known {
            Share::Reserved
        } else {
            Share::Unreserved
        }
    }
}

impl Budget {
    /// If the clock was set back by more than servers differ, times that are too far ahead count as the present.
    pub fn set_back(&mut self, now: u64) -> bool {
        let before = self.clone();
        for (at, most) in [(&mut self.failed_at, 3600), (&mut self.known_failed_at, 3600), (&mut self.level_at, DAY)] {
            if *at > now && *at - now > most {
                *at = now;
            }
        }
        before != *self
    }

    fn drains_from(&self, now: u64) -> u64 {
        let mut budget = self.clone();
        budget.set_back(now);
        if now < self.until { budget.level_at } else { self.until }
    }

    /// Both levels now: of all failures, and of those from known devices, which drain at a quarter of the rate.
    fn levels(&self, limits: Limits, now: u64) -> (u64, u64) {
        let drained = now.saturating_sub(self.drains_from(now)).saturating_mul(limits.per_day);
        (self.level.saturating_sub(drained), self.known_level.saturating_sub(drained / 4))
    }

    /// After how many seconds the long-term count has room for one more failure of this share.
    fn room_in(&self, limits: Limits, now: u64, share: Share) -> u64 {
        let (level, known) = self.levels(limits, now);
        let (all, reserve) = (limits.long_term * DAY, limits.long_term / 4 * DAY);
        let after = |excess: u64, rate: u64| excess.saturating_mul(4).div_ceil(rate * limits.per_day);
        let whole = after((level + DAY).saturating_sub(all), 4);
        match share {
            Share::Whole => whole,
            Share::Reserved => whole.max(after((known + DAY).saturating_sub(reserve), 1)),
            Share::Unreserved => {
                // What is left of the reserve is not there for others.
                let untouched = reserve.saturating_sub(known);
                let excess = (level + DAY + untouched).saturating_sub(all);
                whole.max(after(excess, if known == 0 { 4 } else { 3 }))
            }
        }
    }

    pub fn gate(&self, limits: Limits, now: u64, share: Share) -> Gate {
        let others = self.failures - self.known_failures;
        let reserve = limits.consecutive / 4;
        let mut budget = self.clone();
        budget.set_back(now);
        let (failures, failed_at, full) = match share {
            Share::Whole => (self.failures, budget.failed_at.max(budget.known_failed_at), false),
            Share::Unreserved => (others, budget.failed_at, others + reserve >= limits.consecutive),
            Share::Reserved => (self.known_failures, budget.known_failed_at, self.known_failures >= reserve),
        };
        if full || self.failures >= limits.consecutive {
            return Gate::Exhausted(None);
        }
        let wait = limits.wait(failures);
        let end = if wait > 0 { failed_at.saturating_add(wait) } else { 0 };
        let room_in = self.room_in(limits, now, share);
        if room_in > 0 {
            return Gate::Exhausted(Some(end.max(self.drains_from(now).max(now).saturating_add(room_in))));
        }
        if end > now { Gate::Throttled(end) } else { Gate::Open }
    }

    /// Whether this, or another share of the budget, is exhausted. `known` says whether there are several.
    pub fn exhausted(&self, limits: Limits, now: u64, known: bool) -> bool {
        let full = |from_known| self.gate(limits, now, limits.share(known, from_known));
        [false, true].into_iter().any(|from_known| matches!(full(from_known), Gate::Exhausted(_)))
    }

    /// Whether one more failure exhausts this share.
    pub fn ends(&self, limits: Limits, now: u64, share: Share) -> bool {
        let mut budget = self.clone();
        budget.failed(limits, now, share);
        matches!(budget.gate(limits, now, share), Gate::Exhausted(_))
    }

    pub fn lift(&mut self, limits: Limits, now: u64, known: bool) {
        if self.exhausted(limits, now, known) {
            (self.level, self.known_level) = (0, 0);
        }
        (self.failures, self.known_failures) = (0, 0);
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

    pub fn failed(&mut self, limits: Limits, now: u64, share: Share) {
        self.counted(limits, now);
        (self.failures, self.level) = (self.failures + 1, self.level + DAY);
        if share == Share::Reserved {
            (self.known_failures, self.known_level) = (self.known_failures + 1, self.known_level + DAY);
            self.known_failed_at = self.known_failed_at.max(now);
        } else {
            self.failed_at = self.failed_at.max(now);
        }
    }

    /// Brings the budget up to date, which is all that the first repetition of a code does.
    pub fn counted(&mut self, limits: Limits, now: u64) {
        (self.level, self.known_level) = self.levels(limits, now);
        self.set_back(now);
        (self.level_at, self.until) = (self.level_at.max(now), self.until.max(now));
    }

    pub fn succeeded(&mut self, limits: Limits, now: u64) {
        self.counted(limits, now);
        (self.failures, self.known_failures) = (0, 0);
        self.succeeded_at = now.max(1);
    }
}

pub const DAY: u64 = 86_400;
