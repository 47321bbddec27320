//! The XML of a key file, by the paths of its elements.
//!
//! There is no document type in PSKC, so a declaration of one is refused, and with it all entities but the five of XML.
//! Name spaces are not looked at: the names on a path are unambiguous, and writers disagree on who owns some of them.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use zeroize::Zeroizing;

use super::{File, Token, Value};
use crate::error::{Cause, Error};

pub(super) fn read(text: &str) -> Result<File, Error> {
    let malformed = || Error::new(Cause::PskcMalformed);
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut file = File::default();
    // The serial number, or nothing if it is damaged.
    let mut device = Some(String::new());
    let mut path: Vec<&'static str> = Vec::new();
    // Nothing once it is longer than any value.
    let mut content = Some(Zeroizing::new(String::new()));
    let mut closed = false;
    loop {
        // The parser's own error quotes the file.
        match reader.read_event().map_err(|_| malformed())? {
            Event::Start(tag) => {
                if closed || path.len() == MAX_DEPTH {
                    return Err(malformed());
                }
                path.push(known(tag.local_name().as_ref()));
                if path[..] == ["KeyContainer", "KeyPackage"] {
                    device = Some(String::new());
                }
                open(&mut file, &path, &tag, device.as_deref())?;
                content.get_or_insert_default().clear();
            }
            Event::End(_) => {
                match &content {
                    Some(content) => close(&mut file, &path, content, &mut device)?,
                    None => damaged(&mut file, &path, &mut device)?,
                }
                content.get_or_insert_default().clear();
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
                    _ => entity.resolve_char_ref().ok().flatten().ok_or_else(malformed)?,
                };
                push(&mut content, character.encode_utf8(&mut [0; 4]), &path);
            }
            Event::DocType(_) => return Err(malformed()),
            Event::Eof if closed => return Ok(file),
            Event::Eof => return Err(malformed()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// What an element says by its attributes.
fn open(file: &mut File, path: &[&str], tag: &BytesStart<'_>, device: Option<&str>) -> Result<(), Error> {
    let attribute = |name| {
        let found = tag.try_get_attribute(name).map_err(|_| Error::new(Cause::PskcMalformed))?;
        let value = found.map(|found| found.normalized_value(XmlVersion::Implicit1_0).map(String::from));
        value.transpose().map_err(|_| Error::new(Cause::PskcMalformed))
    };
    let uri = |name| attribute(name).map(Option::unwrap_or_default);
    match path {
        ["KeyContainer"] => {}
        ["KeyContainer", "EncryptionKey", "DerivedKey", "KeyDerivationMethod"] => {
            file.encryption.derivation = uri("Algorithm")?;
        }
        ["KeyContainer", "EncryptionKey", "DerivedKey", "KeyDerivationMethod", "PBKDF2-params", "PRF"] => {
            file.encryption.pseudo_random_function = uri("Algorithm")?;
        }
        ["KeyContainer", "MACMethod"] => file.encryption.mac = uri("Algorithm")?,
        ["KeyContainer", "MACMethod", "MACKey", "EncryptionMethod"] => {
            file.encryption.mac_key.algorithm = uri("Algorithm")?;
        }
        ["KeyContainer", "KeyPackage", "Key"] => {
            if file.tokens.len() == MAX_TOKENS {
                return Err(Error::new(Cause::ImportTooLarge));
            }
            let (id, algorithm) = (uri("Id")?, uri("Algorithm")?);
            let (serial, damaged) = (device.unwrap_or_default().to_owned(), device.is_none());
            file.tokens.push(Token { id, algorithm, serial, damaged, ..Token::default() });
        }
        ["KeyContainer", "KeyPackage", "Key", rest @ ..] => {
            let Some(token) = file.tokens.last_mut() else { return Ok(()) };
            match rest {
                ["AlgorithmParameters", "ResponseFormat"] => {
                    token.digits = attribute("Length")?;
                    token.encoding = uri("Encoding")?;
                    token.check_digit = matches!(uri("CheckDigits")?.as_str(), "true" | "1");
                }
                ["Data", name, "EncryptedValue", "EncryptionMethod"] => {
                    if let Some(value) = value(token, name) {
                        value.cipher.algorithm = uri("Algorithm")?;
                    }
                }
                _ => {}
            }
        }
        [_] => return Err(Error::new(Cause::PskcMalformed)),
        _ => {}
    }
    Ok(())
}

/// What an element says by its text.
fn close(file: &mut File, path: &[&str], content: &str, device: &mut Option<String>) -> Result<(), Error> {
    let encryption = &mut file.encryption;
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
        ["KeyContainer", "EncryptionKey", "DerivedKey", "KeyDerivationMethod", "PBKDF2-params", "IterationCount"] => {
            encryption.iterations = content.to_owned();
        }
        ["KeyContainer", "EncryptionKey", "DerivedKey", "KeyDerivationMethod", "PBKDF2-params", "KeyLength"] => {
            encryption.key_length = content.to_owned();
        }
        ["KeyContainer", "MACMethod", "MACKey", "CipherData", "CipherValue"] => {
            let first = put(&mut encryption.mac_key.data, content.to_owned());
            return if first { Ok(()) } else { Err(Error::new(Cause::PskcMalformed)) };
        }
        ["KeyContainer", "KeyPackage", "DeviceInfo", "SerialNo"] => *device = Some(content.trim().to_owned()),
        ["KeyContainer", "KeyPackage", "Key", rest @ ..] => {
            let Some(token) = file.tokens.last_mut() else { return Ok(()) };
            match rest {
                ["Issuer"] => content.trim().clone_into(&mut token.issuer),
                ["FriendlyName"] => content.trim().clone_into(&mut token.friendly_name),
                ["AlgorithmParameters", "Suite"] => content.trim().clone_into(&mut token.suite),
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
        }
        _ => {}
    }
    Ok(())
}

fn value<'t>(token: &'t mut Token, name: &str) -> Option<&'t mut Value> {
    match name {
        "Secret" => Some(&mut token.secret),
        "Counter" => Some(&mut token.counter),
        "TimeInterval" => Some(&mut token.interval),
        _ => None,
    }
}

/// An element whose text is too long. The other tokens of the file are as good as before.
fn damaged(file: &mut File, path: &[&str], device: &mut Option<String>) -> Result<(), Error> {
    match (path, file.tokens.last_mut()) {
        (["KeyContainer", "KeyPackage", "Key", ..], Some(token)) => token.damaged = true,
        (["KeyContainer", "KeyPackage", "DeviceInfo", ..], _) => *device = None,
        _ => return Err(Error::new(Cause::PskcMalformed)),
    }
    Ok(())
}

/// Whether it is the first value: of two secrets nobody knows which counts.
fn put<T>(place: &mut Option<T>, value: T) -> bool {
    place.replace(value).is_none()
}

/// The text of elements that mean something. It may be a secret, so what outgrows its buffer leaves no copy behind.
fn push(place: &mut Option<Zeroizing<String>>, text: &str, path: &[&str]) {
    if path.last().is_none_or(|name| name.is_empty()) {
        return;
    }
    let Some(content) = place else { return };
    let length = content.len() + text.len();
    if length > MAX_TEXT {
        *place = None;
        return;
    }
    if length > content.capacity() {
        let mut larger = Zeroizing::new(String::with_capacity(2 * length));
        larger.push_str(content);
        *content = larger;
    }
    content.push_str(text);
}

/// An element by its name, if it means something here, and else empty.
fn known(name: &str) -> &'static str {
    NAMES.into_iter().find(|known| *known == name).unwrap_or_default()
}

const NAMES: [&str; 31] = [
    "AlgorithmParameters",
    "CipherData",
    "CipherValue",
    "Counter",
    "Data",
    "DerivedKey",
    "DeviceInfo",
    "EncryptedValue",
    "EncryptionKey",
    "EncryptionMethod",
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
    "TimeInterval",
    "ValueMAC",
];

const MAX_DEPTH: usize = 32;
const MAX_TEXT: usize = 64 * 1024;
const MAX_TOKENS: usize = 1 << 16;
