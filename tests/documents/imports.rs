//! The imports between the modules of the library. They go in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// The imports of each module.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

fn source() -> PathBuf {
    root().join("src")
}

/// The sources of a module, in one file or in a folder, without its tests.
fn text_of(module: &Path) -> String {
    let file = module.with_extension("rs");
    if file.is_file() {
        return shipped(&file);
    }
    let mut text = String::new();
    for entry in fs::read_dir(module).expect("a module is a file or a folder").flatten() {
        let path = entry.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !matches!(name, "target" | "models") {
            text += &text_of(&path);
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && !matches!(name, "tests" | "models" | "build")
        {
            text += &shipped(&path);
        }
    }
    text
}

/// A file up to its tests, without comments.
fn shipped(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source can be read");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The words that `code` has behind `root::`, also in a list in braces.
fn behind(root: &str, code: &str) -> BTreeSet<String> {
    let is_part = |sign: char| sign.is_alphanumeric() || sign == '_';
    let first = |text: &str| text.chars().take_while(|sign| is_part(*sign)).collect::<String>();
    let mut words = BTreeSet::new();
    for rest in code.split(&format!("{root}::")).skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => {
                // Only the first word of each path: what is in inner braces has its own.
                let mut depth = 1;
                let mut path = String::new();
                for sign in list.chars() {
                    match sign {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 || depth == 1 && sign == ',' {
                        words.insert(first(path.trim()));
                        path.clear();
                    } else {
                        path.push(sign);
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            None => {
                words.insert(first(rest));
            }
        }
    }
    words
}

/// A crate of its own, which the library has as a module.
const REGISTRY: &str = "registry";

/// The modules of the library, the registry below them, and the two programs above them.
pub fn imports() -> Imports {
    let head = fs::read_to_string(source().join("lib.rs")).expect("the library has a head");
    let modules: BTreeSet<_> = head
        .lines()
        .filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'))
        .map(str::to_owned)
        .chain([REGISTRY.to_owned()])
        .collect();
    let of = |module: PathBuf, root: &str, own: &str| -> BTreeSet<String> {
        let words = behind(root, &text_of(&module));
        words.intersection(&modules).filter(|module| *module != own).cloned().collect()
    };
    let mut imports: Imports = modules
        .iter()
        .filter(|module| *module != REGISTRY)
        .map(|module| (module.clone(), of(source().join(module), "crate", module)))
        .collect();
    imports.insert(REGISTRY.to_owned(), BTreeSet::new());
    for (program, folder) in [("launcher", "launcher"), ("preload library", "preload/src")] {
        imports.insert(program.to_owned(), of(source().join(folder), "epochsocks", ""));
    }
    imports
}

/// All that a module imports, itself or by others.
pub fn reached(imports: &Imports, module: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut left = vec![module];
    while let Some(next) = left.pop() {
        for other in imports.get(next).into_iter().flatten() {
            if reached.insert(other.clone()) {
                left.push(other);
            }
        }
    }
    reached
}

/// The modules that import themselves by others.
fn in_circles(imports: &Imports) -> Vec<&str> {
    let modules = imports.keys().map(String::as_str);
    modules.filter(|module| reached(imports, module).contains(*module)).collect()
}

#[test]
fn no_module_of_the_library_imports_one_that_imports_it() {
    let imports = imports();
    assert!(imports["sockets"].contains("registry"), "{imports:?}");
    assert_eq!(in_circles(&imports), Vec::<&str>::new());
}

#[test]
fn a_circle_is_found() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let imports =
        [("a", names(&["b"])), ("b", names(&["c"])), ("c", names(&["b"])), ("d", names(&[]))];
    let imports = imports.map(|(module, names)| (module.into(), names)).into();
    assert_eq!(in_circles(&imports), ["b", "c"]);
}

#[test]
fn imports_are_found_in_lists_and_paths() {
    let code = "use crate::sys::{self, Errno};\nuse crate::{bytes::Bytes, log, a::{b, c}};\ncrate::tor::dial()";
    let words: Vec<_> = behind("crate", code).into_iter().collect();
    assert_eq!(words, ["a", "bytes", "log", "sys", "tor"]);
}
