//! Exit codes, and the errors that end the program with one.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use keyfob::guard::{GuardError, GuardErrorKind};

/// How the program ends. In a sweep, the worst outcome of all accounts counts, so the order matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Done,
    Refused,
    Usage,
    Failed,
    Interrupted,
}

/// The section of the help that explains the exit codes. The README repeats it.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    refused or not found: unknown user or id, rejected row, lint finding
  2    the command line is wrong, or a confirmation is missing (--yes)
  3    the store, the keys, the log or a file could not be used
  130  interrupted; a sweep can be continued with --resume";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Failed => 3,
            Exit::Interrupted => 130,
        })
    }
}

/// An error that ends the program. The message never contains a secret, a code, a URI with a secret, or a password.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Empty if there is nobody to tell, because standard output is closed.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn refused(message: impl Display) -> Self {
        Self { exit: Exit::Refused, message: message.to_string() }
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    pub(crate) fn failed(message: impl Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }

    /// A file that could not be read or written.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Self::failed(format_args!("{}: {error}", path.display()))
    }
}

impl From<GuardError> for Failure {
    fn from(error: GuardError) -> Self {
        Self { exit: exit_of(&error), message: chain(&error) }
    }
}

/// Input that the library refused. Its messages contain no part of the input.
impl From<keyfob::Error> for Failure {
    fn from(error: keyfob::Error) -> Self {
        Self::refused(error)
    }
}

/// The exit code for an error of the guard.
pub(crate) fn exit_of(error: &GuardError) -> Exit {
    match error.kind() {
        GuardErrorKind::User => Exit::Usage,
        GuardErrorKind::Clock
        | GuardErrorKind::Contended
        | GuardErrorKind::KeyMissing
        | GuardErrorKind::Randomness
        | GuardErrorKind::RecordInvalid
        | GuardErrorKind::RecordNewer
        | GuardErrorKind::SealBroken
        | GuardErrorKind::Store => Exit::Failed,
        _ => Exit::Refused,
    }
}

/// The message of an error, followed by those of its causes that are not part of it already.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}
