//! The exported C symbols, each of them a call of its handler.

macro_rules! export {
    // The handler is the symbol: a trampoline that takes a list of arguments apart, or that keeps
    // the return address.
    (list, $($row:tt)*) => {};
    (naked, $($row:tt)*) => {};
    (
        $registers:ident, $name:ident, ($($argument:ident: $type:ty),*), $result:ty,
        $handler:path, $policy:literal
    ) => {
        #[doc = $policy]
        ///
        /// # Safety
        /// As the C function's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            // SAFETY: the caller keeps the C function's contract.
            unsafe { $handler($($argument),*) }
        }
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
        $(export!($variadic, $name, ($($argument: $type),*), $result, $handler, $policy);)*
    };
}

use crate::hooks::c_types::{gaicb, res_state, wordexp_t};
use crate::hooks::*;
use libc::*;
include!("table.rs");
