//! Runs the program as an operator or a developer would.

mod adopt;
mod developer;
mod interface;
mod readme;
mod server;
/// The database servers that the tests of the library start.
#[path = "../../../../tests/it/servers.rs"]
#[allow(dead_code)]
mod servers;
mod session;
mod sweep;
mod world;

/// What `servers` needs of the tests that it comes from.
mod guarded {
    pub(crate) fn report(figures: &str) {
        eprintln!("{figures}");
    }
}
