//! Typed codes: what is taken is what a plain rule takes, and has one canonical form.

use keyfob::{Code, SteamCode};

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
    let symbols = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '－'));
    let narrow = |c: char| match c {
        '！'..='～' => char::from_u32(u32::from(c) - 0xfee0).unwrap().to_ascii_uppercase(),
        other => other.to_ascii_uppercase(),
    };
    let symbols: Option<String> = symbols.map(narrow).map(|c| alphabet.contains(c).then_some(c)).collect();
    symbols.filter(|_| text.len() <= 64)
}
