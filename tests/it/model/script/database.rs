//! What happens to the database behind the back of the guard.

use keyfob::guard::GuardErrorKind;
use serde_json::Value;

use super::super::call::run;
use super::super::checker::Violation;
use super::super::oracle::{Gate, Op};
use super::super::store::lock;
use super::{Run, simple};

impl Run {
    /// Somebody writes to the database: what does not belong there does not open, and nothing is written over it.
    pub(super) fn damage(&mut self, at: usize) -> Result<(), Violation> {
        let now = *lock(&self.clock);
        let account = &self.check.accounts[at];
        let name = account.name.clone();
        let Some(bytes) = self.store.bytes(&name).filter(|_| now.is_some()) else { return Ok(()) };
        let text = String::from_utf8(bytes.clone()).unwrap();
        // Between a confirmation and the next change, what is damaged may be what was just replaced.
        if serde_json::from_str::<Value>(&text).unwrap()["pending"]["confirmed"] == 1 {
            return Ok(());
        }
        let active = account.state.as_ref().is_some_and(|state| !state.active.is_empty());
        let other = (at + 1) % 3;
        let open = |at| self.check.gate(at, now.unwrap()) == Gate::Open;
        let mine = open(at);
        // What waits is not opened for a login.
        let (all, rest) = text.split_at(text.find("\"pending\"").unwrap_or(text.len()));
        let replaced = |from, to| [&all.replacen(from, to, 1), rest].concat();
        let (damaged, kind) = match self.random.below(8) {
            0 => (text[..self.random.below(text.len() as u64) as usize].into(), GuardErrorKind::RecordInvalid),
            1 => (text.replacen("\"v\":1", "\"v\":2", 1), GuardErrorKind::RecordNewer),
            2 => (text.replacen("\"v\":1", "\"w\":0,\"v\":1", 1), GuardErrorKind::RecordInvalid),
            3 if mine => (replaced("\"digits\":6", "\"digits\":7"), GuardErrorKind::SealBroken),
            4 if mine => (replaced("\"SHA1\"", "\"SHA256\""), GuardErrorKind::SealBroken),
            5 if mine && active => {
                let place = text.find("\"sealed\":\"").unwrap() + 10 + self.random.below(50) as usize;
                let letter = if text.as_bytes()[place] == b'A' { "B" } else { "A" };
                let mut text = text.clone();
                text.replace_range(place..=place, letter);
                (text, GuardErrorKind::SealBroken)
            }
            6 if mine => (replaced("\"id\":\"", "\"id\":\"z"), GuardErrorKind::SealBroken),
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
        let whose = if self.random.below(2) == 0 { at } else { other };
        let call = self.right(whose);
        self.store.put(&name, Some(damaged.as_bytes()));
        *lock(&self.store.applied) = 0;
        let seen = run(&self.guard, &name, &self.check.ids, &call, None);
        let applied = *lock(&self.store.applied);
        self.store.put(&name, Some(&bytes));
        *self.check.counts.entry(format!("{kind:?}")).or_default() += 1;
        if (&seen.outcome, applied) == (&Err(kind), 0) {
            return Ok(());
        }
        Err(Violation("I8", format!("{:?} and {applied} written, not {kind:?}, from {damaged}", seen.outcome)))
    }

    /// A backup is restored, and the operator fences it.
    pub(super) fn restore(&mut self, at: usize) -> Result<(), Violation> {
        let account = &mut self.check.accounts[at];
        let Some((bytes, state)) = account.snapshot.clone() else { return Ok(()) };
        if lock(&self.clock).is_none() {
            return Ok(());
        }
        // Proofs of the time that is undone could be of the same generation as what comes.
        account.state = state;
        let name = account.name.clone();
        self.store.put(&name, bytes.as_deref());
        self.note(format!("{name} restored"));
        let strict = self.random.below(2) == 0;
        self.perform(at, simple(Op::Fence(strict)), false)?;
        self.check.restored(at);
        Ok(())
    }
}
