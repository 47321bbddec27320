//! Normalizes typed and pasted text: digits of other scripts, full-width letters, separators, and the invisible marks
//! that apps and clipboards add.

use crate::ct;

/// Iterates over the symbols of a typed code as ASCII. Separators are dropped, and digits of all scripts and full-width
/// letters are converted. `alphabet` returns a mask of all ones for a symbol. Text longer than `max_bytes` is not read:
/// the iterator yields only [`Unreadable::TooLong`].
///
/// Scripts may be mixed, because each digit is recognized on its own.
pub(crate) fn symbols(
    text: &str,
    max_bytes: usize,
    alphabet: impl Fn(u8) -> u64 + Copy,
) -> impl Iterator<Item = Result<u8, Unreadable>> {
    let too_long = text.len() > max_bytes;
    let pieces = pieces(if too_long { "" } else { text }, alphabet).filter_map(move |piece| match piece {
        Piece::Symbol(symbol) => Some(Ok(symbol)),
        Piece::Other(character) => {
            let narrow = narrow(character);
            // This result may be public: the values of symbols are secret, but not which characters are symbols.
            if ct::declassify(alphabet(narrow)) {
                return Some(Ok(narrow));
            }
            (!is_separator(character)).then_some(Err(Unreadable::Character))
        }
    });
    too_long.then_some(Err(Unreadable::TooLong)).into_iter().chain(pieces)
}

/// Why typed text cannot be read.
#[derive(Clone, Copy)]
pub(crate) enum Unreadable {
    /// A character is neither a symbol nor a separator.
    Character,
    TooLong,
}

/// Splits typed or pasted text into symbols and other characters.
///
/// Bytes for which `alphabet` returns a mask of all ones may belong to a secret, but their positions are public. Any
/// other character could be a digit in another script, and therefore part of a code, so only its first byte is treated
/// as public.
pub(crate) fn pieces(text: &str, alphabet: impl Fn(u8) -> u64) -> impl Iterator<Item = Piece> {
    let mut position = 0;
    core::iter::from_fn(move || {
        let byte = *text.as_bytes().get(position)?;
        if ct::declassify(alphabet(byte)) {
            position += 1;
            return Some(Piece::Symbol(byte));
        }
        let character = text.get(position..)?.chars().next()?;
        // The length of the character follows from its first byte, which reveals only the script. The other bytes may
        // reveal the digit, so they are not used here.
        position += match byte {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        Some(Piece::Other(character))
    })
}

pub(crate) enum Piece {
    /// A byte that is in the alphabet.
    Symbol(u8),
    Other(char),
}

/// Characters that are ignored between and around symbols.
pub(crate) fn is_separator(character: char) -> bool {
    character.is_whitespace() || DASHES.contains(character) || is_mark(character)
}

/// Invisible characters: the soft hyphen, zero-width characters, and directional marks, embeddings, overrides and
/// isolates. Apps and clipboards put these around digits so that the digits stay in order in right-to-left text.
const fn is_mark(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Returns the ASCII form of a full-width character or of a digit of another script. For all other characters, returns
/// 0, which is in no alphabet. Every script is checked, so the time does not depend on the digit.
fn narrow(character: char) -> u8 {
    let point = u32::from(character);
    let folded = |first, last, ascii: u8| {
        let offset = u64::from(point.wrapping_sub(first));
        ct::mask_between(point, first, last) & (u64::from(ascii).wrapping_add(offset))
    };
    let wide = folded(0xff01, 0xff5e, b'!');
    let digit = ZEROS.iter().fold(0, |digit, &zero| digit | folded(zero, zero + 9, b'0'));
    (wide | digit).to_le_bytes()[0]
}

/// The zero digit of each script in the general category Nd of Unicode 18, except ASCII and full-width ASCII. The
/// digits 1 to 9 follow each zero.
const ZEROS: [u32; 75] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6, 0x0e50,
    0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136,
    0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0,
    0x11c50, 0x11d50, 0x11da0, 0x11de0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1ccf0, 0x1d7ce,
    0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0,
];

/// The characters in the general category Pd of Unicode 18, and the minus sign.
const DASHES: &str = "-\u{58a}\u{5be}\u{1400}\u{1806}\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2212}\u{2e17}\
    \u{2e1a}\u{2e3a}\u{2e3b}\u{2e40}\u{2e5d}\u{301c}\u{3030}\u{30a0}\u{fe31}\u{fe32}\u{fe58}\u{fe63}\u{ff0d}\
    \u{10d6e}\u{10ead}";
