use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::socks5::{Host, Name, ReplyCode};

const METHOD_NONE: &[u8] = b"\x05\x00";
const METHOD_PASSWORD: &[u8] = b"\x05\x02";
const PASSWORD_ACCEPTED: &[u8] = b"\x01\x00";
const REPLY_IPV4: &[u8] = b"\x05\x00\x00\x01\xc0\x00\x02\x07\x01\xbb";
const REPLY_IPV6: &[u8] = b"\x05\x00\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0";
const REPLY_NAME: &[u8] = b"\x05\x00\x00\x03\x09a.example\0\0";
const REPLY_ABSENT: &[u8] = b"\x05\x00\x00\x00\0\0\0\0\0\0";

fn request(command: Command) -> Request {
    let host = match command {
        Command::ResolvePtr => Host::Address("192.0.2.7".parse().unwrap()),
        _ => Host::Name(Name::new(b"a.example").unwrap()),
    };
    Request { command, host, port: 443 }
}

fn credentials() -> Credentials {
    Credentials::new(b"user", b"0").unwrap()
}

fn handshake(command: Command) -> Handshake {
    Handshake::new(&request(command), None)
}

fn authenticating(command: Command) -> Handshake {
    Handshake::new(&request(command), Some(&credentials()))
}

/// Outcome of a run against a script.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    end: Result<Answer, Error>,
    sent: Vec<u8>,
    writes: usize,
    /// Number of bytes of the script that were taken off the socket.
    taken: usize,
}

/// Drives `handshake` against a server that says `script` and hangs up; each receive gets at most
/// as many bytes as the next of `pieces` says, and so does each send.
fn drive(mut handshake: Handshake, script: &[u8], pieces: &[usize]) -> Outcome {
    let mut pieces = pieces.iter().copied().cycle();
    let (mut sent, mut writes, mut taken) = (Vec::new(), 0, 0);
    let end = loop {
        let piece = pieces.next().unwrap_or(usize::MAX);
        match handshake.step() {
            Step::Done(answer) => break Ok(answer),
            Step::Failed(error) => break Err(error),
            Step::Send(bytes) => {
                let count = bytes.len().min(piece);
                sent.extend_from_slice(&bytes[..count]);
                writes += 1;
                handshake.sent(count);
            }
            Step::Receive(most) => {
                assert_ne!(most, 0, "a receive of nothing never ends");
                let rest = &script[taken..];
                let count = rest.len().min(most).min(piece);
                taken += count;
                match count {
                    0 => handshake.closed(),
                    _ => handshake.received(&rest[..count]),
                }
            }
        }
    };
    Outcome { end, sent, writes, taken }
}

fn answer_of(command: Command, reply: &[u8]) -> Result<Answer, Error> {
    drive(handshake(command), &[METHOD_NONE, reply].concat(), &[]).end
}

#[test]
fn without_credentials_greeting_and_request_are_one_write() {
    let outcome = drive(handshake(Command::Connect), &[METHOD_NONE, REPLY_IPV4].concat(), &[]);
    assert_eq!(outcome.end, Ok(Answer::Connected));
    assert_eq!(outcome.sent, b"\x05\x01\x00\x05\x01\x00\x03\x09a.example\x01\xbb");
    assert_eq!(outcome.writes, 1);
}

#[test]
fn with_credentials_password_and_request_are_one_write_after_the_method() {
    let script = [METHOD_PASSWORD, PASSWORD_ACCEPTED, REPLY_IPV4].concat();
    let mut handshake = authenticating(Command::Connect);
    assert_eq!(handshake.step(), Step::Send(b"\x05\x01\x02"));
    handshake.sent(3);
    assert_eq!(handshake.step(), Step::Receive(2));
    handshake.received(METHOD_PASSWORD);
    let sent = b"\x01\x04user\x010\x05\x01\x00\x03\x09a.example\x01\xbb";
    assert_eq!(handshake.step(), Step::Send(sent));
    let outcome = drive(authenticating(Command::Connect), &script, &[]);
    assert_eq!((outcome.end, outcome.writes), (Ok(Answer::Connected), 2));
}

#[test]
fn connect_accepts_a_reply_of_every_address_type() {
    for reply in [REPLY_IPV4, REPLY_IPV6, REPLY_NAME, REPLY_ABSENT, b"\x05\0\0\x03\0\0\0"] {
        assert_eq!(answer_of(Command::Connect, reply), Ok(Answer::Connected), "{reply:?}");
    }
}

#[test]
fn a_reply_in_pieces_of_any_size_is_the_same_reply() {
    for reply in [REPLY_IPV4, REPLY_IPV6, REPLY_NAME, REPLY_ABSENT] {
        let script = [METHOD_PASSWORD, PASSWORD_ACCEPTED, reply, b"application"].concat();
        let whole = drive(authenticating(Command::Connect), &script, &[]);
        for piece in 1..script.len() {
            let pieces = drive(authenticating(Command::Connect), &script, &[piece]);
            assert_eq!((pieces.end, pieces.taken), (whole.end, whole.taken), "{piece}");
        }
        assert_eq!(whole.taken, script.len() - b"application".len());
    }
}

#[test]
fn resolve_answers_an_address_of_either_family() {
    let address = |text: &str| Ok(Answer::Address(text.parse().unwrap()));
    assert_eq!(answer_of(Command::Resolve, REPLY_IPV4), address("192.0.2.7"));
    assert_eq!(answer_of(Command::Resolve, REPLY_IPV6), address("2001:db8::1"));
    assert_eq!(answer_of(Command::Resolve, REPLY_NAME), Err(Error::NoAnswer));
    assert_eq!(answer_of(Command::Resolve, REPLY_ABSENT), Err(Error::NoAnswer));
}

#[test]
fn resolve_ptr_answers_a_name() {
    let name = Name::new(b"a.example").unwrap();
    assert_eq!(answer_of(Command::ResolvePtr, REPLY_NAME), Ok(Answer::Name(name)));
    assert_eq!(answer_of(Command::ResolvePtr, REPLY_IPV4), Err(Error::NoAnswer));
    assert_eq!(answer_of(Command::ResolvePtr, b"\x05\0\0\x03\0\0\0"), Err(Error::BadName));
    assert_eq!(answer_of(Command::ResolvePtr, b"\x05\0\0\x03\x01\0\0\0"), Err(Error::BadName));
}

#[test]
fn the_longest_name_in_a_reply_is_read_whole() {
    let reply = [b"\x05\0\0\x03\xff", [b'a'; 255].as_slice(), b"\0\0"].concat();
    let name = Name::new(&[b'a'; 255]).unwrap();
    assert_eq!(answer_of(Command::ResolvePtr, &reply), Ok(Answer::Name(name)));
}

#[test]
fn every_reply_code_is_a_refusal() {
    for code in 1..=255 {
        let reply = [5, code, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            answer_of(Command::Connect, &reply),
            Err(Error::Refused(ReplyCode(code))),
            "{code:02X}"
        );
    }
}

#[test]
fn a_reply_whose_method_selection_was_lost_is_a_refusal() {
    for code in [0x01, 0x02, 0x07, 0x08, 0xF6] {
        let script = [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        let refused = Err(Error::Refused(ReplyCode(code)));
        assert_eq!(drive(handshake(Command::Connect), &script, &[]).end, refused);
        assert_eq!(drive(handshake(Command::Connect), &script[..2], &[]).end, refused);
        let late = [METHOD_PASSWORD, &script].concat();
        assert_eq!(drive(authenticating(Command::Connect), &late, &[]).end, refused);
    }
}

#[test]
fn credentials_are_never_dropped_in_silence() {
    let end = |script: &[u8]| drive(authenticating(Command::Connect), script, &[]).end;
    let bare = [METHOD_PASSWORD, REPLY_IPV4].concat();
    assert_eq!(end(METHOD_NONE), Err(Error::UnofferedMethod(0)));
    assert_eq!(end(b"\x05\xff"), Err(Error::NoAcceptableMethod));
    assert_eq!(end(b"\x05\x02\x01\x01"), Err(Error::AuthenticationRejected(1)));
    assert_eq!(end(b"\x05\x02\x07\x00"), Err(Error::AuthenticationVersion(7)));
    assert_eq!(end(&bare), Err(Error::AuthenticationSkipped));
}

#[test]
fn a_method_that_was_not_offered_fails() {
    let end = |script: &[u8]| drive(handshake(Command::Connect), script, &[]).end;
    assert_eq!(end(b"\x05\xff"), Err(Error::NoAcceptableMethod));
    assert_eq!(end(b"\x05\x80"), Err(Error::UnofferedMethod(0x80)));
}

#[test]
fn a_port_of_another_protocol_is_told_by_its_first_byte() {
    for new in [handshake, authenticating] {
        let end = |script: &[u8]| drive(new(Command::Connect), script, &[1]);
        let http = end(b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!((http.end, http.taken), (Err(Error::Http), 1));
        assert!(Error::Http.to_string().contains("speaks HTTP, not SOCKS5"));
        assert_eq!(end(b"SSH-2.0-x\r\n").end, Err(Error::NotSocks(b'S')));
        assert_eq!(end(b"\x00\x5a").end, Err(Error::NotSocks(0)));
    }
}

#[test]
fn a_reply_that_breaks_the_rules_fails() {
    assert_eq!(answer_of(Command::Connect, b"\x04\0\0\x01"), Err(Error::ReplyVersion(4)));
    assert_eq!(answer_of(Command::Connect, b"\x05\0\0\x02"), Err(Error::AddressType(2)));
}

#[test]
fn a_server_that_hangs_up_is_told_by_what_was_awaited() {
    let end = |script: &[u8]| drive(authenticating(Command::Connect), script, &[]).end;
    for (script, awaited) in [
        (&b""[..], Awaited::Method),
        (b"\x05", Awaited::Method),
        (b"\x05\x02", Awaited::Authentication),
        (b"\x05\x02\x01", Awaited::Authentication),
        (b"\x05\x02\x01\x00", Awaited::Reply),
        (b"\x05\x02\x01\x00\x05\x00\x00\x01\0\0\0\0\0", Awaited::Reply),
    ] {
        assert_eq!(end(script), Err(Error::Closed(awaited)), "{script:?}");
    }
}

#[test]
fn what_comes_after_the_end_changes_nothing() {
    let mut handshake = handshake(Command::Connect);
    handshake.sent(usize::MAX);
    handshake.received(&[METHOD_NONE, REPLY_IPV4, b"application"].concat());
    handshake.closed();
    handshake.received(b"more");
    handshake.sent(1);
    assert_eq!(handshake.step(), Step::Done(Answer::Connected));
}

#[test]
fn debug_hides_the_password() {
    let credentials = Credentials::new(b"me", b"hunter2").unwrap();
    let handshake = Handshake::new(&request(Command::Connect), Some(&credentials));
    assert!(!format!("{handshake:?}").contains("hunter2"));
}

#[test]
fn every_error_is_one_line_with_an_errno() {
    for error in [
        Error::Closed(Awaited::Method),
        Error::Closed(Awaited::Authentication),
        Error::Closed(Awaited::Reply),
        Error::Http,
        Error::NotSocks(0x16),
        Error::NoAcceptableMethod,
        Error::UnofferedMethod(1),
        Error::AuthenticationVersion(7),
        Error::AuthenticationRejected(1),
        Error::AuthenticationSkipped,
        Error::ReplyVersion(4),
        Error::Refused(ReplyCode(0xF0)),
        Error::AddressType(9),
        Error::NoAnswer,
        Error::BadName,
    ] {
        let text = error.to_string();
        assert!(text.lines().count() == 1 && text.len() > 20, "{text:?}");
        assert!(error.errno().0 > 0, "{text}");
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![Just(Command::Connect), Just(Command::Resolve), Just(Command::ResolvePtr)]
}

/// A reply that is whole and succeeds.
fn any_reply() -> impl Strategy<Value = Vec<u8>> {
    let named = vec(any::<u8>(), 0..=255).prop_map(|name| {
        let head = [5, 0, 0, 3, name.len() as u8];
        [&head[..], &name, b"\0\0"].concat()
    });
    let fixed = |kind: u8, rest: usize| {
        vec(any::<u8>(), rest).prop_map(move |rest| [&[5, 0, 0, kind][..], &rest].concat())
    };
    prop_oneof![named, fixed(0, 6), fixed(1, 6), fixed(4, 18)]
}

fn any_handshake() -> impl Strategy<Value = Handshake> {
    (any_command(), any::<bool>()).prop_map(|(command, authenticates)| {
        if authenticates { authenticating(command) } else { handshake(command) }
    })
}

proptest! {
    #[test]
    fn no_byte_after_the_reply_is_taken_and_no_split_matters(
        command in any_command(),
        authenticates: bool,
        reply in any_reply(),
        pieces in vec(1usize..40, 1..20),
    ) {
        let (new, before): (_, &[&[u8]]) = if authenticates {
            (authenticating(command), &[METHOD_PASSWORD, PASSWORD_ACCEPTED])
        } else {
            (handshake(command), &[METHOD_NONE])
        };
        let answers = [before.concat(), reply].concat();
        let script = [answers.as_slice(), b"\x05\x00\x00application"].concat();
        let whole = drive(new.clone(), &script, &[]);
        let split = drive(new, &script, &pieces);
        prop_assert_eq!(whole.taken, answers.len());
        prop_assert_eq!(split.taken, answers.len());
        prop_assert_eq!(split.end, whole.end);
        prop_assert_eq!(split.sent, whole.sent);
    }

    #[test]
    fn garbage_ends_in_an_answer_or_an_error(
        new in any_handshake(),
        // Half of the bytes are ones that the protocol knows, to get past the first message.
        garbage in vec(prop_oneof![any::<u8>(), 0u8..6], 0..300),
        pieces in vec(1usize..400, 1..8),
    ) {
        // That it ends, and without a panic, is all that is asked.
        let _ = drive(new, &garbage, &pieces);
    }

    #[test]
    fn calls_in_any_order_never_panic(
        mut handshake in any_handshake(),
        calls in vec((0u8..3, vec(prop_oneof![any::<u8>(), 0u8..6], 0..30)), 0..40),
    ) {
        for (call, bytes) in calls {
            match call {
                0 => handshake.sent(bytes.len()),
                1 => handshake.received(&bytes),
                _ if bytes.is_empty() => handshake.closed(),
                _ => drop(handshake.step()),
            }
        }
    }

    #[test]
    fn what_is_sent_decodes_to_what_was_asked(
        name in vec(1u8..=255, 1..=255).prop_filter("a trailing dot is dropped",
            |name| name.last() != Some(&b'.')),
        port: u16,
        username in vec(any::<u8>(), 1..=255),
        password in vec(any::<u8>(), 1..=255),
    ) {
        let request = Request {
            command: Command::Connect,
            host: Host::Name(Name::new(&name).unwrap()),
            port,
        };
        let credentials = Credentials::new(&username, &password).unwrap();
        let script = [METHOD_PASSWORD, PASSWORD_ACCEPTED, REPLY_IPV4].concat();
        let outcome = drive(Handshake::new(&request, Some(&credentials)), &script, &[]);
        prop_assert_eq!(outcome.end, Ok(Answer::Connected));
        let prefixed = |bytes: &[u8]| [&[bytes.len() as u8], bytes].concat();
        let expected = [
            b"\x05\x01\x02\x01".to_vec(),
            prefixed(&username),
            prefixed(&password),
            b"\x05\x01\x00\x03".to_vec(),
            prefixed(&name),
            port.to_be_bytes().to_vec(),
        ];
        prop_assert_eq!(outcome.sent, expected.concat());
    }
}
