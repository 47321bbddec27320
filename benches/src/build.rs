//! Measures how long a program with one dependency takes to compile, and how many packages that dependency brings along.

use std::error::Error;
use std::fmt::{self, Write};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub struct Build {
    pub name: &'static str,
    /// Packages that are compiled, besides the program.
    pub packages: usize,
    /// Of `cargo build`, without optimization.
    pub time: Duration,
}

/// What is measured, and its line in `[dependencies]`. `ROOT` stands for the folder of keyfob.
const BUILDS: [(&str, &str); 7] = [
    ("**keyfob**, no default features", r#"keyfob = { path = "ROOT", default-features = false }"#),
    ("totp-rs, no default features", r#"totp-rs = { version = "6", default-features = false }"#),
    ("**keyfob**", r#"keyfob = { path = "ROOT" }"#),
    (
        "totp-rs with URIs, QR codes, generated secrets, wiping and `serde`",
        r#"totp-rs = { version = "6", features = ["gen_secret", "otpauth", "qr", "serde", "zeroize"] }"#,
    ),
    ("**keyfob with `postgres`**", r#"keyfob = { path = "ROOT", features = ["postgres"] }"#),
    (
        "**keyfob-axum**, and keyfob with `postgres`",
        r#"keyfob = { path = "ROOT", features = ["postgres"] }
keyfob-axum = { path = "ROOT/crates/keyfob-axum" }"#,
    ),
    ("**keyfob-cli**", ""),
];

/// Compiles each of them in an empty target folder, with all crates downloaded before.
pub fn measure(target: &Path) -> Result<Vec<Build>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let scratch = target.join("build-costs");
    let mut builds = Vec::new();
    for (name, dependency) in BUILDS {
        let manifest = if dependency.is_empty() {
            root.join("crates/keyfob-cli/Cargo.toml")
        } else {
            let dependency = dependency.replace("ROOT", root.to_str().ok_or("the path is not UTF-8")?);
            program(&scratch, &dependency)?
        };
        println!("compiling {}", name.replace(['*', '`'], ""));
        let cargo = |arguments: &[&str]| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(arguments).arg("--manifest-path").arg(&manifest);
            cargo
        };
        succeed(cargo(&["fetch", "--quiet"]).stdout(Stdio::null()))?;
        let output = cargo(&["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let tree = String::from_utf8(output.stdout)?;
        let packages: std::collections::BTreeSet<&str> =
            tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
        let folder = scratch.join("target");
        let _ = fs::remove_dir_all(&folder);
        let start = Instant::now();
        succeed(cargo(&["build", "--quiet"]).env("CARGO_TARGET_DIR", &folder))?;
        builds.push(Build { name, packages: packages.len() - 1, time: start.elapsed() });
    }
    fs::remove_dir_all(&scratch)?;
    Ok(builds)
}

/// The section of BENCHMARKS.md, or nothing if nothing was measured.
pub fn section(page: &mut String, builds: &[Build]) -> fmt::Result {
    if builds.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "
## Dependencies and build time

How many packages are compiled for a program with this dependency, besides the program, and how long `cargo build` takes
in an empty target folder, once, with all packages downloaded. The second row of totp-rs has the features that come
closest to keyfob's default ones, but no storage, limits or encryption.

| | packages | `cargo build` |
|---|--:|--:|"
    )?;
    for build in builds {
        writeln!(page, "| {} | {} | {:.1} s |", build.name, build.packages, build.time.as_secs_f64())?;
    }
    Ok(())
}

/// Writes a program with this dependency, and returns the path of its manifest.
fn program(scratch: &Path, dependency: &str) -> Result<std::path::PathBuf, Box<dyn Error>> {
    fs::create_dir_all(scratch.join("src"))?;
    fs::write(scratch.join("src/main.rs"), "fn main() {}\n")?;
    let manifest = scratch.join("Cargo.toml");
    let _ = fs::remove_file(scratch.join("Cargo.lock"));
    let package = "[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(&manifest, format!("{package}\n[dependencies]\n{dependency}\n"))?;
    Ok(manifest)
}

fn succeed(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
