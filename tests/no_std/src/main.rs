#![no_std]
#![no_main]

use keyfob::{Code, Hotp, Key, LookAhead, Steam, Totp, Window, ct};

/// The C library calls this; the return value is the exit status.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    i32::from(!run().unwrap_or(false))
}

fn run() -> Result<bool, keyfob::Error> {
    let key = Key::new(b"12345678901234567890")?;
    let hotp = Hotp::new(key);
    let code = Code::parse("287 082")?;
    let totp = Totp::new(key);
    Ok(hotp.verify(&code, 0, LookAhead::default()) == Some(1)
        && totp.verify(&code, 59, Window::default()) == Some(totp.step(59))
        && totp.verify(&code, 590, Window::default()).is_none()
        && Steam::new(key).verify(&Steam::new(key).code_at(59), 59, Window::CURRENT).is_some()
        && ct::eq(b"fob", b"fob")
        && !ct::eq(b"fob", b"fop"))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The prebuilt `core` of hosted targets refers to it for unwinding, which this program does not do.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[link(name = "c")]
unsafe extern "C" {}
