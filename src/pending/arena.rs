//! The memory of handshakes in flight, shared with forked children.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::flight::Pending;
use super::stage::Stage;
use crate::sys::{self, time};

/// How many handshakes can be in flight at once, in all processes of a family.
pub const CAPACITY: u32 = 1 << 14;
/// Places that are used before an ended handshake is forgotten.
const FIRST: u32 = 256;
/// How long after its deadline a handshake that nobody drives is given up, in nanoseconds.
const GRACE: u64 = 60_000_000_000;

/// The places. Mapped by the first process of a family, before its first fork if the constructor
/// could; costs no memory until it is used.
#[derive(Debug)]
pub struct Arena {
    shared: AtomicPtr<Shared>,
}

#[repr(C)]
struct Shared {
    /// Places below this were used; others are free.
    used: AtomicU32,
    cursor: AtomicU32,
    /// Forks of the family that have begun, and that were over in the parent.
    forks_begun: AtomicU32,
    forks_over: AtomicU32,
    /// The earliest deadline of those in flight, inverted so that zero is none; may be too early.
    nearest: AtomicU64,
    places: [Pending; CAPACITY as usize],
}

impl Default for Arena {
    fn default() -> Self {
        Arena::new()
    }
}

impl Arena {
    /// An arena without memory.
    pub const fn new() -> Self {
        Arena { shared: AtomicPtr::new(null_mut()) }
    }

    /// Maps the memory; whether there is any. To be called before the first fork.
    pub fn open(&self) -> bool {
        self.shared().is_some() || self.map().is_some()
    }

    fn shared(&self) -> Option<&Shared> {
        // Acquire pairs with the AcqRel in `map`.
        // SAFETY: never unmapped once it is set.
        unsafe { self.shared.load(Acquire).as_ref() }
    }

    #[cold]
    fn map(&self) -> Option<&Shared> {
        let fresh = sys::map_shared(size_of::<Shared>()).ok()?.cast::<Shared>();
        match self.shared.compare_exchange(null_mut(), fresh.as_ptr(), AcqRel, Acquire) {
            // SAFETY: zeroed memory is a valid value of every field.
            Ok(_) => Some(unsafe { fresh.as_ref() }),
            Err(other) => {
                // SAFETY: another caller's memory won; nobody has seen this one.
                unsafe { sys::unmap(fresh.cast(), size_of::<Shared>()) };
                // SAFETY: as above.
                NonNull::new(other).map(|other| unsafe { other.as_ref() })
            }
        }
    }

    /// The place of number `place`.
    pub fn get(&self, place: u32) -> Option<&Pending> {
        self.shared()?.places.get(place as usize)
    }

    /// The place of number `place`, if it is still that of the socket `cookie`.
    pub fn find(&self, place: u32, cookie: u64) -> Option<&Pending> {
        self.get(place).filter(|pending| pending.is_of(cookie))
    }

    /// The place of the socket `cookie`, whose number nobody has told.
    pub fn search(&self, cookie: u64) -> Option<(u32, &Pending)> {
        let mut found = None;
        self.each(|place, pending| {
            if pending.is_of(cookie) {
                found = Some((place, pending));
            }
        });
        found
    }

    /// A place for the socket `cookie`, with its baton for the thread `me`. `None` when all are
    /// taken.
    pub fn allocate(&self, cookie: u64, me: i32) -> Option<(u32, &Pending)> {
        let shared = self.shared().or_else(|| self.map())?;
        loop {
            // Relaxed: a bound by itself.
            let used = shared.used.load(Relaxed).clamp(FIRST, CAPACITY);
            if let Some(found) = shared.take_one(used, cookie, me, is_spare) {
                return Some(found);
            }
            if used == CAPACITY {
                return shared.take_one(used, cookie, me, is_dispensable);
            }
            shared.used.fetch_max(used * 2, Relaxed);
        }
    }

    /// A place for the registrations of the unconnected socket `cookie`.
    pub fn keep_registrations(&self, cookie: u64) -> Option<(u32, &Pending)> {
        sys::without_signals(|| {
            let me = sys::gettid();
            let found = self.allocate(cookie, me)?;
            found.1.let_go(found.0, me);
            Some(found)
        })
    }

    /// The last descriptor that this process had of the socket `cookie` is gone. What another
    /// process may still have is left to that one, or to its deadline.
    pub fn forsake(&self, place: u32, cookie: u64) {
        let found = self.find(place, cookie);
        if let Some(pending) = found.filter(|pending| pending.is_private(self.forks_begun())) {
            pending.forsake(place, cookie);
        }
    }

    /// The handshake at `place` has landed, and its record knows how. If no other process will ask,
    /// the next one comes here, to memory that has been touched.
    pub fn reuse(&self, place: u32) {
        let Some(shared) = self.shared() else { return };
        if self.get(place).is_some_and(|pending| pending.is_private(self.forks_begun())) {
            // Relaxed: as in `take_one`.
            shared.cursor.store(place, Relaxed);
        }
    }

    fn forks_begun(&self) -> u32 {
        // Acquire pairs with the Release in `before_fork`.
        self.shared().map_or(0, |shared| shared.forks_begun.load(Acquire))
    }

    /// How many forks were over in the parent; for [`Pending::launch`].
    pub fn forks_over(&self) -> u32 {
        // Acquire pairs with the Release in `after_fork`.
        self.shared().map_or(0, |shared| shared.forks_over.load(Acquire))
    }

    /// Notes a deadline, in nanoseconds since boot.
    pub fn note_deadline(&self, deadline: u64) {
        if let Some(shared) = self.shared() {
            // Relaxed: a bound by itself; whoever sleeps too long is woken by the token's kick.
            shared.nearest.fetch_max(!deadline, Relaxed);
        }
    }

    /// When the next handshake runs out of time, in nanoseconds since boot; may be too early.
    pub fn nearest_deadline(&self) -> Option<u64> {
        // Relaxed: as in `note_deadline`.
        self.shared().map(|shared| shared.nearest.load(Relaxed)).filter(|&d| d != 0).map(|d| !d)
    }

    /// A child is about to share the arena.
    pub fn before_fork(&self) {
        if self.open()
            && let Some(shared) = self.shared()
        {
            // Release pairs with the Acquire in `forks_begun`.
            shared.forks_begun.fetch_add(1, Release);
        }
    }

    /// The parent goes on; what it launches from here on its child does not have.
    pub fn after_fork(&self) {
        if let Some(shared) = self.shared() {
            // Release pairs with the Acquire in `forks_over`.
            shared.forks_over.fetch_add(1, Release);
        }
    }

    /// Whether forked processes may share it.
    pub fn is_shared(&self) -> bool {
        self.forks_begun() != 0
    }

    /// Visits every place that was ever used.
    pub fn each<'a>(&'a self, mut visit: impl FnMut(u32, &'a Pending)) {
        let Some(shared) = self.shared() else { return };
        // Relaxed: as in `allocate`.
        let used = shared.used.load(Relaxed).clamp(FIRST, CAPACITY) as usize;
        for (place, pending) in shared.places.iter().take(used).enumerate() {
            if pending.stage() != Stage::Free {
                visit(place as u32, pending);
            }
        }
    }

    /// Visits the handshakes that need somebody: of those that another process may have all in
    /// flight and all whose registrations wait for being restored, of others those whose time is
    /// over.
    pub fn each_overdue<'a>(&'a self, mut visit: impl FnMut(u32, &'a Pending)) {
        let Some(shared) = self.shared() else { return };
        // Relaxed: as in `note_deadline`; those that go on are noted again below.
        shared.nearest.store(0, Relaxed);
        let (forks, now) = (self.forks_begun(), time::monotonic_nanoseconds());
        self.each(|place, pending| {
            let shared = !pending.is_private(forks);
            if pending.is_aloft() {
                if shared || pending.deadline() <= now {
                    visit(place, pending);
                }
                if pending.is_aloft() && pending.deadline() > now {
                    self.note_deadline(pending.deadline());
                }
            } else if shared && pending.registrations.iter().any(|r| r.is_token()) {
                visit(place, pending);
            }
        });
    }
}

impl Shared {
    fn take_one(
        &self,
        used: u32,
        cookie: u64,
        me: i32,
        may_take: impl Fn(&Pending) -> bool,
    ) -> Option<(u32, &Pending)> {
        for _ in 0..used {
            // Relaxed: a starting point.
            let place = self.cursor.fetch_add(1, Relaxed) % used;
            let pending = self.places.get(place as usize)?;
            if !may_take(pending) || !pending.baton().take_if_free(me) {
                continue;
            }
            // Again, now that nobody else can change it.
            if may_take(pending) {
                // Acquire: as in `Arena::forks_over`.
                pending.assign(cookie, self.forks_over.load(Acquire));
                return Some((place, pending));
            }
            pending.let_go(place, me);
        }
        None
    }
}

/// Free, or ended with nothing left to do.
fn is_spare(pending: &Pending) -> bool {
    match pending.stage() {
        Stage::Free => true,
        Stage::Landed(_) => !pending.registrations.iter().any(|r| r.is_token()),
        Stage::Idle | Stage::Aloft => false,
    }
}

/// What is given up before a connect is: ended ones, registrations of sockets that don't connect,
/// handshakes that nobody has driven to their end in time.
fn is_dispensable(pending: &Pending) -> bool {
    let late = || pending.deadline().saturating_add(GRACE) < time::monotonic_nanoseconds();
    pending.stage() != Stage::Aloft || late()
}
