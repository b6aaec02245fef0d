//! Text that a shell evaluates: `on`, `off`, the prompt and the completions, in each of the shells.

use std::path::Path;
use std::process::Command;

use crate::sandbox::{Outcome, Sandbox, outcome};
use crate::support::skip::{missing, skip};

const SHELLS: [&str; 4] = ["bash", "zsh", "dash", "fish"];

/// The shells that are here; the test is skipped for the others.
fn shells() -> impl Iterator<Item = &'static str> {
    SHELLS.into_iter().filter(|shell| {
        let is_here = missing(&[shell]).is_empty();
        if !is_here {
            skip(&format!("{shell} is not installed"));
        }
        is_here
    })
}

/// `shell` without the user's own files, in an environment like the launcher's; `$IT` is the launcher.
fn shell(sandbox: &Sandbox, shell: &str) -> Command {
    let launcher = sandbox.launcher();
    let mut command = Command::new(shell);
    for (name, value) in launcher.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(match shell {
        "bash" => &["--norc", "--noprofile"][..],
        "zsh" => &["-f"],
        "fish" => &["--no-config"],
        _ => &[],
    });
    command.env("IT", env!("CARGO_BIN_EXE_epochsocks"));
    // The C library must not be asked for a user, whom it may look up by the network.
    command.env("HOME", &sandbox.path).env("XDG_CONFIG_HOME", sandbox.path.join("config"));
    command.current_dir(&sandbox.path);
    command
}

fn run(command: &mut Command, script: &str) -> Outcome {
    outcome(command.args(["-c", script]))
}

/// The environment with what the shells change by themselves left out.
const ENVIRONMENT: &str = "env | grep -v -e '^_=' -e '^SHLVL=' -e '^PWD=' -e '^OLDPWD=' | sort";

#[test]
fn off_restores_what_the_user_had_before_on() {
    for name in shells() {
        let sandbox = Sandbox::new();
        let users = sandbox.foreign_library("libusers.so");
        let script = format!(
            r#"
            {ENVIRONMENT} > before
            eval "$($IT -P 9151 on)"
            $IT show
            printenv EPOCHSOCKS_TOR_PORT EPOCHSOCKS_CONF_FILE
            eval "$($IT off)"
            $IT show
            {ENVIRONMENT} > after
            cmp before after
            "#
        );
        let mut command = shell(&sandbox, name);
        command.env("LD_PRELOAD", &users).env("EPOCHSOCKS_TOR_PORT", "9150");
        command.env("EPOCHSOCKS_LOG_FILE_PATH", sandbox.path.join("it's a \\ log"));
        let outcome = run(command.env_remove("EPOCHSOCKS_CONF_FILE"), &script);
        let ours = sandbox.path.join("libepochsocks_preload.so");
        let (ours, users) = (ours.display(), users.display());
        let expected =
            format!("LD_PRELOAD=\"{ours}:{users}\"\n9151\nnone\nLD_PRELOAD=\"{users}\"\n");
        assert_eq!(outcome.stdout, expected, "{name}: {outcome:?}");
        assert_eq!((outcome.status, outcome.stderr.lines().count()), (Some(0), 1), "{outcome:?}");
        assert!(outcome.stderr.contains("runs what can't be protected"), "{outcome:?}");
    }
}

#[test]
fn a_script_does_not_go_on_where_it_can_not_be_protected() {
    for name in shells() {
        for (words, library) in [
            ("-P 0 on", None),
            ("--nonsense on", None),
            ("--port on", None),
            ("on --port 9150", None),
            ("on nonsense", None),
            ("on", Some("/nonexistent")),
        ] {
            let sandbox = Sandbox::new();
            let mut command = shell(&sandbox, name);
            if let Some(library) = library {
                command.env("EPOCHSOCKS_LIBRARY", library);
            }
            let script = match name {
                "fish" => format!("$IT {words} | source; or exit 9; echo went on"),
                _ => format!("set -e; eval \"$($IT {words})\"; echo went on"),
            };
            let outcome = run(&mut command, &script);
            assert_ne!(outcome.status, Some(0), "{name} {words}: {outcome:?}");
            assert_eq!(outcome.stdout, "", "{name} {words}: {outcome:?}");
            assert!(outcome.stderr.starts_with("epochsocks: "), "{outcome:?}");
        }
    }
}

/// By a copy of sh, as what counts is the shell's name.
#[test]
fn a_shell_of_another_language_is_told_so() {
    let sandbox = Sandbox::new();
    let sh = std::fs::canonicalize("/bin/sh").unwrap();
    for name in ["tcsh", "nu"] {
        std::fs::copy(&sh, sandbox.path.join(name)).unwrap();
        for word in ["on", "off"] {
            let mut command = shell(&sandbox, sandbox.path.join(name).to_str().unwrap());
            let outcome =
                run(&mut command, &format!("$IT {word}; echo $?; $IT {word} sh >/dev/null"));
            assert_eq!(outcome.stdout, "false\n125\n", "{name} {word}: {outcome:?}");
            assert_eq!(outcome.status, Some(0), "{name} {word}: {outcome:?}");
            let told = format!("epochsocks: nothing is printed that {name} understands");
            assert!(outcome.stderr.contains(&told), "{outcome:?}");
        }
    }
}

#[test]
fn the_form_for_scripts_in_the_manual_stops_without_set_e_and_without_the_launcher() {
    let line = manual_line("on=$(epochsocks on)");
    for name in shells().filter(|name| *name != "fish") {
        let sandbox = Sandbox::new();
        for launcher in ["'/nonexistent'", "\"$IT\" -P 0"] {
            let script = format!("{}\necho went on", line.replace("epochsocks", launcher));
            let outcome = run(&mut shell(&sandbox, name), &script);
            assert_eq!(outcome.stdout, "", "{name}: {outcome:?}");
            assert_ne!(outcome.status, Some(0), "{name}: {outcome:?}");
        }
        let script = format!("{}\n\"$IT\" show", line.replace("epochsocks", "\"$IT\""));
        let outcome = run(&mut shell(&sandbox, name), &script);
        assert!(outcome.stdout.contains("libepochsocks_preload.so"), "{name}: {outcome:?}");
    }
}

/// The line of design/manual/using.md that starts so, without a comment at its end.
fn manual_line(start: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("design/manual/using.md");
    let text = std::fs::read_to_string(file).expect("the page is there");
    let line = text.lines().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no line starts with {start}"));
    line.split(" # ").next().unwrap_or(line).to_owned()
}

#[test]
fn the_prompt_of_the_manual_shows_that_the_shell_is_torified() {
    let prompt = "PS1='$(case $LD_PRELOAD in";
    for name in shells().filter(|name| *name != "dash") {
        let (define, show) = match name {
            "bash" => (format!("PS1='$ '\n{}", manual_line(prompt)), "echo \"${PS1@P}\""),
            "zsh" => (
                format!("setopt prompt_subst; PS1='$ '\n{}", manual_line(prompt)),
                "print -P -- \"$PS1\"",
            ),
            _ => {
                let define = "function fish_prompt; echo '$ '; end\n".to_owned();
                (define + &manual_line("functions --copy fish_prompt"), "fish_prompt")
            }
        };
        let sandbox = Sandbox::new();
        let script = format!("{define}\n{show}\neval \"$($IT -q on)\"\n{show}");
        let outcome = run(&mut shell(&sandbox, name), &script);
        assert_eq!(outcome.stdout, "$ \n(tor) $ \n", "{name}: {outcome:?}");
    }
}

#[test]
fn a_shell_under_the_library_is_told_that_it_can_not_be_switched_off() {
    let sandbox = Sandbox::new();
    let script = r#"switched=$("$0" off); echo "$? $switched""#;
    let outcome = sandbox.run(["sh", "-c", script, env!("CARGO_BIN_EXE_epochsocks")]);
    assert_eq!(outcome.stdout, "125 false\n", "{outcome:?}");
    assert!(outcome.stderr.contains("this shell runs under epochsocks itself"), "{outcome:?}");
}

/// Lines to complete, and the word that each shell must offer.
const COMPLETED: [(&str, &str); 10] = [
    ("epochsocks --passed-s", "--passed-sockets"),
    ("epochsocks -d --names co", "cookie"),
    ("epochsocks --names=co", "cookie"),
    ("epochsocks --registry slots-e", "slots-epoch"),
    ("epochsocks -P 9150 docto", "doctor"),
    ("epochsocks doctor --sel", "--self-test"),
    ("epochsocks --port=9150 doctor --sel", "--self-test"),
    ("epochsocks --isolate=me --passed-sockets=dr", "drop"),
    ("epochsocks -P 9150 off fi", "fish"),
    ("epochsocks doctor printen", "printenv"),
];

#[test]
fn bash_completes_flags_their_values_and_the_words() {
    // Bash makes words of a line as COMP_WORDBREAKS says: the sign is one.
    let mut script = r#"eval "$("$IT" --completions bash)"
        complete_last() {
            COMP_WORDS=(${1//=/ = }) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _epochsocks
            echo "${COMPREPLY[*]}"
        }
    "#
    .to_owned();
    for (line, _) in COMPLETED {
        script += &format!("complete_last '{line}'\n");
    }
    script +=
        "COMP_WORDS=(epochsocks curl --pa) COMP_CWORD=2; _epochsocks; echo \"${COMPREPLY[*]}\"";
    let sandbox = Sandbox::new();
    let outcome = run(&mut shell(&sandbox, "bash"), &script);
    let mut lines = outcome.stdout.lines();
    for (line, word) in COMPLETED {
        let mut offered = lines.next().unwrap_or_default().split(' ');
        assert!(offered.any(|offer| offer == word), "{line}: {outcome:?}");
    }
    assert_eq!(lines.next(), Some(""), "curl's flags are not ours");
}

#[test]
fn fish_completes_flags_their_values_and_the_words() {
    if !missing(&["fish"]).is_empty() {
        return skip("fish is not installed");
    }
    let mut script = "$IT --completions fish | source\n".to_owned();
    for (line, _) in COMPLETED {
        script += &format!("echo (complete -C '{line}' | cut -f 1)\n");
    }
    script += "complete -c curl -l path-as-is\n\
        echo (complete -C 'epochsocks -P 1 curl --path-as' | cut -f 1)\n\
        echo (complete -C 'epochsocks status is-' | cut -f 1)";
    let sandbox = Sandbox::new();
    let outcome = run(&mut shell(&sandbox, "fish"), &script);
    let mut lines = outcome.stdout.lines();
    for (line, word) in COMPLETED {
        let mut offered = lines.next().unwrap_or_default().split([' ', '=']);
        assert!(offered.any(|offer| offer == word), "{line}: {outcome:?}");
    }
    assert_eq!(
        lines.next(),
        Some("--path-as-is"),
        "a command completes as without us: {outcome:?}"
    );
    assert_eq!(lines.next(), Some(""), "fish's own `status` is not ours: {outcome:?}");
}

/// Zsh completes only in a terminal: in one of its own, whose line is then printed.
const ZSH: &str = r#"
    zmodload zsh/zpty
    zpty z "exec zsh -f -i"
    zpty -w z 'PS1= PS2= RPS1=; unsetopt zle_bracketed_paste 2>/dev/null; stty -echo
      autoload -Uz compinit; compinit -u -D; eval "$("$IT" --completions zsh)"
      shown() { print -r -- "<$BUFFER>"; BUFFER= }; zle -N shown; bindkey "^X" shown
      bindkey "^I" complete-word; print ready-"now"'
    zpty -r z answer '*ready-now*'
    for line in $lines; do
      zpty -w -n z "$line"$'\t\x18'
      zpty -r z answer $'*<*>*'
      print -r -- "${${answer##*<}%%>*}"
    done
    zpty -d z
"#;

#[test]
fn zsh_completes_flags_their_values_and_the_words_also_when_evaluated() {
    if !missing(&["zsh"]).is_empty() {
        return skip("zsh is not installed");
    }
    let lines: Vec<_> = COMPLETED.iter().map(|(line, _)| format!("'{line}'")).collect();
    let script = format!("lines=({})\n{ZSH}", lines.join(" "));
    let sandbox = Sandbox::new();
    let outcome = run(shell(&sandbox, "zsh").env("TERM", "dumb"), &script);
    let mut completed = outcome.stdout.lines();
    for (line, word) in COMPLETED {
        let whole = completed.next().unwrap_or_default().trim_end_matches([' ', '=']);
        assert_eq!(whole.split([' ', '=']).next_back(), Some(word), "{line}: {outcome:?}");
    }
}
