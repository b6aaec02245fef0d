//! Functions of libc that connect, listen or look names up inside, where no hook is: all refused.

use core::ffi::{c_char, c_int, c_ushort, c_void};
use core::ptr::null_mut;

use epochsocks::policy::Refusal;
use libc::sa_family_t;

use crate::errno;
use crate::log::log;

fn refuse(name: &str) {
    let refusal = Refusal::InsideLibc;
    log!(Warning, "{name} refused: {refusal}");
    errno::set(refusal.errno().0);
}

macro_rules! refused {
    ($($name:ident($($type:ty),*) -> $result:ty = $failure:expr;)*) => {
        $(
            /// # Safety
            /// No argument is looked at.
            #[allow(clippy::too_many_arguments, reason = "as many as the C function has")]
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
}
