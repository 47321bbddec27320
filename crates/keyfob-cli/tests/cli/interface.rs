//! What scripts and people rely on: help, exit codes, completions, and no secret where it can be seen.

use std::process::Command;

use crate::world::World;

const COMMANDS: [&str; 20] = [
    "status",
    "unlock",
    "revoke",
    "remove",
    "suspend",
    "resume",
    "vouch",
    "invalidate",
    "reseal",
    "devices",
    "forget",
    "list",
    "notices",
    "adopt",
    "code",
    "qr",
    "uri",
    "import",
    "keygen",
    "completions",
];

#[test]
fn help_teaches_every_command() {
    let world = World::new("help");
    let overview = world.run("--help").exits(0).out;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for command in COMMANDS {
        assert!(overview.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}");
        assert!(readme.contains(&format!("keyfob {command}")), "the README does not mention {command}");
        let commands = match command {
            "uri" => vec!["uri build", "uri read", "uri lint"],
            command => vec![command],
        };
        for command in commands {
            let help = world.run(&format!("{command} --help")).exits(0).out;
            // Examples and tables are not wrapped on a narrow terminal.
            let examples = help.lines().skip_while(|line| !line.starts_with("Example")).skip(1);
            for line in examples.take_while(|line| !line.is_empty()) {
                assert!(line.starts_with("  "), "{line} in {help}");
            }
            assert!(help.contains("Example") && help.contains(&format!("keyfob {command}")), "{help}");
        }
    }
    // The list above has every command.
    let listed = overview.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    assert_eq!(listed.count(), COMMANDS.len() + 1, "{overview}");
    // The README repeats the exit codes of the help.
    let codes = overview.split_once("Exit codes:\n").unwrap().1;
    for (code, meaning) in codes.lines().filter_map(|line| line.trim().split_once(' ')) {
        let row = format!("| {code} | {} |", meaning.trim());
        assert!(readme.contains(&row), "the README does not have {row}");
    }
}

#[test]
fn completions_are_generated() {
    let world = World::new("completions");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = world.run(&format!("completions {shell}")).exits(0).out;
        assert!(COMMANDS.iter().all(|command| script.contains(command)), "{shell}");
    }
    world.run("completions csh").exits(2);
}

#[test]
fn each_exit_code_occurs() {
    let world = World::new("codes");
    world.run("list --json").exits(1);
    world.run("status nobody").exits(1).says("there is no record for nobody");
    world.run("unlock nobody").exits(1).says("no second factor");
    world.run("frobnicate").exits(2);
    world.run("unlock").exits(2);
    world.run("unlock al --operator \t").exits(2).says("operator");
    world.run("status al --store ftp://host/db").exits(2).says("begins with none of");
    world.run("status al --store sqlite:missing.db").exits(3).says("no such database");
    world.write("text.db", "this is not a database, but it is long enough to look like one to a careless reader");
    world.run("status al --store sqlite:text.db").exits(3).says("not a database");
    world.run("unlock al --log missing/log").exits(3).says("missing/log");
    world.run("unlock al --policy missing").exits(3).says("missing");
    world.write("policy", r#"{"strikt": true}"#);
    world.run("unlock al --policy policy").exits(3).says("strikt");
    world.write("keys", "2026:nonsense");
    world.run("reseal al --keys-file keys").exits(3).says("keyring");
    world.run("reseal al --keys-file missing").exits(3);
    let anonymous = World::new("anonymous").with_variable("KEYFOB_OPERATOR", "");
    anonymous.run("unlock al").exits(2).says("--operator");
    let homeless = World::new("homeless").with_variable("KEYFOB_STORE", "");
    homeless.run("status al").exits(2).says("--store");
    // 130 is in `sweep.rs`.
}

#[test]
fn a_secret_in_the_arguments_is_refused_and_not_repeated() {
    let world = World::new("arguments");
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    world.is_secret(secret);
    for command in ["code", "qr --show-secrets", "uri read", "uri lint", "uri build --label al", "import"] {
        world.run(&format!("{command} {secret}")).exits(2).says("no such file");
        world.run(&format!("{command} otpauth://totp/al?secret={secret}")).exits(2).says("no such file");
    }
    world.run(&format!("unlock al {secret}")).exits(2);
    world.run(&format!("code secret={secret}")).exits(2);
    for option in ["code --secret", "keygen 2026 --key", "status al --store", "code --digits"] {
        world.run(&format!("{option} {secret}")).exits(2);
        world.run(&format!("{option}={secret}")).exits(2);
    }
    let key = world.read("keys");
    world.run(&format!("reseal al --keys-file {}", key.trim())).exits(2).says("no such file");
    world.run(&format!("reseal al {}", key.trim())).exits(2).says("not repeated");
    world.is_secret("hunter2");
    for url in ["postgres://app:hunter2@db/app", "mysql://db/app?password=hunter2", "sqlite://:hunter2@/users.db"] {
        world.run(&format!("status al --store {url}")).exits(2).says("KEYFOB_STORE");
    }
    // From the environment, the URL is accepted, and messages about it do not contain the password.
    for url in ["sqlite://app:hunter2@/missing.db?password=hunter2", "ftp://app:hunter2@db", "hunter2"] {
        let world = World::new("environment").with_variable("KEYFOB_STORE", url);
        world.is_secret("hunter2");
        assert!(world.run("status al").code >= 2);
        assert!(world.run("reseal --all --keys-file keys").code >= 2);
    }
}

#[test]
fn keys_come_from_the_environment() {
    let world = World::new("environment-keys");
    world.write("users.csv", "user,secret\nal,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n");
    let keys = world.read("keys");
    let world = world.with_variable("KEYFOB_KEYS", &keys).with_variable("KEYFOB_LOG", "log");
    world.run("adopt users.csv").exits(0);
    world.run("reseal al").exits(0).says("nothing to change");
    assert_eq!(world.read("log").lines().count(), 1);
    // The help shows names of variables, and never their values.
    world.is_secret(&keys);
    world.run("reseal --help").exits(0);
}

/// `script` gives the program a terminal. It is part of util-linux.
#[test]
fn a_terminal_shows_no_secret_without_a_flag() {
    let world = World::new("terminal");
    world.write("app.uri", "otpauth://totp/al?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    world.write("users.csv", "user,secret\nal,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n");
    world.run("adopt users.csv --keys-file keys").exits(0);
    let Some(typed) = on_terminal(&world, "keygen 2027", "") else { return };
    assert!(typed.contains("--show-secrets") && !typed.contains("2027:"), "{typed}");
    let terminal = |arguments: &str, input: &str| on_terminal(&world, arguments, input).unwrap();
    assert!(terminal("keygen 2027 --show-secrets", "").contains("2027:"));
    assert!(terminal("uri build --label al --generate", "").contains("--show-secrets"));
    assert!(terminal("qr app.uri", "").contains("--show-secrets"));
    assert!(terminal("qr app.uri --show-secrets", "").contains("\x1b[38;5;"));
    assert!(!terminal("qr app.uri --show-secrets --on-light", "").contains('\x1b'));
    assert!(!on_terminal_with(&world, "qr app.uri --show-secrets", "", "1").unwrap().contains('\x1b'));
    assert!(terminal("qr app.uri --format png --show-secrets", "").contains("cannot show PNG"));
    // What is typed is not echoed.
    let typed = terminal("code --at 59", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n");
    assert!(typed.contains("287082") && !typed.contains("GEZDG"), "{typed}");
    // A terminal can answer.
    assert!(terminal("remove al", "n\n").contains("nothing was changed"));
    assert!(terminal("remove al", "y\n").contains("was removed"));
    assert!(!terminal("status al", "").contains('\x1b'));
}

fn on_terminal(world: &World, arguments: &str, input: &str) -> Option<String> {
    on_terminal_with(world, arguments, input, "")
}

fn on_terminal_with(world: &World, arguments: &str, input: &str, no_color: &str) -> Option<String> {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_keyfob"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).current_dir(world.path(""));
    script.env("KEYFOB_STORE", world.url()).env("KEYFOB_OPERATOR", "jane").env("NO_COLOR", no_color);
    script.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let Ok(mut child) = script.spawn() else {
        assert!(std::env::var_os("CI").is_none(), "script is not installed");
        println!("skipped: script is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    // Before the program has switched off the echo, the terminal would show what is typed.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let _ = std::io::Write::write_all(&mut stdin, input.as_bytes());
    std::thread::sleep(std::time::Duration::from_millis(200));
    drop(stdin);
    Some(String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned())
}
