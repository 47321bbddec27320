//! Constant-time comparison, and the constant-time operations that the rest of the crate uses.
//!
//! The running time of [`eq`] depends on the two lengths. It does not depend on the contents of the slices, on whether
//! they are equal, or on where they differ.
//!
//! Only this module hides values from the optimizer, using `black_box`. A condition is hidden *before* it becomes a
//! mask. Without this, LLVM may recognize the condition in the mask and generate a branch, as it does on targets
//! without a conditional move.

use core::hint::black_box;

/// Returns whether two byte slices are equal, in a time that depends only on their lengths.
///
/// Use it for tags, digests and tokens that an attacker submits and must not be able to guess byte by byte.
///
/// ```
/// let tag = [7; 32];
/// assert!(keyfob::ct::eq(&tag, &[7; 32]));
/// assert!(!keyfob::ct::eq(&tag, &[7; 31]));
/// ```
#[must_use]
#[inline(always)] // if a length is constant, no branch or call remains at any optimization level
pub fn eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && black_box(difference(a, b)) == 0
}

/// Returns zero if and only if the slices are equal. Both must have the same length.
#[inline(always)]
fn difference(a: &[u8], b: &[u8]) -> u64 {
    // Use as few branches as possible: for a short slice such as a tag, branching on the length takes as long as the
    // comparison itself.
    match a.len() {
        17.. => match a.len() {
            17..=32 => ends::<16>(a, b),
            33..=64 => ends::<32>(a, b),
            _ => long(a, b),
        },
        0..=3 => match a.len() {
            0 => 0,
            1 => ends::<1>(a, b),
            _ => ends::<2>(a, b),
        },
        4..=8 => ends::<4>(a, b),
        _ => ends::<8>(a, b),
    }
}

/// Returns zero if and only if the first N bytes are equal and the last N bytes are equal. Together, these cover a
/// slice of N to 2 N bytes, so no loop over a remainder is needed.
#[inline(always)]
fn ends<const N: usize>(a: &[u8], b: &[u8]) -> u64 {
    match (a.first_chunk(), b.first_chunk(), a.last_chunk(), b.last_chunk()) {
        (Some(a0), Some(b0), Some(a1), Some(b1)) => fold::<N>(a0, b0) | fold::<N>(a1, b1),
        // Unreachable, because N is chosen by the length. 1 means "unequal", which is the safe answer.
        _ => 1,
    }
}

#[inline(never)]
fn long(a: &[u8], b: &[u8]) -> u64 {
    match a.len() {
        0..=128 => return ends::<64>(a, b),
        129..=256 => return ends::<128>(a, b),
        _ => {}
    }
    let (a_blocks, a_rest) = a.as_chunks::<512>();
    let (b_blocks, b_rest) = b.as_chunks::<512>();
    let mut sum = ends::<64>(a, b);
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        // Hide the sum in each iteration. Without this, the optimizer may end the loop at the first difference.
        sum = black_box(sum | lanes(x, y));
    }
    sum | lanes(a_rest, b_rest)
}

/// Returns zero if and only if all whole 64-byte blocks are equal. The bytes after them are not compared. The compiler
/// turns the eight independent sums into vector instructions.
#[inline(always)] // for a block of known length, the loop is unrolled
fn lanes(a: &[u8], b: &[u8]) -> u64 {
    let mut sums = [0; 8];
    for (x, y) in a.as_chunks::<64>().0.iter().zip(b.as_chunks::<64>().0) {
        for ((sum, x), y) in sums.iter_mut().zip(x.as_chunks().0).zip(y.as_chunks().0) {
            *sum |= u64::from_ne_bytes(*x) ^ u64::from_ne_bytes(*y);
        }
    }
    sums.into_iter().fold(0, |all, sum| all | sum)
}

/// Returns zero if and only if the N bytes are equal. Up to 16 bytes are compared without a loop, because the compiler
/// would not unroll one when optimizing for size.
#[inline(always)]
fn fold<const N: usize>(a: &[u8; N], b: &[u8; N]) -> u64 {
    if N <= 16 {
        let ([a0, a1], [b0, b1]) = (words(a), words(b));
        return (a0 ^ b0) | (a1 ^ b1);
    }
    let words = a.as_chunks().0.iter().zip(b.as_chunks().0);
    words.fold(0, |sum, (x, y)| sum | (u64::from_ne_bytes(*x) ^ u64::from_ne_bytes(*y)))
}

/// Returns up to 16 bytes as two words, padded with zeros.
#[inline(always)]
fn words<const N: usize>(bytes: &[u8; N]) -> [u64; 2] {
    let mut wide = [0; 16];
    if let Some(start) = wide.first_chunk_mut() {
        *start = *bytes;
    }
    let [low, high] = wide.as_chunks().0 else { return [0; 2] };
    [u64::from_ne_bytes(*low), u64::from_ne_bytes(*high)]
}

/// All ones if `a == b`, all zeros if not.
#[inline]
pub(crate) fn mask_eq(a: u32, b: u32) -> u64 {
    let x = a ^ b;
    mask(((x | x.wrapping_neg()) >> 31) ^ 1)
}

/// All ones if `low <= x <= high`, all zeros if not.
#[inline]
pub(crate) fn mask_within(x: u8, low: u8, high: u8) -> u64 {
    let (x, low, high) = (u32::from(x), u32::from(low), u32::from(high));
    // If x is outside the range, one of the differences is negative, so its top bit is set.
    mask(((x.wrapping_sub(low) | high.wrapping_sub(x)) >> 31) ^ 1)
}

/// Like [`mask_within`], but for characters, which are compared by code point.
#[inline]
pub(crate) fn mask_between(x: u32, low: u32, high: u32) -> u64 {
    mask(((x.wrapping_sub(low) | high.wrapping_sub(x)) >> 31) ^ 1)
}

/// All ones if `a == b`, all zeros if not.
#[cfg(feature = "guard")]
pub(crate) fn mask_same(a: u64, b: u64) -> u64 {
    let x = a ^ b;
    mask_top(!(x | x.wrapping_neg()))
}

/// All ones if `a < b`, all zeros if not.
#[cfg(feature = "guard")]
pub(crate) fn mask_less(a: u64, b: u64) -> u64 {
    // The top bit of this expression is the borrow of `a - b`.
    mask_top((!a & b) | (!(a ^ b) & a.wrapping_sub(b)))
}

/// All ones if the number is negative, all zeros if not.
#[cfg(feature = "guard")]
pub(crate) fn mask_negative(number: i64) -> u64 {
    mask_top(number.cast_unsigned())
}

/// Returns the absolute value without a branch. `i64::unsigned_abs` may compile to a branch.
#[cfg(feature = "guard")]
pub(crate) fn magnitude(number: i64) -> u64 {
    let sign = mask_negative(number);
    (number.cast_unsigned() ^ sign).wrapping_sub(sign)
}

/// All ones if the top bit is set, all zeros if not.
#[cfg(feature = "guard")]
fn mask_top(word: u64) -> u64 {
    black_box(word >> 63).wrapping_neg()
}

/// Returns the quotient and the remainder of a division by 10^8, without a division instruction. Multiplying by the
/// reciprocal used here gives the exact quotient for all 64-bit numbers.
#[cfg(feature = "guard")]
#[allow(clippy::cast_possible_truncation, reason = "the quotient is smaller than n")]
pub(crate) fn divide_by_hundred_million(n: u64) -> (u64, u64) {
    let quotient = ((u128::from(n) * 0xabcc_7711_8461_cefd) >> 90) as u64;
    (quotient, n.wrapping_sub(quotient.wrapping_mul(100_000_000)))
}

/// Hides bits that were computed from secrets, so that the optimizer does not turn them back into branches.
#[cfg(feature = "guard")]
#[inline]
pub(crate) fn hidden<const N: usize>(bits: [u8; N]) -> [u8; N] {
    black_box(bits)
}

/// All ones for 1, all zeros for 0.
#[inline]
pub(crate) fn mask(bit: u32) -> u64 {
    u64::from(black_box(bit)).wrapping_neg()
}

/// Returns a mask for a condition that is public.
#[cfg(feature = "guard")]
pub(crate) const fn public(condition: bool) -> u64 {
    if condition { u64::MAX } else { 0 }
}

/// Returns the bits of `a` where the mask has ones, and those of `b` where it has zeros.
#[inline]
pub(crate) fn select(mask: u64, a: u64, b: u64) -> u64 {
    b ^ (mask & (a ^ b))
}

/// Clears the top bit of an ASCII character. The bit is already zero, but it was computed from the secret, and UTF-8
/// validation branches on it. After this call, the bit no longer depends on the secret.
#[cfg(feature = "alloc")]
#[inline]
pub(crate) fn ascii(byte: u8) -> u8 {
    byte & black_box(0x7f)
}

/// Returns `true` if the mask is not zero. The caller may branch on the result. A branch makes the result public, so
/// each caller explains why the result may be public.
///
/// This is the only function in which a branch may depend on a secret, and the optimizer cannot remove that branch. A
/// tool that tracks secret bits through the machine code can therefore be told to ignore this function.
#[inline(never)]
pub(crate) fn declassify(mask: u64) -> bool {
    #[inline(never)]
    fn yes() -> bool {
        black_box(true)
    }
    #[inline(never)]
    fn no() -> bool {
        black_box(false)
    }
    if mask != 0 { yes() } else { no() }
}

/// Divides numbers below 2^31 by a constant, without a division instruction.
///
/// The time that a hardware division takes depends on its operands. At optimization levels 0 and "z", compilers emit
/// one even for a constant divisor. Multiplying by a rounded-up reciprocal and shifting is exact for all numbers below
/// 2^31.
#[derive(Clone, Copy)]
pub(crate) struct Divisor {
    divisor: u32,
    reciprocal: u64,
    shift: u32,
}

impl Divisor {
    #[allow(clippy::integer_division_remainder_used, reason = "evaluated by the compiler, of public constants")]
    pub(crate) const fn new(divisor: u32) -> Self {
        let mut shift = 31;
        loop {
            let power = 1u64 << shift;
            let reciprocal = power.div_ceil(divisor as u64);
            // Rounding up does not change the quotient of any number below 2^31 if the reciprocal's error times the
            // divisor is at most 2^(shift - 31).
            if reciprocal * divisor as u64 - power <= 1 << (shift - 31) {
                return Self { divisor, reciprocal, shift };
            }
            shift += 1;
        }
    }

    /// Returns the quotient and the remainder. `n` must be below 2^31.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the quotient is at most n")]
    pub(crate) fn divide(self, n: u32) -> (u32, u32) {
        let quotient = ((u64::from(n) * self.reciprocal) >> self.shift) as u32;
        (quotient, n.wrapping_sub(quotient.wrapping_mul(self.divisor)))
    }
}
