//! Settings that hold, and the origin of each.

use epochsocks::config::{Inbound, Kind, OPTIONS, OptionSpec, OutboundLocalhost};

use super::report::Report;
use crate::settings::{self, Given, Settings};

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
    note_what_is_direct(settings, report);
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
