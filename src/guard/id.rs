//! The ids of authenticators, sets of recovery codes, devices, keys and operators. The application chooses the ids of
//! keys and operators; keyfob generates all others.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::error::{Error, ErrorKind};
use crate::guard::error::GuardError;
use crate::guard::randomness::Randomness;

/// Defines an id that keyfob generates: 16 random lowercase letters.
macro_rules! random_id {
    ($(#[$documentation:meta])* $id:ident, $(#[$parsing:meta])* $refused:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $id(pub(crate) String);

        impl $id {
            /// Parses an id of 1 to 32 lowercase letters and digits, such as an id from a form. `str::parse` does the
            /// same.
            ///
            $(#[$parsing])*
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Name`](crate::ErrorKind::Name) for any other string.
            pub fn new(id: &str) -> Result<Self, Error> {
                let symbol = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
                let valid = matches!(id.len(), 1..=32) && id.bytes().all(symbol);
                if valid { Ok(Self(id.into())) } else { Err($refused) }
            }

            /// The id as a string.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub(crate) fn random(random: &Randomness) -> Result<Self, GuardError> {
                let mut bytes = [0; 16];
                random.fill(&mut bytes)?;
                Ok(Self(bytes.into_iter().map(|byte| char::from(b'a' + (byte & 15))).collect()))
            }
        }

        impl FromStr for $id {
            type Err = Error;

            fn from_str(id: &str) -> Result<Self, Error> {
                Self::new(id)
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

random_id! {
    /// The id of an authenticator within its account: 16 random lowercase letters. It is not secret and may appear in
    /// links and forms.
    ///
    /// ```
    /// use keyfob::guard::AuthenticatorId;
    ///
    /// let id = AuthenticatorId::new("hcpbmjdnoaeglkfi"); // from a form
    /// assert!(id.is_ok());
    /// assert!("../admin".parse::<AuthenticatorId>().is_err());
    /// ```
    AuthenticatorId,
    /// This does not check whether the account has such an authenticator; the method that receives the id does.
    ID_REFUSED
}

random_id! {
    /// The id of a trusted or known device within its account: 16 random lowercase letters. It is not secret and may
    /// appear in links and forms.
    ///
    /// [`Status::devices`](crate::guard::Status::devices) lists the ids, and
    /// [`Guard::forget_device`](crate::Guard::forget_device) takes one.
    DeviceId,
    /// This does not check whether the account has such a device;
    /// [`Guard::forget_device`](crate::Guard::forget_device) does.
    DEVICE_ID_REFUSED
}

/// The id of a key in a [`Keyring`](crate::Keyring). It is not secret, and is stored with each secret that is sealed
/// under the key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// The id as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn new(id: &str) -> Option<Self> {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        (matches!(id.len(), 1..=32) && id.chars().all(valid)).then(|| Self(id.into()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The person or program that acts as an operator. Every `operator_*` method takes this id and includes it in its
/// events.
///
/// ```
/// use keyfob::guard::OperatorId;
///
/// let operator = OperatorId::new("support:jane@example.com")?;
/// assert_eq!(operator.as_str(), "support:jane@example.com");
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorId(String);

impl OperatorId {
    /// Makes an id from a name, such as an employee's login name or a job's name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is empty, is longer than 255 bytes, or contains control
    /// characters.
    pub fn new(name: &str) -> Result<Self, Error> {
        let valid = matches!(name.len(), 1..=255) && !name.contains(char::is_control);
        if valid { Ok(Self(name.into())) } else { Err(OPERATOR_REFUSED) }
    }

    /// The id as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OperatorId {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

const ID_REFUSED: Error =
    Error::new(ErrorKind::Name, "the id of an authenticator has 1 to 32 lowercase letters and digits");
const OPERATOR_REFUSED: Error =
    Error::new(ErrorKind::Name, "the name of an operator has 1 to 255 bytes and no control characters");
const DEVICE_ID_REFUSED: Error =
    Error::new(ErrorKind::Name, "the id of a device has 1 to 32 lowercase letters and digits");
