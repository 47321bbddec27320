//! What is decided, a file for each flow. Nothing in here does I/O or reads a clock.

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
