//! A small application with users, passwords, sessions and a second factor:
//!
//! ```sh
//! cargo run -p keyfob-axum --example app
//! ```
//!
//! Then open <http://localhost:8080>, whose first page says what to do. The cookies need TLS, except on `localhost` in
//! Chromium and Firefox. Users and sessions are in an SQLite database in the directory for temporary files, so they are
//! still there after a restart.
//!
//! The lines between `second factor:` and `end` are what an application adds to have a second factor.

use std::path::Path;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use axum::extract::{Form, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use keyfob::guard::{Expectation, Generation, SignIn};
use keyfob::store::SqliteStore;
use keyfob::{Guard, Keyring, Policy};
use keyfob_axum::{Account, Application, BoxError, Page, Pages, Session};
use rand::TryRng;
use sha2::{Digest, Sha256};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// Both users have this password. A real application lets them choose their own.
pub(crate) const PASSWORD: &str = "correct horse battery";

#[allow(dead_code)] // The tests start the application in their own way.
#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = std::env::temp_dir().join("keyfob-axum-example");
    std::fs::create_dir_all(&folder)?;
    // A real application gets its keys from a secret manager, and never stores them beside the database.
    let keys = folder.join("keys");
    if !keys.exists() {
        std::fs::write(&keys, Keyring::generate("example")?.as_bytes())?;
    }
    let database = open(&folder.join("users.db")).await?;
    let guard = guard(&database, Keyring::parse(&std::fs::read_to_string(keys)?)?).await?;
    let port = std::env::args().nth(1).unwrap_or_else(|| "8080".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("Open http://localhost:{} in a browser.", listener.local_addr()?.port());
    Ok(axum::serve(listener, router(database, guard)?).await?)
}

pub(crate) async fn open(file: &Path) -> Result<SqlitePool, BoxError> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let database = SqlitePool::connect_with(options).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, email TEXT UNIQUE, password TEXT, staff INTEGER,
             enrolled INTEGER DEFAULT 0) STRICT;
         CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, user TEXT, generation TEXT, ends INTEGER) STRICT;",
    )
    .execute(&database)
    .await?;
    for (id, email, staff) in [("1", "alice@example.com", false), ("2", "bob@example.com", true)] {
        let insert = "INSERT INTO users (id, email, password, staff) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        sqlx::query(insert).bind(id).bind(email).bind(hash(PASSWORD)?).bind(staff).execute(&database).await?;
    }
    Ok(database)
}

/// What every handler has.
#[derive(Clone)]
struct App {
    database: SqlitePool,
    pages: Pages<Accounts, SqliteStore>, // second factor: the pages, end
}

// second factor: the guard
const MONTH: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

pub(crate) async fn guard(database: &SqlitePool, keys: Keyring) -> Result<Guard<SqliteStore>, BoxError> {
    let store = SqliteStore::from_pool(database.clone()).await?;
    let policy = Policy::default().with_trusted_devices(MONTH)?;
    Ok(Guard::new(store, keys, "Example Inc").with_policy(policy).with_events(|event| println!("{event}")))
}
// end

pub(crate) fn router(database: SqlitePool, guard: Guard<SqliteStore>) -> Result<Router, BoxError> {
    // second factor: the routes
    let accounts = Accounts { database: database.clone() };
    let pages = Pages::new(accounts, Arc::new(guard)).with_trusted_devices(MONTH);
    let personal = pages.protect(Router::new().route("/notes", get(notes)).route("/password", post(change_password)));
    let payment = pages.step_up("payment", Router::new().route("/payment", get(payment_form).post(pay)))?;
    // end
    let app = App { database, pages: pages.clone() };
    let routes = personal.merge(payment);
    let routes =
        routes.route("/", get(home)).route("/login", get(login_form).post(login)).route("/logout", post(logout));
    let routes = routes.route("/app.css", get(async || ([("content-type", "text/css")], STYLE)));
    Ok(routes.layer(middleware::from_fn(same_site)).with_state(app).merge(pages.router()))
}

// second factor: what the pages need to know
/// The application's users and sessions, for the pages.
struct Accounts {
    database: SqlitePool,
}

impl Application for Accounts {
    async fn session(&self, request: &Parts) -> Result<Option<Session>, BoxError> {
        let Some(id) = session_id(&request.headers) else { return Ok(None) };
        let select = "SELECT user, generation FROM sessions WHERE id = ? AND ends > unixepoch()";
        let row = sqlx::query_as(select).bind(&id).fetch_optional(&self.database).await?;
        let Some((user, generation)): Option<(String, String)> = row else { return Ok(None) };
        Ok(Some(Session::new(user, id, generation.parse()?)))
    }

    async fn account(&self, user: &str) -> Result<Account, BoxError> {
        let select = "SELECT email, staff, enrolled FROM users WHERE id = ?";
        let (email, staff, enrolled): (String, bool, bool) =
            sqlx::query_as(select).bind(user).fetch_one(&self.database).await?;
        let expectation = match (enrolled, staff) {
            (true, _) => Expectation::Enrolled,
            (false, true) => Expectation::RequiredFrom(0), // staff must enroll at the first login
            (false, false) => Expectation::Optional,
        };
        let account = Account::new(&email, expectation);
        Ok(if staff { account.without_turning_off() } else { account })
    }

    async fn set_enrolled(&self, user: &str, enrolled: bool) -> Result<(), BoxError> {
        let update = "UPDATE users SET enrolled = ? WHERE id = ?";
        sqlx::query(update).bind(enrolled).bind(user).execute(&self.database).await?;
        Ok(())
    }

    async fn start_session(&self, sign_in: SignIn, _: &Parts, cookies: &mut HeaderMap) -> Result<Session, BoxError> {
        let id = new_session(&self.database, sign_in.user(), sign_in.generation(), cookies).await?;
        Ok(Session::new(sign_in.user(), id, sign_in.generation()))
    }

    async fn keep_session(&self, session: &Session, generation: Generation) -> Result<(), BoxError> {
        let update = "UPDATE sessions SET generation = ? WHERE id = ?";
        sqlx::query(update).bind(generation.to_string()).bind(session.id()).execute(&self.database).await?;
        let delete = "DELETE FROM sessions WHERE user = ? AND id != ?";
        sqlx::query(delete).bind(session.user()).bind(session.id()).execute(&self.database).await?;
        Ok(())
    }

    async fn end_session(&self, session: &Session) -> Result<(), BoxError> {
        sqlx::query("DELETE FROM sessions WHERE id = ?").bind(session.id()).execute(&self.database).await?;
        Ok(())
    }

    fn layout(&self, page: &Page<'_>) -> String {
        layout(page.title(), page.head(), page.body())
    }
}
// end

#[derive(serde::Deserialize)]
struct LoginForm {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

async fn login(State(app): State<App>, request: Parts, Form(form): Form<LoginForm>) -> Result<Response, Failed> {
    let select = "SELECT id, password FROM users WHERE email = ?";
    let row: Option<(String, String)> = sqlx::query_as(select).bind(&form.email).fetch_optional(&app.database).await?;
    // An address without an account takes as long as a wrong password.
    let (user, stored) = row.unwrap_or((String::new(), NOBODY.into()));
    if !is_password(form.password, stored).await? || user.is_empty() {
        return Ok(
            (StatusCode::UNAUTHORIZED, login_page(&form.next, "Wrong email address or password.")).into_response()
        );
    }
    Ok(app.pages.begin_login(&request, &user, &form.next).await) // second factor: after the password, end
}

#[derive(serde::Deserialize)]
struct PasswordForm {
    current: String,
    password: String,
}

async fn change_password(
    State(app): State<App>,
    Extension(session): Extension<Session>,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Failed> {
    let select = "SELECT password FROM users WHERE id = ?";
    let stored: String = sqlx::query_scalar(select).bind(session.user()).fetch_one(&app.database).await?;
    // Somebody who has only the session must not lock its owner out. The browser's check of the length can be skipped.
    if !is_password(form.current, stored).await? || form.password.chars().count() < SHORTEST_PASSWORD {
        let message = "<p role='alert'><b>The current password is wrong, or the new one is too short.</b></p>";
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page("Change password", message)).into_response());
    }
    let password = tokio::task::spawn_blocking(move || hash(&form.password)).await??;
    let update = "UPDATE users SET password = ? WHERE id = ?";
    sqlx::query(update).bind(password).bind(session.user()).execute(&app.database).await?;
    app.pages.password_changed(&session).await?; // second factor: ends other sessions and devices, end
    Ok(Redirect::to("/notes").into_response())
}

const SHORTEST_PASSWORD: usize = 15;

async fn logout(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failed> {
    sqlx::query("DELETE FROM sessions WHERE id = ?").bind(session_id(&headers)).execute(&app.database).await?;
    let mut cookies = HeaderMap::new();
    set_cookie(&mut cookies, "", 0);
    Ok((cookies, Redirect::to("/")).into_response())
}

async fn home(State(app): State<App>, request: Parts) -> Result<Response, Failed> {
    let user = app.pages.session(&request).await?.map(|session| session.user().to_owned());
    let body = match user {
        Some(_) => "<p>You are logged in.</p><ul><li><a href='/notes'>Your notes</a>, which need a login</li>\
                    <li><a href='/payment'>A payment</a>, which needs a fresh code</li>\
                    <li><a href='/second-factor'>Two-factor authentication</a></li></ul>"
            .into(),
        None => format!(
            "<p>This is an example. Nothing here is real. To see the second factor:</p><ol>\
             <li><a href='/login'>Log in</a> as <b>alice@example.com</b> with the password <b>{PASSWORD}</b>.</li>\
             <li>Open <i>Two-factor authentication</i> and add an authenticator app.</li>\
             <li>Log out, and log in again with a code from the app, or with a recovery code.</li>\
             <li>Open the payment, which asks for a fresh code.</li>\
             <li>Log in as <b>bob@example.com</b>. Bob is on the staff, so he has to add an app before he is logged \
             in. His password is the same.</li></ol>"
        ),
    };
    Ok(page("Example Inc", &body))
}

async fn notes(Extension(session): Extension<Session>) -> Response {
    let body = "<p>Nobody else can see these notes.</p><form method='post' action='/password'>\
                <label>Current password <input name='current' type='password' required \
                autocomplete='current-password'></label>\
                <label>New password <input name='password' type='password' required minlength='15' \
                autocomplete='new-password'></label>\
                <button>Change password</button></form>";
    page(&format!("Notes of user {}", session.user()), body)
}

async fn payment_form() -> Response {
    page("Payment", "<form method='post'><p>Pay 100 to Carol?</p><button>Pay</button></form>")
}

async fn pay() -> Response {
    page("Paid", "<p>You have paid 100 to Carol.</p>")
}

#[derive(serde::Deserialize)]
struct Wanted {
    #[serde(default)]
    next: String,
}

async fn login_form(Query(wanted): Query<Wanted>) -> Response {
    login_page(&wanted.next, "").into_response()
}

fn login_page(next: &str, error: &str) -> Response {
    let next = next.replace('&', "&amp;").replace('\'', "&#39;").replace('<', "&lt;");
    let error = if error.is_empty() { String::new() } else { format!("<p role='alert'><b>{error}</b></p>") };
    page(
        "Log in",
        &format!(
            "{error}<form method='post' action='/login'><input type='hidden' name='next' value='{next}'>\
             <label>Email address <input name='email' type='email' required autofocus autocomplete='username'></label>\
             <label>Password <input name='password' type='password' required autocomplete='current-password'></label>\
             <button>Log in</button></form>"
        ),
    )
}

/// Starts a session with a new id. The browser has the cookie, and the database only a hash of it.
async fn new_session(
    database: &SqlitePool,
    user: &str,
    generation: Generation,
    cookies: &mut HeaderMap,
) -> Result<String, BoxError> {
    let mut random = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut random)?;
    let cookie = hex(&random);
    let id = hex(&Sha256::digest(&cookie));
    let insert = "INSERT INTO sessions VALUES (?, ?, ?, unixepoch() + 2592000)";
    sqlx::query(insert).bind(&id).bind(user).bind(generation.to_string()).execute(database).await?;
    set_cookie(cookies, &cookie, 2_592_000);
    Ok(id)
}

fn set_cookie(headers: &mut HeaderMap, value: &str, seconds: u32) {
    let cookie = format!("__Host-session={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    headers.append(SET_COOKIE, cookie.parse().expect("hexadecimal digits"));
}

fn session_id(headers: &HeaderMap) -> Option<String> {
    // Other sites of the same domain can set cookies with any bytes, which must not hide this one.
    let mut cookies = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    let cookie = cookies.find_map(|cookie| cookie.trim_ascii().strip_prefix(b"__Host-session="))?;
    Some(hex(&Sha256::digest(cookie)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(password: &str) -> Result<String, BoxError> {
    Ok(Argon2::default().hash_password(password.as_bytes()).map_err(|error| error.to_string())?.to_string())
}

/// A hash takes some ten milliseconds, which other requests should not wait for.
async fn is_password(typed: String, stored: String) -> Result<bool, BoxError> {
    let check = move || {
        let stored = PasswordHash::new(&stored).ok();
        stored.is_some_and(|stored| Argon2::default().verify_password(typed.as_bytes(), &stored).is_ok())
    };
    Ok(tokio::task::spawn_blocking(check).await?)
}

/// The hash of a password that nobody has.
pub(crate) const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Refuses forms from other sites. A page on one could otherwise log its visitors into an account of its own.
async fn same_site(request: Request, next: Next) -> Response {
    match request.method().is_safe() || is_own(request.headers()) {
        true => next.run(request).await,
        false => StatusCode::FORBIDDEN.into_response(),
    }
}

fn is_own(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (header("sec-fetch-site"), header("origin"), header("host")) {
        (Some(site), ..) => site == "same-origin",
        // Browsers from before 2023 send only `Origin`.
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        _ => false,
    }
}

fn page(title: &str, body: &str) -> Response {
    ([(CACHE_CONTROL, "no-store")], Html(layout(title, "", &format!("<div class='box'><h1>{title}</h1>{body}</div>"))))
        .into_response()
}

fn layout(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>\
         <meta name='viewport' content='width=device-width, initial-scale=1'>\
         <meta name='color-scheme' content='light dark'><link rel='stylesheet' href='/app.css'>{head}</head><body>\
         <header><a href='/'>Example Inc</a>\
         <form method='post' action='/logout'><button>Log out</button></form></header>\
         <main>{body}</main></body></html>"
    )
}

const STYLE: &str = "
    :root { color-scheme: light dark; --line: light-dark(#dde2ea, #333c4b); --back: light-dark(#fff, #1a202b); }
    body { margin: 0; background: light-dark(#f4f6f9, #10141b); color: light-dark(#1c2330, #e7ebf2);
           font: 1rem/1.55 system-ui, sans-serif; }
    header { display: flex; justify-content: space-between; align-items: center; padding: .75rem 1rem;
             background: var(--back); border-block-end: 1px solid var(--line); }
    header a { font-weight: 700; }
    a { color: light-dark(#1f5fbf, #8db8ff); }
    main { padding-block: clamp(0rem, 4vw, 3rem); }
    .box { box-sizing: border-box; max-inline-size: 36rem; margin: 0 auto; padding: clamp(1rem, 4vw, 2rem);
           border-radius: .75rem; background: var(--back); }
    .box h1 { margin-block-start: 0; font-size: 1.6rem; }
    .box label { display: block; margin-block-end: 1rem; font-weight: 600; }
    .box input { box-sizing: border-box; inline-size: 100%; padding: .6rem .75rem; font: inherit; }
    button { padding: .55rem 1.1rem; font: inherit; }
";

/// An error ends the request, and says nothing to the browser.
struct Failed(BoxError);

impl<E: Into<BoxError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        eprintln!("{}", self.0);
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}
