//! The notices that the application has not acknowledged yet.

use alloc::vec::Vec;

use crate::ct;
use crate::guard::answer::notice::{Notice, NoticeKind};

/// For each kind of notice, the time of the latest one that has not been acknowledged, or 0 if there is none. After an
/// attempt, some of these times reveal the verdict, so they are secret until the swap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notices(pub(crate) [u64; NoticeKind::ALL.len()]);

impl Notices {
    /// Keeps a notice if the mask `happened` is all ones.
    pub(crate) fn keep(&mut self, kind: NoticeKind, now: u64, happened: u64) {
        for (at, slot) in self.0.iter_mut().zip(NoticeKind::ALL) {
            if slot == kind {
                // The time never moves back. If a server whose clock is behind could move it back, acknowledging an
                // earlier notice would remove this one.
                *at = ct::select(happened, now.max(1).max(*at), *at);
            }
        }
    }

    /// Removes a notice, unless there has been a later one of the same kind. Returns whether it was removed.
    pub(crate) fn acknowledge(&mut self, notice: Notice) -> bool {
        let mut removed = false;
        for (at, kind) in self.0.iter_mut().zip(NoticeKind::ALL) {
            if kind == notice.kind() && *at != 0 && *at <= notice.at() {
                *at = 0;
                removed = true;
            }
        }
        removed
    }

    /// Returns all notices that have not been acknowledged.
    pub(crate) fn pending(&self) -> Vec<Notice> {
        let kept = self.0.iter().zip(NoticeKind::ALL).filter(|(at, _)| **at != 0);
        kept.map(|(at, kind)| Notice::new(kind, *at)).collect()
    }
}
