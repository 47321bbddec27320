//! The file with the position of an unfinished sweep.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::output::replace_private;

/// How far a sweep has come, over all of its runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Position {
    /// The last account that was visited.
    pub(super) after: String,
    /// The number of accounts that were visited.
    pub(super) accounts: u64,
    pub(super) changed: u64,
    pub(super) failed: u64,
    /// Of those that failed, the number that failed because of a key or a record.
    pub(super) broken: u64,
    /// The keys that the visited accounts need.
    pub(super) needed_keys: BTreeSet<String>,
}

impl Position {
    pub(super) fn failed(&mut self, is_broken: bool) {
        self.failed += 1;
        self.broken += u64::from(is_broken);
    }

    pub(super) const fn worst(&self) -> Exit {
        match (self.broken, self.failed) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}

/// The state file of one sweep.
pub(super) struct State {
    path: PathBuf,
    command: &'static str,
    /// The store's URL, without a password.
    store: String,
    resumed: Option<Position>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    command: String,
    store: String,
    #[serde(flatten)]
    position: Position,
}

impl State {
    /// Reads the file of an unfinished run for `--resume`. Otherwise makes sure that there is none, because a new run
    /// would lose its position.
    pub(super) fn open(command: &'static str, path: Option<&Path>, resume: bool, store: &str) -> Result<Self, Failure> {
        let path = path.map_or_else(|| PathBuf::from(format!("keyfob-{command}.state")), PathBuf::from);
        let state = Self { path, command, store: store.into(), resumed: None };
        let shown = state.path.display();
        match fs::read(&state.path) {
            Ok(_) if !resume => Err(Failure::usage(format_args!(
                "{shown} holds the position of an unfinished run; add --resume to continue it, or delete the file"
            ))),
            Ok(file) => {
                let content: Content = serde_json::from_slice(&file)
                    .map_err(|_| Failure::failed(format_args!("{shown}: this is not a state file of keyfob")))?;
                if content.command != command || content.store != store {
                    return Err(Failure::usage(format_args!(
                        "{shown} belongs to `keyfob {}` on {}",
                        content.command, content.store
                    )));
                }
                Ok(Self { resumed: Some(content.position), ..state })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match resume {
                true => Err(Failure::usage(format_args!("there is no unfinished run in {shown}"))),
                false => Ok(state),
            },
            Err(error) => Err(Failure::file(&state.path, &error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The position to begin at. Writes it, so that a file that cannot be written is noticed before the first change.
    pub(super) fn position(&self) -> Result<Position, Failure> {
        let position = self.resumed.clone().unwrap_or_default();
        self.save(&position)?;
        Ok(position)
    }

    /// Replaces the file as a whole, so that a crash leaves either the old or the new position.
    pub(super) fn save(&self, position: &Position) -> Result<(), Failure> {
        let content = Content { command: self.command.into(), store: self.store.clone(), position: position.clone() };
        let text = serde_json::to_vec(&content).map_err(Failure::failed)?;
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let mut file = replace_private(&new)?;
        let written = file.write_all(&text).and_then(|()| file.sync_all());
        written.and_then(|()| fs::rename(&new, &self.path)).map_err(|error| Failure::file(&self.path, &error))
    }

    pub(super) fn remove(&self) -> Result<(), Failure> {
        fs::remove_file(&self.path).map_err(|error| Failure::file(&self.path, &error))
    }
}
