//! The types that the guard answers with. [`transition`] keeps an answer unreadable until its change is stored.

pub(crate) mod enrollment;
pub(crate) mod event;
pub(crate) mod status;
pub(crate) mod transition;
pub(crate) mod verdict;
