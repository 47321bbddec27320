//! Computes HMAC-SHA-1 for sixteen counters at once, with one counter in each lane of a vector.
//!
//! The code works on arrays, and LLVM turns it into vector instructions. It is compiled once for AVX-512 and once for
//! AVX2, and `Kernel::detect` chooses at run time. SHA instructions process one message at a time, and each instruction
//! waits for the one before it. For sixteen or more counters, this code is therefore two to three times as fast as SHA
//! instructions. If the processor has neither AVX-512 nor AVX2, `detect` returns `None`, and this code is not used.
//! `detect` also returns `None` without the feature `std`, because detection needs it.

#![cfg_attr(
    not(all(feature = "std", target_arch = "x86_64")),
    allow(dead_code, reason = "without a kernel nothing calls the rest")
)]

use zeroize::Zeroize;

use crate::truncation::truncate;

pub(super) const LANES: usize = 16;

/// The HMAC states of sixteen keys, one in each lane, or of the same key in every lane. Wiped on drop.
pub(super) struct Keys {
    inner: [Words; 5],
    outer: [Words; 5],
}

impl Keys {
    pub(super) const ZEROS: Self = Self { inner: [[0; LANES]; 5], outer: [[0; LANES]; 5] };

    /// Puts the same key in every lane.
    pub(super) fn repeated(inner: &[u32; 5], outer: &[u32; 5]) -> Self {
        Self { inner: inner.map(splat), outer: outer.map(splat) }
    }

    /// Sets the key of one lane. Does nothing if there is no such lane.
    pub(super) fn set(&mut self, lane: usize, inner: &[u32; 5], outer: &[u32; 5]) {
        for (words, states) in [(&mut self.inner, inner), (&mut self.outer, outer)] {
            for (word, state) in words.iter_mut().zip(states) {
                if let Some(slot) = word.get_mut(lane) {
                    *slot = *state;
                }
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The version of `truncated` that was compiled for this processor's vector instructions.
#[derive(Clone, Copy)]
pub(super) struct Kernel(unsafe fn(&Keys, &[u64; LANES]) -> [u32; LANES]);

impl Kernel {
    pub(super) fn detect() -> Option<Self> {
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        {
            if std::is_x86_feature_detected!("avx512f") {
                return Some(Self(with_avx512));
            }
            if std::is_x86_feature_detected!("avx2") {
                return Some(Self(with_avx2));
            }
        }
        None
    }

    /// Returns the truncated values (RFC 4226, section 5.3) of sixteen counters, each computed with its lane's key.
    #[allow(unsafe_code, reason = "the one way to enter a function compiled for instructions found at run time")]
    pub(super) fn truncated(self, keys: &Keys, counters: &[u64; LANES]) -> [u32; LANES] {
        // SAFETY: `detect` returns a function only if the processor has the instructions that the function was compiled
        // for, and nothing else creates a `Kernel`.
        unsafe { (self.0)(keys, counters) }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn with_avx512(keys: &Keys, counters: &[u64; LANES]) -> [u32; LANES] {
    truncated(keys, counters)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(keys: &Keys, counters: &[u64; LANES]) -> [u32; LANES] {
    truncated(keys, counters)
}

#[inline(always)]
fn truncated(keys: &Keys, counters: &[u64; LANES]) -> [u32; LANES] {
    let mut block = [splat(0); 16];
    let [high, low, end, .., bits] = &mut block;
    for ((high, low), counter) in high.iter_mut().zip(low).zip(counters) {
        (*high, *low) = (super::high(*counter), super::low(*counter));
    }
    // The padding of a 72-byte message: a 64-byte key block and an 8-byte counter.
    (*end, *bits) = (splat(1 << 31), splat(8 * 72));
    let digest = compress(&keys.inner, block);

    let mut block = [splat(0); 16];
    let [a, b, c, d, e, end, .., bits] = &mut block;
    [*a, *b, *c, *d, *e] = digest;
    // The padding of an 84-byte message: a 64-byte key block and a 20-byte digest.
    (*end, *bits) = (splat(1 << 31), splat(8 * 84));
    let [a, b, c, d, e] = compress(&keys.outer, block);

    let mut values = [0; LANES];
    let lanes = a.into_iter().zip(b).zip(c).zip(d).zip(e);
    for (value, ((((a, b), c), d), e)) in values.iter_mut().zip(lanes) {
        *value = truncate([a, b, c, d, e], e);
    }
    values
}

/// The SHA-1 compression function (FIPS 180-4, section 6.1.2).
#[inline(always)]
#[allow(clippy::indexing_slicing, reason = "every index is taken modulo sixteen")]
fn compress(state: &[Words; 5], mut schedule: [Words; 16]) -> [Words; 5] {
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for t in 0..80 {
        if t >= 16 {
            let next = xor(xor(schedule[(t + 13) & 15], schedule[(t + 8) & 15]), schedule[(t + 2) & 15]);
            schedule[t & 15] = rotate_left(xor(next, schedule[t & 15]), 1);
        }
        let (mixed, constant) = match t {
            0..20 => (map(b, c, d, |b, c, d| d ^ (b & (c ^ d))), 0x5a82_7999),
            20..40 => (map(b, c, d, |b, c, d| b ^ c ^ d), 0x6ed9_eba1),
            40..60 => (map(b, c, d, |b, c, d| (b & c) | (d & (b | c))), 0x8f1b_bcdc),
            _ => (map(b, c, d, |b, c, d| b ^ c ^ d), 0xca62_c1d6),
        };
        let sum = add(add(add(add(rotate_left(a, 5), mixed), e), schedule[t & 15]), splat(constant));
        (a, b, c, d, e) = (sum, a, rotate_left(b, 30), c, d);
    }
    let [a0, b0, c0, d0, e0] = *state;
    [add(a0, a), add(b0, b), add(c0, c), add(d0, d), add(e0, e)]
}

/// One 32-bit word in each of the sixteen lanes.
type Words = [u32; LANES];

#[inline(always)]
fn splat(word: u32) -> Words {
    [word; LANES]
}

#[inline(always)]
fn add(a: Words, b: Words) -> Words {
    map(a, b, b, |a, b, _| a.wrapping_add(b))
}

#[inline(always)]
fn xor(a: Words, b: Words) -> Words {
    map(a, b, b, |a, b, _| a ^ b)
}

#[inline(always)]
fn rotate_left(a: Words, count: u32) -> Words {
    map(a, a, a, |a, _, _| a.rotate_left(count))
}

/// Applies `f` to each lane. The loop compiles to one or two vector instructions.
#[inline(always)]
fn map(mut a: Words, b: Words, c: Words, f: impl Fn(u32, u32, u32) -> u32) -> Words {
    for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
        *a = f(*a, b, c);
    }
    a
}
