//! Reads JSON without copying values. A value is a slice of the input, so there are no copies of secrets to wipe.
//!
//! `serde_json` only checks the grammar and finds where each value ends, without recursion. It copies field names, but
//! not values. `text` unescapes a string into a buffer that is wiped.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde_core::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{MALFORMED, MAX_ENTRIES, TOO_LARGE};
use crate::error;

/// Returns the values of the named fields of an object, or `None` if the object is invalid. A field that is `null`
/// counts as absent. If one of these fields is repeated, the object is invalid, because parsers disagree on which of
/// the values to use.
pub(super) fn fields<'a, const N: usize>(object: &'a str, names: [&str; N]) -> Option<[Option<&'a str>; N]> {
    let mut json = serde_json::Deserializer::from_str(object);
    let found = json.deserialize_map(Fields(names)).ok()?;
    json.end().ok()?;
    Some(found.map(|value| value.filter(|value| *value != "null")))
}

/// Returns the elements of an array. Fails if there are more elements than `MAX_ENTRIES`, which is the maximum number
/// of accounts in a file.
pub(super) fn elements(array: &str) -> Result<Vec<&str>, error::Error> {
    let mut too_many = false;
    let mut json = serde_json::Deserializer::from_str(array);
    let found = json.deserialize_seq(Elements(&mut too_many)).and_then(|found| json.end().map(|()| found));
    found.map_err(|_| if too_many { TOO_LARGE } else { MALFORMED })
}

/// Unescapes a string. `value` includes the surrounding quotes. Returns `None` if the value is not a string or a `\u`
/// escape is invalid.
pub(super) fn text(value: &str) -> Option<Zeroizing<String>> {
    let mut rest = value.strip_prefix('"')?.strip_suffix('"')?;
    // No escape is shorter than its character, so the buffer does not grow.
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let mut after = escape.chars();
        let character = match after.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (character, behind) = utf16(escape)?;
                after = behind.chars();
                character
            }
            other => other,
        };
        text.push(character);
        rest = after.as_str();
    }
    text.push_str(rest);
    Some(text)
}

/// Parses a `\u` escape and returns its character and the text after it. `escape` begins with the `u`. A character
/// above U+FFFF is written as a surrogate pair, which consists of two escapes.
fn utf16(escape: &str) -> Option<(char, &str)> {
    let (first, rest) = unit(escape)?;
    if let Some(Ok(character)) = char::decode_utf16([first]).next() {
        return Some((character, rest));
    }
    let (second, rest) = unit(rest.strip_prefix('\\')?)?;
    Some((char::decode_utf16([first, second]).next()?.ok()?, rest))
}

fn unit(escape: &str) -> Option<(u16, &str)> {
    let (digits, rest) = escape.strip_prefix('u')?.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value::<&RawValue>()?.get();
            let slot = found.iter_mut().zip(self.0).find(|(_, known)| *known == name);
            if slot.is_some_and(|(slot, _)| slot.replace(value).is_some()) {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok(found)
    }
}

struct Elements<'t>(&'t mut bool);

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(element) = seq.next_element::<&RawValue>()? {
            if found.len() == MAX_ENTRIES {
                *self.0 = true;
                return Err(A::Error::custom("too many"));
            }
            found.push(element.get());
        }
        Ok(found)
    }
}
