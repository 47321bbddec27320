//! The flows of [`Guard`]: enrollment, login, changes by the owner and changes by an operator.
//!
//! The decisions are in `decide`. Each method hands one to `Guard::transact`, which loads, decides and swaps.

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
    /// Show the [`Enrollment`] to the user, who scans the QR code or types the secret, and pass the first code to
    /// [`confirm`](Self::confirm). Until then the second factor is not active. An enrollment waits for its code for 15
    /// minutes by default ([`Policy::with_enrollment_lifetime`](crate::Policy::with_enrollment_lifetime)), and a new
    /// enrollment replaces one that is still waiting.
    ///
    /// Call this only for a user who is logged in. It needs no proof, because there is no second factor yet. If there
    /// is one, use [`enroll_another`](Self::enroll_another).
    ///
    /// Events: [`EventKind::EnrollmentStarted`], and [`EventKind::EnrollmentCanceled`] for the one that was replaced.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRequired`](crate::guard::GuardErrorKind::ProofRequired) if the user has an active
    ///   authenticator.
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the setup
    ///   [replaces](Setup::replacing) an authenticator, as there is none yet.
    /// * [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) if no URI can carry the issuer or the
    ///   label.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn enroll(&self, user: &str, setup: &Setup) -> Result<Enrollment, GuardError> {
        self.transact(Flow::Enroll, user, |factor, context| {
            factor.enroll(context, &self.randomness, &self.issuer, setup, None)
        })
        .await
    }

    /// Starts the enrollment of another authenticator, or of one that [replaces](Setup::replacing) an active one. Takes
    /// a proof for [`Purpose::ADD`].
    ///
    /// The active authenticators stay valid. One that is to be replaced stays valid until the new one is confirmed. The
    /// rest is as for [`enroll`](Self::enroll), events included. A user who has no active authenticator needs no proof,
    /// and the one that is passed is not checked.
    ///
    /// The proof is void after the confirmation. Until then it can start another enrollment.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is for another
    ///   user or purpose or has expired, or if the factors have changed since it was made.
    /// * [`GuardErrorKind::TooManyAuthenticators`](crate::guard::GuardErrorKind::TooManyAuthenticators) if the user has
    ///   eight active authenticators, and the setup replaces none of them.
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the
    ///   authenticator to replace is not an active one of this user.
    /// * [`GuardErrorKind::SecretInUse`](crate::guard::GuardErrorKind::SecretInUse) if an active authenticator has the
    ///   imported secret.
    /// * [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) if no URI can carry the issuer or the
    ///   label.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn enroll_another(&self, user: &str, setup: &Setup, proof: &Proof) -> Result<Enrollment, GuardError> {
        self.transact(Flow::Enroll, user, |factor, context| {
            factor.enroll(context, &self.randomness, &self.issuer, setup, Some(proof))
        })
        .await
    }

    /// Activates the authenticator that is waiting, with a code that it shows.
    ///
    /// The code is used from then on, so it does not log the user in as well. With the first authenticator the user
    /// gets ten recovery codes: show [`Confirmed::recovery_codes`](crate::guard::Confirmed::recovery_codes), as they
    /// cannot be read again. An authenticator that is to be [replaced](Setup::replacing) is removed in the same swap.
    ///
    /// A wrong code has these consequences:
    ///
    /// * An enrollment forgives 19 wrong codes; the 20th ends it. A string that is not a code at all
    ///   ([`Refusal::Malformed`](crate::guard::Refusal::Malformed)) does not count.
    /// * If [`enroll`](Self::enroll) made the secret, the user has just seen it and is not guessing. The guess budget
    ///   is not charged, and the answer has a [`Diagnosis`](crate::guard::Diagnosis), such as a wrong clock, if there
    ///   is one. If the diagnosis reveals that the code belongs to a later time, the code counts as used.
    /// * If the secret was [imported](Setup::import), the user may never have seen it, so the code may be a guess. It
    ///   is charged to the guess budget like a code at a login, the same waits apply, and there is no diagnosis.
    ///
    /// A further authenticator whose secret keyfob made ends the waits of the account, and refills the budget if it is
    /// exhausted. A guesser cannot get this far, because the enrollment took a proof (the re-binding of NIST SP
    /// 800-63B-4, section 3.2.2).
    ///
    /// The recovery codes are stored by a second swap. If that fails, the authenticator is active without them,
    /// `recovery_codes` returns `None`, [`Status::recovery_codes_left`] is 0, and an event says why. Ask the user then
    /// to make some with [`regenerate_recovery_codes`](Self::regenerate_recovery_codes).
    ///
    /// Events: [`EventKind::Confirmed`], with [`EventKind::Revoked`] for an authenticator that was replaced,
    /// [`EventKind::Unlocked`] if an exhausted budget was refilled, and [`EventKind::RecoveryCodesIssued`]; or
    /// [`EventKind::EnrollmentRefused`], with [`EventKind::Exhausted`] if the budget is used up.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NoEnrollment`](crate::guard::GuardErrorKind::NoEnrollment) if no enrollment is waiting, if
    ///   it has waited too long, or after 20 wrong codes.
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if its secret cannot be opened.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn confirm(&self, user: &str, typed: &str) -> Result<Confirmation, GuardError> {
        let mut confirmation =
            self.transact(Flow::Confirm, user, |factor, context| factor.confirm(context, typed)).await?;
        if let Confirmation::Confirmed(confirmed) = &mut confirmation {
            let first = |factor: &SecondFactor, context: &Context<'_>| {
                factor.first_recovery_codes(context, &self.randomness, confirmed)
            };
            // An error is reported as an event only: the authenticator is active, and its owner must be told so.
            let codes = self.transact(Flow::RecoveryCodes, user, first).await;
            confirmed.recovery_codes = codes.ok().flatten();
        }
        Ok(confirmation)
    }

    /// Checks what the user typed at a login: a code of any active authenticator, or a recovery code.
    ///
    /// Pass the string as it was typed; the guard tells a code from a recovery code by its shape. Let the user in only
    /// for [`Verdict::Accepted`], and show one message for every refusal. [The module](crate::guard) has an example.
    ///
    /// **Codes of an authenticator.** A TOTP code is accepted from one step before to one step after the present one
    /// ([`Policy::with_window`](crate::Policy::with_window)), an HOTP code for the next counter and the five after it
    /// ([`Policy::with_look_ahead`](crate::Policy::with_look_ahead)). An accepted code and all earlier ones of this
    /// authenticator are used from then on. If two authenticators show the same code at once, it is used for both, and
    /// the answer names the first. The guard learns drift: after three accepted codes in a row that were off to the
    /// same side, the window moves by one step to that side, by up to ten steps, or by up to forty more after the
    /// authenticator was [resynchronized](Self::resync).
    ///
    /// **The guess budget.** Every code that is compared and not accepted is charged, a used code like a wrong one. An
    /// accepted code resets the count of consecutive failures; only time lowers the long-term count. While the account
    /// waits ([`Refusal::Throttled`](crate::guard::Refusal::Throttled)) or the budget is exhausted
    /// ([`Refusal::Exhausted`](crate::guard::Refusal::Exhausted)), no code is compared and none is charged. Neither is
    /// what cannot be a code ([`Refusal::Malformed`](crate::guard::Refusal::Malformed)), which is a typing mistake. By
    /// default the fifth failure in a row starts a wait of 30 seconds, which doubles up to an hour; 100 failures in a
    /// row, or 100 in all with four forgiven a day, exhaust the budget ([`Policy`](crate::Policy)).
    ///
    /// **Recovery codes.** Each is single-use. With 115 bits they cannot be guessed, so they are never charged and work
    /// when the budget is exhausted. An accepted one ends the waits, and refills the budget if it is exhausted.
    /// Afterwards have the user enroll a new authenticator.
    ///
    /// An attempt that is stored also seals the secrets of the account under the primary key, if they are under an old
    /// one. The same swap stores both, so that nothing delays the verdict afterwards.
    ///
    /// Events:
    ///
    /// * [`EventKind::Accepted`], after a recovery code with [`EventKind::Recovered`], and [`EventKind::Unlocked`] if
    ///   it refilled an exhausted budget.
    /// * [`EventKind::Refused`], with [`EventKind::Exhausted`] if the failure used up the budget, and for one refusal a
    ///   day while it stays exhausted.
    /// * [`EventKind::ClockBehind`] with a code that is not accepted, for each authenticator that can show only used
    ///   codes now.
    /// * [`EventKind::Resealed`] or [`EventKind::ResealFailed`] if secrets were under an old key.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if the secret of any active
    ///   authenticator cannot be opened; for a recovery code, if the key of the recovery codes cannot be.
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

    /// Makes a proof that this verification has just succeeded. The proof serves one purpose.
    ///
    /// The proof is valid for 5 minutes from the verification by default
    /// ([`Policy::with_proof_lifetime`](crate::Policy::with_proof_lifetime)). [`Proof::token`] turns it into a string
    /// for the session. It is bound to the user, the purpose and the state of the user's factors. So it becomes void
    /// when an authenticator is added or removed, or the recovery codes are replaced. The example of [`Guard`] makes
    /// one.
    #[must_use]
    pub fn prove(&self, accepted: &Accepted, purpose: &Purpose) -> Proof {
        let (user, now) = (accepted.user(), accepted.at);
        accepted.prove(&Context { user, now, policy: &self.policy, keyring: &self.keyring }, purpose)
    }

    /// Checks a proof for an action of your application, such as a payment. Does not use it up.
    ///
    /// Make the purpose with [`Purpose::application`]. The proof stays valid until it expires or the factors change.
    /// The changes below check their proofs themselves.
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

    /// Returns the state of the user's second factor, for the security page and for an operator. Opens no secret.
    ///
    /// A user without a second factor has a status as well: [`Status::is_active`] is `false`. The examples of [`Guard`]
    /// and of [`operator_unlock`](Self::operator_unlock) read it.
    ///
    /// # Errors
    ///
    /// The errors of every method, listed at [`Guard`](Guard#errors). They are not sent as events.
    pub async fn status(&self, user: &str) -> Result<Status, GuardError> {
        self.transact(None, user, |factor, context| Ok(Transition::of(factor.status(context), Vec::new()))).await
    }

    /// Finds an authenticator that is out of sync, by two consecutive codes, and remembers its drift (RFC 4226, section
    /// 7.4; RFC 6238, section 6).
    ///
    /// The search covers 120 steps on either side of the server's time, or the next 120 counters
    /// ([`Policy::with_resync_within`](crate::Policy::with_resync_within), with an example). Both codes must be unused,
    /// and are used afterwards. A success does not log the user in: ask for another code and [`verify`](Self::verify)
    /// it.
    ///
    /// The attempt is charged to the guess budget like a code at a login, and the same waits apply. Recovery codes do
    /// not work, and a string that is not a code is not charged.
    ///
    /// Events: [`EventKind::Resynchronized`]; or [`EventKind::Refused`], with [`EventKind::Exhausted`] as for
    /// [`verify`](Self::verify).
    ///
    /// # Security
    ///
    /// Offer this only to users who have proved by other means who they are. Codes from an hour ago move an
    /// authenticator to an hour ago, and its owner is then out of sync. So somebody who has written down three
    /// consecutive unused codes can resynchronize with two of them and log in with the third, as long as the search
    /// reaches back that far.
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
    /// The proof is needed because the owner chooses by the names what to revoke: somebody who has taken over a session
    /// must not be able to exchange them. It stays valid for further names until it expires.
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

    /// Removes an authenticator for good. Takes a proof for [`Purpose::REVOKE`]. The example of [`Guard`] does this.
    ///
    /// An enrollment that is waiting is canceled as well: somebody else may have started it, and could otherwise
    /// confirm it afterwards. The recovery codes stay valid. All proofs made before are void, and
    /// [`Status::generation`] changes.
    ///
    /// Events: [`EventKind::Revoked`], and [`EventKind::EnrollmentCanceled`] if an enrollment was waiting.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if the proof is for another
    ///   user or purpose or has expired, or if the factors have changed since it was made.
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the user has
    ///   no active authenticator with this id.
    /// * [`GuardErrorKind::LastAuthenticator`](crate::guard::GuardErrorKind::LastAuthenticator) if it is the only
    ///   active one. Use [`disable`](Self::disable) instead.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn revoke(&self, user: &str, authenticator: &AuthenticatorId, proof: &Proof) -> Result<(), GuardError> {
        self.transact(Flow::Revoke, user, |factor, context| factor.revoke(context, authenticator, proof)).await
    }

    /// Makes ten new recovery codes and returns them; the old ones stop working. Takes a proof for
    /// [`Purpose::REGENERATE`].
    ///
    /// Show the codes to the user, as they cannot be read again. As with [`revoke`](Self::revoke), an enrollment that
    /// is waiting is canceled, all proofs made before are void, and [`Status::generation`] changes.
    ///
    /// Events: [`EventKind::RecoveryCodesRegenerated`], and [`EventKind::EnrollmentCanceled`] if an enrollment was
    /// waiting.
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

    /// Disables the second factor and removes the whole record: authenticators, recovery codes, counts of failures and
    /// an enrollment that is waiting. Takes a proof for [`Purpose::DISABLE`].
    ///
    /// Events: [`EventKind::Disabled`], and [`EventKind::EnrollmentCanceled`] if an enrollment was waiting.
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

    /// Disables the second factor without a proof, for an operator. Removes the whole record, as
    /// [`disable`](Self::disable) does. [`operator_unlock`](Self::operator_unlock) has an example.
    ///
    /// Events: [`EventKind::Disabled`] if an authenticator was active, and [`EventKind::EnrollmentCanceled`] if an
    /// enrollment was waiting.
    ///
    /// # Security
    ///
    /// Before you call this, verify by other means who is asking. Social engineering aims at this step. Require the
    /// consent of a second person, and notify the user.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has neither an
    ///   authenticator nor an enrollment.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn operator_remove(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorRemove, user, SecondFactor::operator_remove).await
    }

    /// Ends the waits, and refills the guess budget if it is exhausted. For an operator who knows that nobody is
    /// guessing any more.
    ///
    /// If the budget is not exhausted, the long-term count stays as it is. Otherwise each call would be worth a hundred
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

    /// Refuses every code that can have been used up to now. For an operator who has restored the store from a backup,
    /// in which codes that were used since the backup are unused again.
    ///
    /// An enrollment that is waiting is canceled. [`Status::generation`] changes to a number that the account has never
    /// had, so proofs and trusted devices from before are void. `SqliteStore` has an example that goes through all
    /// accounts.
    ///
    /// This is strict, and it has a cost for the owners:
    ///
    /// * **TOTP codes are refused for 81 minutes** by default. Since the backup, an authenticator may have been
    ///   [resynchronized](Self::resync) by up to 120 steps
    ///   ([`Policy::with_resync_within`](crate::Policy::with_resync_within)) and have drifted by the forty steps that
    ///   the guard learns after it. All codes up to there are refused. Meanwhile a refused code sends
    ///   [`EventKind::ClockBehind`].
    /// * **HOTP codes are refused for good**, because nothing tells which counters were used since the backup. Have the
    ///   owner replace the authenticator.
    ///
    /// Recovery codes still work, including those that were used since the backup, and authenticators that were revoked
    /// since are back. Ask the owners to replace their recovery codes and to check the list of authenticators.
    /// [`operator_invalidate_recent_codes`](Self::operator_invalidate_recent_codes) keeps nobody out for long and
    /// covers less.
    ///
    /// Events: [`EventKind::CodesInvalidated`], and [`EventKind::EnrollmentCanceled`] if an enrollment was waiting.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has neither an
    ///   authenticator nor an enrollment.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn operator_invalidate_codes(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorInvalidateCodes, user, SecondFactor::operator_invalidate_codes).await
    }

    /// As [`operator_invalidate_codes`](Self::operator_invalidate_codes), for users whose clocks are right. Refuses
    /// TOTP codes only up to the end of the present window, so that these users can log in again within two minutes.
    ///
    /// This covers less:
    ///
    /// * An authenticator that was [resynchronized](Self::resync) to a clock that is ahead, since the backup, accepts
    ///   its used codes again when the server's clock reaches them.
    /// * An HOTP authenticator accepts the codes that were used since the backup.
    ///
    /// The rest is the same, events included.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has neither an
    ///   authenticator nor an enrollment.
    /// * The errors of every method, listed at [`Guard`](Guard#errors).
    pub async fn operator_invalidate_recent_codes(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::OperatorInvalidateCodes, user, SecondFactor::operator_invalidate_recent_codes).await
    }

    /// Seals everything of the user under the primary key. Returns whether anything was under an old key.
    ///
    /// Accounts move to the primary key as their users log in. Use this to move the others, so that an old key can
    /// leave the keyring; [`Status::keys`] says which keys a user still needs. `SqliteStore` has an example that goes
    /// through all accounts. An enrollment that nobody can confirm any more is removed and not sealed again.
    ///
    /// Event: [`EventKind::Resealed`], if anything was under an old key.
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
