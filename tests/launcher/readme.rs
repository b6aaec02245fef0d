//! The README's table of options is the table of options.

use std::fmt::Write;
use std::path::Path;

use epochsocks::config::{FlagSpec, OPTIONS, OptionSpec};

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
            code(option.default),
            option.help
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
fn the_readme_has_every_option() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&file).expect("the README is there");
    let (before, rest) = text.split_once(START).expect("the table has a start");
    let (found, after) = rest.split_once(END).expect("the table has an end");
    if std::env::var_os("EPOCHSOCKS_BLESS").is_some() {
        let text = [before, START, &table(), END, after].concat();
        std::fs::write(&file, text).expect("the checkout can be written");
    } else {
        let renew = "EPOCHSOCKS_BLESS=1 cargo test --test launcher readme";
        assert!(found == table(), "the README's options are stale; `{renew}` renews them");
    }
}
