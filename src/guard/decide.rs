//! The decisions of [`SecondFactor`](crate::guard::SecondFactor), one file per flow.
//!
//! None of these files does I/O or reads a clock. Each flow is documented on the corresponding method of
//! [`Guard`](crate::Guard). In these files, "the swap" is the compare-and-swap that stores the new record.

mod adopt;
mod attempt;
mod change;
mod confirm;
mod devices;
mod diagnosis;
mod enroll;
mod login;
mod operator;
mod reseal;
mod resync;
mod status;
mod verify;
