//! The marks of tests: `/// promise: ID` above a test function.

use std::path::Path;

/// A test that shows a promise.
pub struct Mark {
    pub promise: String,
    pub test: String,
    /// Relative to the checkout.
    pub file: String,
}

/// Every mark, by file and line.
pub fn all() -> Vec<Mark> {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        collect(&crate::root().join(folder), &mut files);
    }
    files.sort();
    files.iter().flat_map(|file| of_file(file)).collect()
}

fn collect(folder: &Path, files: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for path in entries.map(|entry| entry.expect("the checkout can be read").path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let path = path.strip_prefix(crate::root()).expect("in the checkout");
            files.push(path.to_str().expect("names are UTF-8").to_owned());
        }
    }
}

fn of_file(file: &str) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut waiting: Vec<String> = Vec::new();
    // The suite for every backend is a list of functions that a macro makes tests of.
    let is_suite = file.ends_with("/conformance.rs");
    let mut is_test = is_suite;
    for line in crate::read(file).lines().map(str::trim) {
        if let Some(promise) = line.strip_prefix("/// promise: ") {
            waiting.push(promise.to_owned());
        } else if line == "#[test]" {
            is_test = true;
        } else if !(line.starts_with("//") || line.starts_with("#[")) {
            if !waiting.is_empty() {
                let test = name_of_function(line).filter(|_| is_test);
                let test = test.unwrap_or_else(|| panic!("{file}: no test shows {waiting:?}"));
                let mark = |promise| Mark { promise, test: test.to_owned(), file: file.to_owned() };
                marks.extend(waiting.drain(..).map(mark));
            }
            is_test = is_suite;
        }
    }
    marks
}

fn name_of_function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}
