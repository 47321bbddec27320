//! What the program prints: results on standard output, as text or as JSON; everything else on standard error.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};

/// Prints results and messages, and keeps a progress bar out of their way.
#[derive(Clone)]
pub(crate) struct Output {
    json: bool,
    screen: MultiProgress,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        // Without a terminal, the bar is hidden.
        Self { json, screen: MultiProgress::new() }
    }

    /// Prints a result: as one line of JSON with `--json`, otherwise as text. An empty text prints nothing.
    pub(crate) fn result(&self, record: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        // Some results contain a secret, so the copy is wiped.
        let mut bytes = Zeroizing::new(match self.json {
            true => serde_json::to_vec(record).map_err(Failure::failed)?,
            false => text().into_bytes(),
        });
        if bytes.is_empty() {
            return Ok(());
        }
        bytes.push(b'\n');
        self.bytes(&bytes)
    }

    /// Writes bytes to standard output as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let write = || {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        };
        self.screen.suspend(write).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure { exit: Exit::Failed, message: String::new() },
            _ => Failure::failed(format_args!("standard output: {error}")),
        })
    }

    /// Prints a line on standard error. If that is not possible, nobody is listening, and it is not an error.
    pub(crate) fn note(&self, line: &str) {
        self.screen.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }

    pub(crate) fn progress(&self, verb: &'static str, total: Option<u64>) -> Progress {
        let bar = ProgressBar::new_spinner();
        let template = match total {
            Some(total) => {
                bar.set_length(total);
                "{msg} {wide_bar} {human_pos} of {human_len}, {eta} left"
            }
            None => "{spinner} {msg} {human_pos} accounts, {per_sec}, {elapsed}",
        };
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(verb);
        let bar = self.screen.add(bar);
        Progress { bar, verb, output: self.clone(), told: Instant::now() }
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }
}

/// The progress of a long command: a bar on a terminal, otherwise a line every ten seconds.
pub(crate) struct Progress {
    bar: ProgressBar,
    verb: &'static str,
    output: Output,
    told: Instant,
}

impl Progress {
    pub(crate) fn set(&mut self, done: u64) {
        self.bar.set_position(done);
        if self.bar.is_hidden() && self.told.elapsed() >= INTERVAL {
            self.told = Instant::now();
            self.output.note(&format!("{}: {done} so far", self.verb));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

const INTERVAL: Duration = Duration::from_secs(10);

/// Refuses to show a secret on a terminal, unless the flag `--show-secrets` is given. A pipe and a file need no flag,
/// because nobody can read them over the user's shoulder.
pub(crate) fn check_screen(show_secrets: bool) -> Result<(), Failure> {
    if show_secrets || !io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(
        "this would show a secret on the screen; add --show-secrets, or send the output to a file or a pipe",
    ))
}

/// Creates a file that only its owner can read. An existing file is kept: it may hold keys.
pub(crate) fn create_private(path: &Path) -> Result<File, Failure> {
    private(path, OpenOptions::new().write(true).create_new(true))
}

/// Like [`create_private`], but replaces the content of an existing file.
pub(crate) fn replace_private(path: &Path) -> Result<File, Failure> {
    private(path, OpenOptions::new().write(true).create(true).truncate(true))
}

fn private(path: &Path, options: &mut OpenOptions) -> Result<File, Failure> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::refused(format_args!("{} exists already; choose another name", path.display()))
        }
        _ => Failure::file(path, &error),
    })
}

/// A time for people, in UTC.
pub(crate) fn time(seconds: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) {
        // The format has four digits for the year.
        Some(time) if seconds <= LAST_SECOND => humantime::format_rfc3339_seconds(time).to_string(),
        _ => "never".into(),
    }
}

/// 9999-12-31T23:59:59Z
const LAST_SECOND: u64 = 253_402_300_799;

/// A number and its noun, in the right form.
pub(crate) fn count(number: u64, singular: &str, plural: &str) -> String {
    format!("{number} {}", if number == 1 { singular } else { plural })
}
