//! The guard against a second implementation of its rules, over a store that fails, with a clock that jumps.
//!
//! After each step a checker looks at I1 to I11: I1 no step or counter is accepted twice; I2 they only grow; I3 failures
//! told of stay within both budgets; I4 nothing is compared while throttled; I5 what was told is stored; I6 an error
//! writes nothing, an answer once; I7 a recovery code works once; I8 a sealed secret opens in its place only; I9 waits
//! are bounded; I10 exhausted and revoked stay so; I11 a request without an answer is reported. Then the answer and the record have to be those of the oracle.
//!
//! A failure names its seed: `KEYFOB_SEED=… cargo test --test it model` runs that one again.

mod call;
mod checker;
mod oracle;
mod script;
mod store;

use std::collections::BTreeMap;

use checker::Violation;
use script::Run;
use store::Broken;

/// A life that a fuzzer chose.
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
            if let Err(Violation(which, what)) = run.step() {
                panic!("KEYFOB_SEED={seed}, step {step}: {which}: {what}\n{}", run.trace());
            }
        }
        run.counts().iter().for_each(|(word, count)| *counts.entry(word.clone()).or_insert(0) += count);
    }
    println!("{counts:?}");
    // What never happened has not been tested.
    for word in SEEN.iter().filter(|_| only.is_none()) {
        assert!(counts.contains_key(*word), "no {word} in {counts:?}");
    }
}

#[test]
fn any_tape_is_a_life() {
    (0..8).for_each(|seed| replay(&crate::Random(seed).bytes(300)));
}

/// Stores that break their promise, and the invariant that breaks with it, in some life before any other.
#[test]
fn broken_stores_are_caught() {
    for (broken, invariant) in [
        (Broken::Blind, "I1"),
        (Broken::Rewinds, "I2"),
        (Broken::ForgetsTotal, "I3"),
        (Broken::ForgetsFailures, "I4"),
        (Broken::Lost, "I5"),
        (Broken::Unsure, "I6"),
        (Broken::ForgetsUse, "I7"),
        (Broken::Heals, "I8"),
        (Broken::Impatient, "I9"),
        (Broken::Stale, "I10"),
    ] {
        let caught = (0..400).find_map(|seed| {
            let mut run = Run::new(seed, Some(broken));
            let caught = (0..STEPS).find_map(|_| run.step().err());
            caught.filter(|Violation(which, _)| *which == invariant)
        });
        let Some(Violation(_, what)) = caught else { panic!("{broken:?} was not caught by {invariant}") };
        println!("{broken:?}: {invariant}: {what}");
    }
}

/// Of one world.
const STEPS: u64 = 400;
const SEEN: [&str; 31] = [
    "Accepted",
    "Clock",
    "Confirmed",
    "Contended",
    "Disable",
    "Dropped",
    "Enrolled",
    "Exhausted",
    "Exhausted for good",
    "Fence",
    "LastAuthenticator",
    "Lift",
    "Malformed",
    "NoEnrollment",
    "NotEnrolled",
    "ProofRejected",
    "ProofRequired",
    "RecordInvalid",
    "RecordNewer",
    "Recovered",
    "Regenerate",
    "Remove",
    "Rename",
    "Replayed",
    "Resealed",
    "Resynchronized",
    "Revoke",
    "SealBroken",
    "Store",
    "Throttled",
    "WrongCode",
];
