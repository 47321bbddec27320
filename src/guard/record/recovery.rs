//! Recovery codes, with which the owner can log in when the authenticator is lost or the guess budget is exhausted.
//!
//! A code has 24 symbols of Crockford's base32: 23 random symbols (115 bits) and a check symbol. The check symbol
//! distinguishes a typo from a wrong code before any hash is computed. A 115-bit code cannot be guessed, so attempts
//! are not limited. An attacker who exhausts the guess budget therefore cannot lock out an owner who has a recovery
//! code.
//!
//! The record stores the HMAC-SHA-256 of each code. Each set of codes has a random HMAC key, which is stored sealed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::ct;
use crate::guard::context::Context;
use crate::guard::error::{GuardError, GuardErrorKind};
use crate::guard::generation::Generation;
use crate::guard::id::AuthenticatorId;
use crate::guard::keyring::{Owner, Sealed, hmac_sha256};
use crate::guard::randomness::Randomness;
use crate::typed::symbols;

/// New recovery codes in plaintext. Show them to the user now: only their hashes are stored.
///
/// [`Guard::confirm`](crate::Guard::confirm) returns the codes when it confirms the first authenticator, and
/// [`Guard::regenerate_recovery_codes`](crate::Guard::regenerate_recovery_codes) replaces them. After one of them was
/// used, [`Guard::replace_recovery_code`](crate::Guard::replace_recovery_code) returns a single new one. The codes are
/// wiped on drop.
pub struct RecoveryCodes {
    codes: Vec<Zeroizing<String>>,
    pub(crate) generation: Generation,
}

impl RecoveryCodes {
    /// The number of codes in a set.
    pub const COUNT: usize = 10;

    /// Iterates over the codes. Each code has six groups of four symbols, separated by hyphens.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.codes.iter().map(|code| code.as_str())
    }

    /// The account's generation after these codes were generated. Store it with the user's session, so that the session
    /// stays current.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Generates new codes, and computes their hashes under this key.
    pub(crate) fn generate(key: &[u8; 32], random: &Randomness) -> Result<(Self, Vec<[u8; 32]>), GuardError> {
        let mut codes = Self { codes: Vec::with_capacity(Self::COUNT), generation: Generation::default() };
        let mut hashes = Vec::with_capacity(Self::COUNT);
        for _ in 0..Self::COUNT {
            let code = RecoveryCode::random(random)?;
            hashes.push(code.hash(key));
            codes.codes.push(code.text());
        }
        Ok((codes, hashes))
    }

    /// Generates a single code, and computes its hash under the key of an existing set.
    pub(crate) fn replacement(key: &[u8; 32], random: &Randomness) -> Result<(Self, [u8; 32]), GuardError> {
        let code = RecoveryCode::random(random)?;
        Ok((Self { codes: [code.text()].into(), generation: Generation::default() }, code.hash(key)))
    }
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryCodes").field("codes", &self.codes.len()).finish_non_exhaustive()
    }
}

/// The stored recovery codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecoverySet {
    pub(crate) id: AuthenticatorId,
    pub(crate) created: u64,
    /// The HMAC key for the hashes. It is random and stored sealed, so a key rotation can seal it again under the new
    /// key. If it were derived from the keyring, the hashes would need the old key forever.
    pub(crate) key: Sealed,
    /// The hash of each code, and the time at which the code was used, or 0 if it is unused.
    pub(crate) codes: Vec<([u8; 32], u64)>,
}

impl RecoverySet {
    pub(crate) fn owner<'a>(&'a self, user: &'a str) -> Owner<'a> {
        Owner::recovery(user, &self.id)
    }

    /// The number of unused codes.
    pub(crate) fn left(&self) -> u8 {
        u8::try_from(self.codes.iter().filter(|(_, used)| *used == 0).count()).unwrap_or(u8::MAX)
    }

    pub(crate) fn generate(context: &Context<'_>, random: &Randomness) -> Result<(RecoveryCodes, Self), GuardError> {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(&mut *key)?;
        let (codes, hashes) = RecoveryCodes::generate(&key, random)?;
        let id = AuthenticatorId::random(random)?;
        let key = context.keyring.seal(&*key, &Owner::recovery(context.user, &id), random)?;
        let codes_stored = hashes.into_iter().map(|hash| (hash, 0)).collect();
        Ok((codes, Self { id, created: context.now, key, codes: codes_stored }))
    }

    /// Decrypts the HMAC key for the hashes.
    pub(crate) fn open(&self, context: &Context<'_>) -> Result<Zeroizing<[u8; 32]>, GuardError> {
        let opened: Zeroizing<Vec<u8>> = context.keyring.open(&self.key, &self.owner(context.user))?;
        let key = <&[u8; 32]>::try_from(opened.as_slice()).map_err(|_| GuardErrorKind::SealBroken)?;
        Ok(Zeroizing::new(*key))
    }
}

/// A generated or typed recovery code, with each symbol as a number below 32.
pub(crate) struct RecoveryCode(Zeroizing<[u8; SYMBOLS]>);

impl RecoveryCode {
    fn random(random: &Randomness) -> Result<Self, GuardError> {
        let mut code = Self(Zeroizing::new([0; SYMBOLS]));
        random.fill(&mut *code.0)?;
        code.0.iter_mut().for_each(|symbol| *symbol &= 31);
        let check = check(code.data());
        if let Some(last) = code.0.last_mut() {
            *last = check;
        }
        Ok(code)
    }

    /// Parses a string that has the form of a recovery code, and returns `None` for any other string. Uppercase,
    /// lowercase and full-width characters are accepted, and the separators that [`symbols`] skips are ignored. O is
    /// read as 0, and I and L are read as 1. The check symbol is not checked.
    ///
    /// Digits of other scripts are also accepted. The length of such a string can reveal which symbols are digits, but
    /// more than 90 of the 115 bits remain unknown.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // Most logins use an authenticator code, which is too short to be a recovery code.
        if text.len() < SYMBOLS {
            return None;
        }
        let mut code = Self(Zeroizing::new([0; SYMBOLS]));
        let mut rest = code.0.iter_mut();
        for symbol in symbols(text, MAX_BYTES, |byte| value(byte).1) {
            *rest.next()? = value(symbol.ok()?).0;
        }
        rest.next().is_none().then_some(code)
    }

    /// Returns whether the check symbol is valid. The result may be public, because it shows only whether the input can
    /// be a code at all.
    pub(crate) fn is_valid(&self) -> bool {
        let typed = self.0.last().copied().unwrap_or_default();
        ct::declassify(ct::mask_eq(check(self.data()).into(), typed.into()))
    }

    pub(crate) fn hash(&self, key: &[u8; 32]) -> [u8; 32] {
        hmac_sha256(key, &[&*self.0])
    }

    /// All symbols except the check symbol.
    fn data(&self) -> &[u8] {
        self.0.split_last().map_or(&[], |(_, data)| data)
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SYMBOLS + (SYMBOLS >> 2)));
        for (index, &symbol) in self.0.iter().enumerate() {
            if index & 3 == 0 && index > 0 {
                text.push('-');
            }
            text.push(
                ALPHABET
                    .iter()
                    .zip(0u32..)
                    .fold(0, |found, (&letter, value)| {
                        found | (letter & ct::mask_eq(value, symbol.into()).to_le_bytes()[0])
                    })
                    .into(),
            );
        }
        text
    }
}

/// Returns the check symbol. The data are the coefficients of a polynomial over GF(32), and the check symbol is its
/// value at a generator of the field. It is computed with Horner's rule.
///
/// The powers of a generator are distinct and nonzero. Therefore, the check symbol always changes if a single symbol is
/// wrong or if two different symbols are swapped.
fn check(data: &[u8]) -> u8 {
    data.iter().fold(0, |sum, symbol| times_generator(sum ^ symbol))
}

/// Multiplies by x modulo x^5 + x^2 + 1.
fn times_generator(symbol: u8) -> u8 {
    let carry = (symbol >> 4) & 1;
    ((symbol << 1) ^ (carry.wrapping_neg() & 0b10_0101)) & 31
}

/// Returns the value of a symbol, and a mask that is set if the byte is a symbol. The lookup scans the whole alphabet,
/// so no memory access depends on the symbol.
fn value(byte: u8) -> (u8, u64) {
    let uppercase = byte ^ (ct::mask_within(byte, b'a', b'z').to_le_bytes()[0] & 0x20);
    let mut value = 0;
    let mut any = 0;
    let misread = [(b'O', 0), (b'I', 1), (b'L', 1)];
    for (letter, number) in ALPHABET.into_iter().zip(0u8..).chain(misread) {
        let mask = ct::mask_eq(uppercase.into(), letter.into());
        value |= mask.to_le_bytes()[0] & number;
        any |= mask;
    }
    (value, any)
}

const ALPHABET: [u8; 32] = *b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The number of symbols in a code, including the check symbol.
const SYMBOLS: usize = 24;
/// The maximum length of typed text in bytes, with room for separators. Longer text is refused without being read.
const MAX_BYTES: usize = 128;
