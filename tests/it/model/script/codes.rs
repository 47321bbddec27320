//! Chooses the codes that users and guessers type.

use super::super::checker::Call;
use super::super::oracle::{Kind, Op, Typed};
use super::{Run, code, simple};

impl Run {
    /// An authenticator of this account, sometimes of another one.
    pub(super) fn phone(&mut self, at: usize) -> usize {
        let active = self.check.accounts[at].state.as_ref().map_or(&[][..], |state| &state.active);
        match active.len() as u64 {
            0 => self.random.below(self.check.phones.len() as u64 + 1) as usize,
            count if self.random.below(10) > 0 => active[self.random.below(count) as usize].phone,
            _ => self.random.below(self.check.phones.len() as u64 + 1) as usize,
        }
    }

    pub(super) fn right(&mut self, at: usize) -> Call {
        self.near(at, 0)
    }

    pub(super) fn near(&mut self, at: usize, off: i64) -> Call {
        let now = self.now();
        let index = self.phone(at);
        let skipped = if self.random.below(4) == 0 { self.random.below(5) } else { 0 };
        let slip = self.random.below(12);
        let Some(phone) = self.check.phones.get_mut(index) else { return code("000000".into(), None) };
        // The phone's clock drifts, or is corrected.
        match slip {
            0 => phone.ahead = -1,
            1 => phone.ahead = 1,
            2 => phone.ahead = 0,
            _ => {}
        }
        let counter = match phone.period {
            Some(period) => (now / period).saturating_add_signed(phone.ahead + off),
            None => {
                phone.counter += u64::from(off == 0) + skipped;
                (phone.counter - u64::from(phone.counter > 0)).saturating_add_signed(off)
            }
        };
        let text = phone.code_at(counter);
        code(text, Some((index, counter)))
    }

    pub(super) fn recovery(&mut self, at: usize) -> Call {
        // Codes of other accounts have a correct check symbol as well.
        let owner = if self.random.below(6) == 0 { self.random.below(3) as usize } else { at };
        let sets = self.check.accounts[owner].state.iter().flat_map(|state| &state.recovery);
        let codes: Vec<_> = sets.flat_map(|(codes, _)| codes.iter().filter_map(|(code, _)| code.clone())).collect();
        if codes.is_empty() {
            return code("111111".into(), None);
        }
        let mut text = codes[self.random.below(codes.len() as u64) as usize].clone();
        let mut typed = Typed::Recovery(text.clone());
        match self.random.below(8) {
            0 => {
                let last = if text.ends_with('0') { "1" } else { "0" };
                text.replace_range(text.len() - 1.., last);
                typed = Typed::Malformed;
            }
            1 => text = text.to_lowercase().replace('-', " "),
            _ => {}
        }
        Call { typed: [text, String::new()], ..simple(Op::Verify(typed)) }
    }

    pub(super) fn resync(&mut self, at: usize) -> Call {
        let now = self.now();
        let index = self.phone(at);
        let far = self.random.below(self.check.limits.within * 2 + 6) as i64 - self.check.limits.within as i64 - 3;
        let broken = self.random.below(6);
        let Some(phone) = self.check.phones.get_mut(index) else { return simple(Op::Status) };
        let counter = match phone.period {
            Some(period) => {
                phone.ahead = far;
                (now / period).saturating_add_signed(far)
            }
            None => {
                phone.counter += far.unsigned_abs();
                phone.counter
            }
        };
        let first = phone.code_at(counter.saturating_sub(u64::from(broken != 0)));
        let second = phone.code_at(counter);
        let op = Op::Resync(Typed::Code(first.clone()), Typed::Code(second.clone()));
        Call { typed: [first, second], source: Some((index, counter)), ..simple(op) }
    }

    pub(super) fn confirm(&mut self, at: usize) -> Call {
        let pending = self.check.accounts[at].state.as_ref().and_then(|state| state.pending.as_ref());
        let began = pending.map_or(0, |pending| pending.ticket);
        let phone = pending.map(|pending| pending.authenticator.phone).filter(|_| self.random.below(8) > 0);
        let now = self.now();
        let code = match phone.map(|phone| (phone, &self.check.phones[phone])) {
            Some((index, phone)) => {
                let counter = phone.period.map_or(phone.counter, |period| now / period);
                code(phone.code_at(counter), Some((index, counter)))
            }
            None => code(format!("{:06}", self.random.below(1_000_000)), None),
        };
        let Op::Verify(typed) = code.op else { return simple(Op::Status) };
        // Usually with the ticket that began the enrollment, if one did.
        let ticket = match self.random.below(8) {
            0 => self.random_token(at, Kind::Ticket),
            _ => self.held.tokens.iter().find(|held| began != 0 && held.item.1.id == began).cloned(),
        };
        let with = ticket.as_ref().map(|held| held.with()).unwrap_or_default();
        Call { op: Op::Confirm(typed, ticket.map(|held| held.item.1)), with, ..code }
    }
}
