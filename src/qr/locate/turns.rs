//! Where a row of samples turns from brighter to darker and back.
//!
//! What counts as a turn is a matter of scale: in a code of black on white, noise is to be passed over that would be the
//! whole difference between black and charcoal. So each row is looked at on several scales, from that of the least
//! difference to the largest.

use alloc::vec::Vec;

use zeroize::Zeroizing;

/// The inner square of what may be a finder, and the light ring around it.
pub(super) struct Ring {
    pub(super) middle: i64,
    /// More pixels than there are from the middle of the finder to its end.
    pub(super) size: i64,
    /// Twice what is halfway between the shades of the two.
    pub(super) threshold: i64,
}

/// The turns of the row that was looked at last, as numbers, which can be wiped: a row of a code is made of them.
pub(super) struct Turns(Zeroizing<Vec<u32>>);

impl Turns {
    /// No row has more turns than pixels, so the buffer does not grow.
    pub(super) fn new(width: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(width)))
    }

    /// Calls `check` with each ring of a row, and with whether it is a darker one around what is lighter.
    pub(super) fn rings(&mut self, row: &[u8], mut check: impl FnMut(Ring, bool)) {
        let turns = &mut *self.0;
        turns.clear();
        let mut filter = Filter::new(LEAST);
        let mut rest = row;
        while let Some((value, behind)) = rest.split_first() {
            // Most of a page is of one color, so that is looked at in large steps.
            let (blocks, _) = behind.as_chunks::<16>();
            let same = 16 * blocks.iter().take_while(|block| **block == [*value; 16]).count();
            let other = behind.iter().skip(same).position(|sample| sample != value);
            rest = other.and_then(|other| behind.get(same + other..)).unwrap_or_default();
            let end = Turn { place: row.len() - rest.len() - 1, value: *value, is_new: true, index: 0 };
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

/// Looks for rings around the middle one of five turns: where they begin and end is where the shade passes the middle
/// between two turns.
fn look(row: &[u8], turns: &[u32], check: &mut impl FnMut(Ring, bool)) {
    let (mut edges, mut new) = ([0; 4], 0_u8);
    for (count, pair) in turns.windows(2).enumerate() {
        let [from, to] = pair else { return };
        let (from, to) = (Turn::unpack(*from), Turn::unpack(*to));
        edges.rotate_left(1);
        edges[3] = edge(row, from, to);
        new = new << 1 | u8::from(to.is_new);
        let [left, square, right] = [edges[1] - edges[0], edges[2] - edges[1], edges[3] - edges[2]];
        // What a finder may be off leaves the ring a tenth to four fifths of the square.
        let fits = |ring: i64| 10 * ring >= square && 5 * ring <= 4 * square;
        // Turns that follow on each other on the scale below as well have been looked at there.
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
        // Where the dark ring ends is no matter of turns: what is around the code may be darker still.
        let middle = edges[1] + (square >> 1);
        let size = 2 * (edges[3] - edges[0]);
        let is_dark = |step| usize::try_from(middle + step).ok().and_then(|x| row.get(x));
        let is_dark = |step| is_dark(step).is_some_and(|sample| 2 * i64::from(shade(*sample, inverted)) < threshold);
        if cross(is_dark, size).is_some() {
            check(Ring { middle, size, threshold }, inverted);
        }
    }
}

/// Where a finder begins and ends, along a line through its inner square.
pub(super) fn cross(is_dark: impl Fn(i64) -> bool, limit: i64) -> Option<(i64, i64)> {
    // The ends of the inner square, of the light ring and of the dark one.
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

/// Dark, light, dark, light, dark as 1 : 1 : 3 : 1 : 1, give or take 60 % of a module and a whole one in the middle.
fn is_finder(runs: &[i64; 5]) -> bool {
    let total: i64 = runs.iter().sum();
    total >= 7
        && runs.iter().zip([1, 1, 3, 1, 1]).all(|(run, modules)| {
            let off = (7 * run - modules * total).abs();
            if modules == 3 { off <= total } else { 5 * off <= 3 * total }
        })
}

/// What makes light on dark the same as dark on light.
pub(super) fn shade(sample: u8, inverted: bool) -> u8 {
    if inverted { !sample } else { sample }
}

/// The first pixel behind a turn that is nearer to the next turn.
fn edge(row: &[u8], from: Turn, to: Turn) -> i64 {
    let sum = u16::from(from.value) + u16::from(to.value);
    let falls = to.value < from.value;
    let between = row.get(from.place + 1..to.place).unwrap_or_default();
    let passed = between.iter().position(|sample| (2 * u16::from(*sample) < sum) == falls);
    i64::try_from(from.place + 1 + passed.unwrap_or(between.len())).unwrap_or(0)
}

/// Leaves out the turns that are none on a larger scale.
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
        // What is kept was read before, so it is not behind what is read.
        if let Some(slot) = turns.get_mut(kept) {
            *slot = Turn { is_new: turn.index != expected, ..turn }.pack();
        }
        (kept, expected) = (kept + 1, turn.index + 1);
    }
    turns.truncate(kept);
}

/// The last pixel of the brightest or the darkest there is between two others.
#[derive(Clone, Copy, Default)]
struct Turn {
    place: usize,
    value: u8,
    /// Whether the one before it is another on this scale than on the one below.
    is_new: bool,
    /// Among the turns that are being thinned.
    index: usize,
}

impl Turn {
    /// No row has more than 2^23 pixels.
    fn pack(self) -> u32 {
        u32::try_from(self.place << 9).unwrap_or(0) | u32::from(self.is_new) << 8 | u32::from(self.value)
    }

    fn unpack(packed: u32) -> Self {
        let place = usize::try_from(packed >> 9).unwrap_or(0);
        Self { place, value: packed.to_le_bytes()[0], is_new: packed >> 8 & 1 != 0, index: 0 }
    }
}

/// Finds the turns that differ by so much from the ones before and behind them.
struct Filter {
    least: u8,
    high: Turn,
    low: Turn,
    /// Whether the last turn was a low one, once there was one.
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

    /// Where the row ends.
    fn last(&self) -> Option<Turn> {
        self.rises.map(|rises| if rises { self.high } else { self.low })
    }
}

/// The least difference between two shades that counts. Eyes on a screen need one of about 8.
const LEAST: u8 = 4;
