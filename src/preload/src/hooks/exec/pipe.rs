//! popen, pclose: libc starts the shell inside, where no hook is, so the shell is a child of our own, and
//! what pclose waits for is noted here.

use core::ffi::{CStr, c_char, c_int};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicI32, AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use epochsocks::sys::{self, Errno};
use libc::FILE;

use super::shell::start;
use super::spawn::actions::Actions;
use super::spawn::attributes::Attributes;
use crate::{errno, real};

/// # Safety
/// As popen(3).
pub unsafe fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: the caller's contract.
    let (command, mode) = unsafe { (CStr::from_ptr(command), CStr::from_ptr(mode)) };
    let opened = Mode::of(mode.to_bytes()).and_then(|mode| open(command, mode));
    opened.unwrap_or_else(errno::fail)
}

/// # Safety
/// As pclose(3).
pub unsafe fn pclose(stream: *mut FILE) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        match take(stream) {
            Some(child) => close(stream, child),
            None => real::pclose(stream),
        }
    }
}

/// Closes `stream` and waits for its child, whose status it gives.
///
/// # Safety
/// As fclose(3).
pub unsafe fn close(stream: *mut FILE, child: c_int) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { real::fclose(stream) };
    sys::wait_for(child).unwrap_or_else(errno::fail)
}

/// Mode of a stream of popen.
#[derive(Clone, Copy)]
struct Mode {
    reads: bool,
    is_closed_on_exec: bool,
}

impl Mode {
    fn of(mode: &[u8]) -> Result<Mode, Errno> {
        let has = |letter: u8| mode.contains(&letter);
        let is_known = mode.iter().all(|letter| b"rwe".contains(letter));
        match is_known && has(b'r') != has(b'w') {
            true => Ok(Mode { reads: has(b'r'), is_closed_on_exec: has(b'e') }),
            false => Err(Errno(libc::EINVAL)),
        }
    }
}

fn open(command: &CStr, mode: Mode) -> Result<*mut FILE, Errno> {
    let place = Place::take()?;
    let [output, input] = match sys::pipe() {
        Ok(ends) => ends,
        Err(errno) => {
            place.give_back();
            return Err(errno);
        }
    };
    let (ours, theirs, target, letter) = match mode.reads {
        true => (output, input, libc::STDOUT_FILENO, c"r"),
        false => (input, output, libc::STDIN_FILENO, c"w"),
    };
    let actions = Actions::Pipe { source: theirs, target, each_closed: each_descriptor };
    // SAFETY: an open descriptor, which the stream owns from here on.
    let stream = unsafe { real::fdopen(ours, letter.as_ptr()) };
    let started = match stream.is_null() {
        true => Err(Errno(errno::get())),
        false => start(command, Attributes::NONE, actions),
    };
    let _ = sys::close(theirs);
    match started {
        Ok(child) => {
            if !mode.is_closed_on_exec {
                let _ = sys::set_close_on_exec(ours, false);
            }
            place.fill(stream, ours, child);
            Ok(stream)
        }
        Err(errno) => {
            place.give_back();
            if stream.is_null() {
                let _ = sys::close(ours);
            } else {
                // SAFETY: no other thread has the stream.
                unsafe { real::fclose(stream) };
            }
            Err(errno)
        }
    }
}

/// One stream of popen.
struct Stream {
    /// Null: free. [`RESERVED`]: about to be filled.
    stream: AtomicPtr<FILE>,
    descriptor: AtomicI32,
    child: AtomicI32,
}

const RESERVED: *mut FILE = core::ptr::without_provenance_mut(1);

/// Streams in a page of memory, which starts with zeroes and is never given back.
#[repr(C)]
struct Page {
    next: AtomicPtr<Page>,
    streams: [Stream; 255],
}

const _: () = assert!(size_of::<Page>() <= 4096);

/// The latest page; null before the first popen.
static PAGES: AtomicPtr<Page> = AtomicPtr::new(null_mut());

fn streams() -> impl Iterator<Item = &'static Stream> {
    let page = |pointer: &AtomicPtr<Page>| {
        // Acquire pairs with the Release in `add_page`.
        // SAFETY: null or a page, which stays.
        unsafe { pointer.load(Acquire).as_ref() }
    };
    core::iter::successors(page(&PAGES), move |this| page(&this.next))
        .flat_map(|page| page.streams.iter())
}

fn add_page() -> Result<(), Errno> {
    let new: NonNull<Page> = sys::map_zeroed(size_of::<Page>())?.cast();
    let mut first = PAGES.load(Relaxed);
    loop {
        // SAFETY: a fresh mapping of zeroes, which are a page of free streams.
        unsafe { new.as_ref() }.next.store(first, Relaxed);
        // Release pairs with the Acquire in `streams`.
        match PAGES.compare_exchange(first, new.as_ptr(), Release, Relaxed) {
            Ok(_) => return Ok(()),
            Err(other) => first = other,
        }
    }
}

/// A stream that is reserved for the caller.
struct Place(&'static Stream);

impl Place {
    fn take() -> Result<Place, Errno> {
        loop {
            // Acquire pairs with the Release in `take` and `give_back`.
            let free = streams().find(|place| {
                place.stream.compare_exchange(null_mut(), RESERVED, Acquire, Relaxed).is_ok()
            });
            match free {
                Some(place) => return Ok(Place(place)),
                None => add_page()?,
            }
        }
    }

    fn fill(self, stream: *mut FILE, descriptor: c_int, child: c_int) {
        // Relaxed: the Release below publishes them.
        self.0.descriptor.store(descriptor, Relaxed);
        self.0.child.store(child, Relaxed);
        // Release pairs with the Acquire in `take` and `each_descriptor`.
        self.0.stream.store(stream, Release);
    }

    fn give_back(self) {
        // Release pairs with the Acquire in `Place::take`.
        self.0.stream.store(null_mut(), Release);
    }
}

/// The child of `stream`, if popen has given it; `stream` is forgotten.
pub fn take(stream: *mut FILE) -> Option<c_int> {
    if stream.is_null() {
        return None;
    }
    // Acquire pairs with the Release in `fill`.
    let place = streams().find(|place| place.stream.load(Acquire) == stream)?;
    let child = place.child.load(Relaxed);
    // AcqRel: pairs with `Place::take`, which may take it at once.
    place.stream.compare_exchange(stream, null_mut(), AcqRel, Relaxed).is_ok().then_some(child)
}

/// POSIX: the child of a popen does not get the streams of earlier ones.
fn each_descriptor(call: fn(c_int)) {
    for place in streams() {
        // Acquire pairs with the Release in `fill`.
        let stream = place.stream.load(Acquire);
        if !stream.is_null() && stream != RESERVED {
            call(place.descriptor.load(Relaxed));
        }
    }
}
