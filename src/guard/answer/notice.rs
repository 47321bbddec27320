//! Notices: what the user must be told, even if the server crashes before it can send an email.

/// Something that the user must be told about. If the policy [keeps notices](crate::Policy::with_notices), the notice
/// stays in the record until the application [acknowledges](crate::Guard::acknowledge) it.
///
/// The record keeps only the latest notice of each kind. [`Status::notices`](crate::guard::Status::notices) lists the
/// notices of an account. [`Guard::acknowledge`](crate::Guard::acknowledge) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    kind: NoticeKind,
    at: u64,
}

impl Notice {
    pub(crate) const fn new(kind: NoticeKind, at: u64) -> Self {
        Self { kind, at }
    }

    /// What the user must be told about.
    #[must_use]
    pub const fn kind(self) -> NoticeKind {
        self.kind
    }

    /// The time at which it happened, in Unix seconds.
    #[must_use]
    pub const fn at(self) -> u64 {
        self.at
    }
}

/// The kind of a [`Notice`]. Later versions may add kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoticeKind {
    /// An authenticator was added.
    Added,
    /// An authenticator was removed, or the second factor was disabled.
    Removed,
    /// A recovery code was used.
    Recovered,
    /// The recovery codes were replaced.
    RecoveryCodesReplaced,
    /// The guess budget is exhausted: somebody who knows the password is guessing codes.
    Exhausted,
}

impl NoticeKind {
    /// All kinds, in the order in which the record stores them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Added, Self::Removed, Self::Recovered, Self::RecoveryCodesReplaced, Self::Exhausted];
}
