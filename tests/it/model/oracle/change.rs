//! The changes of the oracle for which no code is compared.

use keyfob::guard::{GuardErrorKind, NoticeKind, Purpose};

use super::login::Changed;
use super::{Allows, Answer, Bound, Gate, Op, State, Way, World, is_timely};

impl World<'_> {
    fn proved(&self, factor: &State, purpose: &Purpose, proof: Option<&Bound>) -> Result<(), GuardErrorKind> {
        let right = proof.is_some_and(|proof| proof.allows == Allows::Purpose(purpose.clone()));
        self.is_proof(factor, proof.filter(|_| right))
    }

    /// Checks a proof, whatever it is for.
    pub(super) fn is_proof(&self, factor: &State, proof: Option<&Bound>) -> Result<(), GuardErrorKind> {
        let good = proof.is_some_and(|proof| {
            proof.account == self.account
                && proof.way != Way::OtherSession
                && proof.generation == factor.generation()
                && is_timely(proof.made, proof.made.saturating_add(300), self.now)
        });
        if good { Ok(()) } else { Err(GuardErrorKind::ProofRejected) }
    }

    pub(super) fn change(&self, mut factor: State, op: &Op) -> Changed {
        let enrolled = if factor.active.is_empty() { Err(GuardErrorKind::NotEnrolled) } else { Ok(()) };
        let has = |factor: &State, phone| factor.active.iter().any(|authenticator| authenticator.phone == phone);
        match op {
            Op::BeginLogin { expectation, device } => return self.begin_login(&factor, *expectation, *device),
            Op::AddDevice(login, lifetime) => return self.add_device(factor, login, *lifetime),
            Op::IsCurrent(generation) => return Ok((Answer::Current(*generation == factor.generation()), None)),
            Op::Enroll { .. } => return self.enroll(factor, op),
            Op::Adopt(adoptees) => return Ok(self.adopt(factor, adoptees)),
            Op::Reopen(handle) => return self.reopen(&factor, handle),
            Op::ReplaceCode(login) => return self.replace_code(factor, login),
            Op::Redeem(token) => return self.redeem(factor, token),
            Op::Cancel => {
                let pending = factor.pending.take().filter(|pending| pending.waits(self.now));
                pending.ok_or(GuardErrorKind::NoEnrollment)?;
            }
            Op::Vouch => {
                enrolled?;
                // The caller fills in the voucher.
                factor.voucher = u64::MAX;
                return Ok((Answer::Vouched, Some(Some(factor))));
            }
            Op::Acknowledge(notice) => {
                let removed = factor.notices.as_mut().is_some_and(|notices| notices.acknowledge(*notice));
                return Ok((Answer::Done, removed.then_some(Some(factor))));
            }
            Op::Status => {
                let gate = factor.budget.gate(self.limits, self.now, factor.share(self.limits, self.now, None));
                let (exhausted, retry_at) = match gate {
                    Gate::Exhausted(retry_at) => (true, retry_at),
                    Gate::Open => (false, None),
                    Gate::Throttled(retry_at) => (false, Some(retry_at)),
                };
                let (failures, left, active) = (factor.budget.failures, factor.left(), factor.active.len());
                let devices = factor.devices.iter().filter(|device| self.now < device.ends).count();
                let suspended = factor.suspended;
                let notices = factor.notices.clone().unwrap_or_default().0;
                let status =
                    Answer::Status { failures, left, active, exhausted, retry_at, devices, suspended, notices };
                return Ok((status, None));
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
                return if any { Ok(self.removed(&factor)) } else { Err(GuardErrorKind::NotEnrolled) };
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
                factor.factors_changed();
                self.note(&mut factor, NoticeKind::Removed, true);
            }
            Op::Disable(proof) => {
                enrolled?;
                self.proved(&factor, &Purpose::DISABLE, proof.as_ref())?;
                return Ok(self.removed(&factor));
            }
            Op::Erase => return Ok((Answer::Done, Some(None))),
            Op::ForgetDevice(number) => {
                let index = factor.devices.iter().position(|device| device.number == *number);
                factor.devices.remove(index.ok_or(GuardErrorKind::UnknownDevice)?);
            }
            Op::ForgetDevices => {
                factor.pending = None;
                factor.void(self.now);
            }
            Op::Suspend | Op::Resume => {
                let suspends = matches!(op, Op::Suspend);
                if factor.suspended == suspends {
                    return Ok((Answer::Done, None));
                }
                factor.suspended = suspends;
                factor.pending.take_if(|_| suspends);
                factor.void(self.now);
            }
            Op::Regenerate(proof) => {
                enrolled?;
                self.proved(&factor, &Purpose::REGENERATE, proof.as_ref())?;
                factor.recovery = Some((vec![(None, false); 10], self.primary));
                factor.pending = None;
                factor.factors_changed();
                self.note(&mut factor, NoticeKind::RecoveryCodesReplaced, true);
            }
            Op::Lift => {
                enrolled?;
                if self.limits.strict {
                    return Err(GuardErrorKind::UnlockRefused);
                }
                let known = factor.has_device(self.now);
                factor.budget.lift(self.limits, self.now, known);
            }
            Op::Fence(strict) => {
                let blank = factor.generation() == ((0, 0), 0) && !factor.suspended;
                if factor.active.is_empty() && factor.pending.is_none() && blank {
                    return Err(GuardErrorKind::NotEnrolled);
                }
                factor.pending = None;
                // It is not known which of them were used.
                factor.recovery.take_if(|_| *strict);
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
                factor.factors.1 = factor.factors.1.wrapping_add(self.now).wrapping_add(1);
                factor.void(self.now);
            }
            Op::Answer(..) | Op::Confirm(..) | Op::Resync(..) | Op::Verify(_) => {}
        }
        Ok((Answer::Done, Some(Some(factor))))
    }

    /// Only a trace is left of the record.
    fn removed(&self, factor: &State) -> (Answer, Option<Option<State>>) {
        let mut next = State { factors: factor.factors, epoch: factor.epoch, ..State::default() };
        next.removed = if factor.active.is_empty() { factor.removed } else { self.now.max(1) };
        next.suspended = factor.suspended;
        next.notices = factor.notices.clone();
        if !factor.active.is_empty() {
            self.note(&mut next, NoticeKind::Removed, true);
        }
        next.factors_changed();
        next.void(self.now);
        (Answer::Done, Some(Some(next)))
    }
}
