//! One attempt to execute one file: what is judged is what is executed, and what the new program must
//! not get is withheld. Async-signal-safe.
//!
//! The file is judged by its path and then executed by its path, so a file that is replaced in between
//! is executed unseen. Executing the descriptor that was judged would close this gap, but a program
//! would see it: a script's interpreter would get /dev/fd/N for the script, ps(1) a number for the
//! name, and `AT_EXECFN` would not be the path. Who can replace the file could run it unprotected anyway.

use core::ffi::{CStr, c_char, c_int};

use epochsocks::config::{godebug, value_of};
use epochsocks::sys::Errno;

use super::call::{By, Call, Target};
use super::half_connected;
use super::permitted::{Gets, SHELL, check};
use super::pointers::with_strings;
use super::search::each_candidate;
use crate::inheritance::LD_PRELOAD;
use crate::{destination_tag, errno, real};

impl Call<'_> {
    /// Executes `target`; comes back only with the reason why not, or with 0 if `flags` are those of a check.
    ///
    /// # Safety
    /// As execveat(2), with `flags`.
    pub unsafe fn execute(&self, target: Target<'_>, flags: c_int) -> Errno {
        match check(target, self) {
            Err(errno) => errno,
            // SAFETY: the caller's contract.
            Ok(Gets::Everything) => unsafe { self.execute_judged(target, flags) },
            // SAFETY: the caller's contract.
            Ok(Gets::NoLibrary) => unsafe { self.execute_without_library(target, flags) },
            // SAFETY: the caller's contract.
            Ok(Gets::NamesOfC) => unsafe { self.execute_with_names_of_c(target, flags) },
        }
    }

    /// # Safety
    /// As execveat(2), with `flags`.
    unsafe fn execute_judged(&self, target: Target<'_>, flags: c_int) -> Errno {
        let Call { arguments, environment, by } = *self;
        let execute = || {
            // A connection that is made only now is told of, too.
            destination_tag::tell_inheritable();
            // SAFETY: the caller's contract.
            unsafe { call(target, arguments.as_ptr().cast(), environment.as_ptr().cast(), flags) }
        };
        match by {
            By::Caller => half_connected::withheld(execute),
            By::Child(_) => execute(),
        }
    }

    /// In a frame of its own, which few need.
    ///
    /// # Safety
    /// As execveat(2), with `flags`.
    #[inline(never)]
    unsafe fn execute_without_library(&self, target: Target<'_>, flags: c_int) -> Errno {
        let room = self.environment.entries().count();
        let kept = self
            .environment
            .entries()
            .filter(|entry| value_of(entry.to_bytes(), LD_PRELOAD.as_bytes()).is_none());
        let executed = with_strings(room, kept, |environment| {
            // SAFETY: the caller's contract.
            unsafe { Call { environment, ..*self }.execute_judged(target, flags) }
        });
        executed.unwrap_or_else(|errno| errno)
    }

    /// Likewise in a frame of its own.
    ///
    /// # Safety
    /// As execveat(2), with `flags`.
    #[inline(never)]
    unsafe fn execute_with_names_of_c(&self, target: Target<'_>, flags: c_int) -> Errno {
        let added = godebug::by_c_library(self.environment.get(godebug::VARIABLE));
        let added =
            added.as_ref().and_then(|entry| CStr::from_bytes_with_nul(entry.as_slice()).ok());
        let name = godebug::VARIABLE.as_bytes();
        let kept = self
            .environment
            .entries()
            .filter(|entry| added.is_none() || value_of(entry.to_bytes(), name).is_none());
        let room = self.environment.entries().count() + 1;
        let executed = with_strings(room, kept.chain(added), |environment| {
            // SAFETY: the caller's contract.
            unsafe { Call { environment, ..*self }.execute_judged(target, flags) }
        });
        executed.unwrap_or_else(|errno| errno)
    }

    /// Executes the file that `file` stands for, as execvp(3) does: the path of each candidate that is
    /// judged is the one that is executed.
    ///
    /// # Safety
    /// As execvpe(3).
    pub unsafe fn search(&self, file: &CStr) -> Errno {
        // SAFETY: the caller's contract.
        each_candidate(file, |path| unsafe { self.execute(Target::Path(libc::AT_FDCWD, path), 0) })
    }

    /// As [`Call::search`], and what the kernel knows no format for is given to the shell.
    ///
    /// # Safety
    /// As execvpe(3).
    pub unsafe fn search_or_shell(&self, file: &CStr) -> Errno {
        // SAFETY: the caller's contract.
        each_candidate(file, |path| unsafe {
            match self.execute(Target::Path(libc::AT_FDCWD, path), 0) {
                Errno(libc::ENOEXEC) => self.by_shell(path),
                errno => errno,
            }
        })
    }

    /// Executes the shell with `script` and all arguments behind the first.
    ///
    /// # Safety
    /// As execve(2).
    #[inline(never)]
    unsafe fn by_shell(&self, script: &CStr) -> Errno {
        let room = self.arguments.entries().count() + 2;
        let rest = self.arguments.entries().skip(1);
        let executed = with_strings(room, [SHELL, script].into_iter().chain(rest), |arguments| {
            let shell = Call { arguments, ..*self };
            // SAFETY: the caller's contract.
            unsafe { shell.execute(Target::Path(libc::AT_FDCWD, SHELL), 0) }
        });
        executed.unwrap_or_else(|errno| errno)
    }
}

/// Calls the function of libc that executes `target`.
///
/// # Safety
/// As execveat(2).
unsafe fn call(
    target: Target<'_>,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
    flags: c_int,
) -> Errno {
    // SAFETY: the caller's contract.
    let result = unsafe {
        match target {
            Target::Path(libc::AT_FDCWD, path) if flags == 0 => {
                real::execve(path.as_ptr(), arguments, environment)
            }
            Target::Path(directory, path) => {
                real::execveat(directory, path.as_ptr(), arguments, environment, flags)
            }
            Target::Descriptor(fd) if flags == 0 => real::fexecve(fd, arguments, environment),
            Target::Descriptor(fd) => {
                real::execveat(fd, c"".as_ptr(), arguments, environment, flags)
            }
        }
    };
    if result == 0 { Errno(0) } else { Errno(errno::get()) }
}
