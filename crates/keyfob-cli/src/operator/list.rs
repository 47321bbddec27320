//! `keyfob list` and `keyfob notices`: all accounts of a store, page by page.

use clap::Args;
use keyfob::Guard;
use keyfob::Strength;
use keyfob::guard::{GuardError, Status};
use keyfob::store::Accounts as _;
use serde::Serialize;

use crate::exit::{Exit, Failure, chain, exit_of};
use crate::operator::status::{Told, state};
use crate::output::{Output, time};
use crate::session::StoreArguments;
use crate::store::Database;

/// List the accounts that have a record
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob list --limit 100                    # the first page
  keyfob list --limit 100 --after user-100   # the next one
  keyfob list --key 2026                     # who still needs this key?
  keyfob list --weak --json | jq -r .user    # who should enroll again?

Without --status and without a filter, only the names are read. The accounts are in the order of their names, as the \
store sorts them. If no account is found, the exit code is 1.")]
pub(crate) struct List {
    /// Begin after this account
    #[arg(long, value_name = "USER", default_value = "")]
    after: String,

    /// Stop after this many accounts
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,

    /// Also show the state of each account
    #[arg(long)]
    status: bool,

    /// Only accounts with a secret that is sealed under this key
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    key: Option<String>,

    /// Only suspended accounts
    #[arg(long, help_heading = "Filters")]
    suspended: bool,

    /// Only accounts with an authenticator whose secret has less than 112 bits
    #[arg(long, help_heading = "Filters")]
    weak: bool,

    #[command(flatten)]
    store: StoreArguments,
}

/// List what users have not been told yet
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob notices
  keyfob notices --json | jq -r .user | sort -u

A policy with `\"notices\": true` keeps a notice in the record until the application has told the user, for example \
by email. A notice that is still listed after a few minutes was probably lost in a crash. If there is no notice, the \
exit code is 0 and nothing is printed.")]
pub(crate) struct Notices {
    /// Only this user
    user: Option<String>,

    #[command(flatten)]
    store: StoreArguments,
}

/// The JSON of a line of `keyfob list`.
#[derive(Serialize)]
struct Account<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<&'a str>>,
}

/// The JSON of a line of `keyfob notices`.
#[derive(Serialize)]
struct Pending<'a> {
    user: &'a str,
    #[serde(flatten)]
    notice: Told,
}

pub(crate) async fn list(arguments: &List, output: &Output) -> Result<Exit, Failure> {
    let guard = arguments.store.open().await?;
    let answer = list_on(&guard, arguments, output).await;
    guard.store().close().await;
    answer
}

async fn list_on(guard: &Guard<Database>, arguments: &List, output: &Output) -> Result<Exit, Failure> {
    let needs_status = arguments.status || arguments.suspended || arguments.weak || arguments.key.is_some();
    let mut pages = Pages { guard, after: arguments.after.clone() };
    let (mut found, mut worst) = (0, Exit::Done);
    while let Some(page) = pages.next().await? {
        for user in page {
            if arguments.limit == Some(found) {
                return Ok(worst);
            }
            let status = if needs_status { Some(guard.status(&user).await) } else { None };
            match status {
                None => output
                    .result(&Account { user: &user, active: None, suspended: None, keys: None }, || user.clone())?,
                Some(Ok(status)) if arguments.matches(&status) => {
                    let account = Account {
                        user: &user,
                        active: Some(status.is_active()),
                        suspended: Some(status.is_suspended()),
                        keys: Some(status.keys().iter().map(|key| key.as_str()).collect()),
                    };
                    output.result(&account, || match arguments.status {
                        true => format!("{user}: {}", state(&status)),
                        false => user.clone(),
                    })?;
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => {
                    worst = worst.max(report(output, &user, &error));
                    continue;
                }
            }
            found += 1;
        }
    }
    Ok(if found == 0 { worst.max(Exit::Refused) } else { worst })
}

impl List {
    fn matches(&self, status: &Status) -> bool {
        let needs = |key: &String| status.keys().iter().any(|needed| needed.as_str() == key);
        let is_weak = || status.authenticators().iter().any(|found| found.strength() == Strength::Weak);
        self.key.as_ref().is_none_or(needs) && (!self.suspended || status.is_suspended()) && (!self.weak || is_weak())
    }
}

pub(crate) async fn notices(arguments: &Notices, output: &Output) -> Result<Exit, Failure> {
    let guard = arguments.store.open().await?;
    let answer = notices_on(&guard, arguments.user.as_deref(), output).await;
    guard.store().close().await;
    answer
}

async fn notices_on(guard: &Guard<Database>, user: Option<&str>, output: &Output) -> Result<Exit, Failure> {
    if let Some(user) = user {
        print(output, user, &guard.status(user).await?)?;
        return Ok(Exit::Done);
    }
    let mut pages = Pages { guard, after: String::new() };
    let mut worst = Exit::Done;
    while let Some(page) = pages.next().await? {
        for user in page {
            match guard.status(&user).await {
                Ok(status) => print(output, &user, &status)?,
                Err(error) => worst = worst.max(report(output, &user, &error)),
            }
        }
    }
    Ok(worst)
}

fn print(output: &Output, user: &str, status: &Status) -> Result<(), Failure> {
    status.notices().iter().try_for_each(|notice| {
        let notice = Told::of(*notice);
        let text = format!("{user}: {} at {}", notice.kind, time(notice.at));
        output.result(&Pending { user, notice }, || text)
    })
}

/// Reports an account that cannot be read. The others are listed nevertheless.
fn report(output: &Output, user: &str, error: &GuardError) -> Exit {
    output.note(&format!("keyfob: {user}: {}", chain(error)));
    exit_of(error)
}

/// The names of the accounts, in pages.
struct Pages<'a> {
    guard: &'a Guard<Database>,
    after: String,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<String>>, Failure> {
        let page = self.guard.store().accounts(&self.after, PAGE).await;
        let page = page.map_err(|error| Failure::failed(format_args!("the store: {}", chain(&*error))))?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after.clone_from(last);
        Ok(Some(page))
    }
}

const PAGE: u32 = 1000;
