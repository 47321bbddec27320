//! Tests of the pages: over HTTP without a browser, and in a real one.

/// The example, with its `main`. The test sets the clock.
#[path = "../../examples/app.rs"]
mod app;
mod attacks;
mod browser;
mod bypasses;
mod example;
mod flows;
mod requests;
mod site;
mod words;
