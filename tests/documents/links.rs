//! The paths that documents name.

use std::path::Path;

use crate::{Text, documents, place, root};

/// Folders of the checkout by which a path in backticks is recognised.
const FOLDERS: [&str; 6] = ["src/", "tests/", "benches/", "design/", "manual/", "packaging/"];

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

fn check(document: &Text, line: &str, wrong: &mut impl FnMut(&str)) {
    for path in in_backticks(line) {
        if FOLDERS.iter().any(|folder| path.starts_with(folder)) && !exists(path) {
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
    for document in documents() {
        for (number, line) in document.text.lines().enumerate() {
            let mut wrong =
                |path: &str| found.push(format!("{}: {path}", place(&document, number)));
            check(&document, line, &mut wrong);
        }
    }
    assert!(found.is_empty(), "missing:\n{}", found.join("\n"));
}

#[test]
fn a_link_to_a_heading_is_that_of_a_heading() {
    assert_eq!(anchors("# What it does\ntext\n## `a` and B-c"), ["what-it-does", "a-and-b-c"]);
}
