//! Comma-separated values (RFC 4180), of which only the fields that are asked for are copied.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

/// Takes the first record off the text: its fields as they stand there. `None` if a quote is not closed, or if there
/// are more fields than any table has.
pub(super) fn record<'a>(rest: &mut &'a str) -> Option<Vec<&'a str>> {
    let text = *rest;
    let mut fields = Vec::new();
    let (mut quoted, mut start) = (false, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            // A quote inside a quoted field is written twice, and leaves and enters it.
            b'"' => quoted = !quoted,
            b',' | b'\n' if !quoted => {
                fields.push(text.get(start..at)?);
                start = at + 1;
                if byte == b'\n' {
                    *rest = text.get(start..)?;
                    return Some(fields);
                }
                if fields.len() == MAX_FIELDS {
                    return None;
                }
            }
            _ => {}
        }
    }
    if quoted {
        return None;
    }
    fields.push(text.get(start..)?);
    *rest = "";
    Some(fields)
}

/// What a field stands for.
pub(super) fn text(field: &str) -> Zeroizing<String> {
    let field = field.trim();
    let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"')).unwrap_or(field);
    let mut text = Zeroizing::new(String::with_capacity(inner.len()));
    for (place, part) in inner.split("\"\"").enumerate() {
        if place > 0 {
            text.push('"');
        }
        text.push_str(part);
    }
    text
}

const MAX_FIELDS: usize = 256;
