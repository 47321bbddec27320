//! The program of the README: `cargo run --example quickstart`. It forgets the account when it ends.

include!("program.rs");
