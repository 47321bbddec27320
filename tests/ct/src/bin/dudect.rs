//! A timing test. It finds only large differences, but needs no tools.

use std::hint::black_box;

use dudect_bencher::{BenchRng, Class, CtRunner, ctbench_main};
use keyfob::{Key, Totp, Window, ct};

const SAMPLES: u64 = 100_000;

/// Times the comparison of equal slices against the comparison of slices that differ in the first byte.
fn compare(runner: &mut CtRunner, eq: fn(&[u8], &[u8]) -> bool, length: usize) {
    let pairs: Vec<_> = (0..SAMPLES)
        .map(|sample| {
            let left = mixed(sample) & 1 == 0;
            let a: Vec<u8> = (0..length as u64).map(|position| mixed(sample + position * SAMPLES) as u8).collect();
            let mut b = a.clone();
            b[0] ^= u8::from(!left);
            (if left { Class::Left } else { Class::Right }, a, b)
        })
        .collect();
    for (class, a, b) in pairs {
        runner.run_one(class, || black_box(eq(&a, &b)));
    }
}

fn ct_eq_32(runner: &mut CtRunner, _: &mut BenchRng) {
    compare(runner, ct::eq, 32);
}

fn ct_eq_1000(runner: &mut CtRunner, _: &mut BenchRng) {
    compare(runner, ct::eq, 1000);
}

/// Times the code of the oldest step of the window against the code of the newest step. Both are accepted, at different
/// positions.
fn totp_verify(runner: &mut CtRunner, _: &mut BenchRng) {
    let totp = Totp::new(Key::new(b"12345678901234567890").unwrap());
    let codes = [totp.code_at(29_999_970), totp.code_at(30_000_030)];
    for sample in 0..SAMPLES {
        let left = mixed(sample) & 1 == 0;
        let code = codes[usize::from(left)].clone();
        runner.run_one(if left { Class::Left } else { Class::Right }, || {
            black_box(totp.verify(&code, 30_000_000, Window::default()));
        });
    }
}

fn control_early_exit(runner: &mut CtRunner, _: &mut BenchRng) {
    compare(runner, |a, b| a.iter().zip(b).all(|(a, b)| black_box(*a) == black_box(*b)), 1000);
}

fn mixed(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

ctbench_main!(ct_eq_32, ct_eq_1000, totp_verify, control_early_exit);
