//! Key files of hardware tokens: PSKC (RFC 6030), in the open or encrypted with a password or a pre-shared key.
//!
//! Manufacturers and some programs write them. keyfob reads HOTP and TOTP tokens, in the open or encrypted with AES-CBC and
//! a MAC of HMAC with SHA-1, SHA-256 or SHA-512; from a password, the key is derived by PBKDF2. A value without a MAC is
//! refused, as section 6.1.1 has it: CBC alone would let anybody change the secret on its way.
//!
//! Signatures, policies and periods of validity are not looked at. A key that says what its codes are in a way that RFC 6030
//! does not have, or has in a draft only, is refused: its codes would be a guess. A file is in UTF-8 or UTF-16, has at most
//! 16 MiB and 65536 tokens, and asks for at most 2,000,000 iterations.

mod cipher;
mod xml;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::code::Digits;
use crate::encoding::{self, MAX_BYTES, TOO_LARGE};
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
use crate::totp::Period;
use crate::uri::{Account, COUNTER, KeyUri, without_prefix};
use cipher::{Keys, WRONG_KEY};

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
/// * [`ErrorKind::Pskc`](crate::ErrorKind::Pskc) for everything that is no key file, holds no key, is damaged, follows a
///   draft of RFC 6030, or asks for more work than the limits above; [`ErrorKind::Import`](crate::ErrorKind::Import) if it
///   is too large.
///
/// # Security
///
/// The MAC is compared in constant time and before anything is decrypted. A wrong password and a changed file are one
/// error. What is copied out of the file, decoded and decrypted is wiped; `bytes` stays the caller's to wipe.
pub fn parse(bytes: &[u8], unlock: Unlock<'_>) -> Result<Vec<Result<KeyUri, Error>>, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(TOO_LARGE);
    }
    let mut buffer = Zeroizing::default();
    let text = encoding::text(bytes, &mut buffer).ok_or(ENCODING)?;
    read(text, unlock)
}

/// Reads the file twice: the first time says how many tokens there are and how they are encrypted. Each token is turned
/// into its URI as it comes, so what belongs to a device or to the file is never copied for each token.
pub(crate) fn read(text: &str, unlock: Unlock<'_>) -> Result<Vec<Result<KeyUri, Error>>, Error> {
    let (mut number, mut drafts, mut is_locked) = (0, 0, false);
    let encryption = xml::read(text, |token, _| {
        number += 1;
        drafts += usize::from(token.is_draft);
        is_locked |= token.is_encrypted();
    })?;
    if number == 0 {
        return Err(EMPTY);
    }
    if number == drafts {
        return Err(DRAFT);
    }
    let keys = encryption.unlock(unlock, is_locked)?;

    let mut entries = Vec::with_capacity(number);
    let (mut some_wrong, mut some_opened) = (false, false);
    xml::read(text, |token, serial| {
        let entry = token.key_uri(serial, &keys);
        some_wrong |= entry.as_ref().err() == Some(&WRONG_KEY);
        some_opened |= entry.is_ok() && token.is_encrypted();
        entries.push(entry);
    })?;
    if some_wrong && !some_opened { Err(WRONG_KEY) } else { Ok(entries) }
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

/// A `Key`. Its device, which many keys may have in common, is not in here.
#[derive(Default)]
struct Token {
    id: String,
    algorithm: String,
    issuer: String,
    friendly_name: String,
    suite: Option<String>,
    /// A value is given twice, of which nobody knows which counts, or is longer than any.
    damaged: bool,
    /// An element is not written as the RFC has it.
    unclear: Option<&'static str>,
    is_draft: bool,
    digits: Option<String>,
    encoding: String,
    check_digit: String,
    secret: Value,
    counter: Value,
    interval: Value,
}

/// A value in the open, in base64 or decimal, or encrypted.
#[derive(Default)]
struct Value {
    /// Whether there is such an element at all.
    is_there: bool,
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

    /// `serial` is the one of the device, or nothing if that is damaged.
    fn key_uri(&self, serial: Option<&str>, keys: &Keys) -> Result<KeyUri, Error> {
        if self.is_draft {
            return Err(DRAFT);
        }
        let Some(serial) = serial.filter(|_| !self.damaged) else { return Err(TOKEN) };
        let kind = self.algorithm.rsplit([':', '#']).next().unwrap_or_default();
        // Section 4.3.4: hexadecimal codes, and codes with a check digit behind them, are none that keyfob makes.
        let check_digit = !["", "false", "0"].contains(&self.check_digit.as_str());
        if check_digit || !["", "DECIMAL"].contains(&self.encoding.as_str()) {
            return Err(RESPONSE);
        }
        let digits = match &self.digits {
            Some(digits) => Some(digits.parse().map_err(|_| Digits::REFUSED)?),
            None => None,
        };
        let own_name = without_prefix(&self.friendly_name, &self.issuer);
        let names = [own_name.as_deref().unwrap_or_default(), serial, &self.id];
        let account = Account {
            // No algorithm must not become TOTP.
            kind: if kind.is_empty() { "?" } else { kind },
            issuer: &self.issuer,
            name: names.into_iter().find(|name| !name.trim().is_empty()).unwrap_or_default(),
            // Serial numbers may have colons.
            whole_name: true,
            algorithm: self.suite.as_deref(),
            digits,
            period: self.interval.number(keys, Period::REFUSED)?,
            counter: self.counter.number(keys, COUNTER)?,
            ..Account::default()
        };
        account.with(|| {
            if let Some(name) = self.unclear {
                return Err(ELEMENT.word(name));
            }
            let secret = match (&self.secret.plain, &self.secret.cipher.data) {
                (Some(plain), None) => base64(plain).ok_or(BASE64)?,
                (None, Some(_)) => keys.open(&self.secret)?,
                _ => return Err(SECRET),
            };
            Secret::from_bytes(&secret)
        })
    }
}

impl Value {
    /// Decimal in the open, big-endian bytes when encrypted.
    fn number(&self, keys: &Keys, refused: Error) -> Result<Option<u64>, Error> {
        match (&self.plain, &self.cipher.data) {
            (Some(plain), None) => plain.trim().parse().map(Some).map_err(|_| refused),
            (None, Some(_)) => decrypted_number(&keys.open(self)?, refused).map(Some),
            (None, None) if !self.is_there => Ok(None),
            _ => Err(refused),
        }
    }
}

/// RFC 6030 has big-endian bytes, eight of a counter and four of an interval. Some programs leave out the zeros in front,
/// and others encrypt the decimal digits. Four digits or more are text, as no counter is that far; of fewer nobody
/// knows.
fn decrypted_number(bytes: &[u8], refused: Error) -> Result<u64, Error> {
    let is_number = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_whitespace() || b"+-".contains(byte);
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match bytes.len() {
        1..=3 if bytes.iter().all(is_number) => Err(NUMBER),
        4.. if bytes.iter().all(is_text) => {
            let text = str::from_utf8(bytes).ok().map(str::trim);
            text.and_then(|text| text.parse().ok()).ok_or(refused)
        }
        1..=8 => Ok(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))),
        _ => Err(refused),
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

const BASE64: Error = Error::new(ErrorKind::Pskc, "the secret of this token is not base64");
const DRAFT: Error = Error::new(
    ErrorKind::Pskc,
    "the key is written as in a draft of RFC 6030, which is another format; ask its sender for the final one",
);
/// Waits for the name of the element.
const ELEMENT: Error =
    Error::new(ErrorKind::Pskc, "the {} of this key is not written as RFC 6030 has it, so its codes would be a guess");
const EMPTY: Error = Error::new(ErrorKind::Pskc, "there is no key in the key file");
const ENCODING: Error = Error::new(
    ErrorKind::Pskc,
    "the key file is damaged, or its encoding is neither UTF-8 nor UTF-16; save it as UTF-8",
);
const NUMBER: Error = Error::new(
    ErrorKind::Pskc,
    "an encrypted number of this key can be read as text and as a number of bytes; ask its sender which it is",
);
const RESPONSE: Error = Error::new(ErrorKind::Pskc, "the codes of this token are not plain digits");
const SECRET: Error = Error::new(ErrorKind::Pskc, "the file has no secret for this token, or two");
const TOKEN: Error =
    Error::new(ErrorKind::Pskc, "the token is damaged: a value is given twice, or is longer than 64 KiB");
