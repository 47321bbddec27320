//! Runs a case under lackey, which writes down every instruction and every address of data.

use std::hint::black_box;

use crate::cases::Case;

/// One process for each seed, so that all of them find the same heap. What counts stands between two marks.
pub fn record(case: &Case, seeds: u64) {
    // Binds functions and lets the crate ask the processor what it can do.
    case.prepare(1)();
    for seed in 1..=seeds {
        // SAFETY: the process has one thread. The child calls what the parent could have called, and leaves by `_exit`.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                let mut run = case.prepare(seed);
                mark();
                run();
                mark();
                libc::_exit(0);
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the case failed");
        }
    }
}

/// Eight stores of one byte to one address: a sign in the trace that nothing else leaves.
#[inline(never)]
fn mark() {
    let mut byte = 0u8;
    for value in 0..8 {
        // SAFETY: a local variable.
        unsafe { std::ptr::write_volatile(&mut byte, value) };
    }
    black_box(byte);
}
