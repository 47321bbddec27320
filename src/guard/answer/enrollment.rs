//! What is answered to an enrollment and to the code that is to prove it.

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

/// An authenticator to show to its user: as a QR code, and as text for people who cannot scan. The first example of [the
/// crate](crate) does both.
///
/// It holds the secret. Show it over TLS, to the user who is logged in, in a page that nothing caches.
#[derive(Debug)]
pub struct Enrollment {
    pub(crate) authenticator: AuthenticatorId,
    pub(crate) uri: KeyUri,
    pub(crate) expires_at: u64,
}

impl Enrollment {
    /// The id that the authenticator has from now on.
    #[must_use]
    pub const fn authenticator(&self) -> &AuthenticatorId {
        &self.authenticator
    }

    /// What the app is told.
    #[must_use]
    pub const fn uri(&self) -> &KeyUri {
        &self.uri
    }

    /// The QR code.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Qr`](crate::ErrorKind::Qr) if names and secret are too long for one.
    #[cfg(feature = "qr")]
    pub fn qr(&self) -> Result<crate::Qr, Error> {
        self.uri.qr()
    }

    /// The secret in groups of four, to type.
    #[must_use]
    pub fn manual_entry(&self) -> Zeroizing<String> {
        self.uri.manual_entry()
    }

    /// Until when, in Unix seconds, a code confirms it.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// The answer to the code that is to prove an enrollment. [`Diagnosis`] has an example.
#[derive(Debug)]
#[must_use]
pub enum Confirmation {
    /// The authenticator is active. Its code is spent: it is no login.
    Confirmed(Confirmed),
    /// The code does not fit.
    Refused {
        /// Why. The user who enrolls may be told more than this, by the diagnosis.
        refusal: Refusal,
        /// What the authenticator seems to do differently.
        diagnosis: Option<Diagnosis>,
    },
}

/// An authenticator that has proved itself.
#[derive(Debug)]
pub struct Confirmed {
    pub(crate) user: String,
    /// After the confirmation.
    pub(crate) generation: u64,
    pub(crate) authenticator: AuthenticatorId,
    pub(crate) recovery_codes: Option<RecoveryCodes>,
}

impl Confirmed {
    /// Which.
    #[must_use]
    pub const fn authenticator(&self) -> &AuthenticatorId {
        &self.authenticator
    }

    /// The first authenticator of an account brings recovery codes. They are shown now, and never again.
    #[must_use]
    pub const fn recovery_codes(&self) -> Option<&RecoveryCodes> {
        self.recovery_codes.as_ref()
    }
}

/// Why a new authenticator shows other codes than it should. A guess from one code: about one wrong code in a thousand
/// looks like something by accident.
///
/// ```
/// use keyfob::guard::{Confirmation, Diagnosis};
///
/// fn advice(confirmation: &Confirmation) -> &'static str {
///     match confirmation {
///         Confirmation::Confirmed(_) => "It works.",
///         Confirmation::Refused { diagnosis: Some(Diagnosis::ClockOff(_)), .. } => "Set the clock of your phone.",
///         Confirmation::Refused { diagnosis: Some(_), .. } => "This app cannot do what we need. Take another.",
///         Confirmation::Refused { diagnosis: None, .. } => "That code did not work. Type the one that is shown now.",
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Diagnosis {
    /// The app computes with this algorithm, whatever it was told.
    AlgorithmIgnored(Algorithm),
    /// The clock of the device is off: by so many seconds ahead, or behind if below zero. Whole hours are a wrong time
    /// zone.
    ClockOff(i64),
    /// The app shows this many digits, whatever it was told.
    DigitsIgnored(Digits),
    /// The app has this period, whatever it was told.
    PeriodIgnored(Period),
}
