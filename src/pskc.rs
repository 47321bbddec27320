//! Reads key files for hardware tokens in the PSKC format (RFC 6030). They may be unencrypted, or encrypted with a
//! password or a pre-shared key.
//!
//! keyfob reads HOTP and TOTP tokens. An encrypted file must use AES-CBC and a MAC (HMAC with SHA-1, SHA-256 or
//! SHA-512); if the file is encrypted with a password, the key must be derived with PBKDF2. An encrypted value without
//! a MAC is refused, as section 6.1.1 requires: CBC alone does not protect the secret against tampering in transit.
//!
//! Signatures, policies and validity periods are ignored. A key is refused if it describes its codes in a way that RFC
//! 6030 does not define or that only a draft defines, because keyfob would have to guess how to compute them. A file
//! must be in UTF-8 or UTF-16. It may be at most 16 MiB long, and may have at most 65536 tokens and 2,000,000 PBKDF2
//! iterations.

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

/// Parses a key file.
///
/// Each token becomes a [`KeyUri`]. Its issuer is the key's issuer. Its account is the device's serial number, or the
/// key's identifier if there is no serial number. Programs that export a user's account write `issuer:account` into the
/// friendly name; in that case, the account is the part after the issuer. If a token cannot be imported, for example
/// because it is a PIN, or because its secret is missing or occurs twice, its entry is an error. An HOTP token without
/// a counter starts at 0; if that is wrong, [`Hotp::resync`](crate::Hotp::resync) finds the counter from two codes.
///
/// ```
/// use keyfob::pskc::{self, Unlock};
///
/// let file = br#"<?xml version="1.0" encoding="UTF-8"?>
/// <KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">
///   <KeyPackage>
///     <DeviceInfo><SerialNo>987654321</SerialNo></DeviceInfo>
///     <Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
///       <Issuer>Issuer</Issuer>
///       <AlgorithmParameters>
///         <ResponseFormat Length="8" Encoding="DECIMAL"/>
///       </AlgorithmParameters>
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
/// * [`ErrorKind::Encrypted`] if the file needs a password or a key that `unlock` does not contain. The same error is
///   returned if `unlock` decrypts none of the encrypted tokens. If it decrypts only some of them, the entries of the
///   others are errors.
/// * [`ErrorKind::Pskc`] if the file is not a key file, contains no key, is damaged or follows a draft of RFC 6030. The
///   same error is returned if the decryption key is derived in a way that keyfob does not support, or with more than
///   2,000,000 iterations.
/// * [`ErrorKind::Import`] if the file is larger than 16 MiB or has more than 65536 tokens.
///
/// # Security
///
/// The MAC is checked in constant time before anything is decrypted. A wrong password and a modified file cause the
/// same error. keyfob wipes its decoded and decrypted copies of the content. Wiping `bytes` is your responsibility.
pub fn parse(bytes: &[u8], unlock: Unlock<'_>) -> Result<Vec<Result<KeyUri, Error>>, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(TOO_LARGE);
    }
    let mut buffer = Zeroizing::default();
    let text = encoding::text(bytes, &mut buffer).ok_or(ENCODING)?;
    read(text, unlock)
}

/// Reads the file twice. The first pass counts the tokens and determines how they are encrypted. The second pass
/// converts each token when its element ends. This avoids copying device data and file data for every token.
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

/// The password or key for an encrypted key file. It is ignored if nothing in the file is encrypted.
///
/// ```
/// use keyfob::ErrorKind;
/// use keyfob::pskc::{self, Unlock};
///
/// fn import(file: &[u8], password: &str) {
///     match pskc::parse(file, Unlock::Password(password)) {
///         Ok(tokens) => println!("{} tokens", tokens.len()),
///         Err(error) if error.kind() == ErrorKind::Encrypted => println!("retry: {error}"),
///         Err(error) => println!("not a key file: {error}"),
///     }
/// }
///
/// import(b"<KeyContainer/>", "the sender's password");
/// ```
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// No password and no key, for an unencrypted file.
    None,
    /// The password that the file's sender chose.
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

/// The content of a `Key` element. The device's serial number is kept separately, because many keys may share a device.
#[derive(Default)]
struct Token {
    id: String,
    algorithm: String,
    issuer: String,
    friendly_name: String,
    suite: Option<String>,
    /// Whether a value is longer than the limit or occurs twice. If it occurs twice, it is unclear which value to use.
    damaged: bool,
    /// The name of an element that is not written as RFC 6030 requires.
    unclear: Option<&'static str>,
    is_draft: bool,
    digits: Option<String>,
    encoding: String,
    check_digit: String,
    secret: Value,
    counter: Value,
    interval: Value,
}

/// The value of an element in the `Data` element of a key. It is either plain (base64 or decimal) or encrypted.
#[derive(Default)]
struct Value {
    /// Whether the element exists, even if it has no value.
    is_there: bool,
    plain: Option<Zeroizing<String>>,
    cipher: Cipher,
    /// The MAC of the encrypted value, in base64.
    mac: Option<String>,
}

/// A value that is encrypted with XML Encryption.
#[derive(Default)]
struct Cipher {
    algorithm: String,
    /// The initialization vector and the ciphertext, in base64.
    data: Option<String>,
}

impl Token {
    fn is_encrypted(&self) -> bool {
        [&self.secret, &self.counter, &self.interval].iter().any(|value| cipher::is_known(&value.cipher.algorithm))
    }

    /// Converts the token to an account. `serial` is its device's serial number, or `None` if that number is damaged.
    fn key_uri(&self, serial: Option<&str>, keys: &Keys) -> Result<KeyUri, Error> {
        if self.is_draft {
            return Err(DRAFT);
        }
        let Some(serial) = serial.filter(|_| !self.damaged) else { return Err(TOKEN) };
        let kind = self.algorithm.rsplit([':', '#']).next().unwrap_or_default();
        // Section 4.3.4 also defines hexadecimal codes and codes followed by a check digit. keyfob supports neither.
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
            // An empty kind would mean TOTP, but a token without an algorithm must be refused.
            kind: if kind.is_empty() { "?" } else { kind },
            issuer: &self.issuer,
            name: names.into_iter().find(|name| !name.trim().is_empty()).unwrap_or_default(),
            // Serial numbers may contain colons.
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
    /// Reads a number. If it is plain, it is decimal; if it is encrypted, `decrypted_number` reads it. Returns
    /// `Ok(None)` if the element does not exist.
    fn number(&self, keys: &Keys, refused: Error) -> Result<Option<u64>, Error> {
        match (&self.plain, &self.cipher.data) {
            (Some(plain), None) => plain.trim().parse().map(Some).map_err(|_| refused),
            (None, Some(_)) => decrypted_number(&keys.open(self)?, refused).map(Some),
            (None, None) if !self.is_there => Ok(None),
            _ => Err(refused),
        }
    }
}

/// Reads a decrypted number. RFC 6030 uses big-endian bytes, eight for a counter and four for an interval. Some
/// programs omit leading zero bytes, and others encrypt the decimal digits. Four or more bytes of ASCII text are read
/// as decimal, because no real counter is as large as their binary value. One to three bytes that may be decimal digits
/// are ambiguous and are refused.
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

/// Decodes base64, or returns `None` if the text is invalid. As in XML, white space is allowed anywhere.
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
/// In this message, `{}` stands for the name of the element.
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
