//! Locates QR codes in a screenshot.
//!
//! A photograph can show a code from any angle. Finding such a code takes time that grows with the cube of the number
//! of patterns that look like a corner of a code. An attacker can fill a picture with such patterns. But codes on a
//! screen are square and undistorted. This module therefore searches rows for the three corner patterns ("finders"),
//! and derives a grid without perspective from three finders of similar size and shade. The number of finders is
//! limited, and so is the number of grids that are decoded.
//!
//! There is no fixed threshold between dark and light: a page can contain a black-on-charcoal code next to bright text.
//! A finder is recognized by the ratio of the lengths of its dark and light runs. The threshold of a finder lies
//! halfway between its two shades, and a code uses the thresholds of its finders.

#![allow(clippy::integer_division_remainder_used, reason = "nothing is claimed on the time of reading a picture")]

mod turns;

use alloc::vec::Vec;

use turns::{Turns, cross, shade};

/// One sample per pixel, such as its brightness or its red component, row by row.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    pub(super) samples: &'a [u8],
    pub(super) width: usize,
    /// Whether the codes to find are light on dark.
    pub(super) inverted: bool,
}

impl Picture<'_> {
    /// Returns the sample at a pixel, or `None` outside the picture. If the picture is inverted, the result is 255
    /// minus the sample.
    fn sample(&self, x: i64, y: i64) -> Option<i64> {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        let index = y.checked_mul(self.width).and_then(|start| start.checked_add(x)).filter(|_| x < self.width)?;
        self.samples.get(index).map(|sample| i64::from(shade(*sample, self.inverted)))
    }

    /// Returns 256 times the sample at a point, interpolated between the centers of four pixels. The coordinates are in
    /// sixteenths of a pixel, from the center of the picture's first pixel. Interpolation reduces noise. It also makes
    /// it possible to read modules that are as small as a pixel, where one pixel can cover parts of several modules.
    fn blend(&self, x: i64, y: i64) -> i64 {
        let at = |dx: i64, dy: i64| self.sample((x >> 4) + dx, (y >> 4) + dy).unwrap_or(255);
        let row = |dy: i64| at(0, dy) * (16 - (x & 15)) + at(1, dy) * (x & 15);
        row(0) * (16 - (y & 15)) + row(1) * (y & 15)
    }

    /// Returns whether a sample is below a threshold. `threshold` is twice the actual threshold, which can therefore
    /// lie between two adjacent values. Everything outside the picture is light.
    fn is_dark(&self, x: i64, y: i64, threshold: i64) -> bool {
        self.sample(x, y).is_some_and(|sample| 2 * sample < threshold)
    }
}

/// A grid of modules: the finder in its corner, and the steps to the other two finders.
pub(super) struct Located {
    corner: Finder,
    across: Step,
    down: Step,
    side: i64,
}

/// The difference between two finders, in position and in threshold.
#[derive(Clone, Copy)]
struct Step {
    /// The differences `x` and `y` are in sixteenths of a pixel.
    x: i64,
    y: i64,
    /// The second finder's threshold minus the first's. It is positive if the second finder is brighter.
    threshold: i64,
}

impl Located {
    pub(super) fn side(&self) -> usize {
        usize::try_from(self.side).unwrap_or(0)
    }

    pub(super) fn is_dark(&self, picture: &Picture<'_>, row: usize, column: usize) -> bool {
        // A code has at most 177 modules per side, so the conversions do not fail.
        let (row, column) = (i64::try_from(row).unwrap_or(0), i64::try_from(column).unwrap_or(0));
        self.sample(picture, row, column)
    }

    /// Returns whether a module is dark at its center. The center of the corner finder is the center of the module in
    /// row 3, column 3. The centers of two adjacent finders are `side - 7` modules apart.
    fn sample(&self, picture: &Picture<'_>, row: i64, column: i64) -> bool {
        let apart = self.side - 7;
        let between = |start: i64, across: i64, down: i64| start * apart + (column - 3) * across + (row - 3) * down;
        // The center of the first pixel is half a pixel, or 8 sixteenths, from the edge of the picture.
        let x = between(self.corner.x, self.across.x, self.down.x).div_euclid(apart) - 8;
        let y = between(self.corner.y, self.across.y, self.down.y).div_euclid(apart) - 8;
        let threshold = between(self.corner.threshold, self.across.threshold, self.down.threshold).div_euclid(apart);
        picture.blend(x, y) < 128 * threshold
    }

    /// Returns whether the modules between the finders, in row 6 and column 6, alternate between dark and light. They
    /// do in every code, provided that the grid has the right number of modules. Up to an eighth of them may have the
    /// wrong shade.
    fn has_timing(&self, picture: &Picture<'_>) -> bool {
        let most = (self.side - 16) / 4;
        let wrong = (8..self.side - 8).flat_map(|module| {
            let dark = module % 2 == 0;
            [self.sample(picture, 6, module) != dark, self.sample(picture, module, 6) != dark]
        });
        wrong.filter(|wrong| *wrong).zip(0..=most).count() <= usize::try_from(most).unwrap_or(0)
    }
}

/// Returns the results of `read` for all codes that it can decode, ordered by their corner finders from top to bottom.
pub(super) fn codes<T>(picture: &Picture<'_>, finders: &[Finder], read: impl Fn(&Located) -> Option<T>) -> Vec<T> {
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

/// Returns the grids that three finders may span. The sizes of the finders give only an estimate of the number of
/// modules per side. So each number near the estimate is tried, and a grid is kept if its timing patterns are right.
fn grids<'a>(
    picture: &'a Picture<'_>,
    corner: Finder,
    beside: &Finder,
    below: &Finder,
) -> impl Iterator<Item = Located> + 'a {
    let step =
        |to: &Finder| Step { x: to.x - corner.x, y: to.y - corner.y, threshold: to.threshold - corner.threshold };
    let (across, down) = (step(beside), step(below));
    let columns = across.x.abs() * 7 / (8 * (corner.width + beside.width)) + 7;
    let rows = down.y.abs() * 7 / (8 * (corner.height + below.height)) + 7;
    let near = |side: i64, modules: i64| (side - modules).abs() <= 2 + modules / 10;
    (21..=177)
        .step_by(4)
        .filter(move |side| near(*side, columns) && near(*side, rows))
        .map(move |side| Located { corner, across, down, side })
        .filter(|located| located.has_timing(picture))
}

/// The pattern in three corners of a code: a dark square of 3 x 3 modules, surrounded by a light ring and then a dark
/// ring.
#[derive(Clone, Copy)]
pub(super) struct Finder {
    /// The finder's center. `x` and `y` are in sixteenths of a pixel, from the picture's left and top edges.
    x: i64,
    y: i64,
    /// The width and the height are in pixels.
    width: i64,
    height: i64,
    /// Twice the value halfway between its two shades.
    threshold: i64,
    /// The difference between its two shades.
    contrast: i64,
}

impl Finder {
    fn is_beside(&self, corner: &Self) -> bool {
        self.is_alike(corner) && (self.y - corner.y).abs() * 7 <= 16 * corner.height && self.x != corner.x
    }

    fn is_below(&self, corner: &Self) -> bool {
        self.is_alike(corner) && (self.x - corner.x).abs() * 7 <= 16 * corner.width && self.y != corner.y
    }

    /// Returns whether two finders have about the same size and brightness. Shades may change across a code, so the
    /// brightness may differ by up to twice the smaller of the two contrasts.
    fn is_alike(&self, other: &Self) -> bool {
        (self.width - other.width).abs() * 4 <= other.width
            && (self.height - other.height).abs() * 4 <= other.height
            && (self.threshold - other.threshold).abs() <= 4 * self.contrast.min(other.contrast)
    }

    fn covers(&self, x: i64, y: i64) -> bool {
        (16 * x + 8 - self.x).abs() <= 8 * self.width && (16 * y + 8 - self.y).abs() <= 8 * self.height
    }

    /// Returns the finder with a corrected center, and with its shades averaged over all modules. Returns `None` if the
    /// centers of more than four of its 49 modules have the wrong shade, or if its light ring is not lighter than the
    /// rest. Checking only the row and the column through the center would accept many false finders. They would use up
    /// the limit on the number of finders before the real ones are found.
    fn checked(self, picture: &Picture<'_>) -> Option<Self> {
        let center = |middle: i64, module: i64, length: i64| middle - 8 + (16 * (module - 3) * length).div_euclid(7);
        let (mut dark, mut light, mut wrong) = (0, 0, 0);
        for module in 0..49 {
            let (row, column) = (module / 7, module % 7);
            let sample = picture.blend(center(self.x, column, self.width), center(self.y, row, self.height));
            let in_light_ring = (row - 3_i64).abs().max((column - 3_i64).abs()) == 2;
            *(if in_light_ring { &mut light } else { &mut dark }) += sample;
            wrong += i64::from((sample < 128 * self.threshold) == in_light_ring);
        }
        // The light ring has 16 modules, and the other 33 modules are dark.
        let (dark, light) = (dark / (33 * 256), light / (16 * 256));
        if wrong > 4 || dark >= light {
            return None;
        }
        // The darkness of a pixel at the edge of a dark module shows how much of the pixel the module covers.
        let part = |x: i64, y: i64| {
            let dark_part = light - picture.sample(x, y).unwrap_or(255);
            (16 * dark_part / (light - dark)).clamp(0, 16)
        };
        let shift = |middle: i64, length: i64, part: &dyn Fn(i64) -> i64| {
            let (start, end) = ((middle / 8 - length) / 2, (middle / 8 + length) / 2);
            (part(end) + part(end - 1) - part(start) - part(start - 1)) / 2
        };
        let x = self.x + shift(self.x, self.width, &|x| part(x, self.y >> 4));
        let y = self.y + shift(self.y, self.height, &|y| part(self.x >> 4, y));
        Some(Self { x, y, threshold: dark + light + 1, contrast: light - dark, ..self })
    }
}

/// Returns the finders that are dark on light, and those that are light on dark, each from top to bottom. Only rows for
/// which `rows` returns true are searched.
pub(super) fn finders(samples: &[u8], width: usize, rows: impl Fn(usize) -> bool) -> [Vec<Finder>; 2] {
    let pictures = [false, true].map(|inverted| Picture { samples, width, inverted });
    let mut found = [Vec::new(), Vec::new()];
    // A code is at least 21 pixels high. `Turns` needs rows of at most 2^23 pixels. A picture has at most 2^24 pixels,
    // so its rows are short enough if it is at least 21 pixels high.
    if samples.len() / width.max(1) < 21 {
        return found;
    }
    let mut turns = Turns::new(width);
    let mut above: &[u8] = &[];
    // The inner square of a finder is three modules high, so searching every other row is enough to find it.
    let lines = samples.chunks(width.max(1)).enumerate().step_by(2).filter(|(y, _)| rows(*y));
    for (y, row) in lines {
        let y = i64::try_from(y).unwrap_or(0);
        // A row that is identical to the last row searched contains nothing new.
        if row == above {
            continue;
        }
        above = row;
        turns.rings(row, |ring, inverted| {
            let [picture, inverse] = &pictures;
            let [normal, light_on_dark] = &mut found;
            let (picture, found) = if inverted { (inverse, light_on_dark) } else { (picture, normal) };
            let is_full = found.len() == MAX_FINDERS;
            let known = found.iter_mut().find(|finder: &&mut Finder| finder.covers(ring.middle, y));
            if is_full && known.is_none() {
                return;
            }
            let finder = measure(picture, ring.middle, y, ring.size, ring.threshold);
            match (known, finder.and_then(|finder| finder.checked(picture))) {
                // Keep the measurement with the higher contrast, because its threshold is more accurate. With an
                // inaccurate threshold, shades between dark and light are assigned to the wrong side.
                (Some(known), Some(finder)) if finder.contrast > known.contrast => *known = finder,
                (None, Some(finder)) => found.push(finder),
                _ => {}
            }
        });
    }
    found
}

/// Measures the finder around a pixel of its inner square. The height is measured along the column of the pixel, and
/// the width along the row through the finder's center. Returns `None` if one of these lines does not cross a finder.
fn measure(picture: &Picture<'_>, x: i64, y: i64, size: i64, threshold: i64) -> Option<Finder> {
    let (top, bottom) = cross(|step| picture.is_dark(x, y + step, threshold), size)?;
    let middle = (2 * y + top + bottom).div_euclid(2);
    let (left, right) = cross(|step| picture.is_dark(x + step, middle, threshold), size)?;
    let (width, height) = (right - left, bottom - top);
    Some(Finder { x: 8 * (2 * x + left + right), y: 8 * (2 * y + top + bottom), width, height, threshold, contrast: 0 })
}

/// The maximum number of finders that are dark on light, and of those that are light on dark. This is enough for 32
/// codes with three finders each, and for as many false finders elsewhere on the page.
const MAX_FINDERS: usize = 192;

/// The maximum number of grids that are decoded per corner finder. The first grid is the right one, unless the picture
/// was crafted to keep the decoder busy.
const MAX_TRIES: usize = 4;
