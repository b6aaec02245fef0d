//! The C `errno`: set at the edge of a hook, never cleared, restored where a success touched it.

use epochsocks::sys::Errno;

/// Sets errno. Async-signal-safe.
#[inline(always)]
pub fn set(errno: i32) {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() = errno }
}

/// Reads errno. Async-signal-safe.
#[inline(always)]
pub fn get() -> i32 {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() }
}

/// Return value of a C function that fails.
pub trait Failure {
    /// -1 for numbers, null for pointers.
    const FAILURE: Self;
}

macro_rules! failure_is_minus_one {
    ($($type:ty)*) => { $(impl Failure for $type { const FAILURE: Self = -1; })* };
}
failure_is_minus_one!(i32 i64 isize);

impl Failure for () {
    const FAILURE: Self = ();
}

impl<T> Failure for *mut T {
    const FAILURE: Self = core::ptr::null_mut();
}

/// Sets errno and gives the failure value. Async-signal-safe.
pub fn fail<R: Failure>(errno: Errno) -> R {
    set(errno.0);
    R::FAILURE
}

/// A raw kernel result in libc's form: the value, or -1 with errno set. Async-signal-safe.
pub fn from_kernel(result: isize) -> isize {
    match Errno::check(result) {
        Ok(value) => value as isize,
        Err(errno) => fail(errno),
    }
}

/// Enters the kernel with up to six arguments and answers in libc's form.
macro_rules! system_call {
    ($number:expr $(, $argument:expr)*) => {
        $crate::errno::system_call!(@pad $number; [$($argument as usize),*])
    };
    (@pad $number:expr; [$($argument:expr),*]) => {{
        let mut arguments = [0usize; 6];
        arguments[..[$($argument),*].len()].copy_from_slice(&[$($argument),*]);
        let [a, b, c, d, e, f] = arguments;
        $crate::errno::from_kernel(epochsocks::sys::syscall6($number, a, b, c, d, e, f))
    }};
}
pub(crate) use system_call;
