//! Functions of libc that no hook stands in front of, found at their first call: as imports, each
//! would be looked up at every exec, and few programs come to need them.

use core::ffi::{c_char, c_int};

use epochsocks::linkage::Symbol;
use libc::{FILE, addrinfo};

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
    /// strdup(3).
    fn strdup(text: *const c_char) -> *mut c_char;
    /// freeaddrinfo(3).
    fn freeaddrinfo(list: *mut addrinfo) -> ();
    /// The calling thread's `h_errno` (glibc, netdb.h).
    fn __h_errno_location() -> *mut c_int;
}
