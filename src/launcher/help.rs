//! Texts about the command.

use std::fmt::Write;

use crate::listing::{self, Flag, SHELLS};

/// Column in which the texts behind the options start.
const COLUMN: usize = 41;

/// The ways to call it, and what each does.
pub const WORDS: [(&str, &str); 7] = [
    ("epochsocks [OPTIONS] COMMAND [ARGUMENTS]", "run a command through Tor"),
    ("epochsocks [OPTIONS] --shell", "run your shell through Tor"),
    (
        "epochsocks [OPTIONS] doctor [PROGRAM...]",
        "see whether all is in place; --self-test, --json",
    ),
    ("epochsocks status [PID|--all]", "see the sockets of what runs so; --watch, --json"),
    ("eval \"$(epochsocks [OPTIONS] on)\"", "what this shell starts goes through Tor"),
    ("eval \"$(epochsocks off)\"", "and no longer"),
    ("epochsocks show", "print LD_PRELOAD"),
];

/// The words that are not programs, each with the arguments that it takes.
pub const OWN_WORDS: [(&str, &[&str]); 6] = [
    ("on", &SHELLS),
    ("off", &SHELLS),
    ("show", &[]),
    ("doctor", &["--self-test", "--json"]),
    ("status", &["--all", "--watch", "--json"]),
    ("help", &[]),
];

const NOTES: &str = "
A static or Go command, a shell or a build tool runs under a supervisor, which leads through Tor
what the library can't reach; with --redirect every command does. A command that can't be protected
(setuid, 32-bit) is not run. A shell after `on`, which is no process under epochsocks, runs all of
these unprotected. A program that is called on, off, show, sh, doctor, status or help is run by
`epochsocks -- NAME`. `. epochsocks on` can't work: epochsocks is no shell script.
";

/// Meaning of each exit status.
pub const EXIT: &str = "
Exit status: the command's own, or 127 if it is not found, 126 if it can't be run or protected,
125 if library, configuration or standard output can't be used, 2 if the command line is wrong.
`doctor` ends with 1 if something is amiss, `status` with 1 if nothing can be told.
";

/// `--version`.
pub fn version() -> String {
    format!("epochsocks {}\n", env!("CARGO_PKG_VERSION"))
}

/// `--help`.
pub fn text() -> String {
    let mut text = String::new();
    for (index, (command, what)) in WORDS.iter().enumerate() {
        let start = if index == 0 { "Usage:" } else { "" };
        let _ = writeln!(text, "{start:<6} {command:<43} {what}");
    }
    text.push_str(NOTES);
    text.push_str("\nOptions:\n");
    listing::own().iter().for_each(|flag| row(&mut text, flag));
    text.push_str("\nSettings; each is also a line of the configuration file and a variable:\n");
    listing::settings().iter().for_each(|flag| row(&mut text, flag));
    text.push_str(EXIT);
    text
}

/// Appends an option with its explanation, in lines of at most 100 columns.
fn row(text: &mut String, flag: &Flag) {
    let short = flag.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    let left = format!("{short}{}{}", flag.long, flag.argument());
    let (help, default) = (&flag.help, flag.default);
    // A list is broken at its commas.
    let default = default.replace(',', ", ");
    let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    let mut line = format!("  {left:<0$}", COLUMN - 2);
    if line.len() > COLUMN {
        let _ = writeln!(text, "{line}");
        line = " ".repeat(COLUMN);
    }
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
    use epochsocks::config::OPTIONS;

    #[test]
    fn the_help_names_every_flag_and_fits_a_terminal() {
        let text = text();
        for flag in OPTIONS.iter().flat_map(|option| option.flags()) {
            assert!(text.contains(flag.long), "{}", flag.long);
        }
        for line in text.lines() {
            assert!(line.len() <= 100, "{line}");
        }
    }
}
