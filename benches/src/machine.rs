//! The machine and the versions that were measured.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

pub struct Machine {
    pub target: PathBuf,
    pub facts: Vec<(&'static str, String)>,
    /// The crates that this one names, and their versions.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    pub fn read(manifest: &Path) -> Result<Self, Box<dyn Error>> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]).arg(manifest);
        let output = cargo.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let first_line = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
            output.map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let facts = vec![
            ("date", first_line("date", &["-u", "+%Y-%m-%d"])),
            ("processor", field("/proc/cpuinfo", "model name", ':').unwrap_or("unknown".into())),
            ("instruction sets in use", instruction_sets()),
            (
                "system",
                format!(
                    "{}, {}",
                    field("/etc/os-release", "PRETTY_NAME", '=').unwrap_or(std::env::consts::OS.into()),
                    first_line("uname", &["-srm"])
                ),
            ),
            ("compiler", first_line("rustc", &["--version"])),
        ];
        let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?.into();
        Ok(Self { target, facts, versions: versions(&metadata).ok_or("cargo metadata names no dependencies")? })
    }
}

fn versions(metadata: &Value) -> Option<BTreeMap<String, String>> {
    let root = metadata["resolve"]["root"].as_str()?;
    let node = metadata["resolve"]["nodes"].as_array()?.iter().find(|node| node["id"] == root)?;
    let packages = metadata["packages"].as_array()?;
    let version = |id: &Value| {
        let package = packages.iter().find(|package| package["id"] == *id)?;
        Some((package["name"].as_str()?.to_owned(), package["version"].as_str()?.to_owned()))
    };
    node["dependencies"].as_array()?.iter().map(version).collect()
}

fn field(path: &str, name: &str, separator: char) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(separator))?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// The instruction sets that the results depend on.
#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> String {
    let sets = [
        ("SHA", is_x86_feature_detected!("sha")),
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("AVX-512 F", is_x86_feature_detected!("avx512f")),
    ];
    let names: Vec<_> =
        sets.iter().map(|(name, there)| format!("{name} {}", if *there { "yes" } else { "no" })).collect();
    names.join(", ")
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> String {
    format!("not looked up on {}", std::env::consts::ARCH)
}
