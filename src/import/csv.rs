//! Comma-separated values (RFC 4180), of which only the fields that are asked for are copied.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

/// Takes the first record off the text, and puts its fields as they stand there into `fields`, which is used again for
/// each: a file may have a record for each byte. `None` if it has more than so many, or a quote in it is not closed.
///
/// A quote opens only at the start of a field: elsewhere it is a character. One that is not closed costs the record up to
/// the end of its line, and the lines behind it are read as records. All quotes there stand in pairs, or one of them would
/// have closed it, so that there is no second one, and no line is read more than twice.
pub(super) fn record<'a>(rest: &mut &'a str, limit: usize, fields: &mut Vec<&'a str>) -> Option<()> {
    let text = *rest;
    let (mut start, mut quoted, mut closed) = (0, false, None);
    fields.clear();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if quoted => (quoted, closed) = (false, Some(at + 1)),
            // A quote inside a quoted field is written twice, and leaves and enters it.
            b'"' => quoted = at == start || closed == Some(at),
            b',' | b'\n' if !quoted => {
                // One more than the limit is known to be too many.
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

/// What a field stands for.
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
