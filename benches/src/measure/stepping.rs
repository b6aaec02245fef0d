//! Code that is interrupted behind one of its instructions, by the processor's trap flag. Each trial is a
//! forked child, so that what it breaks is its own.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The end of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The check found nothing.
    Right,
    /// It did not end within a second, of which it waited or went round all the time.
    Waits,
    /// A signal or a panic ended it.
    Crashed,
    /// The check found something.
    Wrong,
    /// The work had fewer instructions, so that nothing was interrupted.
    NotReached,
}

/// A trial that is under way.
#[derive(Debug)]
#[must_use = "a trial ends in `ending`"]
pub struct Trial(libc::pid_t);

/// Exit status of a child whose check found something.
const WRONG: i32 = 3;
/// Exit status of a child whose work ended before the boundary.
const NOT_REACHED: i32 = 4;
/// The longest that a trial may take.
const LIMIT: libc::timeval = libc::timeval { tv_sec: 1, tv_usec: 0 };
const TRAP_FLAG: i64 = 0x100;

/// The child's handler, and the instructions until it is called.
static mut HANDLER: Option<*const dyn Fn()> = None;
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Begins a trial: `work`, with `handler` in a signal handler behind its instruction number `boundary`,
/// and then `check`. The caller is the only thread that matters.
pub fn interrupt(
    boundary: u64,
    work: &dyn Fn(),
    handler: &dyn Fn(),
    check: &dyn Fn() -> bool,
) -> Trial {
    // SAFETY: the child runs the closures and ends.
    match unsafe { libc::fork() } {
        0 => {
            hide_messages();
            let limit = libc::itimerval {
                it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
                it_value: LIMIT,
            };
            // SAFETY: a timer of the child's own, which ends it.
            unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const limit, null_mut()) };
            step(boundary, work, handler);
            // Relaxed: this thread's own.
            let status = match LEFT.load(Relaxed) {
                0 if check() => 0,
                0 => WRONG,
                _ => NOT_REACHED,
            };
            // SAFETY: nothing else is to be done.
            unsafe { libc::_exit(status) }
        }
        child => Trial(child),
    }
}

impl Trial {
    /// Waits for the end.
    pub fn ending(self) -> Ending {
        let mut status = 0;
        // SAFETY: the child is ours.
        unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        match status {
            0 => Ending::Right,
            _ if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == WRONG => Ending::Wrong,
            _ if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == NOT_REACHED => {
                Ending::NotReached
            }
            _ if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGALRM => {
                Ending::Waits
            }
            _ => Ending::Crashed,
        }
    }
}

/// The instructions of `work`, which is done once more.
pub fn length(work: &dyn Fn()) -> u64 {
    step(u64::MAX, work, &|| ());
    // Relaxed: this thread's own.
    u64::MAX - LEFT.load(Relaxed)
}

/// Trials that are under way at the same time: those that wait take a second each.
const AT_ONCE: usize = 16;

/// Begins a trial at each of `boundaries`. Counts those that were reached, that wait, that crash, that are
/// wrong.
pub fn tally(boundaries: impl Iterator<Item = u64>, begin: impl Fn(u64) -> Trial) -> [u64; 4] {
    let mut counts = [0; 4];
    let mut boundaries = boundaries.peekable();
    while boundaries.peek().is_some() {
        let trials: Vec<_> = boundaries.by_ref().take(AT_ONCE).map(&begin).collect();
        for trial in trials {
            let ending = trial.ending();
            counts[0] += u64::from(ending != Ending::NotReached);
            match ending {
                Ending::Right | Ending::NotReached => (),
                Ending::Waits => counts[1] += 1,
                Ending::Crashed => counts[2] += 1,
                Ending::Wrong => counts[3] += 1,
            }
        }
    }
    counts
}

/// `count` boundaries of `length`, or all, evenly.
pub fn boundaries(length: u64, count: u64) -> impl Iterator<Item = u64> {
    let count = count.min(length);
    (0..count).map(move |index| 1 + index * length / count)
}

fn step(boundary: u64, work: &dyn Fn(), handler: &dyn Fn()) {
    // Relaxed: the handler runs in this thread.
    LEFT.store(boundary, Relaxed);
    // SAFETY: the trap's handler uses it until the work is done, in this thread; the lifetime is hidden
    // from it.
    unsafe {
        HANDLER =
            Some(std::mem::transmute::<*const dyn Fn(), *const (dyn Fn() + 'static)>(handler));
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_trap as extern "C" fn(_, _, *mut libc::c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigaction(libc::SIGTRAP, &raw const action, null_mut());
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq");
        work();
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("pushfq", "and qword ptr [rsp], ~0x100", "popfq");
    }
}

extern "C" fn on_trap(_signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // Relaxed: this thread's own.
    let left = LEFT.load(Relaxed) - 1;
    LEFT.store(left, Relaxed);
    if left == 0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the kernel's context of the interrupted code, which goes on without the flag.
        unsafe {
            let context = &mut *context.cast::<libc::ucontext_t>();
            context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP_FLAG;
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (context, TRAP_FLAG);
        // SAFETY: set by `step`, which has not returned.
        unsafe {
            if let Some(handler) = HANDLER {
                (*handler)();
            }
        }
    }
}

/// A child's panics are its result, not a message.
fn hide_messages() {
    // SAFETY: a descriptor of the child's own.
    unsafe {
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY);
        libc::dup2(null, 2);
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Adds one by a load and a store, between which a handler can run.
    fn add(count: &Cell<u64>) {
        let seen = std::hint::black_box(count.get());
        count.set(std::hint::black_box(seen) + 1);
    }

    #[test]
    fn a_lost_update_is_found_at_the_boundaries_between_read_and_write() {
        let count = Cell::new(0);
        let work = || add(&count);
        let all = length(&work);
        let endings: Vec<_> = (1..=all)
            .map(|boundary| {
                let before = count.get();
                let check = || count.get() == before + 2;
                interrupt(boundary, &work, &|| add(&count), &check).ending()
            })
            .collect();
        assert!(endings.contains(&Ending::Right), "{endings:?}");
        assert!(endings.contains(&Ending::Wrong), "{endings:?}");
    }

    #[test]
    fn what_waits_crashes_or_is_not_reached_is_told_apart() {
        let nothing = || ();
        let spin = || loop {
            std::hint::spin_loop();
        };
        let crash = || std::process::abort();
        let end = |boundary, handler: &dyn Fn()| {
            interrupt(boundary, &nothing, handler, &|| true).ending()
        };
        assert_eq!(end(1, &nothing), Ending::Right);
        assert_eq!(end(1, &spin), Ending::Waits);
        assert_eq!(end(1, &crash), Ending::Crashed);
        assert_eq!(end(1_000_000, &crash), Ending::NotReached);
    }

    #[test]
    fn boundaries_are_spread_over_the_work() {
        assert_eq!(boundaries(3, 10).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(boundaries(100, 4).collect::<Vec<_>>(), [1, 26, 51, 76]);
    }
}
