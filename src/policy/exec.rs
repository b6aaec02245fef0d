//! May a program be run? Only if the preload library will be loaded into it and can see its calls.

pub mod chain;
pub mod domain;

use core::fmt;

use crate::program::elf::Library;
use crate::program::{DirectCalls, Elf, Facts, Kind};
use crate::sys::Errno;

/// Reason that a file is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecRefusal {
    /// The set-user-ID bit: the dynamic loader ignores LD_PRELOAD wherever ids change.
    Setuid,
    /// The set-group-ID bit, likewise.
    Setgid,
    /// File capabilities, likewise.
    Capabilities,
    /// Run by a process whose effective ids are not its real ones, or that opens files as another group,
    /// likewise.
    OtherIds,
    /// Run in another security domain, by the process's wish or SELinux's policy: the system may set
    /// `AT_SECURE`, or keep the library from being read.
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

/// Decides on one file, but not on the dynamic linker that it asks for. [`Kind::Text`] passes: the kernel answers `ENOEXEC` for it, and `execvp`
/// then runs a shell, which is judged in its turn. A set-ID bit is refused on scripts too, and
/// also where it would change nothing (already root), as torsocks does. Async-signal-safe.
pub fn decide(facts: &Facts) -> Result<(), ExecRefusal> {
    if !facts.regular {
        return Err(ExecRefusal::NotRegular);
    }
    if facts.setuid {
        return Err(ExecRefusal::Setuid);
    }
    if facts.setgid {
        return Err(ExecRefusal::Setgid);
    }
    if facts.capabilities {
        return Err(ExecRefusal::Capabilities);
    }
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

/// Decides on the process that is to execute a program: the dynamic loader ignores LD_PRELOAD if its
/// effective ids are not the real ones (`AT_SECURE`, getauxval(3)), or in another domain: see
/// [`domain::may_lose_library`]. Async-signal-safe.
pub fn decide_process(
    has_changed_ids: bool,
    may_lose_library: impl FnOnce() -> bool,
) -> Result<(), ExecRefusal> {
    if has_changed_ids {
        Err(ExecRefusal::OtherIds)
    } else if may_lose_library() {
        Err(ExecRefusal::OtherDomain)
    } else {
        Ok(())
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
            ExecRefusal::OtherDomain => {
                "execute it without a domain of its own, or name it in UnprotectedHelpers if it needs no \
                 network"
            }
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
                "would run, or may run, in another security domain (AppArmor, SELinux), where the system \
                 may not load the preload library into it"
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
        Facts {
            regular: true,
            setuid: false,
            setgid: false,
            capabilities: false,
            kind,
            direct_calls,
        }
    }

    fn with(elf: Elf) -> Result<(), ExecRefusal> {
        decide(&Facts { kind: Kind::Elf(elf), ..facts() })
    }

    #[test]
    fn a_dynamic_glibc_program_passes() {
        assert_eq!(decide(&facts()), Ok(()));
    }

    #[test]
    fn each_obstacle_has_its_own_refusal() {
        assert_eq!(decide(&Facts { setuid: true, ..facts() }), Err(ExecRefusal::Setuid));
        assert_eq!(decide(&Facts { setgid: true, ..facts() }), Err(ExecRefusal::Setgid));
        assert_eq!(
            decide(&Facts { capabilities: true, ..facts() }),
            Err(ExecRefusal::Capabilities)
        );
        assert_eq!(decide(&Facts { regular: false, ..facts() }), Err(ExecRefusal::NotRegular));
        assert_eq!(
            decide(&Facts { kind: Kind::Other, ..facts() }),
            Err(ExecRefusal::UnknownFormat)
        );
        assert_eq!(with(Elf { class: 1, ..elf() }), Err(ExecRefusal::OtherClass));
        assert_eq!(with(Elf { machine: 0, ..elf() }), Err(ExecRefusal::OtherMachine));
        assert_eq!(with(Elf { interpreter: None, ..elf() }), Err(ExecRefusal::Static));
        assert_eq!(with(Elf { go: true, ..elf() }), Err(ExecRefusal::Go));
        assert_eq!(with(Elf { audits: true, ..elf() }), Err(ExecRefusal::Audit));
        assert_eq!(with(Elf { needs: false, ..elf() }), Err(ExecRefusal::OtherLoader));
        assert_eq!(
            decide(&Facts { direct_calls: CALLS, ..facts() }),
            Err(ExecRefusal::DirectCalls)
        );
    }

    #[test]
    fn a_program_that_only_waits_by_itself_passes() {
        assert_eq!(decide(&Facts { direct_calls: WAITS, ..facts() }), Ok(()));
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
        assert_eq!(decide(&Facts { kind: Kind::Text, ..facts() }), Ok(()));
        assert_eq!(
            decide(&Facts { kind: Kind::Text, setuid: true, ..facts() }),
            Err(ExecRefusal::Setuid)
        );
    }
}
