//! Decodes the modules of a QR code into its data (ISO/IEC 18004).

#![allow(clippy::integer_division_remainder_used, reason = "nothing is claimed on the time of reading a picture")]

use alloc::vec::Vec;

use zeroize::Zeroizing;

/// The data of a code after error correction. The bytes form a bit sequence that contains segments of text.
pub(super) struct Data {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) version: usize,
}

/// Returns the data of a code with `side` modules per side, or `None` if the code is too damaged. `dark` takes a row
/// and a column, and returns whether the module there is dark.
pub(super) fn data(side: usize, dark: impl Fn(usize, usize) -> bool) -> Option<Data> {
    let version = side.checked_sub(17)? / 4;
    let (level, mask) = format(side, &dark)?;
    let read = codewords(side, version, |row, column| dark(row, column) != masks(mask, row, column));

    // The codewords of the blocks are interleaved, data first and then parity. The last blocks may have one more data
    // codeword than the others.
    let row = version.checked_sub(1)?;
    let parity = usize::from(*PARITY.get(level)?.get(row)?);
    let blocks = usize::from(*BLOCKS.get(level)?.get(row)?);
    let long = read.len() % blocks;
    let short = (read.len() / blocks).checked_sub(parity)?;
    let parity_start = short * blocks + long;
    let mut bytes = Zeroizing::new(Vec::with_capacity(read.len()));
    for block in 0..blocks {
        let extra = (block + long).checked_sub(blocks).map(|number| short * blocks + number);
        let of_data = (0..short).map(|n| n * blocks + block).chain(extra);
        let indices = of_data.chain((0..parity).map(|n| parity_start + n * blocks + block));
        let mut codewords = Zeroizing::new([0; 256]);
        let mut length = 0;
        for (codeword, index) in codewords.iter_mut().zip(indices) {
            *codeword = *read.get(index)?;
            length += 1;
        }
        let codewords = codewords.get_mut(..length)?;
        correct(codewords, parity)?;
        bytes.extend_from_slice(codewords.get(..length.checked_sub(parity)?)?);
    }
    Some(Data { bytes, version })
}

/// Returns the error correction level and the mask, or `None` if they cannot be read. A code stores both in a 15-bit
/// word, of which it contains two copies. Any two valid words differ in at least seven bits. So a valid word that
/// differs from a stored word in at most three bits is the correct word.
fn format(side: usize, dark: impl Fn(usize, usize) -> bool) -> Option<(usize, usize)> {
    let in_corner = |bit| match bit {
        0..6 => dark(bit, 8),
        6 => dark(7, 8),
        7 => dark(8, 8),
        8 => dark(8, 7),
        _ => dark(8, 14 - bit),
    };
    let apart = |bit| if bit < 8 { dark(8, side - 1 - bit) } else { dark(side + bit - 15, 8) };
    let word = |module: &dyn Fn(usize) -> bool| (0..15).fold(0_u32, |word, bit| word | u32::from(module(bit)) << bit);
    let read = [word(&in_corner), word(&apart)];
    let words = (0..32_usize).zip(0_u32..).map(|(format, bits)| {
        let rest = (0..5).rev().fold(bits << 10, |rest, bit| rest ^ (((rest >> (bit + 10)) & 1) * (0x537 << bit)));
        (format, (bits << 10 | rest) ^ 0x5412)
    });
    let distance = |word: u32| read.map(|read| (read ^ word).count_ones());
    let [near, other] = words
        .map(|(format, word)| (distance(word), format))
        .fold([(u32::MAX, 0); 2], |[first, second], (distances, format)| {
            [first.min((distances[0], format)), second.min((distances[1], format))]
        });
    let (distance, format) = near.min(other);
    (distance <= 3).then_some((format >> 3, format & 7))
}

/// Returns whether the mask inverts the module at a row and a column.
fn masks(mask: usize, row: usize, column: usize) -> bool {
    let (sum, product) = (row + column, row * column);
    let zero = match mask {
        0 => sum % 2,
        1 => row % 2,
        2 => column % 3,
        3 => sum % 3,
        4 => (row / 2 + column / 3) % 2,
        5 => product % 2 + product % 3,
        6 => (product % 2 + product % 3) % 2,
        _ => (sum % 2 + product % 3) % 2,
    };
    zero == 0
}

/// Reads the codewords in the order in which they are placed: in pairs of columns from right to left, alternately
/// upward and downward. The modules that hold no codewords, such as those of the finders, are skipped.
fn codewords(side: usize, version: usize, bit: impl Fn(usize, usize) -> bool) -> Zeroizing<Vec<u8>> {
    let middles = alignment(side, version);
    let is_alignment = |row: usize, column: usize| {
        let near = |module: usize| middles.iter().position(|middle| middle.abs_diff(module) <= 2);
        let last = middles.len().saturating_sub(1);
        // Three of the corners have a finder instead of an alignment pattern.
        near(row).zip(near(column)).is_some_and(|(a, b)| ![(0, 0), (0, last), (last, 0)].contains(&(a, b)))
    };
    let is_version = |a: usize, b: usize| version >= 7 && a < 6 && b + 11 >= side;
    let is_function = |row: usize, column: usize| {
        (row < 9 && (column < 9 || column + 8 >= side))
            || (row + 8 >= side && column < 9)
            || row == 6
            || column == 6
            || is_version(row, column)
            || is_version(column, row)
            || is_alignment(row, column)
    };
    let mut read = Zeroizing::new(Vec::with_capacity(side * side / 8));
    let (mut codeword, mut bits) = (0_u8, 0);
    for (pair, right) in (1..side).rev().step_by(2).enumerate() {
        // The timing pattern occupies column 6, so the pairs to its left are shifted left by one column.
        let right = if right <= 6 { right - 1 } else { right };
        for step in 0..side {
            let row = if pair % 2 == 0 { side - 1 - step } else { step };
            for column in [right, right - 1] {
                if !is_function(row, column) {
                    codeword = codeword << 1 | u8::from(bit(row, column));
                    bits += 1;
                }
                if bits == 8 {
                    read.push(codeword);
                    bits = 0;
                }
            }
        }
    }
    read
}

/// Returns the rows of the alignment pattern centers, which are also their columns. Counting back from the last,
/// adjacent centers are the same even number of modules apart. Only the gap between the first two may differ.
fn alignment(side: usize, version: usize) -> Vec<usize> {
    if version < 2 {
        return Vec::new();
    }
    let (gaps, last) = (version / 7 + 1, side - 7);
    // The spacing is rounded up to an even number. Version 32 is the only exception in the standard's table.
    let step = if version == 32 { 26 } else { (last - 6).div_ceil(2 * gaps) * 2 };
    core::iter::once(6).chain((0..gaps).rev().map(|gap| last - gap * step)).collect()
}

/// Corrects a block in place. The block belongs to the Reed-Solomon code whose generator polynomial has the roots 2^0,
/// 2^1 and so on. Up to one error per two parity codewords can be corrected. Returns `None` if the block cannot be
/// corrected.
fn correct(block: &mut [u8], parity: usize) -> Option<()> {
    let wrong = syndromes(block, parity);
    if wrong.iter().all(|syndrome| *syndrome == 0) {
        return Some(());
    }
    let (locator, errors) = locator(&wrong, parity);
    if 2 * errors > parity {
        return None;
    }
    // Forney's algorithm: the magnitude of the error at X is X * evaluator(1/X) / derivative(1/X), where `derivative`
    // is the derivative of the locator.
    let mut evaluator = Zeroizing::new([0; LONGEST]);
    for (degree, coefficient) in evaluator.iter_mut().enumerate().take(errors) {
        *coefficient = convolved(&locator, &wrong, degree);
    }
    let mut derivative = locator;
    derivative.rotate_left(1);
    derivative.iter_mut().skip(1).step_by(2).for_each(|even| *even = 0);

    let (mut found, mut location, mut inverse_location) = (0, 1, 1);
    for codeword in block.iter_mut().rev() {
        if evaluate(&locator, inverse_location) == 0 {
            let size = times(evaluate(&evaluator, inverse_location), inverse(evaluate(&derivative, inverse_location)));
            *codeword ^= times(location, size);
            found += 1;
        }
        location = times(location, 2);
        inverse_location = times(inverse_location, HALF);
    }
    let right = || syndromes(block, parity).iter().all(|syndrome| *syndrome == 0);
    (found == errors && right()).then_some(())
}

/// Returns the error locator polynomial and the number of errors. The polynomial's zeros give the error positions. This
/// function uses the Berlekamp-Massey algorithm.
fn locator(syndromes: &[u8; LONGEST], parity: usize) -> ([u8; LONGEST], usize) {
    let mut locator = [0; LONGEST];
    locator[0] = 1;
    let (mut before, mut errors, mut shift, mut scale) = (locator, 0, 1, 1);
    for n in 0..parity {
        let off = convolved(&locator, syndromes, n);
        if off == 0 {
            shift += 1;
            continue;
        }
        let (last, factor) = (locator, times(off, inverse(scale)));
        for (coefficient, earlier) in locator.iter_mut().skip(shift).zip(before) {
            *coefficient ^= times(factor, earlier);
        }
        if 2 * errors <= n {
            (before, errors, shift, scale) = (last, n + 1 - errors, 1, off);
        } else {
            shift += 1;
        }
    }
    (locator, errors)
}

/// Evaluates the block, as a polynomial, at the roots of the generator. If the block has no errors, all values are
/// zero.
fn syndromes(block: &[u8], parity: usize) -> Zeroizing<[u8; LONGEST]> {
    let mut syndromes = Zeroizing::new([0; LONGEST]);
    let mut root = 1;
    for syndrome in syndromes.iter_mut().take(parity) {
        *syndrome = block.iter().fold(0, |sum, codeword| times(sum, root) ^ codeword);
        root = times(root, 2);
    }
    syndromes
}

/// The coefficient of the given degree in the product of two polynomials.
fn convolved(a: &[u8; LONGEST], b: &[u8; LONGEST], degree: usize) -> u8 {
    let b = b.iter().take(degree + 1).rev();
    a.iter().zip(b).fold(0, |sum, (a, b)| sum ^ times(*a, *b))
}

fn evaluate(polynomial: &[u8; LONGEST], x: u8) -> u8 {
    polynomial.iter().rev().fold(0, |sum, coefficient| times(sum, x) ^ coefficient)
}

/// The product in the field of 256 elements, modulo x^8 + x^4 + x^3 + x^2 + 1.
fn times(a: u8, b: u8) -> u8 {
    (0..8).rev().fold(0, |product: u8, bit| {
        let doubled = product << 1 ^ (0x1d & 0_u8.wrapping_sub(product >> 7));
        doubled ^ (a & 0_u8.wrapping_sub(b >> bit & 1))
    })
}

/// The multiplicative inverse, computed as the 254th power. The result for zero is zero.
fn inverse(a: u8) -> u8 {
    (0..7).fold((1, a), |(product, power), _| (times(product, times(power, power)), times(power, power))).0
}

/// The inverse of 2.
const HALF: u8 = 0x8e;

/// The number of coefficients in a polynomial. This is enough, because a block has at most 30 parity codewords.
const LONGEST: usize = 32;

/// Parity codewords per block, by level and version. The levels are in the order of the two bits that encode them: M,
/// L, H, Q.
#[rustfmt::skip]
const PARITY: [[u8; 40]; 4] = [
    [
        10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26,
        26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    ],
    [
        7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28,
        28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
    ],
    [
        17, 28, 22, 16, 22, 28, 26, 26, 24, 28, 24, 28, 22, 24, 24, 30, 28, 28, 26, 28,
        30, 24, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
    ],
    [
        13, 22, 18, 26, 18, 24, 18, 22, 20, 24, 28, 26, 24, 20, 30, 24, 28, 28, 26, 30,
        28, 30, 30, 30, 30, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
    ],
];

/// Blocks per code, by level and version. The levels are in the same order as in `PARITY`.
#[rustfmt::skip]
const BLOCKS: [[u8; 40]; 4] = [
    [
        1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16,
        17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49,
    ],
    [
        1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8,
        8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25,
    ],
    [
        1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25,
        25, 34, 30, 32, 35, 37, 40, 42, 45, 48, 51, 54, 57, 60, 63, 66, 70, 74, 77, 81,
    ],
    [
        1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20,
        23, 23, 25, 27, 29, 34, 34, 35, 38, 40, 43, 45, 48, 51, 53, 56, 59, 62, 65, 68,
    ],
];
