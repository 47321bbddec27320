//! Chooses the calls of logins, devices and suspensions.

use std::sync::Arc;

use keyfob::guard::{Expectation, Purpose};

use super::super::checker::{Call, Kept, With};
use super::super::invariant::Violation;
use super::super::oracle::{Kind, Login, Op, Token, Typed};
use super::held::Old;
use super::{Run, answering, code, simple};

/// The names of the accounts in a token.
pub(super) const NAMES: [&str; 3] = ["YWw", "Ym8", "Y3k"];

impl Run {
    pub(super) fn login(&mut self, at: usize, kind: u64) -> Result<Call, Violation> {
        Ok(match kind {
            0..=3 => self.begin(at, false),
            4..=26 => self.answer(at)?,
            27..=31 => self.add_device(at)?,
            32 => self.forget_device(at),
            33 => simple(if self.random.below(2) == 0 { Op::ForgetDevices } else { Op::Status }),
            34 => simple(match self.random.below(6) {
                0..=2 => Op::Suspend,
                3 => Op::Erase,
                _ => Op::Resume,
            }),
            35..=36 => self.is_current(at),
            37 => {
                let phone = self.phone(at);
                self.proved(at, &Purpose::REVOKE, |proof| Op::Revoke(phone, proof))?
            }
            38 => {
                let confirmed = self.confirm(at);
                // Somebody who has a ticket, and does not know whether its enrollment has begun.
                match confirmed.op {
                    Op::Confirm(typed, None) => {
                        let ticket = self.random_token(at, Kind::Ticket);
                        let with = ticket.as_ref().map(Old::with).unwrap_or_default();
                        Call { op: Op::Confirm(typed, ticket.map(|held| held.item.1)), with, ..confirmed }
                    }
                    _ => confirmed,
                }
            }
            39 if self.random.below(4) == 0 => self.crowd(at)?,
            _ => self.guess_on_device(at)?,
        })
    }

    /// Begins a login. If `plain`, a code is due unless there is no second factor.
    fn begin(&mut self, at: usize, plain: bool) -> Call {
        let now = self.now();
        let expectation = match self.random.below(6) {
            0 | 1 => Expectation::Enrolled,
            2 => Expectation::Optional,
            3 => Expectation::RequiredFrom(now.saturating_add(1)),
            4 => Expectation::RequiredFrom(now),
            _ => Expectation::RequiredFrom(0),
        };
        let owner = if self.random.below(8) == 0 { self.random.below(3) as usize } else { at };
        // Usually a device that is listed.
        let state = self.check.accounts[owner].state.as_ref();
        let listed: Vec<_> = state.iter().flat_map(|state| &state.devices).map(|device| device.number).collect();
        let any = listed.is_empty() || self.random.below(4) == 0;
        let devices = self.check.devices.iter().enumerate().rev();
        let devices = devices.filter(|(number, device)| device.account == owner && (any || listed.contains(number)));
        let devices: Vec<_> = devices.filter_map(|(number, device)| Some((number, device.token.clone()?))).collect();
        if plain || devices.is_empty() || self.random.below(4) == 0 {
            return simple(Op::BeginLogin { expectation, device: None });
        }
        // Usually the latest.
        let latest = if self.random.below(3) == 0 { devices.len() as u64 } else { 1 };
        let (number, mut token) = devices[self.random.below(latest) as usize].clone();
        let genuine = self.random.below(10) > 0;
        if !genuine {
            let index = token.len() - 2 - self.random.below(40) as usize;
            let letter = if token.as_bytes()[index] == b'A' { "B" } else { "A" };
            token.replace_range(index..=index, letter);
        }
        let with = With { token: Some(token), ..With::default() };
        Call { with, ..simple(Op::BeginLogin { expectation, device: Some((number, genuine)) }) }
    }

    /// A token of this kind and this account from some time.
    pub(super) fn random_token(&mut self, at: usize, kind: Kind) -> Option<Old<(String, Token)>> {
        let fits = |held: &&Old<(String, Token)>| held.account == at && held.item.1.kind == kind;
        let tokens: Vec<_> = self.held.tokens.iter().filter(fits).cloned().collect();
        if tokens.is_empty() { None } else { Some(tokens[self.random.below(tokens.len() as u64) as usize].clone()) }
    }

    /// A challenge, usually one that was just made.
    fn challenge(&mut self, at: usize) -> Result<Option<Old<(String, Token)>>, Violation> {
        match self.random.below(12) {
            0 => Ok(self.forged(at, "login")),
            1..=3 => Ok(self.random_token(at, Kind::Challenge)),
            _ => {
                let begin = self.begin(at, false);
                self.perform(at, begin, false)?;
                let voids = self.check.accounts[at].voids;
                let mut mine = self.held.tokens.iter().filter(|held| held.account == at && held.born == voids);
                Ok(mine.find(|held| held.item.1.kind == Kind::Challenge).cloned())
            }
        }
    }

    /// A token that somebody has changed: a number in it, what it is for, or the name of the account.
    pub(super) fn forged(&mut self, at: usize, purpose: &str) -> Option<Old<(String, Token)>> {
        let index = self.random.below(24) as usize;
        let mut held = self.held.tokens.get(index)?.clone();
        let (text, token) = &mut held.item;
        let mut fields: Vec<String> = text.split('~').map(String::from).collect();
        let changed = fields.clone();
        (fields[0], fields[1]) = (purpose.into(), NAMES[at].into());
        if fields == changed {
            let index = 3 + self.random.below(3) as usize;
            fields[index] = fields[index].parse::<u64>().unwrap().wrapping_add(1).to_string();
        }
        *text = fields.join("~");
        (token.forged, token.account, held.account) = (true, at, at);
        Some(held)
    }

    fn answer(&mut self, at: usize) -> Result<Call, Violation> {
        let Some(held) = self.challenge(at)? else { return Ok(self.begin(at, false)) };
        let call = match self.random.below(12) {
            0..=4 => self.right(at),
            5..=7 => code(format!("{:06}", self.random.below(1_000_000)), None),
            8 => self.recovery(at),
            9..=10 => self.check.accounts[at].last.clone().unwrap_or_else(|| self.right(at)),
            _ => {
                let off = self.random.below(5) as i64 - 2;
                self.near(at, off)
            }
        };
        let answer = Op::Answer(Typed::Malformed, held.item.1.clone());
        let answer = Call { with: held.with(), ..simple(answer) };
        Ok(match call.op {
            Op::Verify(_) | Op::Answer(..) => answering(call, &answer),
            _ => answer,
        })
    }

    /// The owner mistypes codes on a device that the guard knows, or adds one.
    fn guess_on_device(&mut self, at: usize) -> Result<Call, Violation> {
        let on = |held: &&Old<(String, Token)>| held.account == at && held.item.1.device.is_some();
        let Some(held) = self.held.tokens.iter().find(on).cloned() else { return self.add_device(at) };
        let answer = Op::Answer(Typed::Malformed, held.item.1.clone());
        let wrong = code(format!("{:06}", self.random.below(1_000_000)), None);
        Ok(answering(wrong, &Call { with: held.with(), ..simple(answer) }))
    }

    /// A call with a ticket, usually with one that was just made.
    pub(super) fn with_ticket(&mut self, at: usize, op: impl FnOnce(Option<Token>) -> Op) -> Result<Call, Violation> {
        let held = match self.random.below(8) {
            0 => self.forged(at, "enroll"),
            1 | 2 => self.random_token(at, Kind::Ticket),
            _ => {
                let begin = simple(Op::BeginLogin { expectation: Expectation::RequiredFrom(0), device: None });
                self.perform(at, begin, false)?;
                self.held.tokens.iter().find(|held| held.account == at && held.item.1.kind == Kind::Ticket).cloned()
            }
        };
        let with = held.as_ref().map(Old::with).unwrap_or_default();
        Ok(Call { with, ..simple(op(held.map(|held| held.item.1))) })
    }

    fn add_device(&mut self, at: usize) -> Result<Call, Violation> {
        if self.random.below(3) > 0 {
            let login = self.right(at);
            self.perform(at, login, false)?;
        }
        let mine: Vec<_> = self.held.logins.iter().filter(|held| held.account == at).cloned().collect();
        if mine.is_empty() {
            return Ok(self.begin(at, false));
        }
        let latest = if self.random.below(4) == 0 { mine.len() as u64 } else { 1 };
        let held = &mine[self.random.below(latest) as usize];
        let longest = self.check.limits.trust;
        Ok(add_after(
            held,
            match self.random.below(8) {
                0..=2 => None,
                3..=4 => Some(3600),
                5..=6 => Some(longest),
                _ => Some(longest + 1),
            },
        ))
    }

    fn forget_device(&mut self, at: usize) -> Call {
        let owner = if self.random.below(6) == 0 { self.random.below(3) as usize } else { at };
        let mut devices = self.check.devices.iter().enumerate().rev().filter(|(_, device)| device.account == owner);
        let Some((number, device)) = devices.nth(self.random.below(2) as usize) else { return simple(Op::Status) };
        let with = With { token: Some(device.id.to_string()), ..With::default() };
        Call { with, ..simple(Op::ForgetDevice(number)) }
    }

    fn is_current(&mut self, at: usize) -> Call {
        let mine: Vec<_> = self.held.sessions.iter().filter(|held| held.account == at).cloned().collect();
        if mine.is_empty() {
            return simple(Op::Status);
        }
        let Old { born, item: (session, generation), .. } = mine[self.random.below(mine.len() as u64) as usize];
        let with = With { session: Some(session), born: Some(born), ..With::default() };
        Call { with, ..simple(Op::IsCurrent(generation)) }
    }

    /// More logins or devices at once than a record has room for.
    fn crowd(&mut self, at: usize) -> Result<Call, Violation> {
        let logins = self.random.below(3) > 0;
        // Only an authenticator with a counter shows so many codes.
        let found = (0..3).find(|account| self.next_code(*account).is_some()).filter(|_| logins);
        let at = found.unwrap_or(at);
        self.perform(at, simple(Op::Lift), false)?;
        let login = self.recovery(at);
        self.perform(at, login, false)?;
        for _ in 0..17 {
            let call = match logins {
                true => {
                    let begin = self.begin(at, true);
                    self.perform(at, begin, false)?;
                    let token =
                        self.held.tokens.iter().find(|held| held.account == at && held.item.1.kind == Kind::Challenge);
                    let (Some(code), Some(held)) = (self.next_code(at), token) else { break };
                    let op = Op::Answer(Typed::Malformed, held.item.1.clone());
                    answering(code, &Call { with: held.with(), ..simple(op) })
                }
                false => {
                    let login = self.held.logins.iter().find(|held| held.account == at).cloned();
                    let Some(held) = login else { break };
                    let longest = self.check.limits.trust;
                    add_after(&held, Some(longest.min(3600)).filter(|_| longest > 0 && self.random.below(2) == 0))
                }
            };
            self.perform(at, call, false)?;
        }
        Ok(simple(Op::Status))
    }

    /// The next code of an authenticator with a counter.
    fn next_code(&self, at: usize) -> Option<Call> {
        let state = self.check.accounts[at].state.as_ref()?;
        state.active.iter().find_map(|authenticator| {
            let phone = &self.check.phones[authenticator.phone];
            let counter = Some(authenticator.next).filter(|next| phone.period.is_none() && *next < u64::MAX)?;
            Some(code(phone.code_at(counter), Some((authenticator.phone, counter))))
        })
    }
}

/// Adds a device on which a code was accepted.
fn add_after(held: &Old<(Arc<Kept>, Login)>, lifetime: Option<u64>) -> Call {
    let Old { born, item: (kept, login), .. } = held.clone();
    let with = With { kept: Some(kept), born: Some(born), ..With::default() };
    Call { with, ..simple(Op::AddDevice(login, lifetime)) }
}
