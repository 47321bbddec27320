//! The same day at the support desk, and the same sweep, over the database servers.

use std::time::Duration;

use keyfob::{KeyUri, Secret};

use crate::servers::{Kind, shared};
use crate::world::{OPERATOR, World};

const AL: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

#[test]
fn postgres_serves_an_operator() {
    let Some(server) = shared(Kind::Postgres) else { return };
    operate("postgres", &server.url("postgres").replace("postgres@", "postgres:hunter2@"));
}

#[test]
fn mariadb_serves_an_operator() {
    let Some(server) = shared(Kind::MariaDb) else { return };
    operate("mariadb", &server.url("mysql"));
}

#[test]
fn redis_serves_an_operator() {
    let Some(server) = shared(Kind::Redis) else { return };
    operate("redis", &server.url("0"));
}

#[test]
fn a_server_that_is_not_there_is_reported_without_the_password() {
    let urls = [
        "postgres://app:hunter2@127.0.0.1:1/app?password=hunter2",
        "postgres://app:hunter2@127.0.0.1:port/app",
        "postgres://app:hunter2?x@127.0.0.1:1/app",
        "mysql://app:hunter2@127.0.0.1:1/app",
        "mysql://app:hunter2@127.0.0.1:port/app",
        "redis://app:hunter2@127.0.0.1:1/0",
        "redis://app:hunter2@127.0.0.1:port/0",
        "redis://:hunter2@127.0.0.1:1/database",
    ];
    let world =
        |number: usize| World::new(&format!("unreachable-{number}")).with_variable("KEYFOB_STORE", urls[number]);
    // Some of them wait for ten seconds.
    std::thread::scope(|scope| {
        for number in 0..urls.len() {
            scope.spawn(move || {
                let world = world(number);
                world.is_secret("hunter2");
                world.run("status al").exits(3).says("127.0.0.1");
            });
        }
    });
    let world = World::new("table");
    world.run("status al --table users;drop").exits(2);
}

/// Adopts, unlocks and removes, and reseals all accounts with an interrupt in the middle, in a table of its own. With
/// `KEYFOB_SCALE=20`, there are twenty thousand accounts.
fn operate(name: &str, url: &str) {
    // SIGINT comes after the first page of 500 accounts, and must come before the end.
    let scale = std::env::var("KEYFOB_SCALE").map_or(1, |scale| scale.parse().expect("KEYFOB_SCALE is a number"));
    let accounts = usize::max(1_000 * scale, 2_000);
    let table = format!("cli_{name}");
    let world = World::new(name).with_variable("KEYFOB_STORE", url).with_variable("KEYFOB_TABLE", &table);
    world.is_secret("hunter2");
    world.is_secret(AL);
    let mut csv = format!("user,secret,last_used\nal,{AL},1\n");
    for number in 0..accounts - 1 {
        csv.push_str(&format!("user-{number:05},{},\n", *Secret::generate().expose_base32()));
    }
    world.write("users.csv", csv);
    let adopted = format!("{accounts} adopted");
    world.run("adopt users.csv --keys-file keys --log log").exits(0).says(&adopted);

    world.run("unlock al --log log").exits(0);
    world.run("suspend al --log log").exits(0);
    world.run("resume al --log log").exits(0);
    assert!(world.run("vouch al --keys-file keys --log log").exits(0).out.starts_with("vouch~"));
    assert_eq!(world.run("list --limit 1").exits(0).out, "al\n");
    for event in ["Unlocked", "Suspended", "Resumed", "Vouched"] {
        let line = format!("user=\"al\" operator={OPERATOR:?} {event}");
        assert!(world.read("log").contains(&line), "no {event} in the log");
    }
    // The phone of the adopted user still shows the right codes: they are those of its secret.
    let app = KeyUri::totp("", "al", &Secret::from_base32(AL).unwrap()).unwrap().to_totp().unwrap();
    let code = world.run_with("code --at 59", AL).exits(0).out;
    assert_eq!(code.trim_end(), app.code_at(59).to_string());

    let world = world.with_key("2027");
    let mut child = world.spawn("reseal --all --keys-file keys --log resealed");
    while std::fs::read_to_string(world.path("resealed")).unwrap_or_default().lines().count() < 600 {
        assert!(child.try_wait().unwrap().is_none(), "{:?}", world.wait(child));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let outcome = world.wait(child).exits(130).says("--resume");
    assert_eq!(world.secret_in(&outcome), None);
    assert!(!world.read("keyfob-reseal.state").contains("hunter2"));
    world.run("list --key 2026 --limit 1").exits(0);
    let summary = format!("{accounts} accounts: {accounts} resealed, 0 failed");
    world.run("reseal --all --resume --keys-file keys --log resealed").exits(0).says(&summary);
    world.run("list --key 2026").exits(1);
    assert_eq!(world.read("resealed").matches(" Resealed").count(), accounts);

    world.run("remove al --yes --log log").exits(0);
    assert!(world.read("log").contains(" Disabled"));
    world.run("invalidate --all --yes --log invalidated").exits(0).says("0 failed");
}
