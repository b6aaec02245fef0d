//! Descriptors go out in a message: the connected ones among them get a label, so that whoever
//! receives them can tell where they lead.

use epochsocks::ancillary::descriptors;
use epochsocks::sys::copy_from_program;
use libc::msghdr;

use super::arguments::is_readable;
use crate::label;
use crate::registry::is_used;
use crate::words::{bytes, with_words};

/// More control data than any kernel takes (`net.core.optmem_max`).
const MOST: usize = 1 << 20;

/// Labels the descriptors in `message`, which is about to be sent. errno is left alone.
///
/// # Safety
/// As for sendmsg(2).
#[inline(always)]
pub unsafe fn label_descriptors(message: *const msghdr) {
    // SAFETY: the caller's contract; in the first page is nothing to be read.
    unsafe {
        if !is_used() || !is_readable(message) || (*message).msg_control.is_null() {
            return;
        }
        label_all((*message).msg_control.cast(), (*message).msg_controllen);
    }
}

/// # Safety
/// `control` has `length` bytes, as for sendmsg(2).
#[cold]
unsafe fn label_all(control: *const u8, length: usize) {
    if length > MOST {
        return;
    }
    // Without memory the socket goes without its label.
    let _ = with_words(length.div_ceil(size_of::<u64>()), |words| {
        let copy = &mut bytes(words)[..length];
        // SAFETY: the caller's contract; what can't be read is EFAULT of the kernel.
        if unsafe { copy_from_program(control, copy) }.is_ok() {
            descriptors(copy).for_each(label::write);
        }
    });
}
