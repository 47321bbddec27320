//! Why a new authenticator shows other codes than it should.

use alloc::vec::Vec;

use crate::algorithm::Algorithm;
use crate::code::Code;
use crate::ct;
use crate::guard::answer::enrollment::Diagnosis;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::record::authenticator::Pending;
use crate::hotp::Hotp;
use crate::key::Key;
use crate::totp::Period;

impl Pending {
    /// Tries what apps are known to get wrong, the likeliest first. All of it is computed, always: the time must not tell.
    /// `end` is the last step of the window in which a code confirms.
    pub(crate) fn diagnose(&self, context: &Context<'_>, code: &Code, end: u64) -> Result<HiddenDiagnosis, GuardError> {
        let one = &self.authenticator;
        let secret = context.keyring.open(&one.secret, &one.owner(context.user))?;
        let key = Key::new(&secret).map_err(|_| GuardErrorKind::SealBroken)?;
        let hotp = |algorithm| Hotp::with_algorithm(key, algorithm).with_digits(code.digits());
        let around = |period: Period, at: u64| {
            let step = period.steps(at);
            (step.saturating_sub(1), step.saturating_add(1))
        };
        let now = |period: Option<Period>| match period {
            Some(period) => around(period, context.now),
            None => (one.next, one.next.saturating_add(context.policy.look_ahead().get().into())),
        };
        let shows = |algorithm, (from, to)| hotp(algorithm).scan([code], from, to).hidden();
        let algorithms = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
        let mut found = HiddenDiagnosis::none();
        if code.digits() != one.digits {
            let ignored = |algorithm| shows(algorithm, now(one.period)).0;
            let any = algorithms.map(ignored).into_iter().fold(0, |any, mask| any | mask);
            found.consider(any, Diagnosis::DigitsIgnored(code.digits()));
            return Ok(found);
        }
        for algorithm in algorithms.into_iter().filter(|algorithm| *algorithm != one.algorithm) {
            found.consider(shows(algorithm, now(one.period)).0, Diagnosis::AlgorithmIgnored(algorithm));
        }
        let Some(period) = one.period else { return Ok(found) };
        for other in [30, 60].into_iter().filter_map(|seconds| Period::new(seconds).ok()) {
            if other != period {
                let (ignored, _) = shows(one.algorithm, now(Some(other)));
                found.consider(ignored, Diagnosis::PeriodIgnored(other));
            }
        }
        // An hour on either side; then a wrong time zone, which is off by whole quarters of an hour up to fourteen hours.
        let hotp = hotp(one.algorithm);
        let (step, hour) = (period.steps(context.now), period.steps(3600));
        let near = hotp.scan([code], step.saturating_sub(hour), step.saturating_add(hour)).hidden();
        let ahead = near.1.wrapping_sub(step).wrapping_mul(period.seconds().into()).cast_signed();
        found.consider_clock(near, ahead, (end, one.disclosed));
        for zone in (5..=56).flat_map(|quarters: i64| [quarters * 900, quarters * -900]) {
            let (from, to) = around(period, context.now.saturating_add_signed(zone));
            found.consider_clock(hotp.scan([code], from, to).hidden(), zone, (end, one.disclosed));
        }
        Ok(found)
    }
}

/// What was found out about a wrong code, and must not show before the swap.
pub(crate) struct HiddenDiagnosis {
    pub(crate) candidates: Vec<Diagnosis>,
    /// Which of them it is, counted from 1, or 0.
    pub(crate) found: u64,
    /// By how many seconds the clock is ahead, for [`Diagnosis::ClockOff`].
    pub(crate) seconds: u64,
    pub(crate) step: u64,
    /// All ones if the code is that of a step which has yet to come.
    pub(crate) future: u64,
}

impl HiddenDiagnosis {
    pub(crate) const fn none() -> Self {
        Self { candidates: Vec::new(), found: 0, seconds: 0, step: 0, future: 0 }
    }

    /// Takes this one if `mask` says so and none before it was taken.
    fn consider(&mut self, mask: u64, diagnosis: Diagnosis) -> u64 {
        self.candidates.push(diagnosis);
        let taken = mask & ct::mask_same(self.found, 0);
        let number = self.candidates.len().try_into().unwrap_or(u64::MAX);
        self.found = ct::select(taken, number, self.found);
        taken
    }

    /// To say that a code is that of a later moment is to say which code will be right then, to somebody who may have
    /// guessed it. So it is said of one step for each enrollment, whose code is used from then on.
    fn consider_clock(&mut self, (hit, step): (u64, u64), seconds: i64, (end, disclosed): (u64, u64)) {
        let future = ct::mask_less(end, step);
        let withheld = future & !ct::mask_same(disclosed, 0) & !ct::mask_same(disclosed, step.wrapping_add(1));
        let taken = self.consider(hit & !withheld, Diagnosis::ClockOff(0));
        self.seconds = ct::select(taken, seconds.cast_unsigned(), self.seconds);
        self.step = ct::select(taken, step, self.step);
        self.future = ct::select(taken, future, self.future);
    }

    /// Public: it is told, and a step that it discloses is stored.
    pub(crate) fn reveal(self) -> Option<Diagnosis> {
        let found = |(_, number): &(Diagnosis, u64)| ct::declassify(ct::mask_same(self.found, *number));
        match self.candidates.into_iter().zip(1..).find(found)?.0 {
            Diagnosis::ClockOff(_) => Some(Diagnosis::ClockOff(self.seconds.cast_signed())),
            diagnosis => Some(diagnosis),
        }
    }
}
