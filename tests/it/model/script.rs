//! Random lives of three accounts, with users, guessers, operators and failing servers.

// `fuzz` includes this file by its path, so the paths of the submodules have to be explicit.
#[path = "script/codes.rs"]
mod codes;
#[path = "script/database.rs"]
mod database;
#[path = "script/factors.rs"]
mod factors;
#[path = "script/held.rs"]
mod held;
#[path = "script/login.rs"]
mod login;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use held::Held;
use keyfob::guard::{GuardErrorKind, Purpose, Waits};
use keyfob::{LookAhead, Policy, Window};

use super::call::{Server, keyring, run};
use super::checker::{Call, Checker, Moment, Seen, Stored, With};
use super::invariant::Violation;
use super::oracle::{Answer, Authenticator, DAY, Gate, Limits, Op, Typed};
use super::store::{Broken, Fault, Faulty, lock};
use crate::random::{Choices, Random};

pub struct Run {
    random: Choices,
    clock: Arc<Mutex<Option<u64>>>,
    store: Arc<Faulty>,
    server: Server,
    check: Checker,
    /// How many seconds the clock of a second server lags.
    lag: u64,
    held: Held,
    /// The time that the clock returns to, and after how many steps.
    detour: Option<(u64, u64)>,
    /// The last calls, if they are recorded.
    trace: Option<VecDeque<String>>,
}

impl Run {
    pub fn new(seed: u64, broken: Option<Broken>) -> Self {
        Self::by(Choices::Random(Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d))), seed, broken, true)
    }

    /// Runs the life that the bytes of a tape choose, to the end of the tape.
    pub fn replay(tape: &[u8], broken: Option<Broken>) {
        let Err((violation, _)) = Self::play(tape, broken, false) else { return };
        // To record the calls takes longer than to make them, so only the calls that a panic prints are recorded.
        let trace = Self::play(tape, broken, true).map_or_else(|(_, trace)| trace, |()| "not repeatable".into());
        panic!("{violation}\n{trace}");
    }

    fn play(tape: &[u8], broken: Option<Broken>, recorded: bool) -> Result<(), (Violation, String)> {
        let mut run = Self::by(Choices::Tape(tape.iter().copied().collect()), 1, broken, recorded);
        while !run.random.ended() {
            run.step().map_err(|violation| (violation, run.trace()))?;
        }
        Ok(())
    }

    fn by(mut random: Choices, seed: u64, broken: Option<Broken>, recorded: bool) -> Self {
        let (strict, notices) = (random.below(4) == 0 || broken == Some(Broken::Lenient), random.below(2) == 0);
        // Small limits are reached within one life.
        let limits = match random.below(3) {
            0 => Limits {
                free: 5,
                first_wait: 30,
                longest_wait: 3600,
                consecutive: 100,
                long_term: 100,
                per_day: 4,
                within: 20,
                behind: 1,
                ahead: 1,
                look_ahead: 5,
                trust: 30 * DAY,
                strict,
                notices,
            },
            1 => Limits {
                free: 2,
                first_wait: 7,
                longest_wait: 50,
                consecutive: 6,
                long_term: 40,
                per_day: 24,
                within: 9,
                behind: 0,
                ahead: 0,
                look_ahead: 0,
                trust: 0,
                strict,
                notices,
            },
            _ => Limits {
                free: 3,
                first_wait: 1,
                longest_wait: 9,
                consecutive: 20,
                long_term: 12,
                per_day: 3,
                within: 45,
                behind: 3,
                ahead: 2,
                look_ahead: 10,
                trust: DAY,
                strict,
                notices,
            },
        };
        // A strict policy allows no trusted devices.
        let limits = Limits { trust: if strict { 0 } else { limits.trust }, ..limits };
        let (first, longest) = match broken {
            Some(Broken::Impatient) => (DAY, DAY),
            _ => (limits.first_wait, limits.longest_wait),
        };
        // Without the helper of the other tests, which `fuzz` does not include.
        let (first, longest) = (Duration::from_secs(first), Duration::from_secs(longest));
        let policy = if strict && broken != Some(Broken::Lenient) { Policy::strict() } else { Policy::default() };
        let policy = if notices { policy.with_notices() } else { policy };
        let policy = policy
            .with_waits(Waits { after_failures: limits.free as u8, first, longest })
            .map(|policy| policy.with_window(Window::new(limits.behind as u8, limits.ahead as u8).unwrap()))
            .map(|policy| policy.with_look_ahead(LookAhead::new(limits.look_ahead as u8).unwrap()))
            .and_then(|policy| policy.with_consecutive_failures(limits.consecutive as u8))
            .and_then(|policy| policy.with_long_term(limits.long_term as u8, limits.per_day as u8))
            .and_then(|policy| policy.with_resync_within(limits.within as u16))
            .and_then(|policy| match limits.trust {
                0 => Ok(policy),
                longest => policy.with_trusted_devices(Duration::from_secs(longest)),
            })
            .unwrap();
        let clock = Arc::new(Mutex::new(Some(1_900_000_000)));
        let store = Faulty::new(broken);
        let server = Server::new(&store, &clock, seed, &policy);
        let mut check = Checker::new(limits, broken.is_none(), &["al", "bo", "cy"]);
        check.counts.0 = recorded.then(BTreeMap::new);
        let lag = [0, 1, 60, 1800, 3600][random.below(5) as usize];
        let (held, trace) = (Held::default(), recorded.then(VecDeque::new));
        Self { random, clock, store, server, check, lag, held, detour: None, trace }
    }

    /// An enrollment whose answer was lost, and codes that match its secret by chance: the code of a future step, which
    /// the diagnosis discloses, the one that confirms it, and one of a login.
    pub fn lost_enrollment(&mut self) -> Result<(), Violation> {
        self.lag = 0;
        let enroll = Op::Enroll { replaces: None, hotp: false, odd: false, weak: false, proof: None, ticket: None };
        self.perform_with(0, simple(enroll), Fault::ErrorAfter, Default::default())?;
        for (seconds, ahead) in [(0, 20), (30, 0), (60, 0)] {
            *lock(&self.clock) = Some(self.now() + seconds);
            let step = self.now() / 30 + ahead;
            let Some(phone) = self.check.phones.first() else { break };
            assert!(!phone.shown, "nobody has the secret");
            let right = code(phone.hotp.code(step).to_string(), Some((0, step)));
            let call = match right.op {
                Op::Verify(typed) if seconds < 60 => Call { op: Op::Confirm(typed, None), ..right },
                op => Call { op, ..right },
            };
            self.perform_with(0, call, Fault::None, Default::default())?;
        }
        Ok(())
    }

    /// The only authenticator that the oracle expects to be active.
    pub fn only_authenticator(&self) -> &Authenticator {
        &self.check.accounts[0].state.as_ref().expect("a record").active[0]
    }

    pub fn counts(&self) -> &BTreeMap<String, u64> {
        self.check.counts.0.as_ref().expect("a recorded run")
    }

    pub fn trace(&self) -> String {
        self.trace.iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    pub fn step(&mut self) -> Result<(), Violation> {
        let at = self.random.below(3) as usize;
        self.tick(at);
        match self.random.below(100) {
            0 => self.rotate(),
            1 | 2 if self.check.strict || self.store.broken == Some(Broken::Heals) => return self.damage(at),
            3 | 4 => {
                let account = &mut self.check.accounts[at];
                account.snapshot = Some((self.store.bytes(&account.name), account.state.clone()));
            }
            5 if self.check.strict && self.random.below(3) == 0 => return self.restore(at),
            _ => {
                let call = self.choose(at)?;
                return self.perform(at, call, true);
            }
        }
        Ok(())
    }

    fn now(&self) -> u64 {
        lock(&self.clock).unwrap_or(0)
    }

    fn tick(&mut self, at: usize) {
        let now = self.now();
        if let Some((back, left)) = self.detour {
            self.detour = (left > 0).then(|| (back, left - 1));
            *lock(&self.clock) = Some(if left > 0 { now.saturating_add(self.random.below(40)) } else { back });
            return;
        }
        let retry_at = match self.check.gate(at, now) {
            Gate::Throttled(retry_at) | Gate::Exhausted(Some(retry_at)) => retry_at,
            _ => now,
        };
        let jump = self.random.below(1000);
        let to = match jump {
            0..=399 => now,
            400..=649 => now + 30,
            650..=799 => now + self.random.below(120),
            800..=929 => retry_at,
            930..=939 => retry_at.saturating_sub(1).max(now),
            940..=979 => now + 86_400,
            980..=984 => now - 30,
            985..=987 => now - 86_400,
            988..=991 => now + 365 * 86_400,
            992..=993 => self.random.below(100),
            994 => u64::MAX,
            995 => 0,
            _ => now,
        };
        if (985..=995).contains(&jump) {
            self.detour = Some((now, self.random.below(6)));
        }
        *lock(&self.clock) = (jump != 995).then_some(to);
    }

    fn rotate(&mut self) {
        if self.check.primary < 5 {
            self.check.primary += 1;
            self.server.guard.replace_keyring(keyring(self.check.primary));
        }
    }

    /// Makes one call, sometimes with a failing store or with another request between load and swap.
    fn perform(&mut self, at: usize, call: Call, faults: bool) -> Result<(), Violation> {
        let meanwhile = Arc::new(Mutex::new(None));
        let rotated = Arc::new(Mutex::new(false));
        let mut others = None;
        let fault = match self.random.below(100) {
            _ if !faults => Fault::None,
            0..=1 => Fault::ErrorAfter,
            2..=3 => Fault::ErrorBefore,
            4 => Fault::ErrorOfLoad,
            5..=6 => Fault::Conflict(self.random.below(10) as u8 + 1),
            7 => Fault::Then(Box::new(if self.random.below(2) == 0 { Fault::ErrorAfter } else { Fault::ErrorBefore })),
            8..=9 => Fault::DroppedAfter,
            10 => Fault::DroppedBefore,
            11..=20 => {
                let other = self.other(at, &call);
                others = Some(other.clone());
                let (server, store, ids) = (self.server.clone(), self.store.clone(), self.check.ids.clone());
                let (name, seen) = (self.check.accounts[at].name.clone(), meanwhile.clone());
                Fault::Meanwhile(Box::new(move || {
                    let before = std::mem::take(&mut *lock(&store.applied));
                    let answer = run(&server, &name, &ids, &other);
                    let applied = std::mem::replace(&mut *lock(&store.applied), before);
                    *lock(&seen) = Some((answer, applied));
                }))
            }
            21 if self.check.primary < 5 => {
                let (guard, next, rotated) = (self.server.guard.clone(), self.check.primary + 1, rotated.clone());
                Fault::Meanwhile(Box::new(move || {
                    guard.replace_keyring(keyring(next));
                    *lock(&rotated) = true;
                }))
            }
            _ => Fault::None,
        };
        self.perform_with(at, call, fault, Meanwhile { call: others, seen: meanwhile, rotated })
    }

    /// Makes one call with this fault.
    fn perform_with(&mut self, at: usize, call: Call, fault: Fault, meanwhile: Meanwhile) -> Result<(), Violation> {
        let faulted = match &fault {
            Fault::Conflict(times) => (*times >= ATTEMPTS).then_some(GuardErrorKind::Contended),
            Fault::Meanwhile(_) | Fault::None => None,
            _ => Some(GuardErrorKind::Store),
        };
        let right = *lock(&self.clock);
        // The call goes to the second server.
        let now = if self.random.below(4) == 0 { right.map(|right| right.saturating_sub(self.lag)) } else { right };
        let moment = Moment { server: now, right: right.unwrap_or(0), lag: self.lag };
        *lock(&self.clock) = now;
        *lock(&self.store.fault) = fault;
        *lock(&self.store.applied) = 0;
        let name = self.check.accounts[at].name.clone();
        let mut seen = run(&self.server, &name, &self.check.ids, &call);
        *lock(&self.clock) = right;
        *lock(&self.store.fault) = Fault::None;
        let record = self.store.bytes(&name).map(|bytes| self.check.accounts[at].read(bytes));
        let rotated = *lock(&meanwhile.rotated);
        if let (Some((mut seen, applied)), Some(other)) = (lock(&meanwhile.seen).take(), meanwhile.call) {
            self.note(|| format!("{now:?} {name} meanwhile {other:?}: {:?}", seen.outcome));
            // The other request was stored first.
            self.check.heard(&other, &seen)?;
            let stored = Stored { applied, faulted: None, rotated: false, record: None };
            self.check.check(at, &other, moment, &mut seen, &stored)?;
        }
        let applied = *lock(&self.store.applied);
        let (op, typed, source) = (&call.op, &call.typed, call.source);
        self.note(|| format!("{now:?} {name} {op:?} {typed:?} {source:?}: {:?}, {applied} written", seen.outcome));
        if seen.dropped {
            self.check.counts.add("Dropped", 1);
        }
        self.check.heard(&call, &seen)?;
        let stored = Stored { applied, faulted, rotated, record: Some(record.as_deref()) };
        self.check.check(at, &call, moment, &mut seen, &stored)?;
        if rotated {
            self.check.primary += 1;
            self.check.counts.add("Rotated meanwhile", 1);
        }
        self.keep(at, &call, seen.outcome.is_ok().then_some(&mut seen), now.unwrap_or(0))?;
        if matches!(call.op, Op::Erase) && applied > 0 {
            self.held.revive(at, &mut self.check);
        }
        if !matches!(seen.outcome, Err(_) | Ok(Answer::Refused(_))) && call.source.is_some() {
            self.check.accounts[at].last = Some(call);
        }
        Ok(())
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        let Some(trace) = &mut self.trace else { return };
        trace.push_back(line());
        if trace.len() > 12 {
            trace.pop_front();
        }
    }

    fn choose(&mut self, at: usize) -> Result<Call, Violation> {
        let state = self.check.accounts[at].state.as_ref();
        let active = state.is_some_and(|state| !state.active.is_empty());
        let waiting = state.is_some_and(|state| state.pending.is_some());
        if state.is_some_and(|state| state.suspended) && self.random.below(3) == 0 {
            return Ok(simple(Op::Resume));
        }
        let exhausted = self.check.limits.strict && matches!(self.check.gate(at, self.now()), Gate::Exhausted(_));
        if exhausted && active && self.random.below(16) == 0 {
            return self.factors(at, 20);
        }
        let kind = self.random.below(156);
        let kind = match kind {
            0..=59 if !active && waiting && self.random.below(8) == 0 => 145,
            0..=59 if !active && !waiting && self.random.below(5) == 0 => 155,
            0..=59 | 100..=118 if !active && waiting => 90,
            0..=59 | 100..=118 if !active => 80,
            kind => kind,
        };
        Ok(match kind {
            0..=28 => self.right(at),
            29..=46 => code(format!("{:06}", self.random.below(1_000_000)), None),
            47..=52 => self.check.accounts[at].last.clone().unwrap_or_else(|| self.right(at)),
            53..=57 => {
                let off = self.random.below(9) as i64 - 4;
                self.near(at, off)
            }
            58..=59 => {
                let text = ["", "12345", "123456789", "12345x", "ABCD-EFGH", "\u{0}"][self.random.below(6) as usize];
                Call { typed: [text.into(), String::new()], ..simple(Op::Verify(Typed::Malformed)) }
            }
            60..=64 => self.recovery(at),
            65..=69 => self.resync(at),
            70 => {
                let phone = self.phone(at);
                self.proved(at, &Purpose::RENAME, |proof| Op::Rename(phone, proof))?
            }
            71..=72 => simple(Op::Reseal),
            73 => simple(Op::Lift),
            74 => simple(Op::Fence(self.random.below(2) == 0)),
            75 => simple(if self.random.below(3) == 0 { Op::Remove } else { Op::Status }),
            76..=77 => simple(Op::Status),
            78..=84 => {
                let replaces = (self.random.below(4) == 0).then(|| self.phone(at));
                let (hotp, odd) = (self.random.below(3) == 0, self.random.below(3) == 0);
                let weak = odd && self.random.below(4) == 0;
                let by_ticket = if active { self.random.below(8) == 0 } else { self.random.below(2) == 0 };
                match by_ticket {
                    true => {
                        let enroll = |ticket| Op::Enroll { replaces: None, hotp, odd, weak, proof: None, ticket };
                        self.with_ticket(at, enroll)?
                    }
                    false => {
                        let enroll = |proof| Op::Enroll { replaces, hotp, odd, weak, proof, ticket: None };
                        self.proved(at, &Purpose::ADD, enroll)?
                    }
                }
            }
            85..=92 => self.confirm(at),
            93 => {
                let phone = self.phone(at);
                self.proved(at, &Purpose::REVOKE, |proof| Op::Revoke(phone, proof))?
            }
            94 => self.proved(at, &Purpose::REGENERATE, Op::Regenerate)?,
            95 => match self.random.below(3) {
                0 => self.proved(at, &Purpose::DISABLE, Op::Disable)?,
                _ => simple(Op::Status),
            },
            140.. => self.factors(at, kind - 140)?,
            _ => self.login(at, kind - 96)?,
        })
    }

    /// The call of another request at the same time, often the same call.
    fn other(&mut self, at: usize, call: &Call) -> Call {
        match (&call.op, self.random.below(11)) {
            (Op::Answer(..) | Op::Verify(_) | Op::Resync(..) | Op::Confirm(..), 0..=4) => match call.op {
                Op::Confirm(..) => code("000000".into(), None),
                Op::Answer(..) if self.random.below(2) == 0 => {
                    let other = self.right(at);
                    answering(other, call)
                }
                _ => call.clone(),
            },
            (Op::Redeem(_) | Op::ReplaceCode(_), 0..=4) => call.clone(),
            (_, 0..=5) => self.right(at),
            (_, 6) => code(format!("{:06}", self.random.below(1_000_000)), None),
            (_, 7) => simple(if self.random.below(3) == 0 { Op::Remove } else { Op::Lift }),
            (_, 8) => simple(Op::Fence(false)),
            (_, 9) => simple(match self.random.below(4) {
                0 => Op::ForgetDevices,
                1 => Op::Suspend,
                _ => Op::Resume,
            }),
            _ => simple(Op::Rename(self.phone(at), None)),
        }
    }
}

/// What happens between load and swap.
#[derive(Default)]
struct Meanwhile {
    call: Option<Call>,
    /// The answer to the call, and the number of changes that it made.
    seen: Arc<Mutex<Option<(Seen, u32)>>>,
    rotated: Arc<Mutex<bool>>,
}

/// After this many lost swaps the guard gives up.
const ATTEMPTS: u8 = 8;

fn simple(op: Op) -> Call {
    Call { op, typed: Default::default(), source: None, with: With::default() }
}

fn code(text: String, source: Option<(usize, u64)>) -> Call {
    Call { typed: [text.clone(), String::new()], source, ..simple(Op::Verify(Typed::Code(text))) }
}

/// Answers the challenge of a call with the code of another call.
fn answering(code: Call, call: &Call) -> Call {
    match (code.op, &call.op) {
        (Op::Verify(typed) | Op::Answer(typed, _), Op::Answer(_, token)) => {
            Call { op: Op::Answer(typed, token.clone()), with: call.with.clone(), ..code }
        }
        _ => call.clone(),
    }
}
