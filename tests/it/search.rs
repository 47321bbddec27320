use std::ops::ControlFlow;

use keyfob::search::{self, Candidate, Stopped};
use keyfob::{Algorithm, Code, Digits, Hotp, Key, LookAhead, Period, Totp, Window};
use proptest::prelude::*;

use crate::Random;
use crate::hotp::COLLISION;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];

fn on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// One counter after the other, by the function that makes codes: the last match and the number of matches.
fn naive(hotp: &Hotp, codes: &[&Code], counters: impl Iterator<Item = u64>) -> (Option<u64>, u64) {
    let wanted: Vec<String> = codes.iter().map(|code| code.to_string()).collect();
    let (mut shown, mut last, mut count) = (Vec::new(), None, 0);
    for counter in counters {
        shown.push(hotp.code(counter).to_string());
        if shown.ends_with(&wanted) {
            last = Some(counter);
            count += 1;
        }
    }
    (last, count)
}

proptest! {
    /// Every length around the sixteen lanes, both ends of u64, hits and misses.
    #[test]
    fn lanes_agree_with_one_counter_after_the_other(
        key in prop::collection::vec(any::<u8>(), 10..80),
        algorithm in prop::sample::select(&ALGORITHMS),
        start in prop_oneof![any::<u64>(), 0u64..40, u64::MAX - 80..=u64::MAX, Just(u64::from(u32::MAX) - 20)],
        length in 0u64..70,
        position in 0u64..80,
    ) {
        let hotp = Hotp::with_algorithm(Key::new(&key).unwrap(), algorithm);
        let end = start.saturating_add(length);
        let code = hotp.code(start.saturating_add(position));
        let next = hotp.code(start.saturating_add(position).saturating_add(1));
        let found = search::counters(&hotp, [&code], start..=end, on).unwrap();
        prop_assert_eq!((found.last(), found.count()), naive(&hotp, &[&code], start..=end));
        let found = search::counters(&hotp, [&code, &next], start..=end, on).unwrap();
        prop_assert_eq!((found.last(), found.count()), naive(&hotp, &[&code, &next], start..=end));
    }

    #[test]
    fn authenticators_agree_with_one_after_the_other(seed in any::<u64>(), number in 0usize..60, chosen in 0usize..60) {
        let mut random = Random(seed);
        let hotps: Vec<Hotp> = (0..number).map(|_| {
            let algorithm = if random.below(8) == 0 { ALGORITHMS[random.below(3) as usize] } else { Algorithm::Sha1 };
            let digits = if random.below(8) == 0 { Digits::Eight } else { Digits::Six };
            Hotp::with_algorithm(Key::new(&random.bytes(20)).unwrap(), algorithm).with_digits(digits)
        }).collect();
        let ranges: Vec<_> = hotps.iter().map(|_| (random.below(50), LookAhead::new(random.below(6) as u8).unwrap())).collect();
        let mut expected = (None, 0);
        let code = match hotps.get(chosen) {
            Some(hotp) => hotp.code(ranges[chosen].0 + random.below(7)),
            None => Code::parse("123456").unwrap(),
        };
        for (position, (hotp, (from, ahead))) in (0..).zip(hotps.iter().zip(&ranges)) {
            let (last, count) = naive(hotp, &[&code], *from..=*from + u64::from(ahead.get()));
            expected = (last.map(|_| position).or(expected.0), expected.1 + count);
        }
        let candidates = hotps.iter().zip(&ranges).map(|(hotp, (from, ahead))| Candidate::hotp(hotp, *from, *ahead));
        let found = search::authenticators(candidates, [&code], on).unwrap();
        prop_assert_eq!((found.last(), found.count()), expected);
    }
}

#[test]
fn a_hundred_thousand_counters() {
    let hotp = Hotp::new(Key::new(b"12345678901234567890").unwrap());
    for counter in [0, 15, 16, 4095, 4096, 4097, 99_999] {
        let pair = [&hotp.code(counter), &hotp.code(counter + 1)];
        let found = search::counters(&hotp, pair, 0..=100_000, on).unwrap();
        assert_eq!((found.last(), found.count()), (Some(counter + 1), 1), "{counter}");
    }
    let twice = hotp.code(COLLISION[0]);
    let found = search::counters(&hotp, [&twice], 0..=5000, on).unwrap();
    assert_eq!((found.last(), found.count()), (Some(COLLISION[1]), 2));
    assert_eq!(naive(&hotp, &[&twice], 0..=5000), (Some(COLLISION[1]), 2));
}

#[test]
fn three_codes_in_a_row() {
    let hotp = Hotp::new(Key::new(b"12345678901234567890").unwrap());
    let [a, b, c] = [700, 701, 702].map(|counter| hotp.code(counter));
    let last = |codes: [&Code; 3], to| search::counters(&hotp, codes, 0..=to, on).unwrap().last();
    assert_eq!(last([&a, &b, &c], 1000), Some(702));
    assert_eq!(last([&a, &b, &c], 701), None);
    assert_eq!(last([&a, &c, &b], 1000), None);
    assert_eq!(search::counters(&hotp, [], 0..=100, on).unwrap().last(), None);
}

#[test]
fn the_one_token_in_a_drawer() {
    let mut random = Random(7);
    let now = 1_900_000_000;
    let drawer: Vec<Totp> = (0..10_000).map(|_| Totp::new(Key::new(&random.bytes(20)).unwrap())).collect();
    let window = Window::new(1, 2).unwrap();
    for chosen in [0, 15, 16, 5000, 9999] {
        let codes = [&drawer[chosen].code_at(now), &drawer[chosen].code_at(now + 30)];
        let candidates = drawer.iter().map(|totp| Candidate::totp(totp, now, window));
        let found = search::authenticators(candidates, codes, on).unwrap();
        assert_eq!((found.last(), found.count()), (Some(chosen as u64), 1));
    }
}

#[test]
fn a_search_reports_and_can_be_stopped() {
    let totp = Totp::new(Key::new(b"12345678901234567890").unwrap());
    let code = totp.code_at(0);
    let mut reports = Vec::new();
    let search = |within, progress: &mut dyn FnMut(u64) -> ControlFlow<()>| {
        search::steps(&totp, [&code], 1_900_000_000, within, progress).map(|found| found.count())
    };
    search(10_000, &mut |done| {
        reports.push(done);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(reports, [4096, 8192, 12_288, 16_384, 20_001]);
    let mut calls = 0;
    let stopped = search(u32::MAX, &mut |done| {
        calls += 1;
        if done > 10_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((stopped.unwrap_err(), calls), (Stopped, 3));
    let candidates = std::iter::repeat_n(Candidate::totp(&totp, 59, Window::default()), 10_000);
    let stopped = search::authenticators(candidates, [&code], |_| ControlFlow::Break(()));
    assert_eq!(stopped.unwrap_err(), Stopped);
}

/// Of a finished search nothing is dropped, and an unfinished one can always be stopped.
#[test]
fn the_last_report_stops_nothing() {
    let totp = Totp::new(Key::new(b"12345678901234567890").unwrap());
    let code = totp.code_at(59);
    let stop_at = |end: u64| move |done| if done >= end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    for length in [1, 100, 4095, 4096, 4097, 8192, 9000] {
        let hotp = Hotp::new(Key::new(b"12345678901234567890").unwrap());
        let found = search::counters(&hotp, [&code], 0..=length - 1, stop_at(length)).unwrap();
        assert_eq!(found.count() > 0, length > 1, "{length}");

        let one = Candidate::hotp(&hotp, 1, LookAhead::NONE);
        let candidates = || std::iter::repeat_n(one.clone(), length as usize);
        let mut reports = Vec::new();
        let found = search::authenticators(candidates(), [&code], |done| {
            reports.push(done);
            stop_at(length)(done)
        });
        assert_eq!(found.unwrap().count(), length);
        assert_eq!(reports.last(), Some(&length));
        assert!(reports.is_sorted_by(|a, b| a < b), "{reports:?}");
    }
}

#[test]
fn candidates_without_counters_can_be_stopped() {
    let totp = Totp::new(Key::new(b"12345678901234567890").unwrap()).with_t0(1000);
    let before = Candidate::totp(&totp, 999, Window::default());
    let mut calls = 0;
    let many = std::iter::repeat_n(before, 100_000);
    let stopped = search::authenticators(many, [&totp.code_at(1000)], |done| {
        assert_eq!(done, 0);
        calls += 1;
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((stopped.unwrap_err(), calls), (Stopped, 3));
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "it is what a caller may pass")]
fn nowhere_to_look() {
    let totp = Totp::new(Key::new(b"12345678901234567890").unwrap()).with_t0(1000);
    let hotp = Hotp::new(Key::new(b"12345678901234567890").unwrap());
    let code = hotp.code(0);
    assert_eq!(search::counters(&hotp, [&code], 5..=4, on).unwrap().count(), 0);
    assert_eq!(search::steps(&totp, [&code], 999, 10, on).unwrap().count(), 0);
    assert_eq!(search::steps(&totp, [&code], 1000, 10, on).unwrap().last(), Some(0));
    assert_eq!(
        search::authenticators([Candidate::totp(&totp, 999, Window::default())], [&code], on).unwrap().count(),
        0
    );
    assert_eq!(search::authenticators([], [&code], on).unwrap().last(), None);
    let ends = totp.with_t0(0).with_period(Period::new(1).unwrap());
    let last = ends.code_at(u64::MAX);
    assert_eq!(search::steps(&ends, [&last], u64::MAX, 100, on).unwrap().last(), Some(u64::MAX));
    let eight = hotp.clone().with_digits(Digits::Eight);
    assert_eq!(search::counters(&eight, [&code], 0..=10, on).unwrap().count(), 0);
}
