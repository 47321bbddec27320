//! Writes BENCHMARKS.md and its charts.

use std::fmt::Write;

use keyfob_benches::{FILES, liboath};

use crate::bars::{self, CT_PEERS};
use crate::chart;
use crate::machine::Machine;
use crate::results::Results;
use crate::yardstick::Program;

/// Title, name in criterion, what is measured.
const GROUPS: [(&str, &str, &str); 16] = [
    (
        "One code, key kept",
        "code, key kept",
        "HMAC-SHA-1, six digits. The key object was created before the measurement. HMAC takes at least two
compressions, so the bare compressions are a lower bound.",
    ),
    ("One code, key fresh", "code, key fresh", "The same, but starting from the bytes of the secret."),
    ("One code, SHA-256", "code, SHA-256", "The secret has 32 bytes."),
    ("One code, SHA-512", "code, SHA-512", "The secret has 64 bytes."),
    (
        "One verification, key kept",
        "verify, key kept",
        "A wrong code is verified as text, with a window of one step on either side, which is three codes. keyfob
always computes all three. The others stop at a match, so they also compute all three for a wrong code.",
    ),
    ("One verification, key fresh", "verify, key fresh", "The same, but starting from the bytes of the secret."),
    ("Search of 2881 steps", "search", "A wrong code is searched for in all steps of one day on either side."),
    (
        "base32, decode",
        "base32, decode",
        "The input is a secret of 20 bytes. keyfob uses no lookup table and wipes its buffers; the others do neither.",
    ),
    ("base32, encode", "base32, encode", "The input is a secret of 20 bytes."),
    (
        "URI, write",
        "URI, write",
        "The URI has issuer, account and default settings. The results differ only in the @, which totp-rs escapes.",
    ),
    (
        "URI, read",
        "URI, read",
        "The URI that keyfob writes is parsed into an object that computes codes and has accessors for the parts.",
    ),
    (
        "The guard, decision",
        "guard, decision",
        "keyfob parses the stored record of an account, decrypts the secret, compares three codes, updates the
counts of wrong codes and writes the next record. No other library does this, so there is no
comparison. With a store, a verification makes one load and one swap. The benchmark fails if it
makes more.",
    ),
    (
        "The guard, login",
        "guard, login",
        "`begin_login` parses the stored record of an account, recognizes the device by its token, and makes a
challenge unless the device is trusted. `answer` checks the challenge, and then does the same as the verification
above. It also stores the completed login. The record has a known and a trusted device, and as many
completed logins as a record remembers. The known device is used, except where the table says so.",
    ),
    (
        "The guard on SQLite",
        "guard, SQLite",
        "One verification of a correct code is compared with one plain update of a row of the same size in the same
database, with WAL and `synchronous = FULL`. Both wait for the disk, and for the thread that `sqlx` runs per
connection.",
    ),
    (
        "The guard on SQLite, 32 at once",
        "guard, SQLite, 32 at once",
        "32 verifications for 32 accounts run at once, and so do 32 plain updates. Each time is for all 32. SQLite
allows one writer at a time.",
    ),
    (
        "Users adopted, on SQLite",
        "adoption",
        "A thousand users of another system are adopted with `adopt_batch`: their secrets are encrypted, and their
records are added in one transaction. This is compared with a thousand plain inserts of rows of the same size in one
transaction, in the same database with WAL and `synchronous = FULL`. The table is emptied after 20 000 users.",
    ),
];

pub fn charts(results: &Results) -> [(&'static str, String); 3] {
    [("verify.svg", verify_chart(results)), ("ct_eq.svg", ct_eq_chart(results)), ("search.svg", search_chart(results))]
}

pub fn markdown(machine: &Machine, results: &Results, yardstick: &[Program], rounds: usize) -> String {
    let mut page = String::new();
    // Writing to a `String` does not fail.
    let _ = write(&mut page, machine, results, yardstick, rounds);
    page
}

fn write(
    page: &mut String,
    machine: &Machine,
    results: &Results,
    yardstick: &[Program],
    rounds: usize,
) -> std::fmt::Result {
    writeln!(
        page,
        "# Benchmarks

`cargo run --release --manifest-path benches/Cargo.toml` runs all benchmarks and writes this file and its charts. With
`-- --quick`, it takes a minute, writes to the target folder, and only checks that every answer is correct.

A time is a median; each benchmark runs {}, and the smallest median counts. A ratio is a time divided by keyfob's:
above 1 is slower than keyfob. Every benchmark compares its answer with a known one before and after it is timed, and
stops the run if they differ.

Ratios are similar on other machines; times are not. Two measurements of the same code differ by about 3 %, and by more
on a busy machine.

## Machine and versions

| | |
|---|---|",
        if rounds == 1 { "once".into() } else { format!("{rounds} times") }
    )?;
    for (name, value) in &machine.facts {
        writeln!(page, "| {name} | {value} |")?;
    }
    let mut versions: Vec<_> = machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    #[cfg(liboath)]
    versions.push(format!("liboath {}", liboath::version()));
    versions.sort();
    writeln!(page, "| versions | {} |", versions.join(", "))?;
    if !liboath::PRESENT {
        writeln!(page, "| left out | liboath, which is not installed |")?;
    }

    writeln!(
        page,
        "\n## The bars\n\nEach bar is a performance target of keyfob.\n\n| what | bar | measured | |\n|---|---|---|---|"
    )?;
    for bar in bars::bars(results) {
        writeln!(page, "| {} | {} | {} | {} |", bar.what, bar.bar, bar.measured, bar.verdict())?;
    }
    writeln!(
        page,
        "
## Charts

![Time of one verification, by library](benches/charts/verify.svg)

![Time of a comparison over length, by crate](benches/charts/ct_eq.svg)

![Time of a search of 2881 steps, by library](benches/charts/search.svg)"
    )?;
    for (title, name, what) in GROUPS {
        group(page, results, title, name, what)?;
    }
    files(page, results)?;
    comparison(page, results)?;
    users_yardstick(page, results, yardstick)?;
    writeln!(
        page,
        "
## How it was done

* totp-rs and the hand-written code that uses the crate `hmac` are built without keyfob. Cargo unifies features within
  a build: keyfob enables `sha1/zeroize`, which would slow the others down, because they would wipe memory, too.
* totp-rs is built without its feature `zeroize`, so it wipes nothing; keyfob always wipes.
* \"By hand\" is code that an application might write on top of HMAC: RFC 4226's truncation, and a loop that stops at
  a match.
* totp-lite and liboath hold no state between calls, so they appear only where the key is set up in every call.
  totp-lite does not verify.
* libreauth's TOTP reads the system clock in each call, so its HOTP is used to measure a single code.
* The performance targets for a single verification are measured against a `TOTP` of totp-rs that already exists, even
  where keyfob's time includes the setup of the key.
* One loop calls `ct::eq` and the other comparisons through a function pointer, so the surrounding code is the same for
  all.
* Between builds, the linker places functions at different addresses. This can shift a measurement of a few nanoseconds
  by up to 0.7 ns.
* The release profile has Cargo's defaults, and no `target-cpu` is set."
    )
}

fn group(page: &mut String, results: &Results, title: &str, name: &str, what: &str) -> std::fmt::Result {
    writeln!(page, "\n## {title}\n\n{what}\n\n| | time | ratio |\n|---|--:|--:|")?;
    let own = results.get(name, "keyfob");
    for (name, time) in results.group(name) {
        let ratio = own.map_or("-".into(), |own| format!("{:.2}", time / own));
        let name = if name.starts_with("keyfob") { format!("**{name}**") } else { name.into() };
        writeln!(page, "| {name} | {} | {ratio} |", duration(time))?;
    }
    Ok(())
}

fn files(page: &mut String, results: &Results) -> std::fmt::Result {
    writeln!(
        page,
        "
## Files of other apps

The time is per account, for files with different numbers of accounts. It is the same for all files if the time to read
a file is proportional to its size.

| accounts | {} |
|--:|{}",
        FILES.join(" | "),
        "--:|".repeat(FILES.len())
    )?;
    let columns = FILES.map(|name| results.over_length("files", name));
    for (row, &(accounts, _)) in columns[0].iter().enumerate() {
        let cells =
            columns.iter().map(|column| column.get(row).map_or("-".into(), |cell| duration(cell.1 / accounts as f64)));
        writeln!(page, "| {accounts} | {} |", cells.collect::<Vec<_>>().join(" | "))?;
    }
    Ok(())
}

fn comparison(page: &mut String, results: &Results) -> std::fmt::Result {
    const NAMES: [&str; 7] = ["keyfob", CT_PEERS[0], CT_PEERS[1], CT_PEERS[2], CT_PEERS[3], CT_PEERS[4], "=="];

    writeln!(
        page,
        "\n## `ct::eq`

The times to compare two equal slices, in nanoseconds. keyfob uses `ct::eq` because `==` is not constant time.

| bytes | {} | fastest of the five | keyfob / fastest | keyfob / == |
|--:|{}---|--:|--:|",
        NAMES.join(" | "),
        "--:|".repeat(NAMES.len())
    )?;
    let columns = NAMES.map(|name| results.over_length("ct::eq", name));
    for (row, &(length, own)) in columns[0].iter().enumerate() {
        let times: Vec<_> = columns.iter().filter_map(|column| column.get(row)).map(|cell| cell.1).collect();
        let Some((fastest, time)) = bars::fastest_peer(results, length) else { continue };
        let cells: Vec<_> = times.iter().map(|time| format!("{time:.2}")).collect();
        let equals = times.last().map_or("-".into(), |equals| format!("{:.2}", own / equals));
        writeln!(page, "| {length} | {} | {fastest} | {:.2} | {equals} |", cells.join(" | "), own / time)?;
    }
    Ok(())
}

fn users_yardstick(page: &mut String, results: &Results, programs: &[Program]) -> std::fmt::Result {
    let own = ["code, key kept", "verify, key kept"].map(|group| results.get(group, "keyfob"));
    let ([Some(code), Some(verification)], false) = (own, programs.is_empty()) else { return Ok(()) };
    writeln!(
        page,
        "
## Other languages

Libraries in other languages compute the same code and verify the same wrong code. If a library has objects, the object
is created before the measurement. A time is the best of seven runs of a loop in that language.

| | one code | ratio | one verification | ratio |
|---|--:|--:|--:|--:|
| **keyfob** | {} | 1.00 | {} | 1.00 |",
        duration(code),
        duration(verification)
    )?;
    for program in programs {
        writeln!(
            page,
            "| {} | {} | {:.0} | {} | {:.0} |",
            program.name,
            duration(program.code),
            program.code / code,
            duration(program.verification),
            program.verification / verification
        )?;
    }
    Ok(())
}

fn verify_chart(results: &Results) -> String {
    let mut rows = Vec::new();
    for state in ["kept", "fresh"] {
        for (name, time) in results.group(&format!("verify, key {state}")) {
            if name != "keyfob, code parsed before" {
                rows.push((format!("{name}, key {state}"), time));
            }
        }
    }
    rows.sort_by(|a, b| a.1.total_cmp(&b.1));
    let of = |name| results.get("verify, key kept", name).map_or("-".into(), duration);
    chart::bars(
        &format!("One verification takes keyfob {} and totp-rs {}", of("keyfob"), of("totp-rs")),
        "One verification of a wrong code, one step accepted on either side, SHA-1, six digits. Shorter is better.",
        "nanoseconds",
        &rows,
    )
}

fn search_chart(results: &Results) -> String {
    let rows: Vec<_> = results.group("search").into_iter().map(|(name, time)| (name.to_owned(), time / 1e3)).collect();
    let of = |name| results.get("search", name).map_or("-".into(), duration);
    chart::bars(
        &format!("Searching a day on either side takes keyfob {} and totp-rs {}", of("keyfob"), of("totp-rs")),
        "Search of 2881 steps, one day on either side, for a wrong code, SHA-1, six digits. Shorter is better.",
        "microseconds",
        &rows,
    )
}

fn ct_eq_chart(results: &Results) -> String {
    let names = ["keyfob"].into_iter().chain(CT_PEERS).chain(["=="]);
    let series: Vec<_> = names.map(|name| (name, results.over_length("ct::eq", name))).collect();
    let lengths = &series[0].1;
    let ahead = lengths
        .iter()
        .filter(|&&(length, own)| bars::fastest_peer(results, length).is_some_and(|(_, peer)| own <= peer))
        .count();
    chart::lines(
        &format!("Constant-time comparison: ahead of five crates at {ahead} of {} lengths", lengths.len()),
        "Time of comparing two equal slices. == is not constant time. Lower is better, both axes are logarithmic.",
        ["length in bytes", "nanoseconds"],
        &series,
    )
}

fn duration(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ..1e3 => (nanoseconds, "ns"),
        ..1e6 => (nanoseconds / 1e3, "µs"),
        _ => (nanoseconds / 1e6, "ms"),
    };
    match value {
        ..10.0 => format!("{value:.2} {unit}"),
        ..100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}
