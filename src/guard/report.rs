//! Sends an event for each request that ends without an answer, because it failed or because its caller dropped it.

use crate::guard::answer::event::{Event, EventKind, Flow};
use crate::guard::error::GuardErrorKind;
use crate::guard::id::OperatorId;

/// The function that receives events.
pub(crate) type Listener = dyn Fn(&Event) + Send + Sync;

/// The clock of the guard. It returns Unix seconds, or `None` if the time cannot be read.
pub(crate) type Clock = dyn Fn() -> Option<u64> + Send + Sync;

/// Sends an event to the listener. A panic in the listener is caught. The change is already stored, so the caller must
/// still get the answer, and the listener must still get the remaining events.
pub(crate) fn tell(listener: &Listener, event: &Event) {
    let outcome = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| listener(event)));
    // The panic hook has already printed the panic.
    drop(outcome);
}

/// A request in progress. If this value is dropped before [`ended`](Self::ended) is called, it reports that the caller
/// dropped the request.
pub(crate) struct Report<'a> {
    clock: &'a Clock,
    listener: &'a Listener,
    user: &'a str,
    operator: Option<&'a OperatorId>,
    /// `None` if the request is not to be reported, or has already been reported.
    flow: Option<Flow>,
    /// Whether a change was sent to the store, and its outcome is not known yet.
    swapping: bool,
    /// Whether this request would exhaust the guess budget if it counted as a failure.
    exhausts: bool,
}

impl<'a> Report<'a> {
    pub(crate) const fn new(clock: &'a Clock, listener: &'a Listener, user: &'a str, flow: Option<Flow>) -> Self {
        Self { clock, listener, user, operator: None, flow, swapping: false, exhausts: false }
    }

    /// Names the operator in the events.
    pub(crate) const fn by(&mut self, operator: Option<&'a OperatorId>) {
        self.operator = operator;
    }

    /// Whether the request reports notices that are still not acknowledged. A request that only reads the status or
    /// acknowledges a notice does not.
    pub(crate) const fn reminds(&self) -> bool {
        !matches!(self.flow, None | Some(Flow::Acknowledge))
    }

    pub(crate) const fn user(&self) -> &'a str {
        self.user
    }

    /// Records whether a change is about to be sent to the store, and whether a failure would exhaust the budget.
    pub(crate) const fn begins(&mut self, swapping: bool, exhausts: bool) {
        (self.swapping, self.exhausts) = (swapping, exhausts);
    }

    /// Records that the request ended, either with an answer or with an error to report.
    pub(crate) fn ended(&mut self, error: Option<GuardErrorKind>) {
        if let (Some(flow), Some(kind)) = (self.flow.take(), error) {
            self.unanswered(EventKind::Failed { flow, kind });
        }
    }

    /// Sends the event for a request without an answer. If it is unknown whether the change was stored, the change may
    /// have exhausted the guess budget. A second event then reports this. Without it, no event would report an
    /// exhausted budget until a later refusal.
    fn unanswered(&self, kind: EventKind) {
        let at = (self.clock)().unwrap_or(0);
        let exhausted = (self.swapping && self.exhausts).then_some(EventKind::Exhausted);
        for kind in [kind].into_iter().chain(exhausted) {
            let event = Event::new(self.user, at, kind);
            let event = match self.operator {
                Some(operator) => event.by(operator),
                None => event,
            };
            tell(self.listener, &event);
        }
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if let Some(flow) = self.flow.take() {
            self.unanswered(EventKind::Dropped { flow, may_have_changed: self.swapping });
        }
    }
}
