use super::*;

const CONNECTION: Connection =
    Connection::to(core::net::SocketAddr::new(core::net::IpAddr::V4(LOCALHOST), 1));
const LOCALHOST: core::net::Ipv4Addr = core::net::Ipv4Addr::LOCALHOST;
const REFUSED: Errno = Errno(libc::ECONNREFUSED);

fn end(progress: Progress) -> End {
    End { progress, stays_connected: false, keeps_slot: false, is_told: false }
}

fn sent_off() -> (Record, InFlight) {
    let record = Record::new(SocketId(7));
    let claim = record.begin_connect().unwrap();
    let attempt = record.send_off(claim, CONNECTION, 3);
    (record, attempt)
}

#[test]
fn a_connection_in_flight_is_not_visible_before_it_is_established() {
    let (record, attempt) = sent_off();
    assert_eq!((attempt.slot, record.connection()), (3, None));
    assert_eq!(record.begin_connect().err(), Some(Progress::Busy));
    record.complete(attempt, end(Progress::Connected));
    assert_eq!(record.connection(), Some(&CONNECTION));
    assert_eq!(record.begin_connect().err(), Some(Progress::Connected));
}

#[test]
fn a_success_is_told_once() {
    let (record, attempt) = sent_off();
    assert!(!record.take_success());
    let end = End { keeps_slot: true, ..end(Progress::Connected) };
    record.complete(attempt, end);
    assert_eq!([record.take_success(), record.take_success()], [true, false]);
    assert_eq!((record.progress(), record.slot()), (Progress::Connected, Some(3)));
    let (told, attempt) = sent_off();
    told.complete(attempt, End { is_told: true, ..end });
    assert!(!told.take_success());
    told.leave_success();
    assert_eq!([told.take_success(), told.take_success()], [true, false]);
    let passed = Record::new(SocketId(8));
    passed.leave_success();
    passed.publish_now(CONNECTION);
    assert!(!passed.take_success());
}

#[test]
fn a_failure_is_told_once_and_then_the_next_connect_may_begin() {
    let (record, attempt) = sent_off();
    record.complete(attempt, end(Progress::Failed(REFUSED)));
    assert_eq!(record.begin_connect().err(), Some(Progress::Failed(REFUSED)));
    assert_eq!(record.take_error(), Some(REFUSED));
    assert_eq!(record.take_error(), None);
    assert!(record.begin_connect().is_ok());
}

#[test]
fn a_failure_on_a_socket_that_could_not_be_disconnected_is_told_for_ever() {
    let (record, attempt) = sent_off();
    let progress = Progress::Failed(REFUSED);
    let end = End { stays_connected: true, keeps_slot: true, ..end(progress) };
    record.complete(attempt, end);
    assert_eq!([record.take_error(), record.take_error()], [Some(REFUSED); 2]);
    assert!(record.begin_connect().is_err());
    assert_eq!(record.slot(), Some(3));
}

#[test]
fn a_late_end_does_not_touch_the_next_attempt() {
    let (record, attempt) = sent_off();
    record.complete(attempt, end(Progress::Unconnected));
    let claim = record.begin_connect().unwrap();
    let next = record.send_off(claim, CONNECTION, 3);
    record.complete(attempt, end(Progress::Connected));
    assert_eq!(record.progress(), Progress::Busy);
    record.complete(next, end(Progress::Connected));
    assert_eq!(record.progress(), Progress::Connected);
}

#[test]
fn an_attempt_that_is_sent_off_after_a_close_is_still_known_to_its_sender() {
    let (record, attempt) = sent_off();
    record.close();
    assert!(record.in_flight().is_none());
    record.complete(attempt, end(Progress::Connected));
    assert_eq!(record.progress(), Progress::Unconnected);
}

#[test]
fn the_first_slot_stays_until_the_handshake_ends() {
    let record = Record::new(SocketId(7));
    assert_eq!(record.set_slot(0), Ok(()));
    assert_eq!(record.set_slot(1), Err(Some(0)));
    let claim = record.begin_connect().unwrap();
    assert_eq!((record.slot(), record.take_slot()), (Some(0), None));
    record.abandon(claim);
    assert_eq!((record.take_slot(), record.slot()), (Some(0), None));
}

#[test]
fn a_claim_of_a_thread_that_is_not_there_is_forgotten() {
    let record = Record::new(SocketId(1));
    record.forget_claim();
    let _ = record.begin_connect().expect("unconnected");
    assert_eq!(record.begin_connect().err(), Some(Progress::Busy));
    record.forget_claim();
    let claim = record.begin_connect().expect("unconnected again");
    let _ = record.send_off(claim, CONNECTION, 3);
    record.forget_claim();
    assert_eq!(record.progress(), Progress::Busy);
    record.close();
}
