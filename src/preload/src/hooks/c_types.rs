//! C types that the libc crate does not declare, named as in C.
#![expect(non_camel_case_types, reason = "named as in C")]

use core::ffi::{c_char, c_int, c_void};

/// The resolver's state (resolv.h), which no hook looks into.
pub type res_state = *mut c_void;

/// Result of wordexp(3) (wordexp.h), which no hook looks into.
pub type wordexp_t = c_void;

/// Variable arguments: an array or a structure that is passed by its address.
pub type va_list = *mut c_void;

/// Function at which a child of clone(2) begins.
pub type CloneEntry = unsafe extern "C" fn(*mut c_void) -> c_int;

/// One request of aio_write(3) where offsets have 64 bits, as they always have here.
pub type aiocb64 = libc::aiocb;

/// One request of getaddrinfo_a(3) (netdb.h).
#[repr(C)]
pub struct gaicb {
    pub ar_name: *const c_char,
    pub ar_service: *const c_char,
    pub ar_request: *const libc::addrinfo,
    pub ar_result: *mut libc::addrinfo,
    /// Answer of gai_error(3).
    pub outcome: c_int,
    /// The process that looks it up; one of the members that are the C library's.
    pub owner: c_int,
    _reserved: [c_int; 4],
}
