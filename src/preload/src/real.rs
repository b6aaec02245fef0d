//! The functions that the hooks stand in front of: the next definition of each symbol.

use core::ffi::{CStr, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use epochsocks::linkage::{self, Symbol};
use epochsocks::sys::{forget_last_argument, net, syscall_with_secret};

use crate::cancellation::cancellable;
use crate::errno;

/// One symbol's next definition, found at the first call: most programs make few of them, and each
/// look-up costs an exec.
///
/// The pointer is set once to a value that never changes and guards no other memory, so Relaxed is
/// enough; two callers that look for it at once store the same value.
pub struct Real {
    next: AtomicPtr<c_void>,
}

impl Real {
    /// Not looked for yet.
    pub const fn new() -> Self {
        Real { next: AtomicPtr::new(null_mut()) }
    }

    /// The next definition, null while it is not known. Async-signal-safe.
    #[inline(always)]
    pub fn get(&self) -> *mut c_void {
        self.next.load(Relaxed)
    }

    /// The next definition of `symbol`, looked for if it is not known; null if no object has it.
    /// Async-signal-safe where the loaded objects' tables can be read.
    #[inline]
    pub fn get_or_find(&self, symbol: Symbol) -> *mut c_void {
        let mut next = self.get();
        if next.is_null() {
            next = self.find(symbol);
        }
        if next.is_null() { self.ask(symbol) } else { next }
    }

    /// Looks for it in the tables of the loaded objects; null if it is not there.
    /// Async-signal-safe.
    #[cold]
    #[inline(never)]
    pub fn find(&self, symbol: Symbol) -> *mut c_void {
        self.keep(linkage::next(symbol).unwrap_or(null_mut()))
    }

    /// Asks the dynamic linker, which knows what the tables don't tell: null if no object has it. Not
    /// async-signal-safe.
    #[cold]
    #[inline(never)]
    fn ask(&self, symbol: Symbol) -> *mut c_void {
        // SAFETY: dlsym takes a C string; RTLD_NEXT is resolved from this library's position.
        self.keep(unsafe { libc::dlsym(libc::RTLD_NEXT, symbol.name().as_ptr()) })
    }

    fn keep(&self, next: *mut c_void) -> *mut c_void {
        if !next.is_null() {
            self.next.store(next, Relaxed);
        }
        next
    }
}

macro_rules! unresolved {
    (kernel($number:ident), $name:ident, $result:ty, $signature:ty, ($($argument:ident),*)) => {
        // SAFETY: the system call takes the arguments of the libc function of its name.
        unsafe { crate::errno::system_call!(libc::$number $(, $argument)*) as $result }
    };
    (lookup, $name:ident, $result:ty, $signature:ty, ($($argument:ident),*)) => {{
        let next = $name::NEXT.ask($name::SYMBOL);
        if next.is_null() {
            crate::errno::set(libc::ENOSYS);
            return crate::errno::Failure::FAILURE;
        }
        // SAFETY: as for a resolved pointer.
        unsafe { core::mem::transmute::<*mut c_void, $signature>(next)($($argument),*) }
    }};
}

macro_rules! real {
    // No handler calls it.
    (
        fn $name:ident $parameters:tt -> $result:ty;
        handler: $handler:path, symbol: $symbol:ident, real: [none $($of:ident)?], $($rest:tt)*
    ) => {};
    (
        fn $name:ident ($($argument:ident: $type:ty),* $(,)?) -> $result:ty;
        handler: $handler:path, symbol: $symbol:ident, real: [$($real:tt)*], $($rest:tt)*
    ) => {
        #[allow(non_snake_case, reason = "named as the C symbols")]
        mod $name {
            use super::{Real, Symbol};
            pub static NEXT: Real = Real::new();
            pub const SYMBOL: Symbol = Symbol::new(
                // SAFETY: a literal with its NUL and no other.
                unsafe { core::ffi::CStr::from_bytes_with_nul_unchecked(
                    concat!(stringify!($name), "\0").as_bytes(),
                ) },
            );
        }

        #[doc = concat!("The next `", stringify!($name), "`.")]
        ///
        /// # Safety
        /// As the C function's.
        #[inline(always)]
        #[allow(non_snake_case, reason = "named as the C symbols")]
        #[allow(clippy::too_many_arguments, reason = "as many as the C function has")]
        pub unsafe fn $name($($argument: $type),*) -> $result {
            type Signature = unsafe extern "C" fn($($type),*) -> $result;

            /// Apart, so that the later calls need not save their arguments for it.
            #[cold]
            #[inline(never)]
            #[allow(clippy::too_many_arguments, reason = "as many as the C function has")]
            unsafe fn first_call($($argument: $type),*) -> $result {
                let next = $name::NEXT.find($name::SYMBOL);
                if next.is_null() {
                    return unresolved!(
                        $($real)*, $name, $result, Signature, ($($argument),*)
                    );
                }
                // SAFETY: the table's signature is the symbol's, as the header test shows.
                unsafe { core::mem::transmute::<*mut c_void, Signature>(next)($($argument),*) }
            }

            let next = $name::NEXT.get();
            if next.is_null() {
                // SAFETY: the caller's contract.
                return unsafe { first_call($($argument),*) };
            }
            // SAFETY: the table's signature is the symbol's, as the header test shows.
            unsafe { core::mem::transmute::<*mut c_void, Signature>(next)($($argument),*) }
        }
    };
}

macro_rules! ask_at_load {
    // Not called in signal handlers: the first call can ask.
    (
        fn $name:ident $parameters:tt -> $result:ty;
        handler: $handler:path, symbol: $symbol:ident, real: [lookup], policy: $policy:tt,
        async_signal_safe: no, $($rest:tt)*
    ) => {};
    (
        fn $name:ident $parameters:tt -> $result:ty;
        handler: $handler:path, symbol: $symbol:ident, real: [none $($of:ident)?], $($rest:tt)*
    ) => {};
    (fn $name:ident $($rest:tt)*) => {
        $name::NEXT.ask($name::SYMBOL)
    };
}

/// The symbol's name and a space, if its handler may call the next definition: an alias's does what that of
/// its function does, which is not looked at here.
macro_rules! called {
    (
        fn $name:ident $parameters:tt -> $result:ty;
        handler: $handler:path, symbol: $symbol:ident, real: [none], $($rest:tt)*
    ) => {
        ""
    };
    (fn $name:ident $($rest:tt)*) => {
        concat!(stringify!($name), " ")
    };
}

macro_rules! reals {
    ($($name:ident $row:tt)*) => {
        $(hook_row! { real $row })*

        /// The table's symbols, in one string: pointers to each would cost every exec a relocation.
        const NAMES: &str = concat!($(stringify!($name), " "),*);

        /// Those whose handlers may call what they stand in front of.
        const CALLED: &str = concat!($(hook_row!(called $row)),*);

        /// Asks for what a signal handler may call, and for what must not stay with the kernel, if the loaded
        /// objects' tables can't be read. Not async-signal-safe.
        pub fn resolve_at_load() {
            if !linkage::is_readable() {
                $(hook_row!(ask_at_load $row);)*
            }
        }
    };
}

/// Tells whether the table has the symbol.
pub fn is_hooked(symbol: &CStr) -> bool {
    has(NAMES, symbol)
}

/// Tells whether the handler of a hook may call what it stands in front of. Those of dlopen, dlmopen
/// and vfork hand their calls on by jumps.
pub fn is_called(symbol: &CStr) -> bool {
    has(CALLED, symbol) || has("dlopen dlmopen vfork __vfork ", symbol)
}

fn has(names: &str, symbol: &CStr) -> bool {
    names.split_terminator(' ').any(|name| name.as_bytes() == symbol.to_bytes())
}

use crate::hooks::c_types::{CloneEntry, va_list, wordexp_t};
use libc::*;
for_each_hook!(reals);

/// Makes `$carrying`, which is the next `$name` with the launch's secret in the register of the system call's last
/// argument, of which the C function knows nothing: then a supervisor is not asked about what a hook has judged. libc
/// hands the register on as it is.
macro_rules! carrying {
    ($carrying:ident: $name:ident($($argument:ident: $type:ty),*) with $($nothing:literal),*) => {
        #[doc = concat!("The next `", stringify!($name), "`, whose system call carries the secret if there is one.")]
        ///
        /// # Safety
        /// As the C function's.
        pub unsafe fn $carrying($($argument: $type),*) -> c_int {
            type Signature =
                unsafe extern "C" fn($($type,)* $(carrying!(@usize $nothing),)* u64) -> c_int;
            let secret = net::secret();
            let next = $name::NEXT.get_or_find($name::SYMBOL);
            let (Some(secret), false) = (secret, next.is_null()) else {
                // SAFETY: the caller's contract.
                return unsafe { $name($($argument),*) };
            };
            // SAFETY: the caller's contract; what a C function does not take stays in registers that it may change.
            let result = unsafe {
                core::mem::transmute::<*mut c_void, Signature>(next)($($argument,)* $($nothing,)* secret)
            };
            forget_last_argument();
            result
        }
    };
    (@usize $nothing:literal) => { usize };
}

carrying!(getpeername_carrying: getpeername(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) with 0, 0);
carrying!(bind_carrying: bind(fd: c_int, address: *const sockaddr, length: socklen_t) with 0, 0);
carrying!(listen_carrying: listen(fd: c_int, backlog: c_int) with 0, 0, 0);

/// The next `connect`, whose system call carries the secret if there is one. libc's, from 2.41 on, clears the register on
/// its way, so the call is made here in its place; another library's is called, and a supervisor asked.
///
/// # Safety
/// As connect(2).
pub unsafe fn connect_carrying(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    let Some(secret) = net::secret().filter(|_| is_libcs_connect()) else {
        // SAFETY: the caller's contract.
        return unsafe { connect(fd, address, length) };
    };
    let arguments = [fd as usize, address as usize, length as usize, 0, 0];
    // SAFETY: the caller's contract; the kernel looks at three arguments.
    let call = || unsafe { syscall_with_secret(SYS_connect, arguments, secret) };
    errno::from_kernel(cancellable(call)) as c_int
}

/// Tells whether no other library's `connect` is before libc's. Async-signal-safe where the loaded objects' tables
/// can be read.
fn is_libcs_connect() -> bool {
    static LIBCS: Real = Real::new();
    let mut libcs = LIBCS.get();
    if libcs.is_null() {
        libcs = LIBCS.keep(linkage::in_libc(connect::SYMBOL).unwrap_or(null_mut()));
    }
    !libcs.is_null() && libcs == connect::NEXT.get_or_find(connect::SYMBOL)
}
