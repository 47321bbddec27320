//! The conformance suite on each server, with every kind of client.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use keyfob::store::{Accounts, Store, StoreOptions, conformance};
use sqlx::mysql::MySqlPoolOptions;
use tokio::runtime::Handle;

use crate::database::{self, Database};
use crate::guarded::Racy;
use crate::progress::{Outcome, Progress};
use crate::servers::Kind;

/// One client, four clients, and each setting that changes what a statement does.
pub async fn conformance(kind: Kind, progress: &Progress) -> Outcome {
    let server = database::shared(kind);
    let url = server.url(&database::create(server, kind).await);
    let mut passed = Vec::new();
    let mut pass = |name: &str| {
        progress.say(format!("passed: {name}"));
        passed.push(name.to_owned());
    };
    let options = |table: usize| StoreOptions::new().with_table(&format!("clients_{table}")).unwrap();

    let one = Database::open(kind, &url).await.unwrap();
    check(vec![one.clone()], "one client");
    accounts(&one, "one client");
    pass("one client");
    check(pools(kind, &url, &StoreOptions::new(), "SELECT 1").await, "four clients");
    pass("four clients");

    let sessions: &[(&'static str, &'static str)] = match kind {
        Kind::MariaDb => &[
            ("READ UNCOMMITTED", "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"),
            ("READ COMMITTED", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"),
            ("REPEATABLE READ", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
            ("SERIALIZABLE", "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
            ("autocommit=0", "SET autocommit = 0"),
            ("sql_mode=''", "SET sql_mode = ''"),
        ],
        Kind::Redis => &[],
        _ => &[
            ("read uncommitted", "SET default_transaction_isolation = 'read uncommitted'"),
            ("read committed", "SET default_transaction_isolation = 'read committed'"),
            ("repeatable read", "SET default_transaction_isolation = 'repeatable read'"),
            ("serializable", "SET default_transaction_isolation = 'serializable'"),
        ],
    };
    for (index, (name, session)) in sessions.iter().enumerate() {
        let clients = pools(kind, &url, &options(index), session).await;
        let first = clients[0].clone();
        check(clients, name);
        accounts(&first, name);
        pass(name);
    }

    if kind == Kind::Postgres {
        let pooler = database::shared(Kind::PgBouncer);
        let name = url.split('?').next().unwrap().rsplit('/').next().unwrap();
        let clients = pools(kind, &pooler.url(name), &options(90), "").await;
        let first = clients[0].clone();
        check(clients, "PgBouncer");
        accounts(&first, "PgBouncer");
        pass("PgBouncer in transaction mode");
    }
    if kind == Kind::MariaDb {
        for found in [true, false] {
            let name = if found { "found-rows flag on" } else { "found-rows flag off" };
            let proxied = Proxy::start(&url, found);
            assert_eq!(proxied.counts_unchanged_rows().await, found, "the proxy does not set the flag");
            check(pools(kind, &proxied.url, &options(90 + usize::from(found)), "SELECT 1").await, name);
            pass(name);
        }
    }

    let racy = pools(kind, &url, &StoreOptions::new(), "SELECT 1").await.into_iter().map(Racy).collect::<Vec<_>>();
    let violation = violation(racy).expect("the control passes: a store that reads and then writes conforms");
    Outcome { did: passed.join(", "), control: format!("read, then write: \u{201c}{violation}\u{201d}") }
}

async fn pools(kind: Kind, url: &str, options: &StoreOptions, session: &'static str) -> Vec<Database> {
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Database::pooled(kind, url, options.clone(), session).await.unwrap());
    }
    clients
}

fn check(clients: Vec<impl Store + 'static>, name: &str) {
    if let Some(violation) = violation(clients) {
        panic!("{name}: {violation}");
    }
}

fn violation(clients: Vec<impl Store + 'static>) -> Option<String> {
    let runtime = Handle::current();
    let clients: Vec<_> = clients.iter().collect();
    let checked = database::blocking(|| conformance::check_all(&clients, |test| runtime.block_on(test)));
    checked.err().map(|violation| violation.to_string())
}

fn accounts(store: &(impl Accounts + 'static), name: &str) {
    let runtime = Handle::current();
    let checked = database::blocking(|| conformance::check_accounts(store, |test| runtime.block_on(test)));
    checked.unwrap_or_else(|violation| panic!("{name}: {violation}"));
}

/// Stands between the clients and MariaDB, and sets or clears the flag with which the server counts the rows that were
/// found instead of the rows that were changed. `sqlx` itself always sets the flag.
struct Proxy {
    url: String,
    socket: PathBuf,
}

impl Proxy {
    fn start(url: &str, found_rows: bool) -> Self {
        let (start, server) = url.split_once("socket=").unwrap();
        let server = PathBuf::from(server);
        let name = format!("keyfob-proxy-{}-{found_rows}", std::process::id());
        let socket = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || relay(client, &server, found_rows));
            }
        });
        Self { url: format!("{start}socket={}", socket.display()), socket }
    }

    /// Whether an update that changes nothing counts as a row.
    async fn counts_unchanged_rows(&self) -> bool {
        let pool = MySqlPoolOptions::new().max_connections(1).connect(&self.url).await.unwrap();
        let create = "CREATE TABLE IF NOT EXISTS same (number INT); DELETE FROM same; INSERT INTO same VALUES (1)";
        sqlx::raw_sql(create).execute(&pool).await.unwrap();
        let updated = sqlx::raw_sql("UPDATE same SET number = 1").execute(&pool).await.unwrap();
        pool.close().await;
        updated.rows_affected() == 1
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn relay(mut client: UnixStream, server: &Path, found_rows: bool) {
    let Ok(mut server) = UnixStream::connect(server) else { return };
    let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(std::net::Shutdown::Both);
    });
    // The client's first packet begins with its flags, after three bytes for the length and one for the number.
    let mut head = [0; 5];
    if client.read_exact(&mut head).is_ok() {
        head[4] = if found_rows { head[4] | FOUND_ROWS } else { head[4] & !FOUND_ROWS };
        let _ = server.write_all(&head);
        let _ = std::io::copy(&mut client, &mut server);
    }
    let _ = server.shutdown(std::net::Shutdown::Both);
}

/// `CLIENT_FOUND_ROWS`.
const FOUND_ROWS: u8 = 2;
