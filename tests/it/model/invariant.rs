//! The invariants that the checker looks at after every step.

use std::fmt;

/// Writes each sentence once, for the documentation and for the report of a violation.
macro_rules! invariants {
    ($($name:ident: $sentence:literal,)*) => {
        /// The number is the position in this list. Tests of single flows name the number in their messages, as in
        /// `I4`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Invariant {
            $(#[doc = $sentence] $name,)*
        }

        impl Invariant {
            const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)*
                }
            }

            /// A violation unless `holds`.
            pub fn require(self, holds: bool, seen: impl FnOnce() -> String) -> Result<(), Violation> {
                if holds { Ok(()) } else { Err(Violation(self, seen())) }
            }
        }
    };
}

invariants! {
    AcceptedOnce: "No step of a TOTP authenticator and no counter of an HOTP authenticator is accepted twice.",
    Increasing: "The accepted steps and counters of an authenticator only increase.",
    WithinBudget: "The failures that were answered never exceed the budget, nor the share that is charged.",
    NotComparedWhileThrottled: "No code is compared before the wait after the last failure is over.",
    AnswerIsStored: "Whatever an answer says is in the stored record.",
    WritesOnce: "An error writes nothing, and an answer writes the record once (a first confirmation twice).",
    RecoveryCodeOnce: "A recovery code is accepted at most once, and replaced at most once.",
    SealedInPlace: "A sealed secret opens only in the record, and with the settings, that it was sealed for.",
    WaitsAreBounded: "No wait is longer than the policy allows.",
    StaysRefused: "An exhausted budget stays exhausted, and a revoked authenticator stays revoked.",
    CompletedOnce: "A challenge completes at most one login, and so does a ticket.",
    StaysVoid: "Nothing from before a change of the factors or of the epoch is honored after it.",
    ExpectedIsThere: "A login that expects a second factor is never complete for an account that has none.",
    TrustEnds: "A trusted device replaces the code only in the lifetime that it was trusted for.",
    SuspendedAcceptsNothing: "A suspended account accepts nothing.",
    FailureIsReported: "Every request that ends without an answer is reported as an event.",
    OracleAgrees: "The answer and the stored record are those of the oracle.",
    VoucherAddsOne: "A voucher is redeemed once, and adds one authenticator and nothing else.",
    HandleShowsItsOwn: "A handle shows only its own enrollment's secret, and only while that enrollment is pending.",
    NoticeStays: "A notice stays in the record until it is acknowledged.",
    StrictlyLimited: "Under a strict policy, only a success lets a secret be compared more often than the limit.",
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{} {self:?} ({})", *self as u8 + 1, self.sentence())
    }
}

/// Which invariant was broken, and what was seen.
#[derive(Debug)]
pub struct Violation(pub Invariant, pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}
