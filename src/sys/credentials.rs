//! The ids and capabilities that decide what the calling thread may open, and what a program that it
//! executes may (credentials(7), capabilities(7)). Raw system calls, which change the calling thread
//! alone; every function is async-signal-safe.

use super::{Errno, syscall6, without_signals};

/// The ids of a user or a group.
#[derive(Clone, Copy)]
struct Ids {
    real: u32,
    effective: u32,
    /// User or group that files are opened as: the effective one, unless setfsuid(2) has changed
    /// it.
    file_system: u32,
}

impl Ids {
    fn of(get: i64, set_file_system: i64) -> Ids {
        let (mut real, mut effective, mut saved) = (0u32, 0u32, 0u32);
        let ids = [&raw mut real, &raw mut effective, &raw mut saved].map(|id| id as usize);
        // SAFETY: the kernel writes three numbers; the call can't fail.
        unsafe { syscall6(get, ids[0], ids[1], ids[2], 0, 0, 0) };
        // No user has this id: the call changes nothing, and answers the one that there is.
        Ids { real, effective, file_system: swap(set_file_system, u32::MAX) }
    }

    fn user() -> Ids {
        Ids::of(libc::SYS_getresuid, libc::SYS_setfsuid)
    }

    fn group() -> Ids {
        Ids::of(libc::SYS_getresgid, libc::SYS_setfsgid)
    }
}

/// setfsuid(2) or setfsgid(2): gives the id before.
fn swap(number: i64, id: u32) -> u32 {
    // SAFETY: takes an integer.
    unsafe { syscall6(number, id as usize, 0, 0, 0, 0, 0) as u32 }
}

/// Tells whether the effective user or group id is not the real one, or files are opened as another group
/// (setfsgid(2)), for which Linux has set `AT_SECURE` since 6.16.
pub fn has_changed_ids() -> bool {
    let (user, group) = (Ids::user(), Ids::group());
    let is_file_systems = group.file_system != group.effective;
    user.real != user.effective || group.real != group.effective || is_file_systems
}

/// The effective user id.
pub fn effective_user() -> u32 {
    // SAFETY: geteuid takes no argument and can't fail.
    unsafe { syscall6(libc::SYS_geteuid, 0, 0, 0, 0, 0, 0) as u32 }
}

/// Lets a thread open what the file's mode forbids (`CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`).
const OPENS_ANY_FILE: [u32; 2] = [1, 2];

/// The calling thread's capabilities, the first 32 of each set in the first word.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Capabilities {
    low: Sets,
    high: Sets,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The version of the structures above (`_LINUX_CAPABILITY_VERSION_3`), for the calling thread.
static HEADER: [u32; 2] = [0x2008_0522, 0];

impl Capabilities {
    fn get() -> Result<Capabilities, Errno> {
        let mut sets = Capabilities::default();
        let (header, place) = (&raw const HEADER as usize, &raw mut sets as usize);
        // SAFETY: the kernel reads the header, whose version it knows, and writes both words.
        Errno::check(unsafe { syscall6(libc::SYS_capget, header, place, 0, 0, 0, 0) })?;
        Ok(sets)
    }

    fn set(&self) -> Result<(), Errno> {
        let (header, place) = (&raw const HEADER as usize, core::ptr::from_ref(self) as usize);
        // SAFETY: the kernel reads both.
        Errno::check(unsafe { syscall6(libc::SYS_capset, header, place, 0, 0, 0, 0) }).map(drop)
    }

    /// Those effective ones of [`OPENS_ANY_FILE`] that an exec of a file without capabilities takes
    /// from a thread of the effective user `user`.
    fn lost_at_exec(&self, user: u32) -> u32 {
        let is_root = user == 0 && prctl(libc::PR_GET_SECUREBITS, 0, 0) & NO_ROOT == 0;
        let stays = |capability: u32| {
            let in_bounds = || prctl(libc::PR_CAPBSET_READ, capability, 0) == 1;
            let inherited = self.low.inheritable & 1 << capability != 0;
            let ambient = || {
                let ask = libc::PR_CAP_AMBIENT_IS_SET as u32;
                prctl(libc::PR_CAP_AMBIENT, ask, capability) == 1
            };
            is_root && (inherited || in_bounds()) || ambient()
        };
        let held = OPENS_ANY_FILE.into_iter().filter(|one| self.low.effective & 1 << one != 0);
        held.filter(|one| !stays(*one)).fold(0, |lost, one| lost | 1 << one)
    }
}

/// A program that root executes gets no capabilities for that (`SECBIT_NOROOT`).
const NO_ROOT: isize = 1;

fn prctl(option: i32, second: u32, third: u32) -> isize {
    let (option, second, third) = (option as usize, second as usize, third as usize);
    // SAFETY: the callers' options take integers and change nothing.
    unsafe { syscall6(libc::SYS_prctl, option, second, third, 0, 0, 0) }
}

/// Runs `call`, which opens a file, with what a program that this thread executes could open it
/// with: the effective ids, and without capabilities that an exec takes. What an exec would *give*
/// is not lent. Errors: those of `call`; `EPERM` where the kernel does not let the thread do so.
pub fn as_after_exec<R>(call: impl FnOnce() -> Result<R, Errno>) -> Result<R, Errno> {
    let (user, group, capabilities) = (Ids::user(), Ids::group(), Capabilities::get()?);
    let lost = capabilities.lost_at_exec(user.effective);
    let same = user.file_system == user.effective && group.file_system == group.effective;
    if same && lost == 0 {
        return call();
    }
    // No handler of the program runs without its powers.
    without_signals(|_| {
        swap(libc::SYS_setfsgid, group.effective);
        swap(libc::SYS_setfsuid, user.effective);
        let result = lend(lost).and_then(|()| call());
        swap(libc::SYS_setfsuid, user.file_system);
        swap(libc::SYS_setfsgid, group.file_system);
        // Its effective ones are permitted ones still.
        capabilities.set()?;
        result
    })
}

/// Takes `lost` out of the effective capabilities, which the change of ids may have changed.
fn lend(lost: u32) -> Result<(), Errno> {
    let mut capabilities = Capabilities::get()?;
    capabilities.low.effective &= !lost;
    capabilities.set()
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::*;

    /// Runs `call` in a thread of its own, whose ids and capabilities are its own.
    fn apart(call: impl FnOnce() + Send) {
        std::thread::scope(|scope| scope.spawn(call).join().unwrap());
    }

    fn open(path: &std::path::Path) -> Result<File, Errno> {
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        File::open_at(libc::AT_FDCWD, &path)
    }

    #[test]
    fn another_group_for_files_counts_as_changed_ids() {
        apart(|| {
            let before = has_changed_ids();
            swap(libc::SYS_setfsgid, 12345);
            let may_change = Ids::group().file_system == 12345;
            assert!(!before && has_changed_ids() == may_change);
        });
    }

    #[test]
    fn what_only_capabilities_open_is_closed_where_an_exec_takes_them() {
        if Ids::user().effective != 0 {
            return;
        }
        let file = std::env::temp_dir().join(format!("credentials-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).unwrap();
        apart(|| {
            assert!(as_after_exec(|| open(&file)).is_ok(), "root stays root");
        });
        apart(|| {
            // Kept capabilities (PR_SET_KEEPCAPS) and another user: an exec takes them.
            prctl(libc::PR_SET_KEEPCAPS, 1, 0);
            let capabilities = Capabilities::get().unwrap();
            // SAFETY: three numbers.
            unsafe { syscall6(libc::SYS_setresuid, 12345, 12345, 12345, 0, 0, 0) };
            capabilities.set().unwrap();
            assert!(open(&file).is_ok());
            assert_eq!(as_after_exec(|| open(&file)).unwrap_err(), Errno(libc::EACCES));
            assert!(open(&file).is_ok(), "as before");
        });
        apart(|| {
            swap(libc::SYS_setfsuid, 12345);
            assert!(open(&file).is_err() && as_after_exec(|| open(&file)).is_ok());
            assert!(open(&file).is_err(), "as before");
        });
        std::fs::remove_file(&file).unwrap();
    }
}
