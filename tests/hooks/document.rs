//! design/hooks.md is the table, and every row's test exists.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::table::HOOKS;

const HEAD: &str = "# The hooks

Generated from src/preload/src/table.rs by `EPOCHSOCKS_BLESS=1 cargo test --test hooks document`.
A test keeps this file, the table and the library's exports equal.

| symbol | why | policy | async-signal-safe | cancellation point | test |
| --- | --- | --- | --- | --- | --- |
";

fn document() -> String {
    let word = |truth| if truth { "yes" } else { "no" };
    let mut text = HEAD.to_owned();
    for hook in HOOKS {
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | `{}` |",
            hook.symbol,
            hook.why,
            hook.policy,
            word(hook.async_signal_safe),
            word(hook.cancellation_point),
            hook.test
        )
        .expect("a string takes text");
    }
    text
}

#[test]
fn the_documentation_equals_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("design/hooks.md");
    if std::env::var_os("EPOCHSOCKS_BLESS").is_some() {
        std::fs::write(&file, document()).expect("the checkout can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == document(), "design/hooks.md is stale; its first line says how to renew it");
}

#[test]
fn the_test_of_every_row_exists() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for hook in HOOKS {
        let (binary, function) = hook.test.split_once("::").expect("a binary and a function");
        let declared = format!("#[test]\nfn {function}()");
        let sources = sources_of(&tests, binary);
        assert!(
            sources.iter().any(|source| source.contains(&declared)),
            "{}: no test {function} in the test binary {binary}",
            hook.symbol
        );
    }
}

/// The texts of tests/BINARY.rs and tests/BINARY/*.rs.
fn sources_of(tests: &Path, binary: &str) -> Vec<String> {
    let mut files: Vec<PathBuf> = vec![tests.join(format!("{binary}.rs"))];
    if let Ok(folder) = std::fs::read_dir(tests.join(binary)) {
        files.extend(folder.flatten().map(|entry| entry.path()));
    }
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}
