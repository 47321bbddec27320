//! Starts and confirms the enrollment of an authenticator.

use crate::guard::Guard;
use crate::guard::answer::enrollment::{Confirmation, Enrollment};
use crate::guard::answer::event::Flow;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::record::SecondFactor;
use crate::guard::setup::Setup;
use crate::guard::token::enrollment::EnrollmentHandle;
use crate::guard::token::login::EnrollmentTicket;
use crate::guard::token::proof::Proof;
use crate::store::Store;

// The documentation links need these names.
#[cfg(doc)]
use crate::guard::{EventKind, Login, Purpose, Status};

impl<S: Store> Guard<S> {
    /// Starts the enrollment of a user's first authenticator.
    ///
    /// Show the [`Enrollment`] to the user, who scans the QR code or types in the secret. Then pass the first code to
    /// [`confirm`](Self::confirm). The second factor is not active until that succeeds. By default, an enrollment
    /// expires after 15 minutes ([`Policy::with_enrollment_lifetime`](crate::Policy::with_enrollment_lifetime)). A new
    /// enrollment replaces one that is still pending. To show the pending one again, call
    /// [`reopen_enrollment`](Self::reopen_enrollment).
    ///
    /// Call this only for a user who is logged in. It requires no proof, because there is no second factor yet. If the
    /// user already has one, use [`enroll_another`](Self::enroll_another).
    ///
    /// Events: [`EventKind::EnrollmentStarted`], and [`EventKind::EnrollmentCanceled`] for a replaced enrollment.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRequired`] if the user has an active authenticator.
    /// * [`GuardErrorKind::UnknownAuthenticator`] if the setup [replaces](Setup::replacing) an authenticator, because
    ///   the user has none yet.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Invalid`] if a URI cannot contain the issuer or the label, or if the policy is
    ///   [strict](crate::Policy::strict) and refuses the imported secret or the period.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn enroll(&self, user: &str, setup: &Setup) -> Result<Enrollment, GuardError> {
        self.transact(Flow::Enroll, user, |factor, context| {
            factor.enroll(context, &self.randomness, &self.issuer, setup, None)
        })
        .await
    }

    /// Starts the enrollment of an additional authenticator, or of one that [replaces](Setup::replacing) an active
    /// authenticator. Takes a proof for [`Purpose::ADD`]. A proof from [`redeem`](Self::redeem) is also accepted, but
    /// only for an additional authenticator.
    ///
    /// The active authenticators stay valid. An authenticator to be replaced stays valid until the new one is
    /// confirmed. Everything else, including the events, works as in [`enroll`](Self::enroll). If the user has no
    /// active authenticator, the proof is not checked.
    ///
    /// Confirming the enrollment makes the proof void. Until then, the proof can start another enrollment.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`] if the user has an active authenticator and the proof is not valid for this
    ///   enrollment, for one of the reasons that [`check`](Self::check) lists.
    /// * [`GuardErrorKind::TooManyAuthenticators`] if the user has eight active authenticators, and the setup replaces
    ///   none of them.
    /// * [`GuardErrorKind::UnknownAuthenticator`] if the authenticator to replace is not an active authenticator of
    ///   this user.
    /// * [`GuardErrorKind::SecretInUse`] if an active authenticator already uses the imported secret.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Invalid`] if a URI cannot contain the issuer or the label, or if the policy is
    ///   [strict](crate::Policy::strict) and refuses the imported secret or the period.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn enroll_another(&self, user: &str, setup: &Setup, proof: &Proof) -> Result<Enrollment, GuardError> {
        self.transact(Flow::Enroll, user, |factor, context| {
            factor.enroll(context, &self.randomness, &self.issuer, setup, Some(proof))
        })
        .await
    }

    /// Confirms the pending enrollment with a code from the new authenticator, which becomes active.
    ///
    /// The code then counts as used, so the user cannot also log in with it. If the account has no recovery codes, as
    /// is the case for its first authenticator, ten are generated. Show
    /// [`Confirmed::recovery_codes`](crate::guard::Confirmed::recovery_codes) now, because they cannot be read again.
    /// If the authenticator was enrolled to [replace](Setup::replacing) another one, the same swap removes the old one.
    ///
    /// The [`Generation`](crate::guard::Generation) changes, and all devices are forgotten. Store
    /// [`Confirmed::generation`](crate::guard::Confirmed::generation) with the user's session, so that the session
    /// stays current.
    ///
    /// A wrong code has these consequences:
    ///
    /// * The 20th wrong code ends the enrollment. Input that does not have the form of a code
    ///   ([`Refusal::Malformed`](crate::guard::Refusal::Malformed)) does not count.
    /// * If [`enroll`](Self::enroll) generated the secret, the user has just seen it and does not need to guess, so the
    ///   guess budget is not charged. If the mismatch has a recognizable cause, such as a wrong clock, the answer
    ///   contains a [`Diagnosis`](crate::guard::Diagnosis). If the diagnosis reveals that the code belongs to a later
    ///   time, the code counts as used.
    /// * If the secret was [imported](Setup::import), the user may never have seen it, so the code may be a guess. The
    ///   attempt is charged to the guess budget like a code at a login, the same waits apply, and there is no
    ///   diagnosis.
    ///
    /// Confirming an additional authenticator whose secret keyfob generated ends the account's wait and refills an
    /// exhausted budget. An attacker who only guesses cannot confirm such an authenticator, because its enrollment
    /// required a proof. This is the re-binding of NIST SP 800-63B-4, section 3.2.2. There are two exceptions: an
    /// enrollment that began with a [voucher](Self::operator_vouch) never changes the wait or the budget. Under a
    /// [strict](crate::Policy::strict) policy, a new authenticator changes them only if the budget is exhausted, and it
    /// then replaces all others.
    ///
    /// A second swap stores the recovery codes. If it fails, the authenticator is active but the user has no recovery
    /// codes: `recovery_codes` returns `None`, [`Status::recovery_codes_left`] is 0, and an [`EventKind::Failed`] event
    /// reports the error. In that case, ask the user to generate recovery codes with
    /// [`regenerate_recovery_codes`](Self::regenerate_recovery_codes).
    ///
    /// Events after a correct code: [`EventKind::Confirmed`], [`EventKind::Revoked`] for each replaced authenticator,
    /// [`EventKind::Unlocked`] if an exhausted budget was refilled, and [`EventKind::RecoveryCodesIssued`] if recovery
    /// codes were generated. Events after a refusal: [`EventKind::EnrollmentRefused`] and, for an imported secret,
    /// [`EventKind::Exhausted`] as for [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NoEnrollment`] if no enrollment is pending, for example because it has expired or received
    ///   20 wrong codes, or if it was started [with a ticket](Self::enroll_with_ticket).
    /// * [`GuardErrorKind::KeyMissing`] or [`GuardErrorKind::SealBroken`] if the secret of the new authenticator cannot
    ///   be opened.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn confirm(&self, user: &str, typed: &str) -> Result<Confirmation, GuardError> {
        let confirmation = self.transact(Flow::Confirm, user, |factor, context| factor.confirm(context, typed)).await?;
        Ok(self.with_recovery_codes(user, confirmation).await)
    }

    /// Generates the first recovery codes if the confirmation succeeded and the user has none.
    pub(crate) async fn with_recovery_codes(&self, user: &str, mut confirmation: Confirmation) -> Confirmation {
        if let Confirmation::Confirmed(confirmed) = &mut confirmation {
            let first = |factor: &SecondFactor, context: &Context<'_>| {
                factor.first_recovery_codes(context, &self.randomness, confirmed)
            };
            // An error here is reported only as an event. The authenticator is already active, and the answer must say
            // so.
            let codes = self.transact(Flow::RecoveryCodes, user, first).await;
            confirmed.recovery_codes = codes.ok().flatten();
            confirmed.count_recovery_codes();
        }
        confirmation
    }

    /// Shows a pending enrollment again, for example after the user has reloaded the page.
    ///
    /// `handle` comes from [`Enrollment::handle`]. Keep it in a cookie of its own, and not in the session. `label` is
    /// the label that the app shows, which keyfob does not store.
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::{Enrollment, EnrollmentHandle, GuardError, Setup};
    /// use keyfob::store::Store;
    ///
    /// /// Returns what to show, and the cookie to set.
    /// async fn page(
    ///     guard: &Guard<impl Store>,
    ///     user: &str,
    ///     cookie: Option<&str>,
    /// ) -> Result<(Enrollment, String), GuardError> {
    ///     let label = "alice@example.com";
    ///     if let Some(cookie) = cookie
    ///         && let Ok(handle) = EnrollmentHandle::from_token(cookie)
    ///         && handle.user() == user
    ///         && let Ok(enrollment) = guard.reopen_enrollment(&handle, label).await
    ///     {
    ///         return Ok((enrollment, cookie.into()));
    ///     }
    ///     let enrollment = guard.enroll(user, &Setup::totp(label)).await?;
    ///     let cookie = enrollment.handle().token();
    ///     Ok((enrollment, cookie))
    /// }
    /// # use keyfob::{Keyring, store::MemoryStore};
    /// # futures_lite::future::block_on(async {
    /// # let guard = Guard::new(MemoryStore::new(), Keyring::parse(&Keyring::generate("2026")?)?, "Example Inc");
    /// # let (first, cookie) = page(&guard, "user-17", None).await?;
    /// # let (again, _) = page(&guard, "user-17", Some(&cookie)).await?;
    /// # assert_eq!(*first.uri().to_uri(), *again.uri().to_uri());
    /// # guard.cancel_enrollment("user-17").await?;
    /// # let (other, _) = page(&guard, "user-17", Some(&cookie)).await?;
    /// # assert_ne!(*first.uri().to_uri(), *other.uri().to_uri());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NoEnrollment`] if the handle is not genuine, or if its enrollment was confirmed or canceled
    ///   or has expired.
    /// * [`GuardErrorKind::KeyMissing`] or [`GuardErrorKind::SealBroken`] if the secret cannot be opened.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    /// * [`GuardErrorKind::Invalid`] if a URI cannot contain the label.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn reopen_enrollment(&self, handle: &EnrollmentHandle, label: &str) -> Result<Enrollment, GuardError> {
        // Anybody can make up a handle for any user. It is refused before the record is loaded, without an event.
        if !handle.is_genuine(&self.keyring()) {
            return Err(GuardErrorKind::NoEnrollment.into());
        }
        self.transact(Flow::ReopenEnrollment, handle.user(), |factor, context| {
            factor.reopen_enrollment(context, &self.issuer, label, handle)
        })
        .await
    }

    /// Cancels the pending enrollment. Call this only for a user who is logged in. It needs no proof, because it only
    /// withdraws a secret that is not in use yet.
    ///
    /// Event: [`EventKind::EnrollmentCanceled`].
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::NoEnrollment`] if no enrollment is pending.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn cancel_enrollment(&self, user: &str) -> Result<(), GuardError> {
        self.transact(Flow::CancelEnrollment, user, |factor, context| factor.cancel_enrollment(context)).await
    }

    /// Starts the enrollment of a required first authenticator during a login.
    ///
    /// Everything works as in [`enroll`](Self::enroll), but the user is not logged in yet: the ticket from
    /// [`Login::MustEnroll`] takes the place of the session. The ticket allows nothing else. Afterward, pass the first
    /// code to [`confirm_with_ticket`](Self::confirm_with_ticket).
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::{Confirmation, EnrollmentTicket, GuardError, Setup, SignIn};
    /// use keyfob::store::Store;
    ///
    /// /// Returns the URI for the QR code.
    /// async fn show(guard: &Guard<impl Store>, cookie: &str) -> Result<String, GuardError> {
    ///     let ticket = EnrollmentTicket::from_token(cookie)?;
    ///     let setup = Setup::totp("alice@example.com"); // the label that the app shows
    ///     let enrollment = guard.enroll_with_ticket(&ticket, &setup).await?;
    ///     Ok(enrollment.uri().to_uri().to_string())
    /// }
    ///
    /// /// Returns the sign-in that starts the session, or `None` for a wrong code.
    /// async fn confirm(
    ///     guard: &Guard<impl Store>,
    ///     cookie: &str,
    ///     typed: &str,
    /// ) -> Result<Option<SignIn>, GuardError> {
    ///     let ticket = EnrollmentTicket::from_token(cookie)?;
    ///     match guard.confirm_with_ticket(&ticket, typed).await? {
    ///         Confirmation::Refused { .. } => Ok(None), // ask for the next code
    ///         Confirmation::Confirmed(confirmed) => {
    ///             for code in confirmed.recovery_codes().iter().flat_map(|codes| codes.iter()) {
    ///                 println!("{code}"); // show them now
    ///             }
    ///             Ok(confirmed.into_sign_in())
    ///         }
    ///     }
    /// }
    /// # use keyfob::{KeyUri, Keyring, guard::{Expectation, Login}, store::MemoryStore};
    /// # futures_lite::future::block_on(async {
    /// # let now = 1_900_000_000;
    /// # let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
    /// # let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc").with_clock(move || Some(now));
    /// # let login = guard.begin_login("user-17", Expectation::RequiredFrom(now), None).await?;
    /// # let Login::MustEnroll(ticket) = login else { panic!() };
    /// # let app = KeyUri::parse(&show(&guard, &ticket.token()).await?)?.to_totp().unwrap();
    /// # assert!(confirm(&guard, &ticket.token(), "000000").await?.is_none());
    /// # let sign_in = confirm(&guard, &ticket.token(), &app.code_at(now).to_string()).await?.unwrap();
    /// # assert!(guard.is_current("user-17", sign_in.generation()).await?);
    /// # assert!(show(&guard, &ticket.token()).await.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::LoginRejected`] if the ticket is not genuine, has expired or is void, for example because
    ///   the user already has a second factor, or if the ticket's key is no longer in the keyring.
    /// * The errors of [`enroll`](Self::enroll).
    pub async fn enroll_with_ticket(&self, ticket: &EnrollmentTicket, setup: &Setup) -> Result<Enrollment, GuardError> {
        self.check_origin(&ticket.0)?;
        self.transact(Flow::Enroll, ticket.user(), |factor, context| {
            factor.enroll_with_ticket(context, &self.randomness, &self.issuer, setup, ticket)
        })
        .await
    }

    /// Confirms the enrollment that was started with this ticket. If the code is correct, the login is complete. The
    /// example at [`enroll_with_ticket`](Self::enroll_with_ticket) calls this method.
    ///
    /// Everything works as in [`confirm`](Self::confirm), including the recovery codes. In addition,
    /// [`Confirmed::into_sign_in`](crate::guard::Confirmed::into_sign_in) returns the sign-in. This ticket confirms
    /// only an enrollment that was started with it, and such an enrollment can be confirmed only with the ticket.
    ///
    /// Events: those of [`confirm`](Self::confirm), and [`EventKind::SignedIn`] if the login is complete.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::LoginRejected`] if the ticket is not genuine, has expired or is void, for example because
    ///   the user already has a second factor, or if the ticket's key is no longer in the keyring.
    /// * The errors of [`confirm`](Self::confirm). [`GuardErrorKind::NoEnrollment`] is also returned if the pending
    ///   enrollment was started without this ticket.
    pub async fn confirm_with_ticket(
        &self,
        ticket: &EnrollmentTicket,
        typed: &str,
    ) -> Result<Confirmation, GuardError> {
        self.check_origin(&ticket.0)?;
        let user = ticket.user();
        let decide = |factor: &SecondFactor, context: &Context<'_>| factor.confirm_with_ticket(context, ticket, typed);
        let confirmation = self.transact(Flow::Confirm, user, decide).await?;
        Ok(self.with_recovery_codes(user, confirmation).await)
    }
}
