//! liburing: it enters the kernel itself, so that no hook would see what a ring connects and sends. Its
//! functions answer what they do on kernels without io_uring, and programs go on without it.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use crate::log::refused;

fn refuse(name: &str) {
    refused!(Debug, Call, "{name} refused: io_uring would bypass Tor");
}

macro_rules! absent {
    ($($name:ident)*) => {
        $(
            /// # Safety
            /// No argument is looked at.
            pub unsafe fn $name() -> c_int {
                refuse(stringify!($name));
                -libc::ENOSYS
            }
        )*
    };
}

absent! {
    io_uring_queue_init
    io_uring_queue_init_params
    io_uring_queue_init_mem
    io_uring_queue_mmap
    io_uring_setup
    io_uring_enter
    io_uring_enter2
    io_uring_register
}

/// # Safety
/// There is no argument.
pub unsafe fn io_uring_get_probe() -> *mut c_void {
    refuse("io_uring_get_probe");
    null_mut()
}
