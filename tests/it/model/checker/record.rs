//! Compares stored records with the answer, and with the state of the oracle.

use keyfob::guard::Refusal;
use serde_json::Value;

use super::super::invariant::{Invariant, Violation};
use super::super::oracle::{Answer, Op, State};
use super::{Call, Checker};

impl Checker {
    /// [`Invariant::AnswerIsStored`].
    pub(super) fn carried(
        &self,
        at: usize,
        now: u64,
        call: &Call,
        (answer, free): (&Answer, bool),
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
            Answer::Refused(Refusal::WrongCode | Refusal::Replayed) if call.op.is_guess() && !free => {
                record["budget"]["failures"].as_u64() > Some(0)
            }
            _ => true,
        };
        let completed = match (&call.op, answer) {
            // A recovery code makes the challenge void, so the epoch must have moved.
            (Op::Answer(_, token), Answer::Recovered { .. }) => record["epoch"].as_u64() != Some(token.generation.1),
            (Op::Answer(_, token), Answer::Accepted { .. }) => {
                let slot = format!("{:016x}{:016x}", token.id, token.expires);
                record["logins"].as_str().is_some_and(|logins| logins.contains(&slot))
            }
            _ => true,
        };
        Invariant::AnswerIsStored.require(carried && completed, || format!("the record does not carry {answer:?}"))
    }

    /// Compares the record with the state of the oracle.
    pub(super) fn same(&self, at: usize, record: Option<&[u8]>) -> Result<(), Violation> {
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
        let same = |authenticator: &super::super::oracle::Authenticator, value: &Value| {
            value["id"] == self.ids[authenticator.phone].as_str()
                && value["next"] == authenticator.next
                && value["disclosed"] == authenticator.disclosed
                && value["repeated"] == authenticator.repeated
                && value["drift"] == authenticator.drift
                && value["lean"] == authenticator.lean
                && value["anchor"] == authenticator.anchor
                && value["bound"] == authenticator.bound
                && value["secret"]["key"] == format!("k{}", authenticator.key)
        };
        let active = value["active"].as_array().unwrap();
        let used = value["recovery"]["codes"].as_array().map(|codes| codes.iter().map(|code| code[1] != 0));
        let budget = &state.budget;
        let stored = &value["budget"];
        let devices = value["devices"].as_array().map_or(&[][..], Vec::as_slice);
        let same_device = |(device, value): (&super::super::oracle::Device, &Value)| {
            value["id"] == self.devices[device.number].id.as_str()
                && value["trusted"] == device.trusted
                && value["created"] == device.created
                && value["ends"] == device.ends
        };
        let completed: String =
            state.completed.iter().map(|(id, expires)| format!("{id:016x}{expires:016x}")).collect();
        let notices = state.notices.as_ref().map(|notices| serde_json::json!(notices.0));
        value["epoch"] == state.epoch
            && value["voucher"].as_u64().unwrap_or(0) == state.voucher
            && value.get("notices").cloned() == notices
            && value["revoked"] == 0
            && value["removed"].as_u64().unwrap_or(0) == state.removed
            && value["suspended"].as_bool().unwrap_or(false) == state.suspended
            && (devices.len() == state.devices.len() && state.devices.iter().zip(devices).all(same_device))
            && value["logins"].as_str().unwrap_or("") == completed
            && active.len() == state.active.len()
            && state.active.iter().zip(active).all(|(a, b)| same(a, b))
            && state.pending.is_some() == value["pending"].is_object()
            && state.pending.as_ref().is_none_or(|pending| {
                let stored = &value["pending"];
                same(&pending.authenticator, &stored["authenticator"])
                    && (stored["since"] == pending.since && stored["tries"] == pending.tries)
                    && stored["imported"] == pending.imported
                    && stored["ticket"].as_u64().unwrap_or(0) == pending.ticket
                    && stored["replaces_all"].as_bool().unwrap_or(false) == pending.replaces_all
                    && stored["vouched"].as_bool().unwrap_or(false) == (pending.voucher != 0)
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
            && stored["succeeded_at"] == budget.succeeded_at
            && stored["known_failures"] == budget.known_failures
            && stored["known_failed_at"] == budget.known_failed_at
            && stored["known_level"] == budget.known_level
    }
}

/// Parses a record, and moves a confirmed enrollment to the active authenticators, as the guard does.
pub fn read(record: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(record).unwrap();
    if value["pending"]["confirmed"] == 1 {
        let mut pending = value.as_object_mut().unwrap().remove("pending").unwrap();
        let active = value["active"].as_array_mut().unwrap();
        active.retain(|other| pending["replaces_all"] != true && other["id"] != pending["replaces"]);
        active.push(pending["authenticator"].take());
        // The factors changed.
        value.as_object_mut().unwrap().retain(|name, _| !["devices", "removed", "voucher"].contains(&name.as_str()));
    }
    value
}
