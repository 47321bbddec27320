//! Checks the invariants against what was seen, independently of the oracle. If `strict`, the oracle has to agree as
//! well.

use std::collections::{BTreeMap, HashMap, HashSet};

use keyfob::guard::{Accepted, AuthenticatorId, EventKind, GuardErrorKind, Refusal};
use serde_json::Value;

use super::invariant::{Invariant, Violation};
use super::oracle::{Answer, DAY, Gate, Limits, Op, Phone, State, Typed, World};

/// A call. `source` is the phone and the counter of the typed code, or of the second one of two.
#[derive(Clone, Debug)]
pub struct Call {
    pub op: Op,
    pub typed: [String; 2],
    pub source: Option<(usize, u64)>,
}

pub struct Seen {
    pub outcome: Result<Answer, GuardErrorKind>,
    /// Whether the caller gave up.
    pub dropped: bool,
    pub phone: Option<Phone>,
    pub codes: Option<Vec<String>>,
    pub accepted: Option<Accepted>,
}

/// The store's part in a call: how many changes took effect, the error it may have caused, and the record afterwards,
/// unless another request has written since.
pub struct Stored<'a> {
    pub applied: u32,
    pub faulted: Option<GuardErrorKind>,
    pub record: Option<Option<&'a [u8]>>,
}

#[derive(Default)]
pub struct Account {
    pub name: String,
    pub state: Option<State>,
    pub snapshot: Option<(Option<Vec<u8>>, Option<State>)>,
    pub last: Option<Call>,
    /// Answered failures since the last success.
    failures: u64,
    /// The time of the latest one, by any clock that was not set back since.
    failed_at: u64,
    /// The latest time by any clock, until a clock shows it to be further ahead than servers may differ.
    ahead: u64,
    /// All answered failures, a day in seconds each, minus what was forgiven since by the right clock.
    total: u64,
    clock: u64,
}

/// The time of a call, by the clock of the server that handles it and by the right clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub server: Option<u64>,
    pub right: u64,
    /// How many seconds the second server lags.
    pub lag: u64,
}

pub struct Checker {
    pub limits: Limits,
    pub strict: bool,
    pub phones: Vec<Phone>,
    pub ids: Vec<AuthenticatorId>,
    pub accounts: Vec<Account>,
    pub primary: usize,
    /// How often each kind of answer was seen.
    pub counts: BTreeMap<String, u64>,
    epoch: u64,
    accepted: HashSet<(usize, u64)>,
    highest: HashMap<usize, u64>,
    gone: HashSet<usize>,
    spent: HashSet<String>,
}

impl Checker {
    pub fn new(limits: Limits, strict: bool, accounts: &[&str]) -> Self {
        let account = |name: &&str| Account { name: (*name).into(), ..Account::default() };
        Self {
            limits,
            strict,
            phones: Vec::new(),
            ids: Vec::new(),
            accounts: accounts.iter().map(account).collect(),
            primary: 0,
            counts: BTreeMap::new(),
            epoch: 0,
            accepted: HashSet::new(),
            highest: HashMap::new(),
            gone: HashSet::new(),
            spent: HashSet::new(),
        }
    }

    pub fn gate(&self, at: usize, now: u64) -> Gate {
        self.accounts[at].state.as_ref().map_or(Gate::Open, |state| state.budget.gate(self.limits, now))
    }

    pub fn check(
        &mut self,
        at: usize,
        call: &Call,
        moment: Moment,
        seen: &mut Seen,
        stored: &Stored<'_>,
    ) -> Result<(), Violation> {
        self.count(call, &seen.outcome);
        let Some(now) = moment.server else {
            let right = seen.outcome == Err(GuardErrorKind::Clock) && stored.applied == 0;
            return Invariant::WritesOnce.require(right, || format!("without a clock: {:?}", seen.outcome));
        };
        self.epoch += 1;
        let world = World {
            account: at,
            now,
            limits: self.limits,
            phones: &self.phones,
            primary: self.primary,
            epoch: self.epoch,
        };
        let (expected, next) = world.predict(self.accounts[at].state.as_ref(), &call.op);
        let old_key = self.accounts[at].state.as_ref().is_some_and(|state| state.old_key(self.primary));
        let silent = stored.faulted.is_some_and(|kind| seen.outcome == Err(kind));
        // If it was written but the answer was lost, it counts as answered: the code must not be accepted again.
        let outcome = if silent && stored.applied > 0 { &expected } else { &seen.outcome };
        self.invariants(at, call, (now, moment), outcome)?;
        self.writes(call, &seen.outcome, stored, next.is_some())?;
        if let Ok(answer) = &seen.outcome
            && let Some(record) = stored.record
        {
            self.carried(at, now, call, answer, record)?;
        }

        // The authenticator is active, but its recovery codes could not be stored.
        let short = stored.faulted.is_some() && seen.outcome == Ok(Answer::Confirmed { recovery_codes: false });
        let agreed = expected == seen.outcome || (short && expected == Ok(Answer::Confirmed { recovery_codes: true }));
        Invariant::OracleAgrees
            .require(!self.strict || silent || agreed, || format!("expected {expected:?}, saw {:?}", seen.outcome))?;
        if let Some(mut next) = next.filter(|_| !silent || stored.applied > 0) {
            let record = stored.record.flatten();
            if let Some(next) = next.as_mut() {
                if old_key && matches!(call.op, Op::Verify(_)) {
                    next.reseal(self.primary, now);
                }
                // Recovery codes are stored by a second change.
                let had = self.accounts[at].state.as_ref().is_some_and(|state| state.recovery.is_some());
                if matches!(expected, Ok(Answer::Confirmed { .. })) && !had && stored.applied < 2 {
                    next.recovery = None;
                }
            }
            self.adopt(at, call, next, seen, record);
        }
        match stored.record {
            Some(record) if self.strict => self.same(at, record),
            _ => Ok(()),
        }
    }

    /// [`Invariant::FailureIsReported`].
    pub fn heard(&self, call: &Call, seen: &Seen, heard: &[EventKind]) -> Result<(), Violation> {
        let reported = match (&seen.outcome, seen.dropped) {
            (_, true) => heard.iter().any(|kind| matches!(kind, EventKind::Dropped { may_have_changed: true, .. })),
            (Err(kind), _) => {
                let told = |event: &EventKind| matches!(event, EventKind::Failed { kind: told, .. } if told == kind);
                matches!(call.op, Op::Status) || heard.iter().any(told)
            }
            _ => true,
        };
        Invariant::FailureIsReported.require(reported, || format!("no event for {:?}: {:?}", call.op, seen.outcome))
    }

    fn invariants(
        &mut self,
        at: usize,
        call: &Call,
        (now, Moment { right, lag, .. }): (u64, Moment),
        outcome: &Result<Answer, GuardErrorKind>,
    ) -> Result<(), Violation> {
        let gate = self.gate(at, now);
        let account = &mut self.accounts[at];
        // After the right clock was set back, a lagging server may be the first to notice.
        let forward = right.checked_sub(account.clock).unwrap_or_else(|| {
            account.failed_at = account.failed_at.min(right.saturating_sub(lag));
            lag
        });
        // A lagging server cannot tell its lag from a small correction of the right clock.
        if account.ahead.saturating_sub(now) > HOUR {
            account.ahead = now;
            account.failed_at = account.failed_at.min(now);
        }
        account.clock = right;
        account.total = account.total.saturating_sub(forward.saturating_mul(self.limits.per_day));
        let Ok(answer) = outcome else { return Ok(()) };

        let waiting = account.state.as_ref().and_then(|state| state.pending.as_ref());
        let imported = waiting.is_some_and(|pending| pending.imported);
        let first = account.state.as_ref().is_none_or(|state| state.active.is_empty());
        let confirms = imported && matches!(call.op, Op::Confirm(Typed::Code(_)));
        let guess = confirms || matches!(call.op, Op::Verify(Typed::Code(_)) | Op::Resync(..));
        let missed = guess && matches!(answer, Answer::Refused(Refusal::WrongCode | Refusal::Replayed));
        let hit = matches!(answer, Answer::Accepted { .. } | Answer::Resynchronized { .. })
            || (confirms && matches!(answer, Answer::Confirmed { .. }));
        let wait = self.limits.wait(account.failures);
        let waited = wait == 0 || now >= account.failed_at.saturating_add(wait);
        Invariant::NotComparedWhileThrottled.require(waited || !(hit || missed), || {
            format!("compared less than {wait} s after {}", account.failed_at)
        })?;
        if missed {
            // Failures before a success or a removal do not count.
            account.failed_at = if account.failures == 0 { now } else { account.failed_at.max(now) };
            account.failures += 1;
            account.ahead = account.ahead.max(now);
            account.total += DAY;
            // If the lagging server counts first after everything was forgiven, the other server forgives the lag as
            // well.
            let most = self.limits.long_term * DAY + lag * self.limits.per_day;
            Invariant::WithinBudget
                .require(account.failures <= self.limits.consecutive && account.total <= most, || {
                    format!("{} in a row, {} s in all", account.failures, account.total)
                })?;
        }
        if hit || missed {
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
        let rebound = !imported && !first && matches!(answer, Answer::Confirmed { .. });
        let lifted = rebound
            || matches!(answer, Answer::Recovered { .. })
            || (*answer == Answer::Done && matches!(call.op, Op::Lift));
        if hit || lifted {
            account.failures = 0;
        }
        if lifted && matches!(gate, Gate::Exhausted(_)) {
            account.total = 0;
        }
        match *answer {
            Answer::Accepted { phone, drift, .. } | Answer::Resynchronized { phone, drift } => {
                Invariant::StaysRefused
                    .require(!self.gone.contains(&phone), || format!("authenticator {phone} is revoked"))?;
                let counter = self.counter(at, phone, drift, now, call);
                if matches!(answer, Answer::Resynchronized { .. }) {
                    self.spend(phone, counter - 1)?;
                }
                self.spend(phone, counter)
            }
            Answer::Confirmed { .. } => call.source.map_or(Ok(()), |(phone, counter)| self.spend(phone, counter)),
            Answer::Recovered { .. } => {
                let Op::Verify(Typed::Recovery(code)) = &call.op else { return Ok(()) };
                let fresh = self.spent.insert(code.clone());
                Invariant::RecoveryCodeOnce.require(fresh, || "a recovery code was accepted again".into())
            }
            // A server whose clock is ahead by up to an hour may have counted.
            Answer::Refused(Refusal::Throttled { retry_at }) => self.bounded(now, retry_at, 3600),
            Answer::Refused(Refusal::Exhausted { retry_at }) | Answer::Status { retry_at, .. } => {
                self.bounded(now, retry_at.unwrap_or(now), DAY)
            }
            _ => Ok(()),
        }
    }

    fn bounded(&self, now: u64, retry_at: u64, ahead: u64) -> Result<(), Violation> {
        let longest = self.limits.longest_wait.max(DAY.div_ceil(self.limits.per_day));
        let bounded = retry_at >= now && retry_at - now <= longest + ahead;
        Invariant::WaitsAreBounded.require(bounded, || format!("at {now}, wait until {retry_at}"))
    }

    fn spend(&mut self, phone: usize, counter: u64) -> Result<(), Violation> {
        Invariant::AcceptedOnce.require(self.accepted.insert((phone, counter)), || {
            format!("{counter} of authenticator {phone} was accepted again")
        })?;
        let before = self.highest.insert(phone, counter);
        Invariant::Increasing.require(before.is_none_or(|highest| highest < counter), || {
            format!("{counter} of authenticator {phone} after {before:?}")
        })
    }

    fn counter(&self, at: usize, phone: usize, drift: i64, now: u64, call: &Call) -> u64 {
        match (self.phones[phone].period, call.source) {
            (Some(period), _) => (now / period).wrapping_add_signed(drift),
            // A broken store may have changed the counter in the record.
            (None, Some((source, counter))) if source == phone && !self.strict => counter,
            // A code can also match another counter, or another phone, by chance.
            _ => {
                let active = self.accounts[at].state.iter().flat_map(|state| &state.active);
                let found = active.into_iter().find(|authenticator| authenticator.phone == phone);
                let spent = found.map_or(0, |authenticator| authenticator.next);
                spent.wrapping_add_signed(drift)
            }
        }
    }

    /// [`Invariant::WritesOnce`]. An error of the store itself may come after its write.
    fn writes(
        &self,
        call: &Call,
        outcome: &Result<Answer, GuardErrorKind>,
        stored: &Stored<'_>,
        changes: bool,
    ) -> Result<(), Violation> {
        let allowed = match outcome {
            Err(GuardErrorKind::Store) => 1,
            Err(_) => 0,
            Ok(Answer::Confirmed { .. }) => 2,
            Ok(_) => 1,
        };
        let seen = || format!("{} writes for {:?}: {outcome:?}", stored.applied, call.op);
        Invariant::WritesOnce.require(stored.applied <= allowed, seen)?;
        Invariant::AnswerIsStored.require(outcome.is_err() || !changes || stored.applied > 0, seen)
    }

    /// [`Invariant::AnswerIsStored`].
    fn carried(
        &self,
        at: usize,
        now: u64,
        call: &Call,
        answer: &Answer,
        record: Option<&[u8]>,
    ) -> Result<(), Violation> {
        let record = record.map_or(Value::Null, read);
        let next_of = |phone: usize| {
            let mut active = record["active"].as_array().into_iter().flatten();
            active.find(|authenticator| authenticator["id"] == self.ids[phone].as_str())?["next"].as_u64()
        };
        let carried = match *answer {
            Answer::Accepted { phone, drift, .. } | Answer::Resynchronized { phone, drift } => {
                next_of(phone) > Some(self.counter(at, phone, drift, now, call))
            }
            Answer::Recovered { left } => {
                let codes = record["recovery"]["codes"].as_array().into_iter().flatten();
                codes.filter(|code| code[1] == 0).count() == left
            }
            Answer::Refused(Refusal::WrongCode | Refusal::Replayed)
                if matches!(call.op, Op::Verify(Typed::Code(_)) | Op::Resync(..)) =>
            {
                record["budget"]["failures"].as_u64() > Some(0)
            }
            _ => true,
        };
        Invariant::AnswerIsStored.require(carried, || format!("the record does not carry {answer:?}"))
    }

    fn adopt(&mut self, at: usize, call: &Call, mut next: Option<State>, seen: &mut Seen, record: Option<&[u8]>) {
        let lost = || record.map_or(Value::Null, read);
        match (&call.op, &mut next) {
            (Op::Enroll { hotp, odd, .. }, Some(next)) => {
                // If the answer was lost, the secret is unknown.
                let phone = seen.phone.take().unwrap_or_else(|| {
                    let id = lost()["pending"]["authenticator"]["id"].as_str().and_then(|id| id.parse().ok());
                    let period = (!hotp).then_some(if *odd { 60 } else { 30 });
                    Phone { id: id.unwrap(), hotp: None, period, counter: 0, ahead: 0 }
                });
                if let Some(pending) = &mut next.pending {
                    pending.authenticator.phone = self.phones.len();
                }
                self.ids.push(phone.id.clone());
                self.phones.push(phone);
            }
            (Op::Confirm(_) | Op::Regenerate(_), Some(next)) => {
                if let (Some(told), Some((codes, _))) = (seen.codes.take(), &mut next.recovery) {
                    *codes = told.into_iter().map(|code| (Some(code), false)).collect();
                }
            }
            _ => {}
        }
        let account = &mut self.accounts[at];
        if next.is_none() {
            (account.failures, account.total) = (0, 0);
        }
        let before = std::mem::replace(&mut account.state, next);
        let codes = |state: &Option<State>| -> HashSet<String> {
            let sets = state.iter().flat_map(|state| &state.recovery);
            sets.flat_map(|(codes, _)| codes.iter().filter_map(|(code, _)| code.clone())).collect()
        };
        let phones = |state: &Option<State>| -> HashSet<usize> {
            state.iter().flat_map(|state| state.active.iter().map(|authenticator| authenticator.phone)).collect()
        };
        self.spent.extend(codes(&before).difference(&codes(&account.state)).cloned());
        self.gone.extend(phones(&before).difference(&phones(&account.state)));
    }

    /// After a restored backup and invalidated codes, forgets exactly what the documentation says the guard cannot
    /// know. Steps up to the invalidated ones stay used.
    pub fn restored(&mut self, at: usize) {
        let account = &mut self.accounts[at];
        (account.failures, account.total) = (0, 0);
        let Some(state) = &account.state else { return };
        let pending = state.pending.iter().map(|pending| &pending.authenticator);
        for authenticator in state.active.iter().chain(pending) {
            self.gone.remove(&authenticator.phone);
            self.accepted.retain(|(phone, counter)| *phone != authenticator.phone || *counter < authenticator.next);
            self.highest.remove(&authenticator.phone);
            self.highest.extend(authenticator.next.checked_sub(1).map(|highest| (authenticator.phone, highest)));
        }
        for (code, used) in state.recovery.iter().flat_map(|(codes, _)| codes) {
            if let Some(code) = code.as_ref().filter(|_| !used) {
                self.spent.remove(code);
            }
        }
    }

    /// Compares the record with the state of the oracle.
    fn same(&self, at: usize, record: Option<&[u8]>) -> Result<(), Violation> {
        let state = self.accounts[at].state.as_ref();
        let value = record.map(read);
        let same = match (state, &value) {
            (None, None) => true,
            (Some(state), Some(value)) => self.agree(state, value),
            _ => false,
        };
        Invariant::OracleAgrees.require(same, || format!("{state:?} is not {value:?}"))
    }

    fn agree(&self, state: &State, value: &Value) -> bool {
        let same = |authenticator: &super::oracle::Authenticator, value: &Value| {
            value["id"] == self.ids[authenticator.phone].as_str()
                && value["next"] == authenticator.next
                && value["disclosed"] == authenticator.disclosed
                && value["drift"] == authenticator.drift
                && value["lean"] == authenticator.lean
                && value["anchor"] == authenticator.anchor
                && value["secret"]["key"] == format!("k{}", authenticator.key)
        };
        let active = value["active"].as_array().unwrap();
        let used = value["recovery"]["codes"].as_array().map(|codes| codes.iter().map(|code| code[1] != 0));
        let budget = &state.budget;
        let stored = &value["budget"];
        active.len() == state.active.len()
            && state.active.iter().zip(active).all(|(a, b)| same(a, b))
            && state.pending.is_some() == value["pending"].is_object()
            && state.pending.as_ref().is_none_or(|pending| {
                let stored = &value["pending"];
                same(&pending.authenticator, &stored["authenticator"])
                    && (stored["since"] == pending.since && stored["tries"] == pending.tries)
                    && stored["imported"] == pending.imported
            })
            && match (&state.recovery, used) {
                (Some((codes, key)), Some(used)) => {
                    codes.iter().map(|(_, used)| *used).eq(used) && value["recovery"]["key"]["key"] == format!("k{key}")
                }
                (None, None) => true,
                _ => false,
            }
            && stored["failures"] == budget.failures
            && stored["failed_at"] == budget.failed_at
            && stored["level"] == budget.level
            && stored["level_at"] == budget.level_at
            && stored["until"] == budget.until
            && stored["reported_at"] == budget.reported_at
    }

    fn count(&mut self, call: &Call, outcome: &Result<Answer, GuardErrorKind>) {
        let text = match outcome {
            Ok(Answer::Refused(Refusal::Exhausted { retry_at: None })) => "Exhausted for good".into(),
            Ok(Answer::Refused(reason)) => format!("{reason:?}"),
            Ok(Answer::Done) => format!("{:?}", call.op),
            Ok(answer) => format!("{answer:?}"),
            Err(kind) => format!("{kind:?}"),
        };
        let word = if text == "Exhausted for good" { &text } else { text.split([' ', '(', '{']).next().unwrap() };
        *self.counts.entry(word.into()).or_default() += 1;
    }
}

/// Parses a record, and moves a confirmed enrollment to the active authenticators, as the guard does.
fn read(record: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(record).unwrap();
    if value["pending"]["confirmed"] == 1 {
        let mut pending = value.as_object_mut().unwrap().remove("pending").unwrap();
        let active = value["active"].as_array_mut().unwrap();
        active.retain(|authenticator| authenticator["id"] != pending["replaces"]);
        active.push(pending["authenticator"].take());
    }
    value
}

/// How far the clocks of servers may differ, in seconds.
const HOUR: u64 = 3600;
