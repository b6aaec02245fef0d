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

/// Secret and action of a launch's backstop, shown as in the environment: `deny.0123456789abcdef`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Decision about calls without the secret.
    pub action: Action,
    /// The secret.
    pub secret: Secret,
}

impl Token {
    /// Reads the value of [`VARIABLE`].
    pub fn parse(value: &[u8]) -> Option<Token> {
        let (action, secret) = core::str::from_utf8(value).ok()?.split_once('.')?;
        let action = match action {
            "deny" => Action::Deny,
            "notify" => Action::Notify,
            _ => return None,
        };
        let is_secret = secret.len() == 16 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        let secret = is_secret.then(|| u64::from_str_radix(secret, 16).ok())??;
        Some(Token { action, secret: Secret::new(secret)? })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::Deny => "deny",
            Action::Notify => "notify",
        };
        write!(f, "{action}.{:016x}", self.secret.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backstop_is_read_as_it_is_shown() {
        for action in [Action::Deny, Action::Notify] {
            for secret in [1, u64::MAX, 0x0123_4567_89ab_cdef] {
                let backstop = Token { action, secret: Secret::new(secret).unwrap() };
                assert_eq!(Token::parse(backstop.to_string().as_bytes()), Some(backstop));
            }
        }
    }

    #[test]
    fn what_is_no_backstop_is_none() {
        for value in [
            "",
            "deny",
            "deny.",
            "deny.0000000000000000",
            "deny.+123456789abcdef",
            "x.0123456789abcdef",
        ] {
            assert_eq!(Token::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let backstop = Token { action: Action::Deny, secret: Secret::new(0xabcd).unwrap() };
        assert!(!format!("{backstop:?} {backstop:#?}").contains("abcd"));
        assert!(!format!("{backstop:?}").contains("43981"));
    }
}
