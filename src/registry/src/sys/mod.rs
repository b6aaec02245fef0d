//! Raw system calls: no errno, no hook, no cancellation point; each is async-signal-safe. `memory` has those of
//! memory, `barrier` membarrier(2), `errno` the numbers of errors.

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;

mod barrier;
mod errno;
mod memory;

pub use arch::syscall6;
pub use barrier::{pass_barrier, register_barrier};
pub use errno::Errno;
pub use memory::{is_vfork_child, map, map_zeroed, unmap, wipe_on_fork};

/// The calling process's id, asked of the kernel each time (a cached one is wrong after `vfork`);
/// negative where a filter refuses to tell.
#[inline(always)]
pub fn getpid() -> i32 {
    // SAFETY: getpid takes no argument.
    unsafe { syscall6(libc::SYS_getpid, 0, 0, 0, 0, 0, 0) as i32 }
}
