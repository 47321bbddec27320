//! A primary and a standby in two network namespaces. The network is cut, the standby is promoted, and the clients go
//! on.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use keyfob::guard::OperatorId;
use keyfob::store::StoreOptions;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::database::{self, Database};
use crate::guarded::{ACCOUNT, Answer, Guarded, code, patient};
use crate::load::Load;
use crate::progress::{Outcome, Progress, grouped};
use crate::servers::{Kind, Server};

/// Synchronously: nothing is lost. Asynchronously, as the control: changes are lost, and there is a way back.
pub async fn failover(kind: Kind, progress: &Progress) -> Outcome {
    if !crate::is_private() {
        return Outcome { did: "skipped, because it needs root".into(), control: String::new() };
    }
    let times = progress.scaled(5, 1);
    let (mut acceptances, mut changes, mut failures) = (0, 0, 0);
    for time in 1..=times {
        progress.say(format!("synchronous failover {time} of {times}"));
        let cluster = Cluster::start(true).await;
        let load = cluster.fail_over(false, progress).await;
        let promoted = Database::open(kind, &cluster.standby_url()).await.unwrap();
        let (again, gone) = load.forgotten(&promoted).await.unwrap();
        assert!(again.is_empty() && gone == 0, "lost: {} codes, {gone} changes", again.len());
        load.pause(false);
        load.wait_for(50).await;
        let ledger = load.finish(&promoted).await;
        acceptances += ledger.acceptances();
        changes += ledger.changes();
        failures += ledger.failures();
        promoted.close().await;
        cluster.stop();
    }
    let control = format!("{}; {}", lost(kind, progress).await, canceled(kind, progress).await);
    Outcome {
        did: format!(
            "{times} failovers to a synchronous standby: {} acceptances and {} other changes acknowledged before and \
             after, none lost, none twice; {} requests failed",
            grouped(acceptances),
            grouped(changes),
            grouped(failures)
        ),
        control,
    }
}

/// A failover that loses acknowledged changes, and the way back.
async fn lost(kind: Kind, progress: &Progress) -> String {
    progress.say("asynchronous failover");
    let cluster = Cluster::start(false).await;
    let load = cluster.fail_over(false, progress).await;
    let promoted = Database::open(kind, &cluster.standby_url()).await.unwrap();
    let (again, gone) = load.forgotten(&promoted).await.unwrap();
    assert!(!again.is_empty() && gone > 0, "the control passes: nothing was lost asynchronously");
    let guarded = Guarded::new(promoted.clone(), patient());
    // The oldest of them is accepted again, as an attacker who has seen it would find.
    let oldest = *again.iter().min().unwrap();
    guarded.set(load.ledger.at(oldest));
    let stolen = guarded.verify(&code(1, guarded.now())).await.unwrap();
    assert_eq!(stolen, Answer::Accepted, "the control passes: the used code is refused");

    // The way back, for all accounts, before the clients go on.
    let latest = load.ledger.at(*again.iter().max().unwrap());
    guarded.set(latest + 60);
    let operator = OperatorId::new("campaign").unwrap();
    let (mut last, mut accounts) = (String::new(), 0);
    loop {
        let invalidate = |user: String| {
            let (guard, operator) = (&guarded.guard, &operator);
            async move { guard.operator_invalidate_codes(&user, operator).await.map(drop) }
        };
        let page = guarded.guard.sweep(&last, 100, invalidate).await.unwrap();
        let Some(end) = page.last() else { break };
        last = end.to_owned();
        for (user, answer) in page.accounts() {
            match answer {
                Ok(()) => accounts += 1,
                // The counter of the clients is no account.
                Err(error) => assert_ne!(user, ACCOUNT, "{error}"),
            }
        }
    }
    let (still, _) = load.forgotten(&promoted).await.unwrap();
    assert!(still.is_empty(), "{} used codes are still accepted after operator_invalidate_codes", still.len());
    // The owner can log in again later.
    let mut after = None;
    for hour in 0..72 {
        guarded.set(latest + 60 + hour * 3600);
        if guarded.verify(&code(1, guarded.now())).await.unwrap() == Answer::Accepted {
            after = Some(hour);
            break;
        }
    }
    let after = after.expect("the owner never gets in again");
    load.stop().await;
    promoted.close().await;
    cluster.stop();
    format!(
        "asynchronous standby: {} accepted codes were good again and {gone} other changes gone, and one of the codes \
         was accepted twice; after a sweep with `operator_invalidate_codes` ({accounts} account) none was, and a new \
         code was accepted {after} h later",
        again.len()
    )
}

/// Shows that a server acknowledges a change that is not on the standby if an operator cancels the wait for the
/// standby.
async fn canceled(kind: Kind, progress: &Progress) -> String {
    progress.say("synchronous failover with canceled waits");
    let cluster = Cluster::start(true).await;
    let load = cluster.fail_over(true, progress).await;
    let promoted = Database::open(kind, &cluster.standby_url()).await.unwrap();
    let (again, gone) = load.forgotten(&promoted).await.unwrap();
    assert!(again.len() as u64 + gone > 0, "the control passes: nothing was lost by canceled waits");
    load.stop().await;
    promoted.close().await;
    cluster.stop();
    format!(
        "synchronous standby, and `pg_cancel_backend` for each request that waits for it: {} accepted codes were good \
         again and {gone} other changes gone",
        again.len()
    )
}

/// The two servers, and the network between them and the clients.
///
/// The service has an address of its own, which both servers have. A route decides which of them the clients reach.
struct Cluster {
    primary: Server,
    standby: Server,
}

const SERVICE: &str = "10.77.9.1";

impl Cluster {
    async fn start(synchronous: bool) -> Self {
        let (primary, standby) = database::blocking(|| {
            for line in NETWORK.lines() {
                ip(line);
            }
            let settings = ["listen_addresses=*", "wal_receiver_status_interval=1"];
            let primary = within("primary", || database::start(Kind::Postgres, "primary", &settings));
            let standby = within("standby", || database::start(Kind::Postgres, "standby", &settings));
            (primary, standby)
        });
        let url = database::whole(&primary, Kind::Postgres);
        database::wait_until_up(&primary, Kind::Postgres).await;
        let rules = "host all all 10.77.0.0/16 trust\nhost replication all 10.77.0.0/16 trust\n";
        let file = folder(&primary).join("data/pg_hba.conf");
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + rules).unwrap();
        database::command(Kind::Postgres, &url, "SELECT pg_reload_conf()").await.unwrap();
        database::blocking(|| {
            let program = std::fs::read_link(format!("/proc/{}/exe", primary.pid())).unwrap();
            standby.kill();
            let data = folder(&standby).join("data");
            std::fs::remove_dir_all(&data).unwrap();
            let mut copy = Command::new("ip");
            copy.args(["netns", "exec", "standby", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
            copy.arg(program.with_file_name("pg_basebackup")).arg("-D").arg(&data);
            copy.args(["-R", "--no-sync", "-c", "fast", "-d"]);
            copy.arg("host=10.77.3.1 user=postgres application_name=standby connect_timeout=2");
            crate::run(copy.current_dir("/"));
            within("standby", || standby.restart());
        });
        let cluster = Self { primary, standby };
        let streaming = "SELECT count(*)::text FROM pg_stat_replication WHERE state = 'streaming'";
        while database::command(Kind::Postgres, &url, streaming).await.unwrap() != "1" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if synchronous {
            for sql in ["ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()"] {
                database::command(Kind::Postgres, &url, sql).await.unwrap();
            }
            let state = "SELECT sync_state FROM pg_stat_replication";
            while database::command(Kind::Postgres, &url, state).await.unwrap() != "sync" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        cluster
    }

    /// Starts clients, cuts the link between the servers while the clients still reach the primary, then cuts off the
    /// primary, and promotes the standby. The clients then wait.
    ///
    /// With `cancel`, an operator cancels the requests that wait for the standby in the meantime.
    async fn fail_over(&self, cancel: bool, progress: &Progress) -> Load {
        let service = format!("postgres://postgres@{SERVICE}:5432/postgres");
        let stores = crate::kills::clients(Kind::Postgres, &service, &StoreOptions::new()).await;
        let load = Load::start(stores).await;
        load.wait_for(100).await;
        database::blocking(|| ip("-n primary link set ab down"));
        let before = load.ledger.acceptances();
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if cancel {
                let waiting = "SELECT count(pg_cancel_backend(pid))::text FROM pg_stat_activity \
                               WHERE wait_event = 'SyncRep'";
                let url = database::whole(&self.primary, Kind::Postgres);
                database::command(Kind::Postgres, &url, waiting).await.unwrap();
            }
        }
        progress.say(format!("cut: {} acceptances since then", load.ledger.acceptances() - before));
        database::blocking(|| ip("-n primary link set ac down"));
        load.pause(true);
        let url = database::whole(&self.standby, Kind::Postgres);
        let promoted = database::command(Kind::Postgres, &url, "SELECT pg_promote()::text").await.unwrap();
        assert_eq!(promoted, "true");
        database::blocking(|| ip("route replace 10.77.9.1 via 10.77.2.2"));
        load
    }

    fn standby_url(&self) -> String {
        database::whole(&self.standby, Kind::Postgres)
    }

    fn stop(self) {
        database::blocking(|| {
            drop(self);
            // Connections that the cut has left behind would keep the namespaces and their links for minutes.
            for link in ["link del ca", "link del cb", "-n primary link del ab"] {
                ip(link);
            }
            for namespace in ["primary", "standby"] {
                ip(&format!("netns del {namespace}"));
            }
        });
    }
}

const NETWORK: &str = "link set lo up
netns add primary
netns add standby
link add ca type veth peer name ac netns primary
link add cb type veth peer name bc netns standby
-n primary link add ab type veth peer name ba netns standby
addr add 10.77.1.1/24 dev ca
addr add 10.77.2.1/24 dev cb
link set ca up
link set cb up
-n primary addr add 10.77.1.2/24 dev ac
-n primary addr add 10.77.3.1/24 dev ab
-n primary addr add 10.77.9.1/32 dev lo
-n primary link set lo up
-n primary link set ac up
-n primary link set ab up
-n standby addr add 10.77.2.2/24 dev bc
-n standby addr add 10.77.3.2/24 dev ba
-n standby addr add 10.77.9.1/32 dev lo
-n standby link set lo up
-n standby link set bc up
-n standby link set ba up
route replace 10.77.9.1 via 10.77.1.2";

fn ip(words: &str) {
    crate::run(Command::new("ip").args(words.split(' ')));
}

/// Runs this on a thread in the network namespace, whose children stay there.
fn within<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    let thread = || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(thread).join().unwrap())
}

/// The folder of a server, which is also where its socket is.
fn folder(server: &Server) -> PathBuf {
    server.url("postgres").split_once("host=").unwrap().1.into()
}
