//! The three hash functions of RFC 6238, and HMAC (RFC 2104) with precomputed key states.
//!
//! Instead of the key, [`Hmac`] stores two hash states: the inner and the outer state, each taken after the block that
//! contains the key. Computing the HMAC of an 8-byte counter then takes two calls to the compression function: one from
//! the inner state over the counter, and one from the outer state over the result. A general MAC object, which buffers
//! and pads messages of any length, takes 1.5 times as long. This module therefore builds the two blocks itself, and
//! processes them with only the compression functions of `sha1` and `sha2`.

mod lanes;

use core::fmt;
use core::str::FromStr;

use sha1::Digest;
use zeroize::{Zeroize, Zeroizing};

use crate::algorithm::lanes::{Kernel, Keys, LANES};
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::truncation::truncate;

/// The hash function that HMAC uses.
///
/// Every authenticator app supports SHA-1, and no known attack on SHA-1 affects HMAC. Several apps ignore any other
/// algorithm that a URI names, and show wrong codes.
///
/// ```
/// use keyfob::{Algorithm, Secret, Totp};
///
/// let secret = Secret::generate_for(Algorithm::Sha256); // as long as the hash: 32 bytes
/// let totp = Totp::with_algorithm(&secret, Algorithm::Sha256);
/// assert_eq!(totp.algorithm().to_string(), "SHA256");
///
/// assert_eq!("sha512".parse(), Ok(Algorithm::Sha512)); // for example from a settings file
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
// The algorithm is serialized as the name that URIs use. Binary formats store the index of the variant instead.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "UPPERCASE"))]
pub enum Algorithm {
    /// HMAC-SHA-1 (RFC 4226).
    #[default]
    Sha1,
    /// HMAC-SHA-256 (RFC 6238).
    Sha256,
    /// HMAC-SHA-512 (RFC 6238).
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    pub(crate) const UNKNOWN: Error = Error::new(ErrorKind::Uri, "the algorithm is not SHA1, SHA256 or SHA512");

    /// The length of a new secret in bytes: 20, 32 or 64, the length of the hash output (RFC 6238, section 5.1).
    #[must_use]
    pub const fn secret_bytes(self) -> usize {
        match self {
            Self::Sha1 => Sha1::OUTPUT,
            Self::Sha256 => Sha256::OUTPUT,
            Self::Sha512 => Sha512::OUTPUT,
        }
    }

    /// The name as `otpauth` URIs spell it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

/// Prints the name as `otpauth` URIs spell it: `SHA1`, `SHA256` or `SHA512`.
impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Parses the name as `otpauth` URIs spell it, uppercase or lowercase. For anything else, such as a name with a hyphen,
/// the error is [`ErrorKind::Uri`].
impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name)).ok_or(Self::UNKNOWN)
    }
}

/// Computes HMACs of 8-byte counters, truncated as in RFC 4226. Stores the two states derived from the key, and wipes
/// them on drop.
#[derive(Clone)]
pub(crate) struct Hmac(States);

#[derive(Clone)]
enum States {
    Sha1(Prekeyed<Sha1>),
    Sha256(Prekeyed<Sha256>),
    Sha512(Prekeyed<Sha512>),
}

impl Hmac {
    pub(crate) fn new(algorithm: Algorithm, key: Key<'_>) -> Self {
        Self(match algorithm {
            Algorithm::Sha1 => States::Sha1(Prekeyed::new(key)),
            Algorithm::Sha256 => States::Sha256(Prekeyed::new(key)),
            Algorithm::Sha512 => States::Sha512(Prekeyed::new(key)),
        })
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        match self.0 {
            States::Sha1(_) => Algorithm::Sha1,
            States::Sha256(_) => Algorithm::Sha256,
            States::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Returns the truncated 31-bit value (RFC 4226, section 5.3) for one counter.
    pub(crate) fn truncated(&self, counter: u64) -> u32 {
        let [truncated] = match &self.0 {
            States::Sha1(states) => states.truncated([counter]),
            States::Sha256(states) => states.truncated([counter]),
            States::Sha512(states) => states.truncated([counter]),
        };
        truncated
    }

    /// Calls `visit` with each counter in `first..=last`, in order, and its truncated value.
    pub(crate) fn for_each_truncated(&self, first: u64, last: u64, mut visit: impl FnMut(u64, u32)) {
        match &self.0 {
            States::Sha1(states) => {
                if let Some(first) = states.for_each_in_lanes(first, last, &mut visit) {
                    states.for_each_truncated(first, last, visit);
                }
            }
            States::Sha256(states) => states.for_each_truncated(first, last, visit),
            States::Sha512(states) => states.for_each_truncated(first, last, visit),
        }
    }
}

/// Returns whether two secrets produce the same codes with at least one hash function. Two different secrets can
/// produce the same codes, because HMAC pads a short key with zeros and hashes a long one (RFC 2104, section 2).
#[cfg(feature = "guard")]
pub(crate) fn same_hmac_key(a: Key<'_>, b: Key<'_>) -> bool {
    fn same<H: Hash>(a: Key<'_>, b: Key<'_>) -> bool {
        let [mut a, mut b] = [a, b].map(|key| {
            let mut padded = Zeroizing::new(H::ZEROS);
            H::absorb(key.bytes(), &mut padded);
            padded
        });
        crate::ct::eq(a.as_mut(), b.as_mut())
    }
    same::<Sha1>(a, b) | same::<Sha256>(a, b) | same::<Sha512>(a, b)
}

/// Computes truncated values for many keys. For SHA-1, it computes sixteen values at a time if the processor supports
/// that.
pub(crate) struct Batch<T> {
    kernel: Option<Kernel>,
    keys: Keys,
    waiting: [Option<(u64, T)>; LANES],
    length: usize,
}

impl<T: Copy> Batch<T> {
    pub(crate) fn new() -> Self {
        Self { kernel: Kernel::detect(), keys: Keys::ZEROS, waiting: [None; LANES], length: 0 }
    }

    /// Adds a counter. Its value may not be computed until a later call. Calls `visit` with the label and truncated
    /// value of each counter whose value this call computes, in the order in which the counters were added.
    pub(crate) fn push(&mut self, hmac: &Hmac, counter: u64, label: T, mut visit: impl FnMut(T, u32)) {
        match (&hmac.0, self.waiting.get_mut(self.length)) {
            (States::Sha1(states), Some(slot)) if self.kernel.is_some() => {
                *slot = Some((counter, label));
                self.keys.set(self.length, &states.inner, &states.outer);
                self.length += 1;
                if self.length == LANES {
                    self.flush(visit);
                }
            }
            _ => {
                self.flush(&mut visit);
                visit(label, hmac.truncated(counter));
            }
        }
    }

    /// Computes the values for the counters that are still queued, and passes them to `visit` as [`push`](Self::push)
    /// does.
    pub(crate) fn flush(&mut self, mut visit: impl FnMut(T, u32)) {
        let Some(kernel) = self.kernel.filter(|_| self.length > 0) else { return };
        let counters = self.waiting.map(|waiting| waiting.map_or(0, |(counter, _)| counter));
        let values = kernel.truncated(&self.keys, &counters);
        for ((_, label), value) in self.waiting.iter_mut().map_while(Option::take).zip(values) {
            visit(label, value);
        }
        self.length = 0;
    }
}

struct Prekeyed<H: Hash> {
    inner: Zeroizing<H::State>,
    outer: Zeroizing<H::State>,
    /// Padding that gives the three variants of [`States`] the same size. Without it, a smaller variant would have an
    /// unused part, which a move also copies. That part could contain hash states left on the stack, and a move to the
    /// heap would copy them to a place where nothing wipes them.
    _rest: H::Rest,
}

impl<H: Hash> Prekeyed<H> {
    fn new(key: Key<'_>) -> Self {
        let mut padded = Zeroizing::new(H::ZEROS);
        H::absorb(key.bytes(), &mut padded);
        let state_after = |pad: u8| {
            let mut block = padded.clone();
            block.as_mut().iter_mut().for_each(|byte| *byte ^= pad);
            let mut state = Zeroizing::new(H::INITIAL);
            H::compress(&mut state, &block);
            state
        };
        Self { inner: state_after(0x36), outer: state_after(0x5c), _rest: H::REST }
    }

    fn for_each_truncated(&self, first: u64, last: u64, mut visit: impl FnMut(u64, u32)) {
        let mut next = Some(first);
        while let Some(counter) = next.filter(|&counter| counter <= last) {
            // Three values are computed at a time, because the default TOTP window has three steps.
            if last - counter >= 2 {
                let batch = [counter, counter + 1, counter + 2];
                for (counter, truncated) in batch.into_iter().zip(self.truncated(batch)) {
                    visit(counter, truncated);
                }
                next = counter.checked_add(3);
            } else {
                let [truncated] = self.truncated([counter]);
                visit(counter, truncated);
                next = counter.checked_add(1);
            }
        }
    }

    /// Returns the `N` truncated values. For each of the two compressions, all `N` blocks are written before the first
    /// one is compressed. A wide load of bytes that were just stored word by word stalls until the stores are complete.
    /// With this order, the stalls overlap.
    #[inline]
    fn truncated<const N: usize>(&self, counters: [u64; N]) -> [u32; N] {
        let mut blocks = [H::COUNTER_BLOCK; N];
        for (block, counter) in blocks.iter_mut().zip(counters) {
            if let Some(message) = block.as_mut().first_chunk_mut() {
                *message = counter.to_be_bytes();
            }
        }
        let mut states = [*self.inner; N];
        for (state, block) in states.iter_mut().zip(&blocks) {
            H::compress(state, block);
        }
        let mut blocks = [H::DIGEST_BLOCK; N];
        for (block, state) in blocks.iter_mut().zip(&states) {
            H::write(state, block);
        }
        let mut states = [*self.outer; N];
        for (state, block) in states.iter_mut().zip(&blocks) {
            H::compress(state, block);
        }
        let mut values = [0; N];
        for (value, state) in values.iter_mut().zip(&states) {
            *value = H::truncate(state);
        }
        values
    }
}

impl Prekeyed<Sha1> {
    /// Visits sixteen counters at a time while at least sixteen are left. Visits none if there is no [`Kernel`] for
    /// this processor. Returns the first counter that was not visited, or `None` if `u64::MAX` was visited.
    fn for_each_in_lanes(&self, first: u64, last: u64, mut visit: impl FnMut(u64, u32)) -> Option<u64> {
        const MORE: u64 = LANES as u64 - 1;
        let enough = |counter: u64| last.checked_sub(counter).is_some_and(|left| left >= MORE);
        let Some(kernel) = enough(first).then(Kernel::detect).flatten() else { return Some(first) };
        let keys = Keys::repeated(&self.inner, &self.outer);
        let mut counter = first;
        while enough(counter) {
            let mut counters = [counter; LANES];
            for (offset, counter) in (0..).zip(&mut counters) {
                *counter += offset;
            }
            for (counter, value) in counters.into_iter().zip(kernel.truncated(&keys, &counters)) {
                visit(counter, value);
            }
            counter = counter.checked_add(MORE + 1)?;
        }
        Some(counter)
    }
}

impl<H: Hash> Clone for Prekeyed<H> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), outer: self.outer.clone(), _rest: H::REST }
    }
}

/// A hash function of FIPS 180-4: its compression function, and the constants and blocks that HMAC needs.
trait Hash {
    type State: Copy + Zeroize;
    type Block: AsMut<[u8]> + Copy + Zeroize;
    /// Padding that makes two states of this hash as large as two states of SHA-512.
    type Rest;

    /// The length of the digest in bytes.
    const OUTPUT: usize;
    const INITIAL: Self::State;
    const ZEROS: Self::Block;
    const REST: Self::Rest;
    /// The block that follows the inner key block: eight bytes for the counter, then the padding.
    const COUNTER_BLOCK: Self::Block;
    /// The block that follows the outer key block: space for a digest, then the padding.
    const DIGEST_BLOCK: Self::Block;

    fn compress(state: &mut Self::State, block: &Self::Block);

    /// Writes the digest to the beginning of a block.
    fn write(state: &Self::State, block: &mut Self::Block);

    /// Writes the key to the beginning of a block. A key longer than the block is hashed first (RFC 2104, section 2).
    fn absorb(key: &[u8], block: &mut Self::Block);

    /// Returns the truncated 31-bit value of the digest (RFC 4226, section 5.3).
    fn truncate(state: &Self::State) -> u32;
}

/// Implements [`Hash`] for a hash whose state has `$count` words of type `$word` and whose blocks have `$block` bytes.
macro_rules! hash {
    ($name:ident, $hasher:ty, $compress:path, $count:literal x $word:ty, $block:literal,
     $truncate:expr, $initial:expr) => {
        struct $name;

        impl Hash for $name {
            type State = [$word; $count];
            type Block = [u8; $block];
            type Rest = [u64; 16 - (size_of::<[$word; $count]>() >> 2)];

            const OUTPUT: usize = size_of::<Self::State>();
            const INITIAL: Self::State = $initial;
            const ZEROS: Self::Block = [0; $block];
            const REST: Self::Rest = [0; 16 - (Self::OUTPUT >> 2)];
            const COUNTER_BLOCK: Self::Block = padding::<$block>(size_of::<u64>());
            const DIGEST_BLOCK: Self::Block = padding::<$block>(Self::OUTPUT);

            #[inline]
            fn compress(state: &mut Self::State, block: &Self::Block) {
                $compress(state, core::slice::from_ref(block));
            }

            #[inline]
            fn write(state: &Self::State, block: &mut Self::Block) {
                let (words, _) = block.as_chunks_mut();
                for (bytes, word) in words.iter_mut().zip(state) {
                    *bytes = word.to_be_bytes();
                }
            }

            fn absorb(key: &[u8], block: &mut Self::Block) {
                let mut digest = Zeroizing::new([0; Self::OUTPUT]);
                let key = if key.len() > block.len() {
                    <$hasher>::new_with_prefix(key).finalize_into((&mut *digest).into());
                    &*digest
                } else {
                    key
                };
                for (to, from) in block.iter_mut().zip(key) {
                    *to = *from;
                }
            }

            #[inline]
            fn truncate(state: &Self::State) -> u32 {
                $truncate(state)
            }
        }
    };
}

hash!(
    Sha1,
    sha1::Sha1,
    sha1::block_api::compress,
    5 x u32,
    64,
    |state: &[u32; 5]| truncate(*state, state[4]),
    [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]
);

hash!(
    Sha256,
    sha2::Sha256,
    sha2::block_api::compress256,
    8 x u32,
    64,
    |state: &[u32; 8]| {
        let [a, b, c, d, e, .., last] = *state;
        truncate([a, b, c, d, e], last)
    },
    [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab,
        0x5be0_cd19
    ]
);

hash!(
    Sha512,
    sha2::Sha512,
    sha2::block_api::compress512,
    8 x u64,
    128,
    |state: &[u64; 8]| {
        let [a, b, c, .., last] = *state;
        truncate([high(a), low(a), high(b), low(b), high(c)], low(last))
    },
    [
        0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f, 0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179
    ]
);

/// Returns the last block of a message that consists of one key block and `used` more bytes. The `used` bytes are zero,
/// and the FIPS 180-4 padding follows them.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks the index")]
#[allow(clippy::cast_possible_truncation, reason = "at most 192 bytes are 1536 bits")]
const fn padding<const BLOCK: usize>(used: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let [high, low] = (((BLOCK + used) * 8) as u16).to_be_bytes();
    block[used] = 0x80;
    block[BLOCK - 2] = high;
    block[BLOCK - 1] = low;
    block
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the upper half is meant")]
const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the lower half is meant")]
const fn low(word: u64) -> u32 {
    word as u32
}
