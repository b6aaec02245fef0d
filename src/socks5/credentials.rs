//! User name and password (RFC 1929), which tor takes as a key of stream isolation.

use core::fmt::{self, Write};

use super::Host;
use crate::bytes::Bytes;

/// Reason that a user name and password can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsError {
    /// The user name is not 1 to 255 bytes long.
    Username,
    /// The password is not 1 to 255 bytes long.
    Password,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CredentialsError::Username => "the user name is not 1 to 255 bytes long",
            CredentialsError::Password => "the password is not 1 to 255 bytes long",
        })
    }
}

impl core::error::Error for CredentialsError {}

/// With which other connections a connection shares circuits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Isolation {
    /// That is not known.
    Unknown = 0,
    /// With all that show no user name.
    Shared = 1,
    /// With those of its process.
    Process = 2,
    /// With those of its isolation key.
    Key = 3,
    /// With those of its user name and password.
    User = 4,
    /// With all of its destination, and no others.
    Destination = 5,
}

impl Isolation {
    /// That of a connection with these credentials.
    pub fn of(credentials: Option<&Credentials>) -> Isolation {
        let Some(credentials) = credentials else { return Isolation::Shared };
        match credentials.username().strip_prefix(OWN) {
            Some(rest) if rest.starts_with(KEY) => Isolation::Key,
            Some([b'0'..=b'9', ..]) => Isolation::Process,
            Some(ALL) => Isolation::Destination,
            _ => Isolation::User,
        }
    }

    /// The one of this number.
    pub const fn numbered(number: u8) -> Isolation {
        match number {
            1 => Isolation::Shared,
            2 => Isolation::Process,
            3 => Isolation::Key,
            4 => Isolation::User,
            5 => Isolation::Destination,
            _ => Isolation::Unknown,
        }
    }
}

/// The beginning of the user names that are made here.
const OWN: &[u8] = b"epochsocks-";
/// The part that follows in those of keys.
const KEY: &[u8] = b"key-";
/// The part that follows in that of all processes.
const ALL: &[u8] = b"all";

/// A user name and a password, each of 1 to 255 bytes. Tor gives each pair its own circuits
/// (`IsolateSOCKSAuth`, on by default); it interprets user names that start with `<torS0X>`.
/// `Debug` hides the password.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Credentials {
    username: Bytes<255>,
    password: Bytes<255>,
    is_by_destination: bool,
}

impl Credentials {
    /// The sub-negotiation's own version (RFC 1929, section 2).
    pub(super) const VERSION: u8 = 1;
    /// The longest encoding: version, and twice a length byte and 255 bytes.
    pub(super) const ENCODED: usize = 1 + 2 * (1 + 255);

    /// The pair of `username` and `password`.
    pub fn new(username: &[u8], password: &[u8]) -> Result<Credentials, CredentialsError> {
        Ok(Credentials {
            username: field(username).ok_or(CredentialsError::Username)?,
            password: field(password).ok_or(CredentialsError::Password)?,
            is_by_destination: false,
        })
    }

    /// A pair of its own for the process `pid` that started at `started` (any clock), so that its
    /// streams share no circuit with another process's, nor with those of a process that had the
    /// pid before.
    pub fn of_process(pid: i32, started: u64) -> Credentials {
        let mut rest = Bytes::<32>::EMPTY;
        // Two numbers of at most 11 and 20 bytes.
        let _ = write!(rest, "{pid}-{started}");
        Credentials::own(&[rest.as_slice()])
    }

    /// The longest key, in bytes.
    pub const LONGEST_KEY: usize = 200;

    /// The pair of all processes that were given `key`.
    pub fn of_key(key: &Bytes<{ Credentials::LONGEST_KEY }>) -> Credentials {
        // No process's pair has a letter in this place.
        Credentials::own(&[KEY, key.as_slice()])
    }

    /// The pair of all processes.
    pub fn of_all() -> Credentials {
        Credentials::own(&[ALL])
    }

    /// The pair of a user name that is made here, whose `parts` have at most 244 bytes together.
    fn own(parts: &[&[u8]]) -> Credentials {
        let (mut username, mut password) = (Bytes::EMPTY, Bytes::EMPTY);
        username.extend(OWN);
        for part in parts {
            username.extend(part);
        }
        password.extend(b"0");
        Credentials { username, password, is_by_destination: false }
    }

    /// This pair, but with another password for each destination.
    pub fn by_destination(self) -> Credentials {
        Credentials { is_by_destination: true, ..self }
    }

    /// The user name's 1 to 255 bytes.
    pub fn username(&self) -> &[u8] {
        self.username.as_slice()
    }

    /// The password's 1 to 255 bytes.
    pub fn password(&self) -> &[u8] {
        self.password.as_slice()
    }

    /// Appends the sub-negotiation's request, before a request about `host`, to `output`, which has room for
    /// [`Self::ENCODED`].
    pub(super) fn encode<const N: usize>(&self, host: &Host, output: &mut Bytes<N>) {
        output.extend(&[Self::VERSION]);
        put(output, self.username());
        if self.is_by_destination {
            put_destination(output, host);
        } else {
            put(output, self.password());
        }
    }
}

/// Appends a field.
fn put<const N: usize>(output: &mut Bytes<N>, field: &[u8]) {
    output.extend(&[field.len() as u8]);
    output.extend(field);
}

/// Appends `host`, in lower case, as a field.
#[inline(never)]
fn put_destination<const N: usize>(output: &mut Bytes<N>, host: &Host) {
    match host {
        Host::Address(address) => {
            let mut text = Bytes::<48>::EMPTY;
            // The longest has 39 bytes.
            let _ = write!(text, "{}", address.to_canonical());
            put(output, text.as_slice());
        }
        Host::Name(name) => {
            output.extend(&[name.as_bytes().len() as u8]);
            for byte in name.as_bytes() {
                output.extend(&[byte.to_ascii_lowercase()]);
            }
        }
    }
}

fn field(bytes: &[u8]) -> Option<Bytes<255>> {
    Bytes::new(bytes).filter(|bytes| !bytes.is_empty())
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Name;
    use super::*;

    const HOST: Host = Host::Address(core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn both_fields_are_1_to_255_bytes() {
        let long = [b'x'; 256];
        let new = Credentials::new;
        assert_eq!(new(b"", b"p"), Err(CredentialsError::Username));
        assert_eq!(new(b"u", b""), Err(CredentialsError::Password));
        assert_eq!(new(&long, b"p"), Err(CredentialsError::Username));
        assert_eq!(new(b"u", &long), Err(CredentialsError::Password));
        assert!(new(&long[1..], &long[1..]).is_ok());
    }

    #[test]
    fn encoding_is_that_of_rfc_1929() {
        let mut output = Bytes::<{ Credentials::ENCODED }>::EMPTY;
        Credentials::new(b"user", b"0").unwrap().encode(&HOST, &mut output);
        assert_eq!(output.as_slice(), b"\x01\x04user\x010");
    }

    #[test]
    fn the_pair_of_a_process_is_one_that_can_be_sent() {
        for (pid, started) in [(1, 0), (i32::MAX, u64::MAX)] {
            let pair = Credentials::of_process(pid, started);
            assert_eq!(Credentials::new(pair.username(), pair.password()), Ok(pair));
        }
    }

    #[test]
    fn the_pair_of_the_longest_key_is_one_that_can_be_sent() {
        let key = [b'x'; Credentials::LONGEST_KEY];
        let pair = Credentials::of_key(&Bytes::new(&key).unwrap());
        assert!(pair.username().ends_with(&key));
        assert_eq!(Credentials::new(pair.username(), pair.password()), Ok(pair));
    }

    #[test]
    fn an_isolation_is_told_by_the_user_name() {
        let key = Credentials::of_key(&Bytes::new(b"1").unwrap());
        let user = Credentials::new(b"me", b"p").unwrap();
        let process = Credentials::of_process(1, 2);
        for (credentials, isolation) in [
            (None, Isolation::Shared),
            (Some(&process), Isolation::Process),
            (Some(&key), Isolation::Key),
            (Some(&user), Isolation::User),
            (Some(&Credentials::of_all()), Isolation::Destination),
        ] {
            assert_eq!(Isolation::of(credentials), isolation);
            assert_eq!(Isolation::numbered(isolation as u8), isolation);
        }
    }

    #[test]
    fn a_pair_by_destination_differs_by_the_host_alone() {
        let name = |name: &str| Host::Name(Name::new(name.as_bytes()).unwrap());
        let address = |text: &str| Host::Address(text.parse().unwrap());
        let encoded = |pair: Credentials, host: &Host| {
            let mut output = Bytes::<{ Credentials::ENCODED }>::EMPTY;
            pair.encode(host, &mut output);
            output.as_slice().to_vec()
        };
        let toward = |host| encoded(Credentials::of_all().by_destination(), &host);
        assert_eq!(toward(name("Example.Test")), b"\x01\x0eepochsocks-all\x0cexample.test");
        assert!(toward(address("::ffff:192.0.2.1")).ends_with(b"\x09192.0.2.1"));
        assert!(toward(address("2001:db8::1")).ends_with(b"\x0b2001:db8::1"));
        let longest = ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(63)].join(".");
        assert!(toward(name(&longest)).ends_with(longest.as_bytes()));
        let plain = Credentials::of_process(1, 2);
        assert_eq!(encoded(plain, &name("a.test")), encoded(plain, &name("b.test")));
    }

    #[test]
    fn the_longest_pair_fits() {
        let mut output = Bytes::<{ Credentials::ENCODED }>::EMPTY;
        Credentials::new(&[b'u'; 255], &[b'p'; 255]).unwrap().encode(&HOST, &mut output);
        assert_eq!(output.len(), Credentials::ENCODED);
    }

    #[test]
    fn debug_hides_the_password() {
        let text = format!("{:?}", Credentials::new(b"me", b"hunter2").unwrap());
        assert!(text.contains("me") && !text.contains("hunter2"), "{text}");
    }
}
