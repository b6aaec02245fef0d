//! The descriptor table: one slot a descriptor, in lazily backed memory that is never unmapped.

use core::sync::atomic::Ordering::Acquire;

use core::mem::offset_of;

use super::{InsertError, Layout};
use crate::atomics::ordering::{TotalMark, TotalOrder};
use crate::atomics::{AtomicI32, AtomicPtr, Zeroed, const_new, map_array, unmap_array};
use crate::sizes::PAGE;

/// Pages for every non-negative `i32`.
const PAGES: usize = (1 << 31) / PAGE;

/// Slots of type `S`, indexed by descriptor. Empty and without memory until the first
/// [`Table::slot_or_map`].
#[derive(Debug)]
pub struct Table<S> {
    /// The first page by itself: a miss is one load of this and one of the slot.
    near: AtomicPtr<S>,
    /// Pages for descriptors from `PAGE` up.
    far: AtomicPtr<AtomicPtr<S>>,
    /// No slot above this was ever asked for.
    highest: AtomicI32,
}

impl<S: Zeroed> Table<S> {
    /// Addresses of its pages; nothing is said of the words in them.
    pub const LAYOUT: Layout = Layout {
        near: offset_of!(Self, near) as u32,
        far: offset_of!(Self, far) as u32,
        page: PAGE as u32,
        ..Layout::NONE
    };

    const_new! {
        /// A table without memory.
        pub fn new() -> Table<S> {
            Table {
                near: AtomicPtr::new(core::ptr::null_mut()),
                far: AtomicPtr::new(core::ptr::null_mut()),
                highest: AtomicI32::new(-1),
            }
        }
    }

    /// The slot of `fd`, if its page is mapped. Never maps.
    #[inline(always)]
    pub fn slot(&self, fd: i32) -> Option<&S> {
        if (fd as u32 as usize) < PAGE { self.near_slot(fd) } else { self.far_slot(fd) }
    }

    /// The slot of `fd`, if it is on the first page.
    #[inline(always)]
    pub fn near_slot(&self, fd: i32) -> Option<&S> {
        let index = fd as u32 as usize;
        // Acquire pairs with the CAS in `map_page`.
        if index < PAGE { element(self.near.load(Acquire), index) } else { None }
    }

    #[cold]
    fn far_slot(&self, fd: i32) -> Option<&S> {
        let index = usize::try_from(fd).ok()?;
        // Both Acquires pair with the CAS in `map_page`.
        let page = element(self.far.load(Acquire), index / PAGE)?.load(Acquire);
        element(page, index % PAGE)
    }

    /// The slot of `fd`; maps its page at first use. `OutOfRange` for a negative descriptor,
    /// `Exhausted` without memory.
    #[inline(always)]
    pub fn slot_or_map(&self, fd: i32) -> Result<&S, InsertError> {
        self.slot_in_use(fd).map_or_else(|| self.map_slot(fd), Ok)
    }

    /// The slot of `fd`, if it is on the first page and this or one above it was asked for before.
    #[inline(always)]
    pub fn slot_in_use(&self, fd: i32) -> Option<&S> {
        let index = fd as u32 as usize;
        // Total order, mark and page: before the entry comes into the slot, as in `map_slot`.
        if self.highest.load_total() >= fd && index < PAGE {
            element(self.near.load_total(), index)
        } else {
            None
        }
    }

    #[cold]
    fn map_slot(&self, fd: i32) -> Result<&S, InsertError> {
        let index = usize::try_from(fd).map_err(|_| InsertError::OutOfRange)?;
        let page = if index < PAGE {
            page_or_map(&self.near, PAGE)?
        } else {
            let pages = page_or_map(&self.far, PAGES)?;
            page_or_map(element(pages, index / PAGE).ok_or(InsertError::OutOfRange)?, PAGE)?
        };
        // Total order pairs with `each_slot`: page and mark are there before the entry.
        self.highest.raise_total(fd);
        element(page, index % PAGE).ok_or(InsertError::OutOfRange)
    }

    /// Visits every slot that can hold an entry: one whose maker does not see what the caller has
    /// written in the total order is visited.
    pub fn each_slot<'t>(&'t self, mut visit: impl FnMut(&'t S)) {
        // Total order, mark and page, pairs with `map_slot` and `slot_in_use`. The loads below see the
        // first page if this one does; the others come with marks of their own.
        let Ok(highest) = usize::try_from(self.highest.load_total()) else { return };
        let _ = self.near.load_total();
        for first in (0..=highest).step_by(PAGE) {
            // A page that isn't mapped has none.
            if self.slot(first as i32).is_some() {
                let slots = (first..=highest.min(first + PAGE - 1)).map(|fd| self.slot(fd as i32));
                slots.flatten().for_each(&mut visit);
            }
        }
    }
}

/// Element `index` of a page, or `None` if there is no page.
#[inline(always)]
fn element<'t, T>(page: *mut T, index: usize) -> Option<&'t T> {
    // SAFETY: the callers keep `index` below the length of the page, and pages are never unmapped.
    (!page.is_null()).then(|| unsafe { &*page.add(index) })
}

/// The page that `place` points to; the first caller maps it.
#[inline]
fn page_or_map<T: Zeroed>(place: &AtomicPtr<T>, count: usize) -> Result<*mut T, InsertError> {
    // Acquire pairs with the CAS below.
    let page = place.load(Acquire);
    if page.is_null() { map_page(place, count) } else { Ok(page) }
}

#[cold]
fn map_page<T: Zeroed>(place: &AtomicPtr<T>, count: usize) -> Result<*mut T, InsertError> {
    let fresh = map_array::<T>(count).ok_or(InsertError::Exhausted)?;
    // Total order: see `each_slot`. Its loads acquire what this releases.
    match place.replace_total(core::ptr::null_mut(), fresh.as_ptr()) {
        Ok(()) => Ok(fresh.as_ptr()),
        Err(other) => {
            // SAFETY: another caller's page won; no other thread has seen this one.
            unsafe { unmap_array(fresh, count) };
            Ok(other)
        }
    }
}
