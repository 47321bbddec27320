//! A second factor on the terminal, kept in SQLite: `cargo run --example enroll`.
//!
//! The first run enrolls an authenticator app and shows recovery codes. Later runs know the account and ask for a code;
//! type one twice, type wrong ones, or come back with a recovery code. `keyfob-example.db` and `keyfob-example.key` in the
//! current directory are all there is to it; delete them to begin anew.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use keyfob::guard::{Confirmation, Enrollment, Method, Refusal, Setup};
use keyfob::store::SqliteStore;
use keyfob::{Guard, Keyring, Verdict};

const ACCOUNT: &str = "user-17";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open("keyfob-example.db").await?;
    let guard = Guard::new(store, keyring()?, "keyfob").with_events(|event| println!("  [log] {event}"));

    if !guard.status(ACCOUNT).await?.is_active() {
        show(&guard.enroll(ACCOUNT, &Setup::totp("alice@example.com")).await?)?;
        loop {
            let Some(typed) = ask("The code that the app shows now: ")? else {
                return Err("no code was accepted, so nothing is enrolled".into());
            };
            match guard.confirm(ACCOUNT, &typed).await? {
                Confirmation::Confirmed(confirmed) => {
                    println!("Enrolled. Keep these recovery codes on paper, each is good once:");
                    confirmed
                        .recovery_codes()
                        .into_iter()
                        .flat_map(|codes| codes.iter())
                        .for_each(|code| println!("  {code}"));
                    break;
                }
                Confirmation::Refused { diagnosis: Some(why), .. } => {
                    println!("Refused. The app seems to differ: {why:?}");
                }
                Confirmation::Refused { .. } => println!("Refused. Type the six digits that the app shows now."),
            }
        }
        println!("That code is spent: it enrolled the app, and does not log in. Wait for the next one.");
    }

    println!("Log in as {ACCOUNT}. An empty line ends.");
    while let Some(typed) = ask("Code, or recovery code: ")? {
        match guard.verify(ACCOUNT, &typed).await? {
            Verdict::Accepted(accepted) if accepted.method() == Method::RecoveryCode => {
                println!("Welcome back. {} recovery codes are left.", accepted.recovery_codes_left());
            }
            Verdict::Accepted(_) => println!("Welcome. Type the same code again to see it refused."),
            // An application logs the reason and shows its user one message for all of them.
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
        Refusal::Replayed => "it was right, and had been used".into(),
        Refusal::Malformed => "a typing mistake, which costs no guess".into(),
        Refusal::Throttled { retry_at } => format!("too many wrong codes, wait {} s", retry_at.saturating_sub(now)),
        Refusal::Exhausted { .. } => "the guesses are used up; a recovery code still works".into(),
        Refusal::WrongCode => "it is wrong".into(),
        other => format!("{other:?}"),
    })
}

/// The key that seals the secrets in the database. It must not be kept beside it: an application gets it from a vault
/// or its environment. A file is good enough for an example.
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

/// A line of the input, or `None` at its end.
fn ask(prompt: &str) -> io::Result<Option<String>> {
    print!("{prompt}");
    io::stdout().flush()?;
    let mut line = String::new();
    let more = io::stdin().read_line(&mut line)? > 0 && !line.trim().is_empty();
    Ok(more.then_some(line))
}
