//! May a program be run? Only if the preload library will be loaded into it and can see its calls.

pub mod chain;

use core::fmt;

use crate::program::elf::Library;
use crate::program::{DirectCalls, Elf, Facts, Kind};
use crate::sys::Errno;

/// Why a file is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecRefusal {
    /// The set-user-ID bit of another user: the dynamic loader ignores LD_PRELOAD wherever ids change.
    Setuid,
    /// The set-group-ID bit of another group, likewise.
    Setgid,
    /// File capabilities, which another user than root gains, likewise.
    Capabilities,
    /// Run by a process whose effective ids are not its real ones, or that opens files as another group,
    /// likewise.
    OtherIds,
    /// Run by a process that has asked for another security domain for its next exec: the system may
    /// set `AT_SECURE`, or keep the library from being read.
    OtherDomain,
    /// Run with a tunable that makes the dynamic linker ignore LD_PRELOAD.
    SecureTunable,
    /// No dynamic loader: nothing looks at LD_PRELOAD.
    Static,
    /// Made by Go, which makes system calls without the C library even when linked to it.
    Go,
    /// Connects by system calls of its own code, past the C library.
    DirectCalls,
    /// Has the dynamic linker load an audit library, whose C library has no hooks.
    Audit,
    /// A C library or dynamic linker, to be loaded in addition to the one that the process has.
    SecondLibc,
    /// ELF of the other class (32 bits).
    OtherClass,
    /// ELF for another processor.
    OtherMachine,
    /// A loader that is not glibc's, for which the preload library is not made, or no library at all, so
    /// that no libc comes with it.
    OtherLoader,
    /// A directory, a device, a FIFO.
    NotRegular,
    /// Neither ELF nor a script: damaged, or for a loader that only binfmt_misc knows.
    UnknownFormat,
    /// Scripts whose interpreters are scripts, deeper than Linux follows.
    TooManyInterpreters,
}

/// The real user and group of the process that is to execute a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executor {
    /// Its user.
    pub user: u32,
    /// Its group.
    pub group: u32,
}

/// Decides on one file that `by` executes, but not on the dynamic linker that it asks for. [`Kind::Text`]
/// passes: the kernel answers `ENOEXEC` for it, and `execvp` then runs a shell, which is judged in its turn.
/// Async-signal-safe.
pub fn decide(facts: &Facts, by: Executor) -> Result<(), ExecRefusal> {
    if !facts.regular {
        return Err(ExecRefusal::NotRegular);
    }
    decide_privileges(facts, by)?;
    let elf = match &facts.kind {
        Kind::Elf(elf) => elf,
        Kind::Script(_) | Kind::Text => return Ok(()),
        Kind::Other => return Err(ExecRefusal::UnknownFormat),
    };
    if elf.class != crate::program::elf::NATIVE_CLASS {
        return Err(ExecRefusal::OtherClass);
    }
    if !elf.is_native() {
        return Err(ExecRefusal::OtherMachine);
    }
    // Go first: for a static Go program it is the better explanation.
    if elf.go {
        return Err(ExecRefusal::Go);
    }
    if elf.interpreter.is_none() {
        Err(ExecRefusal::Static)
    } else if !elf.needs {
        Err(ExecRefusal::OtherLoader)
    } else if elf.audits {
        Err(ExecRefusal::Audit)
    } else if facts.direct_calls.network {
        Err(ExecRefusal::DirectCalls)
    } else {
        Ok(())
    }
}

/// Decides on what a file gives to who executes it. The kernel sets `AT_SECURE` where the effective user or
/// group becomes another one than the real one, and where another real user than root gains capabilities.
/// Refused is also what gives nothing for another reason (a script, on a file system mounted nosuid, under
/// `no_new_privs`): the program would lack what it is made for, or binfmt_misc may give it after all.
fn decide_privileges(facts: &Facts, by: Executor) -> Result<(), ExecRefusal> {
    if facts.setuid.is_some_and(|user| user != by.user) {
        Err(ExecRefusal::Setuid)
    } else if facts.setgid.is_some_and(|group| group != by.group) {
        Err(ExecRefusal::Setgid)
    } else if facts.capabilities && by.user != 0 {
        Err(ExecRefusal::Capabilities)
    } else {
        Ok(())
    }
}

/// Decides on a library that a program loads by dlopen(3), by what its file is. `is_loaded`: whether
/// this very file is loaded already. `calls` looks through its code. Async-signal-safe.
pub fn decide_library(
    elf: &Elf,
    library: Library,
    is_loaded: impl FnOnce() -> bool,
    calls: impl FnOnce() -> DirectCalls,
) -> Result<(), ExecRefusal> {
    if !elf.is_native() || elf.ours {
        // The dynamic linker does not load it; or it is this library.
        Ok(())
    } else if elf.go {
        Err(ExecRefusal::Go)
    } else if library.c_library {
        if is_loaded() { Ok(()) } else { Err(ExecRefusal::SecondLibc) }
    } else if !library.hooked && calls().network {
        Err(ExecRefusal::DirectCalls)
    } else {
        Ok(())
    }
}

/// Decides on a value of `GLIBC_TUNABLES` for the program: it may make the dynamic linker behave as in a
/// set-ID program (glibc 2.40), in which it ignores LD_PRELOAD. Async-signal-safe.
pub fn decide_tunables(value: &[u8]) -> Result<(), ExecRefusal> {
    let secure = |tunable: &[u8]| {
        let value = tunable.strip_prefix(b"glibc.rtld.enable_secure=");
        value.is_some_and(|value| value != b"0")
    };
    match value.split(|byte| *byte == b':').any(secure) {
        true => Err(ExecRefusal::SecureTunable),
        false => Ok(()),
    }
}

/// Decides on the process that is to execute a program: the dynamic loader ignores LD_PRELOAD if it has
/// changed ids (`AT_SECURE`, getauxval(3)), or where a change of domain says
/// so. Async-signal-safe.
pub fn decide_process(has_changed_ids: bool, changes_domain: bool) -> Result<(), ExecRefusal> {
    match (has_changed_ids, changes_domain) {
        (true, _) => Err(ExecRefusal::OtherIds),
        (false, true) => Err(ExecRefusal::OtherDomain),
        (false, false) => Ok(()),
    }
}

/// Tells whether a supervisor carries out the calls of what `refusal` is about, which the library can't reach:
/// nothing else is in the way.
pub fn is_redirectable(refusal: ExecRefusal) -> bool {
    use ExecRefusal::*;
    matches!(refusal, Static | Go | DirectCalls | OtherLoader)
}

impl ExecRefusal {
    /// The errno that an exec call answers: `EPERM` for what can't be protected, and the kernel's
    /// own (`EACCES`, `ENOEXEC`, `ELOOP`) for what could not run anyway.
    pub fn errno(self) -> Errno {
        Errno(match self {
            ExecRefusal::NotRegular => libc::EACCES,
            ExecRefusal::UnknownFormat => libc::ENOEXEC,
            ExecRefusal::TooManyInterpreters => libc::ELOOP,
            _ => libc::EPERM,
        })
    }

    /// Advice to the user, to follow the reason.
    pub fn remedy(self) -> &'static str {
        match self {
            ExecRefusal::Setuid | ExecRefusal::Setgid | ExecRefusal::Capabilities => {
                "run it outside; or, if it needs no network, name it in UnprotectedHelpers, and start \
                 epochsocks with --no-backstop if it is to have its privileges"
            }
            ExecRefusal::OtherIds => "give up the other ids before it is executed",
            ExecRefusal::SecureTunable => "take it out of GLIBC_TUNABLES",
            ExecRefusal::OtherDomain => "execute it without a domain of its own",
            ExecRefusal::Static => {
                "start epochsocks with --redirect, or name it in UnprotectedHelpers if it needs no \
                 network itself"
            }
            ExecRefusal::Go | ExecRefusal::DirectCalls => "start epochsocks with --redirect",
            ExecRefusal::Audit | ExecRefusal::SecondLibc => "use a build without it",
            ExecRefusal::OtherClass => "use a 64-bit build",
            ExecRefusal::OtherMachine => "use a build for this processor",
            ExecRefusal::OtherLoader => {
                "start epochsocks with --redirect, or use a build for glibc"
            }
            ExecRefusal::NotRegular
            | ExecRefusal::UnknownFormat
            | ExecRefusal::TooManyInterpreters => "look at the file",
        }
    }
}

impl fmt::Display for ExecRefusal {
    /// Says what the file is and why that is in the way, to be put behind `PATH: `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExecRefusal::Setuid => {
                "is setuid, so the system would not load the preload library into it"
            }
            ExecRefusal::Setgid => {
                "is setgid, so the system would not load the preload library into it"
            }
            ExecRefusal::Capabilities => {
                "has file capabilities, so the system would not load the preload library into it"
            }
            ExecRefusal::OtherIds => {
                "would run with other effective ids than real ones, or with another group for files, so \
                 the system would not load the preload library into it"
            }
            ExecRefusal::OtherDomain => {
                "would run in another security domain (AppArmor, SELinux), where the system may not \
                 load the preload library into it"
            }
            ExecRefusal::SecureTunable => {
                "would run with glibc.rtld.enable_secure in GLIBC_TUNABLES, so the system would not \
                 load the preload library into it"
            }
            ExecRefusal::Static => "is statically linked, so no preload library can be loaded into it",
            ExecRefusal::Go => {
                "is a Go program, which bypasses the C library that epochsocks stands in for"
            }
            ExecRefusal::DirectCalls => {
                "connects by system calls of its own (as programs of Free Pascal and of Rust's rustix do), \
                 which bypasses the C library that epochsocks stands in for"
            }
            ExecRefusal::Audit => {
                "has an audit library loaded (DT_AUDIT), which calls a C library without hooks"
            }
            ExecRefusal::SecondLibc => {
                "is a second C library in this process, and would be called without hooks"
            }
            ExecRefusal::OtherClass => "is a 32-bit program; this epochsocks is for 64-bit ones",
            ExecRefusal::OtherMachine => "is a program for another processor",
            ExecRefusal::OtherLoader => "is linked to a C library that is not glibc, or to none",
            ExecRefusal::NotRegular => "is not a regular file",
            ExecRefusal::UnknownFormat => "is neither an ELF program nor a script",
            ExecRefusal::TooManyInterpreters => "has more nested interpreters than Linux follows",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::elf::{Elf, Interpreter, NATIVE_CLASS, NATIVE_MACHINE};

    fn elf() -> Elf {
        Elf {
            class: NATIVE_CLASS,
            machine: NATIVE_MACHINE,
            interpreter: Some(Interpreter::new(b"/lib/ld.so\0")),
            go: false,
            asks_c_library: false,
            ours: false,
            audits: false,
            needs: true,
        }
    }

    const CALLS: DirectCalls = DirectCalls { network: true, epoll_waits: true };
    const WAITS: DirectCalls = DirectCalls { network: false, epoll_waits: true };

    fn facts() -> Facts {
        let kind = Kind::Elf(elf());
        let direct_calls = DirectCalls { network: false, epoll_waits: false };
        Facts { regular: true, setuid: None, setgid: None, capabilities: false, kind, direct_calls }
    }

    fn with(elf: Elf) -> Result<(), ExecRefusal> {
        decided(Facts { kind: Kind::Elf(elf), ..facts() })
    }

    const USER: Executor = Executor { user: 1000, group: 1000 };
    const ROOT: Executor = Executor { user: 0, group: 0 };

    fn decided(facts: Facts) -> Result<(), ExecRefusal> {
        decide(&facts, USER)
    }

    #[test]
    fn a_dynamic_glibc_program_passes() {
        assert_eq!(decided(facts()), Ok(()));
    }

    #[test]
    fn each_obstacle_has_its_own_refusal() {
        assert_eq!(decided(Facts { setuid: Some(0), ..facts() }), Err(ExecRefusal::Setuid));
        assert_eq!(decided(Facts { setgid: Some(0), ..facts() }), Err(ExecRefusal::Setgid));
        assert_eq!(
            decided(Facts { capabilities: true, ..facts() }),
            Err(ExecRefusal::Capabilities)
        );
        assert_eq!(decided(Facts { regular: false, ..facts() }), Err(ExecRefusal::NotRegular));
        assert_eq!(
            decided(Facts { kind: Kind::Other, ..facts() }),
            Err(ExecRefusal::UnknownFormat)
        );
        assert_eq!(with(Elf { class: 1, ..elf() }), Err(ExecRefusal::OtherClass));
        assert_eq!(with(Elf { machine: 0, ..elf() }), Err(ExecRefusal::OtherMachine));
        assert_eq!(with(Elf { interpreter: None, ..elf() }), Err(ExecRefusal::Static));
        assert_eq!(with(Elf { go: true, ..elf() }), Err(ExecRefusal::Go));
        assert_eq!(with(Elf { audits: true, ..elf() }), Err(ExecRefusal::Audit));
        assert_eq!(with(Elf { needs: false, ..elf() }), Err(ExecRefusal::OtherLoader));
        assert_eq!(
            decided(Facts { direct_calls: CALLS, ..facts() }),
            Err(ExecRefusal::DirectCalls)
        );
    }

    #[test]
    fn what_a_file_gives_is_refused_where_the_process_has_it_not() {
        let setuid = |user| Facts { setuid: Some(user), ..facts() };
        let setgid = |group| Facts { setgid: Some(group), ..facts() };
        for by in [USER, ROOT] {
            assert_eq!(decide(&setuid(by.user), by), Ok(()));
            assert_eq!(decide(&setgid(by.group), by), Ok(()));
            assert_eq!(decide(&setuid(7), by), Err(ExecRefusal::Setuid));
            assert_eq!(decide(&setgid(7), by), Err(ExecRefusal::Setgid));
        }
        let both = Facts { setgid: Some(7), ..setuid(0) };
        assert_eq!(decide(&both, ROOT), Err(ExecRefusal::Setgid));
        assert_eq!(decide(&Facts { capabilities: true, ..facts() }, ROOT), Ok(()));
        let by = Executor { group: 0, ..USER };
        assert_eq!(
            decide(&Facts { capabilities: true, ..facts() }, by),
            Err(ExecRefusal::Capabilities)
        );
    }

    #[test]
    fn a_program_that_only_waits_by_itself_passes() {
        assert_eq!(decided(Facts { direct_calls: WAITS, ..facts() }), Ok(()));
    }

    #[test]
    fn a_library_is_loaded_if_its_calls_meet_the_hooks() {
        let file = Elf { interpreter: None, ..elf() };
        let (plain, libc) = (Library::default(), Library { c_library: true, hooked: true });
        let decide = |elf: Elf, library, is_loaded, calls| {
            decide_library(&elf, library, || is_loaded, || calls)
        };
        assert_eq!(decide(file, plain, false, WAITS), Ok(()));
        assert_eq!(decide(file, plain, false, CALLS), Err(ExecRefusal::DirectCalls));
        assert_eq!(decide(Elf { go: true, ..file }, plain, false, WAITS), Err(ExecRefusal::Go));
        assert_eq!(decide(file, libc, false, CALLS), Err(ExecRefusal::SecondLibc));
        assert_eq!(decide(file, libc, true, CALLS), Ok(()));
        // Its functions are refused by name, or it is this library.
        let hooked = Library { hooked: true, ..plain };
        assert_eq!(decide(file, hooked, false, CALLS), Ok(()));
        assert_eq!(decide(Elf { ours: true, ..file }, plain, false, CALLS), Ok(()));
        assert_eq!(decide(Elf { class: 1, ..file }, plain, false, CALLS), Ok(()));
    }

    #[test]
    fn a_tunable_that_makes_the_linker_secure_is_seen() {
        for secure in
            ["glibc.rtld.enable_secure=1", "glibc.malloc.check=3:glibc.rtld.enable_secure=01"]
        {
            assert_eq!(
                decide_tunables(secure.as_bytes()),
                Err(ExecRefusal::SecureTunable),
                "{secure}"
            );
        }
        for harmless in
            ["", "glibc.rtld.enable_secure=0", "glibc.malloc.check=3", "glibc.rtld.enable"]
        {
            assert_eq!(decide_tunables(harmless.as_bytes()), Ok(()), "{harmless}");
        }
    }

    #[test]
    fn a_static_go_program_is_called_a_go_program() {
        assert_eq!(with(Elf { go: true, interpreter: None, ..elf() }), Err(ExecRefusal::Go));
    }

    #[test]
    fn text_is_left_to_the_shell_that_execvp_starts() {
        assert_eq!(decided(Facts { kind: Kind::Text, ..facts() }), Ok(()));
        assert_eq!(
            decided(Facts { kind: Kind::Text, setuid: Some(0), ..facts() }),
            Err(ExecRefusal::Setuid)
        );
    }
}
