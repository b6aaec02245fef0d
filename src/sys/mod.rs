//! Raw system calls: no errno, no hook, no cancellation point; each is async-signal-safe.
//!
//! The preload library exports `close`, `syscall` and friends itself, so a call by libc's name from
//! inside it would come back to its own hook. What it needs for itself goes to the kernel from here.
//!
//! - `calls`: calls of all kinds; `descriptors`: flags, epoll sets, signals; [`net`]: sockets
//! - [`own_descriptors`], `owned_socket`: the library's own descriptors; `open_descriptors`: all of a process
//! - `files`, [`paths`]: files and directories
//! - `memory`: of the kernel, and of the program; `process`: which process has it
//! - `credentials`: ids and capabilities; [`selinux`]: contexts and policy; [`filter`]: seccomp
//! - [`futex`], `holder`, `ending`: threads that wait, that hold something, that end; [`time`]

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;

#[cfg(all(test, not(crossbeam_loom)))]
pub mod boundary;
mod calls;
mod credentials;
mod descriptors;
mod ending;
mod files;
pub mod filter;
pub mod futex;
mod holder;
mod memory;
pub mod net;
mod open_descriptors;
pub mod own_descriptors;
mod owned_socket;
pub mod paths;
mod process;
pub mod selinux;
pub mod time;

#[cfg(not(all(test, not(crossbeam_loom))))]
pub use crate::registry::sys::syscall6;
pub use crate::registry::sys::{
    Errno, getpid, is_vfork_child, map, map_zeroed, pass_barrier, register_barrier, unmap,
    wipe_on_fork,
};
pub use arch::{clone_and_run, forget_last_argument, syscall_with_secret};
#[cfg(all(test, not(crossbeam_loom)))]
pub use boundary::syscall6;
pub use calls::*;
pub use credentials::{as_after_exec, effective_user, has_changed_ids};
pub use descriptors::{
    Disposition, SignalsBlocked, StatusFlags, all_handlers_restart, block_signal, block_signals,
    block_signals_but_cancellation, descriptor_limit, drop_handlers, duplicate, duplicate_from,
    epoll_ctl, gettid, is_alive, is_close_on_exec, is_on_signal_stack, set_close_on_exec,
    set_descriptor_limit, set_signals, status_flags, thread_is_alive, without_blocking,
    without_signals, yield_now,
};
pub use ending::thread_has_ended;
pub use files::{
    File, identity, is_socket, is_terminal, is_there, is_threaded, may_execute,
    owner_and_mode_of_link, replace_by_null, write,
};
pub use holder::Holder;
pub use memory::{
    ProgramStrings, copy_from_program, copy_to_program, is_beside_stack, map_shared, may_write,
    readable_bytes,
};
pub use open_descriptors::each_open_descriptor;
pub use owned_socket::{OwnedSocket, close_owned_sockets};
pub use process::{forget_process, process};
