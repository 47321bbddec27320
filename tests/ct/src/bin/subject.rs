//! The program that the tools observe: it runs one case with one seed.

#[path = "../cases.rs"]
mod cases;
#[path = "../step.rs"]
mod step;
#[path = "../trace.rs"]
mod trace;
#[path = "../valgrind.rs"]
mod valgrind;

use std::hint::black_box;

fn main() {
    keyfob_ct::keep();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => cases::all().iter().for_each(|case| println!("{}", case.name)),
        ["poison"] => poison(),
        ["trace", number, seeds] => trace::record(&case(number), seeds.parse().unwrap()),
        ["step", number, seeds] => step::compare(&case(number), seeds.parse().unwrap()),
        ["count", number] => count(&case(number)),
        _ => panic!("list | poison | trace PLACE SEEDS | step PLACE SEEDS | count PLACE"),
    }
}

/// Runs each case under memcheck, and prints its name and the number of errors.
fn poison() {
    assert!(valgrind::watching(), "run this under memcheck");
    for case in cases::all() {
        for seed in 1..=4 {
            let mut run = case.prepare(seed);
            let before = valgrind::errors();
            run();
            println!("{}\t{}", case.name, valgrind::errors() - before);
        }
    }
}

/// Runs a case inside this function, so that callgrind can count its instructions.
fn count(case: &cases::Case) {
    // Run twice, because the first run binds functions and detects the features of the processor.
    for seed in 1..=2 {
        let mut run = case.prepare(seed);
        if seed == 1 { run() } else { counted(&mut *run) }
    }
}

#[inline(never)]
fn counted(run: &mut dyn FnMut()) {
    run();
    black_box(());
}

fn case(number: &str) -> cases::Case {
    cases::all().swap_remove(number.parse().unwrap())
}
