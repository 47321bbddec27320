//! Proofs of a recent verification (step-up authentication). They protect changes for which an old session must not be
//! enough.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::base32;
use crate::ct;
use crate::error::{Error, ErrorKind};
use crate::guard::answer::verdict::Accepted;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::KeyId;
use crate::guard::keyring::{RingKey, message};
use crate::guard::record::SecondFactor;

/// Proves that the second factor was verified a short time ago, for one purpose.
///
/// A proof is valid for one account, one purpose and the current factors of the account. By default it expires after 5
/// minutes. A change of the factors makes it void, so most proofs can be used for one change. A proof for
/// [`Purpose::ADD`] can start several enrollments, until one of them is confirmed. Proofs for [`Purpose::RENAME`] and
/// for purposes of your application can be used any number of times, because these actions do not change the factors.
///
/// [`token`](Self::token) returns the proof as a string, for the session or a form field. Anybody who has both the
/// token and the user's session can use the proof, so keep the token in the session and not in a link.
///
/// An application that does not use a [`Guard`](crate::Guard) makes a proof with [`Accepted::prove`] and passes it to
/// the methods of [`SecondFactor`]:
///
/// ```
/// use keyfob::guard::{Accepted, Change, Context, GuardError};
/// use keyfob::guard::{Proof, Purpose, SecondFactor, Transition};
///
/// /// After the verification: returns the token to keep in the session.
/// fn may_disable(context: &Context<'_>, accepted: &Accepted) -> String {
///     accepted.prove(context, &Purpose::DISABLE).token()
/// }
///
/// /// When the user disables the second factor: returns the change to store.
/// fn disable(
///     context: &Context<'_>,
///     factor: &SecondFactor,
///     token: &str,
/// ) -> Result<Transition<()>, GuardError> {
///     factor.disable(context, &Proof::from_token(token)?)
/// }
///
/// /// A purpose of your application that needs a recent verification.
/// fn transfer(
///     context: &Context<'_>,
///     factor: &SecondFactor,
///     token: &str,
/// ) -> Result<(), GuardError> {
///     let purpose = Purpose::application("transfer").expect("lowercase letters");
///     factor.check(context, &Proof::from_token(token)?, &purpose)
/// }
/// # use keyfob::guard::{Confirmation, Randomness, Setup};
/// # use keyfob::{Keyring, Policy, Verdict, store::Swap};
/// # fn swapped<T: 'static>(record: &mut Option<Vec<u8>>, transition: Transition<T>) -> T {
/// #     match transition.change() {
/// #         Change::None => {}
/// #         Change::Write(bytes) => *record = Some(bytes.clone()),
/// #         Change::Remove => *record = None,
/// #     }
/// #     transition.committed(Swap::Swapped).unwrap().value
/// # }
/// # let keyring = Keyring::parse(&Keyring::generate("1")?).unwrap();
/// # let (policy, random) = (Policy::default(), Randomness::default());
/// # let (mut record, mut context) = (None, Context::new("user-17", 1_900_000_000, &policy, &keyring)?);
/// # let read = |record: &Option<Vec<u8>>| SecondFactor::read(record.as_deref());
/// # let begun = read(&record)?.enroll(&context, &random, "Example", &Setup::totp("al"), None)?;
/// # let phone = swapped(&mut record, begun).uri().to_totp().unwrap();
/// # let confirmed = read(&record)?.confirm(&context, &phone.code_at(1_900_000_000).to_string())?;
/// # let Confirmation::Confirmed(_) = swapped(&mut record, confirmed) else { panic!() };
/// # context = Context::new("user-17", 1_900_000_030, &policy, &keyring)?;
/// # let verified = read(&record)?.verify(&context, &phone.code_at(1_900_000_030).to_string())?;
/// # let Verdict::Accepted(accepted) = swapped(&mut record, verified) else { panic!() };
/// # let token = accepted.prove(&context, &Purpose::application("transfer").unwrap()).token();
/// # transfer(&context, &read(&record)?, &token)?;
/// # assert!(disable(&context, &read(&record)?, &token).is_err());
/// # let token = may_disable(&context, &accepted);
/// # let disabled = disable(&context, &read(&record)?, &token)?;
/// # swapped(&mut record, disabled);
/// # assert!(record.is_none());
/// # Ok::<(), GuardError>(())
/// ```
#[derive(Clone)]
pub struct Proof {
    purpose: String,
    generation: u64,
    made: u64,
    expires: u64,
    key: KeyId,
    mac: [u8; 32],
}

impl Accepted {
    /// Makes a proof of this verification for one purpose. Its lifetime, which
    /// [`Policy::with_proof_lifetime`](crate::Policy::with_proof_lifetime) sets, is counted from the verification.
    ///
    /// Only the policy and the primary key of `context` are used. The account and the time are those of the
    /// verification.
    #[must_use]
    pub fn prove(&self, context: &Context<'_>, purpose: &Purpose) -> Proof {
        let key = context.keyring.primary_key();
        let mut proof = Proof {
            purpose: purpose.0.clone().into_owned(),
            generation: self.generation,
            made: self.at,
            expires: self.at.saturating_add(context.policy.proof_lifetime()),
            key: key.id.clone(),
            mac: [0; 32],
        };
        proof.mac = proof.expected(&self.user, key);
        proof
    }
}

impl SecondFactor {
    /// Checks that a proof for a purpose of the application is valid now. The check does not use up the proof.
    ///
    /// The methods of this type that take a proof check it themselves.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`] if the proof is not valid.
    pub fn check(&self, context: &Context<'_>, proof: &Proof, purpose: &Purpose) -> Result<(), GuardError> {
        // If the time of the proof is in the future, the clock was set back after the proof was made. Such a proof is
        // refused. The lifetime is the shorter of two: the one in the policy that made the proof, and the one in the
        // policy that checks it.
        let age = context.now.checked_sub(proof.made);
        let timely = age.is_some_and(|age| age < context.policy.proof_lifetime()) && context.now < proof.expires;
        // A missing key is reported as a rejected proof, not as `KeyMissing`: anybody can make up a token with any key
        // id, and that must not alarm an operator.
        let key = context.keyring.key(&proof.key).ok_or(GuardErrorKind::ProofRejected)?;
        let genuine = ct::mask(ct::eq(&proof.expected(context.user, key), &proof.mac).into());
        // The result may be public: the caller is told whether the MAC is valid.
        if ct::declassify(genuine) && timely && proof.generation == self.generation && proof.purpose == purpose.0 {
            Ok(())
        } else {
            Err(GuardErrorKind::ProofRejected.into())
        }
    }
}

impl Proof {
    /// Returns the proof as a string, which [`from_token`](Self::from_token) reads.
    #[must_use]
    pub fn token(&self) -> String {
        let mac = base32::encode(&self.mac);
        let Self { purpose, generation, made, expires, key, .. } = self;
        format!("{purpose}~{generation}~{made}~{expires}~{key}~{}", *mac)
    }

    /// Parses a token without checking the proof. The method that the proof is passed to checks it.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`] for a string that is not a token.
    pub fn from_token(token: &str) -> Result<Self, GuardError> {
        Self::read(token).ok_or(GuardErrorKind::ProofRejected.into())
    }

    fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('~');
        let proof = Self {
            purpose: parts.next().filter(|purpose| Purpose::is_valid(purpose))?.into(),
            generation: parts.next()?.parse().ok()?,
            made: parts.next()?.parse().ok()?,
            expires: parts.next()?.parse().ok()?,
            key: KeyId::new(parts.next()?)?,
            mac: base32::decode(parts.next()?).ok()?.as_slice().try_into().ok()?,
        };
        // Only the canonical form is accepted. Leading zeros, for example, are refused.
        (proof.token() == token).then_some(proof)
    }

    fn expected(&self, user: &str, key: &RingKey) -> [u8; 32] {
        key.proof_mac(&message(&[user, &self.purpose], &[self.generation, self.made, self.expires]))
    }
}

impl FromStr for Proof {
    type Err = GuardError;

    fn from_str(token: &str) -> Result<Self, GuardError> {
        Self::from_token(token)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("purpose", &self.purpose)
            .field("made", &self.made)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Serializes the token.
impl serde::Serialize for Proof {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.token())
    }
}

/// Reads the token, as [`Proof::from_token`] does.
impl<'de> serde::Deserialize<'de> for Proof {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_token(&token).map_err(serde::de::Error::custom)
    }
}

/// The purpose of a [`Proof`]: the change that it allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Purpose(Cow<'static, str>);

impl Purpose {
    /// The proof allows adding or replacing an authenticator.
    pub const ADD: Self = Self(Cow::Borrowed("add"));
    /// The proof allows disabling the second factor.
    pub const DISABLE: Self = Self(Cow::Borrowed("disable"));
    /// The proof allows replacing the recovery codes.
    pub const REGENERATE: Self = Self(Cow::Borrowed("regenerate"));
    /// The proof allows renaming an authenticator, any number of times until the proof expires.
    pub const RENAME: Self = Self(Cow::Borrowed("rename"));
    /// The proof allows removing an authenticator.
    pub const REVOKE: Self = Self(Cow::Borrowed("revoke"));

    /// Makes the purpose of an action in your application that needs a recent verification, such as `transfer`. A proof
    /// for this purpose can be used any number of times until it expires.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) unless the name has 1 to 32 lowercase letters, digits and hyphens.
    pub fn application(name: &str) -> Result<Self, Error> {
        let purpose = format!("app-{name}");
        let valid = !name.is_empty() && Self::is_valid(&purpose);
        if valid { Ok(Self(Cow::Owned(purpose))) } else { Err(PURPOSE_REFUSED) }
    }

    fn is_valid(purpose: &str) -> bool {
        let valid = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        matches!(purpose.len(), 1..=36) && purpose.bytes().all(valid)
    }
}

const PURPOSE_REFUSED: Error =
    Error::new(ErrorKind::Name, "a purpose has 1 to 32 lowercase letters, digits and hyphens");
