//! Output of callgrind: one file for each dump, in its documented format.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The instructions that each named dump in `directory` spent in `library` itself.
pub fn counts(directory: &Path, library: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(directory).expect("a directory of ours");
    entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter_map(|text| {
            let name =
                text.lines().find_map(|l| l.strip_prefix("desc: Trigger: Client Request: "))?;
            Some((name.to_owned(), instructions(&text, &library.to_string_lossy())))
        })
        .collect()
}

/// The instructions in `library`, without those of the functions that it calls.
fn instructions(profile: &str, library: &str) -> u64 {
    let (mut number, mut inside, mut is_call, mut sum) = (None, false, false, 0);
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            // `(3) name` gives the object a number, `(3)` refers to it.
            let (id, name) = object.split_once(' ').unwrap_or((object, ""));
            if name == library {
                number = Some(id.to_owned());
            }
            inside = number.as_deref() == Some(id);
        } else if let Some(object) = line.strip_prefix("cob=") {
            if let Some((id, name)) = object.split_once(' ')
                && name == library
            {
                number = Some(id.to_owned());
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            // The line after a call holds what the callee spent.
            let own = !std::mem::take(&mut is_call) && inside;
            let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok());
            sum += cost.filter(|_| own).unwrap_or(0);
        }
    }
    sum
}

#[test]
fn only_the_librarys_own_instructions_are_counted() {
    let profile = "\
desc: Trigger: Client Request: close
ob=(1) /program
fn=(1) main
0 500
cob=(2) /library
cfn=(2) close
calls=100 0
0 9000
ob=(2)
fn=(2)
10 300
+5 400
cob=(3) /libc
cfn=(3) close
calls=100 0
* 7000
-2 50
ob=(3)
fn=(3)
0 7000
";
    assert_eq!(instructions(profile, "/library"), 750);
    assert_eq!(instructions(profile, "/nothing"), 0);
}
