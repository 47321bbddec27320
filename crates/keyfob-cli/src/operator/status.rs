//! `keyfob status`, and what other commands print from a status.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use keyfob::guard::{AuthenticatorStatus, DeviceStatus, Method, Notice, NoticeKind, Status};
use keyfob::store::Store as _;
use keyfob::{KeyUri, Strength};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::{Output, count, time};
use crate::session::StoreArguments;

/// Show the second factor of a user
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob status user-17 --store sqlite:///var/lib/app/users.db
  keyfob status user-17 --json | jq .recovery_codes_left

This needs no keys and shows no secret. Times are in UTC; with --json, they are Unix seconds.")]
pub(crate) struct Arguments {
    /// The user, as your application calls this account
    user: String,

    #[command(flatten)]
    store: StoreArguments,
}

pub(crate) async fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let guard = arguments.store.open().await?;
    let user = &arguments.user;
    let status = guard.status(user).await?;
    let record = guard.store().load(user).await;
    guard.store().close().await;
    if record.map_err(|error| Failure::failed(crate::exit::chain(&*error)))?.is_none() {
        return Err(Failure::refused(format_args!("there is no record for {user}")));
    }
    output.result(&Record::of(user, &status), || text(user, &status))?;
    Ok(Exit::Done)
}

/// The JSON of `keyfob status`.
#[derive(Serialize)]
struct Record<'a> {
    user: &'a str,
    active: bool,
    suspended: bool,
    enrollment_pending: bool,
    authenticators: Vec<Authenticator<'a>>,
    has_recovery_codes: bool,
    recovery_codes_left: u8,
    devices: Vec<Device<'a>>,
    notices: Vec<Told>,
    consecutive_failures: u64,
    exhausted: bool,
    retry_at: Option<u64>,
    keys: Vec<&'a str>,
    guess_probability_per_year: f64,
}

#[derive(Serialize)]
struct Authenticator<'a> {
    id: &'a str,
    name: &'a str,
    r#type: &'static str,
    algorithm: String,
    digits: u8,
    strength: &'static str,
    created_at: u64,
    bound_at: u64,
    used_at: Option<u64>,
    drift: i64,
}

/// The JSON of a device.
#[derive(Serialize)]
pub(crate) struct Device<'a> {
    id: &'a str,
    name: &'a str,
    trusted: bool,
    created_at: u64,
    expires_at: u64,
}

/// The JSON of a notice.
#[derive(Serialize)]
pub(crate) struct Told {
    pub(crate) kind: &'static str,
    pub(crate) at: u64,
}

impl<'a> Record<'a> {
    fn of(user: &'a str, status: &'a Status) -> Self {
        Self {
            user,
            active: status.is_active(),
            suspended: status.is_suspended(),
            enrollment_pending: status.enrollment_pending(),
            authenticators: status.authenticators().iter().map(Authenticator::of).collect(),
            has_recovery_codes: status.has_recovery_codes(),
            recovery_codes_left: status.recovery_codes_left(),
            devices: status.devices().iter().map(Device::of).collect(),
            notices: status.notices().iter().copied().map(Told::of).collect(),
            consecutive_failures: status.consecutive_failures(),
            exhausted: status.is_exhausted(),
            retry_at: status.retry_at(),
            keys: status.keys().iter().map(|key| key.as_str()).collect(),
            guess_probability_per_year: odds(status),
        }
    }
}

impl<'a> Authenticator<'a> {
    fn of(authenticator: &'a AuthenticatorStatus) -> Self {
        Self {
            id: authenticator.id().as_str(),
            name: authenticator.name(),
            r#type: method(authenticator.method()),
            algorithm: authenticator.algorithm().to_string(),
            digits: authenticator.digits().get(),
            strength: strength(authenticator.strength()),
            created_at: authenticator.created_at(),
            bound_at: authenticator.bound_at(),
            used_at: authenticator.used_at(),
            drift: authenticator.drift(),
        }
    }
}

impl<'a> Device<'a> {
    pub(crate) fn of(device: &'a DeviceStatus) -> Self {
        Self {
            id: device.id().as_str(),
            name: device.name(),
            trusted: device.is_trusted(),
            created_at: device.created_at(),
            expires_at: device.expires_at(),
        }
    }
}

impl Told {
    pub(crate) fn of(notice: Notice) -> Self {
        Self { kind: notice_kind(notice.kind()), at: notice.at() }
    }
}

fn text(user: &str, status: &Status) -> String {
    let mut text = format!("{user}: {}\n", state(status));
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<18} {value}");
    };
    for authenticator in status.authenticators() {
        row("authenticator", &describe(authenticator));
    }
    if status.enrollment_pending() {
        row("enrollment", "waiting for its first code");
    }
    row(
        "recovery codes",
        &match status.has_recovery_codes() {
            true => format!("{} left", status.recovery_codes_left()),
            false => "none were made".into(),
        },
    );
    for device in status.devices() {
        row("device", &device_line(device));
    }
    for notice in status.notices() {
        row("not yet told", &format!("{} at {}", notice_kind(notice.kind()), time(notice.at())));
    }
    row("wrong codes", &guesses(status));
    let keys: Vec<&str> = status.keys().iter().map(|key| key.as_str()).collect();
    row("sealed under", &if keys.is_empty() { "-".into() } else { keys.join(", ") });
    row("odds of a guess", &format!("at most {:.2}% a year", 100.0 * odds(status)));
    text.truncate(text.trim_end().len());
    text
}

/// The state of an account in a few words.
pub(crate) fn state(status: &Status) -> String {
    let mut state = match (status.is_active(), status.authenticators().is_empty()) {
        (true, false) => "second factor active".to_string(),
        (true, true) => "second factor active, but only recovery codes are left".into(),
        (false, _) => "no second factor".into(),
    };
    if status.is_suspended() {
        state.push_str(", SUSPENDED");
    }
    state
}

/// The bound on the odds of a guess within a year. Without an authenticator, the sum over nothing is a negative zero.
fn odds(status: &Status) -> f64 {
    status.guess_probability(YEAR).max(0.0) + 0.0
}

fn describe(authenticator: &AuthenticatorStatus) -> String {
    let mut text = format!("{} {}", authenticator.id(), method(authenticator.method()).to_uppercase());
    let _ = write!(text, " {}, {} digits", authenticator.algorithm(), authenticator.digits().get());
    if !authenticator.name().is_empty() {
        let _ = write!(text, ", {:?}", authenticator.name());
    }
    let _ = write!(text, ", since {}", time(authenticator.bound_at()));
    match authenticator.used_at() {
        Some(used) => {
            let _ = write!(text, ", used {}", time(used));
        }
        None => text.push_str(", never used"),
    }
    if authenticator.strength() == Strength::Weak {
        text.push_str(", weak secret");
    }
    text
}

pub(crate) fn device_line(device: &DeviceStatus) -> String {
    let trusted = if device.is_trusted() { "trusted" } else { "known" };
    format!(
        "{} {trusted}, {:?}, since {}, until {}",
        device.id(),
        device.name(),
        time(device.created_at()),
        time(device.expires_at())
    )
}

fn guesses(status: &Status) -> String {
    let failures = count(status.consecutive_failures(), "in a row", "in a row");
    match (status.is_exhausted(), status.retry_at()) {
        (true, None) => format!("{failures}; app codes are locked out until `keyfob unlock`"),
        (_, Some(retry_at)) => format!("{failures}; app codes are locked out until {}", time(retry_at)),
        (false, None) => failures,
    }
}

pub(crate) const fn method(method: Method) -> &'static str {
    match method {
        Method::Totp => "totp",
        Method::Hotp => "hotp",
        _ => "other",
    }
}

/// The type of an account in a URI.
pub(crate) const fn uri_type(uri: &KeyUri) -> &'static str {
    match (uri.period(), uri.counter()) {
        (Some(_), _) => "totp",
        (_, Some(_)) => "hotp",
        _ => "steam",
    }
}

pub(crate) const fn strength(strength: Strength) -> &'static str {
    match strength {
        Strength::Weak => "weak",
        Strength::Acceptable => "acceptable",
        _ => "strong",
    }
}

pub(crate) const fn notice_kind(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Added => "authenticator-added",
        NoticeKind::Removed => "authenticator-removed",
        NoticeKind::Recovered => "recovery-code-used",
        NoticeKind::RecoveryCodesReplaced => "recovery-codes-replaced",
        NoticeKind::Exhausted => "guess-budget-exhausted",
        _ => "other",
    }
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);
