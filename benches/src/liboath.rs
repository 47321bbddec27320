//! The C library of oath-toolkit, if it is installed.

/// Whether it is installed.
pub const PRESENT: bool = cfg!(liboath);

#[cfg(liboath)]
mod present {
    use std::ffi::{CStr, c_char, c_int, c_long, c_uint};

    const DYNAMIC_TRUNCATION: usize = usize::MAX;

    unsafe extern "C" {
        fn oath_check_version(required: *const c_char) -> *const c_char;

        fn oath_hotp_generate(
            secret: *const c_char,
            secret_length: usize,
            moving_factor: u64,
            digits: c_uint,
            add_checksum: bool,
            truncation_offset: usize,
            output_otp: *mut c_char,
        ) -> c_int;

        fn oath_totp_generate(
            secret: *const c_char,
            secret_length: usize,
            now: c_long,
            time_step_size: c_uint,
            start_offset: c_long,
            digits: c_uint,
            output_otp: *mut c_char,
        ) -> c_int;

        fn oath_totp_validate(
            secret: *const c_char,
            secret_length: usize,
            now: c_long,
            time_step_size: c_uint,
            start_offset: c_long,
            window: usize,
            otp: *const c_char,
        ) -> c_int;
    }

    #[must_use]
    pub fn version() -> String {
        // SAFETY: null asks for no version, and the answer is a static string.
        unsafe { CStr::from_ptr(oath_check_version(std::ptr::null())) }.to_string_lossy().into_owned()
    }

    #[must_use]
    pub fn hotp(secret: &[u8], counter: u64) -> [u8; 6] {
        let mut code = [0; 7];
        // SAFETY: the secret is read up to its length, and six digits and a zero byte are written.
        let status = unsafe {
            let code = code.as_mut_ptr().cast();
            oath_hotp_generate(secret.as_ptr().cast(), secret.len(), counter, 6, false, DYNAMIC_TRUNCATION, code)
        };
        digits(status, code)
    }

    #[must_use]
    pub fn totp(secret: &[u8], at: u64) -> [u8; 6] {
        let mut code = [0; 7];
        // SAFETY: as for `hotp`.
        let status = unsafe {
            let code = code.as_mut_ptr().cast();
            oath_totp_generate(secret.as_ptr().cast(), secret.len(), at.cast_signed(), 30, 0, 6, code)
        };
        digits(status, code)
    }

    /// Whether the code is one of `window` steps before or after.
    #[must_use]
    pub fn verify(secret: &[u8], typed: &CStr, at: u64, window: usize) -> bool {
        // SAFETY: the secret is read up to its length, the code up to its zero byte.
        let position = unsafe {
            oath_totp_validate(secret.as_ptr().cast(), secret.len(), at.cast_signed(), 30, 0, window, typed.as_ptr())
        };
        position >= 0
    }

    fn digits(status: c_int, code: [u8; 7]) -> [u8; 6] {
        assert_eq!(status, 0, "liboath refused");
        let [digits @ .., _] = code;
        digits
    }
}

#[cfg(liboath)]
pub use present::{hotp, totp, verify, version};
