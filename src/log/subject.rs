//! Subjects of log lines.

macro_rules! subjects {
    ($($(#[$doc:meta])* $name:ident = $key:literal,)*) => {
        /// Subject of a line. The number and the key stay the same in later versions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Subject { $($(#[$doc])* $name,)* }

        impl Subject {
            /// Every subject, by its number.
            pub const ALL: [Subject; [$($key),*].len()] = [$(Subject::$name),*];

            /// The key in JSON and in `epochsocks status`.
            pub const fn key(self) -> &'static str {
                match self { $(Subject::$name => $key,)* }
            }
        }
    };
}

subjects! {
    /// The settings.
    Settings = "settings",
    /// Tor's port, and what is needed to reach it.
    Proxy = "proxy",
    /// A connection through Tor.
    Connection = "connection",
    /// A connect that does not go through Tor.
    Connect = "connect",
    /// `bind`, `listen` and `accept`.
    Listen = "listen",
    /// A socket that is made.
    Socket = "socket",
    /// An option of a socket.
    Option = "option",
    /// Data that is sent.
    Data = "data",
    /// A socket that comes from another program.
    Passed = "passed",
    /// A name that is looked up.
    Lookup = "lookup",
    /// A question to a name server.
    Query = "query",
    /// A program that is executed.
    Exec = "exec",
    /// A library that is loaded.
    Load = "load",
    /// A call that would reach the network inside libc, or in the kernel without libc.
    Call = "call",
    /// A bug of the library.
    Bug = "bug",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_has_its_number_and_a_key_of_its_own() {
        for (number, subject) in Subject::ALL.into_iter().enumerate() {
            assert_eq!(subject as usize, number);
            let same = Subject::ALL.iter().filter(|other| other.key() == subject.key());
            assert_eq!(same.count(), 1, "{subject:?}");
        }
    }
}
