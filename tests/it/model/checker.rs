//! Checks the invariants against what was seen, independently of the oracle. If `strict`, the oracle has to agree as
//! well.

// `fuzz` includes this file by its path, so the paths of the submodules have to be explicit.
#[path = "checker/additions.rs"]
mod additions;
#[path = "checker/budget.rs"]
mod budget;
#[path = "checker/logins.rs"]
mod logins;
#[path = "checker/record.rs"]
mod record;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use keyfob::guard::{
    Accepted, AuthenticatorId, Event, EventKind, Generation, GuardErrorKind, Notice, Proof, Refusal, SignIn,
};
pub use logins::DeviceOf;
use record::Record;

use super::call::{adopted, lost};
use super::invariant::{Invariant, Violation};
use super::oracle::{Answer, DAY, Gate, Kind, Limits, Notices, Op, Phone, Share, State, Typed, World};

/// A call. `source` is the phone and the counter of the typed code, or of the second one of two.
#[derive(Clone, Debug)]
pub struct Call {
    pub op: Op,
    pub typed: [String; 2],
    pub source: Option<(usize, u64)>,
    pub with: With,
}

/// What a call passes to the guard, besides what was typed.
#[derive(Clone, Debug, Default)]
pub struct With {
    pub proof: Option<Proof>,
    /// The text of a token of a login, of a handle or of a device, or the id of a device to forget.
    pub token: Option<String>,
    pub kept: Option<Arc<Kept>>,
    pub session: Option<Generation>,
    /// How often everything from before had become void at the account when this was made.
    pub born: Option<u64>,
}

/// What holds an accepted code, which cannot be cloned.
#[derive(Debug)]
pub enum Kept {
    SignIn(SignIn),
    Verdict(Accepted),
}

impl Kept {
    pub fn accepted(&self) -> &Accepted {
        match self {
            Self::SignIn(sign_in) => sign_in.accepted().expect("only a sign-in with a code is kept"),
            Self::Verdict(accepted) => accepted,
        }
    }
}

pub struct Seen {
    pub outcome: Result<Answer, GuardErrorKind>,
    /// Whether the caller gave up.
    pub dropped: bool,
    pub phone: Option<Phone>,
    /// The ids of the authenticators that were adopted.
    pub adopted: Vec<AuthenticatorId>,
    /// The last secret that was made.
    pub secret: Vec<u8>,
    pub codes: Option<Vec<String>>,
    pub kept: Option<Kept>,
    /// From a voucher.
    pub proof: Option<Proof>,
    /// A new challenge, ticket, voucher, handle or device.
    pub token: Option<String>,
    /// The generation for the session.
    pub session: Option<Generation>,
    pub notices: Vec<Notice>,
    pub events: Vec<Event>,
}

/// The store's part in a call: how many changes took effect, the error it may have caused, and the record afterwards,
/// unless another request has written since.
pub struct Stored<'a> {
    pub applied: u32,
    pub faulted: Option<GuardErrorKind>,
    /// Whether the primary key changed before the change was stored.
    pub rotated: bool,
    pub record: Option<Option<&'a Record>>,
}

#[derive(Default)]
pub struct Account {
    pub name: String,
    pub state: Option<State>,
    pub snapshot: Option<(Option<Vec<u8>>, Option<State>)>,
    pub last: Option<Call>,
    /// How often everything from before became void: with each change of the factors or of the epoch.
    pub voids: u64,
    /// The latest epoch that it has had, also in what a restored backup undid.
    pub epoch: u64,
    suspended: bool,
    /// Answered failures since the last success: those that were not from a known device, and those that were.
    failures: [u64; 2],
    /// The time of the latest one, by any clock that was not set back since.
    failed_at: [u64; 2],
    /// The latest time by any clock, until a clock shows it to be further ahead than servers may differ.
    ahead: u64,
    /// All answered failures, a day in seconds each, minus what was forgiven since by the right clock.
    total: u64,
    /// Those from known devices, times four, because a quarter of what is forgiven is theirs.
    known_total: u64,
    /// The number of those from known devices, without what was forgiven.
    known_ever: u64,
    clock: u64,
    /// The notices that were sent and not acknowledged.
    told: Notices,
    /// The voucher that the pending enrollment began with.
    voucher: Option<u64>,
    /// The record that was parsed last.
    record: Option<(Vec<u8>, Arc<Record>)>,
}

impl Account {
    /// Forgets all failures.
    fn refill(&mut self) {
        (self.failures, self.total, self.known_total, self.known_ever) = ([0, 0], 0, 0, 0);
    }
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
    pub devices: Vec<DeviceOf>,
    pub accounts: Vec<Account>,
    pub primary: usize,
    pub counts: Counts,
    creations: u64,
    accepted: HashSet<(usize, u64)>,
    /// The repetitions that were not counted.
    free: HashSet<(usize, u64)>,
    /// The account, the kind and the id of each token that completed a login.
    completed: HashSet<(usize, Kind, u64)>,
    highest: HashMap<usize, u64>,
    gone: HashSet<usize>,
    spent: HashSet<String>,
    replaced: HashSet<String>,
    /// The vouchers that were redeemed, and those that have added an authenticator.
    redeemed: HashSet<u64>,
    added: HashSet<u64>,
    /// The authenticators whose enrollment is not pending anymore.
    ended: HashSet<usize>,
    /// How often each secret was compared since a code of its account was accepted.
    in_a_row: HashMap<usize, u64>,
}

impl Checker {
    pub fn new(limits: Limits, strict: bool, accounts: &[&str]) -> Self {
        let account = |name: &&str| Account { name: (*name).into(), ..Account::default() };
        Self {
            limits,
            strict,
            phones: Vec::new(),
            ids: Vec::new(),
            devices: Vec::new(),
            accounts: accounts.iter().map(account).collect(),
            primary: 0,
            counts: Counts::default(),
            creations: 0,
            accepted: HashSet::new(),
            free: HashSet::new(),
            completed: HashSet::new(),
            highest: HashMap::new(),
            gone: HashSet::new(),
            spent: HashSet::new(),
            replaced: HashSet::new(),
            redeemed: HashSet::new(),
            added: HashSet::new(),
            ended: HashSet::new(),
            in_a_row: HashMap::new(),
        }
    }

    /// Whether a code may be compared that does not come from a known device.
    pub fn gate(&self, at: usize, now: u64) -> Gate {
        self.gate_of(at, now, None).1
    }

    fn gate_of(&self, at: usize, now: u64, device: Option<usize>) -> (Share, Gate) {
        let Some(state) = &self.accounts[at].state else { return (Share::Whole, Gate::Open) };
        let share = state.share(self.limits, now, device);
        (share, state.budget.gate(self.limits, now, share))
    }

    pub fn check(
        &mut self,
        at: usize,
        call: &Call,
        moment: Moment,
        seen: &mut Seen,
        stored: &Stored<'_>,
    ) -> Result<(), Violation> {
        if self.counts.0.is_some() {
            self.count(at, call, moment.server, &seen.outcome);
        }
        let Some(now) = moment.server else {
            // A made-up token is refused before anything else.
            let kind = match call.op {
                _ if !call.op.is_forged() => GuardErrorKind::Clock,
                Op::Reopen(_) => GuardErrorKind::NoEnrollment,
                _ => GuardErrorKind::LoginRejected,
            };
            let right = seen.outcome == Err(kind) && stored.applied == 0;
            return Invariant::WritesOnce.require(right, || format!("without a clock: {:?}", seen.outcome));
        };
        self.creations += 1;
        let world = World {
            account: at,
            now,
            limits: self.limits,
            phones: &self.phones,
            primary: self.primary,
            latest: self.primary + usize::from(stored.rotated),
            creation: self.creations,
        };
        let (expected, next) = world.predict(self.accounts[at].state.as_ref(), &call.op);
        let silent = stored.faulted.is_some_and(|kind| seen.outcome == Err(kind));
        // If it was written but the answer was lost, it counts as answered: the code must not be accepted again.
        let outcome = if silent && stored.applied > 0 { &expected } else { &seen.outcome };
        let free = *outcome == expected && self.repeated(at, outcome, &next)?;
        self.invariants(at, call, (now, moment), (outcome, free))?;
        self.logins(at, call, now, outcome)?;
        self.additions(at, call, now, (outcome, seen), stored.record)?;
        self.writes(call, &seen.outcome, stored, next.is_some())?;
        if let Ok(answer) = &seen.outcome
            && let Some(record) = stored.record
        {
            self.carried(at, now, call, (answer, free), record)?;
        }

        // The authenticator is active, but its recovery codes could not be stored.
        let short = stored.faulted.is_some() && seen.outcome == Ok(Answer::Confirmed { recovery_codes: false });
        let agreed = expected == seen.outcome || (short && expected == Ok(Answer::Confirmed { recovery_codes: true }));
        Invariant::OracleAgrees
            .require(!self.strict || silent || agreed, || format!("expected {expected:?}, saw {:?}", seen.outcome))?;
        if let Some(mut next) = next.filter(|_| !silent || stored.applied > 0) {
            let record = stored.record.flatten();
            if let Some(next) = next.as_mut() {
                // Recovery codes are stored by a second change.
                let had = self.accounts[at].state.as_ref().is_some_and(|state| state.recovery.is_some());
                if matches!(expected, Ok(Answer::Confirmed { .. })) && !had && stored.applied < 2 {
                    next.recovery = None;
                }
            }
            self.take_over(at, call, (&expected, next), seen, record);
        }
        match stored.record {
            Some(record) if self.strict => self.same(at, record),
            _ => Ok(()),
        }
    }

    /// [`Invariant::FailureIsReported`].
    pub fn heard(&self, call: &Call, seen: &Seen) -> Result<(), Violation> {
        let mut heard = seen.events.iter().map(Event::kind);
        let reported = match (&seen.outcome, seen.dropped) {
            (_, true) => heard.any(|kind| matches!(kind, EventKind::Dropped { may_have_changed: true, .. })),
            (Err(kind), _) => {
                let told = |event: &EventKind| matches!(event, EventKind::Failed { kind: told, .. } if told == kind);
                // What anybody can send without knowing a password is not reported.
                let unreported = matches!(call.op, Op::IsCurrent(_) | Op::Status) || call.op.is_forged();
                unreported || heard.any(told)
            }
            _ => true,
        };
        Invariant::FailureIsReported.require(reported, || format!("no event for {:?}: {:?}", call.op, seen.outcome))
    }

    fn invariants(
        &mut self,
        at: usize,
        call: &Call,
        (now, moment): (u64, Moment),
        (outcome, free): (&Result<Answer, GuardErrorKind>, bool),
    ) -> Result<(), Violation> {
        let share = self.gate_of(at, now, call.op.device()).0;
        self.budget(at, call, (now, moment), (outcome, free))?;
        let limits = self.limits;
        let Ok(answer) = outcome else { return Ok(()) };
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
                let (Op::Verify(Typed::Recovery(code)) | Op::Answer(Typed::Recovery(code), _)) = &call.op else {
                    return Ok(());
                };
                let fresh = self.spent.insert(code.clone());
                Invariant::RecoveryCodeOnce.require(fresh, || "a recovery code was accepted again".into())
            }
            Answer::Replaced(true) => {
                let Op::ReplaceCode(login) = &call.op else { return Ok(()) };
                let fresh = login.recovery_code.clone().is_some_and(|code| self.replaced.insert(code));
                Invariant::RecoveryCodeOnce.require(fresh, || "a recovery code was replaced again".into())
            }
            // A server whose clock is ahead by up to an hour may have counted.
            Answer::Refused(Refusal::Throttled { retry_at }) => {
                bounded(now, retry_at, limits.longest_wait.max(DAY.div_ceil(limits.per_day)) + 3600)
            }
            Answer::Refused(Refusal::Exhausted { retry_at }) | Answer::Status { retry_at, .. } => {
                let days = match share {
                    Share::Whole => DAY,
                    Share::Reserved => 4 * DAY,
                    // The account may have had no known device when the failures were counted.
                    Share::Unreserved => ((limits.long_term / 4 + 1) * DAY * 4).div_ceil(3),
                };
                bounded(now, retry_at.unwrap_or(now), limits.longest_wait.max(days.div_ceil(limits.per_day)) + DAY)
            }
            _ => Ok(()),
        }
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

    /// Takes over the state that the oracle predicts, with what only the answer or the record shows.
    fn take_over(
        &mut self,
        at: usize,
        call: &Call,
        (expected, mut next): (&Result<Answer, GuardErrorKind>, Option<State>),
        seen: &mut Seen,
        record: Option<&Record>,
    ) {
        match (&call.op, &mut next) {
            (Op::Enroll { .. }, Some(next)) => {
                let phone = seen.phone.take().unwrap_or_else(|| {
                    // A broken store may have lost the enrollment.
                    let pending = record.and_then(|record| record.pending.as_ref());
                    let id = pending.map_or("lost", |pending| &pending.authenticator.id).parse().unwrap();
                    lost(&call.op, id, self.ids.len(), &seen.secret)
                });
                if let Some(pending) = &mut next.pending {
                    pending.authenticator.phone = self.phones.len();
                }
                self.ids.push(phone.id.clone());
                self.phones.push(phone);
            }
            (Op::Adopt(adoptees), Some(next)) => {
                let Ok(Answer::Adopted(answers)) = expected else { return };
                let mut active = next.active.iter_mut().enumerate();
                for (adoptee, _) in adoptees.iter().zip(answers).filter(|(_, answer)| answer.is_ok()) {
                    let Some((index, authenticator)) = active.next() else { break };
                    let id = seen.adopted.get(index).cloned().unwrap_or_else(|| {
                        let stored = record.and_then(|record| record.active.get(index));
                        stored.map_or("lost", |stored| &stored.id).parse().unwrap()
                    });
                    authenticator.phone = self.phones.len();
                    self.ids.push(id.clone());
                    self.phones.push(Phone { id, ..adopted(adoptee).1 });
                }
            }
            (Op::Vouch, Some(next)) => {
                let told = seen.token.as_ref().map(|token| token.split('~').nth(5).unwrap().parse().unwrap());
                next.voucher = told.or_else(|| record.map(|record| record.voucher)).unwrap_or(0);
            }
            (Op::ReplaceCode(login), Some(next)) => {
                let before = self.accounts[at].state.as_ref().and_then(|state| state.recovery.as_ref());
                let slot =
                    before.and_then(|(codes, _)| codes.iter().position(|(code, _)| *code == login.recovery_code));
                if let (Some(told), Some(slot), Some((codes, _))) = (seen.codes.take(), slot, &mut next.recovery) {
                    codes[slot].0 = told.into_iter().next();
                }
            }
            (Op::AddDevice(..), Some(next)) => self.added(at, next, seen.token.take(), record),
            (Op::Confirm(..) | Op::Regenerate(_), Some(next)) => {
                if let (Some(told), Some((codes, _))) = (seen.codes.take(), &mut next.recovery) {
                    *codes = told.into_iter().map(|code| (Some(code), false)).collect();
                }
            }
            _ => {}
        }
        let account = &mut self.accounts[at];
        if matches!(call.op, Op::Disable(_) | Op::Erase | Op::Remove) {
            account.refill();
        }
        let before = std::mem::replace(&mut account.state, next);
        account.epoch = account.state.as_ref().map_or(0, |state| state.epoch).max(account.epoch);
        let pending = |state: &Option<State>| Some(state.as_ref()?.pending.as_ref()?.authenticator.phone);
        let began = pending(&before).filter(|phone| pending(&account.state) != Some(*phone));
        self.ended.extend(began);
        let limits = self.limits;
        let all = |state: &State| state.pending.as_ref().is_some_and(|pending| pending.replaces.is_none());
        let single = account.state.as_ref().is_some_and(|state| state.active.len() == 1);
        let replaces_all = limits.strict
            && matches!(expected, Ok(Answer::Confirmed { .. }))
            && before.as_ref().is_some_and(|state| !state.active.is_empty() && single && all(state));
        if replaces_all {
            self.counts.add("Replaces all", 1);
        }
        let (before, next) = (before.unwrap_or_default(), account.state.as_ref());
        let had = before.recovery.map(|(codes, _)| codes).unwrap_or_default();
        let has = next.and_then(|next| next.recovery.as_ref()).map_or(&[][..], |(codes, _)| codes);
        if had != has {
            let lost = |code: &String| has.iter().all(|(other, _)| other.as_ref() != Some(code));
            self.spent.extend(had.into_iter().filter_map(|(code, _)| code).filter(lost));
        }
        let active = next.map_or(&[][..], |next| &next.active);
        let lost = |phone: &usize| active.iter().all(|other| other.phone != *phone);
        self.gone.extend(before.active.iter().map(|authenticator| authenticator.phone).filter(lost));
    }

    /// A backup is restored.
    pub fn restore(&mut self, at: usize, state: Option<State>) {
        // Proofs from the undone period could have the same generation as later ones.
        let account = &mut self.accounts[at];
        account.told = state.as_ref().and_then(|state| state.notices.clone()).unwrap_or_default();
        account.voucher = None;
        for pending in state.iter().filter_map(|state| state.pending.as_ref()) {
            self.ended.remove(&pending.authenticator.phone);
        }
        let codes = state.iter().filter_map(|state| state.recovery.as_ref()).flat_map(|(codes, _)| codes);
        for code in codes.filter_map(|(code, _)| code.as_ref()) {
            self.replaced.remove(code);
        }
        account.state = state;
    }

    /// After the record was erased or replaced, the guard cannot know which tickets have completed a login.
    pub fn revive(&mut self, at: usize) {
        self.completed.retain(|(account, kind, _)| *account != at || *kind != Kind::Ticket);
    }

    /// After a restored backup and invalidated codes, forgets exactly what the documentation says the guard cannot
    /// know. Steps up to the invalidated ones stay used.
    pub fn restored(&mut self, at: usize) {
        let account = &mut self.accounts[at];
        account.refill();
        account.suspended = account.state.as_ref().is_some_and(|state| state.suspended);
        let Some(state) = &account.state else { return };
        let pending = state.pending.iter().map(|pending| &pending.authenticator);
        for authenticator in state.active.iter().chain(pending) {
            self.gone.remove(&authenticator.phone);
            self.in_a_row.remove(&authenticator.phone);
            self.free.retain(|(phone, _)| *phone != authenticator.phone);
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

    fn count(&mut self, at: usize, call: &Call, now: Option<u64>, outcome: &Result<Answer, GuardErrorKind>) {
        let text = match outcome {
            Ok(Answer::Refused(Refusal::Exhausted { retry_at: None })) => "Exhausted for good".into(),
            Ok(Answer::Refused(reason)) => format!("{reason:?}"),
            Ok(Answer::Current(false)) => "NotCurrent".into(),
            Ok(Answer::SignedIn(method)) => format!("{method:?}"),
            Ok(Answer::Done) => format!("{:?}", call.op),
            Ok(Answer::Replaced(false)) => "Nothing to replace".into(),
            Ok(answer) => format!("{answer:?}"),
            Err(kind) => format!("{kind:?}"),
        };
        let whole = ["Exhausted for good", "Nothing to replace"].contains(&&*text);
        let word = if whole { &text } else { text.split([' ', '(', '{']).next().unwrap() };
        let mut words = vec![word.to_string()];
        let login = matches!(call.op, Op::Answer(..) | Op::Confirm(_, Some(_)));
        if login && matches!(outcome, Ok(Answer::Accepted { .. } | Answer::Confirmed { .. } | Answer::Recovered { .. }))
        {
            words.push(format!("{word} in a login"));
        }
        if let Ok(Answer::Adopted(answers)) = outcome {
            words.extend(answers.iter().map(|answer| match answer {
                Ok(true) => "Adopted one".into(),
                Ok(false) => "Kept".into(),
                Err(kind) => format!("{kind:?}"),
            }));
        }
        if let (Some(now), Ok(Answer::Refused(reason)), true) = (now, outcome, call.op.is_guess()) {
            let (share, gate) = self.gate_of(at, now, call.op.device());
            words.push(match (reason, gate) {
                (Refusal::Throttled { .. }, Gate::Open) => "Crowded".into(),
                (Refusal::Exhausted { .. } | Refusal::Throttled { .. }, _) => format!("{share:?} barred"),
                _ => format!("{share:?}"),
            });
        }
        words.extend(now.and_then(|now| self.reason(at, call, now, outcome)).map(String::from));
        for word in words {
            self.counts.add(&word, 1);
        }
    }
}

/// How often each kind of answer was seen, if that is counted.
#[derive(Default)]
pub struct Counts(pub Option<BTreeMap<String, u64>>);

impl Counts {
    pub fn add(&mut self, word: &str, times: u64) {
        if let Some(counts) = &mut self.0 {
            *counts.entry(word.into()).or_default() += times;
        }
    }
}

fn bounded(now: u64, retry_at: u64, longest: u64) -> Result<(), Violation> {
    let bounded = retry_at >= now && retry_at - now <= longest;
    Invariant::WaitsAreBounded.require(bounded, || format!("at {now}, wait until {retry_at}"))
}
