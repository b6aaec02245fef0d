//! Functions of libc that no hook stands in front of, found at their first call: as imports, each
//! would be looked up at every exec, and few programs come to need them.

use core::ffi::{c_char, c_int, c_void};

use epochsocks::linkage::Symbol;
use libc::{Dl_info, FILE, addrinfo, pid_t, pthread_attr_t, pthread_t, sigset_t, size_t};

use crate::real::Real;

macro_rules! unhooked {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        $(#[$attribute])*
        ///
        /// # Safety
        /// As the C function's.
        pub unsafe fn $name($($argument: $type),*) -> $result {
            static REAL: Real = Real::new();
            const SYMBOL: Symbol = Symbol::new(
                // SAFETY: a literal with its NUL and no other.
                unsafe { core::ffi::CStr::from_bytes_with_nul_unchecked(
                    concat!(stringify!($name), "\0").as_bytes(),
                ) },
            );
            let function = REAL.get_or_find(SYMBOL);
            assert!(!function.is_null(), concat!("this libc has no ", stringify!($name)));
            // SAFETY: the C function of that name and type.
            unsafe {
                core::mem::transmute::<
                    *mut core::ffi::c_void,
                    unsafe extern "C" fn($($type),*) -> $result,
                >(function)($($argument),*)
            }
        }
    )*};
}

unhooked! {
    /// fileno(3).
    fn fileno(stream: *mut FILE) -> c_int;
    /// setenv(3).
    fn setenv(name: *const c_char, value: *const c_char, overwrite: c_int) -> c_int;
    /// unsetenv(3).
    fn unsetenv(name: *const c_char) -> c_int;
    /// strdup(3).
    fn strdup(text: *const c_char) -> *mut c_char;
    /// freeaddrinfo(3).
    fn freeaddrinfo(list: *mut addrinfo) -> ();
    /// dladdr(3).
    fn dladdr(address: *const c_void, information: *mut Dl_info) -> c_int;
    /// dladdr1(3).
    fn dladdr1(
        address: *const c_void,
        information: *mut Dl_info,
        map: *mut *mut c_void,
        flags: c_int
    ) -> c_int;
    /// pthread_attr_init(3).
    fn pthread_attr_init(attributes: *mut pthread_attr_t) -> c_int;
    /// pthread_attr_destroy(3).
    fn pthread_attr_destroy(attributes: *mut pthread_attr_t) -> c_int;
    /// pthread_attr_setstacksize(3).
    fn pthread_attr_setstacksize(attributes: *mut pthread_attr_t, size: size_t) -> c_int;
    /// pthread_attr_setdetachstate(3).
    fn pthread_attr_setdetachstate(attributes: *mut pthread_attr_t, state: c_int) -> c_int;
    /// pthread_attr_getdetachstate(3).
    fn pthread_attr_getdetachstate(attributes: *const pthread_attr_t, state: *mut c_int) -> c_int;
    /// pthread_detach(3).
    fn pthread_detach(thread: pthread_t) -> c_int;
    /// pthread_sigmask(3).
    fn pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int;
    /// sigemptyset(3).
    fn sigemptyset(set: *mut sigset_t) -> c_int;
    /// sigfillset(3).
    fn sigfillset(set: *mut sigset_t) -> c_int;
    /// waitpid(3), a cancellation point.
    fn waitpid(child: pid_t, status: *mut c_int, options: c_int) -> pid_t;
    /// Has `routine` called with `argument` when the calling thread is cancelled before
    /// `_pthread_cleanup_pop`; `buffer` is four words, which it keeps (glibc).
    fn _pthread_cleanup_push(
        buffer: *mut [usize; 4],
        routine: extern "C" fn(*mut c_void),
        argument: *mut c_void
    ) -> ();
    /// Takes back what `_pthread_cleanup_push` has set up with `buffer`; calls it if `execute`.
    fn _pthread_cleanup_pop(buffer: *mut [usize; 4], execute: c_int) -> ();
    /// The calling thread's `h_errno` (glibc, netdb.h).
    fn __h_errno_location() -> *mut c_int;
}
