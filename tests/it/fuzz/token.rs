//! Proofs, the tokens of a login, generations, recovery codes and keyrings as text.

use keyfob::guard::{
    AuthenticatorId, Challenge, Context, DeviceId, DeviceToken, EnrollmentHandle, EnrollmentTicket, Expectation,
    Generation, Login, Proof, Purpose, SecondFactor, Setup, SignInMethod, Voucher,
};
use keyfob::{Keyring, Verdict};

use super::code::{is_separator, narrow};
use super::record::{ACCOUNT, NOW, genuine, keyring, policy, randomness, right_code, value};

pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let genuine = genuine();
    let (codes, proof) = (&genuine.codes, &genuine.proof);
    let (policy, keys) = (policy(), keyring());
    let context = Context::new(ACCOUNT, NOW, &policy, &keys).unwrap();
    let factor = SecondFactor::read(Some(&genuine.record)).unwrap();

    if let Ok(read) = Proof::from_token(text) {
        assert_eq!(read.token(""), text);
        let read = read.in_session("session");
        assert_eq!(factor.disable(&context, &read).is_ok(), text == proof.token("session"));
    }
    login(text, &factor, &context);

    let typed = recovery(text);
    if let Some(typed) = &typed {
        let Verdict::Accepted(accepted) = value(factor.verify(&context, text).unwrap()) else {
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
    assert_eq!(DeviceId::new(text).is_ok(), AuthenticatorId::new(text).is_ok());
}

/// A token of a login that is read prints the same text, and is accepted only if nothing was changed.
fn login(text: &str, factor: &SecondFactor, context: &Context<'_>) {
    let (genuine, random) = (genuine(), randomness(3));
    if let Ok(read) = Challenge::from_token(text) {
        assert_eq!(read.token(), text);
        assert_eq!(factor.answer(context, &read, &right_code()).is_ok(), text == genuine.challenge.token());
    }
    if let Ok(read) = EnrollmentTicket::from_token(text) {
        assert_eq!(read.token(), text);
        let (nobody, setup) = (SecondFactor::read(None).unwrap(), Setup::totp("al"));
        let enrolled = nobody.enroll_with_ticket(context, &random, "Example", &setup, &read);
        assert_eq!(enrolled.is_ok(), text == genuine.ticket.token());
        assert!(factor.enroll_with_ticket(context, &random, "Example", &setup, &read).is_err());
    }
    if let Ok(read) = Voucher::from_token(text) {
        assert_eq!(read.token(), text);
        assert_eq!(factor.redeem(context, &read).is_ok(), text == genuine.voucher.token());
    }
    if let Ok(read) = EnrollmentHandle::from_token(text) {
        assert_eq!(read.token(), text);
        let reopened = factor.reopen_enrollment(context, "Example", "al", &read);
        assert_eq!(reopened.is_ok(), text == genuine.handle.token());
    }
    if let Ok(read) = DeviceToken::from_token(text) {
        assert_eq!(read.token().as_str(), text);
        let trusted = text == genuine.trusted.token().as_str();
        let known = text == genuine.known.token().as_str();
        match value(factor.begin_login(context, &random, Expectation::Enrolled, Some(&read)).unwrap()) {
            Login::Complete(sign_in) => assert!(trusted && sign_in.method() == SignInMethod::TrustedDevice),
            Login::Challenge(challenge) => {
                assert!(!trusted);
                assert_eq!(challenge.token().contains(read.device().as_str()), known);
            }
            Login::MustEnroll(_) => panic!("the account has a second factor"),
        }
    }
    if let Ok(generation) = text.parse::<Generation>() {
        assert_eq!(generation.to_string(), text);
        assert_eq!(factor.is_current(generation), text == genuine.generation);
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
