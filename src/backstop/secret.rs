//! The launch's secret: what a process of a launch with a backstop inherits by its environment.

use core::fmt;
use core::num::NonZeroU64;

use super::Action;

/// The environment variable. Whatever a process of the launch executes gets it.
pub const VARIABLE: &str = "_EPOCHSOCKS_BACKSTOP";

/// A random number, which the hooks put into the unused last argument of their system calls and the
/// filter compares. It tells calls apart, and is not a password: each process of the launch knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(NonZeroU64);

impl Secret {
    /// The secret of this value, which the kernel has drawn. `None` for 0, which the registers of calls
    /// that know of no secret hold most often.
    pub const fn new(random: u64) -> Option<Secret> {
        match NonZeroU64::new(random) {
            Some(number) => Some(Secret(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

/// Does not tell it: what is shown may end in a log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Secret and action of a launch's backstop, and its lock. Shown as in the environment:
/// `deny.0123456789abcdef`, or `deny.0123456789abcdef.9050` with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Decision about calls without the secret.
    pub action: Action,
    /// The secret.
    pub secret: Secret,
    /// The only TCP port that the kernel lets anything connect to, where it has such a lock.
    pub locked_to: Option<u16>,
}

impl Token {
    /// Reads the value of [`VARIABLE`].
    pub fn parse(value: &[u8]) -> Option<Token> {
        let mut parts = core::str::from_utf8(value).ok()?.split('.');
        let action = match parts.next()? {
            "deny" => Action::Deny,
            "notify" => Action::Notify,
            _ => return None,
        };
        let secret = parts.next()?;
        let is_secret = secret.len() == 16 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        let secret = is_secret.then(|| u64::from_str_radix(secret, 16).ok())??;
        let locked_to = match parts.next() {
            None => None,
            Some(port) => Some(port.parse().ok()?),
        };
        Some(Token { action, secret: Secret::new(secret)?, locked_to })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::Deny => "deny",
            Action::Notify => "notify",
        };
        write!(f, "{action}.{:016x}", self.secret.get())?;
        self.locked_to.map_or(Ok(()), |port| write!(f, ".{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_shown() {
        for action in [Action::Deny, Action::Notify] {
            for secret in [1, u64::MAX, 0x0123_4567_89ab_cdef] {
                for locked_to in [None, Some(9050)] {
                    let secret = Secret::new(secret).unwrap();
                    let token = Token { action, secret, locked_to };
                    assert_eq!(Token::parse(token.to_string().as_bytes()), Some(token));
                }
            }
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        for value in [
            "",
            "deny",
            "deny.",
            "deny.0000000000000000",
            "deny.+123456789abcdef",
            "x.0123456789abcdef",
            "deny.0123456789abcdef.",
            "deny.0123456789abcdef.65536",
        ] {
            assert_eq!(Token::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let secret = Secret::new(0xabcd).unwrap();
        let token = format!("{:?}", Token { action: Action::Deny, secret, locked_to: None });
        assert!(!token.contains("abcd") && !token.contains("43981"), "{token}");
    }
}
