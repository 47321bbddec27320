//! Key files of hardware tokens: PSKC (RFC 6030), in the open or encrypted with a password or a pre-shared key.
//!
//! Manufacturers and some programs write them. keyfob reads HOTP and TOTP tokens, in the open or encrypted with AES-CBC and
//! a MAC of HMAC with SHA-1, SHA-256 or SHA-512; from a password, the key is derived by PBKDF2. A value without a MAC is
//! refused, as section 6.1.1 has it: CBC alone would let anybody change the secret on its way.
//!
//! Signatures, policies and periods of validity are not looked at. A file has at most 16 MiB and 65536 tokens, and asks for
//! at most 2,000,000 iterations.

mod cipher;
mod xml;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::error::{Cause, Error};
use crate::secret::Secret;
use crate::uri::{Account, KeyUri};
use cipher::Keys;

/// Reads a key file.
///
/// Each token is a [`KeyUri`]: the issuer is the one of the key, the account is the serial number of the device, or where
/// it has none the identifier of the key. Programs that write an account of a person there put `issuer:account` into
/// the friendly name; that is taken apart again. Whatever keyfob cannot take, such as a PIN or a token whose secret is
/// not in the file or stands there twice, is an error in its place. A HOTP token without a counter starts at 0; where that
/// is not so, two of its codes find it: [`Hotp::resync`](crate::Hotp::resync).
///
/// ```
/// use keyfob::pskc::{self, Unlock};
///
/// let file = br#"<?xml version="1.0" encoding="UTF-8"?>
/// <KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">
///   <KeyPackage>
///     <DeviceInfo><Manufacturer>Acme</Manufacturer><SerialNo>987654321</SerialNo></DeviceInfo>
///     <Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
///       <Issuer>Issuer</Issuer>
///       <AlgorithmParameters><ResponseFormat Length="8" Encoding="DECIMAL"/></AlgorithmParameters>
///       <Data>
///         <Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>
///         <Counter><PlainValue>0</PlainValue></Counter>
///       </Data>
///     </Key>
///   </KeyPackage>
/// </KeyContainer>"#;
/// let tokens = pskc::parse(file, Unlock::None)?;
/// let token = tokens[0].as_ref().unwrap();
/// assert_eq!((token.account(), token.counter()), ("987654321", Some(0)));
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// # Errors
///
/// * [`ErrorKind::Encrypted`](crate::ErrorKind::Encrypted) if the file needs a password or a key and got the other or
///   none, and if no token in it opens with what it got. Where some open and others do not, the others are errors in
///   their place.
/// * [`ErrorKind::Pskc`](crate::ErrorKind::Pskc) for everything that is no key file, is damaged, or asks for more work
///   than the limits above; [`ErrorKind::Import`](crate::ErrorKind::Import) if it is too large.
///
/// # Security
///
/// The MAC is compared in constant time and before anything is decrypted. A wrong password and a changed file are one
/// error. What is copied out of the file, decoded and decrypted is wiped; `bytes` stays the caller's to wipe.
pub fn parse(bytes: &[u8], unlock: Unlock<'_>) -> Result<Vec<Result<KeyUri, Error>>, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::new(Cause::ImportTooLarge));
    }
    let text = str::from_utf8(bytes).map_err(|_| Error::new(Cause::PskcMalformed))?;
    let file = xml::read(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let locked = file.tokens.iter().any(Token::is_encrypted);
    let keys = file.encryption.unlock(unlock, locked)?;
    let entries: Vec<_> = file.tokens.iter().map(|token| token.key_uri(&keys)).collect();

    let mut encrypted = file.tokens.iter().zip(&entries).filter(|(token, _)| token.is_encrypted());
    let wrong = Error::new(Cause::PskcKey);
    if entries.contains(&Err(wrong.clone())) && encrypted.all(|(_, entry)| entry.is_err()) {
        return Err(wrong);
    }
    Ok(entries)
}

/// What opens an encrypted key file. It is ignored where nothing is encrypted.
///
/// ```
/// use keyfob::ErrorKind;
/// use keyfob::pskc::{self, Unlock};
///
/// # let file = b"<KeyContainer/>";
/// match pskc::parse(file, Unlock::Password("the sender's password")) {
///     Ok(tokens) => println!("{} tokens", tokens.len()),
///     Err(error) if error.kind() == ErrorKind::Encrypted => println!("try again: {error}"),
///     Err(error) => println!("no key file: {error}"),
/// }
/// ```
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// Nothing: the file is in the open.
    None,
    /// The password that the sender gave for this file.
    Password(&'a str),
    /// The pre-shared AES key: 16, 24 or 32 bytes.
    Key(&'a [u8]),
}

impl fmt::Debug for Unlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password(_) => "Password(..)",
            Self::Key(_) => "Key(..)",
        })
    }
}

/// What a file says, before it is opened.
#[derive(Default)]
struct File {
    encryption: cipher::Encryption,
    tokens: Vec<Token>,
}

/// A `Key` and the device it is for.
#[derive(Default)]
struct Token {
    serial: String,
    id: String,
    algorithm: String,
    issuer: String,
    friendly_name: String,
    suite: String,
    /// A value is given twice, of which nobody knows which counts, or is longer than any.
    damaged: bool,
    digits: Option<String>,
    encoding: String,
    check_digit: bool,
    secret: Value,
    counter: Value,
    interval: Value,
}

/// A value in the open, in base64 or decimal, or encrypted.
#[derive(Default)]
struct Value {
    plain: Option<Zeroizing<String>>,
    cipher: Cipher,
    /// Base64.
    mac: Option<String>,
}

/// What XML Encryption makes of some bytes.
#[derive(Default)]
struct Cipher {
    algorithm: String,
    /// Base64.
    data: Option<String>,
}

impl Token {
    fn is_encrypted(&self) -> bool {
        [&self.secret, &self.counter, &self.interval].iter().any(|value| cipher::is_known(&value.cipher.algorithm))
    }

    fn key_uri(&self, keys: &Keys) -> Result<KeyUri, Error> {
        if self.damaged {
            return Err(Error::new(Cause::PskcToken));
        }
        let kind = self.algorithm.rsplit([':', '#']).next().unwrap_or_default();
        // Section 4.3.4: hexadecimal codes, and codes with a check digit behind them, are none that keyfob makes.
        if self.check_digit || !["", "DECIMAL"].contains(&self.encoding.as_str()) {
            return Err(Error::new(Cause::PskcResponse));
        }
        let digits = match &self.digits {
            Some(digits) => Some(digits.parse().map_err(|_| Error::new(Cause::Digits))?),
            None => None,
        };
        let own_name = self.friendly_name.strip_prefix(self.issuer.as_str()).and_then(|name| name.strip_prefix(':'));
        let names = [own_name.unwrap_or_default(), self.serial.as_str(), self.id.as_str()];
        let account = Account {
            // No algorithm must not become TOTP.
            kind: if kind.is_empty() { "?" } else { kind },
            issuer: &self.issuer,
            name: names.into_iter().find(|name| !name.trim().is_empty()).unwrap_or_default(),
            algorithm: (!self.suite.is_empty()).then_some(self.suite.as_str()),
            digits,
            period: self.interval.number(keys, Cause::Period)?,
            counter: self.counter.number(keys, Cause::Counter)?,
        };
        account.with(|| {
            let secret = match (&self.secret.plain, &self.secret.cipher.data) {
                (Some(plain), None) => base64(plain).ok_or(Error::new(Cause::PskcSecret))?,
                (None, Some(_)) => keys.open(&self.secret)?,
                _ => return Err(Error::new(Cause::PskcSecret)),
            };
            Secret::from_bytes(&secret)
        })
    }
}

impl Value {
    /// Decimal in the open, big-endian bytes when encrypted.
    fn number(&self, keys: &Keys, what: Cause) -> Result<Option<u64>, Error> {
        if self.cipher.data.is_some() {
            let bytes = keys.open(self)?;
            if !(1..=8).contains(&bytes.len()) {
                return Err(Error::new(what));
            }
            return Ok(Some(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))));
        }
        match &self.plain {
            Some(plain) => plain.trim().parse().map(Some).map_err(|_| Error::new(what)),
            None => Ok(None),
        }
    }
}

/// As XML has it, with line breaks anywhere.
fn base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    use base64ct::{Base64Unpadded, Encoding};

    let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
    symbols.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let end = symbols.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let mut bytes = Zeroizing::new(alloc::vec![0; symbols.len()]);
    let length = Base64Unpadded::decode(symbols.get(..end)?, &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

const MAX_BYTES: usize = 16 * 1024 * 1024;
