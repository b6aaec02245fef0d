//! The command line: options, then a command with its own arguments, which are never looked into.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use crate::completions;
use crate::doctor::question::Question;
use crate::doctor::report::Form;
use crate::failure::{Failure, Status};
use crate::help::OWN_WORDS;
use crate::listing::SHELLS;
use crate::manual;
use crate::registry::Registry;
use crate::settings::{self, Given};
use crate::shell::Syntax;
use crate::status;

/// Parsed command line.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Action to carry out.
    pub action: Action,
    /// The settings given by flags, in their order.
    pub given: Vec<Given>,
    /// The registry backend.
    pub registry: Registry,
    /// Use of a supervisor, which carries out the calls of what the library can't reach. Without a word it
    /// does if the program itself is out of reach.
    pub redirect: Option<bool>,
}

/// Actions of the launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run this command under the library; never empty.
    Run(Vec<OsString>),
    /// Run the user's shell under the library.
    Shell,
    /// Print what torifies the calling shell, in its language if that is given.
    On(Option<Syntax>),
    /// Print what takes that back.
    Off(Option<Syntax>),
    /// Print the current LD_PRELOAD.
    Show {
        /// It was called `sh`, as torsocks has it.
        by_shells_name: bool,
    },
    /// Check library, configuration, Tor daemon and programs.
    Doctor(Question),
    /// Print the sockets of programs that run under epochsocks.
    Status(status::question::Question),
    /// Be the child of the self-test.
    Probe(Vec<OsString>),
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print this manual page.
    Manual(String),
    /// Print a configuration file to start from.
    SampleConfiguration,
    /// Print this script, which completes the command line in a shell.
    Completions(String),
}

/// Parses the arguments behind the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Failure> {
    let mut parser = Parser::from_args(arguments);
    let mut invocation = Invocation {
        action: Action::Shell,
        given: Vec::new(),
        registry: Registry::default(),
        redirect: None,
    };
    let mut shell = false;
    loop {
        if let Some(command) = command(&mut parser) {
            invocation.action = match shell {
                true => return Err(misplaced("--shell", &command)),
                false => command_action(command)?,
            };
            return Ok(invocation);
        }
        match parser.next().map_err(usage)? {
            None if shell => return Ok(invocation),
            None => return Err(usage("no command is given")),
            Some(Arg::Short('h') | Arg::Long("help")) => invocation.action = Action::Help,
            Some(Arg::Short('V') | Arg::Long("version")) => invocation.action = Action::Version,
            Some(Arg::Long("man")) => {
                let is_section = |word: &OsStr| manual::page(&word.to_string_lossy()).is_some();
                let behind_equals = parser.optional_value();
                // As man(1) has it, too: with a space.
                let word = || parser.try_raw_args()?.next_if(is_section);
                let section = behind_equals.or_else(word).unwrap_or_else(|| "1".into());
                let page = manual::page(&section.to_string_lossy());
                invocation.action = Action::Manual(page.ok_or_else(|| no_page(&section))?);
            }
            Some(Arg::Long("sample-configuration")) => {
                invocation.action = Action::SampleConfiguration;
            }
            Some(Arg::Long("completions")) => {
                let shell = parser.value().map_err(usage)?.to_string_lossy().into_owned();
                let script = completions::script(&shell).ok_or_else(|| no_shell(&shell))?;
                invocation.action = Action::Completions(script);
            }
            Some(Arg::Long("shell")) => shell = true,
            Some(Arg::Long("redirect")) => invocation.redirect = Some(true),
            Some(Arg::Long("no-redirect")) => invocation.redirect = Some(false),
            Some(Arg::Long("registry")) => {
                let name = parser.value().map_err(usage)?;
                invocation.registry = Registry::named(&name.to_string_lossy())?;
            }
            Some(Arg::Long("probe")) => {
                let words = parser.raw_args().map_err(usage)?.collect();
                invocation.action = Action::Probe(words);
                return Ok(invocation);
            }
            Some(argument) => {
                let attached = match &argument {
                    Arg::Long(name) => settings::find_attached(name),
                    _ => None,
                };
                let found = settings::find(&argument);
                let (option, flag) = found.ok_or_else(|| unknown(&argument))?;
                let given = match (attached, flag.sets) {
                    (Some((option, flag)), _) if let Some(value) = parser.optional_value() => {
                        Given { option, flag, value }
                    }
                    (_, Some(value)) => Given { option, flag, value: value.into() },
                    (_, None) => Given { option, flag, value: parser.value().map_err(usage)? },
                };
                invocation.given.push(given);
            }
        }
        // What prints a text needs no command.
        if invocation.action != Action::Shell {
            return Ok(invocation);
        }
    }
}

/// The rest of the line, if it is the command's: it starts with `--` or with a word that is not an option.
fn command(parser: &mut Parser) -> Option<Command> {
    let rest = parser.try_raw_args()?;
    let first = rest.peek()?;
    let marked = first == "--";
    let option = first.as_encoded_bytes().starts_with(b"-") && first != "-";
    if option && !marked {
        return None;
    }
    let words = rest.skip(usize::from(marked)).collect();
    Some(Command { words, marked })
}

/// A command line behind the options.
struct Command {
    words: Vec<OsString>,
    /// It stood behind `--`: its first word is a program whatever it is called.
    marked: bool,
}

/// Tells our own words from programs.
fn command_action(command: Command) -> Result<Action, Failure> {
    let Command { words, marked } = command;
    let Some((first, rest)) = words.split_first() else {
        return Err(usage("no command is given"));
    };
    let own = match first.to_str().filter(|_| !marked) {
        Some("on") => return for_shell(first, rest, Action::On),
        Some("off") => return for_shell(first, rest, Action::Off),
        Some("show") => Action::Show { by_shells_name: false },
        // torsocks has `sh` for `show`; with arguments it can only be the shell.
        Some("sh") if rest.is_empty() => Action::Show { by_shells_name: true },
        Some("help") if rest.is_empty() => Action::Help,
        Some("doctor") => return doctor(rest),
        Some("status") => return status(rest),
        _ => return Ok(Action::Run(words)),
    };
    match rest {
        [] => Ok(own),
        [word, ..] if asks_for_help(word) => Ok(Action::Help),
        [word, ..] => Err(surplus(first, word)),
    }
}

fn asks_for_help(word: &OsStr) -> bool {
    word == "--help" || word == "-h"
}

/// `on` or `off`, with the shell that will evaluate what it prints.
fn for_shell(
    first: &OsStr,
    rest: &[OsString],
    action: fn(Option<Syntax>) -> Action,
) -> Result<Action, Failure> {
    match rest {
        [] => Ok(action(None)),
        [word] if asks_for_help(word) => Ok(Action::Help),
        [word, more @ ..] => match (word.to_str().and_then(Syntax::named), more) {
            (Some(syntax), []) => Ok(action(Some(syntax))),
            (Some(_), [second, ..]) => Err(surplus(first, second)),
            (None, _) => Err(surplus(first, word)),
        },
    }
}

/// Tells whether a shell may evaluate the output for `arguments`, which could not be parsed: `on` or
/// `off` stands anywhere, also before a flag that belongs in front of it.
pub fn has_a_word_for_shells(arguments: &[OsString]) -> bool {
    arguments.iter().any(|word| word == "on" || word == "off")
}

fn doctor(rest: &[OsString]) -> Result<Action, Failure> {
    let mut question = Question::default();
    for word in rest {
        match word.to_str() {
            Some("--self-test") => question.self_test = true,
            Some("--json") => question.form = Form::Json,
            _ if asks_for_help(word) => return Ok(Action::Help),
            _ if word.as_encoded_bytes().starts_with(b"-") => {
                return Err(surplus(OsStr::new("doctor"), word));
            }
            _ => question.programs.push(word.clone()),
        }
    }
    Ok(Action::Doctor(question))
}

fn status(rest: &[OsString]) -> Result<Action, Failure> {
    let mut question = status::question::Question::default();
    let mut all = false;
    for word in rest {
        match word.to_str() {
            Some("--all") => all = true,
            Some("--watch") => question.watch = true,
            Some("--json") => question.form = Form::Json,
            _ if asks_for_help(word) => return Ok(Action::Help),
            Some(number) if question.process.is_none() && !all => {
                let process = number.parse().ok().filter(|process| *process > 0);
                question.process = Some(process.ok_or_else(|| surplus("status".as_ref(), word))?);
            }
            _ => return Err(surplus("status".as_ref(), word)),
        }
    }
    if all && question.process.is_some() {
        return Err(surplus("status".as_ref(), "--all".as_ref()));
    }
    Ok(Action::Status(question))
}

fn surplus(word: &OsStr, argument: &OsStr) -> Failure {
    let (word, argument) = (word.to_string_lossy(), argument.to_string_lossy());
    let remedy = match argument.strip_prefix('-') {
        Some(_) => format!("options of epochsocks stand in front of `{word}`"),
        None => format!("a program of that name is run by `epochsocks -- {word}`"),
    };
    let taken = OWN_WORDS.iter().find(|(own, _)| *own == word).map_or(&[][..], |(_, taken)| taken);
    let but = if taken.is_empty() { String::new() } else { format!(", but {}", taken.join(", ")) };
    usage(format!("`{word}` takes no {argument:?}{but} ({remedy})"))
}

fn misplaced(flag: &str, command: &Command) -> Failure {
    let command = command.words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    usage(format!("{flag} runs a shell and takes no command, but {command:?} is given"))
}

fn no_shell(name: &str) -> Failure {
    let known = SHELLS.join(", ");
    usage(format!("--completions: there are none for {name:?}, but for {known}"))
}

fn no_page(section: &OsStr) -> Failure {
    let (section, known) = (section.to_string_lossy(), manual::SECTIONS.join(", "));
    usage(format!("--man: there is no page in section {section:?}, but in {known}"))
}

fn unknown(argument: &Arg<'_>) -> Failure {
    usage(format!(
        "{} is not an option of epochsocks (a program's own options stand behind its name)",
        spelling(argument)
    ))
}

fn usage(reason: impl std::fmt::Display) -> Failure {
    Failure::new(Status::Usage, format!("{reason}; `epochsocks --help` lists what there is"))
}

fn spelling(argument: &Arg<'_>) -> String {
    match argument {
        Arg::Short(short) => format!("-{short}"),
        Arg::Long(long) => format!("--{long}"),
        Arg::Value(value) => value.to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, Failure> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn action(line: &str) -> Action {
        parsed(line).unwrap().action
    }

    fn run(words: &[&str]) -> Action {
        Action::Run(words.iter().map(OsString::from).collect())
    }

    fn given(line: &str) -> Vec<(&'static str, String)> {
        let given = parsed(line).unwrap().given;
        let text = |value: OsString| value.into_string().unwrap();
        given.into_iter().map(|given| (given.option.directive, text(given.value))).collect()
    }

    #[test]
    fn options_stop_at_the_command() {
        assert_eq!(action("-d curl -d --help --"), run(&["curl", "-d", "--help", "--"]));
        assert_eq!(action("-d -- curl -- x"), run(&["curl", "--", "x"]));
        assert_eq!(action("- x"), run(&["-", "x"]));
        assert_eq!(action("-- -x"), run(&["-x"]));
    }

    #[test]
    fn our_words_are_programs_behind_two_dashes() {
        assert_eq!(action("on"), Action::On(None));
        assert_eq!(action("on fish"), Action::On(Some(Syntax::Fish)));
        assert_eq!(action("-q off"), Action::Off(None));
        assert_eq!(action("off bash"), Action::Off(Some(Syntax::Posix)));
        assert_eq!(action("show"), Action::Show { by_shells_name: false });
        assert_eq!(action("sh"), Action::Show { by_shells_name: true });
        assert_eq!(action("sh -c true"), run(&["sh", "-c", "true"]));
        assert_eq!(action("doctor"), Action::Doctor(Question::default()));
        let asked = Question {
            self_test: true,
            form: Form::Json,
            programs: vec!["curl".into(), "ssh".into()],
        };
        assert_eq!(action("doctor curl --self-test ssh --json"), Action::Doctor(asked));
        assert_eq!(action("-- doctor x"), run(&["doctor", "x"]));
        let all = status::question::Question::default();
        assert_eq!(action("status"), Action::Status(all.clone()));
        assert_eq!(action("status --all"), Action::Status(all));
        let asked = status::question::Question { process: Some(7), watch: true, form: Form::Json };
        assert_eq!(action("status 7 --watch --json"), Action::Status(asked));
        assert_eq!(action("-- on"), run(&["on"]));
        assert_eq!(action("-- help"), run(&["help"]));
        for line in ["help", "on --help", "off -h", "show --help", "doctor --help"] {
            assert_eq!(action(line), Action::Help, "{line}");
        }
    }

    #[test]
    fn every_flag_of_torsocks_is_known() {
        let one = |line: &str, directive: &'static str, value: &str| {
            assert_eq!(given(&format!("{line} x")), [(directive, value.to_owned())], "{line}");
        };
        one("-d", "LogLevel", "5");
        one("--debug", "LogLevel", "5");
        one("-q", "LogLevel", "1");
        one("--quiet", "LogLevel", "1");
        one("-u me", "SOCKS5Username", "me");
        one("--user=me", "SOCKS5Username", "me");
        one("-p secret", "SOCKS5Password", "secret");
        one("--pass secret", "SOCKS5Password", "secret");
        one("-i", "IsolatePID", "1");
        one("--isolate", "IsolatePID", "1");
        one("--isolate=mail", "IsolationKey", "mail");
        one("--isolate=", "IsolationKey", "");
        one("-a 10.0.0.1", "TorAddress", "10.0.0.1");
        one("--address ::1", "TorAddress", "::1");
        one("-P 9150", "TorPort", "9150");
        one("-P9150", "TorPort", "9150");
        one("--port=9150", "TorPort", "9150");
        one("-6", "EnableIPv6", "1");
        one("--ipv6", "EnableIPv6", "1");
        assert_eq!(action("--shell"), Action::Shell);
        assert_eq!(action("-h"), Action::Help);
        assert_eq!(action("--help x"), Action::Help);
        assert_eq!(action("--version"), Action::Version);
        assert!(matches!(action("-d --man x"), Action::Manual(_)));
        assert!(matches!(action("--man=5"), Action::Manual(_)));
        assert_eq!(action("--sample-configuration"), Action::SampleConfiguration);
        assert!(matches!(action("--completions bash"), Action::Completions(_)));
        assert_eq!(given("-dP 9150 x").len(), 2);
    }

    #[test]
    fn what_is_wrong_is_a_usage_error() {
        let lines = [
            "",
            "-d",
            "--",
            "--port",
            "--nonsense x",
            "-Z x",
            "--shell x",
            "on x",
            "on fish x",
            "show x",
            "doctor --nonsense",
            "doctor x -y",
            "status x",
            "status 0",
            "status 1 2",
            "status 1 --all",
            "status --all 1",
            "--registry",
            "--registry tree x",
            "--completions",
            "--completions csh",
            "--man=2",
            "--debug=5 x",
        ];
        for line in lines {
            let failure = parsed(line).expect_err(line);
            assert_eq!(failure.status, Status::Usage, "{line}: {}", failure.message);
        }
    }

    #[test]
    fn an_option_behind_a_word_is_told_its_place() {
        for line in ["on --port 9150", "doctor --port 9150", "status -P 9150", "show -d"] {
            let failure = parsed(line).expect_err(line);
            assert!(failure.message.contains("stand in front of `"), "{}", failure.message);
        }
        let failure = parsed("doctor --selftest").unwrap_err();
        assert!(failure.message.contains(", but --self-test, --json "), "{}", failure.message);
        let failure = parsed("on x").unwrap_err();
        assert!(failure.message.contains("`epochsocks -- on`"), "{}", failure.message);
    }

    #[test]
    fn a_line_for_a_shell_is_told_although_it_is_wrong() {
        for (line, is_one) in [
            ("--nonsense on", true),
            ("--port off", true),
            ("--nonsense on fish", true),
            ("on --port 9150", true),
            ("on --port=9150 fish", true),
            ("off x", true),
            ("--nonsense on x", true),
            ("--nonsense", false),
            ("--nonsense sh", false),
        ] {
            let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(has_a_word_for_shells(&words), is_one, "{line}");
        }
    }

    #[test]
    fn the_registry_is_chosen_by_name() {
        assert_eq!(parsed("x").unwrap().registry, Registry::named("slots").unwrap());
        let chosen = parsed("--registry mutex x").unwrap();
        assert_eq!(chosen.registry, Registry::named("mutex").unwrap());
    }
}
