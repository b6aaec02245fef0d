//! Every flag, as help, manual and completions list them: the launcher's own, then the settings'.

use epochsocks::config::OPTIONS;

use crate::registry;

/// One flag.
pub struct Flag {
    /// The long form, with its dashes.
    pub long: &'static str,
    /// The letter of the short form.
    pub short: Option<char>,
    /// Placeholder of its argument, if it takes one.
    pub placeholder: Option<&'static str>,
    /// The argument stands behind `=`, and the flag alone is another one.
    pub attached: bool,
    /// All values of the argument, where there are few.
    pub choices: Vec<&'static str>,
    /// Effect, in one sentence.
    pub help: String,
    /// The default of its argument; empty where there is none.
    pub default: &'static str,
}

impl Flag {
    /// Text after the name.
    pub fn argument(&self) -> String {
        let sign = if self.attached { '=' } else { ' ' };
        self.placeholder.map_or(String::new(), |placeholder| format!("{sign}{placeholder}"))
    }
}

/// The shells that completions are made for.
pub const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// The launcher's own flags.
pub fn own() -> Vec<Flag> {
    let plain = |long, short, help: &str| Flag {
        long,
        short,
        placeholder: None,
        attached: false,
        choices: Vec::new(),
        help: help.to_owned(),
        default: "",
    };
    let registries: Vec<_> = registry::names().collect();
    vec![
        plain("--help", Some('h'), "Print this."),
        plain("--version", Some('V'), "Print the version."),
        plain("--shell", None, "Run your shell in place of a command."),
        plain(
            "--redirect",
            None,
            "Run any COMMAND under a supervisor, which leads static and Go programs through Tor, too; \
             without it only one that is such a program, or one of SupervisedPrograms.",
        ),
        plain(
            "--no-redirect",
            None,
            "Run COMMAND without a supervisor, and refuse one that is static or Go.",
        ),
        Flag {
            placeholder: Some("NAME"),
            default: registries[0],
            choices: registries.clone(),
            ..plain("--registry", None, &format!("Connection registry: {}.", registries.join(", ")))
        },
        plain("--man", None, "Print the manual page, of a section with --man=1, 5 or 8."),
        plain("--sample-configuration", None, "Print a configuration file with all defaults."),
        Flag {
            placeholder: Some("SHELL"),
            choices: SHELLS.to_vec(),
            ..plain("--completions", None, "Print what completes the flags in bash, zsh or fish.")
        },
    ]
}

/// The flags of the settings.
pub fn settings() -> Vec<Flag> {
    let flags =
        OPTIONS.iter().flat_map(|option| option.flags().iter().map(move |flag| (option, flag)));
    let listed = flags.map(|(option, flag)| {
        let long = option.flags().iter().find(|flag| flag.sets.is_none());
        let help = match (flag.sets, long) {
            (Some(value), Some(long)) => {
                let sign = if long.attached { '=' } else { ' ' };
                format!("The same as {}{sign}{value}.", long.long)
            }
            _ => option.help().to_owned(),
        };
        let takes = flag.sets.is_none();
        Flag {
            long: flag.long,
            short: flag.short,
            attached: flag.attached,
            placeholder: takes.then(|| option.kind.placeholder()),
            choices: if takes { option.kind.choices().to_vec() } else { Vec::new() },
            help,
            default: if takes { option.default() } else { "" },
        }
    });
    listed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;

    #[test]
    fn a_flag_that_is_the_same_as_another_line_sets_the_same() {
        let given = |line: &str| {
            let words = line.split(' ').chain(["true"]).map(std::ffi::OsString::from);
            let given = flags::parse(words).unwrap().given;
            given.into_iter().map(|given| (given.option.directive, given.value)).collect::<Vec<_>>()
        };
        let mut count = 0;
        for flag in settings() {
            let same =
                flag.help.strip_prefix("The same as ").and_then(|rest| rest.strip_suffix('.'));
            if let Some(line) = same {
                assert_eq!(given(flag.long), given(line), "{}: {line}", flag.long);
                count += 1;
            }
        }
        assert!(count >= 5, "{count}");
    }
}
