//! The process's environment, read in place.

use core::ffi::c_char;

use epochsocks::config::{
    ConfigError, Environment, SYSTEM_FILES, Settings, Sources, Warning, load,
};

use crate::log::log;

unsafe extern "C" {
    static environ: *const *const c_char;
    /// Where the kernel has put the argument count; the arguments and the environment follow, each
    /// with a null pointer behind it (System V ABI, "Process Initialization"). The dynamic linker's.
    static __libc_stack_end: *const usize;
}

/// The environment as it is now.
pub fn current() -> Environment<'static> {
    // SAFETY: libc's environ is null or ends with a null pointer. It is read while the library
    // loads, before the program's own code can change it.
    unsafe { Environment::from_raw(if environ.is_null() { initial() } else { environ }) }
}

/// The environment that the process was started with: libc has none yet while a program's
/// `.preinit_array` runs.
///
/// # Safety
/// Nobody has changed it.
unsafe fn initial() -> *const *const c_char {
    // SAFETY: the dynamic linker has set it before any other code of the process runs.
    unsafe {
        let count = __libc_stack_end;
        if count.is_null() { core::ptr::null() } else { count.add(1 + *count + 1).cast() }
    }
}

fn variable(name: &str) -> Option<&'static [u8]> {
    current().get(name)
}

/// Loads the settings from the environment and the file that it names.
pub fn load_settings() -> Result<Settings, ConfigError<'static>> {
    // SAFETY: getauxval reads the process's own vector.
    let is_secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    let sources =
        Sources { environment: &variable, is_secure, flags: &[], system_files: SYSTEM_FILES };
    load(&sources, &mut |warning: Warning<'static>| log!(Warning, "{warning}"))
}
