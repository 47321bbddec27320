//! Typed codes: what is taken is what a plain rule takes, and has one canonical form.

use std::sync::LazyLock;

use keyfob::{Code, SteamCode};
use serde_json::Value;

pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    law(text, |text| Code::parse(text).ok().map(|code| code.to_string()), "0123456789", &[6, 7, 8]);
    let steam = |text: &str| SteamCode::parse(text).ok().map(|code| code.to_string());
    law(text, steam, "23456789BCDFGHJKMNPQRTVWXY", &[5]);
    if let Ok(code) = Code::parse(text) {
        assert_eq!(usize::from(code.digits().get()), code.to_string().len());
    }
}

#[allow(dead_code, reason = "a control of the campaign")]
pub fn planted(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let wrong = |text: &str| canonical(text, "0123456789").filter(|code| (6..=9).contains(&code.len()));
    law(text, wrong, "0123456789", &[6, 7, 8]);
}

fn law(text: &str, parse: impl Fn(&str) -> Option<String>, alphabet: &str, lengths: &[usize]) {
    let parsed = parse(text);
    assert_eq!(parsed, canonical(text, alphabet).filter(|code| lengths.contains(&code.len())));
    if let Some(canonical) = parsed {
        assert_eq!(parse(&canonical), Some(canonical));
    }
}

fn canonical(text: &str, alphabet: &str) -> Option<String> {
    let symbols = text.chars().filter(|c| !is_separator(*c)).map(|c| narrow(c).to_ascii_uppercase());
    let symbols: Option<String> = symbols.map(|c| alphabet.contains(c).then_some(c)).collect();
    symbols.filter(|_| text.len() <= 64)
}

/// By the data of Unicode.
pub fn is_separator(character: char) -> bool {
    let listed = |name| code_points(name).any(|listed| listed == u32::from(character));
    character.is_whitespace() || character == '\u{2212}' || listed("dashes") || listed("marks")
}

/// A digit of any script, or a full-width form, as the ASCII character that it stands for.
pub fn narrow(character: char) -> char {
    let digit = |zero| u32::from(character).checked_sub(zero).filter(|digit| *digit < 10);
    if let Some(digit) = code_points("zeros").find_map(digit) {
        return char::from_digit(digit, 10).unwrap();
    }
    match character {
        '！'..='～' => char::from_u32(u32::from(character) - 0xfee0).unwrap(),
        other => other,
    }
}

fn code_points(name: &'static str) -> impl Iterator<Item = u32> {
    static TYPED: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(include_str!("../../data/typed.json")).unwrap());
    TYPED[name].as_array().unwrap().iter().map(|point| u32::from_str_radix(point.as_str().unwrap(), 16).unwrap())
}
