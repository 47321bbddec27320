//! Determines why a new authenticator does not show the expected codes.

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
    /// Compares the code with the codes that apps with known mistakes would show, starting with the likeliest mistake.
    /// Returns the first mistake that explains the code. `end` is the last step whose code would confirm the
    /// enrollment.
    ///
    /// Only the number of digits, which is public, decides which comparisons are made. All of them are made even after
    /// a match, so that the time taken does not reveal which mistake was found.
    pub(crate) fn diagnose(&self, context: &Context<'_>, code: &Code, end: u64) -> Result<HiddenDiagnosis, GuardError> {
        let authenticator = &self.authenticator;
        let secret = context.keyring.open(&authenticator.secret, &authenticator.owner(context.user))?;
        let key = Key::new(&secret).map_err(|_| GuardErrorKind::SealBroken)?;
        let hotp = |algorithm| Hotp::with_algorithm(key, algorithm).with_digits(code.digits());
        let around = |period: Period, at: u64| {
            let step = period.steps(at);
            (step.saturating_sub(1), step.saturating_add(1))
        };
        let now = |period: Option<Period>| match period {
            Some(period) => around(period, context.now),
            None => (authenticator.next, authenticator.next.saturating_add(context.policy.look_ahead().get().into())),
        };
        let compare = |algorithm, (from, to)| hotp(algorithm).scan([code], from, to).hidden();
        let algorithms = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
        let mut found = HiddenDiagnosis::none();
        if code.digits() != authenticator.digits {
            let ignored = |algorithm| compare(algorithm, now(authenticator.period)).0;
            let any = algorithms.map(ignored).into_iter().fold(0, |any, mask| any | mask);
            found.consider(any, Diagnosis::DigitsIgnored(code.digits()));
            return Ok(found);
        }
        for algorithm in algorithms.into_iter().filter(|algorithm| *algorithm != authenticator.algorithm) {
            found.consider(compare(algorithm, now(authenticator.period)).0, Diagnosis::AlgorithmIgnored(algorithm));
        }
        let Some(period) = authenticator.period else { return Ok(found) };
        for other in [30, 60].into_iter().filter_map(|seconds| Period::new(seconds).ok()) {
            if other != period {
                let (ignored, _) = compare(authenticator.algorithm, now(Some(other)));
                found.consider(ignored, Diagnosis::PeriodIgnored(other));
            }
        }
        // First search one hour in either direction. Then try wrong time zones, in 15-minute steps, up to 14 hours in
        // either direction.
        let hotp = hotp(authenticator.algorithm);
        let (step, hour) = (period.steps(context.now), period.steps(3600));
        let near = hotp.scan([code], step.saturating_sub(hour), step.saturating_add(hour)).hidden();
        let ahead = near.1.wrapping_sub(step).wrapping_mul(period.seconds().into()).cast_signed();
        found.consider_clock(near, ahead, (end, authenticator.disclosed));
        for zone in (5..=56).flat_map(|quarters: i64| [quarters * 900, quarters * -900]) {
            let (from, to) = around(period, context.now.saturating_add_signed(zone));
            found.consider_clock(hotp.scan([code], from, to).hidden(), zone, (end, authenticator.disclosed));
        }
        Ok(found)
    }
}

/// A diagnosis that must stay secret until the swap, because it reveals that the code is wrong.
pub(crate) struct HiddenDiagnosis {
    pub(crate) candidates: Vec<Diagnosis>,
    /// The number of the candidate that matches, counted from 1, or 0 if none does.
    pub(crate) found: u64,
    /// The number of seconds by which the clock is ahead, for [`Diagnosis::ClockOff`].
    pub(crate) seconds: u64,
    /// The step that the code belongs to, for [`Diagnosis::ClockOff`].
    pub(crate) step: u64,
    /// A mask that is set if the code belongs to a step that is still in the future.
    pub(crate) future: u64,
}

impl HiddenDiagnosis {
    pub(crate) const fn none() -> Self {
        Self { candidates: Vec::new(), found: 0, seconds: 0, step: 0, future: 0 }
    }

    /// Adds a candidate, and selects it if `mask` is set and no earlier candidate was selected. Returns a mask that is
    /// set if it was selected.
    fn consider(&mut self, mask: u64, diagnosis: Diagnosis) -> u64 {
        self.candidates.push(diagnosis);
        let taken = mask & ct::mask_same(self.found, 0);
        let number = self.candidates.len().try_into().unwrap_or(u64::MAX);
        self.found = ct::select(taken, number, self.found);
        taken
    }

    /// Adds a clock that is `seconds` ahead as a candidate, and selects it in the same way as
    /// [`consider`](Self::consider).
    ///
    /// If the diagnosis says that a code belongs to a future step, somebody who guessed the code learns when it will be
    /// valid. Each enrollment therefore discloses at most one future step, and that step's code counts as used.
    fn consider_clock(&mut self, (hit, step): (u64, u64), seconds: i64, (end, disclosed): (u64, u64)) {
        let future = ct::mask_less(end, step);
        let withheld = future & !ct::mask_same(disclosed, 0) & !ct::mask_same(disclosed, step.wrapping_add(1));
        let taken = self.consider(hit & !withheld, Diagnosis::ClockOff(0));
        self.seconds = ct::select(taken, seconds.cast_unsigned(), self.seconds);
        self.step = ct::select(taken, step, self.step);
        self.future = ct::select(taken, future, self.future);
    }

    /// Returns the diagnosis, or `None` if no mistake explains the code. Call this only after the swap has succeeded,
    /// because a future step that the diagnosis reveals must already be recorded as used.
    pub(crate) fn reveal(self) -> Option<Diagnosis> {
        let is_found = |(_, number): &(Diagnosis, u64)| ct::declassify(ct::mask_same(self.found, *number));
        match self.candidates.into_iter().zip(1..).find(is_found)?.0 {
            Diagnosis::ClockOff(_) => Some(Diagnosis::ClockOff(self.seconds.cast_signed())),
            diagnosis => Some(diagnosis),
        }
    }
}
