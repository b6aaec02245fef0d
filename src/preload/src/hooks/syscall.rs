//! `syscall`: the numbers that the other hooks cover take their way, every other one passes with
//! all six arguments.

use core::ffi::{c_int, c_long};

use epochsocks::sys::Errno;

use super::data::{asynchronous, incoming, outgoing, receive, send};
use super::descriptors::{close, duplicate, tables};
use super::exec::{self, exit, fork, seccomp};
use super::sockets::{connect, listen, option, peer_name, socket, state};
use super::waits::{epoll, kernel_waits};
use crate::log::refused;
use crate::sockets::none_in_flight;
use crate::{datagrams, errno, real};

/// Tells whether `number` is of the x32 table, which has each call once more: with a bit of its
/// own, and those that differ behind 512, where older kernels let 64-bit programs find them without
/// that bit.
#[cfg(target_arch = "x86_64")]
fn is_x32(number: c_long) -> bool {
    number & 1 << 30 != 0 || (512..=547).contains(&number)
}

/// Options of getsockopt(2) that are answered as `getpeername` is.
const PEER_NAME: (c_long, c_long) = (libc::SOL_SOCKET as c_long, libc::SO_PEERNAME as c_long);

/// # Safety
/// As syscall(2).
pub unsafe fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    // The kernel takes the lower half of the register for the number.
    let number = c_long::from(number as i32);
    // SAFETY: the kernel reads the arguments of these numbers as the C functions' types.
    unsafe {
        let result: c_int = match number {
            libc::SYS_socket => socket::socket(a as _, b as _, c as _),
            libc::SYS_socketpair => socket::socketpair(a as _, b as _, c as _, d as _),
            libc::SYS_setsockopt => option::setsockopt(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_connect => connect::connect(a as _, b as _, c as _),
            libc::SYS_close => close::close(a as _),
            libc::SYS_getsockopt if (b, c) == PEER_NAME => {
                state::getsockopt(a as _, b as _, c as _, d as _, e as _)
            }
            libc::SYS_getpeername => peer_name::getpeername(a as _, b as _, c as _),
            libc::SYS_dup => duplicate::dup(a as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_dup2 => duplicate::dup2(a as _, b as _),
            libc::SYS_close_range => close::close_range(a as _, b as _, c as _),
            libc::SYS_fcntl => duplicate::fcntl(a as _, b as _, c),
            libc::SYS_dup3 => duplicate::dup3(a as _, b as _, c as _),
            libc::SYS_bind => listen::bind(a as _, b as _, c as _),
            libc::SYS_listen => listen::listen(a as _, b as _),
            libc::SYS_accept => listen::accept(a as _, b as _, c as _),
            libc::SYS_accept4 => listen::accept4(a as _, b as _, c as _, d as _),
            libc::SYS_execveat => exec::execveat(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_execve => exec::execve(a as _, b as _, c as _),
            libc::SYS_sendto => {
                return send::sendto(a as _, b as _, c as _, d as _, e as _, f as _) as c_long;
            }
            libc::SYS_recvmsg => return receive::recvmsg(a as _, b as _, c as _) as c_long,
            libc::SYS_recvmmsg => receive::recvmmsg(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_pidfd_getfd => receive::pidfd_getfd(a as _, b as _, c as _),
            libc::SYS_sendmsg => return send::sendmsg(a as _, b as _, c as _) as c_long,
            libc::SYS_sendmmsg => send::sendmmsg(a as _, b as _, c as _, d as _),
            libc::SYS_epoll_ctl => epoll::epoll_ctl(a as _, b as _, c as _, d as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => epoll::epoll_wait(a as _, b as _, c as _, d as _),
            libc::SYS_epoll_pwait if kernel_waits::is_mask(e, f) => {
                epoll::epoll_pwait(a as _, b as _, c as _, d as _, e as _)
            }
            libc::SYS_epoll_pwait2 if kernel_waits::is_mask(e, f) => {
                epoll::epoll_pwait2(a as _, b as _, c as _, d as _, e as _)
            }
            libc::SYS_io_submit => {
                let list = core::ptr::with_exposed_provenance(c as usize);
                return match asynchronous::may_submit(b, list) {
                    Ok(()) => real::syscall(number, a, b, c, d, e, f),
                    Err(errno) => errno::fail(errno),
                };
            }
            libc::SYS_exit_group => {
                exit::_exit(a as _);
                0
            }
            libc::SYS_prctl => seccomp::prctl(a as _, b as _, c as _, d as _, e as _),
            libc::SYS_seccomp => {
                return seccomp::seccomp(a, c, || real::syscall(number, a, b, c, d, e, f));
            }
            // Other clones come back on a stack of their own: nothing of ours may lie there.
            libc::SYS_clone if copies(a, b) => return as_fork(number, a, b, c, d, e, f),
            libc::SYS_clone => {
                tables::note(a);
                return real::syscall(number, a, b, c, d, e, f);
            }
            libc::SYS_clone3 => {
                tables::note_extended(core::ptr::with_exposed_provenance(a as usize));
                return real::syscall(number, a, b, c, d, e, f);
            }
            libc::SYS_unshare => tables::unshare(a as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_fork => return as_fork(number, a, b, c, d, e, f),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_vfork => {
                tables::note(c_long::from(libc::CLONE_VM | libc::CLONE_VFORK));
                return real::syscall(number, a, b, c, d, e, f);
            }
            libc::SYS_io_uring_setup | libc::SYS_io_uring_enter | libc::SYS_io_uring_register => {
                absent("io_uring")
            }
            #[cfg(target_arch = "x86_64")]
            number if is_x32(number) => absent("the x32 table of system calls"),
            libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_pwritev2
            | libc::SYS_sendfile
            | libc::SYS_splice => return in_flight(number, a, b, c, d, e, f),
            _ if !none_in_flight() || datagrams::exist() => {
                return in_flight(number, a, b, c, d, e, f);
            }
            _ => return real::syscall(number, a, b, c, d, e, f),
        };
        result.into()
    }
}

/// Tells whether a clone's child has copies of the memory and of the descriptors and comes back on
/// the same stack, as a fork's.
fn copies(flags: c_long, stack: c_long) -> bool {
    flags & c_long::from(libc::CLONE_VM | libc::CLONE_FILES) == 0 && stack == 0
}

/// # Safety
/// As syscall(2).
#[cold]
#[inline(never)]
unsafe fn as_fork(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    // SAFETY: the caller's contract.
    fork::around(|| unsafe { real::syscall(number, a, b, c, d, e, f) as _ }).into()
}

/// Handles data calls, and those that matter only while a handshake is in flight, or where there are UDP
/// sockets.
///
/// # Safety
/// As syscall(2).
#[cold]
unsafe fn in_flight(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    // SAFETY: the kernel reads the arguments of these numbers as the C functions' types.
    unsafe {
        match number {
            libc::SYS_read => incoming::read(a as _, b as _, c as _) as c_long,
            libc::SYS_readv => incoming::readv(a as _, b as _, c as _) as c_long,
            libc::SYS_recvfrom => {
                incoming::recvfrom(a as _, b as _, c as _, d as _, e as _, f as _) as c_long
            }
            libc::SYS_write => outgoing::write(a as _, b as _, c as _) as c_long,
            libc::SYS_writev => outgoing::writev(a as _, b as _, c as _) as c_long,
            libc::SYS_preadv2 => {
                // The offset comes in two halves, the first of which is all of it here.
                incoming::preadv2(a as _, b as _, c as _, d, f as _) as c_long
            }
            libc::SYS_pwritev2 => outgoing::pwritev2(a as _, b as _, c as _, d, f as _) as c_long,
            libc::SYS_sendfile => outgoing::sendfile(a as _, b as _, c as _, d as _) as c_long,
            libc::SYS_splice => {
                outgoing::splice(a as _, b as _, c as _, d as _, e as _, f as _) as c_long
            }
            libc::SYS_getsockopt => {
                state::getsockopt(a as _, b as _, c as _, d as _, e as _).into()
            }
            libc::SYS_ioctl => state::ioctl(a as _, b as _, c).into(),
            libc::SYS_shutdown => state::shutdown(a as _, b as _).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => super::waits::poll::poll(a as _, b as _, c as _).into(),
            libc::SYS_ppoll if kernel_waits::is_mask(d, e) => {
                kernel_waits::ppoll(a as _, b as _, c as _, d as _).into()
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select => kernel_waits::select(a as _, b as _, c as _, d as _, e as _).into(),
            libc::SYS_pselect6 => {
                kernel_waits::pselect6(a as _, b as _, c as _, d as _, e as _, f as _).into()
            }
            _ => real::syscall(number, a, b, c, d, e, f),
        }
    }
}

/// Answers a call that would connect past every hook: programs do without it on kernels that lack
/// it.
fn absent(what: &str) -> c_int {
    refused!(Debug, Call, "{what} refused: it would bypass Tor");
    errno::fail(Errno(libc::ENOSYS))
}
