//! The fuzz targets: for each kind of input a function of bytes, which panics if a law is broken.
//!
//! The functions are in `tests/it/fuzz`, so that keyfob's tests run them on the seeds and on every input that ever
//! crashed.

#[path = "../../tests/it/allocator.rs"]
#[allow(dead_code, reason = "the tests of keyfob use the rest")]
pub mod allocator;
#[path = "../../tests/it/random.rs"]
#[allow(dead_code, reason = "the tests of keyfob use the rest")]
pub mod random;
#[doc(hidden)]
pub use random::Random;

#[path = "../../tests/it/fuzz/base32.rs"]
pub mod base32;
#[path = "../../tests/it/fuzz/code.rs"]
pub mod code;
#[path = "../../tests/it/fuzz/differential.rs"]
pub mod differential;
pub mod guard;
#[path = "../../tests/it/fuzz/import.rs"]
pub mod import;
#[path = "../../tests/it/fuzz/migration.rs"]
pub mod migration;
#[path = "../../tests/it/fuzz/pskc.rs"]
pub mod pskc;
#[path = "../../tests/it/fuzz/qr.rs"]
pub mod qr;
#[path = "../../tests/it/fuzz/record.rs"]
pub mod record;
#[path = "../../tests/it/fuzz/token.rs"]
pub mod token;
#[path = "../../tests/it/fuzz/uri.rs"]
pub mod uri;

#[cfg(fuzzing)]
pub use libfuzzer_sys;

/// One law limits the memory. libFuzzer can do that only with a sanitizer, and not relative to the input.
#[global_allocator]
static ALLOCATOR: allocator::Watch = allocator::Watch;

/// The `main` of a target: libFuzzer's, or, without instrumentation, one that runs the target on the files it is given.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $run(data));

        #[cfg(not(fuzzing))]
        fn main() {
            for path in std::env::args().skip(1) {
                println!("{path}");
                $run(&std::fs::read(path).unwrap());
            }
        }
    };
}
