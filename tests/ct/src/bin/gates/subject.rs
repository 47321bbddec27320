//! Builds the program under test with the build configurations that users may choose for keyfob.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A build configuration.
#[derive(Clone, Copy)]
pub struct Level {
    pub name: &'static str,
    optimized: &'static str,
    lto: &'static str,
    flags: &'static str,
}

const fn level(name: &'static str, optimized: &'static str, lto: &'static str, flags: &'static str) -> Level {
    Level { name, optimized, lto, flags }
}

pub const RELEASE: Level = level("3", "3", "false", "");
pub const SIZE: Level = level("s", "s", "false", "");
pub const SMALLEST: Level = level("z", "z", "false", "");
pub const SOFT: Level = level(
    "3, hashes without SHA instructions",
    "3",
    "false",
    "--cfg sha1_backend=\"soft\" --cfg sha2_backend=\"soft\"",
);
pub const ALL: [Level; 8] = [
    level("1", "1", "false", ""),
    level("2", "2", "false", ""),
    RELEASE,
    SIZE,
    SMALLEST,
    level("3, fat LTO", "3", "fat", ""),
    level("3, x86-64-v2", "3", "false", "-C target-cpu=x86-64-v2"),
    level("3, x86-64-v3", "3", "false", "-C target-cpu=x86-64-v3"),
];

pub struct Subject {
    pub path: PathBuf,
    pub cases: Vec<String>,
}

impl Subject {
    pub fn build(level: Level) -> Self {
        let path = build("subject", level);
        let cases = output(Command::new(&path).arg("list")).lines().map(str::to_owned).collect();
        Self { path, cases }
    }

    /// The names of the cases, with their indices.
    pub fn cases(&self) -> impl Iterator<Item = (usize, &str)> {
        self.cases.iter().map(String::as_str).enumerate()
    }

    /// Returns a command that runs this program under a tool of valgrind.
    pub fn under(&self, tool: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new("valgrind");
        command.arg("-q").args(tool).arg(&self.path).args(arguments);
        command
    }
}

/// Returns the folder of this crate.
pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn folder(name: &str) -> PathBuf {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    here().join("target/gates").join(name)
}

pub fn build(binary: &str, level: Level) -> PathBuf {
    let features = if binary == "dudect" { "dudect" } else { "" };
    eprintln!("  building {binary} at {}", level.name);
    let folder = folder(level.name);
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--locked", "--bin", binary, "--features", features])
        .arg("--manifest-path")
        .arg(here().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&folder)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", level.optimized)
        .env("CARGO_PROFILE_RELEASE_LTO", level.lto)
        .env("RUSTFLAGS", level.flags)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "{binary} does not build at {}", level.name);
    folder.join("release").join(binary)
}

/// Runs a command, which must succeed, and returns its standard output.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Calls `work` for each item, with two calls at a time, and returns the results in the order of the items.
pub fn in_pairs<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let results = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let position = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(item) = items.get(position) else { return };
                    let result = work(item);
                    results.lock().expect("no panic").push((position, result));
                    eprint!("\r  {} of {}", position + 1, items.len());
                }
            });
        }
    });
    eprintln!();
    let mut results = results.into_inner().expect("no panic");
    results.sort_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}
