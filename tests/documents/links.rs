//! The paths that documents name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::{Text, documents, place, root, texts};

/// Folders of the checkout by which a path in backticks is recognised.
const FOLDERS: [&str; 5] = ["src/", "tests/", "benches/", "design/", "packaging/"];

/// The texts between backticks on a line.
fn in_backticks(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of Markdown links on a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(start, _)| line[start + 2..].split(')').next())
}

/// Tells whether the documents' paths with wildcards and words in capitals name a file or folder.
fn exists(path: &str) -> bool {
    let path = path.split([' ', '#', ':']).next().unwrap_or_default();
    let is_pattern =
        path.contains(['*', '{', '<', '…']) || path.contains("NAME") || path.contains("TRIPLET");
    is_pattern || path.is_empty() || root().join(path).exists()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase();
    let anchor = |text: String| {
        let kept = text.chars().filter(|it| it.is_alphanumeric() || [' ', '-', '_'].contains(it));
        kept.collect::<String>().replace(' ', "-")
    };
    text.lines().filter(|line| line.starts_with('#')).map(heading).map(anchor).collect()
}

/// The parts of a Rust path such as `module::function`, perhaps with `(…)` behind it; none of another text.
fn parts(name: &str) -> Vec<&str> {
    let parts: Vec<_> = name.split('(').next().unwrap_or_default().split("::").collect();
    let is_identifier = |part: &&str| {
        !part.is_empty() && part.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
    };
    if parts.len() > 1 && parts.iter().all(is_identifier) { parts } else { Vec::new() }
}

/// The files of the checkout that documents may name, and their words.
struct Sources {
    files: Vec<PathBuf>,
    words: HashSet<String>,
}

impl Sources {
    fn read() -> Sources {
        let texts = texts(&["src", "tests", "benches"], &["rs", "c", "h", "py"]);
        let is_other = |it: char| !(it.is_ascii_alphanumeric() || it == '_');
        let words = texts.iter().flat_map(|text| text.text.split(is_other)).map(str::to_owned);
        let words = words.collect();
        Sources { files: texts.into_iter().map(|text| text.path).collect(), words }
    }

    /// Tells whether a file's path ends in `path`, such as `sockets/record.rs`.
    fn has_file(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.ends_with(path))
    }
}

fn check(document: &Text, line: &str, sources: &Sources, wrong: &mut impl FnMut(&str)) {
    for path in in_backticks(line) {
        let is_missing = match path {
            path if FOLDERS.iter().any(|folder| path.starts_with(folder)) => !exists(path),
            path if path.ends_with(".rs") => !sources.has_file(path),
            path => parts(path).iter().any(|part| !sources.words.contains(*part)),
        };
        if is_missing {
            wrong(path);
        }
    }
    for target in targets(line).filter(|target| !target.contains("://")) {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let folder = document.path.parent().unwrap_or(Path::new(""));
        let file = match path {
            "" => root().join(&document.path),
            path => root().join(folder).join(path),
        };
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let has_anchor = anchor.is_empty() || anchors(&text).iter().any(|it| it == anchor);
        if !file.exists() || !has_anchor {
            wrong(target);
        }
    }
}

#[test]
fn every_path_and_link_in_the_documents_exists() {
    let mut found = Vec::new();
    let sources = Sources::read();
    for document in documents() {
        for (number, line) in document.text.lines().enumerate() {
            let mut wrong =
                |path: &str| found.push(format!("{}: {path}", place(&document, number)));
            check(&document, line, &sources, &mut wrong);
        }
    }
    assert!(found.is_empty(), "missing:\n{}", found.join("\n"));
}

#[test]
fn a_link_to_a_heading_is_that_of_a_heading() {
    assert_eq!(anchors("# What it does\ntext\n## `a` and B-c"), ["what-it-does", "a-and-b-c"]);
}

#[test]
fn the_parts_of_a_path_are_found() {
    assert_eq!(parts("Record::complete(end)"), ["Record", "complete"]);
    assert!(parts("a sentence with :: in it").is_empty());
}
