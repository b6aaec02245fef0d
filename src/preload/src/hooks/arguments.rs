//! C arguments as values.

use core::mem::MaybeUninit;

use epochsocks::policy::address::MAX_LENGTH;
use epochsocks::policy::{Address, SocketKind};
use epochsocks::sys::net::{self, Answer};
use epochsocks::sys::{self, Errno, copy_from_program, copy_to_program};
use libc::{msghdr, sa_family_t, sockaddr, socklen_t};

use crate::scratch::{bytes, with_words};
use crate::sockets::SOCKETS;

/// A program's address, copied once: what was judged is what the kernel gets.
pub struct AddressArgument {
    bytes: [u8; MAX_LENGTH],
    length: usize,
}

impl AddressArgument {
    /// Copies `length` bytes at `address`. Errors: `EFAULT` as the kernel would, `EINVAL` for a
    /// length that no address has.
    ///
    /// # Safety
    /// `address` has `length` bytes, as for connect(2).
    pub unsafe fn copy(address: *const sockaddr, length: socklen_t) -> Result<Self, Errno> {
        let mut copy = AddressArgument { bytes: [0; MAX_LENGTH], length: length as usize };
        let bytes = copy.bytes.get_mut(..length as usize).ok_or(Errno(libc::EINVAL))?;
        if !bytes.is_empty() {
            // SAFETY: the caller's contract.
            unsafe { copy_from_program(address.cast(), bytes)? };
        }
        Ok(copy)
    }

    /// The bytes of the copy.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Parses the address.
    pub fn parse(&self) -> Address {
        Address::parse(&self.bytes[..self.length])
    }

    /// Tells whether it has a family: a shorter one is `EINVAL`.
    pub fn has_family(&self) -> bool {
        self.length >= size_of::<sa_family_t>()
    }

    /// Tells whether it is of the family `AF_UNIX`.
    pub fn is_unix(&self) -> bool {
        let family = self.bytes.first_chunk().filter(|_| self.has_family());
        family.is_some_and(|family| u16::from_ne_bytes(*family) == libc::AF_UNIX as u16)
    }

    /// The copy, for a real call.
    pub fn as_ptr(&self) -> *const sockaddr {
        self.bytes.as_ptr().cast()
    }

    /// Its length in bytes.
    pub fn length(&self) -> socklen_t {
        self.length as socklen_t
    }
}

/// More control data than any kernel takes (`net.core.optmem_max`), in bytes.
const LONGEST_CONTROL: usize = 1 << 20;

/// Calls `read` with a copy of the control data of a message that is about to be sent; `None` if it
/// has none. Errors: `EFAULT` and `ENOBUFS` as the kernel would, `ENOMEM`.
///
/// # Safety
/// As for sendmsg(2).
pub unsafe fn with_control<R>(
    message: *const msghdr,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<Option<R>, Errno> {
    // SAFETY: the caller's contract, here and below.
    if unsafe { !has_control(message) } {
        return Ok(None);
    }
    // SAFETY: as above.
    let (control, length) = unsafe { ((*message).msg_control, (*message).msg_controllen) };
    if length > LONGEST_CONTROL {
        return Err(Errno(libc::ENOBUFS));
    }
    with_words(length.div_ceil(size_of::<u64>()), |words| {
        let copy = bytes(words).get_mut(..length).unwrap_or_default();
        // SAFETY: as above.
        unsafe { copy_from_program(control.cast(), copy)? };
        Ok(Some(read(copy)))
    })?
}

/// Tells whether a message that is about to be sent has control data.
///
/// # Safety
/// As for sendmsg(2); what can't be read has none.
#[inline(always)]
pub unsafe fn has_control(message: *const msghdr) -> bool {
    is_readable(message)
        // SAFETY: the caller's contract; in the first page is nothing to be read.
        && unsafe { !(*message).msg_control.is_null() && (*message).msg_controllen != 0 }
}

/// Tells whether `pointer` may be read in place. Nothing is ever mapped in the first page nor in
/// the kernel's half, where an error code taken for a pointer leads: the kernel answers EFAULT for
/// it.
pub fn is_readable<T>(pointer: *const T) -> bool {
    (pointer.addr() as isize) >= 4_096
}

/// The value that `pointer` leads to, `None` for null. Errors: `EFAULT`.
///
/// # Safety
/// `T` is plain data for which any bytes are valid.
pub unsafe fn value_at<T>(pointer: *const T) -> Result<Option<T>, Errno> {
    if pointer.is_null() {
        return Ok(None);
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: as many zeroed bytes as a T has.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(value.as_mut_ptr().cast(), size_of::<T>()) };
    // SAFETY: what can't be read is an error; the caller's contract for the rest.
    unsafe { copy_from_program(pointer.cast(), bytes).map(|()| Some(value.assume_init())) }
}

/// Puts `value` where `pointer` leads. Errors: `EFAULT`; then nothing is written.
///
/// # Safety
/// `T` is plain data without padding, and what lies there is the caller's to write.
pub unsafe fn put_value<T>(value: &T, pointer: *mut T) -> Result<(), Errno> {
    // SAFETY: the caller's contract.
    unsafe {
        let bytes = core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>());
        copy_to_program(bytes, pointer.cast())
    }
}

/// Asks the kernel which kind of socket `fd` is. For families other than IP's, whose domain is all
/// that any policy looks at, type and protocol are 0.
pub fn socket_kind(fd: i32) -> Answer<SocketKind> {
    let kind = net::socket_number(fd, libc::SO_DOMAIN).and_then(|domain| {
        let socket = SocketKind { domain, kind: 0, protocol: 0 };
        if socket.is_inet() { inet_kind(fd, domain) } else { Ok(socket) }
    });
    kind.into()
}

/// Apart, so that other sockets pay nothing for it.
#[inline(never)]
fn inet_kind(fd: i32, domain: i32) -> Result<SocketKind, Errno> {
    if SOCKETS.is_current(fd) {
        return Ok(SocketKind { domain, kind: libc::SOCK_STREAM, protocol: libc::IPPROTO_TCP });
    }
    let kind = net::socket_number(fd, libc::SO_TYPE)?;
    Ok(SocketKind { domain, kind, protocol: net::socket_number(fd, libc::SO_PROTOCOL)? })
}

/// Asks the kernel what a descriptor from another process is. It may be any file, and this process
/// may be in a sandbox: a file that can't lead to the network takes no system call that its filter
/// forbids.
pub fn passed_kind(fd: i32) -> Answer<SocketKind> {
    match sys::is_socket(fd) {
        Ok(false) => Answer::NotASocket(Errno(libc::ENOTSOCK)),
        Ok(true) if net::is_unix(fd) => {
            Answer::Is(SocketKind { domain: libc::AF_UNIX, kind: 0, protocol: 0 })
        }
        // Where fstat is refused, the socket's own questions may not be.
        _ => match socket_kind(fd) {
            // All that is decided about a connection hangs on its identity.
            Answer::Is(kind) if kind.is_tcp() => net::cookie(fd).map(|_| kind).into(),
            kind => kind,
        },
    }
}

/// The local address of socket `fd`.
pub fn local_address(fd: i32) -> Answer<Address> {
    let mut bytes = [0; MAX_LENGTH];
    let length = net::local_address(fd, &mut bytes);
    length.map(|length| Address::parse(&bytes[..length])).into()
}
