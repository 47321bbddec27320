//! Runs all groups, reads what criterion wrote, and writes BENCHMARKS.md and its charts.

mod bars;
mod build;
mod chart;
mod load;
mod machine;
mod report;
mod results;
mod size;
mod yardstick;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, io};

use keyfob_benches::harness::QUICK;
use keyfob_benches::site::largest_page;
use machine::Machine;
use report::Pages;
use results::Results;

/// Other load makes a round slower and never faster, so the smallest median is the most accurate.
const ROUNDS: usize = 3;

/// The order keeps groups that are compared with each other close together.
const RUNS: [&[&str]; 11] = [
    &["--bench", "code"],
    &["--no-default-features", "--bench", "apart"],
    &["--bench", "verify"],
    &["--bench", "search"],
    &["--bench", "ct_eq"],
    &["--bench", "text"],
    &["--bench", "import"],
    &["--bench", "guard"],
    &["--bench", "pages"],
    &["--bench", "stores"],
    &["--bench", "adoption"],
];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => run(false),
        ["--quick"] => run(true).and_then(|()| size(true)),
        ["build"] => build(),
        ["load"] => load(false),
        ["load", "--quick"] => load(true),
        ["size"] => size(false),
        ["size", "--quick"] => size(true),
        _ => {
            eprintln!("usage: keyfob-benches [build | load | size] [--quick]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what an account and a login cost in each store, and writes the tables of a chapter of the guide.
fn size(quick: bool) -> Result<(), Box<dyn Error>> {
    let machine = Machine::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))?;
    if !quick {
        machine.keeps_data_on_disk()?;
    }
    size::run(&machine, quick)
}

/// Measures alone what it costs to compile keyfob, and prints the section.
fn build() -> Result<(), Box<dyn Error>> {
    let machine = Machine::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))?;
    let mut section = String::new();
    build::section(&mut section, &build::measure(&machine.target)?)?;
    print!("{section}");
    Ok(())
}

/// Runs the load test alone, and prints its section.
fn load(quick: bool) -> Result<(), Box<dyn Error>> {
    let machine = Machine::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))?;
    if !quick {
        machine.keeps_data_on_disk()?;
    }
    let mut section = String::new();
    load::section(&mut section, &load::run(&machine.target, quick))?;
    print!("{section}");
    Ok(())
}

fn run(quick: bool) -> Result<(), Box<dyn Error>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let machine = Machine::read(&manifest)?;
    if !quick {
        machine.keeps_data_on_disk()?;
    }
    let rounds = if quick { 1 } else { ROUNDS };

    let largest = largest_page();
    let mut results = Results::default();
    let criterion = machine.target.join("criterion");
    for round in 1..=rounds {
        // Removes the results of an earlier run.
        match fs::remove_dir_all(&criterion) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        for arguments in RUNS {
            println!("\nround {round} of {rounds}: cargo bench {}", arguments.join(" "));
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["bench", "--locked", "--manifest-path"]).arg(&manifest).args(arguments);
            cargo.env("CRITERION_HOME", &criterion);
            // The build script runs once, and the groups are compiled only in the first round.
            cargo.env("KEYFOB_BENCHES_RUN", std::process::id().to_string());
            if quick {
                cargo.env(QUICK, "1");
            }
            let status = cargo.status()?;
            if !status.success() {
                return Err(format!("cargo bench {} failed: {status}", arguments.join(" ")).into());
            }
        }
        results.add(&criterion)?;
    }
    println!("\nthe load test");
    let pages = Pages { largest, loads: load::run(&machine.target, quick) };
    let yardstick = yardstick::run(&machine.target, quick)?;
    // A quick run would take longer for these than for everything else.
    let builds = if quick { Vec::new() } else { build::measure(&machine.target)? };

    // The figures of a quick run do not belong in the repository.
    let root = if quick { machine.target.join("quick") } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("..") };
    let charts = root.join("benches/charts");
    fs::create_dir_all(&charts)?;
    for (name, svg) in report::charts(&results) {
        fs::write(charts.join(name), svg)?;
    }
    let path = root.join("BENCHMARKS.md");
    fs::write(&path, report::markdown(&machine, &results, &pages, &yardstick, &builds, rounds))?;

    println!();
    for bar in bars::bars(&results, &pages.largest) {
        println!("{}: {}, {}: {}", bar.what, bar.bar, bar.measured, bar.verdict());
    }
    println!("written: {}", path.display());
    Ok(())
}
