//! Functions from keyfob's source files, instantiated for inputs of fixed size. They are small enough to check every
//! instruction.

#[allow(dead_code, clippy::all)]
#[path = "../../../src/ct.rs"]
mod ct;
#[path = "../../../src/truncation.rs"]
mod truncation;

use std::hint::black_box;

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fixed_eq_20(a: &[u8; 20], b: &[u8; 20]) -> bool {
    ct::eq(a, b)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fixed_eq_32(a: &[u8; 32], b: &[u8; 32]) -> bool {
    ct::eq(a, b)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fixed_truncate(digest: &[u32; 5]) -> u32 {
    truncation::truncate(*digest, digest[4])
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fixed_reduce(value: u32) -> u32 {
    const MILLION: ct::Divisor = ct::Divisor::new(1_000_000);
    MILLION.divide(value).1
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fixed_choose(a: u32, b: u32, counter: u64, found: u64) -> u64 {
    ct::select(ct::mask_eq(a, b), counter, found)
}

/// A control that branches on each byte.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn control_early_exit(a: &[u8; 20], b: &[u8; 20]) -> bool {
    a.iter().zip(b).all(|(a, b)| black_box(*a) == black_box(*b))
}

/// A control that divides. The compiler cannot replace this division by a multiplication.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn control_division(value: u32, divisor: u32) -> u32 {
    value % (divisor | 1)
}

/// A control that calls another function.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn control_call(a: &[u8; 300], b: &[u8; 300]) -> bool {
    a == b
}

/// Keeps the linker from removing the functions.
pub fn keep() {
    black_box((fixed_eq_20 as *const u8, fixed_eq_32 as *const u8, fixed_truncate as *const u8));
    black_box((fixed_reduce as *const u8, fixed_choose as *const u8));
    black_box((control_early_exit as *const u8, control_division as *const u8, control_call as *const u8));
}
