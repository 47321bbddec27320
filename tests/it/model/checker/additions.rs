//! The invariants about vouchers, enrollment handles and notices, checked against what was answered before.

use std::collections::BTreeSet;

use keyfob::guard::{EventKind, GuardErrorKind, Refusal};

use super::super::invariant::{Invariant, Violation};
use super::super::oracle::{Allows, Answer, Bound, Notices, Op};
use super::{Call, Checker, Record, Seen};

impl Checker {
    /// `outcome` is what is known to have happened. It differs from what was seen if the answer was lost.
    pub(super) fn additions(
        &mut self,
        at: usize,
        call: &Call,
        now: u64,
        (outcome, seen): (&Result<Answer, GuardErrorKind>, &Seen),
        record: Option<Option<&Record>>,
    ) -> Result<(), Violation> {
        self.notices(at, call, now, (outcome, seen), record)?;
        let Ok(answer) = outcome else { return Ok(()) };
        self.vouchers(at, call, answer, record.flatten())?;
        self.handles(at, call, answer, seen)
    }

    /// [`Invariant::VoucherAddsOne`].
    fn vouchers(&mut self, at: usize, call: &Call, answer: &Answer, record: Option<&Record>) -> Result<(), Violation> {
        let told = || format!("{:?}: {answer:?}", call.op);
        if let (Op::Redeem(token), Answer::Redeemed) = (&call.op, answer) {
            Invariant::VoucherAddsOne.require(self.redeemed.insert(token.id), told)?;
        }
        let account = &mut self.accounts[at];
        let active = account.state.as_ref().map_or(&[][..], |state| &state.active);
        let voucher = match call.op.proof().map(|proof| &proof.allows) {
            // Without a second factor, no proof is checked.
            Some(Allows::Voucher(id)) if !active.is_empty() => Some(*id),
            _ => None,
        };
        let adds = matches!(call.op, Op::Enroll { replaces: None, .. });
        Invariant::VoucherAddsOne.require(voucher.is_none() || adds, told)?;
        match answer {
            Answer::Enrolled => account.voucher = voucher,
            Answer::Confirmed { .. } => {
                let Some(voucher) = account.voucher.take() else { return Ok(()) };
                Invariant::VoucherAddsOne.require(self.added.insert(voucher), told)?;
                self.counts.add("Added with a voucher", 1);
                let Some(record) = record else { return Ok(()) };
                let listed: Vec<&str> = record.active.iter().map(|active| active.id.as_str()).collect();
                let kept = active.iter().all(|active| listed.contains(&self.ids[active.phone].as_str()));
                let failures = account.state.as_ref().map(|state| state.budget.failures);
                let one = listed.len() == active.len() + 1 && Some(record.budget.failures) == failures;
                Invariant::VoucherAddsOne.require(kept && one, || format!("{} in {record:?}", told()))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// [`Invariant::HandleShowsItsOwn`].
    fn handles(&self, at: usize, call: &Call, answer: &Answer, seen: &Seen) -> Result<(), Violation> {
        let (Op::Reopen(handle), Answer::Shown { .. }) = (&call.op, answer) else { return Ok(()) };
        let own = !handle.forged && handle.account == at && !self.ended.contains(&handle.phone);
        let same = seen.phone.as_ref().zip(self.phones.get(handle.phone)).is_some_and(|(shown, phone)| {
            let codes = |counter| shown.hotp.code(counter).to_string() == phone.hotp.code(counter).to_string();
            shown.id == phone.id && shown.period == phone.period && (0..3).all(codes)
        });
        Invariant::HandleShowsItsOwn.require(own && same, || format!("{handle:?} shows {answer:?}"))
    }

    /// [`Invariant::NoticeStays`].
    fn notices(
        &mut self,
        at: usize,
        call: &Call,
        now: u64,
        (outcome, seen): (&Result<Answer, GuardErrorKind>, &Seen),
        record: Option<Option<&Record>>,
    ) -> Result<(), Violation> {
        if !self.limits.notices {
            return Ok(());
        }
        let account = &mut self.accounts[at];
        if let Ok(answer) = &seen.outcome {
            let compared = matches!(answer, Answer::Refused(Refusal::WrongCode | Refusal::Replayed));
            for event in &seen.events {
                let new = match event.kind() {
                    EventKind::Unacknowledged { .. } => None,
                    // A refusal only repeats that the budget is exhausted.
                    EventKind::Exhausted => event.notice().filter(|_| compared),
                    _ => event.notice(),
                };
                if let Some(notice) = new {
                    let told = account.told.of(notice.kind());
                    *told = notice.at().max(*told);
                }
            }
        }
        match (&call.op, outcome) {
            (Op::Acknowledge(notice), Ok(_)) => drop(account.told.acknowledge(*notice)),
            (Op::Erase, Ok(_)) => account.told = Notices::default(),
            _ => {}
        }
        if let Some(record) = record {
            let notices = record.and_then(|record| record.notices).unwrap_or_default();
            for ((at, kept), index) in account.told.0.iter_mut().zip(notices).zip(0..).filter(|((at, _), _)| **at != 0)
            {
                Invariant::NoticeStays.require(kept >= *at, || format!("{index} of {at} is not in {record:?}"))?;
                // The latest one counts, even if nobody heard of it.
                *at = kept;
            }
        }
        self.reminders(at, call, now, seen)
    }

    /// Each request reminds of what should have been acknowledged.
    fn reminders(&mut self, at: usize, call: &Call, now: u64, seen: &Seen) -> Result<(), Violation> {
        let silent = matches!(call.op, Op::Acknowledge(_) | Op::IsCurrent(_) | Op::Status);
        if seen.outcome.is_err() || !self.strict {
            return Ok(());
        }
        let notices = self.accounts[at].state.as_ref().and_then(|state| state.notices.as_ref());
        let due = notices.filter(|_| !silent).map(|notices| notices.overdue(now)).unwrap_or_default();
        let expected: BTreeSet<(usize, u64)> = due.0.into_iter().enumerate().filter(|(_, at)| *at != 0).collect();
        let reminder = |kind: &EventKind| match kind {
            EventKind::Unacknowledged { notice } => {
                Some((Notices::KINDS.iter().position(|kind| *kind == notice.kind())?, notice.at()))
            }
            _ => None,
        };
        let reminded: BTreeSet<_> = seen.events.iter().filter_map(|event| reminder(event.kind())).collect();
        self.counts.add("Unacknowledged", reminded.len() as u64);
        Invariant::OracleAgrees.require(expected == reminded, || format!("{reminded:?} are due, not {expected:?}"))
    }
}

impl Op {
    fn proof(&self) -> Option<&Bound> {
        match self {
            Self::Enroll { proof, .. }
            | Self::Disable(proof)
            | Self::Regenerate(proof)
            | Self::Rename(_, proof)
            | Self::Revoke(_, proof) => proof.as_ref(),
            _ => None,
        }
    }
}
