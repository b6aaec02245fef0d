//! Libraries that connect by system calls of their own, and how a program comes by them:
//! tests/probes/direct_calls.c, tests/probes/linked.c.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::hosts_file::with_file;
use crate::support::process::{finish, probe_as, text};
use crate::support::torify;

/// Tells whether `command` was ended because of the library.
#[track_caller]
fn is_not_run(command: &mut Command) {
    let output = finish(command, Duration::from_secs(30));
    let seen = text(&output);
    let reason = "libdirect.so, which connects by system calls of its own";
    assert!(
        output.status.code() == Some(126) && seen.contains(reason),
        "{}: {seen}",
        output.status
    );
}

/// tests/probes/linked.c, which loads the library `name`.
fn loader(program: &Path, name: &str) -> Command {
    let mut command = torify(program);
    command.arg(name).env("EPOCHSOCKS_LOG_LEVEL", "1");
    command
}

/// Lets tests/probes/linked.c load the library `name`; returns what it prints.
fn loads(program: &Path, name: &str, folder: Option<&str>) -> String {
    let mut command = loader(program, name);
    if let Some(folder) = folder {
        command.env("LD_LIBRARY_PATH", folder);
    }
    printed(&mut command)
}

fn printed(command: &mut Command) -> String {
    String::from_utf8_lossy(&finish(command, Duration::from_secs(30)).stdout).into_owned()
}

/// Library that connects so, beside the programs.
fn library() -> PathBuf {
    probe_as("libdirect.so", "direct_calls", &["-O2", "-shared", "-fPIC"])
}

fn folder_of(library: &Path) -> &str {
    library.parent().and_then(Path::to_str).expect("a folder with a plain name")
}

/// Program or library of tests/probes/linked.c, linked to the library as `flags` say.
fn linked(name: &'static str, flags: &[&'static str]) -> PathBuf {
    let folder: &'static str = format!("-L{}", folder_of(&library())).leak();
    let mut all = vec!["-DLINKED", "-Wl,--no-as-needed", folder, "-ldirect"];
    all.extend(flags);
    probe_as(name, "linked", &all)
}

#[test]
fn a_program_that_is_linked_to_such_a_library_is_not_run() {
    for (name, flag) in [
        ("linked_runpath", "-Wl,--enable-new-dtags,-rpath,$ORIGIN"),
        ("linked_rpath", "-Wl,--disable-new-dtags,-rpath,$ORIGIN"),
    ] {
        is_not_run(&mut torify(linked(name, &[flag])));
    }
    let program = linked("linked_bare", &[]);
    is_not_run(torify(program).env("LD_LIBRARY_PATH", folder_of(&library())));
}

#[test]
fn a_library_that_is_preloaded_is_judged_as_one_that_is_linked_to() {
    is_not_run(torify("true").env("LD_PRELOAD", library()));
}

#[test]
fn such_a_library_is_not_loaded_by_its_name() {
    let own = probe_as("loader_runpath", "linked", &["-Wl,-rpath,$ORIGIN"]);
    let bare = probe_as("loader", "linked", &[]);
    let folder = folder_of(&library()).to_owned();
    for seen in [
        loads(&own, "libdirect.so", None),
        loads(&bare, "libdirect.so", Some(&folder)),
        loads(&bare, "libdirect.so", Some(&format!("/nonexistent:{folder}"))),
    ] {
        assert!(seen.contains("/dev/null/epochsocks"), "{seen}");
    }
    // Another library of that folder is none of these.
    probe_as("libharmless.so", "linked", &["-shared", "-fPIC"]);
    assert_eq!(loads(&bare, "libharmless.so", Some(&folder)), "ran\n");
}

/// As those in /usr/local/lib, which a line of /etc/ld.so.conf names.
#[test]
fn such_a_library_is_not_loaded_by_its_name_from_the_systems_cache() {
    let program = probe_as("loader", "linked", &[]);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cached-libraries");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    for (name, original) in [
        ("libcacheddirect.so", library()),
        ("libcachedharmless.so", probe_as("libharmless.so", "linked", &["-shared", "-fPIC"])),
    ] {
        std::fs::copy(original, folder.join(name)).expect("a library can be copied");
    }
    let (list, cache) = (folder.join("list"), folder.join("cache"));
    std::fs::write(&list, folder.to_str().expect("a plain name")).expect("a file can be written");
    let mut ldconfig = Command::new("ldconfig");
    ldconfig.env("PATH", "/sbin:/usr/sbin").arg("-X").arg("-C").arg(&cache).arg("-f").arg(&list);
    assert!(ldconfig.status().is_ok_and(|status| status.success()), "{ldconfig:?}");
    for (name, expected) in
        [("libcacheddirect.so", "/dev/null/epochsocks"), ("libcachedharmless.so", "ran\n")]
    {
        let with = with_file(&loader(&program, name), &cache, "/etc/ld.so.cache");
        let Some(mut command) = with else { return };
        let seen = printed(&mut command);
        assert!(seen.contains(expected), "{name}: {seen}");
    }
}

#[test]
fn a_library_that_needs_such_a_library_is_not_loaded() {
    let needing = linked("libneeding.so", &["-shared", "-fPIC", "-Wl,-rpath,$ORIGIN"]);
    let loader = probe_as("loader_runpath", "linked", &["-Wl,-rpath,$ORIGIN"]);
    for name in [needing.to_str().expect("a plain name"), "libneeding.so"] {
        let seen = loads(&loader, name, None);
        assert!(seen.contains("/dev/null/epochsocks"), "{seen}");
    }
}
