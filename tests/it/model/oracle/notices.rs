//! The notices of the oracle.

use keyfob::guard::{Notice, NoticeKind};

use super::{State, World};

/// For each kind, the time of the latest one that was not acknowledged, or 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notices(pub [u64; 5]);

impl Notices {
    /// In the order of a record.
    pub const KINDS: [NoticeKind; 5] = [
        NoticeKind::Added,
        NoticeKind::Removed,
        NoticeKind::Recovered,
        NoticeKind::RecoveryCodesReplaced,
        NoticeKind::Exhausted,
    ];

    pub fn of(&mut self, wanted: NoticeKind) -> &mut u64 {
        let index = Self::KINDS.iter().position(|kind| *kind == wanted);
        &mut self.0[index.expect("a kind that is listed")]
    }

    pub fn acknowledge(&mut self, notice: Notice) -> bool {
        let at = self.of(notice.kind());
        let covered = *at != 0 && *at <= notice.at();
        if covered {
            *at = 0;
        }
        covered
    }

    /// Those that the application should have acknowledged by now.
    pub fn overdue(&self, now: u64) -> Self {
        Self(self.0.map(|at| if at != 0 && now.abs_diff(at) >= 300 { at } else { 0 }))
    }
}

impl World<'_> {
    /// Keeps a notice if it is due. Even if it is not, the record then has a place for notices.
    pub(super) fn note(&self, factor: &mut State, kind: NoticeKind, due: bool) {
        if self.limits.notices {
            let notices = factor.notices.get_or_insert_default();
            if due {
                let at = notices.of(kind);
                *at = self.now.max(1).max(*at);
            }
        }
    }
}
