//! The exported C symbols, each of them a call of its handler.

macro_rules! export {
    (
        fn $name:ident ($($argument:ident: $type:ty),* $(,)?) -> $result:ty;
        handler: $handler:path, symbol: export, real: $real:tt, policy: [$policy:expr],
        $($rest:tt)*
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
    // The handler is the symbol.
    (fn $name:ident $parameters:tt -> $result:ty; handler: $handler:path, symbol: handler, $($rest:tt)*) => {};
}

macro_rules! exports {
    ($($name:ident $row:tt)*) => { $(hook_row! { export $row })* };
}

use crate::hooks::c_types::{CloneEntry, aiocb64, gaicb, res_state, va_list, wordexp_t};
use crate::hooks::*;
use libc::*;
for_each_hook!(exports);
