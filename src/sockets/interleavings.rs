//! Two threads and one descriptor number: while a call of the library is under way, another thread
//! closes the number and opens something else there, before each system call and each look at the registry
//! of the first in turn, but for the first of them: before that it knows nothing of the socket.
//!
//! Whatever the library does then, it does to the socket that the call began with, or to none. The
//! file that has the number now keeps its bytes, its peer, its flags, its pending error, its epoll
//! entry and its record.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;

use super::handshake::{Interest, TABLE};
use super::tests::{GRANTED, REFUSED, Subject, attempt, sent, sockets};
use super::{Attempt, Connect, EpollControl, Progress, SocketId};
use crate::registry::Registry;
use crate::sys::{self, boundary, net, own_descriptors};

/// File that has the number when the call begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Unconnected,
    /// As `Unconnected`, and the kernel was not asked which socket it is.
    Unasked,
    /// The proxy has not answered yet.
    InFlight,
    /// The proxy has answered the greeting, so that the driver's next step sends the request.
    Answered,
    Connected,
    /// The proxy has refused; no caller was told.
    Refused,
}

const STATES: [Before; 6] = [
    Before::Unconnected,
    Before::Unasked,
    Before::InFlight,
    Before::Answered,
    Before::Connected,
    Before::Refused,
];

/// Call by which the other thread closes the number, and file that it opens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reuse {
    /// close, then a connected TCP socket that was made elsewhere.
    Stream,
    /// dup2 by a raw system call, which no hook sees, of a UNIX socket.
    Unseen,
    /// close, then a TCP socket of its own, with a connect through Tor in flight.
    Connect,
}

const REUSES: [Reuse; 3] = [Reuse::Stream, Reuse::Unseen, Reuse::Connect];

/// The file that the other thread has put at the number, and what tells whether it was touched.
struct Reused {
    fd: i32,
    cookie: u64,
    flags: i32,
    /// The other end; a byte has come from there.
    peer: Option<Peer>,
}

enum Peer {
    Tcp(TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Peer {
    fn write(&mut self, bytes: &[u8]) {
        match self {
            Peer::Tcp(stream) => stream.write_all(bytes),
            Peer::Unix(stream) => stream.write_all(bytes),
        }
        .expect("the peer is connected");
    }

    /// Data that have come from the reused file.
    fn pending(&mut self) -> usize {
        let mut bytes = [0; 64];
        match self {
            Peer::Tcp(stream) => {
                stream.set_nonblocking(true).unwrap();
                stream.read(&mut bytes)
            }
            Peer::Unix(stream) => {
                stream.set_nonblocking(true).unwrap();
                stream.read(&mut bytes)
            }
        }
        .unwrap_or(0)
    }
}

const UNTOUCHED: &[u8] = b"\x05\x00hello";
/// Events of the reused file that the program asks for.
const DATA: u64 = 99;

fn flags(fd: i32) -> i32 {
    // SAFETY: F_GETFL takes no argument.
    unsafe { libc::fcntl(fd, libc::F_GETFL) }
}

/// Lets calls on `fd` wait: no `O_NONBLOCK`.
fn wait_in_calls(fd: i32) {
    // SAFETY: F_SETFL takes an integer.
    assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFL, 0) }, 0);
}

/// Puts `own` at the number `fd`, which is free or not.
fn place(own: i32, fd: i32) {
    // SAFETY: dup2 takes integers; both numbers are this test's.
    assert_eq!(unsafe { libc::dup2(own, fd) }, fd);
    // SAFETY: as above.
    unsafe { libc::close(own) };
}

fn close(sockets: &Subject, fd: i32) {
    sockets.registry().remove(fd);
    // SAFETY: the test's own number.
    unsafe { libc::close(fd) };
}

/// A pair of TCP sockets on loopback.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// Steps of the other thread.
fn reuse(sockets: &Subject, fd: i32, epoll: i32, how: Reuse, silent: SocketAddr) -> Reused {
    let peer = match how {
        Reuse::Stream => {
            let (mine, peer) = pair();
            close(sockets, fd);
            place(mine.into_raw_fd(), fd);
            Some(Peer::Tcp(peer))
        }
        Reuse::Unseen => {
            let (mine, peer) = std::os::unix::net::UnixStream::pair().unwrap();
            place(mine.into_raw_fd(), fd);
            Some(Peer::Unix(peer))
        }
        Reuse::Connect => {
            let fresh = net::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0);
            close(sockets, fd);
            place(fresh.unwrap(), fd);
            sockets.track(fd).unwrap();
            assert!(!sent(sockets, fd, silent).waits());
            None
        }
    };
    let mut reused = Reused { fd, cookie: net::cookie(fd).unwrap(), flags: flags(fd), peer };
    if let Some(peer) = &mut reused.peer {
        peer.write(UNTOUCHED);
        sys::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN as u32, DATA).unwrap();
    }
    reused
}

impl Reused {
    /// Reason that the file is not as its owner has left it.
    fn damage(&mut self, sockets: &Subject, epoll: i32, calls_epoll: bool) -> Option<String> {
        let Reused { fd, .. } = *self;
        if net::cookie(fd) != Ok(self.cookie) {
            return Some("the number names another file".into());
        }
        if flags(fd) != self.flags {
            return Some(format!("flags {:#x} in place of {:#x}", flags(fd), self.flags));
        }
        let known = sockets.registry().borrow(fd, |record| (record.id(), record.progress()));
        match (&mut self.peer, known) {
            (None, Some((id, Progress::Busy))) if id == SocketId(self.cookie) => None,
            (None, known) => Some(format!("the connect of another thread is {known:?}")),
            // Where no hook has seen the close, the next look drops the entry.
            (Some(Peer::Tcp(_)), Some((id, _))) if id != SocketId(self.cookie) => {
                Some("the entry of a socket that was closed is left".into())
            }
            (Some(peer), _) => {
                let sent = peer.pending();
                if sent != 0 {
                    return Some(format!("{sent} bytes were sent to the peer of another file"));
                }
                if !calls_epoll && !is_told(epoll) {
                    return Some("the epoll entry is gone".into());
                }
                let mut bytes = [0; 16];
                match net::receive_now(fd, &mut bytes) {
                    Ok(7) => None,
                    received => Some(format!("{received:?} in place of 7 pending bytes")),
                }
            }
        }
    }
}

/// Tells whether the event of the reused file comes out of the set at once.
fn is_told(epoll: i32) -> bool {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
    // SAFETY: as many events as there are.
    let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, 0) };
    events.iter().take(count.max(0) as usize).any(|event| event.u64 == DATA)
}

/// The scenes' descriptors are above those that the kernel gives to the tests beside this one, and below
/// the library's own: no test opens another file at a number that is closed for a moment.
static NEXT: AtomicI32 = AtomicI32::new(0);

/// A proxy whose connection the scene holds.
struct Scene {
    sockets: Arc<Subject>,
    fd: i32,
    epoll: i32,
    id: SocketId,
    tor: SocketAddr,
    silent: SocketAddr,
    listeners: [TcpListener; 2],
    /// The proxy's end of the connection of `fd`.
    served: Option<TcpStream>,
}

impl Scene {
    fn new(before: Before) -> Scene {
        let sockets = Arc::new(sockets());
        let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [tor, silent] = [0, 1].map(|index: usize| listeners[index].local_addr().unwrap());
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = NEXT.fetch_add(1, Relaxed) % 250 + 250;
        place(net::socket(libc::AF_INET, kind, 0).unwrap(), fd);
        match before {
            Before::Unasked => sockets.track_unasked(fd).unwrap(),
            _ => sockets.track(fd).unwrap(),
        }
        // SAFETY: epoll_create1 takes an integer.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let id = SocketId(net::cookie(fd).unwrap());
        let mut scene = Scene { sockets, fd, epoll, id, tor, silent, listeners, served: None };
        if !matches!(before, Before::Unconnected | Before::Unasked) {
            scene.serve(before);
        }
        scene
    }

    fn serve(&mut self, before: Before) {
        let _ = self.sockets.connect(self.fd, &attempt(self.tor)).unwrap();
        let mut served = self.listeners[0].accept().unwrap().0;
        if before == Before::InFlight {
            self.served = Some(served);
            return;
        }
        let mut bytes = [0; 64];
        self.drive_until(|_| true);
        served.read_exact(&mut bytes[..3]).unwrap();
        served.write_all(b"\x05\x00").unwrap();
        let _ = net::poll(self.fd, libc::POLLIN, Duration::from_secs(20));
        if before != Before::Answered {
            self.drive_until(|_| true);
            assert!(served.read(&mut bytes).unwrap() > 4);
            let refused = before == Before::Refused;
            served.write_all(if refused { REFUSED } else { GRANTED }).unwrap();
            self.drive_until(|progress| !progress.is_pending());
        }
        self.served = Some(served);
    }

    fn drive_until(&self, is_enough: impl Fn(Progress) -> bool) {
        loop {
            let progress = self.sockets.drive(self.fd);
            if is_enough(progress) {
                return;
            }
            if let Progress::Waiting(wait) = progress {
                let _ = net::poll(self.fd, wait.events, Duration::from_secs(20));
            }
        }
    }

    /// Checks what is left of the first socket when the number is closed, too.
    fn leftover(self) -> Option<String> {
        close(&self.sockets, self.fd);
        let left = || {
            let mut slots = 0;
            TABLE.each(|_, slot| slots += usize::from(slot.is_of(self.id)));
            let own = own_descriptors::all().filter(|fd| net::cookie(*fd) == Ok(self.id.0));
            (slots, own.count())
        };
        // A test beside this one may look for a free slot and have this one's lock for a moment: it ends
        // the handshake then.
        let is_held = |&(slots, own): &(usize, usize)| slots + own != 0;
        let tries = (0..10_000).map(|_| sys::yield_now());
        let (slots, own) = tries.map(|()| left()).find(|left| !is_held(left)).unwrap_or_else(left);
        // SAFETY: the test's own number.
        unsafe { libc::close(self.epoll) };
        (slots + own != 0).then(|| format!("{slots} slots and {own} descriptors are left"))
    }
}

/// Runs `call` on a socket that is in each state, with each reuse before each of its system calls.
/// Gives what went wrong, and how many runs there were.
fn explore(
    calls_epoll: bool,
    prepare: impl Fn(&Scene),
    call: impl Fn(&Scene),
) -> (Vec<String>, usize) {
    let (mut wrong, mut runs) = (Vec::new(), 0);
    for (before, how) in STATES.into_iter().flat_map(|b| REUSES.map(|how| (b, how))) {
        for index in 1.. {
            let scene = Scene::new(before);
            prepare(&scene);
            let reused = Arc::new(std::sync::Mutex::new(None));
            let (sockets, place) = (Arc::clone(&scene.sockets), Arc::clone(&reused));
            let (fd, epoll, silent) = (scene.fd, scene.epoll, scene.silent);
            let other = move || {
                *place.lock().unwrap() = Some(reuse(&sockets, fd, epoll, how, silent));
            };
            if !boundary::run_before(index, std::boxed::Box::new(other), || call(&scene)) {
                assert_eq!(scene.leftover(), None);
                break;
            }
            runs += 1;
            let mut reused = reused.lock().unwrap().take().expect("the other thread has run");
            let damage = reused.damage(&scene.sockets, epoll, calls_epoll);
            let leftover = scene.leftover();
            let damage = damage.or(leftover);
            wrong.extend(damage.map(|what| format!("{before:?}, {how:?}, before {index}: {what}")));
        }
    }
    (wrong, runs)
}

/// A property of each call that a program makes with a number.
macro_rules! calls {
    ($($name:ident: $calls_epoll:literal, $prepare:expr, $call:expr;)*) => { $(
        #[test]
        fn $name() {
            let (wrong, runs) = explore($calls_epoll, $prepare, $call);
            assert!(runs >= 10, "{runs} runs");
            assert!(wrong.is_empty(), "of {runs} runs: {wrong:#?}");
        }
    )* };
}

const INTEREST: Interest = Interest { events: libc::EPOLLIN as u32, data: 7 };

fn epoll_ctl(scene: &Scene, operation: i32) {
    let Scene { epoll, fd, .. } = *scene;
    let _ = scene.sockets.epoll_ctl(&EpollControl { epoll, operation, fd, interest: INTEREST });
}

calls! {
    a_connect_acts_on_its_own_socket: false, |_| {}, |scene| {
        if let Ok(Connect::Sent(mut sent)) = scene.sockets.connect(scene.fd, &attempt(scene.tor)) {
            let _ = scene.sockets.drive_sent(&mut sent);
            let _ = scene.sockets.finish(sent, Ok(()));
        }
    };
    a_connect_that_waits_acts_on_its_own_socket: false,
        |scene| wait_in_calls(scene.fd),
        |scene| {
            let claimed = Attempt { is_claimed: true, ..attempt(scene.tor) };
            if let Ok(Connect::Sent(mut sent)) = scene.sockets.connect(scene.fd, &claimed) {
                let _ = scene.sockets.drive_sent(&mut sent);
                let _ = scene.sockets.finish(sent, Ok(()));
            }
        };
    a_connect_of_a_registered_socket_acts_on_it: false,
        |scene| epoll_ctl(scene, libc::EPOLL_CTL_ADD),
        |scene| _ = scene.sockets.connect(scene.fd, &attempt(scene.tor));
    a_drive_acts_on_its_own_socket: false, |_| {}, |scene| _ = scene.sockets.drive(scene.fd);
    a_drive_of_a_registered_socket_acts_on_it: false,
        |scene| epoll_ctl(scene, libc::EPOLL_CTL_ADD),
        |scene| _ = scene.sockets.drive(scene.fd);
    an_error_is_taken_of_its_own_socket: false, |_| {}, |scene| _ = scene.sockets.take_error(scene.fd);
    a_cancel_ends_its_own_handshake: false, |_| {}, |scene| scene.sockets.cancel(scene.fd);
    a_second_look_corrects_the_entry: false, |_| {}, |scene| {
        let held = scene.sockets.hold(scene.fd);
        scene.sockets.correct(scene.fd, held.as_ref());
        held.into_iter().for_each(|held| scene.sockets.put(held));
    };
    a_socket_that_was_made_elsewhere_gets_its_own_entry: false,
        |scene| scene.sockets.forget_range(scene.fd as u32, scene.fd as u32),
        |scene| {
            let held = scene.sockets.tracked(scene.fd);
            held.into_iter().flatten().for_each(|held| scene.sockets.put(held));
        };
    a_connect_beside_tor_asks_its_own_socket: false, |_| {},
        |scene| _ = scene.sockets.occupied(scene.fd);
    an_epoll_entry_is_added_to_its_own_socket: true, |_| {},
        |scene| epoll_ctl(scene, libc::EPOLL_CTL_ADD);
    an_epoll_entry_of_its_own_socket_is_changed: true,
        |scene| epoll_ctl(scene, libc::EPOLL_CTL_ADD),
        |scene| epoll_ctl(scene, libc::EPOLL_CTL_MOD);
    an_epoll_entry_of_its_own_socket_is_deleted: true,
        |scene| epoll_ctl(scene, libc::EPOLL_CTL_ADD),
        |scene| epoll_ctl(scene, libc::EPOLL_CTL_DEL);
}

/// The number of a fresh socket may be closed before the call that makes it has returned. Its own entry may stay
/// then, which each act compares with the kernel's answer first.
#[test]
fn a_fresh_socket_leaves_the_entry_of_another_thread() {
    let forget = |scene: &Scene| scene.sockets.forget_range(scene.fd as u32, scene.fd as u32);
    let (wrong, _) = explore(false, forget, |scene| _ = scene.sockets.track(scene.fd));
    let lost: Vec<_> = wrong.iter().filter(|what| !what.contains("is left")).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

/// The search finds what it looks for: a call that looks at the number, and then acts on the number.
#[test]
fn an_act_on_the_number_after_a_look_is_found() {
    let (wrong, _) = explore(
        false,
        |_| {},
        |scene| {
            if net::cookie(scene.fd) == Ok(scene.id.0) {
                let _ = net::send_now(scene.fd, b"password");
            }
        },
    );
    assert!(wrong.iter().any(|what| what.contains("bytes were sent")), "{wrong:#?}");
}
