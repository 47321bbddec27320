//! The decisions of [`SecondFactor`](crate::guard::SecondFactor), one file for each flow.
//!
//! No file does I/O or reads a clock. Each flow is documented at the corresponding method of [`Guard`](crate::Guard).

mod attempt;
mod change;
mod confirm;
mod diagnosis;
mod enroll;
mod operator;
mod reseal;
mod resync;
mod status;
mod verify;
