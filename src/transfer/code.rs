//! [`TransferCode`]: one QR code of a transfer, and its `otpauth-migration` URI.
//!
//! The payload is a base64-encoded protocol buffer message with thirteen fields in total. The format has no field for
//! the period, so every TOTP account has a period of 30 seconds. keyfob decodes the message without a library: one
//! field is the secret, and a general-purpose decoder makes copies that are not wiped.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use base64ct::{Base64, Base64Unpadded, Encoding};
use percent_encoding::{percent_decode, percent_decode_str};
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::code::Digits;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;
use crate::totp::Period;
use crate::uri::{
    ACCOUNT_EMPTY, CONTRADICTION, COUNTER, Factor, KeyUri, NOT_UTF8, QR_BYTES, too_long_for_qr, trim_name,
    without_prefix,
};

/// One QR code of a transfer. It contains accounts, its own index, and the number of codes in the transfer.
/// [`Transfer`](crate::Transfer) combines the codes of a transfer and exports accounts.
///
/// ```
/// use keyfob::{KeyUri, Secret, Transfer, TransferCode};
///
/// let accounts: Vec<KeyUri> = (1..=12)
///     .map(|n| KeyUri::totp("Example", &format!("user{n}"), &Secret::generate()))
///     .collect::<Result<_, _>>()?;
///
/// let mut found = Vec::new();
/// for text in Transfer::export(&accounts, 77)? {
///     let code = TransferCode::parse(&text)?;
///     assert_eq!((code.batch_id(), code.batch_size()), (77, 3));
///     found.extend(code.into_entries());
/// }
/// let found: Vec<KeyUri> = found.into_iter().collect::<Result<_, _>>()?;
/// assert!(found == accounts);
/// # Ok::<(), keyfob::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TransferCode {
    entries: Vec<Result<KeyUri, Error>>,
    batch_size: u32,
    batch_index: u32,
    batch_id: i32,
}

impl TransferCode {
    /// Parses the text of one QR code. The base64 may use the standard or the URL-safe alphabet, and percent-encoding
    /// and padding are optional. Text copied from the source of a web page, with `&amp;` for `&`, is also accepted.
    ///
    /// If an account cannot be imported, for example because it uses MD5, its entry is an error. The other accounts are
    /// kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`](crate::ErrorKind::Migration) if the text is not an `otpauth-migration` URI or its
    /// payload is damaged. [`ErrorKind::Uri`](crate::ErrorKind::Uri) if it contains two different payloads.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(MALFORMED)?;
        if rest.len() > 4 * MAX_BYTES {
            return Err(MALFORMED);
        }
        // Unescape twice, because some web pages escape their content twice.
        let rest = unescaped(&unescaped(rest));
        let (host, query) = rest.split_once('?').ok_or(MALFORMED)?;
        let host = host.trim_end_matches('/');
        if !scheme.eq_ignore_ascii_case("otpauth-migration") || !host.eq_ignore_ascii_case("offline") {
            return Err(MALFORMED);
        }
        let parameters = query.split('&').filter_map(|piece| piece.split_once('='));
        let mut payloads = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("data"));
        let (_, data) = payloads.next().ok_or(MALFORMED)?;
        if payloads.any(|(_, other)| other != data) {
            return Err(CONTRADICTION);
        }

        // Decode twice, because some programs percent-encode twice. This is unambiguous, because base64 contains no
        // `%`.
        let mut unescaped_once = Zeroizing::new(Vec::with_capacity(data.len()));
        unescaped_once.extend(percent_decode_str(data));
        let mut base64 = Zeroizing::new(Vec::with_capacity(unescaped_once.len()));
        base64.extend(percent_decode(&unescaped_once).filter(|byte| !matches!(byte, b'\n' | b'\r' | b'\t')).map(
            |byte| match byte {
                // Some programs decode the URI as form data, which turns `+` into a space. The symbols `-` and `_`
                // belong to the URL-safe alphabet.
                b' ' | b'-' => b'+',
                b'_' => b'/',
                other => other,
            },
        ));
        let end = base64.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        base64.truncate(end);
        let mut payload = Zeroizing::new(vec![0; base64.len()]);
        let payload = Base64Unpadded::decode(&*base64, &mut payload).map_err(|_| MALFORMED)?;
        if payload.len() > MAX_BYTES {
            return Err(MALFORMED);
        }
        Self::read(payload).ok_or(MALFORMED)
    }

    /// The accounts, in the order of the payload. An account that cannot be imported is represented by an error.
    pub fn entries(&self) -> &[Result<KeyUri, Error>] {
        &self.entries
    }

    /// Converts the QR code into its accounts, in the order of the payload.
    #[must_use]
    pub fn into_entries(self) -> Vec<Result<KeyUri, Error>> {
        self.entries
    }

    /// The number of QR codes in the transfer.
    #[must_use]
    pub const fn batch_size(&self) -> u32 {
        self.batch_size
    }

    /// The index of this code in the transfer, starting at 0. Codes may be scanned in any order.
    #[must_use]
    pub const fn batch_index(&self) -> u32 {
        self.batch_index
    }

    /// The number that all QR codes of one transfer share. It may be 0 or negative.
    #[must_use]
    pub const fn batch_id(&self) -> i32 {
        self.batch_id
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (mut fields, mut number) = (Fields(payload), 0);
        while let Some((field, _)) = fields.next()? {
            number += usize::from(field == 1);
        }
        let mut code = Self { entries: Vec::with_capacity(number), batch_size: 1, batch_index: 0, batch_id: 0 };
        let mut fields = Fields(payload);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(account)) => code.entries.push(read_account(account)?),
                (3, Value::Number(size)) => code.batch_size = u32::try_from(size).ok()?.max(1),
                (4, Value::Number(index)) => code.batch_index = u32::try_from(index).ok()?,
                // Protocol buffers truncate a longer number to its lower 32 bits. Negative numbers are written as 64
                // bits.
                (5, Value::Number(id)) => {
                    let [a, b, c, d, ..] = id.to_le_bytes();
                    code.batch_id = i32::from_le_bytes([a, b, c, d]);
                }
                _ => {}
            }
        }
        Some(code)
    }
}

impl fmt::Debug for TransferCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferCode")
            .field("entries", &self.entries.len())
            .field("batch_size", &self.batch_size)
            .field("batch_index", &self.batch_index)
            .field("batch_id", &self.batch_id)
            .finish_non_exhaustive()
    }
}

/// Resolves HTML escapes: `&amp;` and numeric character references. A valid URI contains no `&#`, so this is
/// unambiguous.
fn unescaped(text: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        let (character, behind) = escaped_character(behind).unwrap_or(('&', behind));
        plain.push_str(before);
        plain.push(character);
        rest = behind;
    }
    plain.push_str(rest);
    plain
}

fn escaped_character(text: &str) -> Option<(char, &str)> {
    if let Some(rest) = text.strip_prefix("amp;") {
        return Some(('&', rest));
    }
    let digits = text.strip_prefix('#')?;
    // Limit the search to the longest possible number. If the text is a long sequence of `&#`, an unlimited search
    // would take quadratic time.
    let end = digits.bytes().take(8).position(|byte| byte == b';')?;
    let (number, rest) = (digits.get(..end)?, digits.get(end + 1..)?);
    let number = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => number.parse(),
    };
    number.ok().filter(u8::is_ascii).map(|byte| (byte.into(), rest))
}

/// Reads an account. Returns `None` if the message is damaged, and an error if the account cannot be imported.
fn read_account(message: &[u8]) -> Option<Result<KeyUri, Error>> {
    let (mut secret, mut name, mut issuer): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    let (mut algorithm, mut digits, mut kind, mut counter) = (0, 0, 0, 0);
    let mut fields = Fields(message);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => secret = bytes,
            (2, Value::Bytes(bytes)) => name = bytes,
            (3, Value::Bytes(bytes)) => issuer = bytes,
            (4, Value::Number(value)) => algorithm = value,
            (5, Value::Number(value)) => digits = value,
            (6, Value::Number(value)) => kind = value,
            (7, Value::Number(value)) => counter = value,
            _ => {}
        }
    }
    Some(account(secret, name, issuer, [algorithm, digits, kind, counter]))
}

fn account(secret: &[u8], name: &[u8], issuer: &[u8], numbers: [u64; 4]) -> Result<KeyUri, Error> {
    let [algorithm, digits, kind, counter] = numbers;
    // In each of these enumerations, 0 means "unspecified".
    let algorithm = match algorithm {
        0 | 1 => Algorithm::Sha1,
        2 => Algorithm::Sha256,
        3 => Algorithm::Sha512,
        _ => return Err(Algorithm::UNKNOWN),
    };
    let digits = match digits {
        0 | 1 => Digits::Six,
        2 => Digits::Eight,
        3 => Digits::Seven,
        _ => return Err(Digits::REFUSED),
    };
    let factor = match kind {
        0 | 2 => Factor::Period(Period::default()),
        // The field is signed; a negative number is not a counter.
        1 if i64::try_from(counter).is_err() => return Err(COUNTER),
        1 => Factor::Counter(counter),
        _ => return Err(KIND_UNKNOWN),
    };
    let secret = Secret::from_bytes(secret)?;
    let text = |bytes| str::from_utf8(bytes).map_err(|_| NOT_UTF8);
    let (name, issuer) = (text(name)?, trim_name("issuer", text(issuer)?)?);
    let account = without_prefix(name, issuer);
    let account = account.as_deref().unwrap_or(name);
    let account = trim_name("account name", account)?;
    if account.is_empty() {
        return Err(ACCOUNT_EMPTY);
    }
    let issuer = (!issuer.is_empty()).then(|| issuer.to_owned());
    Ok(KeyUri::with(factor, issuer, account.to_owned(), secret).with_algorithm(algorithm).with_digits(digits))
}

/// Returns the URI of a QR code that contains `accounts`. The transfer has `size` QR codes and the batch identifier
/// `id`; `index` is the index of this QR code.
pub(super) fn write(accounts: &[KeyUri], size: u64, index: u64, id: i32) -> Result<Zeroizing<String>, Error> {
    let longest: usize = accounts.iter().map(|uri| message_bytes(uri) + 12).sum();
    let mut payload = Zeroizing::new(Vec::with_capacity(longest + 64));
    for uri in accounts {
        let message = write_account(uri)?;
        put_bytes(&mut payload, 1, &message);
    }
    put_number(&mut payload, 2, 1);
    put_number(&mut payload, 3, size);
    put_number(&mut payload, 4, index);
    put_number(&mut payload, 5, i64::from(id).cast_unsigned());

    let mut base64 = Zeroizing::new(vec![0; Base64::encoded_len(&payload)]);
    // This cannot fail, because the buffer has the length that the encoder requires.
    let base64 = Base64::encode(&payload, &mut base64).unwrap_or_default();
    let mut uri = Zeroizing::new(String::with_capacity(PREFIX.len() + 3 * base64.len()));
    uri.push_str(PREFIX);
    for symbol in base64.chars() {
        match symbol {
            '+' => uri.push_str("%2B"),
            '/' => uri.push_str("%2F"),
            '=' => uri.push_str("%3D"),
            _ => uri.push(symbol),
        }
    }
    if uri.len() > QR_BYTES && accounts.len() == 1 {
        return Err(too_long_for_qr(uri.len()));
    }
    Ok(uri)
}

fn write_account(uri: &KeyUri) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (kind, counter) = match (uri.period(), uri.counter()) {
        (Some(period), _) if period == Period::default() => (2, None),
        (_, Some(counter)) if i64::try_from(counter).is_ok() => (1, Some(counter)),
        _ => return Err(CANNOT_SAY),
    };
    let digits = match uri.digits() {
        Digits::Six => 1,
        Digits::Eight => 2,
        Digits::Seven => return Err(CANNOT_SAY),
    };
    let issuer = uri.issuer().unwrap_or_default();
    let mut message = Zeroizing::new(Vec::with_capacity(message_bytes(uri)));
    put_bytes(&mut message, 1, uri.secret().expose_bytes());
    // Apps show the issuer separately, so the name usually has no prefix. A name that itself begins with the issuer and
    // a colon needs a prefix: without one, readers would cut off the beginning of the name.
    let begins = without_prefix(uri.account(), issuer).is_some();
    let prefix = if begins { &[issuer, ":"][..] } else { &[] };
    put_bytes(&mut message, 2, [prefix.concat().as_str(), uri.account()].concat().as_bytes());
    if !issuer.is_empty() {
        put_bytes(&mut message, 3, issuer.as_bytes());
    }
    put_number(&mut message, 4, uri.algorithm() as u64 + 1);
    put_number(&mut message, 5, digits);
    put_number(&mut message, 6, kind);
    if let Some(counter) = counter {
        put_number(&mut message, 7, counter);
    }
    Ok(message)
}

/// An upper bound on the length of an account's message. Reserving this much in advance keeps the buffer from growing.
fn message_bytes(uri: &KeyUri) -> usize {
    uri.secret().expose_bytes().len() + uri.account().len() + 2 * uri.issuer().map_or(0, str::len) + 64
}

fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(message, (field << 3) | 2);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn put_number(message: &mut Vec<u8>, field: u64, number: u64) {
    put_varint(message, field << 3);
    put_varint(message, number);
}

fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        message.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    message.push(number.to_le_bytes()[0]);
}

/// Iterates over the fields of a protocol buffer message. Holds the bytes that have not been read yet.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Bytes(&'a [u8]),
    Number(u64),
    /// A value of a wire type that no known field uses.
    Other,
}

impl<'a> Fields<'a> {
    /// Reads the next field. Returns `None` if the message is damaged and `Some(None)` at its end.
    #[allow(clippy::option_option, reason = "a damaged message is not the end of a message")]
    fn next(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some(Some((key >> 3, value)))
    }

    /// Reads a number that takes up at most ten bytes. The tenth byte has room for only one bit. Returns `None` if the
    /// number is longer or cut off.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && *byte > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

const PREFIX: &str = "otpauth-migration://offline?data=";

/// The maximum length of a payload, which is far more than a QR code can hold.
const MAX_BYTES: usize = 64 * 1024;

const CANNOT_SAY: Error = Error::new(
    ErrorKind::Migration,
    "a transfer holds TOTP of 30 seconds and HOTP, with six or eight digits and counters below 2^63",
);
const KIND_UNKNOWN: Error = Error::new(ErrorKind::Migration, "the account is neither TOTP nor HOTP");
const MALFORMED: Error =
    Error::new(ErrorKind::Migration, "this is not an otpauth-migration URI, or a part of it is missing");
