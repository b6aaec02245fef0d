//! The functions that the hooks stand in front of: the next definition of each symbol.

use core::ffi::{CStr, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// One symbol's next definition, resolved by the constructor.
///
/// The pointer is set once to a value that never changes and guards no other memory, so Relaxed is
/// enough; two threads that resolve at once store the same value.
pub struct Real {
    name: &'static CStr,
    next: AtomicPtr<c_void>,
}

impl Real {
    /// The symbol `name`, not resolved yet.
    pub const fn new(name: &'static CStr) -> Self {
        Real { name, next: AtomicPtr::new(null_mut()) }
    }

    /// Asks the dynamic linker. Not async-signal-safe.
    pub fn resolve(&self) -> *mut c_void {
        // SAFETY: dlsym takes a C string; RTLD_NEXT is resolved from this library's position.
        let next = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.next.store(next, Relaxed);
        next
    }

    /// The next definition, null before resolution. Async-signal-safe.
    #[inline(always)]
    pub fn get(&self) -> *mut c_void {
        self.next.load(Relaxed)
    }
}

macro_rules! before_resolution {
    (kernel($number:ident), $real:path, $result:ty, $signature:ty, ($($argument:ident),*)) => {
        // SAFETY: the system call takes the arguments of the libc function of its name.
        unsafe { crate::errno::system_call!(libc::$number $(, $argument)*) as $result }
    };
    (alias, $($as_lookup:tt)*) => { before_resolution!(lookup, $($as_lookup)*) };
    (lookup, $real:path, $result:ty, $signature:ty, ($($argument:ident),*)) => {{
        let next = $real.resolve();
        if next.is_null() {
            crate::errno::set(libc::ENOSYS);
            return crate::errno::Failure::FAILURE;
        }
        // SAFETY: as for a resolved pointer.
        unsafe { core::mem::transmute::<*mut c_void, $signature>(next)($($argument),*) }
    }};
}

macro_rules! resolve_at_load {
    // Looked up at the first call: most programs never make it, and each look-up costs an exec.
    (lookup, no, $name:ident) => {};
    // Its handler calls the function that it is another name of.
    (alias, $signal:ident, $name:ident) => {};
    ($before:ident, $signal:ident, $name:ident) => {
        statics::$name.resolve();
    };
}

macro_rules! hooks {
    ($($name:ident {
        signature: ($($argument:ident: $type:ty),* $(,)?) -> $result:ty,
        header: $header:literal,
        variadic: $variadic:ident,
        cancellation_point: $cancellation:ident,
        async_signal_safe: $signal:ident,
        before_resolution: $before:ident $(($number:ident))?,
        handler: $handler:path,
        why: $why:literal,
        policy: $policy:literal,
        test: $test:literal,
    })*) => {
        $(
            #[doc = concat!("The next `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// As the C function's.
            #[inline(always)]
            #[allow(non_snake_case, reason = "named as the C symbols")]
            #[allow(dead_code, reason = "some hooks never call what they stand in front of")]
            #[allow(clippy::too_many_arguments, reason = "as many as the C function has")]
            pub unsafe fn $name($($argument: $type),*) -> $result {
                type Signature = unsafe extern "C" fn($($type),*) -> $result;
                let next = statics::$name.get();
                if next.is_null() {
                    return before_resolution!(
                        $before $(($number))?, statics::$name, $result, Signature, ($($argument),*)
                    );
                }
                // SAFETY: the table's signature is the symbol's, as the header test shows.
                unsafe { core::mem::transmute::<*mut c_void, Signature>(next)($($argument),*) }
            }
        )*

        mod statics {
            #![expect(non_upper_case_globals, reason = "named as the C symbols")]
            use super::Real;
            $(pub static $name: Real = Real::new(
                // SAFETY: a literal with its NUL and no other.
                unsafe { core::ffi::CStr::from_bytes_with_nul_unchecked(
                    concat!(stringify!($name), "\0").as_bytes(),
                ) },
            );)*
        }

        /// Whether the table has the symbol.
        pub fn is_hooked(symbol: &core::ffi::CStr) -> bool {
            [$(stringify!($name)),*].iter().any(|name| name.as_bytes() == symbol.to_bytes())
        }

        /// Resolves what may be called in a signal handler, where it could not be looked up, and
        /// what must not stay with the kernel. Not async-signal-safe.
        pub fn resolve_at_load() {
            $(resolve_at_load!($before, $signal, $name);)*
        }
    };
}

use crate::hooks::c_types::{gaicb, res_state, wordexp_t};
use libc::*;
include!("table.rs");
