//! Functions of libc that connect, listen or look names up inside, where no hook is: all refused.

use core::ffi::{CStr, c_char, c_int, c_ushort, c_void};
use core::ptr::null_mut;

use epochsocks::policy::Refusal;
use libc::sa_family_t;

use crate::{errno, log, real};

fn refuse(name: &str) {
    let refusal = Refusal::InsideLibc;
    log::refused!(Warning, Call, "{name} refused: {refusal}");
    errno::set(refusal.errno().0);
}

macro_rules! refused {
    ($($name:ident($($type:ty),*) -> $result:ty = $failure:expr;)*) => {
        $(
            /// # Safety
            /// No argument is looked at.
            #[allow(clippy::too_many_arguments, reason = "as many as the C function has")]
            #[allow(non_snake_case, reason = "named as the C symbols")]
            pub unsafe fn $name($(_: $type),*) -> $result {
                refuse(stringify!($name));
                $failure
            }
        )*
    };
}

type Text = *const c_char;

refused! {
    rcmd(*mut *mut c_char, c_ushort, Text, Text, Text, *mut c_int) -> c_int = -1;
    rcmd_af(*mut *mut c_char, c_ushort, Text, Text, Text, *mut c_int, sa_family_t) -> c_int = -1;
    rexec(*mut *mut c_char, c_int, Text, Text, Text, *mut c_int) -> c_int = -1;
    rexec_af(*mut *mut c_char, c_int, Text, Text, Text, *mut c_int, sa_family_t) -> c_int = -1;
    ruserok(Text, c_int, Text, Text) -> c_int = -1;
    ruserok_af(Text, c_int, Text, Text, sa_family_t) -> c_int = -1;
    iruserok(u32, c_int, Text, Text) -> c_int = -1;
    iruserok_af(*const c_void, c_int, Text, Text, sa_family_t) -> c_int = -1;
}

// Sun RPC, which glibc keeps for programs that were linked before 2.32: other numbers than 0 are an
// `enum clnt_stat`, null is no handle, and 0 no port.
refused! {
    clnt_create() -> *mut c_void = null_mut();
    clnttcp_create() -> *mut c_void = null_mut();
    clntudp_create() -> *mut c_void = null_mut();
    clntudp_bufcreate() -> *mut c_void = null_mut();
    authdes_create() -> *mut c_void = null_mut();
    authdes_pk_create() -> *mut c_void = null_mut();
    svctcp_create() -> *mut c_void = null_mut();
    svcudp_create() -> *mut c_void = null_mut();
    svcudp_bufcreate() -> *mut c_void = null_mut();
    pmap_getmaps() -> *mut c_void = null_mut();
    callrpc() -> c_int = -1;
    clnt_broadcast() -> c_int = -1;
    pmap_rmtcall() -> c_int = -1;
    registerrpc() -> c_int = -1;
    rtime() -> c_int = -1;
    getrpcport() -> c_int = 0;
    pmap_getport() -> c_int = 0;
    pmap_set() -> c_int = 0;
    pmap_unset() -> c_int = 0;
    svc_register() -> c_int = 0;
    svc_unregister() -> () = ();
    key_gendes() -> c_int = -1;
    __libc_clntudp_bufcreate() -> *mut c_void = null_mut();
    __libc_rpc_getport() -> c_ushort = 0;
}

// What glibc exports for its other libraries, libnsl's NIS among them, or for programs of old.
refused! {
    __ivaliduser() -> c_int = -1;
    _IO_proc_open() -> *mut c_void = null_mut();
    __res_context_query() -> c_int = -1;
    __res_context_search() -> c_int = -1;
    __res_context_send() -> c_int = -1;
    _nss_dns_getcanonname_r() -> c_int = NSS_STATUS_UNAVAIL;
    _nss_dns_gethostbyname_r() -> c_int = NSS_STATUS_UNAVAIL;
    _nss_dns_gethostbyname2_r() -> c_int = NSS_STATUS_UNAVAIL;
    _nss_dns_gethostbyname3_r() -> c_int = NSS_STATUS_UNAVAIL;
    _nss_dns_gethostbyname4_r() -> c_int = NSS_STATUS_UNAVAIL;
    _nss_dns_gethostbyaddr_r() -> c_int = NSS_STATUS_UNAVAIL;
    _nss_dns_gethostbyaddr2_r() -> c_int = NSS_STATUS_UNAVAIL;
    _nss_dns_getnetbyname_r() -> c_int = NSS_STATUS_UNAVAIL;
    _nss_dns_getnetbyaddr_r() -> c_int = NSS_STATUS_UNAVAIL;
    __nss_hosts_lookup2() -> c_int = -1;
}

/// A module of the name service switch can't answer (nss.h).
const NSS_STATUS_UNAVAIL: c_int = -1;

/// Tells whether a module's function of this name looks a host or a network up.
///
/// # Safety
/// `function` is null or a C string.
unsafe fn looks_up(function: Text) -> bool {
    const START: [&[u8]; 3] = [b"gethostby", b"getnetby", b"getcanonname"];
    // SAFETY: the caller's contract.
    let name = if function.is_null() { c"" } else { unsafe { CStr::from_ptr(function) } };
    START.iter().any(|start| name.to_bytes().starts_with(start))
}

/// # Safety
/// As glibc's own caller has it: two names of functions, the second of which may be null.
pub unsafe fn __nss_lookup(
    actions: *mut c_void,
    function: Text,
    other: Text,
    found: *mut *mut c_void,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        if looks_up(function) || looks_up(other) {
            refuse("__nss_lookup");
            return -1;
        }
        real::__nss_lookup(actions, function, other, found)
    }
}

/// # Safety
/// As of [`__nss_lookup`].
pub unsafe fn __nss_next2(
    actions: *mut c_void,
    function: Text,
    other: Text,
    found: *mut *mut c_void,
    status: c_int,
    all: c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        if looks_up(function) || looks_up(other) {
            refuse("__nss_next2");
            return -1;
        }
        real::__nss_next2(actions, function, other, found, status, all)
    }
}

/// # Safety
/// As of [`__nss_lookup`].
pub unsafe fn __nss_lookup_function(actions: *mut c_void, function: Text) -> *mut c_void {
    // SAFETY: the caller's contract.
    unsafe {
        if looks_up(function) {
            refuse("__nss_lookup_function");
            return null_mut();
        }
        real::__nss_lookup_function(actions, function)
    }
}
