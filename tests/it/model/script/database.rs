//! Changes to the database that bypass the guard.

use keyfob::guard::GuardErrorKind;
use serde_json::Value;

use super::super::call::run;
use super::super::invariant::{Invariant, Violation};
use super::super::oracle::{Gate, Op};
use super::super::store::lock;
use super::{Run, simple};

impl Run {
    /// Damages a record, or moves a record to another account. The guard must refuse it and must not overwrite it.
    pub(super) fn damage(&mut self, at: usize) -> Result<(), Violation> {
        let now = *lock(&self.clock);
        let account = &self.check.accounts[at];
        let name = account.name.clone();
        let Some(bytes) = self.store.bytes(&name).filter(|_| now.is_some()) else { return Ok(()) };
        let text = String::from_utf8(bytes.clone()).unwrap();
        // After a confirmation and before the next change, the damage might hit the authenticator that was just
        // replaced.
        let record: Value = serde_json::from_str(&text).unwrap();
        if record["pending"]["confirmed"] == 1 {
            return Ok(());
        }
        let suspended = |at: usize| self.check.accounts[at].state.as_ref().is_some_and(|state| state.suspended);
        let active = account.state.as_ref().is_some_and(|state| !state.active.is_empty());
        let other = (at + 1) % 3;
        // Otherwise no secret is opened.
        let open = |at| self.check.gate(at, now.unwrap()) == Gate::Open && !suspended(at);
        let mine = open(at);
        // A login does not open the pending enrollment.
        let (all, rest) = text.split_at(text.find("\"pending\"").unwrap_or(text.len()));
        let replaced = |from, to| [&all.replacen(from, to, 1), rest].concat();
        let (damaged, kind) = match self.random.below(8) {
            0 => (text[..self.random.below(text.len() as u64) as usize].into(), GuardErrorKind::RecordInvalid),
            1 => (text.replacen("\"v\":1", "\"v\":2", 1), GuardErrorKind::RecordNewer),
            2 => (text.replacen("\"v\":1", "\"w\":0,\"v\":1", 1), GuardErrorKind::RecordInvalid),
            3 if mine => (replaced("\"digits\":6", "\"digits\":7"), GuardErrorKind::SealBroken),
            4 if mine => (replaced("\"SHA1\"", "\"SHA256\""), GuardErrorKind::SealBroken),
            5 if mine && active => {
                let index = text.find("\"sealed\":\"").unwrap() + 10 + self.random.below(50) as usize;
                let letter = if text.as_bytes()[index] == b'A' { "B" } else { "A" };
                let mut text = text.clone();
                text.replace_range(index..=index, letter);
                (text, GuardErrorKind::SealBroken)
            }
            6 if mine => {
                // There are eight already, so the pending one has to replace one of them.
                let is_full = record["active"].as_array().unwrap().len() == 8;
                let invalid = is_full && record["pending"]["replaces"] == record["active"][0]["id"];
                let kind = if invalid { GuardErrorKind::RecordInvalid } else { GuardErrorKind::SealBroken };
                (replaced("\"id\":\"", "\"id\":\"z"), kind)
            }
            _ => {
                let theirs = self.check.accounts[other].state.as_ref().is_some_and(|state| !state.active.is_empty());
                if !theirs || !open(other) {
                    return Ok(());
                }
                let moved = self.store.bytes(&self.check.accounts[other].name).unwrap();
                (String::from_utf8(moved).unwrap(), GuardErrorKind::SealBroken)
            }
        };
        let unchanged = damaged.as_bytes() == bytes;
        if unchanged || (!active && kind == GuardErrorKind::SealBroken) {
            return Ok(());
        }
        let owner = if self.random.below(2) == 0 { at } else { other };
        let call = self.right(owner);
        self.store.put(&name, Some(damaged.as_bytes()));
        *lock(&self.store.applied) = 0;
        let seen = run(&self.server, &name, &self.check.ids, &call);
        let applied = *lock(&self.store.applied);
        self.store.put(&name, Some(&bytes));
        if self.check.counts.0.is_some() {
            self.check.counts.add(&format!("{kind:?}"), 1);
        }
        Invariant::SealedInPlace.require((&seen.outcome, applied) == (&Err(kind), 0), || {
            format!("{:?} and {applied} written, not {kind:?}, from {damaged}", seen.outcome)
        })
    }

    /// Restores a backup, after which the operator invalidates codes.
    pub(super) fn restore(&mut self, at: usize) -> Result<(), Violation> {
        let account = &self.check.accounts[at];
        let Some((bytes, state)) = account.snapshot.clone() else { return Ok(()) };
        // If the clock was set back to the second of an earlier invalidation, the epoch would be the same as then.
        if lock(&self.clock).is_none_or(|now| now.saturating_sub(self.lag) <= account.epoch) {
            return Ok(());
        }
        let (before, name) = (account.voids, account.name.clone());
        self.check.restore(at, state);
        self.store.put(&name, bytes.as_deref());
        self.note(|| format!("{name} restored"));
        let strict = self.random.below(2) == 0;
        self.perform(at, simple(Op::Fence(strict)), false)?;
        self.check.restored(at);
        // Without a second factor, nothing was invalidated.
        if self.check.accounts[at].voids == before {
            self.held.revive(at, &mut self.check);
        }
        Ok(())
    }
}
