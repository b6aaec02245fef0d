//! Programs that can't be protected are not run: status 126, one line, no output of theirs.

use std::path::Path;
use std::process::Command;

use crate::sandbox::{Sandbox, outcome};
use crate::support::process::search_path;
use crate::support::skip::skip;

#[test]
fn a_dynamic_program_runs() {
    let sandbox = Sandbox::new();
    sandbox.run([sandbox.program("dynamic", &[])]).assert_ran();
    sandbox.run([sandbox.program("fixed", &["-no-pie"])]).assert_ran();
}

/// promise: static programs, Go programs
/// promise: Code that does not call the C library
#[test]
fn static_programs_are_refused_position_independent_or_not() {
    let sandbox = Sandbox::new();
    for flags in [["-static", "-no-pie"], ["-static-pie", "-fPIE"]] {
        let program = sandbox.program("static", &flags);
        sandbox.run_alone(&program).assert_ended(126, &["/static is statically linked", "not run"]);
    }
}

/// promise: setuid programs
#[test]
fn set_id_programs_are_refused() {
    let sandbox = Sandbox::new();
    let program = sandbox.program_with_mode("setuid", 0o4755);
    sandbox.run([program]).assert_ended(126, &["/setuid is setuid"]);
    let program = sandbox.program_with_mode("setgid", 0o2755);
    sandbox.run([program]).assert_ended(126, &["/setgid is setgid"]);
}

#[test]
fn a_program_with_file_capabilities_is_refused() {
    let sandbox = Sandbox::new();
    let program = sandbox.program("capable", &[]);
    if !give_capabilities(&program) {
        return skip("setcap is missing or not permitted");
    }
    sandbox.run([program]).assert_ended(126, &["/capable has file capabilities"]);
}

/// A user other than root can give those of a user namespace of his own.
fn give_capabilities(program: &Path) -> bool {
    let setcap = ["setcap", "cap_net_bind_service=ep"];
    let in_namespace = [&["unshare", "--user", "--map-root-user"], &setcap[..]].concat();
    [&setcap[..], &in_namespace].into_iter().any(|words| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(program).env("PATH", search_path());
        command.output().is_ok_and(|output| output.status.success())
    })
}

/// promise: static programs, Go programs
/// promise: Code that does not call the C library
#[test]
fn go_programs_are_refused_static_or_dynamic_stripped_or_not() {
    let sandbox = Sandbox::new();
    sandbox.file("main.go", "package main\nfunc main() { println(\"ran\") }\n", 0o644);
    let dynamic =
        "package main\n// void nothing(void) {}\nimport \"C\"\nfunc main() { C.nothing() }\n";
    sandbox.file("dynamic.go", dynamic, 0o644);
    for (source, cgo, linker) in [("main.go", "0", "-s -w"), ("dynamic.go", "1", "")] {
        let mut go = Command::new("go");
        go.args(["build", "-ldflags", linker, "-o", "program", source]);
        go.current_dir(&sandbox.path).env("CGO_ENABLED", cgo).env("GO111MODULE", "off");
        go.env("GOCACHE", sandbox.path.join("cache"));
        if !go.status().is_ok_and(|status| status.success()) {
            return skip("there is no working Go compiler");
        }
        let program = sandbox.path.join("program");
        sandbox.run_alone(program).assert_ended(126, &["/program is a Go program"]);
    }
}

/// promise: systems other than Linux with glibc on 64 bits
#[test]
fn programs_for_another_word_size_processor_or_c_library_are_refused() {
    let sandbox = Sandbox::new();
    let native = std::fs::read(sandbox.program("native", &[])).unwrap();
    let mut small = native.clone();
    small[4] = 1;
    let small = sandbox.file("small", small, 0o755);
    sandbox.run([small]).assert_ended(126, &["/small is a 32-bit program"]);
    let mut foreign = native;
    foreign[18..20].copy_from_slice(&[21, 0]);
    let foreign = sandbox.file("foreign", foreign, 0o755);
    sandbox.run([foreign]).assert_ended(126, &["/foreign is a program for another processor"]);
    let musl = sandbox.program("musl", &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"]);
    sandbox
        .run_alone(musl)
        .assert_ended(126, &["/musl is linked to a C library that is not glibc"]);
}

#[test]
fn a_program_that_can_not_be_read_is_refused() {
    let sandbox = Sandbox::new();
    let program = sandbox.program_with_mode("secret", 0o111);
    let mut launcher = sandbox.without_capabilities();
    outcome(launcher.arg(program))
        .assert_ended(126, &["/secret can't be read, so it can't be known"]);
}

#[test]
fn damaged_programs_and_other_formats_are_refused() {
    let sandbox = Sandbox::new();
    let cut = sandbox.file("cut", &std::fs::read("/bin/sh").unwrap()[..100], 0o755);
    sandbox.run([cut]).assert_ended(126, &["/cut is neither an ELF program nor a script"]);
    let archive = sandbox.file("archive", b"PK\x03\x04\0\0\0\0", 0o755);
    sandbox.run([archive]).assert_ended(126, &["/archive is neither an ELF program nor a script"]);
}

#[test]
fn scripts_run_if_their_interpreters_can_be_protected() {
    let sandbox = Sandbox::new();
    let script = sandbox.script("script", "#!/bin/sh");
    sandbox.run([&script]).assert_ran();
    let nested = sandbox.script("nested", &format!("#! {}", script.display()));
    sandbox.run([nested]).assert_ran();
    sandbox.run([sandbox.script("by-env", "#!/usr/bin/env sh")]).assert_ran();
    sandbox.run([sandbox.script("text", "")]).assert_ran();
}

#[test]
fn the_interpreter_of_a_script_is_checked_and_named() {
    let sandbox = Sandbox::new();
    let program = sandbox.program("static", &["-static"]);
    let interpreter = format!("its interpreter {} is statically linked", program.display());
    let script = sandbox.script("script", &format!("#!{}", program.display()));
    sandbox.run_alone(&script).assert_ended(126, &["/script: ", &interpreter]);
    let nested = sandbox.script("nested", &format!("#!{}", script.display()));
    sandbox.run_alone(nested).assert_ended(126, &["/nested: ", &interpreter]);
    let missing = sandbox.script("missing", "#!/nonexistent/sh");
    sandbox.run([missing]).assert_ended(126, &["interpreter /nonexistent/sh", "No such file"]);
}

#[test]
fn the_program_behind_env_is_checked_and_named() {
    let sandbox = Sandbox::new();
    sandbox.program("fixed", &["-static"]);
    let script = sandbox.script("script", "#!/usr/bin/env fixed");
    let mut launcher = sandbox.launcher();
    launcher
        .arg("--no-redirect")
        .arg(script)
        .env("PATH", format!("/bin:{}", sandbox.path.display()));
    let parts = ["/script runs ", "/fixed is statically linked"];
    outcome(&mut launcher).assert_ended(126, &parts);
}
