//! Sees to it that no request ends without an event, whether it fails or its caller gives up.

use crate::guard::answer::event::{Event, EventKind, Flow};
use crate::guard::error::GuardErrorKind;

/// Who listens to events.
pub(crate) type Listener = dyn Fn(&Event) + Send + Sync;

/// The clock of the guard.
pub(crate) type Clock = dyn Fn() -> Option<u64> + Send + Sync;

/// Sends an event. The change that it tells of is stored by now: a listener that panics must not take the answer with it,
/// nor the other events.
pub(crate) fn tell(listener: &Listener, event: &Event) {
    let told = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| listener(event)));
    // The panic hook has reported it.
    drop(told);
}

/// One request, from its beginning to its answer. Dropped before [`ended`](Self::ended), it reports that the caller gave up.
pub(crate) struct Report<'a> {
    clock: &'a Clock,
    listener: &'a Listener,
    user: &'a str,
    /// `None` if there is nothing to report any more.
    flow: Option<Flow>,
    /// A change is on its way to the store.
    swapping: bool,
    /// A failure, if this is one, uses up the guess budget.
    exhausts: bool,
}

impl<'a> Report<'a> {
    pub(crate) const fn new(clock: &'a Clock, listener: &'a Listener, user: &'a str, flow: Option<Flow>) -> Self {
        Self { clock, listener, user, flow, swapping: false, exhausts: false }
    }

    pub(crate) const fn user(&self) -> &'a str {
        self.user
    }

    pub(crate) const fn flow(&self) -> Option<Flow> {
        self.flow
    }

    /// What happens next: whether a change goes to the store, and whether a failure would use up the guess budget.
    pub(crate) const fn begins(&mut self, swapping: bool, exhausts: bool) {
        (self.swapping, self.exhausts) = (swapping, exhausts);
    }

    /// There is an answer, or an error to report.
    pub(crate) fn ended(&mut self, error: Option<GuardErrorKind>) {
        if let (Some(flow), Some(kind)) = (self.flow.take(), error) {
            self.without_an_answer(EventKind::Failed { flow, kind });
        }
    }

    /// Where the outcome of a change is unknown, it may have used up the budget, and nobody else will say so.
    fn without_an_answer(&self, kind: EventKind) {
        let at = (self.clock)().unwrap_or(0);
        let exhausted = (self.swapping && self.exhausts).then_some(EventKind::Exhausted);
        for kind in [kind].into_iter().chain(exhausted) {
            tell(self.listener, &Event::new(self.user, at, kind));
        }
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if let Some(flow) = self.flow.take() {
            self.without_an_answer(EventKind::Dropped { flow, may_have_changed: self.swapping });
        }
    }
}
