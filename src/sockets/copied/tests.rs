//! Copies of descriptors beside closes.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use crate::registry::Registry;
use crate::sockets::tests::{Subject, close, id, socket, sockets};
use crate::sockets::{Connection, Copying, Number, Progress, Record};
use crate::sys::{boundary, net};

/// A connection, another descriptor of it that a call has just made, and the call.
fn a_copy_under_way(sockets: &Subject) -> (i32, i32, Copying) {
    let fd = socket(sockets, 0);
    let connection = Connection::to(SocketAddr::from(([192, 0, 2, 1], 80)));
    sockets.registry().borrow(fd, |record| record.publish_now(connection)).unwrap();
    let copying = sockets.begin_copy(fd, Number::Free).unwrap();
    // SAFETY: dup takes an integer.
    (fd, unsafe { libc::dup(fd) }, copying)
}

#[test]
fn a_copy_that_no_close_has_met_costs_no_question() {
    let sockets = sockets();
    let (fd, copy, copying) = a_copy_under_way(&sockets);
    let copied = |is_doubted| {
        boundary::count(|| {
            assert_eq!(sockets.copied(fd, copy, Some(&copying), is_doubted), Ok(true));
        })
    };
    // The registry's own, which counts as one.
    assert_eq!(copied(false), 1);
    assert!(copied(true) > 1);
    sockets.end_copy(copying);
    sockets.note_close();
    assert_eq!(sockets.copies.counts(), (0, 0), "no copy is under way");
    [fd, copy].into_iter().for_each(|fd| close(&sockets, fd));
}

/// A handler, or another thread, closes what a call has just made before the call has made its entry.
#[test]
fn a_copy_that_was_closed_at_once_leaves_no_entry() {
    let sockets = sockets();
    let (fd, copy, copying) = a_copy_under_way(&sockets);
    sockets.forget(copy);
    let (other, _peer) = UnixStream::pair().unwrap();
    // SAFETY: dup2 takes integers; both numbers are this test's.
    assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), copy) }, copy);
    let _ = sockets.copied(fd, copy, Some(&copying), false);
    sockets.end_copy(copying);
    assert!(!sockets.registry().contains(copy));
    [fd, copy].into_iter().for_each(|fd| close(&sockets, fd));
}

/// The same with the source, where another thread opens a socket of its own.
#[test]
fn a_copy_keeps_its_entry_whatever_becomes_of_the_source() {
    let sockets = sockets();
    let (fd, copy, copying) = a_copy_under_way(&sockets);
    sockets.forget(fd);
    let other = net::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::dup2(other, fd) }, fd);
    sockets.track(fd).unwrap();
    let _ = sockets.copied(fd, copy, Some(&copying), false);
    sockets.end_copy(copying);
    let look = |fd| sockets.registry().borrow(fd, |record| (record.id(), record.progress()));
    assert_eq!(look(copy), Some((id(copy), Progress::Connected)));
    assert_eq!(look(fd), Some((id(fd), Progress::Unconnected)));
    [fd, copy, other].into_iter().for_each(|fd| close(&sockets, fd));
}

/// Another thread's close has taken the entry of the source, and has not counted itself yet.
#[test]
fn a_copy_keeps_its_entry_while_the_source_is_about_to_be_closed() {
    let sockets = sockets();
    let (fd, copy, copying) = a_copy_under_way(&sockets);
    sockets.registry().remove(fd);
    let _ = sockets.copied(fd, copy, Some(&copying), false);
    sockets.end_copy(copying);
    let look = |fd| sockets.registry().borrow(fd, |record| (record.id(), record.progress()));
    assert_eq!(look(copy), Some((id(copy), Progress::Connected)));
    [fd, copy].into_iter().for_each(|fd| close(&sockets, fd));
}

/// Two threads give the same number to two connections at once: the kernel takes the second call last, and the
/// registry is told of the first one last.
#[test]
fn two_copies_over_the_same_number_are_compared() {
    let sockets = sockets();
    let connection = Connection::to(SocketAddr::from(([192, 0, 2, 1], 80)));
    let ours = [socket(&sockets, 0), socket(&sockets, 0)];
    let target = socket(&sockets, 0);
    let [first, second] = ours.map(|fd| {
        sockets.registry().borrow(fd, |record| record.publish_now(connection)).unwrap();
        sockets.begin_copy(fd, Number::Chosen).unwrap()
    });
    // SAFETY: dup2 takes integers; the numbers are this test's.
    assert_eq!(ours.map(|fd| unsafe { libc::dup2(fd, target) }), [target; 2]);
    let _ = sockets.copied(ours[1], target, Some(&second), false);
    let _ = sockets.copied(ours[0], target, Some(&first), false);
    [first, second].into_iter().for_each(|copying| sockets.end_copy(copying));
    assert_ne!(sockets.registry().borrow(target, Record::id), Some(id(ours[0])));
    // Nor where the registry is told in the kernel's order.
    let [first, second] = ours.map(|fd| sockets.begin_copy(fd, Number::Chosen).unwrap());
    // SAFETY: as above.
    assert_eq!(unsafe { libc::dup2(ours[0], target) }, target);
    let _ = sockets.copied(ours[0], target, Some(&first), false);
    let _ = sockets.copied(ours[1], target, Some(&second), false);
    [first, second].into_iter().for_each(|copying| sockets.end_copy(copying));
    assert_ne!(sockets.registry().borrow(target, Record::id), Some(id(ours[1])));
    [ours[0], ours[1], target].into_iter().for_each(|fd| close(&sockets, fd));
}

/// A handler interrupts the call, and forks; the child's handler closes what the call has made, and goes back to
/// the call, which ends in the child.
#[test]
fn a_copy_that_a_forked_handler_has_closed_leaves_no_entry() {
    let sockets = sockets();
    let (fd, copy, copying) = a_copy_under_way(&sockets);
    // SAFETY: the child calls nothing that waits for a thread which it lacks.
    let child = unsafe { libc::fork() };
    if child == 0 {
        sockets.after_fork_in_child();
        sockets.forget(copy);
        // SAFETY: dup2 takes integers.
        let is_replaced = unsafe { libc::dup2(0, copy) } == copy;
        let _ = sockets.copied(fd, copy, Some(&copying), false);
        sockets.end_copy(copying);
        let is_right =
            is_replaced && !sockets.registry().contains(copy) && sockets.copies.counts().0 == 0;
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!is_right)) };
    }
    let mut status = 0;
    // SAFETY: the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    sockets.end_copy(copying);
    [fd, copy].into_iter().for_each(|fd| close(&sockets, fd));
}

/// A call that gave the target a file without an entry is late to tell of it: another thread has given the target a
/// connection since.
#[test]
fn a_late_copy_of_a_file_leaves_the_entry_of_a_connection() {
    let sockets = sockets();
    let (fd, copy, copying) = a_copy_under_way(&sockets);
    let _ = sockets.copied(fd, copy, Some(&copying), false);
    sockets.end_copy(copying);
    let (file, _peer) = UnixStream::pair().unwrap();
    let _ = sockets.copied(file.as_raw_fd(), copy, None, true);
    let connected = sockets.registry().borrow(copy, |record| (record.id(), record.progress()));
    assert_eq!(connected, Some((id(copy), Progress::Connected)));
    [fd, copy].into_iter().for_each(|fd| close(&sockets, fd));
}
