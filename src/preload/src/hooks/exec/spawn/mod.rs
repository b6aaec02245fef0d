//! posix_spawn, pidfd_spawn and their like: libc's child changes its descriptors, directory and ids and
//! makes its exec inside libc, where no hook is. So the child is ours: it follows the file actions and
//! attributes itself, and what it executes is judged where it is executed, behind all of them.
//!
//! - [`actions`], [`attributes`]: what the caller asks for, as glibc keeps it
//! - [`child`]: the child, from its start to its exec

pub mod actions;
pub mod attributes;
pub mod child;

use core::ffi::{CStr, c_char, c_int};

use epochsocks::config::Environment;
use epochsocks::sys::Errno;
use libc::{pid_t, posix_spawn_file_actions_t, posix_spawnattr_t};

use super::are_readable;
use super::child_environment::with_environment;
use actions::Actions;
use attributes::Attributes;
use child::{Child, Program, Wanted};

/// # Safety
/// As posix_spawn(3).
pub unsafe fn posix_spawn(
    pid: *mut pid_t,
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // SAFETY: the caller's contract, here and below.
    unsafe {
        let call = [arguments, environment];
        answer(pid, spawn(Program::Path, path, actions, attributes, call, Wanted::Id))
    }
}

/// # Safety
/// As posix_spawnp(3).
pub unsafe fn posix_spawnp(
    pid: *mut pid_t,
    file: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        let call = [arguments, environment];
        answer(pid, spawn(Program::Name, file, actions, attributes, call, Wanted::Id))
    }
}

/// # Safety
/// As pidfd_spawn(3).
pub unsafe fn pidfd_spawn(
    pidfd: *mut c_int,
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        let call = [arguments, environment];
        answer(pidfd, spawn(Program::Path, path, actions, attributes, call, Wanted::Descriptor))
    }
}

/// # Safety
/// As pidfd_spawnp(3).
pub unsafe fn pidfd_spawnp(
    pidfd: *mut c_int,
    file: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        let call = [arguments, environment];
        answer(pidfd, spawn(Program::Name, file, actions, attributes, call, Wanted::Descriptor))
    }
}

/// Starts the child; gives its id or the descriptor of it.
///
/// # Safety
/// `path` is null or a C string, `actions` and `attributes` are null or initialised, both arrays are
/// null or end with a null pointer.
unsafe fn spawn(
    program: Program,
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    [arguments, environment]: [*const *mut c_char; 2],
    wanted: Wanted,
) -> Result<c_int, Errno> {
    // SAFETY: the caller's contract.
    if !unsafe { are_readable(path, arguments, environment) } {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: the caller's contract; a complete environment ends with a null pointer.
    unsafe {
        let file = CStr::from_ptr(path);
        let arguments = Environment::from_raw(arguments.cast());
        with_environment(Environment::from_raw(environment.cast()), |complete| {
            Child {
                program,
                file,
                arguments,
                environment: complete,
                attributes: Attributes::of(attributes),
                actions: Actions::of(actions),
            }
            .start(wanted)
        })?
    }
}

/// The answer of these functions: 0, or the errno.
///
/// # Safety
/// `place` is null or may be written to.
unsafe fn answer(place: *mut c_int, child: Result<c_int, Errno>) -> c_int {
    match child {
        Ok(child) => {
            if !place.is_null() {
                // SAFETY: the caller's contract.
                unsafe { place.write(child) };
            }
            0
        }
        Err(Errno(errno)) => errno,
    }
}
