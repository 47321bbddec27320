//! Enrols an authenticator app and logs in with it, on the terminal: `cargo run --example enroll`.
//!
//! What it keeps in a variable (the last step accepted, the guesses left), an application keeps in its database.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use keyfob::{Code, KeyUri, Secret, Step, Totp, Window};

fn main() -> Result<(), Box<dyn Error>> {
    let secret = Secret::generate();
    let uri = KeyUri::totp("keyfob", "alice@example.com", &secret)?;
    let qr = uri.qr()?;
    let colors = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();

    println!("Scan this with an authenticator app:\n");
    println!("{}", if colors { qr.terminal() } else { qr.terminal().plain_on_dark() });
    println!("Or type this into it, as a time-based key: {}\n", *uri.manual_entry());

    let totp = Totp::new(&secret);
    let mut last = None;
    let mut guesses_left = 5;
    let mut prompt = "The code that the app shows now: ";
    while let Some(line) = ask(prompt)? {
        if line.trim().is_empty() && last.is_some() {
            println!("Done.");
            return Ok(());
        }
        let code = match Code::parse(&line) {
            Ok(code) => code,
            Err(error) => {
                println!("That is not a code: {error}. It was not counted as a guess.");
                continue;
            }
        };
        match verify(&totp, &code, last)? {
            Verdict::Accepted(step) => {
                println!("Accepted. Step {step} and all before it are spent.");
                last = Some(step);
                prompt = "Type the same code again, or wait for the next one (an empty line ends): ";
            }
            Verdict::Replayed => println!("Refused: this code was used already."),
            Verdict::Wrong => {
                guesses_left -= 1;
                if guesses_left == 0 {
                    return Err("too many wrong codes".into());
                }
                println!("Refused: wrong code. {guesses_left} guesses left.");
            }
        }
    }
    // The input has ended.
    if last.is_some() { Ok(()) } else { Err("no code was accepted, so nothing is enrolled".into()) }
}

enum Verdict {
    Accepted(Step),
    Replayed,
    Wrong,
}

fn verify(totp: &Totp, code: &Code, last: Option<Step>) -> Result<Verdict, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(match totp.verify(code, now, Window::default()) {
        Some(step) if last.is_none_or(|last| step > last) => Verdict::Accepted(step),
        Some(_) => Verdict::Replayed,
        None => Verdict::Wrong,
    })
}

/// A line of the input, or `None` at its end.
fn ask(prompt: &str) -> io::Result<Option<String>> {
    print!("{prompt}");
    io::stdout().flush()?;
    let mut line = String::new();
    Ok((io::stdin().read_line(&mut line)? > 0).then_some(line))
}
