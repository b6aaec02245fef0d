//! May a program run that the library can't protect? If it is on the list of those that speak no IP.
//!
//! A file name stands for root's program in directories that only root can write; a path for the
//! file that the user means, which no other user may write.

use super::exec::ExecRefusal;

/// A program, as the file system has it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its path without symbolic links.
    pub path: &'a [u8],
    /// Its owner.
    pub owner: u32,
    /// `st_mode`.
    pub mode: u32,
    /// Each directory above it is root's, and no other user may write to it.
    pub in_system_directory: bool,
    /// The user that the program would be executed by.
    pub user: u32,
}

/// Directories into which packages install programs; the last two are NixOS's.
const SYSTEM: [&[u8]; 8] = [
    b"/usr/",
    b"/bin/",
    b"/sbin/",
    b"/lib/",
    b"/lib64/",
    b"/opt/",
    b"/run/wrappers/",
    b"/nix/store/",
];

/// Tells whether `refusal` is one that a program on the list is excused from: the library would not
/// be loaded into it, or would see nothing.
pub fn is_excusable(refusal: ExecRefusal) -> bool {
    use ExecRefusal::*;
    matches!(
        refusal,
        Setuid
            | Setgid
            | Capabilities
            | OtherIds
            | OtherDomain
            | Static
            | Go
            | DirectCalls
            | Audit
            | OtherClass
            | OtherLoader
    )
}

/// Tells whether `list` names the program. The list has words between commas or spaces: names of
/// files, and absolute paths. A first word that begins with `+` adds to the `default` list, of
/// which `none` leaves nothing.
pub fn is_listed(list: &[u8], default: &[u8], candidate: Candidate<'_>) -> bool {
    has(list, default, |word| names(word, candidate))
}

/// Tells whether a word of such a list is one that `means` it.
pub fn has(list: &[u8], default: &[u8], means: impl Fn(&[u8]) -> bool) -> bool {
    let (is_more, list) = match list.strip_prefix(b"+") {
        Some(more) => (true, more),
        None => (false, list),
    };
    let words = |list| <[u8]>::split(list, |byte| b", ".contains(byte));
    words(list).any(&means) || is_more && words(default).any(&means)
}

fn names(word: &[u8], candidate: Candidate<'_>) -> bool {
    let Candidate { path, owner, mode, in_system_directory, user } = candidate;
    let others_write = mode & (libc::S_IWGRP | libc::S_IWOTH) != 0;
    if word.is_empty() || mode & libc::S_IFMT != libc::S_IFREG || others_write {
        return false;
    }
    if word.starts_with(b"/") {
        return word == path && (owner == 0 || owner == user);
    }
    let is_installed = in_system_directory && SYSTEM.iter().any(|start| path.starts_with(start));
    Some(word) == path.rsplit(|&byte| byte == b'/').next() && owner == 0 && is_installed
}

/// Tells whether the program would start another one, which would not have the library either: the
/// dynamic linker takes it from a set-ID program's environment. `arguments` follow the program's
/// name.
pub fn starts_another<'a>(path: &[u8], arguments: impl Iterator<Item = &'a [u8]>) -> bool {
    path.ends_with(b"/ssh-agent") && has_operand(arguments)
}

/// Tells whether there is an argument that is neither an option nor an option's value
/// (ssh-agent(1)).
fn has_operand<'a>(mut arguments: impl Iterator<Item = &'a [u8]>) -> bool {
    while let Some(argument) = arguments.next() {
        match argument {
            b"--" => return arguments.next().is_some(),
            // Their values are the next argument.
            [b'-', flags @ .., b'a' | b'E' | b'O' | b'P' | b't'] if !flags.starts_with(b"-") => {
                arguments.next();
            }
            [b'-', _, ..] => {}
            _ => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &[u8] = b"fusermount3,ssh-agent";
    const FUSERMOUNT: Candidate<'static> = Candidate {
        path: b"/usr/bin/fusermount3",
        owner: 0,
        mode: libc::S_IFREG | 0o4755,
        in_system_directory: true,
        user: 1000,
    };

    fn listed(list: &[u8], candidate: Candidate<'_>) -> bool {
        is_listed(list, DEFAULT, candidate)
    }

    #[test]
    fn a_name_stands_for_roots_program_in_system_directories() {
        assert!(listed(DEFAULT, FUSERMOUNT));
        let refused = [
            Candidate { owner: 1000, ..FUSERMOUNT },
            Candidate { mode: libc::S_IFREG | 0o4775, ..FUSERMOUNT },
            Candidate { mode: libc::S_IFREG | 0o4757, ..FUSERMOUNT },
            Candidate { mode: libc::S_IFDIR | 0o755, ..FUSERMOUNT },
            Candidate { in_system_directory: false, ..FUSERMOUNT },
            Candidate { path: b"/usr/bin/fusermount3x", ..FUSERMOUNT },
            Candidate { path: b"/usr/fusermount3/x", ..FUSERMOUNT },
            Candidate { path: b"/root/bin/fusermount3", ..FUSERMOUNT },
        ];
        refused.into_iter().for_each(|other| assert!(!listed(DEFAULT, other), "{other:?}"));
    }

    #[test]
    fn a_path_stands_for_the_users_own_file_too() {
        let own = Candidate {
            path: b"/home/u/tool",
            owner: 1000,
            mode: libc::S_IFREG | 0o755,
            in_system_directory: false,
            user: 1000,
        };
        assert!(listed(b"/home/u/tool", own));
        assert!(!listed(b"tool", own) && !listed(b"/home/u/other", own));
        assert!(!listed(b"/home/u/tool", Candidate { owner: 1001, ..own }));
        assert!(!listed(b"/home/u/tool", Candidate { mode: libc::S_IFREG | 0o777, ..own }));
    }

    #[test]
    fn a_list_replaces_the_default_one_and_a_plus_adds_to_it() {
        let other = Candidate { path: b"/usr/bin/other", ..FUSERMOUNT };
        assert!(listed(b"+other", other) && listed(b"+other", FUSERMOUNT));
        assert!(listed(b"a, other", other) && !listed(b"a, other", FUSERMOUNT));
        for none in [&b"none"[..], b"", b"+"] {
            assert!(!listed(none, other), "{}", none.escape_ascii());
        }
        assert!(listed(b"+", FUSERMOUNT) && !listed(b"none", FUSERMOUNT));
    }

    #[test]
    fn an_agent_with_a_command_starts_another_program() {
        let starts = |arguments: &[&'static str]| {
            starts_another(b"/usr/bin/ssh-agent", arguments.iter().map(|word| word.as_bytes()))
        };
        for harmless in
            [&[][..], &["-s"], &["-k"], &["-t", "60", "-s"], &["-a", "/tmp/s"], &["-st", "1h"]]
        {
            assert!(!starts(harmless), "{harmless:?}");
        }
        for command in
            [&["bash"][..], &["-t", "60", "bash"], &["--", "bash"], &["-s", "bash", "-s"]]
        {
            assert!(starts(command), "{command:?}");
        }
        assert!(!starts_another(b"/usr/bin/fusermount3", [&b"-u"[..], b"/mnt"].into_iter()));
    }
}
