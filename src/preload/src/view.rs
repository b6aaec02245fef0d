//! The block that `epochsocks status` finds in a process's memory; see [`epochsocks::view`].

use core::ptr::from_ref;

use epochsocks::registry::Registry;
use epochsocks::view::View;

use crate::launch::ONION_POOL;
use crate::log::REFUSALS;
use crate::sockets::{Backend, SOCKETS};

/// Addresses of everything.
#[used]
static VIEW: View = View::new(
    from_ref(SOCKETS.registry()).cast(),
    <Backend as Registry>::LAYOUT,
    ONION_POOL.mapping(),
    from_ref(&REFUSALS).cast(),
);

// The note of kind 2 beside `IDENTITY`: the distance from its description to the block. It names no
// symbol for others and needs no relocation.
core::arch::global_asm!(
    ".pushsection .note.epochsocks.view,\"a\",%note",
    ".balign 4",
    ".long 11, 4, 2",
    ".ascii \"epochsocks\\0\\0\"",
    ".long {view} - .",
    ".popsection",
    view = sym VIEW,
);
