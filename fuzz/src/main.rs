//! Runs a campaign: builds the targets for libFuzzer, runs them on all cores, and writes the report.
//!
//! Usage: `campaign [SECONDS] [TARGET...]`. `--smoke` is a short run for CI, and `--seeds` writes the seed inputs
//! again.

mod report;
mod seeds;
mod session;

use std::collections::{BTreeSet, VecDeque};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use session::{Plan, Session, Way};

/// The targets, how they run, and a factor for their running time. The longest comes first, so that it does not run
/// alone at the end.
const TARGETS: [(&str, Way, u64); 13] = [
    ("guard", Way::Fast, 2),
    ("guard", Way::Traced, 1),
    ("record", Way::Traced, 1),
    ("import", Way::Traced, 1),
    ("uri", Way::Traced, 1),
    ("pskc", Way::Traced, 1),
    ("migration", Way::Traced, 1),
    ("qr", Way::Fast, 1),
    ("qr", Way::Traced, 1),
    ("token", Way::Traced, 1),
    ("differential", Way::Traced, 1),
    ("base32", Way::Traced, 1),
    ("code", Way::Traced, 1),
];
/// Targets with a planted bug, and the number of seconds in which the fuzzer must find it.
const CONTROLS: [(&str, Way, u64); 2] = [("planted_guard", Way::Fast, 30), ("planted", Way::Traced, 30)];

/// Crates that are not instrumented: cryptography, the drawing of QR codes and the libraries that keyfob is compared
/// with. Coverage of them does not lead to bugs in keyfob, and counting it takes as long as their work. After a change
/// to this list, delete `target/libfuzzer` and `target/libfuzzer-fast`.
const PLAIN: [&str; 17] = [
    "aes",
    "base32",
    "base64ct",
    "block_buffer",
    "cbc",
    "chacha20",
    "chacha20poly1305",
    "crypto_common",
    "digest",
    "hmac",
    "pbkdf2",
    "poly1305",
    "qrcode",
    "rqrr",
    "sha1",
    "sha2",
    "universal_hash",
];
/// Turns the instrumentation on.
const SANCOV: &str = "-Cpasses=sancov-module";
/// Set for cargo, which then runs this program instead of the compiler.
const COMPILES: &str = "KEYFOB_FUZZ_COMPILES";

fn main() -> ExitCode {
    if std::env::var_os(COMPILES).is_some() {
        return compile();
    }
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str| {
        let before = words.len();
        words.retain(|word| word != name);
        words.len() < before
    };
    let (smoke, write_seeds) = (flag("--smoke"), flag("--seeds"));
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if write_seeds {
        seeds::write(&home);
        return ExitCode::SUCCESS;
    }
    let seconds = words.first().and_then(|word| word.parse().ok());
    if seconds.is_some() {
        words.remove(0);
    }
    let seconds = seconds.unwrap_or(if smoke { 5 } else { 600 });
    if let Some(unknown) = words.iter().find(|word| TARGETS.iter().all(|(name, ..)| name != word)) {
        let names = BTreeSet::from(TARGETS.map(|(name, ..)| name));
        eprintln!("{unknown} is no target: {names:?}");
        return ExitCode::FAILURE;
    }
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let mut chosen: Vec<_> = TARGETS
        .into_iter()
        .filter(|(name, ..)| is_chosen(name))
        .map(|(name, way, times)| (name, way, if smoke { seconds } else { seconds * times }))
        .collect();
    if smoke {
        chosen.extend(CONTROLS);
    }
    let Some(host) = host() else {
        eprintln!("`rustc -vV` failed");
        return ExitCode::FAILURE;
    };
    for way in [Way::Traced, Way::Fast] {
        let names: Vec<&str> = chosen.iter().filter(|(_, other, _)| *other == way).map(|(name, ..)| *name).collect();
        if !names.is_empty() && !build(&home, &host, way, &names) {
            return ExitCode::FAILURE;
        }
    }
    let plan = |(name, way, seconds)| Plan::new(&home, &host, name, way, seconds, smoke);
    let plans: VecDeque<Plan> = chosen.into_iter().map(plan).collect();
    let stop = Arc::new(AtomicU32::new(0));
    let asked = stop.clone();
    // The children run in separate process groups, so Ctrl-C does not reach them. Each child is asked to stop and exits
    // after it has written its files.
    let handler = move || {
        asked.fetch_add(1, Ordering::SeqCst);
    };
    ctrlc::set_handler(handler).expect("a handler of signals");
    let sessions = run(plans, &stop);

    let interrupted = stop.load(Ordering::SeqCst) > 0;
    let mut failed = false;
    for session in &sessions {
        let control = CONTROLS.iter().any(|(name, ..)| *name == session.plan.name);
        if control != session.crashed {
            failed = true;
            let what = if control { "did not find the planted bug" } else { "crashed" };
            eprintln!("{} {what}; {}", session.plan.label(), session.last_words());
        }
    }
    if !smoke {
        report::write(&home, &TARGETS.map(|(name, way, _)| (name, way))).expect("the report is written");
        println!(
            "fuzz/REPORT.md is written{}",
            if interrupted { "; the same command continues from here" } else { "" }
        );
    }
    if failed || (smoke && interrupted) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Builds with the same instrumentation as `cargo fuzz`, but without a sanitizer. A sanitizer needs a nightly compiler
/// and halves the speed, and would find little, because keyfob has only one line of `unsafe`.
fn build(home: &Path, host: &str, way: Way, names: &[&str]) -> bool {
    // Level 4 also traces indirect calls.
    let traces = match way {
        Way::Traced => "-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-trace-compares",
        Way::Fast => "-Cllvm-args=-sanitizer-coverage-level=3",
    };
    let flags = format!(
        "--cfg fuzzing {SANCOV} {traces} -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Ccodegen-units=1"
    );
    let Ok(wrapper) = std::env::current_exe() else { return false };
    // Pass `--target` explicitly, because then build scripts and macros are not instrumented.
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--release", "--target", host, "--manifest-path"])
        .arg(home.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(way.folder(home))
        .args(names.iter().flat_map(|name| ["--bin", name]))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", flags)
        .env("RUSTC_WRAPPER", wrapper)
        .env(COMPILES, "1")
        .status();
    status.is_ok_and(|status| status.success())
}

/// Runs the compiler, the first argument, without the instrumentation if the crate is one of [`PLAIN`].
fn compile() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let plain = words.windows(2).any(|pair| pair[0] == "--crate-name" && PLAIN.contains(&pair[1].as_str()));
    let keeps = |word: &&String| !(plain && *word == SANCOV);
    let status = Command::new(&words[0]).args(words[1..].iter().filter(keeps)).env_remove(COMPILES).status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The name of the platform that the compiler runs on.
fn host() -> Option<String> {
    let version = String::from_utf8(Command::new("rustc").arg("-vV").output().ok()?.stdout).ok()?;
    version.lines().find_map(|line| line.strip_prefix("host: ")).map(String::from)
}

/// Runs as many targets at once as there are cores.
fn run(mut plans: VecDeque<Plan>, stop: &AtomicU32) -> Vec<Session> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (mut running, mut done): (Vec<Session>, Vec<Session>) = (Vec::new(), Vec::new());
    let live = std::io::stderr().is_terminal();
    let (mut drawn, mut told) = (0, Instant::now());
    loop {
        let stops = stop.load(Ordering::SeqCst);
        while stops == 0 && running.len() < cores {
            let Some(plan) = plans.pop_front() else { break };
            running.push(Session::start(plan));
        }
        if stops > 0 {
            running.iter_mut().for_each(|session| session.stop(stops > 1));
        }
        let mut index = 0;
        while index < running.len() {
            if running[index].ended() {
                let mut session = running.remove(index);
                session.finish(stops > 0);
                // A corpus is minimized after the last run that adds to it.
                let more = plans.iter().chain(running.iter().map(|running| &running.plan));
                if stops == 0 && !more.into_iter().any(|plan| plan.name == session.plan.name) {
                    session.plan.minimize();
                }
                if !live {
                    eprintln!("{session}");
                }
                done.push(session);
            } else {
                index += 1;
            }
        }
        let every = Duration::from_secs(if live { 1 } else { 60 });
        if told.elapsed() >= every || (live && running.is_empty()) {
            told = Instant::now();
            let lines: Vec<String> = if live {
                let waiting = plans.iter().map(|plan| format!("{:14} waits", plan.label()));
                done.iter().chain(&running).map(ToString::to_string).chain(waiting).collect()
            } else {
                running.iter().map(ToString::to_string).collect()
            };
            let back = if live && drawn > 0 { format!("\x1b[{drawn}A") } else { String::new() };
            let clear = if live { "\x1b[K" } else { "" };
            eprint!("{back}{}", lines.iter().map(|line| format!("{line}{clear}\n")).collect::<String>());
            let _ = std::io::stderr().flush();
            drawn = lines.len();
        }
        if running.is_empty() && (plans.is_empty() || stops > 0) {
            return done;
        }
        thread::sleep(Duration::from_millis(200));
    }
}
