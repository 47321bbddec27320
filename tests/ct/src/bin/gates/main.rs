//! Checks with seven methods whether compiled keyfob code leaks secrets, and prints a table of the results.
//!
//! `gates` runs all methods, and `gates poison trace` runs only these two. `gates record` stores the current
//! instruction counts of the hot functions.

mod instructions;
mod methods;
mod subject;

use std::process::ExitCode;
use std::time::Instant;

/// What was tested, how, and the result.
pub struct Row {
    what: String,
    how: &'static str,
    level: String,
    result: Result<String, String>,
}

type Method = fn(&mut Vec<Row>);

fn main() -> ExitCode {
    let all: [(&str, Method); 7] = [
        ("poison", methods::poison),
        ("trace", methods::trace),
        ("step", methods::step),
        ("code", methods::code),
        ("targets", methods::targets),
        ("dudect", methods::dudect),
        ("instructions", instructions::check),
    ];
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    if chosen == ["record"] {
        instructions::record();
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = chosen.iter().find(|name| all.iter().all(|(known, _)| known != name)) {
        eprintln!("no method {unknown}; there are {}", all.map(|(name, _)| name).join(", "));
        return ExitCode::FAILURE;
    }
    let mut rows = Vec::new();
    for (name, method) in all {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            let start = Instant::now();
            eprintln!("{name} ...");
            method(&mut rows);
            eprintln!("{name}: {} s", start.elapsed().as_secs());
        }
    }
    println!("\n| what | method | built for | result |\n|---|---|---|---|");
    for row in &rows {
        let result = match &row.result {
            Ok(result) => result.clone(),
            Err(problem) => format!("**FAILED** {problem}"),
        };
        println!("| {} | {} | {} | {result} |", row.what, row.how, row.level);
    }
    let failed = rows.iter().filter(|row| row.result.is_err()).count();
    println!("\n{} gates passed, {failed} failed", rows.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
