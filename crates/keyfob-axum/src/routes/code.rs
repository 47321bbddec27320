//! The field for a code, and the words for a code that was refused.

use std::time::{SystemTime, UNIX_EPOCH};

use keyfob::guard::{Diagnosis, Refusal};
use keyfob::store::Store;
use maud::{Markup, html};

use crate::application::Application;
use crate::forms::token;
use crate::texts::Text;
use crate::visit::Visit;

/// What the field is for. It decides which keyboard a phone shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A code from an authenticator app that has just been added.
    First,
    /// A code from an authenticator app. A recovery code is accepted as well.
    App,
    /// A recovery code.
    Recovery,
}

impl Kind {
    /// Reads the choice of the user from the URL or the form.
    pub(crate) fn of(name: &str) -> Self {
        if name == "recovery" { Self::Recovery } else { Self::App }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::First | Self::App => "app",
            Self::Recovery => "recovery",
        }
    }
}

/// The field for a code with its label, its hint and, after a refusal, the reason.
///
/// The field has no maximum length, because codes are copied and typed with spaces.
pub(crate) fn field<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    kind: Kind,
    error: Option<&str>,
    focus: bool,
) -> Markup {
    let (label, hint) = match kind {
        Kind::First => (Text::FirstCodeLabel, Text::FirstCodeHint),
        Kind::App => (Text::CodeLabel, Text::CodeHint),
        Kind::Recovery => (Text::RecoveryCodeLabel, Text::RecoveryCodeHint),
    };
    let recovery = kind == Kind::Recovery;
    html! {
        div class="field" {
            label for="code" { (visit.text(&label)) }
            p id="code-hint" class="hint" { (visit.text(&hint)) }
            @if let Some(error) = error {
                p id="code-error" class="error" { (error) }
            }
            input #code name="code" type="text" required autofocus[focus] dir="ltr"
                spellcheck="false" autocapitalize="characters"
                inputmode=(if recovery { "text" } else { "numeric" })
                autocomplete=(if recovery { "off" } else { "one-time-code" })
                aria-invalid=[error.map(|_| "true")]
                aria-describedby=(if error.is_some() { "code-error code-hint" } else { "code-hint" });
            @if kind != Kind::First {
                input type="hidden" name="with" value=(kind.name());
            }
        }
    }
}

/// The link to the same form for the other kind of code.
pub(crate) fn other_kind<A: Application, S: Store + 'static>(visit: &Visit<A, S>, kind: Kind, path: &str) -> Markup {
    let separator = if path.contains('?') { '&' } else { '?' };
    html! {
        @match kind {
            Kind::Recovery => a href=(path) { (visit.text(&Text::UseApp)) },
            _ => a href=(format!("{path}{separator}with=recovery")) { (visit.text(&Text::UseRecoveryCode)) },
        }
    }
}

/// The token of the form, for the session or the pending login with this secret.
pub(crate) fn hidden_token(secret: &str) -> Markup {
    html! { input type="hidden" name="token" value=(token(secret)); }
}

/// Why a code was refused, for a user who has already typed the right password.
pub(crate) fn message<A: Application, S: Store + 'static>(visit: &Visit<A, S>, kind: Kind, refusal: Refusal) -> String {
    visit.text(&match refusal {
        Refusal::Throttled { retry_at } => Text::Wait { seconds: until(retry_at) },
        Refusal::Exhausted { retry_at: Some(retry_at) } => Text::Wait { seconds: until(retry_at) },
        Refusal::Exhausted { retry_at: None } => Text::Exhausted,
        Refusal::Replayed if kind == Kind::Recovery => Text::RecoveryCodeUsed,
        Refusal::Replayed => Text::CodeUsed,
        Refusal::Malformed if kind == Kind::Recovery => Text::RecoveryCodeMalformed,
        Refusal::Malformed => Text::CodeMalformed,
        _ if kind == Kind::Recovery => Text::RecoveryCodeWrong,
        _ => Text::CodeWrong,
    })
}

/// Why the first code of a new authenticator was refused.
pub(crate) fn diagnosis<A: Application, S: Store + 'static>(
    visit: &Visit<A, S>,
    refusal: Refusal,
    diagnosis: Option<Diagnosis>,
) -> String {
    match diagnosis {
        Some(Diagnosis::ClockOff(seconds)) => visit.text(&Text::ClockOff { seconds }),
        Some(_) => visit.text(&Text::AppUnsuitable),
        None => message(visit, Kind::First, refusal),
    }
}

/// The seconds from now until a time, at least one.
fn until(time: u64) -> u64 {
    time.saturating_sub(now()).max(1)
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
