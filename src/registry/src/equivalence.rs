//! Random sequences of operations against a plain map of shared records.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use proptest::prelude::*;

use super::test_record::TestRecord;
use super::{Detached, Payload, Registry, SocketId};

const FDS: i32 = 6;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Insert(i32),
    Remove(i32),
    Duplicate(i32, i32),
    Supersede(i32),
    Connect(i32),
    Detach(i32),
    /// Ends the oldest detachment, by a restore or a discard.
    Restore,
    Discard,
    /// Takes a handle and keeps it.
    Hold(i32),
    /// Drops the oldest handle.
    Release,
}

fn operation() -> impl Strategy<Value = Operation> {
    let fd = || 0..FDS;
    prop_oneof![
        3 => fd().prop_map(Operation::Insert),
        2 => fd().prop_map(Operation::Remove),
        3 => (fd(), fd()).prop_map(|(source, target)| Operation::Duplicate(source, target)),
        1 => fd().prop_map(Operation::Supersede),
        2 => fd().prop_map(Operation::Connect),
        1 => fd().prop_map(Operation::Detach),
        1 => Just(Operation::Restore),
        1 => Just(Operation::Discard),
        1 => fd().prop_map(Operation::Hold),
        1 => Just(Operation::Release),
    ]
}

/// Record of the model. Two descriptors name one record when they name one `Rc`.
type Plain = Rc<(u64, Cell<bool>)>;

#[derive(Default)]
struct Model {
    names: HashMap<i32, Plain>,
    detached: Vec<(i32, Plain)>,
    held: Vec<Plain>,
}

impl Model {
    fn supersede(&mut self, fd: i32) -> bool {
        let Some(old) = self.names.get(&fd).cloned() else { return false };
        let fresh: Plain = Rc::new((old.0, Cell::new(false)));
        let names = self.names.values_mut().chain(self.detached.iter_mut().map(|(_, name)| name));
        names.filter(|name| Rc::ptr_eq(name, &old)).for_each(|name| *name = fresh.clone());
        true
    }
}

/// Runs both, and compares each answer and, after each step, every descriptor.
fn agree(registry: &impl Registry<Payload = TestRecord>, operations: &[Operation]) {
    let mut model = Model::default();
    let mut detached: Vec<Detached> = Vec::new();
    let mut held = Vec::new();
    for (step, operation) in operations.iter().enumerate() {
        let cookie = step as u64;
        match *operation {
            Operation::Insert(fd) => {
                let vacant = !model.names.contains_key(&fd);
                assert_eq!(registry.insert(fd, SocketId(cookie)).is_ok(), vacant);
                model.names.entry(fd).or_insert_with(|| Rc::new((cookie, Cell::new(false))));
            }
            Operation::Remove(fd) => {
                assert_eq!(registry.remove(fd), model.names.remove(&fd).is_some());
            }
            Operation::Duplicate(source, target) => {
                let named = model.names.get(&source).cloned();
                assert_eq!(registry.duplicate(source, target), Ok(named.is_some()));
                match named {
                    Some(name) => model.names.insert(target, name),
                    None => model.names.remove(&target),
                };
            }
            Operation::Supersede(fd) => {
                assert_eq!(registry.supersede(fd), Ok(model.supersede(fd)));
            }
            Operation::Connect(fd) => {
                let connected = registry.lookup(fd).map(|record| record.connect(80));
                let name = model.names.get(&fd);
                assert_eq!(connected, name.map(|name| !name.1.replace(true)));
            }
            Operation::Detach(fd) => {
                let entry = registry.detach(fd);
                assert_eq!(entry.is_some(), model.names.contains_key(&fd));
                detached.extend(entry);
                model.detached.extend(model.names.remove(&fd).map(|name| (fd, name)));
            }
            Operation::Restore if !detached.is_empty() => {
                let (fd, name) = model.detached.remove(0);
                registry.restore(fd, detached.remove(0));
                model.names.entry(fd).or_insert(name);
            }
            Operation::Discard if !detached.is_empty() => {
                model.detached.remove(0);
                registry.discard(detached.remove(0));
            }
            Operation::Hold(fd) => {
                held.extend(registry.lookup(fd));
                model.held.extend(model.names.get(&fd).cloned());
            }
            Operation::Release if !held.is_empty() => {
                drop(held.remove(0));
                model.held.remove(0);
            }
            Operation::Restore | Operation::Discard | Operation::Release => {}
        }
        for fd in 0..FDS {
            let seen = registry.borrow(fd, |record| (record.id().0, record.port().is_some()));
            assert_eq!(seen, model.names.get(&fd).map(|name| (name.0, name.1.get())), "fd {fd}");
        }
        for (handle, name) in held.iter().zip(&model.held) {
            assert_eq!(handle.id(), SocketId(name.0));
        }
    }
    detached.into_iter().for_each(|entry| registry.discard(entry));
}

macro_rules! equivalence {
    ($($name:ident $variant:ident $text:literal ($($backend:tt)*) $rest:tt)*) => {
        /// Each backend is a map of shared records.
        mod map_of_shared_records {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
                $(
                    #[test]
                    fn $name(operations in prop::collection::vec(operation(), 1..120)) {
                        agree(&$($backend)*::<TestRecord>::new(), &operations);
                    }
                )*
            }
        }
    };
}

super::for_each_backend! { of_this_crate equivalence }
