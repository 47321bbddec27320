//! The invariants about logins, checked against what was answered before.

use keyfob::guard::{DeviceId, Expectation, GuardErrorKind, SignInMethod};

use super::super::invariant::{Invariant, Violation};
use super::super::oracle::{Answer, Op, State, Typed, is_timely};
use super::{Call, Checker, Record};

/// A device that was added.
pub struct DeviceOf {
    pub account: usize,
    pub id: DeviceId,
    /// `None` if the answer was lost.
    pub token: Option<String>,
    /// How often everything from before had become void at the account.
    pub born: u64,
    /// From when to when it is trusted.
    pub trusted: Option<(u64, u64)>,
}

impl Checker {
    pub(super) fn logins(
        &mut self,
        at: usize,
        call: &Call,
        now: u64,
        outcome: &Result<Answer, GuardErrorKind>,
    ) -> Result<(), Violation> {
        let Ok(answer) = outcome else { return Ok(()) };
        let account = &self.accounts[at];
        let enrolled = account.state.as_ref().is_some_and(|state| !state.active.is_empty());
        let told = || format!("{:?}: {answer:?}", call.op);

        let accepts = !call.op.is_for_all() && !matches!(answer, Answer::Current(false) | Answer::Refused(_));
        Invariant::SuspendedAcceptsNothing.require(!account.suspended || !accepts, told)?;

        let completes = matches!(answer, Answer::Accepted { .. } | Answer::Confirmed { .. } | Answer::Recovered { .. });
        if let Op::Answer(_, token) | Op::Confirm(_, Some(token)) = &call.op
            && completes
        {
            Invariant::CompletedOnce.require(self.completed.insert((at, token.kind, token.id)), told)?;
        }

        let device = match call.op {
            Op::BeginLogin { device: Some((number, _)), .. } => self.devices.get(number),
            _ => None,
        };
        if *answer == Answer::SignedIn(SignInMethod::TrustedDevice) {
            let trusted = device.and_then(|device| device.trusted);
            let lasts = trusted.is_some_and(|(from, to)| now < to && (from <= now || from - now <= 60));
            Invariant::TrustEnds.require(lasts, || format!("at {now}, trusted {trusted:?}"))?;
        }
        // A second factor that is not there needs no proof to add the first one.
        let honored = match (&call.op, answer) {
            (Op::BeginLogin { .. }, Answer::SignedIn(SignInMethod::TrustedDevice)) => {
                Some(device.filter(|device| device.account == at).map(|device| device.born))
            }
            (Op::IsCurrent(_), Answer::Current(true)) => Some(call.with.born),
            (Op::IsCurrent(_), _) => None,
            (Op::Enroll { ticket: None, .. }, _) => enrolled.then_some(call.with.born),
            (Op::Answer(..) | Op::AddDevice(..) | Op::Confirm(_, Some(_)) | Op::Enroll { .. }, _) => {
                Some(call.with.born)
            }
            (Op::Disable(_) | Op::Regenerate(_) | Op::Rename(..) | Op::Revoke(..), _) => Some(call.with.born),
            (Op::Redeem(_) | Op::ReplaceCode(_), _) => Some(call.with.born),
            _ => None,
        };
        Invariant::StaysVoid.require(honored.is_none_or(|born| born == Some(account.voids)), || {
            format!("of {honored:?}, now {}: {}", account.voids, told())
        })?;

        let expected = matches!(call.op, Op::BeginLogin { expectation: Expectation::Enrolled, .. });
        let signed_in = matches!(answer, Answer::SignedIn(_));
        Invariant::ExpectedIsThere.require(!(expected && signed_in) || enrolled, told)?;

        let account = &mut self.accounts[at];
        let voids = match (&call.op, answer) {
            (_, Answer::Confirmed { .. } | Answer::Recovered { .. }) => true,
            (Op::Suspend, _) => !account.suspended,
            (Op::Resume, _) => account.suspended,
            (Op::Disable(_) | Op::Erase | Op::Fence(_) | Op::ForgetDevices, _) => true,
            (Op::Adopt(_), Answer::Adopted(answers)) => answers.contains(&Ok(true)),
            (Op::Regenerate(_) | Op::Remove | Op::Revoke(..), _) => true,
            _ => false,
        };
        account.voids += u64::from(voids);
        match call.op {
            Op::Suspend => account.suspended = true,
            Op::Erase | Op::Resume => account.suspended = false,
            Op::ForgetDevice(number) => self.devices[number].born = u64::MAX,
            _ => {}
        }
        Ok(())
    }

    /// Why a token of a login was worth nothing, or less than it could be.
    pub(super) fn reason(
        &self,
        at: usize,
        call: &Call,
        now: u64,
        outcome: &Result<Answer, GuardErrorKind>,
    ) -> Option<&'static str> {
        let voids = self.accounts[at].voids;
        match (&call.op, outcome) {
            (Op::Answer(_, token), Err(GuardErrorKind::LoginRejected)) => match () {
                () if token.forged => Some("Forged"),
                () if call.with.born != Some(voids) => Some("Void"),
                () if !is_timely(token.made, token.expires, now) => Some("Expired"),
                () => self.completed.contains(&(at, token.kind, token.id)).then_some("Completed before"),
            },
            (Op::Redeem(token), Err(GuardErrorKind::LoginRejected)) => match () {
                () if token.forged => Some("Forged voucher"),
                () if call.with.born != Some(voids) => Some("Void voucher"),
                () if !is_timely(token.made, token.expires, now) => Some("Expired voucher"),
                () if self.redeemed.contains(&token.id) => Some("Redeemed before"),
                () => Some("Newer voucher"),
            },
            (Op::Reopen(handle), Err(GuardErrorKind::NoEnrollment)) => match () {
                () if handle.forged => Some("Forged handle"),
                () => self.ended.contains(&handle.phone).then_some("Old handle"),
            },
            (Op::BeginLogin { device: Some((number, genuine)), .. }, Ok(Answer::Challenge)) => {
                match &self.devices[*number] {
                    _ if !genuine => Some("Forged device"),
                    device if device.account != at => Some("Device of another account"),
                    device if device.born != voids => Some("Void device"),
                    device if device.trusted.is_none() => Some("Known device"),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Numbers a device that was added. If the answer was lost, its token is unknown.
    pub(super) fn added(&mut self, at: usize, next: &mut State, token: Option<String>, record: Option<&Record>) {
        let account = &self.accounts[at];
        let was_full = account.state.as_ref().is_some_and(|state| state.devices.len() == 16);
        let still_full = next.devices.len() == 16;
        let added = next.devices.iter_mut().find(|device| device.number == usize::MAX);
        // The new one is not listed if all others are trusted.
        if was_full && still_full {
            self.counts.add("Full", 1);
        }
        let trusted = added.and_then(|device| {
            device.number = self.devices.len();
            device.trusted.then_some((device.created, device.ends))
        });
        let id = match &token {
            Some(token) => token.split('.').next(),
            None => record.and_then(|record| Some(record.devices.last()?.id.as_str())),
        };
        let id = id.unwrap_or("lost").parse().unwrap();
        self.devices.push(DeviceOf { account: at, id, token, born: account.voids, trusted });
    }
}

impl Op {
    /// Whether it compares a code with the active authenticators.
    pub fn is_guess(&self) -> bool {
        matches!(self, Self::Answer(Typed::Code(_), _) | Self::Resync(..) | Self::Verify(Typed::Code(_)))
    }

    /// The number of the device that the code of a login comes from.
    pub fn device(&self) -> Option<usize> {
        match self {
            Self::Answer(_, token) => token.device,
            _ => None,
        }
    }

    /// Whether it is allowed while an account is suspended.
    fn is_for_all(&self) -> bool {
        let operator = matches!(self, Self::Erase | Self::Fence(_) | Self::Lift | Self::Remove | Self::Reseal);
        let devices = matches!(self, Self::ForgetDevice(_) | Self::ForgetDevices);
        let more = matches!(self, Self::Acknowledge(_) | Self::Adopt(_) | Self::Cancel);
        operator || devices || more || matches!(self, Self::Resume | Self::Status | Self::Suspend)
    }
}
