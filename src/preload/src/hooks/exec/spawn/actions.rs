//! The file actions of a child, as glibc keeps them, followed by the child.

use core::ffi::{CStr, c_char, c_int};

use epochsocks::sys::{Errno, set_close_on_exec, syscall6};
use libc::{mode_t, posix_spawn_file_actions_t};

use crate::destination_tag;
use crate::hooks::exec::half_connected::is_half_connected;

/// The head of glibc's `posix_spawn_file_actions_t`, which <spawn.h> declares.
#[repr(C)]
struct List {
    allocated: c_int,
    used: c_int,
    actions: *const Action,
}

/// One action, as glibc lays it out behind the head.
#[repr(C)]
struct Action {
    tag: c_int,
    body: Body,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Body {
    descriptor: c_int,
    duplicate: [c_int; 2],
    open: Open,
    path: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Open {
    descriptor: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
}

/// Step of the child before its exec.
#[derive(Clone, Copy)]
enum Step<'a> {
    Close(c_int),
    Duplicate(c_int, c_int),
    Open(c_int, &'a CStr, c_int, mode_t),
    ChangeDirectory(&'a CStr),
    ChangeDirectoryTo(c_int),
    CloseFrom(c_int),
    Foreground(c_int),
}

impl Action {
    /// `None` for one that a newer libc has.
    fn step(&self) -> Option<Step<'_>> {
        // SAFETY: the tag says which field was written; paths are libc's copies.
        unsafe {
            Some(match self.tag {
                0 => Step::Close(self.body.descriptor),
                1 => {
                    let [source, target] = self.body.duplicate;
                    Step::Duplicate(source, target)
                }
                2 => {
                    let Open { descriptor, path, flags, mode } = self.body.open;
                    Step::Open(descriptor, CStr::from_ptr(path), flags, mode)
                }
                3 => Step::ChangeDirectory(CStr::from_ptr(self.body.path)),
                4 => Step::ChangeDirectoryTo(self.body.descriptor),
                5 => Step::CloseFrom(self.body.descriptor),
                6 => Step::Foreground(self.body.descriptor),
                _ => return None,
            })
        }
    }
}

/// The actions of one call, in order.
#[derive(Clone, Copy)]
pub enum Actions<'a> {
    /// As the caller has added them.
    Listed(&'a [Listed]),
    /// A standard descriptor of the child is a descriptor of the caller.
    Pipe {
        /// The caller's.
        source: c_int,
        /// The child's.
        target: c_int,
        /// Calls its argument with each descriptor that the child does not get.
        each_closed: fn(fn(c_int)),
    },
}

/// An action, seen from outside.
#[repr(transparent)]
pub struct Listed(Action);

impl<'a> Actions<'a> {
    /// No action.
    pub const NONE: Actions<'a> = Actions::Listed(&[]);

    /// # Safety
    /// `actions` is null or initialised, and outlives `'a`.
    pub unsafe fn of(actions: *const posix_spawn_file_actions_t) -> Actions<'a> {
        // SAFETY: the caller's contract, and glibc's layout.
        let list = match unsafe { actions.cast::<List>().as_ref() } {
            // SAFETY: as above; that many are initialised.
            Some(list) if list.used > 0 => unsafe {
                core::slice::from_raw_parts(list.actions.cast(), list.used as usize)
            },
            _ => &[],
        };
        Actions::Listed(list)
    }

    /// Tells whether each of them is known here.
    pub fn are_known(&self) -> bool {
        match self {
            Actions::Listed(list) => list.iter().all(|action| action.0.step().is_some()),
            Actions::Pipe { .. } => true,
        }
    }

    /// Follows them in the child. Errors: those of the system calls.
    pub fn follow(&self) -> Result<(), Errno> {
        match *self {
            Actions::Listed(list) => {
                list.iter().filter_map(|action| action.0.step()).try_for_each(follow)
            }
            Actions::Pipe { source, target, each_closed } => {
                each_closed(|fd| _ = call(libc::SYS_close, fd, 0, 0));
                duplicate(source, target)
            }
        }
    }
}

fn follow(step: Step<'_>) -> Result<(), Errno> {
    match step {
        Step::Close(fd) => close(fd),
        Step::Duplicate(source, target) => duplicate(source, target),
        Step::Open(fd, path, flags, mode) => open(fd, path, flags, mode),
        // SAFETY: a C string.
        Step::ChangeDirectory(path) => Errno::check(unsafe {
            syscall6(libc::SYS_chdir, path.as_ptr() as usize, 0, 0, 0, 0, 0)
        })
        .map(drop),
        Step::ChangeDirectoryTo(fd) => call(libc::SYS_fchdir, fd, 0, 0).map(drop),
        Step::CloseFrom(first) => close_from(first),
        Step::Foreground(terminal) => {
            let group = call(libc::SYS_getpgid, 0, 0, 0)? as c_int;
            // SAFETY: the kernel reads one number.
            Errno::check(unsafe {
                let place = &raw const group as usize;
                let request = libc::TIOCSPGRP as usize;
                syscall6(libc::SYS_ioctl, terminal as usize, request, place, 0, 0, 0)
            })
            .map(drop)
        }
    }
}

/// As glibc, an error only where no descriptor can have the number.
fn close(fd: c_int) -> Result<(), Errno> {
    match call(libc::SYS_close, fd, 0, 0) {
        Err(Errno(libc::EBADF)) if fd < 0 || fd as u64 >= most_descriptors() => {
            Err(Errno(libc::EBADF))
        }
        _ => Ok(()),
    }
}

/// A connection that goes on under another number keeps its destination; a half-connected socket is
/// not for the program under any.
fn duplicate(source: c_int, target: c_int) -> Result<(), Errno> {
    destination_tag::tell(source);
    let withheld = is_half_connected(source);
    if source != target {
        call(libc::SYS_dup3, source, target, 0)?;
    }
    set_close_on_exec(target, withheld).map(drop)
}

fn open(fd: c_int, path: &CStr, flags: c_int, mode: mode_t) -> Result<(), Errno> {
    // POSIX: an open descriptor of the number is closed first.
    let _ = call(libc::SYS_close, fd, 0, 0);
    let flags = flags | libc::O_LARGEFILE;
    // SAFETY: a C string.
    let opened = Errno::check(unsafe {
        let (directory, path) = (libc::AT_FDCWD as usize, path.as_ptr() as usize);
        syscall6(libc::SYS_openat, directory, path, flags as usize, mode as usize, 0, 0)
    })? as c_int;
    if opened != fd {
        // As dup2(2) in libc: O_CLOEXEC of the flags does not stay.
        call(libc::SYS_dup3, opened, fd, 0)?;
        call(libc::SYS_close, opened, 0, 0)?;
    }
    Ok(())
}

fn close_from(first: c_int) -> Result<(), Errno> {
    match call(libc::SYS_close_range, first, -1, 0) {
        // Before Linux 5.9.
        Err(Errno(libc::ENOSYS)) => {
            let end = most_descriptors().min(1 << 20) as c_int;
            (first..end).for_each(|fd| _ = call(libc::SYS_close, fd, 0, 0));
            Ok(())
        }
        result => result.map(drop),
    }
}

/// No descriptor has this number or a higher one.
fn most_descriptors() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes both numbers.
    unsafe {
        let place = &raw mut limit as usize;
        syscall6(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE as usize, 0, place, 0, 0);
    }
    limit.rlim_cur
}

/// A system call that takes integers.
fn call(number: i64, first: c_int, second: c_int, third: c_int) -> Result<usize, Errno> {
    let (first, second, third) = (first as usize, second as usize, third as usize);
    // SAFETY: the callers above name calls that take integers.
    Errno::check(unsafe { syscall6(number, first, second, third, 0, 0, 0) })
}
