//! The library exports the table and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::support::preload_library;
use crate::support::skip::skip;
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

/// An alias has the row above it, whatever function it names.
#[test]
fn an_alias_follows_its_function() {
    let mut function = "";
    for hook in HOOKS {
        match hook.alias_of {
            Some(of) => assert_eq!(of, function, "{}", hook.symbol),
            None => function = hook.symbol,
        }
    }
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

/// Code that runs in a signal handler must not enter the host's malloc.
/// promise: H
#[test]
fn the_default_library_does_not_import_malloc() {
    let imports = symbols("--undefined-only");
    for name in ["malloc", "calloc", "realloc", "free", "__tls_get_addr"] {
        assert!(!imports.iter().any(|import| import.split('@').next() == Some(name)), "{name}");
    }
}

/// Each name of a function of libc, by its address.
fn names_of_libc() -> Option<BTreeMap<String, BTreeSet<String>>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let libc = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6"))?;
    let output = Command::new("nm").args(["--dynamic", "--defined-only", libc]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut names = BTreeMap::<_, BTreeSet<_>>::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (address, _, name) = (words.next()?, words.next()?, words.next()?);
        let name = name.split('@').next().unwrap_or(name);
        names.entry(address.to_owned()).or_default().insert(name.to_owned());
    }
    Some(names)
}

#[test]
fn no_other_name_of_a_hooked_function_leads_past_its_hook() {
    let Some(names) = names_of_libc() else { return skip("libc's names can't be read") };
    let is_hooked = |name: &String| HOOKS.iter().any(|hook| hook.symbol == name);
    for same in names.values().filter(|same| same.iter().any(is_hooked)) {
        let others: Vec<_> = same.iter().filter(|name| !is_hooked(name)).collect();
        assert!(others.is_empty(), "{others:?} of {same:?}");
    }
}

/// Loadable segments' permissions and sizes in memory, as `readelf` lists them, and the number of
/// pointers to relocate.
fn layout() -> (Vec<(String, u64)>, u64) {
    let output = Command::new("readelf")
        .args(["--wide", "--segments", "--dynamic"])
        .arg(preload_library())
        .output()
        .expect("readelf is installed");
    let text = String::from_utf8(output.stdout).expect("readelf prints text");
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
    let lines = || text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let segments = lines().filter(|words| words.first() == Some(&"LOAD")).map(|words| {
        let permissions = words[6..words.len() - 1].concat();
        (permissions, number(words[5]))
    });
    let relocations = lines()
        .find(|words| words.get(1) == Some(&"(RELACOUNT)"))
        .map_or(0, |words| words[2].parse().expect("a decimal number"));
    (segments.collect(), relocations)
}

/// design/performance.md says what each of these costs every program that is executed.
#[test]
fn an_exec_pays_for_few_mappings_pages_and_look_ups() {
    const PAGE: u64 = 4096;
    let (segments, relocations) = layout();
    assert!(segments.len() <= 3, "{segments:?}");
    let written = segments.iter().filter(|(permissions, _)| permissions.contains('W'));
    let pages: u64 = written.map(|(_, size)| size.div_ceil(PAGE)).sum();
    assert!(pages <= 3, "{segments:?}");
    assert!(relocations <= 260, "{relocations} relocations");
    let imports = symbols("--undefined-only");
    assert!(imports.len() <= 20, "{} imports: {imports:?}", imports.len());
}
