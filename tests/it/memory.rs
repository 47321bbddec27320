//! What the crate leaves on the heap: nothing in generate and verify, and nowhere a secret that was freed unwiped.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::ops::ControlFlow;

use keyfob::search::{self, Candidate};
use keyfob::{Algorithm, Code, Hotp, Key, KeyUri, LookAhead, Secret, Steam, SteamCode, Totp, Window, base32};

use crate::oracle;

/// The system's allocator, which counts and looks into every block before it is given back, on threads that ask for it.
pub struct Watch;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static NEEDLE: Cell<[u8; 16]> = const { Cell::new([0; 16]) };
    static LEAKS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: both calls go to the system's allocator as they are. A growing block is a new one and a freed one, since
// `realloc` is not overridden, so what it leaves behind is looked at as well.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let needle = NEEDLE.try_with(Cell::get).unwrap_or_default();
        if needle != [0; 16] {
            // SAFETY: the block is still the caller's. Bytes that were never written are read here all the same, which
            // the system's allocator allows and a test may do.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            if bytes.windows(needle.len()).any(|window| window == needle) {
                let _ = LEAKS.try_with(|count| count.set(count.get() + 1));
            }
        }
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// In how many freed blocks the first 16 bytes of `needle` stood while `work` ran.
fn leaks(needle: &[u8], work: impl FnOnce()) -> usize {
    LEAKS.set(0);
    NEEDLE.set(needle[..16].try_into().unwrap());
    work();
    NEEDLE.set([0; 16]);
    LEAKS.get()
}

#[test]
fn generate_and_verify_allocate_nothing() {
    assert_eq!(allocations(|| drop(black_box(vec![1]))), 1, "the counter works");
    for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
        let count = allocations(|| {
            let key = Key::new(SECRET).unwrap();
            let hotp = Hotp::with_algorithm(key, algorithm);
            let code = Code::parse("755 224").unwrap();
            black_box(hotp.code(1));
            black_box(hotp.verify(&code, 0, LookAhead::default()));
            black_box(hotp.resync(&code, &hotp.code(1), 0, 50));
            let totp = Totp::with_algorithm(key, algorithm);
            black_box(totp.code_at(59));
            black_box(totp.verify(&code, 59, Window::default()));
            black_box(totp.resync(&code, &code, 59, 50));
            black_box(totp.verify_now(&totp.code_now(), Window::default()));
            black_box(search::steps(&totp, [&code, &code], 100_000, 100, |_| ControlFlow::Continue(())).unwrap());
            black_box(
                search::authenticators([Candidate::totp(&totp, 59, Window::default())], [&code], |_| {
                    ControlFlow::Continue(())
                })
                .unwrap(),
            );
            let steam = Steam::new(key);
            black_box(steam.verify(&SteamCode::parse("2D2V8").unwrap(), 59, Window::default()));
            black_box(steam.code_at(59));
        });
        assert_eq!(count, 0, "{algorithm}");
    }
}

#[test]
fn no_freed_block_holds_a_secret() {
    // What a secret turns into: itself, its text as it is pasted and as it is written, and the state that HMAC keeps.
    let text = b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let grouped = b"GEZD GNBV GY3T QOJQ";
    let state = oracle::sha1_inner_state(SECRET);
    assert_eq!(*base32::encode(SECRET), str::from_utf8(text).unwrap());

    for needle in [&SECRET[..], text, grouped, &state] {
        // An unwiped copy, and one left behind by growth, are caught: the tripwire works.
        assert_eq!(leaks(needle, || drop(black_box(needle.to_vec()))), 1);
        let grown = leaks(needle, || {
            let mut copy = needle.to_vec();
            copy.reserve_exact(1000);
            copy.fill(0);
            drop(black_box(copy));
        });
        assert_eq!(grown, 1);

        assert_eq!(leaks(needle, use_secrets), 0, "{needle:?}");
    }

    // The state that was looked for is the one that is kept.
    let totp = Box::new(Totp::new(Key::new(SECRET).unwrap()));
    let kept = format!("{:?}", bytes_of(&*totp));
    let state = format!("{state:?}");
    assert!(kept.contains(state.trim_matches(['[', ']'])));
}

/// Everything that holds a secret, on its good and its bad ways out.
fn use_secrets() {
    let secret = Secret::from_bytes(SECRET).unwrap();
    let pasted = Secret::from_base32("gezd-GNBV gy3t-qojq GEZDGNBVGY3TQOJQ").unwrap();
    assert!(secret == pasted.clone());
    Secret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQA").unwrap_err();
    Secret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ8").unwrap_err();
    Secret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ=A").unwrap_err();
    drop(base32::decode("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap());
    drop(base32::encode(SECRET));
    drop(secret.expose_base32());
    black_box(format!("{secret:?}"));

    let totp = Box::new(Totp::new(&secret));
    let code = totp.code_at(59);
    assert!(totp.clone().verify(&code, 59, Window::default()).is_some());
    black_box(format!("{totp:?} {code:?}"));
    drop(Box::new(Hotp::new(&secret)));
    drop(Box::new(Steam::new(&secret)));

    drop(Box::new(
        search::authenticators(vec![Candidate::totp(&totp, 59, Window::default()); 40], [&code], |_| {
            ControlFlow::Continue(())
        })
        .unwrap(),
    ));

    let uri = KeyUri::totp("Example Inc", "alice@example.com", &secret).unwrap();
    drop(uri.clone().to_uri());
    drop(uri.manual_entry());
    black_box(format!("{uri:?}"));
    KeyUri::totp("a:b", "c", &secret).unwrap_err();
    drop(uri);
    drop((secret, pasted));
}

fn bytes_of<T>(value: &T) -> &[u8] {
    // SAFETY: reads the value's own bytes, padding included, for a look at what is kept.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

const SECRET: &[u8; 20] = b"12345678901234567890";
