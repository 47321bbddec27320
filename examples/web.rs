//! Two-factor authentication in a small web server: `cargo run --example web`, then open <http://127.0.0.1:8080>.
//!
//! The example has one user and no passwords. In a real application, `/enroll` and `/confirm` require a complete login,
//! `/login` requires that the password was correct, and every form is protected against forged requests.

use std::error::Error;
use std::sync::Arc;

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, post};
use keyfob::guard::{Confirmation, GuardError, Setup};
use keyfob::store::SqliteStore;
use keyfob::{Guard, Keyring, Verdict};

type App = State<Arc<Guard<SqliteStore>>>;
/// An error is answered by a status code and lets nobody in. Pages may contain a secret, so none is cached.
type Answer = Result<([(&'static str, &'static str); 1], Html<String>), StatusCode>;
/// The primary key of the user who is logged in.
const USER: &str = "user-17";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A real application loads its keys from a secret manager. With new keys at each start, nobody who enrolled before
    // could log in.
    let keys = Keyring::generate("today")?;
    let store = SqliteStore::open(std::env::temp_dir().join(format!("keyfob-{}.db", std::process::id()))).await?;
    let guard = Guard::new(store, Keyring::parse(&keys)?, "Example Inc").with_events(|event| println!("{event}"));
    let app = axum::Router::new().route("/", get(home)).route("/enroll", post(enroll));
    let app = app.route("/confirm", post(confirm)).route("/login", post(login)).with_state(Arc::new(guard));
    println!("http://127.0.0.1:8080");
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8080").await?, app).await?)
}

async fn home(State(guard): App) -> Answer {
    let active = guard.status(USER).await.map_err(failed)?.is_active();
    page(if active { form("/login") } else { "<form method=post action=/enroll><button>Enroll".into() })
}

async fn enroll(State(guard): App) -> Answer {
    let enrollment = guard.enroll(USER, &Setup::totp("alice@example.com")).await.map_err(failed)?;
    let qr = enrollment.qr().map_err(failed)?;
    page(format!("{}<p>Or type: {}</p>{}", qr.svg(), *enrollment.manual_entry(), form("/confirm")))
}

async fn confirm(State(guard): App, Form(fields): Form<Vec<(String, String)>>) -> Answer {
    page(match finished(async move { guard.confirm(USER, code(&fields)).await }).await? {
        Confirmation::Confirmed(confirmed) => {
            let codes: Vec<_> = confirmed.recovery_codes().into_iter().flat_map(|codes| codes.iter()).collect();
            format!("<p>Print these recovery codes:</p><pre>{}</pre><a href=/>Log in", codes.join("\n"))
        }
        Confirmation::Refused { .. } => format!("<p>That code did not work.</p>{}", form("/confirm")),
    })
}

async fn login(State(guard): App, Form(fields): Form<Vec<(String, String)>>) -> Answer {
    page(match finished(async move { guard.verify(USER, code(&fields)).await }).await? {
        Verdict::Accepted(accepted) => format!("<p>Welcome, by {:?}.", accepted.method()), // start the session
        Verdict::Refused(_) => format!("<p>That code did not work.</p>{}", form("/login")),
    })
}

/// Runs the request in a task of its own, which continues when the browser hangs up. If it were dropped halfway, a code
/// could be used up without a login, or recovery codes could be stored that nobody has seen.
async fn finished<T: Send + 'static>(
    request: impl Future<Output = Result<T, GuardError>> + Send + 'static,
) -> Result<T, StatusCode> {
    tokio::spawn(request).await.map_err(failed)?.map_err(failed)
}

fn page(body: String) -> Answer {
    Ok(([("cache-control", "no-store")], Html(body)))
}

fn form(action: &str) -> String {
    format!(
        "<form method=post action={action}><label>Code <input name=code autocomplete=one-time-code></label><button>OK"
    )
}

fn code(fields: &[(String, String)]) -> &str {
    fields.iter().find(|(name, _)| name == "code").map_or("", |(_, value)| value)
}

fn failed(error: impl Error) -> StatusCode {
    eprintln!("{error}");
    StatusCode::SERVICE_UNAVAILABLE
}
