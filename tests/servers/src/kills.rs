//! Servers that are killed while clients work.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keyfob::store::StoreOptions;

use crate::Random;
use crate::database::{self, Database};
use crate::load::Load;
use crate::progress::{Outcome, Progress, grouped};
use crate::servers::{Kind, Server};

/// Two stores with their own pool, and one with a pool of the application.
pub async fn clients(kind: Kind, url: &str, options: &StoreOptions) -> Vec<Database> {
    vec![
        Database::open_with(kind, url, options.clone()).await.unwrap(),
        Database::pooled(kind, url, options.clone(), "SELECT 1").await.unwrap(),
    ]
}

/// `kill -9` again and again: nothing acknowledged is lost, nothing is accepted twice, and the same stores work again.
pub async fn kills(kind: Kind, progress: &Progress) -> Outcome {
    let kills = progress.scaled(100, 8);
    let server = database::blocking(|| database::start(kind, "kills", &[]));
    let url = server.url(&database::create(&server, kind).await);
    let stores = clients(kind, &url, &StoreOptions::new()).await;
    let load = Load::start(stores.clone()).await;
    let mut random = Random(7);
    for kill in 1..=kills {
        let alone = kill % 2 == 0;
        load.wait_for(2 + random.below(8) as usize).await;
        tokio::time::sleep(Duration::from_micros(random.below(20_000))).await;
        crash(kind, &server, alone, &load, &mut random).await;
        let (again, gone) = probe(kind, &url, &load, StoreOptions::new()).await;
        assert!(again == 0 && gone == 0, "kill {kill}: {again} codes are good again, {gone} changes are gone");
        load.pause(false);
        progress.say(format!("{kill} of {kills} kills, {} acceptances", load.ledger.acceptances()));
    }
    load.wait_for(20).await;
    let ledger = load.finish(&stores[0]).await;
    database::blocking(|| drop(server));
    let (lost, setting) = control(kind, progress).await;
    assert!(lost > 0, "the control passes: {setting} lost nothing");
    Outcome {
        did: format!(
            "{kills} kills: {} acceptances and {} other changes acknowledged, none lost, none twice; {} requests \
             failed ({})",
            grouped(ledger.acceptances()),
            grouped(ledger.changes()),
            grouped(ledger.failures()),
            ledger.causes()
        ),
        control: format!("{setting}: {lost} acknowledged changes lost"),
    }
}

/// Kills the server, lets the clients meet nobody for a moment, and starts it again. The clients then wait.
///
/// PostgreSQL consists of several processes. With `alone`, only the first is killed, and the others notice and end.
/// Otherwise, all of them are killed at once, and what they share in memory is lost.
async fn crash(kind: Kind, server: &Server, alone: bool, load: &Load, random: &mut Random) {
    database::blocking(|| {
        let data = (kind == Kind::Postgres && !alone).then(|| data(server));
        server.kill();
        // A process that is forgotten could wait forever for a lock that another one held.
        while data.as_ref().is_some_and(|data| kill_all_in(data) > 0) {}
    });
    tokio::time::sleep(Duration::from_millis(random.below(30))).await;
    load.pause(true);
    database::blocking(|| server.restart());
}

/// The folder in which all processes of PostgreSQL work.
fn data(server: &Server) -> PathBuf {
    std::fs::read_link(format!("/proc/{}/cwd", server.pid())).unwrap()
}

/// Kills all processes that work in this folder. Returns how many there were.
fn kill_all_in(folder: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let here =
        processes.filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder));
    let here: Vec<OsString> = here.map(|process| process.file_name()).collect();
    if !here.is_empty() {
        // Some of them may have ended by now.
        let _ = Command::new("kill").arg("-KILL").args(&here).stderr(Stdio::null()).status();
    }
    here.len()
}

/// What a new client finds, as soon as it is let in.
async fn probe(kind: Kind, url: &str, load: &Load, options: StoreOptions) -> (usize, u64) {
    let started = Instant::now();
    loop {
        // A server that has just been started may still be recovering.
        let store = match Database::open_with(kind, url, options.clone()).await {
            Ok(store) => store,
            Err(error) => {
                assert!(started.elapsed() < Duration::from_secs(60), "the server does not recover: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let (again, gone) = load.forgotten(&store).await.unwrap();
        store.close().await;
        return (again.len(), gone);
    }
}

/// The same with a server that writes later. What is in its memory is lost with the process.
async fn control(kind: Kind, progress: &Progress) -> (u64, String) {
    let (settings, name): (&[&str], &str) = match kind {
        Kind::MariaDb => (&["innodb-flush-log-at-trx-commit=0"], "innodb_flush_log_at_trx_commit=0"),
        Kind::Redis => (&["appendonly=no"], "appendonly no"),
        _ => (&["synchronous_commit=off", "wal_writer_delay=10s"], "synchronous_commit=off"),
    };
    let server = database::blocking(|| database::start(kind, "kills-control", settings));
    let url = server.url(&database::create(&server, kind).await);
    let options = StoreOptions::new().allow_lost_changes();
    let mut random = Random(8);
    let load = Load::start(clients(kind, &url, &options).await).await;
    let mut lost = 0;
    for kill in 1..=10 {
        progress.say(format!("control: {kill} kills"));
        load.wait_for(20).await;
        crash(kind, &server, false, &load, &mut random).await;
        let (again, gone) = probe(kind, &url, &load, options.clone()).await;
        lost = gone + again as u64;
        if lost > 0 {
            break;
        }
        load.pause(false);
    }
    load.stop().await;
    database::blocking(|| drop(server));
    (lost, name.into())
}
