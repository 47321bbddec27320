//! The reasons why a request does not get the page that it asked for.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyfob::guard::{GuardError, GuardErrorKind};

use crate::application::BoxError;
use crate::texts::Text;

/// Why a request does not get its page. It becomes a page in `Visit::finish`, which knows the language and the layout.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nobody is logged in. Leads to the login, and from there to this path.
    LogIn { next: String },
    /// The login took too long, was completed, or is void.
    LoginEnded,
    /// The form does not come from a page of this session.
    Forged,
    /// The request is malformed, too large, or for a page that does not exist.
    Refused(StatusCode),
    /// What the user wants to change is not there anymore.
    OutOfDate,
    /// The user may not do this, with the reason.
    Forbidden(&'static Text<'static>),
    /// The login fails closed until an operator has looked at the account.
    Support,
    /// An operator has suspended the account.
    Suspended,
    /// The application, the store or a key failed.
    Unavailable,
}

impl Failure {
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::LogIn { .. } => StatusCode::SEE_OTHER,
            Self::LoginEnded | Self::Forged | Self::Forbidden(_) | Self::Suspended | Self::Support => {
                StatusCode::FORBIDDEN
            }
            Self::Refused(status) => *status,
            Self::OutOfDate => StatusCode::CONFLICT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<GuardError> for Failure {
    fn from(error: GuardError) -> Self {
        match error.kind() {
            GuardErrorKind::LoginRejected => Self::LoginEnded,
            GuardErrorKind::Suspended => Self::Suspended,
            GuardErrorKind::LastAuthenticator
            | GuardErrorKind::NoEnrollment
            | GuardErrorKind::NotEnrolled
            | GuardErrorKind::ProofRejected
            | GuardErrorKind::ProofRequired
            | GuardErrorKind::TooManyAuthenticators
            | GuardErrorKind::UnknownAuthenticator
            | GuardErrorKind::UnknownDevice => Self::OutOfDate,
            GuardErrorKind::RecordMissing | GuardErrorKind::Removed => {
                tracing::error!(%error, "a login failed closed");
                Self::Support
            }
            _ => {
                tracing::error!(%error, source = error_source(&error), "the second factor failed");
                Self::Unavailable
            }
        }
    }
}

/// The error of the store, which [`GuardError`] does not repeat.
fn error_source(error: &GuardError) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        tracing::error!(%error, "the application failed");
        Self::Unavailable
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
