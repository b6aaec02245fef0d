//! The process that memory belongs to, without a system call.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicI32, AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use super::{getpid, map_zeroed, unmap, wipe_on_fork};

/// A page with the process's id, which a forked child gets zeroed. Null before the first use.
static PAGE: AtomicPtr<AtomicI32> = AtomicPtr::new(null_mut());
/// Bytes of the mapping.
const LENGTH: usize = 4_096;
/// Takes the page's place where the kernel can't wipe (before Linux 4.14): no id is kept.
static UNKEPT: AtomicI32 = AtomicI32::new(0);

/// The id of the process whose memory this is: the calling process's, also in a child that was forked
/// behind the hooks. A child that has its parent's memory, of vfork, is told its parent's. Negative where
/// a filter refuses to tell. Async-signal-safe.
pub fn process() -> i32 {
    let page = page();
    // Relaxed throughout: the id is compared with one that this process has stored.
    match page.load(Relaxed) {
        0 => ask(page),
        this => this,
    }
}

/// Lets the next caller ask the kernel: for a forked child, where nothing was wiped.
pub fn forget_process() {
    // As in `page`.
    // SAFETY: null, or memory that stays.
    if let Some(page) = unsafe { PAGE.load(Acquire).as_ref() } {
        page.store(0, Relaxed);
    }
}

#[cold]
fn ask(page: &AtomicI32) -> i32 {
    loop {
        let this = getpid();
        if this < 0 || core::ptr::eq(page, &raw const UNKEPT) {
            return this;
        }
        page.store(this, Relaxed);
        // A handler that forked in between has left its child with the parent's number.
        if getpid() == this {
            return this;
        }
        page.store(0, Relaxed);
    }
}

fn page() -> &'static AtomicI32 {
    // Acquire pairs with the AcqRel in `map`.
    // SAFETY: null, or memory that stays.
    unsafe { PAGE.load(Acquire).as_ref() }.unwrap_or_else(|| map())
}

#[cold]
fn map() -> &'static AtomicI32 {
    let fresh = map_zeroed(LENGTH).ok();
    let kept = fresh.filter(|page| wipe_on_fork(*page, LENGTH).is_ok()).map(NonNull::cast);
    let page = kept.map_or((&raw const UNKEPT).cast_mut(), NonNull::as_ptr);
    // AcqRel: Release publishes the zeroes, Acquire sees another caller's page.
    let won = PAGE.compare_exchange(null_mut(), page, AcqRel, Acquire);
    if let Some(fresh) = fresh.filter(|_| won.is_err() || kept.is_none()) {
        // SAFETY: no other caller has seen it.
        unsafe { unmap(fresh, LENGTH) };
    }
    // SAFETY: as in `page`.
    unsafe { &*won.map_or_else(|other| other, |_| page) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{exit_group, syscall6, wait_for};

    #[test]
    fn a_child_of_a_fork_that_nobody_was_told_of_is_another_process() {
        assert_eq!([process(), process()], [getpid(); 2]);
        // SAFETY: as fork(2); the child makes system calls only.
        let child = unsafe { syscall6(libc::SYS_clone, libc::SIGCHLD as usize, 0, 0, 0, 0, 0) };
        if child == 0 {
            let is_told = process() == getpid() && process() == getpid();
            exit_group(i32::from(!is_told));
        }
        assert_eq!(wait_for(child as i32), Ok(0));
        assert_eq!(process(), getpid());
    }
}
