//! The suites for every backend, which the registry's crate has, for those of this crate.

use epochsocks_registry::{
    Detached, Handle, InsertError, Payload, Registry, SocketId, for_each_backend,
};

/// Of the list of backends, hands `$suite` those of this crate.
macro_rules! of_this_crate {
    ($suite:ident $others:tt { $($own:tt)* }) => { $suite! { $($own)* } };
}

#[path = "../../registry/src/conformance.rs"]
mod conformance;
#[path = "../../registry/src/equivalence.rs"]
mod equivalence;
#[expect(dead_code)]
#[path = "../../registry/src/test_record.rs"]
mod test_record;
