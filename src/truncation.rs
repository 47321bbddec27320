//! Dynamic truncation (RFC 4226, section 5.3), without an index that depends on the digest.

use crate::ct;

/// Four bytes of the digest, from an offset given by the low nibble of its last word, without the top bit.
///
/// The offset is at most 15, so the first 20 bytes suffice for every hash. They are shifted to the front in powers of
/// two: a load at an offset that depends on the secret leaves a trace in the cache.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the upper half is what remains after the shift")]
pub(crate) fn truncate([a, b, c, d, e]: [u32; 5], last: u32) -> u32 {
    let choose = |bit: u32, moved: u32, kept: u32| ct::select(ct::mask(bit), moved.into(), kept.into()) as u32;

    let eight = (last >> 3) & 1;
    let (a, b, c) = (choose(eight, c, a), choose(eight, d, b), choose(eight, e, c));
    let four = (last >> 2) & 1;
    let (a, b) = (choose(four, b, a), choose(four, c, b));

    let joined = (u64::from(a) << 32) | u64::from(b);
    // The count is bounded in the same expression, or 32-bit targets emit a branch on it.
    ((joined << ((last & 3) * 8)) >> 32) as u32 & 0x7fff_ffff
}
