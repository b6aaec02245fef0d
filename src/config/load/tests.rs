use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::config::variables;

/// A directory that is removed with its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number matters.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("epochsocks-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(PathBuf::from(&path).parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Environment and files that a process is started with.
#[derive(Default)]
struct Start {
    environment: BTreeMap<String, Vec<u8>>,
    is_secure: bool,
    flags: Vec<(&'static str, &'static str)>,
    system_files: Vec<String>,
}

impl Start {
    fn with(variables: &[(&str, &str)]) -> Start {
        let environment = variables
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
        Start { environment, ..Start::default() }
    }

    /// Loads the settings: these, or the message; and the warnings.
    fn load(&self) -> (Result<Settings, String>, Vec<String>) {
        let environment = |name: &str| self.environment.get(name).map(Vec::as_slice);
        let flags: Vec<Assignment<'_>> = self.flags.iter().map(|flag| assignment(*flag)).collect();
        let system_files: Vec<SystemFile> =
            self.system_files.iter().map(|path| (&*path.clone().leak(), Dialect::Ours)).collect();
        let sources = Sources {
            environment: &environment,
            is_secure: self.is_secure,
            flags: &flags,
            system_files: system_files.leak(),
        };
        let mut warnings = Vec::new();
        let settings = load(&sources, &mut |warning| warnings.push(warning.to_string()));
        (settings.map_err(|error| error.to_string()), warnings)
    }

    fn port(&self) -> u16 {
        let (settings, warnings) = self.load();
        assert_eq!(warnings, [""; 0]);
        settings.unwrap().tor_port
    }

    fn message(&self) -> String {
        self.load().0.unwrap_err()
    }
}

fn assignment((long, value): (&'static str, &'static str)) -> Assignment<'static> {
    OPTIONS
        .iter()
        .flat_map(|option| option.flags().iter().map(move |flag| (option, flag)))
        .find(|(_, flag)| flag.long == long)
        .map(|(option, flag)| Assignment { option, flag, value: value.as_bytes() })
        .unwrap()
}

#[test]
fn nothing_set_means_the_defaults() {
    assert_eq!(Start::default().load(), (Ok(Settings::DEFAULT), vec![]));
    let absent = Start {
        system_files: vec!["/nonexistent/epochsocks.conf".into()],
        ..Start::with(&[("HOME", "/nonexistent"), ("XDG_CONFIG_HOME", "")])
    };
    assert_eq!(absent.load(), (Ok(Settings::DEFAULT), vec![]));
}

#[test]
fn each_source_wins_over_the_ones_below() {
    let directory = Directory::new();
    let file = directory.write("x.conf", "TorPort 1");
    let mut start = Start::with(&[("TORSOCKS_CONF_FILE", &file)]);
    assert_eq!(start.port(), 1);
    start.environment.insert("TORSOCKS_TOR_PORT".into(), b"2".to_vec());
    assert_eq!(start.port(), 2);
    start.environment.insert("EPOCHSOCKS_TOR_PORT".into(), b"3".to_vec());
    assert_eq!(start.port(), 3);
    start.flags.push(("--port", "4"));
    assert_eq!(start.port(), 4);
    start.flags.push(("--port", "5"));
    assert_eq!(start.port(), 5);
}

#[test]
fn the_first_file_that_exists_is_read_and_no_other() {
    let directory = Directory::new();
    let (home, xdg) = (directory.path("home"), directory.path("xdg"));
    let system = [directory.path("epochsocks.conf"), directory.path("torsocks.conf")];
    let mut start = Start {
        system_files: system.to_vec(),
        ..Start::with(&[("HOME", &home), ("XDG_CONFIG_HOME", &xdg)])
    };
    directory.write("torsocks.conf", "TorPort 1\nTorAddress 192.0.2.1");
    assert_eq!(start.port(), 1);
    directory.write("epochsocks.conf", "TorPort 2");
    assert_eq!(start.load().0.unwrap(), Settings { tor_port: 2, ..Settings::DEFAULT });
    directory.write("home/.config/epochsocks/epochsocks.conf", "TorPort 3");
    assert_eq!(start.port(), 2, "XDG_CONFIG_HOME stands for $HOME/.config");
    directory.write("xdg/epochsocks/epochsocks.conf", "TorPort 4");
    assert_eq!(start.port(), 4);
    start.environment.remove("XDG_CONFIG_HOME");
    assert_eq!(start.port(), 3);
    let torsocks = directory.write("named-torsocks.conf", "TorPort 5");
    start.environment.insert("TORSOCKS_CONF_FILE".into(), torsocks.into());
    assert_eq!(start.port(), 5);
    let ours = directory.write("named.conf", "TorPort 6");
    start.environment.insert("EPOCHSOCKS_CONF_FILE".into(), ours.into());
    assert_eq!(start.port(), 6);
}

#[test]
fn none_means_no_file() {
    let directory = Directory::new();
    let system_files = vec![directory.write("x.conf", "TorPort 1")];
    for variable in CONF_FILE_VARIABLES {
        let system_files = system_files.clone();
        let start = Start { system_files, ..Start::with(&[(variable, "none")]) };
        assert_eq!(start.port(), 9050);
    }
}

#[test]
fn a_named_file_that_cannot_be_read_stops_the_program() {
    let directory = Directory::new();
    let message = |path: &str| Start::with(&[("EPOCHSOCKS_CONF_FILE", path)]).message();
    let absent = directory.path("absent.conf");
    assert_eq!(
        message(&absent),
        format!(
            "{absent}: no such file or directory (ENOENT): make the file readable, or name another \
             in EPOCHSOCKS_CONF_FILE (\"none\" for no file)"
        )
    );
    assert!(message(&directory.path("")).contains("EISDIR"));
    assert!(message("").contains("ENOENT"));
    assert!(message(&"x".repeat(1023)).contains("ENAMETOOLONG"));
}

#[test]
fn a_fifo_is_no_empty_file() {
    let directory = Directory::new();
    let fifo = directory.path("fifo");
    let name = std::ffi::CString::new(fifo.as_str()).unwrap();
    // SAFETY: mkfifo reads the name, which ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let start = Start::with(&[("EPOCHSOCKS_CONF_FILE", &fifo)]);
    assert!(start.message().contains("a FIFO is not read"), "{}", start.message());
    let written = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    std::io::Write::write_all(&mut &written, b"TorPort 9151\n").unwrap();
    assert!(start.message().contains("a FIFO is not read"), "{}", start.message());
}

#[test]
fn a_system_file_that_exists_and_cannot_be_read_stops_the_program() {
    let directory = Directory::new();
    let start = Start { system_files: vec![directory.path("")], ..Start::default() };
    assert!(start.message().contains("EISDIR"));
}

#[test]
fn a_file_of_ours_without_read_permission_stops_the_program_and_another_home_does_not() {
    let directory = Directory::new();
    let file = directory.write("home/.config/epochsocks/epochsocks.conf", "TorPort 1");
    let start = Start::with(&[("HOME", &directory.path("home"))]);
    let mode = |path: &str, mode| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    for (path, outcome) in [(file, Err("EACCES")), (directory.path("home"), Ok(9050))] {
        mode(&path, 0o000);
        let (settings, warnings) = without_capabilities(|| start.load());
        mode(&path, 0o700);
        match outcome {
            Ok(port) => {
                assert_eq!((settings.unwrap().tor_port, warnings.len()), (port, 1));
                assert!(warnings[0].contains("the file is ignored"), "{warnings:?}");
            }
            Err(errno) => assert!(settings.unwrap_err().contains(errno)),
        }
    }
}

/// Runs `what` in a thread that may read no more than a file's mode says.
fn without_capabilities<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: a system call on integers, which concerns this thread alone: as libc's own
            // function does not.
            unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) };
            what()
        });
        thread.join().expect("the thread ends")
    })
}

#[test]
fn a_file_of_64_kib_is_read_and_a_longer_one_refused() {
    let directory = Directory::new();
    let text = "#xxxxxx\n".repeat(8192 - 2) + "TorPort 00001\n#\n";
    assert_eq!(text.len(), 65536);
    let load = |text: &str| {
        let file = directory.write("x.conf", text);
        Start::with(&[("EPOCHSOCKS_CONF_FILE", &file)]).load().0
    };
    assert_eq!(load(&text).unwrap().tor_port, 1);
    assert!(load(&(text + "\n")).unwrap_err().contains("longer than 65536 bytes"));
}

#[test]
fn a_secure_process_ignores_the_environment() {
    let directory = Directory::new();
    let (file, home) = (directory.write("x.conf", "TorPort 1"), directory.path("home"));
    directory.write("home/.config/epochsocks/epochsocks.conf", "TorPort 2");
    let variables = [
        ("EPOCHSOCKS_CONF_FILE", file.as_str()),
        ("HOME", &home),
        ("TORSOCKS_TOR_PORT", "3"),
        ("EPOCHSOCKS_TOR_PORT", "4"),
    ];
    let mut start = Start { is_secure: true, ..Start::with(&variables) };
    assert_eq!(start.port(), 9050);
    start.system_files.push(directory.write("system.conf", "TorPort 5"));
    assert_eq!(start.port(), 5);
}

#[test]
fn a_bad_value_is_told_with_where_it_stands() {
    let allowed = "is not a port: 1 to 65535";
    for variable in ["TORSOCKS_TOR_PORT", "EPOCHSOCKS_TOR_PORT"] {
        let message = Start::with(&[(variable, "70000")]).message();
        assert_eq!(message, format!("{variable}: \"70000\" {allowed}"));
        let message = Start::with(&[(variable, "")]).message();
        assert_eq!(message, format!("{variable}: \"\" {allowed}"));
    }
    let start = Start { flags: vec![("--port", "x")], ..Start::default() };
    assert_eq!(start.message(), format!("--port: \"x\" {allowed}"));
}

#[test]
fn a_bad_value_stops_the_program_even_where_a_better_source_has_a_good_one() {
    let start = Start::with(&[("TORSOCKS_TOR_PORT", "x"), ("EPOCHSOCKS_TOR_PORT", "1")]);
    assert!(start.message().starts_with("TORSOCKS_TOR_PORT: "));
}

#[test]
fn the_rules_between_options_hold_across_sources() {
    let mut start = Start::with(&[("TORSOCKS_USERNAME", "me")]);
    assert!(start.message().starts_with("SOCKS5Username is set without SOCKS5Password"));
    start.flags = vec![("--pass", "x")];
    assert!(start.load().0.is_ok());
    start.flags.push(("--isolate", "1"));
    assert!(start.message().starts_with("IsolatePID, IsolationKey, and SOCKS5Username"));
}

/// A value for each option; `None` leaves it alone.
fn any_values() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let text = || vec(1u8..=255, 1..=255);
    let digits = |numbers: std::ops::RangeInclusive<u32>| {
        of(numbers.prop_map(|number| number.to_string().into_bytes()))
    };
    let isolation = prop_oneof![
        Just(vec![]),
        vec(1u8..=255, 1..=200).prop_map(|key| vec![("IsolationKey", key)]),
        Just(vec![("IsolatePID", b"1".to_vec())]),
        (text(), text()).prop_map(|(username, password)| vec![
            ("SOCKS5Username", username),
            ("SOCKS5Password", password)
        ]),
    ];
    let address = of(any::<std::net::IpAddr>().prop_map(|ip| ip.to_string().into_bytes()));
    let network = of((any::<[u8; 2]>(), 16u8..=32)
        .prop_map(|([a, b], prefix)| format!("10.{a}.{b}.7/{prefix}").into_bytes()));
    let numbers = [
        ("TorPort", 1..=65535),
        ("AllowInbound", 0..=1),
        ("AllowOutboundLocalhost", 0..=2),
        ("EnableIPv6", 0..=1),
        ("LogLevel", 1..=5),
        ("LogTime", 0..=1),
        ("HandshakeTimeout", 1..=86_400),
    ]
    .map(|(name, range)| digits(range).prop_map(move |value| value.map(|value| (name, value))));
    let names = of(prop_oneof![Just(&b"resolve"[..]), Just(&b"cookie"[..])]);
    (isolation, names, address, network, of(vec(1u8..=255, 1..=1023)), numbers).prop_map(
        |(mut values, names, address, network, log_file, numbers)| {
            values.extend(names.map(|value| ("Names", value.to_vec())));
            values.extend(address.map(|value| ("TorAddress", value)));
            values.extend(network.map(|value| ("OnionAddrRange", value)));
            values.extend(log_file.map(|value| ("LogFile", value)));
            values.extend(numbers.into_iter().flatten());
            values
        },
    )
}

proptest! {
    #[test]
    fn settings_that_are_shown_load_as_they_were(values in any_values()) {
        let mut settings = Settings::DEFAULT;
        for (directive, value) in &values {
            let option = OptionSpec::of_directive(directive.as_bytes()).unwrap();
            option.set(&mut settings, value, Origin::Variable(option.variable)).unwrap();
        }
        prop_assume!(settings.check().is_ok());

        let mut start = Start::with(&[("EPOCHSOCKS_CONF_FILE", "none")]);
        for option in &OPTIONS {
            let value = option.value(&settings);
            if value.as_slice() != option.default().as_bytes() {
                start.environment.insert(option.variable.to_string(), value.as_slice().to_vec());
            }
        }
        prop_assert!(start.environment.len() <= values.len() + 1);
        prop_assert_eq!(start.load(), (Ok(settings), vec![]));
    }
}

#[test]
fn every_variable_of_an_option_is_read() {
    for name in variables() {
        let mut start = Start::default();
        start.environment.insert(name.to_string(), b"no value\0".to_vec());
        assert!(start.message().starts_with(&format!("{name}: ")), "{name}");
    }
}
