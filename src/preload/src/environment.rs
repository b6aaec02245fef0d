//! The process's environment, read in place.

use core::ffi::c_char;

use epochsocks::backstop::Token;
use epochsocks::backstop::secret::VARIABLE;
use epochsocks::config::{
    ConfigError, Environment, Excerpt, SYSTEM_FILES, Settings, Sources, Warning, load,
};

use crate::inheritance;

unsafe extern "C" {
    static environ: *const *const c_char;
    /// Address at which the kernel has put the argument count; the arguments and the environment follow, each
    /// with a null pointer behind it (System V ABI, "Process Initialization"). The dynamic linker's.
    static __libc_stack_end: *const usize;
}

/// The environment as it is now; an empty one after clearenv(3).
pub fn current() -> Environment<'static> {
    // SAFETY: libc's environ is null or ends with a null pointer. A program must not change it in
    // another thread while it calls a function that reads it.
    unsafe { Environment::from_raw(environ) }
}

/// The environment that the library is loaded with: libc has none yet while a program's
/// `.preinit_array` runs.
pub fn at_load() -> Environment<'static> {
    // SAFETY: as in `current`; the program's own code can't have changed anything yet.
    unsafe { Environment::from_raw(if environ.is_null() { initial() } else { environ }) }
}

/// The value of the variable `name` that the process was started with. Async-signal-safe: a program
/// changes its environment elsewhere, and of these strings at most the bytes.
pub fn at_start(name: &str) -> Option<&'static [u8]> {
    // SAFETY: the kernel's array, which ends with a null pointer and stays.
    unsafe { Environment::from_raw(initial()) }.get(name)
}

/// The environment that the process was started with.
///
/// # Safety
/// No thread has changed it.
unsafe fn initial() -> *const *const c_char {
    // SAFETY: the dynamic linker has set it before any other code of the process runs.
    unsafe {
        let count = __libc_stack_end;
        if count.is_null() { core::ptr::null() } else { count.add(1 + *count + 1).cast() }
    }
}

/// The name of the file that the process executes, without its directory.
pub fn program() -> &'static [u8] {
    // SAFETY: getauxval reads the process's own vector; AT_EXECFN is a C string that stays.
    let path = unsafe {
        let path = libc::getauxval(libc::AT_EXECFN) as usize;
        if path == 0 {
            return b"program";
        }
        core::ffi::CStr::from_ptr(core::ptr::with_exposed_provenance(path)).to_bytes()
    };
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The backstop that the process runs under.
pub fn backstop() -> Option<Token> {
    Token::parse(variable(VARIABLE)?)
}

/// Ours come from their copy, which is much shorter than the environment.
fn variable(name: &str) -> Option<&'static [u8]> {
    inheritance::variable(name).unwrap_or_else(|| at_load().get(name))
}

/// Tells whether the settings are the defaults, as the launcher says; see
/// [`inheritance::sets_nothing`].
pub fn sets_nothing() -> bool {
    inheritance::sets_nothing() && !is_secure()
}

fn is_secure() -> bool {
    // SAFETY: getauxval reads the process's own vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Loads the settings from the environment and the file that it names; `warn` is told of what is
/// ignored.
pub fn load_settings(
    warn: &mut dyn FnMut(Warning<'static>),
) -> Result<Settings, ConfigError<'static>> {
    let sources = Sources {
        environment: &variable,
        is_secure: is_secure(),
        flags: &[],
        system_files: SYSTEM_FILES,
    };
    let settings = load(&sources, warn)?;
    match &settings.tor_host {
        // To look it up would enter libc's resolver, which hooks are there to keep programs from.
        Some(host) => Err(ConfigError::HostName(Excerpt::new(host.as_slice()))),
        None => Ok(settings),
    }
}
