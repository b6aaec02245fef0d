//! The lists of modules and pages name all of them.

use std::path::Path;

use epochsocks::registry::VARIANTS;

use crate::{root, texts};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_maps_have_every_module() {
    let library = read("src/lib.rs");
    let design = read("design/README.md");
    let (_, design) = design.split_once("## The modules").expect("the section");
    let (design, _) = design.split_once("\n## ").unwrap_or((design, ""));
    let modules = library.lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
    for module in modules {
        let has_row = |row: &str| library.contains(&format!("//! | {row} |"));
        let has_it = has_row(&format!("[`{module}`]")) || has_row(&format!("`{module}`"));
        assert!(has_it, "src/lib.rs' table: {module}");
        let has_it =
            design.split(|it: char| !it.is_alphanumeric() && it != '_').any(|it| it == module);
        assert!(has_it, "design/README.md's list: {module}");
    }
}

/// Modules that `text` declares in files of their own, but for those of tests and models alone.
fn declared(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let name = |line: &'_ str| -> Option<usize> {
        let start = line.find("mod ")? + 4;
        let is_visible = matches!(line[..start - 4].trim_end(), "" | "pub" | "pub(crate)");
        (is_visible && line.ends_with(';')).then_some(start)
    };
    let is_for_tests = |line: &&str| line.starts_with("#[cfg(") && line.contains("test");
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let attributes = lines[..number].iter().rev().take_while(|line| line.starts_with("#["));
        if let Some(start) = name(line)
            && !attributes.clone().any(|line| is_for_tests(line) || line.starts_with("#[path"))
        {
            found.push(&line[start..line.len() - 1]);
        }
    }
    found
}

#[test]
fn the_head_of_a_folder_names_its_files() {
    let mut wrong = Vec::new();
    for source in texts(&["src"], &["rs"]) {
        let modules = declared(&source.text);
        let head: Vec<_> = source.text.lines().filter(|line| line.starts_with("//!")).collect();
        let head = head.join("\n");
        let is_word = |it: char| it.is_alphanumeric() || it == '_';
        let is_named = |module: &&str| head.split(|it| !is_word(it)).any(|it| it == *module);
        if modules.len() > 2 {
            let missing = modules.into_iter().filter(|module| !is_named(module));
            wrong.extend(missing.map(|module| format!("{}: {module}", source.path.display())));
        }
    }
    assert!(
        wrong.is_empty(),
        "say in the head of each what the module is for:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_modules_of_a_file_are_those_that_it_ships() {
    let text = "mod one;\n#[cfg(test)]\nmod tests;\npub mod two;\n#[path = \"x86_64.rs\"]\nmod arch;\nmod three {}\n";
    assert_eq!(declared(text), ["one", "two"]);
}

#[test]
fn the_table_of_backends_has_every_backend_once() {
    let page = read("design/registry.md");
    let (_, section) = page.split_once("## 8. The other backends").expect("the section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let mut named: Vec<_> = rows.collect();
    let mut expected: Vec<_> = VARIANTS.iter().map(|variant| variant.name).collect();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
}

#[test]
fn the_lists_of_pages_have_every_page() {
    for (folder, list) in [("design", "design/README.md"), ("design/manual", "README.md")] {
        let list = read(list);
        for page in texts(&[folder], &["md"]) {
            let name = page.path.file_name().expect("a file");
            let is_listed = list.contains(&format!("{})", Path::new(name).display()));
            let is_in = |folder: &str| page.path.starts_with(folder);
            let is_other = is_in("design/report") || name == "README.md";
            let is_other = is_other || folder == "design" && is_in("design/manual");
            assert!(is_listed || is_other, "{} is in no list", page.path.display());
        }
    }
}
