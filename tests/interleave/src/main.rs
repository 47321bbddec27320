//! Tests the guard under many thread schedules. Before and after each call to the store, shuttle may switch to another
//! thread. It switches at random, or by priorities that change a few times (PCT). PCT finds a race of a given depth
//! with a known probability. During a call, `MemoryStore` holds its internal lock.
//!
//! Each property must hold in all schedules if the store compares and swaps atomically. It must fail in some schedule
//! if the store checks the version first and writes later.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use keyfob::guard::{
    Answer, Challenge, Confirmation, Expectation, GuardErrorKind, Login, OperatorId, Purpose, Refusal, Setup, Waits,
};
use keyfob::store::{MemoryStore, Store, Swap, Version};
use keyfob::{Guard, KeyUri, Keyring, Policy, Secret, Totp, Verdict};
use shuttle::future::block_on;
use shuttle::sync::Mutex;
use shuttle::thread;

fn main() -> ExitCode {
    // Shuttle reports a failure as a panic, and the controls are expected to fail.
    std::panic::set_hook(Box::new(|_| {}));
    let mut as_expected = true;
    let claims = [
        ("one code", one_code as fn(bool)),
        ("guesses", guesses),
        ("enrolled anew", enrolled_anew),
        ("one challenge", one_challenge),
        ("two devices", two_devices),
        ("one voucher", one_voucher),
    ];
    for (name, claim) in claims {
        for (store, racy) in [("swaps", false), ("checks, then writes", true)] {
            for (order, schedules) in [("random", RANDOM), ("PCT", PCT)] {
                let begun = Arc::new(AtomicUsize::new(0));
                let test = {
                    let begun = begun.clone();
                    move || {
                        begun.fetch_add(1, Ordering::Relaxed);
                        claim(racy);
                    }
                };
                let run = || match order {
                    "random" => shuttle::check_random(test, schedules),
                    _ => shuttle::check_pct(test, schedules, DEPTH),
                };
                let holds = catch_unwind(AssertUnwindSafe(run)).is_ok();
                let begun = begun.load(Ordering::Relaxed);
                let outcome = if holds { "holds in all of" } else { "broken in the last of" };
                println!("{name}, the store {store}: {outcome} {begun} {order} schedules");
                as_expected &= holds != racy && (racy || begun >= schedules);
            }
        }
    }
    println!("failures that shuttle prints above are from the store that checks first, and are expected");
    if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Three threads use the same code. It must be accepted exactly once.
fn one_code(racy: bool) {
    let guard = guard(racy, Policy::default());
    let refusals = at_once(&guard, [code(1), code(1), code(1)]);
    assert_eq!(refusals.iter().filter(|refusal| refusal.is_none()).count(), 1);
    assert!(refusals.iter().flatten().all(|refusal| *refusal == Refusal::Replayed));
}

/// Three threads guess. The first failure starts a waiting time, so only one guess may be compared.
fn guesses(racy: bool) {
    let (first, longest) = (Duration::from_secs(30), Duration::from_secs(3600));
    let waits = Waits { after_failures: 1, first, longest };
    let guard = guard(racy, Policy::default().with_waits(waits).unwrap());
    let refusals = at_once(&guard, ["000000", "000001", "000002"].map(str::to_owned));
    assert_eq!(refusals.iter().filter(|refusal| **refusal == Some(Refusal::WrongCode)).count(), 1);
    let throttled = |refusal: &&Option<Refusal>| matches!(refusal, Some(Refusal::Throttled { .. }));
    assert_eq!(refusals.iter().filter(throttled).count(), 2);
    assert_eq!(block_on(guard.status(ACCOUNT)).unwrap().consecutive_failures(), 1);
}

/// During a verification, an operator removes the second factor and the user enrolls again. Afterwards, codes from the
/// old phone must be refused.
fn enrolled_anew(racy: bool) {
    let guard = guard(racy, Policy::default());
    let former = guard.clone();
    let verifies = thread::spawn(move || block_on(former.verify(ACCOUNT, &code(1))).map(drop));
    block_on(guard.operator_remove(ACCOUNT, &OperatorId::new("operator").unwrap())).unwrap();
    block_on(enroll(&guard, 2, NOW));
    verifies.join().unwrap().unwrap();
    let Verdict::Refused(refused) = block_on(guard.verify(ACCOUNT, &code(1))).unwrap() else { panic!() };
    assert_eq!(refused, Refusal::WrongCode);
}

/// Two threads answer the same challenge, with two codes that are both right and unused. Exactly one of them signs in.
fn one_challenge(racy: bool) {
    let (record, [challenge, _]) = &*TWO_LOGINS;
    let guard = guard_of(racy, Policy::default(), record);
    let answers = [NOW, NOW + 30].map(|time| {
        let guard = guard.clone();
        thread::spawn(move || match block_on(guard.answer(challenge, &code_at(1, time))) {
            Ok(Answer::Accepted(sign_in)) => Some(sign_in),
            Ok(Answer::Refused(refusal)) => panic!("{refusal:?}"),
            Err(error) => {
                assert_eq!(error.kind(), GuardErrorKind::LoginRejected);
                None
            }
        })
    });
    assert_eq!(answers.into_iter().filter_map(|answer| answer.join().unwrap()).count(), 1);
}

/// Two logins on two devices, each with the code of another authenticator. Both sign in, and afterwards both challenges
/// are completed and both codes are used.
fn two_devices(racy: bool) {
    let (record, challenges) = &*TWO_LOGINS;
    let guard = guard_of(racy, Policy::default(), record);
    let answers = [(&challenges[0], 1), (&challenges[1], 3)].map(|(challenge, seed)| {
        let guard = guard.clone();
        thread::spawn(move || match block_on(guard.answer(challenge, &code(seed))).unwrap() {
            Answer::Accepted(sign_in) => sign_in.device().unwrap().clone(),
            Answer::Refused(refusal) => panic!("{refusal:?}"),
        })
    });
    let [laptop, tablet] = answers.map(|answer| answer.join().unwrap());
    assert_ne!(laptop, tablet);
    for (challenge, seed) in challenges.iter().zip([1, 3]) {
        assert_eq!(block_on(guard.answer(challenge, "000000")).unwrap_err().kind(), GuardErrorKind::LoginRejected);
        let Verdict::Refused(refused) = block_on(guard.verify(ACCOUNT, &code(seed))).unwrap() else { panic!() };
        assert_eq!(refused, Refusal::Replayed);
    }
}

/// Two threads redeem the same voucher. Exactly one of them gets a proof.
fn one_voucher(racy: bool) {
    let guard = guard(racy, Policy::default());
    let voucher = block_on(guard.operator_vouch(ACCOUNT, &OperatorId::new("jane").unwrap())).unwrap();
    let proofs = [voucher.clone(), voucher].map(|voucher| {
        let guard = guard.clone();
        thread::spawn(move || match block_on(guard.redeem(&voucher)) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), GuardErrorKind::LoginRejected);
                false
            }
        })
    });
    assert_eq!(proofs.into_iter().filter_map(|proof| proof.join().ok()).filter(|proof| *proof).count(), 1);
}

/// Verifies three codes in parallel. Returns the refusal of each code, or `None` if it was accepted.
fn at_once(guard: &Arc<Guard<Scheduled>>, typed: [String; 3]) -> Vec<Option<Refusal>> {
    let attempts = typed.map(|typed| {
        let guard = guard.clone();
        thread::spawn(move || match block_on(guard.verify(ACCOUNT, &typed)).unwrap() {
            Verdict::Accepted(_) => None,
            Verdict::Refused(refused) => Some(refused),
        })
    });
    attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
}

/// Creates a guard with an account whose current code has not been used.
fn guard(racy: bool, policy: Policy) -> Arc<Guard<Scheduled>> {
    // Create the record only once, outside of shuttle's scheduler.
    static RECORD: LazyLock<Vec<u8>> = LazyLock::new(|| {
        futures_lite::future::block_on(async {
            let guard = Guard::new(MemoryStore::new(), keyring(), "Example Inc").with_clock(|| Some(NOW - 60));
            enroll(&guard, 1, NOW - 60).await;
            guard.store().load(ACCOUNT).await.unwrap().unwrap().1
        })
    });
    guard_of(racy, policy, &RECORD)
}

fn guard_of(racy: bool, policy: Policy, record: &[u8]) -> Arc<Guard<Scheduled>> {
    let store = Scheduled { racy, gate: Mutex::new(()), inner: MemoryStore::new() };
    assert_eq!(futures_lite::future::block_on(store.inner.swap(ACCOUNT, None, Some(record))).unwrap(), Swap::Swapped);
    Arc::new(Guard::new(store, keyring(), "Example Inc").with_policy(policy).with_clock(|| Some(NOW)))
}

/// An account with two authenticators and two known devices, on each of which a login has begun. The current codes of
/// the authenticators have not been used.
static TWO_LOGINS: LazyLock<(Vec<u8>, [Challenge; 2])> = LazyLock::new(|| {
    futures_lite::future::block_on(async {
        let guard = Guard::new(MemoryStore::new(), keyring(), "Example Inc").with_clock(|| Some(NOW - 120));
        let accept = async |seed| match guard.verify(ACCOUNT, &code_at(seed, NOW - 90)).await.unwrap() {
            Verdict::Accepted(accepted) => accepted,
            Verdict::Refused(refused) => panic!("{refused:?}"),
        };
        enroll(&guard, 1, NOW - 120).await;
        let proof = guard.prove(&accept(1).await, &Purpose::ADD);
        guard.enroll_another(ACCOUNT, &Setup::import(&uri(3)).unwrap(), &proof).await.unwrap();
        let confirmation = guard.confirm(ACCOUNT, &code_at(3, NOW - 120)).await.unwrap();
        assert!(matches!(confirmation, Confirmation::Confirmed(_)));
        let accepted = accept(3).await;
        let begin = async |name| {
            let device = guard.remember_device(&accepted, name).await.unwrap();
            match guard.begin_login(ACCOUNT, Expectation::Enrolled, Some(&device)).await.unwrap() {
                Login::Challenge(challenge) => challenge,
                login => panic!("{login:?}"),
            }
        };
        let challenges = [begin("laptop").await, begin("tablet").await];
        (guard.store().load(ACCOUNT).await.unwrap().unwrap().1, challenges)
    })
});

async fn enroll(guard: &Guard<impl Store>, seed: u8, now: u64) {
    let _ = guard.enroll(ACCOUNT, &Setup::import(&uri(seed)).unwrap()).await.unwrap();
    let typed = code_at(seed, now);
    assert!(matches!(guard.confirm(ACCOUNT, &typed).await.unwrap(), Confirmation::Confirmed(_)));
}

fn uri(seed: u8) -> KeyUri {
    KeyUri::totp("Example Inc", "alice", &Secret::from_bytes(&[seed; 20]).unwrap()).unwrap()
}

fn code(seed: u8) -> String {
    code_at(seed, NOW)
}

fn code_at(seed: u8, time: u64) -> String {
    Totp::new(&Secret::from_bytes(&[seed; 20]).unwrap()).code_at(time).to_string()
}

fn keyring() -> Keyring {
    Keyring::parse("2026:GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA").unwrap()
}

/// A `MemoryStore` that takes a lock before and after its calls, where shuttle can switch threads.
struct Scheduled {
    racy: bool,
    gate: Mutex<()>,
    inner: MemoryStore,
}

impl Scheduled {
    /// Lets shuttle switch threads.
    fn pause(&self) {
        drop(self.gate.lock().unwrap());
    }

    /// Returns the version to pass to the swap. The racy store checks the expected version, pauses, and then returns
    /// whatever version is current, so that its swap overwrites changes made in the meantime.
    async fn expected(&self, account: &str, expected: Option<Version>) -> Result<Option<Version>, Infallible> {
        let version = async || Ok(self.inner.load(account).await?.map(|(version, _)| version));
        self.pause();
        if !self.racy || version().await? != expected {
            return Ok(expected);
        }
        self.pause();
        version().await
    }
}

impl Store for Scheduled {
    type Error = Infallible;

    async fn load(&self, account: &str) -> Result<Option<(Version, Vec<u8>)>, Infallible> {
        self.pause();
        let loaded = self.inner.load(account).await;
        self.pause();
        loaded
    }

    async fn swap(&self, account: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, Infallible> {
        let swap = self.inner.swap(account, self.expected(account, expected).await?, record).await;
        self.pause();
        swap
    }
}

const ACCOUNT: &str = "user-17";
const NOW: u64 = 1_900_000_000;
const RANDOM: usize = 10_000;
const PCT: usize = 2_000;
/// The depth of a race: the number of thread switches that it needs.
const DEPTH: usize = 3;
