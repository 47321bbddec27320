//! Single-steps the real processor, because valgrind supports neither SHA nor AVX-512 instructions.

use std::hash::{DefaultHasher, Hasher};

use crate::cases::Case;

/// Prints the number of different sequences of instruction addresses, and the length of the sequence for the first
/// seed.
pub fn compare(case: &Case, seeds: u64) {
    // Run once in advance, because the first run binds functions and detects the features of the processor.
    case.prepare(1)();
    let mut traces: Vec<(u64, u64)> = (1..=seeds).map(|seed| trace(case, seed)).collect();
    let steps = traces[0].1;
    traces.sort_unstable();
    traces.dedup();
    println!("{} {steps}", traces.len());
}

/// Returns a hash of all instruction addresses of one run, and the number of addresses.
fn trace(case: &Case, seed: u64) -> (u64, u64) {
    // SAFETY: the process has one thread. The child calls only what the parent could have called, and exits with
    // `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let mut run = case.prepare(seed);
        // SAFETY: these system calls access no memory of this process.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        run();
        // SAFETY: `_exit` ends the process and may be called in any state.
        unsafe { libc::_exit(0) }
    }
    assert!(child > 0, "no process could be started");
    let mut hash = DefaultHasher::new();
    let mut steps = 0;
    let mut status = 0;
    loop {
        // SAFETY: the calls wait for, inspect and step the child that was started above. The registers are written by
        // `ptrace` before they are read.
        let address = unsafe {
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            if libc::WIFEXITED(status) {
                assert_eq!(libc::WEXITSTATUS(status), 0, "the case failed");
                return (hash.finish(), steps);
            }
            assert!(libc::WIFSTOPPED(status), "the case was killed");
            let mut registers: libc::user_regs_struct = std::mem::zeroed();
            assert_eq!(libc::ptrace(libc::PTRACE_GETREGS, child, 0, &mut registers), 0, "ptrace is not allowed here");
            assert_eq!(libc::ptrace(libc::PTRACE_SINGLESTEP, child, 0, 0), 0);
            registers.rip
        };
        hash.write_u64(address);
        steps += 1;
    }
}
