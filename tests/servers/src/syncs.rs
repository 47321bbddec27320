//! How often a server syncs its files. A kill cannot show whether a change would survive a power failure, because what
//! a process has written outlives the process.

use std::process::{Command, Stdio};

use keyfob::store::StoreOptions;

use crate::database::{self, Database};
use crate::guarded::{Answer, Guarded, code, patient};
use crate::progress::{Outcome, Progress};
use crate::servers::Kind;
use crate::worker::at;

/// Counts the syncs while acceptances are acknowledged one after another.
pub async fn syncs(kind: Kind, progress: &Progress) -> Outcome {
    let changes = progress.scaled(500, 50);
    let (lossy, name): (&[&str], &str) = match kind {
        Kind::MariaDb => (&["innodb-flush-log-at-trx-commit=2"], "innodb_flush_log_at_trx_commit=2"),
        Kind::Redis => (&["appendfsync=no"], "appendfsync no"),
        _ => (&["synchronous_commit=off"], "synchronous_commit=off"),
    };
    let durable = traced(kind, "synced", &[], &StoreOptions::new(), changes, progress).await;
    let control = traced(kind, "unsynced", lossy, &StoreOptions::new().allow_lost_changes(), changes, progress).await;
    assert!(durable >= changes, "{changes} acceptances and {durable} syncs");
    assert!(control < changes / 2, "the control passes: {control} syncs with {name}");
    Outcome {
        did: format!("{changes} acceptances, one after another: {durable} syncs of the server (strace)"),
        control: format!("{name}: {control} syncs"),
    }
}

async fn traced(
    kind: Kind,
    name: &str,
    settings: &[&str],
    options: &StoreOptions,
    changes: usize,
    progress: &Progress,
) -> usize {
    let server = database::blocking(|| database::start(kind, name, settings));
    let url = server.url(&database::create(&server, kind).await);
    let first = Database::open_with(kind, &url, options.clone()).await.unwrap();
    let guarded = Guarded::new(first.clone(), patient());
    guarded.enroll(1).await;
    let first_code = guarded.now();
    first.close().await;
    drop(first);

    let log = std::env::temp_dir().join(format!("keyfob-strace-{}-{}", std::process::id(), server.pid()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-p", &server.pid(), "-o"]).arg(&log);
    let mut strace = strace.stderr(Stdio::null()).spawn().expect("strace is not installed");
    let status = || std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    while status().contains("TracerPid:\t0") {
        assert!(strace.try_wait().unwrap().is_none(), "strace cannot trace");
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    // The processes of PostgreSQL that serve a connection are traced if they are started now.
    let store = Database::open_with(kind, &url, options.clone()).await.unwrap();
    let guarded = Guarded::new(store.clone(), patient());
    let syncs = || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        log.lines().filter(|line| line.contains("sync(")).count()
    };
    let before = syncs();
    for round in 0..changes {
        guarded.set(at(first_code, round));
        assert_eq!(guarded.verify(&code(1, guarded.now())).await.unwrap(), Answer::Accepted);
        progress.say(format!("{name}: {round} of {changes} acceptances"));
    }
    let _ = Command::new("kill").args(["-INT", &strace.id().to_string()]).status();
    strace.wait().unwrap();
    let counted = syncs() - before;
    let _ = std::fs::remove_file(&log);
    store.close().await;
    database::blocking(|| drop(server));
    counted
}
