//! `dup`, `dup2`, `dup3`: one record, several descriptors.

use core::ffi::c_int;

use epochsocks::registry::Registry;

use crate::errno;
use crate::log::log;
use crate::real;
use crate::registry::REGISTRY;

/// # Safety
/// As dup(2).
pub unsafe fn dup(fd: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let copy = unsafe { real::dup(fd) };
    if copy >= 0 {
        follow(fd, copy);
    }
    copy
}

/// # Safety
/// As dup2(2).
pub unsafe fn dup2(source: c_int, target: c_int) -> c_int {
    // SAFETY: the caller's contract.
    replace(source, target, || unsafe { real::dup2(source, target) })
}

/// # Safety
/// As dup3(2).
pub unsafe fn dup3(source: c_int, target: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's contract.
    replace(source, target, || unsafe { real::dup3(source, target, flags) })
}

/// Makes the registry see what the kernel did: `copy` is another name of what `source` names.
pub fn follow(source: c_int, copy: c_int) {
    if let Err(why) = REGISTRY.duplicate(source, copy) {
        log!(Warning, "descriptor {copy} is not tracked ({why:?}): its peer address will be Tor's");
    }
}

/// Runs `call`, which closes `target` if it succeeds: its entry is gone meanwhile (guarantee I).
fn replace(source: c_int, target: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if source == target {
        return call();
    }
    let before = REGISTRY.detach(target);
    let result = call();
    match before {
        Some(entry) if result < 0 => {
            let errno = errno::get();
            REGISTRY.restore(target, entry);
            errno::set(errno);
        }
        Some(entry) => REGISTRY.discard(entry),
        None => {}
    }
    if result >= 0 {
        follow(source, target);
    }
    result
}
