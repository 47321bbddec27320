//! Reads the XML of a key file. Elements are identified by their paths.
//!
//! PSKC defines no document type, so a file with a document type declaration is refused. The only possible references
//! are therefore the five predefined entities and character references. Namespaces are ignored: element names are
//! unambiguous without them, and writers disagree on the namespace of some elements.
//!
//! The elements that define how codes are computed must be where RFC 6030 puts them. A key is marked as unclear if one
//! of these elements is elsewhere, or if its parameters or data contain an element that does not belong there, because
//! keyfob cannot tell how the codes of such a key are computed.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use zeroize::Zeroizing;

use super::cipher::Encryption;
use super::{ELEMENT, Token, Value};
use crate::encoding::{MAX_ENTRIES, TOO_LARGE};
use crate::error::{Error, ErrorKind};

/// Calls `each` with every token when its element ends. The second argument is its device's serial number, or `None` if
/// the serial number is damaged. Returns the encryption parameters of the file.
pub(super) fn read(text: &str, each: impl FnMut(&Token, Option<&str>)) -> Result<Encryption, Error> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut file =
        File { encryption: Encryption::default(), device: Some(String::new()), token: None, number: 0, each };
    let mut path: Vec<&'static str> = Vec::new();
    // The text of the current element, or `None` if it exceeds `MAX_TEXT`.
    let mut content = Some(Zeroizing::new(String::new()));
    let mut closed = false;
    loop {
        // Replace the parser's error, because its message would quote the file, which contains secrets.
        match reader.read_event().map_err(|_| MALFORMED)? {
            Event::Start(tag) => {
                if closed || path.len() == MAX_DEPTH {
                    return Err(MALFORMED);
                }
                file.stray(&path, content.as_ref().map(|content| content.as_str()));
                path.push(known(tag.local_name().as_ref()));
                file.open(&path, &tag)?;
                content.get_or_insert_default().clear();
            }
            Event::End(_) => {
                file.stray(&path, content.as_ref().map(|content| content.as_str()));
                match &content {
                    Some(content) => file.close(&path, content)?,
                    None => file.damaged(&path)?,
                }
                content.get_or_insert_default().clear();
                file.end(&path);
                path.pop();
                closed = path.is_empty();
            }
            Event::Text(text) => push(&mut content, &text, &path),
            Event::CData(text) => push(&mut content, &text, &path),
            Event::GeneralRef(entity) => {
                let character = match &*entity {
                    "amp" => '&',
                    "apos" => '\'',
                    "gt" => '>',
                    "lt" => '<',
                    "quot" => '"',
                    _ => entity.resolve_char_ref().ok().flatten().ok_or(MALFORMED)?,
                };
                push(&mut content, character.encode_utf8(&mut [0; 4]), &path);
            }
            Event::DocType(_) => return Err(MALFORMED),
            Event::Eof if closed => return Ok(file.encryption),
            Event::Eof => return Err(MALFORMED),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

struct File<F> {
    encryption: Encryption,
    /// The serial number of the current device, or `None` if it is damaged.
    device: Option<String>,
    /// The token that is being read, and the length of its path.
    token: Option<(Token, usize)>,
    number: usize,
    each: F,
}

impl<F: FnMut(&Token, Option<&str>)> File<F> {
    /// Handles the start of an element and reads its attributes.
    fn open(&mut self, path: &[&'static str], tag: &BytesStart<'_>) -> Result<(), Error> {
        let attribute = |name| attribute(tag, name);
        let uri = |name| attribute(name).map(Option::unwrap_or_default);
        if let Some((token, depth)) = &mut self.token {
            let rest = path.get(*depth..).unwrap_or_default();
            match rest {
                ["AlgorithmParameters", "ResponseFormat"] => {
                    match attribute("Length")? {
                        Some(digits) => token.damaged |= !put(&mut token.digits, digits),
                        None => token.unclear = Some("ResponseFormat"),
                    }
                    token.encoding = uri("Encoding")?;
                    token.check_digit = uri("CheckDigits")?;
                }
                ["AlgorithmParameters", "Suite"] => {
                    if let Some(name) = attribute("hashalgo")? {
                        token.damaged |= !put(&mut token.suite, name);
                    }
                }
                ["Data", name] => {
                    if let Some(value) = value(token, name) {
                        value.is_there = true;
                    }
                }
                ["Data", name, "EncryptedValue", "EncryptionMethod"] => {
                    if let Some(value) = value(token, name) {
                        value.cipher.algorithm = uri("Algorithm")?;
                    }
                }
                _ => {}
            }
            if let Some(name) = unclear(rest, tag)? {
                token.unclear = token.unclear.or(Some(name));
            }
            return Ok(());
        }
        match path {
            ["KeyContainer"] => {}
            [_] => return Err(MALFORMED),
            ["KeyContainer", "KeyPackage" | "Device"] => self.device = Some(String::new()),
            ["KeyContainer", "EncryptionKey", "DerivedKey", "KeyDerivationMethod"] => {
                self.encryption.derivation = uri("Algorithm")?;
            }
            ["KeyContainer", "EncryptionKey", "DerivedKey", "KeyDerivationMethod", "PBKDF2-params", "PRF"] => {
                self.encryption.pseudo_random_function = uri("Algorithm")?;
            }
            ["KeyContainer", "MACMethod"] => self.encryption.mac = uri("Algorithm")?,
            ["KeyContainer", "MACMethod", "MACKey", "EncryptionMethod"] => {
                self.encryption.mac_key.algorithm = uri("Algorithm")?;
            }
            [.., "Key"] if !path.iter().any(|name| EXTENSIONS.contains(name)) => {
                if self.number == MAX_ENTRIES {
                    return Err(TOO_LARGE);
                }
                self.number += 1;
                let (id, algorithm) = (uri("Id")?, uri("Algorithm")?);
                let in_package = path == ["KeyContainer", "KeyPackage", "Key"];
                let is_draft = !in_package || attribute("KeyId")?.is_some() || attribute("KeyAlgorithm")?.is_some();
                self.token = Some((Token { id, algorithm, is_draft, ..Token::default() }, path.len()));
            }
            // Refuse an unclear element outside a key, because it is unknown which keys it applies to.
            _ => {
                if let Some(name) = unclear(path, tag)? {
                    return Err(ELEMENT.word(name));
                }
            }
        }
        Ok(())
    }

    /// Handles the end of an element and reads its text.
    fn close(&mut self, path: &[&str], content: &str) -> Result<(), Error> {
        if let Some((token, depth)) = &mut self.token {
            match path.get(*depth..).unwrap_or_default() {
                ["Issuer"] => content.trim().clone_into(&mut token.issuer),
                ["FriendlyName"] => content.trim().clone_into(&mut token.friendly_name),
                ["AlgorithmParameters", "Suite"] if token.suite.is_none() || !content.trim().is_empty() => {
                    token.damaged |= !put(&mut token.suite, content.trim().to_owned());
                }
                ["Data", name, inner @ ..] => {
                    let Some(value) = value(token, name) else { return Ok(()) };
                    let first = match inner {
                        ["PlainValue"] => put(&mut value.plain, Zeroizing::new(content.to_owned())),
                        ["EncryptedValue", "CipherData", "CipherValue"] => {
                            put(&mut value.cipher.data, content.to_owned())
                        }
                        ["ValueMAC"] => put(&mut value.mac, content.to_owned()),
                        _ => true,
                    };
                    token.damaged |= !first;
                }
                _ => {}
            }
            return Ok(());
        }
        let encryption = &mut self.encryption;
        match path {
            [
                "KeyContainer",
                "EncryptionKey",
                "DerivedKey",
                "KeyDerivationMethod",
                "PBKDF2-params",
                "Salt",
                "Specified",
            ] => encryption.salt = content.to_owned(),
            [
                "KeyContainer",
                "EncryptionKey",
                "DerivedKey",
                "KeyDerivationMethod",
                "PBKDF2-params",
                "IterationCount",
            ] => {
                encryption.iterations = content.to_owned();
            }
            ["KeyContainer", "EncryptionKey", "DerivedKey", "KeyDerivationMethod", "PBKDF2-params", "KeyLength"] => {
                encryption.key_length = content.to_owned();
            }
            ["KeyContainer", "MACMethod", "MACKey", "CipherData", "CipherValue"]
                if !put(&mut encryption.mac_key.data, content.to_owned()) =>
            {
                return Err(MALFORMED);
            }
            ["KeyContainer", "KeyPackage", "DeviceInfo", "SerialNo"] => self.device = Some(content.trim().to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// Marks the token as unclear if there is text in an element that should contain only other elements or attributes.
    fn stray(&mut self, path: &[&'static str], content: Option<&str>) {
        let Some((token, depth)) = &mut self.token else { return };
        let (["Data", name]
        | ["AlgorithmParameters", name @ "ResponseFormat"]
        | [name @ ("AlgorithmParameters" | "Data")]) = path.get(*depth..).unwrap_or_default()
        else {
            return;
        };
        if content.is_none_or(|content| !content.trim().is_empty()) {
            token.unclear = token.unclear.or(Some(name));
        }
    }

    /// Handles an element whose text is too long. Inside a token, the token is marked as damaged. Inside `DeviceInfo`,
    /// the serial number is marked as damaged. Elsewhere, the file is refused.
    fn damaged(&mut self, path: &[&str]) -> Result<(), Error> {
        match (path, &mut self.token) {
            (_, Some((token, _))) => token.damaged = true,
            (["KeyContainer", "KeyPackage", "DeviceInfo", ..], None) => self.device = None,
            _ => return Err(MALFORMED),
        }
        Ok(())
    }

    /// Passes the current token to `each` if its element ends here.
    fn end(&mut self, path: &[&str]) {
        if let Some((token, _)) = self.token.take_if(|(_, depth)| *depth == path.len()) {
            (self.each)(&token, self.device.as_deref());
        }
    }
}

/// Returns the name of an element that RFC 6030 does not allow because it is misplaced, contains an unknown element, or
/// has an unknown attribute. Returns `Ok(None)` if there is no such element. Inside a key, `path` is relative to the
/// key.
fn unclear(path: &[&'static str], tag: &BytesStart<'_>) -> Result<Option<&'static str>, Error> {
    let attributes: &[&str] = match path {
        _ if path.iter().any(|name| EXTENSIONS.contains(name)) => return Ok(None),
        ["AlgorithmParameters", "ResponseFormat"] => &["Length", "Encoding", "CheckDigits"],
        ["AlgorithmParameters", "Suite"] => &["hashalgo"],
        ["Data", "Counter" | "Secret" | "TimeInterval"] | ["AlgorithmParameters" | "Data"] => &[],
        ["AlgorithmParameters", "ChallengeFormat"] | ["Data", "Time" | "TimeDrift"] => return Ok(None),
        [name @ ("AlgorithmParameters" | "Data"), _]
        | ["AlgorithmParameters", name @ ("ResponseFormat" | "Suite"), ..]
        | [.., name @ ("Counter" | "ResponseFormat" | "Secret" | "Suite" | "TimeInterval")] => return Ok(Some(name)),
        _ => return Ok(None),
    };
    let is_lowercase = is_lowercase(tag);
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| MALFORMED)?;
        let name: &str = attribute.key.as_ref();
        let is_known = |known: &&str| *known == name || is_lowercase && known.to_ascii_lowercase() == name;
        // Namespace declarations and attributes from other namespaces are allowed.
        if !name.contains(':') && name != "xmlns" && !attributes.iter().any(is_known) {
            return Ok(path.last().copied());
        }
    }
    Ok(None)
}

/// Reads an attribute. If the element's name is in lowercase, the attribute's name may be too.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, Error> {
    let get = |name: &str| tag.try_get_attribute(name).map_err(|_| MALFORMED);
    let lowercase = name.to_ascii_lowercase();
    let found = match (get(name)?, is_lowercase(tag) && lowercase != name) {
        (Some(_), true) if get(&lowercase)?.is_some() => return Err(MALFORMED),
        (None, true) => get(&lowercase)?,
        (found, _) => found,
    };
    let value = found.map(|found| found.normalized_value(XmlVersion::Implicit1_0).map(String::from));
    value.transpose().map_err(|_| MALFORMED)
}

/// Returns whether the element's name is in lowercase. privacyIDEA writes all element and attribute names in lowercase.
fn is_lowercase(tag: &BytesStart<'_>) -> bool {
    let name = tag.local_name();
    let name: &str = name.as_ref();
    !name.contains(|c: char| c.is_ascii_uppercase())
}

fn value<'t>(token: &'t mut Token, name: &str) -> Option<&'t mut Value> {
    match name {
        "Secret" => Some(&mut token.secret),
        "Counter" => Some(&mut token.counter),
        "TimeInterval" => Some(&mut token.interval),
        _ => None,
    }
}

/// Stores a value and returns whether the slot was empty. Callers refuse a repeated value, because it is unclear which
/// one to use.
fn put<T>(slot: &mut Option<T>, value: T) -> bool {
    slot.replace(value).is_none()
}

/// Collects the text of known elements. The text may be a secret, so the buffer does not grow in place: it is replaced
/// by a larger buffer, and the old buffer is wiped.
fn push(buffer: &mut Option<Zeroizing<String>>, text: &str, path: &[&str]) {
    if path.last().is_none_or(|name| name.is_empty()) {
        return;
    }
    let Some(content) = buffer else { return };
    let length = content.len() + text.len();
    if length > MAX_TEXT {
        *buffer = None;
        return;
    }
    if length > content.capacity() {
        let mut larger = Zeroizing::new(String::with_capacity(2 * length));
        larger.push_str(content);
        *content = larger;
    }
    content.push_str(text);
}

/// Returns the static name of a known element, or an empty string.
fn known(name: &str) -> &'static str {
    NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name)).unwrap_or_default()
}

/// Elements that contain third-party extensions. An extension may contain elements named `Key`, which are not tokens.
const EXTENSIONS: [&str; 2] = ["Extension", "Extensions"];

const NAMES: [&str; 37] = [
    "AlgorithmParameters",
    "ChallengeFormat",
    "CipherData",
    "CipherValue",
    "Counter",
    "Data",
    "DerivedKey",
    "Device",
    "DeviceInfo",
    "EncryptedValue",
    "EncryptionKey",
    "EncryptionMethod",
    "Extension",
    "Extensions",
    "FriendlyName",
    "Issuer",
    "IterationCount",
    "Key",
    "KeyContainer",
    "KeyDerivationMethod",
    "KeyLength",
    "KeyPackage",
    "MACKey",
    "MACMethod",
    "PBKDF2-params",
    "PRF",
    "PlainValue",
    "ResponseFormat",
    "Salt",
    "Secret",
    "SerialNo",
    "Specified",
    "Suite",
    "Time",
    "TimeDrift",
    "TimeInterval",
    "ValueMAC",
];

const MAX_DEPTH: usize = 32;
const MAX_TEXT: usize = 64 * 1024;

const MALFORMED: Error = Error::new(ErrorKind::Pskc, "this is not a key file (PSKC, RFC 6030), or it is damaged");
