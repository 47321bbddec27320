//! Logins, tickets and devices of the oracle.

use keyfob::guard::{Expectation, GuardErrorKind, Refusal, SignInMethod};

use super::{Answer, Login, Prediction, State, Typed, World, refused};

/// A trusted or known device in a record. The number counts all devices that were ever added.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub number: usize,
    pub trusted: bool,
    pub created: u64,
    pub ends: u64,
}

impl Device {
    pub fn is_on(&self, now: u64) -> bool {
        self.ends > now && (self.created <= now || self.created - now <= 60)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Challenge,
    Ticket,
    Voucher,
}

/// A challenge, a ticket or a voucher.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub kind: Kind,
    /// The account that it names.
    pub account: usize,
    pub generation: super::Generation,
    pub made: u64,
    pub expires: u64,
    pub id: u64,
    /// The number of the device that the login began on.
    pub device: Option<usize>,
    /// Whether somebody has changed the text.
    pub forged: bool,
}

/// Whether something that was made at this time can be used at that time. It expires at the end of time as well.
pub fn is_timely(made: u64, expires: u64, now: u64) -> bool {
    (made <= now || made - now <= 60) && now < expires
}

pub(super) type Changed = Result<(Answer, Option<Option<State>>), GuardErrorKind>;

impl World<'_> {
    /// The number of the device whose token was shown, if the account has it.
    fn recognized<'a>(&self, factor: &'a State, shown: Option<(usize, bool)>) -> Option<&'a Device> {
        let (number, _) = shown.filter(|(_, genuine)| *genuine)?;
        factor.devices.iter().find(|device| device.number == number && device.is_on(self.now))
    }

    pub(super) fn begin_login(
        &self,
        factor: &State,
        expectation: Expectation,
        shown: Option<(usize, bool)>,
    ) -> Changed {
        let device = self.recognized(factor, shown);
        let lasting = |device: &Device| self.now < device.created.saturating_add(self.limits.trust);
        let answer = if factor.active.is_empty() {
            match expectation {
                Expectation::Enrolled if factor.removed > 0 => return Err(GuardErrorKind::Removed),
                Expectation::Enrolled => return Err(GuardErrorKind::RecordMissing),
                Expectation::RequiredFrom(until) if until <= self.now => Answer::MustEnroll,
                Expectation::RequiredFrom(until) => Answer::SignedIn(SignInMethod::Grace { until }),
                Expectation::Optional => Answer::SignedIn(SignInMethod::NoSecondFactor),
            }
        } else if device.is_some_and(|device| device.trusted && self.limits.trust > 0 && lasting(device)) {
            Answer::SignedIn(SignInMethod::TrustedDevice)
        } else {
            Answer::Challenge
        };
        Ok((answer, None))
    }

    pub(super) fn is_genuine(&self, token: &Token, kind: Kind) -> bool {
        !token.forged && token.kind == kind && token.account == self.account
    }

    pub(super) fn is_valid(&self, factor: &State, token: &Token, kind: Kind) -> bool {
        self.is_genuine(token, kind)
            && token.generation == factor.generation()
            && is_timely(token.made, token.expires, self.now)
    }

    pub(super) fn answer(&self, factor: State, typed: &Typed, token: &Token) -> Prediction {
        let completed = factor.completed.iter().any(|(id, _)| *id == token.id);
        if completed || !self.is_valid(&factor, token, Kind::Challenge) {
            return (Err(GuardErrorKind::LoginRejected), None);
        }
        // A recovery code makes every challenge void, so it needs no slot.
        if let (Err(retry_at), Typed::Code(_) | Typed::Malformed) = (self.slot(&factor), typed) {
            return refused(Refusal::Throttled { retry_at });
        }
        self.verify(factor, typed, Some(token))
    }

    /// The slot for another completed login: the first one that is empty or too old, or else the first one that only a
    /// clock that was ahead can have filled.
    fn slot(&self, factor: &State) -> Result<usize, u64> {
        let slots = || factor.completed.iter();
        let free = slots().position(|(id, expires)| *id == 0 || expires.saturating_add(60) <= self.now);
        let ahead = || slots().position(|(_, expires)| expires.saturating_sub(self.now) > 360);
        match (free.or_else(ahead), slots().map(|(_, expires)| expires).min()) {
            (Some(slot), _) => Ok(slot),
            (None, None) => Ok(0),
            (None, Some(first)) => Err(first.saturating_add(60)),
        }
    }

    /// What a code in a login changes besides what it changes elsewhere.
    pub(super) fn complete(&self, factor: &mut State, token: &Token, accepted: bool) {
        if let Ok(slot) = self.slot(factor) {
            factor.completed.resize(16, (0, 0));
            if accepted {
                factor.completed[slot] = (token.id, token.expires);
            }
        }
        if !accepted {
            return;
        }
        let now = self.now;
        let from = |device: &&mut Device| Some(device.number) == token.device && device.is_on(now) && !device.trusted;
        if let Some(device) = factor.devices.iter_mut().find(from) {
            device.ends = now.saturating_add(180 * 86_400);
        }
    }

    /// A ticket serves only an account without a second factor.
    pub(super) fn ticket(&self, factor: &State, ticket: Option<&Token>) -> Result<u64, GuardErrorKind> {
        let Some(ticket) = ticket else { return Ok(0) };
        let good = self.is_valid(factor, ticket, Kind::Ticket) && factor.active.is_empty();
        if good { Ok(ticket.id) } else { Err(GuardErrorKind::LoginRejected) }
    }

    pub(super) fn trust_refused(&self, lifetime: Option<u64>) -> Option<GuardErrorKind> {
        let allowed = lifetime.is_none_or(|lifetime| (1..=self.limits.trust).contains(&lifetime));
        (!allowed).then_some(GuardErrorKind::TrustRefused)
    }

    pub(super) fn check_login(&self, factor: &State, login: &Login) -> Result<(), GuardErrorKind> {
        let timely = is_timely(login.at, login.at.saturating_add(300), self.now);
        let current = login.account == self.account && login.generation == factor.generation();
        if timely && current { Ok(()) } else { Err(GuardErrorKind::ProofRejected) }
    }

    pub(super) fn add_device(&self, mut factor: State, login: &Login, lifetime: Option<u64>) -> Changed {
        if let Some(kind) = self.trust_refused(lifetime) {
            return Err(kind);
        }
        self.check_login(&factor, login)?;
        let now = self.now;
        factor.devices.retain(|device| now < device.ends);
        let trusted = lifetime.is_some();
        let ends = now.saturating_add(lifetime.unwrap_or(180 * 86_400));
        if factor.devices.len() == 16 {
            // A known device goes before a trusted one, and no trusted one goes for a known one.
            let mut order: Vec<usize> = (0..16).filter(|index| trusted || !factor.devices[*index].trusted).collect();
            order.sort_by_key(|index| (factor.devices[*index].trusted, factor.devices[*index].ends, *index));
            factor.devices.remove(*order.first().ok_or(GuardErrorKind::TooManyDevices)?);
        }
        // The caller fills in the number.
        factor.devices.push(Device { number: usize::MAX, trusted, created: now, ends });
        Ok((Answer::Added { trusted }, Some(Some(factor))))
    }
}
