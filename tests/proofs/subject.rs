//! A registry under proof: how the model's operations are done to it, and where its memory is.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

use epochsocks::registry::{self, Audit, Guarantee, Registry, SocketId, Use};
use epochsocks::sockets::{Connection, Record};

use crate::model::{Answer, FDS, Operation, Seen};

/// A registry that can be made and counted.
pub trait Subject: Registry<Payload = Record> + 'static {
    /// An empty one.
    fn fresh() -> Self;
    /// Addresses of its memory, if it can say so.
    fn audit(&self) -> Option<&dyn Audit>;
}

/// Finds whether a backend is an [`Audit`]: the second trait is asked where the first has nothing to say.
struct Audited<'a, S>(&'a S);

trait CanSay<'a> {
    fn audit(&self) -> Option<&'a dyn Audit>;
}

impl<'a, S: Audit> CanSay<'a> for Audited<'a, S> {
    fn audit(&self) -> Option<&'a dyn Audit> {
        Some(self.0)
    }
}

trait CannotSay<'a> {
    fn audit(&self) -> Option<&'a dyn Audit>;
}

impl<'a, S> CannotSay<'a> for &Audited<'a, S> {
    fn audit(&self) -> Option<&'a dyn Audit> {
        None
    }
}

macro_rules! subjects {
    ($({ $($name:ident $variant:ident $text:literal ($($backend:tt)*) $rest:tt)* })*) => { $($(
        impl Subject for $($backend)*<Record> {
            fn fresh() -> Self {
                Self::new()
            }

            fn audit(&self) -> Option<&dyn Audit> {
                (&Audited(self)).audit()
            }
        }
    )*)* };
}
registry::for_each_backend! { subjects }

/// Tells whether malloc's locks are all that a backend ever waits for.
pub fn only_mallocs<S: Subject>() -> bool {
    ["snapshot", "slots-crossbeam"].contains(&S::VARIANT.name)
}

/// Runs a generic property for each backend, as a test of its own; for those with std in the long form.
macro_rules! for_each_backend {
    ($property:ident) => {
        epochsocks::registry::for_each_backend! { property_of_each $property }
    };
}
pub(crate) use for_each_backend;

macro_rules! property_of_each {
    ($property:ident
        $({ $($name:ident $variant:ident $text:literal ($($backend:tt)*) $rest:tt)* })*) => { $($(
        #[test]
        fn $name() {
            use epochsocks::registry::Registry;
            type Backend = $($backend)*<epochsocks::sockets::Record>;
            if crate::long() || !Backend::VARIANT.needs_std {
                super::$property::<Backend>();
            }
        }
    )*)* };
}

/// Tells whether every operation may run in a signal handler.
pub fn is_signal_safe<S: Subject>() -> bool {
    S::VARIANT.guarantees.has(Guarantee::H)
}

/// A handle that [`Operation::Put`] gives up.
#[derive(Default)]
pub struct Held(AtomicPtr<Record>);

impl Held {
    /// Holds a reference to what `fd` names.
    pub fn hold<S: Subject>(&self, subject: &S, fd: i32) {
        let record = subject.acquire(fd).expect("an entry");
        self.0.store(record.as_ptr(), SeqCst);
    }

    /// Gives it up, if it is still held.
    pub fn put<S: Subject>(&self, subject: &S) {
        if let Some(record) = NonNull::new(self.0.swap(null_mut(), SeqCst)) {
            // SAFETY: from `acquire`, and the swap takes it once.
            unsafe { subject.release(record) };
        }
    }
}

/// Does an operation. Calls no function that a signal handler may not, but the subject's.
#[inline(never)]
pub fn perform<S: Subject>(subject: &S, held: &Held, operation: Operation) -> Answer {
    let name = |fd: usize| fd as i32;
    match operation {
        Operation::Borrow(fd) => subject.borrow(name(fd), read).unwrap_or(Answer::No),
        Operation::Lookup(fd) => {
            subject.lookup(name(fd)).map_or(Answer::No, |record| read(&record))
        }
        Operation::Insert(fd, cookie) => subject.insert(name(fd), SocketId(cookie)).is_ok().into(),
        Operation::Remove(fd) => subject.remove(name(fd)).into(),
        Operation::Duplicate(source, target) => {
            (subject.duplicate(name(source), name(target)) == Ok(true)).into()
        }
        Operation::Reopen(fd) => match subject.detach(name(fd)) {
            Some(entry) => {
                subject.restore(name(fd), entry);
                Answer::Yes
            }
            None => Answer::No,
        },
        Operation::Close(fd) => match subject.detach(name(fd)) {
            Some(entry) => {
                subject.discard(entry);
                Answer::Yes
            }
            None => Answer::No,
        },
        Operation::Supersede(fd) => (subject.supersede(name(fd)) == Ok(true)).into(),
        Operation::Connect(fd, port) => connect(subject, name(fd), port).into(),
        Operation::Put => {
            held.put(subject);
            Answer::Yes
        }
    }
}

fn connect<S: Subject>(subject: &S, fd: i32, port: u16) -> bool {
    let Some(record) = subject.lookup(fd) else { return false };
    let Ok(claim) = record.begin_connect() else { return false };
    let destination = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), port));
    record.publish(claim, Connection::to(destination));
    true
}

/// Reads a record from both ends, so that one which is reused meanwhile shows.
fn read(record: &Record) -> Answer {
    let SocketId(before) = black_box(record).id();
    let port =
        black_box(record).connection().map_or(0, |connection| connection.destination().port());
    let SocketId(cookie) = black_box(record).id();
    if before == cookie { Answer::Record { cookie, port } } else { Answer::Torn }
}

/// Visible state of every descriptor.
pub fn seen<S: Subject>(subject: &S) -> [Seen; FDS] {
    let addresses: [Option<*const Record>; FDS] =
        core::array::from_fn(|fd| subject.borrow(fd as i32, |record| &raw const *record));
    core::array::from_fn(|fd| {
        let first = addresses.iter().position(|other| *other == addresses[fd])?;
        match subject.borrow(fd as i32, read)? {
            Answer::Record { cookie, port } => Some((cookie, port, first)),
            _ => Some((u64::MAX, 0, first)),
        }
    })
}

/// Faults in the memory of a subject at rest that has no entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Nodes that are nowhere, or retired with references that no handle has.
    pub lost: usize,
    /// Nodes that are in two lists, or in one and still in use.
    pub doubled: usize,
    /// Claims that no thread holds.
    pub claims: usize,
    /// Nodes that wait for readers which are not there.
    pub retired: usize,
    /// Nodes in all.
    pub nodes: usize,
}

/// Place where a node was met.
#[derive(Clone, Copy, Default)]
struct Met {
    /// Lists of free or retired nodes that it is in.
    lists: usize,
    /// A descriptor names it, or a retired record keeps it.
    used: bool,
}

/// Counts the memory of a subject that has no operation under way. What is still named or held
/// counts as lost, so that this is meant for one without entries; `doubled` is right for any.
pub fn account<S: Subject>(subject: &S) -> Account {
    let Some(audit) = subject.audit() else { return Account::default() };
    let mut met = vec![Met::default(); audit.handed_out() as usize];
    let mut account = Account { claims: audit.claims(), nodes: met.len(), ..Account::default() };
    let mut visit = |number: u32, usage| {
        let met = &mut met[number as usize];
        match usage {
            Use::Named => {
                met.used = true;
                account.lost += 1;
            }
            Use::Kept => met.used = true,
            Use::Free => met.lists += 1,
            Use::Retired(references) => {
                met.lists += 1;
                account.retired += 1;
                account.lost += usize::from(references != 1);
            }
        }
        // A list that leads back into itself has no end.
        if met.lists == 100 {
            resume_unwind(Box::new("a circle"));
        }
    };
    // SAFETY: at rest, as the caller says.
    let count = || unsafe { audit.each_node(&mut visit) };
    let complete = catch_unwind(AssertUnwindSafe(count)).is_ok();
    account.doubled = met.iter().filter(|met| met.lists + usize::from(met.used) > 1).count();
    if complete {
        account.lost += met.iter().filter(|met| met.lists == 0 && !met.used).count();
    }
    account
}
