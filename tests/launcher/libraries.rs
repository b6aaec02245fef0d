//! Places of the preload library, and files that must not be taken for one: ld.so would only warn.

use std::path::Path;

use crate::sandbox::{Sandbox, bare, outcome};

const FILE: &str = "libepochsocks_preload.so";

#[test]
fn an_installed_launcher_finds_its_library() {
    let triplet = format!("lib/{}-linux-gnu/epochsocks", std::env::consts::ARCH);
    for place in ["bin", "lib/epochsocks", &triplet, "lib64/epochsocks"] {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path.join("bin")).unwrap();
        let launcher = sandbox.path.join("bin/epochsocks");
        // By another process: a child that a test beside this one makes could keep the file open for
        // writing, and the kernel executes no such file.
        let mut copy = std::process::Command::new("cp");
        assert!(
            copy.arg(env!("CARGO_BIN_EXE_epochsocks")).arg(&launcher).status().unwrap().success()
        );
        outcome(bare(&launcher).arg("true")).assert_ended(125, &[FILE, "is in none of", "copy it"]);
        let library = sandbox.library(&format!("{place}/{FILE}"));
        let found = outcome(bare(&launcher).args(["printenv", "LD_PRELOAD"]));
        let found = std::fs::canonicalize(found.stdout.trim_end()).unwrap();
        assert_eq!(found, std::fs::canonicalize(library).unwrap());
    }
}

#[track_caller]
fn refused(library: &Path, parts: &[&str]) {
    let sandbox = Sandbox::new();
    let mut launcher = sandbox.launcher();
    launcher.args(["echo", "ran"]).env("EPOCHSOCKS_LIBRARY", library);
    outcome(&mut launcher).assert_ended(125, parts);
}

#[test]
fn a_missing_library_is_refused() {
    refused(Path::new("/nonexistent/library.so"), &["/nonexistent/library.so", "missing"]);
    let sandbox = Sandbox::new();
    refused(&sandbox.path, &[FILE, "missing"]);
}

/// promise: ld.so, which fails open
#[test]
fn a_library_that_can_not_be_read_is_refused() {
    let sandbox = Sandbox::new();
    let library = sandbox.file(FILE, std::fs::read(sandbox.library(FILE)).unwrap(), 0o111);
    let mut launcher = sandbox.without_capabilities();
    launcher.args(["echo", "ran"]).env("EPOCHSOCKS_LIBRARY", &library);
    outcome(&mut launcher).assert_ended(125, &[FILE, "can't be read: Permission denied"]);
}

/// promise: The library's path
#[test]
fn a_library_whose_path_can_not_stand_in_ld_preload_is_refused() {
    let sandbox = Sandbox::new();
    for (name, what) in [("a b", "a space"), ("a:b", "a colon"), ("$ORIGIN", "a dollar sign")] {
        let library = sandbox.library(&format!("{name}/{FILE}"));
        refused(&library, &["its path has", what]);
    }
}

/// promise: ld.so, which fails open
#[test]
fn what_ld_so_would_not_load_is_refused() {
    let sandbox = Sandbox::new();
    let text = sandbox.file("text.so", "not a library", 0o644);
    refused(&text, &["not an ELF library"]);
    let empty = sandbox.file("empty.so", "", 0o644);
    refused(&empty, &["not an ELF library"]);
    let mut bytes = std::fs::read(sandbox.library(FILE)).unwrap();
    bytes[4] = 1;
    let small = sandbox.file("small.so", bytes, 0o644);
    refused(&small, &["another processor or word size"]);
    refused(Path::new("/dev/null"), &["not an ELF library"]);
}

#[test]
fn another_library_is_not_taken_for_ours() {
    let sandbox = Sandbox::new();
    refused(&sandbox.foreign_library("other/libepochsocks_preload.so"), &["not that of"]);
    let mut bytes = std::fs::read(sandbox.library(FILE)).unwrap();
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let found = bytes.windows(version.len()).position(|window| window == version).unwrap();
    bytes[found] = b'9';
    let newer = sandbox.file("newer.so", bytes, 0o644);
    refused(&newer, &["not that of", env!("CARGO_PKG_VERSION")]);
}

#[test]
fn a_relative_path_is_made_absolute() {
    let sandbox = Sandbox::new();
    let library = sandbox.library(FILE);
    for named in [FILE, "."] {
        let mut launcher = sandbox.launcher();
        launcher.args(["printenv", "LD_PRELOAD"]).env("EPOCHSOCKS_LIBRARY", named);
        let outcome = outcome(launcher.current_dir(&sandbox.path));
        assert_eq!(outcome.stdout, format!("{}\n", library.display()));
    }
}

#[test]
fn another_registry_is_another_library_beside_the_first() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["--registry", "mutex", "true"])
        .assert_ended(125, &["preload-mutex.so", "src/preload/build-variants mutex"]);
    let library = sandbox.library("libepochsocks_preload-mutex.so");
    let outcome = sandbox.run(["--registry", "mutex", "printenv", "LD_PRELOAD"]);
    assert_eq!(outcome.stdout, format!("{}\n", library.display()));
}
