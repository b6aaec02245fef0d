//! Files that a package installs: pages, completions and sample as the launcher prints them.

use std::path::Path;

use crate::sandbox::{bare, outcome};

/// The files below packaging/, and the flags that print them.
const FILES: [(&str, &[&str]); 7] = [
    ("man/epochsocks.1", &["--man=1"]),
    ("man/epochsocks.conf.5", &["--man=5"]),
    ("man/epochsocks-preload.8", &["--man=8"]),
    ("completions/epochsocks.bash", &["--completions", "bash"]),
    ("completions/_epochsocks", &["--completions", "zsh"]),
    ("completions/epochsocks.fish", &["--completions", "fish"]),
    ("epochsocks.conf", &["--sample-configuration"]),
];

/// A cross build can't run the launcher, so they are in the sources.
#[test]
fn the_files_of_packages_are_those_of_the_launcher_as_the_readme() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    for (name, flags) in FILES {
        let printed = outcome(bare(env!("CARGO_BIN_EXE_epochsocks").as_ref()).args(flags)).stdout;
        let file = folder.join(name);
        if std::env::var_os("EPOCHSOCKS_BLESS").is_some() {
            std::fs::write(&file, printed).expect("the checkout can be written");
            continue;
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        let renew = "EPOCHSOCKS_BLESS=1 cargo test --test launcher readme";
        assert!(found == printed, "packaging/{name} is stale; `{renew}` renews it");
    }
}

#[test]
fn the_sample_configuration_is_taken_also_with_every_line_uncommented() {
    let sandbox = crate::sandbox::Sandbox::new();
    let sample = sandbox.run(["--sample-configuration"]).stdout;
    let values = |line: &&str| line.strip_prefix('#').is_some_and(|rest| !rest.starts_with(' '));
    // Isolations exclude each other, and a log file is made.
    let apart = ["#SOCKS5", "#IsolationKey", "#LogFile"];
    let lines: Vec<_> = sample.lines().filter(values).collect();
    let taken = lines.iter().filter(|line| !apart.iter().any(|start| line.starts_with(start)));
    let text: String = taken.map(|line| format!("{}\n", &line[1..])).collect();
    assert!(text.lines().count() > 10, "{sample}");
    let file = sandbox.file("conf", text, 0o600);
    let mut launcher = sandbox.launcher();
    let outcome = outcome(launcher.arg("true").env("EPOCHSOCKS_CONF_FILE", file));
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
}
