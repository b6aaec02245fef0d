//! Single-stepping: the processor's trap flag raises SIGTRAP after each instruction of a thread, on
//! the same thread, and at the chosen one the handler does something else.
//!
//! A step costs a virtual machine some ten microseconds, an operation has thousands. So what is done
//! to each boundary of one operation steps through it once, which gives its [`Route`]; later runs
//! come to a boundary by a breakpoint, and step only where the route has been at that instruction
//! before (a loop, a second call of a function).

use std::cell::UnsafeCell;
use std::collections::HashSet;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};

/// EFLAGS.TF.
const TRAP_FLAG: i64 = 1 << 8;
/// `int3`, which raises SIGTRAP as well.
const BREAKPOINT: u8 = 0xCC;
/// The longest route.
const LONGEST: usize = 1 << 21;

/// How an operation is run up to a boundary. Boundaries are numbered from 1.
#[derive(Clone, Copy, Debug)]
pub enum Approach {
    /// Step by step from the beginning.
    Step,
    /// Without stops to the instruction at `address`, which is the boundary `number`; from there
    /// step by step.
    Break { address: usize, number: u64 },
}

/// Where an operation goes: the instruction behind each boundary. In memory that forked children
/// share with their parent, since it takes a child to step through an operation.
pub struct Route(NonNull<[usize; LONGEST]>);

impl Route {
    pub fn new() -> Self {
        // SAFETY: a new mapping, backed where it is touched.
        let memory = unsafe {
            libc::mmap(
                null_mut(),
                size_of::<[usize; LONGEST]>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert_ne!(memory, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Route(NonNull::new(memory.cast()).expect("mmap never maps page 0"))
    }

    /// Where the handler notes the instructions; for [`inject_at`].
    fn notes(&self) -> *mut usize {
        self.0.as_ptr().cast()
    }

    /// How each of `boundaries` boundaries is best come to.
    pub fn approaches(&self, boundaries: u64) -> Vec<Approach> {
        // SAFETY: the mapping, which no child writes any more.
        let addresses = unsafe { &self.0.as_ref()[..boundaries as usize] };
        let (mut seen, mut last) = (HashSet::new(), Approach::Step);
        let mut approach = |(index, &address): (usize, &usize)| {
            if seen.insert(address) {
                last = Approach::Break { address, number: index as u64 + 1 };
            }
            last
        };
        addresses.iter().enumerate().map(&mut approach).collect()
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        // SAFETY: the whole mapping.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<[usize; LONGEST]>()) };
    }
}

struct Stepping<'a> {
    steps: u64,
    boundary: u64,
    notes: *mut usize,
    breakpoint: Option<(Breakpoint, u64)>,
    inject: &'a mut dyn FnMut(),
}

/// What the handler works on; one operation is stepped at a time.
struct Current(UnsafeCell<*mut Stepping<'static>>);

// SAFETY: only the thread that steps and its handler touch it.
unsafe impl Sync for Current {}

static CURRENT: Current = Current(UnsafeCell::new(null_mut()));

/// Runs `operation` and, behind its `boundary`th instruction, `inject` in a signal handler. Returns
/// the number of that boundary, or of the last one if there are fewer or it was not met. What is
/// stepped through is noted in `route`. No other thread of the process may execute the breakpoint.
pub fn inject_at(
    boundary: u64,
    approach: Approach,
    route: Option<&Route>,
    operation: &mut dyn FnMut(),
    inject: &mut dyn FnMut(),
) -> u64 {
    let notes = route.map_or(null_mut(), Route::notes);
    let (breakpoint, flag) = match approach {
        Approach::Step => (None, TRAP_FLAG),
        Approach::Break { address, number } => (Some((Breakpoint::at(address), number)), 0),
    };
    let mut stepping = Stepping { steps: 0, boundary, notes, breakpoint, inject };
    // SAFETY: the handler runs only between the two flags, while `stepping` lives.
    unsafe {
        *CURRENT.0.get() = (&raw mut stepping).cast();
        handle_traps();
        if let Some((breakpoint, _)) = &stepping.breakpoint {
            breakpoint.set();
        }
        std::arch::asm!("pushfq", "or qword ptr [rsp], {}", "popfq", in(reg) flag);
        operation();
        std::arch::asm!("pushfq", "and qword ptr [rsp], -257", "popfq");
    }
    if let Some((breakpoint, _)) = stepping.breakpoint.take() {
        breakpoint.unset();
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
    // SAFETY: `inject_at` has set it, and is interrupted; the context is the interrupted one.
    unsafe {
        let stepping = &mut **CURRENT.0.get();
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        match stepping.breakpoint.take() {
            Some((breakpoint, number)) => {
                breakpoint.unset();
                // The trap comes behind the breakpoint.
                registers[libc::REG_RIP as usize] = breakpoint.address as i64;
                registers[libc::REG_EFL as usize] |= TRAP_FLAG;
                stepping.steps = number;
            }
            None => stepping.steps += 1,
        }
        if !stepping.notes.is_null() {
            assert!(stepping.steps <= LONGEST as u64);
            let address = registers[libc::REG_RIP as usize] as usize;
            stepping.notes.add(stepping.steps as usize - 1).write(address);
        }
        if stepping.steps == stepping.boundary {
            (stepping.inject)();
            registers[libc::REG_EFL as usize] &= !TRAP_FLAG;
        }
    }
}

/// A breakpoint in this process's code, and what it stands on.
struct Breakpoint {
    address: usize,
    original: u8,
}

impl Breakpoint {
    /// A breakpoint that is not set yet, at an instruction.
    fn at(address: usize) -> Breakpoint {
        let page = address & !4095;
        let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        // SAFETY: the page of an instruction that was executed. It stays what it is, and is this
        // process's own from the first write on.
        let permitted = unsafe { libc::mprotect(page as *mut c_void, 4096, all) };
        assert_eq!(permitted, 0, "code can't be written: {}", io::Error::last_os_error());
        // SAFETY: as above.
        Breakpoint { address, original: unsafe { (address as *const u8).read_volatile() } }
    }

    #[inline(always)]
    fn set(&self) {
        // SAFETY: see `at`.
        unsafe { (self.address as *mut u8).write_volatile(BREAKPOINT) }
    }

    #[inline(always)]
    fn unset(&self) {
        // SAFETY: as in `set`.
        unsafe { (self.address as *mut u8).write_volatile(self.original) }
    }
}
