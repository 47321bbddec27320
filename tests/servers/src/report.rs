//! Writes REPORT.md: what each check did, and how its control failed.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::progress::Row;

pub fn write(home: &Path, rows: &[Row], versions: &[String], whole: Duration) -> io::Result<()> {
    let mut text = String::from(HEAD);
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output()?.stdout;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').nth(2).unwrap_or("?");
    let _ = writeln!(
        text,
        "{}, {}, two checks at a time on {cores} cores. The durations include whatever else the machine was doing: at \
         the end, its load average of 15 minutes was {load}.\n",
        String::from_utf8_lossy(&date).trim(),
        versions.join(", ")
    );
    let mut servers: Vec<&str> = rows.iter().map(|row| row.server).collect();
    // The rows are sorted by server.
    servers.dedup();
    for server in servers {
        let _ = writeln!(
            text,
            "## {server}\n\n| check | what it did | control, which fails | seconds |\n|---|---|---|---:|"
        );
        for row in rows.iter().filter(|row| row.server == server) {
            let seconds = row.took.as_secs();
            let _ = match &row.result {
                Some(Ok(outcome)) => {
                    let escaped = |text: &str| text.replace('|', "\\|");
                    let control = if outcome.control.is_empty() { "-" } else { &outcome.control };
                    writeln!(text, "| {} | {} | {} | {seconds} |", row.name, escaped(&outcome.did), escaped(control))
                }
                Some(Err(error)) => {
                    writeln!(text, "| {} | **FAILED**: {} | | {seconds} |", row.name, error.replace(['|', '\n'], " "))
                }
                None => writeln!(text, "| {} | did not run | | |", row.name),
            };
        }
        text.push('\n');
    }
    let failed = rows.iter().filter(|row| !matches!(row.result, Some(Ok(_)))).count();
    let controls =
        rows.iter().filter(|row| matches!(&row.result, Some(Ok(outcome)) if !outcome.control.is_empty())).count();
    let _ = writeln!(
        text,
        "{} checks in {} minutes: {failed} failed. {controls} of them have a control, and each of these controls \
         failed as it should.\n",
        rows.len(),
        whole.as_secs().div_ceil(60),
    );
    text.push_str(TAIL);
    fs::write(home.join("REPORT.md"), text)
}

const HEAD: &str = "# The last campaign\n\n\
    Written by `cargo run --release --manifest-path tests/servers/Cargo.toml`. [README.md](README.md) explains the \
    checks.\n\n";
const TAIL: &str = "Not run: MySQL, Valkey, and `WAITAOF` of Redis 7.2, because Debian does not have them. \
    Semi-synchronous replication of MariaDB and replication of Redis, in which a failover can lose acknowledged changes. \
    Managed services, clusters, and power failures: instead of a power failure, the syncs are counted.\n";
