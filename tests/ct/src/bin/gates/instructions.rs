//! Checks the instruction counts of the hot functions with callgrind. Timings would be too noisy.

use std::fs;
use std::process::Command;

use crate::Row;
use crate::subject::{RELEASE, Subject, folder, here, in_pairs};

const HOT: [&str; 9] = [
    "ct::eq 32 equal",
    "ct::eq 1100 equal",
    "Hotp::new, code SHA1 6",
    "Totp::verify miss SHA1 6",
    "Totp::verify miss SHA256 6",
    "Totp::verify miss SHA512 6",
    "search::counters hit",
    "Steam::verify hit",
    "base32::decode",
];

/// Fails if a count is more than 3 % above or below the recorded count. A lower count means that the function became
/// faster and the new count should be recorded, or that callgrind missed the function.
pub fn check(rows: &mut Vec<Row>) {
    let written = fs::read_to_string(here().join("instructions.txt")).unwrap_or_default();
    for (name, count) in counts() {
        let before = written.lines().find_map(|line| line.strip_suffix(&format!(" {name}"))?.parse::<u64>().ok());
        let result = match before {
            Some(before) if (before * 97..=before * 103).contains(&(count * 100)) => {
                Ok(format!("{count} (recorded: {before})"))
            }
            Some(before) => Err(format!("{count}, more than 3 % away from the recorded {before}")),
            None => Err(format!("{count}, and no count is recorded")),
        };
        rows.push(Row {
            what: name.to_owned(),
            how: "instructions (callgrind)",
            level: RELEASE.name.to_owned(),
            result,
        });
    }
}

/// Records the current counts.
pub fn record() {
    let lines: String = counts().into_iter().map(|(name, count)| format!("{count} {name}\n")).collect();
    fs::write(here().join("instructions.txt"), &lines).expect("the figures can be written");
    print!("{lines}");
}

fn counts() -> Vec<(&'static str, u64)> {
    let subject = Subject::build(RELEASE);
    in_pairs(&HOT, |name| {
        let number = subject.cases().find(|(_, case)| case == name).expect("the case exists").0.to_string();
        let out = format!("--callgrind-out-file={}", folder("callgrind").join(&number).display());
        let _ = fs::create_dir_all(folder("callgrind"));
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", &out, "--toggle-collect=*counted*"]).arg(&subject.path);
        let output = command.args(["count", &number]).output().expect("valgrind runs");
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}:\n{printed}");
        let count = printed.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        (*name, count.unwrap_or_else(|| panic!("no count for {name}:\n{printed}")))
    })
}
