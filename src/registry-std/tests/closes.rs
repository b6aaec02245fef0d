//! The registry's test of what records are told, for the backends of this crate, in a process without others.

use epochsocks_registry::{Payload, Registry, SocketId, for_each_backend};

/// Of the list of backends, hands `$suite` those of this crate.
macro_rules! of_this_crate {
    ($suite:ident $others:tt { $($own:tt)* }) => { $suite! { $($own)* } };
}

#[path = "../../registry/src/children.rs"]
mod children;
#[path = "../../registry/src/closes.rs"]
mod test;
#[expect(dead_code)]
#[path = "../../registry/src/test_record.rs"]
mod test_record;
