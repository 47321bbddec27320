//! Where QR codes are in a picture of a screen.
//!
//! The general problem, a code that a camera saw from any side, takes searches whose time grows with the cube of what
//! looks like a corner of a code, and a picture can be made of nothing else. A screen shows squares. So rows are searched
//! for the three corner patterns ("finders"), three that fit give a grid without a perspective, and all of it is bounded.

#![allow(clippy::integer_division_remainder_used, reason = "nothing is claimed on the time of reading a picture")]

use alloc::vec::Vec;

/// A picture of two colours: dark is what is below the threshold, or the rest if it is inverted.
pub(super) struct Picture<'a> {
    pub(super) grey: &'a [u8],
    pub(super) width: usize,
    pub(super) threshold: u8,
    pub(super) inverted: bool,
}

impl Picture<'_> {
    fn dark(&self, grey: u8) -> bool {
        (grey < self.threshold) != self.inverted
    }

    /// Outside everything is light.
    fn is_dark(&self, x: i64, y: i64) -> bool {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return false };
        let place = y.checked_mul(self.width).and_then(|start| start.checked_add(x)).filter(|_| x < self.width);
        place.and_then(|place| self.grey.get(place)).is_some_and(|grey| self.dark(*grey))
    }
}

/// A grid of modules: the finder in its corner, and the steps to the other two.
pub(super) struct Located {
    corner: Finder,
    /// To the finder beside the corner and to the one below, in half pixels.
    across: (i64, i64),
    down: (i64, i64),
    side: i64,
}

impl Located {
    pub(super) fn side(&self) -> usize {
        usize::try_from(self.side).unwrap_or(0)
    }

    pub(super) fn is_dark(&self, picture: &Picture<'_>, row: usize, column: usize) -> bool {
        // A side has at most 177 modules.
        let (row, column) = (i64::try_from(row).unwrap_or(0), i64::try_from(column).unwrap_or(0));
        self.sample(picture, row, column)
    }

    /// The pixel in the middle of a module. The middle of a finder is that of the module in row 3, column 3, and the
    /// middles of two finders are `side - 7` modules apart.
    fn sample(&self, picture: &Picture<'_>, row: i64, column: i64) -> bool {
        let apart = self.side - 7;
        let place = |start: i64, across: i64, down: i64| {
            (start * apart + (column - 3) * across + (row - 3) * down).div_euclid(2 * apart)
        };
        picture
            .is_dark(place(self.corner.x, self.across.0, self.down.0), place(self.corner.y, self.across.1, self.down.1))
    }

    /// Whether the modules between the finders alternate, as they do in every code, and only in a grid of the right size.
    fn has_timing(&self, picture: &Picture<'_>) -> bool {
        let wrong = (8..self.side - 8).flat_map(|place| {
            let dark = place % 2 == 0;
            [self.sample(picture, 6, place) != dark, self.sample(picture, place, 6) != dark]
        });
        let wrong = wrong.filter(|wrong| *wrong).count();
        i64::try_from(wrong).is_ok_and(|wrong| wrong * 8 <= 2 * (self.side - 16))
    }
}

/// All codes that `read` can make something of, in the order of their corners from the top.
pub(super) fn codes<T>(picture: &Picture<'_>, read: impl Fn(&Located) -> Option<T>) -> Vec<T> {
    let finders = finders(picture);
    let (mut texts, mut used) = (Vec::new(), Vec::new());
    for (a, corner) in finders.iter().enumerate() {
        let free = |index: &usize| *index != a && !used.contains(index);
        if used.contains(&a) {
            continue;
        }
        let beside = finders.iter().enumerate().filter(|(b, finder)| free(b) && finder.is_beside(corner));
        let below = || finders.iter().enumerate().filter(|(c, finder)| free(c) && finder.is_below(corner));
        let triples = beside.flat_map(|beside| below().map(move |below| (beside, below)));
        let mut grids = triples
            .flat_map(|((b, beside), (c, below))| {
                grids(picture, *corner, beside, below).map(move |grid| ([a, b, c], grid))
            })
            .take(MAX_TRIES);
        if let Some((three, text)) = grids.find_map(|(three, grid)| read(&grid).map(|text| (three, text))) {
            drop(grids);
            used.extend(three);
            texts.push(text);
        }
    }
    texts
}

/// The grids that three finders may span. Their number of modules follows from their size only roughly; the timing
/// patterns decide.
fn grids<'a>(
    picture: &'a Picture<'_>,
    corner: Finder,
    beside: &Finder,
    below: &Finder,
) -> impl Iterator<Item = Located> + 'a {
    let across = (beside.x - corner.x, beside.y - corner.y);
    let down = (below.x - corner.x, below.y - corner.y);
    let columns = across.0.abs() * 7 / (corner.width + beside.width) + 7;
    let rows = down.1.abs() * 7 / (corner.height + below.height) + 7;
    let near = |side: i64, modules: i64| (side - modules).abs() <= 2 + modules / 10;
    (21..=177)
        .step_by(4)
        .filter(move |side| near(*side, columns) && near(*side, rows))
        .map(move |side| Located { corner, across, down, side })
        .filter(|located| located.has_timing(picture))
}

/// The pattern in three corners of a code: a dark square of 3 x 3 modules in a light ring in a dark ring.
#[derive(Clone, Copy)]
struct Finder {
    /// Its middle, in half pixels.
    x: i64,
    y: i64,
    /// In pixels.
    width: i64,
    height: i64,
}

impl Finder {
    fn is_beside(&self, corner: &Self) -> bool {
        self.is_alike(corner) && (self.y - corner.y).abs() * 7 <= 2 * corner.height && self.x != corner.x
    }

    fn is_below(&self, corner: &Self) -> bool {
        self.is_alike(corner) && (self.x - corner.x).abs() * 7 <= 2 * corner.width && self.y != corner.y
    }

    fn is_alike(&self, other: &Self) -> bool {
        (self.width - other.width).abs() * 4 <= other.width && (self.height - other.height).abs() * 4 <= other.height
    }

    fn covers(&self, x: i64, y: i64) -> bool {
        (2 * x + 1 - self.x).abs() <= self.width && (2 * y + 1 - self.y).abs() <= self.height
    }

    /// Whether the middles of its 49 modules have the right colour, but for a few. What is not a finder, the rows and
    /// columns through its middle let pass often enough to drown the rest.
    fn is_there(&self, picture: &Picture<'_>) -> bool {
        let place = |middle: i64, module: i64, length: i64| (7 * middle + 2 * (module - 3) * length).div_euclid(14);
        let wrong = (0..49).filter(|module| {
            let (row, column) = (module / 7, module % 7);
            let ring = (row - 3_i64).abs().max((column - 3_i64).abs());
            picture.is_dark(place(self.x, column, self.width), place(self.y, row, self.height)) != (ring != 2)
        });
        wrong.count() <= 4
    }
}

fn finders(picture: &Picture<'_>) -> Vec<Finder> {
    let mut found: Vec<Finder> = Vec::new();
    for (y, row) in (0..).zip(picture.grey.chunks(picture.width.max(1))) {
        // The lengths of the last five runs, and of the one that is going on.
        let (mut runs, mut length, mut dark) = ([0; 5], 0, false);
        // One light pixel more, to end a dark run at the edge.
        let ends = row.iter().map(|grey| picture.dark(*grey)).chain([false]);
        for (x, now) in (0..).zip(ends) {
            if now == dark {
                length += 1;
                continue;
            }
            runs.rotate_left(1);
            runs[4] = length;
            length = 1;
            dark = now;
            if dark || !is_finder(&runs) {
                continue;
            }
            let middle = x - runs[4] - runs[3] - runs[2] / 2 - 1;
            if found.iter().any(|finder| finder.covers(middle, y)) {
                continue;
            }
            let finder = measure(picture, middle, y, runs.iter().sum());
            found.extend(finder.filter(|finder| finder.is_there(picture)));
            if found.len() == MAX_FINDERS {
                return found;
            }
        }
    }
    found
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

/// The finder around a pixel of its inner square, measured through its middle.
fn measure(picture: &Picture<'_>, x: i64, y: i64, size: i64) -> Option<Finder> {
    let (top, bottom) = cross(|step| picture.is_dark(x, y + step), 2 * size)?;
    let middle = (2 * y + top + bottom).div_euclid(2);
    let (left, right) = cross(|step| picture.is_dark(x + step, middle), 2 * size)?;
    Some(Finder { x: 2 * x + left + right, y: 2 * y + top + bottom, width: right - left, height: bottom - top })
}

/// Where a finder begins and ends, along a line through its inner square.
fn cross(is_dark: impl Fn(i64) -> bool, limit: i64) -> Option<(i64, i64)> {
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

/// Of 32 codes.
const MAX_FINDERS: usize = 96;

/// Grids to be decoded for one corner. The first is right where nobody tries to keep the decoder busy.
const MAX_TRIES: usize = 4;
