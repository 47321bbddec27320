//! Everything else that is done to the factors of an account.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::error::{Cause, Error};
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
use crate::guard::verify::Method;
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
        let secrets = self.active.iter().chain(pending.map(|pending| &pending.authenticator)).map(|one| &one.secret);
        let sealed = secrets.chain(self.recovery.as_ref().map(|set| &set.key));
        let mut keys: Vec<KeyId> = sealed.map(|sealed| sealed.key.clone()).collect();
        keys.sort();
        keys.dedup();
        Status {
            authenticators: self.active.iter().map(AuthenticatorStatus::of).collect(),
            enrolment_pending: pending.is_some(),
            recovery_codes_left: self.recovery.as_ref().map_or(0, RecoverySet::left),
            generation: self.generation,
            failures: self.budget.failures,
            gate: self.budget.gate(context.policy, context.now),
            keys,
            share: self.active.iter().map(share).sum(),
            policy: context.policy.clone(),
        }
    }

    /// Gives an authenticator another name.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::UnknownAuthenticator`], and [`GuardErrorKind::Invalid`] for more than 256 bytes and for control
    /// characters.
    pub fn rename(
        &self,
        context: &Context<'_>,
        authenticator: &AuthenticatorId,
        name: &str,
    ) -> Result<Transition<()>, GuardError> {
        if !check_name(name) {
            return Err(Error::new(Cause::Name).into());
        }
        let mut next = self.clone();
        let one = next.active.iter_mut().find(|one| one.id == *authenticator);
        one.ok_or(GuardErrorKind::UnknownAuthenticator)?.name = name.into();
        Ok(next.changed(context, EventKind::Renamed { authenticator: authenticator.clone() }, ()))
    }

    /// Removes an authenticator for good. The proof is for [`Purpose::REVOKE`].
    ///
    /// An enrolment that waits ends with it: if a stranger began it, revoking is too late once it is confirmed.
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
        next.pending = None;
        next.factors_changed();
        Ok(next.changed(context, EventKind::Revoked { authenticator: authenticator.clone() }, ()))
    }

    /// Replaces the recovery codes; the old ones are dead. The proof is for [`Purpose::REGENERATE`].
    ///
    /// An enrolment that waits ends with it, as with [`revoke`](Self::revoke).
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
        next.pending = None;
        next.factors_changed();
        Ok(next.changed(context, EventKind::RecoveryCodesRegenerated, codes))
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
        let events = context.events([EventKind::Disabled]);
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
    /// async fn help(guard: &Guard<impl Store>, account: &str, has_recovery_codes: bool) -> Result<(), GuardError> {
    ///     let status = guard.status(account).await?;
    ///     if has_recovery_codes && status.recovery_codes_left() > 0 {
    ///         println!("A recovery code works, whatever was guessed.");
    ///     } else if status.is_exhausted() || status.retry_at().is_some() {
    ///         guard.operator_lift(account).await?; // the app works again
    ///     } else {
    ///         guard.operator_remove(account).await?; // the app is lost as well
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`].
    pub fn operator_lift(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let mut next = self.clone();
        next.budget.lift(context.policy, context.now);
        Ok(next.changed(context, EventKind::Lifted, ()))
    }

    /// Refuses all codes up to this moment: for an operator who has restored the store from a backup, in which codes
    /// used since then are not spent. The generation changes to one that the account never had, so proofs and trusted
    /// devices from before are void.
    ///
    /// Counters cannot be fenced; tokens that have one are best enrolled anew. Nor can recovery codes: those used since
    /// the backup are good again until they are replaced, and an authenticator revoked since then is back.
    ///
    /// The example of `SqliteStore` fences all accounts.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::NotEnrolled`], also for an account that has a record only because an enrolment was begun.
    pub fn operator_fence(&self, context: &Context<'_>) -> Result<Transition<()>, GuardError> {
        if self.active.is_empty() {
            return Err(GuardErrorKind::NotEnrolled.into());
        }
        let mut next = self.clone();
        for one in &mut next.active {
            if one.period.is_some() {
                one.next = one.next.max(one.window(context.policy, context.now).1.saturating_add(1));
            }
        }
        // By more than anybody has counted since the backup: the next changes must not meet what they had made of it.
        next.generation = next.generation.wrapping_add(context.now).wrapping_add(1).max(1);
        Ok(next.changed(context, EventKind::Fenced, ()))
    }

    /// Seals everything of the account under the primary key, if it is not. Answers whether there was something to do.
    ///
    /// An enrolment that nobody can confirm any more is forgotten rather than sealed again. To go through all accounts is
    /// what the example of `SqliteStore` does.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::KeyMissing`], [`GuardErrorKind::SealBroken`], [`GuardErrorKind::Randomness`].
    pub fn reseal(&self, context: &Context<'_>, random: &Randomness) -> Result<Transition<bool>, GuardError> {
        let mut next = self.clone();
        // Its key may have left the keyring since, which must not keep the rest from being sealed again.
        let over = |pending: &mut Pending| {
            !pending.is_waiting(context) && pending.authenticator.secret.key != *context.keyring.primary()
        };
        let mut resealed = next.pending.take_if(over).is_some();
        for one in next.active.iter_mut().chain(next.pending.as_mut().map(|pending| &mut pending.authenticator)) {
            if let Some(secret) = resealed_as(context.keyring, &one.secret, &one.owner(context.account), random)? {
                one.secret = secret;
                resealed = true;
            }
        }
        if let Some(set) = &mut next.recovery
            && let Some(key) = resealed_as(context.keyring, &set.key, &set.owner(context.account), random)?
        {
            set.key = key;
            resealed = true;
        }
        if !resealed {
            return Ok(Transition::of(false, vec![]));
        }
        Ok(next.changed(context, EventKind::Resealed, true))
    }

    /// Whether something of the account is sealed under an old key.
    pub(crate) fn needs_resealing(&self, keyring: &Keyring) -> bool {
        self.sealed().any(|sealed| sealed.key != *keyring.primary())
    }

    /// All that is under a key, an enrolment as well, whether it still waits or not.
    fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let authenticators = self.active.iter().chain(self.pending.as_ref().map(|pending| &pending.authenticator));
        authenticators.map(|one| &one.secret).chain(self.recovery.as_ref().map(|set| &set.key))
    }

    fn changed<T: Send + 'static>(self, context: &Context<'_>, kind: EventKind, value: T) -> Transition<T> {
        let events = context.events([kind]);
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
/// [`SecondFactor::operator_lift`] to an operator.
#[derive(Clone, Debug)]
pub struct Status {
    authenticators: Vec<AuthenticatorStatus>,
    enrolment_pending: bool,
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
    pub const fn enrolment_pending(&self) -> bool {
        self.enrolment_pending
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
    offset: i64,
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
            offset: one.offset,
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

    /// When its enrolment began, in Unix seconds.
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
    pub const fn offset(&self) -> i64 {
        self.offset
    }
}
