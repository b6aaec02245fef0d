//! Files that a package installs: pages, completions and sample as the launcher prints them.

use std::path::Path;
use std::process::Command;

use crate::sandbox::{bare, outcome};
use crate::support::skip;

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

#[test]
fn the_copyright_of_the_package_is_that_of_the_licence() {
    let text = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::read_to_string(path).expect("the file is in the checkout")
    };
    let licence = text("LICENSE-MIT");
    let mut lines = licence.lines();
    let holder = lines.find_map(|line| line.strip_prefix("Copyright (c) ")).expect("a holder");
    let stanza = format!("\nCopyright: {holder}\n");
    assert!(text("debian/copyright").contains(&stanza), "debian/copyright has no {stanza}");
}

/// With empty files in place of what is built.
#[test]
fn uninstall_takes_away_what_install_has_put_there() {
    if !skip::missing(&["make"]).is_empty() {
        return skip::skip("make is not installed");
    }
    let sandbox = crate::sandbox::Sandbox::new();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = Command::new(checkout.join("src/preload/build-variants")).arg("--list").output();
    let registries = String::from_utf8(list.unwrap().stdout).unwrap();
    sandbox.file("target/release/epochsocks", "", 0o755);
    for registry in
        registries.split_whitespace().map(|name| format!("-{name}")).chain([String::new()])
    {
        sandbox.file(&format!("target/release/libepochsocks_preload{registry}.so"), "", 0o755);
    }
    let make = |goal: &str| {
        let mut make = Command::new("make");
        make.args(["--silent", "--no-print-directory", goal, "PREFIX=/usr"]).current_dir(checkout);
        make.env("CARGO_TARGET_DIR", sandbox.path.join("target"));
        let outcome = outcome(make.arg(format!("DESTDIR={}", sandbox.path.join("root").display())));
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{goal}: {outcome:?}");
    };
    let installed = || {
        let found = Command::new("find").arg(sandbox.path.join("root")).output().unwrap();
        let paths = String::from_utf8(found.stdout).unwrap();
        let root = sandbox.path.join("root").display().to_string();
        let paths = paths.lines().map(|path| path.replace(&root, ""));
        paths.filter(|path| path.contains("epochsocks")).collect::<Vec<_>>()
    };
    make("install");
    let there = installed();
    for part in ["/usr/bin/epochsocks", "manual/using.md", "man5/epochsocks.conf.5", "torsocks"] {
        assert!(there.iter().any(|path| path.ends_with(part)), "{part}: {there:?}");
    }
    make("uninstall");
    assert_eq!(installed(), <[&str; 0]>::default());
    // Once more: nothing is there.
    make("uninstall");
}
