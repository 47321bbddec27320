//! A guide for developers who are adding a second factor to a login. Each submodule is a chapter and contains no items.

// The links in the chapters need these names in scope.
#[allow(unused_imports)]
use crate::*;
#[cfg(feature = "guard")]
#[allow(unused_imports)]
use crate::{guard::*, store::*};

#[doc = include_str!("../docs/guide/getting-started.md")]
pub mod getting_started {}

#[doc = include_str!("../docs/guide/enrollment.md")]
///
/// ## What the QR code looks like
///
/// This QR code contains the published test key of RFC 4226:
///
/// <div>
#[doc = include_str!("../docs/pictures/code.svg")]
/// </div>
pub mod enrollment {}

#[doc = include_str!("../docs/guide/login.md")]
pub mod login {}

#[doc = include_str!("../docs/guide/other-frameworks.md")]
pub mod other_frameworks {}

#[doc = include_str!("../docs/guide/recovery.md")]
pub mod recovery {}

#[doc = include_str!("../docs/guide/operation.md")]
pub mod operation {}

#[doc = include_str!("../docs/guide/database.md")]
pub mod database {}

#[doc = include_str!("../docs/guide/postgresql.md")]
pub mod postgresql {}

#[doc = include_str!("../docs/guide/mysql.md")]
pub mod mysql {}

#[doc = include_str!("../docs/guide/redis.md")]
pub mod redis {}

#[doc = include_str!("../docs/guide/size.md")]
pub mod size {}

#[doc = include_str!("../docs/guide/import.md")]
pub mod import {}

#[doc = include_str!("../docs/guide/adoption.md")]
pub mod adoption {}

#[doc = include_str!("../docs/guide/codes.md")]
pub mod codes {}

#[doc = include_str!("../docs/guide/security.md")]
pub mod security {}
