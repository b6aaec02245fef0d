//! Memory under connections that come and go, ten million of them in the long form.

use std::net::{Ipv4Addr, SocketAddr};

use epochsocks::registry::SocketId;
use epochsocks::sockets::Connection;
use epochsocks::sockets::Record;

use crate::subject::{Account, Subject, account};
use epochsocks::registry::{Slots, SlotsBarrier, SlotsHazard};

const THREADS: i32 = 4;
/// Descriptors that a thread has open at the same time, each with a duplicate.
const OPEN: i32 = 20;
/// Records that may be around at the end: what was open at once, and what arenas keep.
const FEW: usize = 1_000;

fn connections() -> u64 {
    if crate::long() { 10_000_000 } else { 200_000 }
}

/// Opens, connects, duplicates, reads and closes.
fn come_and_go<S: Subject>(subject: &S, thread: i32, count: u64) {
    let first = 2 * OPEN * thread;
    for number in 0..count {
        let fd = first + (number % OPEN as u64) as i32;
        let copy = fd + OPEN;
        // What was opened one round ago.
        subject.remove(copy);
        subject.remove(fd);
        subject.insert(fd, SocketId(number)).expect("a vacant descriptor");
        let record = subject.lookup(fd).expect("an entry");
        let claim = record.begin_connect().expect("not connected");
        let destination = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), number as u16));
        record.publish(claim, Connection::to(destination));
        drop(record);
        assert_eq!(subject.duplicate(fd, copy), Ok(true));
        let port =
            subject.borrow(copy, |record| record.connection().map(|c| c.destination().port()));
        assert_eq!(port, Some(Some(number as u16)));
    }
    for fd in first..first + 2 * OPEN {
        subject.remove(fd);
    }
}

/// Resident pages of this process; its other tests may add to them.
fn resident_pages() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

fn memory_stays_flat<S: Subject>() {
    let subject = S::fresh();
    let all = |count: u64| {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let subject = &subject;
                scope.spawn(move || come_and_go(subject, thread, count / THREADS as u64));
            }
        });
    };
    all(10_000);
    let (before, nodes) = (resident_pages(), account(&subject).nodes);
    all(connections());
    let (after, account) = (resident_pages(), account(&subject));
    eprintln!(
        "{}: {} connections: {before} pages before, {after} after; {nodes} records, then {}",
        S::VARIANT.name,
        connections(),
        account.nodes
    );
    let Account { lost, doubled, claims, nodes, .. } = account;
    assert_eq!((lost, doubled, claims), (0, 0, 0), "{account:?}");
    assert!(nodes < FEW, "{account:?}");
}

#[test]
fn memory_stays_flat_however_many_connections_come_and_go_with_eras() {
    memory_stays_flat::<Slots<Record>>();
}

#[test]
fn memory_stays_flat_however_many_connections_come_and_go_with_barriers() {
    memory_stays_flat::<SlotsBarrier<Record>>();
}

#[test]
fn memory_stays_flat_however_many_connections_come_and_go_with_hazards() {
    memory_stays_flat::<SlotsHazard<Record>>();
}
