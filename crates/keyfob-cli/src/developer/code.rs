//! `keyfob code`: computes the code that an authenticator app would show.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use keyfob::KeyUri;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::input::{self, SecretSource, Settings};
use crate::output::{Output, time};

/// Show the code that an authenticator app would show
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob code secret.txt
  APP=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP keyfob code --secret-env APP --digits 8
  keyfob uri build --label al --generate | tee app.uri | keyfob code
  keyfob code app.uri --at +30s              # the next code, for a test
  keyfob code app.uri --at 2026-01-01T00:00:00Z
  keyfob code token.txt --counter 7          # HOTP
  keyfob code app.uri --watch

On a terminal, the command asks for the secret and does not show it. A secret is never an argument, because every \
user of the machine can read arguments.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: SecretSource,

    /// The time: Unix seconds, RFC 3339, or a distance from now such as +30s or -2m
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    at: Option<Moment>,

    /// The counter of an HOTP code [default: the counter in the URI]
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["at", "watch"])]
    counter: Option<u64>,

    /// Show each new code until Ctrl-C
    #[arg(long, conflicts_with = "at")]
    watch: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
enum Moment {
    At(u64),
    Later(u64),
    Earlier(u64),
}

fn moment(text: &str) -> Result<Moment, String> {
    let distance = |text: &str| humantime::parse_duration(text).map(|distance| distance.as_secs());
    let moment = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(text), _) => distance(text).map(Moment::Later).ok(),
        (_, Some(text)) => distance(text).map(Moment::Earlier).ok(),
        _ => text.parse().ok().map(Moment::At).or_else(|| {
            let time = humantime::parse_rfc3339_weak(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some(Moment::At(time.as_secs()))
        }),
    };
    moment.ok_or_else(|| "a time is 1767225600, 2026-01-01T00:00:00Z, +30s or -2m".into())
}

/// The JSON of a code.
#[derive(Serialize)]
struct Code {
    code: String,
    r#type: &'static str,
    /// The step of TOTP or the counter of HOTP.
    counter: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<u64>,
}

pub(crate) async fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let uri = input::account(&arguments.source.read()?, &arguments.settings, arguments.counter)?;
    if let Some(counter) = arguments.counter.or(uri.counter()) {
        let hotp =
            uri.to_hotp().ok_or_else(|| Failure::usage("--counter belongs to HOTP, and this is another type"))?;
        if arguments.watch || arguments.at.is_some() {
            return Err(Failure::usage("HOTP codes do not depend on the time; use --counter"));
        }
        let code = hotp.code(counter).to_string();
        output.result(&Code { code: code.clone(), r#type: "hotp", counter, valid_until: None }, || code.clone())?;
        return Ok(Exit::Done);
    }
    let now = now()?;
    let mut at = match arguments.at {
        None => now,
        Some(Moment::At(at)) => at,
        Some(Moment::Later(distance)) => now.saturating_add(distance),
        Some(Moment::Earlier(distance)) => now.saturating_sub(distance),
    };
    loop {
        let (code, remaining) = code_at(&uri, at)?;
        let valid_until = at.saturating_add(remaining);
        output.result(&code, || match arguments.watch {
            true => format!("{}  until {}", code.code, time(valid_until)),
            false => code.code.clone(),
        })?;
        if !arguments.watch {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(until(valid_until)).await;
        at = valid_until;
    }
}

fn code_at(uri: &KeyUri, at: u64) -> Result<(Code, u64), Failure> {
    let (code, r#type, step, remaining) = match (uri.to_totp(), uri.to_steam()) {
        (Some(totp), _) => (totp.code_at(at).to_string(), "totp", totp.step(at), totp.remaining(at)),
        (_, Some(steam)) => (steam.code_at(at).to_string(), "steam", steam.step(at), steam.remaining(at)),
        (None, None) => return Err(Failure::refused("this account has no codes that depend on the time")),
    };
    let remaining = u64::from(remaining);
    Ok((Code { code, r#type, counter: step.get(), valid_until: Some(at.saturating_add(remaining)) }, remaining))
}

fn now() -> Result<u64, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map(|now| now.as_secs()).map_err(|_| Failure::failed("the clock is set to a time before 1970"))
}

fn until(seconds: u64) -> Duration {
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    end.and_then(|end| end.duration_since(SystemTime::now()).ok()).unwrap_or_default()
}
