//! What completes the command line in a shell: flags, their values, and then commands.

use std::fmt::Write;

use crate::help::OWN_WORDS;
use crate::listing::{self, Flag};

/// The script for `shell`, one of [`listing::SHELLS`]; `None` for another.
pub fn script(shell: &str) -> Option<String> {
    let flags: Vec<_> = listing::own().into_iter().chain(listing::settings()).collect();
    match shell {
        "bash" => Some(bash(&flags)),
        "zsh" => Some(zsh(&flags)),
        "fish" => Some(fish(&flags)),
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
        let _ = writeln!(cases, "      {}) COMPREPLY=($({reply})); return ;;", names.join("|"));
    }
    let takers: Vec<_> =
        flags.iter().filter(|flag| flag.placeholder.is_some()).flat_map(spellings).collect();
    let all: Vec<_> = flags.iter().flat_map(spellings).collect();
    format!(
        r#"_epochsocks() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
      {takers}) ((i++)) ;;
      --) ((i++)); break ;;
      -*) ;;
      *) break ;;
    esac
  done
  if ((i < COMP_CWORD)); then
    declare -F _command_offset >/dev/null && _command_offset "$i"
    return
  fi
  if ((i > COMP_CWORD)); then
    case ${{COMP_WORDS[COMP_CWORD - 1]}} in
{cases}    esac
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
        words = OWN_WORDS.join(" "),
    )
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
            let _ = writeln!(lines, "  '{name}[{help}]{value}' \\");
        }
    }
    let words = OWN_WORDS.join(" ");
    format!(
        "#compdef epochsocks\n_arguments -S -A '-*' \\\n{lines}  \
         '1:command:{{ _command_names -e; compadd {words} }}' \\\n  '*::arguments: _normal'\n"
    )
}

fn fish(flags: &[Flag]) -> String {
    let mut script = String::from("complete -c epochsocks -x -a '(__fish_complete_subcommand)'\n");
    let words = OWN_WORDS.join(" ");
    let _ = writeln!(script, "complete -c epochsocks -n __fish_is_first_token -a '{words}'");
    for flag in flags {
        let _ = write!(script, "complete -c epochsocks -l {}", flag.long.trim_start_matches('-'));
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
                assert!(script.contains(&flag.choices.join(" ")), "{shell}: {}", flag.long);
            }
        }
        assert_eq!(script("csh"), None);
    }
}
