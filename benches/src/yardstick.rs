//! The times of other languages, from the script in `yardstick`.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

pub struct Program {
    pub name: String,
    pub code: f64,
    pub verification: f64,
}

/// A language that is not installed is left out; the script reports it.
pub fn run(target: &Path, quick: bool) -> Result<Vec<Program>, Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("yardstick/run.sh");
    let calls = if quick { "200" } else { "20000" };
    println!("\nother languages");
    let mut bash = Command::new("bash");
    bash.arg(script).arg(target.join("yardstick")).arg(calls).stderr(Stdio::inherit());
    let output = bash.output()?;
    if !output.status.success() {
        return Err(format!("the yardstick failed: {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    print!("{text}");
    text.lines().map(program).collect()
}

/// Parses name, nanoseconds per code and nanoseconds per verification, separated by tabs.
fn program(line: &str) -> Result<Program, Box<dyn Error>> {
    let [name, code, verification] = line.split('\t').collect::<Vec<_>>()[..] else {
        return Err(format!("the yardstick wrote: {line}").into());
    };
    Ok(Program { name: name.into(), code: code.parse()?, verification: verification.parse()? })
}
