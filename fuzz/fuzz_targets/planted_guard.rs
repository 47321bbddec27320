//! A control: a store that does not look at versions. The campaign has to find it.
#![cfg_attr(fuzzing, no_main)]
keyfob_fuzz::target!(keyfob_fuzz::guard::planted);
