//! Proofs of a recent verification (step-up authentication). They protect changes for which an old session is not
//! enough.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use sha2::{Digest, Sha256};

use crate::ct;
use crate::error::{Error, ErrorKind};
use crate::guard::answer::verdict::Accepted;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::generation::Generation;
use crate::guard::id::KeyId;
use crate::guard::keyring::{RingKey, hmac_sha256};
use crate::guard::record::SecondFactor;
use crate::guard::token;

/// Proves, for one purpose, that the second factor was recently verified.
///
/// A proof is valid for one account, one purpose and the current [`Generation`] of the account. By default, it expires
/// after 5 minutes. Any change to the factors makes it void, so most proofs can be used for only one change. A proof
/// for [`Purpose::ADD`] can start several enrollments, until one of them is confirmed. Proofs for [`Purpose::RENAME`]
/// and for your application's own purposes can be used any number of times, because these actions do not change the
/// factors.
///
/// [`token`](Self::token) returns the proof as a string. The token is bound to a session, which you identify with a
/// string of your choice. It is rejected in any other session, so a stolen token cannot be used without the session
/// that it belongs to. When the token comes back, name the session again with [`in_session`](Self::in_session).
///
/// An application that does not use a [`Guard`](crate::Guard) makes a proof with [`Accepted::prove`] and passes it to
/// the methods of [`SecondFactor`]:
///
/// ```
/// use keyfob::guard::{Accepted, Change, Context, Generation, GuardError};
/// use keyfob::guard::{Proof, Purpose, SecondFactor, Transition};
///
/// /// After the verification: returns the token for a form field. `session` identifies the
/// /// session: its id, or a random value that is kept in it.
/// fn may_disable(context: &Context<'_>, accepted: &Accepted, session: &str) -> String {
///     accepted.prove(context, &Purpose::DISABLE).token(session)
/// }
///
/// /// When the user disables the second factor: returns the change to store.
/// fn disable(
///     context: &Context<'_>,
///     factor: &SecondFactor,
///     token: &str,
///     session: &str,
/// ) -> Result<Transition<Generation>, GuardError> {
///     factor.disable(context, &Proof::from_token(token)?.in_session(session))
/// }
///
/// /// A purpose of your application that needs a recent verification.
/// fn transfer(
///     context: &Context<'_>,
///     factor: &SecondFactor,
///     token: &str,
///     session: &str,
/// ) -> Result<(), GuardError> {
///     let purpose = Purpose::application("transfer").expect("lowercase letters");
///     factor.check(context, &Proof::from_token(token)?.in_session(session), &purpose)
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
/// # let token = accepted.prove(&context, &Purpose::application("transfer").unwrap()).token("8812");
/// # transfer(&context, &read(&record)?, &token, "8812")?;
/// # assert!(transfer(&context, &read(&record)?, &token, "8813").is_err());
/// # assert!(disable(&context, &read(&record)?, &token, "8812").is_err());
/// # let token = may_disable(&context, &accepted, "8812");
/// # let disabled = disable(&context, &read(&record)?, &token, "8812")?;
/// # swapped(&mut record, disabled);
/// # assert!(!read(&record)?.status(&context).is_active());
/// # Ok::<(), GuardError>(())
/// ```
#[derive(Clone)]
pub struct Proof {
    purpose: String,
    generation: Generation,
    made: u64,
    expires: u64,
    key: KeyId,
    mac: [u8; 32],
    /// The hash of the session that the MAC is bound to. `None` for a proof that was made by `prove` and is not bound
    /// to a session. Zero for a parsed proof until [`in_session`](Self::in_session) names the session.
    session: Option<[u8; 32]>,
}

impl Accepted {
    /// Makes a proof of this verification for one purpose. Its lifetime, which
    /// [`Policy::with_proof_lifetime`](crate::Policy::with_proof_lifetime) sets, starts at the verification.
    ///
    /// Only the policy and the primary key of `context` are used. The account and the time are those of the
    /// verification.
    #[must_use]
    pub fn prove(&self, context: &Context<'_>, purpose: &Purpose) -> Proof {
        Proof::make(context, &self.user, self.at, self.generation, purpose)
    }
}

impl SecondFactor {
    /// Checks that a proof for one of the application's own purposes is currently valid. The check does not use up the
    /// proof.
    ///
    /// The methods of this type that take a proof check it themselves.
    ///
    /// # Errors
    ///
    /// * [`GuardErrorKind::ProofRejected`] if the proof is for another user, purpose or session, if it has expired, if
    ///   the [`Generation`] has changed since the verification, or if the proof's key is not in the keyring.
    /// * [`GuardErrorKind::Suspended`] if the account is suspended.
    pub fn check(&self, context: &Context<'_>, proof: &Proof, purpose: &Purpose) -> Result<(), GuardError> {
        self.not_suspended()?;
        let timely = token::is_timely(proof.made, proof.expires, context.policy.proof_lifetime(), context.now);
        // A missing key is reported as a rejected proof, not as `KeyMissing`: anybody can make up a token with any key
        // id, which must not alert an operator.
        let key = context.keyring.key(&proof.key).ok_or(GuardErrorKind::ProofRejected)?;
        let mut expected = proof.expected(context.user, key);
        if let Some(session) = &proof.session {
            expected = bound(&expected, session);
        }
        let genuine = ct::mask(ct::eq(&expected, &proof.mac).into());
        // The result may be public: the caller is told whether the MAC is valid.
        if ct::declassify(genuine) && timely && proof.generation == self.generation() && proof.purpose == purpose.0 {
            Ok(())
        } else {
            Err(GuardErrorKind::ProofRejected.into())
        }
    }
}

impl Proof {
    pub(crate) fn make(context: &Context<'_>, user: &str, at: u64, generation: Generation, purpose: &Purpose) -> Self {
        let key = context.keyring.primary_key();
        let mut proof = Self {
            purpose: purpose.0.clone().into_owned(),
            generation,
            made: at,
            expires: at.saturating_add(context.policy.proof_lifetime()),
            key: key.id.clone(),
            mac: [0; 32],
            session: None,
        };
        proof.mac = proof.expected(user, key);
        proof
    }

    pub(crate) fn is_for(&self, purpose: &Purpose) -> bool {
        self.purpose == purpose.0
    }

    /// Returns the proof as a string that is bound to a session. [`from_token`](Self::from_token) reads it.
    ///
    /// `session` identifies the user's session, for example by the session's id or by a random value kept in the
    /// session. This string does not appear in the token.
    #[must_use]
    pub fn token(&self, session: &str) -> String {
        let (hash, Self { purpose, generation, made, expires, key, mac, .. }) = (session_hash(session), self);
        // A proof from a token is already bound, and stays bound to the same session.
        let mac = if self.session.is_some() { *mac } else { bound(mac, &hash) };
        token::write(&[purpose, generation, made, expires], key, &mac)
    }

    /// Parses a token without checking the proof. The method that receives the proof checks it.
    ///
    /// Specify the session with [`in_session`](Self::in_session). Otherwise, the proof is rejected.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::ProofRejected`] for a string that is not a token.
    pub fn from_token(token: &str) -> Result<Self, GuardError> {
        Self::read(token).ok_or(GuardErrorKind::ProofRejected.into())
    }

    /// Names the session in which the token of this proof arrived. The proof is valid only if
    /// [`token`](Self::token) was called with the same string.
    #[must_use]
    pub fn in_session(mut self, session: &str) -> Self {
        // A proof that was just made by `prove` is not bound to a session, and needs none.
        self.session = self.session.map(|_| session_hash(session));
        self
    }

    fn read(text: &str) -> Option<Self> {
        let ([purpose, generation, made, expires], key, mac) = token::read::<4>(text)?;
        let proof = Self {
            purpose: Some(purpose).filter(|purpose| Purpose::is_valid(purpose))?.into(),
            generation: generation.parse().ok()?,
            made: made.parse().ok()?,
            expires: expires.parse().ok()?,
            key,
            mac,
            session: Some([0; 32]),
        };
        (proof.token("") == text).then_some(proof)
    }

    fn expected(&self, user: &str, key: &RingKey) -> [u8; 32] {
        let Generation { factors, epoch } = self.generation;
        token::mac(key, "keyfob 1 proof", &[user, &self.purpose], &[factors, epoch, self.made, self.expires])
    }
}

/// Binds the MAC of a proof to a session. A token shows only the result, from which nobody can compute the MAC for
/// another session.
fn bound(mac: &[u8; 32], session: &[u8; 32]) -> [u8; 32] {
    hmac_sha256(mac, &[session])
}

/// Hashes a session's identifier, so that all identifiers have the same length. A parsed proof has an all-zero hash
/// until its session is named. No known string has that hash.
fn session_hash(session: &str) -> [u8; 32] {
    Sha256::digest(session.as_bytes()).into()
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
    /// The proof comes from a [voucher](crate::guard::Voucher), and allows adding an authenticator.
    pub(crate) const VOUCHED: Self = Self(Cow::Borrowed("vouched"));

    /// Makes a purpose for an action in your application that needs a recent verification, such as `transfer`. A proof
    /// for this purpose can be used any number of times until it expires.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is empty, is longer than 32 bytes, or contains
    /// characters other than lowercase letters, digits and hyphens.
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
