//! Runs a campaign: builds the targets for libFuzzer, runs them on all cores, and writes the report.
//!
//! Usage: `campaign [SECONDS] [TARGET...]`. `--smoke` is a short run for CI, and `--seeds` writes the seed inputs
//! again.

mod report;
mod seeds;
mod session;

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use session::{Plan, Session};

/// The targets, with a factor for their running time. The longest comes first, so that it does not run alone at the
/// end.
const TARGETS: [(&str, u64); 11] = [
    ("guard", 3),
    ("record", 1),
    ("import", 1),
    ("uri", 1),
    ("pskc", 1),
    ("migration", 1),
    ("qr", 1),
    ("token", 1),
    ("differential", 1),
    ("base32", 1),
    ("code", 1),
];
/// Targets with a planted bug, and the number of seconds in which the fuzzer must find it.
const CONTROLS: [(&str, u64); 2] = [("planted_guard", 30), ("planted", 30)];

fn main() -> ExitCode {
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
    if let Some(unknown) = words.iter().find(|word| TARGETS.iter().all(|(name, _)| name != word)) {
        eprintln!("{unknown} is no target: {:?}", TARGETS.map(|(name, _)| name));
        return ExitCode::FAILURE;
    }
    let Some(programs) = build(&home) else { return ExitCode::FAILURE };

    let chosen = TARGETS.into_iter().filter(|(name, _)| words.is_empty() || words.iter().any(|word| word == name));
    let plan = |name: &str, seconds| Plan::new(&home, &programs, name, seconds, smoke);
    let mut plans: VecDeque<Plan> =
        chosen.map(|(name, times)| plan(name, if smoke { seconds } else { seconds * times })).collect();
    if smoke {
        plans.extend(CONTROLS.map(|(name, seconds)| plan(name, seconds)));
    }
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
        let control = CONTROLS.iter().any(|(name, _)| *name == session.plan.name);
        if control != session.crashed {
            failed = true;
            let what = if control { "did not find the planted bug" } else { "crashed" };
            eprintln!("{} {what}; {}", session.plan.name, session.last_words());
        }
    }
    if !smoke {
        report::write(&home, &TARGETS.map(|(name, _)| name)).expect("the report is written");
        println!(
            "fuzz/REPORT.md is written{}",
            if interrupted { "; the same command continues from here" } else { "" }
        );
    }
    if failed || (smoke && interrupted) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Builds with the same instrumentation as `cargo fuzz`, but without a sanitizer. A sanitizer needs a nightly compiler
/// and halves the speed, and would find little, because keyfob has only one line of `unsafe`.
fn build(home: &Path) -> Option<PathBuf> {
    let flags = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
        -Ccodegen-units=1";
    let host = Command::new("rustc").arg("-vV").output().ok()?.stdout;
    let host = String::from_utf8(host).ok()?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "))?;
    let target = home.join("target/libfuzzer");
    // Pass `--target` explicitly, because then build scripts and macros are not instrumented.
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--release", "--bins", "--target", host, "--manifest-path"])
        .arg(home.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", flags)
        .status();
    status.ok()?.success().then(|| target.join(host).join("release"))
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
        let mut place = 0;
        while place < running.len() {
            if running[place].ended() {
                let mut session = running.remove(place);
                session.finish(stops > 0);
                if !live {
                    eprintln!("{session}");
                }
                done.push(session);
            } else {
                place += 1;
            }
        }
        let every = Duration::from_secs(if live { 1 } else { 60 });
        if told.elapsed() >= every || (live && running.is_empty()) {
            told = Instant::now();
            let lines: Vec<String> = if live {
                let waiting = plans.iter().map(|plan| format!("{:14} waits", plan.name));
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
