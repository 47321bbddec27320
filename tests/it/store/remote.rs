//! What is tested the same way on every database server.

use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use keyfob::guard::{GuardErrorKind, Refusal};
use keyfob::store::{Accounts, Store, StoreError, Swap, conformance};
use tokio::runtime::Handle;

use crate::guarded::{ACCOUNT, Answer, Guarded, Racy, code, patient, report, wrong};
use crate::servers::{Kind, Server};

/// Runs the checks of the contract that several clients can be tested with.
pub async fn conforms<S: Store + 'static>(clients: Vec<S>) {
    let check = move || {
        let runtime = Handle::current();
        conformance::check_all(&clients.iter().collect::<Vec<_>>(), |test| runtime.block_on(test))
    };
    tokio::task::spawn_blocking(check).await.unwrap().unwrap();
}

/// Runs the checks of a store that lists its accounts and adds many at once. The store must be empty.
pub async fn lists_and_adds<S: Accounts + Clone + 'static>(store: &S) {
    lists_in_order(store).await;
    let store = store.clone();
    let check = move || {
        let runtime = Handle::current();
        conformance::check_accounts(&store, |test| runtime.block_on(test))
    };
    tokio::task::spawn_blocking(check).await.unwrap().unwrap();
}

/// Lists accounts in the order of their bytes, in pages of several sizes.
async fn lists_in_order(store: &impl Accounts) {
    let mut names: Vec<String> = (0..25).map(|number| format!("user-{number}")).collect();
    names.extend(
        ["User-1", "\u{e4}", "a\u{308}", "\u{1f511}", "' OR 1 = 1", "\\", "%", "_", "user-1 ", "*", "$1"]
            .map(str::to_owned),
    );
    names.push("x".repeat(255));
    let records: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    assert!(ok(store.insert(&records).await).iter().all(|added| *added));
    let mut sorted = names.clone();
    sorted.sort();
    for limit in [1, 7, 36, 1000] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = ok(store.accounts(&after, limit).await);
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit as usize);
            after.clone_from(last);
            found.extend(page);
        }
        assert_eq!(found, sorted, "pages of {limit}");
    }
    for name in &names {
        let (version, _) = ok(store.load(name).await).unwrap();
        assert_eq!(ok(store.swap(name, Some(version), None).await), Swap::Swapped);
    }
    assert_eq!(ok(store.accounts("", 10).await), [""; 0]);
}

/// Several clients use the same codes at once, and each is accepted once. A store that reads and then writes fails.
pub async fn accepts_once<S: Store + Clone + 'static>(name: &str, clients: Vec<S>) {
    const ROUNDS: usize = 60;
    let accepted = race(&clients, ROUNDS).await;
    let racy = race(&clients.iter().cloned().map(Racy).map(Arc::new).collect::<Vec<_>>(), ROUNDS).await;
    let more = |accepted: &[usize]| accepted.iter().filter(|accepted| **accepted > 1).count();
    report(&format!(
        "{name}, {} clients, {ROUNDS} codes: {} accepted twice; read, then write: {}",
        clients.len(),
        more(&accepted),
        more(&racy)
    ));
    assert!(accepted.iter().all(|accepted| *accepted == 1), "{accepted:?}");
    assert!(more(&racy) > 0);
}

/// How many clients were told that they used the code of each round.
async fn race<S: Store + Clone + 'static>(clients: &[S], rounds: usize) -> Vec<usize> {
    erase(&clients[0]).await;
    let first = Guarded::new(clients[0].clone(), patient());
    first.enroll(1).await;
    let now = first.now();
    let accepted: Arc<Vec<AtomicUsize>> = Arc::new((0..rounds).map(|_| AtomicUsize::new(0)).collect());
    let barrier = Arc::new(tokio::sync::Barrier::new(clients.len()));
    let tasks: Vec<_> = clients
        .iter()
        .map(|client| {
            let guarded = Guarded::new(client.clone(), patient());
            let (accepted, barrier) = (accepted.clone(), barrier.clone());
            tokio::spawn(async move {
                for round in 0..rounds {
                    guarded.set(now + 86_400 * round as u64);
                    barrier.wait().await;
                    let typed = code(1, guarded.now());
                    let answer = loop {
                        match guarded.verify(&typed).await {
                            Err(error) if error.kind() == GuardErrorKind::Contended => {}
                            answer => break answer.unwrap(),
                        }
                    };
                    accepted[round].fetch_add(usize::from(answer == Answer::Accepted), Ordering::SeqCst);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    erase(&clients[0]).await;
    accepted.iter().map(|accepted| accepted.load(Ordering::SeqCst)).collect()
}

/// Drops `verify` at each point where it waits. Then a code is accepted at most once, and each guess is counted or was
/// not answered.
pub async fn survives_dropped_requests(store: impl Store) {
    erase(&store).await;
    let guarded = Guarded::new(store, patient());
    guarded.enroll(1).await;
    let (mut drops, mut used) = (0, 0);
    for polls in 1..=12 {
        guarded.set(guarded.now() + 86_400);
        let typed = code(1, guarded.now());
        let dropped = given_up(guarded.verify(&typed), polls).await;
        let again = guarded.verify(&typed).await.unwrap();
        match (&dropped, again) {
            (None, Answer::Accepted) => {}
            // It was stored, and nobody was told.
            (None, Answer::Refused(Refusal::Replayed)) => used += 1,
            (Some(answer), Answer::Refused(Refusal::Replayed)) => {
                assert_eq!(*answer.as_ref().unwrap(), Answer::Accepted);
            }
            other => panic!("after {polls} polls: {other:?}"),
        }
        assert_eq!(guarded.verify(&typed).await.unwrap(), Answer::Refused(Refusal::Replayed));

        guarded.set(guarded.now() + 86_400);
        let status = async || guarded.guard.status(ACCOUNT).await.unwrap().consecutive_failures();
        let (before, guess) = (status().await, wrong(1, guarded.now()).next().unwrap());
        let answered = given_up(guarded.verify(&guess), polls).await.is_some();
        let counted = status().await - before;
        assert!(counted <= 1 && (counted == 1 || !answered), "{polls}: {counted} counted, answered: {answered}");
        guarded.guard.operator_unlock(ACCOUNT, &crate::operator()).await.unwrap();
        drops += usize::from(dropped.is_none()) + usize::from(!answered);
    }
    assert!(drops > 0, "it was never dropped");
    report(&format!("{drops} requests were dropped, and {used} codes were used without an answer"));
    erase(guarded.guard.store()).await;
}

/// Polls a request so often, and then drops it. Returns its answer if it came in the meantime.
async fn given_up<T>(request: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut request = pin!(request);
    let mut left = polls;
    poll_fn(|context| match request.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

/// Kills the server again and again while clients count. Each acknowledged change is kept, no version is changed twice,
/// and the same stores work again once the server is back.
pub async fn survives_kills<S: Store + Clone + 'static>(server: Server, clients: Vec<S>) {
    const KILLS: usize = 10;
    let user = "keyfob-kills";
    let server = Arc::new(server);
    erase_account(&clients[0], user).await;
    assert_eq!(ok(clients[0].swap(user, None, Some(b"0")).await), Swap::Swapped);
    // The highest number whose change was acknowledged, how often that happened, and how many outcomes are unknown.
    let (highest, acknowledged, unknown) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let changed = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let tasks: Vec<_> = clients
        .iter()
        .cloned()
        .map(|client| {
            let (highest, acknowledged, unknown) = (highest.clone(), acknowledged.clone(), unknown.clone());
            let (changed, stop) = (changed.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    // Read before the record is.
                    let kept = highest.load(Ordering::SeqCst);
                    let (version, record) = match client.load(user).await {
                        Ok(Some(loaded)) => loaded,
                        Ok(None) => panic!("the record is gone"),
                        Err(_) => {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                            continue;
                        }
                    };
                    let number: u64 = String::from_utf8(record).unwrap().parse().unwrap();
                    assert!(number >= kept, "{kept} was acknowledged, and the record is {number}");
                    let next = number + 1;
                    match client.swap(user, Some(version), Some(next.to_string().as_bytes())).await {
                        Ok(Swap::Swapped) => {
                            assert!(changed.lock().unwrap().insert(version.get()), "a version was changed twice");
                            acknowledged.fetch_add(1, Ordering::SeqCst);
                            highest.fetch_max(next, Ordering::SeqCst);
                        }
                        Ok(Swap::Conflict) => {}
                        Err(_) => drop(unknown.fetch_add(1, Ordering::SeqCst)),
                    }
                }
            })
        })
        .collect();
    let mut random = crate::Random(5);
    for _ in 0..KILLS {
        // Until the clients are at work.
        let goal = acknowledged.load(Ordering::SeqCst) + 20 + random.below(40);
        while acknowledged.load(Ordering::SeqCst) < goal {
            assert!(!tasks.iter().any(tokio::task::JoinHandle::is_finished), "a client failed");
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let server = server.clone();
        let restart = move || {
            server.kill();
            server.restart();
        };
        tokio::task::spawn_blocking(restart).await.unwrap();
    }
    let goal = acknowledged.load(Ordering::SeqCst) + 20;
    while acknowledged.load(Ordering::SeqCst) < goal {
        assert!(!tasks.iter().any(tokio::task::JoinHandle::is_finished), "a client failed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let number: u64 = String::from_utf8(ok(clients[0].load(user).await).unwrap().1).unwrap().parse().unwrap();
    let (acknowledged, unknown) = (acknowledged.load(Ordering::SeqCst), unknown.load(Ordering::SeqCst));
    report(&format!("{KILLS} kills: {acknowledged} changes acknowledged, {number} stored, {unknown} unknown"));
    assert!((acknowledged..=acknowledged + unknown).contains(&number));
    let blocking = move || drop(server);
    tokio::task::spawn_blocking(blocking).await.unwrap();
}

/// While the server does not answer, nobody is let in, and afterwards the same store works.
pub async fn survives_a_pause(server: &Server, store: impl Store) {
    erase(&store).await;
    let guarded = Guarded::new(store, patient());
    guarded.enroll(1).await;
    let typed = code(1, guarded.now());
    server.pause(true);
    let answer = tokio::time::timeout(Duration::from_millis(300), guarded.verify(&typed)).await;
    server.pause(false);
    assert!(answer.is_err() || answer.as_ref().is_ok_and(Result::is_err), "{answer:?}");
    let mut accepted = 0;
    for _ in 0..3 {
        loop {
            match guarded.verify(&typed).await {
                Ok(answer) => break accepted += usize::from(answer == Answer::Accepted),
                // A connection that was lost is replaced.
                Err(error) => assert_eq!(error.kind(), GuardErrorKind::Store),
            }
        }
    }
    assert!(accepted <= 1);
    erase(guarded.guard.store()).await;
}

/// How often the server syncs a file while a client makes forty changes. No kill can show this, because what a process
/// wrote outlives the process.
pub async fn syncs(server: &Server, store: &impl Store) -> usize {
    let summary = std::env::temp_dir().join(format!("keyfob-strace-{}-{}", std::process::id(), server.pid()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-p", &server.pid(), "-o"]).arg(&summary);
    let mut tracing = strace.spawn().unwrap();
    let status = || std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    while status().contains("TracerPid:\t0") {}
    for round in 0..20 {
        let user = format!("user-{round}");
        assert_eq!(ok(store.swap(&user, None, Some(b"x")).await), Swap::Swapped);
        let (version, _) = ok(store.load(&user).await).unwrap();
        assert_eq!(ok(store.swap(&user, Some(version), None).await), Swap::Swapped);
    }
    let _ = Command::new("kill").args(["-INT", &tracing.id().to_string()]).status();
    tracing.wait().unwrap();
    let syncs = std::fs::read_to_string(&summary).unwrap().lines().filter(|line| line.contains("sync(")).count();
    let _ = std::fs::remove_file(summary);
    syncs
}

/// Whatever goes wrong with the connection, the error does not contain the password.
pub fn hides_password(error: &(impl std::error::Error + 'static)) {
    let mut texts = vec![format!("{error} {error:?} {error:#?}")];
    let mut source = error.source();
    while let Some(error) = source {
        texts.push(format!("{error} {error:?}"));
        source = error.source();
    }
    assert!(texts.iter().all(|text| !text.contains("hunter2")), "{texts:?}");
}

/// Removes the account of the tests.
pub async fn erase(store: &impl Store) {
    erase_account(store, ACCOUNT).await;
}

async fn erase_account(store: &impl Store, user: &str) {
    if let Some((version, _)) = ok(store.load(user).await) {
        assert_eq!(ok(store.swap(user, Some(version), None).await), Swap::Swapped);
    }
}

fn ok<T>(result: Result<T, impl Into<StoreError>>) -> T {
    result.map_err(Into::into).unwrap()
}

/// Whatever happens to the tests, no server outlives them.
#[test]
fn servers_end_with_the_process_of_the_tests() {
    let Some(_) = Kind::Redis.program() else { return };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::remote::abandoned", "--ignored", "--nocapture"]).env("KEYFOB_ABANDON", "1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid = lines.find_map(|line| line.strip_prefix("server ").map(str::to_owned)).unwrap();
    let process = PathBuf::from(format!("/proc/{pid}/cmdline"));
    let runs = || std::fs::read_to_string(&process).is_ok_and(|line| line.contains("redis"));
    assert!(runs());
    child.kill().unwrap();
    child.wait().unwrap();
    let started = Instant::now();
    while runs() {
        assert!(started.elapsed() < Duration::from_secs(30), "the server still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "what another test runs in a process of its own"]
fn abandoned() {
    // Also run by whoever runs all ignored tests.
    if std::env::var_os("KEYFOB_ABANDON").is_some() {
        let server = Server::start(Kind::Redis, "abandoned", &[]).unwrap();
        println!("\nserver {}", server.pid());
        let _ = std::io::stdin().lines().next();
    }
}
