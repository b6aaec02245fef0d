//! A child that shares the memory until its exec and has a table of descriptors of its own, as libc's
//! posix_spawn makes it.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use epochsocks::config::Environment;
use epochsocks::sys::{self, Errno, clone_and_run};

use super::actions::Actions;
use super::attributes::Attributes;
use crate::errno;
use crate::hooks::exec::call::{By, Call, Target};
use crate::hooks::exec::half_connected::{drive_all, withhold_in_child};
use crate::hooks::exec::note::Note;
use crate::log::refused;
use crate::sockets::SOCKETS;

/// The status of a child that could not execute its program.
const NOT_EXECUTED: i32 = 127;

/// Form in which the caller names the program.
#[derive(Clone, Copy)]
pub enum Program {
    /// By its path.
    Path,
    /// By a name, which is looked for as execvp(3) does, but never given to a shell.
    Name,
}

/// Handle by which the caller wants to know the child.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Its process id.
    Id,
    /// A descriptor of it (pidfd_open(2)).
    Descriptor,
}

/// A child to be started.
pub struct Child<'a> {
    /// Meaning of `file`.
    pub program: Program,
    /// Its path or its name.
    pub file: &'a CStr,
    /// Its arguments.
    pub arguments: Environment<'a>,
    /// Its complete environment.
    pub environment: Environment<'a>,
    /// Changes that the child makes to itself before.
    pub attributes: Attributes,
    /// And of its descriptors and its directory.
    pub actions: Actions<'a>,
}

/// Data that child and parent exchange.
struct Shared<'a> {
    child: &'a Child<'a>,
    /// The parent's signal mask.
    mask: u64,
    /// The errno, 0 while there is none. The parent reads it when the child has ended or has executed
    /// its program: Relaxed.
    failure: AtomicI32,
    /// Log lines of the child.
    note: Note,
}

impl Child<'_> {
    /// Starts the child, and waits until it has executed the program. Gives what is wanted; an error
    /// of the child is the caller's, and the child is gone. Leaves errno alone.
    pub fn start(&self, wanted: Wanted) -> Result<c_int, Errno> {
        if !self.attributes.are_known() || !self.actions.are_known() {
            refused!(
                Error,
                Exec,
                "not executed: posix_spawn asks for what this version does not know"
            );
            return Err(Errno(libc::ENOSYS));
        }
        drive_all();
        let saved = errno::get();
        // The child runs no handler of the program, and a signal to the parent waits for the exec.
        let mask = sys::block_signals();
        let shared = Shared { child: self, mask, failure: AtomicI32::new(0), note: Note::new() };
        let started = clone(&shared, wanted);
        sys::set_signals(mask);
        errno::set(saved);
        let (id, descriptor) = started?;
        shared.note.tell();
        match shared.failure.load(Relaxed) {
            0 if wanted == Wanted::Descriptor => Ok(descriptor),
            0 => Ok(id),
            failure => {
                let _ = sys::wait_for(id);
                if wanted == Wanted::Descriptor {
                    let _ = sys::close(descriptor);
                }
                Err(Errno(failure))
            }
        }
    }
}

/// Makes the child, which runs deeper in this thread's stack while the thread sleeps.
fn clone(shared: &Shared<'_>, wanted: Wanted) -> Result<(c_int, c_int), Errno> {
    let mut descriptor: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let flags = match wanted {
        Wanted::Id => flags,
        Wanted::Descriptor => flags | libc::CLONE_PIDFD,
    };
    let argument = core::ptr::from_ref(shared) as usize;
    // The signals are blocked: no handler of the program jumps away.
    let id = SOCKETS.registry().share_during(|| {
        // SAFETY: `run` takes a `Shared`, which stays while this thread sleeps.
        unsafe { clone_and_run(flags as usize, &raw mut descriptor as usize, run, argument) }
    });
    Errno::check(id).map(|id| (id as c_int, descriptor))
}

/// The child.
extern "C" fn run(shared: usize) -> ! {
    // SAFETY: `clone` passes one, whose owner waits.
    let shared = unsafe { &*(shared as *const Shared<'_>) };
    let errno = match become_ready(shared) {
        Ok(()) => execute(shared),
        Err(errno) => errno,
    };
    shared.failure.store(if errno.0 == 0 { libc::ECHILD } else { errno.0 }, Relaxed);
    sys::exit_group(NOT_EXECUTED)
}

fn become_ready(shared: &Shared<'_>) -> Result<(), Errno> {
    let Child { attributes, actions, .. } = shared.child;
    sys::drop_handlers(attributes.default_signals());
    attributes.apply()?;
    withhold_in_child();
    actions.follow()?;
    sys::set_signals(attributes.mask().unwrap_or(shared.mask));
    Ok(())
}

fn execute(Shared { child, note, .. }: &Shared<'_>) -> Errno {
    let Child { program, file, arguments, environment, .. } = child;
    let call = Call { arguments: *arguments, environment: *environment, by: By::Child(note) };
    // SAFETY: the arrays end with null pointers, as the caller of `start` vouches.
    unsafe {
        match program {
            Program::Path => call.execute(Target::Path(libc::AT_FDCWD, file), 0),
            Program::Name => call.search(file),
        }
    }
}
