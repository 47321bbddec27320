use std::error::Error;
use std::io::{self, Write};

use keyfob::guard::{Confirmation, Setup};
use keyfob::store::MemoryStore;
use keyfob::{Guard, Keyring, Verdict};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // "2026" names the key. A service makes it once and keeps it in its secret manager.
    let keys = Keyring::generate("2026")?;
    let guard = Guard::new(MemoryStore::new(), Keyring::parse(&keys)?, "Example Inc");

    // The page on which a user adds an authenticator app.
    let enrollment = guard.enroll("user-17", &Setup::totp("alice@example.com")).await?;
    println!("{}", enrollment.qr()?.terminal()); // or `.svg()` for a web page
    println!("No camera? Type this secret: {}", *enrollment.manual_entry());
    while !confirm(&guard, &ask("Code from the app: ")?).await? {}

    // A login, after the password.
    while !log_in(&guard, &ask("Next code, or a recovery code: ")?).await? {}
    println!("Logged in.");
    Ok(())
}

/// Activates the app once it has produced a correct code.
async fn confirm(guard: &Guard<MemoryStore>, code: &str) -> Result<bool, Box<dyn Error>> {
    let Confirmation::Confirmed(confirmed) = guard.confirm("user-17", code).await? else {
        return Ok(false);
    };
    if let Some(codes) = confirmed.recovery_codes() {
        println!("Print these recovery codes. They will not be shown again:");
        codes.iter().for_each(|code| println!("  {code}"));
    }
    Ok(true)
}

/// Takes a code or a recovery code, and accepts each only once.
async fn log_in(guard: &Guard<MemoryStore>, typed: &str) -> Result<bool, Box<dyn Error>> {
    match guard.verify("user-17", typed).await? {
        Verdict::Accepted(_) => Ok(true), // start the session
        Verdict::Refused(refusal) => {
            eprintln!("{refusal:?}"); // for the log; users see one message for all
            Ok(false)
        }
    }
}

fn ask(prompt: &str) -> io::Result<String> {
    print!("{prompt}");
    io::stdout().flush()?;
    io::stdin().lines().next().unwrap_or(Err(io::ErrorKind::UnexpectedEof.into()))
}
