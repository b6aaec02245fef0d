//! A backend keeps the guarantees that it declares, and lacks those that it says it lacks.
//! `injection` does the same for H; `conformance` in the library, for every backend, what all of
//! them give.

use std::ffi::{c_int, c_void};
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use epochsocks::registry::{Guarantee, InsertError, SocketId};
use scopeguard::defer;

use crate::injection::{End, Shared, forbid_waits};
use crate::subject::{Subject, only_mallocs};

const ENTRY: i32 = 3;
const DUPLICATE: i32 = 4;
const VACANT: i32 = 5;

fn with_an_entry<S: Subject>() -> S {
    let subject = S::fresh();
    subject.insert(ENTRY, SocketId(30)).expect("vacant");
    assert_eq!(subject.duplicate(ENTRY, DUPLICATE), Ok(true));
    subject
}

/// Ends a child that has seen something wrong.
fn expect(right: bool) {
    if !right {
        // SAFETY: ends this process.
        unsafe { libc::_exit(1) }
    }
}

/// Every kind of read that finds something, and every operation that finds nothing.
fn read<S: Subject>(subject: &S) {
    expect(subject.borrow(ENTRY, |record| record.id()) == Some(SocketId(30)));
    expect(subject.lookup(DUPLICATE).is_some_and(|record| record.id() == SocketId(30)));
    expect(subject.contains(ENTRY));
    miss(subject);
}

fn miss<S: Subject>(subject: &S) {
    for fd in [VACANT, 1 << 19, i32::MAX, -1] {
        expect(!subject.contains(fd));
        expect(subject.borrow(fd, |_| ()).is_none());
        expect(subject.lookup(fd).is_none());
        expect(!subject.remove(fd));
        expect(subject.detach(fd).is_none());
    }
}

/// Runs `work` in a child that the kernel kills at its first system call, and tells how it ends.
fn without_system_calls(work: impl Fn()) -> End {
    Shared::<()>::new()
        .run(|()| {
            // SAFETY: this process has one thread and ends here, by the one call that is permitted.
            unsafe {
                assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT), 0);
                work();
                libc::syscall(libc::SYS_exit, 0);
            }
        })
        .1
}

/// Reads make no system call; a change asks at least for the process id.
fn reads_make_no_system_call<S: Subject>() {
    let subject = with_an_entry::<S>();
    // What is made at the first use is made.
    read(&subject);
    let reads = || (0..10_000).for_each(|_| read(&subject));
    // crossbeam's readers free what others have left, and free(3) may give memory back.
    reads();
    assert_eq!(without_system_calls(reads), End::Done);
    let change = || expect(subject.remove(ENTRY));
    assert_eq!(without_system_calls(change), End::Crash, "the filter lets system calls through");
}

mod system_calls {
    crate::subject::for_each_backend!(reads_make_no_system_call);
}

/// A page of its own for a registry, so that it can be made read-only.
struct Page<S>(*mut S);

impl<S: Subject> Page<S> {
    fn new() -> Page<S> {
        assert!(size_of::<S>() <= PAGE);
        // SAFETY: a new mapping that is never unmapped.
        unsafe {
            let page = libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(page, libc::MAP_FAILED, "{}", io::Error::last_os_error());
            let page = page.cast::<S>();
            page.write(S::fresh());
            Page(page)
        }
    }
}

const PAGE: usize = 4096;

/// The private writable mappings of this process that have no name: where registries are.
fn unnamed_memory() -> Vec<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("proc is mounted");
    let unnamed = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [range, "rw-p", _, _, "0"] = fields[..] else { return None };
        let (start, end) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?))
    };
    maps.lines().filter_map(unnamed).collect()
}

/// A miss writes nothing: the registry's memory may be read-only.
fn a_miss_writes_nothing<S: Subject>() {
    if S::VARIANT.needs_std {
        // What they write to a miss is in malloc's memory.
        return;
    }
    let locks = ["mutex", "mutex-slots"].contains(&S::VARIANT.name);
    // Before there is anything, and beside entries.
    for entries in [false, true] {
        let (_, end) = Shared::<()>::new().run(|()| {
            // The memory that reading takes is there when it is read.
            unnamed_memory();
            let before = unnamed_memory();
            let Page(subject) = Page::<S>::new();
            // SAFETY: just made, and never freed.
            let subject = unsafe { &*subject };
            if entries {
                subject.insert(ENTRY, SocketId(30)).expect("vacant");
                expect(subject.contains(ENTRY));
            }
            // A mapping may have grown by another's.
            let is_new = |(start, end): &(usize, usize)| {
                !before.iter().any(|(old, until)| old <= start && end <= until)
            };
            for (start, end) in unnamed_memory().into_iter().filter(is_new) {
                let begins = before.iter().filter(|(old, until)| *old < end && start < *until);
                let start = begins.map(|(_, until)| *until).max().unwrap_or(start);
                let memory = start as *mut c_void;
                // SAFETY: pages that the registry has mapped; who writes there is to be found.
                expect(unsafe { libc::mprotect(memory, end - start, libc::PROT_READ) } == 0);
            }
            miss(subject);
        });
        match (locks, entries) {
            (false, _) => assert_eq!(end, End::Done, "{}, {entries}", S::VARIANT.name),
            (true, true) => assert_eq!(end, End::Crash, "{} takes a lock", S::VARIANT.name),
            (true, false) => {}
        }
    }
}

mod misses {
    crate::subject::for_each_backend!(a_miss_writes_nothing);
}

/// Children of a process whose threads are in the midst of everything.
const CHILDREN: usize = 30;
/// The same for backends whose children may wait for ever: one of many does.
const MANY_CHILDREN: usize = 3_000;

/// J: a child of fork does everything at once; or, where that is not promised, some child waits for
/// a lock that a thread held which it does not have.
fn forked_children_work_at_once<S: Subject>() {
    // libc's fork sets malloc's locks right.
    let promised = S::VARIANT.guarantees.has(Guarantee::J) || only_mallocs::<S>();
    children_work_at_once::<S>(promised, |child, work| child.run(work).1);
}

/// The same for a child that libc does nothing for.
fn bare_children_work_at_once<S: Subject>() {
    let promised = S::VARIANT.guarantees.has(Guarantee::J);
    if only_mallocs::<S>() && std::env::var_os(TUNABLES).is_none() {
        return without_caches_of_malloc(S::VARIANT.name);
    }
    children_work_at_once::<S>(promised, |child, work| child.run_in_bare_child(work).1);
}

const TUNABLES: &str = "GLIBC_TUNABLES";

/// Runs the test of `backend` anew where a thread is often in malloc's lock: else its own cache
/// mostly answers.
fn without_caches_of_malloc(backend: &str) {
    let test = format!("guarantees::bare_forks::{}", backend.replace('-', "_"));
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", &test]).env(TUNABLES, "glibc.malloc.tcache_count=0");
    let output = command.output().expect("this program can be run");
    let seen = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && seen.contains("1 passed"), "{seen}");
}

fn children_work_at_once<S: Subject>(
    promised: bool,
    run: impl Fn(Shared<()>, &dyn Fn(&mut ())) -> End,
) {
    let subject = with_an_entry::<S>();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        defer! { over.store(true, SeqCst) }
        for thread in 0..3 {
            let (subject, over) = (&subject, &over);
            scope.spawn(move || {
                while !over.load(SeqCst) {
                    let _ = subject.insert(100 + thread, SocketId(1));
                    subject.remove(100 + thread);
                    subject.lookup(ENTRY);
                }
            });
        }
        let work = |(): &mut ()| {
            forbid_waits();
            everything(&subject);
        };
        let count = if promised { CHILDREN } else { MANY_CHILDREN };
        let bad = (0..count).map(|_| run(Shared::new(), &work)).find(|end| *end != End::Done);
        let expected = (!promised).then_some(End::Deadlock);
        assert_eq!(bad, expected, "{}", S::VARIANT.name);
    });
}

fn everything<S: Subject>(subject: &S) {
    read(subject);
    for cookie in 0..200 {
        expect(subject.insert(VACANT, SocketId(cookie)).is_ok());
        expect(subject.duplicate(VACANT, VACANT + 1) == Ok(true));
        expect(subject.supersede(VACANT) == Ok(true));
        expect(subject.borrow(VACANT + 1, |record| record.id()) == Some(SocketId(cookie)));
        expect(subject.remove(VACANT) && subject.remove(VACANT + 1));
    }
}

mod forks {
    crate::subject::for_each_backend!(forked_children_work_at_once);
}

mod bare_forks {
    crate::subject::for_each_backend!(bare_children_work_at_once);
}

/// J: whatever a child does that shares the memory but not the descriptors, the parent's registry
/// stays as it was; also where the parent is a forked child that has changed nothing itself.
fn a_vfork_child_changes_nothing<S: Subject>() {
    let subject = with_an_entry::<S>();
    vfork_child_changes_nothing(&subject);
    for is_told in [true, false] {
        let ((), end) = Shared::new().run(|(): &mut ()| {
            if is_told {
                subject.after_fork_in_child();
            }
            vfork_child_changes_nothing(&subject);
        });
        assert_eq!(end, End::Done, "{}, told: {is_told}", S::VARIANT.name);
    }
}

fn vfork_child_changes_nothing<S: Subject>(subject: &S) {
    extern "C" fn child<S: Subject>(subject: *mut c_void) -> c_int {
        // SAFETY: the parent keeps it and waits.
        let subject = unsafe { &*subject.cast::<S>() };
        let left_alone = !subject.may_change()
            && !subject.remove(ENTRY)
            && subject.detach(ENTRY).is_none()
            && subject.insert(VACANT, SocketId(50)) == Err(InsertError::Foreign)
            && subject.duplicate(ENTRY, VACANT) == Err(InsertError::Foreign)
            && subject.duplicate(VACANT, ENTRY) == Err(InsertError::Foreign)
            && subject.supersede(ENTRY) == Err(InsertError::Foreign)
            && subject.borrow(ENTRY, |record| record.id()) == Some(SocketId(30));
        i32::from(!left_alone)
    }
    let mut stack = vec![0u128; 4096];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let mut status = 0;
    // SAFETY: the stack is the child's until it ends, for which CLONE_VFORK waits.
    unsafe {
        let top = stack.as_mut_ptr_range().end;
        let shared = core::ptr::from_ref(subject).cast_mut().cast();
        let child = libc::clone(child::<S>, top.cast(), flags, shared);
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
    }
    assert_eq!(status, 0, "{}", S::VARIANT.name);
    assert!(subject.may_change() && !subject.contains(VACANT), "{}", S::VARIANT.name);
    read(subject);
}

mod vforks {
    crate::subject::for_each_backend!(a_vfork_child_changes_nothing);
}
