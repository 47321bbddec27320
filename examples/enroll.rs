//! Two-factor authentication in a terminal, stored in SQLite: `cargo run --example enroll`.
//!
//! The first run enrolls an authenticator app and prints recovery codes. Later runs find the account and ask for a code.
//! Try a code twice, wrong codes, and a recovery code. The example writes `keyfob-example.db` and `keyfob-example.key`
//! into the current directory; delete both to start over.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use keyfob::guard::{Confirmation, Enrollment, Method, Refusal, Setup};
use keyfob::store::SqliteStore;
use keyfob::{Guard, Keyring, Verdict};

/// The primary key of a user, in a real application.
const USER: &str = "user-17";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keyfob-example.db").await?;
    let guard = Guard::new(store, keyring()?, "keyfob").with_events(|event| println!("  [log] {event}"));

    if !guard.status(USER).await?.is_active() {
        show(&guard.enroll(USER, &Setup::totp("alice@example.com")).await?)?;
        loop {
            let Some(typed) = ask("The code that the app shows now: ")? else {
                return Err("no code was accepted, so nothing is enrolled".into());
            };
            match guard.confirm(USER, &typed).await? {
                Confirmation::Confirmed(confirmed) => {
                    println!("Enrolled. Print these recovery codes; each works once:");
                    let codes = confirmed.recovery_codes().into_iter().flat_map(|codes| codes.iter());
                    codes.for_each(|code| println!("  {code}"));
                    break;
                }
                Confirmation::Refused { diagnosis: Some(diagnosis), .. } => {
                    println!("Refused. The app or its clock is set differently: {diagnosis:?}");
                }
                Confirmation::Refused { .. } => println!("Refused. Type the six digits that the app shows now."),
            }
        }
        println!("That code is used up by the enrollment. Wait for the next one to log in.");
    }

    println!("Log in as {USER}. An empty line ends the program.");
    while let Some(typed) = ask("Code, or recovery code: ")? {
        match guard.verify(USER, &typed).await? {
            Verdict::Accepted(accepted) if accepted.method() == Method::RecoveryCode => {
                println!("Welcome back. {} recovery codes are left.", accepted.recovery_codes_left());
            }
            Verdict::Accepted(_) => println!("Welcome. Type the same code again to see it refused."),
            // A real application logs the reason, and shows the user the same message for all of them.
            Verdict::Refused(refused) => println!("That code did not work. ({})", reason(refused)?),
        }
    }
    Ok(())
}

fn show(enrollment: &Enrollment) -> Result<(), Box<dyn Error>> {
    let qr = enrollment.qr()?;
    let colors = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    println!("Scan this with an authenticator app:\n");
    println!("{}", if colors { qr.terminal() } else { qr.terminal().plain_on_dark() });
    println!("Or type this into it, as a time-based key: {}\n", *enrollment.manual_entry());
    Ok(())
}

fn reason(refusal: Refusal) -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(match refusal {
        Refusal::Replayed => "the code is correct but was used before".into(),
        Refusal::Malformed => "a typing mistake, which is not counted as a guess".into(),
        Refusal::Throttled { retry_at } => format!("too many wrong codes, wait {} s", retry_at.saturating_sub(now)),
        Refusal::Exhausted { .. } => "too many wrong codes; only a recovery code works now".into(),
        Refusal::WrongCode => "the code is wrong".into(),
        other => format!("{other:?}"),
    })
}

/// The key that encrypts the secrets in the database. This example keeps it in a file next to the database. A real
/// application must not: it gets the key from a secret manager, for example by the environment variable read here.
fn keyring() -> Result<Keyring, Box<dyn Error>> {
    if std::env::var_os("KEYFOB_KEYS").is_some() {
        return Ok(Keyring::from_env("KEYFOB_KEYS")?);
    }
    let file = Path::new("keyfob-example.key");
    if !file.exists() {
        std::fs::write(file, Keyring::generate("example")?.as_bytes())?;
    }
    Ok(Keyring::parse(&std::fs::read_to_string(file)?)?)
}

/// Reads a line. `None` means an empty line or the end of the input.
fn ask(prompt: &str) -> io::Result<Option<String>> {
    print!("{prompt}");
    io::stdout().flush()?;
    let mut line = String::new();
    let more = io::stdin().read_line(&mut line)? > 0 && !line.trim().is_empty();
    Ok(more.then_some(line))
}
