//! The file that is judged is the file that is executed, whatever stands between the two.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::support::process::{dynamic_linker, finish, probe, text};
use super::support::torify;
use super::{Sandbox, execute};

/// Plays `scene` of tests/probes/what_is_executed.c beside a program that can be protected and one
/// that can't.
fn play(scene: &str) {
    let sandbox = Sandbox::new(&format!("executed-{scene}"));
    sandbox.ends_with("a/prog", 42, &[]);
    sandbox.ends_with("b/prog", 77, &["-static"]);
    let mut command = torify(probe("what_is_executed"));
    let output = finish(command.arg(scene).current_dir(&sandbox.0), Duration::from_secs(60));
    let seen = text(&output);
    assert!(
        output.status.success() && seen.ends_with("done\n") || seen.contains("done\n"),
        "{seen}"
    );
}

#[test]
fn a_candidate_that_libc_goes_on_to_is_judged_too() {
    play("search");
}

#[test]
fn an_empty_part_of_path_is_the_working_directory() {
    play("directories");
}

#[test]
fn names_and_directories_that_are_too_long_are_no_way_past() {
    play("long-names");
}

#[test]
fn text_in_path_is_run_by_the_shell_or_not_at_all() {
    play("text");
}

/// promise: ld.so, which fails open
#[test]
fn descriptors_that_file_actions_make_are_those_that_count() {
    play("opened");
}

#[test]
fn a_relative_interpreter_is_looked_for_where_the_child_is() {
    play("directory-of-interpreter");
}

#[test]
fn a_check_is_answered_as_the_call_would_be() {
    play("check");
}

#[test]
fn file_actions_do_what_posix_says() {
    play("actions");
}

#[test]
fn spawn_attributes_do_what_posix_says() {
    play("attributes");
}

#[test]
fn an_exec_in_a_child_that_shares_memory_leaves_none_behind() {
    play("memory");
}

/// A static program is none of glibc's linkers, whatever its name and whatever it is asked.
#[test]
fn a_static_program_that_is_named_like_the_dynamic_linker_is_refused() {
    let sandbox = Sandbox::new("linker");
    for (name, flags) in [
        ("ld-linux.so", &["-static"][..]),
        ("ld-linux-x86-64.so.2", &["-static-pie", "-Wl,-soname,ld-linux-x86-64.so.2"]),
    ] {
        let program = sandbox.ends_with(name, 77, flags);
        for (mode, traces) in [
            ("--version", false),
            ("--list", false),
            ("--verify", false),
            ("--help", false),
            ("x", true),
        ] {
            let mut command = torify("sh");
            let script = format!("{} {mode} /bin/true; echo status $?", program.display());
            command.args(["-c", &script]);
            if traces {
                command.env("LD_TRACE_LOADED_OBJECTS", "1");
            }
            let script = command.get_args().nth(1).map(ToOwned::to_owned);
            let mut command = if traces {
                // The shell itself would only be listed.
                let mut command = torify("env");
                command.arg("LD_TRACE_LOADED_OBJECTS=1").arg(&program);
                command
            } else {
                command
            };
            let all = text(&finish(&mut command, Duration::from_secs(30)));
            assert!(all.contains("is statically linked"), "{script:?}: {all}");
        }
    }
}

/// Some ask it for its version so (uv).
#[test]
fn the_dynamic_linker_runs_without_a_program() {
    let linker = std::env::current_exe().ok().and_then(|own| interpreter(&own));
    let mut command = torify("sh");
    command.args(["-c", "$0; echo status $?"]).arg(linker.expect("a test is linked dynamically"));
    let all = text(&finish(&mut command, Duration::from_secs(30)));
    assert!(!all.contains("not executed") && !all.contains("status 126"), "{all}");
}

/// The dynamic linker that `program` asks for.
fn interpreter(program: &Path) -> Option<String> {
    let output = Command::new("readelf").arg("--program-headers").arg(program).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, rest) = text.split_once("program interpreter: ")?;
    rest.split(']').next().map(str::to_owned)
}

/// The kernel starts it in the program's place.
#[test]
fn a_program_whose_dynamic_linker_is_another_program_is_refused() {
    let sandbox = Sandbox::new("other-linker");
    let linker = sandbox.ends_with("ld-linux-x86-64.so.2", 77, &["-static-pie"]);
    let flag = format!("-Wl,--dynamic-linker={}", linker.display());
    let program = sandbox.ends_with("program", 42, &[&flag]);
    for form in ["execve", "execvp", "fexecve", "posix_spawn"] {
        let (ended, all) = execute(form, &program);
        assert_eq!(ended, super::EPERM, "{form}: {all}");
        assert!(all.contains("not glibc"), "{form}: {all}");
    }
}

#[test]
fn a_copy_of_the_dynamic_linker_is_one_under_any_name() {
    let sandbox = Sandbox::new("copied-linker");
    let linker = dynamic_linker();
    let script = format!("cp {linker} ./copy; ./copy --list /bin/sh; ./copy /bin/echo ran");
    let mut command = torify("sh");
    command.args(["-c", &script]).current_dir(&sandbox.0);
    let all = text(&finish(&mut command, Duration::from_secs(30)));
    assert!(all.contains("libc.so.6 =>"), "{all}");
    assert!(all.contains("is statically linked") && !all.contains("ran\n"), "{all}");
}

/// Shells and libraries try the name in each folder of PATH.
#[test]
fn a_refused_name_is_told_once_for_all_folders() {
    let sandbox = Sandbox::new("once");
    sandbox.ends_with("a/tool", 77, &["-static"]);
    sandbox.ends_with("b/tool", 77, &["-static"]);
    let mut command = torify("python3");
    let script = "import os\nfor folder in 'ab':\n try: os.execv(folder + '/tool', ['tool'])\n \
                  except PermissionError: pass";
    command.args(["-c", script]).current_dir(&sandbox.0);
    let all = text(&finish(&mut command, Duration::from_secs(30)));
    assert_eq!(all.matches("tool is statically linked").count(), 1, "{all}");
}

/// A child's standard error is what its file actions make it.
#[test]
fn the_reason_is_told_where_the_childs_standard_error_is_elsewhere() {
    let sandbox = Sandbox::new("told");
    let program = sandbox.ends_with("tool", 77, &["-static"]);
    let mut command = torify("python3");
    let script = "import os, sys\nnull = [(os.POSIX_SPAWN_OPEN, 2, '/dev/null', os.O_WRONLY, 0)]\n\
                  try: os.posix_spawn(sys.argv[1], ['tool'], os.environ, file_actions=null)\n\
                  except PermissionError: print('refused')";
    command.args(["-c", script]).arg(&program);
    let all = text(&finish(&mut command, Duration::from_secs(30)));
    assert!(all.contains("refused") && all.contains("tool is statically linked"), "{all}");
}
