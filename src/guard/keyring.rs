//! Seals secrets for storage: each secret is encrypted and authenticated under a key that is not in the database.
//!
//! The cipher is XChaCha20-Poly1305 with a random 192-bit nonce. The associated data names the account, the
//! authenticator, the purpose, the parameters and the key. A sealed secret therefore cannot be decrypted once it is
//! moved to another row or the parameters in its row are changed.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64ct::{Base64Unpadded, Encoding};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac::{Hmac, Mac};
use rand::TryCryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::base32;
use crate::code::Digits;
use crate::ct;
use crate::error::{Error, ErrorKind};
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::id::{AuthenticatorId, KeyId};
use crate::guard::randomness::Randomness;
use crate::totp::Period;

/// The keys that encrypt the stored secrets. New secrets are sealed under the primary key; old keys only decrypt.
///
/// Each key has 256 bits and an id. To rotate keys, put a new key first and keep the old ones:
///
/// ```
/// use keyfob::Keyring;
///
/// let new = Keyring::generate("2027")?;
/// // An example. Keep your own keys out of the source code.
/// let old = "2026:GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA";
/// let keyring = Keyring::parse(&format!("{},{old}", *new))?;
/// assert_eq!(keyring.primary().as_str(), "2027");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// If you run several servers, first add the new key at the end of the keyring on every server, and only then move it
/// to the front. If you put the new key first right away, one server can seal a secret under a key that another server
/// does not have yet, and the user cannot log in there.
///
/// A new primary key does not change the stored secrets. [`Guard::reseal`](crate::Guard::reseal) seals an account's
/// secrets again, and [`Guard::sweep`](crate::Guard::sweep) does this for all accounts.
/// [`Status::keys`](crate::guard::Status::keys) lists the keys that an account needs. Once no account needs an old key,
/// remove it. [`Guard::replace_keyring`](crate::Guard::replace_keyring) replaces the keyring of a running server.
///
/// # Security
///
/// Anyone who has both the keys and the database can compute every code. Keep the keys in a vault or in the server's
/// environment, never with the database, its backups or its dumps.
#[derive(Clone)]
pub struct Keyring {
    primary: RingKey,
    old: Vec<RingKey>,
}

/// A key in the keyring. Only two keys derived from it are kept: one seals secrets, the other authenticates tokens.
#[derive(Clone)]
pub(crate) struct RingKey {
    pub(crate) id: KeyId,
    seal: Zeroizing<[u8; 32]>,
    token: Zeroizing<[u8; 32]>,
}

impl RingKey {
    /// Computes the MAC of a token.
    pub(crate) fn token_mac(&self, message: &[u8]) -> [u8; 32] {
        hmac_sha256(&self.token, &[message])
    }
}

impl Keyring {
    /// Reads the keys from an environment variable, in the format of [`parse`](Self::parse).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) if the variable is not set, or if [`parse`](Self::parse)
    /// refuses its value.
    pub fn from_env(variable: &str) -> Result<Self, Error> {
        let text = std::env::var(variable).map(Zeroizing::new);
        Self::parse(&text.map_err(|_| unusable("the environment variable for the keys is not set, or is not UTF-8"))?)
    }

    /// Parses entries of the form `id:key`, separated by commas or white space. The keys are in base32. The first entry
    /// is the primary key.
    ///
    /// An id consists of 1 to 32 letters, digits, hyphens, underscores or dots. It is stored with each secret that is
    /// sealed under its key, so never give the id of an old key to a new key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Keyring`](crate::ErrorKind::Keyring) if there is no entry, if an id is invalid or used twice, or if
    /// a key is not base32 or not 32 bytes long.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys: Vec<RingKey> = Vec::new();
        for entry in text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty()) {
            let (id, key) = entry.split_once(':').ok_or(unusable("an entry does not have the form id:key"))?;
            let id = KeyId::new(id).ok_or(unusable(NO_ID))?;
            if keys.iter().any(|key| key.id == id) {
                return Err(unusable("two keys have the same id"));
            }
            // The base32 error is dropped, because its position would be relative to the entry and would reveal
            // something about the key.
            let key = base32::decode(key).map_err(|_| unusable("a key is not base32"))?;
            let key = <&[u8; 32]>::try_from(key.as_slice())
                .map_err(|_| unusable("a key has 32 bytes, which are 52 characters of base32"))?;
            keys.push(RingKey { id, seal: derive(key, b"keyfob 1 seal"), token: derive(key, b"keyfob 1 token") });
        }
        let mut keys = keys.into_iter();
        let primary = keys.next().ok_or(unusable("there is no key in it"))?;
        Ok(Self { primary, old: keys.collect() })
    }

    /// Generates a key with the operating system's random number generator and returns it as an entry for
    /// [`parse`](Self::parse). Store it where you keep secrets, not in the database.
    ///
    /// # Errors
    ///
    /// [`GuardErrorKind::Invalid`] if the id is invalid, [`GuardErrorKind::Randomness`] if the generator fails.
    pub fn generate(id: &str) -> Result<Zeroizing<String>, GuardError> {
        Self::generate_with(id, &mut rand::rngs::SysRng)
    }

    /// Like [`generate`](Self::generate), but uses the random number generator `rng`, which implements the trait
    /// `TryCryptoRng` from `rand` 0.10.
    ///
    /// # Errors
    ///
    /// The same errors as for [`generate`](Self::generate).
    pub fn generate_with<R: TryCryptoRng>(id: &str, rng: &mut R) -> Result<Zeroizing<String>, GuardError> {
        if KeyId::new(id).is_none() {
            return Err(unusable(NO_ID).into());
        }
        let mut key = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(&mut *key).map_err(|_| GuardErrorKind::Randomness)?;
        let mut entry = Zeroizing::new(String::with_capacity(96));
        entry.push_str(id);
        entry.push(':');
        entry.push_str(&base32::encode(&*key));
        Ok(entry)
    }

    /// The id of the primary key, under which new secrets are sealed.
    #[must_use]
    pub const fn primary(&self) -> &KeyId {
        &self.primary.id
    }

    pub(crate) const fn primary_key(&self) -> &RingKey {
        &self.primary
    }

    pub(crate) fn key(&self, id: &KeyId) -> Option<&RingKey> {
        self.keys().find(|key| key.id == *id)
    }

    fn keys(&self) -> impl Iterator<Item = &RingKey> {
        core::iter::once(&self.primary).chain(&self.old)
    }

    pub(crate) fn seal(&self, secret: &[u8], owner: &Owner<'_>, random: &Randomness) -> Result<Sealed, GuardError> {
        let key = &self.primary;
        let mut bytes = vec![0; NONCE + secret.len() + TAG];
        let broken = || GuardError::new(GuardErrorKind::SealBroken);
        let (nonce, rest) = bytes.split_first_chunk_mut::<NONCE>().ok_or_else(broken)?;
        random.fill(nonce)?;
        let (content, tag) = rest.split_last_chunk_mut::<TAG>().ok_or_else(broken)?;
        // The ciphertext overwrites the plaintext in this buffer, so no plaintext is left to wipe.
        content.copy_from_slice(secret);
        *tag = XChaCha20Poly1305::new((&*key.seal).into())
            .encrypt_inout_detached((&*nonce).into(), &owner.associated_data(&key.id), content.into())
            .map_err(|_| broken())?
            .into();
        Ok(Sealed { key: key.id.clone(), text: Base64Unpadded::encode_string(&bytes) })
    }

    pub(crate) fn open(&self, sealed: &Sealed, owner: &Owner<'_>) -> Result<Zeroizing<Vec<u8>>, GuardError> {
        let key = self.key(&sealed.key).ok_or(GuardErrorKind::KeyMissing)?;
        let broken = || GuardError::new(GuardErrorKind::SealBroken);
        let bytes = Base64Unpadded::decode_vec(&sealed.text).map_err(|_| broken())?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE>().ok_or_else(broken)?;
        let (content, tag) = rest.split_last_chunk::<TAG>().ok_or_else(broken)?;
        let mut secret = Zeroizing::new(content.to_vec());
        let genuine = unseal(&key.seal, nonce, &owner.associated_data(&key.id), &mut secret, tag);
        // This result may be public: an invalid tag causes an error that the operator sees.
        if !ct::declassify(ct::mask(genuine.into())) {
            return Err(broken());
        }
        Ok(secret)
    }
}

/// Decrypts the content in place and returns `true` if the tag is valid.
///
/// The cipher branches on whether the tag is valid. The test that looks for branches on secrets allows this branch. It
/// recognizes the branch by the name of this function, so the function must not be inlined.
#[inline(never)]
fn unseal(key: &[u8; 32], nonce: &[u8; NONCE], associated: &[u8], content: &mut [u8], tag: &[u8; TAG]) -> bool {
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt_inout_detached(nonce.into(), associated, content.into(), tag.into()).is_ok()
}

impl FromStr for Keyring {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// Prints the ids, starting with the primary key's. Never prints a key.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys().map(|key| &key.id)).finish()
    }
}

/// What a sealed secret belongs to. A secret can only be decrypted for the owner that it was sealed for.
pub(crate) struct Owner<'a> {
    user: &'a str,
    /// The id of the authenticator or of the recovery code set.
    id: &'a str,
    purpose: &'static str,
    /// The algorithm, the digits and the period. They are authenticated, so nobody can change how codes are computed
    /// from the secret.
    parameters: [u64; 3],
}

impl<'a> Owner<'a> {
    pub(crate) fn authenticator(
        user: &'a str,
        id: &'a AuthenticatorId,
        algorithm: Algorithm,
        digits: Digits,
        period: Option<Period>,
    ) -> Self {
        let period = period.map_or(0, Period::seconds).into();
        let parameters = [algorithm as u64, digits.get().into(), period];
        Self { user, id: id.as_str(), purpose: "authenticator", parameters }
    }

    pub(crate) fn recovery(user: &'a str, id: &'a AuthenticatorId) -> Self {
        Self { user, id: id.as_str(), purpose: "recovery", parameters: [0; 3] }
    }

    fn associated_data(&self, key: &KeyId) -> Vec<u8> {
        message(&["keyfob 1", self.user, self.id, self.purpose, key.as_str()], &self.parameters)
    }
}

/// Encodes the data to authenticate. Each string is preceded by its length, so different lists of strings give
/// different messages.
pub(crate) fn message(texts: &[&str], numbers: &[u64]) -> Vec<u8> {
    let mut message = Vec::with_capacity(128);
    for text in texts {
        message.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        message.extend_from_slice(text.as_bytes());
    }
    numbers.iter().for_each(|number| message.extend_from_slice(&number.to_le_bytes()));
    message
}

/// A sealed secret: nonce, ciphertext and tag in base64, along with the id of the key.
///
/// The secret is kept as base64 text, because each request decrypts only some of the secrets in a record but writes all
/// of them back.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) key: KeyId,
    text: String,
}

impl Sealed {
    pub(crate) fn new(key: &str, text: &str) -> Option<Self> {
        let symbol = |byte: &u8| byte.is_ascii_alphanumeric() | (*byte == b'+') | (*byte == b'/');
        let symbols = text.as_bytes().iter().fold(true, |all, byte| all & symbol(byte));
        // Every full group of four base64 symbols is valid. Only an incomplete last group can be invalid: it can have
        // too few symbols, or nonzero bits that belong to no byte.
        let (_, end) = text.as_bytes().as_chunks::<4>();
        let ends = Base64Unpadded::decode(end, &mut [0; 3]).is_ok();
        let key = KeyId::new(key)?;
        (symbols && ends && (MIN_SEALED..=MAX_SEALED).contains(&text.len())).then(|| Self { key, text: text.into() })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The length of the secret in bytes. No key is needed, because it follows from the length of the base64 text, in
    /// which four symbols encode three bytes.
    pub(crate) fn secret_len(&self) -> usize {
        ((self.text.len() * 3) >> 2).saturating_sub(NONCE + TAG)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Derives a key for one purpose with HKDF-Expand (RFC 5869, section 2.3). The derived key is exactly one block long.
/// The input key is random, so HKDF-Extract is not needed.
fn derive(key: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(hmac_sha256(key, &[purpose, &[1]]))
}

pub(crate) fn hmac_sha256(key: &[u8; 32], message: &[&[u8]]) -> [u8; 32] {
    // HMAC pads the key with zeros to the block length (RFC 2104, section 2).
    let mut block = Zeroizing::new([0; 64]);
    block.split_at_mut(key.len()).0.copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in message {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

const NO_ID: &str = "the id of a key has 1 to 32 letters, digits, hyphens, underscores or dots";
const NONCE: usize = 24;
const TAG: usize = 16;
/// The length limits of a sealed secret in base64 characters. The secret itself has at most 1024 bytes.
const MIN_SEALED: usize = symbols(NONCE + 1 + TAG);
const MAX_SEALED: usize = symbols(NONCE + 1024 + TAG);

const fn symbols(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

const fn unusable(reason: &'static str) -> Error {
    Error::new(ErrorKind::Keyring, "the keyring cannot be used: {}").word(reason)
}
