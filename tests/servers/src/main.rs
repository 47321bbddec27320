//! Runs a campaign: starts database servers, runs the checks, and writes the report.
//!
//! Usage: `keyfob-servers [--quick] [SERVER...] [CHECK...]`.

mod conformance;
mod database;
mod dropped;
mod failover;
#[allow(dead_code)]
#[path = "../../it/guarded.rs"]
mod guarded;
mod kills;
mod load;
mod outages;
mod progress;
mod races;
#[allow(dead_code)]
#[path = "../../it/random.rs"]
mod random;
mod report;
#[allow(dead_code)]
#[path = "../../it/servers.rs"]
mod servers;
mod syncs;
mod worker;

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use progress::{Outcome, Progress, Row};
use random::Random;
use servers::Kind;

const SERVERS: [(&str, &str, Kind); 3] = [
    ("postgres", "PostgreSQL", Kind::Postgres),
    ("mariadb", "MariaDB", Kind::MariaDb),
    ("redis", "Redis", Kind::Redis),
];
/// The longest come first, so that they do not run alone at the end.
const CHECKS: [&str; 8] = ["once", "kills", "outages", "conformance", "guesses", "failover", "recovery", "dropped"];
/// Runs alone, because it counts.
const ALONE: &str = "syncs";

async fn check(name: &str, kind: Kind, progress: &Progress) -> Outcome {
    match name {
        "conformance" => conformance::conformance(kind, progress).await,
        "once" => races::once(kind, progress).await,
        "guesses" => races::guesses(kind, progress).await,
        "recovery" => races::recovery(kind, progress).await,
        "kills" => kills::kills(kind, progress).await,
        "outages" => outages::outages(kind, progress).await,
        "failover" => failover::failover(kind, progress).await,
        "dropped" => dropped::dropped(kind, progress).await,
        _ => syncs::syncs(kind, progress).await,
    }
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "worker") {
        worker::work(&words[1..]);
        return ExitCode::SUCCESS;
    }
    enter_private_namespaces();
    let before = words.len();
    words.retain(|word| word != "--quick");
    let quick = words.len() < before;
    let known = |word: &String| {
        word == ALONE || CHECKS.contains(&word.as_str()) || SERVERS.iter().any(|(name, ..)| name == word)
    };
    if let Some(unknown) = words.iter().find(|word| !known(word)) {
        eprintln!(
            "{unknown} is neither a server nor a check: {:?}, {CHECKS:?}, {ALONE}",
            SERVERS.map(|(name, ..)| name)
        );
        return ExitCode::FAILURE;
    }
    let chosen = |name: &str, group: &[&str]| {
        let of_group = |word: &String| group.contains(&word.as_str());
        !words.iter().any(of_group) || words.iter().any(|word| word == name)
    };
    let names = SERVERS.map(|(name, ..)| name);
    let all: Vec<&str> = CHECKS.into_iter().chain([ALONE]).collect();
    let mut plans = VecDeque::new();
    for check in &all {
        for (name, title, kind) in SERVERS {
            let applies = *check != "failover" || kind == Kind::Postgres;
            if applies && chosen(name, &names) && chosen(check, &all) {
                plans.push_back((*check, title, kind));
            }
        }
    }
    let started = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut versions = Vec::new();
    for (name, _, kind) in SERVERS {
        if chosen(name, &names) {
            versions.push(runtime.block_on(database::version(kind)));
        }
    }
    println!("{}", versions.join(", "));
    let mut rows = campaign(plans, quick);
    let order = |row: &Row| {
        let server = SERVERS.iter().position(|(_, title, _)| *title == row.server);
        (server, REPORTED.iter().position(|name| *name == row.name))
    };
    rows.sort_by_key(order);
    let failed = rows.iter().filter(|row| !matches!(row.result, Some(Ok(_)))).count();
    if quick || !words.is_empty() {
        println!("{} checks in {} s, {failed} failed", rows.len(), started.elapsed().as_secs());
    } else {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        report::write(home, &rows, &versions, started.elapsed()).expect("the report is written");
        println!("tests/servers/REPORT.md is written, {failed} checks failed");
    }
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The order of the checks in the report.
const REPORTED: [&str; 9] =
    ["conformance", "once", "guesses", "recovery", "kills", "syncs", "failover", "outages", "dropped"];

struct Running {
    row: Row,
    thread: JoinHandle<()>,
    result: Arc<Mutex<Option<Result<Outcome, String>>>>,
    kind: Kind,
}

/// Runs two checks at once, if possible of different servers. The checks that count run alone at the end.
fn campaign(mut plans: VecDeque<(&'static str, &'static str, Kind)>, quick: bool) -> Vec<Row> {
    let (mut running, mut done): (Vec<Running>, Vec<Row>) = (Vec::new(), Vec::new());
    let live = std::io::stderr().is_terminal();
    let (mut drawn, mut told) = (0, Instant::now());
    loop {
        while running.len() < 2 {
            let free = |kind: Kind| running.iter().all(|other: &Running| other.kind != kind);
            let alone = running.is_empty();
            let suits = |plan: &(&str, &str, Kind)| if plan.0 == ALONE { alone } else { free(plan.2) };
            if running.iter().any(|other| other.row.name == ALONE) {
                break;
            }
            let Some(index) = plans.iter().position(suits) else { break };
            let (name, server, kind) = plans.remove(index).unwrap();
            running.push(begin(name, server, kind, quick));
        }
        let mut index = 0;
        while index < running.len() {
            if running[index].thread.is_finished() {
                let Running { mut row, thread, result, .. } = running.remove(index);
                let _ = thread.join();
                row.took = row.started.elapsed();
                row.result = Some(result.lock().unwrap().take().unwrap_or_else(|| Err("it ended".into())));
                if live && drawn > 0 {
                    eprint!("\x1b[{drawn}A\x1b[J");
                    drawn = 0;
                }
                tell(&row);
                done.push(row);
            } else {
                index += 1;
            }
        }
        if told.elapsed() >= Duration::from_secs(if live { 1 } else { 60 }) {
            told = Instant::now();
            let back = if live && drawn > 0 { format!("\x1b[{drawn}A\x1b[J") } else { String::new() };
            let lines = running.iter().map(|running| {
                let Row { name, server, progress, started, .. } = &running.row;
                format!("{server:11} {name:12} {:>4} s  {}\n", started.elapsed().as_secs(), progress.step())
            });
            eprintln!("{back}{}{} to go", lines.collect::<String>(), plans.len());
            let _ = std::io::stderr().flush();
            drawn = running.len() + 1;
        }
        if running.is_empty() && plans.is_empty() {
            return done;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn begin(name: &'static str, server: &'static str, kind: Kind, quick: bool) -> Running {
    let progress = Progress::new(quick);
    let result = Arc::new(Mutex::new(None));
    let (of_check, slot) = (progress.clone(), result.clone());
    let work = move || {
        let run = AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
            let outcome = runtime.block_on(async {
                // A task of the runtime may block, the main task may not.
                tokio::spawn(async move { check(name, kind, &of_check).await }).await
            });
            runtime.shutdown_timeout(Duration::from_secs(5));
            outcome
        });
        let text = |panic: Box<dyn std::any::Any + Send>| match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast::<&str>().map_or("it panicked".into(), |text| text.to_string()),
        };
        *slot.lock().unwrap() = Some(
            match catch_unwind(run) {
                Ok(Ok(outcome)) => Ok(outcome),
                Ok(Err(error)) => Err(text(error.into_panic())),
                Err(panic) => Err(text(panic)),
            }
            // Some messages contain the whole log of a server.
            .map_err(|error| error.chars().take(500).collect()),
        );
    };
    let row = Row { name, server, progress, started: Instant::now(), took: Duration::ZERO, result: None };
    Running { row, thread: thread::spawn(work), result, kind }
}

/// Prints what a check did.
fn tell(row: &Row) {
    let seconds = row.took.as_secs();
    match &row.result {
        Some(Ok(outcome)) => {
            println!("{:11} {:12} {seconds:>4} s  {}", row.server, row.name, outcome.did);
            if !outcome.control.is_empty() {
                println!("{:24}         control: {}", "", outcome.control);
            }
        }
        Some(Err(error)) => println!("{:11} {:12} {seconds:>4} s  FAILED: {error}", row.server, row.name),
        None => {}
    }
}

/// Starts this program again in namespaces of its own, in which it may mount small disks and cut networks. They vanish
/// with the program, however it ends. Without the right to do so, the checks that need it are skipped.
fn enter_private_namespaces() {
    if is_private() {
        let _ = std::fs::create_dir_all("/run/netns");
        run(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run/netns"]));
        return;
    }
    let may = Command::new("unshare").args(["--mount", "--net", "true"]).stderr(Stdio::null()).status();
    if may.is_ok_and(|status| status.success()) {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net"]).arg(std::env::current_exe().unwrap());
        command.args(std::env::args_os().skip(1)).env(PRIVATE, "yes");
        panic!("{}", command.exec());
    }
}

/// Whether this program may mount disks and cut networks without anybody else noticing.
fn is_private() -> bool {
    std::env::var_os(PRIVATE).is_some()
}

const PRIVATE: &str = "KEYFOB_PRIVATE_NAMESPACES";

/// Runs a command that must succeed.
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
