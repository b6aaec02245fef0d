//! The manual's table of settings equals the table of options, and the README shows what the launcher
//! prints.

use std::fmt::Write;
use std::path::Path;

use epochsocks::config::{FlagSpec, OPTIONS, OptionSpec};

use crate::sandbox::{Sandbox, outcome};
use crate::support::preload;

const START: &str = "<!-- options -->\n";
const END: &str = "<!-- end of options -->\n";

fn table() -> String {
    let mut text = "| directive | flags | variable | torsocks' variable | default | what |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for option in &OPTIONS {
        writeln!(
            text,
            "| `{}` | {} | `{}` | {} | {} | {} |",
            option.directive,
            flags(option),
            option.variable,
            code(option.torsocks_variable.unwrap_or_default()),
            code(option.default()),
            option.help()
        )
        .expect("a string takes text");
    }
    text
}

fn flags(option: &OptionSpec) -> String {
    // The bars of a placeholder such as 0|1 would end the table's cell.
    let placeholder = option.kind.placeholder().replace('|', "\\|");
    let one = |flag: &FlagSpec| {
        let short = flag.short.map_or(String::new(), |short| format!("`-{short}`, "));
        match flag.sets {
            Some(value) => format!("{short}`{}` (sets {value})", flag.long),
            None if flag.attached => format!("{short}`{}={placeholder}`", flag.long),
            None => format!("{short}`{} {placeholder}`", flag.long),
        }
    };
    option.flags().iter().map(one).collect::<Vec<_>>().join("; ")
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

#[test]
fn the_manual_has_every_option() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("design/manual/settings.md");
    let text = std::fs::read_to_string(&file).expect("the page is there");
    let (before, rest) = text.split_once(START).expect("the table has a start");
    let (found, after) = rest.split_once(END).expect("the table has an end");
    if std::env::var_os("EPOCHSOCKS_BLESS").is_some() {
        let text = [before, START, &table(), END, after].concat();
        std::fs::write(&file, text).expect("the checkout can be written");
    } else {
        let renew = "EPOCHSOCKS_BLESS=1 cargo test --test launcher readme";
        assert!(found == table(), "design/manual/settings.md is stale; `{renew}` renews it");
    }
}

/// The lines that a block of the README shows below `$ COMMAND`; `…` stands for lines left out.
fn shown_below(command: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(file).expect("the README is there");
    let lines = text.lines().skip_while(|line| !(line.starts_with('$') && line.contains(command)));
    let lines = lines.skip(1).take_while(|line| !line.starts_with("```"));
    lines.filter(|line| *line != "…").map(str::to_owned).collect()
}

#[test]
fn the_readme_shows_what_the_self_test_prints() {
    let outcome = outcome(preload::launcher().args(["doctor", "--self-test"]));
    let shown = shown_below("doctor --self-test");
    assert!(!shown.is_empty(), "the README shows no self-test");
    let mut printed = outcome.stdout.lines();
    for line in shown {
        // A machine without curl says so in another line.
        let found = printed.any(|it| it == line) || line.starts_with("ok      curl");
        assert!(found, "not printed, or in another order: {line}\n{outcome:?}");
    }
}

#[test]
fn the_readme_shows_how_a_program_is_refused() {
    let outcome = Sandbox::new().run(["/usr/bin/su"]);
    let shown = shown_below("/usr/bin/su");
    let [line] = shown.as_slice() else { panic!("not one line: {shown:?}") };
    let start = line.strip_suffix('…').expect("its end is left out");
    assert!(outcome.stderr.starts_with(start), "{start}\n{outcome:?}");
}
