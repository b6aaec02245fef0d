//! Programs that connect by system calls of their own: tests/probes/direct_calls.c.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use epochsocks::program::{DirectCalls, Kind, elf};
use epochsocks::sys::File;

use crate::sandbox::Sandbox;
use crate::support::process::probe_as;

#[test]
fn a_program_that_connects_by_calls_of_its_own_is_refused() {
    let sandbox = Sandbox::new();
    for (name, flags) in [
        ("direct", &["-O0"] as &[_]),
        ("direct_o2", &["-O2"]),
        ("direct_os", &["-Os"]),
        ("direct_stripped", &["-O2", "-s"]),
        ("direct_fixed", &["-O2", "-no-pie"]),
        ("libcs_socket", &["-O2", "-DLIBCS_SOCKET"]),
        ("ring", &["-O2", "-DRING"]),
        ("ring_with_libc", &["-O2", "-DRING", "-DWITH_LIBC"]),
    ] {
        let program = probe_as(name, "direct_calls", flags);
        sandbox
            .run_alone(program)
            .assert_ended(126, &["connects by system calls of its own", "not run"]);
    }
}

/// As Free Pascal's run-time library makes its calls.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_program_that_hands_numbers_to_what_calls_is_refused() {
    let sandbox = Sandbox::new();
    for (name, flags) in [("gate", ["-O2", "-DBY_GATE"]), ("gate_os", ["-Os", "-DBY_GATE"])] {
        let program = probe_as(name, "direct_calls", &flags);
        sandbox.run_alone(program).assert_ended(126, &["connects by system calls of its own"]);
    }
}

/// promise: Both kinds of calls in one program
#[test]
fn a_program_that_also_connects_by_libc_or_only_waits_runs() {
    let sandbox = Sandbox::new();
    for (name, flags) in [
        ("direct_with_libc", &["-DWITH_LIBC"][..]),
        ("libcs_socket_and_connect", &["-DWITH_LIBC", "-DLIBCS_SOCKET"]),
        ("waits", &["-DWAITS"]),
    ] {
        let program = probe_as(name, "direct_calls", &[&["-O2"], flags].concat());
        sandbox.run([program]).assert_ran();
    }
}

/// It is Rust's, has libc's functions, and connects by itself where it is the supervisor.
#[test]
fn the_launcher_may_be_executed() {
    let launcher = Path::new(env!("CARGO_BIN_EXE_epochsocks"));
    assert!(!calls(launcher).expect("a program").network);
}

fn calls(path: &Path) -> Option<DirectCalls> {
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    let file = File::open_at(libc::AT_FDCWD, &name).ok()?;
    match Kind::of(&file) {
        Ok(Kind::Elf(elf)) if elf.is_native() && elf.interpreter.is_some() && !elf.go => {
            elf::direct_calls(&file).ok()
        }
        _ => None,
    }
}

#[test]
fn waits_are_told_from_connects() {
    let of =
        |name, flag| calls(&probe_as(name, "direct_calls", &["-O2", flag])).expect("a program");
    let waits = DirectCalls { network: false, epoll_waits: true };
    assert_eq!(of("waits_told", "-DWAITS"), waits);
    let connects = DirectCalls { network: true, epoll_waits: false };
    assert_eq!(of("connects_told", "-DCONNECTS"), connects);
}

/// Tells whether `path` is a program that does connect by itself: libc, which can be run, Free Pascal's, in
/// which the compiler leaves its name, or qemu's emulation of programs, which exports a function for it.
fn does_connect(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    path.ends_with("libc.so.6") || has(b"FPC ") || has(b"\0safe_syscall_base\0")
}

/// Of all dynamic programs here none is taken for one that connects by itself, but those that do.
/// `EPOCHSOCKS_SCAN` names other folders, with colons between them.
#[test]
fn no_program_of_the_machine_is_taken_for_one() {
    let folders = std::env::var("EPOCHSOCKS_SCAN").unwrap_or("/usr/bin:/usr/sbin".into());
    let (mut count, mut taken) = (0, Vec::new());
    let mut rest: Vec<PathBuf> = folders.split(':').map(PathBuf::from).collect();
    while let Some(path) = rest.pop() {
        let Ok(kind) = fs::symlink_metadata(&path).map(|metadata| metadata.file_type()) else {
            continue;
        };
        if kind.is_dir() {
            rest.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|it| it.path()));
        } else if let Some(calls) = kind.is_file().then(|| calls(&path)).flatten() {
            count += 1;
            if calls.network && !does_connect(&path) {
                taken.push(path);
            }
        }
    }
    assert!(count > 20, "{count} dynamic programs in {folders}");
    assert_eq!(taken, [] as [PathBuf; 0], "of {count}");
}
