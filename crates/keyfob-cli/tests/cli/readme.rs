//! The examples of the README: each command is run, and its output is compared.

use std::process::Command;

use crate::world::World;

#[test]
fn the_examples_of_the_readme_print_what_it_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let examples = examples(&readme);
    assert!(examples.iter().filter(|(command, _)| command.contains("keyfob ")).count() >= 20);

    // One shell runs all of them, as a reader would.
    let mut script = String::new();
    for (command, _) in &examples {
        script.push_str(&format!("{command}\necho '{MARK}'\n"));
    }
    let world = World::new("readme");
    std::fs::remove_file(world.path("keys")).unwrap();
    std::fs::remove_file(world.path("users.db")).unwrap();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_keyfob")).parent().unwrap();
    let search = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1\n{script}")]).current_dir(world.path("")).env("PATH", search);
    shell.stdin(std::process::Stdio::null());
    let output = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    let printed: Vec<&str> = output.split(&format!("{MARK}\n")).collect();
    assert_eq!(printed.len(), examples.len() + 1, "{output}");

    let mut corrected = readme.clone();
    for ((command, expected), printed) in examples.iter().zip(&printed) {
        if normalized(expected) != normalized(printed) {
            println!("$ {command}\n{printed}");
            corrected = corrected.replacen(&format!("$ {command}\n{expected}"), &format!("$ {command}\n{printed}"), 1);
        }
    }
    if corrected != readme && std::env::var_os("KEYFOB_RECORD").is_some() {
        std::fs::write(path, &corrected).unwrap();
    }
    assert!(corrected == readme, "the README prints something else; KEYFOB_RECORD=1 corrects it");
}

/// The commands in the blocks marked `console`, and what the README says that they print.
fn examples(readme: &str) -> Vec<(String, String)> {
    let mut examples: Vec<(String, String)> = Vec::new();
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for line in block.lines() {
            match (line.strip_prefix("$ "), examples.last_mut()) {
                (Some(command), _) => examples.push((command.into(), String::new())),
                (None, Some((_, output))) => output.push_str(&format!("{line}\n")),
                (None, None) => panic!("an output without a command: {line}"),
            }
        }
    }
    examples
}

/// Replaces what differs from run to run: ids, times, codes and vouchers.
fn normalized(text: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || "-:~.".contains(c);
    let mut normalized = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(char::is_alphanumeric) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        normalized.push_str(before);
        normalized.push_str(match word.trim_end_matches('.') {
            word if word.starts_with("vouch~") => "VOUCHER",
            word if word.len() == 16 && word.bytes().all(|byte| (b'a'..=b'p').contains(&byte)) => "ID",
            word if word.len() == 20 && word.starts_with("20") && word.ends_with('Z') => "TIME",
            word if [8, 10].contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit()) => "NUMBER",
            _ => word,
        });
        rest = after;
    }
    normalized + rest
}

const MARK: &str = "@@@@";
