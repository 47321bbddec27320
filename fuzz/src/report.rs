//! Writes REPORT.md: a table of the results of each target, and a chart of coverage over time.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use crate::session::{Point, Way, count};

pub fn write(home: &Path, targets: &[(&str, Way)]) -> io::Result<()> {
    let mut table = String::from(HEAD);
    let mut panels = String::new();
    let mut drawn = 0;
    let (mut runs, mut seconds) = (0, 0);
    for (name, way) in targets {
        let inputs = count(&home.join("corpus").join(name));
        let name = way.label(name);
        let Ok(log) = fs::read_to_string(home.join(format!("corpus/{name}.log"))) else { continue };
        let points: Vec<Point> = log.lines().filter_map(Point::parse).collect();
        let Some(last) = points.last() else { continue };
        let end = log.lines().rfind(|line| Point::parse(line).is_none()).unwrap_or("interrupted");
        let rate = last.executions / last.seconds.max(1);
        let crash = if end == "crashed" { "**1**" } else { "0" };
        let Point { seconds: time, executions, edges, features, .. } = last;
        let _ = writeln!(
            table,
            "| `{name}` | {} | {} | {edges} | {features} | {inputs} | {crash} | {time}{} |",
            grouped(*executions),
            grouped(rate),
            if end == "interrupted" { ", interrupted" } else { "" }
        );
        runs += executions;
        seconds += time;
        panels.push_str(&panel(&name, &points, drawn));
        drawn += 1;
    }
    let _ = writeln!(table, "\n{} executions; the times add up to {} minutes.\n", grouped(runs), seconds / 60);
    table.push_str("![Edges over time, by target](coverage.svg)\n");
    let height = drawn.div_ceil(COLUMNS) * HEIGHT;
    let width = COLUMNS * WIDTH;
    let picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\"><rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n{panels}</svg>\n"
    );
    fs::write(home.join("coverage.svg"), picture)?;
    fs::write(home.join("REPORT.md"), table)
}

/// Draws the chart of one target. The time axis is logarithmic, because most coverage is found in the first seconds.
fn panel(name: &str, points: &[Point], index: usize) -> String {
    let (left, top) = (index % COLUMNS * WIDTH + 10, index / COLUMNS * HEIGHT + 24);
    let (width, height) = ((WIDTH - 24) as f64, (HEIGHT - 50) as f64);
    let last = points.iter().map(|point| point.seconds).max().unwrap_or(0);
    let most = points.iter().map(|point| point.edges).max().unwrap_or(0).max(1);
    let log = |seconds: u64| (1.0 + seconds as f64).ln();
    let line: String = points
        .iter()
        .map(|point| {
            let x = left as f64 + width * log(point.seconds) / log(last.max(1));
            let y = top as f64 + height * (1.0 - point.edges as f64 / most as f64);
            format!("{x:.1},{y:.1} ")
        })
        .collect();
    let bottom = top as f64 + height;
    let right = left as f64 + width;
    format!(
        "<text x=\"{left}\" y=\"{}\" fill=\"#222\">{name}: {most} edges</text>\
         <path d=\"M{left} {bottom}H{right}\" stroke=\"#bbb\"/>\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#2563a8\" stroke-width=\"1.5\"/>\
         <text x=\"{right}\" y=\"{}\" fill=\"#777\" text-anchor=\"end\">{last} s, logarithmic</text>\n",
        top - 8,
        line.trim_end(),
        bottom + 14.0,
    )
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(" ")
}

const HEAD: &str = "# The last campaign\n\n\
    Written by `cargo run --release --manifest-path fuzz/Cargo.toml`. Edges and features are \
    libFuzzer's counts, and cover the instrumented crates only. The rates also depend on the machine's other load. \
    A run named `-fast` does not trace comparisons and makes only short inputs. It shares its corpus with the run \
    without `-fast`.\n\n\
    | target | executions | each second | edges | features | corpus | crashes | seconds |\n\
    |---|---:|---:|---:|---:|---:|---:|---:|\n";
const COLUMNS: usize = 3;
const WIDTH: usize = 260;
const HEIGHT: usize = 130;
