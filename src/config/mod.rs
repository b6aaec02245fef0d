//! Settings, from one table of options: flags win over `EPOCHSOCKS_*` variables, these over
//! `TORSOCKS_*` variables, these over the file, and the file over the defaults.
//!
//! | file | what |
//! | --- | --- |
//! | `options` | [`OPTIONS`], the table: directive, variables, flags, kind, default and help of each |
//! | `option_spec` | [`OptionSpec`], [`FlagSpec`]: the parts of a row |
//! | `settings` | [`Settings`], the values, and the rules between them |
//! | `kind` | [`Kind`], what text an option takes, and its parsing |
//! | `network` | [`Network`], an IPv4 network |
//! | `direct` | [`Direct`], what may be reached without Tor |
//! | `proxy` | Tor's SOCKS port as the variables of libcurl name it |
//! | `godebug` | the choice of a resolver in `GODEBUG`, as Go's programs take it |
//! | `load` | [`load()`] settings from all [`Sources`] |
//! | `file` | the configuration file, line by line |
//! | `environment` | [`Environment`], a process's environment block |
//! | `error` | [`ConfigError`] and [`Warning`], each one line |
//!
//! Nothing here allocates, so that the library's constructor and the launcher run the same code.
//! Files are read with raw system calls; everything is async-signal-safe.

mod direct;
mod environment;
mod error;
mod file;
pub mod godebug;
mod kind;
mod load;
mod network;
mod option_spec;
mod options;
pub mod proxy;
mod settings;

pub use direct::{Direct, Hosts, Item};
pub use environment::{Environment, value_of};
pub use error::{ConfigError, Excerpt, FilePath, Origin, Warning};
pub use file::Dialect;
pub use kind::Kind;
pub use load::{
    Assignment, CONF_FILE_VARIABLES, NO_FILE, SYSTEM_FILES, Sources, configuration_file, load,
};
pub use network::Network;
pub use option_spec::{FlagSpec, OptionSpec, Text};
pub use options::{OPTIONS, variables};
pub use settings::{
    Backstop, Connect, HostName, Inbound, IsolationKey, LocalDestinations, LogFormat, Names,
    OutboundLocalhost, PassedSockets, Path, Secret, Settings,
};
