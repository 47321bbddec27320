//! A control: a code may have nine digits. The campaign has to find it.
#![cfg_attr(fuzzing, no_main)]
keyfob_fuzz::target!(keyfob_fuzz::code::planted);
