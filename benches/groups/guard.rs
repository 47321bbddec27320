//! A verification and a login by the guard, without a store on a disk.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::Criterion;
use keyfob::Verdict;
use keyfob::guard::{
    Answer, Change, Committed, Context, DeviceToken, Expectation, Login, Randomness, SecondFactor, SignInMethod,
};
use keyfob::store::{MemoryStore, Store, Swap, Version};
use keyfob_benches::MISS;
use keyfob_benches::harness::{criterion, time};
use keyfob_benches::phone::{MONTH, Phone, policy};
use tokio::runtime::Runtime;

const ACCOUNT: &str = "user-17";
/// How many logins with a code of one app can be completed until the first challenge has expired. After that, their
/// slots in the record are used again.
const REMEMBERED: usize = 12;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut criterion = criterion();
    decision(&mut criterion, &runtime);
    login(&mut criterion, &runtime);
    criterion.final_summary();
}

/// A store in memory that counts its calls.
#[derive(Default)]
struct Counted {
    store: MemoryStore,
    trips: AtomicU64,
}

impl Store for Counted {
    type Error = std::convert::Infallible;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, Self::Error> {
        self.trips.fetch_add(1, Ordering::Relaxed);
        self.store.load(account).await
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Self::Error> {
        self.trips.fetch_add(1, Ordering::Relaxed);
        self.store.swap(account, expected, record).await
    }
}

fn decision(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("guard, decision");
    let phone = Phone::new(Counted::default());
    runtime.block_on(phone.enroll(ACCOUNT));

    // From the bytes of a record to the verdict, always from the same record, so the budget never runs out.
    let (_, record) = runtime.block_on(phone.guard.store().load(ACCOUNT)).expect("infallible").expect("enrolled");
    let policy = policy();
    let decide = |typed: &str| {
        let context = Context::new(ACCOUNT, black_box(phone.now()), &policy, &phone.keyring).expect("valid");
        let factor = SecondFactor::read(Some(black_box(&record))).expect("valid");
        let transition = factor.verify(&context, black_box(typed)).expect("decided");
        assert!(matches!(transition.change(), Change::Write(_)));
        let Committed { value, events } = transition.committed(Swap::Swapped).expect("committed");
        (matches!(value, Verdict::Accepted(_)), events.len())
    };
    phone.wait();
    let code = phone.code();
    time(&mut group, "keyfob, right code", || decide(&code), |(accepted, _)| accepted, true);
    time(&mut group, "keyfob, wrong code", || decide(MISS), |(accepted, _)| accepted, false);

    // With the store in memory, one load and one swap.
    let trips = || phone.guard.store().trips.swap(0, Ordering::Relaxed);
    trips();
    let accept = || runtime.block_on(phone.accept_one(ACCOUNT));
    assert!(accept());
    assert_eq!(trips(), 2, "round trips to the store");
    time(&mut group, "keyfob, right code, store in memory", accept, |accepted| accepted, true);
    group.finish();
}

/// From the bytes of a record to the answer, without a store. The account has a known device, a trusted device and
/// twelve completed logins. The number does not matter for the time: the slots have a fixed length.
fn login(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("guard, login");
    let phone = Phone::new(MemoryStore::new());
    let (known, trusted, record) = runtime.block_on(async {
        phone.enroll(ACCOUNT).await;
        phone.wait();
        let sign_in = phone.sign_in(ACCOUNT, None).await;
        let accepted = sign_in.accepted().expect("with a code");
        let known = phone.guard.remember_device(accepted, "laptop").await.expect("remembered");
        let trusted = phone.guard.trust_device(accepted, "desktop", MONTH).await.expect("trusted");
        for _ in 1..REMEMBERED + 4 {
            phone.wait();
            let _ = phone.sign_in(ACCOUNT, Some(&known)).await;
        }
        let (_, record) = phone.guard.store().load(ACCOUNT).await.expect("infallible").expect("enrolled");
        (known, trusted, record)
    });
    let text = String::from_utf8(record.clone()).expect("JSON");
    let logins = text.split_once("\"logins\":\"").expect("completed logins").1.split('"').next().expect("their slots");
    let slots = logins.as_bytes().chunks(32).filter(|slot| slot.iter().any(|digit| *digit != b'0'));
    assert_eq!(slots.count(), REMEMBERED, "the slots of expired challenges are used again");

    phone.wait();
    let now = phone.now();
    let (policy, random) = (policy(), Randomness::default());
    let context = || Context::new(ACCOUNT, black_box(now), &policy, &phone.keyring).expect("valid");
    let read = || SecondFactor::read(Some(black_box(&record))).expect("valid");

    let begin = |device: &DeviceToken| {
        let begun = read().begin_login(&context(), &random, Expectation::Enrolled, Some(black_box(device)));
        let transition = begun.expect("decided");
        assert!(matches!(transition.change(), Change::None));
        transition.committed(Swap::Swapped).expect("committed").value
    };
    let trusts = |login| matches!(login, Login::Complete(sign_in) if sign_in.method() == SignInMethod::TrustedDevice);
    let asks = |login| matches!(login, Login::Challenge(challenge) if challenge.user() == ACCOUNT);
    time(&mut group, "keyfob, begin_login, challenge", || begin(&known), asks, true);
    time(&mut group, "keyfob, begin_login, trusted device", || begin(&trusted), trusts, true);

    let challenge = runtime.block_on(phone.challenge(ACCOUNT, Some(&known)));
    let answer = |typed: &str| {
        let transition = read().answer(&context(), black_box(&challenge), black_box(typed)).expect("decided");
        assert!(matches!(transition.change(), Change::Write(_)));
        transition.committed(Swap::Swapped).expect("committed").value
    };
    let code = phone.code();
    // The device that the login came from, or `None` for a refusal.
    let signed_in = |answer| match answer {
        Answer::Accepted(sign_in) => sign_in.device().cloned(),
        Answer::Refused(_) => None,
    };
    time(&mut group, "keyfob, answer, right code", || answer(&code), signed_in, Some(known.device().clone()));
    time(&mut group, "keyfob, answer, wrong code", || answer(MISS), signed_in, None);
    group.finish();
}
