//! What is answered, and in which order: an answer cannot be read before its consequence is stored.

pub(crate) mod enrollment;
pub(crate) mod event;
pub(crate) mod status;
pub(crate) mod transition;
pub(crate) mod verdict;
