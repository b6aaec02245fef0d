//! The requests of one call, and the threads that work on them.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use epochsocks::sys::{self, futex};

use super::notification::Notification;
use super::{FINISHED, announce, begin, finish};
use crate::hooks::c_types::gaicb;
use crate::hooks::names::getaddrinfo;
use crate::unhooked;

/// As many threads look up the names of one call.
const MOST_WORKERS: usize = 8;
/// Stack of a lookup: several times what one needs, libc's own getaddrinfo for a number included.
const STACK: usize = 256 << 10;

/// The head of a mapping; the requests follow.
#[repr(C)]
struct Head {
    count: usize,
    /// The first request that no worker has taken.
    next: AtomicUsize,
    unfinished: AtomicUsize,
    /// Workers, the caller while it makes them, and the thread that notifies. Who is the last of
    /// them unmaps.
    holders: AtomicUsize,
    notification: Option<Notification>,
}

/// A counted reference to the requests of one call. Without a destructor: it ends in `put`.
#[derive(Clone, Copy)]
pub struct Batch(NonNull<Head>);

impl Batch {
    /// Puts the requests in `list` under way. Errors: `EAI_MEMORY`.
    ///
    /// # Safety
    /// Each of them is null, or a request that lives until it is finished.
    pub unsafe fn new(
        list: &[*mut gaicb],
        notification: Option<Notification>,
    ) -> Result<Batch, c_int> {
        let requests = || list.iter().copied().filter(|request| !request.is_null());
        let count = requests().count();
        let memory = sys::map_zeroed(size_of_batch(count)).map_err(|_| libc::EAI_MEMORY)?;
        let batch = Batch(memory.cast());
        let head = Head {
            count,
            next: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(count),
            holders: AtomicUsize::new(1),
            notification,
        };
        // SAFETY: a fresh mapping with room for the head and as many requests; and the caller's.
        unsafe {
            batch.0.write(head);
            for (index, request) in requests().enumerate() {
                batch.place(index).write(request);
                begin(request);
            }
        }
        Ok(batch)
    }

    /// Lets threads work, and returns. `EAI_AGAIN`, for every request as well, if there are none.
    pub fn start(self) -> c_int {
        if self.head().count == 0 {
            self.notify();
            self.put();
            return 0;
        }
        let workers = self.add_workers(self.head().count.min(MOST_WORKERS));
        if workers == 0 {
            for index in 0..self.head().count {
                // SAFETY: no thread works on them.
                unsafe { finish(self.place(index).read(), null_mut(), libc::EAI_AGAIN) };
            }
            announce();
        }
        self.put();
        if workers == 0 { libc::EAI_AGAIN } else { 0 }
    }

    /// Works with the help of threads, and returns when all is done.
    pub fn run_and_wait(self) -> c_int {
        self.add_workers(self.head().count.saturating_sub(1).min(MOST_WORKERS - 1));
        self.run();
        loop {
            // Acquire pairs with the Release in `announce`.
            let seen = FINISHED.load(Acquire);
            // Acquire pairs with the AcqRel in `run`.
            if self.head().unfinished.load(Acquire) == 0 {
                break;
            }
            let _ = futex::wait(&FINISHED, seen, None);
        }
        self.put();
        0
    }

    fn add_workers(self, count: usize) -> usize {
        (0..count).take_while(|_| self.hand_to_thread(work)).count()
    }

    /// Takes one request after the other. The last one that is finished, by whichever thread, is
    /// notified of.
    fn run(self) {
        let head = self.head();
        loop {
            // Relaxed: only the number matters, the requests were there before the thread.
            let index = head.next.fetch_add(1, Relaxed);
            if index >= head.count {
                return;
            }
            let mut result = null_mut();
            // SAFETY: the caller of getaddrinfo_a keeps the request; no other worker has taken it.
            let (request, code) = unsafe {
                let request = self.place(index).read();
                let gaicb { ar_name, ar_service, ar_request, .. } = *request;
                (request, getaddrinfo(ar_name, ar_service, ar_request, &mut result))
            };
            // SAFETY: as above.
            unsafe { finish(request, result, code) };
            // AcqRel: the thread that sees 0 sees what all others did. Between the two, as `announce` may
            // wake one who waits for 0.
            let is_last = head.unfinished.fetch_sub(1, AcqRel) == 1;
            announce();
            if is_last {
                self.notify();
            }
        }
    }

    fn notify(self) {
        if let Some(notification) = &self.head().notification {
            self.hold();
            if !notification.send(call, self.to_argument()) {
                self.put();
            }
        }
    }

    /// Starts a detached thread of ours, with every signal blocked, as the program's handlers expect
    /// its own stacks.
    fn hand_to_thread(self, work: extern "C" fn(*mut c_void) -> *mut c_void) -> bool {
        self.hold();
        let started = with_signals_blocked(|| {
            // The program's static thread-local data may not leave enough of a small stack.
            start_thread(Some(STACK), work, self) || start_thread(None, work, self)
        });
        if !started {
            self.put();
        }
        started
    }

    /// One more reference, for a thread that is about to be made.
    fn hold(self) {
        // Relaxed: the caller has one already.
        self.head().holders.fetch_add(1, Relaxed);
    }

    /// Gives a reference up.
    fn put(self) {
        let size = size_of_batch(self.head().count);
        // AcqRel: what the others did comes before the unmap.
        if self.head().holders.fetch_sub(1, AcqRel) == 1 {
            // SAFETY: no thread has it any more.
            unsafe { sys::unmap(self.0.cast(), size) };
        }
    }

    /// For a thread's argument; see [`Batch::from_argument`].
    fn to_argument(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    /// Takes over the reference that was held for a thread.
    ///
    /// # Safety
    /// `argument` came from `to_argument`, with a reference.
    unsafe fn from_argument(argument: *mut c_void) -> Batch {
        // SAFETY: never null.
        Batch(unsafe { NonNull::new_unchecked(argument.cast()) })
    }

    fn head(&self) -> &Head {
        // SAFETY: mapped as long as there is a reference.
        unsafe { self.0.as_ref() }
    }

    /// # Safety
    /// `index` is below the count.
    unsafe fn place(self, index: usize) -> *mut *mut gaicb {
        // SAFETY: the requests lie behind the head.
        unsafe { self.0.add(1).cast::<*mut gaicb>().add(index).as_ptr() }
    }
}

const _: () = assert!(size_of::<Head>() & (align_of::<*mut gaicb>() - 1) == 0);

const fn size_of_batch(count: usize) -> usize {
    size_of::<Head>() + count * size_of::<*mut gaicb>()
}

extern "C" fn work(argument: *mut c_void) -> *mut c_void {
    // SAFETY: the argument of `hand_to_thread`.
    let batch = unsafe { Batch::from_argument(argument) };
    batch.run();
    batch.put();
    null_mut()
}

/// The thread that the program is notified by.
extern "C" fn call(argument: *mut c_void) -> *mut c_void {
    // SAFETY: the argument of `notify`.
    let batch = unsafe { Batch::from_argument(argument) };
    let notification = batch.head().notification;
    batch.put();
    if let Some(notification) = notification {
        notification.call();
    }
    null_mut()
}

fn start_thread(
    stack: Option<usize>,
    work: extern "C" fn(*mut c_void) -> *mut c_void,
    batch: Batch,
) -> bool {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: attributes and thread are ours; init comes first.
    unsafe {
        if unhooked::pthread_attr_init(attributes) != 0 {
            return false;
        }
        unhooked::pthread_attr_setdetachstate(attributes, libc::PTHREAD_CREATE_DETACHED);
        if let Some(stack) = stack {
            unhooked::pthread_attr_setstacksize(attributes, stack);
        }
        let created =
            libc::pthread_create(thread.as_mut_ptr(), attributes, work, batch.to_argument());
        unhooked::pthread_attr_destroy(attributes);
        created == 0
    }
}

/// Makes `call` with every signal blocked but libc's own, which reach every thread.
fn with_signals_blocked<T>(call: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: libc fills both sets.
    unsafe {
        unhooked::sigfillset(all.as_mut_ptr());
        unhooked::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        let result = call();
        unhooked::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut());
        result
    }
}
