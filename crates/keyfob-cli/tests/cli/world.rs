//! A folder, a store in it, and the program. Each output is searched for secrets.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;

use keyfob::store::SqliteStore;
use keyfob::{Guard, Keyring};
use serde_json::Value;

pub(crate) const OPERATOR: &str = "jane";

pub(crate) struct World {
    folder: PathBuf,
    variables: Vec<(String, String)>,
    secrets: Mutex<Vec<String>>,
}

impl World {
    /// A world with an empty SQLite database and one key, `2026`. It is in memory if the machine has a file system
    /// there: syncing twenty thousand changes to a disk takes a minute, and tests the disk.
    pub(crate) fn new(name: &str) -> Self {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let folder = parent.join(format!("keyfob-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let world = Self { folder, variables: Vec::new(), secrets: Mutex::default() };
        world.write("users.db", "");
        let url = world.url();
        world.with_key("2026").with_variable("KEYFOB_STORE", &url).with_variable("KEYFOB_OPERATOR", OPERATOR)
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.path("users.db").display())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Generates a key and makes it the primary one in the file `keys`.
    pub(crate) fn with_key(self, id: &str) -> Self {
        let key = Keyring::generate(id).unwrap();
        self.is_secret(key.split(':').nth(1).unwrap());
        let old = std::fs::read_to_string(self.path("keys")).unwrap_or_default();
        self.write("keys", format!("{}\n{old}", *key));
        self
    }

    /// No later output may contain this text.
    pub(crate) fn is_secret(&self, text: &str) {
        self.secrets.lock().unwrap().push(text.into());
    }

    /// The guard of the application, with the keys in the file.
    pub(crate) async fn application(&self) -> Guard<SqliteStore> {
        let store = SqliteStore::open(self.path("users.db")).await.unwrap();
        Guard::new(store, Keyring::parse(&self.read("keys")).unwrap(), "Example Inc")
    }

    /// Runs `keyfob` with these arguments, separated by spaces.
    pub(crate) fn run(&self, arguments: &str) -> Outcome {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with(&self, arguments: &str, input: &str) -> Outcome {
        let outcome = self.run_unchecked(arguments, input);
        if let Some(secret) = self.secret_in(&outcome) {
            panic!("keyfob {arguments} prints the secret {secret}");
        }
        outcome
    }

    /// Runs the program without searching the output for secrets.
    pub(crate) fn run_unchecked(&self, arguments: &str, input: &str) -> Outcome {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The program may have ended before it has read anything.
        let _ = std::io::Write::write_all(&mut stdin, input.as_bytes());
        drop(stdin);
        Outcome::of(child.wait_with_output().unwrap())
    }

    /// Starts the program. Its output goes into files, because nobody reads it while it runs.
    pub(crate) fn spawn(&self, arguments: &str) -> Child {
        let file = |name: &str| File::create(self.path(name)).unwrap();
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err")).spawn().unwrap()
    }

    /// Waits for a program that `spawn` has started.
    pub(crate) fn wait(&self, mut child: Child) -> Outcome {
        let code = child.wait().unwrap().code().unwrap_or(-1);
        Outcome { code, out: self.read("out"), err: self.read("err") }
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyfob"));
        command.args(arguments.split(' ').filter(|argument| !argument.is_empty()));
        for name in ["KEYS", "STORE", "OPERATOR", "POLICY", "LOG", "TABLE"] {
            command.env_remove(format!("KEYFOB_{name}"));
        }
        command.envs(self.variables.iter().cloned()).current_dir(&self.folder);
        command.env("COLUMNS", "80").stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn secret_in(&self, outcome: &Outcome) -> Option<String> {
        let secrets = self.secrets.lock().unwrap();
        secrets.iter().find(|secret| outcome.out.contains(*secret) || outcome.err.contains(*secret)).cloned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Standard output or standard error contains this text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "no {text:?} in {self:#?}");
        self
    }

    /// Each line of standard output is JSON, and the README names each of its fields.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        let lines: Vec<Value> = self.out.lines().map(parse).collect();
        lines.iter().for_each(check_fields);
        lines
    }
}

fn check_fields(value: &Value) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let readme = include_str!("../../README.md");
            assert!(readme.contains(&format!("`{name}`")), "the README does not have the field {name}");
            check_fields(value);
        }),
        Value::Array(values) => values.iter().for_each(check_fields),
        _ => {}
    }
}

/// Runs an asynchronous part of a test.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
