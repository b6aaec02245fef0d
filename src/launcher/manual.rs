//! The manual page, epochsocks(1), in the macros of man(7).

use std::fmt::Write;

use epochsocks::config::OPTIONS;

use crate::help::{EXIT, WORDS};
use crate::listing::{self, Flag};

const DESCRIPTION: &str = "Runs a dynamically linked program with its TCP connections and name \
    look-ups sent through Tor, by a preload library. What can't go through Tor is refused. A \
    command that can't be protected (static, Go, setuid, 32-bit) is not run.";

const FILES: &str = "The file that EPOCHSOCKS_CONF_FILE (or TORSOCKS_CONF_FILE) names, none being \
    no file; or else the first that exists of $XDG_CONFIG_HOME/epochsocks/epochsocks.conf, \
    /etc/epochsocks.conf and /etc/tor/torsocks.conf. A line is a directive and a value; # starts a \
    comment. A flag wins over an EPOCHSOCKS variable, this over torsocks' variable, this over the \
    file.";

/// The page.
pub fn page() -> String {
    let mut page = String::new();
    let _ = writeln!(page, ".TH EPOCHSOCKS 1 \"\" \"epochsocks {}\"", env!("CARGO_PKG_VERSION"));
    section(&mut page, "NAME", "epochsocks - run a program through Tor");
    page.push_str(".SH SYNOPSIS\n");
    for (command, _) in WORDS {
        let _ = writeln!(page, ".br\n.B {}", escaped(command));
    }
    section(&mut page, "DESCRIPTION", DESCRIPTION);
    for (command, what) in WORDS {
        item(&mut page, command, &format!("{what}."));
    }
    page.push_str(".SH OPTIONS\n");
    listing::own().iter().for_each(|flag| option(&mut page, flag));
    page.push_str(".SS Settings\n");
    listing::settings().iter().for_each(|flag| option(&mut page, flag));
    section(&mut page, "FILES", FILES);
    page.push_str(".SH ENVIRONMENT\n");
    for option in &OPTIONS {
        let torsocks = option.torsocks_variable.map_or(String::new(), |name| format!(", {name}"));
        let text = format!("{}: {}", option.directive, option.help);
        item(&mut page, &format!("{}{torsocks}", option.variable), &text);
    }
    item(&mut page, "EPOCHSOCKS_LIBRARY", "The preload library or its directory.");
    section(&mut page, "EXIT STATUS", EXIT.trim().trim_start_matches("Exit status: "));
    section(&mut page, "SEE ALSO", "tor(1), torsocks(1), ld.so(8)");
    page
}

fn section(page: &mut String, title: &str, text: &str) {
    let _ = writeln!(page, ".SH {title}\n{}", escaped(text));
}

fn item(page: &mut String, left: &str, text: &str) {
    let _ = writeln!(page, ".TP\n.B {}\n{}", escaped(left), escaped(text));
}

fn option(page: &mut String, flag: &Flag) {
    let short = flag.short.map_or(String::new(), |short| format!("-{short}, "));
    let default = match flag.default {
        "" => String::new(),
        default => format!(" The default is {default}."),
    };
    item(
        page,
        &format!("{short}{}{}", flag.long, flag.argument()),
        &format!("{}{default}", flag.help),
    );
}

/// Text that no macro takes for its own: hyphens that can be copied, no leading dot or quote.
fn escaped(text: &str) -> String {
    let text =
        text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq").replace('\n', " ");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_flag_directive_and_variable() {
        let page = page().replace("\\-", "-");
        for flag in listing::own().iter().chain(&listing::settings()) {
            assert!(page.contains(flag.long), "{}", flag.long);
        }
        for option in &OPTIONS {
            for name in
                [option.directive, option.variable].into_iter().chain(option.torsocks_variable)
            {
                assert!(page.contains(name), "{name}");
            }
        }
    }

    #[test]
    fn what_begins_like_a_macro_is_text() {
        assert_eq!(escaped(".so x"), "\\&.so x");
        assert_eq!(escaped("a-b\\c \"d"), "a\\-b\\ec \\(dqd");
    }
}
