//! Proofs, recovery codes and keyrings as text.

use keyfob::guard::{AuthenticatorId, Context, Proof, Purpose, SecondFactor};
use keyfob::store::Swap;
use keyfob::{Keyring, Policy, Verdict};

use super::code::{is_separator, narrow};
use super::record::{ACCOUNT, NOW, genuine, keyring};

pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (record, codes, proof) = genuine();
    let (policy, keys) = (Policy::default(), keyring());
    let context = Context::new(ACCOUNT, NOW, &policy, &keys).unwrap();
    let factor = SecondFactor::read(Some(record)).unwrap();

    if let Ok(read) = Proof::from_token(text) {
        assert_eq!(read.token(), text);
        assert_eq!(factor.disable(&context, &read).is_ok(), text == proof.token());
    }

    let typed = recovery(text);
    if let Some(typed) = &typed {
        let Verdict::Accepted(accepted) =
            factor.verify(&context, text).unwrap().committed(Swap::Swapped).unwrap().value
        else {
            assert!(!codes.iter().any(|code| code.replace('-', "") == *typed));
            return;
        };
        assert!(accepted.authenticator().is_none() && codes.iter().any(|code| code.replace('-', "") == *typed));
    }

    assert_eq!(Keyring::parse(text).is_ok(), ring(text));
    if let Ok(keys) = Keyring::parse(text) {
        assert!(text.contains(keys.primary().as_str()));
    }
    if let Ok(purpose) = Purpose::application(text) {
        assert_ne!(purpose, Purpose::DISABLE);
    }
    if let Ok(id) = AuthenticatorId::new(text) {
        assert_eq!(id.as_str(), text);
    }
}

fn recovery(text: &str) -> Option<String> {
    let symbols = text.chars().filter(|c| !is_separator(*c)).map(|c| match narrow(c).to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    });
    let code: String = symbols.collect();
    let alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (text.len() <= 128 && code.len() == 24 && code.chars().all(|c| alphabet.contains(c))).then_some(code)
}

fn ring(text: &str) -> bool {
    let entries: Vec<&str> =
        text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty()).collect();
    let mut ids: Vec<&str> = Vec::new();
    let good = entries.iter().all(|entry| {
        let Some((id, key)) = entry.split_once(':') else { return false };
        let named = (1..=32).contains(&id.len())
            && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !ids.contains(&id);
        ids.push(id);
        named && keyfob::base32::decode(key).is_ok_and(|key| key.len() == 32)
    });
    good && !entries.is_empty()
}
