//! Constructor: runs when the dynamic linker has loaded the library.

use epochsocks::bytes::Bytes;

use crate::hooks::loading::libraries;
use crate::sockets::SOCKETS;
use crate::{environment, inheritance, inherited, launch, log, real, runtime, settings};

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    log::remember_standard_error();
    real::resolve_at_load();
    let environment = environment::at_load();
    // SAFETY: no other thread uses it before a constructor of the program's has run.
    let launch = unsafe { launch::begin(environment) };
    inheritance::remember(environment, launch.as_ref().map(Bytes::as_slice));
    // Bad settings end the program before it has begun.
    if settings::get().is_none() {
        runtime::load_now();
    }
    inherited::withhold();
    libraries::judge_loaded();
    // Before the first vfork, so that no child is taken for the registry's owner.
    SOCKETS.registry().bind();
}

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = destructor;

extern "C" fn destructor() {
    launch::leave();
}
