//! Documents and comments keep the rules of CONTRIBUTING: plain words, and paths that exist.

mod crates;
mod imports;
mod links;
mod maps;
mod picture;
mod words;

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text file of the checkout.
struct Text {
    /// Relative to the checkout.
    path: PathBuf,
    text: String,
}

/// Every file of `folders` (or single file) whose name ends in one of `extensions`.
fn texts(folders: &[&str], extensions: &[&str]) -> Vec<Text> {
    let mut paths: Vec<_> = folders.iter().map(PathBuf::from).collect();
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        let absolute = root().join(&path);
        if absolute.is_dir() {
            let entries = std::fs::read_dir(&absolute).expect("the checkout can be read");
            paths.extend(entries.map(|entry| path.join(entry.expect("an entry").file_name())));
        } else if path.extension().is_some_and(|it| extensions.iter().any(|one| it == *one)) {
            let text = std::fs::read_to_string(&absolute).expect("texts are UTF-8");
            found.push(Text { path, text });
        }
    }
    assert!(!found.is_empty(), "nothing in {folders:?}");
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The documents that are written by hand.
fn documents() -> Vec<Text> {
    let folders = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "design"];
    let mut found = texts(&folders, &["md"]);
    found.extend(texts(
        &["benches/README.md", "src/registry/README.md", "src/registry-std/README.md"],
        &["md"],
    ));
    found
}

/// `path:line`, as editors and compilers have it.
fn place(text: &Text, line: usize) -> String {
    format!("{}:{}", text.path.display(), line + 1)
}
