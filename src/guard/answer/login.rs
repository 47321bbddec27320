//! The results of a login's steps: what the user has to do next, and the sign-in that completes the login.

use alloc::boxed::Box;
use alloc::string::String;

use crate::guard::answer::verdict::{Accepted, History, Method, Refusal};
use crate::guard::generation::Generation;
use crate::guard::id::DeviceId;
use crate::guard::token::login::{Challenge, EnrollmentTicket};

/// What the application knows about a user's second factor when a login begins.
///
/// Take this from the application's own record of the user, not from keyfob. [`Enrolled`](Self::Enrolled) then protects
/// the login even if keyfob's record is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expectation {
    /// The user has a second factor. Store this in the application's own record of the user when the first enrollment
    /// is confirmed, and clear it when the user or an operator disables the second factor.
    ///
    /// If keyfob's record is missing, for example because a replica lags or an empty database was restored, the login
    /// fails with an error. With [`Optional`](Self::Optional), the login would be complete without a code.
    Enrolled,
    /// The user may have a second factor. If there is none, the login is complete without a code.
    Optional,
    /// A second factor is required from this time on, in Unix seconds. Before that time, a user without one logs in as
    /// with [`Optional`](Self::Optional), and [`SignIn::method`] returns the deadline. From that time on, the user has
    /// to enroll first.
    ///
    /// Choose the time once per user and store it. It must not depend on when the user last enrolled or logged in.
    RequiredFrom(u64),
}

/// What has to happen next in a login, once the password has been checked.
#[derive(Debug)]
#[must_use]
pub enum Login {
    /// A code is required. Show the form, and pass what the user types to [`Guard::answer`](crate::Guard::answer).
    Challenge(Challenge),
    /// The login is complete, because no code is required. [`SignIn::method`] returns the reason.
    Complete(SignIn),
    /// A second factor is required, and the user has none. Have the user enroll one, with
    /// [`Guard::enroll_with_ticket`](crate::Guard::enroll_with_ticket).
    MustEnroll(EnrollmentTicket),
}

/// The result of checking a code that a user typed during a login.
#[derive(Debug)]
#[must_use]
pub enum Answer {
    /// The code is correct and has not been used before. The login is complete.
    Accepted(SignIn),
    /// The code was refused. The same challenge can be answered again until it expires or becomes void.
    Refused(Refusal),
}

/// A completed login. Only keyfob creates this value, once per login.
///
/// Make the function that starts a session take a `SignIn` by value. Then no other handler, such as one for a password
/// reset or an emailed link, can start a session that bypasses the second factor. The value cannot be cloned or
/// serialized.
///
/// ```
/// use keyfob::guard::{Generation, SignIn};
///
/// /// What the application stores in the session, which has a new id.
/// struct Session {
///     user: String,
///     generation: Generation,
/// }
///
/// fn start_session(sign_in: SignIn) -> Session {
///     let failures = sign_in.failures_before();
///     if failures > 0 {
///         println!("Note: {failures} wrong codes since your last login.");
///     }
///     Session { user: sign_in.user().into(), generation: sign_in.generation() }
/// }
/// ```
///
/// Other code cannot create a `SignIn`, and a `SignIn` cannot be used twice:
///
/// ```compile_fail,E0451
/// fn forge(genuine: keyfob::guard::SignIn) -> keyfob::guard::SignIn {
///     keyfob::guard::SignIn { user: "another user".into(), ..genuine }
/// }
/// ```
///
/// ```compile_fail,E0382
/// fn start_two_sessions(sign_in: keyfob::guard::SignIn) {
///     drop(sign_in);
///     drop(sign_in);
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct SignIn {
    pub(crate) user: String,
    pub(crate) at: u64,
    pub(crate) generation: Generation,
    pub(crate) method: SignInMethod,
    pub(crate) device: Option<DeviceId>,
    pub(crate) history: History,
    pub(crate) accepted: Option<Box<Accepted>>,
}

impl SignIn {
    /// The sign-in for a code that was accepted.
    pub(crate) fn with_code(accepted: Accepted, device: Option<DeviceId>) -> Self {
        Self {
            user: accepted.user.clone(),
            at: accepted.at,
            generation: accepted.generation,
            method: SignInMethod::Code(accepted.method),
            device,
            history: accepted.history,
            accepted: Some(Box::new(accepted)),
        }
    }

    /// The user who logged in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The time of the login in Unix seconds.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// What the login is based on besides the password.
    #[must_use]
    pub const fn method(&self) -> SignInMethod {
        self.method
    }

    /// The generation to store with the session. End the session once [`Guard::is_current`](crate::Guard::is_current)
    /// returns `false` for this generation.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The accepted code, or `None` if no code was required.
    ///
    /// You need an accepted code to make a [proof](crate::Guard::prove) or to [trust](crate::Guard::trust_device) a
    /// device. A login on a trusted device is not enough. If it were, a stolen cookie could be renewed forever.
    #[must_use]
    pub fn accepted(&self) -> Option<&Accepted> {
        self.accepted.as_deref()
    }

    /// The trusted or known device that the login came from. If this is `None` and the login has an
    /// [accepted](Self::accepted) code, you may offer to [trust](crate::Guard::trust_device) or
    /// [remember](crate::Guard::remember_device) the device. After a recovery code, this is always `None`, because
    /// using the code makes all devices void.
    #[must_use]
    pub const fn device(&self) -> Option<&DeviceId> {
        self.device.as_ref()
    }

    /// The number of consecutive failures before this login. Tell the user if there were any (OWASP ASVS 5.0, 6.3.5).
    /// The count is reset by an accepted code, by a new authenticator, and by an operator's unlock that ends the
    /// account's wait. A login without a code does not reset it.
    #[must_use]
    pub const fn failures_before(&self) -> u64 {
        self.history.failures
    }

    /// The time at which a code was last accepted before this login, in Unix seconds, or `None` if no code was. A code
    /// that confirmed an enrollment counts only if the secret was imported.
    #[must_use]
    pub const fn last_success_at(&self) -> Option<u64> {
        self.history.last_success()
    }

    /// The authentication method references (RFC 8176, section 2) for an `amr` claim: `otp` and `mfa` for an
    /// authenticator's code, and only `mfa` for a recovery code, because the RFC has no value for recovery codes. The
    /// list is empty if no code was required.
    ///
    /// Add the values for what the application checked itself, such as `pwd` for a password.
    #[must_use]
    pub const fn amr(&self) -> &'static [&'static str] {
        match self.method {
            SignInMethod::Code(Method::Totp | Method::Hotp) => &["otp", "mfa"],
            SignInMethod::Code(Method::RecoveryCode) => &["mfa"],
            SignInMethod::Grace { .. } | SignInMethod::NoSecondFactor | SignInMethod::TrustedDevice => &[],
        }
    }
}

/// What a completed login is based on besides the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignInMethod {
    /// A code that the user typed during this login, including the code that confirmed an enrollment.
    Code(Method),
    /// Nothing. The user has no second factor, and does not need one until a deadline.
    Grace {
        /// The time from which a second factor is required, in Unix seconds.
        until: u64,
    },
    /// Nothing. The user has no second factor.
    NoSecondFactor,
    /// The cookie of a device on which the user entered a code earlier.
    TrustedDevice,
}
