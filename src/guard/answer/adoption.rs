//! A user to adopt from another system, and the result.

use alloc::string::String;

use crate::guard::id::AuthenticatorId;
use crate::uri::KeyUri;

/// An authenticator of another system's user, which keyfob should adopt. [`Guard::adopt_batch`] has an example.
///
/// [`Guard::adopt_batch`]: crate::Guard::adopt_batch
#[derive(Clone, Debug)]
pub struct Adoptee {
    /// The user's name in keyfob, such as the primary key of your user table.
    pub user: String,
    /// The secret and the settings. The issuer and the label are not stored.
    pub uri: KeyUri,
    /// The last TOTP step or HOTP counter whose code the other system accepted, if it stored one. It counts as used.
    pub last_used: Option<u64>,
    /// The name by which the user recognizes the authenticator in a list, or an empty string.
    pub name: String,
}

/// The result of adopting an authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Adoption {
    /// The authenticator is active. The user can log in with the same app as before.
    Adopted(AuthenticatorId),
    /// The account has, or had, a second factor in keyfob. Nothing was changed.
    Kept,
}
