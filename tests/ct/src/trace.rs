//! Runs a case under lackey, which writes down every instruction and every address of data.

use std::sync::atomic::AtomicU8;

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

/// Stores of one byte, to two places 4000 bytes apart by turns: a sign in the trace that nothing else leaves. A loop that
/// fills a buffer or counts in one byte must not end the section that is looked at.
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
