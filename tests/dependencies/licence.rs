//! Licence expressions (SPDX), as far as crates use them.

/// Tells whether a licence made of `allowed` ones satisfies `expression`: one side of each `OR`,
/// both of each `AND`. Old crates write `/` for `OR`.
pub fn permits(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let permitted = either(&mut words, allowed);
    permitted && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut permitted = both(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        permitted |= both(words, allowed);
    }
    permitted
}

fn both(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut permitted = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        permitted &= one(words, allowed);
    }
    permitted
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    match words.next() {
        Some("(") => {
            let permitted = either(words, allowed);
            permitted && words.next_if_eq(&")").is_some()
        }
        Some(name) => {
            // An exception only adds permissions.
            if words.next_if_eq(&"WITH").is_some() {
                words.next();
            }
            allowed.contains(&name)
        }
        None => false,
    }
}

#[test]
fn a_licence_expression_needs_one_side_of_or_and_both_of_and() {
    let permitted = |expression| permits(expression, &["MIT", "Unicode-3.0"]);
    for expression in [
        "MIT",
        "GPL-2.0 OR MIT",
        "MIT/Apache-2.0",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "GPL-2.0 AND BSD OR MIT",
        "MIT WITH LLVM-exception",
    ] {
        assert!(permitted(expression), "{expression}");
    }
    for expression in ["", "GPL-2.0", "MIT AND GPL-2.0", "(MIT", "MIT)", "MIT GPL-2.0", "OR MIT"] {
        assert!(!permitted(expression), "{expression}");
    }
}
