//! Descriptors go out in a message: the connected ones among them get a label, so that whoever
//! receives them can tell where they lead.

use epochsocks::ancillary::descriptors;

use crate::label;
use crate::registry::is_used;

/// Labels the descriptors in the `control` data of a message that is about to be sent. errno is left
/// alone.
pub fn label_descriptors(control: &[u8]) {
    if is_used() {
        descriptors(control).for_each(label::write);
    }
}
