//! What the checks are doing now, and what came of them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a check did, with its figures.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub did: String,
    /// How the control failed, for a check that has one.
    pub control: String,
}

/// A check that runs or has run.
pub struct Row {
    pub name: &'static str,
    pub server: &'static str,
    pub progress: Progress,
    pub started: Instant,
    pub took: Duration,
    pub result: Option<Result<Outcome, String>>,
}

/// Shows how far a check is.
#[derive(Clone)]
pub struct Progress {
    step: Arc<Mutex<String>>,
    /// Whether the check should do less.
    pub quick: bool,
}

impl Progress {
    pub fn new(quick: bool) -> Self {
        Self { step: Arc::default(), quick }
    }

    pub fn say(&self, step: impl Into<String>) {
        *self.step.lock().unwrap() = step.into();
    }

    /// The first number, or the second in a quick run.
    pub fn scaled<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    pub fn step(&self) -> String {
        self.step.lock().unwrap().clone()
    }
}

/// A number with its digits in groups of three.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(" ")
}
