//! `mutex`: the 2013 proposal as it stands, and the baseline of every comparison.
//!
//! One pthread mutex, a chained hash table, reference-counted connections from malloc. Lookup and
//! increment happen under the lock; a put is an atomic decrement that frees at zero.

use core::mem::offset_of;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use super::backends::{self, Variant};
use super::lock::PthreadMutex;
use super::owned::empty_is_new;
use super::{Detached, InsertError, Payload, Registry, SocketId};

const BUCKETS: usize = 1024;
/// The chain of entries that are detached.
const DETACHED: usize = BUCKETS;

/// One name of a connection, in a bucket's chain or in that of the detached.
struct Entry<T> {
    fd: i32,
    next: *mut Entry<T>,
    connection: *mut Connection<T>,
    /// The connection whose memory this entry is part of; null if it has its own.
    home: *mut Connection<T>,
}

/// A record, its counts, and the entry of its first descriptor.
struct Connection<T> {
    record: T,
    count: AtomicU32,
    /// Entries that lead here; guarded by the lock.
    names: u32,
    first: Entry<T>,
}

struct Chains<T>([*mut Entry<T>; BUCKETS + 1]);

// SAFETY: the chains own what they point to.
unsafe impl<T> Send for Chains<T> {}

/// The registry of the proposal.
pub struct Mutex<T> {
    chains: PthreadMutex<Chains<T>>,
}

impl<T> core::fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T> Connection<T> {
    /// The connection of a record.
    ///
    /// # Safety
    /// `record` is the field of a connection.
    unsafe fn of(record: NonNull<T>) -> NonNull<Connection<T>> {
        // SAFETY: the caller's.
        unsafe { record.cast::<u8>().sub(offset_of!(Connection<T>, record)).cast() }
    }
}

/// Gives up one reference; the last one frees (guarantee E).
fn put<T: Payload>(connection: NonNull<Connection<T>>) {
    let connection = connection.as_ptr();
    // AcqRel: every holder's use comes before the free.
    // SAFETY: the caller owns a reference, and the last one owns the memory, which malloc gave.
    unsafe {
        if (*connection).count.fetch_sub(1, AcqRel) == 1 {
            // Launched after the last descriptor had gone.
            (*connection).record.last_descriptor_closed();
            libc::free(connection.cast());
        }
    }
}

/// A connection with one reference and one name, in no chain yet.
fn allocate<T: Payload>(fd: i32, cookie: SocketId) -> Option<NonNull<Connection<T>>> {
    // SAFETY: malloc aligns for every fundamental type.
    let memory = unsafe { libc::malloc(size_of::<Connection<T>>()) };
    let connection = NonNull::new(memory.cast::<Connection<T>>())?;
    let home = connection.as_ptr();
    let first = Entry { fd, next: null_mut(), connection: home, home };
    let value = Connection { record: T::new(cookie), count: AtomicU32::new(1), names: 1, first };
    // SAFETY: fresh memory of the right size.
    unsafe { connection.write(value) };
    Some(connection)
}

fn first_entry<T>(connection: NonNull<Connection<T>>) -> NonNull<Entry<T>> {
    // SAFETY: a field of live memory.
    unsafe { NonNull::from(&mut (*connection.as_ptr()).first) }
}

fn allocate_entry<T>(fd: i32) -> Option<NonNull<Entry<T>>> {
    // SAFETY: as in `allocate`.
    let entry = NonNull::new(unsafe { libc::malloc(size_of::<Entry<T>>()) }.cast::<Entry<T>>())?;
    let value = Entry { fd, next: null_mut(), connection: null_mut(), home: null_mut() };
    // SAFETY: fresh memory of the right size.
    unsafe { entry.write(value) };
    Some(entry)
}

/// Objects to free after the lock was released.
#[must_use]
struct Leftover<T> {
    entry: Option<NonNull<Entry<T>>>,
    connection: Option<NonNull<Connection<T>>>,
    home: Option<NonNull<Connection<T>>>,
}

impl<T> Default for Leftover<T> {
    fn default() -> Self {
        Leftover { entry: None, connection: None, home: None }
    }
}

impl<T: Payload> Leftover<T> {
    fn give_up(self) {
        if let Some(entry) = self.entry {
            // SAFETY: an entry of its own memory, in no chain any more.
            unsafe { libc::free(entry.as_ptr().cast()) };
        }
        self.connection.into_iter().chain(self.home).for_each(put);
    }
}

// SAFETY of this block: the lock is held; entries in chains and their connections are live.
impl<T: Payload> Chains<T> {
    fn bucket(fd: i32) -> usize {
        fd as usize % BUCKETS
    }

    /// The link of chain `index` that points to the first entry that `wanted` accepts, or the
    /// chain's end.
    fn link(&mut self, index: usize, wanted: impl Fn(&Entry<T>) -> bool) -> *mut *mut Entry<T> {
        let mut link = &raw mut self.0[index];
        // SAFETY: see above.
        unsafe {
            while let Some(entry) = (*link).as_mut() {
                if wanted(entry) {
                    break;
                }
                link = &raw mut entry.next;
            }
        }
        link
    }

    fn find(&mut self, fd: i32) -> Option<NonNull<Connection<T>>> {
        let link = self.link(Self::bucket(fd), |entry| entry.fd == fd);
        // SAFETY: see above.
        unsafe { (*link).as_ref().and_then(|entry| NonNull::new(entry.connection)) }
    }

    /// Adds an entry to chain `index`.
    fn add(&mut self, index: usize, entry: NonNull<Entry<T>>) {
        // SAFETY: the caller owns the entry.
        unsafe { (*entry.as_ptr()).next = self.0[index] };
        self.0[index] = entry.as_ptr();
    }

    /// Takes the first entry that `wanted` accepts out of chain `index`.
    fn take(
        &mut self,
        index: usize,
        wanted: impl Fn(&Entry<T>) -> bool,
    ) -> Option<NonNull<Entry<T>>> {
        let link = self.link(index, wanted);
        // SAFETY: see above.
        unsafe {
            let entry = NonNull::new(*link)?;
            *link = entry.as_ref().next;
            Some(entry)
        }
    }

    fn take_fd(&mut self, fd: i32) -> Option<NonNull<Entry<T>>> {
        self.take(Self::bucket(fd), |entry| entry.fd == fd)
    }

    /// Gives up the name that an entry out of its chain was.
    fn unname(&mut self, entry: NonNull<Entry<T>>) -> Leftover<T> {
        // SAFETY: see above; the caller owns the entry.
        unsafe {
            let Entry { connection, home, .. } = *entry.as_ptr();
            (*connection).names -= 1;
            if (*connection).names == 0 {
                (*connection).record.last_descriptor_closed();
            }
            Leftover {
                connection: NonNull::new(connection).filter(|c| c.as_ref().names == 0),
                entry: home.is_null().then_some(entry),
                // An entry that was renamed keeps its home by the reference that the registry had.
                home: NonNull::new(home).filter(|home| home.as_ptr() != connection),
            }
        }
    }

    fn take_and_unname(&mut self, fd: i32) -> Option<Leftover<T>> {
        self.take_fd(fd).map(|entry| self.unname(entry))
    }

    /// Lets every entry of `old` lead to `next`, which has none yet. Says whether the registry's
    /// reference to `old` is left over.
    fn rename(&mut self, old: *mut Connection<T>, next: *mut Connection<T>) -> bool {
        let mut home_in_use = false;
        for head in self.0 {
            let mut entry = head;
            // SAFETY: see above.
            while let Some(named) = unsafe { entry.as_mut() } {
                if named.connection == old {
                    named.connection = next;
                    home_in_use |= named.home == old;
                    // SAFETY: see above.
                    unsafe { (*next).names += 1 };
                }
                entry = named.next;
            }
        }
        !home_in_use
    }
}

impl<T: Payload> Chains<T> {
    /// Lets the detached entries that `unwanted` accepts not be put back.
    fn keep_away(&mut self, unwanted: impl Fn(&Entry<T>) -> bool) {
        let mut next = self.0[DETACHED];
        // SAFETY: the lock is held; detached entries are live.
        while let Some(entry) = unsafe { next.as_mut() } {
            if unwanted(entry) {
                entry.fd = AWAY;
            }
            next = entry.next;
        }
    }
}

/// The descriptor of a detached entry that is not to be put back.
const AWAY: i32 = -1;

impl<T: Payload> Mutex<T> {
    /// An empty registry.
    pub const fn new() -> Self {
        Mutex { chains: PthreadMutex::new(Chains([null_mut(); BUCKETS + 1])) }
    }

    /// Forgets `fd` and every other descriptor that names the same record.
    fn vacate(&self, fd: i32) {
        // The reference keeps its address from becoming another record's.
        let Some(held) = self.lookup(fd) else { return };
        // SAFETY: `acquire` gave it.
        let old = unsafe { Connection::of(held.as_raw()) };
        let next = || {
            self.chains.locked(|chains| {
                let is_named = |entry: &Entry<T>| entry.connection == old.as_ptr();
                chains.keep_away(is_named);
                let entry = (0..BUCKETS).find_map(|index| chains.take(index, is_named))?;
                Some(chains.unname(entry))
            })
        };
        core::iter::from_fn(next).for_each(Leftover::give_up);
    }
}

empty_is_new! { [T: Payload] Mutex<T> }

// SAFETY: A is the record's; B `allocate`; C the increment under the lock; D and E `unname` and
// `put`; F free comes last; G the lock; I the entry is out of its chain when `take` returns.
unsafe impl<T: Payload> Registry for Mutex<T> {
    type Payload = T;

    const VARIANT: &'static Variant = &backends::MUTEX;

    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        if fd < 0 {
            return Err(InsertError::OutOfRange);
        }
        let connection = allocate(fd, cookie).ok_or(InsertError::Exhausted)?;
        let vacant = self.chains.locked(|chains| {
            let vacant = chains.find(fd).is_none();
            if vacant {
                chains.add(Chains::<T>::bucket(fd), first_entry(connection));
            }
            vacant
        });
        if vacant {
            return Ok(());
        }
        put(connection);
        Err(InsertError::Occupied)
    }

    fn borrow<S>(&self, fd: i32, read: impl FnOnce(&T) -> S) -> Option<S> {
        self.lookup(fd).map(|record| read(&record))
    }

    fn acquire(&self, fd: i32) -> Option<NonNull<T>> {
        let connection = self.chains.locked(|chains| {
            let connection = chains.find(fd)?;
            // Relaxed: the lock orders this after the birth and before the remover's put.
            // SAFETY: the registry's reference keeps it while it is in a chain.
            unsafe { (*connection.as_ptr()).count.fetch_add(1, Relaxed) };
            Some(connection)
        })?;
        // SAFETY: a field of live memory.
        Some(unsafe { NonNull::from(&connection.as_ref().record) })
    }

    unsafe fn release(&self, record: NonNull<T>) {
        // SAFETY: `acquire` added the offset to the connection's address.
        put(unsafe { Connection::of(record) });
    }

    fn remove(&self, fd: i32) -> bool {
        let leftover = self.chains.locked(|chains| chains.take_and_unname(fd));
        leftover.map(Leftover::give_up).is_some()
    }

    fn remove_if(&self, fd: i32, record: &T) -> bool {
        let leftover = self.chains.locked(|chains| {
            let found = chains.find(fd)?;
            // SAFETY: the lock is held; only an address is taken.
            let is_it = core::ptr::eq(unsafe { &raw const (*found.as_ptr()).record }, record);
            if is_it { chains.take_and_unname(fd) } else { None }
        });
        leftover.map(Leftover::give_up).is_some()
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        self.chains.locked(|chains| {
            let entry = chains.take_fd(fd)?;
            chains.add(DETACHED, entry);
            Some(Detached(entry.cast()))
        })
    }

    fn restore(&self, fd: i32, entry: Detached) {
        let entry = entry.0.cast::<Entry<T>>();
        let leftover = self.chains.locked(|chains| {
            chains.take(DETACHED, |other| core::ptr::eq(other, entry.as_ptr()));
            // SAFETY: the detached entry is the caller's.
            if unsafe { entry.as_ref() }.fd == AWAY || chains.find(fd).is_some() {
                return chains.unname(entry);
            }
            // SAFETY: the detached entry is the caller's.
            unsafe { (*entry.as_ptr()).fd = fd };
            chains.add(Chains::<T>::bucket(fd), entry);
            Leftover::default()
        });
        leftover.give_up();
    }

    fn discard(&self, entry: Detached) {
        let entry = entry.0.cast::<Entry<T>>();
        let leftover = self.chains.locked(|chains| {
            chains.take(DETACHED, |other| core::ptr::eq(other, entry.as_ptr()));
            chains.unname(entry)
        });
        leftover.give_up();
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        if source == target {
            return Ok(self.lookup(source).is_some());
        }
        if target < 0 {
            return Err(InsertError::OutOfRange);
        }
        let fresh = allocate_entry(target).ok_or(InsertError::Exhausted)?;
        let (before, named) = self.chains.locked(|chains| {
            let before = chains.take_and_unname(target);
            let Some(connection) = chains.find(source) else { return (before, false) };
            // SAFETY: under the lock; the caller owns the new entry.
            unsafe {
                (*connection.as_ptr()).names += 1;
                (*fresh.as_ptr()).connection = connection.as_ptr();
            }
            chains.add(Chains::<T>::bucket(target), fresh);
            (before, true)
        });
        if !named {
            // SAFETY: never linked.
            unsafe { libc::free(fresh.as_ptr().cast()) };
        }
        if let Some(before) = before {
            before.give_up();
        }
        Ok(named)
    }

    fn supersede(&self, fd: i32) -> Result<bool, InsertError> {
        loop {
            let Some(cookie) = self.borrow(fd, T::id) else { return Ok(false) };
            let Some(next) = allocate(fd, cookie) else {
                self.vacate(fd);
                return Err(InsertError::Exhausted);
            };
            let renamed = self.chains.locked(|chains| {
                let old = chains.find(fd)?;
                // SAFETY: in a chain, thus alive.
                if unsafe { old.as_ref() }.record.id() != cookie {
                    // Another socket's, since the lock was left.
                    return None;
                }
                // SAFETY: no other thread knows `next`; `rename` counts its names anew.
                unsafe { (*next.as_ptr()).names = 0 };
                Some(chains.rename(old.as_ptr(), next.as_ptr()).then_some(old))
            });
            if let Some(spare) = renamed.unwrap_or(Some(next)) {
                put(spare);
            }
            if renamed.is_some() {
                return Ok(true);
            }
        }
    }

    fn after_fork_in_child(&self) {}
}
