//! Repairs or refuses URIs that were escaped one time too many. Some were copied from the source of a web page, where
//! `&` is written as `&amp;`. Others were percent-encoded as a whole.
//!
//! A parser that splits such a URI at `&` finds unknown parameters such as `amp;digits` and ignores them. It then
//! computes codes with the default settings. `unescaped` repairs unambiguous HTML escapes; `is_reserved` and
//! `check_hidden` detect other damaged parameters, so that the URI is refused.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// Resolves HTML character references, or returns `None` if there are none.
///
/// An escaped `&` separates parameters, except in two places, where it is part of a name and becomes `%26`: in the
/// label, and in the value of the issuer, if no parameter follows the `&` (`AT&amp;T`).
pub(super) fn unescaped(uri: &str) -> Option<Zeroizing<String>> {
    // A reference is never shorter than the character that it stands for, so the buffer never grows. Growing would
    // leave a copy of the secret in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(uri.len()));
    let mut ampersands = Vec::new();
    let mut is_escaped = false;
    let mut rest = uri;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let (mut character, mut is_reference) = ('&', false);
        rest = after;
        // Use a loop, because a page may escape a URI that is already escaped (`&amp;amp;`).
        while let Some((referred, after)) = (character == '&').then(|| reference(rest)).flatten() {
            (character, rest, is_reference) = (referred, after, true);
        }
        if is_reference && character == '&' {
            ampersands.push(text.len());
        }
        is_escaped |= is_reference;
        text.push(character);
    }
    text.push_str(rest);
    is_escaped.then(|| separated(&text, &ampersands))
}

/// Replaces each ampersand that is part of a name with `%26`. `ampersands` contains the positions to check.
fn separated(text: &str, ampersands: &[usize]) -> Zeroizing<String> {
    let mut separated = Zeroizing::new(String::with_capacity(text.len() + 2 * ampersands.len()));
    let query = text.find('?').unwrap_or(text.len());
    let mut start = 0;
    for &ampersand in ampersands {
        separated.push_str(text.get(start..ampersand).unwrap_or_default());
        let after = text.get(ampersand + 1..).unwrap_or_default();
        let is_rest = after.split('&').next().is_some_and(|piece| !piece.is_empty() && !piece.contains('='));
        let is_issuer = separated.rsplit(['?', '&']).next().and_then(|piece| piece.split_once('='));
        let is_issuer = is_issuer.is_some_and(|(name, _)| name.eq_ignore_ascii_case("issuer"));
        let is_name = ampersand < query || (is_issuer && is_rest);
        separated.push_str(if is_name { "%26" } else { "&" });
        start = ampersand + 1;
    }
    separated.push_str(text.get(start..).unwrap_or_default());
    separated
}

/// Parses a character reference. Returns the character and the text after the reference. `text` begins after the `&`.
fn reference(text: &str) -> Option<(char, &str)> {
    closed_reference(text).or_else(|| {
        // Tolerate a missing semicolon only before a known parameter, because otherwise `&amp` may be the beginning of
        // an unknown parameter.
        let rest = without_ampersand(text)?;
        let name = rest.split(|c: char| !c.is_ascii_alphabetic()).next()?;
        let after = rest.strip_prefix(name)?;
        let equals = || closed_reference(after.strip_prefix('&')?).filter(|(character, _)| *character == '=');
        (is_known(name) && (after.starts_with('=') || equals().is_some())).then_some(('&', rest))
    })
}

fn closed_reference(text: &str) -> Option<(char, &str)> {
    let name = text.split(|c: char| c != '#' && !c.is_ascii_alphanumeric()).next()?;
    let rest = text.strip_prefix(name)?.strip_prefix(';')?;
    let character = match name.strip_prefix('#') {
        Some(number) => {
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
        None => NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1,
    };
    Some((character, rest))
}

/// Returns the text after `amp`, `#38` or `#x26`, or `None` if `text` begins with none of them. The `#` is optional,
/// because `is_reserved` removes it.
fn without_ampersand(text: &str) -> Option<&str> {
    match text.split_at_checked(3) {
        Some((amp, rest)) if amp.eq_ignore_ascii_case("amp") => return Some(rest),
        _ => {}
    }
    let number = text.strip_prefix('#').unwrap_or(text);
    match number.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => hexadecimal.trim_start_matches('0').strip_prefix("26"),
        None => number.trim_start_matches('0').strip_prefix("38"),
    }
}

/// Whether `name` is a known parameter or a damaged form of a known parameter, such as ` digits`, `amp;digits` or
/// `#38digits`.
pub(super) fn is_reserved(name: &str) -> bool {
    name.split(';').any(|part| {
        let plain: String = part.chars().filter(char::is_ascii_alphanumeric).collect();
        is_known(&plain) || without_ampersand(&plain).is_some_and(is_known)
    })
}

/// Refuses a name or a value that contains a separator followed by a known parameter, such as `Example&amp;digits=8`.
pub(super) fn check_hidden(part: &'static str, text: &str, separators: &[char]) -> Result<(), Error> {
    let is_hidden = text.match_indices('=').any(|(equals, _)| {
        let before = text.get(..equals).unwrap_or_default().trim_end();
        let rest = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
        // Check the separator first. Without a separator, the text before the `=` may be the secret, and `is_reserved`
        // would leave a copy of it in freed memory.
        rest.trim_end().ends_with(separators) && before.strip_prefix(rest).is_some_and(is_reserved)
    });
    if is_hidden { Err(PARAMETER_INSIDE.word(part)) } else { Ok(()) }
}

fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Characters that may precede a parameter in damaged text. Only the first two also separate parameters in other URI
/// formats.
pub(super) const SEPARATORS: [char; 4] = ['&', ';', '?', '#'];

/// The parameters that keyfob interprets.
const KNOWN: [&str; 7] = ["secret", "issuer", "algorithm", "digits", "period", "counter", "encoder"];

/// The named HTML references that programs write for characters in a URI. The reference `period` is left out, because
/// `period` is also a parameter.
const NAMED: [(&str, char); 17] = [
    ("amp", '&'),
    ("apos", '\''),
    ("colon", ':'),
    ("comma", ','),
    ("commat", '@'),
    ("equals", '='),
    ("gt", '>'),
    ("lowbar", '_'),
    ("lt", '<'),
    ("nbsp", '\u{a0}'),
    ("num", '#'),
    ("percnt", '%'),
    ("plus", '+'),
    ("quest", '?'),
    ("quot", '"'),
    ("semi", ';'),
    ("sol", '/'),
];

const PARAMETER_INSIDE: Error = Error::new(
    ErrorKind::Uri,
    "the {} contains another parameter, as in Example&amp;digits=8; separate parameters by a plain &",
);
