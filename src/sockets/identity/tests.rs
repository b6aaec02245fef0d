//! Identities that are asked for when a call needs them.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;

use crate::registry::Registry;
use crate::sockets::handshake::Interest;
use crate::sockets::tests::{
    GRANTED, Subject, claimed, close, finish, id, proxy, slots_of, sockets,
};
use crate::sockets::{Connect, EpollControl, Progress, Record, UNASKED, Unverified};
use crate::sys::{self, net, own_descriptors};

/// A TCP socket of the program's, of which the kernel was not asked which it is.
fn unasked(sockets: &Subject) -> i32 {
    let fd = net::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).unwrap();
    sockets.track_unasked(fd).unwrap();
    assert_eq!(sockets.registry().borrow(fd, Record::id), Some(UNASKED));
    fd
}

#[test]
fn the_first_call_that_needs_the_identity_of_a_socket_asks_for_it() {
    let sockets = sockets();
    let (address, go) = proxy(GRANTED);
    let connects = |fd| {
        let _ = claimed(&sockets, fd, address);
        assert_eq!(slots_of(id(fd)), 1);
    };
    let [to_look, to_find, to_connect, to_watch] = [(); 4].map(|()| unasked(&sockets));
    assert!(sockets.is_current(to_look));
    let duplicate = own_descriptors::duplicate(to_find).unwrap();
    assert_eq!(sockets.same_socket(duplicate), Some(to_find));
    own_descriptors::close(duplicate);
    let server = thread::spawn(go);
    connects(to_connect);
    assert_eq!(finish(&sockets, to_connect), Progress::Connected);
    // SAFETY: epoll_create1 takes an integer.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    let interest = Interest { events: libc::EPOLLIN as u32, data: 1 };
    let call = EpollControl { epoll, operation: libc::EPOLL_CTL_ADD, fd: to_watch, interest };
    assert_eq!(sockets.epoll_ctl(&call), Ok(()));
    assert_eq!(slots_of(id(to_watch)), 1);
    for fd in [to_look, to_find, to_connect, to_watch] {
        assert_eq!(sockets.registry().borrow(fd, Record::id), Some(id(fd)));
        close(&sockets, fd);
    }
    let _ = sys::close(epoll);
    server.join().unwrap();
}

/// The number was closed by a raw system call, and names a file of another kind.
#[test]
fn what_is_no_tcp_socket_does_not_become_the_one_that_was_not_asked_for() {
    let sockets = sockets();
    let (address, _go) = proxy(GRANTED);
    let (unix, _peer) = UnixStream::pair().unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    for other in [unix.as_raw_fd(), datagrams.as_raw_fd(), file.as_raw_fd()] {
        let stale = unasked(&sockets);
        // SAFETY: dup2 takes integers; both numbers are this test's.
        assert_eq!(unsafe { libc::dup2(other, stale) }, stale);
        assert!(!sockets.is_current(stale));
        let connect = claimed(&sockets, stale, address);
        assert!(matches!(connect, Ok(Connect::NotAsClaimed)), "{connect:?}");
        assert!(!sockets.registry().contains(stale), "the stale entry goes");
        let _ = sys::close(stale);
    }
}

/// A record that a look has shown is not given the identity of the socket that has the number by now.
#[test]
fn a_record_whose_number_was_closed_stays_without_identity() {
    let sockets = sockets();
    let fd = unasked(&sockets);
    let held = sockets.hold(fd).unwrap();
    close(&sockets, fd);
    let other = net::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::dup2(other, fd) }, fd);
    assert_eq!(sockets.names(fd, held.record()), Err(Unverified::Other));
    assert_eq!(held.record().id(), UNASKED);
    sockets.put(held);
    [fd, other].into_iter().for_each(|fd| close(&sockets, fd));
}

/// A filter may forbid the question, but not the calls that a connect makes.
#[test]
fn a_filter_finds_every_socket_identified() {
    let sockets = sockets();
    let fds = [(); 2].map(|()| {
        let fd = net::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).unwrap();
        sockets.track_unasked(fd).unwrap();
        fd
    });
    sockets.before_filter();
    for fd in fds {
        assert_eq!(sockets.registry().borrow(fd, Record::id), Some(id(fd)));
        close(&sockets, fd);
    }
}
