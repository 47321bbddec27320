//! The changes to one account: unlock, revoke, remove, suspend, resume and vouch.

use std::fmt::Display;

use clap::Args;
use keyfob::guard::{AuthenticatorId, GuardError};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::input::confirm;
use crate::output::{Output, time};
use crate::session::{ChangeArguments, KeyArguments, Session};

/// A command that takes only a user.
#[derive(Args, Debug)]
pub(crate) struct User {
    /// The user, as your application calls this account
    user: String,

    #[command(flatten)]
    change: ChangeArguments,
}

/// A command that takes only a user, and asks first.
#[derive(Args, Debug)]
pub(crate) struct Confirmed {
    #[command(flatten)]
    user: User,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Revoke one authenticator
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// The user, as your application calls this account
    user: String,

    /// The id of the authenticator, from `keyfob status`
    id: AuthenticatorId,

    #[command(flatten)]
    change: ChangeArguments,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Make a voucher
#[derive(Args, Debug)]
pub(crate) struct Vouch {
    #[command(flatten)]
    user: User,

    #[command(flatten)]
    keys: KeyArguments,
}

pub(crate) async fn unlock(arguments: &User, output: &Output) -> Result<Exit, Failure> {
    let act = async |session: &Session| session.guard.operator_unlock(&arguments.user, &session.operator).await;
    change(&arguments.change, output, &arguments.user, "unlock", "app codes are accepted again", act).await
}

pub(crate) async fn suspend(arguments: &User, output: &Output) -> Result<Exit, Failure> {
    let act = async |session: &Session| session.guard.operator_suspend(&arguments.user, &session.operator).await;
    change(&arguments.change, output, &arguments.user, "suspend", "suspended, and all sessions ended", act).await
}

pub(crate) async fn resume(arguments: &User, output: &Output) -> Result<Exit, Failure> {
    let act = async |session: &Session| session.guard.operator_resume(&arguments.user, &session.operator).await;
    change(&arguments.change, output, &arguments.user, "resume", "the user can log in again", act).await
}

pub(crate) async fn remove(arguments: &Confirmed, output: &Output) -> Result<Exit, Failure> {
    let Confirmed { user: User { user, change: target }, yes } = arguments;
    let question = "The next login needs no code, and the recovery codes become void.";
    confirm(*yes, &format!("Remove the second factor of {user}? {question}"))?;
    let act = async |session: &Session| session.guard.operator_remove(user, &session.operator).await;
    change(target, output, user, "remove", "the second factor was removed", act).await
}

pub(crate) async fn revoke(arguments: &Revoke, output: &Output) -> Result<Exit, Failure> {
    let Revoke { user, id, change: target, yes } = arguments;
    confirm(*yes, &format!("Revoke authenticator {id} of {user}? All sessions end, and all devices are forgotten."))?;
    let act = async |session: &Session| session.guard.operator_revoke(user, id, &session.operator).await;
    change(target, output, user, "revoke", format_args!("authenticator {id} was revoked"), act).await
}

pub(crate) async fn vouch(arguments: &Vouch, output: &Output) -> Result<Exit, Failure> {
    let Vouch { user: User { user, change }, keys } = arguments;
    let session = change.open_with_keys(keys, output).await?;
    let answer = session.guard.operator_vouch(user, &session.operator).await;
    let voucher = session.close(answer).await?;
    let (token, expires_at) = (voucher.token(), voucher.expires_at());
    output.result(&Voucher { user, voucher: &token, expires_at }, || token.clone())?;
    if !output.is_json() {
        output.note(&format!(
            "Send this to {user}. With the password, it adds an authenticator once, until {}.",
            time(expires_at)
        ));
    }
    Ok(Exit::Done)
}

/// The JSON of `keyfob vouch`.
#[derive(Serialize)]
struct Voucher<'a> {
    user: &'a str,
    voucher: &'a str,
    expires_at: u64,
}

/// The JSON of a change to one account.
#[derive(Serialize)]
struct Changed<'a> {
    user: &'a str,
    command: &'a str,
    changed: bool,
}

/// Makes a change that needs no keys, and prints whether there was anything to change.
pub(crate) async fn change(
    arguments: &ChangeArguments,
    output: &Output,
    user: &str,
    command: &'static str,
    done: impl Display,
    act: impl AsyncFnOnce(&Session) -> Result<(), GuardError>,
) -> Result<Exit, Failure> {
    let session = arguments.open(output).await?;
    let answer = act(&session).await;
    let changed = session.changes() > 0;
    session.close(answer).await?;
    output.result(&Changed { user, command, changed }, || match changed {
        true => format!("{user}: {done}"),
        false => format!("{user}: nothing to change"),
    })?;
    Ok(Exit::Done)
}
