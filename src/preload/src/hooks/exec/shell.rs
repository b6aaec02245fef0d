//! system: libc starts the shell inside, where no hook is, so the shell is a child of our own, with
//! what POSIX asks for: SIGINT and SIGQUIT are ignored and SIGCHLD is blocked meanwhile.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{
    AtomicI32,
    Ordering::{Acquire, Relaxed, Release},
};

use epochsocks::sys::{self, Disposition, Errno};

use super::child_environment::with_environment;
use super::permitted::SHELL;
use super::pointers::with_strings;
use super::spawn::actions::Actions;
use super::spawn::attributes::Attributes;
use super::spawn::child::{Child, Program, Wanted};
use crate::environment::current;
use crate::{errno, unhooked};

/// The status of a shell that could not be executed (POSIX, system).
const NOT_EXECUTED: c_int = 127 << 8;

/// # Safety
/// As system(3).
pub unsafe fn system(command: *const c_char) -> c_int {
    if command.is_null() {
        return c_int::from(run(c"exit 0") == 0);
    }
    // SAFETY: the caller's contract.
    run(unsafe { CStr::from_ptr(command) })
}

fn run(command: &CStr) -> c_int {
    let defaults = KEYBOARD.ignore();
    let mask = sys::block_signal(libc::SIGCHLD);
    let status = match start(command, Attributes::of_signals(defaults, mask), Actions::NONE) {
        Ok(child) => wait(child),
        // The shell is there, and may not be run.
        Err(errno @ Errno(libc::EPERM | libc::EAGAIN | libc::ENOMEM)) => errno::fail(errno),
        Err(Errno(errno)) => {
            errno::set(errno);
            NOT_EXECUTED
        }
    };
    KEYBOARD.restore();
    sys::set_signals(mask);
    status
}

/// Starts the shell with `command`, in this process's environment.
pub fn start(command: &CStr, attributes: Attributes, actions: Actions<'_>) -> Result<c_int, Errno> {
    let words = [c"sh", c"-c", c"--", command];
    with_environment(current(), |environment| {
        with_strings(words.len(), words.into_iter(), |arguments| {
            let program = Program::Path;
            Child { program, file: SHELL, arguments, environment, attributes, actions }
                .start(Wanted::Id)
        })
    })??
}

/// Waits for the end of `child`; a cancellation point, at which the child is ended. Gives its status.
fn wait(child: c_int) -> c_int {
    let (mut buffer, mut status) = ([0; 4], 0);
    let saved = errno::get();
    // SAFETY: the buffer stays until the pop; the routine takes the number as it is.
    unsafe {
        let argument = core::ptr::without_provenance_mut(child as usize);
        unhooked::_pthread_cleanup_push(&raw mut buffer, abandon, argument);
        while unhooked::waitpid(child, &raw mut status, 0) < 0 {
            if errno::get() != libc::EINTR {
                status = -1;
                break;
            }
        }
        unhooked::_pthread_cleanup_pop(&raw mut buffer, 0);
    }
    if status != -1 {
        errno::set(saved);
    }
    status
}

/// The thread that waits for the child is cancelled: as libc does, the child goes, too.
extern "C" fn abandon(child: *mut c_void) {
    let child = child.addr() as c_int;
    sys::kill_child(child);
    let _ = sys::wait_for(child);
    KEYBOARD.restore();
}

/// The signals that a terminal sends to the shell and to this process.
const SIGNALS: [i32; 2] = [libc::SIGINT, libc::SIGQUIT];

static KEYBOARD: Keyboard = Keyboard {
    lock: AtomicI32::new(0),
    process: AtomicI32::new(0),
    users: AtomicI32::new(0),
    before: UnsafeCell::new([Disposition::DEFAULT; 2]),
};

/// The dispositions of [`SIGNALS`], while threads of this process are in `system`: the first of them
/// ignores the signals, and the last restores what was before.
struct Keyboard {
    /// The process one of whose threads looks at the others, or 0. In a forked child the number is its
    /// parent's, whose thread is not there.
    lock: AtomicI32,
    /// The process whose threads are counted.
    process: AtomicI32,
    users: AtomicI32,
    before: UnsafeCell<[Disposition; 2]>,
}

// SAFETY: what is not atomic is used under the lock.
unsafe impl Sync for Keyboard {}

impl Keyboard {
    /// Counts the calling thread; gives those of the signals that were not ignored before.
    fn ignore(&self) -> u64 {
        self.locked(|before| {
            // Relaxed: under the lock, here and below.
            if self.process.swap(sys::getpid(), Relaxed) != sys::getpid() {
                self.users.store(0, Relaxed);
            }
            if self.users.fetch_add(1, Relaxed) == 0 {
                *before = SIGNALS.map(|signal| Disposition::IGNORE.replace(signal));
            }
            let heard = SIGNALS.iter().zip(before).filter(|(_, before)| !before.is_ignored());
            heard.fold(0, |set, (signal, _)| set | 1 << (signal - 1))
        })
    }

    fn restore(&self) {
        self.locked(|before| {
            if self.users.fetch_sub(1, Relaxed) == 1 {
                for (signal, before) in SIGNALS.into_iter().zip(before) {
                    before.replace(signal);
                }
            }
        });
    }

    /// No handler interrupts the holder of the lock, so that it can't be asked for twice.
    fn locked<R>(&self, call: impl FnOnce(&mut [Disposition; 2]) -> R) -> R {
        sys::without_signals(|_| {
            let process = sys::getpid();
            loop {
                let holder = self.lock.load(Relaxed);
                let is_free = holder != process;
                // Acquire pairs with the Release below.
                if is_free && self.lock.compare_exchange(holder, process, Acquire, Relaxed).is_ok()
                {
                    break;
                }
                sys::yield_now();
            }
            // SAFETY: the lock is held.
            let result = call(unsafe { &mut *self.before.get() });
            // Release pairs with the Acquire above.
            self.lock.store(0, Release);
            result
        })
    }
}
