use std::collections::BTreeSet;

use super::*;
use crate::config::Origin;

fn option(directive: &str) -> &'static OptionSpec {
    OptionSpec::of_directive(directive.as_bytes()).unwrap()
}

/// Sets `directive` to `value`: the value as it is shown afterwards, or the message.
fn set(directive: &str, value: &[u8]) -> Result<String, String> {
    let mut settings = Settings::DEFAULT;
    let option = option(directive);
    option
        .set(&mut settings, value, Origin::Variable(option.variable))
        .map(|()| option.value(&settings).to_string())
        .map_err(|error| {
            assert_eq!(settings, Settings::DEFAULT, "a bad value changes nothing");
            error.to_string()
        })
}

fn takes_as_they_are(directive: &str, values: &[&str]) {
    for value in values {
        assert_eq!(set(directive, value.as_bytes()).as_deref(), Ok(*value), "{directive}");
    }
}

fn refuses(directive: &str, values: &[&str]) {
    let option = option(directive);
    for value in values {
        let expected = option.kind.expected();
        let message = format!("{}: \"{value}\" is not {expected}", option.variable);
        assert_eq!(set(directive, value.as_bytes()), Err(message));
    }
}

#[test]
fn the_defaults_of_the_table_are_those_of_the_settings() {
    for option in &OPTIONS {
        assert_eq!(option.value(&Settings::DEFAULT).to_string(), option.default());
        if !option.default().is_empty() {
            takes_as_they_are(option.directive, &[option.default()]);
        }
    }
}

#[test]
fn every_name_stands_for_one_option() {
    let mut names = BTreeSet::new();
    for option in &OPTIONS {
        assert!(names.insert(option.directive.to_lowercase()), "{}", option.directive);
        for flag in option.flags() {
            let sign = if flag.attached { "=" } else { "" };
            assert!(names.insert(format!("{}{sign}", flag.long)), "{}", flag.long);
            assert!(flag.short.is_none_or(|short| names.insert(format!("-{short}"))));
        }
    }
    assert!(variables().all(|variable| names.insert(variable.to_string())));
}

/// Each `pub` field of `Settings`, by the words of the source.
fn fields() -> Vec<&'static str> {
    let source = include_str!("../settings.rs");
    let (_, body) = source.split_once("pub struct Settings {").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let names = body.lines().filter_map(|line| line.trim().strip_prefix("pub "));
    names.map(|line| line.split(':').next().unwrap()).collect()
}

/// The text of every source file below `folder`, without the configuration's own.
fn sources(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.ends_with("src/config") => {}
            _ if path.is_dir() => text += &sources(&path),
            Some(extension) if extension == "rs" => {
                text += &std::fs::read_to_string(&path).unwrap();
            }
            _ => {}
        }
    }
    text
}

#[test]
fn every_option_is_read_by_code_that_acts_on_it() {
    let mut text = sources(std::path::Path::new(env!("CARGO_MANIFEST_DIR")));
    let own = include_str!("../settings.rs");
    for method in ["fn cookie_network", "fn credentials"] {
        let (_, rest) = own.split_once(method).unwrap();
        text += rest.split_once("\n    }").unwrap().0;
    }
    let fields = fields();
    // TorAddress has two: an address, or a host's name.
    assert_eq!(fields.len(), OPTIONS.len() + 1);
    for field in fields {
        let is_read = text
            .split(&format!(".{field}")[..])
            .skip(1)
            .any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'));
        assert!(is_read, "nothing reads the setting `{field}`");
    }
}

#[test]
fn every_flag_without_argument_sets_a_value_that_its_option_takes() {
    for option in &OPTIONS {
        for value in option.flags().iter().filter_map(|flag| flag.sets) {
            takes_as_they_are(option.directive, &[value]);
        }
    }
}

#[test]
fn choices_are_exactly_the_values_of_one_digit_that_are_taken() {
    let is_digit = |choice: &str| choice.len() == 1;
    let digits =
        |option: &&OptionSpec| option.kind.choices().first().copied().is_some_and(is_digit);
    for option in OPTIONS.iter().filter(digits) {
        for digit in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] {
            let is_choice = option.kind.choices().contains(&digit);
            assert_eq!(set(option.directive, digit.as_bytes()).is_ok(), is_choice, "{option:?}");
        }
    }
}

#[test]
fn every_choice_is_taken_as_it_is() {
    for option in &OPTIONS {
        takes_as_they_are(option.directive, option.kind.choices());
    }
}

#[test]
fn names_are_resolved_or_get_cookies() {
    takes_as_they_are("Names", &["resolve", "cookie"]);
    refuses("Names", &["", "Cookie", "1", "cookies"]);
}

#[test]
fn cookies_for_all_names_come_from_a_large_range_unless_one_is_set() {
    let cookies = Settings { names: Names::Cookie, ..Settings::DEFAULT };
    assert_eq!(cookies.cookie_network().to_string(), "127.64.0.0/10");
    let mut chosen = cookies.clone();
    option("OnionAddrRange").set(&mut chosen, b"10.1.0.0/16", Origin::Variable("x")).unwrap();
    assert_eq!(chosen.cookie_network().to_string(), "10.1.0.0/16");
    assert_eq!(Settings::DEFAULT.cookie_network(), Settings::DEFAULT.onion_range);
}

#[test]
fn every_flag_and_variable_of_torsocks_is_there() {
    let flags: BTreeSet<&str> =
        OPTIONS.iter().flat_map(|option| option.flags()).map(|flag| flag.long).collect();
    for flag in ["--debug", "--quiet", "--user", "--pass", "--isolate", "--address", "--port"] {
        assert!(flags.contains(flag), "{flag}");
    }
    let shorts: BTreeSet<char> =
        OPTIONS.iter().flat_map(|option| option.flags()).filter_map(|flag| flag.short).collect();
    for short in ['P', 'a', 'd', 'i', 'p', 'q', 'u'] {
        assert!(shorts.contains(&short), "{short}");
    }
    let variables: BTreeSet<&str> = variables().collect();
    for name in [
        "LOG_LEVEL",
        "LOG_TIME",
        "LOG_FILE_PATH",
        "USERNAME",
        "PASSWORD",
        "ALLOW_INBOUND",
        "ISOLATE_PID",
        "TOR_ADDRESS",
        "TOR_PORT",
        "ENABLE_IPV6",
    ] {
        for prefix in ["TORSOCKS_", "EPOCHSOCKS_"] {
            assert!(variables.contains(format!("{prefix}{name}").as_str()), "{prefix}{name}");
        }
    }
}

#[test]
fn tor_address_takes_addresses_of_both_families() {
    takes_as_they_are("TorAddress", &["127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"]);
    takes_as_they_are("TorAddress", &["localhost", "tor", "tor_1.my-net.example"]);
    let mut settings = Settings::DEFAULT;
    for value in [b"tor".as_slice(), b"192.0.2.1"] {
        let origin = Origin::Variable("X");
        assert_eq!(option("TorAddress").set(&mut settings, value, origin), Ok(()));
    }
    assert_eq!((settings.tor_address.to_string().as_str(), settings.tor_host), ("192.0.2.1", None));
    assert_eq!(set("TorAddress", b"::ffff:192.0.2.1").as_deref(), Ok("192.0.2.1"));
    refuses(
        "TorAddress",
        &["", "tor:9050", "127.0.0.1:9050", "[::1]", "127.1", "1.2.3.4 x", "a..b"],
    );
}

#[test]
fn tor_port_takes_1_to_65535() {
    takes_as_they_are("TorPort", &["1", "9150", "65535"]);
    refuses("TorPort", &["", "0", "65536", "70000", "-1", "+1", "9050x", "9 050", "0x10"]);
}

#[test]
fn onion_addr_range_takes_a_network() {
    takes_as_they_are("OnionAddrRange", &["10.0.0.0/8", "127.42.42.0/24", "192.0.2.1/32"]);
    assert_eq!(set("OnionAddrRange", b"127.42.42.7/24").as_deref(), Ok("127.42.42.0/24"));
    refuses(
        "OnionAddrRange",
        &["", "127.42.42.0", "127.42.42.0/", "/24", "10.0.0.0/7", "10.0.0.0/33", "fc00::/8", "1/8"],
    );
}

#[test]
fn user_name_and_password_take_1_to_255_bytes() {
    for directive in ["SOCKS5Username", "SOCKS5Password"] {
        takes_as_they_are(directive, &["x", "a b#c", &"x".repeat(255)]);
        for value in [&b""[..], b"a\0b", &[b'x'; 256]] {
            assert!(set(directive, value).is_err(), "{directive}");
        }
        assert_eq!(set(directive, b"\xff").as_deref(), Ok(r"\xff"));
    }
}

#[test]
fn a_bad_password_is_not_shown() {
    let message = set("SOCKS5Password", b"hunter2\0").unwrap_err();
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn switches_take_0_and_1() {
    for directive in ["AllowInbound", "IsolatePID", "EnableIPv6", "LogTime"] {
        takes_as_they_are(directive, &["0", "1"]);
        refuses(directive, &["", "2", "01", "yes", "true", "on"]);
    }
}

#[test]
fn allow_outbound_localhost_takes_0_to_2() {
    takes_as_they_are("AllowOutboundLocalhost", &["0", "1", "2"]);
    refuses("AllowOutboundLocalhost", &["", "3", "-1", "all"]);
}

#[test]
fn log_level_takes_1_to_5() {
    takes_as_they_are("LogLevel", &["1", "5"]);
    refuses("LogLevel", &["", "0", "6", "debug", "256"]);
}

#[test]
fn log_file_takes_a_path() {
    takes_as_they_are("LogFile", &["/var/log/x", "relative", &"x".repeat(1023)]);
    refuses("LogFile", &[""]);
    assert!(set("LogFile", &[b'x'; 1024]).is_err());
}

#[test]
fn handshake_timeout_takes_a_second_to_a_day() {
    takes_as_they_are("HandshakeTimeout", &["1", "86400"]);
    refuses("HandshakeTimeout", &["", "0", "86401", "1.5", "10s", "99999999999999999999"]);
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let message = set("TorPort", &[b'9'; 500]).unwrap_err();
    assert!(message.contains("9...\" is not a port"), "{message}");
    assert!(message.len() < 120, "{message}");
}
