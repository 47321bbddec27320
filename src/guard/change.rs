//! Everything else that is done to the factors of an account.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::guard::Context;
use crate::guard::budget::Gate;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::event::EventKind;
use crate::guard::proof::{Proof, Purpose};
use crate::guard::randomness::Randomness;
use crate::guard::record::{Authenticator, AuthenticatorId, Pending, RecoverySet, SecondFactor, check_name};
use crate::guard::recovery::RecoveryCodes;
use crate::guard::seal::{KeyId, Keyring, Owner, Sealed};
use crate::guard::transition::{Change, Committed, Transition};
use crate::guard::verify::{MAX_LEARNED, Method};
use crate::totp::Period;

impl SecondFactor {
    /// What to show on the user's security page and to an operator. No secret is opened for it.
    #[must_use]
    pub fn status(&self, context: &Context<'_>) -> Status {
        let share = |one: &Authenticator| {
            let codes = match one.period {
                Some(_) => context.policy.codes_of_totp(),
                None => context.policy.codes_of_hotp(),
            };
            codes / 10f64.powi(one.digits.get().into())
        };
        let pending = self.pending.as_ref().filter(|pending| pending.is_waiting(context));
        let imported = pending.filter(|pending| pending.imported).map(|pending| &pending.authenticator);
        let secrets = self.active.iter().chain(pending.map(|pending| &pending.authenticator)).map(|one| &one.secret);
        let sealed = secrets.chain(self.recovery.as_ref().map(|set| &set.key));
        let mut keys: Vec<KeyId> = sealed.map(|sealed| sealed.key.clone()).collect();
        keys.sort();
        keys.dedup();
        Status {
            authenticators: self.active.iter().map(AuthenticatorStatus::of).collect(),
            enrollment_pending: pending.is_some(),
            recovery_codes_left: self.recovery.as_ref().map_or(0, RecoverySet::left),
            generation: self.generation,
            failures: self.budget.failures,
            gate: self.budget.gate(context.policy, context.now),
            keys,
            // A guess is for a login or for the enrollment, and never for both.
            share: self.active.iter().map(share).sum::<f64>().max(imported.map_or(0.0, share)),
            policy: context.policy.clone(),
        }
    }

    /// Gives an authenticator another name. The proof is for [`Purpose::RENAME`]: by the names the owner chooses what to
    /// revoke, so somebody who has taken over a session must not be able to swap them.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`], [`GuardErrorKind::UnknownAuthenticator`], and [`GuardErrorKind::Invalid`] for more
    /// than 256 bytes and for control characters.
    pub fn rename(
        &self,
        context: &Context<'_>,
        authenticator: &AuthenticatorId,
        name: &str,
        proof: &Proof,
    ) -> Result<Transition<()>, GuardError> {
        if !check_name(name) {
            return Err(crate::guard::record::NAME_REFUSED.into());
        }
        self.check(context, proof, &Purpose::RENAME)?;
        let mut next = self.clone();
        let renamed = next.active.iter_mut().find(|one| one.id == *authenticator);
        let renamed = renamed.ok_or(GuardErrorKind::UnknownAuthenticator)?;
        if renamed.name == name {
            return Ok(Transition::of((), vec![]));
        }
        renamed.name = name.into();
        Ok(next.changed(context, [EventKind::Renamed { authenticator: authenticator.clone() }], ()))
    }

    /// Removes an authenticator for good. The proof is for [`Purpose::REVOKE`].
    ///
    /// An enrollment that waits ends with it: if a stranger began it, revoking is too late once it is confirmed.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`], [`GuardErrorKind::UnknownAuthenticator`], and
    /// [`GuardErrorKind::LastAuthenticator`]: an account without any is one that is disabled.
    pub fn revoke(
        &self,
        context: &Context<'_>,
        authenticator: &AuthenticatorId,
        proof: &Proof,
    ) -> Result<Transition<()>, GuardError> {
        self.check(context, proof, &Purpose::REVOKE)?;
        let mut next = self.clone();
        next.active.retain(|one| one.id != *authenticator);
        if next.active.len() == self.active.len() {
            return Err(GuardErrorKind::UnknownAuthenticator.into());
        }
        if next.active.is_empty() {
            return Err(GuardErrorKind::LastAuthenticator.into());
        }
        let canceled = next.cancel_enrollment(context);
        next.factors_changed();
        let revoked = EventKind::Revoked { authenticator: authenticator.clone() };
        Ok(next.changed(context, [revoked].into_iter().chain(canceled), ()))
    }

    /// Replaces the recovery codes; the old ones are dead. The proof is for [`Purpose::REGENERATE`].
    ///
    /// An enrollment that waits ends with it, as with [`revoke`](Self::revoke).
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`], [`GuardErrorKind::NotEnrolled`], [`GuardErrorKind::Randomness`].
    pub fn regenerate_recovery_codes(
        &self,
        context: &Context<'_>,
        random: &Randomness,
        proof: &Proof,
    ) -> Result<Transition<RecoveryCodes>, GuardError> {
        if self.active.is_empty() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        self.check(context, proof, &Purpose::REGENERATE)?;
        let (codes, set) = RecoverySet::generate(context, random)?;
        let mut next = self.clone();
        next.recovery = Some(set);
        let canceled = next.cancel_enrollment(context);
        next.factors_changed();
        Ok(next.changed(context, [EventKind::RecoveryCodesRegenerated].into_iter().chain(canceled), codes))
    }

    /// Switches the second factor off, and forgets everything about it. The proof is for [`Purpose::DISABLE`].
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`], [`GuardErrorKind::NotEnrolled`].
    pub fn disable(&self, context: &Context<'_>, proof: &Proof) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        self.check(context, proof, &Purpose::DISABLE)?;
        self.operator_remove(context)
    }

    /// Removes the second factor without a proof: for an operator who has made sure by other means who is asking. This
    /// is where social engineering aims; see that a second person has to agree, and that the user is told.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`].
    pub fn operator_remove(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() && self.pending.is_none() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let canceled = self.clone().cancel_enrollment(context);
        let disabled = (!self.active.is_empty()).then_some(EventKind::Disabled);
        let events = context.events(disabled.into_iter().chain(canceled));
        Ok(Transition::new(Change::Remove, move || Committed { value: (), events }))
    }

    /// Ends the waits, and refills the guess budget if it is exhausted: for an operator who knows that the guessing has ended.
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::GuardError;
    /// use keyfob::store::Store;
    ///
    /// /// The owner cannot log in. Two people have made sure that it is the owner, and that nobody is guessing any more.
    /// async fn help(guard: &Guard<impl Store>, user: &str, has_recovery_codes: bool) -> Result<(), GuardError> {
    ///     let status = guard.status(user).await?;
    ///     if has_recovery_codes && status.recovery_codes_left() > 0 {
    ///         println!("A recovery code works, whatever was guessed.");
    ///     } else if status.is_exhausted() || status.retry_at().is_some() {
    ///         guard.operator_unlock(user).await?; // the app works again
    ///     } else {
    ///         guard.operator_remove(user).await?; // the app is lost as well
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`].
    pub fn operator_unlock(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let mut next = self.clone();
        next.budget.lift(context.policy, context.now, u64::MAX);
        Ok(next.changed(context, [EventKind::Unlocked], ()))
    }

    /// Refuses every code that can have been used up to this moment: for an operator who has restored the store from a
    /// backup, in which what was used since then is unused again. An enrollment that waits is dropped. The generation changes
    /// to one that the account never had, so proofs and trusted devices from before are void.
    ///
    /// This is strict, and it costs the owners something:
    ///
    /// * An authenticator with a clock may have been [resynchronized](Self::resync) since the backup, by up to
    ///   [`Policy::with_resync_within`](crate::Policy::with_resync_within) steps, and have drifted further by the ten that are
    ///   learned. So all codes up to there are refused: by default for 66 minutes.
    /// * What an authenticator that counts has used since the backup nobody knows. It is refused from now on. Have its owner
    ///   replace it.
    ///
    /// Recovery codes work meanwhile, those that were used since the backup included, and authenticators that were revoked
    /// since are back: replace the codes, and look at the list. [`operator_invalidate_recent_codes`](Self::operator_invalidate_recent_codes) locks
    /// nobody out and covers less.
    ///
    /// The example of `SqliteStore` goes through all accounts.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`] for an account that has neither an authenticator nor an enrollment.
    pub fn operator_invalidate_codes(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        self.fenced(context, true)
    }

    /// As [`operator_invalidate_codes`](Self::operator_invalidate_codes), for apps and tokens whose clocks are right: refuses the codes up to the
    /// end of the present window, so that everybody is in again within two minutes.
    ///
    /// What it gives up: an authenticator that was resynchronized to a clock ahead since the backup accepts its used codes
    /// again when the server's clock gets there, and one that counts accepts those used since the backup.
    ///
    /// # Errors
    ///
    /// As for [`operator_invalidate_codes`](Self::operator_invalidate_codes).
    pub fn operator_invalidate_recent_codes(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        self.fenced(context, false)
    }

    fn fenced(&self, context: &Context<'_>, strict: bool) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() && self.pending.is_none() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let mut next = self.clone();
        let canceled = next.cancel_enrollment(context);
        for one in &mut next.active {
            let Some(period) = one.period else {
                one.next = if strict { u64::MAX } else { one.next };
                continue;
            };
            let mut end = one.window(context.policy, context.now).1;
            if strict {
                let now = period.steps(context.now);
                let window = u64::from(context.policy.window().ahead());
                let ahead = context.policy.resync_within().saturating_add(MAX_LEARNED).saturating_add(window);
                end = end.max(now.saturating_add(ahead));
            }
            one.next = one.next.max(end.saturating_add(1));
        }
        // By more than anybody has counted since the backup: the next changes must not meet what they had made of it.
        next.generation = next.generation.wrapping_add(context.now).wrapping_add(1).max(1);
        Ok(next.changed(context, [EventKind::CodesInvalidated].into_iter().chain(canceled), ()))
    }

    /// Seals everything of the account under the primary key, if it is not. Answers whether there was something to do.
    ///
    /// An enrollment that nobody can confirm any more is forgotten rather than sealed again. To go through all accounts is
    /// what the example of `SqliteStore` does.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::KeyMissing`], [`GuardErrorKind::SealBroken`], [`GuardErrorKind::Randomness`].
    pub fn reseal(&self, context: &Context<'_>, random: &Randomness) -> Result<Transition<bool>, GuardError> {
        Ok(match self.resealed(context, random)? {
            Some(next) => next.changed(context, [EventKind::Resealed], true),
            None => Transition::of(false, vec![]),
        })
    }

    /// With everything sealed under the primary key, if something is not.
    pub(crate) fn resealed(&self, context: &Context<'_>, random: &Randomness) -> Result<Option<Self>, GuardError> {
        let mut next = self.clone();
        // Its key may have left the keyring since, which must not keep the rest from being sealed again.
        let over = |pending: &mut Pending| {
            !pending.is_waiting(context) && pending.authenticator.secret.key != *context.keyring.primary()
        };
        let mut resealed = next.pending.take_if(over).is_some();
        for one in next.active.iter_mut().chain(next.pending.as_mut().map(|pending| &mut pending.authenticator)) {
            if let Some(secret) = resealed_as(context.keyring, &one.secret, &one.owner(context.user), random)? {
                one.secret = secret;
                resealed = true;
            }
        }
        if let Some(set) = &mut next.recovery
            && let Some(key) = resealed_as(context.keyring, &set.key, &set.owner(context.user), random)?
        {
            set.key = key;
            resealed = true;
        }
        Ok(resealed.then_some(next))
    }

    /// Whether something of the account is sealed under an old key.
    pub(crate) fn needs_resealing(&self, keyring: &Keyring) -> bool {
        self.sealed().any(|sealed| sealed.key != *keyring.primary())
    }

    /// All that is under a key, an enrollment as well, whether it still waits or not.
    fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let authenticators = self.active.iter().chain(self.pending.as_ref().map(|pending| &pending.authenticator));
        authenticators.map(|one| &one.secret).chain(self.recovery.as_ref().map(|set| &set.key))
    }

    /// Drops the enrollment, and answers with what to report if it was still waiting.
    pub(crate) fn cancel_enrollment(&mut self, context: &Context<'_>) -> Option<EventKind> {
        let pending = self.pending.take().filter(|pending| pending.is_waiting(context))?;
        Some(EventKind::EnrollmentCanceled { authenticator: pending.authenticator.id })
    }

    pub(crate) fn changed<T: Send + 'static>(
        self,
        context: &Context<'_>,
        kinds: impl IntoIterator<Item = EventKind>,
        value: T,
    ) -> Transition<T> {
        let events = context.events(kinds);
        Transition::new(Change::Write(self.write()), move || Committed { value, events })
    }
}

fn resealed_as(
    keyring: &Keyring,
    sealed: &Sealed,
    owner: &Owner<'_>,
    random: &Randomness,
) -> Result<Option<Sealed>, GuardError> {
    if sealed.key == *keyring.primary() {
        return Ok(None);
    }
    let secret = keyring.open(sealed, owner)?;
    keyring.seal(&secret, owner, random).map(Some)
}

/// How the second factor of an account stands. The example of [`Guard`](crate::Guard) shows it to the user, the one of
/// [`SecondFactor::operator_unlock`] to an operator.
#[derive(Clone, Debug)]
pub struct Status {
    authenticators: Vec<AuthenticatorStatus>,
    enrollment_pending: bool,
    recovery_codes_left: u8,
    generation: u64,
    failures: u64,
    gate: Gate,
    keys: Vec<KeyId>,
    share: f64,
    policy: crate::guard::Policy,
}

impl Status {
    /// Whether a second factor is asked for at all.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.authenticators.is_empty()
    }

    /// The active authenticators.
    #[must_use]
    pub fn authenticators(&self) -> &[AuthenticatorStatus] {
        &self.authenticators
    }

    /// Whether an authenticator was shown, has not proved itself yet, and still can.
    #[must_use]
    pub const fn enrollment_pending(&self) -> bool {
        self.enrollment_pending
    }

    /// How many recovery codes are left.
    #[must_use]
    pub const fn recovery_codes_left(&self) -> u8 {
        self.recovery_codes_left
    }

    /// [`SecondFactor::generation`].
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Failures since the last success.
    #[must_use]
    pub const fn consecutive_failures(&self) -> u64 {
        self.failures
    }

    /// When the next code will be compared, in Unix seconds, if one is not compared now.
    #[must_use]
    pub const fn retry_at(&self) -> Option<u64> {
        match self.gate {
            Gate::Open | Gate::Exhausted { retry_at: None } => None,
            Gate::Throttled { retry_at } | Gate::Exhausted { retry_at: Some(retry_at) } => Some(retry_at),
        }
    }

    /// Whether the guess budget is used up.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        matches!(self.gate, Gate::Exhausted { .. })
    }

    /// The keys that this account needs. One that no account needs can leave the keyring.
    #[must_use]
    pub fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// [`Policy::guess_probability`](crate::Policy::guess_probability) for the authenticators that the account has: each
    /// of them is one more that a guess can hit.
    #[must_use]
    pub fn guess_probability(&self, within: Duration) -> f64 {
        self.policy.probability(within, self.share)
    }
}

/// One active authenticator, to show in a list, as in the example of [`Guard`](crate::Guard).
#[derive(Clone, Debug)]
pub struct AuthenticatorStatus {
    id: AuthenticatorId,
    name: String,
    period: Option<Period>,
    algorithm: Algorithm,
    digits: Digits,
    created: u64,
    used: u64,
    drift: i64,
}

impl AuthenticatorStatus {
    fn of(one: &Authenticator) -> Self {
        Self {
            id: one.id.clone(),
            name: one.name.clone(),
            period: one.period,
            algorithm: one.algorithm,
            digits: one.digits,
            created: one.created,
            used: one.used,
            drift: one.drift,
        }
    }

    /// Its id within the account.
    #[must_use]
    pub const fn id(&self) -> &AuthenticatorId {
        &self.id
    }

    /// The name that its user gave it, or nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it counts time or presses of a button.
    #[must_use]
    pub const fn method(&self) -> Method {
        if self.period.is_some() { Method::Totp } else { Method::Hotp }
    }

    /// The hash function inside HMAC.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How many digits its codes have.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// When its enrollment began, in Unix seconds.
    #[must_use]
    pub const fn created_at(&self) -> u64 {
        self.created
    }

    /// When a code of it was accepted last, in Unix seconds. The code that confirmed it does not count.
    #[must_use]
    pub const fn used_at(&self) -> Option<u64> {
        if self.used == 0 { None } else { Some(self.used) }
    }

    /// How many steps its clock is taken to be ahead of the server's.
    #[must_use]
    pub const fn drift(&self) -> i64 {
        self.drift
    }
}
