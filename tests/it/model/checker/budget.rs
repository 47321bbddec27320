//! The invariants of the guess budget, checked against what was answered before.

use keyfob::guard::{GuardErrorKind, Refusal};

use super::super::invariant::{Invariant, Violation};
use super::super::oracle::{Answer, DAY, Gate, Op, Share, State, Typed};
use super::{Call, Checker, Moment};

impl Checker {
    /// Follows the guess budget, with what was answered.
    pub(super) fn budget(
        &mut self,
        at: usize,
        call: &Call,
        (now, Moment { right, lag, .. }): (u64, Moment),
        (outcome, free): (&Result<Answer, GuardErrorKind>, bool),
    ) -> Result<(), Violation> {
        let (share, gate) = self.gate_of(at, now, call.op.device());
        let limits = self.limits;
        self.strictly(at, call, (outcome, free))?;
        let account = &mut self.accounts[at];
        // After the right clock was set back, a lagging server may be the first to notice.
        let forward = right.checked_sub(account.clock).unwrap_or_else(|| {
            account.failed_at = account.failed_at.map(|at| at.min(right.saturating_sub(lag)));
            lag
        });
        // A lagging server cannot tell its lag from a small correction of the right clock.
        if account.ahead.saturating_sub(now) > HOUR {
            account.ahead = now;
            account.failed_at = account.failed_at.map(|at| at.min(now));
        }
        account.clock = right;
        let forgiven = forward.saturating_mul(limits.per_day);
        account.total = account.total.saturating_sub(forgiven);
        account.known_total = account.known_total.saturating_sub(forgiven);
        let Ok(answer) = outcome else { return Ok(()) };

        let waiting = account.state.as_ref().and_then(|state| state.pending.as_ref());
        let imported = waiting.is_some_and(|pending| pending.imported);
        let first = account.state.as_ref().is_none_or(|state| state.active.is_empty());
        let confirms = imported && matches!(call.op, Op::Confirm(Typed::Code(_), _));
        let guess = confirms || call.op.is_guess();
        let missed = guess && !free && matches!(answer, Answer::Refused(Refusal::WrongCode | Refusal::Replayed));
        let hit = matches!(answer, Answer::Accepted { .. } | Answer::Resynchronized { .. })
            || (confirms && matches!(answer, Answer::Confirmed { .. }));
        let compared = hit || missed || free;
        // Each share has waits of its own.
        let [others, known] = account.failures;
        let (count, failed_at) = match share {
            Share::Whole => {
                let latest = |index: usize| if account.failures[index] > 0 { account.failed_at[index] } else { 0 };
                (others + known, latest(0).max(latest(1)))
            }
            Share::Unreserved => (others, account.failed_at[0]),
            Share::Reserved => (known, account.failed_at[1]),
        };
        let wait = limits.wait(count);
        let waited = wait == 0 || now >= failed_at.saturating_add(wait);
        Invariant::NotComparedWhileThrottled
            .require(waited || !compared, || format!("compared less than {wait} s after {failed_at}"))?;
        if missed {
            let index = usize::from(share == Share::Reserved);
            // Failures before a success or a removal do not count.
            let before = if account.failures[index] == 0 { now } else { account.failed_at[index] };
            account.failed_at[index] = before.max(now);
            account.failures[index] += 1;
            account.ahead = account.ahead.max(now);
            account.total += DAY;
            if share == Share::Reserved {
                account.known_total += 4 * DAY;
                account.known_ever += 1;
            }
            // If the lagging server counts first after everything was forgiven, the other server forgives the lag as
            // well.
            let slack = lag * limits.per_day;
            let (reserve, reserved) = (limits.consecutive / 4, limits.long_term / 4 * DAY);
            let [others, known] = account.failures;
            // What is left of the reserve at most, because it is not known what was forgiven.
            let kept = (limits.long_term / 4).saturating_sub(account.known_ever) * DAY;
            let within = others + known <= limits.consecutive
                && account.total <= limits.long_term * DAY + slack
                && match share {
                    Share::Whole => true,
                    Share::Unreserved => {
                        others <= limits.consecutive - reserve && account.total <= limits.long_term * DAY - kept + slack
                    }
                    Share::Reserved => known <= reserve && account.known_total / 4 <= reserved + slack,
                };
            Invariant::WithinBudget.require(within, || {
                let (total, known_total) = (account.total, account.known_total / 4);
                format!("{share:?}: {others} and {known} in a row, {total} s in all, {known_total} s of it reserved")
            })?;
        }
        if compared {
            let barred = match gate {
                Gate::Open => None,
                Gate::Throttled(_) => Some(Invariant::NotComparedWhileThrottled),
                // By the long-term count, which drains over time.
                Gate::Exhausted(Some(_)) => Some(Invariant::WithinBudget),
                // By the consecutive count, which does not.
                Gate::Exhausted(None) => Some(Invariant::StaysRefused),
            };
            if let Some(invariant) = barred {
                return Err(Violation(invariant, format!("compared with the budget {gate:?}: {answer:?}")));
            }
        }
        let vouched = waiting.is_some_and(|pending| pending.voucher != 0);
        let exhausted = |state: &State| state.budget.exhausted(limits, now, state.has_device(now));
        let exhausted = account.state.as_ref().is_some_and(exhausted);
        let rebound = !imported && !first && !vouched && (exhausted || !limits.strict);
        let helped =
            matches!(answer, Answer::Recovered { .. }) || (*answer == Answer::Done && matches!(call.op, Op::Lift));
        let lifted = (rebound && matches!(answer, Answer::Confirmed { .. })) || (helped && !limits.strict);
        // Who imports a secret may have known it before.
        let keeps = confirms && !first && (vouched || limits.strict);
        if (hit && !keeps) || lifted {
            account.failures = [0, 0];
        }
        if lifted && exhausted {
            (account.total, account.known_total, account.known_ever) = (0, 0, 0);
        }
        Ok(())
    }

    /// [`Invariant::StrictlyLimited`].
    fn strictly(
        &mut self,
        at: usize,
        call: &Call,
        (outcome, free): (&Result<Answer, GuardErrorKind>, bool),
    ) -> Result<(), Violation> {
        let (Some(state), true) = (&self.accounts[at].state, self.limits.strict) else { return Ok(()) };
        let active = state.active.iter().map(|authenticator| authenticator.phone);
        match outcome {
            Ok(Answer::Accepted { .. } | Answer::Resynchronized { .. }) => {
                self.in_a_row.retain(|phone, _| active.clone().all(|active| active != *phone));
            }
            // A code of the new authenticator itself.
            Ok(Answer::Confirmed { .. }) => {
                let pending = state.pending.as_ref().map(|pending| pending.authenticator.phone);
                self.in_a_row.retain(|phone, _| Some(*phone) != pending);
            }
            Ok(Answer::Refused(Refusal::WrongCode | Refusal::Replayed)) if !free => {
                let pending = state.pending.iter().filter(|pending| pending.imported);
                let pending = pending.map(|pending| pending.authenticator.phone);
                let compared: Vec<usize> = match call.op {
                    Op::Confirm(Typed::Code(_), _) => pending.collect(),
                    _ if call.op.is_guess() => active.collect(),
                    _ => Vec::new(),
                };
                for phone in compared {
                    let count = self.in_a_row.entry(phone).or_default();
                    *count += 1;
                    Invariant::StrictlyLimited
                        .require(*count <= self.limits.consecutive, || format!("{count} times for {phone}"))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether this was a repetition of the last accepted code that was not counted. Each code has one.
    pub(super) fn repeated(
        &mut self,
        at: usize,
        outcome: &Result<Answer, GuardErrorKind>,
        next: &Option<Option<State>>,
    ) -> Result<bool, Violation> {
        let (Some(before), Some(Some(next))) = (&self.accounts[at].state, next) else { return Ok(false) };
        let free = *outcome == Ok(Answer::Refused(Refusal::Replayed)) && next.budget.failures == before.budget.failures;
        if free {
            let repeats =
                before.active.iter().zip(&next.active).filter(|(before, next)| before.repeated != next.repeated);
            let fresh = repeats.filter(|(_, next)| self.free.insert((next.phone, next.next))).count();
            Invariant::WithinBudget.require(fresh > 0, || "a code was repeated without being counted, again".into())?;
            self.counts.add("Free", 1);
        }
        Ok(free)
    }
}

/// How far the clocks of servers may differ, in seconds.
const HOUR: u64 = 3600;
