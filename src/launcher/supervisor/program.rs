//! The program that a call came from: its memory and its sockets. Nothing of it is trusted: an address is
//! copied once, the call must still wait after that, and what was copied is what is used.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use epochsocks::policy::address::{MAX_LENGTH, encode};
use epochsocks::policy::{Address, SocketKind};
use epochsocks::sys::{Errno, net};

use super::abi;
use super::listener::{Call, Listener};

/// A copy of the socket that a call names, the program's own open file description.
pub struct Socket {
    /// Our descriptor of it.
    pub fd: OwnedFd,
    /// Its family, type and protocol.
    pub kind: SocketKind,
}

impl Socket {
    /// The descriptor.
    pub fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// The socket that the first argument of `call` names. Errors: `EBADF`, `ENOTSOCK`; `EMFILE`, `ENFILE`, `ENOMEM`
    /// where there is no descriptor left here; `EACCES` where this process may not look at the program: it is not
    /// dumpable, or has ended.
    pub fn of(call: &Call, listener: &Listener) -> Result<Socket, Errno> {
        let taken = abi::open_process(call.thread)
            .or_else(|_| abi::open_process(process_of(call.thread)))
            .and_then(|process| abi::take_descriptor(&process, call.arguments[0] as i32));
        let fd = match taken {
            Ok(fd) => fd,
            Err(errno @ Errno(libc::EBADF | libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => {
                return Err(errno);
            }
            Err(_) => return Err(Errno(libc::EACCES)),
        };
        if !listener.waits(call.id) {
            return Err(Errno(libc::EACCES));
        }
        let kind = SocketKind {
            domain: net::socket_number(fd.as_raw_fd(), libc::SO_DOMAIN)?,
            kind: net::socket_number(fd.as_raw_fd(), libc::SO_TYPE)?,
            protocol: net::socket_number(fd.as_raw_fd(), libc::SO_PROTOCOL)?,
        };
        Ok(Socket { fd, kind })
    }
}

/// A copy of an address of a program's.
pub struct AddressCopy {
    bytes: [u8; MAX_LENGTH],
    length: usize,
}

impl AddressCopy {
    /// That of so many bytes which stands at `place`. Errors: `EINVAL`, `EFAULT`; `EACCES` where this process may
    /// not look at the program.
    pub fn of(
        call: &Call,
        listener: &Listener,
        place: u64,
        length: u64,
    ) -> Result<AddressCopy, Errno> {
        let (mut bytes, length) = ([0; MAX_LENGTH], length as u32 as usize);
        let room = bytes.get_mut(..length).ok_or(Errno(libc::EINVAL))?;
        memory(call, listener, place, room)?;
        Ok(AddressCopy { bytes, length })
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub fn parse(&self) -> Address {
        Address::parse(self.as_slice())
    }
}

/// Copies the bytes at `place`. Errors: `EFAULT`; `EACCES` where this process may not look at the program.
pub fn memory(call: &Call, listener: &Listener, place: u64, bytes: &mut [u8]) -> Result<(), Errno> {
    match abi::read_memory(call.thread, place, bytes) {
        Ok(()) if listener.waits(call.id) => Ok(()),
        Err(Errno(libc::EFAULT)) => Err(Errno(libc::EFAULT)),
        _ => Err(Errno(libc::EACCES)),
    }
}

/// Writes `address` to `place`, as much of it as the length at `length_at` has room for, and its own length
/// there, as getpeername(2) does. Errors: `EFAULT`, `EINVAL`.
pub fn tell_address(
    call: &Call,
    listener: &Listener,
    (place, length_at): (u64, u64),
    address: &SocketAddr,
) -> Result<(), Errno> {
    let mut room = [0; size_of::<i32>()];
    memory(call, listener, length_at, &mut room)?;
    let room = usize::try_from(i32::from_ne_bytes(room)).map_err(|_| Errno(libc::EINVAL))?;
    let (bytes, length) = encode(address);
    abi::write_memory(call.thread, place, &bytes[..length.min(room)])?;
    abi::write_memory(call.thread, length_at, &(length as i32).to_ne_bytes())
}

/// Tells whether the descriptor `number` of the program is closed on exec.
pub fn is_close_on_exec(call: &Call, number: i32) -> bool {
    let path = format!("/proc/{}/fdinfo/{number}", call.thread);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_CLOEXEC != 0)
}

/// Tells whether the program's network is this process's own: it may have one by itself, which a socket of ours
/// would lead out of.
pub fn shares_network(call: &Call) -> bool {
    let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let own = network("self");
    own.is_some() && network(&call.thread.to_string()) == own
}

/// The process that `thread` belongs to.
pub fn process_of(thread: i32) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let number = text.lines().find_map(|line| line.strip_prefix("Tgid:"));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or(thread)
}

/// Tells whether a signal waits for `thread` that it does not block.
pub fn has_signal(thread: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let mask = |name: &str| {
        let mask = text.lines().find_map(|line| line.strip_prefix(name));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
    };
    (mask("SigPnd:") | mask("ShdPnd:")) & !mask("SigBlk:") != 0
}

/// Start of `process`, in ticks since boot, and its name.
pub fn start_of(process: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, which may hold anything, stands in parentheses; the start is field 22 (proc_pid_stat(5)).
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_whitespace().nth(19).and_then(|start| start.parse().ok()).unwrap_or_default()
}

/// The name of the program of `process`.
pub fn name_of(process: i32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    name.trim_end().escape_default().to_string()
}
