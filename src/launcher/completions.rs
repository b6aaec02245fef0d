//! Completion of the command line in a shell: flags, their values, and then commands.

use std::fmt::Write;

use crate::help::OWN_WORDS;
use crate::listing::{self, Flag};

/// The script for `shell`, one of [`listing::SHELLS`]; `None` for another.
pub fn script(shell: &str) -> Option<String> {
    let all = listing::own().into_iter().chain(listing::settings());
    // The name alone, which is the other flag's, is what a shell completes.
    let (attached, flags): (Vec<_>, Vec<_>) = all.partition(|flag| flag.attached);
    match shell {
        "bash" => Some(bash(&flags)),
        "zsh" => Some(zsh(&flags)),
        "fish" => Some(fish(&flags, &attached)),
        _ => None,
    }
}

/// The ways to write a flag.
fn spellings(flag: &Flag) -> impl Iterator<Item = String> {
    let short = flag.short.map(|short| format!("-{short}"));
    short.into_iter().chain([flag.long.to_owned()])
}

fn bash(flags: &[Flag]) -> String {
    let mut cases = String::new();
    for flag in flags.iter().filter(|flag| flag.placeholder.is_some()) {
        let names: Vec<_> = spellings(flag).collect();
        let reply = match flag.choices.as_slice() {
            [] if flag.placeholder == Some("FILE") => "compgen -f -- \"$word\"".to_owned(),
            [] => ":".to_owned(),
            choices => format!("compgen -W '{}' -- \"$word\"", choices.join(" ")),
        };
        let _ = writeln!(cases, "      {}) COMPREPLY=($({reply})) ;;", names.join("|"));
    }
    let mut arguments = String::new();
    for (word, choices) in OWN_WORDS.iter().filter(|(_, choices)| !choices.is_empty()) {
        let programs = if takes_programs(word) { "-c " } else { "" };
        let reply = format!("compgen {programs}-W '{}' -- \"$word\"", choices.join(" "));
        let _ = writeln!(arguments, "      {word}) COMPREPLY=($({reply})) ;;");
    }
    let takers: Vec<_> =
        flags.iter().filter(|flag| flag.placeholder.is_some()).flat_map(spellings).collect();
    let all: Vec<_> = flags.iter().flat_map(spellings).collect();
    // Bash makes a word of its own of the sign in `--names=cookie`.
    format!(
        r#"_epochsocks() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} i value=
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
      --) ((i++)); value=; break ;;
      {takers})
        value=$i
        ((i++))
        [[ ${{COMP_WORDS[i]}} == = ]] && ((i++)) ;;
      -*) [[ ${{COMP_WORDS[i + 1]}} == = ]] && ((i += 2)) ;;
      *) break ;;
    esac
  done
  if ((i < COMP_CWORD)); then
    case ${{COMP_WORDS[i]}} in
{arguments}      *) declare -F _command_offset >/dev/null && _command_offset "$i" ;;
    esac
    return
  fi
  if ((i > COMP_CWORD)); then
    [[ $word == = ]] && word=
    case ${{COMP_WORDS[value]}} in
{cases}    esac
    return
  fi
  case $word in
    -*) COMPREPLY=($(compgen -W '{all}' -- "$word")) ;;
    *) COMPREPLY=($(compgen -c -W '{words}' -- "$word")) ;;
  esac
}}
complete -F _epochsocks epochsocks
"#,
        takers = takers.join("|"),
        all = all.join(" "),
        words = own_words(" "),
    )
}

/// Tells whether the word of ours is followed by programs.
fn takes_programs(word: &str) -> bool {
    word == "doctor"
}

/// Our own words with `separator` in between.
fn own_words(separator: &str) -> String {
    OWN_WORDS.map(|(word, _)| word).join(separator)
}

fn zsh(flags: &[Flag]) -> String {
    let mut lines = String::new();
    for flag in flags {
        let help = flag.help.replace('\'', "'\\''").replace([':', '[', ']'], " ");
        let value = match (flag.placeholder, flag.choices.as_slice()) {
            (None, _) => String::new(),
            (Some("FILE"), _) => ":FILE:_files".to_owned(),
            (Some(name), []) => format!(":{name}: "),
            (Some(name), choices) => format!(":{}:({})", name.replace('|', " "), choices.join(" ")),
        };
        for name in spellings(flag) {
            // The value may follow in the same word: behind a sign, or behind the letter itself.
            let joint = match flag.placeholder {
                None => "",
                Some(_) if name.starts_with("--") => "=",
                Some(_) => "+",
            };
            let _ = writeln!(lines, "    '{name}{joint}[{help}]{value}' \\");
        }
    }
    let mut arguments = String::new();
    for (word, choices) in OWN_WORDS.iter().filter(|(_, choices)| !choices.is_empty()) {
        let programs = if takes_programs(word) { "_command_names -e; " } else { "" };
        let _ = writeln!(arguments, "      {word}) {programs}compadd -- {} ;;", choices.join(" "));
    }
    let words = own_words(" ");
    format!(
        r#"#compdef epochsocks
_epochsocks() {{
  local curcontext=$curcontext state line
  _arguments -C -S -A '-*' \
{lines}    '1:command:{{ _command_names -e; compadd {words} }}' \
    '*::arguments:->arguments' && return
  if [[ $state = arguments ]]; then
    case $words[1] in
{arguments}      *) _normal ;;
    esac
  fi
}}
if [ "$funcstack[1]" = _epochsocks ]; then
  _epochsocks "$@"
else
  compdef _epochsocks epochsocks
fi
"#
    )
}

fn fish(flags: &[Flag], attached: &[Flag]) -> String {
    let specification: Vec<_> = flags
        .iter()
        .map(|flag| {
            let short = flag.short.map_or(String::new(), |short| format!("{short}/"));
            let value = match flag.placeholder {
                Some(_) => "=",
                None if attached.iter().any(|other| other.long == flag.long) => "=?",
                None => "",
            };
            format!("'{short}{}{value}'", flag.long.trim_start_matches('-'))
        })
        .collect();
    let mut script = format!(
        "function __epochsocks_command -d 'The words behind the flags of epochsocks'\n    \
             set -l words (commandline -opc) (commandline -ct)\n    \
             set -e words[1]\n    \
             argparse -s {} -- $words 2>/dev/null\n    \
             string join -- \\n $argv\n\
         end\n\
         function __epochsocks_before_command\n    \
             test (count (__epochsocks_command)) -le 1\n\
         end\n\
         function __epochsocks_behind\n    \
             set -l words (__epochsocks_command)\n    \
             test (count $words) -ge 2; and test $words[1] = $argv[1]\n\
         end\n\
         function __epochsocks_behind_program\n    \
             set -l words (__epochsocks_command)\n    \
             test (count $words) -ge 2; and not contains -- $words[1] {}\n\
         end\n\
         complete -c epochsocks -x -n __epochsocks_behind_program \
             -a '(__fish_complete_subcommand --commandline (__epochsocks_command))'\n\
         complete -c epochsocks -x -n __epochsocks_before_command \
             -a '(__fish_complete_command) {}'\n",
        specification.join(" "),
        own_words(" "),
        own_words(" ")
    );
    for (word, choices) in OWN_WORDS.iter().filter(|(_, choices)| !choices.is_empty()) {
        let programs = if takes_programs(word) { "(__fish_complete_command) " } else { "" };
        let choices = format!("{programs}{}", choices.join(" "));
        let _ = writeln!(
            script,
            "complete -c epochsocks -x -n '__epochsocks_behind {word}' -a '{choices}'"
        );
    }
    for flag in flags {
        let _ = write!(
            script,
            "complete -c epochsocks -n __epochsocks_before_command -l {}",
            flag.long.trim_start_matches('-')
        );
        if let Some(short) = flag.short {
            let _ = write!(script, " -s {short}");
        }
        match (flag.placeholder, flag.choices.as_slice()) {
            (None, _) => {}
            (Some("FILE"), _) => script.push_str(" -r -F"),
            (Some(_), choices) => {
                let _ = write!(script, " -x -a '{}'", choices.join(" "));
            }
        }
        let _ = writeln!(script, " -d '{}'", flag.help.replace('\'', "\\'"));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_every_flag_and_choice() {
        for shell in listing::SHELLS {
            let script = script(shell).unwrap();
            for flag in listing::own().iter().chain(&listing::settings()) {
                assert!(
                    script.contains(flag.long.trim_start_matches('-')),
                    "{shell}: {}",
                    flag.long
                );
                // The shells complete the name alone of a flag whose value is attached.
                let choices = flag.choices.join(" ");
                assert!(flag.attached || script.contains(&choices), "{shell}: {}", flag.long);
            }
        }
        assert_eq!(script("csh"), None);
    }
}
