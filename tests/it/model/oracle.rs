//! What the guard should answer: a second implementation of its rules, with branches and early exits instead of masks.

// `fuzz` includes this file by its path, so the path of the submodule has to be explicit.
#[path = "oracle/budget.rs"]
mod budget;

pub use budget::{Budget, DAY, Gate, Limits};
use keyfob::Hotp;
use keyfob::guard::{AuthenticatorId, GuardErrorKind, Purpose, Refusal};

/// The user's app or token. `hotp` is unknown if the answer of the enrollment was lost.
pub struct Phone {
    pub id: AuthenticatorId,
    pub hotp: Option<Hotp>,
    pub period: Option<u64>,
    pub counter: u64,
    /// How many steps its clock is ahead.
    pub ahead: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Authenticator {
    pub phone: usize,
    pub next: u64,
    /// One more than the step that a diagnosis disclosed, or 0.
    pub disclosed: u64,
    pub drift: i64,
    pub lean: i64,
    pub anchor: i64,
    pub key: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    pub authenticator: Authenticator,
    pub since: u64,
    pub imported: bool,
    pub tries: u8,
    pub replaces: Option<usize>,
}

/// The code, unless the answer with it was lost, and whether it was used.
pub type RecoveryCode = (Option<String>, bool);

/// A record. The generation is the number of its creation and the number of changes since.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub generation: (u64, u64),
    pub active: Vec<Authenticator>,
    pub pending: Option<Pending>,
    /// The codes, and the number of the key that they are sealed under.
    pub recovery: Option<(Vec<RecoveryCode>, usize)>,
    pub budget: Budget,
}

#[derive(Clone, Debug)]
pub enum Typed {
    Code(String),
    Malformed,
    Recovery(String),
}

/// Everything that a proof is bound to.
#[derive(Clone, Debug)]
pub struct Bound {
    pub account: usize,
    pub purpose: Purpose,
    pub generation: (u64, u64),
    pub made: u64,
}

#[derive(Clone, Debug)]
pub enum Op {
    Confirm(Typed),
    Disable(Option<Bound>),
    /// `odd` imports a secret, with an unusual algorithm, length and period.
    Enroll {
        replaces: Option<usize>,
        hotp: bool,
        odd: bool,
        proof: Option<Bound>,
    },
    /// Invalidates codes: all of them if `true`, the recent ones if `false`.
    Fence(bool),
    Lift,
    Regenerate(Option<Bound>),
    Remove,
    Rename(usize, Option<Bound>),
    Reseal,
    Resync(Typed, Typed),
    Revoke(usize, Option<Bound>),
    Status,
    Verify(Typed),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Accepted { phone: usize, drift: i64, left: usize },
    Confirmed { recovery_codes: bool },
    Done,
    Enrolled,
    Recovered { left: usize },
    Refused(Refusal),
    Resealed(bool),
    Resynchronized { phone: usize, drift: i64 },
    Status { failures: u64, left: usize, active: usize, exhausted: bool, retry_at: Option<u64> },
}

/// The answer, and the record if it is written. `Some(None)` removes the record.
pub type Prediction = (Result<Answer, GuardErrorKind>, Option<Option<State>>);

impl Authenticator {
    fn window(&self, limits: Limits, phone: &Phone, now: u64) -> (u64, u64) {
        match phone.period {
            Some(period) => {
                let expected = (now / period).saturating_add_signed(self.drift);
                (expected.saturating_sub(limits.behind), expected + limits.ahead)
            }
            None => (self.next.saturating_sub(1), self.next.saturating_add(limits.look_ahead)),
        }
    }

    fn learn(&mut self, phone: &Phone, now: u64, counter: u64) {
        let Some(period) = phone.period else { return };
        let side = counter.cmp(&(now / period).saturating_add_signed(self.drift)) as i64;
        self.lean = match side {
            0 => 0,
            side if side * self.lean < 0 => side,
            side => self.lean + side,
        };
        if self.lean.abs() == 3 {
            let moved = self.drift + side;
            let distance = (moved - self.anchor).abs();
            let most = if self.anchor == 0 { 10 } else { 40 };
            if (distance <= most || distance < (self.drift - self.anchor).abs()) && moved.abs() <= 3000 {
                self.drift = moved;
            }
            self.lean = 0;
        }
    }
}

impl Phone {
    pub fn code_at(&self, counter: u64) -> Option<String> {
        self.hotp.as_ref().map(|hotp| hotp.code(counter).to_string())
    }

    fn newest(&self, codes: &[&str], from: u64, to: u64) -> Option<u64> {
        let last = codes.len() as u64 - 1;
        // The last counter has no successor.
        (from.saturating_add(last)..=to.min(u64::MAX - 1)).rev().find(|at| {
            codes.iter().rev().zip(0..).all(|(code, back)| self.code_at(at - back).as_deref() == Some(*code))
        })
    }
}

impl Pending {
    fn waits(&self, now: u64) -> bool {
        now.abs_diff(self.since) < 900 && self.tries < 20
    }
}

impl State {
    pub fn left(&self) -> usize {
        self.recovery.as_ref().map_or(0, |(codes, _)| codes.iter().filter(|(_, used)| !used).count())
    }

    pub fn old_key(&self, primary: usize) -> bool {
        let authenticators = self.active.iter().chain(self.pending.as_ref().map(|pending| &pending.authenticator));
        let mut keys =
            authenticators.map(|authenticator| authenticator.key).chain(self.recovery.as_ref().map(|set| set.1));
        keys.any(|key| key != primary)
    }

    pub fn reseal(&mut self, primary: usize, now: u64) {
        self.pending.take_if(|pending| !pending.waits(now) && pending.authenticator.key != primary);
        self.active
            .iter_mut()
            .chain(self.pending.as_mut().map(|pending| &mut pending.authenticator))
            .for_each(|authenticator| authenticator.key = primary);
        if let Some(set) = &mut self.recovery {
            set.1 = primary;
        }
    }
}

/// Everything that an answer depends on, except the record.
pub struct World<'a> {
    pub account: usize,
    pub now: u64,
    pub limits: Limits,
    pub phones: &'a [Phone],
    pub primary: usize,
    /// The number for the creation of a record.
    pub epoch: u64,
}

impl World<'_> {
    pub fn predict(&self, state: Option<&State>, op: &Op) -> Prediction {
        let factor = state.cloned().unwrap_or_default();
        match op {
            Op::Verify(typed) => self.verify(factor, typed),
            Op::Resync(first, second) => self.resync(factor, first, second),
            Op::Confirm(typed) => self.confirm(factor, typed),
            _ => match self.change(factor, op) {
                Ok((answer, next)) => (Ok(answer), next),
                Err(kind) => (Err(kind), None),
            },
        }
    }

    fn verify(&self, mut factor: State, typed: &Typed) -> Prediction {
        if factor.active.is_empty() {
            return refused(Refusal::NotEnrolled);
        }
        match typed {
            Typed::Malformed => refused(Refusal::Malformed),
            Typed::Recovery(text) => {
                let codes = factor.recovery.iter_mut().flat_map(|(codes, _)| codes);
                let Some((_, used)) = codes.into_iter().find(|(code, _)| code.as_ref() == Some(text)) else {
                    return refused(Refusal::WrongCode);
                };
                if std::mem::replace(used, true) {
                    return refused(Refusal::Replayed);
                }
                factor.budget.lift(self.limits, self.now);
                (Ok(Answer::Recovered { left: factor.left() }), Some(Some(factor)))
            }
            Typed::Code(code) => self.attempt(factor, |authenticator, phone| {
                let (from, to) = authenticator.window(self.limits, phone, self.now);
                phone.newest(&[code], from, to)
            }),
        }
    }

    fn resync(&self, factor: State, first: &Typed, second: &Typed) -> Prediction {
        if factor.active.is_empty() {
            return refused(Refusal::NotEnrolled);
        }
        let (Typed::Code(first), Typed::Code(second)) = (first, second) else { return refused(Refusal::Malformed) };
        let (answer, mut next) = self.attempt(factor, |authenticator, phone| {
            let (from, to) = match phone.period {
                Some(period) => {
                    let now = self.now / period;
                    (now.saturating_sub(self.limits.within), now + self.limits.within)
                }
                None => (authenticator.next, authenticator.next.saturating_add(self.limits.within)),
            };
            let told = |at: u64| at + 1 == authenticator.disclosed || at == authenticator.disclosed;
            phone.newest(&[first, second], from, to).map(|at| if at > authenticator.next && !told(at) { at } else { 0 })
        });
        match answer {
            Ok(Answer::Accepted { phone, drift, .. }) => {
                for authenticator in next.iter_mut().flatten().flat_map(|factor| &mut factor.active) {
                    let period = self.phones[authenticator.phone].period;
                    if authenticator.phone == phone
                        && let Some(period) = period
                    {
                        (authenticator.drift, authenticator.lean) =
                            ((authenticator.next - 1).wrapping_sub(self.now / period) as i64, 0);
                        authenticator.anchor = authenticator.drift;
                    }
                }
                (Ok(Answer::Resynchronized { phone, drift }), next)
            }
            // The pair was used before, which is answered like any miss.
            Ok(Answer::Refused(Refusal::Replayed)) => (Ok(Answer::Refused(Refusal::WrongCode)), next),
            answer => (answer, next),
        }
    }

    fn attempt(&self, mut factor: State, find: impl Fn(&Authenticator, &Phone) -> Option<u64>) -> Prediction {
        if let Some(barred) = self.barred(&factor) {
            return barred;
        }
        let mut accepted = None;
        let mut replayed = false;
        for authenticator in &mut factor.active {
            let phone = &self.phones[authenticator.phone];
            match find(authenticator, phone) {
                Some(counter) if counter >= authenticator.next && counter + 1 != authenticator.disclosed => {
                    let base = phone.period.map_or(authenticator.next, |period| self.now / period);
                    accepted = accepted.or(Some((authenticator.phone, counter.wrapping_sub(base) as i64)));
                    authenticator.learn(phone, self.now, counter);
                    authenticator.next = counter + 1;
                }
                Some(_) => replayed = true,
                None => {}
            }
        }
        let Some((phone, drift)) = accepted else {
            factor.budget.failed(self.limits, self.now);
            let reason = if replayed { Refusal::Replayed } else { Refusal::WrongCode };
            return (Ok(Answer::Refused(reason)), Some(Some(factor)));
        };
        factor.budget.succeeded(self.limits, self.now);
        (Ok(Answer::Accepted { phone, drift, left: factor.left() }), Some(Some(factor)))
    }

    fn barred(&self, factor: &State) -> Option<Prediction> {
        let reason = match factor.budget.gate(self.limits, self.now) {
            Gate::Open => return None,
            Gate::Throttled(retry_at) => Refusal::Throttled { retry_at },
            Gate::Exhausted(retry_at) => Refusal::Exhausted { retry_at },
        };
        let mut factor = factor.clone();
        let mut written = factor.budget.set_back(self.now);
        if let Refusal::Exhausted { .. } = reason {
            written |= factor.budget.report(self.now);
        }
        Some((Ok(Answer::Refused(reason)), written.then_some(Some(factor))))
    }

    /// The future step that a diagnosis discloses, if the code is from a phone whose clock is wrong.
    fn disclosed(&self, pending: &Pending, phone: &Phone, code: &str, end: u64) -> Option<u64> {
        let period = phone.period.filter(|_| !pending.imported)?;
        let tells = |step: u64| {
            step <= end || pending.authenticator.disclosed == 0 || pending.authenticator.disclosed == step + 1
        };
        let now = self.now / period;
        let near = phone.newest(&[code], now.saturating_sub(3600 / period), now + 3600 / period);
        let zones = (5..=56).flat_map(|quarters: i64| [quarters * 900, -quarters * 900]).map(|zone| {
            let step = self.now.saturating_add_signed(zone) / period;
            phone.newest(&[code], step.saturating_sub(1), step + 1)
        });
        let step = std::iter::once(near).chain(zones).flatten().find(|step| tells(*step))?;
        (step > end).then_some(step)
    }

    fn confirm(&self, mut factor: State, typed: &Typed) -> Prediction {
        let now = self.now;
        let Some(mut pending) = factor.pending.take().filter(|pending| pending.waits(now)) else {
            return (Err(GuardErrorKind::NoEnrollment), None);
        };
        let code = match typed {
            Typed::Code(code) => code,
            _ => return refused(Refusal::Malformed),
        };
        if pending.imported
            && let Some(barred) = self.barred(&State { pending: Some(pending.clone()), ..factor.clone() })
        {
            return barred;
        }
        let phone = &self.phones[pending.authenticator.phone];
        let (from, to) = pending.authenticator.window(self.limits, phone, now);
        let found = phone.newest(&[code], from.max(pending.authenticator.next), to);
        let Some(counter) = found.filter(|counter| counter + 1 != pending.authenticator.disclosed) else {
            pending.tries += 1;
            if let Some(step) = self.disclosed(&pending, phone, code, to) {
                pending.authenticator.disclosed = step + 1;
            }
            if pending.imported {
                factor.budget.failed(self.limits, now);
            }
            factor.pending = Some(pending);
            return (Ok(Answer::Refused(Refusal::WrongCode)), Some(Some(factor)));
        };
        if pending.imported {
            factor.budget.succeeded(self.limits, now);
        } else if !factor.active.is_empty() {
            factor.budget.lift(self.limits, now);
        }
        factor.active.retain(|authenticator| Some(authenticator.phone) != pending.replaces);
        factor.active.push(Authenticator { next: counter + 1, ..pending.authenticator });
        factor.generation.1 += 1;
        let recovery_codes = factor.recovery.is_none();
        factor.recovery.get_or_insert((vec![(None, false); 10], self.primary));
        (Ok(Answer::Confirmed { recovery_codes }), Some(Some(factor)))
    }

    fn proved(&self, factor: &State, purpose: &Purpose, proof: Option<&Bound>) -> Result<(), GuardErrorKind> {
        let good = proof.is_some_and(|proof| {
            proof.account == self.account
                && proof.purpose == *purpose
                && proof.generation == factor.generation
                // A proof from the future was made by a server whose clock is ahead. At the maximal time all have
                // expired.
                && (proof.made..proof.made.saturating_add(300)).contains(&self.now)
        });
        if good { Ok(()) } else { Err(GuardErrorKind::ProofRejected) }
    }

    fn change(&self, mut factor: State, op: &Op) -> Result<(Answer, Option<Option<State>>), GuardErrorKind> {
        let enrolled = if factor.active.is_empty() { Err(GuardErrorKind::NotEnrolled) } else { Ok(()) };
        let has = |factor: &State, phone| factor.active.iter().any(|authenticator| authenticator.phone == phone);
        match op {
            Op::Enroll { replaces, proof, odd, .. } => {
                if enrolled.is_ok() {
                    proof.as_ref().ok_or(GuardErrorKind::ProofRequired)?;
                    self.proved(&factor, &Purpose::ADD, proof.as_ref())?;
                }
                if replaces.is_some_and(|phone| !has(&factor, phone)) {
                    return Err(GuardErrorKind::UnknownAuthenticator);
                }
                if replaces.is_none() && factor.active.len() >= 8 {
                    return Err(GuardErrorKind::TooManyAuthenticators);
                }
                if factor.generation == (0, 0) {
                    factor.generation = (self.epoch, 0);
                }
                // The caller fills in the phone.
                let authenticator = Authenticator {
                    phone: usize::MAX,
                    next: 0,
                    disclosed: 0,
                    drift: 0,
                    lean: 0,
                    anchor: 0,
                    key: self.primary,
                };
                let (since, imported) = (self.now, *odd);
                factor.pending = Some(Pending { authenticator, since, imported, tries: 0, replaces: *replaces });
                return Ok((Answer::Enrolled, Some(Some(factor))));
            }
            Op::Status => {
                let gate = factor.budget.gate(self.limits, self.now);
                let (exhausted, retry_at) = match gate {
                    Gate::Exhausted(retry_at) => (true, retry_at),
                    Gate::Open => (false, None),
                    Gate::Throttled(retry_at) => (false, Some(retry_at)),
                };
                let (failures, left, active) = (factor.budget.failures, factor.left(), factor.active.len());
                return Ok((Answer::Status { failures, left, active, exhausted, retry_at }, None));
            }
            Op::Reseal => {
                let before = factor.clone();
                factor.reseal(self.primary, self.now);
                let changed = factor != before;
                return Ok((Answer::Resealed(changed), changed.then_some(Some(factor))));
            }
            Op::Rename(phone, proof) => {
                self.proved(&factor, &Purpose::RENAME, proof.as_ref())?;
                return match has(&factor, *phone) {
                    true => Ok((Answer::Done, Some(Some(factor)))),
                    false => Err(GuardErrorKind::UnknownAuthenticator),
                };
            }
            Op::Remove => {
                let any = factor.pending.is_some() || enrolled.is_ok();
                return if any { Ok((Answer::Done, Some(None))) } else { Err(GuardErrorKind::NotEnrolled) };
            }
            Op::Revoke(phone, proof) => {
                self.proved(&factor, &Purpose::REVOKE, proof.as_ref())?;
                if !has(&factor, *phone) {
                    return Err(GuardErrorKind::UnknownAuthenticator);
                }
                factor.active.retain(|authenticator| authenticator.phone != *phone);
                if factor.active.is_empty() {
                    return Err(GuardErrorKind::LastAuthenticator);
                }
                factor.pending = None;
                factor.generation.1 += 1;
            }
            Op::Disable(proof) => {
                enrolled?;
                self.proved(&factor, &Purpose::DISABLE, proof.as_ref())?;
                return Ok((Answer::Done, Some(None)));
            }
            Op::Regenerate(proof) => {
                enrolled?;
                self.proved(&factor, &Purpose::REGENERATE, proof.as_ref())?;
                factor.recovery = Some((vec![(None, false); 10], self.primary));
                factor.pending = None;
                factor.generation.1 += 1;
            }
            Op::Lift => {
                enrolled?;
                factor.budget.lift(self.limits, self.now);
            }
            Op::Fence(strict) => {
                if factor.active.is_empty() && factor.pending.is_none() {
                    return Err(GuardErrorKind::NotEnrolled);
                }
                factor.pending = None;
                for authenticator in &mut factor.active {
                    let phone = &self.phones[authenticator.phone];
                    match phone.period {
                        Some(period) => {
                            let reach = self.now / period
                                + self.limits.within.max(authenticator.anchor.max(0) as u64)
                                + 40
                                + self.limits.ahead;
                            let end = authenticator.window(self.limits, phone, self.now).1;
                            authenticator.next = authenticator.next.max(if *strict { end.max(reach) } else { end } + 1);
                        }
                        None if *strict => authenticator.next = u64::MAX,
                        None => {}
                    }
                }
                factor.generation.1 = factor.generation.1.wrapping_add(self.now).wrapping_add(1);
            }
            Op::Confirm(_) | Op::Resync(..) | Op::Verify(_) => {}
        }
        Ok((Answer::Done, Some(Some(factor))))
    }
}

fn refused(reason: Refusal) -> Prediction {
    (Ok(Answer::Refused(reason)), None)
}
