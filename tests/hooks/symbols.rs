//! The library exports the table and nothing else.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::preload_library;
use crate::table::HOOKS;

fn symbols(kind: &str) -> BTreeSet<String> {
    let output = Command::new("nm")
        .args(["--dynamic", "--format=posix", kind])
        .arg(preload_library())
        .output()
        .expect("nm is installed");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("symbols are text");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_exports_equal_the_table() {
    let table: BTreeSet<_> = HOOKS.iter().map(|hook| hook.symbol.to_owned()).collect();
    assert_eq!(symbols("--defined-only"), table);
}

#[test]
fn a_symbol_has_one_row() {
    let names: BTreeSet<_> = HOOKS.iter().map(|hook| hook.symbol).collect();
    assert_eq!(names.len(), HOOKS.len());
}

/// A call by libc's name would come back to our own hook.
#[test]
fn the_library_imports_none_of_its_own_hooks() {
    let imports = symbols("--undefined-only");
    for hook in HOOKS {
        let calls_itself =
            imports.iter().any(|import| import.split('@').next() == Some(hook.symbol));
        assert!(!calls_itself, "{} is imported", hook.symbol);
    }
}

/// What runs in a signal handler must not enter the host's malloc.
#[test]
fn the_default_library_does_not_import_malloc() {
    let imports = symbols("--undefined-only");
    for name in ["malloc", "calloc", "realloc", "free", "__tls_get_addr"] {
        assert!(!imports.iter().any(|import| import.split('@').next() == Some(name)), "{name}");
    }
}
