//! Settings that hold, and the origin of each.

use epochsocks::config::{
    CONF_FILE_VARIABLES, Direct, Hosts, Inbound, Kind, OPTIONS, OptionSpec, OutboundLocalhost,
};

use super::report::Report;
use crate::locate;
use crate::settings::{self, Given, Settings};
use crate::supervisor::world::hosts;

/// Reports the file that is read, and each setting that differs from its default.
pub fn examine(given: &[Given], settings: &Settings, report: &mut Report) {
    match settings::file() {
        Some(file) => report.step("file", Ok::<_, &str>(file)),
        None => report.step("file", Ok::<_, &str>("none is read")),
    }
    for option in &OPTIONS {
        let value = option.value(settings);
        if value.as_slice() == option.default().as_bytes() {
            continue;
        }
        let shown = match option.kind {
            Kind::Password => "(not shown)".to_owned(),
            _ => value.to_string(),
        };
        let text = format!("{shown}, from {}", origin(option, given));
        report.step(&format!("set {}", option.directive), Ok::<_, &str>(text));
    }
    if settings.log_file.is_none() {
        let text = "goes to standard error, which daemons such as dirmngr close: LogFile keeps it";
        report.note("log", text);
    }
    note_unknown_variables(report);
    note_unknown_names(settings, report);
    note_what_is_direct(settings, report);
}

/// Notes the variables that look like settings and are none, such as misspelt ones.
fn note_unknown_variables(report: &mut Report) {
    let known = [CONF_FILE_VARIABLES[0], locate::VARIABLE];
    let is_known =
        |name: &str| known.contains(&name) || OPTIONS.iter().any(|option| option.variable == name);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("EPOCHSOCKS_") && !is_known(&name) {
            report.note("no effect", format!("{name} is not a setting"));
        }
    }
}

/// Notes the names to be reached directly that no address is known of.
fn note_unknown_names(settings: &Settings, report: &mut Report) {
    for item in settings.allow_direct.iter().flat_map(Direct::items) {
        let name = match item.hosts {
            Hosts::Network(..) => continue,
            Hosts::Name(name) => name.escape_ascii().to_string(),
            Hosts::Below(name) => format!(".{}", name.escape_ascii()),
        };
        if !hosts(|_, entry| item.hosts.is_name(entry)) {
            report.note("no effect", format!("AllowDirect: {name} is not in /etc/hosts"));
        }
    }
}

/// Notes what the settings let past Tor.
fn note_what_is_direct(settings: &Settings, report: &mut Report) {
    let mut note = |text: &str| report.note("past Tor", text);
    if let Some(direct) = &settings.allow_direct {
        note(&format!("AllowDirect: {direct} is reached by TCP without Tor"));
    }
    match settings.allow_outbound_localhost {
        OutboundLocalhost::Never => {}
        OutboundLocalhost::Streams => {
            note("AllowOutboundLocalhost: every TCP port of this machine is reached");
        }
        OutboundLocalhost::All => {
            note("AllowOutboundLocalhost: every TCP and UDP port of this machine is reached");
        }
    }
    if settings.allow_inbound == Inbound::All {
        note("AllowInbound: programs let other machines connect to them");
    }
}

/// The source that wins.
fn origin(option: &'static OptionSpec, given: &[Given]) -> String {
    if let Some(given) = given.iter().rev().find(|given| std::ptr::eq(given.option, option)) {
        return given.flag.long.to_owned();
    }
    let variables = [Some(option.variable), option.torsocks_variable];
    let mut set = variables.into_iter().flatten().filter(|name| std::env::var_os(name).is_some());
    set.next().unwrap_or("the file").to_owned()
}
