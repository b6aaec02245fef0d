//! posix_spawn, pidfd_spawn and their like: libc's child makes its exec inside libc, where no hook is, so the
//! program is judged and the environment completed before.

use core::ffi::{CStr, c_char, c_int, c_short};

use epochsocks::config::Environment;
use epochsocks::sys::{Errno, File};
use libc::{pid_t, posix_spawn_file_actions_t, posix_spawnattr_t};

use super::child_environment::with_environment;
use super::connecting::without_half_spoken;
use super::permitted;
use crate::{label, real};

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
    // SAFETY: the caller's contract; the completed environment ends with a null pointer.
    unsafe {
        spawn(path, actions, attributes, environment, permitted::path, |complete| {
            real::posix_spawn(pid, path, actions, attributes, arguments, complete.cast())
        })
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
        spawn(file, actions, attributes, environment, permitted::file, |complete| {
            real::posix_spawnp(pid, file, actions, attributes, arguments, complete.cast())
        })
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
        spawn(path, actions, attributes, environment, permitted::path, |complete| {
            let complete = complete.cast();
            or_absent(real::pidfd_spawn(pidfd, path, actions, attributes, arguments, complete))
        })
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
        spawn(file, actions, attributes, environment, permitted::file, |complete| {
            let complete = complete.cast();
            or_absent(real::pidfd_spawnp(pidfd, file, actions, attributes, arguments, complete))
        })
    }
}

/// What a function that only a newer libc has has answered: -1 where there is none.
fn or_absent(error: c_int) -> c_int {
    if error < 0 { libc::ENOSYS } else { error }
}

/// Whether the child sets its effective ids to the real ones before its exec.
///
/// # Safety
/// `attributes` is null or initialised.
unsafe fn resets_ids(attributes: *const posix_spawnattr_t) -> bool {
    // SAFETY: the caller's contract; glibc's structure, which <spawn.h> declares, begins with the flags.
    let flags = unsafe { attributes.cast::<c_short>().as_ref() };
    flags.is_some_and(|flags| c_int::from(*flags) & RESET_IDS != 0)
}

/// `POSIX_SPAWN_RESETIDS` (spawn.h).
const RESET_IDS: c_int = 1;

/// Gives an errno instead of setting it, as these functions do.
///
/// # Safety
/// `path` is a C string, `actions` and `attributes` are null or initialised, `environment` is null or
/// null-terminated.
unsafe fn spawn(
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    environment: *const *mut c_char,
    judge: impl FnOnce(i32, &CStr) -> Result<(), Errno>,
    call: impl FnOnce(*const *const c_char) -> c_int,
) -> c_int {
    if path.is_null() {
        return libc::EFAULT;
    }
    // SAFETY: the caller's contract.
    let (start, path) = unsafe { (Start::of(actions), CStr::from_ptr(path)) };
    // SAFETY: the caller's contract.
    let process = if unsafe { resets_ids(attributes) } { Ok(()) } else { permitted::process(path) };
    let judged = process.and(start).and_then(|start| judge(start.directory(), path));
    if let Err(Errno(errno)) = judged {
        return errno;
    }
    // SAFETY: the caller's contract.
    let (environment, actions) =
        unsafe { (Environment::from_raw(environment.cast()), list_of(actions)) };
    let call = |complete| {
        // A connection that is made only now has a label, too.
        let labelled = || {
            label::write_inheritable();
            actions.iter().filter_map(Action::duplicated).for_each(label::write);
            call(complete)
        };
        without_half_spoken(labelled).unwrap_or_else(|Errno(errno)| errno)
    };
    with_environment(environment, call).unwrap_or_else(|Errno(errno)| errno)
}

/// The directory that the child starts its exec from.
enum Start {
    Here,
    There(File),
}

/// One action, as glibc lays it out behind `posix_spawn_file_actions_t`.
#[repr(C)]
struct Action {
    tag: c_int,
    body: Body,
}

#[repr(C)]
union Body {
    descriptor: c_int,
    path: *const c_char,
    longest: [u64; 3],
}

/// glibc's tag of `posix_spawn_file_actions_adddup2`.
const DUPLICATE: c_int = 1;
/// glibc's tags of `posix_spawn_file_actions_addchdir_np` and `…_addfchdir_np`.
const CHANGE_DIRECTORY: c_int = 3;
const CHANGE_DIRECTORY_TO_DESCRIPTOR: c_int = 4;

/// The head of glibc's `posix_spawn_file_actions_t`, which <spawn.h> declares.
#[repr(C)]
struct Actions {
    allocated: c_int,
    used: c_int,
    list: *const Action,
}

impl Action {
    /// The descriptor that the program gets under another number, whether or not it is to be closed
    /// on exec.
    fn duplicated(&self) -> Option<c_int> {
        // SAFETY: the tag says which field was written.
        (self.tag == DUPLICATE).then_some(unsafe { self.body.descriptor })
    }
}

/// # Safety
/// `actions` is null or initialised, and outlives `'a`.
unsafe fn list_of<'a>(actions: *const posix_spawn_file_actions_t) -> &'a [Action] {
    // SAFETY: the caller's contract, and glibc's layout.
    match unsafe { actions.cast::<Actions>().as_ref() } {
        // SAFETY: as above; so many are initialised.
        Some(actions) if actions.used > 0 => unsafe {
            core::slice::from_raw_parts(actions.list, actions.used as usize)
        },
        _ => &[],
    }
}

impl Start {
    /// Follows the changes of directory among `actions`.
    ///
    /// # Safety
    /// `actions` is null or initialised.
    unsafe fn of(actions: *const posix_spawn_file_actions_t) -> Result<Start, Errno> {
        let mut start = Start::Here;
        // SAFETY: the caller's contract.
        for action in unsafe { list_of(actions) } {
            // SAFETY: the tag says which field was written.
            start = unsafe {
                match action.tag {
                    CHANGE_DIRECTORY => {
                        let path = CStr::from_ptr(action.body.path);
                        Start::There(File::open_at(start.directory(), path)?)
                    }
                    CHANGE_DIRECTORY_TO_DESCRIPTOR => {
                        Start::There(File::duplicate(action.body.descriptor)?)
                    }
                    _ => start,
                }
            };
        }
        Ok(start)
    }

    fn directory(&self) -> i32 {
        match self {
            Start::Here => libc::AT_FDCWD,
            Start::There(directory) => directory.fd(),
        }
    }
}
