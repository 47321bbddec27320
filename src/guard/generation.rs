//! An account's generation, which shows whether an existing session is still current.

use alloc::borrow::Cow;
use alloc::format;
use core::fmt;
use core::str::FromStr;

use crate::error::{Error, ErrorKind};

/// Identifies the state of an account's factors and logins. Store it with each session, and end the session once
/// [`Guard::is_current`](crate::Guard::is_current) returns `false` for it.
///
/// The generation changes in two cases:
///
/// * The factors change: an authenticator is added or removed, the recovery codes are replaced, the second factor is
///   disabled, or an operator invalidates its codes.
/// * Earlier logins become void: the user changed the password
///   ([`Guard::forget_devices`](crate::Guard::forget_devices)) or used a recovery code, or an operator suspended or
///   resumed the account.
///
/// Starting an enrollment does not change the generation. [`Guard::erase`](crate::Guard::erase) resets it to the
/// default. Compare generations only for equality. The text form is two numbers separated by a dot. It is not secret.
///
/// ```
/// use keyfob::guard::Generation;
///
/// let generation: Generation = "4503.1900000000".parse()?; // from the session
/// assert_eq!(generation.to_string(), "4503.1900000000");
/// assert_ne!(generation, Generation::default()); // the generation of an account without a record
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Generation {
    /// Changes with the factors. 0 means that the account has no second factor and no tombstone of one that was
    /// removed.
    pub(crate) factors: u64,
    /// Changes when earlier logins become void. 0 if that never happened.
    pub(crate) epoch: u64,
}

impl Generation {
    /// Returns whether this is the generation of an account without a record.
    pub(crate) const fn is_blank(self) -> bool {
        self.factors == 0 && self.epoch == 0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.factors, self.epoch))
    }
}

impl FromStr for Generation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let (factors, epoch) = text.split_once('.')?;
            Some(Self { factors: factors.parse().ok()?, epoch: epoch.parse().ok()? })
        };
        // Only the canonical form is accepted. Leading zeros and signs, for example, are refused.
        read().filter(|generation| format!("{generation}") == text).ok_or(GENERATION_REFUSED)
    }
}

/// Serializes the text form.
impl serde::Serialize for Generation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads the text form.
impl<'de> serde::Deserialize<'de> for Generation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

const GENERATION_REFUSED: Error = Error::new(ErrorKind::Name, "a generation is two numbers with a dot between them");
