//! Becoming the program.

use std::ffi::{CString, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use epochsocks::sys::{Errno, syscall6};

use crate::failure::{Failure, Status, describe};
use crate::preflight::{Form, SHELL};

/// Executes `file` with `arguments` (the first is the name that the program sees) and
/// `environment`; returns only if that fails. Signal dispositions and the signal mask pass
/// through untouched, which `std::process::Command` does not promise.
pub fn replace(
    file: &Path,
    form: &Form,
    arguments: &[OsString],
    environment: Vec<(OsString, OsString)>,
) -> Failure {
    let (target, arguments) = match form {
        Form::Direct => (file.as_os_str(), arguments.to_vec()),
        Form::ByShell => {
            let rest = arguments.iter().skip(1).cloned();
            let script = [OsString::from(SHELL), file.as_os_str().to_owned()];
            (OsStr::new(SHELL), script.into_iter().chain(rest).collect())
        }
    };
    let variables = environment.into_iter().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    });
    let errno = execute(target, strings(arguments), strings(variables));
    Failure::new(Status::NotRun, format!("{} can't be run: {}", file.display(), describe(errno)))
}

/// Converts strings of the command line or the environment, which contain no NUL; one that does is
/// left out.
fn strings(parts: impl IntoIterator<Item = OsString>) -> Vec<CString> {
    parts.into_iter().filter_map(|part| CString::new(part.into_vec()).ok()).collect()
}

/// Enters the kernel itself: in a torified shell the C library's `execve` is hooked, and would put
/// back what the doctor leaves out.
fn execute(file: &OsStr, arguments: Vec<CString>, environment: Vec<CString>) -> Errno {
    let Ok(path) = CString::new(file.as_bytes()) else { return Errno(libc::ENOENT) };
    let (arguments, environment) = (pointers(&arguments), pointers(&environment));
    let (file, arguments, environment) =
        (path.as_ptr() as usize, arguments.as_ptr() as usize, environment.as_ptr() as usize);
    // SAFETY: both arrays end with a null pointer and point to strings that outlive the call.
    let result = unsafe { syscall6(libc::SYS_execve, file, arguments, environment, 0, 0, 0) };
    Errno::check(result).err().unwrap_or(Errno(libc::EIO))
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}
