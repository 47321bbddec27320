//! The commands for operators.

pub(crate) mod account;
pub(crate) mod adopt;
pub(crate) mod devices;
pub(crate) mod list;
pub(crate) mod status;
pub(crate) mod sweep;
