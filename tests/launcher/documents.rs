//! Every command in the documents is run, or its parts are looked for.
//!
//! A block of `console` has lines `$ COMMAND`, each with its output below; `…` stands for lines, or for
//! the end of a line, that are left out. A block of `sh` or `fish` has commands alone, and commands stand
//! in the text, too. Of those that build, test or install it is looked whether what they name is there:
//! a test, a script and its words, a target of make. What can't be run by a test is in [`ELSEWHERE`] with
//! what does run it. A command of another kind fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::sandbox::Sandbox;
use crate::support::process::{finish, search_path, text};
use crate::support::{preload, skip};

/// The start of each command that no test here runs, and what does.
const ELSEWHERE: [(&str, &str); 10] = [
    ("apt install ", "tests/chroots installs these packages"),
    ("cargo build --release", "tests/chroots builds so"),
    ("cargo clippy ", "tests/run lints"),
    ("cargo vendor", "needs the network"),
    ("cargo install", "needs the network"),
    ("cargo nextest ", "is another runner of the same tests"),
    ("cargo bench ", "benches/run runs them"),
    ("git clone ", "needs the network"),
    ("socat TCP-LISTEN:", "needs a Tor whose port is a socket file"),
    ("functions --copy ", "the tests of the shells run it"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let pages = ["design/manual", "design"].into_iter().flat_map(|folder| {
        fs::read_dir(root().join(folder)).expect("a folder").flatten().map(|entry| entry.path())
    });
    let named = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "benches/README.md"];
    let mut all: Vec<_> = pages.chain(named.map(|name| root().join(name))).collect();
    all.retain(|page| page.extension().is_some_and(|ending| ending == "md"));
    all.sort();
    all
}

/// The blocks between fences, each with the word behind the first one; and the rest of the text.
fn parts(page: &Path) -> (Vec<(String, String)>, String) {
    let text = fs::read_to_string(page).expect("a page can be read");
    let (mut blocks, mut rest) = (Vec::new(), String::new());
    for (index, part) in text.split("```").enumerate() {
        match part.split_once('\n') {
            Some((word, block)) if index % 2 == 1 => {
                blocks.push((word.to_owned(), block.to_owned()))
            }
            _ => rest += part,
        }
    }
    (blocks, rest)
}

/// The command as it was typed, but for where it was built and what stands for the reader's own words.
fn typed(command: &str) -> String {
    let mut command = command.replace("target/release/epochsocks", "epochsocks");
    for (word, example) in [
        ("[OPTIONS] ", ""),
        (" [ARGUMENTS]", ""),
        ("[PROGRAM...]", "true"),
        ("PROGRAM", "true"),
        ("[PID|--all]", "--help"),
        (" PID", " --help"),
        ("COMMAND", "true"),
        ("-- NAME", "-- true"),
        ("--registry NAME", "--registry slots --version"),
        (" | man -l -", ""),
    ] {
        command = command.replace(word, example);
    }
    command
}

/// `line` in the shell that it is written for, with the launcher in PATH; nothing where that is missing.
fn in_shell(line: &str) -> Option<Command> {
    let is_fish = ["| source", "; or ", "config.fish"].iter().any(|sign| line.contains(sign));
    let (shell, before) = match line {
        _ if is_fish => ("fish", ""),
        line if line.contains(".zshrc") => ("zsh", "autoload -Uz compinit; compinit -D; "),
        _ => ("bash", ""),
    };
    if !skip::missing(&[shell]).is_empty() {
        return None;
    }
    let mut launcher = preload::launcher();
    launcher.args(["--version"]);
    let mut command = Command::new(shell);
    for (name, value) in launcher.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut path = Path::new(env!("CARGO_BIN_EXE_epochsocks")).parent()?.as_os_str().to_owned();
    path.push(":");
    path.push(search_path());
    command.env("PATH", path).env("SHELL", "/bin/sh").args(["-c", &format!("{before}{line}")]);
    Some(command)
}

/// Runs a command of the launcher: it must end well. A doctor may miss Tor.
fn run(line: &str, scratch: &Path) -> Result<(), String> {
    let line = typed(line);
    let Some(mut command) = in_shell(&line) else { return Ok(()) };
    let output = finish(command.current_dir(scratch), Duration::from_secs(60));
    match output.status.code() {
        Some(0) => Ok(()),
        Some(1) if line.contains("doctor") => Ok(()),
        _ => Err(format!("{line}: {}: {}", output.status, text(&output))),
    }
}

/// Looks for what a command names that builds or tests. `None` if it is of no kind that is known.
fn named(line: &str) -> Option<Result<(), String>> {
    let mut words = line.split_ascii_whitespace().peekable();
    while let Some((variable, _)) = words.peek().and_then(|word| word.split_once('=')) {
        if variable.chars().all(|sign| sign.is_ascii_uppercase() || sign == '_')
            && !variable.is_empty()
        {
            words.next();
        } else {
            break;
        }
    }
    let words: Vec<_> = words.collect();
    let (first, rest) = words.split_first()?;
    let path = root().join(first);
    match *first {
        "cargo" if rest.first() == Some(&"test") => Some(tests(&rest[1..])),
        "make" => {
            let makefile = fs::read_to_string(root().join("Makefile")).expect("a Makefile");
            let mut targets = rest.iter().take_while(|word| !word.contains('='));
            Some(targets.try_for_each(|target| match makefile.contains(&format!("\n{target}:")) {
                true => Ok(()),
                false => Err(format!("make has no target {target}")),
            }))
        }
        _ if first.starts_with("tests/")
            || first.starts_with("benches/")
            || first.starts_with("src/") =>
        {
            let is_example = first.contains("NAME");
            if !is_example && !path.exists() {
                return Some(Err(format!("there is no {first}")));
            }
            // The words of a script stand in it, or in the program that it starts.
            let mut script = fs::read_to_string(&path).unwrap_or_default();
            if first.starts_with("benches/") {
                let program = sources(&root().join("benches/src"));
                script.extend(
                    program.iter().map(|file| fs::read_to_string(file).unwrap_or_default()),
                );
            }
            let mut own = rest.iter().filter(|word| !word.contains(['/', '"', '$']));
            Some(own.try_for_each(|word| {
                match script.contains(word.trim_start_matches('-'))
                    || word.chars().all(char::is_uppercase)
                {
                    true => Ok(()),
                    false => Err(format!("{first} knows no {word}")),
                }
            }))
        }
        _ => None,
    }
}

/// Looks for the tests that `cargo test` is told to run.
fn tests(words: &[&str]) -> Result<(), String> {
    let mut words = words.iter().take_while(|word| **word != "--");
    let (mut binary, mut filters) = (None, Vec::new());
    while let Some(word) = words.next() {
        match *word {
            "--test" => binary = words.next().copied(),
            "-p" | "--package" => {
                words.next();
            }
            "--lib" => binary = Some("lib"),
            "--release" | "--bins" => {}
            filter => filters.push(filter),
        }
    }
    let sources = match binary {
        Some("lib") => sources(&root().join("src")),
        Some(name) => {
            let folder = root().join("tests").join(name);
            let file = folder.with_extension("rs");
            if !folder.join("main.rs").is_file() && !file.is_file() {
                return Err(format!("there is no test binary {name}"));
            }
            if file.is_file() { vec![file] } else { sources(&folder) }
        }
        None => return Ok(()),
    };
    for filter in filters {
        // A module, or a part of a test's name.
        let last = filter.rsplit("::").next().unwrap_or(filter);
        let is_there = sources.iter().any(|file| {
            file.file_stem().is_some_and(|name| name.to_string_lossy().contains(last))
                || file.parent().is_some_and(|folder| folder.ends_with(last))
                || fs::read_to_string(file).unwrap_or_default().lines().any(|line| {
                    line.trim_start().strip_prefix("fn ").is_some_and(|name| name.contains(last))
                })
        });
        if !is_there {
            return Err(format!("no test of {binary:?} has {filter} in its name"));
        }
    }
    Ok(())
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.is_dir() {
            true if path.ends_with("target") => Vec::new(),
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

/// Runs a command of a document, or looks for what it names.
fn judge(line: &str, scratch: &Path) -> Result<(), String> {
    if ELSEWHERE.iter().any(|(start, _)| line.starts_with(start)) {
        return Ok(());
    }
    let is_ours = ["epochsocks ", "eval \"$(epochsocks ", "on=$(epochsocks ", "PS1="];
    if is_ours.iter().any(|start| line.starts_with(start)) {
        return run(line, scratch);
    }
    named(line).unwrap_or_else(|| Err(format!("no test runs it: {line}")))
}

/// The commands in the text: code that begins like one.
fn in_text(text: &str) -> Vec<String> {
    let code = text
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "));
    let starts = [
        "cargo ",
        "make ",
        "tests/",
        "benches/",
        "epochsocks ",
        "EPOCHSOCKS_BLESS=",
        "EPOCHSOCKS_STRESS=",
        "LOOM_",
    ];
    code.filter(|code| starts.iter().any(|start| code.starts_with(start))).collect()
}

#[test]
fn every_command_of_the_documents_is_run_or_what_it_names_is_there() {
    let scratch = Sandbox::new();
    let mut wrong = Vec::new();
    for page in documents() {
        let (blocks, rest) = parts(&page);
        let in_blocks = blocks.iter().filter(|(word, _)| word == "sh" || word == "fish");
        let lines = in_blocks.flat_map(|(_, block)| block.lines().map(str::to_owned));
        for line in lines.chain(in_text(&rest)).filter(|line| !line.trim().is_empty()) {
            if let Err(why) = judge(&line, &scratch.path) {
                wrong.push(format!("{}: {why}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tells whether `printed` is what `shown` says.
fn agrees(shown: &[&str], printed: &[&str]) -> bool {
    let Some((first, rest)) = shown.split_first() else { return printed.is_empty() };
    if *first == "…" {
        return (0..=printed.len()).any(|left_out| agrees(rest, &printed[left_out..]));
    }
    let Some((line, others)) = printed.split_first() else { return false };
    let is_same = match first.strip_suffix('…') {
        Some(start) => line.starts_with(start),
        None => line == first,
    };
    is_same && agrees(rest, others)
}

#[test]
fn every_output_that_a_document_shows_is_what_the_command_prints() {
    let scratch = Sandbox::new();
    let mut count = 0;
    for page in documents() {
        let (blocks, _) = parts(&page);
        for (_, block) in blocks.iter().filter(|(word, _)| word == "console") {
            for shown in format!("\n{block}").split("\n$ ").skip(1) {
                let (line, shown) = shown.split_once('\n').unwrap_or((shown, ""));
                let line = typed(line.trim_start_matches("cargo build --release && "));
                let has_curl = skip::missing(&["curl"]).is_empty();
                let shown: Vec<_> = shown
                    .trim_end()
                    .lines()
                    .map(|it| if !has_curl && it.starts_with("ok      curl") { "…" } else { it })
                    .collect();
                let Some(mut command) = in_shell(&format!("{line} 2>&1")) else { continue };
                let output = finish(command.current_dir(&scratch.path), Duration::from_secs(60));
                let printed = String::from_utf8_lossy(&output.stdout);
                let printed: Vec<_> = printed.lines().collect();
                assert!(
                    agrees(&shown, &printed),
                    "{}: {line} prints\n{}\nin place of\n{}",
                    page.display(),
                    printed.join("\n"),
                    shown.join("\n")
                );
                count += 1;
            }
        }
    }
    assert!(count > 0, "no document shows what a command prints");
}

#[test]
fn a_line_that_is_left_out_is_any_and_all_others_are_compared() {
    assert!(agrees(&["a", "…", "d"], &["a", "b", "c", "d"]));
    assert!(agrees(&["…", "b…"], &["a", "bc"]));
    assert!(!agrees(&["a", "d"], &["a", "b", "d"]));
    assert!(!agrees(&["a"], &["a", "b"]));
    assert!(agrees(&["a", "…"], &["a"]));
}
