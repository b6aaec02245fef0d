//! The part of a handshake that forked processes share.
//!
//! It is made when a process forks while the handshake is in flight: from then on several processes
//! have the socket. It holds no address, index or bound. A process that can write here has the socket
//! itself, so it can do no more than break this one handshake: all of it is read as
//! untrusted bytes.

use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::sockets::Progress;
use crate::socks5::{Handshake, TRANSCRIPT};
use crate::sys::{self, Errno};

/// Time limit of one step, in nanoseconds. A process that has not come back by then was killed or
/// stopped in the middle of it.
const LEASE: u64 = 5_000_000_000;

/// State of a handshake that has not ended.
const GOES_ON: u32 = 0;
const CONNECTED: u32 = 1;
const UNCONNECTED: u32 = 2;
const FAILED: u32 = 3;
const ERRNO: u32 = 16;

/// The shared part of one handshake, in a mapping of its own. Zeroed memory is one that no process
/// has driven.
#[repr(C)]
pub(super) struct Shared {
    /// Time at which the right of the driving process ends, in nanoseconds since boot; 0 while none drives. A
    /// time says that a process is gone where process ids do not: they differ between namespaces.
    lease: AtomicU64,
    /// Counts the steps.
    version: AtomicU32,
    end: AtomicU32,
    /// One bit for each epoll entry that was there at the fork: set by the process that gives the
    /// kernel's entry back to the program.
    restored: AtomicU32,
    sent: AtomicU32,
    length: AtomicU32,
    received: [AtomicU8; TRANSCRIPT],
}

/// The right to drive, until a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease(u64);

/// The answer of [`Shared::try_lease`].
#[derive(Clone, Copy, Debug)]
pub(super) enum TryLease {
    /// The caller may drive.
    Leased(Lease),
    /// As above, but another process was lost in the middle of a step: its bytes may be half sent.
    Recovered(Lease),
    /// Another process drives.
    Busy,
}

impl Shared {
    /// Maps one. `ENOMEM`.
    pub(super) fn map() -> Result<NonNull<Shared>, Errno> {
        sys::map_shared(size_of::<Shared>()).map(NonNull::cast)
    }

    /// Unmaps one.
    ///
    /// # Safety
    /// No caller uses it any more.
    pub(super) unsafe fn unmap(shared: NonNull<Shared>) {
        // SAFETY: the caller's contract; a whole mapping of `map`.
        unsafe { sys::unmap(shared.cast(), size_of::<Shared>()) };
    }

    /// Takes the right to drive; `now` is in nanoseconds since boot.
    pub(super) fn try_lease(&self, now: u64) -> TryLease {
        let next = now.saturating_add(LEASE).max(1);
        // Relaxed: a first guess for the CAS.
        let seen = self.lease.load(Relaxed);
        // Another process may have looked at the clock a little later. A much later time is not a lease.
        if seen > now && seen <= next.saturating_add(LEASE) {
            return TryLease::Busy;
        }
        // AcqRel: Acquire pairs with the Release of `release`: the transcript of the last driver.
        match self.lease.compare_exchange(seen, next, AcqRel, Relaxed) {
            Ok(0) => TryLease::Leased(Lease(next)),
            Ok(_) => TryLease::Recovered(Lease(next)),
            Err(_) => TryLease::Busy,
        }
    }

    /// Gives the right back; `false` if another process has taken it meanwhile.
    pub(super) fn release(&self, Lease(lease): Lease) -> bool {
        // Release pairs with the Acquire of `try_lease`.
        self.lease.compare_exchange(lease, 0, Release, Relaxed).is_ok()
    }

    /// The number of steps that were published.
    pub(super) fn version(&self) -> u32 {
        // Relaxed: the caller has the lease.
        self.version.load(Relaxed)
    }

    /// Writes how far the handshake is. The caller has the lease.
    pub(super) fn publish(&self, handshake: &Handshake) -> u32 {
        let (sent, received) = handshake.transcript();
        // Relaxed: `release` publishes them.
        for (to, from) in self.received.iter().zip(received) {
            to.store(*from, Relaxed);
        }
        self.length.store(received.len() as u32, Relaxed);
        self.sent.store(u32::from(sent), Relaxed);
        self.version.fetch_add(1, Relaxed).wrapping_add(1)
    }

    /// Brings `handshake` to where the last driver left it; `false` if the transcript is none of its.
    pub(super) fn catch_up(&self, handshake: &mut Handshake) -> bool {
        let mut received = [0; TRANSCRIPT];
        // Relaxed: the caller has the lease.
        for (to, from) in received.iter_mut().zip(&self.received) {
            *to = from.load(Relaxed);
        }
        let length = self.length.load(Relaxed) as usize;
        let sent = u16::try_from(self.sent.load(Relaxed));
        match (sent, received.get(..length)) {
            (Ok(sent), Some(received)) => handshake.resume(sent, received),
            _ => false,
        }
    }

    /// End of the handshake in another process, if it has ended there.
    pub(super) fn end(&self) -> Option<Progress> {
        // Acquire pairs with the Release in `set_end`.
        let word = self.end.load(Acquire);
        match word & 0xff {
            GOES_ON => None,
            CONNECTED => Some(Progress::Connected),
            UNCONNECTED => Some(Progress::Unconnected),
            _ => Some(Progress::Failed(Errno((word >> ERRNO) as i32))),
        }
    }

    /// Says how it has ended.
    pub(super) fn set_end(&self, end: Progress) {
        let word = match end {
            Progress::Connected => CONNECTED,
            Progress::Failed(Errno(errno)) => FAILED | (errno as u16 as u32) << ERRNO,
            _ => UNCONNECTED,
        };
        // Release pairs with the Acquire in `end`.
        self.end.store(word, Release);
    }

    /// Takes the right to restore the kernel's epoll entry `index`: one process gets it.
    pub(super) fn may_restore(&self, index: usize) -> bool {
        // Relaxed: decides who calls the kernel, and guards no memory.
        self.restored.fetch_or(1 << index, Relaxed) & 1 << index == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socks5::{Command, Host, Request};

    fn shared() -> &'static Shared {
        // SAFETY: a fresh mapping that stays.
        unsafe { Shared::map().unwrap().as_ref() }
    }

    fn handshake() -> Handshake {
        let host = Host::Address("192.0.2.1".parse().unwrap());
        Handshake::new(&Request { command: Command::Connect, host, port: 80 }, None)
    }

    #[test]
    fn one_process_drives_at_a_time_and_a_lost_one_is_replaced() {
        let shared = shared();
        let TryLease::Leased(first) = shared.try_lease(1_000) else { panic!("is free") };
        assert!(matches!(shared.try_lease(2_000), TryLease::Busy));
        let TryLease::Recovered(second) = shared.try_lease(LEASE + 2_000) else {
            panic!("is lost")
        };
        assert!(!shared.release(first) && shared.release(second));
    }

    #[test]
    fn a_lease_that_no_process_can_have_taken_is_recovered() {
        let shared = shared();
        shared.lease.store(u64::MAX, Relaxed);
        assert!(matches!(shared.try_lease(1_000), TryLease::Recovered(_)));
    }

    #[test]
    fn another_copy_comes_as_far_as_the_transcript() {
        let (shared, mut one, mut other) = (shared(), handshake(), handshake());
        one.sent(usize::MAX);
        one.received(b"\x05\x00\x05");
        shared.publish(&one);
        assert!(shared.catch_up(&mut other));
        assert_eq!(one.transcript(), other.transcript());
        assert_eq!(one.step(), other.step());
    }

    #[test]
    fn a_transcript_that_another_process_has_changed_is_refused() {
        let shared = shared();
        for (length, sent) in [(u32::MAX, 0), (3, 0), (0, 9_999), (0, u32::MAX), (300, 13)] {
            shared.length.store(length, Relaxed);
            shared.sent.store(sent, Relaxed);
            assert!(!shared.catch_up(&mut handshake()), "{length} {sent}");
        }
    }

    #[test]
    fn an_end_is_read_as_it_was_set() {
        let shared = shared();
        assert_eq!(shared.end(), None);
        let failed = Progress::Failed(Errno(libc::EHOSTUNREACH));
        for end in [Progress::Connected, Progress::Unconnected, failed] {
            shared.set_end(end);
            assert_eq!(shared.end(), Some(end));
        }
        assert!(shared.may_restore(3) && !shared.may_restore(3) && shared.may_restore(0));
    }
}
