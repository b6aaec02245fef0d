//! The manual pages, epochsocks(1), epochsocks.conf(5) and epochsocks-preload(8), in the macros of
//! man(7), and a sample of the configuration file.

use std::fmt::Write;

use epochsocks::config::{OPTIONS, OptionSpec};

use crate::help::{EXIT, WORDS};
use crate::listing::{self, Flag};

const DESCRIPTION: &str = "Runs a program with its TCP connections and name lookups sent through Tor, \
    by a preload library. Where that can't reach the program (static, Go), a supervisor leads it \
    through Tor. What can't go through Tor is refused. A command that can't be protected (setuid, \
    32-bit) is not run.";

const FILES: &str = "The configuration file is described in epochsocks.conf(5).";

const EXAMPLES: [(&str, &str); 5] = [
    ("epochsocks curl https://check.torproject.org/api/ip", "One command."),
    ("epochsocks --isolate=mail mutt", "On circuits that only programs with this key share."),
    ("epochsocks --shell", "A shell, with all that it starts."),
    ("on=$(epochsocks on) && eval \"$on\" || exit", "The rest of a script, or its end."),
    (
        "ssh -o ProxyCommand='epochsocks nc %h %p' HOST",
        "One connection of a program that itself can't be protected.",
    ),
];

const LIMITS: &str = "This is no sandbox: what another process does for the program is not seen. Code \
    that does not call the C library gets no network socket, but for a shell after on and with \
    --no-backstop, where nothing sees it. A program's own words (its user agent, a login) go out as \
    they are. UDP is refused. See epochsocks-preload(8).";

const CONFIGURATION: &str = "The file is the one that EPOCHSOCKS_CONF_FILE (or TORSOCKS_CONF_FILE) \
    names, none being no file; or else the first that exists of \
    $XDG_CONFIG_HOME/epochsocks/epochsocks.conf (without that variable \
    ~/.config/epochsocks/epochsocks.conf), /etc/epochsocks.conf and /etc/tor/torsocks.conf. A flag \
    wins over an EPOCHSOCKS variable, this over torsocks' variable, this over the file.";

const SYNTAX: &str = "A line is a directive, space and a value; upper and lower case of the \
    directive do not matter. # at the start of a word starts a comment. There are no quotes. Of a \
    directive that is repeated the last line holds. A directive that is not known, or a value that is \
    not allowed, ends epochsocks with file and line; in torsocks' file an unknown directive is a \
    warning.";

const PRELOAD: &str = "libepochsocks_preload.so is loaded by ld.so(8) before a program's other \
    libraries. Its functions stand in front of those of the C library that make, connect, pass, \
    watch and close sockets, look names up, or execute programs.";

const PROMISES: [(&str, &str); 6] = [
    (
        "TCP",
        "A connection is made to Tor's SOCKS port, which leads it on. The program sees the \
      destination as its peer.",
    ),
    (
        "Names",
        "Each name is asked of Tor, and none of a name server. An onion name gets an address \
      out of OnionAddrRange that stands for it in all that the same launch starts.",
    ),
    (
        "Refused",
        "UDP, raw and packet sockets, connections to the loopback interface, listening for \
      other machines: EPERM, unless an option allows them.",
    ),
    (
        "Programs",
        "One that could not be protected (setuid, setgid, with capabilities, 32-bit; without a \
      supervisor also static and Go ones) is not executed: EPERM. LD_PRELOAD and the settings stay in the environment.",
    ),
    ("Signals", "Functions that POSIX lists as async-signal-safe stay so."),
    ("Log", "A refusal is a line on standard error, or in LogFile."),
];

const ELSEWHERE: &str = "A system call that a program makes by its own instructions, and an \
    io_uring, are not seen by the library; the filter under which epochsocks(1) starts a program \
    refuses them. Another process, asked by a UNIX socket or a file, may do what the \
    program may not. A profile of AppArmor or SELinux that keeps a program from reading the \
    library makes ld.so run it without: `epochsocks doctor PROGRAM` says so.";

/// The sections that have a page.
pub const SECTIONS: [&str; 3] = ["1", "5", "8"];

/// The page of `section`, one of [`SECTIONS`].
pub fn page(section: &str) -> Option<String> {
    match section {
        "1" => Some(command()),
        "5" => Some(configuration()),
        "8" => Some(preload()),
        _ => None,
    }
}

/// epochsocks(1).
fn command() -> String {
    let mut page = head("EPOCHSOCKS", 1, "epochsocks - run a program through Tor");
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
        item(&mut page, &variables(option), &format!("{}: {}", option.directive, option.help()));
    }
    item(&mut page, "EPOCHSOCKS_CONF_FILE", "The configuration file.");
    item(&mut page, "EPOCHSOCKS_LIBRARY", "The preload library or its directory.");
    let exit = EXIT.trim().trim_start_matches("Exit status: ");
    section(&mut page, "EXIT STATUS", &format!("It is {exit}"));
    page.push_str(".SH EXAMPLES\n");
    for (command, what) in EXAMPLES {
        item(&mut page, command, what);
    }
    section(&mut page, "LIMITS", LIMITS);
    section(&mut page, "SEE ALSO", "epochsocks.conf(5), epochsocks-preload(8), tor(1), ld.so(8)");
    page
}

/// epochsocks.conf(5).
fn configuration() -> String {
    let mut page = head("EPOCHSOCKS.CONF", 5, "epochsocks.conf - the settings of epochsocks");
    section(&mut page, "DESCRIPTION", CONFIGURATION);
    section(&mut page, "SYNTAX", SYNTAX);
    page.push_str(".SH DIRECTIVES\n");
    for option in &OPTIONS {
        let default = match default(option.default()) {
            None => "It is not set by default.".to_owned(),
            Some(default) => default,
        };
        let text = format!(
            "{} The value is {}. {default} Variables: {}.",
            option.help(),
            option.kind.expected(),
            variables(option)
        );
        item(&mut page, &format!("{} {}", option.directive, option.kind.placeholder()), &text);
    }
    section(&mut page, "SEE ALSO", "epochsocks(1), epochsocks-preload(8), tor(1)");
    page
}

/// epochsocks-preload(8).
fn preload() -> String {
    let name = "epochsocks-preload - the library that sends a program's connections through Tor";
    let mut page = head("EPOCHSOCKS-PRELOAD", 8, name);
    section(&mut page, "DESCRIPTION", PRELOAD);
    for (what, text) in PROMISES {
        item(&mut page, what, text);
    }
    section(&mut page, "LIMITS", ELSEWHERE);
    section(&mut page, "SEE ALSO", "epochsocks(1), epochsocks.conf(5), ld.so(8), seccomp(2)");
    page
}

/// A configuration file with each directive as a comment.
pub fn sample() -> String {
    let mut text =
        "# Settings of epochsocks for all users: epochsocks.conf(5). Each is shown with its \
                    default.\n"
            .to_owned();
    for option in &OPTIONS {
        let value =
            if option.default().is_empty() { option.kind.placeholder() } else { option.default() };
        text.push('\n');
        for line in wrapped(option.help(), 98) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "#{} {value}", option.directive);
    }
    text
}

/// `text` in lines of at most `width` bytes.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn variables(option: &OptionSpec) -> String {
    let torsocks = option.torsocks_variable.map_or(String::new(), |name| format!(", {name}"));
    format!("{}{torsocks}", option.variable)
}

fn head(title: &str, number: u8, name: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {title} {number} \"\" \"epochsocks {version}\"\n.SH NAME\n{}\n", name_line(name))
}

/// The line that whatis(1) reads: its dash stays alone.
fn name_line(name: &str) -> String {
    name.split(" - ").map(escaped).collect::<Vec<_>>().join(" \\- ")
}

fn section(page: &mut String, title: &str, text: &str) {
    let _ = writeln!(page, ".SH {title}\n{}", escaped(text));
}

fn item(page: &mut String, left: &str, text: &str) {
    let _ = writeln!(page, ".TP\n.B {}\n{}", escaped(left), escaped(text));
}

/// The sentence about a default, if there is one. A list can be broken at its commas.
fn default(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| format!("The default is {}.", text.replace(',', ", ")))
}

fn option(page: &mut String, flag: &Flag) {
    let short = flag.short.map_or(String::new(), |short| format!("-{short}, "));
    let default = default(flag.default).map_or(String::new(), |default| format!(" {default}"));
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
    fn the_pages_have_every_flag_directive_and_variable() {
        let page = |section| page(section).unwrap().replace("\\-", "-");
        let (command, file) = (page("1"), page("5"));
        for flag in listing::own().iter().chain(&listing::settings()) {
            assert!(command.contains(flag.long), "{}", flag.long);
        }
        for option in &OPTIONS {
            for name in
                [option.directive, option.variable].into_iter().chain(option.torsocks_variable)
            {
                assert!(command.contains(name) && file.contains(name), "{name}");
            }
        }
    }

    #[test]
    fn a_line_of_a_terminal_holds_each_word() {
        for section in SECTIONS {
            let page = page(section).unwrap().replace("\\-", "-");
            let words = page.split_ascii_whitespace().filter(|word| word.len() > 60);
            assert_eq!(words.collect::<Vec<_>>(), <[&str; 0]>::default(), "section {section}");
        }
    }

    #[test]
    fn the_sample_is_a_file_whose_lines_can_be_uncommented() {
        let text = sample();
        for option in &OPTIONS {
            let line = format!("\n#{} ", option.directive);
            assert!(text.contains(&line), "{line}");
        }
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')));
        let mut comments = text.lines().filter(|line| line.is_empty() || line.starts_with("# "));
        assert!(comments.all(|line| line.len() <= 100));
    }

    #[test]
    fn what_begins_like_a_macro_is_text() {
        assert_eq!(escaped(".so x"), "\\&.so x");
        assert_eq!(escaped("a-b\\c \"d"), "a\\-b\\ec \\(dqd");
    }
}
