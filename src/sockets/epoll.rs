//! epoll_ctl(2) on a socket that may connect through Tor.

use super::handshake::{EpollEntry, Interest, Locked, TABLE};
use super::{Event, OwnSocket, Progress, Record, SlotId, SocketId, Sockets, Unverified};
use crate::registry::Registry;
use crate::sys::{self, Errno, SignalsBlocked};

/// A call of epoll_ctl.
#[derive(Clone, Copy, Debug)]
pub struct EpollControl {
    /// The set.
    pub epoll: i32,
    /// `EPOLL_CTL_ADD`, `EPOLL_CTL_MOD` or `EPOLL_CTL_DEL`.
    pub operation: i32,
    /// The socket.
    pub fd: i32,
    /// Events that the program asks for; none for `EPOLL_CTL_DEL`.
    pub interest: Interest,
}

impl EpollControl {
    /// The program's own call.
    fn real(&self) -> Result<(), Errno> {
        self.real_as(self.operation)
    }

    fn real_as(&self, operation: i32) -> Result<(), Errno> {
        let Interest { events, data } = self.interest;
        sys::epoll_ctl(self.epoll, operation, self.fd, events, data)
    }
}

impl<R: Registry<Payload = Record>, L: Fn(Event<'_>) + Sync> Sockets<R, L> {
    /// Tells whether the kernel's entry of `fd` is or may have to be one of the library's own.
    pub fn has_own_epoll_entries(&self, fd: i32) -> bool {
        let needs =
            |record: &Record| record.progress() != Progress::Connected || record.slot().is_some();
        self.registry().borrow(fd, needs) == Some(true)
    }

    /// Carries out a call of epoll_ctl on a socket of [`Sockets::has_own_epoll_entries`]. The program
    /// calls it with a number, so it may act on the number, as the kernel would. Errors: those of
    /// epoll_ctl(2); `ENOSPC` where a socket in flight is in more than
    /// [`ENTRIES`](super::handshake::ENTRIES) sets, and where no descriptor is left; `ENOMEM`.
    pub fn epoll_ctl(&self, call: &EpollControl) -> Result<(), Errno> {
        let Some(held) = self.hold(call.fd) else { return call.real() };
        let result = match self.names(call.fd, held.record()) {
            Ok(()) => sys::without_signals(|blocked| control(held.record(), call, blocked)),
            // Closed behind the hooks, and another file by now.
            Err(Unverified::Other) => call.real(),
            Err(Unverified::Unknown(errno)) => Err(errno),
        };
        if result.is_ok() && held.record().in_flight().is_some() {
            // An event may have come before the kernel had the entry.
            self.drive_record(held.record(), call.fd);
        }
        self.put(held);
        result
    }
}

/// Carries `call` out on the socket of `record`.
fn control(record: &Record, call: &EpollControl, blocked: &SignalsBlocked) -> Result<(), Errno> {
    let Some((slot, mut locked)) = slot_of(record, call.operation, blocked)? else {
        return call.real();
    };
    let is_connected = record.progress() == Progress::Connected;
    let known = match locked.entries_mut().find(call.epoll, call.fd) {
        Some(index) => control_known(&mut locked, index, call, is_connected),
        None => Err(Errno(libc::ENOENT)),
    };
    let result = match (known, call.operation) {
        // The set has none of the library's own. It may have the program's.
        (Err(Errno(libc::ENOENT)), libc::EPOLL_CTL_ADD) if !is_connected => {
            add(&mut locked, record.id(), call)
        }
        (Err(Errno(libc::ENOENT)), libc::EPOLL_CTL_MOD) if !is_connected => {
            take_over(&mut locked, record.id(), call)
        }
        (Err(Errno(libc::ENOENT)), _) => call.real(),
        (result, _) => result,
    };
    leave(record, slot, locked);
    result
}

/// Carries `call` out on the entry `index`. `ENOENT` if it is not in the set, whose number names another one
/// by now; then it is gone.
fn control_known(
    locked: &mut Locked<'_>,
    index: usize,
    call: &EpollControl,
    is_connected: bool,
) -> Result<(), Errno> {
    match call.operation {
        libc::EPOLL_CTL_DEL => delete(locked, index),
        libc::EPOLL_CTL_ADD => add_again(locked, index, call),
        libc::EPOLL_CTL_MOD if is_connected => hand_back(locked, index, call),
        libc::EPOLL_CTL_MOD => modify(locked, index, call),
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// The slot of the socket's entries, locked; made now if an entry is to come. `None` if there is none
/// and none is needed.
fn slot_of(
    record: &Record,
    operation: i32,
    blocked: &SignalsBlocked,
) -> Result<Option<(SlotId, Locked<'static>)>, Errno> {
    // A connect in another thread may give the record a slot meanwhile, or end.
    for _ in 0..ROUNDS {
        if let Some(found) = TABLE.lock_of(record, blocked)? {
            return Ok(Some(found));
        }
        match record.progress() {
            Progress::Unconnected if operation != libc::EPOLL_CTL_DEL => {
                let (number, locked) = TABLE.allocate(record.id(), blocked)?;
                match record.set_slot(number) {
                    Ok(()) => return Ok(Some((number, locked))),
                    // Another thread was quicker.
                    Err(_) => {
                        let _ = locked.leave();
                    }
                }
                // A number that is left from a slot which has gone.
                if record.slot().is_some_and(|slot| TABLE.find(slot, record.id()).is_none()) {
                    record.take_slot();
                }
            }
            Progress::Busy | Progress::Waiting(_) => sys::yield_now(),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Number of looks whether a connect that another thread has just begun was started.
const ROUNDS: u32 = 1_000;

/// Unlocks the slot, which goes with its last entry.
fn leave(record: &Record, number: SlotId, locked: Locked<'_>) {
    if !locked.entries().is_empty() || record.take_slot() != Some(number) {
        locked.unlock();
    } else {
        let _ = locked.leave();
    }
}

/// Adds an entry under a duplicate of the library's own.
fn add(locked: &mut Locked<'_>, id: SocketId, call: &EpollControl) -> Result<(), Errno> {
    let Some(index) = locked.entries().vacant() else { return no_room(locked, call) };
    let own = match OwnSocket::of(call.fd, id) {
        Ok(own) => own.into_number(),
        // As where the kernel's own limit of watches is reached.
        Err(Unverified::Unknown(Errno(libc::EMFILE))) => return Err(Errno(libc::ENOSPC)),
        Err(unverified) => return Err(unverified.errno()),
    };
    let mut entry = EpollEntry::new(call.epoll, call.fd, own, call.interest);
    let result = entry.add(locked.token(index));
    match result {
        Ok(()) => locked.entries_mut().put(index, entry),
        Err(_) => entry.close(),
    }
    result
}

/// Without room the kernel gets the program's own entry; a connect then shows its first step. A
/// socket in flight must not be seen.
fn no_room(locked: &Locked<'_>, call: &EpollControl) -> Result<(), Errno> {
    if locked.is_in_flight() { Err(Errno(libc::ENOSPC)) } else { call.real() }
}

/// Changes an entry that the kernel has under the program's number: made before the library knew the
/// socket. It becomes one of the library's own.
fn take_over(locked: &mut Locked<'_>, id: SocketId, call: &EpollControl) -> Result<(), Errno> {
    // The kernel knows whether it has the entry. No event comes from it any more.
    sys::epoll_ctl(call.epoll, libc::EPOLL_CTL_MOD, call.fd, 0, call.interest.data)?;
    add(locked, id, call)?;
    call.real_as(libc::EPOLL_CTL_DEL)
}

fn delete(locked: &mut Locked<'_>, index: usize) -> Result<(), Errno> {
    locked.entries_mut().take(index).map_or(Err(Errno(libc::ENOENT)), EpollEntry::delete)
}

/// An entry that is there is `EEXIST`.
fn add_again(locked: &mut Locked<'_>, index: usize, call: &EpollControl) -> Result<(), Errno> {
    if call.interest.is_invalid() {
        return Err(Errno(libc::EINVAL));
    }
    let entry = locked.entries_mut().take(index);
    match entry {
        Some(entry) if entry.is_in(call.epoll) => {
            locked.entries_mut().put(index, entry);
            Err(Errno(libc::EEXIST))
        }
        entry => {
            entry.into_iter().for_each(EpollEntry::close);
            Err(Errno(libc::ENOENT))
        }
    }
}

fn modify(locked: &mut Locked<'_>, index: usize, call: &EpollControl) -> Result<(), Errno> {
    let token = locked.token(index);
    let Some(entry) = locked.entries_mut().get_mut(index) else { return Err(Errno(libc::ENOENT)) };
    if entry.requested().is_exclusive() || call.interest.is_exclusive() {
        return Err(Errno(libc::EINVAL));
    }
    let result = match token {
        Some(token) => entry.hide(token),
        None => entry.modify(call.interest),
    };
    match result {
        Ok(()) => entry.request(call.interest),
        // The set is another one by now.
        Err(Errno(libc::ENOENT)) => {
            let _ = delete(locked, index);
        }
        Err(_) => {}
    }
    result
}

/// The socket is connected: the kernel's entry becomes the program's own again, and the duplicate
/// goes.
fn hand_back(locked: &mut Locked<'_>, index: usize, call: &EpollControl) -> Result<(), Errno> {
    let Some(entry) = locked.entries_mut().get_mut(index) else { return Err(Errno(libc::ENOENT)) };
    if entry.requested().is_exclusive() || call.interest.is_exclusive() {
        return Err(Errno(libc::EINVAL));
    }
    let entry = *entry;
    // First: with both entries in the set one event would come twice. The kernel knows whether it has
    // the entry.
    let gone = entry.remove();
    let result = match gone.and_then(|()| call.real_as(libc::EPOLL_CTL_ADD)) {
        // A forked process has handed it back.
        Err(Errno(libc::EEXIST)) => call.real(),
        result => result,
    };
    match result {
        Err(_) if gone.is_ok() => {
            let mut entry = entry;
            if entry.add(None).is_ok() {
                return result;
            }
        }
        _ => {}
    }
    locked.entries_mut().take(index).into_iter().for_each(EpollEntry::close);
    result
}
