//! design/promises.md leads from each promise of the documents to the tests that show it.
//!
//! A promise is a guarantee of the registry, an invariant of a connect that does not wait, a row of
//! README's comparison, or a limit. A test that shows one says so in a line of its documentation:
//! `/// promise: J`, `/// promise: invariant 3`, `/// promise: UDP`.

mod documents;
mod marks;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use documents::{Promise, Section};
use marks::Mark;

const HEAD: &str = "# The promises

Generated from the documents and from the tests' `promise:` lines by
`EPOCHSOCKS_BLESS=1 cargo test --test promises`. A test keeps this file up to date and fails if a promise
has no test.
";

/// Limits that no test can show, and why.
const NOT_TESTABLE: &[(&str, &str)] = &[
    ("proxies in a chain", "there is no such setting"),
    ("Other processes that act for the program", "it is other programs that connect"),
    ("Hostile code", "it does the above on purpose"),
    ("What a program says", "no hook looks at what is sent"),
    ("An observer of both ends", "a limit of Tor"),
    ("Libraries by other variables", "needs another platform or an older glibc"),
    ("Systems", "needs other kernels and processors"),
    ("UDP before Linux 5.7", "needs an older kernel"),
    ("Direct epoll waits of a library", "no hook sees the wait"),
    ("Unconnected sockets of a child", "no hook of the child sees the connect"),
    ("A close while another thread forks", "a race that no test can order"),
    ("Sleepers before the first question", "no hook sees a thread that sleeps already"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn reason(promise: &Promise) -> Option<&'static str> {
    NOT_TESTABLE.iter().find(|(id, _)| *id == promise.id).map(|(_, reason)| *reason)
}

fn document(sections: &[Section], marks: &[Mark]) -> String {
    let mut text = HEAD.to_owned();
    for section in sections {
        write!(text, "\n## {}\n\n| promise | shown by |\n| --- | --- |\n", section.title)
            .expect("a string takes text");
        for promise in &section.promises {
            let tests: Vec<_> = marks
                .iter()
                .filter(|mark| mark.promise == promise.id)
                .map(|mark| format!("[`{}`](../{})", mark.test, mark.file))
                .collect();
            let shown = match reason(promise) {
                Some(reason) => format!("no test: {reason}"),
                None => tests.join(", "),
            };
            let space = if promise.text.is_empty() { "" } else { ": " };
            writeln!(text, "| **{}**{space}{} | {shown} |", promise.id, promise.text)
                .expect("a string takes text");
        }
    }
    text
}

#[test]
fn the_page_of_promises_is_up_to_date() {
    let text = document(&documents::sections(), &marks::all());
    let file = root().join("design/promises.md");
    if std::env::var_os("EPOCHSOCKS_BLESS").is_some() {
        std::fs::write(&file, &text).expect("the checkout can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == text, "design/promises.md is stale; its first lines say how to renew it");
}

#[test]
fn every_promise_has_a_test() {
    let shown: BTreeSet<_> = marks::all().into_iter().map(|mark| mark.promise).collect();
    let sections = documents::sections();
    let promises = || sections.iter().flat_map(|section| &section.promises);
    let missing: Vec<_> = promises()
        .filter(|promise| shown.contains(&promise.id) == reason(promise).is_some())
        .map(|promise| &promise.id)
        .collect();
    assert!(missing.is_empty(), "without a test, or with one and a reason for none: {missing:#?}");
}

#[test]
fn every_mark_names_a_promise() {
    let sections = documents::sections();
    let promises: BTreeSet<_> = sections
        .iter()
        .flat_map(|section| &section.promises)
        .map(|promise| promise.id.as_str())
        .collect();
    for (id, _) in NOT_TESTABLE {
        assert!(promises.contains(id), "no document promises {id:?}");
    }
    for mark in marks::all() {
        let Mark { promise, test, file } = &mark;
        assert!(promises.contains(promise.as_str()), "{file}, {test}: no promise {promise:?}");
    }
}

#[test]
fn a_promise_stands_in_one_place() {
    let mut seen = BTreeSet::new();
    for section in documents::sections() {
        assert!(!section.promises.is_empty(), "{} promises nothing", section.title);
        for promise in section.promises {
            assert!(seen.insert(promise.id.clone()), "{:?} twice", promise.id);
        }
    }
}
