//! What the guard should answer: a second implementation of its rules, with branches and early exits instead of masks.

// `fuzz` includes this file by its path, so the paths of the submodules have to be explicit.
#[path = "oracle/budget.rs"]
mod budget;
#[path = "oracle/change.rs"]
mod change;
#[path = "oracle/codes.rs"]
mod codes;
#[path = "oracle/factors.rs"]
mod factors;
#[path = "oracle/login.rs"]
mod login;
#[path = "oracle/notices.rs"]
mod notices;

pub use budget::{Budget, DAY, Gate, Limits, Share};
use keyfob::Hotp;
use keyfob::guard::{AuthenticatorId, Expectation, GuardErrorKind, Notice, Purpose, Refusal, SignInMethod};
pub use login::{Device, Kind, Token, is_timely};
pub use notices::Notices;

/// The user's app or token.
pub struct Phone {
    pub id: AuthenticatorId,
    pub hotp: Hotp,
    /// Whether anybody has the secret. If the answer of the enrollment was lost, nobody does, and only the oracle knows
    /// which codes match by chance.
    pub shown: bool,
    pub period: Option<u64>,
    pub counter: u64,
    /// How many steps its clock is ahead.
    pub ahead: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Authenticator {
    pub phone: usize,
    pub next: u64,
    /// One more than the step that a diagnosis disclosed, or 0.
    pub disclosed: u64,
    /// The value of `next` at which the last accepted code was repeated.
    pub repeated: u64,
    pub drift: i64,
    pub lean: i64,
    pub anchor: i64,
    /// When a code confirmed it, or when it was adopted, or 0.
    pub bound: u64,
    pub key: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    pub authenticator: Authenticator,
    pub since: u64,
    pub imported: bool,
    /// The id of the ticket that began the enrollment, or 0.
    pub ticket: u64,
    pub tries: u8,
    pub replaces: Option<usize>,
    /// Whether it was to replace all others when a code was last compared.
    pub replaces_all: bool,
    /// The id of the voucher that it began with, or 0.
    pub voucher: u64,
}

/// The code, unless the answer with it was lost, and whether it was used.
pub type RecoveryCode = (Option<String>, bool);

/// What a token is bound to: the number of the creation of a record, the number of changes since, and the epoch.
pub type Generation = ((u64, u64), u64);

/// A record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub factors: (u64, u64),
    pub epoch: u64,
    /// The time of the removal, or 0.
    pub removed: u64,
    pub suspended: bool,
    pub active: Vec<Authenticator>,
    pub pending: Option<Pending>,
    /// The codes, and the number of the key that they are sealed under.
    pub recovery: Option<(Vec<RecoveryCode>, usize)>,
    pub devices: Vec<Device>,
    /// The ids of the completed logins, and when their challenges expire. There are 16 once there is any.
    pub completed: Vec<(u64, u64)>,
    pub budget: Budget,
    /// The id of the voucher that can be redeemed, or 0.
    pub voucher: u64,
    /// `None` until the first one could have been kept.
    pub notices: Option<Notices>,
}

#[derive(Clone, Debug)]
pub enum Typed {
    Code(String),
    Malformed,
    Recovery(String),
}

/// Everything that a proof is bound to, and how it reaches the guard.
#[derive(Clone, Debug)]
pub struct Bound {
    pub account: usize,
    pub allows: Allows,
    pub generation: Generation,
    pub made: u64,
    pub way: Way,
}

/// What a proof is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Allows {
    Purpose(Purpose),
    /// To add an authenticator, with the voucher that has this id.
    Voucher(u64),
}

/// How a proof reaches the guard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Direct,
    /// As a token, in the session that it was made for.
    Session,
    /// As a token, in another session or without one.
    OtherSession,
}

/// An accepted code that the caller has kept.
#[derive(Clone, Debug)]
pub struct Login {
    pub account: usize,
    pub generation: Generation,
    pub at: u64,
    /// The recovery code that was used, if it was one.
    pub recovery_code: Option<String>,
}

/// What shows an enrollment again.
#[derive(Clone, Debug)]
pub struct Handle {
    pub account: usize,
    pub phone: usize,
    /// Whether somebody has changed the text.
    pub forged: bool,
}

/// An authenticator of another system.
#[derive(Clone, Copy, Debug)]
pub struct Adoptee {
    pub hotp: bool,
    /// Whether the secret is too short for a strict policy.
    pub weak: bool,
    /// The last step or counter that the other system accepted.
    pub last_used: Option<u64>,
    /// Which secret it has.
    pub secret: usize,
}

#[derive(Clone, Debug)]
pub enum Op {
    Acknowledge(Notice),
    /// Adds a device that is trusted for this many seconds, or only known.
    AddDevice(Login, Option<u64>),
    Adopt(Vec<Adoptee>),
    Answer(Typed, Token),
    /// `device` is the number of the device, and whether its token is genuine.
    BeginLogin {
        expectation: Expectation,
        device: Option<(usize, bool)>,
    },
    Cancel,
    Confirm(Typed, Option<Token>),
    Disable(Option<Bound>),
    /// `odd` imports a secret, with an unusual algorithm, length and period, and `weak` one that is too short for a
    /// strict policy.
    Enroll {
        replaces: Option<usize>,
        hotp: bool,
        odd: bool,
        weak: bool,
        proof: Option<Bound>,
        ticket: Option<Token>,
    },
    Erase,
    /// Invalidates codes: all of them if `true`, the recent ones if `false`.
    Fence(bool),
    ForgetDevice(usize),
    ForgetDevices,
    IsCurrent(Generation),
    Lift,
    Redeem(Token),
    Regenerate(Option<Bound>),
    Remove,
    Rename(usize, Option<Bound>),
    Reopen(Handle),
    ReplaceCode(Login),
    Reseal,
    Resume,
    Resync(Typed, Typed),
    Revoke(usize, Option<Bound>),
    Status,
    Suspend,
    Verify(Typed),
    Vouch,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Accepted {
        phone: usize,
        drift: i64,
        left: usize,
    },
    Added {
        trusted: bool,
    },
    /// Whether each authenticator was adopted, or was kept from it because the account has some.
    Adopted(Vec<Result<bool, GuardErrorKind>>),
    Challenge,
    Confirmed {
        recovery_codes: bool,
    },
    Current(bool),
    Done,
    Enrolled,
    MustEnroll,
    Recovered {
        left: usize,
    },
    Redeemed,
    Refused(Refusal),
    /// Whether there was a recovery code to replace.
    Replaced(bool),
    Resealed(bool),
    Resynchronized {
        phone: usize,
        drift: i64,
    },
    Shown {
        phone: usize,
    },
    /// Without a code.
    SignedIn(SignInMethod),
    Status {
        failures: u64,
        left: usize,
        active: usize,
        exhausted: bool,
        retry_at: Option<u64>,
        devices: usize,
        suspended: bool,
        notices: [u64; 5],
    },
    Vouched,
}

/// The answer, and the record if it is written. `Some(None)` removes the record.
pub type Prediction = (Result<Answer, GuardErrorKind>, Option<Option<State>>);

impl Authenticator {
    fn window(&self, limits: Limits, phone: &Phone, now: u64) -> (u64, u64) {
        match phone.period {
            Some(period) => {
                let expected = (now / period).saturating_add_signed(self.drift);
                (expected.saturating_sub(limits.behind), expected + limits.ahead)
            }
            None => (self.next.saturating_sub(1), self.next.saturating_add(limits.look_ahead)),
        }
    }

    fn learn(&mut self, phone: &Phone, now: u64, counter: u64) {
        let Some(period) = phone.period else { return };
        let side = counter.cmp(&(now / period).saturating_add_signed(self.drift)) as i64;
        self.lean = match side {
            0 => 0,
            side if side * self.lean < 0 => side,
            side => self.lean + side,
        };
        if self.lean.abs() == 3 {
            let moved = self.drift + side;
            let distance = (moved - self.anchor).abs();
            let most = if self.anchor == 0 { 10 } else { 40 };
            if (distance <= most || distance < (self.drift - self.anchor).abs()) && moved.abs() <= 3000 {
                self.drift = moved;
            }
            self.lean = 0;
        }
    }
}

impl Phone {
    /// What it shows, or what somebody types who does not have the secret.
    pub fn code_at(&self, counter: u64) -> String {
        if self.shown { self.hotp.code(counter).to_string() } else { "000000".into() }
    }

    fn newest(&self, codes: &[&str], from: u64, to: u64) -> Option<u64> {
        let last = codes.len() as u64 - 1;
        // The last counter has no successor.
        (from.saturating_add(last)..=to.min(u64::MAX - 1))
            .rev()
            .find(|at| codes.iter().rev().zip(0..).all(|(code, back)| self.hotp.code(at - back).to_string() == *code))
    }
}

impl Pending {
    fn waits(&self, now: u64) -> bool {
        now.abs_diff(self.since) < 900 && self.tries < 20
    }
}

impl State {
    /// An account without an authenticator has the generation of one without a record, unless an authenticator was
    /// removed.
    pub fn generation(&self) -> Generation {
        let never = self.active.is_empty() && self.removed == 0;
        (if never { (0, 0) } else { self.factors }, self.epoch)
    }

    pub fn left(&self) -> usize {
        self.recovery.as_ref().map_or(0, |(codes, _)| codes.iter().filter(|(_, used)| !used).count())
    }

    fn reseal(&mut self, primary: usize, now: u64) {
        self.pending.take_if(|pending| !pending.waits(now) && pending.authenticator.key != primary);
        self.active
            .iter_mut()
            .chain(self.pending.as_mut().map(|pending| &mut pending.authenticator))
            .for_each(|authenticator| authenticator.key = primary);
        if let Some(set) = &mut self.recovery {
            set.1 = primary;
        }
    }

    /// What a guess is charged to. `device` is the device that it comes from.
    pub fn share(&self, limits: Limits, now: u64, device: Option<usize>) -> Share {
        let is_known = |wanted: usize| self.devices.iter().any(|device| device.number == wanted && device.is_on(now));
        let share = limits.share(self.has_device(now), device.is_some_and(is_known));
        // What is left for everybody serves a known device, too.
        match self.budget.gate(limits, now, share) {
            Gate::Exhausted(_) => limits.share(self.has_device(now), false),
            _ => share,
        }
    }

    pub fn has_device(&self, now: u64) -> bool {
        self.devices.iter().any(|device| device.is_on(now))
    }

    fn factors_changed(&mut self) {
        self.factors.1 = self.factors.1.wrapping_add(1);
        self.devices.clear();
        self.voucher = 0;
    }

    fn void(&mut self, now: u64) {
        self.epoch = (self.epoch + 1).max(now.min(1 << 52));
        self.devices.clear();
        self.voucher = 0;
    }
}

/// Everything that an answer depends on, except the record.
pub struct World<'a> {
    pub account: usize,
    pub now: u64,
    pub limits: Limits,
    pub phones: &'a [Phone],
    pub primary: usize,
    /// The primary key at the end of the request, which seals the first recovery codes.
    pub latest: usize,
    /// The number for the creation of a record.
    pub creation: u64,
}

impl World<'_> {
    pub fn predict(&self, state: Option<&State>, op: &Op) -> Prediction {
        let factor = state.cloned().unwrap_or_default();
        let forged = match op {
            Op::Answer(_, token) => !self.is_genuine(token, Kind::Challenge),
            Op::Confirm(_, Some(token)) | Op::Enroll { ticket: Some(token), .. } => {
                !self.is_genuine(token, Kind::Ticket)
            }
            Op::Redeem(token) => !self.is_genuine(token, Kind::Voucher),
            Op::Reopen(handle) => handle.forged,
            _ => false,
        };
        if factor.suspended && op.is_by_user() && !forged {
            // A device that the policy never trusts is refused without a look at the record, and so are some changes
            // of an account without a second factor.
            let early = match op {
                Op::AddDevice(_, lifetime) => self.trust_refused(*lifetime),
                Op::Disable(_) | Op::Regenerate(_) if factor.active.is_empty() => Some(GuardErrorKind::NotEnrolled),
                _ => None,
            };
            return match op {
                Op::IsCurrent(_) => (Ok(Answer::Current(false)), None),
                _ => (Err(early.unwrap_or(GuardErrorKind::Suspended)), None),
            };
        }
        match op {
            Op::Verify(typed) => self.verify(factor, typed, None),
            Op::Answer(typed, token) => self.answer(factor, typed, token),
            Op::Resync(first, second) => self.resync(factor, first, second),
            Op::Confirm(typed, ticket) => self.confirm(factor, typed, ticket.as_ref()),
            _ => match self.change(factor, op) {
                Ok((answer, next)) => (Ok(answer), next),
                Err(kind) => (Err(kind), None),
            },
        }
    }
}

impl Op {
    /// Whether it comes with a token that keyfob did not make, and that is refused before the record is loaded.
    pub fn is_forged(&self) -> bool {
        match self {
            Self::Answer(_, token) | Self::Redeem(token) => token.forged,
            Self::Reopen(handle) => handle.forged,
            Self::Confirm(_, ticket) | Self::Enroll { ticket, .. } => {
                ticket.as_ref().is_some_and(|ticket| ticket.forged)
            }
            _ => false,
        }
    }

    /// Whether a suspended account refuses it.
    fn is_by_user(&self) -> bool {
        match self {
            Self::AddDevice(..)
            | Self::Answer(..)
            | Self::BeginLogin { .. }
            | Self::Confirm(..)
            | Self::Disable(_)
            | Self::Enroll { .. }
            | Self::IsCurrent(_)
            | Self::Redeem(_)
            | Self::Regenerate(_)
            | Self::Rename(..)
            | Self::Reopen(_)
            | Self::ReplaceCode(_)
            | Self::Resync(..)
            | Self::Revoke(..)
            | Self::Verify(_)
            | Self::Vouch => true,
            Self::Acknowledge(_)
            | Self::Adopt(_)
            | Self::Cancel
            | Self::Erase
            | Self::Fence(_)
            | Self::ForgetDevice(_)
            | Self::ForgetDevices
            | Self::Lift
            | Self::Remove
            | Self::Reseal
            | Self::Resume
            | Self::Status
            | Self::Suspend => false,
        }
    }
}

fn refused(reason: Refusal) -> Prediction {
    (Ok(Answer::Refused(reason)), None)
}
