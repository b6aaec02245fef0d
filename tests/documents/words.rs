//! The words of comments and documents.

use crate::{Text, documents, place, texts};

/// Words that have another meaning elsewhere, and the field's word for each.
const METAPHORS: &[(&str, &str)] = &[
    ("aloft", "in flight"),
    ("baton", "run lock"),
    ("behind our back", "by a raw system call"),
    ("forsake", "name what is given up"),
    ("heir", "child"),
    ("landed", "done"),
    ("rooms", "modules"),
    ("scrub", "undo"),
    ("stranger", "untracked"),
    ("strangers", "untracked"),
    ("theatre", "name the thing"),
];

fn sources() -> Vec<Text> {
    let mut found = texts(&["src", "tests", "benches"], &["rs", "c", "h", "py"]);
    // This list.
    found.retain(|text| !text.path.ends_with(file!()));
    found
}

/// The comment on a line: behind `//` (with `/` or `!`), `/*`, `#` or the quotes of a docstring.
fn comment(line: &str) -> Option<&str> {
    let starts = ["//", "/*", "# ", "\"\"\""];
    let (_, comment) = starts.iter().find_map(|start| line.split_once(start))?;
    Some(comment.trim_start_matches(['/', '!', '*']).trim())
}

/// The text of a line that holds nothing but a doc comment, or begins a comment of C or a docstring.
fn doc_comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let starts = ["///", "//!", "/*", "\"\"\""];
    starts.iter().find_map(|start| line.strip_prefix(start)).map(str::trim)
}

/// Tells whether `text`, in lower case, has `word` with no letter at either side.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, _)| {
        let is_letter = |it: char| it.is_alphanumeric();
        !text[..start].ends_with(is_letter) && !text[start + word.len()..].starts_with(is_letter)
    })
}

#[test]
fn doc_comments_begin_with_a_noun_or_a_verb() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let first = doc_comment(line).and_then(|text| text.split(' ').next());
            if matches!(
                first,
                Some(
                    "What"
                        | "When"
                        | "Where"
                        | "Whether"
                        | "Which"
                        | "Who"
                        | "Whoever"
                        | "Why"
                        | "How"
                )
            ) {
                wrong.push(format!("{}: {}", place(&source, number), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "begin with a noun or a verb:\n{}", wrong.join("\n"));
}

#[test]
fn comments_and_documents_use_the_fields_words() {
    let mut wrong = Vec::new();
    let mut check = |text: &Text, number: usize, line: &str| {
        let line = line.to_lowercase();
        for (word, instead) in METAPHORS {
            if has_word(&line, word) {
                wrong.push(format!("{}: {word:?}, better: {instead}", place(text, number)));
            }
        }
    };
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(comment) = comment(line) {
                check(&source, number, comment);
            }
        }
    }
    for document in documents() {
        for (number, line) in document.text.lines().enumerate() {
            check(&document, number, line);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("the baton is given back.", "baton"));
    assert!(has_word("give_back(baton)", "baton"));
    assert!(!has_word("their", "heir"));
    assert_eq!(comment("let x = 1; // baton"), Some("baton"));
    assert_eq!(doc_comment("    /// What it does."), Some("What it does."));
    assert_eq!(doc_comment("let x = 1; /// no"), None);
}
