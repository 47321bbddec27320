//! Chooses the calls that add authenticators and recovery codes without a proof of the owner, and those for notices.

use keyfob::guard::Purpose;

use super::super::checker::{Call, With};
use super::super::invariant::Violation;
use super::super::oracle::{Adoptee, Allows, Bound, Handle, Kind, Op};
use super::held::Old;
use super::login::NAMES;
use super::{Run, simple};

impl Run {
    pub(super) fn factors(&mut self, at: usize, kind: u64) -> Result<Call, Violation> {
        Ok(match kind {
            0..=4 => self.voucher(at)?,
            5..=7 => self.reopen(at),
            20.. => self.rebind(at)?,
            8 => simple(Op::Cancel),
            9..=10 => self.replace_code(at)?,
            11..=13 => self.acknowledge(at),
            _ => self.adopt(),
        })
    }

    /// An operator vouches for a user, and somebody uses the voucher.
    fn voucher(&mut self, at: usize) -> Result<Call, Violation> {
        let held = match self.random.below(10) {
            0 => return Ok(simple(Op::Vouch)),
            1 => self.forged(at, "vouch"),
            2..=3 => self.random_token(at, Kind::Voucher),
            _ => {
                self.perform(at, simple(Op::Vouch), false)?;
                let mut tokens = self.held.tokens.iter();
                tokens.find(|held| held.account == at && held.item.1.kind == Kind::Voucher).cloned()
            }
        };
        let Some(held) = held else { return Ok(simple(Op::Vouch)) };
        let redeem = Call { with: held.with(), ..simple(Op::Redeem(held.item.1.clone())) };
        match self.random.below(8) {
            0..=1 => return Ok(redeem),
            // A later voucher makes it void, and so does a change.
            2 => self.perform(at, simple(Op::Vouch), false)?,
            3 => self.perform(at, simple(Op::ForgetDevices), false)?,
            _ => {}
        }
        self.perform(at, redeem, false)?;
        let allows = Allows::Voucher(held.item.1.id);
        let proof = self.held.proofs.iter().find(|held| held.item.1.allows == allows).cloned();
        let Some(proof) = proof else { return Ok(simple(Op::Status)) };
        let replaces = (self.random.below(6) == 0).then(|| self.phone(at));
        let (hotp, odd) = (self.random.below(3) == 0, self.random.below(3) == 0);
        let enroll = |proof: Option<Bound>| Op::Enroll { replaces, hotp, odd, weak: false, proof, ticket: None };
        let enroll = self.with_proof(Some(proof), enroll);
        if self.random.below(8) == 0 {
            // Somebody tries it at another account.
            self.perform((at + 1) % 3, enroll, false)?;
            return Ok(simple(Op::Status));
        }
        self.perform(at, enroll, false)?;
        Ok(self.confirm(at))
    }

    /// The owner of an exhausted account replaces its authenticators.
    fn rebind(&mut self, at: usize) -> Result<Call, Violation> {
        let login = self.recovery(at);
        self.perform(at, login, false)?;
        let allows = Allows::Purpose(Purpose::ADD);
        let proof = self.held.proofs.iter().find(|held| held.account == at && held.item.1.allows == allows).cloned();
        let enroll = |proof| Op::Enroll { replaces: None, hotp: false, odd: false, weak: false, proof, ticket: None };
        let enroll = self.with_proof(proof, enroll);
        self.perform(at, enroll, false)?;
        Ok(self.confirm(at))
    }

    /// Somebody reloads the page that shows the secret, or leaves it.
    fn reopen(&mut self, at: usize) -> Call {
        if self.random.below(8) == 0 {
            return simple(Op::Cancel);
        }
        let forges = self.random.below(6) == 0;
        let latest = self.random.below(3) > 0;
        let fits = |held: &&Old<(String, Handle)>| forges || held.account == at;
        let handles: Vec<_> = self.held.handles.iter().filter(fits).cloned().collect();
        if handles.is_empty() {
            return simple(Op::Status);
        }
        let index = if latest { 0 } else { self.random.below(handles.len() as u64) as usize };
        let mut held = handles[index].clone();
        if forges {
            // Anybody can make an account's name and the id of its enrollment up.
            let pending = self.check.accounts[at].state.as_ref().and_then(|state| state.pending.as_ref());
            let id = pending.map(|pending| self.check.ids[pending.authenticator.phone].to_string());
            let mut fields: Vec<String> = held.item.0.split('~').map(String::from).collect();
            let before = fields.clone();
            (fields[0], fields[1]) = (NAMES[at].into(), id.unwrap_or_else(|| fields[1].clone()));
            if fields == before {
                let flipped = if fields[3].starts_with('A') { "B" } else { "A" };
                fields[3].replace_range(..1, flipped);
            }
            held.item = (fields.join("~"), Handle { account: at, forged: true, ..held.item.1 });
        }
        Call { with: held.with(), ..simple(Op::Reopen(held.item.1)) }
    }

    fn replace_code(&mut self, at: usize) -> Result<Call, Violation> {
        if self.random.below(4) > 0 {
            let login = self.recovery(at);
            self.perform(at, login, false)?;
        }
        let logins: Vec<_> = self.held.logins.iter().filter(|held| held.account == at).cloned().collect();
        let some = if self.random.below(3) == 0 { logins.len() as u64 } else { 1 };
        let Some(held) = logins.get(self.random.below(some.max(1)) as usize) else { return Ok(simple(Op::Status)) };
        let Old { born, item: (kept, login), .. } = held.clone();
        let with = With { kept: Some(kept), born: Some(born), ..With::default() };
        Ok(Call { with, ..simple(Op::ReplaceCode(login)) })
    }

    /// The application has told the user.
    fn acknowledge(&mut self, at: usize) -> Call {
        let own: Vec<_> = self.held.notices.iter().filter(|held| held.account == at).collect();
        let index = self.random.below(8) as usize;
        own.get(index % own.len().max(1)).map_or(simple(Op::Status), |held| simple(Op::Acknowledge(held.item)))
    }

    fn adopt(&mut self) -> Call {
        let count = match self.random.below(10) {
            0..=5 => 1,
            6..=8 => 2 + self.random.below(2),
            _ => 9,
        };
        let step = self.now() / 30;
        let mut adoptees: Vec<Adoptee> = Vec::new();
        for index in 0..count {
            let hotp = self.random.below(3) == 0;
            let last_used = match self.random.below(4) {
                0 if hotp => Some(self.random.below(9)),
                0 => Some(step.saturating_sub(1)),
                1 if !hotp && self.random.below(4) == 0 => Some(step.saturating_add(1 << 20)),
                _ => None,
            };
            // Sometimes the same secret as before.
            let last = adoptees.last().filter(|_| self.random.below(5) == 0);
            let secret = last.map_or(16 * self.check.ids.len() + index as usize, |adoptee| adoptee.secret);
            let weak = last.map_or_else(|| self.random.below(5) == 0, |adoptee| adoptee.weak);
            adoptees.push(Adoptee { hotp, weak, last_used, secret });
        }
        simple(Op::Adopt(adoptees))
    }
}
