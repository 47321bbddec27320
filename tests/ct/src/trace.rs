//! Runs a case under lackey, which records every instruction and every data address.

use std::sync::atomic::AtomicU8;

use crate::cases::Case;

/// Starts a process per seed, so that all have the same heap. The section between two marks in the trace is compared.
pub fn record(case: &Case, seeds: u64) {
    // The first run binds functions and detects the features of the processor.
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

/// A mark: stores single bytes alternately to two addresses 4000 bytes apart, a pattern that nothing else leaves in the
/// trace. A loop that fills a buffer or counts in one byte must not be mistaken for the end of the section.
#[inline(never)]
fn mark() {
    static PLACES: [AtomicU8; 4001] = [const { AtomicU8::new(0) }; 4001];
    for value in 0..8 {
        for place in [0, 4000] {
            // SAFETY: atomics may be written through a shared reference, and no other thread is there to read.
            unsafe { std::ptr::write_volatile(PLACES[place].as_ptr(), value) };
        }
    }
}
