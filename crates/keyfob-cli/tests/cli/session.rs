//! A day at the support desk: each command for one account, each event in the log.

use keyfob::guard::{GuardErrorKind, Voucher};
use keyfob::store::SqliteStore;
use keyfob::{Guard, KeyUri, Secret, Verdict};

use crate::world::{OPERATOR, World, block_on};

const AL: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const BOB: &str = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U";
const WEAK: &str = "MFRGGZDFMZTWQ2LK";

/// The application has three users: `al` with an app, `bob` with a token, `carol` with a weak secret.
fn world(name: &str) -> World {
    let world = World::new(name);
    [AL, BOB, WEAK].iter().for_each(|secret| world.is_secret(secret));
    let csv = format!("user,secret,type,counter,name\nal,{AL},,,phone\nbob,{BOB},hotp,0,token\ncarol,{WEAK},,,\n");
    world.write("users.csv", csv);
    world.run("adopt users.csv --keys-file keys --log log").exits(0).says("3 adopted");
    world
}

fn logged(world: &World, event: &str) {
    let log = world.read("log");
    let operator = format!("operator={OPERATOR:?}");
    assert!(log.lines().any(|line| line.contains(event) && line.contains(&operator)), "no {event} in {log}");
}

async fn guess(guard: &Guard<SqliteStore>, user: &str, times: usize) {
    for _ in 0..times {
        assert!(matches!(guard.verify(user, "000000").await.unwrap(), Verdict::Refused(_)));
    }
}

#[test]
fn unlock_ends_the_wait() {
    let world = world("unlock");
    let app = KeyUri::totp("", "al", &Secret::from_base32(AL).unwrap()).unwrap().to_totp().unwrap();
    block_on(async {
        let guard = world.application().await;
        guess(&guard, "al", 5).await;
        assert!(guard.status("al").await.unwrap().retry_at().is_some());
        let status = world.run("status al --json").exits(0).json().remove(0);
        assert!(status["retry_at"].is_u64() && status["consecutive_failures"] == 5);
        world.run("status al").exits(0).says("locked out until 20");
        world.run("unlock al --log log").exits(0).says("al: app codes are accepted again");
        logged(&world, "user=\"al\" operator=\"jane\" Unlocked");
        // The adoption counted the codes of its window as used, so this is the next one.
        let later = Guard::new(guard.store().clone(), keyring(&world), "").with_clock(|| Some(now() + 60));
        let code = app.code_at(now() + 60).to_string();
        assert!(matches!(later.verify("al", &code).await.unwrap(), Verdict::Accepted(_)));
        assert!(guard.status("al").await.unwrap().retry_at().is_none());
    });
}

#[test]
fn a_suspended_account_is_resumed() {
    let world = world("suspend");
    let answer = world.run("suspend al --log log --json").exits(0).json().remove(0);
    assert_eq!(answer, serde_json::json!({"user": "al", "command": "suspend", "changed": true}));
    logged(&world, "Suspended");
    world.run("status al").exits(0).says("SUSPENDED");
    assert_eq!(world.run("list --suspended").exits(0).out, "al\n");
    world.run("suspend al").exits(0).says("nothing to change");
    block_on(async {
        let guard = world.application().await;
        let error = guard.verify("al", "000000").await.unwrap_err();
        assert_eq!(error.kind(), GuardErrorKind::Suspended);
    });
    world.run("vouch al --keys-file keys").exits(1).says("suspended");
    world.run("resume al --log log").exits(0).says("can log in again");
    logged(&world, "Resumed");
    world.run("list --suspended").exits(1);
}

#[test]
fn a_voucher_adds_an_authenticator() {
    let world = world("vouch");
    let answer = world.run("vouch bob --keys-file keys --log log --json").exits(0).json().remove(0);
    logged(&world, "Vouched");
    block_on(async {
        let voucher = Voucher::from_token(answer["voucher"].as_str().unwrap()).unwrap();
        assert_eq!((voucher.user(), Some(voucher.expires_at())), ("bob", answer["expires_at"].as_u64()));
        let guard = world.application().await;
        let proof = guard.redeem(&voucher).await.unwrap();
        let setup = keyfob::guard::Setup::totp("bob");
        assert!(guard.enroll_another("bob", &setup, &proof).await.is_ok());
    });
    world.run("status bob").exits(0).says("waiting for its first code");
    // With other keys, the voucher would be worthless.
    world.run("vouch bob").exits(3).says("KEYFOB_KEYS");
}

#[test]
fn devices_are_listed_and_forgotten() {
    let world = world("devices");
    world.run("devices bob").exits(1).says("no trusted or known device");
    let app = KeyUri::hotp("", "bob", &Secret::from_base32(BOB).unwrap(), 0).unwrap().to_hotp().unwrap();
    block_on(async {
        let guard = world.application().await;
        for (counter, name) in [(0, "laptop"), (1, "tablet")] {
            let Verdict::Accepted(accepted) = guard.verify("bob", &app.code(counter).to_string()).await.unwrap() else {
                panic!("the code was refused")
            };
            guard.remember_device(&accepted, name).await.unwrap();
        }
    });
    let devices = world.run("devices bob --json").exits(0).json();
    assert_eq!((&devices[0]["name"], &devices[1]["trusted"]), (&"laptop".into(), &false.into()));
    world.run("devices bob").exits(0).says("known, \"tablet\"");
    let id = devices[0]["id"].as_str().unwrap();
    world.run(&format!("forget bob {id} --log log")).exits(0).says("was forgotten");
    logged(&world, "DeviceForgotten");
    world.run(&format!("forget bob {id}")).exits(1).says("no such device");
    world.run("forget bob --all").exits(2).says("--yes");
    world.run("forget bob --all --yes --log log").exits(0);
    logged(&world, "LoginsVoided");
    world.run("devices bob").exits(1);
}

#[test]
fn revoke_and_remove_ask_first() {
    let world = world("remove");
    let status = world.run("status al --json").exits(0).json().remove(0);
    let id = status["authenticators"][0]["id"].as_str().unwrap().to_owned();
    world.run(&format!("revoke al {id}")).exits(2).says("--yes");
    world.run("revoke al abc --yes").exits(1).says("no authenticator with this id");
    world.run(&format!("revoke al {id} --yes --log log")).exits(0);
    logged(&world, "Revoked");
    world.run("status al").exits(0).says("only recovery codes are left");

    world.run("remove al").exits(2).says("--yes");
    assert_eq!(world.run("status al --json").json()[0]["active"], true);
    world.run("remove al --yes --log log").exits(0).says("was removed");
    logged(&world, "Disabled");
    world.run("status al").exits(0).says("no second factor");
    world.run("remove al --yes").exits(1).says("no second factor");
}

#[test]
fn notices_are_listed_until_they_are_acknowledged() {
    let world = world("notices");
    world.write("policy.json", r#"{"notices": true}"#);
    let world = world.with_variable("KEYFOB_POLICY", "policy.json");
    assert!(world.run("notices").exits(0).out.is_empty());
    world.run("remove al --yes").exits(0);
    let notice = world.run("notices --json").exits(0).json().remove(0);
    assert_eq!((&notice["user"], &notice["kind"]), (&"al".into(), &"authenticator-removed".into()));
    world.run("notices al").exits(0).says("al: authenticator-removed at 20");
    assert!(world.run("notices bob").exits(0).out.is_empty());
    block_on(async {
        let guard = world.application().await;
        let notice = guard.status("al").await.unwrap().notices()[0];
        guard.acknowledge("al", notice).await.unwrap();
    });
    assert!(world.run("notices").exits(0).out.is_empty());
}

#[test]
fn a_strict_policy_refuses_to_unlock() {
    let world = world("strict");
    world.write("policy.json", r#"{"strict": true}"#);
    world.run("unlock al --policy policy.json").exits(1).says("strict");
    world.run("unlock al").exits(0);
}

#[test]
fn accounts_are_listed_in_pages() {
    let world = world("list");
    assert_eq!(world.run("list").exits(0).out, "al\nbob\ncarol\n");
    assert_eq!(world.run("list --limit 1 --after al").exits(0).out, "bob\n");
    assert_eq!(world.run("list --weak").exits(0).out, "carol\n");
    assert_eq!(world.run("list --key 2026 --json").exits(0).json().len(), 3);
    world.run("list --key 2025").exits(1);
    world.run("list --status").exits(0).says("carol: second factor active");
}

/// A support desk without keys can do everything but vouch, adopt and reseal, and leaves no trace of the key that
/// stands in for them.
#[test]
fn most_commands_need_no_keys() {
    let world = world("keyless");
    std::fs::rename(world.path("keys"), world.path("elsewhere")).unwrap();
    let id = world.run("status al --json").json()[0]["authenticators"][0]["id"].as_str().unwrap().to_owned();
    for command in ["status al", "unlock al", "suspend al", "resume al", "list --status", "notices"] {
        world.run(command).exits(0);
    }
    world.run(&format!("revoke al {id} --yes")).exits(0);
    world.run("forget bob --all --yes").exits(0);
    world.run("invalidate --all --yes").exits(0);
    world.run("remove carol --yes").exits(0);
    for command in ["vouch bob", "reseal bob", "adopt users.csv"] {
        world.run(command).exits(3).says("--keys-file");
    }
    for file in ["users.db", "users.db-wal"] {
        let bytes = std::fs::read(world.path(file)).unwrap_or_default();
        assert!(!bytes.windows(11).any(|window| window == b"placeholder"), "{file}");
    }
    std::fs::rename(world.path("elsewhere"), world.path("keys")).unwrap();
    world.run("vouch bob --keys-file keys").exits(0);
}

#[test]
fn invalidate_says_what_is_left_to_do() {
    let world = world("invalidate");
    world.run("invalidate al").exits(2).says("--yes");
    let line = world.run("invalidate bob --yes --log log --json").exits(0).json().remove(0);
    assert_eq!(line["invalidated"]["to_replace"].as_array().unwrap().len(), 1);
    logged(&world, "CodesInvalidated");
    world.run("invalidate al --yes --recent").exits(0).says("accepted from 20");
    world.run("invalidate --all --yes").exits(0).says("bob: replace ").says("3 accounts: 3 invalidated, 0 failed");
    world.run("invalidate dave --yes").exits(0).says("nothing to change");
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn keyring(world: &World) -> keyfob::Keyring {
    keyfob::Keyring::parse(&world.read("keys")).unwrap()
}
