//! Counts how often processes sync a file to disk.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Syncs {
    strace: Child,
    log: PathBuf,
}

impl Syncs {
    /// Begins to trace these processes and their threads. Returns `None` without `strace`, or if it may not trace.
    pub fn trace(processes: &[String]) -> Option<Self> {
        let log = std::env::temp_dir().join(format!("keyfob-syncs-{}", std::process::id()));
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"]).arg(&log);
        strace.args(processes.iter().flat_map(|process| ["-p", process])).stdin(Stdio::null()).stderr(Stdio::null());
        let Ok(mut strace) = strace.spawn() else {
            println!("skipped: strace is not installed, so syncs are not counted");
            return None;
        };
        let untraced = |process: &String| {
            // A process that has ended in the meantime is not waited for.
            fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|status| status.contains("TracerPid:\t0"))
        };
        while processes.iter().any(untraced) {
            if strace.try_wait().expect("waited").is_some() {
                println!("skipped: strace may not trace, so syncs are not counted");
                return None;
            }
        }
        Some(Self { strace, log })
    }

    /// Ends the trace, and returns the number of syncs.
    pub fn count(mut self) -> usize {
        let _ = Command::new("kill").args(["-INT", &self.strace.id().to_string()]).status();
        self.strace.wait().expect("waited");
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let _ = fs::remove_file(&self.log);
        // A call that another one interrupts in the log takes two lines, and only the first has the parenthesis.
        log.lines().filter(|line| line.contains("sync(")).count()
    }
}
