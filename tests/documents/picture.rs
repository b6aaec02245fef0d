//! The picture of the modules in design/README.md is made from what the sources import.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// The imports of each module.
type Imports = BTreeMap<String, BTreeSet<String>>;

const PICTURE: &str = "design/modules.svg";
const RENEW: &str = "EPOCHSOCKS_BLESS=1 cargo test --test documents picture";

/// Sizes in pixels.
const WIDTH: usize = 900;
const BOX: (usize, usize) = (112, 30);
const ROW: usize = 82;
const TOP: usize = 16;

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

/// The modules of the library, and the two programs above them.
fn imports() -> Imports {
    let head = fs::read_to_string(source().join("lib.rs")).expect("the library has a head");
    let modules: BTreeSet<_> = head
        .lines()
        .filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    let of = |module: PathBuf, root: &str, own: &str| -> BTreeSet<String> {
        let words = behind(root, &text_of(&module));
        words.intersection(&modules).filter(|module| *module != own).cloned().collect()
    };
    let mut imports: Imports = modules
        .iter()
        .map(|module| (module.clone(), of(source().join(module), "crate", module)))
        .collect();
    for (program, folder) in [("launcher", "launcher"), ("preload library", "preload/src")] {
        imports.insert(program.to_owned(), of(source().join(folder), "epochsocks", ""));
    }
    imports
}

/// All that a module imports, itself or by others.
fn reached(imports: &Imports, module: &str) -> BTreeSet<String> {
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

/// The row of each module: above all that it imports, but beside those that import it as well.
fn rows(imports: &Imports) -> BTreeMap<String, usize> {
    let reach: BTreeMap<_, _> =
        imports.keys().map(|module| (module, reached(imports, module))).collect();
    let mut rows: BTreeMap<String, usize> =
        imports.keys().map(|module| (module.clone(), 0)).collect();
    // As many rounds as there are modules are enough.
    for _ in imports {
        for (module, others) in imports {
            let below = others.iter().filter(|other| !reach[other].contains(module));
            let least = below.map(|other| rows[other] + 1).max().unwrap_or(0);
            let beside = others.iter().filter(|other| reach[other].contains(module));
            let beside = beside.map(|other| rows[other]).max().unwrap_or(0);
            let row = least.max(beside).max(rows[module]);
            rows.insert(module.clone(), row);
        }
    }
    rows
}

/// The imports that follow from no others, and those of a circle.
fn drawn(imports: &Imports) -> Vec<(String, String)> {
    let mut drawn = Vec::new();
    for (module, others) in imports {
        for other in others {
            let is_circle = reached(imports, other).contains(module);
            let is_implied = others.iter().any(|third| {
                third != other && reached(imports, third).contains(other) && third != module
            });
            if is_circle || !is_implied {
                drawn.push((module.clone(), other.clone()));
            }
        }
    }
    drawn
}

const STYLE: &str = "text { font: 13px system-ui, sans-serif; fill: #1b1b1a; text-anchor: middle; }\n\
    rect { fill: #fcfcfb; stroke: #8a8984; } .ours { fill: #e4edfb; stroke: #0b57c2; stroke-width: 1.6; }\n\
    path { fill: none; stroke: #8a8984; stroke-width: 1.1; }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #ecebe6; } rect { fill: #1e1e1d; stroke: #7d7b75; }\n\
    .ours { fill: #16284a; stroke: #6aa8ff; } path { stroke: #7d7b75; } }\n";

fn picture(imports: &Imports) -> String {
    let rows = rows(imports);
    let last = rows.values().copied().max().unwrap_or(0);
    let mut places = BTreeMap::new();
    for row in 0..=last {
        let modules: Vec<_> = imports.keys().filter(|module| rows[*module] == row).collect();
        for (index, module) in modules.iter().enumerate() {
            let x = WIDTH * (2 * index + 1) / (2 * modules.len());
            // Every other one a little lower, so that lines pass between.
            let y = TOP + (last - row) * ROW + index % 2 * 14;
            places.insert(*module, (x, y));
        }
    }
    let height = TOP + last * ROW + BOX.1 + 14 + TOP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"t\">\n<title id=\"t\">Each module of the library, below the launcher and the \
         preload library; a line leads from a module down to one that it imports. Lines that follow \
         from others are left out.</title>\n<style>\n{STYLE}</style>\n"
    );
    for (module, other) in drawn(imports) {
        let ((x, y), (to_x, to_y)) = (places[&module], places[&other]);
        let (y, to_y) = match y < to_y {
            true => (y + BOX.1, to_y),
            // Beside it or above, in a circle.
            false => (y + BOX.1 / 2, to_y + BOX.1 / 2),
        };
        let bend = (y + to_y) / 2;
        writeln!(svg, "<path d=\"M{x} {y}C{x} {bend} {to_x} {bend} {to_x} {to_y}\"/>").unwrap();
    }
    for (module, (x, y)) in places {
        let class = if module.contains("launcher") || module.contains(' ') {
            " class=\"ours\""
        } else {
            ""
        };
        let (left, text) = (x - BOX.0 / 2, y + 20);
        writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"6\"{class}/>\
             <text x=\"{x}\" y=\"{text}\">{module}</text>",
            BOX.0, BOX.1
        )
        .unwrap();
    }
    svg + "</svg>\n"
}

#[test]
fn the_picture_of_the_modules_equals_the_imports() {
    let path = root().join(PICTURE);
    let picture = picture(&imports());
    if std::env::var_os("EPOCHSOCKS_BLESS").is_some() {
        fs::write(path, picture).expect("the checkout can be written");
        return;
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == picture, "{PICTURE} is stale; `{RENEW}` renews it");
}

#[test]
fn imports_are_found_in_lists_and_paths() {
    let code = "use crate::sys::{self, Errno};\nuse crate::{bytes::Bytes, log, a::{b, c}};\ncrate::tor::dial()";
    let words: Vec<_> = behind("crate", code).into_iter().collect();
    assert_eq!(words, ["a", "bytes", "log", "sys", "tor"]);
}
