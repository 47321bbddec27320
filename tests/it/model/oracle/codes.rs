//! How the oracle compares codes.

use keyfob::guard::{GuardErrorKind, NoticeKind, Refusal};

use super::{Answer, Authenticator, Gate, Pending, Phone, Prediction, Share, State, Token, Typed, World, refused};

impl World<'_> {
    /// Checks a code, which belongs to a login if there is a challenge.
    pub(super) fn verify(&self, mut factor: State, typed: &Typed, login: Option<&Token>) -> Prediction {
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
                let known = factor.has_device(self.now);
                if !self.limits.strict {
                    factor.budget.lift(self.limits, self.now, known);
                }
                factor.budget.succeeded_at = self.now.max(1);
                factor.void(self.now);
                // Somebody else may have begun it.
                factor.pending = None;
                self.note(&mut factor, NoticeKind::Recovered, true);
                if let Some(token) = login {
                    self.complete(&mut factor, token, true);
                }
                (Ok(Answer::Recovered { left: factor.left() }), Some(Some(factor)))
            }
            Typed::Code(code) => {
                let share = factor.share(self.limits, self.now, login.and_then(|token| token.device));
                let (answer, mut next) = self.attempt(factor, share, true, |authenticator, phone| {
                    let (from, to) = authenticator.window(self.limits, phone, self.now);
                    phone.newest(&[code], from, to)
                });
                let compared = match &answer {
                    Ok(Answer::Accepted { .. }) => Some(true),
                    Ok(Answer::Refused(Refusal::WrongCode | Refusal::Replayed)) => Some(false),
                    _ => None,
                };
                if let (Some(token), Some(accepted), Some(Some(next))) = (login, compared, &mut next) {
                    self.complete(next, token, accepted);
                }
                (answer, next)
            }
        }
    }

    pub(super) fn resync(&self, factor: State, first: &Typed, second: &Typed) -> Prediction {
        if factor.active.is_empty() {
            return refused(Refusal::NotEnrolled);
        }
        let (Typed::Code(first), Typed::Code(second)) = (first, second) else { return refused(Refusal::Malformed) };
        let share = factor.share(self.limits, self.now, None);
        let (answer, mut next) = self.attempt(factor, share, false, |authenticator, phone| {
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

    /// If `login`, a repetition of the last accepted code is free once.
    fn attempt(
        &self,
        mut factor: State,
        share: Share,
        login: bool,
        find: impl Fn(&Authenticator, &Phone) -> Option<u64>,
    ) -> Prediction {
        if let Some(barred) = self.barred(&factor, share) {
            return barred;
        }
        let mut accepted = None;
        let (mut replayed, mut free) = (false, false);
        for authenticator in &mut factor.active {
            let phone = &self.phones[authenticator.phone];
            match find(authenticator, phone) {
                Some(counter) if counter >= authenticator.next && counter + 1 != authenticator.disclosed => {
                    let base = phone.period.map_or(authenticator.next, |period| self.now / period);
                    accepted = accepted.or(Some((authenticator.phone, counter.wrapping_sub(base) as i64)));
                    authenticator.learn(phone, self.now, counter);
                    authenticator.next = counter + 1;
                }
                Some(counter) => {
                    replayed = true;
                    if login && counter + 1 == authenticator.next && authenticator.repeated != authenticator.next {
                        authenticator.repeated = authenticator.next;
                        free = true;
                    }
                }
                None => {}
            }
        }
        let exhausts = factor.budget.ends(self.limits, self.now, share);
        self.note(&mut factor, NoticeKind::Exhausted, accepted.is_none() && !free && exhausts);
        let Some((phone, drift)) = accepted else {
            match free {
                true => factor.budget.counted(self.limits, self.now),
                false => factor.budget.failed(self.limits, self.now, share),
            }
            let reason = if replayed { Refusal::Replayed } else { Refusal::WrongCode };
            return (Ok(Answer::Refused(reason)), Some(Some(factor)));
        };
        factor.budget.succeeded(self.limits, self.now);
        (Ok(Answer::Accepted { phone, drift, left: factor.left() }), Some(Some(factor)))
    }

    fn barred(&self, factor: &State, share: Share) -> Option<Prediction> {
        let reason = match factor.budget.gate(self.limits, self.now, share) {
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
        // Just after 1970, the steps of two periods have the same numbers. The diagnosis is then the wrong period, and
        // discloses no step.
        let wrong_period = [30, 60].into_iter().filter(|other| *other != period).any(|other| {
            let step = self.now / other;
            phone.newest(&[code], step.saturating_sub(1), step + 1).is_some()
        });
        if wrong_period {
            return None;
        }
        let now = self.now / period;
        let near = phone.newest(&[code], now.saturating_sub(3600 / period), now + 3600 / period);
        let zones = (5..=56).flat_map(|quarters: i64| [quarters * 900, -quarters * 900]).map(|zone| {
            let step = self.now.saturating_add_signed(zone) / period;
            phone.newest(&[code], step.saturating_sub(1), step + 1)
        });
        let step = std::iter::once(near).chain(zones).flatten().find(|step| tells(*step))?;
        (step > end).then_some(step)
    }

    pub(super) fn confirm(&self, mut factor: State, typed: &Typed, ticket: Option<&Token>) -> Prediction {
        let now = self.now;
        let ticket = match self.ticket(&factor, ticket) {
            Ok(ticket) => ticket,
            Err(kind) => return (Err(kind), None),
        };
        let begun = |pending: &Pending| pending.waits(now) && pending.ticket == ticket;
        let Some(mut pending) = factor.pending.take().filter(begun) else {
            return (Err(GuardErrorKind::NoEnrollment), None);
        };
        let code = match typed {
            Typed::Code(code) => code,
            _ => return refused(Refusal::Malformed),
        };
        let share = factor.share(self.limits, now, None);
        if pending.imported
            && let Some(barred) = self.barred(&State { pending: Some(pending.clone()), ..factor.clone() }, share)
        {
            return barred;
        }
        let enrolled = !factor.active.is_empty();
        let known = factor.has_device(now);
        let exhausted = factor.budget.exhausted(self.limits, now, known);
        let exhausts = pending.imported && factor.budget.ends(self.limits, now, share);
        let lifts = !pending.imported && enrolled && pending.voucher == 0 && (exhausted || !self.limits.strict);
        pending.replaces_all = lifts && self.limits.strict;
        let phone = &self.phones[pending.authenticator.phone];
        let (from, to) = pending.authenticator.window(self.limits, phone, now);
        let found = phone.newest(&[code], from.max(pending.authenticator.next), to);
        let Some(counter) = found.filter(|counter| counter + 1 != pending.authenticator.disclosed) else {
            pending.tries += 1;
            if let Some(step) = self.disclosed(&pending, phone, code, to) {
                pending.authenticator.disclosed = step + 1;
            }
            if pending.imported {
                factor.budget.failed(self.limits, now, share);
            }
            factor.pending = Some(pending);
            self.note(&mut factor, NoticeKind::Exhausted, exhausts);
            return (Ok(Answer::Refused(Refusal::WrongCode)), Some(Some(factor)));
        };
        match pending.imported {
            // The secret may have been there before, so it does not allow more guesses at the others.
            true if enrolled && (pending.voucher != 0 || self.limits.strict) => {
                factor.budget.counted(self.limits, now);
            }
            true => factor.budget.succeeded(self.limits, now),
            false if lifts => factor.budget.lift(self.limits, now, known),
            false => {}
        }
        factor.budget.succeeded_at = now.max(1);
        let before = factor.active.len();
        factor.active.retain(|authenticator| !pending.replaces_all && Some(authenticator.phone) != pending.replaces);
        self.note(&mut factor, NoticeKind::Added, true);
        let removes = factor.active.len() < before;
        self.note(&mut factor, NoticeKind::Removed, removes);
        factor.active.push(Authenticator { next: counter + 1, bound: now.max(1), ..pending.authenticator });
        factor.removed = 0;
        factor.factors_changed();
        let recovery_codes = factor.recovery.is_none();
        factor.recovery.get_or_insert((vec![(None, false); 10], self.latest));
        (Ok(Answer::Confirmed { recovery_codes }), Some(Some(factor)))
    }
}
