//! Finds turns in a row of samples: the local maxima and minima of the brightness.
//!
//! A small turn can be noise, or it can belong to a low-contrast code. In a black-on-white code, noise can be as large
//! as the whole difference between black and charcoal in another code. So each row is searched on several scales. A
//! scale is the smallest difference between adjacent turns that counts, and the search goes from the smallest scale to
//! the largest.

use alloc::vec::Vec;

use zeroize::Zeroizing;

/// The inner square of a possible finder, and the light ring around it.
pub(super) struct Ring {
    pub(super) middle: i64,
    /// An upper limit on the distance from the middle of the finder to its edge, in pixels.
    pub(super) size: i64,
    /// Twice the value halfway between the shades of the square and the ring.
    pub(super) threshold: i64,
}

/// The turns of the last row that was searched. They reveal the modules of a code, so they must be wiped. They are
/// packed into integers, because `Zeroizing` can wipe those.
pub(super) struct Turns(Zeroizing<Vec<u32>>);

impl Turns {
    /// Allocates a buffer for rows of `width` pixels. No row has more turns than pixels, so the buffer does not grow.
    pub(super) fn new(width: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(width)))
    }

    /// Calls `check` with each ring in a row and whether the ring is inverted. An inverted ring is darker than the
    /// square inside it.
    pub(super) fn rings(&mut self, row: &[u8], mut check: impl FnMut(Ring, bool)) {
        let turns = &mut *self.0;
        turns.clear();
        let mut filter = Filter::new(LEAST);
        let mut rest = row;
        while let Some((value, behind)) = rest.split_first() {
            // Most of a page is a single color, so equal samples are skipped in blocks of 16.
            let (blocks, _) = behind.as_chunks::<16>();
            let same = 16 * blocks.iter().take_while(|block| **block == [*value; 16]).count();
            let other = behind.iter().skip(same).position(|sample| sample != value);
            rest = other.and_then(|other| behind.get(same + other..)).unwrap_or_default();
            let end = Turn { position: row.len() - rest.len() - 1, value: *value, is_new: true, index: 0 };
            turns.extend(filter.next(end).map(Turn::pack));
        }
        turns.extend(filter.last().map(Turn::pack));

        let mut least = LEAST;
        loop {
            look(row, turns, &mut check);
            let before = turns.len();
            while turns.len() == before {
                let Some(next) = least.checked_mul(2).filter(|_| before > 4) else { return };
                least = next;
                thin(turns, least);
            }
        }
    }
}

/// Searches all groups of five consecutive turns for a ring around the middle turn, and calls `check` with each ring.
/// An edge is the first pixel whose shade is past the midpoint between two turns.
fn look(row: &[u8], turns: &[u32], check: &mut impl FnMut(Ring, bool)) {
    let (mut edges, mut new) = ([0; 4], 0_u8);
    for (count, pair) in turns.windows(2).enumerate() {
        let [from, to] = pair else { return };
        let (from, to) = (Turn::unpack(*from), Turn::unpack(*to));
        edges.rotate_left(1);
        edges[3] = edge(row, from, to);
        new = new << 1 | u8::from(to.is_new);
        let [left, square, right] = [edges[1] - edges[0], edges[2] - edges[1], edges[3] - edges[2]];
        // With the tolerances of `is_finder`, the ring is between 1/10 and 4/5 as wide as the square.
        let fits = |ring: i64| 10 * ring >= square && 5 * ring <= 4 * square;
        // Turns that were also consecutive on the previous, finer scale have already been checked on that scale.
        if !fits(left) || !fits(right) || new & 0xf == 0 {
            continue;
        }
        let Some([before, inner, _]) = count.checked_sub(3).and_then(|start| turns.get(start + 1..start + 4)) else {
            continue;
        };
        let (before, inner) = (Turn::unpack(*before), Turn::unpack(*inner));
        let inverted = inner.value > from.value;
        let [before, inner, behind] = [before, inner, from].map(|turn| i64::from(shade(turn.value, inverted)));
        let threshold = inner + ((before + behind + 1) >> 1);
        // The turns do not show where the dark ring ends, because the background of the code may be darker still. So
        // `cross` compares samples with the threshold.
        let middle = edges[1] + (square >> 1);
        let size = 2 * (edges[3] - edges[0]);
        let is_dark = |step| usize::try_from(middle + step).ok().and_then(|x| row.get(x));
        let is_dark = |step| is_dark(step).is_some_and(|sample| 2 * i64::from(shade(*sample, inverted)) < threshold);
        if cross(is_dark, size).is_some() {
            check(Ring { middle, size, threshold }, inverted);
        }
    }
}

/// Returns where a finder begins and ends along a line through its inner square, or `None` if the line does not cross a
/// finder. Positions are relative to a pixel in the inner square, and the end is exclusive. The search stops at `limit`
/// pixels in each direction.
pub(super) fn cross(is_dark: impl Fn(i64) -> bool, limit: i64) -> Option<(i64, i64)> {
    // The distances at which the inner square, the light ring and the dark ring end in one direction.
    let ends = |direction: i64| -> Option<[i64; 3]> {
        let mut ends = [0; 3];
        let mut step = 0;
        for (end, dark) in ends.iter_mut().zip([true, false, true]) {
            while is_dark(direction * step) == dark {
                step += 1;
                if step > limit {
                    return None;
                }
            }
            *end = step;
        }
        Some(ends)
    };
    let ([a0, a1, a2], [b0, b1, b2]) = (ends(-1)?, ends(1)?);
    is_finder(&[a2 - a1, a1 - a0, a0 + b0 - 1, b1 - b0, b2 - b1]).then_some((1 - a2, b2))
}

/// Returns whether the lengths of five runs (dark, light, dark, light, dark) are in the ratio 1 : 1 : 3 : 1 : 1. The
/// middle run may be off by a whole module, and the others by 60% of a module. The total must be at least 7 pixels.
fn is_finder(runs: &[i64; 5]) -> bool {
    let total: i64 = runs.iter().sum();
    total >= 7
        && runs.iter().zip([1, 1, 3, 1, 1]).all(|(run, modules)| {
            let off = (7 * run - modules * total).abs();
            if modules == 3 { off <= total } else { 5 * off <= 3 * total }
        })
}

/// Inverts a sample if `inverted` is true. Light-on-dark codes can then be read in the same way as dark-on-light codes.
pub(super) fn shade(sample: u8, inverted: bool) -> u8 {
    if inverted { !sample } else { sample }
}

/// Returns the position of the first pixel after `from` that is closer in brightness to `to` than to `from`.
fn edge(row: &[u8], from: Turn, to: Turn) -> i64 {
    let sum = u16::from(from.value) + u16::from(to.value);
    let falls = to.value < from.value;
    let between = row.get(from.position + 1..to.position).unwrap_or_default();
    let passed = between.iter().position(|sample| (2 * u16::from(*sample) < sum) == falls);
    i64::try_from(from.position + 1 + passed.unwrap_or(between.len())).unwrap_or(0)
}

/// Removes the turns that do not count on the larger scale `least`.
fn thin(turns: &mut Vec<u32>, least: u8) {
    let mut filter = Filter::new(least);
    let (mut kept, mut expected) = (0, 0);
    for index in 0..=turns.len() {
        let next = turns.get(index).map(|turn| Turn { index, ..Turn::unpack(*turn) });
        let turn = match next {
            Some(next) => filter.next(next),
            None => filter.last(),
        };
        let Some(turn) = turn else { continue };
        // No more turns have been kept than read, so this does not overwrite a turn that has not been read yet.
        if let Some(slot) = turns.get_mut(kept) {
            *slot = Turn { is_new: turn.index != expected, ..turn }.pack();
        }
        (kept, expected) = (kept + 1, turn.index + 1);
    }
    turns.truncate(kept);
}

/// The last pixel of a local maximum or minimum of the brightness.
#[derive(Clone, Copy, Default)]
struct Turn {
    position: usize,
    value: u8,
    /// True if this turn had a different predecessor on the previous, finer scale. Always true on the first scale.
    is_new: bool,
    /// The index in the list of turns that is being thinned.
    index: usize,
}

impl Turn {
    /// Packs the turn into 32 bits, 23 of them for its position. No row has more than 2^23 pixels.
    fn pack(self) -> u32 {
        u32::try_from(self.position << 9).unwrap_or(0) | u32::from(self.is_new) << 8 | u32::from(self.value)
    }

    fn unpack(packed: u32) -> Self {
        let position = usize::try_from(packed >> 9).unwrap_or(0);
        Self { position, value: packed.to_le_bytes()[0], is_new: packed >> 8 & 1 != 0, index: 0 }
    }
}

/// Finds the turns that differ by at least `least` from the turns before and after them.
struct Filter {
    least: u8,
    high: Turn,
    low: Turn,
    /// Whether the last turn was a minimum. `None` before the first turn.
    rises: Option<bool>,
    begun: bool,
}

impl Filter {
    fn new(least: u8) -> Self {
        Self { least, high: Turn::default(), low: Turn::default(), rises: None, begun: false }
    }

    fn next(&mut self, turn: Turn) -> Option<Turn> {
        if !self.begun {
            *self = Self { high: turn, low: turn, begun: true, ..*self };
        }
        let is_high = turn.value >= self.high.value;
        let is_low = turn.value <= self.low.value;
        match self.rises {
            Some(true) if is_high => self.high = turn,
            Some(false) if is_low => self.low = turn,
            Some(true) if self.high.value - turn.value >= self.least => {
                self.low = turn;
                self.rises = Some(false);
                return Some(self.high);
            }
            Some(false) if turn.value - self.low.value >= self.least => {
                self.high = turn;
                self.rises = Some(true);
                return Some(self.low);
            }
            Some(_) => {}
            None => {
                if is_high {
                    self.high = turn;
                }
                if is_low {
                    self.low = turn;
                }
                if self.high.value - self.low.value >= self.least {
                    self.rises = Some(is_high);
                    return Some(if is_high { self.low } else { self.high });
                }
            }
        }
        None
    }

    /// Returns the last turn of the row, or `None` if the row has no turns.
    fn last(&self) -> Option<Turn> {
        self.rises.map(|rises| if rises { self.high } else { self.low })
    }
}

/// The smallest difference between two shades that counts. People need a difference of about 8 to see a code on a
/// screen.
const LEAST: u8 = 4;
