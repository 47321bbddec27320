//! Servers that are slow, full, read-only, restarting, or out of connections, while clients work.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use keyfob::store::{Store, StoreOptions};

use crate::database::{self, Database};
use crate::kills::clients;
use crate::load::Load;
use crate::progress::{Outcome, Progress};
use crate::servers::{Kind, Server};

/// One server and its clients, through all outages.
struct World<'a> {
    kind: Kind,
    server: Server,
    url: String,
    load: Load,
    stores: Vec<Database>,
    progress: &'a Progress,
    did: Vec<String>,
}

/// Whether the clients may be told of acceptances and changes during an outage.
#[derive(Clone, Copy, PartialEq)]
enum During {
    None,
    Some,
}

pub async fn outages(kind: Kind, progress: &Progress) -> Outcome {
    let mut world = World::new(kind, "outages", &[], progress).await;
    world.stopped().await;
    world.slow().await;
    world.read_only().await;
    world.out_of_connections().await;
    if kind == Kind::Redis {
        world.memory().await;
    }
    world.restarts().await;
    let mut did = world.end().await;
    if crate::is_private() {
        did.extend(full_disk(kind, progress).await);
    } else {
        did.push("disk full: skipped, because it needs root".into());
    }
    Outcome { did: did.join("; "), control: String::new() }
}

impl<'a> World<'a> {
    async fn new(kind: Kind, name: &str, settings: &[&str], progress: &'a Progress) -> Self {
        let server = database::blocking(|| database::start(kind, name, settings));
        let mut url = server.url(&database::create(&server, kind).await);
        if kind == Kind::MariaDb {
            // An administrator may write to a server that is read-only, and has a connection in reserve.
            let database = url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
            let grant = format!("CREATE USER app@localhost; GRANT ALL ON {database}.* TO app@localhost");
            database::command(kind, &database::whole(&server, kind), &grant).await.unwrap();
            url = url.replace("root@", "app@");
        }
        if kind == Kind::Postgres {
            // A superuser has connections in reserve.
            let database = url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
            let grant = format!("CREATE ROLE app LOGIN; ALTER DATABASE {database} OWNER TO app");
            database::command(kind, &database::whole(&server, kind), &grant).await.unwrap();
            url = url.replace("postgres@", "app@");
        }
        let stores = clients(kind, &url, &StoreOptions::new()).await;
        let load = Load::start(stores.clone()).await;
        load.wait_for(20).await;
        load.ledger.clear_failures();
        Self { kind, server, url, load, stores, progress, did: Vec::new() }
    }

    /// Runs a command as an administrator, until the server is there to run it.
    async fn administer(&self, command: &str) {
        let url = database::whole(&self.server, self.kind);
        let started = Instant::now();
        while let Err(error) = database::command(self.kind, &url, command).await {
            assert!(started.elapsed() < Duration::from_secs(30), "{command}: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets the clients go on for a moment, and counts what they were told.
    async fn last(&self, milliseconds: u64, during: During, name: &str) -> String {
        // What was under way before the outage may still be answered.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let told = || self.load.ledger.acceptances() + self.load.ledger.changes();
        let before = told();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        let told = told() - before;
        assert!(during == During::Some || told == 0, "{name}: {told} acknowledged during the outage");
        if during == During::Some { format!(", {told} acknowledged") } else { String::new() }
    }

    /// Waits until all clients work again, and notes what they met.
    async fn recovered(&mut self, name: &str, told: String, must_fail: bool) {
        let started = Instant::now();
        self.load.wait_for(10).await;
        let took = started.elapsed().as_millis();
        let (causes, failures) = (self.load.ledger.causes(), self.load.ledger.clear_failures());
        assert!(!must_fail || failures > 0, "{name}: no request failed, so there was no outage");
        self.load.ledger.check();
        let causes = if failures > 0 { format!(" ({causes})") } else { String::new() };
        let line = format!("{name}: {failures} requests failed{causes}{told}, recovered in {took} ms");
        self.progress.say(line.clone());
        self.did.push(line);
    }

    async fn stopped(&mut self) {
        database::blocking(|| self.server.pause(true));
        let told = self.last(1500, During::None, "stopped").await;
        database::blocking(|| self.server.pause(false));
        self.recovered("stopped for 1.6 s", told, true).await;
    }

    async fn slow(&mut self) {
        let started = Instant::now();
        let told = || self.load.ledger.acceptances() + self.load.ledger.changes();
        let before = told();
        while started.elapsed() < Duration::from_secs(3) {
            database::blocking(|| self.server.pause(true));
            tokio::time::sleep(Duration::from_millis(300)).await;
            database::blocking(|| self.server.pause(false));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let told = format!(", {} acknowledged", told() - before);
        self.recovered("slow for 3 s (20 ms of each 320)", told, false).await;
    }

    async fn read_only(&mut self) {
        let (on, off): (&[&str], &[&str]) = match self.kind {
            Kind::MariaDb => (&["SET GLOBAL read_only = 1"], &["SET GLOBAL read_only = 0"]),
            Kind::Redis => (&["CONFIG SET min-replicas-to-write 1"], &["CONFIG SET min-replicas-to-write 0"]),
            _ => (
                &["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
                &["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"],
            ),
        };
        for command in on {
            self.administer(command).await;
        }
        let told = self.last(1000, During::None, "read-only").await;
        for command in off {
            self.administer(command).await;
        }
        self.recovered("read-only for 1.2 s", told, true).await;
        if self.kind == Kind::Redis {
            self.administer("REPLICAOF 127.0.0.1 1").await;
            let told = self.last(1000, During::None, "replica").await;
            self.administer("REPLICAOF NO ONE").await;
            self.recovered("a replica for 1.2 s", told, true).await;
        }
    }

    /// Other clients take all connections, and those of the store are cut.
    async fn out_of_connections(&mut self) {
        let name = "out of connections for 1.2 s";
        let url = self.url.clone();
        match self.kind {
            Kind::Redis => {
                let client = redis::Client::open(url).unwrap();
                let mut own = client.get_multiplexed_async_connection().await.unwrap();
                let mut run = async |words: &str| {
                    let mut command = redis::Cmd::new();
                    for word in words.split(' ') {
                        command.arg(word);
                    }
                    command.query_async::<redis::Value>(&mut own).await.unwrap();
                };
                run("CONFIG SET maxclients 1").await;
                run("CLIENT KILL TYPE normal SKIPME yes").await;
                let told = self.last(1000, During::None, name).await;
                run("CONFIG SET maxclients 10000").await;
                self.recovered(name, told, true).await;
            }
            Kind::MariaDb => {
                use sqlx::{Connection, MySqlConnection};
                self.administer("SET GLOBAL max_connections = 12").await;
                let mut held = Vec::new();
                let cut =
                    "SELECT GROUP_CONCAT(id) FROM information_schema.processlist WHERE user = 'app' AND id NOT IN";
                let whole = database::whole(&self.server, self.kind);
                let started = Instant::now();
                let mut ids = vec![0_u64];
                // Until the clients have lost each of their connections, and all are taken.
                while started.elapsed() < Duration::from_millis(800) {
                    while let Ok(mut connection) = MySqlConnection::connect(&self.url).await {
                        ids.push(
                            sqlx::query_scalar("SELECT CONNECTION_ID()").fetch_one(&mut connection).await.unwrap(),
                        );
                        held.push(connection);
                    }
                    let list = ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
                    let others = database::command(self.kind, &whole, &format!("{cut} ({list})")).await;
                    for id in others.unwrap_or_default().split(',').filter(|id| !id.is_empty()) {
                        let _ = database::command(self.kind, &whole, &format!("KILL {id}")).await;
                    }
                }
                let told = self.last(1000, During::None, name).await;
                drop(held);
                self.administer("SET GLOBAL max_connections = 151").await;
                self.recovered(name, told, true).await;
            }
            _ => {
                use sqlx::{Connection, PgConnection};
                let mut held = Vec::new();
                let whole = database::whole(&self.server, self.kind);
                let cut = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity \
                           WHERE usename = 'app' AND application_name <> 'held'";
                let started = Instant::now();
                while started.elapsed() < Duration::from_millis(800) {
                    let url = format!("{}&application_name=held", self.url);
                    while let Ok(connection) = PgConnection::connect(&url).await {
                        held.push(connection);
                    }
                    let _ = database::command(self.kind, &whole, cut).await;
                }
                let told = self.last(1000, During::None, name).await;
                drop(held);
                self.recovered(name, told, true).await;
            }
        }
    }

    async fn memory(&mut self) {
        self.administer("CONFIG SET maxmemory 1").await;
        let told = self.last(1000, During::None, "memory full").await;
        self.administer("CONFIG SET maxmemory 0").await;
        self.recovered("memory full for 1.2 s", told, true).await;
    }

    /// Stopped and started as an operator does.
    async fn restarts(&mut self) {
        let times = self.progress.scaled(5, 1);
        for _ in 0..times {
            database::blocking(|| self.stop());
            tokio::time::sleep(Duration::from_millis(100)).await;
            database::blocking(|| self.server.restart());
            self.load.wait_for(3).await;
        }
        self.recovered(&format!("restarted {times} times"), String::new(), false).await;
    }

    /// Asks the server to end, and waits until it has.
    fn stop(&self) {
        let pid = self.server.pid();
        // Without waiting for its clients.
        let signal = if self.kind == Kind::Postgres { "-INT" } else { "-TERM" };
        let _ = Command::new("kill").args([signal, &pid]).status();
        let started = Instant::now();
        let ended = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            status.is_empty() || status.contains(") Z ")
        };
        while !ended() {
            assert!(started.elapsed() < Duration::from_secs(60), "the server does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    async fn end(self) -> Vec<String> {
        self.load.finish(&self.stores[0]).await;
        for store in self.stores {
            store.close().await;
        }
        let server = self.server;
        database::blocking(|| drop(server));
        self.did
    }
}

/// The same with data on a small disk that fills up.
async fn full_disk(kind: Kind, progress: &Progress) -> Vec<String> {
    // The shared server makes the folder of all servers.
    database::shared(kind);
    let folder =
        std::env::temp_dir().join(format!("keyfob-servers-{}", std::process::id())).join(format!("{kind:?}-full"));
    let disk = database::blocking(|| Disk::mount(folder, if kind == Kind::Redis { "8m" } else { "320m" }));
    let settings: &[&str] = match kind {
        Kind::MariaDb => &["innodb-log-file-size=8M", "innodb-fast-shutdown=0"],
        Kind::Redis => &["auto-aof-rewrite-percentage=0"],
        // Segments of the log are written ahead otherwise, and take long to fill.
        _ => &["max_wal_size=32MB", "min_wal_size=32MB"],
    };
    let mut world = World::new(kind, "full", settings, progress).await;
    let ledger = world.load.ledger.clone();
    let told = || ledger.acceptances() + ledger.changes();
    // Another application writes to the disk until nothing fits, and the store's own records take what is left.
    database::blocking(|| disk.fill());
    let before = told();
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    let big = random_bytes(60_000);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(4) && refused.len() < 5 {
        let name = format!("big-{}", started.elapsed().as_nanos());
        let swap = world.stores[0].swap(&name, None, Some(&big));
        match tokio::time::timeout(Duration::from_secs(1), swap).await {
            Ok(Ok(_)) => stored.push(name),
            Ok(Err(error)) => refused.push(database::cause(&*error)),
            Err(_) => refused.push("the application stopped waiting".into()),
        }
        if kind == Kind::Postgres {
            // The next segment of the log does not fit either.
            let url = database::whole(&world.server, kind);
            let switch = database::command(kind, &url, "SELECT pg_switch_wal()::text");
            let _ = tokio::time::timeout(Duration::from_secs(1), switch).await;
        }
    }
    assert!(!refused.is_empty(), "the disk is not full");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (times, told) = (refused.len(), told() - before);
    refused.sort();
    refused.dedup();
    let told = format!(
        ", {told} acknowledged; of records of 60 000 bytes, {} acknowledged and kept, {times} failed ({})",
        stored.len(),
        refused.join(", ")
    );
    database::blocking(|| disk.free());
    // A server that cannot write its log ends, and its operator starts it again.
    let died = {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", world.server.pid())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    if died {
        database::blocking(|| world.server.restart());
    }
    let end = if died { "disk full, the server ended and was started again" } else { "disk full, the server went on" };
    world.recovered(end, told, died).await;
    for name in stored {
        let kept = world.stores[1].load(&name).await.unwrap();
        assert!(kept.is_some_and(|(_, record)| record == big), "an acknowledged record is gone");
    }
    let did = world.end().await;
    database::blocking(|| drop(disk));
    did
}

fn random_bytes(length: usize) -> Vec<u8> {
    let mut random = crate::Random(3);
    (0..length).map(|_| random.next().to_le_bytes()[0]).collect()
}

/// A file system in memory, for the folder of one server.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let options = format!("size={size},uid=65534,gid=65534");
        crate::run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder));
        Self(folder)
    }

    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        let block = vec![1; 4096];
        while file.write_all(&block).is_ok() {}
    }

    fn free(&self) {
        let _ = std::fs::remove_file(self.0.join("filler"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
