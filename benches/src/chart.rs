//! Draws charts as SVG.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const INK: &str = "#1f2933";
const FAINT: &str = "#d9dee4";
const ACCENT: &str = "#0b6e4f";
const OTHER: &str = "#9aa5b1";

/// A horizontal bar per row, with keyfob's highlighted.
pub fn bars(title: &str, subtitle: &str, axis: &str, rows: &[(String, f64)]) -> String {
    const LEFT: f64 = 290.0;
    const RIGHT: f64 = 90.0;
    const TOP: f64 = 92.0;
    const STEP: f64 = 34.0;

    let bottom = TOP + STEP * rows.len() as f64;
    let most = rows.iter().map(|row| row.1).fold(0.0, f64::max);
    let tick = round_step(most / 8.0);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let mut svg = open(title, subtitle, bottom + 62.0);
    for count in 0..=(most / tick) as u32 {
        let value = f64::from(count) * tick;
        let x = LEFT + value * scale;
        line(&mut svg, (x, TOP - 4.0), (x, bottom), FAINT, 1.0);
        text(&mut svg, (x, bottom + 20.0), "middle", 13, INK, &format!("{value}"));
    }
    for (index, (name, value)) in rows.iter().enumerate() {
        let y = TOP + STEP * index as f64;
        let own = name.starts_with("keyfob");
        let (color, weight) = if own { (ACCENT, " font-weight=\"bold\"") } else { (OTHER, "") };
        let width = value * scale;
        let _ = writeln!(svg, r#"<rect x="{LEFT}" y="{:.1}" width="{width:.1}" height="22" fill="{color}"/>"#, y + 4.0);
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end" font-size="15" fill="{INK}"{weight}>{name}</text>"#,
            LEFT - 10.0,
            y + 20.0
        );
        text(&mut svg, (LEFT + width + 8.0, y + 20.0), "start", 14, INK, &short(*value));
    }
    text(&mut svg, (LEFT + (WIDTH - LEFT - RIGHT) / 2.0, bottom + 46.0), "middle", 14, INK, axis);
    svg + "</svg>\n"
}

/// A line per series with logarithmic axes. The first series is highlighted.
pub fn lines(title: &str, subtitle: &str, axes: [&str; 2], series: &[(&str, Vec<(usize, f64)>)]) -> String {
    const LEFT: f64 = 80.0;
    const RIGHT: f64 = 680.0;
    const TOP: f64 = 84.0;
    const BOTTOM: f64 = 500.0;
    const COLORS: [&str; 7] = [ACCENT, "#c8553d", "#3d6cb9", "#8a5fb4", "#d49a1f", "#3aa6b0", "#6b7785"];

    let points = || series.iter().flat_map(|series| &series.1);
    let longest = points().map(|point| point.0).max().unwrap_or(2) as f64;
    let bounds = |value: f64, next: fn(f64) -> f64| next(value.log10() * 3.0) / 3.0;
    let low = bounds(points().map(|point| point.1).fold(f64::INFINITY, f64::min), f64::floor);
    let high = bounds(points().map(|point| point.1).fold(0.0, f64::max), f64::ceil);
    let x = |length: f64| LEFT + (RIGHT - LEFT) * length.log2() / longest.log2();
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * (value.log10() - low) / (high - low);

    let mut svg = open(title, subtitle, BOTTOM + 66.0);
    for length in (0..=longest.log2() as u32).step_by(2).map(|power| f64::from(1_u32 << power)) {
        line(&mut svg, (x(length), TOP), (x(length), BOTTOM), FAINT, 1.0);
        text(&mut svg, (x(length), BOTTOM + 20.0), "middle", 13, INK, &format!("{length}"));
    }
    for value in (low.ceil() as i32..=high.floor() as i32).map(|power| 10_f64.powi(power)) {
        line(&mut svg, (LEFT, y(value)), (RIGHT, y(value)), FAINT, 1.0);
        text(&mut svg, (LEFT - 8.0, y(value) + 5.0), "end", 13, INK, &format!("{value}"));
    }
    // The first series is drawn last, so that it is on top.
    for (index, (_, points)) in series.iter().enumerate().rev() {
        let path: Vec<_> =
            points.iter().map(|&(length, value)| format!("{:.1},{:.1}", x(length as f64), y(value))).collect();
        let (color, width) = (COLORS[index % COLORS.len()], if index == 0 { 3.5 } else { 1.8 });
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{color}" stroke-width="{width}"/>"#,
            path.join(" ")
        );
    }
    for (index, (name, _)) in series.iter().enumerate() {
        let (color, width) = (COLORS[index % COLORS.len()], if index == 0 { 3.5 } else { 1.8 });
        let at = TOP + 14.0 + 24.0 * index as f64;
        line(&mut svg, (RIGHT + 18.0, at - 5.0), (RIGHT + 42.0, at - 5.0), color, width);
        text(&mut svg, (RIGHT + 50.0, at), "start", 14, INK, name);
    }
    text(&mut svg, (f64::midpoint(LEFT, RIGHT), BOTTOM + 48.0), "middle", 14, INK, axes[0]);
    let (middle, left) = (f64::midpoint(TOP, BOTTOM), 26.0);
    let _ = writeln!(
        svg,
        r#"<text transform="translate({left} {middle}) rotate(-90)" text-anchor="middle" font-size="14" fill="{INK}">{}</text>"#,
        axes[1]
    );
    svg + "</svg>\n"
}

fn open(title: &str, subtitle: &str, height: f64) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, sans-serif">
<rect width="100%" height="100%" fill="white"/>
<text x="24" y="36" font-size="20" font-weight="bold" fill="{INK}">{title}</text>
"#
    );
    text(&mut svg, (24.0, 60.0), "start", 14, INK, subtitle);
    svg
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
    let _ = writeln!(
        svg,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{color}" stroke-width="{width}"/>"#,
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, size: u32, color: &str, words: &str) {
    let _ = writeln!(
        svg,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}" font-size="{size}" fill="{color}" stroke="white" stroke-width="3" paint-order="stroke">{words}</text>"#,
        at.0, at.1
    );
}

/// The next of 1, 2, 5, 10, ... from a value on.
fn round_step(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|step| step * power).find(|&step| step >= value).unwrap_or(10.0 * power)
}

/// Three digits or more.
fn short(value: f64) -> String {
    match value {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
