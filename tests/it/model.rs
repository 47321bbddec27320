//! Model-based test of the guard: random lives of three accounts, over a store that fails and with a clock that jumps.
//!
//! After each step the checker looks at every [`Invariant`], and at whether the answer and the record are those of a
//! second implementation, the oracle. README.md in `tests/it/model` says where to start reading.
//!
//! A failure names its seed: `KEYFOB_SEED=… cargo test --test it model` runs that life again.

mod call;
mod checker;
mod invariant;
mod oracle;
mod script;
mod store;

use std::collections::BTreeMap;

use invariant::{Invariant, Violation};
use script::Run;
use store::Broken;

/// Runs the life that a fuzzer chose.
pub fn replay(tape: &[u8]) {
    Run::replay(tape, None);
}

#[test]
fn invariants_hold() {
    let steps = std::env::var("KEYFOB_STEPS").map_or(20_000, |steps| steps.parse().unwrap());
    let only: Option<u64> = std::env::var("KEYFOB_SEED").ok().map(|seed| seed.parse().unwrap());
    let mut counts = BTreeMap::new();
    for seed in only.map_or(0..u64::div_ceil(steps, STEPS), |seed| seed..seed + 1) {
        let mut run = Run::new(seed, None);
        for step in 0..STEPS {
            if let Err(violation) = run.step() {
                panic!("KEYFOB_SEED={seed}, step {step}: {violation}\n{}", run.trace());
            }
        }
        run.counts().iter().for_each(|(word, count)| *counts.entry(word.clone()).or_insert(0) += count);
    }
    println!("{counts:?}");
    // An outcome that never occurred was not tested.
    for word in SEEN.iter().filter(|_| only.is_none()) {
        assert!(counts.contains_key(*word), "no {word} in {counts:?}");
    }
}

#[test]
fn any_tape_is_a_life() {
    (0..8).for_each(|seed| replay(&crate::Random(seed).bytes(300)));
}

/// The oracle knows the secret of an enrollment whose answer was lost, so it knows which codes match by chance.
#[test]
fn codes_that_match_a_lost_secret_are_expected() {
    for seed in 0..20 {
        let mut run = Run::new(seed, None);
        if let Err(violation) = run.lost_enrollment() {
            panic!("{seed}: {violation}\n{}", run.trace());
        }
        assert!(run.only_authenticator().disclosed > 0);
        for word in ["Accepted", "Confirmed", "Store", "WrongCode"] {
            assert_eq!(run.counts().get(word), Some(&1), "{word}");
        }
    }
}

/// Control: for each store that breaks its promise, some life in which the matching invariant is the first to break.
#[test]
fn broken_stores_are_caught() {
    for (broken, invariant) in [
        (Broken::Blind, Invariant::AcceptedOnce),
        (Broken::Rewinds, Invariant::Increasing),
        (Broken::ForgetsTotal, Invariant::WithinBudget),
        (Broken::ForgetsFailures, Invariant::NotComparedWhileThrottled),
        (Broken::Lost, Invariant::AnswerIsStored),
        (Broken::Unsure, Invariant::WritesOnce),
        (Broken::ForgetsUse, Invariant::RecoveryCodeOnce),
        (Broken::Heals, Invariant::SealedInPlace),
        (Broken::Impatient, Invariant::WaitsAreBounded),
        (Broken::Stale, Invariant::StaysRefused),
        (Broken::ForgetsLogins, Invariant::CompletedOnce),
        (Broken::ForgetsEpoch, Invariant::StaysVoid),
        (Broken::Careless, Invariant::ExpectedIsThere),
        (Broken::ExtendsTrust, Invariant::TrustEnds),
        (Broken::ForgetsSuspension, Invariant::SuspendedAcceptsNothing),
        (Broken::KeepsVouchers, Invariant::VoucherAddsOne),
        (Broken::KeepsEnrollments, Invariant::HandleShowsItsOwn),
        (Broken::ForgetsNotices, Invariant::NoticeStays),
        (Broken::Lenient, Invariant::StrictlyLimited),
    ] {
        let caught = (0..400).find_map(|seed| {
            let mut run = Run::new(seed, Some(broken));
            let caught = (0..STEPS).find_map(|_| run.step().err());
            caught.filter(|Violation(broken, _)| *broken == invariant)
        });
        let Some(violation) = caught else { panic!("{broken:?} was not caught by {invariant}") };
        println!("{broken:?}: {violation}");
    }
}

/// In one life.
const STEPS: u64 = 400;
const SEEN: [&str; 94] = [
    "Accepted",
    "Accepted in a login",
    "Acknowledge",
    "Added",
    "Added with a voucher",
    "Adopted one",
    "Cancel",
    "Challenge",
    "Clock",
    "Completed before",
    "Confirmed",
    "Confirmed in a login",
    "Contended",
    "Crowded",
    "Current",
    "Device of another account",
    "Disable",
    "Dropped",
    "Enrolled",
    "Erase",
    "Exhausted",
    "Exhausted for good",
    "Expired",
    "Expired voucher",
    "Fence",
    "Forged",
    "Forged device",
    "Forged handle",
    "Forged voucher",
    "ForgetDevice",
    "ForgetDevices",
    "Free",
    "Full",
    "Grace",
    "Invalid",
    "Kept",
    "Known device",
    "LastAuthenticator",
    "Lift",
    "LoginRejected",
    "Malformed",
    "MustEnroll",
    "Newer voucher",
    "NoEnrollment",
    "NoSecondFactor",
    "NotCurrent",
    "NotEnrolled",
    "Nothing to replace",
    "Old handle",
    "ProofRejected",
    "ProofRequired",
    "RecordInvalid",
    "RecordMissing",
    "RecordNewer",
    "Recovered",
    "Recovered in a login",
    "Redeemed",
    "Redeemed before",
    "Regenerate",
    "Remove",
    "Removed",
    "Rename",
    "Replaced",
    "Replaces all",
    "Replayed",
    "Resealed",
    "Reserved",
    "Resume",
    "Resynchronized",
    "Revoke",
    "Rotated meanwhile",
    "SealBroken",
    "SecretInUse",
    "Shown",
    "Store",
    "Suspend",
    "Suspended",
    "Throttled",
    "TooManyAuthenticators",
    "TrustRefused",
    "TrustedDevice",
    "Unacknowledged",
    "UnknownAuthenticator",
    "UnknownDevice",
    "UnlockRefused",
    "Unreserved",
    "Unreserved barred",
    "Void",
    "Void device",
    "Void voucher",
    "Vouched",
    "Whole",
    "Whole barred",
    "WrongCode",
];
