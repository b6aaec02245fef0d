//! The table of programs: tests/programs/programs.tsv.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Network, process::search_path};

/// Services that the world always has.
const ALWAYS: [&str; 6] = ["-", "http", "https", "echo", "ssh", "rsync"];

/// The kind of host by which a program is to reach the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A name with an IPv4 address.
    Name,
    /// The onion service.
    Onion,
    /// A name with nothing but an IPv6 address.
    Ipv6,
}

impl Host {
    /// As columns are headed.
    pub fn name(self) -> &'static str {
        match self {
            Host::Name => "name",
            Host::Onion => "onion",
            Host::Ipv6 => "IPv6",
        }
    }

    /// The host that the program is to reach.
    pub fn host(self, network: &Network) -> &str {
        match self {
            Host::Name => "v4only.test",
            Host::Onion => network.onion(),
            Host::Ipv6 => "v6only.test",
        }
    }
}

/// The end that a program must come to under epochsocks.
#[derive(Debug, PartialEq, Eq)]
pub enum Must {
    /// It prints this text.
    Work(String),
    /// The library or the launcher says why not, with this text.
    Refuse(String),
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// The program and, where it has several rows, the way it is used.
    pub name: String,
    /// The hosts by which continuous integration tries it.
    pub in_ci: Vec<Host>,
    /// Debian's packages, and others as `pip:NAME`, `npm:NAME` and `cargo:NAME`.
    pub packages: Vec<String>,
    /// The service that it speaks to; `-` for none of its own.
    pub service: String,
    /// The hosts by which it is tried.
    pub hosts: Vec<Host>,
    /// The end that it must come to.
    pub must: Must,
    /// The command, for sh. `$HOST` is the host; see [`crate::trial`] for the other variables.
    pub command: String,
}

impl Row {
    /// Reads a line.
    fn parse(line: &str) -> Option<Row> {
        let mut fields = line.splitn(7, '\t');
        let mut field = || fields.next();
        let name = field()?.to_owned();
        let in_ci = hosts(field()?)?;
        let packages = field()?.split(' ').filter(|name| *name != "-").map(str::to_owned).collect();
        let service = field()?.to_owned();
        let hosts = hosts(field()?)?;
        let must = match field()?.split_once(": ")? {
            ("works", text) => Must::Work(text.to_owned()),
            ("refused", text) => Must::Refuse(text.to_owned()),
            _ => return None,
        };
        Some(Row { name, in_ci, packages, service, hosts, must, command: field()?.to_owned() })
    }

    /// Starts the row's service; answers the reason if the row can't be tried here.
    pub fn lacks(&self, network: &Network) -> Option<String> {
        let missing: Vec<_> =
            self.packages.iter().filter(|name| !installed().contains(*name)).cloned().collect();
        if !missing.is_empty() {
            return Some(format!("not installed: {}", missing.join(", ")));
        }
        if ALWAYS.contains(&self.service.as_str()) {
            return None;
        }
        network.serve(&self.service).err()
    }
}

/// The hosts of a field.
fn hosts(letters: &str) -> Option<Vec<Host>> {
    let host = |letter| match letter {
        'n' => Some(Host::Name),
        'o' => Some(Host::Onion),
        '6' => Some(Host::Ipv6),
        _ => None,
    };
    letters.trim_matches('-').chars().map(host).collect()
}

/// The rows, in the order of the file.
pub fn programs() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        include_str!("programs.tsv")
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| Row::parse(line).unwrap_or_else(|| panic!("programs.tsv: {line}")))
            .collect()
    })
}

/// Directory into which tests/programs/run installs what is not Debian's.
pub fn workshop() -> &'static Path {
    static PATH: OnceLock<std::path::PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let tests = Path::new(env!("CARGO_TARGET_TMPDIR"));
        tests.parent().unwrap_or(tests).join("programs")
    })
}

/// The installed packages: Debian's, and those of tests/programs/run.
fn installed() -> &'static BTreeSet<String> {
    static INSTALLED: OnceLock<BTreeSet<String>> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let listing = Command::new("dpkg-query")
            .args(["--show", "--showformat=${db:Status-Status} ${Package}\n"])
            .env("PATH", search_path())
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        let others = fs::read_to_string(workshop().join("installed")).unwrap_or_default();
        let debian = listing.lines().filter_map(|line| line.strip_prefix("installed "));
        debian.chain(others.lines()).map(str::to_owned).collect()
    })
}
