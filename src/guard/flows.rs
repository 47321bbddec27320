//! The flows of [`Guard`]: enrollment, login, changes by the owner and changes by an operator.
//!
//! The decisions are in `decide`. Each method passes a decision function to `Guard::transact`, which loads the record,
//! calls the function and swaps in the new record.

use alloc::vec::Vec;

use crate::guard::Guard;
use crate::guard::answer::enrollment::{Confirmation, Enrollment};
use crate::guard::answer::event::{Event, EventKind, Flow, events};
use crate::guard::answer::status::Status;
use crate::guard::answer::transition::{Change, Transition};
use crate::guard::answer::verdict::{Accepted, Resynchronization, Verdict};
use crate::guard::context::Context;
use crate::guard::error::GuardError;
use crate::guard::id::AuthenticatorId;
use crate::guard::proof::{Proof, Purpose};
use crate::guard::record::SecondFactor;
use crate::guard::record::recovery::RecoveryCodes;
use crate::guard::setup::Setup;
use crate::store::Store;

impl<S: Store> Guard<S> {
    /// Starts the enrollment of a user's first authenticator.
    ///
    /// Show the [`Enrollment`] to the user, who scans the QR code or types in the secret. Then pass the first code to
    /// [`confirm`](Self::confirm). The second factor is not active until that succeeds. By default, an enrollment
    /// expires after 15 minutes ([`Policy::with_enrollment_lifetime`](crate::Policy::with_enrollment_lifetime)). A new
    /// enrollment replaces one that is still pending.
    ///
    /// Call this only for a user who is logged in. It requires no proof, because there is no second factor yet. If the
    /// user already has one, use [`enroll_another`](Self::enroll_another).
    ///
    /// Events: [`EventKind::EnrollmentStarted`], and [`EventKind::EnrollmentCanceled`] for an enrollment that was
    /// replaced.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRequired`](crate::guard::GuardErrorKind::ProofRequired) if the user has an active
    ///   authenticator.
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the setup
    ///   [replaces](Setup::replacing) an authenticator, because the user has none yet.
    /// * [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) if a URI cannot contain the issuer or the
    ///   label.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn enroll(&self, user: &str, setup: &Setup) -> Result<Enrollment, GuardError> {
        self.transact(Flow::Enroll, user, |factor, context| {
            factor.enroll(context, &self.randomness, &self.issuer, setup, None)
        })
        .await
    }

    /// Starts the enrollment of an additional authenticator, or of one that [replaces](Setup::replacing) an active
    /// authenticator. Takes a proof for [`Purpose::ADD`].
    ///
    /// The active authenticators stay valid. An authenticator that will be replaced stays valid until the new one is
    /// confirmed. Everything else, including the events, works as in [`enroll`](Self::enroll). If the user has no
    /// active authenticator, the proof is not checked.
    ///
    /// Confirming the enrollment makes the proof void. Until then, the proof can start another enrollment.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is for another
    ///   user or purpose or has expired, or if the factors have changed since it was made.
    /// * [`GuardErrorKind::TooManyAuthenticators`](crate::guard::GuardErrorKind::TooManyAuthenticators) if the user has
    ///   eight active authenticators, and the setup replaces none of them.
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the
    ///   authenticator to replace is not an active authenticator of this user.
    /// * [`GuardErrorKind::SecretInUse`](crate::guard::GuardErrorKind::SecretInUse) if an active authenticator already
    ///   uses the imported secret.
    /// * [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) if a URI cannot contain the issuer or the
    ///   label.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn enroll_another(&self, user: &str, setup: &Setup, proof: &Proof) -> Result<Enrollment, GuardError> {
        self.transact(Flow::Enroll, user, |factor, context| {
            factor.enroll(context, &self.randomness, &self.issuer, setup, Some(proof))
        })
        .await
    }

    /// Confirms the pending enrollment with a code from the new authenticator, which becomes active.
    ///
    /// The code then counts as used, so the user cannot also log in with it. With the first authenticator, the user
    /// gets ten recovery codes. Show [`Confirmed::recovery_codes`](crate::guard::Confirmed::recovery_codes) now,
    /// because they cannot be read again. If the authenticator was enrolled to [replace](Setup::replacing) another one,
    /// the same swap removes the old one.
    ///
    /// A wrong code has these consequences:
    ///
    /// * The 20th wrong code ends the enrollment. Input that does not have the form of a code
    ///   ([`Refusal::Malformed`](crate::guard::Refusal::Malformed)) does not count.
    /// * If [`enroll`](Self::enroll) generated the secret, the user has just seen it and does not need to guess. So the
    ///   guess budget is not charged, and the answer contains a [`Diagnosis`](crate::guard::Diagnosis), such as a wrong
    ///   clock, if one is found. If the diagnosis reveals that the code belongs to a later time, the code counts as
    ///   used.
    /// * If the secret was [imported](Setup::import), the user may never have seen it, so the code may be a guess. The
    ///   attempt is charged to the guess budget like a code at a login, the same waits apply, and there is no
    ///   diagnosis.
    ///
    /// If an additional authenticator is confirmed whose secret keyfob generated, the waits of the account end, and an
    /// exhausted budget is refilled. Somebody who only guesses cannot confirm such an authenticator, because its
    /// enrollment required a proof (this is the re-binding of NIST SP 800-63B-4, section 3.2.2).
    ///
    /// A second swap stores the recovery codes. If it fails, the authenticator is active but the user has no recovery
    /// codes: `recovery_codes` returns `None`, [`Status::recovery_codes_left`] is 0, and an event reports the error. In
    /// that case, ask the user to make recovery codes with
    /// [`regenerate_recovery_codes`](Self::regenerate_recovery_codes).
    ///
    /// Events: [`EventKind::Confirmed`], with [`EventKind::Revoked`] for an authenticator that was replaced,
    /// [`EventKind::Unlocked`] if an exhausted budget was refilled, and [`EventKind::RecoveryCodesIssued`]; or
    /// [`EventKind::EnrollmentRefused`], with [`EventKind::Exhausted`] if the budget is used up.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NoEnrollment`](crate::guard::GuardErrorKind::NoEnrollment) if no enrollment is pending, if
    ///   it has expired, or after 20 wrong codes.
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if the secret of the new
    ///   authenticator cannot be opened.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn confirm(&self, user: &str, typed: &str) -> Result<Confirmation, GuardError> {
        let mut confirmation =
            self.transact(Flow::Confirm, user, |factor, context| factor.confirm(context, typed)).await?;
        if let Confirmation::Confirmed(confirmed) = &mut confirmation {
            let first = |factor: &SecondFactor, context: &Context<'_>| {
                factor.first_recovery_codes(context, &self.randomness, confirmed)
            };
            // An error here is only reported as an event, because the authenticator is already active and its owner
            // must be told.
            let codes = self.transact(Flow::RecoveryCodes, user, first).await;
            confirmed.recovery_codes = codes.ok().flatten();
        }
        Ok(confirmation)
    }

    /// Checks what the user typed at a login: a code of any active authenticator, or a recovery code.
    ///
    /// Pass the string as it was typed. The guard distinguishes codes from recovery codes by their form. Let the user
    /// in only for [`Verdict::Accepted`], and show one message for every refusal. [The module](crate::guard) has an
    /// example.
    ///
    /// **Codes of an authenticator.** By default, a TOTP code is accepted if it belongs to the current step, the one
    /// before or the one after ([`Policy::with_window`](crate::Policy::with_window)). An HOTP code is accepted if it
    /// belongs to the next counter or one of the five after that
    /// ([`Policy::with_look_ahead`](crate::Policy::with_look_ahead)). An accepted code and all earlier codes of this
    /// authenticator count as used afterwards. If two authenticators show the same code at the same time, the code
    /// counts as used for both, and the answer names the first. The guard learns drift: after three accepted codes in a
    /// row that were off to the same side, the window moves by one step to that side. It moves by at most ten steps in
    /// total, or by at most forty further steps after the authenticator was [resynchronized](Self::resync).
    ///
    /// **The guess budget.** Every code that is compared and not accepted is charged to the budget, whether it is wrong
    /// or was used before. An accepted code resets the count of consecutive failures, but the long-term count decreases
    /// only with time. While the account waits ([`Refusal::Throttled`](crate::guard::Refusal::Throttled)) or the budget
    /// is exhausted ([`Refusal::Exhausted`](crate::guard::Refusal::Exhausted)), no code is compared and none is
    /// charged. Input that does not have the form of a code ([`Refusal::Malformed`](crate::guard::Refusal::Malformed))
    /// is a typing mistake, so it is not charged either. By default, the fifth failure in a row starts a wait of 30
    /// seconds, and the wait doubles with each further failure, up to an hour. The budget is exhausted by 100 failures
    /// in a row, or by 100 failures in total, of which four expire each day ([`Policy`](crate::Policy)).
    ///
    /// **Recovery codes.** Each recovery code works once. A 115-bit code cannot be guessed, so recovery codes are never
    /// charged, and they work even when the budget is exhausted. An accepted recovery code ends the waits, and refills
    /// the budget if it is exhausted. Afterwards, have the user enroll a new authenticator.
    ///
    /// If the secrets of the account are sealed under an old key, an attempt that changes the record also seals them
    /// again under the primary key. The same swap stores both changes, so the verdict does not wait for a second swap.
    ///
    /// Events:
    ///
    /// * [`EventKind::Accepted`]. A recovery code also sends [`EventKind::Recovered`], and [`EventKind::Unlocked`] if
    ///   it refilled an exhausted budget.
    /// * [`EventKind::Refused`]. It is followed by [`EventKind::Exhausted`] if the failure used up the budget. While
    ///   the budget is exhausted, the next refusal and then one refusal a day send this event again.
    /// * [`EventKind::ClockBehind`] if a code was compared and not accepted, for each authenticator that can show only
    ///   used codes now.
    /// * [`EventKind::Resealed`] or [`EventKind::ResealFailed`] if secrets were sealed under an old key.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if the secret of any active
    ///   authenticator cannot be opened, or for a recovery code, if the key of the recovery codes cannot be opened.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn verify(&self, user: &str, typed: &str) -> Result<Verdict, GuardError> {
        self.transact(Flow::Verify, user, |factor, context| {
            if !factor.needs_resealing(context.keyring) {
                return factor.verify(context, typed);
            }
            let (factor, kind) = match factor.resealed(context, &self.randomness) {
                Ok(resealed) => (&resealed.unwrap_or_else(|| factor.clone()), EventKind::Resealed),
                Err(error) => (factor, EventKind::ResealFailed { kind: error.kind() }),
            };
            let transition = factor.verify(context, typed)?;
            let written = matches!(transition.change(), Change::Write(_));
            let events = events(context, [kind]);
            let failed = matches!(events.first().map(Event::kind), Some(EventKind::ResealFailed { .. }));
            Ok(transition.with_events(move |verdict| {
                let accepted = matches!(verdict, Verdict::Accepted(_));
                if written && (accepted || !failed) { events } else { Vec::new() }
            }))
        })
        .await
    }

    /// Makes a proof that this verification has just succeeded. The proof is valid for one purpose.
    ///
    /// By default, the proof is valid for 5 minutes from the verification
    /// ([`Policy::with_proof_lifetime`](crate::Policy::with_proof_lifetime)). [`Proof::token`] turns it into a string
    /// for the session. The proof is bound to the user, the purpose and the state of the user's factors. So it becomes
    /// void when an authenticator is added or removed, or when the recovery codes are replaced. The example of
    /// [`Guard`] makes a proof.
    #[must_use]
    pub fn prove(&self, accepted: &Accepted, purpose: &Purpose) -> Proof {
        let (user, now) = (accepted.user(), accepted.at);
        accepted.prove(&Context { user, now, policy: &self.policy, keyring: &self.keyring }, purpose)
    }

    /// Checks a proof for an action of your application, such as a payment. The check does not use up the proof.
    ///
    /// Make the purpose with [`Purpose::application`]. The proof stays valid until it expires or the factors change.
    /// The methods that take a proof to change the factors check it themselves.
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::{GuardError, Proof, Purpose};
    /// use keyfob::store::Store;
    ///
    /// /// `token` is from the session. It was made by `guard.prove` and `Proof::token`.
    /// async fn pay(guard: &Guard<impl Store>, user: &str, token: &str) -> Result<(), GuardError> {
    ///     let proof = Proof::from_token(token)?;
    ///     guard.check(user, &proof, &Purpose::application("payment")?).await?;
    ///     println!("{user} pays");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is for another
    ///   user or purpose or has expired, if the factors have changed since it was made, or if its key is no longer in
    ///   the keyring.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn check(&self, user: &str, proof: &Proof, purpose: &Purpose) -> Result<(), GuardError> {
        self.transact(Flow::Check, user, |factor, context| {
            factor.check(context, proof, purpose)?;
            Ok(Transition::of((), Vec::new()))
        })
        .await
    }

    /// Returns the state of the user's second factor, for the security page and for an operator. No secret is
    /// decrypted.
    ///
    /// For a user without a second factor, [`Status::is_active`] is `false`. The examples of [`Guard`] and of
    /// [`operator_unlock`](Self::operator_unlock) use the status.
    ///
    /// # Errors
    ///
    /// The errors of every method, listed at [`Guard`](Guard#errors). These errors are not sent as events.
    pub async fn status(&self, user: &str) -> Result<Status, GuardError> {
        self.transact(None, user, |factor, context| Ok(Transition::of(factor.status(context), Vec::new()))).await
    }

    /// Uses two consecutive codes to find an authenticator that is out of sync, and stores its drift (RFC 4226, section
    /// 7.4; RFC 6238, section 6).
    ///
    /// By default, the search covers 120 steps on either side of the server's time, or the next 120 counters.
    /// [`Policy::with_resync_within`](crate::Policy::with_resync_within) changes this and has an example. Both codes
    /// must be unused, and they count as used afterwards. A success does not log the user in: ask for another code and
    /// [`verify`](Self::verify) it.
    ///
    /// The attempt is charged to the guess budget like a code at a login, and the same waits apply. Recovery codes are
    /// not accepted. Input that does not have the form of a code is not charged.
    ///
    /// Events: [`EventKind::Resynchronized`]; or [`EventKind::Refused`], with [`EventKind::Exhausted`] as for
    /// [`verify`](Self::verify).
    ///
    /// # Security
    ///
    /// Offer this only to users who have proved their identity by other means. If the two codes are from an hour ago,
    /// keyfob concludes that the authenticator's clock is an hour behind, and the owner's current codes no longer
    /// match. So somebody who has written down three consecutive unused codes can resynchronize with two of them and
    /// log in with the third, as long as the search reaches back that far.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if the secret of any active
    ///   authenticator cannot be opened.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn resync(&self, user: &str, first: &str, second: &str) -> Result<Resynchronization, GuardError> {
        self.transact(Flow::Resync, user, |factor, context| factor.resync(context, first, second)).await
    }

    /// Renames an authenticator. Takes a proof for [`Purpose::RENAME`].
    ///
    /// A proof is required because owners decide by name which authenticator to revoke, so somebody who has taken over
    /// a session must not be able to swap two names. The proof can be used for further renames until it expires.
    ///
    /// Event: [`EventKind::Renamed`], unless the authenticator has this name already.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) if the name is longer than 256 bytes or has
    ///   control characters.
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is for another
    ///   user or purpose or has expired, or if the factors have changed since it was made.
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the user has
    ///   no active authenticator with this id.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn rename(
        &self,
        user: &str,
        authenticator: &AuthenticatorId,
        name: &str,
        proof: &Proof,
    ) -> Result<(), GuardError> {
        self.transact(Flow::Rename, user, |factor, context| factor.rename(context, authenticator, name, proof)).await
    }

    /// Removes an authenticator permanently. Takes a proof for [`Purpose::REVOKE`]. The example of [`Guard`] does this.
    ///
    /// A pending enrollment is also canceled. An attacker may have started it, and could otherwise confirm it
    /// afterwards. The recovery codes stay valid. All earlier proofs become void, and [`Status::generation`] changes.
    ///
    /// Events: [`EventKind::Revoked`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is for another
    ///   user or purpose or has expired, or if the factors have changed since it was made.
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the user has
    ///   no active authenticator with this id.
    /// * [`GuardErrorKind::LastAuthenticator`](crate::guard::GuardErrorKind::LastAuthenticator) if it is the only
    ///   active authenticator. Use [`disable`](Self::disable) instead.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn revoke(&self, user: &str, authenticator: &AuthenticatorId, proof: &Proof) -> Result<(), GuardError> {
        self.transact(Flow::Revoke, user, |factor, context| factor.revoke(context, authenticator, proof)).await
    }

    /// Makes ten new recovery codes and returns them; the old ones stop working. Takes a proof for
    /// [`Purpose::REGENERATE`].
    ///
    /// Show the codes to the user, because they cannot be read again. As with [`revoke`](Self::revoke), a pending
    /// enrollment is canceled, all earlier proofs become void, and [`Status::generation`] changes.
    ///
    /// Events: [`EventKind::RecoveryCodesRegenerated`], and [`EventKind::EnrollmentCanceled`] if an enrollment was
    /// pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has no active
    ///   authenticator.
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is for another
    ///   user or purpose or has expired, or if the factors have changed since it was made.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn regenerate_recovery_codes(&self, user: &str, proof: &Proof) -> Result<RecoveryCodes, GuardError> {
        self.transact(Flow::RegenerateRecoveryCodes, user, |factor, context| {
            factor.regenerate_recovery_codes(context, &self.randomness, proof)
        })
        .await
    }

    /// Disables the second factor and removes the whole record: authenticators, recovery codes, failure counts and a
    /// pending enrollment. Takes a proof for [`Purpose::DISABLE`].
    ///
    /// Events: [`EventKind::Disabled`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has no active
    ///   authenticator.
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is for another
    ///   user or purpose or has expired, or if the factors have changed since it was made.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn disable(&self, user: &str, proof: &Proof) -> Result<(), GuardError> {
        self.transact(Flow::Disable, user, |factor, context| factor.disable(context, proof)).await
    }

    /// Lets an operator disable the second factor without a proof. Like [`disable`](Self::disable), this removes the
    /// whole record. [`operator_unlock`](Self::operator_unlock) has an example.
    ///
    /// Events: [`EventKind::Disabled`] if an authenticator was active, and [`EventKind::EnrollmentCanceled`] if an
    /// enrollment was pending.
    ///
    /// # Security
    ///
    /// Before you call this, verify by other means who is asking, because social engineering targets this step. Require
    /// the consent of a second person, and notify the user.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has neither an
    ///   authenticator nor an enrollment.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn operator_remove(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorRemove, user, SecondFactor::operator_remove).await
    }

    /// Lets an operator end the waits of an account and refill its guess budget if the budget is exhausted. Use it only
    /// when nobody is guessing any more.
    ///
    /// If the budget is not exhausted, the long-term count does not change. Otherwise each call would allow a hundred
    /// more guesses.
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::GuardError;
    /// use keyfob::store::Store;
    ///
    /// /// The owner cannot log in. Two people have verified who is asking, and that the guessing
    /// /// has stopped.
    /// async fn help(
    ///     guard: &Guard<impl Store>,
    ///     user: &str,
    ///     has_recovery_codes: bool,
    /// ) -> Result<(), GuardError> {
    ///     let status = guard.status(user).await?;
    ///     if has_recovery_codes && status.recovery_codes_left() > 0 {
    ///         println!("Use a recovery code. It works even now.");
    ///     } else if status.is_exhausted() || status.retry_at().is_some() {
    ///         guard.operator_unlock(user).await?; // the app works again
    ///     } else {
    ///         guard.operator_remove(user).await?; // the app is lost as well
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Event: [`EventKind::Unlocked`].
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has no active
    ///   authenticator.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn operator_unlock(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorUnlock, user, SecondFactor::operator_unlock).await
    }

    /// Refuses every code that may already have been used. An operator needs this after restoring the store from a
    /// backup, because the restored records do not show which codes were used after the backup.
    ///
    /// A pending enrollment is canceled. [`Status::generation`] changes to a number that the account has never had, so
    /// earlier proofs and trusted devices become void. `SqliteStore` has an example that processes all accounts.
    ///
    /// This method is strict, which has a cost for the users:
    ///
    /// * **TOTP codes are refused for 81 minutes** by default. After the backup, an authenticator may have been
    ///   [resynchronized](Self::resync) by up to 120 steps
    ///   ([`Policy::with_resync_within`](crate::Policy::with_resync_within)), and the guard may then have learned forty
    ///   more steps of drift. All codes that such an authenticator may have used are refused. During this time, a
    ///   refused code sends [`EventKind::ClockBehind`].
    /// * **HOTP codes are refused permanently**, because nothing shows which counters were used after the backup. Have
    ///   the owner replace the authenticator.
    ///
    /// Recovery codes still work, including codes that were used after the backup. Authenticators that were revoked
    /// after the backup are active again. Ask the users to replace their recovery codes and to check their list of
    /// authenticators. [`operator_invalidate_recent_codes`](Self::operator_invalidate_recent_codes) covers less, but
    /// does not lock users out for long.
    ///
    /// Events: [`EventKind::CodesInvalidated`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has neither an
    ///   authenticator nor an enrollment.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn operator_invalidate_codes(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorInvalidateCodes, user, SecondFactor::operator_invalidate_codes).await
    }

    /// Like [`operator_invalidate_codes`](Self::operator_invalidate_codes), but refuses TOTP codes only up to the end
    /// of the current window. Users whose clocks are right can log in again within two minutes.
    ///
    /// This method leaves two gaps:
    ///
    /// * If an authenticator was [resynchronized](Self::resync) after the backup because its clock is ahead, its used
    ///   codes are accepted again when the server's clock reaches their time.
    /// * HOTP codes that were used after the backup are accepted again.
    ///
    /// Everything else is the same, including the events.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has neither an
    ///   authenticator nor an enrollment.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn operator_invalidate_recent_codes(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorInvalidateCodes, user, SecondFactor::operator_invalidate_recent_codes).await
    }

    /// Seals all secrets of the user under the primary key. Returns whether any secret was sealed under an old key.
    ///
    /// An account moves to the primary key when its user logs in. Use this method to move the other accounts before you
    /// remove an old key from the keyring. [`Status::keys`] lists the keys that a user still needs. `SqliteStore` has
    /// an example that processes all accounts. An enrollment that can no longer be confirmed is removed instead of
    /// being sealed again.
    ///
    /// Event: [`EventKind::Resealed`], if any secret was sealed under an old key.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if a secret cannot be opened.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn reseal(&self, user: &str) -> Result<bool, GuardError> {
        self.transact(Flow::Reseal, user, |factor, context| factor.reseal(context, &self.randomness)).await
    }
}
