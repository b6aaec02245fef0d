//! Single-stepping: the processor's trap flag raises SIGTRAP after each instruction of a thread, on
//! the same thread.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::ptr::null_mut;

/// EFLAGS.TF.
const TRAP_FLAG: i64 = 1 << 8;

/// A place between two instructions.
#[derive(Clone, Copy, Debug)]
pub struct Boundary {
    /// Number of instructions of the operation before it, at least 1.
    pub number: u64,
    /// Address of the next instruction.
    pub address: usize,
}

unsafe extern "C" {
    // Of the linker: where this program's code is.
    static __executable_start: u8;
    static etext: u8;
}

impl Boundary {
    /// Tells whether it lies in this program, not in a library that it is linked with (malloc).
    pub fn is_own(self) -> bool {
        (&raw const __executable_start as usize..&raw const etext as usize).contains(&self.address)
    }
}

/// Called in a signal handler at each boundary.
pub type AtBoundary<'a> = dyn FnMut(Boundary) -> ControlFlow<()> + 'a;

struct Stepping<'a> {
    steps: u64,
    at_boundary: &'a mut AtBoundary<'a>,
}

/// Data of the handler; one operation is stepped at a time.
struct Current(UnsafeCell<*mut Stepping<'static>>);

// SAFETY: only the thread that steps and its handler touch it.
unsafe impl Sync for Current {}

static CURRENT: Current = Current(UnsafeCell::new(null_mut()));

/// Runs `operation` and calls `at_boundary` behind each of its instructions, until that breaks.
/// Returns how many instructions that were. For a process of its own.
pub fn step(operation: &mut dyn FnMut(), at_boundary: &mut AtBoundary) -> u64 {
    let mut stepping = Stepping { steps: 0, at_boundary };
    // SAFETY: the handler runs only between the two changes of the flag, while `stepping` lives.
    unsafe {
        *CURRENT.0.get() = (&raw mut stepping).cast();
        handle_traps();
        std::arch::asm!("pushfq", "or qword ptr [rsp], {}", "popfq", const TRAP_FLAG);
        operation();
        std::arch::asm!("pushfq", "and qword ptr [rsp], {}", "popfq", const !TRAP_FLAG);
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
    // SAFETY: `step` has set it, and is interrupted; the context is the interrupted one.
    unsafe {
        let stepping = &mut **CURRENT.0.get();
        stepping.steps += 1;
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let address = registers[libc::REG_RIP as usize] as usize;
        let boundary = Boundary { number: stepping.steps, address };
        if (stepping.at_boundary)(boundary).is_break() {
            registers[libc::REG_EFL as usize] &= !TRAP_FLAG;
        }
    }
}
