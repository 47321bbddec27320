//! Proofs, and the changes that an owner makes with them.

use alloc::vec::Vec;

use crate::guard::Guard;
use crate::guard::answer::event::Flow;
use crate::guard::answer::notice::Notice;
use crate::guard::answer::status::Status;
use crate::guard::answer::transition::Transition;
use crate::guard::answer::verdict::Accepted;
use crate::guard::context::Context;
use crate::guard::error::GuardError;
use crate::guard::generation::Generation;
use crate::guard::id::AuthenticatorId;
use crate::guard::record::recovery::RecoveryCodes;
use crate::guard::token::proof::{Proof, Purpose};
use crate::store::Store;

// The links in the documentation need these names.
#[cfg(doc)]
use crate::guard::EventKind;

impl<S: Store> Guard<S> {
    /// Returns the state of the user's second factor, for the security page and for an operator. No secret is
    /// decrypted.
    ///
    /// For a user without a second factor, [`Status::is_active`] is `false`. The examples for [`Guard`] and
    /// [`operator_unlock`](Self::operator_unlock) use the status.
    ///
    /// # Errors
    ///
    /// The errors common to all methods; see [`Guard`](Guard#errors). These errors are not sent as events.
    pub async fn status(&self, user: &str) -> Result<Status, GuardError> {
        self.transact(None, user, |factor, context| Ok(Transition::of(factor.status(context), Vec::new()))).await
    }

    /// Makes a proof that a code has just been accepted. The proof is valid for one purpose.
    ///
    /// By default, the proof is valid for 5 minutes after the verification
    /// ([`Policy::with_proof_lifetime`](crate::Policy::with_proof_lifetime)). [`Proof::token`] turns it into a string
    /// that is bound to a session. The proof is bound to the user, the purpose and the [`Generation`]. It therefore
    /// becomes void when the factors change, for example when an authenticator is added or removed, and when earlier
    /// logins become void, for example after a password change. See the example for [`Guard`].
    #[must_use]
    pub fn prove(&self, accepted: &Accepted, purpose: &Purpose) -> Proof {
        let (user, now) = (accepted.user(), accepted.at);
        accepted.prove(&Context { user, now, policy: &self.policy, keyring: &self.keyring() }, purpose)
    }

    /// Checks a proof for an action of your application, such as a payment. The check does not use up the proof.
    ///
    /// Make the purpose with [`Purpose::application`]. The proof stays valid until it expires or the [`Generation`]
    /// changes. Methods that change the factors and take a proof check it themselves.
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::{GuardError, Proof, Purpose};
    /// use keyfob::store::Store;
    ///
    /// /// `token` was made by `guard.prove` and `Proof::token`, for the same session.
    /// async fn pay(
    ///     guard: &Guard<impl Store>,
    ///     user: &str,
    ///     session: &str,
    ///     token: &str,
    /// ) -> Result<(), GuardError> {
    ///     let proof = Proof::from_token(token)?.in_session(session);
    ///     guard.check(user, &proof, &Purpose::application("payment")?).await?;
    ///     println!("{user} pays");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is for another
    ///   user, purpose or session, if it has expired, if the [`Generation`] has changed since the verification, or if
    ///   the proof's key is no longer in the keyring.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn check(&self, user: &str, proof: &Proof, purpose: &Purpose) -> Result<(), GuardError> {
        self.transact(Flow::Check, user, |factor, context| {
            factor.check(context, proof, purpose)?;
            Ok(Transition::of((), Vec::new()))
        })
        .await
    }

    /// Renames an authenticator. Requires a proof for [`Purpose::RENAME`].
    ///
    /// A proof is required because owners choose by name which authenticator to revoke. Without a proof, somebody who
    /// has taken over a session could swap two names. The proof can be used for further renames until it expires.
    ///
    /// Event: [`EventKind::Renamed`], unless the authenticator already has this name.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) if the name is longer than 256 bytes or
    ///   contains control characters.
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is not valid for
    ///   this change, for one of the reasons that [`check`](Self::check) lists.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the user has
    ///   no active authenticator with this id.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn rename(
        &self,
        user: &str,
        authenticator: &AuthenticatorId,
        name: &str,
        proof: &Proof,
    ) -> Result<(), GuardError> {
        self.transact(Flow::Rename, user, |factor, context| factor.rename(context, authenticator, name, proof)).await
    }

    /// Removes an authenticator permanently. Requires a proof for [`Purpose::REVOKE`]. See the example for [`Guard`].
    ///
    /// A pending enrollment is also canceled, because an attacker may have started it and could confirm it later. All
    /// devices are forgotten. The recovery codes stay valid. The [`Generation`] changes, so all other sessions and all
    /// earlier proofs become void. Store the returned generation with the user's current session, so that this session
    /// stays valid.
    ///
    /// Events: [`EventKind::Revoked`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is not valid for
    ///   this change, for one of the reasons that [`check`](Self::check) lists.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the user has
    ///   no active authenticator with this id.
    /// * [`GuardErrorKind::LastAuthenticator`](crate::guard::GuardErrorKind::LastAuthenticator) if it is the only
    ///   active authenticator. Use [`disable`](Self::disable) instead.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn revoke(
        &self,
        user: &str,
        authenticator: &AuthenticatorId,
        proof: &Proof,
    ) -> Result<Generation, GuardError> {
        self.transact(Flow::Revoke, user, |factor, context| factor.revoke(context, authenticator, proof)).await
    }

    /// Makes ten new recovery codes and returns them. The old codes stop working. Requires a proof for
    /// [`Purpose::REGENERATE`].
    ///
    /// Show the codes to the user, because they cannot be read again. As with [`revoke`](Self::revoke), a pending
    /// enrollment is canceled, all devices are forgotten, and the [`Generation`] changes.
    /// [`RecoveryCodes::generation`](crate::guard::RecoveryCodes::generation) returns the new generation.
    ///
    /// Events: [`EventKind::RecoveryCodesRegenerated`], and [`EventKind::EnrollmentCanceled`] if an enrollment was
    /// pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has no active
    ///   authenticator.
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is not valid for
    ///   this change, for one of the reasons that [`check`](Self::check) lists.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn regenerate_recovery_codes(&self, user: &str, proof: &Proof) -> Result<RecoveryCodes, GuardError> {
        self.transact(Flow::RegenerateRecoveryCodes, user, |factor, context| {
            factor.regenerate_recovery_codes(context, &self.randomness, proof)
        })
        .await
    }

    /// Replaces the recovery code that a login has just used with a new one, so that the user does not run out of codes
    /// (NIST SP 800-63B-4, section 4.2.1.1). Show the new code, because it cannot be read again. Call this right after
    /// the login, before the user changes the factors.
    ///
    /// Returns `None` if the login did not use a recovery code, or if the code was already replaced. The other recovery
    /// codes and the [`Generation`] do not change.
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::{GuardError, SignIn};
    /// use keyfob::store::Store;
    ///
    /// async fn welcome(guard: &Guard<impl Store>, sign_in: &SignIn) -> Result<(), GuardError> {
    ///     if let Some(accepted) = sign_in.accepted()
    ///         && let Some(new) = guard.replace_recovery_code(accepted).await?
    ///     {
    ///         new.iter().for_each(|code| println!("Cross out the code you used, and add: {code}"));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Event: [`EventKind::RecoveryCodeReplaced`], if the code was replaced.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if more time than a proof's
    ///   lifetime has passed since the code was accepted, or if the generation has changed since then.
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if the key of the recovery codes
    ///   cannot be opened.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn replace_recovery_code(&self, accepted: &Accepted) -> Result<Option<RecoveryCodes>, GuardError> {
        self.transact(Flow::ReplaceRecoveryCode, accepted.user(), |factor, context| {
            factor.replace_recovery_code(context, &self.randomness, accepted)
        })
        .await
    }

    /// Removes a notice from the record, because the user has been told. Does nothing if the record does not contain
    /// the notice, or if it contains a later one of the same kind.
    ///
    /// With [`Policy::with_notices`](crate::Policy::with_notices), the record keeps a notice for each change that the
    /// user must be told about. Acknowledge it after the email was sent. If the server crashes before that, later
    /// requests for this user send [`EventKind::Unacknowledged`], and [`Status::notices`] lists the notice. So the user
    /// is told at least once:
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::{Event, GuardError};
    /// use keyfob::store::Store;
    ///
    /// /// Runs in a task of its own. The event listener puts the events into its queue.
    /// async fn tell(guard: &Guard<impl Store>, event: &Event) -> Result<(), GuardError> {
    ///     if let Some(notice) = event.notice() {
    ///         println!("email to {}: {:?} at {}", event.user(), notice.kind(), notice.at());
    ///         guard.acknowledge(event.user(), notice).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// A user who does not come back causes no later request. To find the notices of such users, call
    /// [`status`](Self::status) for all accounts with [`sweep`](crate::Guard::sweep). The guide has [a
    /// program](crate::guide::operation#notices-that-must-arrive).
    ///
    /// # Errors
    ///
    /// The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn acknowledge(&self, user: &str, notice: Notice) -> Result<(), GuardError> {
        self.transact(Flow::Acknowledge, user, |factor, context| Ok(factor.acknowledge(context, notice))).await
    }

    /// Disables the second factor: removes the authenticators, the recovery codes, the devices, the failure counts and
    /// a pending enrollment. Requires a proof for [`Purpose::DISABLE`].
    ///
    /// Only a tombstone, a small record, is kept. It has a new [`Generation`], so earlier cookies, proofs and sessions
    /// stay void even if the user enrolls again. Store the returned generation with the user's current session, so that
    /// this session stays valid. The tombstone also lets [`begin_login`](Self::begin_login) distinguish a removed
    /// second factor from a lost record. [`erase`](Self::erase) removes the tombstone.
    ///
    /// Events: [`EventKind::Disabled`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has no active
    ///   authenticator.
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is not valid for
    ///   this change, for one of the reasons that [`check`](Self::check) lists.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn disable(&self, user: &str, proof: &Proof) -> Result<Generation, GuardError> {
        self.transact(Flow::Disable, user, |factor, context| factor.disable(context, proof)).await
    }

    /// Erases the whole record of a user, including the tombstone of a removed second factor. Call this when the user's
    /// account is deleted.
    ///
    /// # Security
    ///
    /// After this call, keyfob knows nothing about the user. Sessions, proofs and device cookies from when the user had
    /// a second factor stay void even if the name is used again, because the devices are gone and the first enrollment
    /// starts with a random [`Generation`]. But a session of a user who never had a second factor can have the default
    /// generation. [`is_current`](Self::is_current) cannot distinguish it from a session of a new user with this name,
    /// so end the sessions of a deleted account yourself. Erasing a record also ends a suspension and discards the
    /// failure counts. To disable the second factor of an account that you keep, use [`disable`](Self::disable) or
    /// [`operator_remove`](Self::operator_remove).
    ///
    /// Events: [`EventKind::Erased`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn erase(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::Erase, user, |factor, context| Ok(factor.erase(context))).await
    }
}
