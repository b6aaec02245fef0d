//! DNS messages (RFC 1035 section 4), as far as res_query(3) and programs that ask a name server by
//! themselves need them: one question is read, and its answer written. No message ever goes to a name
//! server.

use core::net::IpAddr;

use crate::bytes::Bytes;
use crate::socks5::Name;

/// Longest message that is written: header, question, one answer that holds a name, and OPT.
pub const MAX_MESSAGE: usize = HEADER + QUESTION + 12 + 257 + OPT;

/// The header's length.
const HEADER: usize = 12;

/// Longest question: a name in labels, type and class.
const QUESTION: usize = 257 + 4;

/// The length of an OPT record without options (RFC 6891 section 6.1.2).
const OPT: usize = 11;

/// Its type.
const TYPE_OPT: u16 = 41;

/// The longest datagram that we say to take; none is as long as that.
const PAYLOAD: u16 = 1_232;

/// As many records behind the question as are looked at for OPT.
const MOST_RECORDS: usize = 8;

/// Header bits that an answer repeats: RD of the third byte, CD of the fourth.
const RECURSION_DESIRED: u8 = 1;
const CHECKING_DISABLED: u8 = 0x10;

/// `IN`, the only class that Tor knows.
const CLASS_IN: u16 = 1;

/// Time for which a program may keep an answer, in seconds: tor itself caches for longer.
const TIME_TO_LIVE: u32 = 60;

/// Kind of a question about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// The name behind a reverse name.
    Ptr,
    /// IPv6 addresses.
    Aaaa,
    /// Place of a service of the name: MX, SRV, NAPTR, SVCB or HTTPS. Clients of a name without such
    /// records go to the name itself (RFC 5321, RFC 2782, RFC 9460).
    Service,
    /// Anything else, which Tor can't answer.
    Other(u16),
}

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    id: u16,
    /// RD and CD, as the answer repeats them.
    flags: [u8; 2],
    name: Name,
    number: u16,
    class: u16,
    /// The version of EDNS that the query has an OPT record of.
    edns: Option<u8>,
}

/// Answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box the name with")]
pub enum Reply {
    /// An `A` or `AAAA` record.
    Address(IpAddr),
    /// A `PTR` record.
    Name(Name),
    /// The name exists, without such a record.
    NoData,
    /// NXDOMAIN: no such name.
    NoName,
    /// SERVFAIL: Tor gave no answer.
    Failure,
    /// REFUSED: nothing that Tor can be asked.
    Refused,
}

impl Reply {
    /// RCODE (RFC 1035 section 4.1.1).
    pub fn code(self) -> u8 {
        match self {
            Reply::Address(_) | Reply::Name(_) | Reply::NoData => 0,
            Reply::Failure => 2,
            Reply::NoName => 3,
            Reply::Refused => 5,
        }
    }
}

impl Question {
    /// The question for records of type `number` and class `class` of `name`.
    pub fn new(name: Name, number: u16, class: u16) -> Question {
        Question { id: 0, flags: [RECURSION_DESIRED, 0], name, number, class, edns: None }
    }

    /// Reads a query with one question. `None` for anything else, among it names with a dot inside
    /// a label. Never panics.
    pub fn parse(query: &[u8]) -> Option<Question> {
        let (header, mut rest) = query.split_first_chunk::<HEADER>()?;
        let &[a, b, flags, more, 0, 1, ..] = header else { return None };
        // A query (QR 0) of the standard kind (OPCODE 0).
        if flags & 0xf8 != 0 {
            return None;
        }
        let mut name = Bytes::<256>::EMPTY;
        loop {
            let (&length, tail) = rest.split_first()?;
            // Above 63 is a pointer, which a question has no use for.
            let (label, tail) =
                tail.split_at_checked(usize::from(length)).filter(|_| length < 64)?;
            rest = tail;
            if length == 0 {
                break;
            }
            if label.contains(&b'.') || !(name.extend(label) && name.extend(b".")) {
                return None;
            }
        }
        let (&[t, u, c, d], rest) = rest.split_first_chunk()?;
        let (number, class) = (u16::from_be_bytes([t, u]), u16::from_be_bytes([c, d]));
        let name = Name::new(name.as_slice()).ok()?;
        Some(Question {
            id: u16::from_be_bytes([a, b]),
            flags: [flags & RECURSION_DESIRED, more & CHECKING_DISABLED],
            name,
            number,
            class,
            edns: edns_version(rest),
        })
    }

    /// The program's number for the question.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The name that is asked about, without a trailing dot.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Kind of the question.
    pub fn kind(&self) -> Kind {
        match (self.class, self.number) {
            (CLASS_IN, 1) => Kind::A,
            (CLASS_IN, 12) => Kind::Ptr,
            (CLASS_IN, 28) => Kind::Aaaa,
            (CLASS_IN, 15 | 33 | 35 | 64 | 65) => Kind::Service,
            (_, number) => Kind::Other(number),
        }
    }

    /// The message that answers the question with `reply`. A name that no message can carry (a
    /// label over 63 bytes) is answered without records, and a query of a later EDNS with BADVERS.
    pub fn answer(&self, reply: Reply) -> Bytes<MAX_MESSAGE> {
        let is_newer = self.edns.is_some_and(|version| version > 0);
        let reply = if is_newer { Reply::NoData } else { reply };
        let question = encode_name(&self.name);
        let data = match reply {
            Reply::Address(IpAddr::V4(address)) => Bytes::new(&address.octets()),
            Reply::Address(IpAddr::V6(address)) => Bytes::new(&address.octets()),
            Reply::Name(name) => encode_name(&name),
            _ => None,
        };
        let data = data.filter(|_| question.is_some());
        let mut message = Bytes::EMPTY;
        message.extend(&self.id.to_be_bytes());
        // QR; RA and the code.
        message.extend(&[0x80 | self.flags[0], 0x80 | self.flags[1] | reply.code()]);
        let [questions, answers, more] =
            [question.is_some(), data.is_some(), self.edns.is_some()].map(u8::from);
        message.extend(&[0, questions, 0, answers, 0, 0, 0, more]);
        if let Some(name) = question {
            message.extend(name.as_slice());
            message.extend(&self.number.to_be_bytes());
            message.extend(&self.class.to_be_bytes());
        }
        if let Some(data) = data {
            self.encode_record(&mut message, data.as_slice());
        }
        if self.edns.is_some() {
            let [t, u] = TYPE_OPT.to_be_bytes();
            let [p, q] = PAYLOAD.to_be_bytes();
            // The upper bits of the code are 1 for BADVERS; version 0, no flags, no options.
            message.extend(&[0, t, u, p, q, u8::from(is_newer), 0, 0, 0, 0, 0]);
        }
        message
    }

    fn encode_record(&self, message: &mut Bytes<MAX_MESSAGE>, data: &[u8]) {
        // A pointer to the question's name, right behind the header.
        message.extend(&[0xc0, 12]);
        message.extend(&self.number.to_be_bytes());
        message.extend(&self.class.to_be_bytes());
        message.extend(&TIME_TO_LIVE.to_be_bytes());
        message.extend(&(data.len() as u16).to_be_bytes());
        message.extend(data);
    }
}

/// The answer to a query that [`Question::parse`] does not read: REFUSED, or NOTIMP for another
/// operation than a query. `None` for what is not a query at all.
pub fn refusal(query: &[u8]) -> Option<Bytes<HEADER>> {
    let &[a, b, flags, more, ..] = query.first_chunk::<HEADER>()?;
    let operation = flags & 0x78;
    let code = if operation == 0 { Reply::Refused.code() } else { 4 };
    let flags = 0x80 | operation | flags & RECURSION_DESIRED;
    let more = 0x80 | more & CHECKING_DISABLED | code;
    let is_answer = query.get(2).is_some_and(|flags| flags & 0x80 != 0);
    if is_answer { None } else { Bytes::new(&[a, b, flags, more, 0, 0, 0, 0, 0, 0, 0, 0]) }
}

/// The version in the OPT record among those behind the question, if there is one.
fn edns_version(mut records: &[u8]) -> Option<u8> {
    for _ in 0..MOST_RECORDS {
        let (is_root, rest) = after_name(records)?;
        let (&[t, u, _, _, _, version, _, _, l, m], rest) = rest.split_first_chunk()?;
        if is_root && u16::from_be_bytes([t, u]) == TYPE_OPT {
            return Some(version);
        }
        records = rest.get(u16::from_be_bytes([l, m]).into()..)?;
    }
    None
}

/// Reads a record's name: whether it is the root, and the bytes after it.
fn after_name(mut bytes: &[u8]) -> Option<(bool, &[u8])> {
    let mut is_root = true;
    loop {
        let (&length, rest) = bytes.split_first()?;
        match length {
            0 => return Some((is_root, rest)),
            1..64 => bytes = rest.get(length.into()..)?,
            // A pointer ends the name.
            192.. => return Some((false, rest.get(1..)?)),
            _ => return None,
        }
        is_root = false;
    }
}

/// The name in labels; `None` if one is empty or longer than 63 bytes.
fn encode_name(name: &Name) -> Option<Bytes<257>> {
    let mut labels = Bytes::EMPTY;
    for label in name.as_bytes().split(|byte| *byte == b'.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        if !(labels.extend(&[length]) && labels.extend(label)) {
            return None;
        }
    }
    labels.extend(&[0]).then_some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `\0\x07` id, RD, one question: example.org, type, IN.
    fn query(number: u8) -> Vec<u8> {
        let header = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0".as_slice();
        [header, b"\x07example\x03org\0", &[0, number], b"\0\x01"].concat()
    }

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn questions_are_read() {
        for (number, kind) in [
            (1, Kind::A),
            (12, Kind::Ptr),
            (28, Kind::Aaaa),
            (33, Kind::Service),
            (15, Kind::Service),
            (16, Kind::Other(16)),
        ] {
            let question = Question::parse(&query(number)).unwrap();
            assert_eq!(question.name(), &name("example.org"));
            assert_eq!(question.kind(), kind);
        }
        assert_eq!(Question::new(name("a"), 1, 3).kind(), Kind::Other(1));
    }

    #[test]
    fn an_address_is_answered_with_one_record() {
        let question = Question::parse(&query(1)).unwrap();
        let message = question.answer(Reply::Address("192.0.2.1".parse().unwrap()));
        let expected = [
            b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0".as_slice(),
            &query(1)[12..],
            b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01",
        ];
        assert_eq!(message.as_slice(), expected.concat());
    }

    #[test]
    fn a_name_is_answered_in_labels() {
        let question = Question::new(name("1.2.0.192.in-addr.arpa"), 12, 1);
        let message = question.answer(Reply::Name(name("a.example")));
        assert!(message.as_slice().ends_with(b"\0\x0b\x01a\x07example\0"));
    }

    #[test]
    fn failures_have_a_code_and_no_record() {
        let question = Question::parse(&query(1)).unwrap();
        for (reply, code) in
            [(Reply::NoData, 0), (Reply::Failure, 2), (Reply::NoName, 3), (Reply::Refused, 5)]
        {
            let message = question.answer(reply);
            assert_eq!(message.as_slice()[3] & 0xf, code);
            assert_eq!(message.as_slice()[7], 0);
            assert_eq!(message.len(), query(1).len());
        }
    }

    #[test]
    fn the_longest_names_fit() {
        // 255 bytes in labels of 63, 63, 63 and 63.
        let longest = name(&[("a".repeat(63) + ".").repeat(3), "b".repeat(63)].concat());
        let message = Question::new(longest, 12, 1).answer(Reply::Name(longest));
        assert_eq!(message.len(), MAX_MESSAGE - OPT);
        let unencodable = Question::new(name(&"a".repeat(255)), 1, 1);
        assert_eq!(unencodable.answer(Reply::NoName).len(), 12);
    }

    /// [`query`] with an OPT record of `version` and one option, behind a record `more`.
    fn query_with_opt(version: u8, more: &[u8]) -> Vec<u8> {
        let mut query = query(1);
        query[11] = 1 + u8::from(!more.is_empty());
        let opt = [0, 0, 41, 0x10, 0, 0, version, 0x80, 0, 0, 5, 0, 10, 0, 1, 7];
        [&query, more, &opt].concat()
    }

    #[test]
    fn edns_is_answered_by_edns() {
        let signature = [&b"\x01k\x01e\0"[..], &[0, 250, 0, 255, 0, 0, 0, 0, 0, 2, 1, 2]].concat();
        for more in [&b""[..], &signature] {
            let question = Question::parse(&query_with_opt(0, more)).unwrap();
            let message = question.answer(Reply::Address("192.0.2.1".parse().unwrap()));
            assert_eq!(message.as_slice()[7..12], [1, 0, 0, 0, 1]);
            assert!(message.as_slice().ends_with(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]));
        }
        let newer = Question::parse(&query_with_opt(1, b"")).unwrap();
        let message = newer.answer(Reply::Address("192.0.2.1".parse().unwrap()));
        assert_eq!((message.as_slice()[3] & 0xf, message.as_slice()[7]), (0, 0));
        assert!(message.as_slice().ends_with(&[0, 0, 41, 0x04, 0xd0, 1, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn the_case_of_the_name_and_the_flags_are_repeated() {
        let mut query = query(1);
        (query[2], query[3], query[13], query[22]) = (0, 0x10, b'E', b'R');
        let message = Question::parse(&query).unwrap().answer(Reply::NoName);
        assert_eq!(message.as_slice()[2..4], [0x80, 0x93]);
        assert_eq!(message.as_slice()[12..], query[12..]);
    }

    #[test]
    fn what_is_not_read_is_refused_and_answers_are_not_answered() {
        let mut bad = query(1);
        bad[5] = 2;
        assert_eq!(refusal(&bad).unwrap().as_slice()[..4], [0, 7, 0x81, 0x85]);
        bad[2] = 0x28;
        assert_eq!(refusal(&bad).unwrap().as_slice()[..4], [0, 7, 0xa8, 0x84]);
        bad[2] = 0x80;
        assert_eq!(refusal(&bad), None);
        assert_eq!(refusal(&bad[..11]), None);
    }

    #[test]
    fn messages_that_are_no_plain_query_are_not_read() {
        for (index, byte) in
            [(2, 0x80), (2, 0x08), (5, 0), (5, 2), (12, 0xc0), (12, 64), (16, b'.')]
        {
            let mut query = query(1);
            query[index] = byte;
            assert_eq!(Question::parse(&query), None, "byte {index}");
        }
        for end in 0..query(1).len() {
            assert_eq!(Question::parse(&query(1)[..end]), None, "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_records_behind_a_question_are_read_without_a_panic(records: Vec<u8>) {
            let query = [query(1), records].concat();
            prop_assert!(Question::parse(&query).is_some());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(query: Vec<u8>) {
            if let Some(question) = Question::parse(&query) {
                question.answer(Reply::Name(*question.name()));
            }
            let _ = refusal(&query);
        }

        #[test]
        fn what_is_written_is_read_again(
            labels in proptest::collection::vec("[a-z0-9-]{1,20}", 1..12), number: u16, class: u16
        ) {
            let question = Question::new(name(&labels.join(".")), number, class);
            let mut message = question.answer(Reply::NoData).as_slice().to_vec();
            message[2] &= 0x7f;
            prop_assert_eq!(Question::parse(&message), Some(question));
        }
    }
}
