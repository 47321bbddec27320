//! The parts of a login before and after the code check: what is required after the password, and the final sign-in.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::ct;
use crate::guard::answer::enrollment::{Confirmation, Enrollment};
use crate::guard::answer::event::{Event, EventKind, events};
use crate::guard::answer::login::{Answer, Expectation, Login, SignIn, SignInMethod};
use crate::guard::answer::transition::{Change, Transition};
use crate::guard::answer::verdict::{Accepted, Method, Refusal, Verdict};
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::generation::Generation;
use crate::guard::id::DeviceId;
use crate::guard::randomness::Randomness;
use crate::guard::record::SecondFactor;
use crate::guard::record::devices::{KNOWN_LIFETIME, recognized};
use crate::guard::record::logins::{CompletedLogins, Slot};
use crate::guard::record::recovery::RecoveryCode;
use crate::guard::setup::Setup;
use crate::guard::token::SKEW;
use crate::guard::token::device::DeviceToken;
use crate::guard::token::login::{Challenge, EnrollmentTicket, LoginToken, Purpose};

impl SecondFactor {
    /// Begins a login after the password has been checked. The record does not change. See
    /// [`Guard::begin_login`](crate::Guard::begin_login).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::RecordMissing`] or [`GuardErrorKind::Removed`] if a second factor is expected and the
    ///   account has none. `Removed` means that the user or an operator disabled it.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Randomness`] if the source of randomness failed.
    pub fn begin_login(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        expectation: Expectation,
        device: Option<&DeviceToken>,
    ) -> Result<Transition<Login>, GuardError> {
        self.not_suspended()?;
        let device = device.and_then(|token| recognized(&self.devices, token, context));
        let method = if self.is_enrolled() {
            match device {
                Some(device) if device.is_trusted(context) => SignInMethod::TrustedDevice,
                _ => {
                    let device = device.map(|device| device.id.clone());
                    let token = LoginToken::make(context, random, Purpose::Challenge, self.generation(), device)?;
                    return Ok(Transition::of(Login::Challenge(Challenge(token)), Vec::new()));
                }
            }
        } else {
            match expectation {
                Expectation::Enrolled if self.removed != 0 => return Err(GuardErrorKind::Removed.into()),
                Expectation::Enrolled => return Err(GuardErrorKind::RecordMissing.into()),
                Expectation::Optional => SignInMethod::NoSecondFactor,
                Expectation::RequiredFrom(until) if context.now < until => SignInMethod::Grace { until },
                Expectation::RequiredFrom(_) => {
                    let token = LoginToken::make(context, random, Purpose::Enrollment, self.generation(), None)?;
                    return Ok(Transition::of(Login::MustEnroll(EnrollmentTicket(token)), Vec::new()));
                }
            }
        };
        let sign_in = SignIn {
            user: context.user.into(),
            at: context.now,
            generation: self.generation(),
            method,
            device: device.map(|device| device.id.clone()),
            history: self.history(),
            accepted: None,
        };
        Ok(Transition::of(Login::Complete(sign_in), events(context, [EventKind::SignedIn { method }])))
    }

    /// Checks the code that a user typed in a login. See [`Guard::answer`](crate::Guard::answer).
    ///
    /// Store the change before you use the answer, in a transaction that a failed login does not roll back.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::LoginRejected`] if the challenge is not genuine, has expired, was completed, is void or is
    ///   for another user, or if its key is not in the keyring.
    /// * [`GuardErrorKind::KeyMissing`] or [`GuardErrorKind::SealBroken`] if the secret of any active authenticator
    ///   cannot be opened. For a recovery code, only the recovery codes' key has to be opened.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    pub fn answer(
        &self,
        context: &Context<'_>,
        challenge: &Challenge,
        typed: &str,
    ) -> Result<Transition<Answer>, GuardError> {
        let login = &challenge.0;
        login.check_genuine(context)?;
        self.not_suspended()?;
        login.check_current(context, self.generation())?;
        let completed = self.logins.clone().unwrap_or(CompletedLogins::EMPTY);
        if completed.contains(login.id) {
            return Err(GuardErrorKind::LoginRejected.into());
        }
        let free = completed.free(context.now, SKEW);
        // A recovery code voids this challenge along with all others, so it needs no slot.
        if let Err(retry_at) = free
            && !RecoveryCode::parse(typed).is_some_and(|code| code.is_valid())
        {
            let refused = self.refusal(context, Refusal::Throttled { retry_at }, Change::None, None);
            return Ok(refused.map(Answer::Refused));
        }
        // The device may have been forgotten or may have expired since the login began.
        let is_listed =
            |id: &&DeviceId| self.devices.iter().any(|device| device.id == **id && device.is_current(context.now));
        let device = login.device.as_ref().filter(is_listed).cloned();
        let share = self.share(context, device.is_some());
        let slot = Slot { id: login.id, expires: login.expires };
        let ends = context.now.saturating_add(KNOWN_LIFETIME);
        let verified = self.verify_in(context, typed, share, |next, accepted| {
            if let Ok(index) = free {
                next.logins.insert(completed).complete(index, slot, accepted);
            }
            for known in next.devices.iter_mut().filter(|known| !known.trusted && Some(&known.id) == device.as_ref()) {
                known.ends = ct::select(accepted, ends, known.ends);
            }
        })?;
        Ok(verified
            .map(move |verdict| match verdict {
                Verdict::Accepted(accepted) => {
                    // A recovery code voids all devices.
                    let device = device.filter(|_| accepted.method != Method::RecoveryCode);
                    Answer::Accepted(SignIn::with_code(accepted, device))
                }
                Verdict::Refused(refusal) => Answer::Refused(refusal),
            })
            .with_events(signed_in))
    }

    /// Starts the enrollment of a required first authenticator during a login. See
    /// [`Guard::enroll_with_ticket`](crate::Guard::enroll_with_ticket).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::LoginRejected`] if the ticket is not genuine, has expired, is void or is for another user,
    ///   or if its key is not in the keyring.
    /// * The errors of [`enroll`](Self::enroll).
    pub fn enroll_with_ticket(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        issuer: &str,
        setup: &Setup,
        ticket: &EnrollmentTicket,
    ) -> Result<Transition<Enrollment>, GuardError> {
        self.check_ticket(context, ticket)?;
        self.begin_enrollment(context, random, issuer, setup, (None, ticket.0.id))
    }

    /// Confirms the enrollment that was started with this ticket. If the code is right, the login is complete. See
    /// [`Guard::confirm_with_ticket`](crate::Guard::confirm_with_ticket).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::LoginRejected`] if the ticket is not genuine, has expired, is void or is for another user,
    ///   or if its key is not in the keyring.
    /// * The errors of [`confirm`](Self::confirm). [`GuardErrorKind::NoEnrollment`] is also returned if the pending
    ///   enrollment was started without this ticket.
    pub fn confirm_with_ticket(
        &self,
        context: &Context<'_>,
        ticket: &EnrollmentTicket,
        typed: &str,
    ) -> Result<Transition<Confirmation>, GuardError> {
        self.check_ticket(context, ticket)?;
        let period = self.pending.as_ref().and_then(|pending| pending.authenticator.period);
        let method = if period.is_some() { Method::Totp } else { Method::Hotp };
        let name = self.pending.as_ref().map(|pending| pending.authenticator.name.clone()).unwrap_or_default();
        let (at, history) = (context.now, self.history());
        let confirmed = self.confirm_enrollment(context, typed, ticket.0.id)?.map(move |mut confirmation| {
            if let Confirmation::Confirmed(confirmed) = &mut confirmation {
                let accepted = Accepted {
                    user: confirmed.user.clone(),
                    at,
                    generation: confirmed.generation,
                    method,
                    authenticator: Some((confirmed.authenticator.clone(), name)),
                    drift: 0,
                    recovery_codes_left: 0,
                    history,
                    used_recovery_code: None,
                };
                confirmed.sign_in = Some(Box::new(SignIn::with_code(accepted, None)));
            }
            confirmation
        });
        Ok(confirmed.with_events(|confirmation| match confirmation {
            Confirmation::Confirmed(confirmed) => confirmed.sign_in.iter().map(|sign_in| event_of(sign_in)).collect(),
            Confirmation::Refused { .. } => Vec::new(),
        }))
    }

    /// Returns whether a session with this generation is still current. See
    /// [`Guard::is_current`](crate::Guard::is_current).
    #[must_use]
    pub fn is_current(&self, generation: Generation) -> bool {
        !self.suspended && self.generation() == generation
    }

    fn check_ticket(&self, context: &Context<'_>, ticket: &EnrollmentTicket) -> Result<(), GuardError> {
        ticket.0.check_genuine(context)?;
        self.not_suspended()?;
        ticket.0.check_current(context, self.generation())?;
        if self.is_enrolled() { Err(GuardErrorKind::LoginRejected.into()) } else { Ok(()) }
    }
}

fn signed_in(answer: &Answer) -> Vec<Event> {
    match answer {
        Answer::Accepted(sign_in) => [event_of(sign_in)].into(),
        Answer::Refused(_) => Vec::new(),
    }
}

fn event_of(sign_in: &SignIn) -> Event {
    Event::new(&sign_in.user, sign_in.at, EventKind::SignedIn { method: sign_in.method })
}
