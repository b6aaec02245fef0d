//! The pool of cookie addresses: an address that a program can pass around for a name that has
//! none.
//!
//! One mapping, of this process alone, holds a hash table of offsets and an arena of names. A slot goes from empty to
//! a name once and for all:
//!
//! ```text
//!   0 (empty) --CAS--> offset of a finished name
//! ```
//!
//! - **a** A cookie is never handed to two names: its slot is written by one CAS, from 0.
//! - **b** A name never gets two cookies: its probe sequence is fixed and slots never empty, so
//!   every thread that looks for it meets the same slot first.
//! - **c** A cookie is never taken back.
//! - **d** A forked child knows its parent's names. What another process of the launch looks up is
//!   asked of the [`Store`] when its address comes up, and taken over once: an address that this
//!   process has given out, or taken over, never changes its name.
//! - **e** No operation blocks or allocates from the host; each may interrupt any other.

use super::cookie_range::{Cookie, CookieRange};
use super::error::PoolError;
use super::name_class::MAX_NAME;
use super::onion_table::Table;
use crate::launch_store::Store;
use crate::launch_store::names::CookieName;
use crate::registry::atomics::SharedBytes;
use crate::sys::{self, Errno};
use core::net::{IpAddr, Ipv4Addr};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::registry::atomics::AtomicU32;

/// SharedBytes of a name in the arena: its length, then itself.
const MAX_ENTRY: usize = 1 + MAX_NAME;

/// The arena ends here however large the range is, so that an offset fits 32 bits with room for
/// the cursor to overshoot.
const MAX_ARENA: usize = 1 << 30;

/// Meaning of an address to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'p> {
    /// Not of the range: an address like any other.
    Ordinary,
    /// Of the range, and stands for this name (in lower case).
    Name(&'p [u8]),
    /// Of the range, but given to no process of the launch: to be refused, never taken for localhost.
    Unknown,
}

/// Use of the names of other processes.
#[derive(Clone, Copy, Debug)]
pub enum Sharing {
    /// It knows its own only.
    Nothing,
    /// No other process asks for its own, but there may be some of others.
    Reads(Store),
    /// It tells its own as well.
    Tells(Store),
}

impl Sharing {
    fn store(self) -> Option<Store> {
        match self {
            Sharing::Nothing => None,
            Sharing::Reads(store) | Sharing::Tells(store) => Some(store),
        }
    }

    /// The name that `address` stands for in every process: `name` if none does yet. `None` if no
    /// other process can be told.
    fn claim(self, address: Ipv4Addr, name: &[u8]) -> Option<CookieName> {
        match self {
            Sharing::Nothing => None,
            Sharing::Reads(store) => store.name_behind(address),
            Sharing::Tells(store) => store.claim(address, name).ok(),
        }
    }
}

/// The start of the mapping; the slots follow, then the arena.
#[repr(C)]
struct Header {
    capacity: u32,
    arena: u32,
    /// SharedBytes of the arena that are taken; may overshoot its end.
    taken: AtomicU32,
}

/// Cookies and their names. Const-constructible; a `static` of it lives as long as the process.
pub struct OnionPool {
    mapping: AtomicPtr<Header>,
}

impl OnionPool {
    /// A pool without a table.
    pub const fn new() -> Self {
        OnionPool { mapping: AtomicPtr::new(null_mut()) }
    }

    /// Address of the word that holds the address of the mapping, for the live view; its header and what follows it are in
    /// C's layout.
    pub const fn mapping(&self) -> *const () {
        (&raw const self.mapping).cast()
    }

    /// The cookie of `name`, the same one each time. Upper and lower case are the same name. A pool
    /// keeps the size that it was first used with. Async-signal-safe.
    pub fn cookie(
        &self,
        range: CookieRange,
        name: &[u8],
        sharing: Sharing,
    ) -> Result<Cookie, PoolError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(PoolError::BadName);
        }
        // What another process has for the address comes before our own name.
        let claim = |cookie| sharing.claim(range.ipv4(cookie), name);
        self.table_or_open(range)?.find_or_insert(name, claim)
    }

    /// Finds the name that `address` stands for. Async-signal-safe; no system call if it is no
    /// cookie address, or one whose name this process knows.
    pub fn lookup(&self, range: CookieRange, address: IpAddr, sharing: Sharing) -> Lookup<'_> {
        let Some(cookie) = range.cookie(address) else { return Lookup::Ordinary };
        let known = self.table().and_then(|table| table.name(cookie));
        match known.or_else(|| self.learn(range, cookie, sharing.store()?)) {
            Some(name) => Lookup::Name(name),
            None => Lookup::Unknown,
        }
    }

    /// Takes over what another process has for `cookie`.
    #[cold]
    #[inline(never)] // Its buffers are not on the stack of every connect.
    fn learn(&self, range: CookieRange, cookie: Cookie, store: Store) -> Option<&[u8]> {
        let name = store.name_behind(range.ipv4(cookie))?;
        self.table_or_open(range).ok()?.fill(cookie, name.as_slice()).ok()
    }

    /// Tells `store` all names that this process knows. Async-signal-safe.
    pub fn tell(&self, range: CookieRange, store: Store) {
        let Some(table) = self.table() else { return };
        for (cookie, name) in table.names() {
            let _ = store.claim(range.ipv4(cookie), name);
        }
    }

    fn table(&self) -> Option<Table<'_>> {
        // Acquire pairs with the Release in `table_or_open`: the header is written.
        NonNull::new(self.mapping.load(Acquire)).map(|header| {
            // SAFETY: what was published is a whole mapping, and is never unmapped while `self`
            // is borrowed.
            unsafe { view(header) }
        })
    }

    fn table_or_open(&self, range: CookieRange) -> Result<Table<'_>, PoolError> {
        if let Some(table) = self.table() {
            return Ok(table);
        }
        let capacity = range.capacity();
        let arena = (capacity as usize).saturating_mul(MAX_ENTRY).min(MAX_ARENA);
        let size = bytes(capacity, arena);
        let mapped = sys::map_zeroed(size).map_err(PoolError::NoMemory)?.cast::<Header>();
        let header = Header { capacity, arena: arena as u32, taken: AtomicU32::new(0) };
        // SAFETY: the fresh mapping is page-aligned, longer than a header and no other thread's yet.
        unsafe { mapped.write(header) };
        // Release pairs with the Acquire in `table`.
        match self.mapping.compare_exchange(null_mut(), mapped.as_ptr(), Release, Relaxed) {
            // SAFETY: as in `table`; it is published for good now.
            Ok(_) => Ok(unsafe { view(mapped) }),
            Err(_) => {
                // SAFETY: no other thread has seen the mapping that lost.
                unsafe { sys::unmap(mapped.cast(), size) };
                self.table().ok_or(PoolError::NoMemory(Errno(libc::ENOMEM)))
            }
        }
    }
}

impl Default for OnionPool {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
impl Drop for OnionPool {
    fn drop(&mut self) {
        let Some(start) = NonNull::new(*self.mapping.get_mut()) else { return };
        // SAFETY: `self` is the pool's only user, and no borrow of it is left.
        unsafe {
            let Header { capacity, arena, .. } = *start.as_ref();
            sys::unmap(start.cast(), bytes(capacity, arena as usize));
        }
    }
}

/// The view of a mapping.
///
/// # Safety
/// `header` starts a mapping of `bytes(capacity, arena)` bytes that outlives `'p`.
unsafe fn view<'p>(header: NonNull<Header>) -> Table<'p> {
    // SAFETY: the mapping holds a header, its slots (zero: a valid AtomicU32) and its arena.
    unsafe {
        let first = header.add(1).cast::<AtomicU32>();
        let header = header.as_ref();
        let slots = core::slice::from_raw_parts(first.as_ptr(), header.capacity as usize);
        let arena = SharedBytes::new(first.add(slots.len()).cast(), header.arena);
        Table { taken: &header.taken, slots, arena }
    }
}

/// Length of a mapping.
fn bytes(capacity: u32, arena: usize) -> usize {
    size_of::<Header>() + capacity as usize * size_of::<AtomicU32>() + arena
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch_store::tests::Scratch;
    use core::net::Ipv4Addr;
    use std::collections::HashSet;
    use std::sync::Barrier;

    const RANGE: CookieRange = CookieRange::DEFAULT;

    fn small() -> CookieRange {
        CookieRange::new(Ipv4Addr::new(127, 42, 42, 0), 29)
    }

    #[test]
    fn a_cookie_leads_back_to_its_name_in_both_families() {
        let pool = OnionPool::new();
        let cookie = pool.cookie(RANGE, b"Example.ONION", Sharing::Nothing).unwrap();
        for address in [IpAddr::V4(RANGE.ipv4(cookie)), IpAddr::V6(RANGE.ipv6(cookie))] {
            assert_eq!(
                pool.lookup(RANGE, address, Sharing::Nothing),
                Lookup::Name(b"example.onion")
            );
        }
    }

    #[test]
    fn case_does_not_matter() {
        let pool = OnionPool::new();
        assert_eq!(
            pool.cookie(RANGE, b"a.onion", Sharing::Nothing),
            pool.cookie(RANGE, b"A.oNiOn", Sharing::Nothing)
        );
    }

    #[test]
    fn a_cookie_that_nobody_was_given_is_unknown_and_not_ordinary() {
        let pool = OnionPool::new();
        let address = "127.42.42.9".parse().unwrap();
        assert_eq!(pool.lookup(RANGE, address, Sharing::Nothing), Lookup::Unknown);
        pool.cookie(RANGE, b"another.onion", Sharing::Nothing).unwrap();
        assert_eq!(pool.lookup(RANGE, address, Sharing::Nothing), Lookup::Unknown);
        assert_eq!(
            pool.lookup(RANGE, "127.0.0.1".parse().unwrap(), Sharing::Nothing),
            Lookup::Ordinary
        );
    }

    #[test]
    fn every_address_is_used_before_the_pool_is_exhausted() {
        let pool = OnionPool::new();
        let cookies: HashSet<u32> = (0..6)
            .map(|n| {
                pool.cookie(small(), format!("{n}.onion").as_bytes(), Sharing::Nothing).unwrap().0
            })
            .collect();
        assert_eq!(cookies.len(), 6);
        assert_eq!(pool.cookie(small(), b"7th.onion", Sharing::Nothing), Err(PoolError::Exhausted));
        assert!(pool.cookie(small(), b"0.onion", Sharing::Nothing).is_ok());
    }

    #[test]
    fn names_of_every_length_fit_however_many_there_are() {
        let pool = OnionPool::new();
        for n in 0..RANGE.capacity() {
            let name = format!("{n:0>255}");
            let cookie = pool.cookie(RANGE, name.as_bytes(), Sharing::Nothing).unwrap();
            let address = RANGE.ipv4(cookie).into();
            assert_eq!(
                pool.lookup(RANGE, address, Sharing::Nothing),
                Lookup::Name(name.as_bytes())
            );
        }
        assert_eq!(pool.cookie(RANGE, &[b'a'; 256], Sharing::Nothing), Err(PoolError::BadName));
        assert_eq!(pool.cookie(RANGE, b"", Sharing::Nothing), Err(PoolError::BadName));
    }

    #[test]
    fn two_pools_give_the_same_first_cookie_to_a_name() {
        let name = b"deterministic.onion";
        assert_eq!(
            OnionPool::new().cookie(RANGE, name, Sharing::Nothing).unwrap(),
            OnionPool::new().cookie(RANGE, name, Sharing::Nothing).unwrap()
        );
    }

    #[test]
    fn racing_threads_agree_on_every_cookie() {
        let pool = OnionPool::new();
        let start = Barrier::new(8);
        let answers: Vec<Vec<Cookie>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let names = (0..200).map(|n| format!("{n}.onion"));
                        names
                            .map(|name| {
                                pool.cookie(RANGE, name.as_bytes(), Sharing::Nothing).unwrap()
                            })
                            .collect()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(answers[0].iter().map(|cookie| cookie.0).collect::<HashSet<_>>().len(), 200);
    }

    /// a, b and d at once: threads and children ask for the same names in different orders, and a
    /// process that has asked for none learns them all.
    #[test]
    fn racing_threads_and_children_give_every_name_one_cookie_of_its_own() {
        const NAMES: usize = 200;
        let scratch = Scratch::new();
        let sharing = Sharing::Tells(scratch.store());
        let pool = OnionPool::new();
        let ask = |first: usize| {
            (0..NAMES)
                .map(|n| (first + n) % NAMES)
                .all(|n| pool.cookie(RANGE, format!("{n}.onion").as_bytes(), sharing).is_ok())
        };
        let child = |first: usize| {
            // SAFETY: malloc is usable after fork(3), and nothing else of the parent's is used.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let right = ask(first);
                // SAFETY: ends the child without running the parent's destructors.
                unsafe { libc::_exit((!right).into()) };
            }
            let mut status = 0;
            // SAFETY: waits for the child made above.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            status == 0
        };
        std::thread::scope(|scope| {
            let parties = (0..4).flat_map(|n| {
                let child = &child;
                let ask = &ask;
                [scope.spawn(move || child(n * 50)), scope.spawn(move || ask(n * 50 + 25))]
            });
            let parties: Vec<_> = parties.collect();
            assert!(parties.into_iter().all(|party| party.join().unwrap()));
        });
        let other = OnionPool::new();
        let cookies: HashSet<u32> = (0..NAMES)
            .map(|n| {
                let name = format!("{n}.onion");
                let cookie = pool.cookie(RANGE, name.as_bytes(), sharing).unwrap();
                for pool in [&pool, &other] {
                    let found = pool.lookup(RANGE, RANGE.ipv4(cookie).into(), sharing);
                    assert_eq!(found, Lookup::Name(name.as_bytes()));
                }
                cookie.0
            })
            .collect();
        assert_eq!(cookies.len(), NAMES, "no cookie has two names");
        let given = (0..RANGE.capacity()).map(|n| RANGE.ipv4(Cookie(n)).into());
        let given =
            given.filter(|address| pool.lookup(RANGE, *address, sharing) != Lookup::Unknown);
        assert_eq!(given.count(), NAMES, "no name has two cookies");
    }

    #[test]
    fn what_only_this_process_knew_is_told_later_and_stays_its_own() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (one, other) = (OnionPool::new(), OnionPool::new());
        let cookie = one.cookie(RANGE, b"one.onion", Sharing::Reads(store)).unwrap();
        let address = RANGE.ipv4(cookie).into();
        assert_eq!(other.lookup(RANGE, address, Sharing::Reads(store)), Lookup::Unknown);
        one.tell(RANGE, store);
        let found = other.lookup(RANGE, address, Sharing::Reads(store));
        assert_eq!(found, Lookup::Name(b"one.onion"));
        assert_eq!(other.cookie(RANGE, b"ONE.onion", Sharing::Nothing), Ok(cookie));
    }

    #[test]
    fn an_address_that_stands_for_a_name_elsewhere_is_not_given_to_another() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (one, other) = (OnionPool::new(), OnionPool::new());
        for n in 0..3 {
            let name = format!("{n}.onion");
            one.cookie(small(), name.as_bytes(), Sharing::Tells(store)).unwrap();
        }
        for n in 3..6 {
            let name = format!("{n}.onion");
            other.cookie(small(), name.as_bytes(), Sharing::Tells(store)).unwrap();
        }
        for pool in [&one, &other] {
            let names: HashSet<Vec<u8>> = (0..6)
                .filter_map(|n| {
                    let address = small().ipv4(Cookie(n)).into();
                    match pool.lookup(small(), address, Sharing::Reads(store)) {
                        Lookup::Name(name) => Some(name.to_vec()),
                        _ => None,
                    }
                })
                .collect();
            assert_eq!(names.len(), 6);
        }
    }

    #[test]
    fn the_largest_range_can_be_opened() {
        let range = CookieRange::new(Ipv4Addr::new(10, 0, 0, 0), 8);
        let pool = OnionPool::new();
        let cookie = pool.cookie(range, b"example.org", Sharing::Nothing).unwrap();
        assert_eq!(
            pool.lookup(range, range.ipv4(cookie).into(), Sharing::Nothing),
            Lookup::Name(b"example.org")
        );
    }
}
