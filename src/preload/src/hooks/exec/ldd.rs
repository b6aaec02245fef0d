//! The dynamic linker, run by ldd(1) to list what a program needs.
//!
//! It is a static program, but in these modes (ld.so(8)), and without a program, nothing of what it is given
//! runs. Async-signal-safe.

use core::ffi::CStr;

use epochsocks::config::Environment;
use epochsocks::program::{Kind, linker};
use epochsocks::sys::File;

use super::call::Target;

/// Options that make the linker list, verify or explain, and execute nothing.
const MODES: [&[u8]; 6] =
    [b"--list", b"--verify", b"--version", b"--help", b"--list-tunables", b"--list-diagnostics"];
/// Options that may stand before such a mode, and whether they take a value. Not `--audit`, whose
/// libraries run.
const BEFORE: [(&[u8], bool); 7] = [
    (b"--inhibit-cache", false),
    (b"--inhibit-rpath", true),
    (b"--library-path", true),
    (b"--preload", true),
    (b"--argv0", true),
    (b"--glibc-hwcaps-prepend", true),
    (b"--glibc-hwcaps-mask", true),
];

/// Tells whether the command makes glibc's dynamic linker, told by what it is, do no more than
/// that. The arguments have the form of an environment block.
pub fn lists_only(
    target: Target<'_>,
    arguments: Environment<'_>,
    environment: Environment<'_>,
) -> bool {
    // The libraries that this names would run.
    if environment.values("LD_AUDIT").any(|value| !value.is_empty()) {
        return false;
    }
    let traces = environment.get("LD_TRACE_LOADED_OBJECTS").is_some_and(|value| !value.is_empty());
    (traces || is_mode(arguments)) && !runs_audit(arguments) && is_linker(target)
}

fn is_mode(arguments: Environment<'_>) -> bool {
    let mut words = arguments.entries().skip(1).map(CStr::to_bytes);
    while let Some(word) = words.next() {
        if MODES.contains(&word) {
            return true;
        }
        match BEFORE.iter().find(|(option, _)| *option == word) {
            Some((_, true)) => _ = words.next(),
            Some((_, false)) => {}
            None => return false,
        }
    }
    // It is given no program, and says so.
    true
}

/// Tells whether an audit library would run: one that is named, or that a file among the arguments
/// asks for.
fn runs_audit(arguments: Environment<'_>) -> bool {
    let asks = |word| {
        let file = File::open_at(libc::AT_FDCWD, word);
        file.is_ok_and(|file| matches!(Kind::of(&file), Ok(Kind::Elf(elf)) if elf.audits))
    };
    arguments.entries().skip(1).any(|word| word == c"--audit" || asks(word))
}

fn is_linker(target: Target<'_>) -> bool {
    let is_linker = match target {
        Target::Path(directory, path) => linker::is_glibc_at(directory, path),
        Target::Descriptor(fd) => File::duplicate(fd).and_then(|file| linker::is_glibc(&file)),
    };
    is_linker == Ok(true)
}
