//! The one table of options, from which file, environment, flags, help and manual follow.

use core::fmt::Write;

use super::option_spec::{Description, FlagSpec, OptionSpec, Text, attaches, sets, takes};
use super::{
    Backstop, Connect, Direct, Inbound, Kind, LocalDestinations, LogFormat, Names, PassedSockets,
    Secret, Settings, kind,
};
use crate::bytes::Bytes;

impl OptionSpec {
    /// The option's value in `settings` as text; empty where it is not set.
    pub fn value(&self, settings: &Settings) -> Text {
        let mut text = Text::EMPTY;
        (self.description().show)(settings, &mut text);
        text
    }

    /// The launcher's flags that set it.
    pub fn flags(&self) -> &'static [FlagSpec] {
        self.description().flags
    }

    /// The default as text; empty where it is "not set".
    pub fn default(&self) -> &'static str {
        self.description().default
    }

    /// Effect, in one sentence.
    pub fn help(&self) -> &'static str {
        self.description().help
    }

    fn description(&self) -> &'static Description {
        let place = OPTIONS.iter().position(|option| core::ptr::eq(option, self));
        &DESCRIPTIONS[place.expect("each option is in the table")]
    }

    /// The option that `directive` names in a file, in upper or lower case.
    pub fn of_directive(directive: &[u8]) -> Option<&'static OptionSpec> {
        OPTIONS.iter().find(|option| option.directive.as_bytes().eq_ignore_ascii_case(directive))
    }
}

/// Every environment variable that sets an option: what a launcher removes before it exports the
/// settings that it resolved.
pub fn variables() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().flat_map(|option| option.torsocks_variable.into_iter().chain([option.variable]))
}

/// Puts a good value in its place.
fn store<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// `write!` to a text that has room for any value.
macro_rules! show {
    ($text:expr, $value:expr) => {{
        let _ = write!($text, "{}", $value);
    }};
}

/// Splits the rows: the preload library needs no description, and every pointer that it carries is
/// relocated at every exec.
macro_rules! options {
    ($(OptionSpec {
        flags: $flags:expr,
        default: $default:expr,
        help: $help:expr,
        directive: $directive:expr,
        variable: $variable:expr,
        torsocks_variable: $torsocks_variable:expr,
        kind: $kind:expr,
        set: $set:expr,
        show: $show:expr,
    },)*) => {
        const COUNT: usize = <[&[FlagSpec]]>::len(&[$($flags),*]);

        /// Every option, in the order of the manual.
        pub static OPTIONS: [OptionSpec; COUNT] = [$(OptionSpec {
            directive: $directive,
            variable: $variable,
            torsocks_variable: $torsocks_variable,
            kind: $kind,
            set: $set,
        }),*];

        static DESCRIPTIONS: [Description; COUNT] = [$(Description {
            flags: $flags,
            default: $default,
            help: $help,
            show: $show,
        }),*];
    };
}

options! {
    OptionSpec {
        flags: &[takes("--address", Some('a'))],
        default: "127.0.0.1",
        help: "Address of Tor's SOCKS port, or the name of its host, which the launcher looks up \
               without Tor.",
        directive: "TorAddress",
        variable: "EPOCHSOCKS_TOR_ADDRESS",
        torsocks_variable: Some("TORSOCKS_TOR_ADDRESS"),
        kind: Kind::Address,
        set: |settings, value| match kind::address(value) {
            Some(address) => {
                (settings.tor_address, settings.tor_host) = (address, None);
                Some(())
            }
            None => store(&mut settings.tor_host, kind::host(value).map(Some)),
        },
        show: |settings, text| match &settings.tor_host {
            Some(host) => {
                text.extend(host.as_slice());
            }
            None => show!(text, settings.tor_address),
        },
    },
    OptionSpec {
        flags: &[takes("--port", Some('P'))],
        default: "9050",
        help: "Tor's SOCKS port.",
        directive: "TorPort",
        variable: "EPOCHSOCKS_TOR_PORT",
        torsocks_variable: Some("TORSOCKS_TOR_PORT"),
        kind: Kind::Port,
        set: |settings, value| store(&mut settings.tor_port, kind::port(value)),
        show: |settings, text| show!(text, settings.tor_port),
    },
    OptionSpec {
        flags: &[takes("--onion-addr-range", None)],
        default: "127.42.42.0/24",
        help: "Network whose addresses stand for onion names; nothing else can be reached in it.",
        directive: "OnionAddrRange",
        variable: "EPOCHSOCKS_ONION_ADDR_RANGE",
        torsocks_variable: None,
        kind: Kind::Network,
        set: |settings, value| store(&mut settings.onion_range, kind::network(value)),
        show: |settings, text| show!(text, settings.onion_range),
    },
    OptionSpec {
        flags: &[takes("--names", None)],
        default: "resolve",
        help: "What a program gets for a host name: the address that Tor resolves it to, or a \
               cookie address, so that the connection itself carries the name and saves Tor a \
               round trip.",
        directive: "Names",
        variable: "EPOCHSOCKS_NAMES",
        torsocks_variable: None,
        kind: Kind::Names,
        set: |settings, value| store(&mut settings.names, kind::names(value)),
        show: |settings, text| {
            text.extend(match settings.names {
                Names::Resolve => b"resolve",
                Names::Cookie => b"cookie",
            });
        },
    },
    OptionSpec {
        flags: &[takes("--connect", None)],
        default: "auto",
        help: "A connect on a non-blocking socket: auto lets it go on while the program does other \
               things, unless the program is seen to wait for events by system calls of its own; \
               wait waits for its end always.",
        directive: "Connect",
        variable: "EPOCHSOCKS_CONNECT",
        torsocks_variable: None,
        kind: Kind::Connect,
        set: |settings, value| store(&mut settings.connect, kind::connect(value)),
        show: |settings, text| {
            text.extend(match settings.connect {
                Connect::Auto => b"auto",
                Connect::Wait => b"wait",
            });
        },
    },
    OptionSpec {
        flags: &[takes("--user", Some('u'))],
        default: "",
        help: "User name for Tor, which gives each user name and password circuits of their own; \
               needs a password.",
        directive: "SOCKS5Username",
        variable: "EPOCHSOCKS_USERNAME",
        torsocks_variable: Some("TORSOCKS_USERNAME"),
        kind: Kind::Username,
        set: |settings, value| store(&mut settings.username, kind::credential(value).map(Some)),
        show: |settings, text| {
            text.extend(settings.username.as_ref().map_or(&[], Bytes::as_slice));
        },
    },
    OptionSpec {
        flags: &[takes("--pass", Some('p'))],
        default: "",
        help: "Password for Tor; needs a user name.",
        directive: "SOCKS5Password",
        variable: "EPOCHSOCKS_PASSWORD",
        torsocks_variable: Some("TORSOCKS_PASSWORD"),
        kind: Kind::Password,
        set: |settings, value| {
            store(
                &mut settings.password,
                kind::credential(value).map(|password| Some(Secret(password))),
            )
        },
        show: |settings, text| {
            text.extend(settings.password.as_ref().map_or(&[], |Secret(bytes)| bytes.as_slice()));
        },
    },
    OptionSpec {
        flags: &[sets("--isolate", Some('i'), "1")],
        default: "0",
        help: "Give each process circuits of its own; excludes user name and password.",
        directive: "IsolatePID",
        variable: "EPOCHSOCKS_ISOLATE_PID",
        torsocks_variable: Some("TORSOCKS_ISOLATE_PID"),
        kind: Kind::Switch,
        set: |settings, value| store(&mut settings.isolate_pid, kind::switch(value)),
        show: |settings, text| show!(text, u8::from(settings.isolate_pid)),
    },
    OptionSpec {
        flags: &[attaches("--isolate")],
        default: "",
        help: "Give all processes with this key circuits that they share with each other only; \
               excludes IsolatePID, and user name and password.",
        directive: "IsolationKey",
        variable: "EPOCHSOCKS_ISOLATION_KEY",
        torsocks_variable: None,
        kind: Kind::IsolationKey,
        set: |settings, value| store(&mut settings.isolation_key, kind::isolation_key(value).map(Some)),
        show: |settings, text| {
            text.extend(settings.isolation_key.as_ref().map_or(&[], Bytes::as_slice));
        },
    },
    OptionSpec {
        flags: &[sets("--isolate-destination", None, "1")],
        default: "0",
        help: "Give each destination, by its name or address, circuits of its own; excludes user \
               name and password.",
        directive: "IsolateDestination",
        variable: "EPOCHSOCKS_ISOLATE_DESTINATION",
        torsocks_variable: None,
        kind: Kind::Switch,
        set: |settings, value| store(&mut settings.isolate_destination, kind::switch(value)),
        show: |settings, text| show!(text, u8::from(settings.isolate_destination)),
    },
    OptionSpec {
        flags: &[sets("--allow-inbound", None, "1"), attaches("--allow-inbound")],
        default: "0",
        help: "Allow listen and accept on addresses that are not local: 0 no, 1 yes; with loopback \
               such a TCP socket is bound to the loopback address instead.",
        directive: "AllowInbound",
        variable: "EPOCHSOCKS_ALLOW_INBOUND",
        torsocks_variable: Some("TORSOCKS_ALLOW_INBOUND"),
        kind: Kind::Inbound,
        set: |settings, value| store(&mut settings.allow_inbound, kind::inbound(value)),
        show: |settings, text| {
            text.extend(match settings.allow_inbound {
                Inbound::Never => b"0",
                Inbound::All => b"1",
                Inbound::Loopback => b"loopback".as_slice(),
            });
        },
    },
    OptionSpec {
        flags: &[takes("--allow-outbound-localhost", None)],
        default: "0",
        help: "Allow connections to the loopback interface past Tor: \
               0 none, 1 TCP, 2 TCP and UDP.",
        directive: "AllowOutboundLocalhost",
        variable: "EPOCHSOCKS_ALLOW_OUTBOUND_LOCALHOST",
        torsocks_variable: None,
        kind: Kind::Localhost,
        set: |settings, value| {
            store(&mut settings.allow_outbound_localhost, kind::localhost(value))
        },
        show: |settings, text| show!(text, settings.allow_outbound_localhost as u8),
    },
    OptionSpec {
        flags: &[takes("--allow-direct", None)],
        default: "",
        help: "Reach these networks and names by TCP without Tor, each perhaps at one port; a name \
               has the addresses that /etc/hosts gives it, and one that begins with a dot is all \
               names below it.",
        directive: "AllowDirect",
        variable: "EPOCHSOCKS_ALLOW_DIRECT",
        torsocks_variable: None,
        kind: Kind::Direct,
        set: |settings, value| store(&mut settings.allow_direct, kind::direct(value).map(Some)),
        show: |settings, text| {
            text.extend(settings.allow_direct.as_ref().map_or(&[], Direct::as_slice));
        },
    },
    OptionSpec {
        flags: &[takes("--local-destinations", None)],
        default: "refuse",
        help: "Names and addresses of local networks (one label, .local, .lan, 192.168.0.0/16, \
               ...): refuse answers them without asking Tor, tor asks Tor.",
        directive: "LocalDestinations",
        variable: "EPOCHSOCKS_LOCAL_DESTINATIONS",
        torsocks_variable: None,
        kind: Kind::LocalDestinations,
        set: |settings, value| {
            store(&mut settings.local_destinations, kind::local_destinations(value))
        },
        show: |settings, text| {
            text.extend(match settings.local_destinations {
                LocalDestinations::Refuse => b"refuse".as_slice(),
                LocalDestinations::Tor => b"tor",
            });
        },
    },
    OptionSpec {
        flags: &[takes("--passed-sockets", None)],
        default: "refuse",
        help: "Network sockets that other processes pass: refuse fails the call, drop takes them \
               out of the message, torified refuses those that are not connected to Tor, allow \
               takes all. What a program under epochsocks has connected through Tor is always taken.",
        directive: "PassedSockets",
        variable: "EPOCHSOCKS_PASSED_SOCKETS",
        torsocks_variable: None,
        kind: Kind::PassedSockets,
        set: |settings, value| store(&mut settings.passed_sockets, kind::passed_sockets(value)),
        show: |settings, text| {
            text.extend(match settings.passed_sockets {
                PassedSockets::Refuse => b"refuse",
                PassedSockets::Drop => b"drop".as_slice(),
                PassedSockets::Torified => b"torified",
                PassedSockets::Allow => b"allow",
            });
        },
    },
    OptionSpec {
        flags: &[takes("--unprotected-helpers", None)],
        default: Settings::HELPERS,
        help: "Programs that may run although the library can't protect them (setuid, setgid, with \
               file capabilities, static): names of root's programs in system directories, or \
               paths, between commas. A + in front adds to the default, none allows none. What \
               such a program sends, or a program that it starts, does not go through Tor.",
        directive: "UnprotectedHelpers",
        variable: "EPOCHSOCKS_UNPROTECTED_HELPERS",
        torsocks_variable: None,
        kind: Kind::Programs,
        set: |settings, value| {
            store(&mut settings.unprotected_helpers, kind::programs(value).map(Some))
        },
        show: |settings, text| {
            let helpers = settings.unprotected_helpers.as_ref();
            text.extend(helpers.map_or(Settings::HELPERS.as_bytes(), Bytes::as_slice));
        },
    },
    OptionSpec {
        flags: &[takes("--supervised-programs", None)],
        default: Settings::SUPERVISED,
        help: "Programs that a supervisor is chosen for because they start what they like, shells, \
               build and package tools: names of files, whatever version number they end in, or \
               of the interpreters of scripts, between commas. A + in front adds to the default, \
               none chooses it for none. It leads what the library can't reach through Tor.",
        directive: "SupervisedPrograms",
        variable: "EPOCHSOCKS_SUPERVISED_PROGRAMS",
        torsocks_variable: None,
        kind: Kind::Programs,
        set: |settings, value| {
            store(&mut settings.supervised_programs, kind::programs(value).map(Some))
        },
        show: |settings, text| {
            let programs = settings.supervised_programs.as_ref();
            text.extend(programs.map_or(Settings::SUPERVISED.as_bytes(), Bytes::as_slice));
        },
    },
    OptionSpec {
        flags: &[takes("--backstop", None), sets("--no-backstop", None, "0")],
        default: "1",
        help: "Run all that is started under a filter of system calls that refuses what the \
               library can't see, such as sockets made in a program's own assembly, and without \
               new privileges (setuid): 0 no, 1 yes or not at all, best-effort where it can be had.",
        directive: "Backstop",
        variable: "EPOCHSOCKS_BACKSTOP",
        torsocks_variable: None,
        kind: Kind::Backstop,
        set: |settings, value| store(&mut settings.backstop, kind::backstop(value)),
        show: |settings, text| {
            text.extend(match settings.backstop {
                Backstop::Never => b"0",
                Backstop::Always => b"1",
                Backstop::BestEffort => b"best-effort".as_slice(),
            });
        },
    },
    OptionSpec {
        flags: &[takes("--enable-ipv6", None), sets("--ipv6", Some('6'), "1")],
        default: "1",
        help: "Allow IPv6 sockets and addresses.",
        directive: "EnableIPv6",
        variable: "EPOCHSOCKS_ENABLE_IPV6",
        torsocks_variable: Some("TORSOCKS_ENABLE_IPV6"),
        kind: Kind::Switch,
        set: |settings, value| store(&mut settings.enable_ipv6, kind::switch(value)),
        show: |settings, text| show!(text, u8::from(settings.enable_ipv6)),
    },
    OptionSpec {
        flags: &[takes("--handshake-timeout", None)],
        default: "150",
        help: "How long a connection through Tor may take; Tor itself gives a silent host up \
               after 125 seconds.",
        directive: "HandshakeTimeout",
        variable: "EPOCHSOCKS_HANDSHAKE_TIMEOUT",
        torsocks_variable: None,
        kind: Kind::Seconds,
        set: |settings, value| store(&mut settings.handshake_timeout, kind::seconds(value)),
        show: |settings, text| show!(text, settings.handshake_timeout.as_secs()),
    },
    OptionSpec {
        flags: &[
            takes("--log-level", None),
            sets("--debug", Some('d'), "5"),
            sets("--quiet", Some('q'), "1"),
        ],
        default: "3",
        help: "What is logged: 1 nothing, 2 errors, 3 warnings, 4 notices, 5 everything.",
        directive: "LogLevel",
        variable: "EPOCHSOCKS_LOG_LEVEL",
        torsocks_variable: Some("TORSOCKS_LOG_LEVEL"),
        kind: Kind::LogLevel,
        set: |settings, value| store(&mut settings.log_level, kind::log_level(value)),
        show: |settings, text| show!(text, settings.log_level),
    },
    OptionSpec {
        flags: &[takes("--log-time", None)],
        default: "1",
        help: "Start each log line with the time.",
        directive: "LogTime",
        variable: "EPOCHSOCKS_LOG_TIME",
        torsocks_variable: Some("TORSOCKS_LOG_TIME"),
        kind: Kind::Switch,
        set: |settings, value| store(&mut settings.log_time, kind::switch(value)),
        show: |settings, text| show!(text, u8::from(settings.log_time)),
    },
    OptionSpec {
        flags: &[takes("--log-format", None)],
        default: "text",
        help: "How a log line is written: text for people, or json, an object a line.",
        directive: "LogFormat",
        variable: "EPOCHSOCKS_LOG_FORMAT",
        torsocks_variable: None,
        kind: Kind::LogFormat,
        set: |settings, value| store(&mut settings.log_format, kind::log_format(value)),
        show: |settings, text| {
            text.extend(match settings.log_format {
                LogFormat::Text => b"text",
                LogFormat::Json => b"json",
            });
        },
    },
    OptionSpec {
        flags: &[takes("--log-file", None)],
        default: "",
        help: "File that the log is appended to, instead of standard error; made so that only its \
               user can read it. journal stands for systemd's journal.",
        directive: "LogFile",
        variable: "EPOCHSOCKS_LOG_FILE_PATH",
        torsocks_variable: Some("TORSOCKS_LOG_FILE_PATH"),
        kind: Kind::Path,
        set: |settings, value| store(&mut settings.log_file, kind::path(value).map(Some)),
        show: |settings, text| {
            text.extend(settings.log_file.as_ref().map_or(&[], Bytes::as_slice));
        },
    },
}

#[cfg(test)]
mod tests;
