//! The exec family: what is executed is protected like us, or not executed.
//!
//! - [`call`]: the file, the arguments and the process of an exec
//! - [`attempt`]: one attempt to execute one file: judge it, execute it
//! - [`permitted`]: whether a file may be executed
//! - [`ldd`]: the dynamic linker, run by ldd
//! - [`search`]: the files that a bare name stands for
//! - [`child_environment`]: the caller's environment with our variables put back
//! - [`note`]: what a child has to say
//! - [`half_connected`]: sockets that no other program gets
//! - [`pointers`]: arrays of C strings without malloc
//! - [`argument_list`]: execl, execlp, execle
//! - [`spawn`]: posix_spawn and its like, in a child of our own
//! - [`shell`]: system; [`pipe`]: popen, pclose; [`words`]: wordexp
//! - [`fork`], [`exit`]: a process begins, a process ends; [`vfork`]: one begins in its parent's memory
//! - [`seccomp`]: a process enters a sandbox

pub mod argument_list;
mod attempt;
mod call;
mod child_environment;
pub mod exit;
pub mod fork;
mod half_connected;
mod ldd;
mod note;
mod permitted;
pub mod pipe;
mod pointers;
mod search;
pub mod seccomp;
pub mod shell;
pub mod spawn;
pub mod vfork;
pub mod words;

use core::ffi::{CStr, c_char, c_int};

use epochsocks::config::Environment;
use epochsocks::sys::{Errno, ProgramStrings};

use crate::environment::current;
use crate::errno;
use call::{By, Call, Target};
use child_environment::with_environment;

/// # Safety
/// As execve(2).
pub unsafe fn execve(
    path: *const c_char,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { execveat(libc::AT_FDCWD, path, arguments, environment, 0) }
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
    // SAFETY: the caller's contract, here and below.
    unsafe { execute(file, arguments, environment, |call, file| call.search_or_shell(file)) }
}

/// # Safety
/// As fexecve(3).
pub unsafe fn fexecve(
    fd: c_int,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // As libc, which asks the kernel for none of these.
    if fd < 0 || arguments.is_null() || environment.is_null() {
        return errno::fail(Errno(libc::EINVAL));
    }
    // SAFETY: as above.
    unsafe {
        execute(c"".as_ptr(), arguments, environment, |call, _| {
            call.execute(Target::Descriptor(fd), 0)
        })
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
    // SAFETY: as above.
    unsafe {
        execute(path, arguments, environment, |call, path| {
            let is_open = path.is_empty() && flags & libc::AT_EMPTY_PATH != 0;
            match is_open && directory != libc::AT_FDCWD {
                true => call.execute(Target::Descriptor(directory), flags),
                false => call.execute(Target::Path(directory, path), flags),
            }
        })
    }
}

/// Tells whether a path and both arrays can be read, with all that they lead to; if not, the kernel
/// answers EFAULT.
///
/// # Safety
/// As for execve(2).
unsafe fn are_readable(
    path: *const c_char,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> bool {
    let mut strings = ProgramStrings::default();
    // SAFETY: the caller's contract.
    unsafe {
        strings.has(path) && strings.have(arguments.cast()) && strings.have(environment.cast())
    }
}

/// Lets `execute` execute `path` with a complete environment; gives -1 with the errno that it answers, 0 for none.
///
/// # Safety
/// As for execve(2).
unsafe fn execute(
    path: *const c_char,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
    execute: impl FnOnce(Call<'_>, &CStr) -> Errno,
) -> c_int {
    // SAFETY: the caller's contract.
    if !unsafe { are_readable(path, arguments, environment) } {
        return errno::fail(Errno(libc::EFAULT));
    }
    // SAFETY: the caller's contract; a complete environment ends with a null pointer.
    let errno = unsafe {
        let path = CStr::from_ptr(path);
        let arguments = Environment::from_raw(arguments.cast());
        with_environment(Environment::from_raw(environment.cast()), |complete| {
            execute(Call { arguments, environment: complete, by: By::Caller }, path)
        })
    };
    match errno.unwrap_or_else(|errno| errno) {
        // The kernel was only asked (`AT_EXECVE_CHECK`).
        Errno(0) => 0,
        errno => errno::fail(errno),
    }
}
