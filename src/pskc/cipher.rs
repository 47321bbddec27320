//! Decrypts values (RFC 6030, section 6): derives the key, checks the MAC, and then decrypts.

use alloc::string::String;
use alloc::vec::Vec;

use aes::{Aes128, Aes192, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::Iso10126;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::{Cipher, Unlock, Value, base64};
use crate::algorithm::Algorithm;
use crate::ct;
use crate::error::{Error, ErrorKind};

/// The encryption parameters of a file.
#[derive(Default)]
pub(super) struct Encryption {
    /// The URI of the key derivation function. It is empty if the key is pre-shared.
    pub(super) derivation: String,
    pub(super) salt: String,
    pub(super) iterations: String,
    pub(super) key_length: String,
    pub(super) pseudo_random_function: String,
    /// The URI of the MAC algorithm.
    pub(super) mac: String,
    pub(super) mac_key: Cipher,
}

/// The keys that decrypt the values of one file.
pub(super) struct Keys {
    cipher: Zeroizing<Vec<u8>>,
    /// The MAC algorithm and key, or the reason why nothing can be decrypted.
    mac: Result<(Algorithm, Zeroizing<Vec<u8>>), Error>,
}

impl Encryption {
    pub(super) fn unlock(&self, unlock: Unlock<'_>, needed: bool) -> Result<Keys, Error> {
        if !needed {
            return Ok(Keys { cipher: Zeroizing::default(), mac: Err(CIPHER) });
        }
        let cipher = match unlock {
            Unlock::Key(key) => Zeroizing::new(key.to_vec()),
            Unlock::Password(password) if !self.derivation.is_empty() => self.derive(password)?,
            _ => return Err(LOCKED.word(if self.derivation.is_empty() { "pre-shared key" } else { "password" })),
        };
        let mac = self.mac_key(&cipher);
        Ok(Keys { cipher, mac })
    }

    /// Returns the MAC algorithm and key. If the file contains no MAC key, section 6.1.1 lets the parties agree on a
    /// key. In practice, they use the encryption key.
    fn mac_key(&self, cipher: &Zeroizing<Vec<u8>>) -> Result<(Algorithm, Zeroizing<Vec<u8>>), Error> {
        let algorithm = hash(&self.mac).ok_or(CIPHER)?;
        let Some(data) = &self.mac_key.data else { return Ok((algorithm, cipher.clone())) };
        if !is_known(&self.mac_key.algorithm) {
            return Err(CIPHER);
        }
        let key = base64(data).and_then(|data| decrypt(&self.mac_key.algorithm, cipher, &data));
        Ok((algorithm, key.ok_or(WRONG_KEY)?))
    }

    fn derive(&self, password: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.derived(password).ok_or(DERIVATION)
    }

    fn derived(&self, password: &str) -> Option<Zeroizing<Vec<u8>>> {
        // RFC 6030 uses two URIs, one in its text and one in its example; XML Encryption 1.1 defines a third. All three
        // end with `#pbkdf2`.
        if !self.derivation.ends_with("#pbkdf2") {
            return None;
        }
        let salt = base64(&self.salt).filter(|salt| !salt.is_empty())?;
        let iterations = self.iterations.trim().parse().ok().filter(|count| (1..=MAX_ITERATIONS).contains(count))?;
        let length = self.key_length.trim().parse().ok().filter(|length| [16, 24, 32].contains(length))?;
        let mut key = Zeroizing::new(alloc::vec![0; length]);
        let password = password.as_bytes();
        let function = self.pseudo_random_function.as_str();
        match if function.is_empty() { Algorithm::Sha1 } else { hash(function)? } {
            Algorithm::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, &salt, iterations, &mut key),
            Algorithm::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, iterations, &mut key),
            Algorithm::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, &salt, iterations, &mut key),
        }
        Some(key)
    }
}

impl Keys {
    /// Decrypts a value. The MAC covers the initialization vector and the ciphertext and is checked first: decrypting
    /// unauthenticated data would create a padding oracle.
    pub(super) fn open(&self, value: &Value) -> Result<Zeroizing<Vec<u8>>, Error> {
        if !is_known(&value.cipher.algorithm) {
            return Err(CIPHER);
        }
        let data = value.cipher.data.as_deref().and_then(base64).ok_or(CIPHER)?;
        let expected = value.mac.as_deref().and_then(base64).ok_or(CIPHER)?;
        let (algorithm, key) = self.mac.as_ref().map_err(Clone::clone)?;
        let mac = match algorithm {
            Algorithm::Sha1 => mac::<Hmac<Sha1>>(key, &data),
            Algorithm::Sha256 => mac::<Hmac<Sha256>>(key, &data),
            Algorithm::Sha512 => mac::<Hmac<Sha512>>(key, &data),
        };
        if !mac.is_some_and(|mac| ct::eq(&mac, &expected)) {
            return Err(WRONG_KEY);
        }
        decrypt(&value.cipher.algorithm, &self.cipher, &data).ok_or(WRONG_KEY)
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mac = <M as KeyInit>::new_from_slice(key).ok()?.chain_update(data);
    Some(Zeroizing::new(mac.finalize().into_bytes().to_vec()))
}

/// Decrypts data with the cipher that `uri` names. Returns `None` if the cipher is not supported, if the key or the
/// data has the wrong length, or if the padding is invalid.
fn decrypt(uri: &str, key: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if cipher_key_length(uri)? != key.len() {
        return None;
    }
    let (iv, data) = data.split_at_checked(16)?;
    match key.len() {
        16 => cbc(Aes128::new_from_slice(key).ok()?, iv, data),
        24 => cbc(Aes192::new_from_slice(key).ok()?, iv, data),
        _ => cbc(Aes256::new_from_slice(key).ok()?, iv, data),
    }
}

/// Decrypts data in CBC mode and removes the padding. Returns `None` if a length or the padding is invalid. RFC 6030
/// uses PKCS #5 padding. XML Encryption allows arbitrary bytes before the last padding byte. The padding is checked as
/// in ISO 10126, which accepts both.
fn cbc<C: BlockCipherDecrypt>(cipher: C, iv: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(data.to_vec());
    let decryptor = Decryptor::inner_iv_slice_init(cipher, iv).ok()?;
    let length = decryptor.decrypt_padded::<Iso10126>(&mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

/// Whether keyfob supports the cipher that `uri` names.
pub(super) fn is_known(uri: &str) -> bool {
    cipher_key_length(uri).is_some()
}

fn cipher_key_length(uri: &str) -> Option<usize> {
    match uri {
        "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => Some(16),
        "http://www.w3.org/2001/04/xmlenc#aes192-cbc" => Some(24),
        "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => Some(32),
        _ => None,
    }
}

/// Identifies the hash function of an HMAC by the end of its URI, because the SHA-1 URI is in a different namespace
/// from the SHA-256 and SHA-512 URIs. Returns `None` if keyfob does not support the function.
fn hash(uri: &str) -> Option<Algorithm> {
    match uri.rsplit_once('#')?.1 {
        "hmac-sha1" => Some(Algorithm::Sha1),
        "hmac-sha256" => Some(Algorithm::Sha256),
        "hmac-sha512" => Some(Algorithm::Sha512),
        _ => None,
    }
}

/// The maximum number of PBKDF2 iterations. That many iterations take between half a second and a few seconds. Without
/// a limit, a file could require 2000 times as many and keep a server busy for an hour.
const MAX_ITERATIONS: u32 = 2_000_000;

const CIPHER: Error = Error::new(
    ErrorKind::Pskc,
    "the value is not encrypted with AES-CBC and a MAC of HMAC with SHA-1, SHA-256 or SHA-512",
);
const DERIVATION: Error = Error::new(
    ErrorKind::Pskc,
    "the password is not for PBKDF2 with a salt, 1 to {} iterations and a key of 16, 24 or 32 bytes",
)
.number(MAX_ITERATIONS as u64);
/// In this message, `{}` stands for "password" or "pre-shared key".
const LOCKED: Error =
    Error::new(ErrorKind::Encrypted, "the key file is encrypted; give keyfob::pskc the {} that its sender has for it");
pub(super) const WRONG_KEY: Error =
    Error::new(ErrorKind::Encrypted, "the password or key is not the one of this file, or the file was changed");
