//! What runs when the dynamic linker has loaded the library.

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
    inheritance::remember(environment::current());
    // Before the first fork, so that the children share it. A failure is reported at the first use.
    let _ = runtime::ONION_POOL.open(runtime::cookie_range());
    let _ = ARENA.open();
    // Before the first vfork, so that no child is taken for the registry's owner.
    let _ = REGISTRY.may_change();
    // SAFETY: the handler is async-signal-safe and lives as long as the library, which is never
    // unloaded. ENOMEM is harmless: the registry notices a fork by itself.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}

extern "C" fn in_child() {
    REGISTRY.after_fork_in_child();
    ARENA.after_fork_in_child();
    sys::close_owned_sockets();
}
