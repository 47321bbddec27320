//! Client requests to valgrind's memcheck: which bits are secret. On a processor without valgrind they do nothing.

use std::arch::asm;

/// Bytes are secret from now on: memcheck reports every branch and every address that depends on them.
///
/// Takes `&mut`, since the optimizer may keep what it read through `&` in registers, where the poison does not reach.
pub fn poison<T: ?Sized>(value: &mut T) {
    let (address, length) = bytes(value);
    request(MEMCHECK + 1, address, length, 0);
    let mut shadow = vec![0u8; length];
    match request(MEMCHECK + 8, address, shadow.as_mut_ptr() as u64, length as u64) {
        // Not under memcheck: another tool, or none.
        0 => {}
        answer => assert!(answer == 1 && shadow.iter().all(|bits| *bits == 0xff), "the poison did not take"),
    }
}

/// Bytes are public from now on. Each caller says why.
pub fn declassify<T: ?Sized>(value: &mut T) {
    let (address, length) = bytes(value);
    request(MEMCHECK + 2, address, length, 0);
}

/// Whether secrets are watched at all.
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
    // SAFETY: four rotations by 128 bits in all, and an exchange of a register with itself, change nothing; valgrind
    // knows the sequence and reads the six words. Memory is named as read and written, since requests change shadow
    // memory that the compiler must not move accesses across.
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words.as_ptr(), inout("rdx") answer,
        );
    }
    answer
}
