//! The fuzz targets. Each kind of input has a function that takes bytes and panics if a property that must hold is
//! violated.
//!
//! The functions are in `tests/it/fuzz`, because keyfob's tests also run them, on the seeds and on every input that
//! ever caused a crash.

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

/// Measures the memory of a run, because one property limits the memory relative to the length of the input. libFuzzer
/// can limit memory only to a fixed amount.
#[global_allocator]
static ALLOCATOR: allocator::Watch = allocator::Watch;

/// Defines the `main` function of a target. With instrumentation, it is libFuzzer's. Without instrumentation, it runs
/// the target on the files given as arguments.
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

/// Who acts as an operator.
pub fn operator() -> keyfob::guard::OperatorId {
    keyfob::guard::OperatorId::new("operator").unwrap()
}
