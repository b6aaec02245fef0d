//! A process, as /proc has it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::linux::fs::MetadataExt;
use std::os::unix::ffi::OsStrExt;

use crate::registry;

/// Most mappings of libraries of ours in one process that are looked at.
const MOST: usize = 16;

/// As many ancestors as are looked for: more than any process has, as numbers are taken anew meanwhile.
const DEEPEST: usize = 1 << 16;

/// A process.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub i32);

impl Process {
    /// Every process.
    pub fn all() -> io::Result<Vec<Process>> {
        let names = fs::read_dir("/proc")?.flatten().map(|entry| entry.file_name());
        let mut all: Vec<_> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
        all.sort_unstable();
        Ok(all.into_iter().map(Process).collect())
    }

    fn path(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0)
    }

    /// The user that may look into it: root for a process that the kernel keeps closed.
    pub fn user(self) -> io::Result<u32> {
        fs::metadata(self.path("")).map(|status| status.st_uid())
    }

    /// Tells whether it runs this very command, as the launcher and the supervisor of a program do; false for
    /// what this user may not look into.
    pub fn is_launcher(self) -> bool {
        let file = |path| fs::metadata(path).map(|status| (status.st_dev(), status.st_ino()));
        let own = file("/proc/self/exe".to_owned());
        own.is_ok_and(|own| file(self.path("exe")).is_ok_and(|its| its == own))
    }

    /// The text behind `name` in its status file; `None` for one that is gone.
    fn status(self, name: &str) -> Option<String> {
        let status = fs::read(self.path("status")).ok()?;
        let mut lines = status.split(|byte| *byte == b'\n');
        let text = lines.find_map(|line| line.strip_prefix(name.as_bytes()))?;
        str::from_utf8(text).ok().map(|text| text.trim_ascii().to_owned())
    }

    /// Its parent; `None` for one that is gone.
    fn parent(self) -> Option<Process> {
        self.status("PPid:")?.parse().ok().map(Process)
    }

    /// Tells whether it has ended, and its parent has not asked for its exit status.
    pub fn is_zombie(self) -> bool {
        self.status("State:").is_some_and(|state| state.starts_with('Z'))
    }

    /// Its parent, that one's parent, and so on.
    pub fn ancestors(self) -> impl Iterator<Item = Process> {
        std::iter::successors(self.parent(), |process| process.parent()).take(DEEPEST)
    }

    /// Every process that it is an ancestor of.
    pub fn descendants(self) -> io::Result<Vec<Process>> {
        let mut all = Process::all()?;
        all.retain(|process| process.ancestors().any(|ancestor| ancestor.0 == self.0));
        Ok(all)
    }

    /// The name of its program, in a form that a terminal can stand.
    pub fn command(self) -> String {
        let name = fs::read(self.path("comm")).unwrap_or_default();
        name.trim_ascii_end().escape_ascii().to_string()
    }

    /// Addresses at which preload libraries of ours are mapped.
    pub fn libraries(self) -> io::Result<Vec<u64>> {
        let maps = fs::read(self.path("maps"))?;
        Ok(maps.split(|byte| *byte == b'\n').filter_map(library).take(MOST).collect())
    }

    /// Its descriptors that are sockets, each with the number of its file.
    pub fn sockets(self) -> io::Result<Vec<(u32, u64)>> {
        let directory = fs::read_dir(self.path("fd"))?;
        let mut sockets: Vec<_> = directory
            .flatten()
            .filter_map(|entry| {
                let fd = entry.file_name().to_str()?.parse().ok()?;
                let target = fs::read_link(entry.path()).ok()?;
                let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some((fd, inode.parse().ok()?))
            })
            .collect();
        sockets.sort_unstable();
        Ok(sockets)
    }

    /// Says whether its network is this process's, of which the kernel tells.
    pub fn shares_our_network(self) -> bool {
        let own = fs::read_link("/proc/self/ns/net");
        own.is_ok_and(|own| fs::read_link(self.path("ns/net")).is_ok_and(|its| its == own))
    }

    /// The environment that it was started with.
    pub fn environment(self) -> Vec<Vec<u8>> {
        let bytes = fs::read(self.path("environ")).unwrap_or_default();
        bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
    }
}

/// The start of the mapping, if a line of /proc/PID/maps is of a library of ours, from its first byte.
fn library(line: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_ascii_whitespace();
    let (range, _, offset) = (words.next()?, words.next()?, words.next()?);
    let path = OsString::from(words.nth(2)?);
    let is_start = u64::from_str_radix(offset, 16) == Ok(0);
    let start = u64::from_str_radix(range.split_once('-')?.0, 16).ok()?;
    (is_start && registry::is_ours(path.as_bytes())).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mapping_of_a_library_of_ours_is_found_also_of_one_that_was_replaced() {
        let line = |rest: &str| library(format!("7f00-8f00 r--p {rest}").as_bytes());
        let path = "/usr/lib/epochsocks/libepochsocks_preload.so";
        assert_eq!(line(&format!("00000000 08:01 7   {path}")), Some(0x7f00));
        assert_eq!(line(&format!("00000000 08:01 7   {path} (deleted)")), Some(0x7f00));
        assert_eq!(line(&format!("00001000 08:01 7   {path}")), None);
        assert_eq!(line("00000000 08:01 7   /usr/lib/libc.so.6"), None);
        assert_eq!(line("00000000 00:00 0"), None);
        assert_eq!(library(b""), None);
    }
}
