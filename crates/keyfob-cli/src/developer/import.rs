//! `keyfob import`: lists the accounts in any file that keyfob reads.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use keyfob::pskc::{self, Unlock};
use keyfob::{Error, ErrorKind, KeyUri, Qr, import};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::developer::uri::Account;
use crate::exit::{Exit, Failure};
use crate::input;
use crate::output::{Output, count};

/// List the accounts in a screenshot, a backup or a key file
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob import screenshot.png
  keyfob import aegis-export.json --json
  keyfob import tokens.pskc --password-file password.txt
  keyfob import transfer.png --show-secrets  # one URI for each account

The command reads QR codes in a PNG, the transfers of Google Authenticator, lists of otpauth URIs, key files of \
hardware tokens (PSKC), and the unencrypted exports of 2FAS, Aegis, andOTP, Bitwarden, Ente Auth, FreeOTP+, Proton \
Authenticator and Stratum. If an account in the file is damaged, the others are listed, and the exit code is 1.")]
pub(crate) struct Arguments {
    /// The file, or `-` for standard input
    file: PathBuf,

    /// Also print the URI of each account, which contains its secret
    #[arg(long)]
    show_secrets: bool,

    /// A file with the password of an encrypted key file; without it, a terminal asks for the password
    #[arg(long, value_name = "FILE", help_heading = "Encrypted key files", conflicts_with = "key_file")]
    password_file: Option<PathBuf>,

    /// A file with the pre-shared key of an encrypted key file, in hexadecimal or as 16, 24 or 32 bytes
    #[arg(long, value_name = "FILE", help_heading = "Encrypted key files")]
    key_file: Option<PathBuf>,
}

/// The JSON of an account, or of one that cannot be imported.
#[derive(Serialize)]
struct Line<'a> {
    index: usize,
    #[serde(flatten)]
    account: Option<Account<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let file = input::read(&arguments.file)?;
    let (origin, entries) = read(&file, arguments)?;
    let failed = entries.iter().filter(|entry| entry.is_err()).count();
    for (index, entry) in (1..).zip(&entries) {
        let (account, error) = match entry {
            Ok(uri) => (Some(uri), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let uri = account.filter(|_| arguments.show_secrets).map(KeyUri::to_uri);
        let text = match (account, &error) {
            (Some(account), _) => {
                let names = match account.issuer() {
                    Some(issuer) => format!("{issuer}: {}", account.account()),
                    None => account.account().into(),
                };
                let account = Account::of(account);
                let uri = uri.as_deref().map(|uri| format!("\n    {uri}")).unwrap_or_default();
                format!("{index:>3} {names} ({}){uri}", account.settings())
            }
            (None, Some(error)) => format!("{index:>3} error: {error}"),
            (None, None) => String::new(),
        };
        let account = account.map(Account::of);
        output.result(&Line { index, account, uri: uri.as_deref().map(String::as_str), error }, || text)?;
    }
    if !output.is_json() {
        let accounts = count((entries.len() - failed) as u64, "account", "accounts");
        output.note(&format!("{origin}: {accounts}, {failed} damaged"));
    }
    Ok(if failed > 0 { Exit::Refused } else { Exit::Done })
}

type Entries = Vec<Result<KeyUri, Error>>;

fn read(file: &[u8], arguments: &Arguments) -> Result<(String, Entries), Failure> {
    if file.starts_with(PNG) {
        // Each text goes on a line of its own. A line that is no URI becomes an entry with an error.
        let texts = Qr::read_png(file)?;
        let mut lines = Zeroizing::new(String::with_capacity(texts.iter().map(|text| text.len() + 1).sum()));
        for text in &texts {
            lines.push_str(text);
            lines.push('\n');
        }
        return Ok((count(texts.len() as u64, "QR code", "QR codes"), import::parse(lines.as_bytes())?.into_entries()));
    }
    let unlocked = |entries| Ok(("encrypted key file (PSKC)".into(), entries));
    if let Some(path) = &arguments.password_file {
        let password = input::text(input::read(path)?)?;
        return unlocked(pskc::parse(file, Unlock::Password(password.trim_end_matches(['\r', '\n'])))?);
    }
    if let Some(path) = &arguments.key_file {
        return unlocked(pskc::parse(file, Unlock::Key(&key(&input::read(path)?)))?);
    }
    match import::parse(file) {
        Ok(import) => Ok((import.app().to_string(), import.into_entries())),
        Err(error) if error.kind() == ErrorKind::Encrypted && is_pskc(file) && io::stdin().is_terminal() => {
            let password = input::prompt("Password of the key file: ")?;
            unlocked(pskc::parse(file, Unlock::Password(&password))?)
        }
        Err(error) => Err(error.into()),
    }
}

fn is_pskc(file: &[u8]) -> bool {
    // UTF-16 puts a zero byte between the letters.
    let text: Vec<u8> = file.iter().copied().filter(|byte| *byte != 0).take(4096).collect();
    text.windows(NAME.len()).any(|window| window == NAME)
}

/// The key in a file: the bytes themselves, or their hexadecimal digits.
fn key(file: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = file.trim_ascii();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = text.iter().map(digit).collect();
    match digits.map(Zeroizing::new) {
        Some(digits) if [32, 48, 64].contains(&digits.len()) => {
            let (pairs, _) = digits.as_chunks::<2>();
            Zeroizing::new(pairs.iter().map(|[high, low]| high << 4 | low).collect())
        }
        _ => Zeroizing::new(file.to_vec()),
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const NAME: &[u8] = b"KeyContainer";
