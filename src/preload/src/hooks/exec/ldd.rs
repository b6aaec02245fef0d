//! The dynamic linker, run by ldd(1) to list what a program needs.
//!
//! It is a static program, but in these modes (ld.so(8)) nothing of the program that it is given
//! runs. Async-signal-safe.

use core::ffi::CStr;

use epochsocks::config::Environment;

/// Whether the command makes glibc's dynamic linker, told by its file name, do no more than that.
/// The arguments have the form of an environment block.
pub fn lists_only(path: &CStr, arguments: Environment<'_>, environment: Environment<'_>) -> bool {
    let name = path.to_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if !name.starts_with(b"ld-linux") {
        return false;
    }
    let mode = arguments.entries().nth(1).map(CStr::to_bytes);
    matches!(mode, Some(b"--list" | b"--verify" | b"--version"))
        || environment.get("LD_TRACE_LOADED_OBJECTS") == Some(b"1")
}
