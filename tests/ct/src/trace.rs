//! Runs a case under lackey, which records every instruction and every data address.

use std::sync::atomic::AtomicU8;

use crate::cases::Case;

/// Starts a separate process for each seed, so that every run begins with the same heap. Only the section of the trace
/// between the two marks is compared.
pub fn record(case: &Case, seeds: u64) {
    // Run once in advance, because the first run binds functions and detects the features of the processor.
    case.prepare(1)();
    for seed in 1..=seeds {
        // SAFETY: the process has one thread. The child calls only what the parent could have called, and exits with
        // `_exit`.
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

/// Writes a mark to the trace by storing single bytes alternately at two addresses that are 4000 bytes apart. No other
/// code leaves this pattern. A simpler pattern could be confused with a loop that fills a buffer or counts in one byte.
#[inline(never)]
fn mark() {
    static PLACES: [AtomicU8; 4001] = [const { AtomicU8::new(0) }; 4001];
    for value in 0..8 {
        for position in [0, 4000] {
            // SAFETY: atomics may be written through a shared reference, and there is no other thread that could read
            // them.
            unsafe { std::ptr::write_volatile(PLACES[position].as_ptr(), value) };
        }
    }
}
