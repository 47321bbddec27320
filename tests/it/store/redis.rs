//! The store in a Redis database. It was not run with Valkey, which Debian does not have.

use keyfob::Policy;
use keyfob::guard::GuardErrorKind;
use keyfob::store::{Accounts, RedisStore, Store, StoreOptions, Swap};
use redis::Client;
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::remote;
use crate::guarded::{ACCOUNT, Answer, Guarded, code, report, wrong};
use crate::peers::program;
use crate::servers::{Kind, Server, shared};

async fn connect(url: &str) -> MultiplexedConnection {
    Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Runs a command, and expects that it succeeds.
async fn command(connection: &mut MultiplexedConnection, words: &str) -> redis::Value {
    let mut command = redis::Cmd::new();
    for word in words.split(' ') {
        command.arg(word);
    }
    command.query_async(connection).await.unwrap()
}

async fn clients(url: &str, count: usize) -> Vec<RedisStore> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(RedisStore::from_client(Client::open(url).unwrap()).await.unwrap());
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_conforms() {
    let Some(server) = shared(Kind::Redis) else { return };
    let store = RedisStore::open(&server.url("1")).await.unwrap();
    remote::lists_and_adds(&store).await;
    remote::conforms(vec![store]).await;
    remote::conforms(clients(&server.url("1"), 4).await).await;
    // What is written are the keys of the documentation, and none is left.
    let mut connection = connect(&server.url("1")).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_is_accepted() {
    let Some(server) = shared(Kind::Redis) else { return };
    remote::accepts_once("Redis", clients(&server.url("2"), 6).await).await;
    remote::survives_dropped_requests(RedisStore::open(&server.url("2")).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing() {
    let Some(server) = Server::start(Kind::Redis, "kills", &[]) else { return };
    let clients = clients(&server.url("0"), 3).await;
    remote::survives_a_pause(&server, clients[0].clone()).await;
    remote::survives_kills(server, clients).await;
}

#[tokio::test]
async fn keys_are_as_documented() {
    let Some(server) = shared(Kind::Redis) else { return };
    let url = server.url("3");
    let store = RedisStore::open(&url).await.unwrap();
    let other = StoreOptions::new().with_table("other.factor").unwrap();
    let other = RedisStore::open_with(&url, other).await.unwrap();
    for store in [&store, &other] {
        assert_eq!(store.swap("user-17", None, Some(b"record")).await.unwrap(), Swap::Swapped);
    }
    let mut connection = connect(&url).await;
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    keys.sort();
    let names = ["keyfob_second_factor", "other.factor"];
    let expected = names.map(|name| [format!("{{{name}}}"), format!("{{{name}}}:user-17")]);
    assert_eq!(keys, expected.concat());
    let value: Vec<u8> = redis::cmd("GET").arg(&keys[1]).query_async(&mut connection).await.unwrap();
    let (version, _) = store.load("user-17").await.unwrap().unwrap();
    assert_eq!(value, [&version.get().to_be_bytes()[..], b"record"].concat());
    // The documented rights are enough.
    let rights = "on nopass resetkeys ~{keyfob_second_factor}* -@all +eval +getex +getrange +set +del \
                  +zadd +zrem +zrange +info +config|get +select";
    command(&mut connection, &format!("ACL SETUSER documented {}", rights.replace("  ", " "))).await;
    let limited = RedisStore::open(&format!("{url}&user=documented&pass=x")).await.unwrap();
    assert_eq!(limited.swap("user-17", Some(version), None).await.unwrap(), Swap::Swapped);
    assert_eq!(limited.insert(&[("a", b"1"), ("a", b"2")]).await.unwrap(), [true, false]);
    assert_eq!(limited.accounts("", 10).await.unwrap(), ["a"]);

    let _: () =
        redis::cmd("SET").arg("{keyfob_second_factor}:foreign").arg("x").query_async(&mut connection).await.unwrap();
    assert!(store.load("foreign").await.unwrap_err().to_string().contains("did not write"));
    store.close().await;
    assert!(store.clone().load("a").await.unwrap_err().to_string().contains("closed"));
}

#[tokio::test]
async fn a_server_that_loses_changes_is_refused_by_the_name_of_the_setting() {
    let Some(server) = Server::start(Kind::Redis, "settings", &[]) else { return };
    let url = server.url("0");
    let mut connection = connect(&url).await;
    let store = RedisStore::open(&url).await.unwrap();
    assert_eq!(store.swap(ACCOUNT, None, Some(b"1")).await.unwrap(), Swap::Swapped);
    for (setting, lossy, durable) in [
        ("appendonly", &["no"][..], "yes"),
        ("appendfsync", &["everysec", "no"], "always"),
        ("maxmemory-policy", &["allkeys-lru", "volatile-lru", "allkeys-random"], "noeviction"),
    ] {
        for value in lossy {
            command(&mut connection, &format!("CONFIG SET {setting} {value}")).await;
            for options in [StoreOptions::new(), StoreOptions::new().trust_unreadable_settings()] {
                let refused = RedisStore::open_with(&url, options).await.unwrap_err().to_string();
                assert!(refused.contains(setting), "{refused}");
            }
            assert!(RedisStore::open_with(&url, StoreOptions::new().allow_lost_changes()).await.is_ok());
        }
        command(&mut connection, &format!("CONFIG SET {setting} {durable}")).await;
        assert!(RedisStore::open(&url).await.is_ok(), "control");
    }

    // What is hidden has to be trusted by name.
    for (user, hidden) in [("no-config", "-config"), ("nothing", "-config -info")] {
        command(&mut connection, &format!("ACL SETUSER {user} on nopass ~* +@all {hidden}")).await;
        let url = format!("{url}&user={user}&pass=x");
        let refused = RedisStore::open(&url).await.unwrap_err().to_string();
        assert!(refused.contains(if user == "nothing" { "'info'" } else { "appendfsync" }), "{refused}");
        for options in [StoreOptions::new().trust_unreadable_settings(), StoreOptions::new().allow_lost_changes()] {
            let store = RedisStore::open_with(&url, options).await.unwrap();
            assert!(store.load(ACCOUNT).await.unwrap().is_some());
        }
    }
    let refused = RedisStore::open(&format!("{url}&user=no-config&pass=x")).await.unwrap_err().to_string();
    assert!(refused.contains("appendfsync") && refused.contains("trust_unreadable_settings"), "{refused}");

    // A replica answers from the past.
    command(&mut connection, "REPLICAOF 127.0.0.1 1").await;
    let (_, stale): (String, Vec<u8>) = redis::pipe()
        .cmd("PING")
        .cmd("GET")
        .arg("{keyfob_second_factor}:user-17")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert!(!stale.is_empty(), "control: a replica can be read");
    assert!(store.load(ACCOUNT).await.is_err());
    assert!(RedisStore::open(&url).await.unwrap_err().to_string().contains("replica"));
    assert!(store.accounts("", 10).await.unwrap_err().to_string().contains("replica"));
    assert!(store.swap(ACCOUNT, None, Some(b"2")).await.is_err());
    command(&mut connection, "REPLICAOF NO ONE").await;
    assert!(store.load(ACCOUNT).await.unwrap().is_some());

    // A server that was started again with other settings is not trusted because of what it was before.
    command(&mut connection, "CONFIG SET appendfsync everysec").await;
    command(&mut connection, "CLIENT KILL TYPE normal SKIPME no").await;
    let refused = loop {
        match store.load(ACCOUNT).await {
            Err(error) if error.to_string().contains("appendfsync") => break true,
            Err(_) => {}
            Ok(_) => break false,
        }
    };
    assert!(refused);
}

/// The server syncs before it answers.
#[tokio::test]
async fn each_change_is_synced() {
    let Some(_) = program("strace", &["-f", "-o", "/dev/null", "true"]) else { return };
    let Some(server) = Server::start(Kind::Redis, "synced", &[]) else { return };
    let store = RedisStore::open(&server.url("0")).await.unwrap();
    let lossy = RedisStore::open_with(&server.url("0"), StoreOptions::new().allow_lost_changes()).await.unwrap();
    let mut connection = connect(&server.url("0")).await;
    let mut counts = [0, 0];
    for (count, (setting, store)) in counts.iter_mut().zip([("always", &store), ("no", &lossy)]) {
        command(&mut connection, &format!("CONFIG SET appendfsync {setting}")).await;
        *count = remote::syncs(&server, store).await;
    }
    report(&format!("Redis: 40 changes, {} syncs, and {} with appendfsync no", counts[0], counts[1]));
    assert!(counts[0] >= 40 && counts[1] < 20, "{counts:?}");
}

#[tokio::test]
async fn a_server_that_is_down_gives_no_verdict() {
    let Some(server) = Server::start(Kind::Redis, "down", &[]) else { return };
    let mut connection = connect(&server.url("0")).await;
    let guarded = Guarded::new(RedisStore::open(&server.url("0")).await.unwrap(), Policy::default());
    guarded.enroll(1).await;
    let right = code(1, guarded.now());
    let guess = wrong(1, guarded.now()).next().unwrap();
    let closed = async || {
        for typed in [&right, &guess] {
            assert_eq!(guarded.verify(typed).await.unwrap_err().kind(), GuardErrorKind::Store);
        }
    };
    // Full.
    command(&mut connection, "CONFIG SET maxmemory 1").await;
    closed().await;
    command(&mut connection, "CONFIG SET maxmemory 0").await;
    assert_eq!(guarded.guard.status(ACCOUNT).await.unwrap().consecutive_failures(), 0);
    assert_eq!(guarded.verify(&right).await.unwrap(), Answer::Accepted);
    // Too many connections.
    command(&mut connection, "CONFIG SET maxclients 1").await;
    assert!(RedisStore::open(&server.url("0")).await.is_err());
}

#[tokio::test]
async fn errors_hide_the_password() {
    for url in [
        "redis://app:hunter2@localhost:none/0",
        "redis://app:hunter2@localhost/x",
        "redis://app:hunter2@[/0",
        "app:hunter2@localhost",
        "rediss://app:hunter2@localhost",
    ] {
        remote::hides_password(&RedisStore::open(url).await.unwrap_err());
    }
    let Some(server) = shared(Kind::Redis) else { return };
    remote::hides_password(
        &RedisStore::open(&format!("{}&user=nobody&pass=hunter2", server.url("4"))).await.unwrap_err(),
    );
    let mut connection = connect(&server.url("4")).await;
    command(&mut connection, "ACL SETUSER printed on >hunter2 ~* +@all").await;
    let store = RedisStore::open(&format!("{}&user=printed&pass=hunter2", server.url("4"))).await.unwrap();
    let text = format!("{store:?}");
    assert!(text.contains("keyfob_second_factor") && !text.contains("hunter2"), "{text}");
}

/// A server that hides the setting, or that hangs up instead of telling it.
#[tokio::test]
async fn a_lost_connection_is_no_setting_that_is_hidden() {
    let open = async |hangs_up: &'static str, setting, options| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(serve(listener, hangs_up, setting));
        let opened = RedisStore::open_with(&url, options).await.map(drop).map_err(|error| error.to_string());
        server.abort();
        opened
    };
    let trusting = || StoreOptions::new().trust_unreadable_settings();
    for setting in [&["appendfsync", "always"][..], &[]] {
        assert_eq!(open("", setting, trusting()).await, Ok(()));
        for command in ["INFO", "CONFIG"] {
            assert!(open(command, setting, trusting()).await.is_err(), "{command} {setting:?}");
        }
    }
    assert_eq!(open("", &["appendfsync", "always"], StoreOptions::new()).await, Ok(()), "control");
    assert!(open("", &[], StoreOptions::new()).await.unwrap_err().contains("trust_unreadable_settings"));
    assert!(open("", &["appendfsync", "no"], trusting()).await.is_err());
}

/// Answers as a Redis server with a file of appended changes does, and hangs up at one command, once.
async fn serve(listener: TcpListener, hangs_up: &str, setting: &[&str]) {
    let mut hangs_up = Some(hangs_up);
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        let mut connection = BufReader::new(connection);
        let mut line = String::new();
        while connection.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            // Of each command, the words without their lengths.
            let count: usize = line.trim().trim_start_matches('*').parse().unwrap();
            let mut words = Vec::new();
            for index in 0..2 * count {
                line.clear();
                connection.read_line(&mut line).await.unwrap();
                words.extend((index % 2 == 1).then(|| line.trim().to_uppercase()));
            }
            line.clear();
            if hangs_up == Some(&*words[0]) {
                hangs_up = None;
                break;
            }
            let text = |text: &str| format!("${}\r\n{text}\r\n", text.len());
            let answer = match &*words[0] {
                "INFO" => text("role:master\r\naof_enabled:1\r\nmaxmemory_policy:noeviction\r\n"),
                "CONFIG" => format!("*{}\r\n{}", setting.len(), setting.iter().copied().map(text).collect::<String>()),
                _ => "+OK\r\n".into(),
            };
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}
