//! The kernel's interface for a supervisor beside its [`listener`](super::listener): process_vm_readv(2),
//! pidfd_getfd(2), and what a parent of processes needs.

use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use epochsocks::sys::{Errno, OwnedSocket, net, syscall6};
use libc::{c_int, c_void};

/// `PIDFD_THREAD` (Linux 6.9).
const PIDFD_THREAD: usize = libc::O_EXCL as usize;

/// A copy of the bytes at `address` of `thread`'s memory, all of them. Errors: `EFAULT`; `EPERM` where the
/// process may not be looked at.
pub fn read_memory(thread: i32, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    transfer(libc::SYS_process_vm_readv, thread, address, local)
}

/// Writes `bytes` to `address` of `thread`'s memory. Errors as [`read_memory`].
pub fn write_memory(thread: i32, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    transfer(libc::SYS_process_vm_writev, thread, address, local)
}

fn transfer(number: i64, thread: i32, address: u64, local: libc::iovec) -> Result<(), Errno> {
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut::<c_void>(address as usize),
        iov_len: local.iov_len,
    };
    let (here, there) = (&raw const local as usize, &raw const remote as usize);
    // SAFETY: the kernel reads both descriptions, and writes no more than the bytes of the local one.
    let count = Errno::check(unsafe { syscall6(number, thread as usize, here, 1, there, 1, 0) })?;
    if count == local.iov_len { Ok(()) } else { Err(Errno(libc::EFAULT)) }
}

/// The process or thread of this number. Errors: `ESRCH`; `EINVAL` before Linux 6.9 for a thread that is not
/// its process's first.
pub fn open_process(thread: i32) -> Result<OwnedFd, Errno> {
    let open = |flags| {
        // SAFETY: takes integers.
        Errno::check(unsafe { syscall6(libc::SYS_pidfd_open, thread as usize, flags, 0, 0, 0, 0) })
    };
    let fd = open(PIDFD_THREAD).or_else(|_| open(0))?;
    // SAFETY: a fresh descriptor of ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// A duplicate of the descriptor `number` of `process`. Errors: `EBADF`; `EPERM` where the process may not be
/// looked at; `ENOSYS` before Linux 5.6.
pub fn take_descriptor(process: &OwnedFd, number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes integers.
    let fd = Errno::check(unsafe {
        syscall6(libc::SYS_pidfd_getfd, process.as_raw_fd() as usize, number as usize, 0, 0, 0, 0)
    })?;
    // SAFETY: a fresh descriptor of ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// The result of fork(2).
pub enum Fork {
    /// This is the child.
    Child,
    /// This is the parent of the child of this number.
    Parent(i32),
}

/// Forks the process, which has one thread. Errors: `EAGAIN`, `ENOMEM`.
pub fn fork() -> Result<Fork, Errno> {
    // SAFETY: there is no other thread whose locks the child could miss.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        child @ 1.. => Ok(Fork::Parent(child)),
        _ => Err(last_error()),
    }
}

/// The errno of the C library's last call.
pub fn last_error() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Makes this process the parent of what its descendants leave behind (prctl(2)): it stays an ancestor of
/// all, as Yama wants it of who looks at another process.
pub fn adopt_orphans() {
    // SAFETY: takes integers.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// A change in a child.
pub struct Change {
    /// The child.
    pub child: i32,
    /// Its status, as wait(2) has it.
    pub status: i32,
}

/// The next child that has ended, stopped or gone on, if one has; reaps it if it has ended.
pub fn changed_child() -> Option<Change> {
    let mut status = 0;
    // SAFETY: the kernel writes the status.
    let child = unsafe {
        libc::waitpid(-1, &mut status, libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED)
    };
    (child > 0).then_some(Change { child, status })
}

/// Sends `process` a signal.
pub fn signal(process: i32, number: i32) {
    // SAFETY: takes integers; `process` is one.
    unsafe { libc::kill(process, number) };
}

/// Sends `parent` a signal if it is still this process's parent, and its number no other process's.
pub fn signal_parent(parent: i32, number: i32) {
    // SAFETY: takes nothing.
    if unsafe { libc::getppid() } == parent {
        signal(parent, number);
    }
}

/// A descriptor that brings the signals that are blocked and `wanted`, and never makes wait.
pub fn signals(wanted: &[i32]) -> Result<OwnedFd, Errno> {
    // SAFETY: the set is made before it is read.
    let fd = unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(set.as_mut_ptr());
        for &number in wanted {
            libc::sigaddset(set.as_mut_ptr(), number);
        }
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    // SAFETY: a fresh descriptor of ours.
    if fd < 0 { Err(last_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) }
}

/// A signal that has come.
pub struct Signal {
    pub number: i32,
    /// The process that has sent it; 0 for the kernel.
    pub sender: i32,
}

/// The next signal of a descriptor of [`signals`].
pub fn next_signal(fd: &OwnedFd) -> Option<Signal> {
    // SAFETY: plain data, valid as zeroes, of which the kernel writes one.
    let information = unsafe {
        let mut information: libc::signalfd_siginfo = zeroed();
        let length = size_of_val(&information);
        let read = libc::read(fd.as_raw_fd(), (&raw mut information).cast(), length);
        (read == length as isize).then_some(information)?
    };
    Some(Signal { number: information.ssi_signo as i32, sender: information.ssi_pid as i32 })
}

/// Tells whether `process` is of this process's group.
pub fn is_of_this_group(process: i32) -> bool {
    // SAFETY: takes integers.
    unsafe { libc::getpgid(process) == libc::getpgrp() }
}

/// Ends this process by the signal `number`, without a core of its own.
pub fn die_by(number: i32) {
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: takes integers and one limit.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &limit);
        libc::signal(number, libc::SIG_DFL);
        libc::raise(number);
    }
    epochsocks::sys::set_signals(0);
}

/// An epoll set.
pub fn epoll() -> Result<OwnedFd, Errno> {
    // SAFETY: takes an integer; a fresh descriptor of ours.
    unsafe {
        let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        if fd < 0 { Err(last_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// An event of an epoll set: what it was added with, and its bits.
pub type Event = (u64, u32);

/// Waits for events of `set`, without an end if there is no `limit`; puts them into `events`.
pub fn wait(set: &OwnedFd, limit: Option<Duration>, events: &mut Vec<Event>) {
    let mut raw = [libc::epoll_event { events: 0, u64: 0 }; 64];
    let limit = limit.map_or(-1, |limit| limit.as_millis().min(60_000) as c_int + 1);
    // SAFETY: the kernel writes as many events as there is room for.
    let count =
        unsafe { libc::epoll_wait(set.as_raw_fd(), raw.as_mut_ptr(), raw.len() as c_int, limit) };
    events.clear();
    events.extend(raw.iter().take(count.max(0) as usize).map(|event| (event.u64, event.events)));
}

/// Two ends of a UNIX socket that keeps messages apart, closed on exec; `flags` may make both non-blocking.
pub fn pair(flags: c_int) -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | flags;
    // SAFETY: the kernel writes two descriptors, which are ours.
    unsafe {
        if libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) < 0 {
            return Err(last_error());
        }
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Room for one descriptor in a message.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    descriptor: c_int,
    _padding: c_int,
}

/// `call`s with a message of one byte and room for one descriptor.
fn with_message(
    descriptor: c_int,
    call: impl FnOnce(*mut libc::msghdr) -> isize,
) -> (isize, Control) {
    let mut byte = 0_u8;
    let mut piece = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = Control {
        header: libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + size_of::<c_int>(),
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        },
        descriptor,
        _padding: 0,
    };
    // SAFETY: plain data, valid as zeroes.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    let result = call(&raw mut message);
    (result, control)
}

/// Sends `fd` over `socket`. Errors: those of sendmsg(2).
pub fn send_descriptor(socket: &OwnedFd, fd: &OwnedFd) -> Result<(), Errno> {
    let (sent, _) = with_message(fd.as_raw_fd(), |message| {
        // SAFETY: a whole message of ours. The raw call: the filter lets it pass, and no hook sees it.
        unsafe {
            syscall6(libc::SYS_sendmsg, socket.as_raw_fd() as usize, message as usize, 0, 0, 0, 0)
        }
    });
    Errno::check(sent).map(drop)
}

/// Receives what [`send_descriptor`] has sent at the other end of `socket`; nothing if that was closed.
pub fn receive_descriptor(socket: &OwnedFd) -> Option<OwnedFd> {
    let flags = libc::MSG_CMSG_CLOEXEC as usize;
    let (received, control) = with_message(-1, |message| {
        // SAFETY: a whole message of ours, into which the kernel writes.
        unsafe {
            let socket = socket.as_raw_fd() as usize;
            syscall6(libc::SYS_recvmsg, socket, message as usize, flags, 0, 0, 0)
        }
    });
    // SAFETY: a fresh descriptor of ours.
    (received == 1 && control.descriptor >= 0)
        .then(|| unsafe { OwnedFd::from_raw_fd(control.descriptor) })
}

/// A number that the kernel has drawn.
pub fn random() -> Option<u64> {
    let mut number = 0_u64;
    // SAFETY: the kernel writes eight bytes. It draws so few without waiting, once it has started.
    let drawn = unsafe { libc::getrandom((&raw mut number).cast(), size_of_val(&number), 0) };
    (drawn == size_of_val(&number) as isize).then_some(number)
}

/// Lets this process have as many descriptors as it may.
pub fn allow_many_descriptors() {
    if let Ok(mut limit) = epochsocks::sys::descriptor_limit() {
        limit.rlim_cur = limit.rlim_max;
        let _ = epochsocks::sys::set_descriptor_limit(&limit);
    }
}

/// A socket; see socket(2).
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: a fresh descriptor of ours.
    net::socket(domain, kind, protocol).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor of what `socket` is, which is closed with its owner.
pub fn own(socket: &OwnedSocket) -> Result<OwnedFd, Errno> {
    // SAFETY: a fresh descriptor of ours.
    epochsocks::sys::duplicate(socket.fd()).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The time that the socket `fd` gives a connect, `SO_SNDTIMEO`, if that has an end.
pub fn send_timeout(fd: i32) -> Option<Duration> {
    // SAFETY: the option is a timeval, valid for any bytes.
    let limit =
        unsafe { net::option::<libc::timeval>(fd, libc::SOL_SOCKET, libc::SO_SNDTIMEO) }.ok()?;
    let limit = Duration::new(limit.tv_sec.max(0) as u64, limit.tv_usec.max(0) as u32 * 1_000);
    (!limit.is_zero()).then_some(limit)
}

/// Lets `fd` listen; see listen(2).
pub fn listen(fd: i32, backlog: i32) -> Result<(), Errno> {
    // SAFETY: takes integers.
    let done = unsafe { syscall6(libc::SYS_listen, fd as usize, backlog as usize, 0, 0, 0, 0) };
    Errno::check(done).map(drop)
}

/// Fills the numbers of standard descriptors that are closed, so that no descriptor of ours gets one: the program's
/// stay closed, as an exec closes what is put there.
pub fn fill_standard_descriptors() {
    loop {
        // SAFETY: a path with its NUL; a fresh descriptor of ours.
        let fd = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        if fd > libc::STDERR_FILENO {
            let _ = epochsocks::sys::close(fd);
        }
        if !(0..=libc::STDERR_FILENO).contains(&fd) {
            return;
        }
    }
}

/// Lets standard input and output, and every descriptor from 3 on but `kept`, go: a program that waits for
/// their end does not wait for this process.
pub fn let_go_of_descriptors(kept: &[i32]) {
    for standard in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
        let _ = epochsocks::sys::replace_by_null(standard);
    }
    epochsocks::sys::each_open_descriptor(|fd| {
        if fd > libc::STDERR_FILENO && !kept.contains(&fd) {
            let _ = epochsocks::sys::close(fd);
        }
    });
}
