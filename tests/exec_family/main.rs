//! Whatever way a program is executed, it runs under the library or not at all.

#[path = "../support/mod.rs"]
mod support;

mod helpers;
mod library;
mod selinux;
mod streams;
mod what_is_executed;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::process::{dynamic_linker, finish, probe, text};
use support::torify;

/// Every form that tests/probes/exec_family.c knows.
const FORMS: [&str; 22] = [
    "execve",
    "execve-null",
    "execve-appended",
    "execv",
    "execvp",
    "execvpe",
    "execl",
    "execlp",
    "execle",
    "fexecve",
    "execveat",
    "syscall",
    "syscall-at",
    "posix_spawn",
    "posix_spawn-chdir",
    "posix_spawnp",
    "posix_spawnp-chdir",
    "posix_spawn-ids",
    "system",
    "system-appended",
    "popen",
    "_IO_popen",
];

/// Those that a shell executes.
const BY_SHELL: [&str; 4] = ["system", "system-appended", "popen", "_IO_popen"];

/// Status of a shell whose command could not be executed.
const NOT_EXECUTED: &str = "status 126";
const EPERM: &str = "errno 1";
const ENOEXEC: &str = "errno 8";

/// A directory of the test's own, gone at its end.
struct Sandbox(PathBuf);

impl Sandbox {
    /// The program at `path` in it, which ends with `status`, made by the C compiler with `flags`.
    fn ends_with(&self, path: &str, status: u8, flags: &[&str]) -> PathBuf {
        let program = self.0.join(path);
        let source = self.0.join("source.c");
        fs::create_dir_all(program.parent().expect("a path in the sandbox")).expect("a folder");
        let text = format!("int main(void) {{ return {status}; }}\n");
        fs::write(&source, text).expect("the sandbox takes files");
        let output = Command::new("cc").args(flags).arg("-o").args([&program, &source]).output();
        assert!(output.expect("a C compiler is installed").status.success());
        program
    }

    fn new(name: &str) -> Sandbox {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("exec-{name}.{}", std::process::id()));
        fs::create_dir_all(&path).expect("the scratch directory takes directories");
        Sandbox(path)
    }

    fn script(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("the sandbox takes files");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
        path
    }

    fn compiled(&self, name: &str, flags: &[&str]) -> PathBuf {
        self.ends_with(name, 0, flags)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Lets the probe execute `program` by `form`, and returns how it ended, and all that was printed.
fn execute(form: &str, program: &Path) -> (String, String) {
    let mut command = torify(probe("exec_family"));
    command.arg(form).arg(program).env("EPOCHSOCKS_TOR_PORT", "9");
    let output = finish(&mut command, Duration::from_secs(30));
    let stdout = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    (stdout, text(&output))
}

#[test]
fn every_form_keeps_the_library() {
    let sandbox = Sandbox::new("keeps");
    let check = sandbox.script(
        "check",
        "#!/bin/sh\n\
         case $LD_PRELOAD in *libepochsocks_preload*) ;; *) exit 1 ;; esac\n\
         test \"$EPOCHSOCKS_TOR_PORT\" = 9 || exit 2\n\
         test \"$*\" = '1 2 3 4 5 6 7 8 9' || exit 3\n\
         exit 42\n",
    );
    for form in FORMS {
        let (ended, all) = execute(form, &check);
        // The kernel runs a script's interpreter on /dev/fd, which an O_CLOEXEC descriptor is not.
        assert_eq!(ended, "status 42", "{form}: {all}");
    }
}

/// Only root can make its effective ids other than its real ones.
#[test]
fn every_form_refuses_what_would_run_in_the_dynamic_linkers_secure_mode() {
    // SAFETY: can't fail.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let sandbox = Sandbox::new("ids");
    let script = sandbox.script("script", "#!/bin/sh\nexit 42\n");
    // The group that files are opened as counts since Linux 6.16.
    let all = FORMS.into_iter().flat_map(|form| [(form, "effective"), (form, "files")]);
    for (form, ids) in all {
        let mut command = torify(probe("exec_family"));
        command.arg(form).arg(&script).env("OTHER_IDS", ids);
        let output = finish(&mut command, Duration::from_secs(30));
        let ended = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        let all = text(&output);
        if form == "posix_spawn-ids" {
            assert_eq!(ended, "status 42", "{form}: {all}");
            continue;
        }
        assert_eq!(ended, EPERM, "{form}: {all}");
        assert!(all.contains("other effective ids than real ones"), "{form}: {all}");
    }
}

/// From glibc 2.39 on; before, a program that asks for them must find that they don't work.
#[test]
fn spawning_with_a_pidfd_is_judged_or_absent() {
    let sandbox = Sandbox::new("pidfd");
    let program = sandbox.compiled("static", &["-static"]);
    for form in ["pidfd_spawn", "pidfd_spawnp"] {
        let (ended, all) = execute(form, &program);
        assert_eq!(ended, EPERM, "{form}: {all}");
        let (ended, all) = execute(form, Path::new("/bin/true"));
        assert!(["errno 38", "status 0"].contains(&ended.as_str()), "{form}: {ended}: {all}");
    }
}

/// promise: static programs, Go programs
#[test]
fn every_form_refuses_a_static_program() {
    let sandbox = Sandbox::new("static");
    let program = sandbox.compiled("static", &["-static"]);
    for form in FORMS {
        let (ended, all) = execute(form, &program);
        let expected = if BY_SHELL.contains(&form) { NOT_EXECUTED } else { EPERM };
        assert_eq!(ended, expected, "{form}: {all}");
        assert!(all.contains("statically linked"), "{form}: {all}");
    }
}

/// ldd runs the dynamic linker, which is a static program.
#[test]
fn ldd_lists_what_a_program_needs() {
    let output = finish(torify("ldd").arg("/bin/sh"), Duration::from_secs(30));
    let all = text(&output);
    assert!(output.status.success() && all.contains("libc.so.6 =>"), "{all}");
}

#[test]
fn the_dynamic_linker_is_refused_where_it_would_run_a_program() {
    let script = format!("{} /bin/echo ran", dynamic_linker());
    let output = finish(torify("sh").args(["-c", &script]), Duration::from_secs(30));
    let all = text(&output);
    assert!(all.contains("is statically linked") && !all.contains("ran"), "{all}");
}

/// promise: setuid programs
#[test]
fn a_setuid_program_is_refused() {
    let sandbox = Sandbox::new("setuid");
    let program = sandbox.compiled("setuid", &[]);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("a mode can be set");
    for form in ["execve", "execvp", "posix_spawn", "fexecve"] {
        let (ended, all) = execute(form, &program);
        assert_eq!(ended, EPERM, "{form}: {all}");
        assert!(all.contains("is setuid"), "{form}: {all}");
    }
}

#[test]
fn a_script_is_refused_for_its_static_interpreter() {
    let sandbox = Sandbox::new("interpreter");
    let interpreter = sandbox.compiled("interpreter", &["-static"]);
    let script = sandbox.script("script", &format!("#!{}\n", interpreter.display()));
    let (ended, all) = execute("execve", &script);
    assert_eq!(ended, EPERM, "{all}");
}

#[test]
fn a_missing_program_is_enoent_in_every_form() {
    for form in FORMS {
        let (ended, all) = execute(form, Path::new("/nonexistent/program"));
        match form {
            form if BY_SHELL.contains(&form) => assert_eq!(ended, "status 127", "{form}: {all}"),
            "fexecve" => assert_ne!(ended, "status 0", "{form}: {all}"),
            "syscall-at" => assert_eq!(ended, "errno 9", "{form}: {all}"),
            _ => assert_eq!(ended, "errno 2", "{form}: {all}"),
        }
    }
}

/// The C library runs such a script by the shell, or the kernel's ENOEXEC is told.
#[test]
fn a_script_that_names_no_interpreter_is_run_by_a_protected_shell_or_not_at_all() {
    let sandbox = Sandbox::new("no-interpreter");
    let check = "case $LD_PRELOAD in *libepochsocks_preload*) exit 42 ;; esac\nexit 1\n";
    let script = sandbox.script("script", check);
    for form in FORMS {
        let (ended, all) = execute(form, &script);
        let by_a_shell =
            BY_SHELL.contains(&form) || ["execvp", "execvpe", "execlp"].contains(&form);
        let expected = if by_a_shell { "status 42" } else { ENOEXEC };
        assert_eq!(ended, expected, "{form}: {all}");
    }
}

#[test]
fn command_substitution_keeps_the_library() {
    for (words, expected) in [
        ("$(echo $LD_PRELOAD)", "libepochsocks_preload.so"),
        ("`echo port=$EPOCHSOCKS_TOR_PORT`", "0 port=9"),
        ("plain", "0 plain"),
    ] {
        let (printed, all) = execute("wordexp", Path::new(words));
        assert!(printed.starts_with("0 ") && printed.contains(expected), "{words}: {all}");
    }
}

/// promise: programs started with an empty environment (env -i)
#[test]
fn env_i_keeps_the_library() {
    let mut command = torify("env");
    command.args(["-i", "/bin/sh", "-c", "echo $LD_PRELOAD"]);
    let output = finish(&mut command, Duration::from_secs(30));
    assert!(text(&output).contains("libepochsocks_preload"), "{}", text(&output));
}

/// promise: ld.so, which fails open
#[test]
fn a_program_that_can_no_longer_load_the_library_is_not_executed() {
    let sandbox = Sandbox::new("moved");
    let library = sandbox.0.join("libepochsocks_preload.so");
    fs::copy(support::preload_library(), &library).expect("the library can be copied");
    let mut command = torify("/bin/sh");
    command
        .args(["-c", "rm \"$0\"; /bin/true; echo status $?"])
        .arg(&library)
        .env("EPOCHSOCKS_LIBRARY", &library);
    let output = finish(&mut command, Duration::from_secs(30));
    assert!(text(&output).contains("status 126"), "{}", text(&output));
}
