//! No function that glibc exports reaches the network, a resolver or an exec past the hooks.
//!
//! Machine code is read, not source: what a newer glibc adds is seen. From every exported function
//! that has no hook the calls inside the library are followed; none may lead to a system call that
//! makes a socket, connects, sends or executes, nor into a function that has a hook for that reason,
//! unless [`allowed`] says why that is harmless.
//!
//! - [`library`]: one library's exports, functions and calls, as binutils print them
//! - [`walk`]: what is reached from where
//! - [`allowed`]: what reaches something harmless, with reasons
//!
//! `EPOCHSOCKS_GLIBC` names the folder of another glibc's libraries, which is looked at in place of
//! this machine's.
#![cfg(target_arch = "x86_64")]

#[path = "../support/mod.rs"]
mod support;

mod allowed;
mod library;
#[path = "../hooks/table.rs"]
#[allow(dead_code, reason = "names alone matter here")]
mod table;
mod walk;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use library::Library;
use support::skip;
use walk::Walk;

/// glibc's libraries that reach the network or are made to, libc first: the others call it.
const LIBRARIES: [&str; 9] = [
    "libc.so.6",
    "libresolv.so.2",
    "libanl.so.1",
    "libnsl.so.1",
    "libnss_compat.so.2",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libnss_hesiod.so.2",
    // Not glibc's, but it enters the kernel as glibc does.
    "liburing.so.2",
];

/// Directories of the libraries.
fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("EPOCHSOCKS_GLIBC") {
        return folder.into();
    }
    let maps = fs::read_to_string("/proc/self/maps").expect("a process can read its own");
    let libc = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6")).expect("a libc");
    Path::new(libc).parent().expect("a folder").to_owned()
}

fn hooked() -> BTreeSet<&'static str> {
    table::HOOKS.iter().map(|hook| hook.symbol).collect()
}

#[test]
fn no_exported_function_of_glibc_leads_past_the_hooks() {
    let missing = skip::missing(&["objdump", "readelf"]);
    if !missing.is_empty() {
        return skip::skip(&format!("not installed: {}", missing.join(", ")));
    }
    let hooked = hooked();
    let mut walk = Walk::new(&hooked);
    let mut found = Vec::new();
    for name in LIBRARIES {
        let path = folder().join(name);
        if !path.exists() {
            assert_ne!(name, "libc.so.6", "no glibc in {}", folder().display());
            continue;
        }
        let library = Library::read(&path);
        assert!(name != "libc.so.6" || library.exports.len() > 2_000, "too few exports are read");
        found.extend(walk.add(&library).iter().map(|reached| format!("{name}: {reached}")));
    }
    assert!(walk.sinks() > 20, "the walk knows only {} functions to find", walk.sinks());
    assert!(
        found.is_empty(),
        "{} functions lead past the hooks:\n{}",
        found.len(),
        found.join("\n")
    );
}
