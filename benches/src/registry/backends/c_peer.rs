//! The peers that are written in C. Each operation is a call of a C function, as it would be for a
//! preload library that is linked with them.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::C_PEERS;
use crate::registry::subject::{Kind, Subject};

/// Calls a C function of a registry.
macro_rules! call {
    ($function:ident, $registry:expr $(, $argument:expr)*) => {
        // SAFETY: the registry is the one that `new` made, and threads attach first.
        unsafe { $function($registry.0.as_ptr() $(, $argument)*) }
    };
}

macro_rules! c_peer {
    ($($name:ident($cfg:ident) = $text:literal, $index:literal, {
        $new:ident $attach:ident $detach:ident $insert:ident $remove:ident $borrow:ident
        $counted:ident $hold:ident $unreclaimed:ident
    };)*) => { $(
        #[cfg($cfg)]
        unsafe extern "C" {
            fn $new() -> *mut c_void;
            fn $attach(registry: *mut c_void);
            fn $detach(registry: *mut c_void);
            fn $insert(registry: *mut c_void, fd: i32, number: u64) -> bool;
            fn $remove(registry: *mut c_void, fd: i32) -> bool;
            fn $borrow(registry: *mut c_void, fd: i32) -> u64;
            fn $counted(registry: *mut c_void, fd: i32) -> u64;
            fn $hold(registry: *mut c_void, fd: i32, call: extern "C" fn(*mut c_void), data: *mut c_void);
            fn $unreclaimed(registry: *mut c_void) -> u64;
        }

        #[cfg($cfg)]
        #[doc = concat!("The peer `", $text, "`.")]
        pub struct $name(NonNull<c_void>);

        #[cfg($cfg)]
        // SAFETY: the C code is made for threads.
        unsafe impl Send for $name {}
        #[cfg($cfg)]
        // SAFETY: as above.
        unsafe impl Sync for $name {}

        #[cfg($cfg)]
        impl Kind for $name {
            const NAME: &'static str = C_PEERS[$index].0;
            const ROLE: &'static str = C_PEERS[$index].1;
            const ALLOCATOR: &'static str = "malloc";

            fn new() -> Self {
                // SAFETY: asks for memory, no more.
                $name(NonNull::new(unsafe { $new() }).expect("memory for a registry"))
            }
        }

        impl Subject for $name {
            fn attach(&self) {
                call!($attach, self)
            }
            fn detach(&self) {
                call!($detach, self)
            }
            #[inline(always)]
            fn insert(&self, fd: i32, number: u64) -> bool {
                call!($insert, self, fd, number)
            }
            #[inline(always)]
            fn remove(&self, fd: i32) -> bool {
                call!($remove, self, fd)
            }
            #[inline(always)]
            fn borrow(&self, fd: i32) -> Option<u64> {
                found(call!($borrow, self, fd))
            }
            #[inline(always)]
            fn counted(&self, fd: i32) -> Option<u64> {
                found(call!($counted, self, fd))
            }
            fn hold(&self, fd: i32, mut meanwhile: &mut dyn FnMut()) {
                call!($hold, self, fd, call_back, (&raw mut meanwhile).cast())
            }
            fn unreclaimed(&self, _retired: u64) -> Option<u64> {
                Some(call!($unreclaimed, self))
            }
        }
    )* };
}

/// The C side answers all ones for "none".
#[inline(always)]
fn found(number: u64) -> Option<u64> {
    (number != u64::MAX).then_some(number)
}

extern "C" fn call_back(data: *mut c_void) {
    // SAFETY: what `hold` gave, for the time of its call.
    unsafe { (*data.cast::<&mut dyn FnMut()>())() }
}

c_peer! {
    UrcuMemb(urcu_memb) = "urcu-memb", 0, {
        urcu_memb_new urcu_memb_attach urcu_memb_detach urcu_memb_insert urcu_memb_remove
        urcu_memb_borrow urcu_memb_counted urcu_memb_hold urcu_memb_unreclaimed
    };
    UrcuBp(urcu_bp) = "urcu-bp", 1, {
        urcu_bp_new urcu_bp_attach urcu_bp_detach urcu_bp_insert urcu_bp_remove
        urcu_bp_borrow urcu_bp_counted urcu_bp_hold urcu_bp_unreclaimed
    };
    Ck(ck) = "ck", 2, {
        peer_ck_new peer_ck_attach peer_ck_detach peer_ck_insert peer_ck_remove
        peer_ck_borrow peer_ck_counted peer_ck_hold peer_ck_unreclaimed
    };
    CkHp(ck_hp) = "ck-hp", 3, {
        peer_ck_hp_new peer_ck_hp_attach peer_ck_hp_detach peer_ck_hp_insert peer_ck_hp_remove
        peer_ck_hp_borrow peer_ck_hp_counted peer_ck_hp_hold peer_ck_hp_unreclaimed
    };
}
