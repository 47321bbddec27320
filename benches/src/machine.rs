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
        let temporary = std::env::temp_dir().display().to_string();
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
            ("database servers", first_line("sh", &["-c", SERVERS])),
            ("their data", format!("file system {}", first_line("stat", &["-f", "-c", "%T", &temporary]))),
        ];
        let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?.into();
        Ok(Self { target, facts, versions: versions(&metadata).ok_or("cargo metadata names no dependencies")? })
    }
}

/// Debian installs the programs of servers where users do not look for programs.
const SERVERS: &str = r#"
PATH=$PATH:/usr/sbin
for folder in /usr/lib/postgresql/*/bin; do PATH=$folder:$PATH; done
{
  postgres --version | sed -n 's/.*(PostgreSQL) \([^ ]*\).*/PostgreSQL \1/p'
  mariadbd --version | sed -n 's/.*Ver \([0-9.]*\)-MariaDB.*/MariaDB \1/p'
  redis-server --version | sed -n 's/.*v=\([0-9.]*\).*/Redis \1/p'
} 2>/dev/null | paste -sd , | sed 's/,/, /g'
"#;

impl Machine {
    /// Returns an error if the data of database servers would be in memory, where syncing costs nothing.
    pub fn keeps_data_on_disk(&self) -> Result<(), Box<dyn Error>> {
        match self.facts.iter().find(|(name, _)| *name == "their data") {
            Some((_, mount)) if mount.ends_with("tmpfs") || mount.ends_with("ramfs") => {
                Err("the temporary folder is in memory; set TMPDIR to a folder on a disk".into())
            }
            _ => Ok(()),
        }
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
