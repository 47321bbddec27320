#![cfg_attr(fuzzing, no_main)]
keyfob_fuzz::target!(keyfob_fuzz::qr::run);
