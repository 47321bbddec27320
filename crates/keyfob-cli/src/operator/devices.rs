//! `keyfob devices`: the trusted and known devices of a user.

use clap::Args;
use keyfob::guard::DeviceId;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::input::confirm;
use crate::operator::account::change;
use crate::operator::status::{Device, device_line};
use crate::output::Output;
use crate::session::{ChangeArguments, Session, StoreArguments};

/// List the trusted and known devices of a user
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob devices user-17
  keyfob forget user-17 hcpbmjdnoaeglkfi

A login on a trusted device needs no code. A login on a known device needs one, but other people's wrong codes do \
not lock it out. This command needs no keys and no operator.")]
pub(crate) struct Devices {
    /// The user, as your application calls this account
    user: String,

    #[command(flatten)]
    store: StoreArguments,
}

/// Forget one device of a user, or all of them
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob forget user-17 hcpbmjdnoaeglkfi
  keyfob forget user-17 --all      # also ends all sessions")]
pub(crate) struct Forget {
    /// The user, as your application calls this account
    user: String,

    /// The id of the device, from `keyfob devices`
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<DeviceId>,

    /// Forget all devices, and make all sessions, pending logins and proofs void
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    change: ChangeArguments,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// The JSON of a line of `keyfob devices`.
#[derive(Serialize)]
struct Record<'a> {
    user: &'a str,
    #[serde(flatten)]
    device: Device<'a>,
}

pub(crate) async fn list(arguments: &Devices, output: &Output) -> Result<Exit, Failure> {
    let guard = arguments.store.open().await?;
    let status = guard.status(&arguments.user).await;
    guard.store().close().await;
    let status = status?;
    for device in status.devices() {
        output.result(&Record { user: &arguments.user, device: Device::of(device) }, || device_line(device))?;
    }
    if status.devices().is_empty() {
        return Err(Failure::refused(format_args!("{} has no trusted or known device", arguments.user)));
    }
    Ok(Exit::Done)
}

pub(crate) async fn forget(arguments: &Forget, output: &Output) -> Result<Exit, Failure> {
    let Forget { user, id, change: target, yes, .. } = arguments;
    if let Some(id) = id {
        let act = async |session: &Session| session.guard.forget_device(user, id).await;
        return change(target, output, user, "forget", format_args!("device {id} was forgotten"), act).await;
    }
    confirm(*yes, &format!("Forget all devices of {user}, and end all sessions?"))?;
    let act = async |session: &Session| session.guard.forget_devices(user).await.map(drop);
    change(target, output, user, "forget", "all devices were forgotten, and all sessions ended", act).await
}
