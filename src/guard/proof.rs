//! Step-up: what a fresh verification allows, and for how long.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::base32;
use crate::ct;
use crate::guard::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::seal::{KeyId, Keyring};
use crate::guard::verify::Accepted;

/// Shows that a second factor was verified a moment ago, for one purpose.
///
/// It is bound to the account, the purpose, the state of the account's factors, and a short time; the change that it
/// allows makes it void. [`token`](Self::token) is text for a form field or a session. Whoever holds the token and the
/// user's session can use it, so keep it in the session, not in a link.
#[derive(Clone)]
pub struct Proof {
    purpose: String,
    generation: u64,
    expires: u64,
    key: KeyId,
    mac: [u8; 32],
}

impl Proof {
    pub(crate) fn new(
        accepted: &Accepted,
        purpose: &Purpose,
        keyring: &Keyring,
        lifetime: u64,
    ) -> Result<Self, GuardError> {
        let mut proof = Self {
            purpose: purpose.0.clone().into_owned(),
            generation: accepted.generation,
            expires: accepted.at.saturating_add(lifetime),
            key: keyring.primary().clone(),
            mac: [0; 32],
        };
        proof.mac = proof.expected(&accepted.account, keyring)?;
        Ok(proof)
    }

    /// The proof as text.
    #[must_use]
    pub fn token(&self) -> String {
        let mac = base32::encode(&self.mac);
        format!("{}~{}~{}~{}~{}", self.purpose, self.generation, self.expires, self.key, *mac)
    }

    /// Reads a token. Whether it is good for anything turns out when it is used.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`] for text that is not a token.
    pub fn from_token(token: &str) -> Result<Self, GuardError> {
        Self::read(token).ok_or(GuardErrorKind::ProofRejected.into())
    }

    fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('~');
        let proof = Self {
            purpose: parts.next().filter(|purpose| Purpose::is_valid(purpose))?.into(),
            generation: parts.next()?.parse().ok()?,
            expires: parts.next()?.parse().ok()?,
            key: KeyId::new(parts.next()?)?,
            mac: base32::decode(parts.next()?).ok()?.as_slice().try_into().ok()?,
        };
        // One spelling only.
        (proof.token() == token).then_some(proof)
    }

    pub(crate) fn check(&self, context: &Context<'_>, generation: u64, purpose: &Purpose) -> Result<(), GuardError> {
        let left = self.expires.saturating_sub(context.now);
        // More time left than a proof has: the clock was set back since.
        let timely = (1..=context.policy.proof_lifetime()).contains(&left);
        let genuine = ct::mask(ct::eq(&self.expected(context.account, context.keyring)?, &self.mac).into());
        // Whether a proof is one is the answer.
        if ct::declassify(genuine) && timely && self.generation == generation && self.purpose == purpose.0 {
            Ok(())
        } else {
            Err(GuardErrorKind::ProofRejected.into())
        }
    }

    fn expected(&self, account: &str, keyring: &Keyring) -> Result<[u8; 32], GuardError> {
        let mut message = Vec::with_capacity(128);
        for part in [account, &self.purpose] {
            message.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            message.extend_from_slice(part.as_bytes());
        }
        message.extend_from_slice(&self.generation.to_le_bytes());
        message.extend_from_slice(&self.expires.to_le_bytes());
        match keyring.proof_mac(&self.key, &message) {
            // A key that is gone is no reason to alarm anybody about a token that somebody may have made up.
            Err(error) if error.kind() == GuardErrorKind::KeyMissing => Err(GuardErrorKind::ProofRejected.into()),
            other => other,
        }
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("purpose", &self.purpose).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// The token.
impl serde::Serialize for Proof {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.token())
    }
}

impl<'de> serde::Deserialize<'de> for Proof {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_token(&token).map_err(serde::de::Error::custom)
    }
}

/// What a [`Proof`] is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Purpose(Cow<'static, str>);

impl Purpose {
    /// To add or replace an authenticator.
    pub const ADD: Self = Self(Cow::Borrowed("add"));
    /// To switch the second factor off.
    pub const DISABLE: Self = Self(Cow::Borrowed("disable"));
    /// To replace the recovery codes.
    pub const REGENERATE: Self = Self(Cow::Borrowed("regenerate"));
    /// To remove an authenticator.
    pub const REVOKE: Self = Self(Cow::Borrowed("revoke"));

    /// Something that your application wants a fresh second factor for, such as `transfer`: 1 to 32 small letters, digits
    /// and hyphens. Such a proof is good any number of times until it expires.
    #[must_use]
    pub fn application(name: &str) -> Option<Self> {
        let purpose = format!("app-{name}");
        (!name.is_empty() && Self::is_valid(&purpose)).then_some(Self(Cow::Owned(purpose)))
    }

    fn is_valid(purpose: &str) -> bool {
        let valid = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        matches!(purpose.len(), 1..=36) && purpose.bytes().all(valid)
    }
}
