//! A supervisor's end of the filter: seccomp_unotify(2).

use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use epochsocks::backstop::assembler::Program;
use epochsocks::sys::{Errno, filter, net, syscall6};
use libc::{c_int, c_ulong};

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: the filter's supervisor reads from the descriptor that this gives.
const NEW_LISTENER: usize = 1 << 3;

/// `SECCOMP_IOCTL_NOTIF_RECV`, `_SEND`, `_ID_VALID`, `_ADDFD` and `_SET_FLAGS` (linux/seccomp.h).
const RECEIVE: c_ulong = 0xc050_2100;
const SEND: c_ulong = 0xc018_2101;
const ID_VALID: c_ulong = 0x4008_2102;
const ADD_DESCRIPTOR: c_ulong = 0x4018_2103;
const SET_FLAGS: c_ulong = 0x4008_2104;

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`: the kernel carries the call out.
const CONTINUE: u32 = 1;
/// `SECCOMP_ADDFD_FLAG_SETFD`: at this number; `_SEND`: and the number is the call's result (Linux 5.14).
const AT_NUMBER: u32 = 1;
const AS_RESULT: u32 = 2;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` (Linux 6.6): the supervisor runs where the program waits.
const SYNC_WAKE_UP: usize = 1;

/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawNotification {
    id: u64,
    thread: u32,
    flags: u32,
    number: i32,
    architecture: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct RawResponse {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct RawDescriptor {
    id: u64,
    flags: u32,
    source: u32,
    number: u32,
    number_flags: u32,
}

const _: () = assert!(size_of::<RawNotification>() == 80);
const _: () = assert!(size_of::<RawResponse>() == 24);
const _: () = assert!(size_of::<RawDescriptor>() == 24);

/// A system call that waits for the supervisor.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The kernel's name for it.
    pub id: u64,
    /// The thread that waits, as this process sees it.
    pub thread: i32,
    /// `SYS_…`, of the native table: the filter lets no other one pass.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// The supervisor's end of a filter.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Puts the calling thread under `program`, whose notifications the descriptor that this gives brings.
    /// Errors: those of [`filter::install`].
    pub fn install(program: &Program) -> Result<OwnedFd, Errno> {
        // A signal ends a call that waits, as it ends a connect in the kernel: with WAIT_KILLABLE_RECV a handler, a
        // stop and a debugger would wait for Tor.
        let flags = filter::SPECULATION_ALLOWED | NEW_LISTENER;
        let number = filter::install(program.instructions(), flags)?;
        // SAFETY: a fresh descriptor of ours.
        Ok(unsafe { OwnedFd::from_raw_fd(number as c_int) })
    }

    /// The end that [`Listener::install`] has made in the program's process.
    pub fn new(fd: OwnedFd) -> Listener {
        // Where the kernel does not know of it, each call takes a little longer.
        // SAFETY: takes an integer.
        unsafe {
            syscall6(
                libc::SYS_ioctl,
                fd.as_raw_fd() as usize,
                SET_FLAGS as usize,
                SYNC_WAKE_UP,
                0,
                0,
                0,
            )
        };
        Listener(fd)
    }

    /// The descriptor, which is readable while a call waits, and hung up when no process is under the filter.
    pub fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    fn control<T>(&self, request: c_ulong, argument: &mut T) -> Result<usize, Errno> {
        let argument = std::ptr::from_mut(argument) as usize;
        // SAFETY: the callers name requests that take a `T`, which the kernel reads and writes.
        Errno::check(unsafe {
            syscall6(libc::SYS_ioctl, self.fd() as usize, request as usize, argument, 0, 0, 0)
        })
    }

    /// The first call, for which the program's process is on its way. Errors: `ESRCH` if that has ended; those of
    /// [`Listener::receive`].
    pub fn first(&self) -> Result<Call, Errno> {
        let limit = Duration::from_secs(60);
        loop {
            match net::poll(self.fd(), libc::POLLIN, limit) {
                Ok(events) if events & libc::POLLIN != 0 => return self.receive(),
                Err(Errno(libc::EINTR)) => {}
                Ok(_) => return Err(Errno(libc::ESRCH)),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The next call that waits. Errors: `ENOENT` if its thread has ended meanwhile.
    pub fn receive(&self) -> Result<Call, Errno> {
        // SAFETY: plain data, which the kernel wants as zeroes.
        let mut raw: RawNotification = unsafe { zeroed() };
        self.control(RECEIVE, &mut raw)?;
        let RawNotification { id, thread, number, arguments, .. } = raw;
        Ok(Call { id, thread: thread as i32, number: number.into(), arguments })
    }

    /// Tells whether the call `id` still waits: whatever was read of its thread before this is its own, and of no
    /// later thread of that number.
    pub fn waits(&self, id: u64) -> bool {
        self.control(ID_VALID, &mut { id }).is_ok()
    }

    fn respond(&self, id: u64, value: i64, error: i32, flags: u32) -> Result<(), Errno> {
        self.control(SEND, &mut RawResponse { id, value, error, flags }).map(drop)
    }

    /// Ends the call `id`. Errors: `ENOENT` if its caller does not wait any more.
    pub fn answer(&self, id: u64, result: Result<i64, Errno>) -> Result<(), Errno> {
        match result {
            Ok(value) => self.respond(id, value, 0, 0),
            Err(errno) => self.respond(id, 0, -errno.0, 0),
        }
    }

    /// Lets the kernel carry the call `id` out.
    pub fn let_pass(&self, id: u64) {
        let _ = self.respond(id, 0, 0, CONTINUE);
    }

    /// Gives the program a duplicate of `fd`, whose number is the call's result. Errors: `EMFILE`; `ENOENT`.
    pub fn give(&self, id: u64, fd: i32, is_close_on_exec: bool) -> Result<(), Errno> {
        let number_flags = if is_close_on_exec { libc::O_CLOEXEC as u32 } else { 0 };
        let mut raw =
            RawDescriptor { id, flags: AS_RESULT, source: fd as u32, number: 0, number_flags };
        match self.control(ADD_DESCRIPTOR, &mut raw) {
            Err(Errno(libc::EINVAL)) => {
                raw.flags = 0;
                let number = self.control(ADD_DESCRIPTOR, &mut raw)?;
                self.answer(id, Ok(number as i64))
            }
            result => result.map(drop),
        }
    }

    /// Puts a duplicate of `fd` at `number` of the program, in place of what is there.
    pub fn put(&self, id: u64, fd: i32, number: i32, is_close_on_exec: bool) -> Result<(), Errno> {
        let number_flags = if is_close_on_exec { libc::O_CLOEXEC as u32 } else { 0 };
        let mut raw = RawDescriptor {
            id,
            flags: AT_NUMBER,
            source: fd as u32,
            number: number as u32,
            number_flags,
        };
        self.control(ADD_DESCRIPTOR, &mut raw).map(drop)
    }
}
