//! A second factor in a small web server: `cargo run --example web`, then open <http://127.0.0.1:8080>.
//!
//! It believes that the user has typed a password already. In yours, `/enroll` and `/confirm` need a full login, `/login` one
//! that is good up to the password, and every form protection against forged requests.

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
/// No answer is a refusal, too. Pages may hold a secret, so nothing is cached.
type Answer = Result<([(&'static str, &'static str); 1], Html<String>), StatusCode>;
/// What never changes about the user who is logged in.
const ACCOUNT: &str = "user-17";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // In production, from a vault: with keys that are new at each start, nobody who enrolled before gets in.
    let keys = Keyring::generate("today")?;
    let store = SqliteStore::open(std::env::temp_dir().join(format!("keyfob-{}.db", std::process::id()))).await?;
    let guard = Guard::new(store, Keyring::parse(&keys)?, "Example Inc").with_events(|event| println!("{event}"));
    let app = axum::Router::new().route("/", get(home)).route("/enroll", post(enroll));
    let app = app.route("/confirm", post(confirm)).route("/login", post(login)).with_state(Arc::new(guard));
    println!("http://127.0.0.1:8080");
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8080").await?, app).await?)
}

async fn home(State(guard): App) -> Answer {
    let active = guard.status(ACCOUNT).await.map_err(failed)?.is_active();
    page(if active { form("/login") } else { "<form method=post action=/enroll><button>Enroll".into() })
}

async fn enroll(State(guard): App) -> Answer {
    let enrollment = guard.enroll(ACCOUNT, &Setup::totp("alice@example.com")).await.map_err(failed)?;
    let qr = enrollment.qr().map_err(failed)?;
    page(format!("{}<p>Or type: {}</p>{}", qr.svg(), *enrollment.manual_entry(), form("/confirm")))
}

async fn confirm(State(guard): App, Form(fields): Form<Vec<(String, String)>>) -> Answer {
    page(match finished(async move { guard.confirm(ACCOUNT, code(&fields)).await }).await? {
        Confirmation::Confirmed(confirmed) => {
            let codes: Vec<_> = confirmed.recovery_codes().into_iter().flat_map(|codes| codes.iter()).collect();
            format!("<p>Keep these on paper:</p><pre>{}</pre><a href=/>Log in", codes.join("\n"))
        }
        Confirmation::Refused { .. } => format!("<p>That code did not work.</p>{}", form("/confirm")),
    })
}

async fn login(State(guard): App, Form(fields): Form<Vec<(String, String)>>) -> Answer {
    page(match finished(async move { guard.verify(ACCOUNT, code(&fields)).await }).await? {
        Verdict::Accepted(accepted) => format!("<p>Welcome, by {:?}.", accepted.method()), // here the session begins
        Verdict::Refused(_) => format!("<p>That code did not work.</p>{}", form("/login")),
    })
}

/// In a task of its own, which goes on when the browser hangs up: or codes are used, and recovery codes made, that nobody
/// has heard of.
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
