//! Login: what is required after the password, code verification, devices, and the session afterward.

use alloc::vec::Vec;
use core::time::Duration;

use crate::guard::Guard;
use crate::guard::answer::event::Flow;
use crate::guard::answer::login::{Answer, Expectation, Login};
use crate::guard::answer::transition::Transition;
use crate::guard::answer::verdict::{Accepted, Resynchronization, Verdict};
use crate::guard::context::Context;
use crate::guard::error::GuardError;
use crate::guard::generation::Generation;
use crate::guard::id::DeviceId;
use crate::guard::record::SecondFactor;
use crate::guard::token::device::DeviceToken;
use crate::guard::token::login::Challenge;
use crate::store::Store;

// The links in the documentation need these names.
#[cfg(doc)]
use crate::guard::{EventKind, SignIn, Status};

impl<S: Store> Guard<S> {
    /// Begins a login after you have checked the password or another first factor, and returns whether a code is
    /// required.
    ///
    /// `expectation` is what your application's own record of the user says about a second factor. `device` is the
    /// token from the cookie of a trusted or known device, if the browser has one. A token that is not valid for this
    /// user is ignored.
    ///
    /// * [`Login::Challenge`]: a code is required. Keep [`Challenge::token`] in a cookie, show a form for the code, and
    ///   pass what the user types to [`answer`](Self::answer).
    /// * [`Login::Complete`]: no code is required, because the device is trusted, or because the user has no second
    ///   factor and needs none now.
    /// * [`Login::MustEnroll`]: a second factor is required, and the user has none. Continue with
    ///   [`enroll_with_ticket`](Self::enroll_with_ticket).
    ///
    /// This method loads the record and changes nothing.
    ///
    /// ```
    /// use keyfob::Guard;
    /// use keyfob::guard::{Answer, Challenge, DeviceToken, EnrollmentTicket, Expectation};
    /// use keyfob::guard::{GuardError, Login, Refusal, SignIn};
    /// use keyfob::store::Store;
    ///
    /// /// The next page, and the cookie that goes with it.
    /// enum Next {
    ///     Home(SignIn), // only this can start a session
    ///     AskForCode { cookie: String },
    ///     Enroll { cookie: String },
    ///     AskAgain(Refusal),
    /// }
    ///
    /// /// The password was right.
    /// async fn password_checked(
    ///     guard: &Guard<impl Store>,
    ///     user: &str,
    ///     has_second_factor: bool, // from your row of the user
    ///     device_cookie: Option<&str>,
    /// ) -> Result<Next, GuardError> {
    ///     let expectation = match has_second_factor {
    ///         true => Expectation::Enrolled,
    ///         false => Expectation::RequiredFrom(1_900_000_000),
    ///     };
    ///     let device = device_cookie.and_then(|cookie| DeviceToken::from_token(cookie).ok());
    ///     Ok(match guard.begin_login(user, expectation, device.as_ref()).await? {
    ///         Login::Challenge(challenge) => Next::AskForCode { cookie: challenge.token() },
    ///         Login::Complete(sign_in) => Next::Home(sign_in),
    ///         Login::MustEnroll(ticket) => Next::Enroll { cookie: ticket.token() },
    ///     })
    /// }
    ///
    /// /// The user sent the form with the code.
    /// async fn code_typed(
    ///     guard: &Guard<impl Store>,
    ///     challenge_cookie: &str,
    ///     typed: &str,
    /// ) -> Result<Next, GuardError> {
    ///     let challenge = Challenge::from_token(challenge_cookie)?;
    ///     Ok(match guard.answer(&challenge, typed).await? {
    ///         Answer::Accepted(sign_in) => Next::Home(sign_in),
    ///         Answer::Refused(refusal) => Next::AskAgain(refusal),
    ///     })
    /// }
    /// # use keyfob::{Keyring, guard::{Confirmation, GuardErrorKind, Setup}, store::MemoryStore};
    /// # futures_lite::future::block_on(async {
    /// # let now = 1_900_000_000;
    /// # let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
    /// # let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc").with_clock(move || Some(now));
    /// # let Next::Enroll { cookie } = password_checked(&guard, "user-17", false, None).await? else { panic!() };
    /// # let ticket = EnrollmentTicket::from_token(&cookie)?;
    /// # let app = guard.enroll_with_ticket(&ticket, &Setup::totp("al")).await?.uri().to_totp().unwrap();
    /// # let confirmation = guard.confirm_with_ticket(&ticket, &app.code_at(now).to_string()).await?;
    /// # let Confirmation::Confirmed(confirmed) = confirmation else { panic!() };
    /// # assert_eq!(confirmed.into_sign_in().unwrap().amr(), ["otp", "mfa"]);
    /// # let Next::AskForCode { cookie } = password_checked(&guard, "user-17", true, Some("?")).await? else { panic!()
    /// };
    /// # assert!(matches!(code_typed(&guard, &cookie, "000000").await?, Next::AskAgain(Refusal::WrongCode)));
    /// # let typed = app.code_at(now + 30).to_string();
    /// # let Next::Home(sign_in) = code_typed(&guard, &cookie, &typed).await? else { panic!() };
    /// # assert_eq!(sign_in.failures_before(), 1);
    /// # let again = code_typed(&guard, &cookie, &typed).await.err().unwrap();
    /// # assert_eq!(again.kind(), GuardErrorKind::LoginRejected);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// Event: [`EventKind::SignedIn`] if the login is complete.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::RecordMissing`](crate::guard::GuardErrorKind::RecordMissing) if a second factor is expected
    ///   and there is no trace of one. The record may have been lost, or the store may be out of date.
    /// * [`GuardErrorKind::Removed`](crate::guard::GuardErrorKind::Removed) if a second factor is expected, but the
    ///   user or an operator has disabled it.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn begin_login(
        &self,
        user: &str,
        expectation: Expectation,
        device: Option<&DeviceToken>,
    ) -> Result<Login, GuardError> {
        self.transact(Flow::BeginLogin, user, |factor, context| {
            factor.begin_login(context, &self.randomness, expectation, device)
        })
        .await
    }

    /// Checks the code that a user typed in a login. If it is accepted, the login is complete. The example of
    /// [`begin_login`](Self::begin_login) calls this method.
    ///
    /// The code is checked as in [`verify`](Self::verify), whose documentation describes the guess budget, recovery
    /// codes and the events. The challenge is also checked: it is valid for one user, for at most five minutes, and for
    /// one successful login. It can be answered again after a refusal. It becomes void when the [`Generation`] changes,
    /// for example after a password change, a change to the factors or the use of a recovery code. If two requests
    /// answer the same challenge at the same time, even on different servers, at most one of them completes the login.
    ///
    /// If the login began on a [known device](Self::remember_device) that has not been forgotten since, a wrong code is
    /// charged to the reserve for known devices, and only the wait of that reserve applies. A success ends both this
    /// wait and the wait for other logins.
    ///
    /// An accepted recovery code voids earlier logins: sessions, other pending logins, proofs and devices.
    ///
    /// The record remembers sixteen completed logins, each until a minute after its challenge has expired. In the
    /// unlikely case that all sixteen slots are taken, further codes are refused with
    /// [`Refusal::Throttled`](crate::guard::Refusal::Throttled) without being compared. A recovery code still works.
    ///
    /// Anybody can send a made-up challenge without knowing a password. Such a challenge is refused before the record
    /// is loaded, and no event is sent.
    ///
    /// Events: those of [`verify`](Self::verify), and [`EventKind::SignedIn`] if the login is complete.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::LoginRejected`](crate::guard::GuardErrorKind::LoginRejected) if the challenge is not
    ///   genuine, has expired, was completed or is void, or if its key is no longer in the keyring. Begin the login
    ///   again, with the password.
    /// * The errors of [`verify`](Self::verify).
    pub async fn answer(&self, challenge: &Challenge, typed: &str) -> Result<Answer, GuardError> {
        self.check_origin(&challenge.0)?;
        self.transact(Flow::Answer, challenge.user(), |factor, context| factor.answer(context, challenge, typed)).await
    }

    /// Returns whether a session is still current. Call this for each request in a session, for example in middleware,
    /// with the [`Generation`] that is stored with the session.
    ///
    /// The answer is `false` after a change to the factors, after a password change
    /// ([`forget_devices`](Self::forget_devices)), after the use of a recovery code, and while the account is
    /// suspended. A session from before a suspension does not become current again. When the user makes one of these
    /// changes, the method for it returns the new generation. Store it with the session in which the change was made,
    /// so that this session can continue.
    ///
    /// # Errors
    ///
    /// The errors common to all methods; see [`Guard`](Guard#errors). These errors are not sent as events.
    pub async fn is_current(&self, user: &str, generation: Generation) -> Result<bool, GuardError> {
        self.transact(None, user, |factor, _| Ok(Transition::of(factor.is_current(generation), Vec::new()))).await
    }

    /// Checks what the user typed at a login: a code from any active authenticator, or a recovery code.
    ///
    /// Pass the string as it was typed. The guard distinguishes codes from recovery codes by their format. Let the user
    /// in only for [`Verdict::Accepted`]. [The guide](crate::guide::login) says what to tell the user after a refusal.
    /// [The module](crate::guard) has an example.
    ///
    /// **Authenticator codes.** By default, a TOTP code is accepted if it belongs to the current step, the one before
    /// or the one after ([`Policy::with_window`](crate::Policy::with_window)). An HOTP code is accepted if it belongs
    /// to the next counter or one of the five after that ([`Policy::with_look_ahead`](crate::Policy::with_look_ahead)).
    /// Once a code is accepted, it and all earlier codes of its authenticator count as used. If two authenticators show
    /// the same code at the same time, the code counts as used for both, and the answer names the first. The guard
    /// learns drift: after three accepted codes in a row that were off in the same direction, the window moves by one
    /// step in that direction. It moves by at most ten steps in total, or by at most forty further steps after the
    /// authenticator was [resynchronized](Self::resync).
    ///
    /// **The guess budget.** Every authenticator code that is compared and not accepted is charged to the budget,
    /// whether it is wrong or was used before. The only exception is the first repetition of the last accepted code,
    /// for example after a double click. An accepted code resets the count of consecutive failures, but the long-term
    /// count decreases only with time. While the account has to wait
    /// ([`Refusal::Throttled`](crate::guard::Refusal::Throttled)) or the budget is exhausted
    /// ([`Refusal::Exhausted`](crate::guard::Refusal::Exhausted)), no authenticator code is compared or charged. Input
    /// that does not have the format of a code ([`Refusal::Malformed`](crate::guard::Refusal::Malformed)) is a typing
    /// mistake, so it is not charged either. By default, the fifth failure in a row starts a 30-second wait, and the
    /// wait doubles with each further failure, up to an hour. The budget is exhausted by 100 failures in a row, or by
    /// 100 failures in total, four of which expire each day ([`Policy`](crate::Policy)). While the account has a [known
    /// device](Self::remember_device), a quarter of the budget is reserved for logins from known devices, and this
    /// method cannot use that reserve.
    ///
    /// **Recovery codes.** Each recovery code works once. A 115-bit code cannot be guessed, so recovery codes are never
    /// charged, and they work even when the budget is exhausted. An accepted recovery code ends the account's wait, and
    /// refills the budget if it is exhausted, except under a [strict](crate::Policy::strict) policy. It also voids
    /// earlier logins: sessions, pending logins, proofs and devices. Afterward, show a new recovery code
    /// ([`replace_recovery_code`](Self::replace_recovery_code)), and then have the user enroll a new authenticator.
    ///
    /// Events:
    ///
    /// * [`EventKind::Accepted`]. An accepted recovery code also sends [`EventKind::Recovered`], and
    ///   [`EventKind::Unlocked`] if it refilled an exhausted budget.
    /// * [`EventKind::Refused`]. It is followed by [`EventKind::Exhausted`] if the failure used up the budget. While
    ///   the budget is exhausted, the next refusal and then one refusal a day send `Exhausted` again.
    /// * [`EventKind::ClockBehind`] if a code was compared and not accepted, for each authenticator that can currently
    ///   show only used codes.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::KeyMissing`](crate::guard::GuardErrorKind::KeyMissing) or
    ///   [`GuardErrorKind::SealBroken`](crate::guard::GuardErrorKind::SealBroken) if the secret of any active
    ///   authenticator cannot be opened. For a recovery code, only the recovery codes' key has to be opened.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn verify(&self, user: &str, typed: &str) -> Result<Verdict, GuardError> {
        self.verify_on_device(user, typed, None).await
    }

    /// Like [`verify`](Self::verify), but for a code that was typed on a device that may be known. Use this before a
    /// logged-in user takes an important action, and pass the token from the device's cookie.
    ///
    /// If the token belongs to a [known device](Self::remember_device) of this user, a wrong code is charged to the
    /// reserve for known devices, so other people's wrong codes do not lock the owner out. Any other token is ignored.
    ///
    /// # Errors
    ///
    /// The errors of [`verify`](Self::verify).
    pub async fn verify_on_device(
        &self,
        user: &str,
        typed: &str,
        device: Option<&DeviceToken>,
    ) -> Result<Verdict, GuardError> {
        self.transact(Flow::Verify, user, |factor, context| factor.verify_on_device(context, typed, device)).await
    }

    /// Uses two consecutive codes to find an authenticator that is out of sync, and stores its counter or its drift
    /// (RFC 4226, section 7.4; RFC 6238, section 6).
    ///
    /// By default, the search covers 120 steps on either side of the server's time, or the next 120 counters.
    /// [`Policy::with_resync_within`](crate::Policy::with_resync_within) changes this and has an example. Both codes
    /// must be unused, and they count as used afterwards. A success does not log the user in: ask for another code and
    /// [`verify`](Self::verify) it.
    ///
    /// A failed attempt is charged to the guess budget as in [`verify`](Self::verify), and the same wait applies.
    /// Recovery codes are not accepted. Input that does not have the format of a code is not charged.
    ///
    /// Events: [`EventKind::Resynchronized`]; or [`EventKind::Refused`], followed by [`EventKind::Exhausted`] in the
    /// same cases as for [`verify`](Self::verify).
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
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn resync(&self, user: &str, first: &str, second: &str) -> Result<Resynchronization, GuardError> {
        self.transact(Flow::Resync, user, |factor, context| factor.resync(context, first, second)).await
    }

    /// Trusts the device on which the user has just typed a code. Until `lifetime` has passed, logins on this device
    /// need no code.
    ///
    /// Keep the returned token in a cookie, and pass it to [`begin_login`](Self::begin_login). The policy has to allow
    /// trusted devices: see [`Policy::with_trusted_devices`](crate::Policy::with_trusted_devices), which describes the
    /// risk. `name` is the name shown in the device list, such as "Firefox on Linux".
    ///
    /// A login on the device does not extend the trust. Trust in all devices ends early when the factors change, when a
    /// recovery code is used, when the password changes ([`forget_devices`](Self::forget_devices)), and when an
    /// operator suspends the account, removes the second factor or invalidates its codes.
    /// [`forget_device`](Self::forget_device) ends the trust in one device.
    ///
    /// An account has at most sixteen devices. If a new device would exceed this limit, the known device that expires
    /// first is forgotten. If all are trusted, the trusted device that expires first is forgotten.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyfob::guard::{GuardError, SignIn};
    /// use keyfob::store::Store;
    /// use keyfob::{Guard, Keyring, Policy, store::MemoryStore};
    ///
    /// const MONTH: Duration = Duration::from_secs(30 * 86_400);
    ///
    /// /// The user has ticked "do not ask on this device for 30 days". Returns the cookie.
    /// async fn trust(
    ///     guard: &Guard<impl Store>,
    ///     sign_in: &SignIn,
    /// ) -> Result<Option<String>, GuardError> {
    ///     let Some(accepted) = sign_in.accepted() else {
    ///         return Ok(None); // no code was typed in this login
    ///     };
    ///     let device = guard.trust_device(accepted, "Firefox on Linux", MONTH).await?;
    ///     Ok(Some(device.token().to_string()))
    /// }
    ///
    /// let keyring = Keyring::parse(&Keyring::generate("2026")?)?;
    /// let guard = Guard::new(MemoryStore::new(), keyring, "Example Inc")
    ///     .with_policy(Policy::default().with_trusted_devices(MONTH)?);
    /// # use keyfob::guard::{Answer, Confirmation, DeviceToken, Expectation, Login, Setup, SignInMethod};
    /// # futures_lite::future::block_on(async {
    /// # let now = 1_900_000_000;
    /// # let guard = guard.with_clock(move || Some(now));
    /// # let app = guard.enroll("user-17", &Setup::totp("al")).await?.uri().to_totp().unwrap();
    /// # let Confirmation::Confirmed(_) = guard.confirm("user-17", &app.code_at(now).to_string()).await? else {
    /// panic!() };
    /// # let Login::Challenge(challenge) = guard.begin_login("user-17", Expectation::Enrolled, None).await? else {
    /// panic!() };
    /// # let answer = guard.answer(&challenge, &app.code_at(now + 30).to_string()).await?;
    /// # let Answer::Accepted(sign_in) = answer else { panic!() };
    /// # let token = DeviceToken::from_token(&trust(&guard, &sign_in).await?.unwrap())?;
    /// # let login = guard.begin_login("user-17", Expectation::Enrolled, Some(&token)).await?;
    /// # let Login::Complete(sign_in) = login else { panic!() };
    /// # assert_eq!(sign_in.method(), SignInMethod::TrustedDevice);
    /// # assert!(trust(&guard, &sign_in).await?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Events: [`EventKind::DeviceAdded`], and [`EventKind::DeviceForgotten`] if a device was forgotten to make room.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::TrustRefused`](crate::guard::GuardErrorKind::TrustRefused) if the policy does not allow
    ///   trusted devices, if it does not allow them for this long, or if `lifetime` is less than a second.
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if more time than a proof's
    ///   lifetime has passed since the code was accepted, or if the generation has changed since then.
    /// * [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) if the name is longer than 256 bytes or
    ///   contains control characters.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn trust_device(
        &self,
        accepted: &Accepted,
        name: &str,
        lifetime: Duration,
    ) -> Result<DeviceToken, GuardError> {
        self.transact(Flow::TrustDevice, accepted.user(), |factor, context| {
            factor.trust_device(context, &self.randomness, accepted, name, lifetime)
        })
        .await
    }

    /// Remembers the device on which the user has just typed a code. Logins on this device still need a code, but wrong
    /// codes from elsewhere no longer block them.
    ///
    /// An attacker who has the password can keep the account locked out by sending wrong codes all day. While an
    /// account has a known device, a quarter of the guess budget is reserved for logins from its known devices, and
    /// these logins have their own wait. So the owner can still log in on a known device. Under the default policy, the
    /// reserve allows one wrong code a day on average. The reserve is part of the budget: an attacker gets no more
    /// guesses than without it, even with the cookie of a known device.
    ///
    /// Keep the returned token in a cookie for 180 days, and pass it to [`begin_login`](Self::begin_login). Call this
    /// method after each login with a code whose [`SignIn::device`] is `None`. Each login on the device with an
    /// authenticator code restarts the 180 days, so set the cookie again each time. A [trusted](Self::trust_device)
    /// device also counts as known. A known device is listed and forgotten in the same way as a trusted one. If the
    /// account already has sixteen trusted devices, a known device is refused.
    ///
    /// Events: [`EventKind::DeviceAdded`], and [`EventKind::DeviceForgotten`] if a device was forgotten to make room.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`](crate::guard::GuardErrorKind::ProofRejected) if more time than a proof's
    ///   lifetime has passed since the code was accepted, or if the generation has changed since then.
    /// * [`GuardErrorKind::Invalid`](crate::guard::GuardErrorKind::Invalid) if the name is longer than 256 bytes or
    ///   contains control characters.
    /// * [`GuardErrorKind::TooManyDevices`](crate::guard::GuardErrorKind::TooManyDevices) if the account has sixteen
    ///   trusted devices.
    /// * [`GuardErrorKind::Suspended`](crate::guard::GuardErrorKind::Suspended) if the account is suspended.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn remember_device(&self, accepted: &Accepted, name: &str) -> Result<DeviceToken, GuardError> {
        self.transact(Flow::RememberDevice, accepted.user(), |factor, context| {
            factor.remember_device(context, &self.randomness, accepted, name)
        })
        .await
    }

    /// Forgets one trusted or known device. Call this only for a user who is logged in. It needs no proof, because it
    /// only removes rights. [`Status::devices`] lists the ids.
    ///
    /// Event: [`EventKind::DeviceForgotten`].
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::UnknownDevice`](crate::guard::GuardErrorKind::UnknownDevice) if the user has no device with
    ///   this id.
    /// * The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn forget_device(&self, user: &str, device: &DeviceId) -> Result<(), GuardError> {
        self.transact(Flow::ForgetDevice, user, |factor, context| factor.forget_device(context, device)).await
    }

    /// Voids all of the user's earlier logins: devices, sessions, pending logins, tickets and proofs. A pending
    /// enrollment is canceled. **Call this whenever the password changes**, including after a reset.
    ///
    /// An attacker who knew the old password may have a session, or may have begun a login or an enrollment. The
    /// factors and the recovery codes stay as they are. Store the returned generation with the session that should stay
    /// current. This also works for a user without a second factor.
    ///
    /// Events: [`EventKind::LoginsVoided`], and [`EventKind::EnrollmentCanceled`] if an enrollment was pending.
    ///
    /// # Errors
    ///
    /// The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn forget_devices(&self, user: &str) -> Result<Generation, GuardError> {
        let decide = |factor: &SecondFactor, context: &Context<'_>| Ok(factor.forget_devices(context));
        self.transact(Flow::ForgetDevices, user, decide).await
    }

    /// Like [`forget_devices`](Self::forget_devices), but only if a session with this generation is still current. Use
    /// this when the session in which the user asks for it stays logged in.
    ///
    /// The check and the change are one step. If you called [`is_current`](Self::is_current) first, a reset of the
    /// password could come in between. A thief's session, which the reset has just ended, would then get the new
    /// generation and continue.
    ///
    /// Returns `None`, and changes nothing, if the session is not current. End it.
    ///
    /// Events: those of [`forget_devices`](Self::forget_devices).
    ///
    /// # Errors
    ///
    /// The errors common to all methods; see [`Guard`](Guard#errors).
    pub async fn forget_devices_in_session(
        &self,
        user: &str,
        session: Generation,
    ) -> Result<Option<Generation>, GuardError> {
        self.transact(Flow::ForgetDevices, user, |factor, context| {
            Ok(match factor.is_current(session) {
                true => factor.forget_devices(context).map(Some),
                false => Transition::of(None, Vec::new()),
            })
        })
        .await
    }
}
