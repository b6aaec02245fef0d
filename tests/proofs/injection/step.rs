//! Single-stepping: the processor's trap flag raises SIGTRAP after each instruction of a thread, on
//! the same thread, and at the chosen one the handler does something else.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// EFLAGS.TF.
const TRAP_FLAG: i64 = 1 << 8;

struct Stepping<'a> {
    steps: u64,
    boundary: u64,
    inject: &'a mut dyn FnMut(),
}

/// What the handler works on; one operation is stepped at a time.
struct Current(UnsafeCell<*mut Stepping<'static>>);

// SAFETY: only the thread that steps and its handler touch it.
unsafe impl Sync for Current {}

static CURRENT: Current = Current(UnsafeCell::new(null_mut()));

/// Runs `operation` and, behind its `boundary`th instruction, `inject` in a signal handler. Returns
/// how many boundaries there were up to then, or in all if there are fewer. For a process with one
/// thread.
pub fn inject_at(boundary: u64, operation: &mut dyn FnMut(), inject: &mut dyn FnMut()) -> u64 {
    let mut stepping = Stepping { steps: 0, boundary, inject };
    // SAFETY: the handler runs only between the two flags, while `stepping` lives.
    unsafe {
        *CURRENT.0.get() = (&raw mut stepping).cast();
        handle_traps();
        std::arch::asm!("pushfq", "or qword ptr [rsp], 256", "popfq");
        operation();
        std::arch::asm!("pushfq", "and qword ptr [rsp], -257", "popfq");
    }
    stepping.steps
}

unsafe fn handle_traps() {
    // SAFETY: a zeroed sigaction is one without flags; the handler has SA_SIGINFO's signature.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = on_trap as extern "C" fn(_, _, _) as *const c_void as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGTRAP, &action, null_mut()), 0);
    }
}

/// The kernel clears the trap flag for the handler and restores it at the end.
extern "C" fn on_trap(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: `inject_at` has set it, and is interrupted.
    unsafe {
        let stepping = &mut **CURRENT.0.get();
        stepping.steps += 1;
        if stepping.steps == stepping.boundary {
            (stepping.inject)();
            let context = &mut *context.cast::<libc::ucontext_t>();
            context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP_FLAG;
        }
    }
}
