//! The answers to an enrollment and to the code that confirms it.

use alloc::string::String;

use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::code::Digits;
#[cfg(feature = "qr")]
use crate::error::Error;
use crate::guard::answer::verdict::Refusal;
use crate::guard::id::AuthenticatorId;
use crate::guard::record::recovery::RecoveryCodes;
use crate::totp::Period;
use crate::uri::KeyUri;

/// A new authenticator to show to its user: as a QR code, and as text for users who cannot scan. The first example of
/// [the crate](crate) shows both.
///
/// # Security
///
/// It holds the secret in plaintext. Send it over TLS, only to the user who is logged in, on a page that is not cached.
#[derive(Debug)]
pub struct Enrollment {
    pub(crate) authenticator: AuthenticatorId,
    pub(crate) uri: KeyUri,
    pub(crate) expires_at: u64,
}

impl Enrollment {
    /// The id of the new authenticator. It stays the same after the confirmation.
    #[must_use]
    pub const fn authenticator(&self) -> &AuthenticatorId {
        &self.authenticator
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

    /// When the enrollment expires, in Unix seconds. Until then a code confirms it.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// The answer to the code that confirms an enrollment. [`Diagnosis`] has an example.
#[derive(Debug)]
#[must_use]
pub enum Confirmation {
    /// The authenticator is active. The code counts as used, so it cannot be used to log in as well.
    Confirmed(Confirmed),
    /// The code was refused, and the authenticator stays pending.
    Refused {
        /// The reason, for the log. The diagnosis is what to tell the user.
        refusal: Refusal,
        /// What the authenticator probably does differently, if the code fits a known difference.
        diagnosis: Option<Diagnosis>,
    },
}

/// An authenticator that was just confirmed.
#[derive(Debug)]
pub struct Confirmed {
    pub(crate) user: String,
    /// The generation of the record after the confirmation.
    pub(crate) generation: u64,
    pub(crate) authenticator: AuthenticatorId,
    pub(crate) recovery_codes: Option<RecoveryCodes>,
}

impl Confirmed {
    /// The id of the confirmed authenticator.
    #[must_use]
    pub const fn authenticator(&self) -> &AuthenticatorId {
        &self.authenticator
    }

    /// The recovery codes, if this is the first authenticator of the account. Show them now: they cannot be read again.
    ///
    /// `None` if the account has recovery codes already, or if they could not be stored, which is reported as an event.
    /// Without a [`Guard`](crate::Guard) always `None`:
    /// [`SecondFactor::first_recovery_codes`](crate::guard::SecondFactor::first_recovery_codes) makes them.
    #[must_use]
    pub const fn recovery_codes(&self) -> Option<&RecoveryCodes> {
        self.recovery_codes.as_ref()
    }
}

/// Why a new authenticator shows other codes than expected.
///
/// It is inferred from one code, and can be wrong: about one in a thousand wrong codes matches one of these differences
/// by chance.
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
    /// The app ignores the algorithm in the URI and uses this one.
    AlgorithmIgnored(Algorithm),
    /// The clock of the device is off by this many seconds: ahead if positive, behind if negative. Whole hours point to
    /// a wrong time zone.
    ClockOff(i64),
    /// The app ignores the number of digits in the URI and shows this many.
    DigitsIgnored(Digits),
    /// The app ignores the period in the URI and uses this one.
    PeriodIgnored(Period),
}
