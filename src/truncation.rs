//! Dynamic truncation (RFC 4226, section 5.3) without an array index that depends on the digest.

use crate::ct;

/// Returns four bytes of the digest, without the top bit, at the offset given by the low nibble of its last word.
///
/// The offset is at most 15, so the first 20 bytes suffice for every hash function. The bytes are moved to the front
/// with masks and a shift, because a load at a secret offset would leave a trace in the cache.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the upper half is what remains after the shift")]
pub(crate) fn truncate([a, b, c, d, e]: [u32; 5], last: u32) -> u32 {
    let choose = |bit: u32, moved: u32, kept: u32| ct::select(ct::mask(bit), moved.into(), kept.into()) as u32;

    let eight = (last >> 3) & 1;
    let (a, b, c) = (choose(eight, c, a), choose(eight, d, b), choose(eight, e, c));
    let four = (last >> 2) & 1;
    let (a, b) = (choose(four, b, a), choose(four, c, b));

    let joined = (u64::from(a) << 32) | u64::from(b);
    // The shift count is masked within the same expression. Without this, LLVM emits a branch on the count for 32-bit
    // targets.
    ((joined << ((last & 3) * 8)) >> 32) as u32 & 0x7fff_ffff
}
