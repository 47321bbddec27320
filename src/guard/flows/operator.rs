//! The flows for operators.

use crate::guard::Guard;
use crate::guard::answer::event::Flow;
use crate::guard::answer::invalidation::Invalidation;
use crate::guard::context::Context;
use crate::guard::error::GuardError;
use crate::guard::id::{AuthenticatorId, OperatorId};
use crate::guard::record::SecondFactor;
use crate::guard::token::login::Voucher;
use crate::guard::token::proof::Proof;
use crate::store::Store;

// The links in the documentation need these names.
#[cfg(doc)]
use crate::guard::{EventKind, Generation, Status};

impl<S: Store> Guard<S> {
    /// Lets an operator disable the second factor without a proof. Like [`disable`](Self::disable), this keeps only
    /// a tombstone. [`operator_unlock`](Self::operator_unlock) has an example.
    ///
    /// Events: [`EventKind::Disabled`] if the user had a second factor, and [`EventKind::EnrollmentCanceled`] if an
    /// enrollment was pending.
    ///
    /// # Security
    ///
    /// Before you call this, verify by other means who is asking, because social engineering targets this step. Require
    /// the approval of a second person, and notify the user.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has neither a second
    ///   factor nor a pending enrollment.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn operator_remove(&self, user: &str, operator: &OperatorId) -> Result<(), GuardError> {
        self.transact_by(Some(operator), Flow::OperatorRemove, user, |factor, context| {
            factor.operator_remove(context, operator)
        })
        .await
    }

    /// Lets an operator revoke one authenticator without a proof, for example after it was reported lost.
    ///
    /// All of the user's sessions end, all devices are forgotten, and a pending enrollment is canceled. If it was the
    /// last authenticator, the account still needs a code to log in. Only a recovery code is then accepted, and with a
    /// proof made from it, the user can enroll a new authenticator ([`enroll_another`](Self::enroll_another)). If the
    /// user has no recovery codes either, the only remaining option is [`operator_remove`](Self::operator_remove), once
    /// you have verified who is asking.
    ///
    /// Events: [`EventKind::Revoked`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::UnknownAuthenticator`](crate::guard::GuardErrorKind::UnknownAuthenticator) if the user has
    ///   no active authenticator with this id. [`Status::authenticators`](crate::guard::Status::authenticators) lists
    ///   the ids.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn operator_revoke(
        &self,
        user: &str,
        authenticator: &AuthenticatorId,
        operator: &OperatorId,
    ) -> Result<(), GuardError> {
        let decide =
            |factor: &SecondFactor, context: &Context<'_>| factor.operator_revoke(context, authenticator, operator);
        self.transact_by(Some(operator), Flow::OperatorRevoke, user, decide).await
    }

    /// Lets an operator end an account's wait and refill its guess budget if the budget is exhausted. Use this only
    /// once the attack has stopped.
    ///
    /// If the budget is not exhausted, the long-term count does not change. If every call reset it, every call would
    /// allow a hundred more guesses.
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::{GuardError, OperatorId};
    /// use keyfob::store::Store;
    ///
    /// /// The owner cannot log in. Two people have verified who is asking, and that the guessing
    /// /// has stopped.
    /// async fn help(
    ///     guard: &Guard<impl Store>,
    ///     user: &str,
    ///     operator: &OperatorId,
    ///     has_recovery_codes: bool,
    /// ) -> Result<(), GuardError> {
    ///     let status = guard.status(user).await?;
    ///     if has_recovery_codes && status.recovery_codes_left() > 0 {
    ///         println!("Use a recovery code. It works even now.");
    ///     } else if status.is_exhausted() || status.retry_at().is_some() {
    ///         guard.operator_unlock(user, operator).await?; // the app works again
    ///     } else {
    ///         guard.operator_remove(user, operator).await?; // the app is lost as well
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Event: [`EventKind::Unlocked`].
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has no second factor.
    /// * [`GuardErrorKind::UnlockRefused`](crate::guard::GuardErrorKind::UnlockRefused) if the policy is
    ///   [strict](crate::Policy::strict).
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn operator_unlock(&self, user: &str, operator: &OperatorId) -> Result<(), GuardError> {
        self.transact_by(Some(operator), Flow::OperatorUnlock, user, |factor, context| {
            factor.operator_unlock(context, operator)
        })
        .await
    }

    /// Lets an operator suspend an account, for example while a theft is investigated. Nobody can log in to it, whether
    /// with a code, a recovery code or a trusted device. All sessions end, because [`is_current`](Self::is_current)
    /// returns `false`. Pending logins, proofs and devices are invalidated for good. A pending enrollment is canceled.
    ///
    /// Until the account is [resumed](Self::operator_resume), every method that begins a login, checks a code, accepts
    /// a proof or a ticket, starts an enrollment or adds a device fails with
    /// [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended). The factors are kept. An account without
    /// a second factor can also be suspended.
    ///
    /// Events: [`EventKind::Suspended`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending. If the
    /// account was already suspended, no event is sent.
    ///
    /// # Errors
    ///
    /// The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn operator_suspend(&self, user: &str, operator: &OperatorId) -> Result<(), GuardError> {
        let decide = |factor: &SecondFactor, context: &Context<'_>| Ok(factor.operator_suspend(context, operator));
        self.transact_by(Some(operator), Flow::OperatorSuspend, user, decide).await
    }

    /// Lets an operator end the [suspension](Self::operator_suspend) of an account. The user can log in again with the
    /// same factors. Sessions, pending logins, proofs and devices from before the suspension stay void.
    ///
    /// Event: [`EventKind::Resumed`], if the account was suspended.
    ///
    /// # Errors
    ///
    /// The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn operator_resume(&self, user: &str, operator: &OperatorId) -> Result<(), GuardError> {
        let decide = |factor: &SecondFactor, context: &Context<'_>| Ok(factor.operator_resume(context, operator));
        self.transact_by(Some(operator), Flow::OperatorResume, user, decide).await
    }

    /// Vouches for a user who has no working code, and returns a voucher with which the user can add an authenticator.
    ///
    /// Use this for a user who was [adopted](Self::adopt) from another system, has lost the app, and still has a backup
    /// code of that system. Check that code with the other system's hash, and make it unusable there. A support
    /// employee who has verified the user by other means can vouch as well. As `operator`, pass the name of that
    /// employee, or the name of your application if it has checked the backup code itself.
    ///
    /// The user enters the password, hands in the voucher, and adds an authenticator:
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::{Enrollment, GuardError, OperatorId, Setup, Voucher};
    /// use keyfob::store::Store;
    ///
    /// /// The user has shown a valid backup code of the old system. Returns the text for the user.
    /// async fn vouch(guard: &Guard<impl Store>, user: &str) -> Result<String, GuardError> {
    ///     let operator = OperatorId::new("backup-codes")?;
    ///     Ok(guard.operator_vouch(user, &operator).await?.token())
    /// }
    ///
    /// /// `user` has entered the password. Then confirm the new app with `Guard::confirm`.
    /// async fn add(
    ///     guard: &Guard<impl Store>,
    ///     user: &str,
    ///     voucher: &str,
    /// ) -> Result<Option<Enrollment>, GuardError> {
    ///     let voucher = Voucher::from_token(voucher)?;
    ///     if voucher.user() != user {
    ///         return Ok(None);
    ///     }
    ///     let proof = guard.redeem(&voucher).await?;
    ///     guard.enroll_another(user, &Setup::totp("alice@example.com"), &proof).await.map(Some)
    /// }
    /// # use keyfob::{KeyUri, Keyring, guard::{Adoptee, Confirmation}, store::MemoryStore};
    /// # futures_lite::future::block_on(async {
    /// # let guard = Guard::new(MemoryStore::new(), Keyring::parse(&Keyring::generate("2026")?)?, "Example Inc")
    /// #     .with_clock(|| Some(1_900_000_000));
    /// # let uri = KeyUri::parse("otpauth://totp/Old:al?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Old")?;
    /// # let adoptee = Adoptee { user: "user-17".into(), uri, last_used: None, name: String::new() };
    /// # let _ = guard.adopt(&adoptee, &OperatorId::new("migration")?).await?;
    /// # let token = vouch(&guard, "user-17").await?;
    /// # let app = add(&guard, "user-17", &token).await?.unwrap().uri().to_totp().unwrap();
    /// # let confirmed = guard.confirm("user-17", &app.code_at(1_900_000_000).to_string()).await?;
    /// # assert!(matches!(confirmed, Confirmation::Confirmed(_)));
    /// # assert!(add(&guard, "user-17", &token).await.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// The voucher is valid for 15 minutes by default
    /// ([`Policy::with_enrollment_lifetime`](crate::Policy::with_enrollment_lifetime)). A new voucher makes an earlier
    /// one for the same user void.
    ///
    /// Event: [`EventKind::Vouched`], which names the operator.
    ///
    /// # Security
    ///
    /// A voucher together with the password is enough to add an authenticator, so verify who is asking as carefully as
    /// for [`operator_remove`](Self::operator_remove). It is good for nothing else: it replaces and removes no
    /// authenticator, and does not refill the guess budget.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has no second factor.
    ///   Such a user needs no voucher to enroll.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn operator_vouch(&self, user: &str, operator: &OperatorId) -> Result<Voucher, GuardError> {
        self.transact_by(Some(operator), Flow::OperatorVouch, user, |factor, context| {
            factor.operator_vouch(context, &self.randomness, operator)
        })
        .await
    }

    /// Redeems a [voucher](Self::operator_vouch), and returns a proof for
    /// [`enroll_another`](Self::enroll_another). Call this only after you have checked the user's password.
    ///
    /// The voucher cannot be redeemed again. If the user needs more than one request to add the authenticator, keep the
    /// proof as a [token](Proof::token), which is bound to the session. The proof is valid for 5 minutes by default,
    /// and becomes void once the authenticator is confirmed.
    ///
    /// Event: [`EventKind::VoucherRedeemed`].
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::LoginRejected`](crate::guard::GuardErrorKind::LoginRejected) if the voucher is not genuine,
    ///   has expired, was redeemed or is void, or if its key is no longer in the keyring.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn redeem(&self, voucher: &Voucher) -> Result<Proof, GuardError> {
        self.check_origin(&voucher.0)?;
        self.transact(Flow::Redeem, voucher.user(), |factor, context| factor.redeem(context, voucher)).await
    }

    /// Refuses every code that may already have been used. An operator needs this after restoring the store from a
    /// backup, because the restored records do not show which codes have been used since the backup.
    ///
    /// A pending enrollment is canceled, and all devices are forgotten. The [`Generation`] changes to one that the
    /// account has never had, so earlier sessions, pending logins and proofs become void. This relies on the clock: do
    /// not call this method while the server's clock shows a time before an earlier invalidation. The answer lists what
    /// is left to do for this account. This program processes all accounts:
    ///
    /// ```
    /// use keyfob::guard::{GuardError, GuardErrorKind, OperatorId};
    /// use keyfob::store::Accounts;
    /// use keyfob::{Guard, Keyring, store::MemoryStore};
    ///
    /// async fn after_restore(guard: &Guard<impl Accounts>) -> Result<(), GuardError> {
    ///     let operator = &OperatorId::new("restore")?;
    ///     let mut last = String::new();
    ///     loop {
    ///         let page = guard
    ///             .sweep(&last, 1000, |user| async move {
    ///                 let left = guard.operator_invalidate_codes(&user, operator).await?;
    ///                 guard.reseal(&user).await?; // the backup may be from before a key rotation
    ///                 Ok(left)
    ///             })
    ///             .await?;
    ///         let Some(end) = page.last() else { return Ok(()) };
    ///         last = end.into();
    ///         for (user, answer) in page.accounts() {
    ///             match answer {
    ///                 Ok(left) => println!("{user}: {left:?}"),
    ///                 // The record holds nothing to invalidate.
    ///                 Err(error) if error.kind() == GuardErrorKind::NotEnrolled => {}
    ///                 Err(error) => println!("{user}: {error}"),
    ///             }
    ///         }
    ///     }
    /// }
    /// # use keyfob::guard::Setup;
    /// # futures_lite::future::block_on(async {
    /// # let guard = Guard::new(MemoryStore::new(), Keyring::parse(&Keyring::generate("2026")?)?, "Example Inc");
    /// # guard.enroll("user-17", &Setup::totp("alice")).await?;
    /// # after_restore(&guard).await?;
    /// # assert!(!guard.status("user-17").await?.enrollment_pending());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// This method is strict, at a cost to users:
    ///
    /// * **TOTP codes are refused for 81 minutes** by default. After the backup, an authenticator may have been
    ///   [resynchronized](Self::resync) by up to 120 steps
    ///   ([`Policy::with_resync_within`](crate::Policy::with_resync_within)), and the guard may then have learned forty
    ///   more steps of drift. All codes that such an authenticator may have used are refused. During this time, a
    ///   refused code sends [`EventKind::ClockBehind`].
    /// * **HOTP codes are refused permanently**, because nothing shows which counters were used after the backup. Have
    ///   the owner replace the authenticator.
    /// * **Recovery codes are removed**, because nothing shows which of them were used after the backup. Have the owner
    ///   generate new ones.
    ///
    /// A user who has no TOTP authenticator needs a [voucher](Self::operator_vouch) to log in again. Authenticators
    /// that were revoked after the backup are active again, and nothing in the record shows which ones, so
    /// [`Invalidation::to_check`](crate::guard::Invalidation::to_check) lists all active authenticators.
    /// [`operator_invalidate_recent_codes`](Self::operator_invalidate_recent_codes) covers less, but does not lock
    /// users out for long.
    ///
    /// Events: [`EventKind::CodesInvalidated`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has no second factor
    ///   and no pending enrollment, is not suspended, and still has the [`Generation`] of an account without a record.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn operator_invalidate_codes(
        &self,
        user: &str,
        operator: &OperatorId,
    ) -> Result<Invalidation, GuardError> {
        self.transact_by(Some(operator), Flow::OperatorInvalidateCodes, user, |factor, context| {
            factor.operator_invalidate_codes(context, operator)
        })
        .await
    }

    /// Like [`operator_invalidate_codes`](Self::operator_invalidate_codes), but refuses TOTP codes only up to the end
    /// of the current window. Users whose clocks are right can log in again within two minutes.
    ///
    /// This method leaves three gaps:
    ///
    /// * If an authenticator was [resynchronized](Self::resync) after the backup because its clock is ahead, its used
    ///   codes are accepted again when the server's clock reaches their time.
    /// * HOTP codes that were used after the backup are accepted again.
    /// * Recovery codes that were used after the backup are accepted again.
    ///
    /// Everything else is the same, including the events.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NotEnrolled`](crate::guard::GuardErrorKind::NotEnrolled) if the user has no second factor
    ///   and no pending enrollment, is not suspended, and still has the [`Generation`] of an account without a record.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn operator_invalidate_recent_codes(
        &self,
        user: &str,
        operator: &OperatorId,
    ) -> Result<Invalidation, GuardError> {
        self.transact_by(Some(operator), Flow::OperatorInvalidateCodes, user, |factor, context| {
            factor.operator_invalidate_recent_codes(context, operator)
        })
        .await
    }

    /// Reseals all of the user's secrets under the primary key. Returns whether any secret was sealed under an old key.
    ///
    /// Call this for all accounts before you remove an old key from the keyring. [`sweep`](crate::Guard::sweep) has an
    /// example. You can also call it in the background after a login. [`Status::keys`] lists the keys that a user still
    /// needs. An enrollment under an old key that can no longer be confirmed is removed instead of being resealed.
    ///
    /// Event: [`EventKind::Resealed`], if any secret was sealed under an old key.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if a secret cannot be opened.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn reseal(&self, user: &str) -> Result<bool, GuardError> {
        self.transact(Flow::Reseal, user, |factor, context| factor.reseal(context, &self.randomness)).await
    }
}
