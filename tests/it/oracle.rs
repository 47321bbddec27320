//! A second implementation, from FIPS 180-4, RFC 2104 and RFC 4226, that shares nothing with the crate: no dependency, no
//! kept state, indexed truncation, hardware division. Slow and plain, and right by the vectors in `algorithm.rs`.

use keyfob::Algorithm;

pub fn truncated(algorithm: Algorithm, key: &[u8], counter: u64) -> u32 {
    truncate(&hmac(algorithm, key, &counter.to_be_bytes()))
}

pub fn code(algorithm: Algorithm, key: &[u8], counter: u64, digits: usize) -> String {
    let code = truncated(algorithm, key, counter) % 10u32.pow(digits.try_into().unwrap());
    format!("{code:0digits$}")
}

pub fn truncate(mac: &[u8]) -> u32 {
    let offset = usize::from(mac[mac.len() - 1] & 15);
    u32::from_be_bytes(mac[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff
}

pub fn hmac(algorithm: Algorithm, key: &[u8], message: &[u8]) -> Vec<u8> {
    let block = if algorithm == Algorithm::Sha512 { 128 } else { 64 };
    let mut padded = if key.len() > block { hash(algorithm, key) } else { key.to_vec() };
    padded.resize(block, 0);
    let with = |pad: u8, rest: &[u8]| {
        let mut text: Vec<u8> = padded.iter().map(|byte| byte ^ pad).collect();
        text.extend(rest);
        hash(algorithm, &text)
    };
    with(0x5c, &with(0x36, message))
}

/// The state of SHA-1 after a short key and the inner (0x36) or the outer (0x5c) pad.
pub fn sha1_state(key: &[u8], pad: u8) -> [u32; 5] {
    let mut block = key.to_vec();
    block.resize(64, 0);
    block.iter_mut().for_each(|byte| *byte ^= pad);
    sha1_compress(SHA1, &block)
}

fn hash(algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    match algorithm {
        Algorithm::Sha1 => {
            let state = padded(message, 64).chunks(64).fold(SHA1, sha1_compress);
            state.iter().flat_map(|word| word.to_be_bytes()).collect()
        }
        Algorithm::Sha256 => {
            let (k, h) = sha2_constants();
            let (k, mut h) = (k.map(|k| (k >> 32) as u32), h.map(|h| (h >> 32) as u32));
            for block in padded(message, 64).chunks(64) {
                let mut w: Vec<u32> = block.chunks(4).map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect();
                for t in 16..64 {
                    let (x, y) = (w[t - 15], w[t - 2]);
                    let s0 = x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3);
                    let s1 = y.rotate_right(17) ^ y.rotate_right(19) ^ (y >> 10);
                    w.push(w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]).wrapping_add(s1));
                }
                let mut v = h;
                for t in 0..64 {
                    let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
                    let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
                    let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
                    let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
                    let t1 = v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(k[t]).wrapping_add(w[t]);
                    v.rotate_right(1);
                    v[4] = v[4].wrapping_add(t1);
                    v[0] = t1.wrapping_add(s0).wrapping_add(majority);
                }
                h.iter_mut().zip(v).for_each(|(h, v)| *h = h.wrapping_add(v));
            }
            h.iter().flat_map(|word| word.to_be_bytes()).collect()
        }
        Algorithm::Sha512 => {
            let (k, mut h) = sha2_constants();
            for block in padded(message, 128).chunks(128) {
                let mut w: Vec<u64> = block.chunks(8).map(|w| u64::from_be_bytes(w.try_into().unwrap())).collect();
                for t in 16..80 {
                    let (x, y) = (w[t - 15], w[t - 2]);
                    let s0 = x.rotate_right(1) ^ x.rotate_right(8) ^ (x >> 7);
                    let s1 = y.rotate_right(19) ^ y.rotate_right(61) ^ (y >> 6);
                    w.push(w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]).wrapping_add(s1));
                }
                let mut v = h;
                for t in 0..80 {
                    let s1 = v[4].rotate_right(14) ^ v[4].rotate_right(18) ^ v[4].rotate_right(41);
                    let s0 = v[0].rotate_right(28) ^ v[0].rotate_right(34) ^ v[0].rotate_right(39);
                    let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
                    let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
                    let t1 = v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(k[t]).wrapping_add(w[t]);
                    v.rotate_right(1);
                    v[4] = v[4].wrapping_add(t1);
                    v[0] = t1.wrapping_add(s0).wrapping_add(majority);
                }
                h.iter_mut().zip(v).for_each(|(h, v)| *h = h.wrapping_add(v));
            }
            h.iter().flat_map(|word| word.to_be_bytes()).collect()
        }
    }
}

fn sha1_compress(h: [u32; 5], block: &[u8]) -> [u32; 5] {
    let mut w: Vec<u32> = block.chunks(4).map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect();
    for t in 16..80 {
        w.push((w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1));
    }
    let [mut a, mut b, mut c, mut d, mut e] = h;
    for (t, w) in w.into_iter().enumerate() {
        let (f, k) = match t / 20 {
            0 => ((b & c) ^ (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) ^ (b & d) ^ (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(w);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    let mut sum = [a, b, c, d, e];
    sum.iter_mut().zip(h).for_each(|(sum, h)| *sum = sum.wrapping_add(h));
    sum
}

fn padded(message: &[u8], block: usize) -> Vec<u8> {
    let mut text = message.to_vec();
    text.push(0x80);
    let end = (text.len() + block / 8).next_multiple_of(block);
    text.resize(end - 8, 0);
    text.extend((message.len() as u64 * 8).to_be_bytes());
    text
}

/// The first 64 bits of the fractional parts of the cube roots of the first 80 primes, and of the square roots of the
/// first 8 (FIPS 180-4, sections 4.2.3 and 5.3.5), computed here. SHA-256 takes the upper halves.
fn sha2_constants() -> ([u64; 80], [u64; 8]) {
    static CONSTANTS: std::sync::OnceLock<([u64; 80], [u64; 8])> = std::sync::OnceLock::new();
    *CONSTANTS.get_or_init(|| {
        let primes: Vec<u64> = (2..410).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
        (
            std::array::from_fn(|i| fraction_of_root(primes[i], 3)),
            std::array::from_fn(|i| fraction_of_root(primes[i], 2)),
        )
    })
}

/// Bit by bit, the largest r with (r / 2^64)^degree <= prime; its lower 64 bits are the fraction.
fn fraction_of_root(prime: u64, degree: u32) -> u64 {
    let mut root: Vec<u32> = vec![0; 3];
    let mut limit = vec![0; 2 * degree as usize];
    limit.push(u32::try_from(prime).unwrap());
    for bit in (0..70).rev() {
        root[bit / 32] |= 1 << (bit % 32);
        let power = (1..degree).fold(root.clone(), |power, _| product(&power, &root));
        if !at_most(&power, &limit) {
            root[bit / 32] &= !(1 << (bit % 32));
        }
    }
    (u64::from(root[1]) << 32) | u64::from(root[0])
}

fn product(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut sum = vec![0; a.len() + b.len()];
    for (i, x) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, y) in b.iter().enumerate() {
            let t = u64::from(*x) * u64::from(*y) + u64::from(sum[i + j]) + carry;
            sum[i + j] = t as u32;
            carry = t >> 32;
        }
        sum[i + b.len()] = carry as u32;
    }
    sum
}

fn at_most(a: &[u32], b: &[u32]) -> bool {
    let limb = |n: &[u32], i: usize| n.get(i).copied().unwrap_or(0);
    let places = (0..a.len().max(b.len())).rev();
    places.map(|i| limb(a, i).cmp(&limb(b, i))).find(|order| order.is_ne()).is_none_or(|order| order.is_lt())
}

const SHA1: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
