//! Judgement of an exec by the kernel's SELinux policy: whether the program loads the library. An exec may
//! change the domain by the policy's rules. Then the kernel sets `AT_SECURE` unless the policy grants
//! `noatsecure`, and the library must be readable in the new domain. The kernel answers what the policy says,
//! before the exec.
//! Async-signal-safe.

use core::ffi::CStr;
use core::fmt::{self, Write};
use core::str::from_utf8;

use crate::bytes::Bytes;
use crate::sys::selinux::{self, Context, LeftTo, exec_domain, own_context};
use crate::sys::{Errno, File};

/// The permission to change the domain for a process that gains no privileges.
const CHANGE_WITHOUT_PRIVILEGES: [&str; 1] = ["nnp_transition"];
/// The permission for which a change does not set `AT_SECURE`.
const KEEP_ENVIRONMENT: [&str; 1] = ["noatsecure"];
/// The permissions by which the dynamic linker loads a library.
const LOAD: [&str; 5] = ["read", "open", "getattr", "map", "execute"];

/// The flag in an answer for a source whose denials are only logged.
const PERMISSIVE: u32 = 1;

/// Asks the kernel's policy.
trait Policy {
    /// Writes `question` to the file `name` of selinuxfs, unless it is empty, and reads the answer. Errors:
    /// `ENOENT` without such a file; those of openat(2), write(2) and read(2).
    fn ask(&self, name: &str, question: &[u8], answer: &mut [u8]) -> Result<usize, Errno>;
}

/// The kernel's own.
struct Kernel;

impl Policy for Kernel {
    fn ask(&self, name: &str, question: &[u8], answer: &mut [u8]) -> Result<usize, Errno> {
        selinux::ask(name, question, answer)
    }
}

/// Tells whether the program in `file`, executed by this thread, may run in a domain in which it does not load
/// the library at the path `library`; yes where that can't be known. `has_backstop`: whether it would be under
/// the launch's filter, and gain no privileges.
pub fn may_lose_library(
    file: impl FnOnce() -> Result<File, Errno>,
    library: Option<&CStr>,
    has_backstop: impl FnOnce() -> bool,
) -> bool {
    match exec_domain() {
        LeftTo::Unknown => false,
        LeftTo::Thread => true,
        LeftTo::Policy => kernel_says(file, library, has_backstop()) != Ok(true),
    }
}

/// In a frame of its own, which few need.
#[inline(never)]
fn kernel_says(
    file: impl FnOnce() -> Result<File, Errno>,
    library: Option<&CStr>,
    has_backstop: bool,
) -> Result<bool, Errno> {
    let library = library.map(|path| File::open_at(libc::AT_FDCWD, path)?.context()).transpose()?;
    let contexts = Contexts { thread: own_context()?, file: file()?.context()?, library };
    loads_library(&Kernel, &contexts, has_backstop)
}

/// The contexts that an exec is about.
struct Contexts {
    thread: Context,
    /// The file that is executed: of a script itself, whatever its interpreter.
    file: Context,
    library: Option<Context>,
}

fn loads_library(
    policy: &impl Policy,
    contexts: &Contexts,
    has_backstop: bool,
) -> Result<bool, Errno> {
    let Contexts { thread, file, library } = contexts;
    let Some(class) = number(policy, format_args!("process/index"))? else {
        // No policy is loaded, or its file system is not mounted here.
        return Ok(true);
    };
    let next = next_context(policy, thread, file, class)?;
    if next == *thread {
        return Ok(true);
    }
    let allows = |source, target, class, permissions: &[&str]| {
        allows(policy, source, target, class, permissions)
    };
    // Without privileges to gain the kernel leaves the domain as it is, but for this permission; or for a domain
    // that is bounded by this one, which can't be asked: the filter stands there.
    if has_backstop && !allows(thread, &next, "process2", &CHANGE_WITHOUT_PRIVILEGES)? {
        return Ok(true);
    }
    Ok(allows(thread, &next, "process", &KEEP_ENVIRONMENT)?
        && match library {
            Some(library) => allows(&next, library, "file", &LOAD)?,
            None => true,
        })
}

/// The context that the policy gives a program.
fn next_context(
    policy: &impl Policy,
    thread: &Context,
    file: &Context,
    class: u32,
) -> Result<Context, Errno> {
    let mut answer = [0; Context::CAPACITY];
    let question = question(thread, file, class)?;
    let length = policy.ask("create", question.as_slice(), &mut answer)?;
    Context::read(answer.get(..length).unwrap_or_default())
}

/// Tells whether the policy grants `permissions` of `class`. One that it does not know is not granted.
fn allows(
    policy: &impl Policy,
    source: &Context,
    target: &Context,
    class: &str,
    permissions: &[&str],
) -> Result<bool, Errno> {
    let mut wanted = 0;
    for permission in permissions {
        match number(policy, format_args!("{class}/perms/{permission}"))? {
            Some(place @ 1..=32) => wanted |= 1 << (place - 1),
            _ => return Ok(false),
        }
    }
    let Some(class) = number(policy, format_args!("{class}/index"))? else { return Ok(false) };
    let mut answer = [0; 128];
    let question = question(source, target, class)?;
    let length = policy.ask("access", question.as_slice(), &mut answer)?;
    let answer = Access::parse(answer.get(..length).unwrap_or_default());
    let Access { allowed, flags } = answer.ok_or(Errno(libc::EINVAL))?;
    Ok(allowed & wanted == wanted || flags & PERMISSIVE != 0 || !is_enforced(policy))
}

/// Tells whether denials are more than logged.
fn is_enforced(policy: &impl Policy) -> bool {
    let mut answer = [0; 8];
    match policy.ask("enforce", b"", &mut answer) {
        Ok(length) => answer.get(..length).is_none_or(|answer| !answer.starts_with(b"0")),
        Err(_) => true,
    }
}

/// The number in a file of a class; `None` without such a file.
fn number(policy: &impl Policy, file: fmt::Arguments<'_>) -> Result<Option<u32>, Errno> {
    let mut name = Bytes::<80>::EMPTY;
    write!(name, "class/{file}").map_err(|_| Errno(libc::ENAMETOOLONG))?;
    let mut answer = [0; 16];
    match policy.ask(from_utf8(name.as_slice()).unwrap_or_default(), b"", &mut answer) {
        Ok(length) => {
            let digits = answer.get(..length).unwrap_or_default().trim_ascii_end();
            let number = from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            number.map(Some).ok_or(Errno(libc::EINVAL))
        }
        Err(Errno(libc::ENOENT)) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Two contexts and the number of a class, as selinuxfs reads them.
fn question(
    source: &Context,
    target: &Context,
    class: u32,
) -> Result<Bytes<{ 2 * Context::CAPACITY + 16 }>, Errno> {
    let mut text = Bytes::EMPTY;
    let is_whole = text.extend(source.as_slice())
        && text.extend(b" ")
        && text.extend(target.as_slice())
        && write!(text, " {class}").is_ok();
    is_whole.then_some(text).ok_or(Errno(libc::ENAMETOOLONG))
}

/// Answer of selinuxfs about permissions: "ALLOWED DECIDED AUDITALLOW AUDITDENY SEQUENCE FLAGS".
struct Access {
    allowed: u32,
    flags: u32,
}

impl Access {
    fn parse(answer: &[u8]) -> Option<Access> {
        let answer = from_utf8(answer).ok()?.trim_end_matches(['\0', '\n']);
        let mut words = answer.split(' ');
        let mut hexadecimal = |place| u32::from_str_radix(words.nth(place)?, 16).ok();
        Some(Access { allowed: hexadecimal(0)?, flags: hexadecimal(4)? })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A policy with the domains user, secure and kept, into which files of these names lead.
    struct Rules {
        files: HashMap<&'static str, &'static str>,
        create: fn(&str) -> Result<&'static str, Errno>,
        access: fn(&str) -> Result<&'static str, Errno>,
    }

    impl Policy for Rules {
        fn ask(&self, name: &str, question: &[u8], answer: &mut [u8]) -> Result<usize, Errno> {
            let question = from_utf8(question).unwrap();
            let text = match name {
                "create" => (self.create)(question)?,
                "access" => (self.access)(question)?,
                name => {
                    assert_eq!(question, "");
                    self.files.get(name).ok_or(Errno(libc::ENOENT))?
                }
            };
            answer[..text.len()].copy_from_slice(text.as_bytes());
            Ok(text.len())
        }
    }

    fn create(question: &str) -> Result<&'static str, Errno> {
        match question {
            "u:r:user bin 2" => Ok("u:r:user\0"),
            "u:r:user secure_exec 2" => Ok("u:r:secure\0"),
            "u:r:user kept_exec 2" => Ok("u:r:kept\0"),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    fn access(question: &str) -> Result<&'static str, Errno> {
        match question {
            "u:r:user u:r:secure 2" => Ok("5 ffffffff 0 ffffffff 7 0"),
            "u:r:user u:r:kept 2" => Ok("2 ffffffff 0 ffffffff 7 0"),
            "u:r:user u:r:secure 3" => Ok("1 ffffffff 0 ffffffff 7 0"),
            "u:r:user u:r:kept 3" => Ok("0 ffffffff 0 ffffffff 7 0"),
            "u:r:kept lib 4" => Ok("1f ffffffff 0 ffffffff 7 0"),
            "u:r:kept home 4" => Ok("17 ffffffff 0 ffffffff 7 0"),
            _ => Err(Errno(libc::EACCES)),
        }
    }

    fn rules() -> Rules {
        let files = [
            ("class/process/index", "2"),
            ("class/process/perms/noatsecure", "2"),
            ("class/process2/index", "3"),
            ("class/process2/perms/nnp_transition", "1"),
            ("class/file/index", "4"),
            ("class/file/perms/read", "1"),
            ("class/file/perms/open", "2"),
            ("class/file/perms/getattr", "3"),
            ("class/file/perms/map", "4"),
            ("class/file/perms/execute", "5"),
            ("enforce", "1"),
        ];
        Rules { files: HashMap::from(files), create, access }
    }

    fn context(text: &str) -> Context {
        Context::read(text.as_bytes()).unwrap()
    }

    fn asked(rules: &Rules, file: &str, library: &str, backstop: bool) -> Result<bool, Errno> {
        let (thread, file) = (context("u:r:user"), context(file));
        let library = Some(context(library)).filter(|library| !library.as_slice().is_empty());
        loads_library(rules, &Contexts { thread, file, library }, backstop)
    }

    #[test]
    fn a_program_that_stays_in_its_domain_loads_the_library() {
        assert_eq!(asked(&rules(), "bin", "lib", false), Ok(true));
        assert_eq!(asked(&rules(), "bin", "home", true), Ok(true));
    }

    #[test]
    fn a_change_of_domain_keeps_the_library_only_with_noatsecure_and_a_library_to_read() {
        assert_eq!(asked(&rules(), "secure_exec", "lib", false), Ok(false));
        assert_eq!(asked(&rules(), "kept_exec", "lib", false), Ok(true));
        assert_eq!(asked(&rules(), "kept_exec", "", false), Ok(true));
        assert_eq!(asked(&rules(), "kept_exec", "home", false), Ok(false), "it may not map it");
    }

    #[test]
    fn under_the_backstop_a_change_needs_a_permission() {
        assert_eq!(asked(&rules(), "secure_exec", "lib", true), Ok(false));
        let access = |question: &str| match question {
            "u:r:user u:r:secure 3" => Ok("2 ffffffff 0 ffffffff 7 0"),
            other => access(other),
        };
        assert_eq!(asked(&Rules { access, ..rules() }, "secure_exec", "lib", true), Ok(true));
        assert_eq!(asked(&Rules { access, ..rules() }, "secure_exec", "lib", false), Ok(false));
    }

    #[test]
    fn denials_that_are_only_logged_deny_nothing() {
        let access = |question: &str| match question {
            "u:r:user u:r:secure 2" => Ok("0 ffffffff 0 ffffffff 7 1"),
            "u:r:secure lib 4" => Ok("1f ffffffff 0 ffffffff 7 0"),
            other => access(other),
        };
        assert_eq!(asked(&Rules { access, ..rules() }, "secure_exec", "lib", false), Ok(true));
        let mut permissive = rules();
        permissive.files.insert("enforce", "0");
        assert_eq!(asked(&permissive, "secure_exec", "", false), Ok(true));
    }

    #[test]
    fn a_permission_that_the_policy_does_not_know_is_not_granted() {
        for unknown in
            ["class/process/perms/noatsecure", "class/file/perms/map", "class/file/index"]
        {
            let mut rules = rules();
            rules.files.remove(unknown);
            assert_eq!(asked(&rules, "kept_exec", "lib", false), Ok(false), "{unknown}");
        }
    }

    #[test]
    fn without_a_policy_nothing_changes() {
        let mut rules = rules();
        rules.files.clear();
        assert_eq!(asked(&rules, "secure_exec", "lib", false), Ok(true));
    }

    #[test]
    fn an_answer_that_does_not_come_is_an_error() {
        assert_eq!(asked(&rules(), "other_exec", "lib", false), Err(Errno(libc::EINVAL)));
        let access = |_: &str| Err(Errno(libc::EACCES));
        let denied = Rules { access, ..rules() };
        assert_eq!(asked(&denied, "kept_exec", "lib", false), Err(Errno(libc::EACCES)));
        let access = |_: &str| Ok("nonsense");
        let unreadable = Rules { access, ..rules() };
        assert_eq!(asked(&unreadable, "kept_exec", "lib", false), Err(Errno(libc::EINVAL)));
        let mut unreadable = rules();
        unreadable.files.insert("class/process/index", "two");
        assert_eq!(asked(&unreadable, "bin", "lib", false), Err(Errno(libc::EINVAL)));
    }
}
