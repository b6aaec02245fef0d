//! What runs when the dynamic linker has loaded the library.

use crate::sockets::SOCKETS;
use crate::{environment, inheritance, inherited, log, real, runtime, settings};

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    log::remember_standard_error();
    real::resolve_at_load();
    inheritance::remember(environment::at_load());
    // Bad settings end the program before it has begun.
    if settings::get().is_none() {
        runtime::load_now();
    }
    inherited::withhold();
    // Before the first vfork, so that no child is taken for the registry's owner.
    SOCKETS.registry().bind();
}
