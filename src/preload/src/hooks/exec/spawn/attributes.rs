//! The attributes of a child, as glibc keeps them.

use core::ffi::{CStr, c_int, c_short};

use epochsocks::sys::{self, Errno, File, syscall6};
use libc::{pid_t, posix_spawnattr_t};

/// The start of glibc's `posix_spawnattr_t`, which <spawn.h> declares.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Attributes {
    flags: c_short,
    group: pid_t,
    defaults: libc::sigset_t,
    mask: libc::sigset_t,
    parameter: c_int,
    policy: c_int,
    /// From glibc 2.39 on.
    cgroup: c_int,
}

const _: () = assert!(size_of::<Attributes>() <= size_of::<posix_spawnattr_t>());

// The flags of spawn.h.
const RESET_IDS: c_short = 1;
const SET_GROUP: c_short = 2;
const SET_DEFAULTS: c_short = 4;
const SET_MASK: c_short = 8;
const SET_PARAMETER: c_short = 0x10;
const SET_SCHEDULER: c_short = 0x20;
/// Asks for what is always done.
const USE_VFORK: c_short = 0x40;
const SET_SESSION: c_short = 0x80;
const SET_CGROUP: c_short = 0x100;
const KNOWN: c_short = RESET_IDS
    | SET_GROUP
    | SET_DEFAULTS
    | SET_MASK
    | SET_PARAMETER
    | SET_SCHEDULER
    | USE_VFORK
    | SET_SESSION
    | SET_CGROUP;

impl Attributes {
    /// None at all.
    pub const NONE: Attributes = Attributes {
        flags: 0,
        group: 0,
        // SAFETY: an array of integers.
        defaults: unsafe { core::mem::zeroed() },
        // SAFETY: as above.
        mask: unsafe { core::mem::zeroed() },
        parameter: 0,
        policy: 0,
        cgroup: 0,
    };

    /// # Safety
    /// `attributes` is null or initialised.
    pub unsafe fn of(attributes: *const posix_spawnattr_t) -> Attributes {
        // SAFETY: the caller's contract, and glibc's layout.
        unsafe { attributes.cast::<Attributes>().as_ref() }.copied().unwrap_or(Attributes::NONE)
    }

    /// No other than: the signals of `defaults` are not ignored, and those of `mask` are blocked.
    pub fn of_signals(defaults: u64, mask: u64) -> Attributes {
        let mut attributes = Attributes::NONE;
        attributes.flags = SET_DEFAULTS | SET_MASK;
        put(&mut attributes.defaults, defaults);
        put(&mut attributes.mask, mask);
        attributes
    }

    /// Tells whether each of them is known here.
    pub fn are_known(&self) -> bool {
        self.flags & !KNOWN == 0
    }

    fn has(&self, flag: c_short) -> bool {
        self.flags & flag != 0
    }

    /// The signals whose handling is to be the default.
    pub fn default_signals(&self) -> u64 {
        if self.has(SET_DEFAULTS) { first(&self.defaults) } else { 0 }
    }

    /// The signals that the program starts with blocked, if that is asked for.
    pub fn mask(&self) -> Option<u64> {
        self.has(SET_MASK).then(|| first(&self.mask))
    }

    /// Changes the calling process, in glibc's order. Errors: those of the system calls.
    pub fn apply(&self) -> Result<(), Errno> {
        if self.has(SET_CGROUP) {
            join_cgroup(self.cgroup)?;
        }
        let parameter = &raw const self.parameter as usize;
        if self.has(SET_SCHEDULER) {
            call(libc::SYS_sched_setscheduler, 0, self.policy as usize, parameter)?;
        } else if self.has(SET_PARAMETER) {
            call(libc::SYS_sched_setparam, 0, parameter, 0)?;
        }
        if self.has(SET_SESSION) {
            call(libc::SYS_setsid, 0, 0, 0)?;
        }
        if self.has(SET_GROUP) {
            call(libc::SYS_setpgid, 0, self.group as usize, 0)?;
        }
        if self.has(RESET_IDS) {
            reset(libc::SYS_getuid, libc::SYS_setresuid)?;
            reset(libc::SYS_getgid, libc::SYS_setresgid)?;
        }
        Ok(())
    }
}

/// Makes the effective id the real one.
fn reset(get: i64, set: i64) -> Result<(), Errno> {
    const SAME: usize = usize::MAX;
    let real = call(get, 0, 0, 0)?;
    call(set, SAME, real, SAME).map(drop)
}

/// Moves the calling process into the control group of the directory `fd`.
fn join_cgroup(fd: c_int) -> Result<(), Errno> {
    const MEMBERS: &CStr = c"cgroup.procs";
    let file = File::open_to_write_at(fd, MEMBERS)?;
    sys::write(file.fd(), b"0").map(drop)
}

/// A system call whose arguments are integers, or point to what outlives it.
fn call(number: i64, first: usize, second: usize, third: usize) -> Result<usize, Errno> {
    // SAFETY: the callers above name calls that read no more than one number in memory.
    Errno::check(unsafe { syscall6(number, first, second, third, 0, 0, 0) })
}

/// The signals 1 to 64 of a set: all that the kernel has.
fn first(set: &libc::sigset_t) -> u64 {
    // SAFETY: 128 bytes, aligned as words, of which the first 8 are these.
    unsafe { *core::ptr::from_ref(set).cast() }
}

fn put(set: &mut libc::sigset_t, signals: u64) {
    // SAFETY: as above.
    unsafe { *core::ptr::from_mut(set).cast() = signals };
}
