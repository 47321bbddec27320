//! A control with a planted bug: a store that ignores versions. The fuzzer must find it.
#![cfg_attr(fuzzing, no_main)]
keyfob_fuzz::target!(keyfob_fuzz::guard::planted);
