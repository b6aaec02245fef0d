//! A record is told of the close of its last descriptor.

use super::children::{child_succeeds, churn, fork};
use super::test_record::TestRecord;
use super::{Registry, SocketId};

/// Counted in children, where no other test connects: records are told of the close of their last
/// descriptor, also if it was closed before they asked for that.
fn closed_records_are_told<R: Registry<Payload = TestRecord>>(registry: &R) {
    for (opened_since, is_connected_late) in [(0, false), (0, true), (20, false), (20, true)] {
        let is_told = child_succeeds(fork, || {
            registry.insert(3, SocketId(1)).expect("vacant");
            for fd in 200..200 + opened_since {
                registry.insert(fd, SocketId(2)).expect("vacant");
            }
            let record = registry.lookup(3).expect("an entry");
            if is_connected_late {
                registry.remove(3);
            }
            record.connect_until_closed(80);
            drop(record);
            registry.remove(3);
            // Until what is retired has been freed, which crossbeam does when it likes.
            let told = (0..10_000).any(|round| {
                churn(registry, 10 + round % 90, 1);
                TestRecord::open_count() == 0
            });
            if !told {
                // SAFETY: ends the child.
                unsafe { libc::_exit(1) };
            }
        });
        let name = R::VARIANT.name;
        assert!(is_told, "{name}: {opened_since} opened since, late: {is_connected_late}");
    }
}

macro_rules! closes {
    ($($name:ident $variant:ident $text:literal ($($backend:tt)*) $rest:tt)*) => {
        /// One after the other: crossbeam-epoch frees nothing in a child that was forked while another
        /// thread was pinned.
        #[test]
        fn a_record_is_told_of_the_close_of_its_last_descriptor() {
            $(closed_records_are_told(&$($backend)*::<TestRecord>::new());)*
        }
    };
}

super::for_each_backend! { of_this_crate closes }
