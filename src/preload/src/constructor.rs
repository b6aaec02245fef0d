//! What runs when the dynamic linker has loaded the library.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

use epochsocks::pending::ARENA;
use epochsocks::registry::Registry;
use epochsocks::sys;

use crate::registry::REGISTRY;
use crate::{environment, inheritance, log, real, runtime};

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    log::remember_standard_error();
    real::resolve_at_load();
    inheritance::remember(environment::at_load());
    // Bad settings end the program before it has begun.
    if runtime::settings().is_none() {
        runtime::load_now();
    }
    // Before the first vfork, so that no child is taken for the registry's owner.
    REGISTRY.bind();
    // SAFETY: the handlers are async-signal-safe and live as long as the library, which is never
    // unloaded. ENOMEM is harmless: the registry notices a fork by itself.
    unsafe { __register_atfork(Some(before_fork), Some(after_fork), Some(in_child), null_mut()) };
}

unsafe extern "C" {
    /// What pthread_atfork(3) calls, with the object that the handlers go with: none, as the library
    /// is never unloaded (Linux Standard Base, "libc").
    fn __register_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
        object: *mut c_void,
    ) -> c_int;
}

/// Opens what parent and child share, unless its first use did. Most programs never fork, and a
/// shared mapping costs an exec more than all the rest of the constructor. A failure is reported at
/// the first use.
extern "C" fn before_fork() {
    let _ = runtime::ONION_POOL.open(runtime::cookie_range());
    ARENA.before_fork();
}

extern "C" fn after_fork() {
    ARENA.after_fork();
}

extern "C" fn in_child() {
    REGISTRY.after_fork_in_child();
    sys::close_owned_sockets();
}
