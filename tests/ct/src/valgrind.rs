//! Client requests that tell valgrind's memcheck which bits are secret. Without valgrind, they have no effect.

use std::arch::asm;

/// Marks bytes as secret: memcheck reports every branch and every address that depends on them.
///
/// The argument is `&mut`, because the optimizer may keep a value behind `&` in registers, and the mark covers only
/// memory.
pub fn poison<T: ?Sized>(value: &mut T) {
    let (address, length) = bytes(value);
    request(MEMCHECK + 1, address, length, 0);
    let mut shadow = vec![0u8; length];
    match request(MEMCHECK + 8, address, shadow.as_mut_ptr() as u64, length as u64) {
        // The program runs under another tool, or without valgrind.
        0 => {}
        answer => assert!(answer == 1 && shadow.iter().all(|bits| *bits == 0xff), "the poison did not take"),
    }
}

/// Marks bytes as public. Each caller must explain why they are public.
pub fn declassify<T: ?Sized>(value: &mut T) {
    let (address, length) = bytes(value);
    request(MEMCHECK + 2, address, length, 0);
}

/// Whether the program runs under memcheck.
pub fn watching() -> bool {
    let (mut byte, mut shadow) = (0u8, 0u8);
    let (address, length) = bytes(&mut byte);
    request(MEMCHECK + 8, address, std::ptr::from_mut(&mut shadow) as u64, length as u64) == 1
}

/// How many errors memcheck has reported so far.
pub fn errors() -> u64 {
    request(0x1201, 0, 0usize, 0)
}

const MEMCHECK: u64 = (b'M' as u64) << 24 | (b'C' as u64) << 16;

fn bytes<T: ?Sized>(value: &mut T) -> (u64, usize) {
    let length = size_of_val(value);
    (std::ptr::from_mut(value).cast::<u8>() as u64, length)
}

fn request(code: u64, first: u64, second: impl TryInto<u64>, third: u64) -> u64 {
    let words = [code, first, second.try_into().unwrap_or(0), third, 0, 0];
    let mut answer = 0u64;
    // SAFETY: the four rotations add up to 128 bits, and a register is exchanged with itself, so the sequence changes
    // nothing. valgrind recognizes the sequence and reads the six words. The assembly is declared to read and write
    // memory: a request changes the shadow memory, and the compiler must not move memory accesses across it.
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words.as_ptr(), inout("rdx") answer,
        );
    }
    answer
}
