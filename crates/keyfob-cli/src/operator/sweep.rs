//! `keyfob reseal` and `keyfob invalidate`: a change to one account or to all of them.

mod state;

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use keyfob::Guard;
use keyfob::guard::{GuardError, GuardErrorKind, Invalidation, Status};
use keyfob::store::Accounts as _;
use serde::Serialize;
use tokio::task::JoinHandle;

use self::state::{Position, State};
use crate::exit::{Exit, Failure, chain, exit_of};
use crate::input::confirm;
use crate::interrupt::Interrupt;
use crate::output::{Output, count, time};
use crate::session::{ChangeArguments, KeyArguments, Session};
use crate::store::Database;

/// Which accounts a sweep visits, and how it goes on after an interrupt.
#[derive(Args, Debug)]
struct Target {
    /// One user, as your application calls the account
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    user: Option<String>,

    /// All accounts
    #[arg(long, help_heading = "All accounts")]
    all: bool,

    /// Continue an interrupted run
    #[arg(long, requires = "all", help_heading = "All accounts")]
    resume: bool,

    /// Where to keep the position of an unfinished run [default: keyfob-COMMAND.state]
    #[arg(long, value_name = "FILE", requires = "all", help_heading = "All accounts")]
    state: Option<PathBuf>,

    /// How many accounts to process at the same time [default: 1 for SQLite, which has one writer; otherwise 8]
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "all",
        help_heading = "All accounts",
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    jobs: Option<u16>,
}

/// Seal secrets under the primary key
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob reseal --all --keys-file /run/secrets/keyfob --log reseal.log
  keyfob reseal --all --resume               # after Ctrl-C or a failure
  keyfob reseal user-17

Rotate a key in this order: add the new key at the end of the keys on all servers; move it to the front on all \
servers; run this command; remove the old key once `keyfob list --key OLD` finds nobody. The application keeps \
running. Accounts that are sealed under the primary key already are not changed.")]
pub(crate) struct Reseal {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    change: ChangeArguments,

    #[command(flatten)]
    keys: KeyArguments,
}

/// Refuse codes that may have been used, after restoring a backup
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob invalidate --all --log restore.log
  keyfob invalidate --all --recent           # shorter lockout, with gaps
  keyfob invalidate user-17 --json

A restored database does not show which codes were used since the backup. Run this before users can log in again. \
Codes from apps are refused for 81 minutes by default, codes from HOTP tokens for good, and recovery codes become \
void. All devices are forgotten, and all sessions end. With --recent, codes from apps are refused for at most two \
minutes, but HOTP codes, recovery codes and the codes of resynchronized apps can be replayed if they were used after \
the backup.

This needs no keys. If the backup is from before a key rotation, run `keyfob reseal --all` as well.")]
pub(crate) struct Invalidate {
    #[command(flatten)]
    target: Target,

    /// Refuse app codes only up to the end of the current window, and keep HOTP and recovery codes
    #[arg(long)]
    recent: bool,

    #[command(flatten)]
    change: ChangeArguments,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn reseal(arguments: &Reseal, output: &Output) -> Result<Exit, Failure> {
    let session = arguments.change.open_with_keys(&arguments.keys, output).await?;
    let primary = session.keyring.primary().to_string();
    let visit = |guard: Arc<Guard<Database>>, user: String| {
        let primary = primary.clone();
        async move {
            let resealed = guard.reseal(&user).await;
            let needed = match &resealed {
                Ok(_) => BTreeSet::from([primary]),
                // The key that is missing is one of those that the account needs.
                Err(_) => guard.status(&user).await.map(|status| keys(&status)).unwrap_or_default(),
            };
            let line = |resealed: bool| resealed.then(|| Line { resealed: Some(true), ..Line::default() });
            Visit { keys: needed, answer: resealed.map(line) }
        }
    };
    let sweep = Sweep { command: "reseal", verb: "Resealing", done: "resealed", output, session: &session };
    let answer = sweep.run(&arguments.target, visit).await;
    session.close(answer).await
}

pub(crate) async fn invalidate(arguments: &Invalidate, output: &Output) -> Result<Exit, Failure> {
    let target = &arguments.target;
    let whose = target.user.clone().unwrap_or_else(|| "all accounts".into());
    confirm(arguments.yes, &format!("Invalidate the codes of {whose}? Users cannot log in with an app for a while."))?;
    let session = arguments.change.open(output).await?;
    let (operator, recent) = (session.operator.clone(), arguments.recent);
    let visit = move |guard: Arc<Guard<Database>>, user: String| {
        let operator = operator.clone();
        async move {
            let answer = match recent {
                true => guard.operator_invalidate_recent_codes(&user, &operator).await,
                false => guard.operator_invalidate_codes(&user, &operator).await,
            };
            let answer = match answer {
                Ok(invalidation) => Ok(Some(Line::invalidated(&invalidation))),
                // The record holds nothing to invalidate.
                Err(error) if error.kind() == GuardErrorKind::NotEnrolled => Ok(None),
                Err(error) => Err(error),
            };
            Visit { keys: BTreeSet::new(), answer }
        }
    };
    let sweep = Sweep { command: "invalidate", verb: "Invalidating", done: "invalidated", output, session: &session };
    let answer = sweep.run(target, visit).await;
    session.close(answer).await
}

fn keys(status: &Status) -> BTreeSet<String> {
    status.keys().iter().map(ToString::to_string).collect()
}

/// The outcome for one account.
struct Visit {
    /// The keys that the account still needs.
    keys: BTreeSet<String>,
    /// What to print, or `None` if nothing was changed.
    answer: Result<Option<Line>, GuardError>,
}

/// The JSON of an account that was changed, or that failed.
#[derive(Default, Serialize)]
struct Line {
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resealed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invalidated: Option<Invalidated>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Invalidated {
    usable_at: Option<u64>,
    to_replace: Vec<String>,
    to_check: Vec<String>,
    recovery_codes_voided: u8,
}

impl Line {
    fn invalidated(invalidation: &Invalidation) -> Self {
        let ids = |ids: &[keyfob::guard::AuthenticatorId]| ids.iter().map(|id| id.as_str().into()).collect();
        let invalidated = Invalidated {
            usable_at: invalidation.usable_at(),
            to_replace: ids(invalidation.to_replace()),
            to_check: ids(invalidation.to_check()),
            recovery_codes_voided: invalidation.recovery_codes_voided(),
        };
        Self { invalidated: Some(invalidated), ..Self::default() }
    }

    /// What somebody still has to do for the account. For a sweep, that is all that the text shows.
    fn to_do(&self) -> String {
        let user = &self.user;
        let Some(invalidated) = &self.invalidated else { return String::new() };
        let mut parts = Vec::new();
        if !invalidated.to_replace.is_empty() {
            parts.push(format!("replace {}", invalidated.to_replace.join(", ")));
        }
        if invalidated.recovery_codes_voided > 0 {
            let codes = count(invalidated.recovery_codes_voided.into(), "recovery code", "recovery codes");
            parts.push(format!("make new recovery codes ({codes} became void)"));
        }
        if parts.is_empty() { String::new() } else { format!("{user}: {}", parts.join("; ")) }
    }

    fn text(&self) -> String {
        let user = &self.user;
        match &self.invalidated {
            None => format!("{user}: resealed under the primary key"),
            Some(invalidated) => {
                let usable = invalidated.usable_at.map(|at| format!("; app codes are accepted from {}", time(at)));
                let to_do = self.to_do();
                let to_do = if to_do.is_empty() { to_do } else { format!("\n{to_do}") };
                format!("{user}: invalidated{}{to_do}", usable.unwrap_or_default())
            }
        }
    }
}

/// The last line of a sweep.
#[derive(Serialize)]
struct Summary<'a> {
    command: &'static str,
    interrupted: bool,
    #[serde(flatten)]
    position: &'a Position,
}

struct Sweep<'a> {
    command: &'static str,
    verb: &'static str,
    done: &'static str,
    output: &'a Output,
    session: &'a Session,
}

impl Sweep<'_> {
    async fn run<F, V>(&self, target: &Target, visit: F) -> Result<Exit, Failure>
    where
        F: Fn(Arc<Guard<Database>>, String) -> V,
        V: Future<Output = Visit> + Send + 'static,
    {
        match &target.user {
            Some(user) => self.single(user, visit(Arc::clone(&self.session.guard), user.clone()).await),
            None => self.all(target, visit).await,
        }
    }

    fn single(&self, user: &str, visit: Visit) -> Result<Exit, Failure> {
        let line = Line { user: user.into(), ..visit.answer?.unwrap_or_default() };
        let changed = self.session.changes() > 0;
        self.output.result(&line, || if changed { line.text() } else { format!("{user}: nothing to change") })?;
        Ok(Exit::Done)
    }

    /// Visits all accounts in the order of their names, several at a time. After each page, the position is written to
    /// the state file, so that even a killed run can be continued. Accounts after that position may have been visited
    /// already; a second visit does no harm.
    async fn all<F, V>(&self, target: &Target, visit: F) -> Result<Exit, Failure>
    where
        F: Fn(Arc<Guard<Database>>, String) -> V,
        V: Future<Output = Visit> + Send + 'static,
    {
        let state = State::open(self.command, target.state.as_deref(), target.resume, &self.session.store)?;
        let mut position = state.position()?;
        let interrupt = Interrupt::listen(self.output)?;
        let mut progress = self.output.progress(self.verb, None);
        progress.set(position.accounts);
        let guard = &self.session.guard;
        let jobs = usize::from(target.jobs.unwrap_or(guard.store().jobs()));
        let mut running: VecDeque<(String, JoinHandle<Visit>)> = VecDeque::new();
        let mut stopped = None;
        while stopped.is_none() {
            let page = match guard.store().accounts(&position.after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    stopped = Some(Failure::failed(format_args!("the store: {}", chain(&*error))));
                    break;
                }
            };
            if page.is_empty() {
                break;
            }
            for user in page {
                if interrupt.is_requested() {
                    stopped = Some(Failure { exit: Exit::Interrupted, message: "interrupted".into() });
                    break;
                }
                running.push_back((user.clone(), tokio::spawn(visit(Arc::clone(guard), user))));
                if running.len() >= jobs
                    && let Some(visit) = running.pop_front()
                {
                    stopped = self.finish(visit, &mut position).await.err();
                    progress.set(position.accounts);
                    if stopped.is_some() {
                        break;
                    }
                }
            }
            while let Some(visit) = running.pop_front() {
                // Once one has failed, the position must not move past it, but the others must not be cut off either.
                let mut beyond = position.clone();
                let position = if stopped.as_ref().is_some_and(|stopped| stopped.exit == Exit::Failed) {
                    &mut beyond
                } else {
                    &mut position
                };
                let failure = self.finish(visit, position).await.err();
                stopped = failure.or(stopped);
            }
            progress.set(position.accounts);
            state.save(&position)?;
        }
        drop(progress);
        self.summarize(&position, stopped.as_ref().is_some_and(|stopped| stopped.exit == Exit::Interrupted))?;
        match stopped {
            Some(failure) => Err(Failure {
                exit: failure.exit,
                message: format!(
                    "{}; the position is in {}. Run the same command with --resume to continue",
                    failure.message,
                    state.path().display()
                ),
            }),
            None => {
                state.remove()?;
                Ok(position.worst())
            }
        }
    }

    /// Waits for an account, prints it and moves the position past it. If the store failed, so would the next account.
    async fn finish(&self, visit: (String, JoinHandle<Visit>), position: &mut Position) -> Result<(), Failure> {
        let (user, visit) = visit;
        let visit = visit.await.map_err(|error| Failure::failed(format_args!("{user}: {error}")))?;
        let line = match visit.answer {
            Err(error) if error.kind() == GuardErrorKind::Store => {
                return Err(Failure::failed(format_args!("{user}: {}", chain(&error))));
            }
            Err(error) => {
                position.failed(exit_of(&error) == Exit::Failed);
                let message = chain(&error);
                if !self.output.is_json() {
                    self.output.note(&format!("keyfob: {user}: {message}"));
                }
                Some(Line { error: Some(message), ..Line::default() })
            }
            Ok(line) => line,
        };
        position.accounts += 1;
        position.needed_keys.extend(visit.keys);
        position.after.clone_from(&user);
        let Some(line) = line else { return Ok(()) };
        position.changed += u64::from(line.error.is_none());
        let line = Line { user, ..line };
        self.output.result(&line, || line.to_do())
    }

    fn summarize(&self, position: &Position, interrupted: bool) -> Result<(), Failure> {
        let summary = Summary { command: self.command, interrupted, position };
        self.output.result(&summary, || {
            let accounts = count(position.accounts, "account", "accounts");
            let mut text = format!("{accounts}: {} {}, {} failed", position.changed, self.done, position.failed);
            if !position.needed_keys.is_empty() {
                let keys: Vec<&str> = position.needed_keys.iter().map(String::as_str).collect();
                text.push_str(&format!("\nkeys that are still needed: {}", keys.join(", ")));
            }
            text
        })
    }
}

const PAGE: u32 = 500;
