//! `keyfob keygen`: makes a key for the servers.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use keyfob::Keyring;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::{Output, check_screen, create_private};

/// Generate a key that seals the secrets in the store
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob keygen 2026 --output keys           # only you can read the file
  keyfob keygen 2027 >> keys                 # rotation: first at the end
  keyfob keygen 2026 | vault kv put secret/keyfob keys=-

The output is an entry of the form id:key for KEYFOB_KEYS or --keys-file. The first key of a list is the primary \
key, and new keys go to its end until all servers have them. Keep the keys in a vault, never with the database.")]
pub(crate) struct Arguments {
    /// A name for the key: 1 to 32 letters, digits, hyphens, underscores or dots, never used before
    id: String,

    /// Write the key to this new file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also print on a terminal
    #[arg(long)]
    show_secrets: bool,
}

/// The JSON of a key.
#[derive(Serialize)]
struct Key<'a> {
    id: &'a str,
    entry: &'a str,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let Arguments { id, output: file, show_secrets } = arguments;
    if file.is_none() {
        check_screen(*show_secrets)?;
    }
    let entry = Keyring::generate(id).map_err(|error| match error.kind() {
        keyfob::guard::GuardErrorKind::Invalid => Failure::usage(error),
        _ => error.into(),
    })?;
    match file {
        Some(path) => {
            let written = writeln!(create_private(path)?, "{}", *entry);
            written.map_err(|error| Failure::file(path, &error))?;
            output.note(&format!("The key {id} is in {}.", path.display()));
        }
        None => output.result(&Key { id, entry: &entry }, || entry.to_string())?,
    }
    Ok(Exit::Done)
}
