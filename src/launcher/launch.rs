//! The launch that the program belongs to: what its processes tell each other ends with it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use epochsocks::backstop::secret::VARIABLE as BACKSTOP;
use epochsocks::launch_store::id::{ALONE, VARIABLE};
use epochsocks::launch_store::{Launch, end};

use crate::environment::Change;

/// A new launch, which the program that this process becomes begins; nothing if it is part of one
/// already. Removes what launches that were killed have left, unless there is a backstop, whose lock keeps
/// this process from seeing which others live.
pub fn begun_here() -> Option<(OsString, Change)> {
    if std::env::var_os(BACKSTOP).is_none() {
        end::sweep();
    }
    variable(std::process::id(), &[ALONE])
}

/// A new launch, which lives as long as the shell that called.
pub fn begun_by_shell() -> Option<(OsString, Change)> {
    variable(std::os::unix::process::parent_id(), b"")
}

fn variable(first: u32, mark: &[u8]) -> Option<(OsString, Change)> {
    let inherited = std::env::var_os(VARIABLE);
    if inherited.is_some_and(|value| Launch::parse(value.as_bytes()).is_some()) {
        return None;
    }
    let mut random = [0_u64; 2];
    // SAFETY: the kernel writes sixteen bytes. It draws so few without waiting, once it has started.
    let drawn = unsafe { libc::getrandom(random.as_mut_ptr().cast(), size_of_val(&random), 0) };
    // Without one each program begins a launch of its own.
    if drawn != size_of_val(&random) as isize {
        return None;
    }
    let mut value = OsString::from(Launch::new(i32::try_from(first).ok()?, random).to_string());
    value.push(std::ffi::OsStr::from_bytes(mark));
    Some((OsString::from(VARIABLE), Change::Set(value)))
}
