//! The backends of this project, as they are in the library.
//!
//! They are measured without the process id check of [`Owned`], one system call a mutation that
//! is the same for every backend, but for [`SlotsChecked`].

use epochsocks::registry::{self as library, Owned, Registry, SocketId};
use epochsocks::sockets::Record;
use epochsocks_registry_std as companion;

use crate::registry::subject::{Kind, Subject};

macro_rules! ours {
    ($($name:ident = $backend:ty, $text:literal, $role:literal, $allocator:literal
        $(, most: $most:literal)? $(, unreclaimed: $unreclaimed:expr)?;)*) => { $(
        #[doc = concat!("The backend `", $text, "`.")]
        pub struct $name(Owned<$backend>);

        impl Kind for $name {
            const NAME: &'static str = $text;
            const ROLE: &'static str = $role;
            const ALLOCATOR: &'static str = $allocator;
            $(const MOST_ENTRIES: u32 = $most;)?

            fn new() -> Self {
                $name(Owned::<$backend>::new())
            }
        }

        impl Subject for $name {
            #[inline(always)]
            fn insert(&self, fd: i32, number: u64) -> bool {
                self.0.inner().insert(fd, SocketId(number)).is_ok()
            }

            #[inline(always)]
            fn remove(&self, fd: i32) -> bool {
                self.0.inner().remove(fd)
            }

            #[inline(always)]
            fn borrow(&self, fd: i32) -> Option<u64> {
                self.0.inner().borrow(fd, |record| record.id().0)
            }

            #[inline(always)]
            fn counted(&self, fd: i32) -> Option<u64> {
                self.0.inner().lookup(fd).map(|record| record.id().0)
            }

            fn hold(&self, fd: i32, meanwhile: &mut dyn FnMut()) {
                self.0.inner().borrow(fd, |_| meanwhile());
            }

            $(fn unreclaimed(&self, _retired: u64) -> Option<u64> {
                let unreclaimed: fn(&$backend) -> u64 = $unreclaimed;
                Some(unreclaimed(self.0.inner()))
            }

            fn counts_at_rest(&self) -> bool {
                true
            })?

            fn after_fork_in_child(&self) {
                self.0.after_fork_in_child();
            }
        }
    )* };
}

type Inner<T> = <T as InnerOf>::Inner;

/// The backend inside an [`Owned`].
trait InnerOf {
    type Inner;
}

impl<R> InnerOf for Owned<R> {
    type Inner = R;
}

ours! {
    Mutex = Inner<library::Mutex<Record>>, "mutex",
        "the 2013 proposal: one pthread mutex, chained hash, refcount", "malloc";
    Slots = Inner<library::Slots<Record>>, "slots",
        "descriptor table, own epoch domain, eras: the default", "own slab over mmap",
        unreclaimed: |registry| registry.unreclaimed().into();
    SlotsBarrier = Inner<library::SlotsBarrier<Record>>, "slots-barrier",
        "the same, readers without a locked instruction (membarrier)", "own slab over mmap",
        unreclaimed: |registry| registry.unreclaimed().into();
    SlotsEpoch = Inner<library::SlotsEpoch<Record>>, "slots-epoch",
        "the same, plain epochs", "own slab over mmap",
        unreclaimed: |registry| registry.unreclaimed().into();
    SlotsHazard = Inner<library::SlotsHazard<Record>>, "slots-hazard",
        "the same, hazard pointers", "own slab over mmap",
        unreclaimed: |registry| registry.unreclaimed().into();
    Counted = Inner<library::Counted<Record>>, "counted",
        "the same table, split reference count, no epochs", "own slab over mmap";
    TypeStable = Inner<library::TypeStable<Record>>, "type-stable",
        "the same table, a count for each reader and a second look, as the kernel's fget", "own slab over mmap";
    MutexSlots = Inner<library::MutexSlots<Record>>, "mutex-slots",
        "one mutex over the descriptor table: what the lock alone costs", "own slab over mmap";
    Sharded = Inner<companion::Sharded<Record>>, "sharded",
        "DashMap and crossbeam-epoch: a lock a shard", "malloc";
    Snapshot = Inner<companion::Snapshot<Record>>, "snapshot",
        "arc-swap of a map that is copied by each write", "malloc", most: 1_000;
    SlotsCrossbeam = Inner<companion::SlotsCrossbeam<Record>>, "slots-crossbeam",
        "the descriptor table over crossbeam-epoch", "own slab over mmap, malloc for crossbeam";
}

/// The default behind the check that a program pays: each mutation asks the kernel for the process id.
pub struct SlotsChecked(library::Slots<Record>);

impl Kind for SlotsChecked {
    const NAME: &'static str = "slots, checked";
    const ROLE: &'static str = "the default with the process id check that a program pays";
    const ALLOCATOR: &'static str = "own slab over mmap";

    fn new() -> Self {
        SlotsChecked(library::Slots::new())
    }
}

impl Subject for SlotsChecked {
    #[inline(always)]
    fn insert(&self, fd: i32, number: u64) -> bool {
        self.0.insert(fd, SocketId(number)).is_ok()
    }

    #[inline(always)]
    fn remove(&self, fd: i32) -> bool {
        self.0.remove(fd)
    }

    #[inline(always)]
    fn borrow(&self, fd: i32) -> Option<u64> {
        self.0.borrow(fd, |record| record.id().0)
    }

    #[inline(always)]
    fn counted(&self, fd: i32) -> Option<u64> {
        self.0.lookup(fd).map(|record| record.id().0)
    }

    fn hold(&self, fd: i32, meanwhile: &mut dyn FnMut()) {
        self.0.borrow(fd, |_| meanwhile());
    }

    fn unreclaimed(&self, _retired: u64) -> Option<u64> {
        Some(self.0.inner().unreclaimed().into())
    }

    fn counts_at_rest(&self) -> bool {
        true
    }

    fn after_fork_in_child(&self) {
        self.0.after_fork_in_child();
    }
}
