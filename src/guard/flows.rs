//! The flows of [`Guard`](crate::Guard), with their full documentation.
//!
//! The decisions are in `decide`. Each method passes a decision function to `Guard::transact`, which loads the record,
//! calls the function and swaps in the new record.

mod adopt;
mod change;
mod enroll;
mod login;
mod operator;
pub(crate) mod sweep;
