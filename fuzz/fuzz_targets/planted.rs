//! A control with a planted bug: a code may have nine digits. The fuzzer must find it.
#![cfg_attr(fuzzing, no_main)]
keyfob_fuzz::target!(keyfob_fuzz::code::planted);
