//! The commands for developers. None of them needs a store.

pub(crate) mod code;
pub(crate) mod import;
pub(crate) mod keygen;
pub(crate) mod qr;
pub(crate) mod uri;
