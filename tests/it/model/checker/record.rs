//! Compares stored records with the answer, and with the state of the oracle.

use std::sync::Arc;

use keyfob::guard::Refusal;
use serde::{Deserialize, Deserializer};

use super::super::invariant::{Invariant, Violation};
use super::super::oracle::{self, Answer, Op, State};
use super::{Account, Call, Checker};

/// The fields of a record that are checked.
#[derive(Debug, Deserialize)]
pub struct Record {
    epoch: u64,
    #[serde(default)]
    removed: u64,
    revoked: u64,
    #[serde(default)]
    suspended: bool,
    #[serde(default)]
    pub voucher: u64,
    pub active: Vec<Authenticator>,
    pub pending: Option<Pending>,
    recovery: Option<Recovery>,
    #[serde(default)]
    pub devices: Vec<Device>,
    #[serde(default)]
    logins: String,
    #[serde(default, deserialize_with = "present")]
    pub notices: Option<[u64; 5]>,
    pub budget: Budget,
}

#[derive(Debug, Deserialize)]
pub struct Authenticator {
    pub id: String,
    bound: u64,
    next: u64,
    disclosed: u64,
    repeated: u64,
    drift: i64,
    lean: i64,
    anchor: i64,
    secret: Sealed,
}

#[derive(Debug, Deserialize)]
pub struct Pending {
    pub authenticator: Authenticator,
    since: u64,
    imported: bool,
    #[serde(default)]
    ticket: u64,
    tries: u8,
    confirmed: u64,
    replaces: Option<String>,
    #[serde(default)]
    replaces_all: bool,
    #[serde(default)]
    vouched: bool,
}

#[derive(Debug, Deserialize)]
struct Recovery {
    key: Sealed,
    /// The hash of each code, and 0 if it was not used.
    codes: Vec<(String, u64)>,
}

#[derive(Debug, Deserialize)]
pub struct Device {
    pub id: String,
    trusted: bool,
    created: u64,
    ends: u64,
}

#[derive(Debug, Deserialize)]
pub struct Budget {
    pub failures: u64,
    failed_at: u64,
    level: u64,
    level_at: u64,
    until: u64,
    reported_at: u64,
    succeeded_at: u64,
    known_failures: u64,
    known_failed_at: u64,
    known_level: u64,
}

#[derive(Debug, Deserialize)]
struct Sealed {
    key: String,
}

/// A field that may be missing, but not `null`.
fn present<'a, D: Deserializer<'a>, T: Deserialize<'a>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

impl Checker {
    /// [`Invariant::AnswerIsStored`].
    pub(super) fn carried(
        &self,
        at: usize,
        now: u64,
        call: &Call,
        (answer, free): (&Answer, bool),
        record: Option<&Record>,
    ) -> Result<(), Violation> {
        let next_of = |phone: usize| {
            let mut active = record?.active.iter();
            Some(active.find(|authenticator| authenticator.id == self.ids[phone].as_str())?.next)
        };
        let carried = match *answer {
            Answer::Accepted { phone, drift, .. } | Answer::Resynchronized { phone, drift } => {
                next_of(phone) > Some(self.counter(at, phone, drift, now, call))
            }
            Answer::Recovered { left } => {
                let codes = record.iter().flat_map(|record| &record.recovery).flat_map(|recovery| &recovery.codes);
                codes.filter(|(_, used)| *used == 0).count() == left
            }
            Answer::Refused(Refusal::WrongCode | Refusal::Replayed) if call.op.is_guess() && !free => {
                record.is_some_and(|record| record.budget.failures > 0)
            }
            _ => true,
        };
        let completed = match (&call.op, answer) {
            // A recovery code makes the challenge void, so the epoch must have moved.
            (Op::Answer(_, token), Answer::Recovered { .. }) => {
                record.map(|record| record.epoch) != Some(token.generation.1)
            }
            (Op::Answer(_, token), Answer::Accepted { .. }) => {
                let slot = format!("{:016x}{:016x}", token.id, token.expires);
                record.is_some_and(|record| record.logins.contains(&slot))
            }
            _ => true,
        };
        Invariant::AnswerIsStored.require(carried && completed, || format!("the record does not carry {answer:?}"))
    }

    /// Compares the record with the state of the oracle.
    pub(super) fn same(&self, at: usize, record: Option<&Record>) -> Result<(), Violation> {
        let state = self.accounts[at].state.as_ref();
        let same = match (state, record) {
            (None, None) => true,
            (Some(state), Some(record)) => self.agree(state, record),
            _ => false,
        };
        Invariant::OracleAgrees.require(same, || format!("{state:?} is not {record:?}"))
    }

    fn agree(&self, state: &State, record: &Record) -> bool {
        let sealed = |sealed: &Sealed, key: usize| {
            sealed.key.strip_prefix('k').and_then(|stored| stored.parse::<usize>().ok()) == Some(key)
        };
        let same = |authenticator: &oracle::Authenticator, stored: &Authenticator| {
            stored.id == self.ids[authenticator.phone].as_str()
                && stored.next == authenticator.next
                && stored.disclosed == authenticator.disclosed
                && stored.repeated == authenticator.repeated
                && stored.drift == authenticator.drift
                && stored.lean == authenticator.lean
                && stored.anchor == authenticator.anchor
                && stored.bound == authenticator.bound
                && sealed(&stored.secret, authenticator.key)
        };
        let same_device = |(device, stored): (&oracle::Device, &Device)| {
            stored.id == self.devices[device.number].id.as_str()
                && stored.trusted == device.trusted
                && stored.created == device.created
                && stored.ends == device.ends
        };
        let same_pending = |pending: &oracle::Pending, stored: &Pending| {
            same(&pending.authenticator, &stored.authenticator)
                && (stored.since == pending.since && stored.tries == pending.tries)
                && stored.imported == pending.imported
                && stored.ticket == pending.ticket
                && stored.replaces_all == pending.replaces_all
                && stored.vouched == (pending.voucher != 0)
        };
        let completed: String =
            state.completed.iter().map(|(id, expires)| format!("{id:016x}{expires:016x}")).collect();
        let (budget, stored) = (&state.budget, &record.budget);
        record.epoch == state.epoch
            && record.voucher == state.voucher
            && record.notices == state.notices.as_ref().map(|notices| notices.0)
            && record.revoked == 0
            && record.removed == state.removed
            && record.suspended == state.suspended
            && record.devices.len() == state.devices.len()
            && state.devices.iter().zip(&record.devices).all(same_device)
            && record.logins == completed
            && record.active.len() == state.active.len()
            && state.active.iter().zip(&record.active).all(|(a, b)| same(a, b))
            && match (&state.pending, &record.pending) {
                (Some(pending), Some(stored)) => same_pending(pending, stored),
                (None, None) => true,
                _ => false,
            }
            && match (&state.recovery, &record.recovery) {
                (Some((codes, key)), Some(recovery)) => {
                    let used = recovery.codes.iter().map(|(_, used)| *used != 0);
                    codes.iter().map(|(_, used)| *used).eq(used) && sealed(&recovery.key, *key)
                }
                (None, None) => true,
                _ => false,
            }
            && stored.failures == budget.failures
            && stored.failed_at == budget.failed_at
            && stored.level == budget.level
            && stored.level_at == budget.level_at
            && stored.until == budget.until
            && stored.reported_at == budget.reported_at
            && stored.succeeded_at == budget.succeeded_at
            && stored.known_failures == budget.known_failures
            && stored.known_failed_at == budget.known_failed_at
            && stored.known_level == budget.known_level
    }
}

impl Account {
    /// Parses the stored record, unless it is still the one that was parsed before.
    pub fn read(&mut self, record: Vec<u8>) -> Arc<Record> {
        match &self.record {
            Some((before, parsed)) if *before == record => parsed.clone(),
            _ => {
                let parsed = Arc::new(read(&record));
                self.record = Some((record, parsed.clone()));
                parsed
            }
        }
    }
}

/// Parses a record, and moves a confirmed enrollment to the active authenticators, as the guard does.
fn read(record: &[u8]) -> Record {
    let mut record: Record = serde_json::from_slice(record).unwrap();
    if let Some(pending) = record.pending.take_if(|pending| pending.confirmed == 1) {
        record.active.retain(|other| !pending.replaces_all && Some(&other.id) != pending.replaces.as_ref());
        record.active.push(pending.authenticator);
        // The factors changed.
        (record.devices, record.removed, record.voucher) = (Vec::new(), 0, 0);
    }
    record
}
