//! Ctrl-C and SIGTERM: the command finishes the accounts that it has started, and then stops.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Failure;
use crate::output::Output;

/// Whether somebody wants the command to stop.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen. A second Ctrl-C ends the program at once.
    pub(crate) fn listen(output: &Output) -> Result<Self, Failure> {
        let requested = Arc::new(AtomicBool::new(false));
        let (flag, output) = (Arc::clone(&requested), output.clone());
        let mut signals = Signals::new().map_err(|error| Failure::failed(format_args!("signals: {error}")))?;
        tokio::spawn(async move {
            signals.next().await;
            flag.store(true, Ordering::Relaxed);
            output.note("Stopping after the current accounts. Press Ctrl-C again to stop at once.");
            signals.next().await;
            std::process::exit(130);
        });
        Ok(Self(requested))
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        std::future::poll_fn(|context| match self.interrupt.poll_recv(context).is_ready() {
            true => std::task::Poll::Ready(()),
            false => self.terminate.poll_recv(context).map(drop),
        })
        .await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
