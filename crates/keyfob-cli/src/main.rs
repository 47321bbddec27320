//! The command `keyfob`. For operators, it works on the store of a running application; for developers, it plays the
//! phone, draws QR codes and reads files.
//!
//! `operator.rs` and `developer.rs` have one file for each group of commands. `session.rs` opens the store, `input.rs`
//! and `output.rs` are the only files that read and print, and `exit.rs` defines how the program ends.

#![forbid(unsafe_code)]

mod developer;
mod exit;
mod input;
mod interrupt;
mod operator;
mod output;
mod session;
mod store;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::developer::{code, import, keygen, qr, uri};
use crate::exit::{Exit, Failure};
use crate::operator::{account, adopt, devices, list, status, sweep};
use crate::output::Output;

/// Second factors of your users: help for operators, and tools for developers
#[derive(Parser, Debug)]
#[command(
    name = "keyfob",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = exit::HELP,
    after_long_help = format!("{LONG_HELP}\n\n{}", exit::HELP)
)]
struct Cli {
    /// Print each result as a line of JSON
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Status(status::Arguments),

    /// End the wait after too many wrong codes
    #[command(after_help = "\
Examples:
  keyfob unlock user-17 --operator jane
  KEYFOB_OPERATOR=jane keyfob unlock user-17 --log support.log

Do this once the guessing has stopped. A recovery code works even while app codes are locked out. A strict policy \
refuses this; give the policy of your servers with --policy. This needs no keys.")]
    Unlock(account::User),

    #[command(after_help = "\
Examples:
  keyfob status user-17                      # lists the ids
  keyfob revoke user-17 hcpbmjdnoaeglkfi

For one lost phone or token. All sessions end. If it was the last authenticator, only a recovery code or a voucher \
lets the user back in. This needs no keys.")]
    Revoke(account::Revoke),

    /// Remove the second factor of a user
    #[command(after_help = "\
Examples:
  keyfob remove user-17
  keyfob remove user-17 --yes --log support.log   # in a script

Verify by other means who is asking, because social engineering targets this step, and tell the user. Also clear the \
mark in your own table that says that this user has a second factor. This needs no keys.")]
    Remove(account::Confirmed),

    /// Suspend an account: nobody can log in to it
    #[command(after_help = "\
Examples:
  keyfob suspend user-17
  keyfob resume user-17

All sessions end, and no code, recovery code or trusted device is accepted until you resume the account. The factors \
are kept. This needs no keys.")]
    Suspend(account::User),

    /// End the suspension of an account
    #[command(after_help = "\
Example:
  keyfob resume user-17

The user can log in again with the same factors. What the suspension made void stays void. This needs no keys.")]
    Resume(account::User),

    /// Make a voucher that lets a user add an authenticator
    #[command(after_help = "\
Example:
  keyfob vouch user-17 --keys-file /run/secrets/keyfob

The voucher replaces the code once: whoever has it and the password can add an authenticator. Verify who is asking \
as carefully as for `keyfob remove`. A new voucher makes an earlier one void.")]
    Vouch(account::Vouch),

    Invalidate(sweep::Invalidate),
    Reseal(sweep::Reseal),
    Devices(devices::Devices),
    Forget(devices::Forget),
    List(list::List),
    Notices(list::Notices),
    Adopt(adopt::Arguments),
    Code(code::Arguments),
    Qr(qr::Arguments),

    /// Build, read and lint otpauth URIs
    #[command(subcommand)]
    Uri(uri::Command),

    Import(import::Arguments),
    Keygen(keygen::Arguments),

    /// Print the completions for a shell
    #[command(after_help = "\
Example:
  keyfob completions bash > /etc/bash_completion.d/keyfob")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| refuse(&error));
    let output = Output::new(cli.json);
    let exit = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(&cli.command, &output)),
        Err(error) => Err(Failure::failed(error)),
    };
    exit.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            output.note(&format!("keyfob: {}", failure.message));
        }
        failure.exit
    })
    .into()
}

/// Ends the program because the command line is wrong, or because it asks for help.
fn refuse(error: &clap::Error) -> ! {
    let mut message = error.to_string();
    for argument in std::env::args().skip(1) {
        for part in [argument.as_str()].into_iter().chain(argument.split_once('=').map(|(_, value)| value)) {
            if input::may_be_secret(part) {
                message = message.replace(part, "(not repeated, because it may be a secret)");
            }
        }
    }
    if error.use_stderr() && message != error.to_string() {
        eprint!("{message}");
        std::process::exit(error.exit_code());
    }
    error.exit()
}

async fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Status(arguments) => status::run(arguments, output).await,
        Command::Unlock(arguments) => account::unlock(arguments, output).await,
        Command::Revoke(arguments) => account::revoke(arguments, output).await,
        Command::Remove(arguments) => account::remove(arguments, output).await,
        Command::Suspend(arguments) => account::suspend(arguments, output).await,
        Command::Resume(arguments) => account::resume(arguments, output).await,
        Command::Vouch(arguments) => account::vouch(arguments, output).await,
        Command::Invalidate(arguments) => sweep::invalidate(arguments, output).await,
        Command::Reseal(arguments) => sweep::reseal(arguments, output).await,
        Command::Devices(arguments) => devices::list(arguments, output).await,
        Command::Forget(arguments) => devices::forget(arguments, output).await,
        Command::List(arguments) => list::list(arguments, output).await,
        Command::Notices(arguments) => list::notices(arguments, output).await,
        Command::Adopt(arguments) => adopt::run(arguments, output).await,
        Command::Code(arguments) => code::run(arguments, output).await,
        Command::Qr(arguments) => qr::run(arguments, output),
        Command::Uri(command) => uri::run(command, output),
        Command::Import(arguments) => import::run(arguments, output),
        Command::Keygen(arguments) => keygen::run(arguments, output),
        Command::Completions { shell } => completions(*shell, output),
    }
}

fn completions(shell: Shell, output: &Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "keyfob", &mut script);
    script.flush().map_err(Failure::failed)?;
    output.bytes(&script)?;
    Ok(Exit::Done)
}

const LONG_HELP: &str = "\
For operators: status, unlock, revoke, remove, suspend, resume, vouch, invalidate, reseal, devices, forget, list, \
notices and adopt work on the store of your application, also while it runs:

  export KEYFOB_STORE=sqlite:///var/lib/app/users.db KEYFOB_OPERATOR=jane
  keyfob status user-17
  keyfob unlock user-17

Only adopt, reseal and vouch need the keys, from --keys-file or from KEYFOB_KEYS. Each change is an event, one line \
on standard error or in the file that --log names.

For developers: code, qr, uri, import and keygen need no store. `keyfob code` replaces the phone in a login test:

  keyfob uri build --label al --generate > app.uri
  keyfob code app.uri

No secret appears on a terminal without --show-secrets, and no secret, key or password is ever an argument.";
