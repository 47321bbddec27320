//! Sweeps over all accounts: interrupted, killed, continued.

use std::collections::HashSet;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{World, block_on};

fn adopt(world: &World, accounts: usize) {
    let mut csv = String::from("user,secret\n");
    for number in 0..accounts {
        let secret = keyfob::Secret::generate().expose_base32();
        csv.push_str(&format!("user-{number:05},{}\n", *secret));
        if number % 1000 == 0 {
            world.is_secret(&secret);
        }
    }
    world.write("users.csv", csv);
    world.run("adopt users.csv --keys-file keys --log adopted").exits(0);
    assert_eq!(world.read("adopted").lines().count(), accounts);
}

/// Waits until a running sweep has visited this many accounts.
fn wait_for(world: &World, child: &mut Child, accounts: u64) -> u64 {
    let started = Instant::now();
    loop {
        let state = std::fs::read(world.path("keyfob-reseal.state")).unwrap_or_default();
        let state: Value = serde_json::from_slice(&state).unwrap_or_default();
        let visited = state["accounts"].as_u64().unwrap_or_default();
        if visited >= accounts {
            return visited;
        }
        assert!(child.try_wait().unwrap().is_none(), "the sweep ended after {visited} accounts");
        assert!(started.elapsed() < Duration::from_secs(60), "{visited} accounts only");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn adoption_is_interrupted_and_repeated() {
    const ACCOUNTS: usize = 20_000;
    let world = World::new("interrupted");
    let mut csv = String::from("user,secret\n");
    for number in 0..ACCOUNTS {
        csv.push_str(&format!("user-{number:05},{}\n", *keyfob::Secret::generate().expose_base32()));
    }
    world.write("users.csv", csv);
    let child = world.spawn("adopt users.csv --keys-file keys --log log");
    while std::fs::read(world.path("log")).unwrap_or_default().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&child, "-INT");
    let outcome = world.wait(child).exits(130).says("run the same command again");
    // Batches are stored as a whole or not at all.
    let adopted = world.read("log").lines().count();
    assert!(adopted.is_multiple_of(1000) && adopted < ACCOUNTS, "{adopted}");
    assert!(outcome.out.contains(&format!("{adopted} adopted")));
    let expected = format!("20000 rows: {} adopted, {adopted} kept, 0 rejected", ACCOUNTS - adopted);
    world.run("adopt users.csv --keys-file keys --log log").exits(0).says(&expected);
    assert_eq!(world.read("log").lines().count(), ACCOUNTS);
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// The arguments and the environment are those of the process, as `ps` would show them.
fn arguments(child: &Child) -> String {
    std::fs::read_to_string(format!("/proc/{}/cmdline", child.id())).unwrap_or_default()
}

#[test]
fn reseal_is_interrupted_and_continued() {
    const ACCOUNTS: usize = 20_000;
    let world = World::new("reseal");
    adopt(&world, ACCOUNTS);
    let world = world.with_key("2027");
    let command = "reseal --all --keys-file keys --log log";

    let mut child = world.spawn(&format!("{command} --json"));
    let before = wait_for(&world, &mut child, 5_000);
    let shown = arguments(&child);
    signal(&child, "-INT");
    let outcome = world.wait(child).exits(130).says("--resume");
    assert_eq!(world.secret_in(&outcome), None);
    // The keys came from a file, so `ps` shows its name only.
    assert!(world.read("keys").lines().all(|key| !shown.contains(key)), "{shown}");
    let lines = outcome.json();
    let summary = lines.last().unwrap();
    let visited = summary["accounts"].as_u64().unwrap();
    assert!(summary["interrupted"] == true && (before..ACCOUNTS as u64).contains(&visited), "{summary}");
    assert_eq!(summary["needed_keys"], serde_json::json!(["2027"]));
    assert_eq!(world.read("log").lines().count() as u64, visited);

    // The application goes on with both keys, for accounts on either side of the position.
    block_on(async {
        let guard = world.application().await;
        for (user, key) in [("user-00000", "2027"), ("user-19999", "2026")] {
            assert_eq!(guard.status(user).await.unwrap().keys()[0].as_str(), key);
            assert!(guard.verify(user, "000000").await.is_ok());
        }
    });
    world.run("list --key 2026 --limit 1").exits(0);

    // Neither a new sweep nor one over another store touches the position.
    world.run(command).exits(2).says("--resume");
    world.write("other.db", "");
    world.run(&format!("{command} --resume --store sqlite:other.db")).exits(2).says("belongs to");

    // SIGTERM, as a service manager sends it, ends the run in the same way.
    let mut child = world.spawn(&format!("{command} --resume"));
    wait_for(&world, &mut child, visited + 5_000);
    signal(&child, "-TERM");
    world.wait(child).exits(130).says("position is in");

    let done = world.run(&format!("{command} --resume")).exits(0).says("keys that are still needed: 2027");
    assert!(done.out.starts_with("20000 accounts: 20000 resealed, 0 failed"), "{}", done.out);
    assert!(!world.path("keyfob-reseal.state").exists());
    world.run("list --key 2026").exits(1);

    // Every account was resealed exactly once, and its event says so.
    let log = world.read("log");
    let users: HashSet<&str> = log.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!((log.lines().count(), users.len()), (ACCOUNTS, ACCOUNTS));
    assert!(log.lines().all(|line| line.ends_with("operator=\"jane\" Resealed")));

    world.run(command).exits(0).says("20000 accounts: 0 resealed");
    world.run(&format!("{command} --resume")).exits(2).says("no unfinished run");
}

#[test]
fn a_killed_sweep_is_continued() {
    let world = World::new("killed");
    adopt(&world, 3_000);
    let world = world.with_key("2027");
    let command = "reseal --all --keys-file keys --log log --jobs 4";
    let mut child = world.spawn(command);
    wait_for(&world, &mut child, 500);
    child.kill().unwrap();
    child.wait().unwrap();
    world.run("list --key 2026 --limit 1").exits(0);
    world.run(&format!("{command} --resume")).exits(0).says("3000 accounts");
    world.run("list --key 2026").exits(1);
}

#[test]
fn an_account_that_fails_does_not_stop_the_others() {
    let world = World::new("failing");
    adopt(&world, 10);
    let keys = world.read("keys");
    let world = world.with_key("2027");
    // One account is under another key that nobody has anymore.
    block_on(async {
        let guard = world.application().await;
        let lost = keyfob::Keyring::parse(&keyfob::Keyring::generate("2020").unwrap()).unwrap();
        let setup = keyfob::guard::Setup::totp("al");
        let lost = keyfob::Guard::new(guard.store().clone(), lost, "Example Inc");
        lost.enroll("user-00004x", &setup).await.unwrap();
    });
    let outcome = world.run("reseal --all --keys-file keys").exits(3).says("user-00004x: the keyring does not have");
    assert!(outcome.out.contains("11 accounts: 10 resealed, 1 failed\nkeys that are still needed: 2020, 2027"));
    world.run("reseal user-00004x --keys-file keys").exits(3).says("the keyring does not have");
    // Without the new key, none of them can be opened.
    world.write("keys", keys);
    let lines = world.run("reseal --all --keys-file keys --json").exits(3).json();
    let failed = lines.iter().filter(|line| line["error"].is_string()).count();
    assert_eq!((failed, &lines.last().unwrap()["failed"]), (11, &11.into()));
}
