//! The arguments that all commands for operators share, and the guard that they open.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use keyfob::guard::{Event, EventKind, OperatorId};
use keyfob::store::StoreOptions;
use keyfob::{Guard, Keyring, Policy};
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::input;
use crate::output::Output;
use crate::store::{self, Database};

/// The arguments that select the store and the policy. Commands that only read need no more than these.
#[derive(Args, Debug)]
pub(crate) struct StoreArguments {
    /// The URL of the store [env: KEYFOB_STORE]
    ///
    /// For example sqlite:///var/lib/app/users.db, postgres://app@db.example.com/app, mysql://app@db.example.com/app or
    /// redis://cache.example.com/0. A URL with a password is accepted only in the environment variable
    /// KEYFOB_STORE, because every user of the machine can read arguments.
    #[arg(long, value_name = "URL", help_heading = "Store")]
    store: Option<String>,

    /// The table of the store, as `table` or `schema.table` [env: KEYFOB_TABLE]
    #[arg(long, value_name = "NAME", help_heading = "Store")]
    table: Option<String>,

    /// Accept a managed Redis service that hides whether it keeps acknowledged changes
    #[arg(long, help_heading = "Store", hide_short_help = true)]
    trust_unreadable_settings: bool,

    /// Accept a server that may lose acknowledged changes, such as a test database
    #[arg(long, help_heading = "Store", hide_short_help = true)]
    allow_lost_changes: bool,

    /// A file with the policy of your servers, in JSON [env: KEYFOB_POLICY]
    ///
    /// Without it, the default policy applies. Give the file that your servers use: a strict policy refuses to unlock
    /// accounts, and a policy with notices keeps a notice for each change.
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    policy: Option<PathBuf>,
}

/// The arguments of a command that changes something: the store, the operator and the log.
#[derive(Args, Debug)]
pub(crate) struct ChangeArguments {
    #[command(flatten)]
    store: StoreArguments,

    /// Your name, which each event mentions [env: KEYFOB_OPERATOR]
    #[arg(long, value_name = "NAME", help_heading = "Operator")]
    operator: Option<String>,

    /// Append each event to this file instead of printing it on standard error [env: KEYFOB_LOG]
    #[arg(long, value_name = "FILE", help_heading = "Operator")]
    log: Option<PathBuf>,
}

/// The keys, for the commands that seal a secret or sign a token. All others work without the keys, so a support desk
/// does not need them.
#[derive(Args, Debug)]
pub(crate) struct KeyArguments {
    /// A file with the keys of your servers; otherwise, the environment variable KEYFOB_KEYS has them
    ///
    /// The keys are never arguments, because every user of the machine can read arguments. The format is that of
    /// `keyfob keygen`: entries of the form id:key, separated by commas or white space. The first key is the primary
    /// key.
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    keys_file: Option<PathBuf>,
}

/// An open store, with a guard on it.
pub(crate) struct Session {
    pub(crate) guard: Arc<Guard<Database>>,
    pub(crate) operator: OperatorId,
    /// The store's URL, without a password.
    pub(crate) store: String,
    pub(crate) policy: Policy,
    pub(crate) keyring: Keyring,
    log: Arc<Log>,
}

impl StoreArguments {
    /// Opens the store for a command that only reads. It needs no keys and no operator.
    pub(crate) async fn open(&self) -> Result<Guard<Database>, Failure> {
        Ok(Guard::new(self.database().await?.1, placeholder()?, ISSUER).with_policy(self.policy()?))
    }

    async fn database(&self) -> Result<(String, Database), Failure> {
        let url = match &self.store {
            Some(url) if store::has_password(url) => {
                return Err(Failure::usage(
                    "--store contains a password, and every user of the machine can read arguments; \
                     put the URL into the environment variable KEYFOB_STORE",
                ));
            }
            Some(url) => Zeroizing::new(url.clone()),
            None => variable("KEYFOB_STORE").ok_or_else(|| {
                Failure::usage("no store is given; use --store or the environment variable KEYFOB_STORE")
            })?,
        };
        let mut options = StoreOptions::new();
        let mut name = store::without_password(&url);
        if let Some(table) = self.table.clone().or_else(|| variable("KEYFOB_TABLE").map(|table| table.to_string())) {
            options = options.with_table(&table).map_err(Failure::usage)?;
            name.push_str(&format!(", table {table}"));
        }
        if self.trust_unreadable_settings {
            options = options.trust_unreadable_settings();
        }
        if self.allow_lost_changes {
            options = options.allow_lost_changes();
        }
        Ok((name, Database::open(&url, options).await?))
    }

    fn policy(&self) -> Result<Policy, Failure> {
        let Some(path) = path(self.policy.as_deref(), "KEYFOB_POLICY") else { return Ok(Policy::default()) };
        let file = input::read(&path)?;
        serde_json::from_slice(&file).map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))
    }
}

impl ChangeArguments {
    /// Opens the store for a change that needs no keys.
    pub(crate) async fn open(&self, output: &Output) -> Result<Session, Failure> {
        self.open_with(output, placeholder()?).await
    }

    /// Opens the store for a change that seals a secret or signs a token.
    pub(crate) async fn open_with_keys(&self, keys: &KeyArguments, output: &Output) -> Result<Session, Failure> {
        self.open_with(output, keys.read()?).await
    }

    async fn open_with(&self, output: &Output, keyring: Keyring) -> Result<Session, Failure> {
        let operator = self.operator.clone().or_else(|| variable("KEYFOB_OPERATOR").map(|name| name.to_string()));
        let operator = operator
            .ok_or_else(|| Failure::usage("who are you? use --operator or the environment variable KEYFOB_OPERATOR"))?;
        let operator = OperatorId::new(&operator).map_err(Failure::usage)?;
        let log = Arc::new(Log::open(path(self.log.as_deref(), "KEYFOB_LOG"), &operator, output)?);
        let listener = Arc::clone(&log);
        let policy = self.store.policy()?;
        let (store, database) = self.store.database().await?;
        let guard = Guard::new(database, keyring.clone(), ISSUER)
            .with_policy(policy.clone())
            .with_sleep(tokio::time::sleep)
            .with_events(move |event| listener.write(event));
        Ok(Session { guard: Arc::new(guard), operator, store, policy, keyring, log })
    }
}

impl KeyArguments {
    fn read(&self) -> Result<Keyring, Failure> {
        let keyring = match &self.keys_file {
            Some(path) => Keyring::parse(&input::text(input::read(path)?)?),
            None => Keyring::from_env("KEYFOB_KEYS"),
        };
        keyring.map_err(|error| {
            Failure::failed(format_args!("{error}; the keys come from --keys-file or from KEYFOB_KEYS"))
        })
    }
}

impl Session {
    /// The number of events about changes so far. A change that was not necessary sends no event.
    pub(crate) fn changes(&self) -> u64 {
        self.log.changes.load(Ordering::Relaxed)
    }

    /// Closes the store and the log. An event that could not be written is an error even if the change was made.
    pub(crate) async fn close<T>(self, answer: Result<T, impl Into<Failure>>) -> Result<T, Failure> {
        self.guard.store().close().await;
        let logged = self.log.close();
        let answer = answer.map_err(Into::into)?;
        logged.map(|()| answer)
    }
}

/// Receives the events.
struct Log {
    file: Option<(PathBuf, Mutex<File>)>,
    operator: OperatorId,
    output: Output,
    changes: AtomicU64,
    broken: AtomicBool,
}

impl Log {
    /// Opens the file before anything is changed, so that no change goes unlogged.
    fn open(path: Option<PathBuf>, operator: &OperatorId, output: &Output) -> Result<Self, Failure> {
        let open = |path: PathBuf| {
            let file = OpenOptions::new().append(true).create(true).open(&path);
            file.map(|file| (path.clone(), Mutex::new(file))).map_err(|error| Failure::file(&path, &error))
        };
        Ok(Self {
            file: path.map(open).transpose()?,
            operator: operator.clone(),
            output: output.clone(),
            changes: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        })
    }

    fn write(&self, event: &Event) {
        if !matches!(event.kind(), EventKind::Failed { .. } | EventKind::Unacknowledged { .. }) {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
        // Every event here has this operator as its cause, even if it is one that the library sends without a name.
        let line =
            format!("{} user={:?} operator={:?} {:?}", event.at(), event.user(), self.operator.as_str(), event.kind());
        if let Some((_, file)) = &self.file {
            // One call for the whole line, so that lines of several programs do not mix.
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if file.write_all(format!("{line}\n").as_bytes()).is_ok() {
                return;
            }
            self.broken.store(true, Ordering::Relaxed);
        }
        self.output.note(&line);
    }

    fn close(&self) -> Result<(), Failure> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        let synced = file.lock().unwrap_or_else(PoisonError::into_inner).sync_data();
        if self.broken.load(Ordering::Relaxed) || (synced.is_err() && path.is_file()) {
            return Err(Failure::failed(format_args!(
                "{}: an event could not be written to the log, but the change was made",
                path.display()
            )));
        }
        Ok(())
    }
}

/// A keyring for the commands that use no key. It makes sure that they cannot use one by mistake: no secret can be
/// opened with a key that was generated a moment ago.
fn placeholder() -> Result<Keyring, Failure> {
    Ok(Keyring::parse(&Keyring::generate("placeholder")?)?)
}

/// An environment variable that is set and not empty.
fn variable(name: &str) -> Option<Zeroizing<String>> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new)
}

fn path(argument: Option<&Path>, name: &str) -> Option<PathBuf> {
    argument.map(PathBuf::from).or_else(|| variable(name).map(|path| PathBuf::from(path.as_str())))
}

/// Only an enrollment uses the issuer, and this tool enrolls nobody.
const ISSUER: &str = "";
