//! The types of the guard's answers. [`transition`] ensures that no answer can be read before its change is stored.

pub(crate) mod adoption;
pub(crate) mod enrollment;
pub(crate) mod event;
pub(crate) mod invalidation;
pub(crate) mod login;
pub(crate) mod notice;
pub(crate) mod status;
pub(crate) mod transition;
pub(crate) mod verdict;
