//! Flags of descriptors, epoll sets, threads and signal handlers, by raw system calls. Every
//! function is async-signal-safe.

use core::marker::PhantomData;

use super::{Errno, syscall6};

/// The calling thread's id, asked of the kernel each time.
pub fn gettid() -> i32 {
    // SAFETY: gettid takes no argument and can't fail.
    unsafe { syscall6(libc::SYS_gettid, 0, 0, 0, 0, 0, 0) as i32 }
}

/// Tells whether the kernel still knows a process or thread `id`.
pub fn is_alive(id: i32) -> bool {
    // SAFETY: signal 0 is not sent.
    let result = unsafe { syscall6(libc::SYS_kill, id as usize, 0, 0, 0, 0, 0) };
    Errno::check(result) != Err(Errno(libc::ESRCH))
}

/// Tells whether this process has a thread `id`.
pub fn thread_is_alive(id: i32) -> bool {
    let process = super::getpid() as usize;
    // SAFETY: signal 0 is sent to no thread.
    let result = unsafe { syscall6(libc::SYS_tgkill, process, id as usize, 0, 0, 0, 0) };
    Errno::check(result) != Err(Errno(libc::ESRCH))
}

/// Lets another thread run.
pub fn yield_now() {
    // SAFETY: sched_yield takes no argument and can't fail.
    unsafe { syscall6(libc::SYS_sched_yield, 0, 0, 0, 0, 0, 0) };
}

fn fcntl(fd: i32, command: i32, argument: i32) -> Result<i32, Errno> {
    // SAFETY: the callers name commands that take an integer.
    Errno::check(unsafe {
        syscall6(libc::SYS_fcntl, fd as usize, command as usize, argument as usize, 0, 0, 0)
    })
    .map(|value| value as i32)
}

/// Another descriptor of what `fd` names, closed on exec and none of the standard ones.
pub fn duplicate(fd: i32) -> Result<i32, Errno> {
    duplicate_from(fd, libc::STDERR_FILENO + 1)
}

/// As [`duplicate`], with the lowest free number from `lowest` on. `EINVAL` where the process may not
/// have so high a number.
pub fn duplicate_from(fd: i32, lowest: i32) -> Result<i32, Errno> {
    fcntl(fd, libc::F_DUPFD_CLOEXEC, lowest)
}

/// Number of descriptors that the process may have: `RLIMIT_NOFILE`.
pub fn descriptor_limit() -> Result<libc::rlimit64, Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let (which, old) = (libc::RLIMIT_NOFILE as usize, &raw mut limit as usize);
    // SAFETY: the kernel writes one limit; process 0 is this one.
    Errno::check(unsafe { syscall6(libc::SYS_prlimit64, 0, which, 0, old, 0, 0) })?;
    Ok(limit)
}

/// Changes [`descriptor_limit`]. `EPERM`.
pub fn set_descriptor_limit(limit: &libc::rlimit64) -> Result<(), Errno> {
    let (which, new) = (libc::RLIMIT_NOFILE as usize, core::ptr::from_ref(limit) as usize);
    // SAFETY: the kernel reads one limit; process 0 is this one.
    Errno::check(unsafe { syscall6(libc::SYS_prlimit64, 0, which, new, 0, 0, 0) }).map(drop)
}

/// The status flags of an open file description, as fcntl(2) gives them.
#[derive(Clone, Copy, Debug)]
pub struct StatusFlags(i32);

impl StatusFlags {
    /// Tells whether calls on it do not wait: O_NONBLOCK.
    pub const fn is_nonblocking(self) -> bool {
        self.0 & libc::O_NONBLOCK != 0
    }
}

/// The status flags of `fd`. `EBADF`.
pub fn status_flags(fd: i32) -> Result<StatusFlags, Errno> {
    fcntl(fd, libc::F_GETFL, 0).map(StatusFlags)
}

/// Runs `call` while `fd`, whose flags are `flags`, is O_NONBLOCK, whatever it is else.
pub fn without_blocking<T>(
    fd: i32,
    flags: StatusFlags,
    call: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    if flags.is_nonblocking() {
        return call();
    }
    fcntl(fd, libc::F_SETFL, flags.0 | libc::O_NONBLOCK)?;
    let result = call();
    fcntl(fd, libc::F_SETFL, flags.0)?;
    result
}

/// Tells whether `fd` is closed by an exec.
pub fn is_close_on_exec(fd: i32) -> Result<bool, Errno> {
    fcntl(fd, libc::F_GETFD, 0).map(|flags| flags & libc::FD_CLOEXEC != 0)
}

/// Sets FD_CLOEXEC on `fd`, or clears it; says whether it was set.
pub fn set_close_on_exec(fd: i32, close: bool) -> Result<bool, Errno> {
    let flags = fcntl(fd, libc::F_GETFD, 0)?;
    let wanted = if close { flags | libc::FD_CLOEXEC } else { flags & !libc::FD_CLOEXEC };
    if wanted != flags {
        fcntl(fd, libc::F_SETFD, wanted)?;
    }
    Ok(flags & libc::FD_CLOEXEC != 0)
}

/// Adds, changes or deletes the registration of `fd` in the epoll set `epoll`; see epoll_ctl(2).
pub fn epoll_ctl(epoll: i32, operation: i32, fd: i32, events: u32, data: u64) -> Result<(), Errno> {
    let event = libc::epoll_event { events, u64: data };
    // SAFETY: the kernel reads one event.
    Errno::check(unsafe {
        syscall6(
            libc::SYS_epoll_ctl,
            epoll as usize,
            operation as usize,
            fd as usize,
            &raw const event as usize,
            0,
            0,
        )
    })
    .map(drop)
}

/// The kernel's `sigaction`, which is not libc's.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// Tells whether a system call that a signal has interrupted is to go on: every handler of the
/// process was installed with SA_RESTART. The kernel does not tell which handler has run.
pub fn all_handlers_restart() -> bool {
    (1..=64).all(|signal: usize| {
        let mut action = KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 };
        // SAFETY: the kernel writes one action of its own layout; its mask is 8 bytes.
        let asked = Errno::check(unsafe {
            syscall6(libc::SYS_rt_sigaction, signal, 0, &raw mut action as usize, 8, 0, 0)
        });
        let has_handler = action.handler != libc::SIG_DFL && action.handler != libc::SIG_IGN;
        asked.is_err() || !has_handler || action.flags & libc::SA_RESTART as libc::c_ulong != 0
    })
}

/// Tells whether the calling thread is in a handler that has a stack of its own; see
/// sigaltstack(2).
pub fn is_on_signal_stack() -> bool {
    let mut stack =
        libc::stack_t { ss_sp: core::ptr::null_mut(), ss_flags: libc::SS_ONSTACK, ss_size: 0 };
    // SAFETY: the kernel writes one structure, and changes nothing.
    unsafe { syscall6(libc::SYS_sigaltstack, 0, &raw mut stack as usize, 0, 0, 0, 0) };
    stack.ss_flags & libc::SS_ONSTACK != 0
}

/// Signals that have no handler.
const UNCATCHABLE: [i32; 2] = [libc::SIGKILL, libc::SIGSTOP];

/// Gives each signal that has a handler its default again, and each of the mask `defaults`: in a
/// child that has this memory until its exec, no handler of the program may run.
pub fn drop_handlers(defaults: u64) {
    for signal in (1..=64).filter(|signal| !UNCATCHABLE.contains(signal)) {
        let mut action = KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 };
        let number = signal as usize;
        // SAFETY: the kernel writes one action of its own layout; its mask is 8 bytes.
        unsafe { syscall6(libc::SYS_rt_sigaction, number, 0, &raw mut action as usize, 8, 0, 0) };
        let is_named = defaults & 1 << (signal - 1) != 0;
        let is_ignored = action.handler == libc::SIG_IGN && !is_named;
        if action.handler != libc::SIG_DFL && !is_ignored {
            Disposition::DEFAULT.replace(signal);
        }
    }
}

/// Action of a process on a signal.
pub struct Disposition(KernelAction);

impl Disposition {
    const fn plain(handler: usize) -> Disposition {
        Disposition(KernelAction { handler, flags: 0, restorer: 0, mask: 0 })
    }

    /// The default.
    pub const DEFAULT: Disposition = Disposition::plain(libc::SIG_DFL);
    /// The signal is ignored.
    pub const IGNORE: Disposition = Disposition::plain(libc::SIG_IGN);

    /// Tells whether the signal is ignored.
    pub const fn is_ignored(&self) -> bool {
        self.0.handler == libc::SIG_IGN
    }

    /// Makes it the disposition of `signal`; gives the one before.
    pub fn replace(&self, signal: i32) -> Disposition {
        let mut before = Disposition::DEFAULT;
        let (new, old) = (&raw const self.0 as usize, &raw mut before.0 as usize);
        // SAFETY: the kernel reads one action of its own layout and writes one; a mask is 8 bytes.
        unsafe { syscall6(libc::SYS_rt_sigaction, signal as usize, new, old, 8, 0, 0) };
        before
    }
}

/// Signals that an instruction of the thread itself raises: blocked, they would end the process in
/// place of reaching a debugger's or sandbox's handler.
const SYNCHRONOUS: [i32; 6] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];

/// Blocks every signal that comes from outside, also libc's own for cancellation; gives the mask
/// before, for [`set_signals`].
pub fn block_signals() -> u64 {
    set_signals(from_outside())
}

/// The mask of all signals that come from outside.
fn from_outside() -> u64 {
    SYNCHRONOUS.iter().fold(u64::MAX, |all, signal| all & !(1 << (signal - 1)))
}

/// Blocks signals as [`block_signals`], but for libc's own for cancellation, for the time of calls that are
/// cancellation points: where pthread_cancel(3) has left its mark meanwhile, they wait for that signal.
pub fn block_signals_but_cancellation() -> u64 {
    /// glibc's `SIGCANCEL`, the first of the signals that a program does not get.
    const SIGCANCEL: u32 = 32;
    set_signals(from_outside() & !(1 << (SIGCANCEL - 1)))
}

/// Blocks the signals of `mask` and lets in all others; gives the mask before.
pub fn set_signals(mask: u64) -> u64 {
    let mut before = 0u64;
    let (how, new, old) = (libc::SIG_SETMASK as usize, &raw const mask, &raw mut before);
    // SAFETY: the kernel reads and writes one mask of 8 bytes each.
    unsafe { syscall6(libc::SYS_rt_sigprocmask, how, new as usize, old as usize, 8, 0, 0) };
    before
}

/// Blocks `signal` as well; gives the mask before, for [`set_signals`].
pub fn block_signal(signal: i32) -> u64 {
    let (set, mut before) = (1u64 << (signal - 1), 0u64);
    let (how, new, old) = (libc::SIG_BLOCK as usize, &raw const set, &raw mut before);
    // SAFETY: as in `set_signals`.
    unsafe { syscall6(libc::SYS_rt_sigprocmask, how, new as usize, old as usize, 8, 0, 0) };
    before
}

/// The calling thread has every signal blocked that comes from outside, as [`block_signals`] does: no handler
/// and no cancellation interrupts it. It ends in [`SignalsBlocked::restore`]; it has no destructor, as a thread
/// may end while it waits.
#[derive(Debug)]
#[must_use = "the signals stay blocked"]
pub struct SignalsBlocked {
    before: u64,
    /// Of this thread alone.
    thread: PhantomData<*const ()>,
}

impl SignalsBlocked {
    /// Blocks them.
    pub fn begin() -> SignalsBlocked {
        SignalsBlocked { before: block_signals(), thread: PhantomData }
    }

    /// The mask of the thread before: where it waits with this one, signals come in.
    pub fn mask_before(&self) -> u64 {
        self.before
    }

    /// Ends the block.
    pub fn restore(self) {
        set_signals(self.before);
    }
}

/// Runs `call` with every signal blocked that comes from outside: none of them interrupts it.
pub fn without_signals<T>(call: impl FnOnce(&SignalsBlocked) -> T) -> T {
    let blocked = SignalsBlocked::begin();
    let result = call(&blocked);
    blocked.restore();
    result
}
