//! The preload libraries, and how each is told where its proxy is.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use epochsocks::registry::VARIANTS;

/// A way to run a program.
#[derive(Clone, Debug)]
pub struct Torifier {
    /// Name in the results.
    pub name: String,
    library: Option<PathBuf>,
    variables: Vec<(&'static str, String)>,
    /// A launcher with its flags, for the start-up of the whole thing.
    launcher: Vec<String>,
}

/// The name for a program without a preload library.
pub const NOTHING: &str = "nothing";
/// The name for our library with its default registry.
pub const OURS: &str = "epochsocks";
/// The name for a library without anything in it.
pub const EMPTY: &str = "empty library";

impl Torifier {
    /// No library.
    pub fn nothing() -> Torifier {
        Torifier {
            name: NOTHING.to_owned(),
            library: None,
            variables: Vec::new(),
            launcher: Vec::new(),
        }
    }

    /// A library without anything in it: what the dynamic linker takes for any.
    pub fn floor(scratch: &Path) -> io::Result<Torifier> {
        let library = shared_library("empty", scratch)?;
        let name = EMPTY.to_owned();
        Ok(Torifier { name, library: Some(library), ..Torifier::nothing() })
    }

    /// The same from an installed prefix, its files written in one go as a package manager does: what
    /// a linker has written piece by piece lies in pieces in the page cache, and is slower to map.
    pub fn installed(self, prefix: &Path) -> io::Result<Torifier> {
        let prefix = std::path::absolute(prefix)?;
        let place = |folder: &str, file: &Path| -> io::Result<PathBuf> {
            let to = prefix.join(folder).join(file.file_name().unwrap_or_default());
            std::fs::create_dir_all(prefix.join(folder))?;
            std::fs::write(&to, std::fs::read(file)?)?;
            std::fs::set_permissions(&to, std::fs::metadata(file)?.permissions())?;
            Ok(to)
        };
        let library = self.library.map(|file| place("lib/epochsocks", &file)).transpose()?;
        let mut launcher = self.launcher;
        if let Some(program) = launcher.first_mut() {
            *program = place("bin", Path::new(program))?.to_string_lossy().into_owned();
        }
        Ok(Torifier { library, launcher, ..self })
    }

    /// Lets a command run under the library.
    pub fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if let Some(library) = &self.library {
            command.env("LD_PRELOAD", library);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }

    /// As [`Torifier::apply`], with another library that comes first.
    pub fn apply_behind<'c>(&self, first: &Path, command: &'c mut Command) -> &'c mut Command {
        let libraries = [Some(first), self.library.as_deref()].into_iter().flatten();
        let list = libraries.map(Path::as_os_str).collect::<Vec<_>>().join(":".as_ref());
        self.apply(command).env("LD_PRELOAD", list)
    }

    /// The command that runs `program` by the launcher; `None` where there is none.
    pub fn launch(&self, program: &Path) -> Option<Command> {
        let (launcher, flags) = self.launcher.split_first()?;
        let mut command = Command::new(launcher);
        command.args(flags).arg(program);
        if let Some(library) = &self.library {
            command.env("EPOCHSOCKS_LIBRARY", library);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Some(command)
    }
}

/// The name for our launcher with a supervisor.
pub const SUPERVISOR: &str = "supervisor";

/// Our launcher without a backstop, as it is, and with a supervisor.
pub fn layers(port: u16) -> io::Result<[Torifier; 3]> {
    let with = epochsocks(port)?;
    let layer = |name: &str, flag: &[&str]| {
        let mut layer = Torifier { name: name.to_owned(), ..with.clone() };
        layer.launcher.extend(flag.iter().map(|&flag| flag.to_owned()));
        layer
    };
    Ok([
        layer("no backstop", &["--no-backstop"]),
        layer("backstop", &[]),
        layer(SUPERVISOR, &["--redirect"]),
    ])
}

/// Compiles c/`name`.c to a library in `scratch`.
pub fn shared_library(name: &str, scratch: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir_all(scratch)?;
    let library = std::path::absolute(scratch.join(format!("lib{name}.so")))?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("c/{name}.c"));
    let flags = ["-shared", "-fPIC", "-O2", "-Dmain=unused", "-o"];
    let status = Command::new("cc").args(flags).args([&library, &source]).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{} does not compile", source.display())));
    }
    Ok(library)
}

/// The built preload libraries and programs: this program's own directory, as cargo builds all of a
/// profile into one.
pub fn built(file: &str) -> io::Result<PathBuf> {
    let directory = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    let path = directory.join(file);
    match path.exists() {
        true => Ok(path),
        false => Err(io::Error::other(format!("{} is missing: run benches/run", path.display()))),
    }
}

fn ours(name: &str, file: &str, port: u16) -> io::Result<Torifier> {
    let launcher = built("epochsocks")?.to_string_lossy().into_owned();
    Ok(Torifier {
        name: name.to_owned(),
        library: Some(built(file)?),
        variables: vec![
            ("EPOCHSOCKS_CONF_FILE", "none".to_owned()),
            ("EPOCHSOCKS_TOR_PORT", port.to_string()),
            ("EPOCHSOCKS_LOG_LEVEL", "1".to_owned()),
        ],
        launcher: vec![launcher],
    })
}

/// Our library with the default registry.
pub fn epochsocks(port: u16) -> io::Result<Torifier> {
    ours(OURS, "libepochsocks_preload.so", port)
}

/// Our library as the launcher hands it on where nothing is set.
pub fn unset() -> io::Result<Torifier> {
    let variables = vec![("EPOCHSOCKS_CONF_FILE", "none".to_owned())];
    Ok(Torifier { variables, ..epochsocks(9050)? })
}

/// Our library with each of the other registries that was built; the names of those that were not.
pub fn variants(port: u16) -> (Vec<Torifier>, Vec<String>) {
    let mut missing = Vec::new();
    let found = VARIANTS.iter().skip(1).filter_map(|variant| {
        let (name, file) = (
            format!("{OURS}-{}", variant.name),
            format!("libepochsocks_preload-{}.so", variant.name),
        );
        ours(&name, &file, port).map_err(|error| missing.push(error.to_string())).ok()
    });
    let found: Vec<_> = found.collect();
    (found, missing)
}

/// torsocks and proxychains4, where they are installed, and notes on those that are not.
pub fn peers(port: u16, scratch: &Path) -> io::Result<(Vec<Torifier>, Vec<String>)> {
    let candidates = [torsocks(port), proxychains(port, scratch)?];
    let mut notes = Vec::new();
    let found = candidates.into_iter().filter(|torifier| {
        let there = torifier.library.as_ref().is_some_and(|library| library.exists());
        if !there {
            notes.push(format!("{} is left out: it is not installed", torifier.name));
        }
        there
    });
    let found: Vec<_> = found.collect();
    Ok((found, notes))
}

fn system_library(file: &str) -> PathBuf {
    let machine = std::env::consts::ARCH;
    Path::new(&format!("/usr/lib/{machine}-linux-gnu")).join(file)
}

fn torsocks(port: u16) -> Torifier {
    Torifier {
        name: "torsocks".to_owned(),
        library: Some(system_library("torsocks/libtorsocks.so")),
        variables: vec![
            ("TORSOCKS_TOR_PORT", port.to_string()),
            ("TORSOCKS_LOG_LEVEL", "1".to_owned()),
        ],
        launcher: vec!["/usr/bin/torsocks".to_owned(), "-P".to_owned(), port.to_string()],
    }
}

fn proxychains(port: u16, scratch: &Path) -> io::Result<Torifier> {
    std::fs::create_dir_all(scratch)?;
    let file = std::path::absolute(scratch.join("proxychains.conf"))?;
    let text =
        format!("strict_chain\nquiet_mode\nproxy_dns\n[ProxyList]\nsocks5 127.0.0.1 {port}\n");
    std::fs::write(&file, text)?;
    let file = file.to_string_lossy().into_owned();
    let launcher = ["/usr/bin/proxychains4", "-q", "-f", &file].map(str::to_owned);
    Ok(Torifier {
        name: "proxychains4".to_owned(),
        library: Some(system_library("libproxychains.so.4")),
        variables: vec![
            ("PROXYCHAINS_CONF_FILE", file),
            ("PROXYCHAINS_QUIET_MODE", "1".to_owned()),
        ],
        launcher: launcher.to_vec(),
    })
}
