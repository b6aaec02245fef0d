//! C libraries beside the process's own: tests/probes/second_libc.c. An audit library
//! (tests/probes/audit.c) has one, too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::scene::{command, echoing_proxy, ends, play};
use crate::support::preload::hermetic;
use crate::support::process::{dynamic_linker, finish, probe, probe_as, text};
use crate::support::torify;

/// The file of this process's own library of that name.
fn own(name: &str) -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").expect("a process can read its own");
    let libc = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6")).expect("a libc");
    Path::new(libc).with_file_name(name)
}

/// A copy of a library in a folder of its own under the name `file`, which calls itself `soname`.
fn copied(library: &str, file: &str, soname: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("copies.{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder can be made");
    let mut content = fs::read(own(library)).expect("the library can be read");
    let (old, new) = (format!("\0{library}\0"), format!("\0{soname}\0"));
    assert_eq!(old.len(), new.len(), "a name of the same length");
    let places: Vec<_> = (0..content.len() - old.len())
        .filter(|place| content[*place..].starts_with(old.as_bytes()))
        .collect();
    for place in places {
        content[place..place + new.len()].copy_from_slice(new.as_bytes());
    }
    let path = folder.join(file);
    fs::write(&path, content).expect("the copy can be written");
    path
}

fn play_with(library: &Path, scene: &str, handshakes: usize) {
    let proxy = echoing_proxy();
    let mut command = command("second_libc", scene, &proxy);
    command.env("LIBRARY", library);
    ends(command);
    assert_eq!(proxy.recorded().len(), 2 * handshakes, "{scene}: {:?}", proxy.recorded());
}

/// The library of a path that is looked for by its name.
fn play_by_name(library: &Path, scene: &str, handshakes: usize) {
    let proxy = echoing_proxy();
    let mut command = command("second_libc", scene, &proxy);
    command.env("LIBRARY", library.file_name().expect("a file"));
    command.env("LD_LIBRARY_PATH", library.parent().expect("a folder"));
    ends(command);
    assert_eq!(proxy.recorded().len(), 2 * handshakes, "{scene}: {:?}", proxy.recorded());
}

#[test]
fn a_copy_of_libc_is_not_loaded_whatever_its_name() {
    play_with(&copied("libc.so.6", "copy.so", "libc.so.6"), "path", 0);
    play_with(&copied("libc.so.6", "other.so", "libq.so.9"), "path", 0);
}

/// promise: Code that does not call the C library
#[test]
fn another_c_library_is_not_loaded() {
    let flags = ["-shared", "-fPIC", "-DOF_MUSL"];
    play_with(&probe_as("musl.so", "second_libc", &flags), "path", 0);
    let named = [&flags[..], &["-Wl,-soname,libc.musl-x86_64.so.1"]].concat();
    play_with(&probe_as("musl_named.so", "second_libc", &named), "path", 0);
}

#[test]
fn a_c_library_that_the_linker_finds_by_name_leads_to_the_hooks() {
    play_by_name(&copied("libc.so.6", "libcopy.so", "libq.so.9"), "name", 1);
    let flags = ["-shared", "-fPIC", "-DOF_MUSL"];
    play_by_name(&probe_as("libbymusl.so", "second_libc", &flags), "name", 1);
}

#[test]
fn a_program_that_needs_a_copy_of_libc_calls_the_hooks() {
    let copy = copied("libc.so.6", "libneeded.so", "libq.so.9");
    let link = copy.with_file_name("libq.so.9");
    fs::copy(&copy, &link).expect("the copy can be copied");
    let link = link.to_str().expect("a path in text");
    let program = probe_as("needs_copy", "second_libc", &["-Wl,--no-as-needed", link]);
    let proxy = echoing_proxy();
    let mut command = torify(program);
    command.arg("needed").env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
    command.env("LD_LIBRARY_PATH", copy.parent().expect("a folder"));
    ends(command);
    assert_eq!(proxy.recorded().len(), 2, "one handshake: {:?}", proxy.recorded());
}

#[test]
fn a_copy_of_a_part_of_libc_leads_to_the_hooks() {
    play_with(&copied("libresolv.so.2", "resolver.so", "libresolv.so.2"), "part", 0);
    play_with(&copied("libresolv.so.2", "other_resolver.so", "libresolq.so.2"), "part", 0);
}

#[test]
fn the_processs_own_libc_may_be_loaded_by_its_path() {
    play("second_libc", "own", &echoing_proxy());
}

const LIBRARY: [&str; 2] = ["-shared", "-fPIC"];
/// Line that the audit library prints when it is loaded.
const LOADED: &str = "an audit library is loaded";

fn output(command: &mut Command) -> String {
    text(&finish(command, Duration::from_secs(30)))
}

#[test]
fn an_audit_library_of_the_environment_is_left_out() {
    let library = probe_as("audit.so", "audit", &LIBRARY);
    let plain = output(hermetic(&mut Command::new("/bin/true")).env("LD_AUDIT", &library));
    assert!(plain.contains(LOADED), "not even without epochsocks: {plain}");
    let torified = output(torify("/bin/true").env("LD_AUDIT", &library));
    assert!(torified.contains("LD_AUDIT left out"), "{torified}");
    // The launcher itself has it loaded.
    assert_eq!(torified.matches(LOADED).count(), 1, "{torified}");
}

#[test]
fn no_form_of_exec_hands_an_audit_library_on() {
    let library = probe_as("audit_exec.so", "audit", &LIBRARY);
    for form in [
        "execve",
        "execve-appended",
        "execv",
        "execvp",
        "execvpe",
        "execl",
        "execle",
        "fexecve",
        "execveat",
        "syscall",
        "posix_spawn",
        "posix_spawnp",
        "system",
        "system-appended",
        "popen",
    ] {
        let mut command = torify(probe("exec_family"));
        command.args([form, "/bin/true"]).env("AUDIT", &library);
        let seen = output(&mut command);
        assert!(seen.contains("status 0") && !seen.contains(LOADED), "{form}: {seen}");
    }
}

/// Also where a library that it needs asks for it: the linker then writes that into the program.
#[test]
fn a_program_that_asks_for_an_audit_library_is_not_executed() {
    let library = probe_as("audit_asked.so", "audit", &LIBRARY);
    let asks = format!("-Wl,--audit,{}", library.display());
    let plugin = probe_as("audited_plugin.so", "plugin", &[&LIBRARY[..], &[&asks]].concat());
    let needs = plugin.to_str().expect("a path in text");
    let by_itself = probe_as("audited", "second_libc", &[&asks]);
    let by_need = probe_as("needs_audited", "second_libc", &["-Wl,--no-as-needed", needs]);
    for program in [by_itself, by_need] {
        let plain = output(hermetic(&mut Command::new(&program)));
        assert!(plain.contains(LOADED), "not even without epochsocks: {plain}");
        let listed = output(torify("ldd").arg(&program));
        assert!(!listed.contains(LOADED), "{listed}");
        let executed = output(torify(probe("exec_family")).arg("execve").arg(&program));
        for seen in [output(&mut torify(&program)), executed] {
            assert!(seen.contains("audit library") && !seen.contains(LOADED), "{seen}");
        }
    }
}

/// The dynamic linker, which lists without running anything, would run these.
#[test]
fn the_dynamic_linker_lists_nothing_with_an_audit_library() {
    let library = probe_as("audit_listed.so", "audit", &LIBRARY);
    let linker = dynamic_linker();
    for options in ["--list --audit $AUDIT", "--audit $AUDIT --list"] {
        let script = format!("{linker} {options} /bin/true");
        let plain = output(Command::new("sh").args(["-c", &script]).env("AUDIT", &library));
        assert!(plain.contains(LOADED), "not even without epochsocks: {plain}");
        let seen = output(torify("sh").args(["-c", &script]).env("AUDIT", &library));
        assert!(!seen.contains(LOADED), "{options}: {seen}");
    }
}

/// A library of the kind, whose functions would connect past the hooks.
#[test]
fn a_library_that_connects_by_itself_is_not_loaded() {
    let flags = ["-shared", "-fPIC", "-O2"];
    let proxy = echoing_proxy();
    let mut command = command("second_libc", "refused", &proxy);
    command.env("LIBRARY", probe_as("direct_library.so", "direct_calls", &flags));
    ends(command);
    play_with(
        &probe_as("waiting.so", "direct_calls", &[&flags[..], &["-DWAITS"]].concat()),
        "loaded",
        0,
    );
}
