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

/// A benchmark that returns how many of its requests did what they should.
pub type Run<'a> = Box<dyn FnMut() -> usize + 'a>;

/// Times these benchmarks in turn. A disk is faster in one second than in another, so benchmarks that wait for it can be
/// compared only if they run at the same time. Each of them must return the expected number.
///
/// # Panics
///
/// If one returns another number.
pub fn time_in_turn(group: &mut Group, runs: Vec<(&str, Run<'_>)>, expected: usize) {
    let timed = runs.into_iter().map(|(name, mut run)| {
        let timed: TimedRun<'_> = Box::new(move || {
            let start = Instant::now();
            (run(), start.elapsed())
        });
        (name, timed)
    });
    time_parts_in_turn(group, timed.collect(), expected);
}

/// A benchmark that also returns the time of the part that is measured.
pub type TimedRun<'a> = Box<dyn FnMut() -> (usize, Duration) + 'a>;

/// The same, for benchmarks of which only a part is measured, because a request has to be prepared.
///
/// # Panics
///
/// If one returns another number.
pub fn time_parts_in_turn(group: &mut Group, mut runs: Vec<(&str, TimedRun<'_>)>, expected: usize) {
    let names: Vec<String> = runs.iter().map(|(name, _)| (*name).to_owned()).collect();
    // For each sample, the number of rounds and the time of each benchmark in all of them.
    let mut samples: Vec<(u64, Vec<Duration>)> = Vec::new();
    // Criterion measures the first, and the others run whenever it does.
    group.bench_function(&*names[0], |bencher| {
        bencher.iter_custom(|count| {
            let mut totals = vec![Duration::ZERO; runs.len()];
            for _ in 0..count {
                for ((name, run), total) in runs.iter_mut().zip(&mut totals) {
                    let (answer, time) = run();
                    *total += time;
                    assert_eq!(answer, expected, "the answer of {name}");
                }
            }
            let first = totals[0];
            samples.push((count, totals));
            first
        });
    });
    // While criterion warms up, it doubles the number each time.
    let warm_up = samples.iter().enumerate().take_while(|(index, (count, _))| *count == 1 << index).count();
    let samples = &samples[warm_up..];
    // The samples of the others are known by now. Criterion asks for each with a number of its own.
    for (index, name) in names.iter().enumerate().skip(1) {
        let mut next = samples.iter().map(|(count, totals)| totals[index].as_secs_f64() / *count as f64).cycle();
        group.bench_function(&**name, |bencher| {
            bencher.iter_custom(|count| {
                Duration::from_secs_f64(next.next().expect("the first benchmark of the group has run") * count as f64)
            });
        });
    }
}
