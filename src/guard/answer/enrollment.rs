//! The answers to a request to enroll and to the code that confirms the enrollment.

use alloc::boxed::Box;
use alloc::string::String;

use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::code::Digits;
#[cfg(feature = "qr")]
use crate::error::Error;
use crate::guard::answer::login::SignIn;
use crate::guard::answer::verdict::Refusal;
use crate::guard::generation::Generation;
use crate::guard::id::AuthenticatorId;
use crate::guard::record::recovery::RecoveryCodes;
use crate::guard::token::enrollment::EnrollmentHandle;
use crate::totp::Period;
use crate::uri::KeyUri;

/// The secret and the settings of a new authenticator. Show them to the user as a QR code, and as text for users who
/// cannot scan it. The first example in [the crate documentation](crate) does both.
///
/// # Security
///
/// An enrollment contains the secret in plaintext. Send it over TLS, only to the user who is logged in or holds the
/// [ticket](crate::guard::EnrollmentTicket), on a page that is not cached.
#[derive(Debug)]
pub struct Enrollment {
    pub(crate) authenticator: AuthenticatorId,
    pub(crate) uri: KeyUri,
    pub(crate) expires_at: u64,
    pub(crate) handle: EnrollmentHandle,
}

impl Enrollment {
    /// The id of the new authenticator. It stays the same after confirmation.
    #[must_use]
    pub const fn authenticator(&self) -> &AuthenticatorId {
        &self.authenticator
    }

    /// The handle with which [`Guard::reopen_enrollment`](crate::Guard::reopen_enrollment) shows this enrollment again,
    /// for example after the user has reloaded the page. Only the browser that began the enrollment should have it.
    #[must_use]
    pub const fn handle(&self) -> &EnrollmentHandle {
        &self.handle
    }

    /// The `otpauth` URI that the QR code contains.
    #[must_use]
    pub const fn uri(&self) -> &KeyUri {
        &self.uri
    }

    /// The URI as a QR code for the app to scan.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Qr`](crate::ErrorKind::Qr) if the URI is too long for a QR code.
    #[cfg(feature = "qr")]
    pub fn qr(&self) -> Result<crate::Qr, Error> {
        self.uri.qr()
    }

    /// The secret in base32, in groups of four characters, for users who type it into the app.
    #[must_use]
    pub fn manual_entry(&self) -> Zeroizing<String> {
        self.uri.manual_entry()
    }

    /// The time at which the enrollment expires, in Unix seconds. It can be confirmed until then.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// The answer to the code that confirms an enrollment. [`Diagnosis`] has an example.
#[derive(Debug)]
#[must_use]
pub enum Confirmation {
    /// The authenticator is active. The code counts as used, so it cannot be used again to log in.
    Confirmed(Confirmed),
    /// The code was refused. The authenticator stays pending, but the 20th wrong code ends the enrollment.
    Refused {
        /// The reason for the refusal, meant for the log. Base the message to the user on the diagnosis.
        refusal: Refusal,
        /// The probable cause, if the code matches a known one.
        diagnosis: Option<Diagnosis>,
    },
}

/// An authenticator that was just confirmed.
#[derive(Debug)]
pub struct Confirmed {
    pub(crate) user: String,
    /// The account's generation after the confirmation.
    pub(crate) generation: Generation,
    pub(crate) authenticator: AuthenticatorId,
    pub(crate) recovery_codes: Option<RecoveryCodes>,
    pub(crate) sign_in: Option<Box<SignIn>>,
}

impl Confirmed {
    /// The id of the confirmed authenticator.
    #[must_use]
    pub const fn authenticator(&self) -> &AuthenticatorId {
        &self.authenticator
    }

    /// The new recovery codes, if the account had none, as is the case for its first authenticator. Show them now,
    /// because they cannot be retrieved later.
    ///
    /// Returns `None` if the account already has recovery codes, or if the new codes could not be stored, which is
    /// reported as an event. Without a [`Guard`](crate::Guard), this is always `None`. In that case, generate the codes
    /// with [`SecondFactor::first_recovery_codes`](crate::guard::SecondFactor::first_recovery_codes).
    #[must_use]
    pub const fn recovery_codes(&self) -> Option<&RecoveryCodes> {
        self.recovery_codes.as_ref()
    }

    /// Tells the sign-in how many recovery codes there are.
    pub(crate) fn count_recovery_codes(&mut self) {
        let left = self.recovery_codes.as_ref().map_or(0, |codes| codes.iter().len());
        if let Some(accepted) = self.sign_in.as_mut().and_then(|sign_in| sign_in.accepted.as_mut()) {
            accepted.recovery_codes_left = u8::try_from(left).unwrap_or(u8::MAX);
        }
    }

    /// The account's generation after the confirmation. Store it with the session of the user who enrolled, so that
    /// this session stays current. All the user's other sessions end.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The sign-in that completes the login, or `None` if the authenticator was not enrolled with an
    /// [`EnrollmentTicket`](crate::guard::EnrollmentTicket).
    #[must_use]
    pub fn into_sign_in(self) -> Option<SignIn> {
        self.sign_in.map(|sign_in| *sign_in)
    }
}

/// The probable reason why a new authenticator shows different codes than expected.
///
/// A diagnosis is inferred from one code and can be wrong: about one in a thousand wrong codes matches one of these
/// reasons by chance.
///
/// ```
/// use keyfob::guard::{Confirmation, Diagnosis};
///
/// fn advice(confirmation: &Confirmation) -> &'static str {
///     match confirmation {
///         Confirmation::Confirmed(_) => "It works.",
///         Confirmation::Refused { diagnosis, .. } => match diagnosis {
///             Some(Diagnosis::ClockOff(_)) => "Set the clock of your phone.",
///             Some(_) => "This app does not support our settings. Use another app.",
///             None => "That code did not work. Enter the code that the app shows now.",
///         },
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Diagnosis {
    /// The app ignores the algorithm in the URI and uses this one instead.
    AlgorithmIgnored(Algorithm),
    /// The device's clock is off by this many seconds: ahead if positive, behind if negative. A whole number of hours
    /// suggests a wrong time zone.
    ClockOff(i64),
    /// The app ignores the number of digits in the URI and shows this many instead.
    DigitsIgnored(Digits),
    /// The app ignores the period in the URI and uses this one instead.
    PeriodIgnored(Period),
}
