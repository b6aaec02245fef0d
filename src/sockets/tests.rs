//! The sockets over a registry of their own, on real sockets and a proxy in a thread.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier};
use std::thread;

use super::handshake::{Interest, TABLE, Token};
use super::watched::Watched;
use super::{
    Attempt, Connect, Connection, EpollControl, Event, Progress, Record, Sent, SocketId, Sockets,
};
use crate::registry::Registry;
use crate::socks5::{Command, Host, Request};
use crate::sys::{self, Errno, boundary, net, own_descriptors, time};

pub type Subject = Sockets<Watched, fn(Event<'_>)>;

pub fn sockets() -> Subject {
    Sockets::new(Watched::new(), |_| {})
}

/// A TCP socket of the program's, which the registry knows.
pub fn socket(sockets: &Subject, flags: i32) -> i32 {
    let fd = net::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags, 0).unwrap();
    sockets.track(fd).unwrap();
    fd
}

pub fn close(sockets: &Subject, fd: i32) {
    sockets.registry().remove(fd);
    let _ = sys::close(fd);
}

pub fn attempt(tor: SocketAddr) -> Attempt<'static> {
    let destination = SocketAddr::from(([192, 0, 2, 1], 80));
    const HOST: Host = Host::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    const REQUEST: Request = Request { command: Command::Connect, host: HOST, port: 80 };
    Attempt {
        began: 1,
        domain: libc::AF_INET,
        is_claimed: false,
        destination,
        request: &REQUEST,
        tor,
        credentials: None,
        deadline: time::monotonic_nanoseconds() + 20_000_000_000,
        always_waits: || false,
        tells_success: true,
    }
}

/// A connect of `fd` that is under way.
pub fn sent(sockets: &Subject, fd: i32, tor: SocketAddr) -> Sent {
    match sockets.connect(fd, &attempt(tor)) {
        Ok(Connect::Sent(sent)) => sent,
        other => panic!("{other:?}"),
    }
}

/// A proxy that answers one connection with `reply` when `go` is called.
pub fn proxy(reply: &'static [u8]) -> (SocketAddr, impl FnOnce()) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let go = move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 3]).unwrap();
        stream.write_all(b"\x05\x00").unwrap();
        let mut request = [0; 64];
        assert!(stream.read(&mut request).unwrap() > 4);
        stream.write_all(reply).unwrap();
        // Until the client hangs up.
        let _ = stream.read(&mut request);
    };
    (address, go)
}

pub const GRANTED: &[u8] = b"\x05\x00\x00\x01\xc0\x00\x02\x01\x00\x50";
pub const REFUSED: &[u8] = b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00";

/// Drives `fd` to the end, sleeping for what it waits for.
pub fn finish(sockets: &Subject, fd: i32) -> Progress {
    loop {
        match sockets.drive(fd) {
            Progress::Waiting(wait) => {
                let _ = net::poll(fd, wait.events, core::time::Duration::from_secs(20));
            }
            Progress::Busy => sys::yield_now(),
            ended => return ended,
        }
    }
}

pub fn slots_of(id: SocketId) -> usize {
    let mut count = 0;
    TABLE.each(|_, slot| count += usize::from(slot.is_of(id)));
    count
}

pub fn id(fd: i32) -> SocketId {
    SocketId(net::cookie(fd).unwrap())
}

#[test]
fn the_success_of_a_connect_that_waits_is_told_by_it_alone() {
    let sockets = sockets();
    for waited in [Ok(()), Err(Errno(libc::EINTR))] {
        let (address, go) = proxy(GRANTED);
        let fd = socket(&sockets, 0);
        let waiting = sent(&sockets, fd, address);
        assert!(waiting.waits());
        let server = thread::spawn(go);
        assert_eq!(finish(&sockets, fd), Progress::Connected);
        let again = || sockets.connect(fd, &attempt(address));
        assert_eq!(again().unwrap_err(), Errno(libc::EISCONN), "another thread");
        assert_eq!(sockets.finish(waiting, waited), waited);
        // A call that was interrupted has told of nothing.
        assert_eq!(again().is_ok(), waited.is_err());
        assert_eq!(again().unwrap_err(), Errno(libc::EISCONN));
        close(&sockets, fd);
        server.join().unwrap();
    }
}

#[test]
fn a_connect_that_does_not_wait_is_driven_to_its_end() {
    let sockets = sockets();
    let (address, go) = proxy(GRANTED);
    let fd = socket(&sockets, libc::SOCK_NONBLOCK);
    let sent = sent(&sockets, fd, address);
    assert!(!sent.waits() && sent.underway() == Errno(libc::EINPROGRESS));
    assert_eq!(super::tests::sent(&sockets, fd, address).underway().0, libc::EALREADY);
    let server = thread::spawn(go);
    assert_eq!(finish(&sockets, fd), Progress::Connected);
    // As Linux does: the first call tells of the success.
    assert!(matches!(sockets.connect(fd, &attempt(address)), Ok(Connect::Done)));
    assert_eq!(sockets.connect(fd, &attempt(address)).unwrap_err(), Errno(libc::EISCONN));
    assert_eq!(slots_of(id(fd)), 0, "the slot is given back");
    close(&sockets, fd);
    server.join().unwrap();
}

/// A connect of `fd` by a caller that has not asked the kernel what it is.
pub fn claimed(sockets: &Subject, fd: i32, tor: SocketAddr) -> Result<Connect, Errno> {
    sockets.connect(fd, &Attempt { is_claimed: true, ..attempt(tor) })
}

#[test]
fn a_socket_that_is_not_what_its_entry_says_is_left_as_it_is() {
    let sockets = sockets();
    let (address, _go) = proxy(GRANTED);
    let unknown = net::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).unwrap();
    let connect = claimed(&sockets, unknown, address);
    assert!(matches!(connect, Ok(Connect::NotAsClaimed)), "without an entry: {connect:?}");
    assert!(!sockets.registry().contains(unknown));
    // Closed by a raw system call, and a socket that was made elsewhere by now.
    let stale = socket(&sockets, 0);
    // SAFETY: dup2 takes integers; both numbers are this test's.
    assert_eq!(unsafe { libc::dup2(unknown, stale) }, stale);
    let connect = claimed(&sockets, stale, address);
    assert!(matches!(connect, Ok(Connect::NotAsClaimed)), "another socket: {connect:?}");
    assert!(!sockets.registry().contains(stale), "the stale entry goes");
    assert_eq!(net::peer_address(stale, &mut [0; 28]), Err(Errno(libc::ENOTCONN)));
    // Of the other family.
    let other = net::socket(libc::AF_INET6, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).unwrap();
    sockets.track(other).unwrap();
    let connect = claimed(&sockets, other, address);
    assert!(matches!(connect, Ok(Connect::NotAsClaimed)), "another family: {connect:?}");
    assert_eq!(slots_of(id(other)), 0);
    assert_eq!(sockets.registry().borrow(other, Record::progress), Some(Progress::Unconnected));
    [unknown, stale, other].into_iter().for_each(|fd| close(&sockets, fd));
}

/// Each call more is paid for by every connect.
#[test]
fn a_connect_that_waits_makes_few_system_calls() {
    let sockets = sockets();
    let connect = || {
        let (address, go) = proxy(GRANTED);
        let fd = socket(&sockets, 0);
        let (mut sent, attempt) = (None, Attempt { is_claimed: true, ..attempt(address) });
        let first = boundary::count(|| sent = sockets.connect(fd, &attempt).ok());
        let Some(Connect::Sent(mut sent)) = sent else { panic!("{sent:?}") };
        let second = boundary::count(|| assert!(sockets.drive_sent(&mut sent).is_pending()));
        let server = thread::spawn(go);
        while sockets.drive_sent(&mut sent).is_pending() {
            let _ =
                net::poll(sent.kept.unwrap(), libc::POLLIN, core::time::Duration::from_secs(20));
        }
        assert_eq!(sockets.finish(sent, Ok(())), Ok(()));
        close(&sockets, fd);
        server.join().unwrap();
        [first, second]
    };
    // Duplicate, cookie, flags, signals blocked, connect, request, the waiting thread; cookie, answer, deadline.
    // One that finds the table full maps memory as well; other tests use the table. Looks at the registry count
    // here, too: two and one.
    assert!((0..8).any(|_| connect() == [7 + 2, 3 + 1]), "{:?}", connect());
}

#[test]
fn a_refusal_is_told_once_and_the_socket_may_connect_again() {
    let sockets = sockets();
    let (address, go) = proxy(REFUSED);
    let fd = socket(&sockets, libc::SOCK_NONBLOCK);
    let _ = sockets.connect(fd, &attempt(address)).unwrap();
    let server = thread::spawn(go);
    assert_eq!(finish(&sockets, fd), Progress::Failed(Errno(libc::ECONNREFUSED)));
    assert_eq!(sockets.take_error(fd), Some(Errno(libc::ECONNREFUSED)));
    assert_eq!((sockets.take_error(fd), net::take_error(fd)), (None, Ok(0)));
    server.join().unwrap();
    let (address, go) = proxy(GRANTED);
    let _ = sockets.connect(fd, &attempt(address)).unwrap();
    let server = thread::spawn(go);
    assert_eq!(finish(&sockets, fd), Progress::Connected);
    close(&sockets, fd);
    server.join().unwrap();
}

#[test]
fn connects_that_fail_at_once_give_their_slots_back() {
    let sockets = sockets();
    // No TCP connection leads to a broadcast address.
    let nowhere = SocketAddr::from(([255, 255, 255, 255], 9));
    let fd = socket(&sockets, libc::SOCK_NONBLOCK);
    for _ in 0..100 {
        assert!(sockets.connect(fd, &attempt(nowhere)).is_err());
        assert_eq!(slots_of(id(fd)), 0);
    }
    close(&sockets, fd);
}

#[test]
fn a_close_in_flight_gives_the_slot_back() {
    let sockets = sockets();
    let (address, _go) = proxy(GRANTED);
    let fd = socket(&sockets, libc::SOCK_NONBLOCK);
    let id = id(fd);
    let _ = sockets.connect(fd, &attempt(address)).unwrap();
    assert_eq!(slots_of(id), 1);
    close(&sockets, fd);
    assert_eq!(slots_of(id), 0);
}

#[test]
fn a_look_at_a_number_that_names_another_file_by_now_touches_neither() {
    let sockets = sockets();
    let (address, _go) = proxy(GRANTED);
    let fd = socket(&sockets, libc::SOCK_NONBLOCK);
    let _ = sockets.connect(fd, &attempt(address)).unwrap();
    // Closed by a raw system call, and another file by now.
    let (_mine, _peer) = put_file_at(fd);
    assert_eq!(sockets.drive(fd), Progress::Unconnected);
    assert!(!sockets.registry().contains(fd), "the stale entry goes");
    let mut bytes = [0; 16];
    assert_eq!(net::receive_now(fd, &mut bytes), Ok(7), "no byte was taken");
    let _ = sys::close(fd);
}

/// Puts a UNIX socket with bytes to read at the number `fd`, by a raw system call; gives its ends.
fn put_file_at(fd: i32) -> (UnixStream, UnixStream) {
    let (mine, mut peer) = UnixStream::pair().unwrap();
    peer.write_all(b"\x05\x00hello").unwrap();
    // SAFETY: dup2 takes integers; `fd` is this test's own.
    assert_eq!(unsafe { libc::dup2(mine.as_raw_fd(), fd) }, fd);
    (mine, peer)
}

#[test]
fn a_number_of_the_librarys_own_that_the_program_has_reused_is_left_alone() {
    let sockets = sockets();
    let (address, _go) = proxy(GRANTED);
    let (fd, epoll) = (socket(&sockets, libc::SOCK_NONBLOCK), set());
    let interest = Interest { events: libc::EPOLLIN as u32, data: 5 };
    let operation = libc::EPOLL_CTL_ADD;
    sockets.epoll_ctl(&EpollControl { epoll, operation, fd, interest }).unwrap();
    let _ = sent(&sockets, fd, address);
    let is_own = |number: &i32| net::cookie(*number) == Ok(id(fd).0);
    let files: Vec<_> = own_descriptors::all().filter(is_own).map(put_file_at).collect();
    assert!(!files.is_empty(), "the epoll entry has a duplicate");
    assert!(sockets.drive(fd).is_pending());
    for (mine, _peer) in &files {
        assert_eq!(net::receive_now(mine.as_raw_fd(), &mut [0; 16]), Ok(7), "no byte was taken");
    }
    close(&sockets, fd);
    let _ = sys::close(epoll);
}

#[test]
fn a_connect_at_a_number_that_names_another_socket_by_now_is_that_sockets() {
    let (address, _go) = proxy(GRANTED);
    for by_another_program in [false, true] {
        let sockets = sockets();
        let fd = socket(&sockets, libc::SOCK_NONBLOCK);
        // Closed by a raw system call, and another socket by now.
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fresh = net::socket(libc::AF_INET, kind, 0).unwrap();
        // SAFETY: dup2 takes integers; both numbers are this test's.
        assert_eq!(unsafe { libc::dup2(fresh, fd) }, fd);
        let _ = sys::close(fresh);
        if by_another_program {
            sockets.connected(fd, Connection::to(address));
        } else {
            let _ = sent(&sockets, fd, address);
        }
        let of_entry = sockets.registry().borrow(fd, |record| (record.id(), record.progress()));
        assert!(
            of_entry
                .is_some_and(|(of, progress)| of == id(fd) && progress != Progress::Unconnected)
        );
        close(&sockets, fd);
    }
}

/// Before each step of the second look, another thread closes the number and opens a file there.
#[test]
fn an_entry_that_a_second_look_gives_too_late_is_taken_back() {
    for index in 0.. {
        let sockets = Arc::new(sockets());
        let fd = socket(&sockets, 0);
        let held = sockets.hold(fd);
        sockets.registry().remove(fd);
        let others = Arc::clone(&sockets);
        let other = move || {
            others.registry().remove(fd);
            put_file_at(fd);
        };
        let look = || sockets.correct(fd, held.as_ref());
        let is_under_way = boundary::run_before(index, Box::new(other), look);
        assert_eq!(sockets.registry().contains(fd), !is_under_way, "before {index}");
        held.into_iter().for_each(|held| sockets.put(held));
        close(&sockets, fd);
        if !is_under_way {
            assert!(index >= 4, "{index} steps");
            break;
        }
    }
}

#[test]
fn a_late_driver_of_a_slot_leaves_its_next_socket_as_it_is() {
    let sockets = sockets();
    let (address, _go) = proxy(GRANTED);
    let fd = socket(&sockets, libc::SOCK_NONBLOCK);
    let _ = sent(&sockets, fd, address);
    let mut looks = Vec::new();
    TABLE.each(|number, slot| {
        if slot.is_of(id(fd)) {
            let before = SocketId(id(fd).0 - 1);
            let look = crate::sys::without_signals(|blocked| {
                slot.drive(number, before, None, Some(fd + 1), blocked)
            });
            looks.push((look.progress, slot.last_descriptor()));
        }
    });
    assert_eq!(looks, [(Progress::Unconnected, fd)]);
    close(&sockets, fd);
}

fn set() -> i32 {
    // SAFETY: epoll_create1 takes an integer.
    unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }
}

/// Waits for an event of a set within `timeout` milliseconds; tokens are taken out and driven.
fn event(sockets: &Subject, epoll: i32, timeout: i32) -> Option<u64> {
    loop {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: one event.
        match unsafe { libc::epoll_wait(epoll, &raw mut event, 1, timeout) } {
            1 => match Token::decode(event.u64) {
                Some(token) => {
                    if let Some(instead) = sockets.token_fired(epoll, token) {
                        return Some(instead.data);
                    }
                }
                None => return Some(event.u64),
            },
            _ => return None,
        }
    }
}

/// promise: A second descriptor
#[test]
fn an_epoll_set_tells_the_end_and_nothing_before() {
    let sockets = sockets();
    let (address, go) = proxy(GRANTED);
    let fd = socket(&sockets, libc::SOCK_NONBLOCK);
    let epoll = set();
    let interest = Interest { events: libc::EPOLLOUT as u32, data: 77 };
    let call = |operation| EpollControl { epoll, operation, fd, interest };
    let _ = sockets.connect(fd, &attempt(address)).unwrap();
    sockets.epoll_ctl(&call(libc::EPOLL_CTL_ADD)).unwrap();
    assert_eq!(sockets.epoll_ctl(&call(libc::EPOLL_CTL_ADD)), Err(Errno(libc::EEXIST)));
    assert_eq!(event(&sockets, epoll, 0), None);
    let server = thread::spawn(go);
    assert_eq!(event(&sockets, epoll, 20_000), Some(77));
    // The program's next call makes the entry its own.
    sockets.epoll_ctl(&call(libc::EPOLL_CTL_MOD)).unwrap();
    assert!(!sockets.has_own_epoll_entries(fd));
    assert_eq!(event(&sockets, epoll, 0), Some(77));
    assert_eq!(sys::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, 0, 0), Ok(()));
    close(&sockets, fd);
    server.join().unwrap();
    let _ = sys::close(epoll);
}

#[test]
fn two_threads_that_register_one_socket_in_two_sets_keep_both_entries() {
    for _ in 0..200 {
        let sockets = sockets();
        let fd = socket(&sockets, libc::SOCK_NONBLOCK);
        let sets = [set(), set()];
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            for epoll in sets {
                let (sockets, barrier) = (&sockets, &barrier);
                scope.spawn(move || {
                    let interest = Interest { events: libc::EPOLLIN as u32, data: 5 };
                    let operation = libc::EPOLL_CTL_ADD;
                    barrier.wait();
                    sockets.epoll_ctl(&EpollControl { epoll, operation, fd, interest }).unwrap();
                });
            }
        });
        assert_eq!(slots_of(id(fd)), 1);
        let hidden = own_descriptors::all().count();
        assert!(hidden >= 2, "each entry has a duplicate of its own");
        for epoll in sets {
            // An unconnected socket hangs up: both sets tell so.
            assert_eq!(event(&sockets, epoll, 0), Some(5));
        }
        close(&sockets, fd);
        sets.into_iter().for_each(|epoll| _ = sys::close(epoll));
    }
}
