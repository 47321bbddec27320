//! What the program reads: files, secrets and confirmations.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use keyfob::{Algorithm, Digits, KeyUri, Keyring, Period, Secret};
use zeroize::Zeroizing;

use crate::exit::Failure;

/// Where a secret comes from. It is never an argument, because every user of the machine can read arguments.
#[derive(Args, Debug)]
pub(crate) struct SecretSource {
    /// A file with an otpauth URI or a base32 secret; `-` or nothing reads standard input
    #[arg(value_name = "FILE", conflicts_with = "secret_env")]
    file: Option<PathBuf>,

    /// Read the URI or the secret from this environment variable
    #[arg(long, value_name = "VARIABLE")]
    secret_env: Option<String>,
}

impl SecretSource {
    /// Reads the text. On a terminal, it is not shown while it is typed.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, Failure> {
        let text = match (&self.secret_env, self.file.as_deref()) {
            (Some(variable), _) => std::env::var(variable)
                .map_err(|_| Failure::usage(format_args!("the environment variable {variable} is not set")))?
                .into(),
            (None, Some(path)) if path != "-" => text(read(path)?)?,
            _ if io::stdin().is_terminal() => prompt("otpauth URI or secret: ")?,
            _ => text(stdin()?)?,
        };
        if text.trim().is_empty() {
            return Err(Failure::refused("there is no URI and no secret in the input"));
        }
        // The end of the line belongs to the file, not to the URI.
        Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).into()))
    }
}

/// How codes are computed from a secret that comes without a URI.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings of a secret without a URI")]
pub(crate) struct Settings {
    /// SHA1, SHA256 or SHA512
    #[arg(long)]
    algorithm: Option<Algorithm>,

    /// 6, 7 or 8
    #[arg(long)]
    digits: Option<u8>,

    /// The period of TOTP codes in seconds
    #[arg(long, value_name = "SECONDS")]
    period: Option<u32>,
}

impl Settings {
    pub(crate) const fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.algorithm.is_none() && self.digits.is_none() && self.period.is_none()
    }

    pub(crate) fn apply(&self, mut uri: KeyUri) -> Result<KeyUri, Failure> {
        if let Some(algorithm) = self.algorithm {
            uri = uri.with_algorithm(algorithm);
        }
        if let Some(digits) = self.digits {
            uri = uri.with_digits(Digits::new(digits).map_err(Failure::usage)?);
        }
        if let Some(period) = self.period {
            uri = uri.with_period(Period::new(period).map_err(Failure::usage)?).map_err(Failure::usage)?;
        }
        Ok(uri)
    }
}

pub(crate) fn is_uri(text: &str) -> bool {
    text.contains("://")
}

/// Reads a URI, or a secret in base32 with these settings. `counter` makes it an HOTP account.
pub(crate) fn account(text: &str, settings: &Settings, counter: Option<u64>) -> Result<KeyUri, Failure> {
    if is_uri(text) {
        if !settings.is_empty() {
            return Err(Failure::usage("the URI has its own settings; leave out --algorithm, --digits and --period"));
        }
        return Ok(KeyUri::parse_lenient(text)?.0);
    }
    let secret = Secret::from_base32(text.trim())?;
    settings.apply(match counter {
        Some(counter) => KeyUri::hotp("", "account", &secret, counter)?,
        None => KeyUri::totp("", "account", &secret)?,
    })
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if path == "-" {
        return stdin();
    }
    fs::read(path).map(Zeroizing::new).map_err(|error| match may_be_secret(&path.to_string_lossy()) {
        true => Failure::usage(
            "there is no such file. The argument may be a secret, so it is not repeated here. Every user of the \
             machine can read arguments; pass a secret on standard input, in a file or with --secret-env",
        ),
        false => Failure::file(path, &error),
    })
}

pub(crate) fn text(bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, Failure> {
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::refused("the input is not UTF-8"))?;
    Ok(Zeroizing::new(text.into()))
}

pub(crate) fn prompt(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|error| Failure::failed(format_args!("the terminal: {error}")))
}

fn stdin() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Failure::failed(format_args!("standard input: {error}")))?;
    Ok(bytes)
}

/// Whether an argument may be a secret that was typed in the wrong place. Messages do not repeat such an argument.
pub(crate) fn may_be_secret(argument: &str) -> bool {
    let may_be = |text: &str| is_uri(text) || Secret::from_base32(text).is_ok() || Keyring::parse(text).is_ok();
    may_be(argument) || argument.split('=').any(may_be)
}

/// Asks the operator to confirm a change that cannot be undone.
pub(crate) fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format_args!(
            "{question} There is no terminal to answer on; add --yes if you are sure"
        )));
    }
    let ask = || -> io::Result<String> {
        let mut screen = io::stderr().lock();
        write!(screen, "{question} [y/N] ")?;
        screen.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| Failure::failed(format_args!("the terminal: {error}")))?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        Ok(())
    } else {
        Err(Failure::refused("nothing was changed"))
    }
}
