//! The changes of the oracle for which no code is compared.

use keyfob::guard::{GuardErrorKind, Purpose};

use super::{Answer, Authenticator, Bound, Gate, Op, Pending, State, Way, World, is_timely};

impl World<'_> {
    fn proved(&self, factor: &State, purpose: &Purpose, proof: Option<&Bound>) -> Result<(), GuardErrorKind> {
        let good = proof.is_some_and(|proof| {
            proof.account == self.account
                && proof.purpose == *purpose
                && proof.way != Way::OtherSession
                && proof.generation == factor.generation()
                && is_timely(proof.made, proof.made.saturating_add(300), self.now)
        });
        if good { Ok(()) } else { Err(GuardErrorKind::ProofRejected) }
    }

    pub(super) fn change(&self, mut factor: State, op: &Op) -> Result<(Answer, Option<Option<State>>), GuardErrorKind> {
        let enrolled = if factor.active.is_empty() { Err(GuardErrorKind::NotEnrolled) } else { Ok(()) };
        let has = |factor: &State, phone| factor.active.iter().any(|authenticator| authenticator.phone == phone);
        match op {
            Op::BeginLogin { expectation, device } => return self.begin_login(&factor, *expectation, *device),
            Op::AddDevice(login, lifetime) => return self.add_device(factor, login, *lifetime),
            Op::IsCurrent(generation) => return Ok((Answer::Current(*generation == factor.generation()), None)),
            Op::Enroll { replaces, proof, odd, ticket, .. } => {
                let ticket = self.ticket(&factor, ticket.as_ref())?;
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
                if factor.factors == (0, 0) {
                    factor.factors = (self.creation, 0);
                }
                // The caller fills in the phone.
                let authenticator = Authenticator {
                    phone: usize::MAX,
                    next: 0,
                    disclosed: 0,
                    repeated: 0,
                    drift: 0,
                    lean: 0,
                    anchor: 0,
                    key: self.primary,
                };
                let (since, imported) = (self.now, *odd);
                factor.pending =
                    Some(Pending { authenticator, since, imported, ticket, tries: 0, replaces: *replaces });
                return Ok((Answer::Enrolled, Some(Some(factor))));
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
                let status = Answer::Status { failures, left, active, exhausted, retry_at, devices, suspended };
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
            }
            Op::Lift => {
                enrolled?;
                let known = factor.has_device(self.now);
                factor.budget.lift(self.limits, self.now, known);
            }
            Op::Fence(strict) => {
                let blank = factor.generation() == ((0, 0), 0) && !factor.suspended;
                if factor.active.is_empty() && factor.pending.is_none() && blank {
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
        next.factors_changed();
        next.void(self.now);
        (Answer::Done, Some(Some(next)))
    }
}
