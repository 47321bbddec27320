//! The harness: it compares the answer with a known one, and then measures the time.

use std::env;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use criterion::Criterion;
use criterion::measurement::WallTime;

pub type Group<'a> = criterion::BenchmarkGroup<'a, WallTime>;

/// Set by the driver for a quick run, which only checks that everything works.
pub const QUICK: &str = "KEYFOB_BENCHES_QUICK";

#[must_use]
pub fn criterion() -> Criterion {
    settings(Duration::from_millis(300), Duration::from_secs(1))
}

/// For a group with hundreds of benchmarks.
#[must_use]
pub fn brief_criterion() -> Criterion {
    settings(Duration::from_millis(50), Duration::from_millis(100))
}

fn settings(warm_up: Duration, measurement: Duration) -> Criterion {
    // An idle processor takes a while to reach its speed, and the first benchmark would pay for it.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(200) {
        std::hint::spin_loop();
    }
    let (divisor, samples, resamples) = if env::var_os(QUICK).is_some() { (10, 10, 100) } else { (1, 50, 5_000) };
    Criterion::default()
        .without_plots()
        .nresamples(resamples)
        .sample_size(samples)
        .warm_up_time(warm_up / divisor)
        .measurement_time(measurement / divisor)
        .configure_from_args()
}

/// Times `run`, whose result, converted by `answer`, must be the expected one.
///
/// # Panics
///
/// If the result is wrong.
pub fn time<T, A: PartialEq + Debug>(
    group: &mut Group,
    name: &str,
    mut run: impl FnMut() -> T,
    answer: impl Fn(T) -> A,
    expected: A,
) {
    assert_eq!(answer(run()), expected, "the answer of {name}");
    group.bench_function(name, |bencher| bencher.iter(&mut run));
    assert_eq!(answer(run()), expected, "the answer of {name} after it was timed");
}
