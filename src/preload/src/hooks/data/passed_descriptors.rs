//! Descriptors go out in a message: the connected ones among them get a label, so that the process
//! that receives them can tell where they lead.

use core::ffi::c_int;

use epochsocks::ancillary::descriptors;

use crate::hooks::waits::wait_loop::wait_for_handshake;
use crate::label;
use crate::sockets::SOCKETS;

/// Labels the descriptors in the `control` data of a message that is about to be sent. errno is left
/// alone.
pub fn label_descriptors(control: &[u8]) {
    if SOCKETS.is_used() {
        descriptors(control).for_each(label);
    }
}

/// Waits for the handshake of a socket in flight first: a process that received it in the middle
/// could not go on with it. A failure is told to the program that asks for it.
fn label(fd: c_int) {
    if SOCKETS.is_connecting(fd) {
        let _ = wait_for_handshake(fd, libc::SO_SNDTIMEO);
    }
    label::write(fd);
}
