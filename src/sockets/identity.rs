//! Identities of sockets: a descriptor of the program's is compared with the record that the registry has shown
//! there.

use super::verified::compare;
use super::{Event, OwnSocket, Record, SocketId, Sockets, UNASKED, Unverified};
use crate::registry::Registry;
use crate::sys::net;

impl<R: Registry<Payload = Record>, L: Fn(Event<'_>) + Sync> Sockets<R, L> {
    /// Tells whether `fd` has an entry, and not that of a socket which was closed behind the hooks:
    /// then it is a TCP socket.
    pub fn is_current(&self, fd: i32) -> bool {
        match self.registry().borrow(fd, Record::id) {
            Some(UNASKED) => self.is_current_unasked(fd),
            Some(id) => compare(fd, id).is_ok(),
            None => false,
        }
    }

    #[cold]
    fn is_current_unasked(&self, fd: i32) -> bool {
        let Some(held) = self.hold(fd) else { return false };
        let is_current = self.names(fd, held.record()).is_ok();
        self.put(held);
        is_current
    }

    /// Tells whether `fd`, a descriptor of the program's, names the socket of `record`, which the registry has
    /// shown there.
    pub(super) fn names(&self, fd: i32, record: &Record) -> Result<(), Unverified> {
        match record.id() {
            UNASKED => self.identify(fd, fd, record),
            id => compare(fd, id),
        }
    }

    /// A descriptor of the library's own for the socket of `record`, which the registry has shown at `fd`.
    pub(super) fn own_socket(&self, fd: i32, record: &Record) -> Result<OwnSocket, Unverified> {
        OwnSocket::checked(fd, |own| match record.id() {
            UNASKED => self.identify(fd, own, record),
            id => compare(own, id),
        })
    }

    /// The identity of the socket of `record`, which the registry has shown at `fd`; asked for now if it was not
    /// yet. [`UNASKED`] where the kernel does not tell, or names a file of another kind.
    pub(super) fn identity(&self, fd: i32, record: &Record) -> SocketId {
        if record.id() == UNASKED {
            let _ = self.identify(fd, fd, record);
        }
        record.id()
    }

    /// Asks for each identity that was not asked for yet.
    pub(super) fn identify_all(&self) {
        for fd in self.entries().1 {
            if self.registry().borrow(fd, Record::id) == Some(UNASKED) {
                self.is_current_unasked(fd);
            }
        }
    }

    /// Gives `record`, which the registry has shown at `fd`, the identity of the TCP socket `asked`: that is `fd`
    /// or a duplicate which was made of it since. If `fd` has the entry after the kernel has answered, no hook has
    /// seen it closed in between, and the answer is of the socket that the record was made for. A vfork child's
    /// descriptors are not those of the registry.
    fn identify(&self, fd: i32, asked: i32, record: &Record) -> Result<(), Unverified> {
        // A number that was closed by a raw system call may name any file. (NETLINK_XFRM is the same number,
        // of sockets that no address of IP connects.)
        let protocol = net::socket_number(asked, libc::SO_PROTOCOL).map_err(Unverified::of)?;
        let id = SocketId(net::cookie(asked).map_err(Unverified::of)?);
        let is_there = |there: &Record| core::ptr::eq(there, record);
        let is_its = protocol == libc::IPPROTO_TCP
            && self.registry().borrow(fd, is_there) == Some(true)
            && self.registry().may_change()
            && record.identify(id);
        if is_its { Ok(()) } else { Err(Unverified::Other) }
    }

    /// A descriptor of this process that names the same socket as `fd`, which has no entry itself.
    pub fn same_socket(&self, fd: i32) -> Option<i32> {
        let id = SocketId(net::cookie(fd).ok()?);
        self.entries_in(0, u32::MAX).find(|other| {
            let held = self.hold(*other);
            let is_it =
                held.as_ref().is_some_and(|held| self.identity(*other, held.record()) == id);
            held.into_iter().for_each(|held| self.put(held));
            is_it
        })
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests;
