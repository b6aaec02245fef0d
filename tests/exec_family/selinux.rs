//! A change of the SELinux domain by the policy's own rules, under the policy selinux.conf.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::support;
use super::support::preload::launcher;
use super::support::process::{finish, text};
use super::support::skip::note;
use super::{NOT_EXECUTED, Sandbox};

/// Says the domain, and whether the library is loaded.
const LOOK: &str = "read -r domain </proc/self/attr/current; library=unprotected\n\
    while read -r line; do case $line in *libepochsocks*) library=protected;; esac; done </proc/self/maps\n\
    echo \"$domain $library\"\n";

/// A sandbox with a copy of the library; `None` where the kernel has not the policy of these tests.
fn sandbox(name: &str) -> Option<Sandbox> {
    let own = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    if own.trim_end_matches('\0') != "users:tests:outer" {
        note("it needs a kernel with the policy tests/exec_family/selinux.conf");
        return None;
    }
    let sandbox = Sandbox::new(name);
    let library = sandbox.0.join("libepochsocks_preload.so");
    fs::copy(support::preload_library(), &library).expect("the library can be copied");
    label(&library, "library");
    Some(sandbox)
}

fn label(file: &Path, kind: &str) {
    let path = CString::new(file.as_os_str().as_bytes()).expect("a path");
    let context = format!("users:object_r:{kind}");
    // SAFETY: both strings end with a NUL, and the value is as long as it says.
    let set = unsafe {
        let name = c"security.selinux".as_ptr();
        libc::setxattr(path.as_ptr(), name, context.as_ptr().cast(), context.len(), 0)
    };
    assert_eq!(set, 0, "{context}: {}", std::io::Error::last_os_error());
}

/// A copy of the shell with the label `kind`.
fn shell(sandbox: &Sandbox, kind: &str) -> PathBuf {
    let program = sandbox.0.join(kind);
    fs::copy("/bin/sh", &program).expect("the shell can be copied");
    label(&program, kind);
    program
}

/// Words of the shell `program` about itself, and how a shell under the launcher with `flag` executed it.
fn executed(sandbox: &Sandbox, flag: &str, program: &Path) -> String {
    let mut command = launcher();
    command.env("EPOCHSOCKS_LIBRARY", sandbox.0.join("libepochsocks_preload.so"));
    command.args([flag, "/bin/sh", "-c", "\"$0\" -c \"$1\"; echo \"status $?\""]);
    text(&finish(command.arg(program).arg(LOOK), Duration::from_secs(60)))
}

#[test]
fn a_program_is_executed_in_another_domain_only_with_the_library() {
    let Some(sandbox) = sandbox("domains") else { return };
    let run = |kind| executed(&sandbox, "--no-backstop", &shell(&sandbox, kind));
    let all = run("other_file");
    assert!(all.contains("users:tests:outer protected") && all.contains("status 0"), "{all}");
    let all = run("kept_program");
    assert!(all.contains("users:tests:kept protected") && all.contains("status 0"), "{all}");
    for kind in ["secure_program", "secure_without_privileges_program", "blind_program"] {
        let all = run(kind);
        assert!(all.contains(NOT_EXECUTED) && !all.contains("users:tests"), "{kind}: {all}");
        assert!(all.contains("in another security domain"), "{kind}: {all}");
    }
}

/// The label of the script decides, not that of its interpreter.
#[test]
fn a_scripts_own_domain_counts() {
    let Some(sandbox) = sandbox("scripts") else { return };
    let look = format!("#!/bin/sh\n{LOOK}");
    let [secure, kept] = ["secure_program", "kept_program"].map(|kind| {
        let script = sandbox.script(kind, &look);
        label(&script, kind);
        script
    });
    assert!(executed(&sandbox, "--no-backstop", &secure).contains(NOT_EXECUTED));
    let all = executed(&sandbox, "--no-backstop", &kept);
    assert!(all.contains("users:tests:kept protected"), "{all}");
    let interpreter = shell(&sandbox, "secure_program");
    let script = sandbox.script("script", &format!("#!{}\n{LOOK}", interpreter.display()));
    let all = executed(&sandbox, "--no-backstop", &script);
    assert!(all.contains("users:tests:outer protected"), "{all}");
}

/// Under the backstop there are no new privileges, for which the policy lets one domain be entered.
#[test]
fn a_program_that_the_backstop_keeps_in_its_domain_is_executed() {
    let Some(sandbox) = sandbox("backstop") else { return };
    let run = |kind| executed(&sandbox, "--backstop=1", &shell(&sandbox, kind));
    for kind in ["secure_program", "blind_program"] {
        let all = run(kind);
        assert!(all.contains("users:tests:outer protected"), "{kind}: {all}");
    }
    assert!(run("secure_without_privileges_program").contains(NOT_EXECUTED));
}

#[test]
fn the_launcher_judges_the_domain_of_its_program() {
    let Some(sandbox) = sandbox("launcher") else { return };
    for (flag, kind, expected) in [
        ("--no-backstop", "secure_program", "in another security domain"),
        ("--no-backstop", "kept_program", "users:tests:kept protected"),
        ("--backstop=1", "secure_program", "users:tests:outer protected"),
        ("--backstop=1", "secure_without_privileges_program", "in another security domain"),
    ] {
        let mut command = launcher();
        command.env("EPOCHSOCKS_LIBRARY", sandbox.0.join("libepochsocks_preload.so"));
        command.arg(flag).arg(shell(&sandbox, kind)).args(["-c", LOOK]);
        let all = text(&finish(&mut command, Duration::from_secs(60)));
        assert!(all.contains(expected), "{flag} {kind}: {all}");
    }
}
