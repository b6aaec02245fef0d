//! What is printed about the command.

use std::fmt::Write;

use epochsocks::config::{FlagSpec, OPTIONS};

use crate::registry;

/// Where the texts behind the options start.
const COLUMN: usize = 41;

const USAGE: &str = "\
Usage: epochsocks [OPTIONS] COMMAND [ARGUMENTS]    run a command through Tor
       epochsocks [OPTIONS] --shell                run your shell through Tor
       epochsocks [OPTIONS] doctor [--self-test]   see whether all is in place
       eval \"$(epochsocks [OPTIONS] on)\"           what this shell starts goes through Tor
       eval \"$(epochsocks off)\"                    and no longer
       epochsocks show                             print LD_PRELOAD

A command that can't be protected (static, Go, setuid, 32-bit) is not run. A program that is
called on, off, show, sh or doctor is run by `epochsocks -- NAME`. `. epochsocks on` can't work:
epochsocks is no shell script.
";

const EXIT: &str = "
Exit status: the command's own, or 127 if it is not found, 126 if it can't be run or protected,
125 if library or configuration are not usable, 2 if the command line is wrong. The doctor's: 1 if
something is amiss.
";

/// `--version`.
pub fn version() -> String {
    format!("epochsocks {}\n", env!("CARGO_PKG_VERSION"))
}

/// `--help`.
pub fn text() -> String {
    let mut text = USAGE.to_owned();
    text.push_str("\nOptions:\n");
    row(&mut text, "-h, --help", "Print this.", "");
    row(&mut text, "-V, --version", "Print the version.", "");
    let names: Vec<_> = registry::names().collect();
    let registries = format!("Connection registry: {}.", names.join(", "));
    row(&mut text, "    --registry NAME", &registries, names[0]);
    text.push_str("\nSettings; each is also a line of the configuration file and a variable:\n");
    for option in &OPTIONS {
        for flag in option.flags {
            let left = spelling(flag, option.kind.placeholder());
            match (flag.sets, option.flags.iter().find(|flag| flag.sets.is_none())) {
                (Some(value), Some(long)) => {
                    row(&mut text, &left, &format!("The same as {} {value}.", long.long), "")
                }
                (Some(_), None) => row(&mut text, &left, option.help, ""),
                (None, _) => row(&mut text, &left, option.help, option.default),
            }
        }
    }
    text.push_str(EXIT);
    text
}

fn spelling(flag: &FlagSpec, placeholder: &str) -> String {
    let short = flag.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    match flag.sets {
        Some(_) => format!("{short}{}", flag.long),
        None => format!("{short}{} {placeholder}", flag.long),
    }
}

/// Appends an option with its explanation, in lines of at most 100 columns.
fn row(text: &mut String, left: &str, help: &str, default: &str) {
    let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    let mut line = format!("  {left:<0$}", COLUMN - 2);
    for word in format!("{help}{default}").split(' ') {
        if line.len() + 1 + word.len() > 100 {
            let _ = writeln!(text, "{line}");
            line = " ".repeat(COLUMN);
        }
        if !line.ends_with(' ') {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_flag_and_fits_a_terminal() {
        let text = text();
        for flag in OPTIONS.iter().flat_map(|option| option.flags) {
            assert!(text.contains(flag.long), "{}", flag.long);
        }
        for line in text.lines() {
            assert!(line.len() <= 100, "{line}");
        }
    }
}
