//! Programs that can't be protected, and may run all the same because they speak no IP.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::support::process::{finish, probe, text};
use super::support::torify;
use super::{EPERM, Sandbox};

/// Lets the probe execute `program` by `form`, with `list` as UnprotectedHelpers, and tells how it
/// ended.
fn execute(form: &str, program: &Path, list: &str) -> (String, String) {
    let mut command = torify(probe("exec_family"));
    command.arg(form).arg(program).env("EPOCHSOCKS_UNPROTECTED_HELPERS", list);
    let output = finish(command.env("EPOCHSOCKS_LOG_LEVEL", "4"), Duration::from_secs(30));
    let stdout = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    (stdout, text(&output))
}

/// Forms that execute by path, by name, by descriptor and in a child.
const FORMS: [&str; 5] = ["execve", "execvp", "fexecve", "posix_spawn", "posix_spawnp"];

fn with_mode(program: PathBuf, mode: u32) -> PathBuf {
    fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("a mode can be set");
    program
}

/// promise: Helpers that speak no IP
#[test]
fn a_listed_program_runs_with_a_notice() {
    let sandbox = Sandbox::new("listed");
    let programs = [
        with_mode(sandbox.ends_with("setuid", 42, &[]), 0o4755),
        with_mode(sandbox.ends_with("setgid", 42, &[]), 0o2755),
        sandbox.ends_with("static", 42, &["-static"]),
    ];
    for program in programs {
        let list = format!("+other,{}", program.display());
        for form in FORMS {
            let (ended, all) = execute(form, &program, &list);
            assert_eq!(ended, "status 42", "{form}: {all}");
            assert!(all.contains("runs unprotected, as UnprotectedHelpers says"), "{form}: {all}");
        }
    }
}

/// promise: Helpers keep no privileges
#[test]
fn a_listed_program_without_its_privileges_is_told_of() {
    let sandbox = Sandbox::new("unprivileged");
    let setuid = with_mode(sandbox.ends_with("setuid", 42, &[]), 0o4755);
    let plain = sandbox.ends_with("static", 42, &["-static"]);
    for (program, is_told) in [(setuid, true), (plain, false)] {
        let list = program.to_str().expect("a path of text");
        for form in FORMS {
            let (ended, all) = execute(form, &program, list);
            assert_eq!(ended, "status 42", "{form}: {all}");
            assert_eq!(all.contains("--no-backstop"), is_told, "{form}: {all}");
        }
    }
}

/// Any user can give a file of his own that name.
#[test]
fn a_listed_name_is_that_of_roots_program_in_a_system_directory() {
    let sandbox = Sandbox::new("name");
    let program = with_mode(sandbox.ends_with("fusermount3", 77, &[]), 0o4755);
    let open = with_mode(sandbox.ends_with("open", 77, &["-static"]), 0o777);
    for form in FORMS {
        let (ended, all) = execute(form, &program, "fusermount3");
        assert_eq!(ended, EPERM, "{form}: {all}");
        assert!(all.contains("is setuid") && all.contains("UnprotectedHelpers"), "{form}: {all}");
        let (ended, all) = execute(form, &open, open.to_str().expect("a path of text"));
        assert_eq!(ended, EPERM, "all users may write to it: {form}: {all}");
    }
}

/// The directories above a test's own are not root's alone, so the program is one of the system's.
/// promise: Helpers that speak no IP
#[test]
fn a_system_program_on_the_default_list_runs_and_any_other_does_not() {
    let Some(agent) = installed("ssh-agent") else { return };
    let mode = fs::metadata(&agent).expect("it is there").permissions().mode();
    if mode & 0o6000 == 0 {
        return;
    }
    let run = |arguments: &[&str], list: Option<&str>| {
        let mut command = torify("sh");
        command.args(["-c", "ssh-agent \"$@\"; echo status $?", "sh"]).args(arguments);
        if let Some(list) = list {
            command.env("EPOCHSOCKS_UNPROTECTED_HELPERS", list);
        }
        text(&finish(&mut command, Duration::from_secs(30)))
    };
    // It has no agent to end, and says so.
    let all = run(&["-k"], None);
    assert!(all.contains("SSH_AGENT_PID") && !all.contains("not executed"), "{all}");
    assert!(run(&["-k"], Some("none")).contains("not executed"));
    let all = run(&["echo", "ran"], None);
    assert!(all.contains("would start another program") && !all.contains("ran\n"), "{all}");
}

fn installed(name: &str) -> Option<PathBuf> {
    let output = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(path.trim_end())).filter(|path| path.is_absolute())
}

/// Some set-ID programs can't be read: their owner and mode tell enough.
#[test]
fn a_listed_program_need_not_be_readable() {
    let sandbox = Sandbox::new("unreadable");
    let program = with_mode(sandbox.ends_with("secret", 42, &[]), 0o4711);
    // SAFETY: can't fail.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let path = program.to_str().expect("a path of text");
    let (ended, all) = execute("execve", &program, path);
    assert_eq!(ended, "status 42", "{all}");
}
