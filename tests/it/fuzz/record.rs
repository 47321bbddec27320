//! Stored records: what is read is written and read again, and a seal that was damaged lets nobody in.

use keyfob::guard::{Change, Context, GuardErrorKind, Proof, Randomness, SecondFactor, Setup, Transition};
use keyfob::store::Swap;
use keyfob::{Hotp, Keyring, Policy, Secret, Verdict};
use serde_json::Value;

use crate::random::Random;

pub const NOW: u64 = 1_900_000_000;
pub const ACCOUNT: &str = "al";

pub fn run(data: &[u8]) {
    let Ok(factor) = SecondFactor::read(Some(data)) else { return };
    let (policy, keys) = (Policy::default(), keyring());
    let context = Context::new(ACCOUNT, NOW, &policy, &keys).unwrap();
    let random = randomness(7);
    let status = factor.status(&context);
    assert!((0.0..=1.0).contains(&status.guess_probability(std::time::Duration::from_secs(86_400))));
    if let Some(at) = status.retry_at() {
        assert!(at >= NOW && at - NOW <= 86_400);
    }

    // An operator who ends waits writes what was read, in the one spelling.
    if let Some(first) = written(factor.operator_unlock(&context)) {
        let again = SecondFactor::read(Some(&first)).unwrap();
        assert_eq!(written(again.operator_unlock(&context)).unwrap(), first);
        let [read, wrote] = [data, &first].map(|record| serde_json::from_slice::<Value>(record).unwrap());
        let said = |value: &Value, name: &str| value.get(name).filter(|value| !value.is_null()).cloned();
        let confirmed = read["pending"]["confirmed"] == 1;
        for name in ["v", "recovery"].into_iter().chain((!confirmed).then_some("generation")) {
            assert_eq!(said(&read, name), said(&wrote, name));
        }
    }
    let _ = written(factor.operator_invalidate_codes(&context));
    let _ = written(factor.operator_invalidate_recent_codes(&context));
    let _ = written(factor.operator_unlock(&context));
    let _ = written(factor.operator_remove(&context));
    let _ = written(factor.reseal(&context, &random));
    let _ = written(factor.enroll(&context, &random, "Example", &Setup::totp("al@example.com"), None));
    let none = format!("disable~{}~{}~{}~1~{}", factor.generation(), NOW, NOW + 9, *keyfob::base32::encode(&[0; 32]));
    assert!(factor.disable(&context, &Proof::from_token(&none).unwrap()).is_err());

    // What both authenticators of the genuine record show, and its recovery codes.
    let [app, token] = secrets().map(|secret| Hotp::new(&secret));
    let shown =
        (NOW / 30 - 1..=NOW / 30 + 1).map(|step| app.code(step)).chain((0..4).map(|counter| token.code(counter)));
    let mut codes: Vec<String> = shown.map(|code| code.to_string()).collect();
    codes.extend(genuine().1.clone());
    for (place, code) in codes.iter().enumerate() {
        let transition = factor.verify(&context, code);
        let record = match &transition {
            Ok(transition) => match transition.change() {
                Change::Write(record) => Some(record.clone()),
                _ => None,
            },
            Err(error) => {
                assert!(matches!(error.kind(), GuardErrorKind::SealBroken | GuardErrorKind::KeyMissing));
                None
            }
        };
        let Ok(transition) = transition else { continue };
        let Verdict::Accepted(accepted) = transition.committed(Swap::Swapped).unwrap().value else { continue };
        // It is stored, and spent.
        let next = SecondFactor::read(Some(&record.unwrap())).unwrap();
        let Verdict::Refused(_) = next.verify(&context, code).unwrap().committed(Swap::Swapped).unwrap().value else {
            panic!("{code} was accepted twice");
        };
        let (mine, real): (Value, Value) =
            (serde_json::from_slice(data).unwrap(), serde_json::from_slice(&genuine().0).unwrap());
        let place_of = |value: &Value| match accepted.authenticator() {
            Some(id) => value["active"]
                .as_array()
                .unwrap()
                .iter()
                .find(|one| one["id"] == id.as_str())
                .map(|one| ["id", "algorithm", "digits", "period", "secret"].map(|name| one[name].clone()).to_vec()),
            None => Some(["id", "key"].map(|name| value["recovery"][name].clone()).to_vec()),
        };
        assert_eq!(place_of(&mine), place_of(&real), "code {place}");
    }
    let _ = written(factor.resync(&context, &codes[0], &codes[1]));
    let _ = written(factor.confirm(&context, &codes[1]));
}

/// What a flow would store: a record, always.
fn written<T>(transition: Result<Transition<T>, keyfob::guard::GuardError>) -> Option<Vec<u8>> {
    let transition = transition.ok()?;
    let Change::Write(record) = transition.change() else { return None };
    SecondFactor::read(Some(record)).unwrap();
    Some(record.clone())
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

/// The record of an app and of a token with a counter, its recovery codes, and a proof to disable it. The same each time.
pub fn genuine() -> &'static (Vec<u8>, Vec<String>, Proof) {
    static GENUINE: std::sync::OnceLock<(Vec<u8>, Vec<String>, Proof)> = std::sync::OnceLock::new();
    GENUINE.get_or_init(enroll)
}

fn enroll() -> (Vec<u8>, Vec<String>, Proof) {
    use futures_lite::future::block_on;
    use keyfob::guard::{Confirmation, Purpose};
    use keyfob::{Guard, KeyUri, store::MemoryStore, store::Store};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let clock = Arc::new(AtomicU64::new(NOW - 3600));
    let time = clock.clone();
    let guard = Guard::new(MemoryStore::new(), keyring(), "Example").with_randomness(randomness(1));
    let guard = guard.with_clock(move || Some(time.load(Ordering::SeqCst)));
    let [first, second] = secrets();
    let (hotp, presses) = (Hotp::new(&first), Hotp::new(&second));
    let app = Setup::import(&KeyUri::totp("Example", "al", &first).unwrap()).unwrap();
    block_on(guard.enroll(ACCOUNT, &app)).unwrap();
    let code = |at: u64| hotp.code(at / 30).to_string();
    let Confirmation::Confirmed(confirmed) = block_on(guard.confirm(ACCOUNT, &code(NOW - 3600))).unwrap() else {
        panic!("the first code of the app")
    };
    let codes = confirmed.recovery_codes().unwrap().iter().map(String::from).collect();
    let login = |at: u64, purpose: &Purpose| {
        clock.store(at, Ordering::SeqCst);
        let Verdict::Accepted(accepted) = block_on(guard.verify(ACCOUNT, &code(at))).unwrap() else { panic!("a code") };
        guard.prove(&accepted, purpose)
    };
    let proof = login(NOW - 1800, &Purpose::ADD);
    let token = Setup::import(&KeyUri::hotp("Example", "al", &second, 0).unwrap()).unwrap();
    block_on(guard.enroll_another(ACCOUNT, &token, &proof)).unwrap();
    let _ = block_on(guard.confirm(ACCOUNT, &presses.code(0).to_string())).unwrap();
    let proof = login(NOW - 120, &Purpose::DISABLE);
    let record = block_on(guard.store().load(ACCOUNT)).unwrap().unwrap().1;
    (record, codes, proof)
}
