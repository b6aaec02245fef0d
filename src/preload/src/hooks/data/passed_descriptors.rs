//! Descriptors go out in a message: where the connected ones among them lead is told to the program
//! that receives them.

use core::ffi::c_int;

use epochsocks::ancillary::descriptors;

use crate::destination_tag;
use crate::hooks::waits::wait_loop::wait_for_handshake;
use crate::sockets::SOCKETS;

/// Tells where the descriptors lead in the `control` data of a message that is about to be sent. errno
/// is left alone.
pub fn tell_descriptors(control: &[u8]) {
    if SOCKETS.is_used() {
        descriptors(control).for_each(tell);
    }
}

/// Waits for the handshake of a socket in flight first: a process that received it in the middle
/// could not go on with it. A failure is told to the program that asks for it.
fn tell(fd: c_int) {
    if SOCKETS.is_connecting(fd) {
        let _ = wait_for_handshake(fd, SOCKETS.drive(fd), libc::SO_SNDTIMEO);
    }
    destination_tag::tell(fd);
}
