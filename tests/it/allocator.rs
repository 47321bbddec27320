//! An allocator that counts, for the tests and for what is fuzzed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

/// The system's allocator, which counts and looks into every block before it is given back, on threads that ask for it.
pub struct Watch;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static NEEDLE: Cell<([u8; 16], usize)> = const { Cell::new(([0; 16], 0)) };
    static LEAKS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that are allocated, and the most there have been. A block that another thread frees stays.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

// SAFETY: both calls go to the system's allocator as they are. A growing block is a new one and a freed one, since
// `realloc` is not overridden, so what it leaves behind is looked at as well.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let _ = HELD.try_with(|held| {
            let (now, most) = held.get();
            let now = now + layout.size().cast_signed();
            held.set((now, most.max(now)));
        });
        let watching = NEEDLE.try_with(Cell::get).is_ok_and(|(_, length)| length > 0);
        // SAFETY: the caller's contract. What another test left in the block is not found again when it is freed.
        unsafe { if watching { System.alloc_zeroed(layout) } else { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let _ = HELD.try_with(|held| held.set((held.get().0 - layout.size().cast_signed(), held.get().1)));
        let (needle, length) = NEEDLE.try_with(Cell::get).unwrap_or_default();
        if length > 0 {
            // SAFETY: the block is still the caller's. Of a block from before the watch, bytes may be read here that were
            // never written, which the system's allocator allows and a test may do.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            if bytes.windows(length).any(|window| window == &needle[..length]) {
                let _ = LEAKS.try_with(|count| count.set(count.get() + 1));
            }
        }
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

pub fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// How many bytes `work` holds at once.
pub fn most_held<T>(work: impl FnOnce() -> T) -> usize {
    let before = HELD.get().0;
    HELD.set((before, before));
    drop(black_box(work()));
    (HELD.get().1 - before).cast_unsigned()
}

/// In how many freed blocks the first 16 bytes of `needle` stood while `work` ran.
pub fn leaks(needle: &[u8], work: impl FnOnce()) -> usize {
    LEAKS.set(0);
    let length = needle.len().min(16);
    let mut start = [0; 16];
    start[..length].copy_from_slice(&needle[..length]);
    NEEDLE.set((start, length));
    work();
    NEEDLE.set(([0; 16], 0));
    LEAKS.get()
}
