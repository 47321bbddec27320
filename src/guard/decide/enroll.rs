//! Starts the enrollment of an authenticator. The active authenticators stay valid.

use alloc::vec;

use crate::algorithm::same_hmac_key;
use crate::guard::answer::enrollment::Enrollment;
use crate::guard::answer::event::{EventKind, events};
use crate::guard::answer::transition::{Change, Committed, Transition};
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::randomness::Randomness;
use crate::guard::record::SecondFactor;
use crate::guard::record::authenticator::{Authenticator, Pending};
use crate::guard::setup::Setup;
use crate::guard::token::enrollment::EnrollmentHandle;
use crate::guard::token::proof::{Proof, Purpose};
use crate::key::Key;
use crate::secret::Secret;
use crate::uri::KeyUri;

impl SecondFactor {
    /// Starts the enrollment of an authenticator. See [`Guard::enroll`](crate::Guard::enroll) and
    /// [`Guard::enroll_another`](crate::Guard::enroll_another).
    ///
    /// `issuer` is the name of your service, as authenticator apps will show it. If the user has an active
    /// authenticator, a proof for [`Purpose::ADD`] is required. If not, the proof is not checked.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRequired`] if a proof is required and `proof` is `None`.
    /// * [`GuardErrorKind::ProofRejected`] if the proof is not valid for this enrollment.
    /// * [`GuardErrorKind::UnknownAuthenticator`] if the authenticator to replace is not active.
    /// * [`GuardErrorKind::TooManyAuthenticators`] if there are [`MAX_AUTHENTICATORS`](Self::MAX_AUTHENTICATORS) active
    ///   authenticators, and the setup replaces none of them.
    /// * [`GuardErrorKind::SecretInUse`] if an active authenticator already uses the imported secret.
    /// * [`GuardErrorKind::Invalid`] if a URI cannot contain the issuer or the label, or if the policy is strict and
    ///   refuses the imported secret or the period.
    /// * [`GuardErrorKind::Randomness`] if the source of randomness failed.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    pub fn enroll(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        issuer: &str,
        setup: &Setup,
        proof: Option<&Proof>,
    ) -> Result<Transition<Enrollment>, GuardError> {
        self.begin_enrollment(context, random, issuer, setup, (proof, 0))
    }

    /// Starts an enrollment with a proof, with the ticket that has this id, or with neither. `ticket` is 0 if there is
    /// no ticket.
    pub(crate) fn begin_enrollment(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        issuer: &str,
        setup: &Setup,
        (proof, ticket): (Option<&Proof>, u64),
    ) -> Result<Transition<Enrollment>, GuardError> {
        self.not_suspended()?;
        setup.check(context.policy)?;
        let mut vouched = false;
        if self.is_enrolled() {
            let proof = proof.ok_or(GuardErrorKind::ProofRequired)?;
            // A voucher adds an authenticator, and replaces none.
            vouched = proof.is_for(&Purpose::VOUCHED) && setup.replaces.is_none();
            self.check(context, proof, if vouched { &Purpose::VOUCHED } else { &Purpose::ADD })?;
        }
        if setup.replaces.as_ref().is_some_and(|id| self.active.iter().all(|active| active.id != *id)) {
            return Err(GuardErrorKind::UnknownAuthenticator.into());
        }
        if setup.replaces.is_none() && self.active.len() >= Self::MAX_AUTHENTICATORS {
            return Err(GuardErrorKind::TooManyAuthenticators.into());
        }
        let algorithm = setup.algorithm(context.policy);
        let secret = match &setup.secret {
            // If two authenticators had the same secret, each code could be accepted twice, once for each of them.
            Some(secret) if self.has_secret(context, secret) => return Err(GuardErrorKind::SecretInUse.into()),
            Some(secret) => secret.clone(),
            None => random.secret(algorithm)?,
        };
        let uri = match setup.period {
            Some(period) => KeyUri::totp(issuer, &setup.label, &secret)?.with_period(period)?,
            None => KeyUri::hotp(issuer, &setup.label, &secret, setup.counter)?,
        };
        let uri = uri.with_algorithm(algorithm).with_digits(setup.digits);

        let authenticator = setup.authenticator(context, random, &secret)?;
        let id = authenticator.id.clone();
        let mut next = self.clone();
        if next.generation == 0 {
            next.generation = random.generation()?;
        }
        let canceled = next.drop_enrollment(context);
        next.pending = Some(Pending {
            authenticator,
            since: context.now,
            imported: setup.secret.is_some(),
            ticket,
            tries: 0,
            confirmed: 0,
            replaces: setup.replaces.clone(),
            replaces_all: false,
            vouched,
        });
        let started = EventKind::EnrollmentStarted { authenticator: id.clone() };
        let events = events(context, canceled.into_iter().chain([started]));
        let expires_at = context.now.saturating_add(context.policy.enrollment_lifetime());
        let handle = EnrollmentHandle::make(context, id.clone());
        let enrollment = Enrollment { authenticator: id, uri, expires_at, handle };
        Ok(Transition::new(Change::Write(next.write()), move || Committed { value: enrollment, events }))
    }

    /// Shows a pending enrollment again. See [`Guard::reopen_enrollment`](crate::Guard::reopen_enrollment).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NoEnrollment`] if the handle is not genuine or is for another user, or if its enrollment is
    ///   not pending anymore.
    /// * [`GuardErrorKind::KeyMissing`] or [`GuardErrorKind::SealBroken`] if the secret cannot be opened.
    /// * [`GuardErrorKind::Invalid`] if a URI cannot contain the issuer or the label.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    pub fn reopen_enrollment(
        &self,
        context: &Context<'_>,
        issuer: &str,
        label: &str,
        handle: &EnrollmentHandle,
    ) -> Result<Transition<Enrollment>, GuardError> {
        self.not_suspended()?;
        let genuine = handle.is_genuine(context.keyring) && handle.user() == context.user;
        let shown =
            |pending: &&Pending| pending.authenticator.id == handle.authenticator && pending.is_waiting(context);
        let pending = self.pending.as_ref().filter(shown).filter(|_| genuine).ok_or(GuardErrorKind::NoEnrollment)?;
        let authenticator = &pending.authenticator;
        let opened = context.keyring.open(&authenticator.secret, &authenticator.owner(context.user))?;
        let secret = Secret::from_bytes(&opened).map_err(|_| GuardErrorKind::SealBroken)?;
        let uri = match authenticator.period {
            Some(period) => KeyUri::totp(issuer, label, &secret)?.with_period(period)?,
            None => KeyUri::hotp(issuer, label, &secret, authenticator.next)?,
        };
        let uri = uri.with_algorithm(authenticator.algorithm).with_digits(authenticator.digits);
        let expires_at = pending.since.saturating_add(context.policy.enrollment_lifetime());
        let authenticator = authenticator.id.clone();
        Ok(Transition::of(Enrollment { authenticator, uri, expires_at, handle: handle.clone() }, vec![]))
    }

    /// Cancels the pending enrollment. See [`Guard::cancel_enrollment`](crate::Guard::cancel_enrollment).
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NoEnrollment`] if no enrollment is pending.
    pub fn cancel_enrollment(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        let mut next = self.clone();
        let canceled = next.drop_enrollment(context).ok_or(GuardErrorKind::NoEnrollment)?;
        Ok(next.changed(context, [canceled], ()))
    }

    pub(crate) fn has_secret(&self, context: &Context<'_>, secret: &Secret) -> bool {
        // Skip secrets that cannot be opened, so that their owner can still enroll another authenticator.
        let opened = |active: &Authenticator| context.keyring.open(&active.secret, &active.owner(context.user)).ok();
        self.active.iter().filter_map(opened).any(|opened| match Key::new(&opened) {
            Ok(key) => same_hmac_key(key, secret.into()),
            Err(_) => false,
        })
    }
}
