//! A load test: clients log in again and again over HTTP at an application with keyfob-axum's pages.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::mem::swap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::http::{Request, Response, StatusCode};
use axum::serve::ListenerExt;
use futures_util::future::{join, join_all};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use keyfob::guard::{Adoptee, Adoption, OperatorId};
use keyfob::store::{Accounts, PostgresStore, SqliteStore};
use keyfob_axum::{BoxError, English, Text, Texts};
use keyfob_benches::AT;
use keyfob_benches::bare;
use keyfob_benches::phone::{Phone, account, key_uri};
use keyfob_benches::servers::{Kind, shared};
use keyfob_benches::site::{Browser, Connection, PASSWORD, Tables, leads, router, shows};
use sqlx::{PgPool, SqlitePool};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// How many clients log in at once, and how many users each of them has.
const CLIENTS: usize = 32;
const USERS: usize = 16;

/// What the clients did at one database.
#[derive(Default)]
pub struct Load {
    database: &'static str,
    plain: Speed,
    codes: Speed,
    /// The rounds in which codes are sent again, and at the same time.
    checks: Speed,
    accepted: u64,
    sessions: u64,
    refused: u64,
}

#[derive(Default)]
struct Speed {
    logins: u64,
    requests: u64,
    time: Duration,
}

/// Runs the load test for so long on each database that is installed.
///
/// # Panics
///
/// If a response is not the expected one, or if a code was accepted twice.
pub fn run(folder: &Path, quick: bool) -> Vec<Load> {
    let duration = Duration::from_secs(if quick { 2 } else { 30 });
    // The server and the clients have a runtime each. The clients share one thread, as in a load generator.
    let server = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let clients = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut loads = Vec::new();

    let file = folder.join(format!("load-{}.db", std::process::id()));
    let (pool, store) = server.block_on(async {
        let pool = bare::sqlite_pool(bare::sqlite_options(&file)).await;
        let store = SqliteStore::from_pool(pool.clone()).await.expect("durable");
        (pool, store)
    });
    loads.push(measure(&server, &clients, "SQLite", Sql(pool.clone()), store, duration));
    server.block_on(pool.close());
    bare::remove_sqlite(&file);
    if let Some(postgres) = shared(Kind::Postgres) {
        let (pool, store) = server.block_on(async {
            let pool = bare::postgres_pool(&postgres.url("postgres")).await;
            sqlx::query("CREATE DATABASE keyfob_load").execute(&pool).await.expect("a database");
            pool.close().await;
            let pool = bare::postgres_pool(&postgres.url("keyfob_load")).await;
            let store = PostgresStore::from_pool(pool.clone()).await.expect("durable");
            (pool, store)
        });
        loads.push(measure(&server, &clients, "PostgreSQL", Sql(pool), store, duration));
    }
    loads
}

fn measure<D: Database, S: Accounts + 'static>(
    server: &Runtime,
    clients: &Runtime,
    name: &'static str,
    database: D,
    store: S,
    duration: Duration,
) -> Load {
    let (phone, accepted) = Phone::counting(store);
    let users: Vec<Vec<String>> =
        (0..CLIENTS).map(|client| (0..USERS).map(|user| account(client * USERS + user)).collect()).collect();
    let (address, serving) = server.block_on(async {
        database.fill(&users.concat()).await;
        adopt(&phone, &users.concat()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a port");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
        let serve = axum::serve(listener, router(database.clone(), &phone));
        (address, tokio::spawn(serve.into_future()))
    });

    let mut load = Load { database: name, ..Load::default() };
    clients.block_on(async {
        let mut clients = join_all(users.into_iter().map(|users| Client::new(address, users))).await;
        // From here on, the users log in with browsers that the guard knows.
        phone.wait();
        let code = phone.code();
        load.accepted += round(&mut clients, &mut Speed::default(), async |client| client.log_in(&code).await).await;
        let (start, mut turns) = (Instant::now(), 0);
        // A round of each kind in turn, because a disk is faster in one second than in another.
        while turns < 2 || start.elapsed() < duration {
            turns += 1;
            round(&mut clients, &mut load.plain, async |client| client.log_in_plain().await).await;
            phone.wait();
            let code = phone.code();
            load.accepted += round(&mut clients, &mut load.codes, async |client| client.log_in(&code).await).await;
            phone.wait();
            let next = phone.code();
            let check = async |client: &mut Client| client.send_again(&code, &next).await;
            load.accepted += round(&mut clients, &mut load.checks, check).await;
        }
        load.refused = clients.iter().map(|client| client.refused).sum();
    });
    load.sessions = server.block_on(database.sign_ins());
    assert_eq!(accepted.load(Ordering::Relaxed), load.accepted, "codes that the guard accepted on {name}");
    assert_eq!(load.sessions, load.accepted, "sessions that were started on {name}");
    serving.abort();
    load
}

/// Adds an app for each user, as an import does.
async fn adopt<S: Accounts>(phone: &Phone<S>, users: &[String]) {
    let operator = OperatorId::new("benchmark").expect("valid");
    let adoptee = |user: &String| Adoptee {
        user: user.clone(),
        uri: key_uri(user),
        last_used: Some(AT / 30),
        name: String::new(),
    };
    let adoptees: Vec<_> = users.iter().map(adoptee).collect();
    let answers = phone.guard.adopt_batch(&adoptees, &operator).await.expect("answered");
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Adoption::Adopted(_)))), "an app for each user");
}

/// Lets each client log in each of its users. Returns the number of logins.
async fn round(clients: &mut [Client], speed: &mut Speed, run: impl AsyncFn(&mut Client) -> u64) -> u64 {
    let requests = |clients: &[Client]| clients.iter().map(Client::requests).sum::<u64>();
    let (before, start) = (requests(clients), Instant::now());
    let logins = join_all(clients.iter_mut().map(|client| run(client))).await.into_iter().sum();
    speed.time += start.elapsed();
    speed.requests += requests(clients) - before;
    speed.logins += logins;
    logins
}

/// A client with its users. Each user has two browsers.
struct Client {
    users: Vec<User>,
    browsers: [Browser<Network>; 2],
    refused: u64,
}

struct User {
    name: String,
    cookies: [HashMap<String, String>; 2],
}

impl Client {
    async fn new(address: SocketAddr, users: Vec<String>) -> Self {
        let users = users.into_iter().map(|name| User { name, cookies: Default::default() }).collect();
        let browser = async || Browser::new(Network::connect(address).await);
        Self { users, browsers: [browser().await, browser().await], refused: 0 }
    }

    fn requests(&self) -> u64 {
        self.browsers.iter().map(|browser| browser.requests).sum()
    }

    /// With the password only.
    async fn log_in_plain(&mut self) -> u64 {
        let [browser, _] = &mut self.browsers;
        for user in &self.users {
            browser.cookies.clear();
            let response = browser.post("/plain/login", &[("user", &user.name), ("password", PASSWORD)]).await;
            let notes = browser.get(leads(&response, "/plain/notes")).await;
            shows(&notes, StatusCode::OK, &user.name);
        }
        self.users.len() as u64
    }

    /// With the password, and then with the code.
    async fn log_in(&mut self, code: &str) -> u64 {
        let [browser, _] = &mut self.browsers;
        for user in &mut self.users {
            swap(&mut browser.cookies, &mut user.cookies[0]);
            let token = browser.begin(&user.name).await;
            let response = browser.answer(&token, code).await;
            let notes = browser.get(leads(&response, "/notes")).await;
            shows(&notes, StatusCode::OK, &user.name);
            swap(&mut browser.cookies, &mut user.cookies[0]);
        }
        self.users.len() as u64
    }

    /// Sends a used code again, and then the next code from both browsers at once.
    ///
    /// keyfob does not count the first repetition of a code as a failure. After a second one, the next login would show
    /// a note.
    async fn send_again(&mut self, used: &str, next: &str) -> u64 {
        let [one, two] = &mut self.browsers;
        let replayed = English.text(&Text::CodeUsed);
        for user in &mut self.users {
            swap(&mut one.cookies, &mut user.cookies[0]);
            swap(&mut two.cookies, &mut user.cookies[1]);
            let tokens = join(one.begin(&user.name), two.begin(&user.name)).await;
            shows(&one.answer(&tokens.0, used).await, StatusCode::UNPROCESSABLE_ENTITY, &replayed);
            let (first, second) = join(one.answer(&tokens.0, next), two.answer(&tokens.1, next)).await;
            let (winner, won, lost) = match first.status() {
                StatusCode::SEE_OTHER => (&mut *one, first, second),
                _ => (&mut *two, second, first),
            };
            shows(&lost, StatusCode::UNPROCESSABLE_ENTITY, &replayed);
            let notes = winner.get(leads(&won, "/notes")).await;
            shows(&notes, StatusCode::OK, &user.name);
            self.refused += 2;
            swap(&mut one.cookies, &mut user.cookies[0]);
            swap(&mut two.cookies, &mut user.cookies[1]);
        }
        self.users.len() as u64
    }
}

/// A connection over TCP that is kept open.
struct Network(SendRequest<Full<Bytes>>);

impl Network {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a server");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a server");
        tokio::spawn(connection);
        Self(sender)
    }
}

impl Connection for Network {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        self.0.ready().await.expect("connected");
        let (head, body) = self.0.send_request(request).await.expect("a response").into_parts();
        Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
    }
}

/// The tables of the application in a database.
trait Database: Tables {
    /// Creates the tables, and adds these users.
    async fn fill(&self, users: &[String]);

    /// Returns how many sessions were started with a second factor.
    async fn sign_ins(&self) -> u64;
}

#[derive(Clone)]
struct Sql<P>(P);

/// SQLite and PostgreSQL understand the same statements, but their pools have different types.
macro_rules! database {
    ($pool:ty) => {
        impl Database for Sql<$pool> {
            async fn fill(&self, users: &[String]) {
                for table in [
                    "CREATE TABLE users (id TEXT PRIMARY KEY, password TEXT NOT NULL, enrolled BOOLEAN NOT NULL)",
                    "CREATE TABLE sessions (id TEXT PRIMARY KEY, account TEXT NOT NULL, generation TEXT NOT NULL)",
                ] {
                    sqlx::query(table).execute(&self.0).await.expect("a table");
                }
                let mut transaction = self.0.begin().await.expect("begun");
                for user in users {
                    let insert = sqlx::query("INSERT INTO users VALUES ($1, $2, TRUE)");
                    insert.bind(user).bind(PASSWORD).execute(&mut *transaction).await.expect("inserted");
                }
                transaction.commit().await.expect("committed");
            }

            async fn sign_ins(&self) -> u64 {
                let count = sqlx::query_scalar("SELECT count(*) FROM sessions WHERE generation <> ''");
                count.fetch_one(&self.0).await.map(i64::cast_unsigned).expect("counted")
            }
        }

        impl Tables for Sql<$pool> {
            async fn user(&self, user: &str) -> Result<(String, bool), BoxError> {
                let select = sqlx::query_as("SELECT password, enrolled FROM users WHERE id = $1");
                Ok(select.bind(user).fetch_one(&self.0).await?)
            }

            async fn set_enrolled(&self, user: &str, enrolled: bool) -> Result<(), BoxError> {
                let update = sqlx::query("UPDATE users SET enrolled = $2 WHERE id = $1");
                update.bind(user).bind(enrolled).execute(&self.0).await?;
                Ok(())
            }

            async fn start(&self, id: &str, user: &str, generation: &str) -> Result<(), BoxError> {
                let insert = sqlx::query("INSERT INTO sessions VALUES ($1, $2, $3)");
                insert.bind(id).bind(user).bind(generation).execute(&self.0).await?;
                Ok(())
            }

            async fn find(&self, id: &str) -> Result<Option<(String, String)>, BoxError> {
                let select = sqlx::query_as("SELECT account, generation FROM sessions WHERE id = $1");
                Ok(select.bind(id).fetch_optional(&self.0).await?)
            }

            async fn keep(&self, id: &str, user: &str, generation: &str) -> Result<(), BoxError> {
                let update = sqlx::query("UPDATE sessions SET generation = $2 WHERE id = $1");
                update.bind(id).bind(generation).execute(&self.0).await?;
                let delete = sqlx::query("DELETE FROM sessions WHERE account = $1 AND id <> $2");
                delete.bind(user).bind(id).execute(&self.0).await?;
                Ok(())
            }

            async fn end(&self, id: &str) -> Result<(), BoxError> {
                sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id).execute(&self.0).await?;
                Ok(())
            }
        }
    };
}

database!(SqlitePool);
database!(PgPool);

/// Writes the section of BENCHMARKS.md.
pub fn section(page: &mut String, loads: &[Load]) -> fmt::Result {
    writeln!(
        page,
        "
## Load

{CLIENTS} clients send requests over HTTP on this machine to an application with the pages of keyfob-axum. Each client
has {USERS} users, who log in one after the other with a browser that they have used before. A login with the password
only takes two requests: the password, and a page for which the user must be logged in. With a second factor, there are
two more: the form for the code, and the code. Users, sessions and second factors are in the same database and in the
same pool of connections. Every change waits for the disk. Passwords are stored as they are: a slow hash such as argon2
would take most of the time in both cases, and hide the difference. The clients share the processors with the
application and the database.

| | logins per second | requests per second |
|---|--:|--:|"
    )?;
    for load in loads {
        for (how, speed) in [("password only", &load.plain), ("with a code", &load.codes)] {
            let rate = |count: u64| count as f64 / speed.time.as_secs_f64();
            writeln!(page, "| {}, {how} | {:.0} | {:.0} |", load.database, rate(speed.logins), rate(speed.requests))?;
        }
    }
    writeln!(
        page,
        "
In turn with these rounds, others check that no code is accepted twice. Each user sends the code of the last login
again, and then the next code from two browsers at the same time. One of the three is accepted. The run stops if any
response is not the expected one, or if the guard has accepted a different number of codes, or the application has
started a different number of sessions, than there were logins.

| | responses | codes accepted | sessions started with a code | used codes refused |
|---|--:|--:|--:|--:|"
    )?;
    for load in loads {
        let responses: u64 = [&load.plain, &load.codes, &load.checks].iter().map(|speed| speed.requests).sum();
        let Load { database, accepted, sessions, refused, .. } = load;
        writeln!(page, "| {database} | {responses} | {accepted} | {sessions} | {refused} |")?;
    }
    if loads.len() < 2 {
        writeln!(page, "\nPostgreSQL was not measured: the server is not installed.")?;
    }
    Ok(())
}
