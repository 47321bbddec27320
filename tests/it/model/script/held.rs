//! What users, thieves and applications keep from earlier answers: proofs, challenges, tickets, vouchers, handles,
//! accepted codes, sessions and notices.

use std::collections::VecDeque;
use std::sync::Arc;

use keyfob::guard::{Event, Generation, Notice, Proof, Purpose};

use super::super::checker::{Call, Checker, Kept, Seen, With};
use super::super::invariant::{Invariant, Violation};
use super::super::oracle::{self, Allows, Answer, Bound, Handle, Kind, Login, Op, Token, Typed, Way};
use super::{Run, simple};

/// Something from an earlier answer, and how often everything from before had become void at the account then.
#[derive(Clone)]
pub struct Old<T> {
    pub account: usize,
    pub born: u64,
    pub item: T,
}

#[derive(Default)]
pub struct Held {
    pub proofs: VecDeque<Old<(Proof, Bound)>>,
    pub tokens: VecDeque<Old<(String, Token)>>,
    pub logins: VecDeque<Old<(Arc<Kept>, Login)>>,
    pub sessions: VecDeque<Old<(Generation, oracle::Generation)>>,
    pub handles: VecDeque<Old<(String, Handle)>>,
    pub notices: VecDeque<Old<Notice>>,
}

impl Held {
    /// After the record was erased or replaced, tickets and sessions from an earlier time may be valid again.
    pub fn revive(&mut self, at: usize, check: &mut Checker) {
        check.revive(at);
        let tickets = self
            .tokens
            .iter_mut()
            .filter(|held| held.item.1.kind == Kind::Ticket)
            .map(|held| (held.account, &mut held.born));
        let sessions = self.sessions.iter_mut().map(|held| (held.account, &mut held.born));
        for (_, born) in tickets.chain(sessions).filter(|(account, _)| *account == at) {
            *born = check.accounts[at].voids;
        }
    }
}

impl<T> Old<(String, T)> {
    pub fn with(&self) -> With {
        With { token: Some(self.item.0.clone()), born: Some(self.born), ..With::default() }
    }
}

impl Run {
    /// Keeps what an answer contained.
    pub(super) fn keep(&mut self, at: usize, call: &Call, seen: Option<&mut Seen>, now: u64) -> Result<(), Violation> {
        let Some(seen) = seen else { return Ok(()) };
        let account = &self.check.accounts[at];
        let generation = account.state.as_ref().map(oracle::State::generation).unwrap_or_default();
        let born = account.voids;
        if let Some(session) = seen.session {
            self.held.sessions.push_front(Old { account: at, born, item: (session, generation) });
            self.held.sessions.truncate(20);
        }
        let on = |number: usize| {
            let mut devices = account.state.iter().flat_map(|state| &state.devices);
            devices.any(|device| device.number == number && device.is_on(now))
        };
        if let Some(kept) = seen.kept.take() {
            if let Kept::SignIn(sign_in) = &kept {
                let device = call.op.device().filter(|number| on(*number));
                let expected = device.map(|number| &self.check.devices[number].id);
                Invariant::OracleAgrees
                    .require(!self.check.strict || sign_in.device() == expected, || format!("{sign_in:?}"))?;
            }
            let purposes = [Purpose::ADD, Purpose::DISABLE, Purpose::REGENERATE, Purpose::RENAME, Purpose::REVOKE];
            for purpose in purposes {
                let proof = self.server.guard.prove(kept.accepted(), &purpose);
                let allows = Allows::Purpose(purpose);
                let bound = Bound { account: at, allows, generation, made: now, way: Way::Direct };
                self.held.proofs.push_front(Old { account: at, born, item: (proof, bound) });
            }
            self.held.proofs.truncate(30);
            let recovery_code = match &call.op {
                Op::Verify(Typed::Recovery(code)) | Op::Answer(Typed::Recovery(code), _) => Some(code.clone()),
                _ => None,
            };
            let login = Login { account: at, generation, at: now, recovery_code };
            self.held.logins.push_front(Old { account: at, born, item: (Arc::new(kept), login) });
            self.held.logins.truncate(12);
        }
        for notice in seen.events.iter().filter_map(Event::notice).chain(seen.notices.drain(..)) {
            self.held.notices.push_front(Old { account: at, born, item: notice });
        }
        self.held.notices.truncate(24);
        if let (Some(proof), Op::Redeem(token)) = (seen.proof.take(), &call.op) {
            let allows = Allows::Voucher(token.id);
            let bound = Bound { account: at, allows, generation, made: now, way: Way::Direct };
            self.held.proofs.push_front(Old { account: at, born, item: (proof, bound) });
        }
        let kind = match seen.outcome {
            Ok(Answer::Challenge) => Kind::Challenge,
            Ok(Answer::MustEnroll) => Kind::Ticket,
            Ok(Answer::Vouched) => Kind::Voucher,
            Ok(Answer::Enrolled) => {
                let pending = account.state.as_ref().and_then(|state| state.pending.as_ref());
                if let (Some(text), Some(pending)) = (seen.token.take(), pending) {
                    let handle = Handle { account: at, phone: pending.authenticator.phone, forged: false };
                    self.held.handles.push_front(Old { account: at, born, item: (text, handle) });
                    self.held.handles.truncate(12);
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let Some(text) = seen.token.take() else { return Ok(()) };
        let device = match call.op {
            Op::BeginLogin { device, .. } => device,
            _ => None,
        };
        let fields: Vec<&str> = text.split('~').collect();
        let device = device
            .filter(|(number, genuine)| kind == Kind::Challenge && *genuine && on(*number))
            .map(|(number, _)| number);
        let id = device.map_or("", |number| self.check.devices[number].id.as_str());
        Invariant::OracleAgrees
            .require(!self.check.strict || fields[6] == id, || format!("{text} is not from device {id}"))?;
        let expires = now.saturating_add(if kind == Kind::Challenge { 300 } else { 900 });
        let id = fields[5].parse().unwrap();
        let token = Token { kind, account: at, generation, made: now, expires, id, device, forged: false };
        self.held.tokens.push_front(Old { account: at, born, item: (text, token) });
        self.held.tokens.truncate(24);
        Ok(())
    }

    /// A call with a proof, which is usually a valid one from a login at this time.
    pub(super) fn proved(
        &mut self,
        at: usize,
        purpose: &Purpose,
        op: impl FnOnce(Option<Bound>) -> Op,
    ) -> Result<Call, Violation> {
        let found = match self.random.below(8) {
            0 => None,
            1 => {
                let index = self.random.below(24) as usize;
                let vouched = self.random.below(3) == 0;
                let stolen = |held: &&Old<(Proof, Bound)>| matches!(held.item.1.allows, Allows::Voucher(_)) || !vouched;
                self.held.proofs.iter().filter(stolen).nth(if vouched { index % 2 } else { index }).cloned()
            }
            _ => {
                let login = if self.random.below(5) == 0 { self.recovery(at) } else { self.right(at) };
                self.perform(at, login, false)?;
                let allows = Allows::Purpose(purpose.clone());
                let fits = |held: &&Old<(Proof, Bound)>| held.account == at && held.item.1.allows == allows;
                self.held.proofs.iter().find(fits).cloned()
            }
        };
        Ok(self.with_proof(found, op))
    }

    /// Brings a proof, as it is or as a token of a session.
    pub(super) fn with_proof(
        &mut self,
        found: Option<Old<(Proof, Bound)>>,
        op: impl FnOnce(Option<Bound>) -> Op,
    ) -> Call {
        let Some(Old { born, item: (proof, bound), .. }) = found else { return simple(op(None)) };
        let through = |session: &str| Proof::from_token(&proof.token(session)).unwrap();
        let (way, proof) = match self.random.below(12) {
            0 => (Way::OtherSession, through("a").in_session("b")),
            1 => (Way::OtherSession, through("a")),
            2..=5 => (Way::Session, through("a").in_session("a")),
            _ => (Way::Direct, proof.in_session("b")),
        };
        let with = With { proof: Some(proof), born: Some(born), ..With::default() };
        Call { with, ..simple(op(Some(Bound { way, ..bound }))) }
    }
}
