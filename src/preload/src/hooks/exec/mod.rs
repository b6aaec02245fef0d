//! The exec family: what is executed is protected like us, or not executed.
//!
//! - [`permitted`]: whether a program would run protected
//! - [`ldd`]: the dynamic linker, run by ldd
//! - [`search`]: the program that a bare name stands for
//! - [`child_environment`]: the caller's environment with our variables put back
//! - [`connecting`]: sockets that are not for the program that is executed
//! - [`pointers`]: arrays of C strings without malloc
//! - [`argument_list`]: execl, execlp, execle
//! - [`spawn`]: posix_spawn, posix_spawnp
//! - [`shell`]: system, popen, wordexp

pub mod argument_list;
mod child_environment;
mod connecting;
pub mod fork;
mod ldd;
mod permitted;
mod pointers;
mod search;
pub mod shell;
pub mod spawn;

use core::ffi::{CStr, c_char, c_int};

use epochsocks::config::Environment;
use epochsocks::sys::Errno;

use crate::environment::current;
use crate::{errno, label, real};
use child_environment::with_environment;
use connecting::without_half_spoken;
use ldd::lists_only;

/// # Safety
/// As execve(2).
pub unsafe fn execve(
    path: *const c_char,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // SAFETY: the caller's contract; the completed environment ends with a null pointer.
    unsafe {
        let block = |pointers: *const *mut c_char| Environment::from_raw(pointers.cast());
        execute(
            path,
            environment.cast(),
            |path| match lists_only(path, block(arguments), block(environment)) {
                true => Ok(()),
                false => permitted::path(libc::AT_FDCWD, path),
            },
            |complete| real::execve(path, arguments, complete.cast()),
        )
    }
}

/// # Safety
/// As execv(3).
pub unsafe fn execv(path: *const c_char, arguments: *const *mut c_char) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { execve(path, arguments, current().as_ptr().cast()) }
}

/// # Safety
/// As execvp(3).
pub unsafe fn execvp(file: *const c_char, arguments: *const *mut c_char) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { execvpe(file, arguments, current().as_ptr().cast()) }
}

/// # Safety
/// As execvpe(3).
pub unsafe fn execvpe(
    file: *const c_char,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // SAFETY: as in `execve`.
    unsafe {
        execute(
            file,
            environment.cast(),
            |file| permitted::file(libc::AT_FDCWD, file),
            |complete| real::execvpe(file, arguments, complete.cast()),
        )
    }
}

/// # Safety
/// As fexecve(3).
pub unsafe fn fexecve(
    fd: c_int,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // SAFETY: as in `execve`.
    unsafe {
        execute(
            c"".as_ptr(),
            environment.cast(),
            |_| permitted::descriptor(fd),
            |complete| real::fexecve(fd, arguments, complete.cast()),
        )
    }
}

/// # Safety
/// As execveat(2).
pub unsafe fn execveat(
    directory: c_int,
    path: *const c_char,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
    flags: c_int,
) -> c_int {
    let judge = |path: &CStr| match path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        true => permitted::descriptor(directory),
        false => permitted::path(directory, path),
    };
    // SAFETY: as in `execve`.
    unsafe {
        execute(path, environment.cast(), judge, |complete| {
            real::execveat(directory, path, arguments, complete.cast(), flags)
        })
    }
}

/// Runs `call` with a complete environment if `judge` lets the program pass; gives -1 with errno
/// otherwise.
///
/// # Safety
/// `path` is null or a C string; `environment` is null or ends with a null pointer.
unsafe fn execute(
    path: *const c_char,
    environment: *const *const c_char,
    judge: impl FnOnce(&CStr) -> Result<(), Errno>,
    call: impl FnOnce(*const *const c_char) -> c_int,
) -> c_int {
    if path.is_null() {
        return errno::fail(Errno(libc::EFAULT));
    }
    // SAFETY: the caller's contract.
    let (path, environment) = unsafe { (CStr::from_ptr(path), Environment::from_raw(environment)) };
    if let Err(errno) = permitted::process(path).and_then(|()| judge(path)) {
        return errno::fail(errno);
    }
    let call = |complete| {
        // A connection that is made only now has a label, too.
        let labelled = || {
            label::write_inheritable();
            call(complete)
        };
        without_half_spoken(labelled).unwrap_or_else(errno::fail)
    };
    with_environment(environment, call).unwrap_or_else(errno::fail)
}
