//! Imports accounts from the backups of other authenticator apps.
//!
//! The module reads the unencrypted exports of 2FAS, Aegis, andOTP, Bitwarden (JSON and CSV), Ente Auth, FreeOTP+,
//! Proton Authenticator and Stratum, lists of `otpauth` URIs, and Google Authenticator transfers. Encrypted exports of
//! these apps are recognized and refused. The module also reads unencrypted key files for hardware tokens (PSKC). For
//! encrypted key files, use [`pskc::parse`], which takes the password or key.
//!
//! A file must be in UTF-8, or in UTF-16 as saved by Windows programs. It may be at most 16 MiB long and have at most
//! 65536 accounts. Time and memory are linear in the length of the file.

mod apps;
mod csv;
mod json;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::encoding::{self, MAX_BYTES, MAX_ENTRIES, TOO_LARGE};
use crate::error::{Error, ErrorKind};
use crate::pskc::{self, Unlock};
use crate::transfer::{Transfer, TransferCode};
use crate::uri::KeyUri;

/// Parses a backup and detects which app wrote it.
///
/// If an account cannot be imported, for example because it is an mOTP account or its secret is damaged, its entry is
/// an error; the other accounts are kept. If an account has an issuer but no name, the issuer is used for both. If it
/// has a name but no issuer, a name of the form `issuer:account` is split. A URI without names takes its names from the
/// entry that contains it. A name that begins with the issuer and a colon loses that prefix, as in the label of a URI.
///
/// The counter of an imported HOTP account is the counter of its next code, even if the app stores a different number.
/// An HOTP account without a counter starts at 0; if that is wrong, [`Hotp::resync`](crate::Hotp::resync) finds the
/// counter from two codes. URIs are parsed leniently, and the warnings of [`parse_lenient`](KeyUri::parse_lenient) are
/// not reported.
///
/// The URIs of a Google Authenticator transfer, one per line, may be in any order and may be repeated. Their accounts
/// come after the accounts of all other lines. If QR codes of the transfer are missing, each gap is reported as one
/// error at the position of the missing accounts.
///
/// ```
/// use keyfob::import;
///
/// let file = br#"[
///     {"type": "TOTP", "issuer": "ACME", "label": "al",
///      "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"},
///     {"type": "TOTP", "issuer": "ACME", "label": "bob", "secret": "GEZDGNBVGY3TQ0JQ"}
/// ]"#;
/// let import = import::parse(file)?;
/// assert_eq!(import.app(), import::App::AndOtp);
///
/// let mut found = Vec::new();
/// for (index, entry) in import.into_entries().into_iter().enumerate() {
///     match entry {
///         Ok(uri) => found.push(uri),
///         // account 2: the character at position 14 of the secret is not ...
///         Err(error) => println!("account {}: {error}", index + 1),
///     }
/// }
/// assert_eq!(found[0].issuer(), Some("ACME"));
/// # Ok::<(), keyfob::Error>(())
/// ```
///
/// # Errors
///
/// * [`ErrorKind::Encrypted`] for an encrypted backup. The message names the app and says how to export without
///   encryption, or says that a key file needs its password or key. The same error is returned for a file that is not
///   text, because some encrypted backups cannot be distinguished from other binary files.
/// * [`ErrorKind::Pskc`] for a damaged key file for hardware tokens.
/// * [`ErrorKind::Import`] for a file that is not a known backup, is damaged, is larger than the limits above, or
///   contains no account.
///
/// # Security
///
/// The file contains secrets in plaintext. keyfob wipes its own copies. Wiping `bytes` is your responsibility, and the
/// user should delete the file.
pub fn parse(bytes: &[u8]) -> Result<Import, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(TOO_LARGE);
    }
    if STRATUM.iter().any(|magic| bytes.starts_with(magic)) {
        return Err(encrypted(App::Stratum));
    }
    if bytes.starts_with(&JAVA_OBJECT) {
        let remedy =
            "FreeOTP makes no other; open it with its password in a program that reads it, and export it there";
        return Err(encrypted_by("FreeOTP", remedy));
    }
    let mut buffer = Zeroizing::default();
    let Some(text) = encoding::text(bytes, &mut buffer) else {
        // andOTP's encrypted files begin with a number or random bytes. They cannot be distinguished from other binary
        // files.
        let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
        // Truncated UTF-16 contains zero bytes and may begin with a byte order mark.
        let mut start = bytes.iter().take(8).filter(|byte| ![0, 0xfe, 0xff].contains(*byte)).peekable();
        let text = start.peek().is_some() && start.all(is_text);
        return Err(if text { ENCODING } else { BINARY });
    };
    let text = text.trim();
    match text.chars().next() {
        Some('{') => apps::object(text),
        Some('[') => apps::array(text),
        Some('<') if text.contains("KeyContainer") => {
            Ok(Import { app: App::Pskc, entries: pskc::read(text, Unlock::None)? })
        }
        Some(_) if text.lines().next().is_some_and(|header| header.contains("login_totp")) => table(text),
        _ => lines(text),
    }
}

/// A parsed backup: its accounts, and the app that wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct Import {
    app: App,
    entries: Vec<Result<KeyUri, Error>>,
}

impl Import {
    /// Creates an import, and refuses a backup without accounts: an empty list would not tell the user that something
    /// is wrong.
    fn of(app: App, entries: Vec<Result<KeyUri, Error>>) -> Result<Self, Error> {
        if entries.is_empty() { Err(EMPTY) } else { Ok(Self { app, entries }) }
    }

    /// The app that wrote the backup.
    #[must_use]
    pub const fn app(&self) -> App {
        self.app
    }

    /// The accounts, in the order of the file, except that those of Google Authenticator transfers come last. An
    /// account that cannot be imported is an error. Entries that are not accounts, such as notes in Bitwarden, are left
    /// out.
    pub fn entries(&self) -> &[Result<KeyUri, Error>] {
        &self.entries
    }

    /// Converts the import into its accounts, in the order of [`entries`](Self::entries).
    #[must_use]
    pub fn into_entries(self) -> Vec<Result<KeyUri, Error>> {
        self.entries
    }
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").field("app", &self.app).field("entries", &self.entries.len()).finish()
    }
}

/// The apps and file formats that can be imported. More may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum App {
    /// A JSON export of Aegis Authenticator.
    Aegis,
    /// A JSON backup of andOTP.
    AndOtp,
    /// A JSON or CSV export of Bitwarden or Bitwarden Authenticator.
    Bitwarden,
    /// An export of Ente Auth: a list of URIs.
    Ente,
    /// A JSON export of FreeOTP+.
    FreeOtpPlus,
    /// The URIs from the QR codes of a Google Authenticator transfer, one per line.
    GoogleAuthenticator,
    /// A JSON export of Proton Authenticator.
    Proton,
    /// A key file for hardware tokens (RFC 6030), from any manufacturer.
    Pskc,
    /// A JSON backup of Stratum, formerly Authenticator Pro.
    Stratum,
    /// A JSON backup of 2FAS.
    TwoFas,
    /// A list of `otpauth` URIs, one per line, from any app.
    UriList,
}

impl App {
    const fn name(self) -> &'static str {
        match self {
            Self::Aegis => "Aegis",
            Self::AndOtp => "andOTP",
            Self::Bitwarden => "Bitwarden",
            Self::Ente => "Ente Auth",
            Self::FreeOtpPlus => "FreeOTP+",
            Self::GoogleAuthenticator => "Google Authenticator",
            Self::Proton => "Proton Authenticator",
            Self::Pskc => "key file (PSKC)",
            Self::Stratum => "Stratum",
            Self::TwoFas => "2FAS",
            Self::UriList => "list of URIs",
        }
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn encrypted(app: App) -> Error {
    let remedy = match app {
        App::Bitwarden => "export it in the format .json, not .json (Encrypted)",
        App::Ente => "export the codes as plain text",
        App::Aegis | App::Stratum => "export it without encryption",
        _ => "export it without a password",
    };
    encrypted_by(app.name(), remedy)
}

const fn encrypted_by(app: &'static str, remedy: &'static str) -> Error {
    Error::new(ErrorKind::Encrypted, "this backup of {} is encrypted; {}").word(app).word(remedy)
}

/// Parses Bitwarden's CSV format. Columns are found by name, because newer versions have added columns.
fn table(mut text: &str) -> Result<Import, Error> {
    let mut header = Vec::new();
    csv::record(&mut text, MAX_COLUMNS, &mut header).ok_or(COLUMNS)?;
    let column = |name: &str| header.iter().position(|field| *csv::text(field) == *name);
    let totp = column("login_totp").ok_or(COLUMNS)?;
    let (name, user) = (column("name"), column("login_username"));
    let (mut entries, mut record) = (Vec::new(), Vec::new());
    while !text.is_empty() {
        text = text.trim_start_matches(['\r', '\n']);
        let whole = csv::record(&mut text, header.len(), &mut record);
        let field = |index: Option<usize>| index.and_then(|index| record.get(index)).copied().unwrap_or_default();
        let link = field(Some(totp));
        if whole.is_none() {
            entries.push(Err(ROW));
        } else if !link.trim().is_empty() {
            let [link, name, user] = [link, field(name), field(user)].map(csv::text);
            if !link.trim().is_empty() {
                entries.push(apps::login_totp(&link, &name, &user));
            }
        }
        check_number(entries.len())?;
    }
    Import::of(App::Bitwarden, entries)
}

/// Parses URIs. A line may contain several URIs, separated by commas, semicolons or spaces. A line that is not a URI is
/// an error entry at its position.
fn lines(text: &str) -> Result<Import, Error> {
    let scheme = |line: &str| SCHEMES.into_iter().find(|scheme| has_prefix(line.trim_start(), scheme));
    let Some(first) = text.lines().find_map(scheme) else { return Err(UNKNOWN) };
    let app = match first {
        TRANSFER => App::GoogleAuthenticator,
        // Only Ente writes this parameter.
        _ if text.contains("codeDisplay=") => App::Ente,
        _ => App::UriList,
    };
    let lines = || text.lines().flat_map(uris);
    let number = lines().take(MAX_ENTRIES + 1).count();
    check_number(number)?;
    let mut entries = Vec::with_capacity(number);
    let (mut transfers, mut seen) = (Transfers::default(), BTreeSet::new());
    for line in lines() {
        if has_prefix(line, TRANSFER) {
            if seen.insert(line)
                && let Err(error) = TransferCode::parse(line).and_then(|code| transfers.add(code))
            {
                entries.push(Err(error));
            }
        } else {
            entries.push(KeyUri::parse_lenient(line).map(|(uri, _)| uri));
        }
        check_number(entries.len() + transfers.size)?;
    }
    entries.reserve_exact(transfers.size);
    for transfer in transfers.by_batch.into_values().flatten() {
        entries.extend(transfer.into_entries());
        check_number(entries.len())?;
    }
    Import::of(app, entries)
}

/// The transfers in a list of URIs.
#[derive(Default)]
struct Transfers {
    /// The transfers, by batch identifier and size. If a program writes neither, every QR code is a separate transfer.
    by_batch: BTreeMap<(i32, u32), Vec<Transfer>>,
    /// The total number of QR codes and accounts in all transfers.
    size: usize,
}

impl Transfers {
    /// Adds a QR code to the transfer that it belongs to. A QR code that contradicts the transfer starts a new
    /// transfer.
    fn add(&mut self, code: TransferCode) -> Result<(), Error> {
        self.size += 1 + code.entries().len();
        let batch = self.by_batch.entry((code.batch_id(), code.batch_size())).or_default();
        match batch.last_mut() {
            Some(transfer) if transfer.check(&code).is_ok() => transfer.add(code),
            _ => {
                let mut transfer = Transfer::new();
                transfer.add(code)?;
                batch.push(transfer);
                Ok(())
            }
        }
    }
}

/// Splits a line before each URI scheme that follows a comma, a semicolon or white space. Other occurrences of these
/// characters belong to a name or to an HTML escape.
fn uris(line: &str) -> impl Iterator<Item = &str> {
    let is_between = |c: char| c == ',' || c == ';' || c.is_whitespace();
    let starts = line.match_indices("://").filter_map(move |(at, colon)| {
        let mut starts = SCHEMES.iter().filter_map(|scheme| (at + colon.len()).checked_sub(scheme.len()));
        starts.find(|start| {
            let parts = line.split_at_checked(*start);
            parts
                .is_some_and(|(before, uri)| before.ends_with(is_between) && SCHEMES.iter().any(|s| has_prefix(uri, s)))
        })
    });
    let mut begin = 0;
    let pieces = starts.chain([line.len()]).filter_map(move |end| line.get(core::mem::replace(&mut begin, end)..end));
    pieces.map(move |piece| piece.trim_start().trim_end_matches(is_between)).filter(|piece| !piece.is_empty())
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn check_number(entries: usize) -> Result<(), Error> {
    if entries > MAX_ENTRIES { Err(TOO_LARGE) } else { Ok(()) }
}

const TRANSFER: &str = "otpauth-migration://";
const SCHEMES: [&str; 4] = ["otpauth://", "apple-otpauth://", "steam://", TRANSFER];

/// The first bytes of encrypted Stratum backups, as written by current and older versions.
const STRATUM: [&[u8]; 2] = [b"AUTHENTICATORPRO", b"AuthenticatorPro"];

/// The first bytes of backups from FreeOTP 2 and later, which are serialized Java objects.
const JAVA_OBJECT: [u8; 4] = [0xac, 0xed, 0x00, 0x05];

/// The maximum number of columns in a CSV file.
const MAX_COLUMNS: usize = 256;

const BINARY: Error = Error::new(
    ErrorKind::Encrypted,
    "this is not text: no backup at all, or an encrypted one, such as andOTP's; export it without encryption",
);
const COLUMNS: Error = Error::new(
    ErrorKind::Import,
    "the first row of the table does not name its columns with commas between them, as Bitwarden writes it; \
     export it again, and do not save it in a spreadsheet program",
);
const EMPTY: Error = Error::new(ErrorKind::Import, "there is no account in the file");
const ENCODING: Error = Error::new(
    ErrorKind::Import,
    "the text is damaged, or its encoding is neither UTF-8 nor UTF-16; save it as UTF-8 or export it again",
);
const MALFORMED: Error = Error::new(ErrorKind::Import, "the file is damaged or cut off; export it again");
const ROW: Error = Error::new(
    ErrorKind::Import,
    "the row is damaged: a quote is not closed, or there are more fields than the first row names",
);
const UNKNOWN: Error = Error::new(ErrorKind::Import, "this is not a backup of an app that keyfob supports");
