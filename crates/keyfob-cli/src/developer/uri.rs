//! `keyfob uri`: builds, reads and lints otpauth URIs.

use clap::{Args, Subcommand};
use keyfob::{Algorithm, Effect, Finding, KeyUri, Secret};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::input::{self, SecretSource, Settings};
use crate::operator::status::{strength, uri_type};
use crate::output::{Output, check_screen};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Build(Build),
    Read(Read),
    Lint(Lint),
}

/// Build a URI from a secret or a new one
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob uri build --issuer Example --label al --generate > app.uri
  keyfob uri build --label al secret.txt | keyfob qr --output app.png
  keyfob uri build --label token --counter 0 --generate > token.uri

The URI contains the secret, so a terminal shows it only with --show-secrets. Apps that would mishandle the URI are \
listed on standard error.")]
pub(crate) struct Build {
    #[command(flatten)]
    source: SecretSource,

    /// The name of your service, as apps show it
    #[arg(long, default_value = "")]
    issuer: String,

    /// The account, as apps show it, such as an email address
    #[arg(long)]
    label: String,

    /// Make an HOTP account; this is the counter of its first code
    #[arg(long, value_name = "NUMBER")]
    counter: Option<u64>,

    /// Generate a secret that is as long as the algorithm needs
    #[arg(long, conflicts_with_all = ["file", "secret_env"])]
    generate: bool,

    #[command(flatten)]
    settings: Settings,

    /// Also print on a terminal
    #[arg(long)]
    show_secrets: bool,
}

/// Show what a URI contains, except for its secret
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob uri read app.uri
  keyfob uri read --json < app.uri

Deviations from the usual spelling that some apps do not accept are listed as warnings.")]
pub(crate) struct Read {
    #[command(flatten)]
    source: SecretSource,
}

/// List the authenticator apps that would mishandle a URI
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob uri lint app.uri
  keyfob uri lint app.uri || echo 'some users will have a problem'

The exit code is 1 if an app shows wrong codes, refuses the account, or shows a wrong name.")]
pub(crate) struct Lint {
    #[command(flatten)]
    source: SecretSource,
}

pub(crate) fn run(command: &Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Build(arguments) => build(arguments, output),
        Command::Read(arguments) => read(arguments, output),
        Command::Lint(arguments) => lint(arguments, output),
    }
}

fn build(arguments: &Build, output: &Output) -> Result<Exit, Failure> {
    check_screen(arguments.show_secrets)?;
    let secret = match arguments.generate {
        true => Secret::generate_for(arguments.settings.algorithm().unwrap_or(Algorithm::Sha1)),
        false => {
            let text = arguments.source.read()?;
            if input::is_uri(&text) {
                return Err(Failure::refused("this is a URI already; `keyfob uri read` shows what it contains"));
            }
            Secret::from_base32(text.trim())?
        }
    };
    let Build { issuer, label, .. } = arguments;
    let uri = match arguments.counter {
        Some(counter) => KeyUri::hotp(issuer, label, &secret, counter),
        None => KeyUri::totp(issuer, label, &secret),
    };
    let uri = arguments.settings.apply(uri.map_err(Failure::usage)?)?;
    let text = uri.to_uri();
    output.result(&Built { uri: &text }, || text.to_string())?;
    for finding in uri.lint() {
        output.note(&format!("warning: {}", describe(&finding)));
    }
    Ok(Exit::Done)
}

fn read(arguments: &Read, output: &Output) -> Result<Exit, Failure> {
    let (uri, warnings) = KeyUri::parse_lenient(&arguments.source.read()?)?;
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    output.result(&Content { account: Account::of(&uri), warnings: &warnings }, || {
        let mut text = Account::of(&uri).lines();
        for warning in &warnings {
            text.push_str(&format!("\nwarning    {warning}"));
        }
        text
    })?;
    Ok(Exit::Done)
}

fn lint(arguments: &Lint, output: &Output) -> Result<Exit, Failure> {
    let (uri, _) = KeyUri::parse_lenient(&arguments.source.read()?)?;
    let findings = uri.lint();
    for finding in &findings {
        output.result(&Found::of(finding), || describe(finding))?;
    }
    if findings.is_empty() && !output.is_json() {
        output.note("no app is known to mishandle this URI");
    }
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Refused })
}

/// The JSON of `keyfob uri build`.
#[derive(Serialize)]
struct Built<'a> {
    uri: &'a str,
}

/// The JSON of `keyfob uri read`.
#[derive(Serialize)]
struct Content<'a> {
    #[serde(flatten)]
    account: Account<'a>,
    warnings: &'a [String],
}

/// The JSON of an account: everything but its secret.
#[derive(Serialize)]
pub(crate) struct Account<'a> {
    issuer: Option<&'a str>,
    label: &'a str,
    r#type: &'static str,
    algorithm: String,
    digits: Option<u8>,
    period: Option<u32>,
    counter: Option<u64>,
    strength: &'static str,
    other_parameters: Vec<&'a str>,
}

impl<'a> Account<'a> {
    pub(crate) fn of(uri: &'a KeyUri) -> Self {
        let r#type = uri_type(uri);
        Self {
            issuer: uri.issuer(),
            label: uri.account(),
            r#type,
            algorithm: uri.algorithm().to_string(),
            digits: (r#type != "steam").then(|| uri.digits().get()),
            period: uri.period().map(|period| period.seconds()),
            counter: uri.counter(),
            strength: strength(uri.secret().strength()),
            // A value may be a PIN.
            other_parameters: uri.other_parameters().map(|(name, _)| name).collect(),
        }
    }

    /// The settings of the codes, in one line.
    pub(crate) fn settings(&self) -> String {
        let mut text = format!("{} {}", self.r#type.to_uppercase(), self.algorithm);
        if let Some(digits) = self.digits {
            text.push_str(&format!(", {digits} digits"));
        }
        if let Some(period) = self.period {
            text.push_str(&format!(", {period} s"));
        }
        if let Some(counter) = self.counter {
            text.push_str(&format!(", counter {counter}"));
        }
        text
    }

    fn lines(&self) -> String {
        let issuer = self.issuer.unwrap_or("-");
        let settings = self.settings();
        let mut text = format!(
            "issuer     {issuer}\nlabel      {}\ncodes      {settings}\nsecret     {}",
            self.label, self.strength
        );
        if !self.other_parameters.is_empty() {
            text.push_str(&format!("\nothers     {}", self.other_parameters.join(", ")));
        }
        text
    }
}

/// The JSON of a finding.
#[derive(Serialize)]
struct Found<'a> {
    app: &'a str,
    effect: &'static str,
    reason: &'a str,
    source: &'a str,
    read: &'a str,
}

impl<'a> Found<'a> {
    fn of(finding: &'a Finding) -> Self {
        let effect = match finding.effect() {
            Effect::WrongCode => "wrong-code",
            Effect::Refused => "refused",
            Effect::Mislabeled => "mislabeled",
            _ => "other",
        };
        let (app, reason, source, read) = (finding.app(), finding.reason(), finding.source(), finding.read());
        Self { app, effect, reason, source, read }
    }
}

fn describe(finding: &Finding) -> String {
    let effect = match finding.effect() {
        Effect::WrongCode => "wrong codes",
        Effect::Refused => "refuses the account",
        Effect::Mislabeled => "wrong name",
        _ => "other problem",
    };
    let (app, reason) = (finding.app(), finding.reason());
    format!("{app}, {effect}: {reason} ({}, {})", finding.source(), finding.read())
}
