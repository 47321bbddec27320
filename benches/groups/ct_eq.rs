//! Two equal slices, compared in constant time.

use std::hint::black_box;

use criterion::BenchmarkId;
use keyfob_benches::harness::brief_criterion;

type Eq = fn(&[u8], &[u8]) -> bool;

const PEERS: [(&str, Eq); 7] = [
    ("keyfob", keyfob),
    ("constant_time_eq", constant_time_eq),
    ("subtle", subtle),
    ("ctutils", ctutils),
    ("ring", ring),
    ("aws-lc-rs", aws_lc_rs),
    ("==", equals),
];

fn main() {
    let mut criterion = brief_criterion();
    let mut group = criterion.benchmark_group("ct::eq");
    for length in (1..=64).chain([256, 1024, 4096, 65536]) {
        let (a, b) = (vec![0xa5; length], vec![0xa5; length]);
        // All crates at one length, then the next length, so that other load affects all of them.
        for (name, eq) in PEERS {
            // About a thousand positions of a long slice. The step is odd, so they are in every lane of a vector.
            for position in (0..length).step_by(length / 2048 * 2 + 1) {
                let mut other = b.clone();
                other[position] ^= 1;
                assert!(!eq(&a, &other), "{name}, length {length}, position {position}");
            }
            assert!(eq(&a, &b), "{name}, length {length}");
            // Called through a pointer, so that the loop around it is the same code for all.
            let eq = black_box(eq);
            group.bench_function(BenchmarkId::new(name, length), |bencher| {
                bencher.iter(|| eq(black_box(&a), black_box(&b)));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

#[inline(never)]
fn keyfob(a: &[u8], b: &[u8]) -> bool {
    keyfob::ct::eq(a, b)
}

#[inline(never)]
fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time_eq::constant_time_eq(a, b)
}

#[inline(never)]
fn subtle(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}

#[inline(never)]
fn ctutils(a: &[u8], b: &[u8]) -> bool {
    ctutils::CtEq::ct_eq(a, b).into()
}

#[inline(never)]
#[allow(deprecated, reason = "it is what ring has")]
fn ring(a: &[u8], b: &[u8]) -> bool {
    ring::constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[inline(never)]
fn aws_lc_rs(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[inline(never)]
fn equals(a: &[u8], b: &[u8]) -> bool {
    a == b
}
