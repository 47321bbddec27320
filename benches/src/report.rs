//! Writes BENCHMARKS.md and its charts.

use std::fmt::Write;

use keyfob_benches::phone::AT_ONCE;
use keyfob_benches::site::{PAGES, Size, WITH_PAGES, WITHOUT_PAGES};
use keyfob_benches::{FILES, liboath};

use crate::bars::{self, CT_PEERS, STORES};
use crate::build::{self, Build};
use crate::chart;
use crate::load::{self, Load};
use crate::machine::Machine;
use crate::results::Results;
use crate::yardstick::Program;

/// Title, name in criterion, what is measured.
const GROUPS: [(&str, &str, &str); 23] = [
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
        "A verification on SQLite",
        "store, SQLite",
        "A correct code is verified, which takes one load and one swap. This is compared with a plain select and a
plain update of a row of the same size in the same database and with the same client. The update has the version as a
condition, as a swap has. SQLite uses WAL and `synchronous = FULL`, so every change waits for the disk. Each request
also waits for the thread that `sqlx` runs per connection. In the application's pool, keyfob sets `synchronous` before
each statement, and prepares the statement each time.",
    ),
    (
        "A verification on SQLite, 32 at once",
        "store, SQLite, 32 at once",
        "The same for 32 accounts at once. Each time is for all 32. SQLite allows one writer at a time.",
    ),
    (
        "A verification on PostgreSQL",
        "store, PostgreSQL",
        "The same on a server that runs on this machine and is reached through a Unix socket. Over a network, the two
round trips take longer, and the ratio comes closer to 1.",
    ),
    (
        "A verification on PostgreSQL, 32 at once",
        "store, PostgreSQL, 32 at once",
        "The same for 32 accounts at once, with ten connections. Each time is for all 32. All of them share one thread.",
    ),
    (
        "A verification on MariaDB",
        "store, MariaDB",
        "The same on MariaDB. In a pool that the application uses as well, a connection may be inside a transaction. To
notice this, keyfob sends each statement together with others, and so cannot prepare it: the server parses it each time,
and the record is sent in hexadecimal. In its own pool, keyfob prepares its statements, as the bare ones are.",
    ),
    (
        "A verification on MariaDB, 32 at once",
        "store, MariaDB, 32 at once",
        "The same for 32 accounts at once, with ten connections. Each time is for all 32.",
    ),
    (
        "A verification on Redis",
        "store, Redis",
        "The same on Redis with `appendfsync always`. The bare requests are a `GET` and the script that keyfob's store
runs, on one connection.",
    ),
    (
        "A verification on Redis, 32 at once",
        "store, Redis, 32 at once",
        "The same for 32 accounts at once, on one connection. Each time is for all 32. Redis syncs the changes that
arrive together to the disk once.",
    ),
    (
        "Users adopted, on SQLite",
        "adoption, SQLite",
        "A thousand users of another system are adopted with `adopt_batch`: their secrets are encrypted, and their
records are added in one transaction. This is compared with a thousand plain inserts of rows of the same size in one
transaction, in the same database with WAL and `synchronous = FULL`. The table is emptied after 20 000 users.",
    ),
    (
        "Users adopted, on PostgreSQL",
        "adoption, PostgreSQL",
        "The same on PostgreSQL. Both add the thousand rows by one statement.",
    ),
];

pub fn charts(results: &Results) -> [(&'static str, String); 4] {
    [
        ("verify.svg", verify_chart(results)),
        ("stores.svg", stores_chart(results)),
        ("ct_eq.svg", ct_eq_chart(results)),
        ("search.svg", search_chart(results)),
    ]
}

/// What was measured of keyfob-axum, besides the groups.
pub struct Pages {
    pub largest: Size,
    pub loads: Vec<Load>,
}

pub fn markdown(
    machine: &Machine,
    results: &Results,
    axum: &Pages,
    yardstick: &[Program],
    builds: &[Build],
    rounds: usize,
) -> String {
    let mut page = String::new();
    // Writing to a `String` does not fail.
    let _ = write(&mut page, machine, results, axum, yardstick, builds, rounds);
    page
}

fn write(
    page: &mut String,
    machine: &Machine,
    results: &Results,
    axum: &Pages,
    yardstick: &[Program],
    builds: &[Build],
    rounds: usize,
) -> std::fmt::Result {
    writeln!(
        page,
        "# Benchmarks

`cargo run --release --manifest-path benches/Cargo.toml` runs all benchmarks and writes this file and its charts. With
`-- --quick`, it takes four minutes, writes to the target folder, and only checks that every answer is correct.

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
    for bar in bars::bars(results, &axum.largest) {
        writeln!(page, "| {} | {} | {} | {} |", bar.what, bar.bar, bar.measured, bar.verdict())?;
    }
    writeln!(
        page,
        "
## Charts

![Time of one verification, by library](benches/charts/verify.svg)

![Time of one verification, by store](benches/charts/stores.svg)

![Time of a comparison over length, by crate](benches/charts/ct_eq.svg)

![Time of a search of 2881 steps, by library](benches/charts/search.svg)"
    )?;
    for (title, name, what) in GROUPS {
        group(page, results, title, name, what)?;
        if name == "guard, login" {
            pages(page, results, &axum.largest)?;
        }
        if name == "store, Redis, 32 at once" {
            redis(page, results)?;
        }
    }
    load::section(page, &axum.loads)?;
    build::section(page, builds)?;
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
* A verification and the bare statements that it is compared with take turns, because a disk is faster in one second
  than in another.
* The database servers run on this machine, with their usual settings and with data on a disk. The clients use one
  thread.
* One loop calls `ct::eq` and the other comparisons through a function pointer, so the surrounding code is the same for
  all.
* Between builds, the linker places functions at different addresses. This can shift a measurement of a few nanoseconds
  by up to 0.7 ns.
* The release profile has Cargo's defaults, and no `target-cpu` is set."
    )
}

fn group(page: &mut String, results: &Results, title: &str, name: &str, what: &str) -> std::fmt::Result {
    let rows = results.group(name);
    if rows.is_empty() {
        return writeln!(page, "\n## {title}\n\nNot measured: the server is not installed.");
    }
    writeln!(page, "\n## {title}\n\n{what}\n\n| | time | ratio |\n|---|--:|--:|")?;
    let own = results.get(name, "keyfob");
    for (name, time) in rows {
        let ratio = own.map_or("-".into(), |own| format!("{:.2}", time / own));
        let name = if name.starts_with("keyfob") { format!("**{name}**") } else { name.into() };
        writeln!(page, "| {name} | {} | {ratio} |", duration(time))?;
    }
    Ok(())
}

fn pages(page: &mut String, results: &Results, largest: &Size) -> std::fmt::Result {
    writeln!(
        page,
        "
## The pages

A request goes through the router of an application with the pages of keyfob-axum, with sessions and store in memory and
without a network. This is compared with the same calls to the guard, and for the route with the same route without
`protect` as well. The difference includes axum's router and, for the pages, the whole response.

| | with the pages | guard and store | difference |
|---|--:|--:|--:|"
    )?;
    for (group, what) in PAGES {
        let cell = |time: Option<f64>| time.map_or("-".into(), duration);
        let (with, without) = (results.get(group, WITH_PAGES), results.get(group, WITHOUT_PAGES));
        let difference = bars::beyond(results, group);
        writeln!(page, "| {what} | {} | {} | **{}** |", cell(with), cell(without), cell(difference))?;
    }
    writeln!(
        page,
        "
For a user with as many apps and devices as an account can have, the largest page is {}.
It has {} bytes. QR codes are not counted.",
        largest.page, largest.bytes
    )
}

/// Where the time of a verification on Redis goes. No bar is set, because this is all that keyfob could save.
fn redis(page: &mut String, results: &Results) -> std::fmt::Result {
    let decision = results.get("guard, decision", "keyfob, right code");
    let times = |name, bare| {
        let group = format!("store, Redis{name}");
        Some((results.get(&group, "keyfob")?, results.get(&group, bare)?))
    };
    let (alone, at_once) = (times("", "bare select and update"), times(", 32 at once", "bare selects and updates"));
    let (Some(decision), Some(alone), Some(at_once)) = (decision, alone, at_once) else { return Ok(()) };
    let all = decision * AT_ONCE as f64;
    writeln!(
        page,
        "
The reason for these ratios: alone, keyfob takes {} longer than the two bare requests, and {} of this is the decision,
which is measured above without a store. With 32 at once, keyfob takes {} longer, and {} of this are the 32 decisions.
They run on the one thread of this client, and Redis needs less time per request than SQL databases do, so they are a
larger part of the whole.",
        duration((alone.0 - alone.1).max(0.0)),
        duration(decision),
        duration((at_once.0 - at_once.1).max(0.0)),
        duration(all)
    )
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

/// For each store the time of one verification beside the bare statements, alone and as a share of 32 at once.
fn stores_chart(results: &Results) -> String {
    let mut rows = Vec::new();
    for (name, single, several) in STORES {
        let times =
            [(single, "bare select and update", "", 1), (several, "bare selects and updates", ", 32 at once", AT_ONCE)];
        for (group, bare, how, number) in times {
            for (who, time) in [("keyfob", "keyfob"), ("bare", bare)] {
                if let Some(time) = results.get(group, time) {
                    rows.push((format!("{who}, {name}{how}"), time / number as f64 / 1e3));
                }
            }
        }
    }
    let shares = STORES.map(|(_, group, _)| {
        results.get(group, "keyfob").zip(results.get(group, "bare select and update")).map(|(own, bare)| bare / own)
    });
    let shares = || shares.into_iter().flatten();
    let (least, most) = (shares().fold(f64::INFINITY, f64::min), shares().fold(0.0, f64::max));
    chart::bars(
        &format!("A verification has {least:.2} to {most:.2} of the speed of bare statements, alone"),
        "One verification with each store, and the bare statements in the same database. Shorter is better.",
        "microseconds per verification",
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
