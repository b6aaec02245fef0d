//! The library as the new program will find it: the same file, whole, and readable for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::support::process::{finish, text};
use super::support::{self, torify};
use super::{NOT_EXECUTED, Sandbox};

/// `program` with a copy of the library in the sandbox, whose path is the last argument.
fn with_copy(sandbox: &Sandbox, program: &str, arguments: &[&str]) -> Command {
    let library = sandbox.0.join("libepochsocks_preload.so");
    fs::copy(support::preload_library(), &library).expect("the library can be copied");
    let mut command = torify(program);
    command.args(arguments).arg(&library).env("EPOCHSOCKS_LIBRARY", &library);
    command
}

fn ends_of(mut command: Command) -> String {
    text(&finish(&mut command, Duration::from_secs(30)))
}

/// promise: ld.so, which fails open
#[test]
fn another_file_in_the_librarys_place_is_not_the_library() {
    let sandbox = Sandbox::new("replaced");
    let other = sandbox.ends_with("other.so", 0, &["-shared", "-fPIC"]);
    let script = format!("mv {} \"$0\"; /bin/true; echo status $?", other.display());
    let all = ends_of(with_copy(&sandbox, "/bin/sh", &["-c", &script]));
    assert!(all.contains(NOT_EXECUTED) && all.contains("another file is in its place"), "{all}");
}

#[test]
fn a_library_that_is_cut_short_is_not_loaded() {
    let sandbox = Sandbox::new("cut");
    let script =
        "head -c 8192 \"$0\" > \"$0.cut\"; mv \"$0.cut\" \"$0\"; /bin/true; echo status $?";
    let all = ends_of(with_copy(&sandbox, "/bin/sh", &["-c", script]));
    assert!(all.contains(NOT_EXECUTED) && all.contains("can't be loaded from here"), "{all}");
}

/// Root's capabilities, kept by another user, open every file; what that user executes has none.
#[test]
fn a_library_that_only_capabilities_open_is_not_there_for_what_loses_them() {
    // SAFETY: can't fail.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let sandbox = Sandbox::new("capabilities");
    let script = "import ctypes, os\n\
        libc = ctypes.CDLL(None)\n\
        libc.prctl(8, 1)\n\
        os.setresuid(12345, 12345, 12345)\n\
        head, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()\n\
        assert libc.capget(head, sets) == 0\n\
        sets[0], sets[3] = sets[1], sets[4]\n\
        assert libc.capset(head, sets) == 0\n\
        try: os.execv('/bin/echo', ['echo', 'ran'])\n\
        except PermissionError: print('refused')\n";
    let command = with_copy(&sandbox, "python3", &["-c", script]);
    fs::set_permissions(&sandbox.0, fs::Permissions::from_mode(0o700)).expect("a mode can be set");
    let all = ends_of(command);
    assert!(all.contains("refused") && all.contains("can't be loaded from here"), "{all}");
}

#[test]
fn a_tunable_that_makes_the_dynamic_linker_ignore_the_library_is_refused() {
    let script = "GLIBC_TUNABLES=glibc.rtld.enable_secure=1 /bin/true; echo status $?";
    let mut command = torify("/bin/sh");
    command.args(["-c", script]);
    let all = ends_of(command);
    assert!(all.contains(NOT_EXECUTED) && all.contains("GLIBC_TUNABLES"), "{all}");
}
