//! Database servers for the tests: started here, on Unix sockets, with data in a temporary folder.
//!
//! Each kind of server has one that all tests share, and which is started by the first of them. A test that stops its
//! server or changes its settings starts one of its own. If a server is not installed, the tests that need it say so
//! and pass, unless `CI` is set.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::guarded::report;

/// A server that is stopped when this is dropped, or when the process of the tests ends.
pub struct Server {
    kind: Kind,
    folder: PathBuf,
    settings: Vec<String>,
    running: Mutex<Option<Child>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Postgres,
    MariaDb,
    Redis,
    PgBouncer,
}

/// The server of this kind that all tests share.
pub fn shared(kind: Kind) -> Option<&'static Server> {
    static SERVERS: [OnceLock<Option<Server>>; 4] = [const { OnceLock::new() }; 4];
    let start = || match kind {
        Kind::PgBouncer => {
            Server::start(kind, "shared", &[&format!("* = host={}", shared(Kind::Postgres)?.socket_folder())])
        }
        _ => Server::start(kind, "shared", &[]),
    };
    SERVERS[kind as usize].get_or_init(start).as_ref()
}

impl Server {
    /// Starts a server with these settings in addition to the usual ones.
    pub fn start(kind: Kind, name: &str, settings: &[&str]) -> Option<Self> {
        let program = kind.program()?;
        let folder = root().join(format!("{kind:?}-{name}"));
        fs::create_dir_all(&folder).unwrap();
        give(&folder);
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let server = Self { kind, folder, settings, running: Mutex::new(None) };
        server.initialize(&program);
        server.restart();
        Some(server)
    }

    fn initialize(&self, program: &Path) {
        let folder = self.folder.to_str().unwrap();
        match self.kind {
            Kind::Postgres => {
                let mut init = unprivileged(&program.with_file_name("initdb"));
                init.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]);
                succeed(init.arg(self.folder.join("data")));
            }
            Kind::MariaDb => {
                let mut init = unprivileged(Path::new("mariadb-install-db"));
                init.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                succeed(init.arg(format!("--datadir={folder}/data")).arg(format!("--tmpdir={folder}")));
            }
            Kind::Redis => {}
            Kind::PgBouncer => {
                let settings = self.settings.join("\n");
                let file = format!(
                    "[databases]\n{settings} user=postgres\n[pgbouncer]\npool_mode = transaction\nauth_type = any\n\
                     unix_socket_dir = {folder}\nlisten_port = 5432\nlisten_addr =\ndefault_pool_size = 3\n\
                     max_client_conn = 200\nserver_reset_query_always = 0\n"
                );
                fs::write(self.folder.join("ini"), file).unwrap();
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = unprivileged(&self.kind.program().expect("it was found before"));
        let folder = self.folder.display();
        match self.kind {
            Kind::Postgres => {
                command.arg("-D").arg(self.folder.join("data")).arg("-k").arg(&self.folder);
                command.args(["-c", "listen_addresses=", "-c", "max_connections=60", "-c", "shared_buffers=16MB"]);
                command.args(self.settings.iter().flat_map(|setting| ["-c", setting]));
            }
            Kind::MariaDb => {
                command.args(["--no-defaults", "--skip-networking", "--innodb-buffer-pool-size=16M"]);
                command.arg(format!("--datadir={folder}/data")).arg(format!("--socket={}", self.socket().display()));
                command.arg(format!("--pid-file={folder}/own.pid")).arg(format!("--tmpdir={folder}"));
                command.args(self.settings.iter().map(|setting| format!("--{setting}")));
            }
            Kind::Redis => {
                command.args(["--port", "0", "--unixsocket"]).arg(self.socket()).arg("--dir").arg(&self.folder);
                command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
                command.args(self.settings.iter().flat_map(|setting| {
                    let (name, value) = setting.split_once('=').expect("name=value");
                    [format!("--{name}"), value.to_owned()]
                }));
            }
            Kind::PgBouncer => drop(command.arg(self.folder.join("ini"))),
        }
        command
    }

    /// Kills PostgreSQL, and starts it again as a standby without a primary.
    pub fn restart_as_standby(&self) {
        self.kill();
        fs::write(self.folder.join("data/standby.signal"), "").unwrap();
        self.restart();
    }

    /// Starts the server, unless it runs, and waits until it answers.
    pub fn restart(&self) {
        let mut running = self.lock();
        let log = || fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = self.command();
        // A group of its own, so that it can be killed as a whole.
        command.process_group(0).stdin(Stdio::null()).stdout(log()).stderr(log());
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            let ended = running.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            // PostgreSQL ends at once while processes of a server that was killed are still there.
            if ended {
                let _ = fs::remove_file(self.socket());
                let child = command.spawn().unwrap();
                fs::write(self.folder.join("pid"), child.id().to_string()).unwrap();
                *running = Some(child);
            } else if self.answers() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{:?} does not start: {}", self.kind, fs::read_to_string(self.folder.join("log")).unwrap());
    }

    /// PostgreSQL and Redis accept connections before they have recovered, and then refuse each request.
    fn answers(&self) -> bool {
        let Ok(mut socket) = UnixStream::connect(self.socket()) else { return false };
        match self.kind {
            Kind::Postgres => fs::read_to_string(self.folder.join("data/postmaster.pid"))
                .is_ok_and(|file| file.lines().nth(7).is_some_and(|status| status.trim() == "ready")),
            Kind::Redis => {
                let mut answer = [0; 5];
                socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                let asked = socket.write_all(b"PING\r\n").and_then(|()| socket.read_exact(&mut answer));
                asked.is_ok() && answer == *b"+PONG"
            }
            Kind::MariaDb | Kind::PgBouncer => true,
        }
    }

    /// `kill -9` of all its processes. Each child of PostgreSQL has a process group of its own.
    pub fn kill(&self) {
        let Some(mut child) = self.lock().take() else { return };
        let mut command = Command::new("kill");
        command.arg("-KILL").arg("--").args(children(child.id())).arg(format!("-{}", child.id()));
        let _ = command.stderr(Stdio::null()).status();
        let _ = child.wait();
        let _ = fs::remove_file(self.folder.join("pid"));
    }

    /// Stops or continues the server without ending it.
    pub fn pause(&self, paused: bool) {
        let mut command = Command::new("kill");
        command.arg(if paused { "-STOP" } else { "-CONT" }).arg("--").args(children(self.id())).arg(self.pid());
        let _ = command.stderr(Stdio::null()).status();
    }

    pub fn pid(&self) -> String {
        self.id().to_string()
    }

    fn id(&self) -> u32 {
        self.lock().as_ref().expect("it runs").id()
    }

    /// The URL of a database, or of the server if it has none.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.display();
        match self.kind {
            Kind::Postgres | Kind::PgBouncer => format!("postgres://postgres@localhost/{database}?host={folder}"),
            Kind::MariaDb => format!("mysql://root@localhost/{database}?socket={folder}/socket"),
            Kind::Redis => format!("unix://{folder}/socket?db={database}"),
        }
    }

    fn socket_folder(&self) -> String {
        self.folder.display().to_string()
    }

    fn socket(&self) -> PathBuf {
        self.folder.join(match self.kind {
            Kind::Postgres | Kind::PgBouncer => ".s.PGSQL.5432",
            Kind::MariaDb | Kind::Redis => "socket",
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Kind {
    /// Where the server is installed. Debian has no link to the programs of PostgreSQL.
    pub fn program(self) -> Option<PathBuf> {
        let name = match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadbd",
            Self::Redis => "redis-server",
            Self::PgBouncer => "pgbouncer",
        };
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
        folders.sort();
        folders.reverse();
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]));
        let found = folders.iter().map(|folder| folder.join(name)).find(|program| program.is_file());
        if found.is_none() {
            assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
            report(&format!("skipped: {name} is not installed"));
        }
        found
    }
}

/// The folder of all servers of this process.
///
/// A shell waits until the process has ended, however it does, then stops the servers and removes the folder. It is in
/// a session of its own, so that an interrupt from the keyboard does not reach it.
fn root() -> &'static Path {
    static ROOT: OnceLock<(PathBuf, Mutex<ChildStdin>)> = OnceLock::new();
    let (root, _) = ROOT.get_or_init(|| {
        let root = std::env::temp_dir().join(format!("keyfob-servers-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        give(&root);
        let mut shell = Command::new("setsid");
        shell.args(["sh", "-c", WATCH, "sh"]).arg(&root).stdin(Stdio::piped()).stdout(Stdio::null());
        let input = shell.stderr(Stdio::null()).spawn().unwrap().stdin.take().unwrap();
        (root, Mutex::new(input))
    });
    root
}

const WATCH: &str = r#"
cat >/dev/null
for signal in QUIT KILL; do
  for file in "$1"/*/pid; do [ -e "$file" ] && kill -s $signal -- "-$(cat "$file")"; done
  sleep 2
done
rm -rf "$1"
"#;

/// Three of the servers refuse to run as root.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into()]).arg(program);
    command
}

fn give(folder: &Path) {
    if is_root() {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

const NOBODY: u32 = 65534;

fn succeed(command: &mut Command) {
    let output = command.current_dir("/").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stdout));
}

fn children(process: u32) -> Vec<String> {
    let children = Command::new("pgrep").arg("-P").arg(process.to_string()).output().unwrap();
    String::from_utf8(children.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}
