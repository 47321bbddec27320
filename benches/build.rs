//! Detects the C library liboath by compiling against it.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(liboath)");
    println!("cargo::rerun-if-changed=build.rs");
    // Runs on every build, because Cargo cannot watch whether the library is installed. Everything is compiled again
    // after that, so the driver, which calls Cargo for each group, sets a variable for as long as it runs.
    println!("cargo::rerun-if-env-changed=KEYFOB_BENCHES_RUN");
    if env::var_os("KEYFOB_BENCHES_RUN").is_none() {
        println!("cargo::rerun-if-changed=liboath-may-be-installed-meanwhile");
    }

    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let source = Path::new(&out).join("probe.c");
    fs::write(&source, "#include <liboath/oath.h>\nint main(void) { return oath_init(); }\n")
        .expect("OUT_DIR is writable");
    let linked = Command::new("cc")
        .arg(&source)
        .arg("-loath")
        .arg("-o")
        .arg(Path::new(&out).join("probe"))
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if linked {
        println!("cargo::rustc-cfg=liboath");
        println!("cargo::rustc-link-lib=oath");
    }
}
