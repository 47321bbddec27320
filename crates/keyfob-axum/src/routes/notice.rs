//! The sentence that the security page shows once, after a change.

use axum::http::HeaderMap;
use axum::response::Response;
use keyfob::store::Store;

use crate::application::Application;
use crate::cookies;
use crate::texts::Text;
use crate::visit::{Visit, redirect, with_headers};

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Added,
    Canceled,
    DeviceForgotten,
    DevicesForgotten,
    Removed,
    Renamed,
    TurnedOff,
}

impl Notice {
    const ALL: [Self; 7] = [
        Self::Added,
        Self::Canceled,
        Self::DeviceForgotten,
        Self::DevicesForgotten,
        Self::Removed,
        Self::Renamed,
        Self::TurnedOff,
    ];

    pub(crate) const fn text(self) -> Text<'static> {
        match self {
            Self::Added => Text::Added,
            Self::Canceled => Text::Canceled,
            Self::DeviceForgotten => Text::DeviceForgotten,
            Self::DevicesForgotten => Text::DevicesForgotten,
            Self::Removed => Text::Removed,
            Self::Renamed => Text::Renamed,
            Self::TurnedOff => Text::TurnedOff,
        }
    }

    /// The notice to show on this visit.
    pub(crate) fn of<A: Application, S: Store + 'static>(visit: &Visit<A, S>) -> Option<Self> {
        let name = visit.cookie(cookies::NOTICE)?;
        Self::ALL.into_iter().find(|notice| format!("{notice:?}") == name)
    }
}

/// Leads to the security page, which then shows the notice.
pub(crate) fn noticed<A: Application, S: Store + 'static>(visit: &Visit<A, S>, notice: Notice) -> Response {
    let mut headers = HeaderMap::new();
    cookies::set(&mut headers, cookies::NOTICE, &format!("{notice:?}"), 60);
    with_headers(redirect(&visit.link("/")), headers)
}
