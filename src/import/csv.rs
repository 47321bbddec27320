//! Reads comma-separated values (RFC 4180). A field is copied only when its value is needed.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

/// Removes the first record from `rest` and puts its fields, still quoted, into `fields`. The caller reuses `fields`
/// for all records, because a file may contain as many records as bytes. Returns `None` if the record has more than
/// `limit` fields or contains an unclosed quote.
///
/// A quote opens a quoted field only at the start of a field; elsewhere it is an ordinary character. If a quote is not
/// closed, the record is skipped up to the end of its line, and the following lines are read as records. Every quote in
/// those lines is doubled, because an undoubled quote would have closed the first quote. A file therefore has at most
/// one unclosed quote, and no line is read more than twice.
pub(super) fn record<'a>(rest: &mut &'a str, limit: usize, fields: &mut Vec<&'a str>) -> Option<()> {
    let text = *rest;
    let (mut start, mut quoted, mut closed) = (0, false, None);
    fields.clear();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if quoted => (quoted, closed) = (false, Some(at + 1)),
            // A quote inside a quoted field is doubled: the first quote closes the field, and the second quote reopens
            // it.
            b'"' => quoted = at == start || closed == Some(at),
            b',' | b'\n' if !quoted => {
                // Stop collecting at one field over the limit, which is enough to detect that there are too many
                // fields.
                if fields.len() <= limit {
                    fields.push(text.get(start..at)?);
                }
                start = at + 1;
                if byte == b'\n' {
                    *rest = text.get(start..)?;
                    return (fields.len() <= limit).then_some(());
                }
            }
            _ => {}
        }
    }
    if quoted {
        *rest = text.get(start..)?.split_once('\n').map_or("", |(_, behind)| behind);
        return None;
    }
    fields.push(text.get(start..)?);
    *rest = "";
    (fields.len() <= limit).then_some(())
}

/// Returns the value of a field without its quotes.
pub(super) fn text(field: &str) -> Zeroizing<String> {
    let field = field.trim();
    let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
    let mut text = Zeroizing::new(String::with_capacity(field.len()));
    let Some(inner) = inner else {
        text.push_str(field);
        return text;
    };
    for (index, part) in inner.split("\"\"").enumerate() {
        if index > 0 {
            text.push('"');
        }
        text.push_str(part);
    }
    text
}
