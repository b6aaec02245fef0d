//! May a program be executed? Only if it would run protected, or is a helper that the settings let
//! run without. Async-signal-safe.
#![allow(clippy::result_large_err)] // The reason names a path, and there is no allocator.

use core::ffi::CStr;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use epochsocks::backstop::presence;
use epochsocks::config::{Environment, godebug};
use epochsocks::helper::UNPROTECTED;
use epochsocks::log::{Level, Subject};
use epochsocks::policy::exec::chain::{Blocked, Reason, judge, may_load};
use epochsocks::policy::exec::domain::may_lose_library;
use epochsocks::policy::exec::{ExecRefusal, decide_process, decide_tunables, is_redirectable};
use epochsocks::policy::unprotected::is_excusable;
use epochsocks::program::elf;
use epochsocks::sys::{self, Errno, File};

use super::call::{By, Call, Target, Text};
use super::ldd::lists_only;
use crate::log::{count, line};
use crate::{environment, inheritance};

/// The shell that libc starts.
pub const SHELL: &CStr = c"/bin/sh";

/// Environment that a program gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Gets {
    /// The library with the rest.
    Everything,
    /// All but LD_PRELOAD: its dynamic linker can load none of our libraries, and would end it.
    NoLibrary,
    /// And `GODEBUG`, for which a program of Go's looks names up by the C library.
    NamesOfC,
}

/// Tells whether `target` may be executed by `call`, and with what. A file that can't be judged is refused,
/// with a log line; the kernel's own errors for a missing file and the like are returned as they are.
pub fn check(target: Target<'_>, call: &Call<'_>) -> Result<Gets, Errno> {
    let Call { arguments, environment, by } = *call;
    let facts = target.inspect();
    let protected = match judge(&facts) {
        Ok(_) => process(target, environment).and_then(|()| library()),
        Err(blocked) => Err(Obstacle::Blocked(blocked)),
    };
    let Err(obstacle) = protected else { return Ok(Gets::Everything) };
    if obstacle.is(ExecRefusal::Static) && lists_only(target, arguments, environment) {
        return Ok(Gets::Everything);
    }
    // The supervisor carries out what the library can't reach.
    if obstacle.is_redirectable() && presence::is_supervised() {
        if facts.is_ok_and(|facts| facts.asks_only_by_go())
            && godebug::names_onion(arguments.entries().map(CStr::to_bytes))
        {
            tell(by, Level::Warning, format_args!("{target} {}", godebug::REFUSES));
        }
        return Ok(match &facts {
            _ if !may_load(&facts) => Gets::NoLibrary,
            Ok(facts) if facts.asks_c_library() => Gets::NamesOfC,
            _ => Gets::Everything,
        });
    }
    if obstacle.is_excusable()
        && let Some(helper) = target.helper()
    {
        if !helper.starts_another(arguments.entries().map(CStr::to_bytes)) {
            let bare = helper.without_privileges();
            match bare.filter(|_| sys::filter::gets_no_new_privileges()) {
                None => tell(by, Level::Notice, format_args!("{target} {UNPROTECTED}")),
                Some(bare) => {
                    let level = if bare.fails { Level::Warning } else { Level::Notice };
                    tell(by, level, format_args!("{target} {UNPROTECTED}, and {bare}"));
                }
            }
            return Ok(Gets::Everything);
        }
        let why = "would start another program without the preload library: start it alone first";
        refuse(by, target, format_args!("{target} {why}"));
        return Err(Errno(libc::EPERM));
    }
    obstacle.tell(by, target);
    Err(obstacle.errno())
}

/// The reason why a program would not run protected.
#[allow(clippy::large_enum_variant, reason = "there is no allocator to box with")]
enum Obstacle {
    /// The file, or an interpreter of it.
    Blocked(Blocked),
    /// The process that executes it.
    Process(ExecRefusal),
    /// The library can't be loaded from where the program would look for it.
    Library(Unloadable),
}

/// The reason why the library can't be loaded.
enum Unloadable {
    /// This process does not know the library's path.
    Nowhere,
    /// The file can't be opened or mapped.
    Closed(Errno),
    /// Another file is in its place.
    Replaced,
}

impl Obstacle {
    fn is(&self, refusal: ExecRefusal) -> bool {
        matches!(self, Obstacle::Blocked(blocked) if blocked.interpreter().is_none()
            && blocked.reason == Reason::Refused(refusal))
    }

    /// Tells whether the refusal lies in the program itself, and is one that a helper is excused
    /// from. A file that may be executed but not read, as some set-ID programs, counts as well.
    fn is_excusable(&self) -> bool {
        match self {
            Obstacle::Blocked(blocked) if blocked.interpreter().is_some() => false,
            Obstacle::Blocked(Blocked { reason: Reason::Refused(refusal), .. })
            | Obstacle::Process(refusal) => is_excusable(*refusal),
            Obstacle::Blocked(Blocked { reason: Reason::Unknown(errno), .. }) => {
                *errno == Errno(libc::EACCES)
            }
            Obstacle::Library(_) => false,
        }
    }

    /// Tells whether a supervisor can do what the library can't; an interpreter may be to blame, too.
    fn is_redirectable(&self) -> bool {
        matches!(self, Obstacle::Blocked(Blocked { reason: Reason::Refused(refusal), .. })
            if is_redirectable(*refusal))
    }

    fn errno(&self) -> Errno {
        match self {
            Obstacle::Blocked(blocked) => blocked.errno(),
            Obstacle::Process(refusal) => refusal.errno(),
            Obstacle::Library(_) => Errno(libc::EPERM),
        }
    }

    /// Tells the user what the program that asked can't know. The kernel's own errors it knows.
    fn tell(&self, by: By<'_>, target: Target<'_>) {
        match self {
            Obstacle::Process(refusal) => {
                refuse(by, target, format_args!("{target} {refusal}; {}", refusal.remedy()));
            }
            Obstacle::Blocked(blocked) => match (blocked.reason, blocked.interpreter()) {
                // The kernel says so, too.
                (
                    Reason::Refused(ExecRefusal::NotRegular | ExecRefusal::TooManyInterpreters),
                    _,
                ) => {}
                (Reason::Refused(refusal), None) => {
                    refuse(by, target, format_args!("{target} {refusal}; {}", refusal.remedy()));
                }
                (Reason::Refused(refusal), Some(interpreter)) => refuse(
                    by,
                    target,
                    format_args!("{target}: its interpreter {} {refusal}", Text(interpreter)),
                ),
                (Reason::Unknown(Errno(libc::EACCES)), None) if target.may_execute() => refuse(
                    by,
                    target,
                    format_args!("{target} can't be read, so it may bypass Tor; run it outside"),
                ),
                (Reason::Unknown(_), _) => {}
            },
            Obstacle::Library(unloadable) => {
                let library = Text(inheritance::library().unwrap_or(c""));
                match unloadable {
                    Unloadable::Nowhere => {
                        refuse(
                            by,
                            target,
                            format_args!("{target}: the preload library has no path"),
                        );
                    }
                    Unloadable::Closed(errno) => refuse(
                        by,
                        target,
                        format_args!(
                            "{target}: {library} can't be loaded from here: {errno}; put the library \
                             where the program can read it"
                        ),
                    ),
                    Unloadable::Replaced => refuse(
                        by,
                        target,
                        format_args!(
                            "{target}: {library} can't be loaded from here: another file is in its \
                             place"
                        ),
                    ),
                }
            }
        }
    }
}

/// Tells whether the dynamic linker would take LD_PRELOAD in what this process executes.
fn process(target: Target<'_>, environment: Environment<'_>) -> Result<(), Obstacle> {
    let has_backstop =
        || sys::filter::gets_no_new_privileges() && environment::backstop().is_some();
    let may_lose_library =
        || may_lose_library(|| target.open(), inheritance::library(), has_backstop);
    environment
        .values("GLIBC_TUNABLES")
        .try_for_each(decide_tunables)
        .and_then(|()| decide_process(sys::has_changed_ids(), may_lose_library))
        .map_err(Obstacle::Process)
}

/// Tells whether the program that is executed could load the library by its path: after a chroot,
/// an unmount, a remount as noexec or with fewer capabilities the dynamic linker would only warn,
/// and run the program unprotected.
fn library() -> Result<(), Obstacle> {
    let path = inheritance::library().ok_or(Obstacle::Library(Unloadable::Nowhere))?;
    let is_ours = sys::as_after_exec(|| {
        let file = File::open_at(libc::AT_FDCWD, path)?;
        file.map_as_code()?;
        // A file that is cut short can't be loaded either.
        let length = elf::length_of_our_library(&file)?;
        Ok(length.is_some_and(|length| file.length().is_ok_and(|all| all as u64 >= length)))
    });
    match is_ours {
        Ok(true) => Ok(()),
        Ok(false) => Err(Obstacle::Library(Unloadable::Replaced)),
        Err(errno) => Err(Obstacle::Library(Unloadable::Closed(errno))),
    }
}

/// The process and the name of the program that was refused last, folded into one word. It guards no
/// other memory: Relaxed is enough.
static LAST_REFUSED: AtomicU64 = AtomicU64::new(0);

/// Says that `target` is not executed, once where a caller tries the same name in one folder of PATH
/// after the other.
fn refuse(by: By<'_>, target: Target<'_>, message: fmt::Arguments<'_>) {
    let process = sys::getpid().to_ne_bytes();
    // FNV-1a.
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let word = process.iter().chain(target.name()).fold(0xcbf2_9ce4_8422_2325, fold);
    let is_again = LAST_REFUSED.swap(word, Relaxed) == word && !target.name().is_empty();
    let level = if is_again { Level::Debug } else { Level::Error };
    count(Subject::Exec);
    tell(by, level, format_args!("not executed: {message}"));
}

/// Tells the user, now or when the parent does.
fn tell(by: By<'_>, level: Level, message: fmt::Arguments<'_>) {
    match by {
        By::Caller => line(level, Subject::Exec, message),
        By::Child(note) => note.write(level, message),
    }
}
