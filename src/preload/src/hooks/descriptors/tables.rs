//! `unshare`, `clone`: threads that have a descriptor table of their own, and processes that share one
//! without sharing memory. Of both the registry, which is one for each memory, knows only a part.

use core::ffi::{c_int, c_long, c_void};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use epochsocks::sys::{copy_from_program, net};
use libc::pid_t;

use crate::hooks::c_types::CloneEntry;
use crate::sockets::SOCKETS;
use crate::{harmless, real};

/// Set if there is or was such a table. Stored before the call that makes it, and copied to the
/// child or seen by the thread that this call starts: Relaxed.
static DIVERGE: AtomicBool = AtomicBool::new(false);

/// Tells whether an entry may belong to a descriptor of another table. Then an entry holds only if
/// the socket's identity is the same. Async-signal-safe.
#[inline(always)]
pub fn diverge() -> bool {
    DIVERGE.load(Relaxed)
}

/// Tells whether a number that a hook was given names what it named then, until a hook sees it closed. Not where
/// threads have tables of their own. And not where a backstop lets a program go on that makes system calls past
/// the hooks: such a one may close a number by them. Async-signal-safe.
pub fn numbers_hold() -> bool {
    !diverge() && net::secret().is_none()
}

/// Notes that the calling thread is about to get a table of its own.
pub fn leave() {
    DIVERGE.store(true, Relaxed);
    harmless::clear();
}

/// # Safety
/// As unshare(2).
pub unsafe fn unshare(flags: c_int) -> c_int {
    if flags & libc::CLONE_FILES != 0 {
        leave();
    }
    // SAFETY: the caller's contract.
    unsafe { real::unshare(flags) }
}

/// # Safety
/// As clone(2).
pub unsafe fn clone(
    entry: CloneEntry,
    stack: *mut c_void,
    flags: c_int,
    argument: *mut c_void,
    parent: *mut pid_t,
    tls: *mut c_void,
    child: *mut pid_t,
) -> c_int {
    note(flags.into());
    // The child begins in `entry`, on its own stack.
    // SAFETY: the caller's contract. libc takes the last three from where they are passed, or not at all.
    unsafe { real::clone(entry, stack, flags, argument, parent, tls, child) }
}

/// Notes what clone(2) with `flags` is about to make. A vfork child, whose table is a copy, changes nothing here, as
/// the registry is told of each process that shares its memory.
pub fn note(flags: c_long) {
    let has = |flag: c_int| flags & c_long::from(flag) != 0;
    if has(libc::CLONE_FILES) != has(libc::CLONE_VM) && !has(libc::CLONE_VFORK) {
        // Without either it is a fork.
        leave();
    }
    if has(libc::CLONE_VM) && !has(libc::CLONE_THREAD) {
        SOCKETS.registry().note_sharing();
    }
}

/// Notes what clone3(2) makes.
///
/// # Safety
/// As clone3(2); what can't be read is the kernel's to refuse.
pub unsafe fn note_extended(arguments: *const c_void) {
    let mut flags = [0; size_of::<u64>()];
    // SAFETY: the caller's contract: the flags come first.
    if unsafe { copy_from_program(arguments.cast(), &mut flags) }.is_ok() {
        note(c_long::from_ne_bytes(flags));
    }
}
