//! The modules of the library import each other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Imports = BTreeMap<String, BTreeSet<String>>;

/// The code of a file without its comments and its unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Files whose module is compiled for tests only, as its parent declares it.
fn is_test_only(parent: &str, module: &str) -> bool {
    let declaration = format!("mod {module};");
    let lines: Vec<&str> = parent.lines().collect();
    let place = lines.iter().position(|line| line.trim_start().ends_with(&declaration));
    place.is_some_and(|place| {
        place > 0 && lines[place - 1].starts_with("#[cfg(") && lines[place - 1].contains("test")
    })
}

/// Adds the modules that the files below `directory` name by `crate::`.
fn collect(directory: &Path, module: &str, imports: &mut Imports) {
    let parent = fs::read_to_string(directory.join("mod.rs")).unwrap_or_default();
    for entry in fs::read_dir(directory).expect("a folder") {
        let path = entry.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if is_test_only(&parent, &name) {
            continue;
        }
        if path.is_dir() {
            collect(&path, module, imports);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for rest in code(&path).split("crate::").skip(1) {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
                imports.entry(module.into()).or_default().insert(rest[..end].into());
            }
        }
    }
}

/// The imports of each module of the library, by the name of its file or folder in `src`.
fn imports() -> Imports {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let library = fs::read_to_string(src.join("lib.rs")).expect("the library");
    let mut imports = Imports::new();
    for line in library.lines() {
        let Some(module) = line.strip_suffix(';').and_then(|line| line.split("mod ").nth(1)) else {
            continue;
        };
        imports.entry(module.into()).or_default();
        let folder = src.join(module);
        if folder.is_dir() {
            collect(&folder, module, &mut imports);
        }
        let file = src.join(format!("{module}.rs"));
        if file.exists() {
            for rest in code(&file).split("crate::").skip(1) {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
                imports.entry(module.into()).or_default().insert(rest[..end].into());
            }
        }
    }
    let known: BTreeSet<String> = imports.keys().cloned().collect();
    for (module, names) in &mut imports {
        names.retain(|name| known.contains(name) && name != module);
    }
    imports
}

/// A circle of modules, if there is one: modules that import nothing are taken away until none is left.
fn circle(mut imports: Imports) -> Vec<String> {
    loop {
        let grounded: BTreeSet<String> = imports
            .iter()
            .filter(|(_, names)| names.is_empty())
            .map(|(module, _)| module.clone())
            .collect();
        if grounded.is_empty() {
            return imports.into_keys().collect();
        }
        imports.retain(|module, _| !grounded.contains(module));
        for names in imports.values_mut() {
            names.retain(|name| !grounded.contains(name));
        }
    }
}

#[test]
fn no_module_of_the_library_imports_one_that_imports_it() {
    let imports = imports();
    assert!(imports["sockets"].contains("registry"), "{imports:?}");
    assert!(!imports["registry"].contains("sockets"), "{imports:?}");
    assert_eq!(circle(imports), Vec::<String>::new(), "modules of a circle, or above one");
}

#[test]
fn a_circle_is_found() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let imports =
        [("a", names(&["b"])), ("b", names(&["c"])), ("c", names(&["b"])), ("d", names(&[]))];
    let imports = imports.map(|(module, names)| (module.into(), names)).into();
    assert_eq!(circle(imports), ["a", "b", "c"]);
}
