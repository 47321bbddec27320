//! Stored records: what is read is written and read again, and a seal that was damaged lets nobody in.

use std::time::Duration;

use keyfob::guard::{
    Accepted, Adoptee, Adoption, Answer, Challenge, Change, Committed, Context, DeviceToken, EnrollmentHandle,
    EnrollmentTicket, Expectation, GuardError, GuardErrorKind, Login, Proof, Randomness, RecoveryCodes, SecondFactor,
    Setup, SignInMethod, Transition, Voucher,
};
use keyfob::store::Swap;
use keyfob::{Hotp, KeyUri, Keyring, Policy, Secret, Verdict};
use serde_json::{Value, json};

use crate::random::Random;

pub const NOW: u64 = 1_900_000_000;
pub const ACCOUNT: &str = "al";

/// For how long a device can be trusted.
const MONTH: Duration = Duration::from_secs(30 * 86_400);

pub fn run(data: &[u8]) {
    let Ok(factor) = SecondFactor::read(Some(data)) else { return };
    let (policy, keys) = (policy(), keyring());
    let context = Context::new(ACCOUNT, NOW, &policy, &keys).unwrap();
    let random = randomness(7);
    let read: Value = serde_json::from_slice(data).unwrap();
    let status = factor.status(&context);
    assert!((0.0..=1.0).contains(&status.guess_probability(Duration::from_secs(86_400))));
    if let Some(at) = status.retry_at() {
        // If a device is known, a quarter of the budget is reserved, and may have been used up before.
        let longest = if status.devices().is_empty() { 1 } else { 10 };
        assert!(at >= NOW && at - NOW <= longest * 86_400);
    }

    // Once a confirmed enrollment is active, the factors have changed.
    let confirmed = read["pending"]["confirmed"] == 1;
    // An operator who ends waits writes what was read, in one spelling.
    if let Some(first) = written(factor.operator_unlock(&context, &crate::operator())) {
        let again = SecondFactor::read(Some(&first)).unwrap();
        assert_eq!(written(again.operator_unlock(&context, &crate::operator())).unwrap(), first);
        let wrote: Value = serde_json::from_slice(&first).unwrap();
        let absent = [Value::Null, json!(0), json!(false), json!([])];
        let said = |value: &Value, name: &str| value.get(name).filter(|value| !absent.contains(value)).cloned();
        let names = ["v", "epoch", "suspended", "recovery", "logins", "notices", "revoked"];
        let names = names.into_iter().filter(|name| !(confirmed && *name == "revoked"));
        let more = ["generation", "removed", "devices", "voucher"].into_iter().filter(|_| !confirmed);
        for name in names.chain(more) {
            assert_eq!(said(&read, name), said(&wrote, name));
        }
    }
    let _ = written(factor.operator_invalidate_codes(&context, &crate::operator()));
    let _ = written(factor.operator_invalidate_recent_codes(&context, &crate::operator()));
    let _ = written(factor.operator_unlock(&context, &crate::operator()));
    let _ = written(factor.reseal(&context, &random));
    let _ = written(factor.enroll(&context, &random, "Example", &Setup::totp("al@example.com"), None));
    for device in status.devices() {
        let _ = written(factor.forget_device(&context, device.id()));
    }
    assert!(matches!(factor.erase(&context).change(), Change::Remove));
    let none = format!("disable~{}~{}~{}~1~{}", factor.generation(), NOW, NOW + 9, *keyfob::base32::encode(&[0; 32]));
    assert!(factor.disable(&context, &Proof::from_token(&none).unwrap()).is_err());

    void(&factor, &context);
    voucher(&factor, &context);
    enrollment(&factor, &read, &context);
    adoption(&factor, &context);
    notices(&factor, &context);
    strict(&factor);
    login(&factor, &read, &context);
    codes(&factor, &read, &context);
}

/// What makes earlier logins void leaves no device, and another generation.
fn void(factor: &SecondFactor, context: &Context<'_>) {
    let suspended = factor.status(context).is_suspended();
    let forgotten = written(Ok(factor.forget_devices(context)));
    let removed = written(factor.operator_remove(context, &crate::operator()));
    let toggled = match suspended {
        true => written(Ok(factor.operator_resume(context, &crate::operator()))),
        false => written(Ok(factor.operator_suspend(context, &crate::operator()))),
    };
    assert!(toggled.is_some() && forgotten.is_some());
    for record in [forgotten, removed, toggled].into_iter().flatten() {
        let next = SecondFactor::read(Some(&record)).unwrap();
        assert!(next.status(context).devices().is_empty());
        // After the last epoch there is no other one. No guard gets there.
        assert!(next.generation() != factor.generation() || factor.generation().to_string().ends_with(LAST_EPOCH));
        if !next.status(context).is_suspended() {
            assert!(next.is_current(next.generation()));
        }
    }
}

/// A voucher is redeemed once, and allows to add an authenticator and nothing else.
fn voucher(factor: &SecondFactor, context: &Context<'_>) {
    let (random, setup) = (randomness(11), Setup::totp("al"));
    let redeem = |record: Option<Vec<u8>>, voucher: &Voucher| {
        let factor = SecondFactor::read(record.as_deref()).unwrap();
        let redeemed = factor.redeem(context, voucher);
        let next = SecondFactor::read(Some(&written_by(redeemed.as_ref().ok()?)?)).unwrap();
        let again = next.redeem(context, voucher).err().map(|error| error.kind());
        assert_eq!(again, Some(GuardErrorKind::LoginRejected));
        let proof = value(redeemed.unwrap());
        assert!(next.disable(context, &proof).is_err());
        assert!(next.regenerate_recovery_codes(context, &random, &proof).is_err());
        for active in next.status(context).authenticators() {
            assert!(next.revoke(context, active.id(), &proof).is_err());
            let replacing = setup.clone().replacing(active.id().clone());
            assert!(next.enroll(context, &random, "Example", &replacing, Some(&proof)).is_err());
        }
        Some(next.enroll(context, &random, "Example", &setup, Some(&proof)).map_err(|error| error.kind()).map(drop))
    };
    let status = factor.status(context);
    match factor.operator_vouch(context, &random, &crate::operator()) {
        Ok(vouched) => {
            assert!(!status.is_suspended());
            let (record, voucher) = (written_by(&vouched), value(vouched));
            let enrolled = redeem(record.clone(), &voucher).expect("a new voucher");
            assert!(matches!(enrolled, Ok(()) | Err(GuardErrorKind::TooManyAuthenticators)));
            assert!(redeem(record, &genuine().voucher).is_none(), "only the last one");
        }
        Err(error) => {
            let kind = if status.is_suspended() { GuardErrorKind::Suspended } else { GuardErrorKind::NotEnrolled };
            assert_eq!(error.kind(), kind);
        }
    }
    let redeemed = factor.redeem(context, &genuine().voucher);
    assert!(redeemed.is_err() || factor.generation().to_string() == genuine().generation);
}

/// A handle shows a secret that was not touched, until the enrollment is canceled.
fn enrollment(factor: &SecondFactor, read: &Value, context: &Context<'_>) {
    let handle = &genuine().handle;
    if let Ok(shown) = factor.reopen_enrollment(context, "Example", "al", handle) {
        assert!(matches!(shown.change(), Change::None));
        let real: Value = serde_json::from_slice(&genuine().record).unwrap();
        for name in SEALED_WITH {
            assert_eq!(read["pending"]["authenticator"][name], real["pending"]["authenticator"][name]);
        }
        let enrollment = value(shown);
        assert_eq!(enrollment.authenticator().as_str(), real["pending"]["authenticator"]["id"]);
        assert_eq!(enrollment.handle().token(), handle.token());
    }
    let canceled = written(factor.cancel_enrollment(context));
    assert_eq!(canceled.is_some(), factor.status(context).enrollment_pending());
    if let Some(canceled) = canceled {
        let next = SecondFactor::read(Some(&canceled)).unwrap();
        assert!(!next.status(context).enrollment_pending() && next.generation() == factor.generation());
        assert!(next.reopen_enrollment(context, "Example", "al", handle).is_err());
    }
}

/// Adoption changes only an account that has no second factor, and whose second factor was not removed.
fn adoption(factor: &SecondFactor, context: &Context<'_>) {
    let [uri, other] = secrets().map(|secret| KeyUri::totp("Old", ACCOUNT, &secret).unwrap());
    let adoptee =
        |uri: &KeyUri| Adoptee { user: ACCOUNT.into(), uri: uri.clone(), last_used: None, name: String::new() };
    let [first, second] = [adoptee(&uri), adoptee(&other)];
    let adopted = factor.adopt(context, &randomness(12), &[&first, &first, &second], &crate::operator()).unwrap();
    let record = written_by(&adopted);
    let answers: Vec<_> = value(adopted).into_iter().map(|answer| answer.map_err(|error| error.kind())).collect();
    match record {
        Some(record) => {
            assert!(!factor.status(context).is_active());
            assert_eq!(answers[1], Err(GuardErrorKind::SecretInUse));
            let listed = SecondFactor::read(Some(&record)).unwrap().status(context);
            let ids: Vec<_> = listed.authenticators().iter().map(|active| active.id().clone()).collect();
            assert_eq!(
                [&answers[0], &answers[2]].map(|answer| answer.clone().unwrap()),
                [0, 1].map(|index| Adoption::Adopted(ids[index].clone()))
            );
        }
        None => assert!(answers.iter().all(|answer| *answer == Ok(Adoption::Kept))),
    }
}

/// Each notice is there until it is acknowledged.
fn notices(factor: &SecondFactor, context: &Context<'_>) {
    let pending = factor.status(context).notices().to_vec();
    for notice in &pending {
        let record = written_by(&factor.acknowledge(context, *notice)).expect("a notice that is there");
        let next = SecondFactor::read(Some(&record)).unwrap().status(context);
        let left: Vec<_> = pending.iter().filter(|other| *other != notice).copied().collect();
        assert_eq!(next.notices(), left);
    }
}

/// Under a strict policy, neither an operator nor a recovery code changes the counts.
fn strict(factor: &SecondFactor) {
    let (policy, keys) = (Policy::strict(), keyring());
    let context = Context::new(ACCOUNT, NOW, &policy, &keys).unwrap();
    assert!(factor.operator_unlock(&context, &crate::operator()).is_err());
    let Ok(verdict) = factor.verify(&context, &genuine().codes[0]) else { return };
    if let Some(record) = written_by(&verdict) {
        let next = SecondFactor::read(Some(&record)).unwrap().status(&context);
        assert_eq!(next.consecutive_failures(), factor.status(&context).consecutive_failures());
    }
}

/// A login without a code needs a trusted device, or an account that has no second factor and needs none.
fn login(factor: &SecondFactor, read: &Value, context: &Context<'_>) {
    let (random, genuine) = (randomness(8), genuine());
    let status = factor.status(context);
    for device in [None, Some(&genuine.trusted), Some(&genuine.known)] {
        for expectation in [Expectation::Enrolled, Expectation::Optional, Expectation::RequiredFrom(NOW)] {
            let login = match factor.begin_login(context, &random, expectation, device) {
                Ok(login) => value(login),
                Err(error) => {
                    let kinds = [GuardErrorKind::Suspended, GuardErrorKind::RecordMissing, GuardErrorKind::Removed];
                    assert!(kinds.contains(&error.kind()));
                    assert_eq!(error.kind() == GuardErrorKind::Suspended, status.is_suspended());
                    continue;
                }
            };
            assert!(!status.is_suspended());
            match login {
                Login::Challenge(challenge) => {
                    assert!(status.is_active());
                    assert_eq!(Challenge::from_token(&challenge.token()).unwrap().token(), challenge.token());
                }
                Login::Complete(sign_in) if sign_in.method() == SignInMethod::TrustedDevice => {
                    let real: Value = serde_json::from_slice(&genuine.record).unwrap();
                    let secret = |record: &Value| {
                        let devices = record["devices"].as_array().cloned().unwrap_or_default();
                        let mut listed =
                            devices.into_iter().filter(|device| device["id"] == device_id(sign_in.device()));
                        listed.next().map(|device| device["hash"].clone())
                    };
                    assert!(status.is_active() && secret(read).is_some() && secret(read) == secret(&real));
                }
                Login::Complete(_) => assert!(!status.is_active() && expectation == Expectation::Optional),
                Login::MustEnroll(ticket) => {
                    assert!(!status.is_active() && expectation == Expectation::RequiredFrom(NOW));
                    enroll(factor, context, &ticket);
                }
            }
        }
    }
}

/// A ticket enrolls, and completes one login.
fn enroll(factor: &SecondFactor, context: &Context<'_>, ticket: &EnrollmentTicket) {
    let enrolled = factor.enroll_with_ticket(context, &randomness(9), "Example", &Setup::totp("al"), ticket).unwrap();
    let next = written_by(&enrolled).unwrap();
    let app = value(enrolled).uri().to_totp().unwrap();
    let next = SecondFactor::read(Some(&next)).unwrap();
    let code = app.code_at(NOW).to_string();
    assert!(next.confirm(context, &code).is_err());
    let confirmed = next.confirm_with_ticket(context, ticket, &code).unwrap();
    let next = SecondFactor::read(Some(&written_by(&confirmed).unwrap())).unwrap();
    let keyfob::guard::Confirmation::Confirmed(confirmed) = value(confirmed) else { panic!("the right code") };
    let sign_in = confirmed.into_sign_in().unwrap();
    assert!(next.is_current(sign_in.generation()));
    assert!(next.confirm_with_ticket(context, ticket, &code).is_err());
}

/// A code is accepted once, and only if the secret that it belongs to was not touched.
fn codes(factor: &SecondFactor, read: &Value, context: &Context<'_>) {
    let genuine = genuine();
    // What both authenticators of the genuine record show, and its recovery codes.
    let [app, token] = secrets().map(|secret| Hotp::new(&secret));
    let shown =
        (NOW / 30 - 1..=NOW / 30 + 1).map(|step| app.code(step)).chain((0..5).map(|counter| token.code(counter)));
    let mut codes: Vec<String> = shown.map(|code| code.to_string()).collect();
    codes.extend(genuine.codes.clone());
    // keyfob never makes two equal codes.
    let hashes = read.pointer("/recovery/codes").and_then(Value::as_array);
    let hashes: Vec<_> = hashes.into_iter().flatten().map(|code| code[0].to_string()).collect();
    let distinct = hashes.iter().collect::<std::collections::HashSet<_>>().len() == hashes.len();
    for code in &codes {
        let kinds = [GuardErrorKind::SealBroken, GuardErrorKind::KeyMissing, GuardErrorKind::Suspended];
        let answered = match factor.answer(context, &genuine.challenge, code) {
            Ok(transition) => {
                let record = written_by(&transition);
                match value(transition) {
                    Answer::Accepted(sign_in) => Some((sign_in, record.unwrap())),
                    Answer::Refused(_) => None,
                }
            }
            Err(error) => {
                assert!(kinds.contains(&error.kind()) || error.kind() == GuardErrorKind::LoginRejected);
                None
            }
        };
        let transition = match factor.verify(context, code) {
            Ok(transition) => transition,
            Err(error) => {
                assert!(kinds.contains(&error.kind()) && answered.is_none());
                continue;
            }
        };
        let record = written_by(&transition);
        let Verdict::Accepted(accepted) = value(transition) else { continue };
        // It is stored, and spent.
        let kept = SecondFactor::read(record.as_deref()).unwrap();
        match kept.replace_recovery_code(context, &randomness(13), &accepted) {
            Ok(replaced) if distinct => replaces(replaced, &accepted, code, context),
            Ok(_) => {}
            // The key of the recovery codes is sealed apart from the secrets of authenticators.
            Err(error) => assert!(accepted.authenticator().is_some() && kinds.contains(&error.kind())),
        }
        let next = SecondFactor::read(Some(&record.unwrap())).unwrap();
        let Verdict::Refused(_) = value(next.verify(context, code).unwrap()) else {
            panic!("{code} was accepted twice");
        };
        let real: Value = serde_json::from_slice(&genuine.record).unwrap();
        let origin = |value: &Value| match accepted.authenticator() {
            Some(id) => {
                // An enrollment that was confirmed is read as an active authenticator.
                let pending = &value["pending"]["authenticator"];
                let mut all = value["active"].as_array().unwrap().iter().chain([pending]);
                let found = all.find(|authenticator| authenticator["id"] == id.as_str());
                found.map(|found| SEALED_WITH.map(|name| found[name].clone()).to_vec())
            }
            None => Some(["id", "key"].map(|name| value["recovery"][name].clone()).to_vec()),
        };
        assert_eq!(origin(read), origin(&real), "{code}");
        if let Some(added) = written(next.remember_device(context, &randomness(10), &accepted, "")) {
            assert!(!SecondFactor::read(Some(&added)).unwrap().status(context).devices().is_empty());
        }
        let Some((sign_in, record)) = answered else { continue };
        // The challenge is for this generation, and for one login.
        assert_eq!(factor.generation().to_string(), genuine.generation);
        let next = SecondFactor::read(Some(&record)).unwrap();
        assert!(next.is_current(sign_in.generation()));
        for code in &codes {
            let again = next.answer(context, &genuine.challenge, code).err().map(|error| error.kind());
            assert_eq!(again, Some(GuardErrorKind::LoginRejected));
        }
    }
    let _ = written(factor.resync(context, &codes[0], &codes[1]));
    let _ = written(factor.confirm(context, &codes[1]));
}

/// A recovery code that was replaced is not accepted anymore, and is not replaced again.
fn replaces(replaced: Transition<Option<RecoveryCodes>>, accepted: &Accepted, code: &str, context: &Context<'_>) {
    let record = written_by(&replaced);
    let (Some(fresh), Some(record)) = (value(replaced), record) else { return };
    let next = SecondFactor::read(Some(&record)).unwrap();
    let verify = |typed: &str| value(next.verify(context, typed).unwrap());
    assert!(accepted.authenticator().is_none() && matches!(verify(code), Verdict::Refused(_)));
    assert!(fresh.iter().all(|fresh| matches!(verify(fresh), Verdict::Accepted(_))));
    let twice = next.replace_recovery_code(context, &randomness(14), accepted).unwrap();
    assert!(value(twice).is_none());
}

fn device_id(device: Option<&keyfob::guard::DeviceId>) -> &str {
    device.map_or("", keyfob::guard::DeviceId::as_str)
}

/// What a flow would store: a record, always.
fn written<T>(transition: Result<Transition<T>, GuardError>) -> Option<Vec<u8>> {
    written_by(&transition.ok()?)
}

fn written_by<T>(transition: &Transition<T>) -> Option<Vec<u8>> {
    let Change::Write(record) = transition.change() else { return None };
    SecondFactor::read(Some(record)).unwrap();
    Some(record.clone())
}

/// The answer, as if the change was stored.
pub fn value<T>(transition: Transition<T>) -> T {
    let Committed { value, .. } = transition.committed(Swap::Swapped).unwrap();
    value
}

pub fn policy() -> Policy {
    Policy::default().with_notices().with_trusted_devices(MONTH).unwrap()
}

pub fn keyring() -> Keyring {
    let key = keyfob::base32::encode(&[1; 32]);
    Keyring::parse(&format!("1:{}", *key)).unwrap()
}

pub fn randomness(seed: u64) -> Randomness {
    let random = std::sync::Mutex::new(Random(seed));
    Randomness::new(move |buffer| {
        let bytes = random.lock().unwrap().bytes(buffer.len());
        buffer.copy_from_slice(&bytes);
        Ok::<(), ()>(())
    })
}

fn secrets() -> [Secret; 2] {
    [b"12345678901234567890", b"09876543210987654321"].map(|bytes| Secret::from_bytes(bytes).unwrap())
}

/// An account with an app, a token with a counter, two devices and a pending enrollment, and what its user holds.
pub struct Genuine {
    pub record: Vec<u8>,
    pub codes: Vec<String>,
    pub generation: String,
    /// Allows to disable the second factor.
    pub proof: Proof,
    /// A login on the known device, which waits for a code.
    pub challenge: Challenge,
    /// Allows to add an authenticator.
    pub voucher: Voucher,
    /// Shows the pending enrollment.
    pub handle: EnrollmentHandle,
    /// A ticket for the same account, if it had no record.
    pub ticket: EnrollmentTicket,
    pub trusted: DeviceToken,
    pub known: DeviceToken,
}

/// The same each time.
pub fn genuine() -> &'static Genuine {
    static GENUINE: std::sync::OnceLock<Genuine> = std::sync::OnceLock::new();
    GENUINE.get_or_init(make)
}

/// A code of the app that the genuine record accepts.
pub fn right_code() -> String {
    Hotp::new(&secrets()[0]).code(NOW / 30).to_string()
}

fn make() -> Genuine {
    use futures_lite::future::block_on;
    use keyfob::guard::{Confirmation, Purpose};
    use keyfob::{Guard, store::MemoryStore, store::Store};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let clock = Arc::new(AtomicU64::new(NOW - 3600));
    let time = clock.clone();
    let guard = Guard::new(MemoryStore::new(), keyring(), "Example").with_randomness(randomness(1));
    let guard = guard.with_policy(policy()).with_clock(move || Some(time.load(Ordering::SeqCst)));
    let [first, second] = secrets();
    let (hotp, presses) = (Hotp::new(&first), Hotp::new(&second));
    let app = Setup::import(&KeyUri::totp("Example", "al", &first).unwrap()).unwrap();
    block_on(guard.enroll(ACCOUNT, &app)).unwrap();
    let code = |at: u64| hotp.code(at / 30).to_string();
    let Confirmation::Confirmed(confirmed) = block_on(guard.confirm(ACCOUNT, &code(NOW - 3600))).unwrap() else {
        panic!("the first code of the app")
    };
    let codes = confirmed.recovery_codes().unwrap().iter().map(String::from).collect();
    let login = |at: u64, device: Option<&DeviceToken>| {
        clock.store(at, Ordering::SeqCst);
        match block_on(guard.begin_login(ACCOUNT, Expectation::Enrolled, device)).unwrap() {
            Login::Challenge(challenge) => challenge,
            other => panic!("{other:?}"),
        }
    };
    let answer = |at: u64| match block_on(guard.answer(&login(at, None), &code(at))).unwrap() {
        Answer::Accepted(sign_in) => sign_in,
        Answer::Refused(refusal) => panic!("{refusal:?}"),
    };
    let proof = guard.prove(answer(NOW - 1800).accepted().unwrap(), &Purpose::ADD);
    let token = Setup::import(&KeyUri::hotp("Example", "al", &second, 0).unwrap()).unwrap();
    block_on(guard.enroll_another(ACCOUNT, &token, &proof)).unwrap();
    let _ = block_on(guard.confirm(ACCOUNT, &presses.code(0).to_string())).unwrap();
    let sign_in = answer(NOW - 120);
    let accepted = sign_in.accepted().unwrap();
    let trusted = block_on(guard.trust_device(accepted, "Firefox", MONTH)).unwrap();
    let known = block_on(guard.remember_device(accepted, "Safari")).unwrap();
    let adds = guard.prove(accepted, &Purpose::ADD);
    let handle = block_on(guard.enroll_another(ACCOUNT, &Setup::totp("al"), &adds)).unwrap().handle().clone();
    let voucher = block_on(guard.operator_vouch(ACCOUNT, &crate::operator())).unwrap();
    let proof = guard.prove(accepted, &Purpose::DISABLE);
    let challenge = login(NOW - 60, Some(&known));
    let record = block_on(guard.store().load(ACCOUNT)).unwrap().unwrap().1;
    let (policy, keys) = (policy(), keyring());
    let context = Context::new(ACCOUNT, NOW - 60, &policy, &keys).unwrap();
    let nobody = SecondFactor::read(None).unwrap();
    let Login::MustEnroll(ticket) =
        value(nobody.begin_login(&context, &randomness(2), Expectation::RequiredFrom(0), None).unwrap())
    else {
        panic!("an account without a record")
    };
    let generation = sign_in.generation().to_string();
    Genuine { record, codes, generation, proof, challenge, voucher, handle, ticket, trusted, known }
}

/// The end of the text of a generation with the last epoch.
const LAST_EPOCH: &str = ".18446744073709551615";

/// The settings that the secret of an authenticator is sealed with, and the secret.
const SEALED_WITH: [&str; 5] = ["id", "algorithm", "digits", "period", "secret"];
