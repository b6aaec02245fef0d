//! The picture of the modules in design/README.md is made from what the sources import.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use crate::imports::{Imports, imports, reached};
use crate::root;

const PICTURE: &str = "design/modules.svg";
const RENEW: &str = "EPOCHSOCKS_BLESS=1 cargo test --test documents picture";

/// Sizes in pixels.
const WIDTH: usize = 900;
const BOX: (usize, usize) = (112, 30);
const ROW: usize = 82;
const TOP: usize = 16;

/// The row of each module: above all that it imports.
fn rows(imports: &Imports) -> BTreeMap<String, usize> {
    let mut rows: BTreeMap<String, usize> =
        imports.keys().map(|module| (module.clone(), 0)).collect();
    // As many rounds as there are modules are enough.
    for _ in imports {
        for (module, others) in imports {
            let row = others.iter().map(|other| rows[other] + 1).max().unwrap_or(0);
            rows.insert(module.clone(), row);
        }
    }
    rows
}

/// The imports that follow from no others.
fn drawn(imports: &Imports) -> Vec<(String, String)> {
    let mut drawn = Vec::new();
    for (module, others) in imports {
        for other in others {
            let is_implied = others
                .iter()
                .any(|third| third != other && reached(imports, third).contains(other));
            if !is_implied {
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
