"""A service of the world that programs are tried against, started when the first program needs it.

Run as `services.py NAME DIRECTORY` inside the world's namespace, in a mount namespace of its own.
Prints `ready` when the service accepts connections, or the reason why it can't run here. Each
function below that has a port is a service: it prepares what the service reads and returns the
command that serves all addresses.
"""

import glob
import os
import pwd
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import names
from fixtures import GREETING, unprivileged

# Where passive FTP listens for the data.
FTP_DATA = range(2121, 2129)
PORTS = {
    "dns": 53, "finger": 79, "ftp": 21, "git": 9418, "imap": 143, "iperf3": 5201, "irc": 6667,
    "ldap": 389, "mariadb": 3306, "memcached": 11211, "mqtt": 1883, "pop3": 110, "postgres": 5432,
    "redis": 6379, "smtp": 25, "svn": 3690, "whois": 43, "xmpp": 5222,
}
# How long a service may take to accept connections (seconds).
START_LIMIT = 30
# What the services keep.
STATE = Path("/srv")


class NotHere(Exception):
    """The machine lacks something that the service needs."""


def needed(program, *places):
    """The path of a program."""
    found = shutil.which(program, path=os.pathsep.join(
        ["/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", *places]))
    if not found:
        raise NotHere(f"{program} is not installed")
    return found


def run(*argv, **options):
    """Runs a program that must succeed."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, **options)
    if done.returncode:
        raise NotHere(f"{argv[0]}: {done.stderr.decode(errors='replace').strip()[-300:]}")


def state(name, owner=None):
    """An empty directory for a service."""
    directory = STATE / name
    directory.mkdir()
    if owner:
        account = pwd.getpwnam(owner)
        os.chown(directory, account.pw_uid, account.pw_gid)
    return directory


def as_user(name):
    """The words before a command that some servers refuse to run as root."""
    return [needed("setpriv"), f"--reuid={name}", f"--regid={name}", "--clear-groups"]


def ftp(directory):
    return ["/usr/bin/python3", "-m", "pyftpdlib", "-i", "::", "-p", "21",
            "-d", directory / "files", "-r", f"{FTP_DATA.start}-{FTP_DATA.stop - 1}"]


def smtp(_):
    serve = "/usr/bin/python3 -m aiosmtpd -n -c aiosmtpd.handlers.Sink -l"
    return ["sh", "-c", f"{serve} :::25 & exec {serve} 0.0.0.0:25"]


def git(directory):
    return [needed("git"), "-c", "safe.directory=*", "daemon", "--reuseaddr", "--export-all",
            f"--base-path={directory / 'files'}", directory / "files"]


def svn(directory):
    repository = state("svn") / "repository"
    run(needed("svnadmin"), "create", repository)
    greeting = directory / "greeting"
    greeting.write_bytes(GREETING)
    run(needed("svn"), "import", "--non-interactive", "-m", "Greet", greeting,
        f"file://{repository}/greeting")
    return [needed("svnserve"), "--daemon", "--foreground", "--listen-host", "::", "--root",
            repository.parent]


def imap(directory):
    return dovecot(directory, "imap")


def pop3(directory):
    return dovecot(directory, "pop3")


def dovecot(directory, protocol):
    """A box with one letter, of the user `guest`."""
    home = state("mail")
    box = home / "guest"
    for folder in ("cur", "new", "tmp"):
        (box / folder).mkdir(parents=True)
    (box / "new" / "1.world").write_bytes(
        b"From: world@v4only.test\r\nTo: guest@v4only.test\r\nSubject: greeting\r\n\r\n" + GREETING)
    uid, gid = (pwd.getpwnam("mail")[field] for field in (2, 3))
    for path, folders, files in os.walk(home):
        for name in [".", *folders, *files]:
            os.chown(Path(path) / name, uid, gid)
    configuration = directory / f"{protocol}.conf"
    configuration.write_text("\n".join([
        f"protocols = {protocol}", "listen = *, ::", "ssl = no", "disable_plaintext_auth = no",
        f"base_dir = {home}/run", f"state_dir = {home}/state", "log_path = /dev/stderr",
        f"mail_location = maildir:{home}/%u", f"mail_uid = {uid}", f"mail_gid = {gid}",
        "first_valid_uid = 1", "auth_mechanisms = plain login",
        "passdb {\n driver = static\n args = password=secret\n}",
        f"userdb {{\n driver = static\n args = uid={uid} gid={gid} home={box}\n}}"]) + "\n")
    return [needed("dovecot"), "-F", "-c", configuration]


def irc(directory):
    configuration = directory / "ngircd.conf"
    configuration.write_text("\n".join([
        "[Global]", "Name = irc.test", "Info = world", "Listen = ::,0.0.0.0", "Ports = 6667",
        "AdminInfo1 = world", "[Options]", "DNS = no", "Ident = no", "PAM = no"]) + "\n")
    return [needed("ngircd"), "--nodaemon", "--config", configuration]


def xmpp(directory):
    home = state("xmpp", "prosody")
    accounts = home / "v4only%2etest" / "accounts"
    accounts.mkdir(parents=True)
    (accounts / "guest.dat").write_text('return { ["password"] = "secret" };\n')
    shutil.copy(directory / "certificate.pem", home / "certificate.pem")
    shutil.copy(directory / "key.pem", home / "key.pem")
    uid, gid = (pwd.getpwnam("prosody")[field] for field in (2, 3))
    for path in (home / "key.pem", accounts.parent, accounts, accounts / "guest.dat"):
        os.chown(path, uid, gid)
    configuration = home / "prosody.cfg.lua"
    configuration.write_text("\n".join([
        'interfaces = { "*", "::" }', f'data_path = "{home}"', f'pidfile = "{home}/pid"',
        'log = { error = "*console" }',
        'modules_enabled = { "saslauth", "tls", "roster", "disco" }',
        'modules_disabled = { "s2s" }', 'c2s_require_encryption = false',
        'allow_unencrypted_plain_auth = true', 'authentication = "internal_plain"',
        f'ssl = {{ key = "{home}/key.pem", certificate = "{home}/certificate.pem" }}',
        'VirtualHost "v4only.test"']) + "\n")
    return [*as_user("prosody"), needed("prosody"), "-F", "--config", configuration]


def postgres(_):
    home = state("postgres", "postgres")
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    init = needed("initdb", *programs)
    data = home / "data"
    run(*as_user("postgres"), init, "-D", data, "-U", "guest", "--auth=trust", "--no-sync")
    with open(data / "pg_hba.conf", "a", encoding="ascii") as file:
        file.write("host all all all trust\n")
    return [*as_user("postgres"), needed("postgres", *programs), "-D", data, "-c",
            "listen_addresses=*", "-c", f"unix_socket_directories={home}", "-c", "fsync=off"]


def mariadb(_):
    home = state("mariadb", "mysql")
    data = home / "data"
    run(needed("mariadb-install-db"), "--no-defaults", "--user=mysql", f"--datadir={data}",
        "--auth-root-authentication-method=normal", "--skip-test-db", cwd="/")
    start = home / "start.sql"
    start.write_text("CREATE USER guest IDENTIFIED BY 'secret';\nGRANT SELECT, SHOW VIEW ON *.* TO guest;\n")
    return [needed("mariadbd"), "--no-defaults", "--user=mysql", f"--datadir={data}",
            "--bind-address=*", f"--socket={home}/socket", f"--pid-file={home}/pid",
            f"--init-file={start}", "--skip-name-resolve"]


def redis(_):
    return [needed("redis-server"), "--bind", "::", "0.0.0.0", "--protected-mode", "no",
            "--save", "", "--dir", state("redis")]


def ldap(directory):
    home = state("ldap")
    configuration = directory / "slapd.conf"
    modules = glob.glob("/usr/lib/ldap")
    configuration.write_text("\n".join([
        "include /etc/ldap/schema/core.schema", *(f"modulepath {path}" for path in modules),
        "moduleload back_mdb", f"pidfile {home}/pid", "database mdb", 'suffix "dc=test"',
        'rootdn "cn=guest,dc=test"', "rootpw secret", f"directory {home}"]) + "\n")
    entry = directory / "entry.ldif"
    entry.write_text("dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\ndc: test\n"
                     "o: hello from the world\n")
    run(needed("slapadd"), "-f", configuration, "-l", entry)
    return [needed("slapd"), "-d", "0", "-f", configuration, "-h", "ldap:///"]


def mqtt(directory):
    configuration = directory / "mosquitto.conf"
    configuration.write_text("listener 1883\nallow_anonymous true\nuser root\n")
    return [needed("mosquitto"), "-c", configuration]


def iperf3(_):
    return [needed("iperf3"), "--server"]


def memcached(_):
    return [needed("memcached"), "-u", "root", "-l", "::,0.0.0.0"]


class Line(socketserver.StreamRequestHandler):
    """Reads a line and greets: whois (RFC 3912) and finger (RFC 1288)."""

    def handle(self):
        self.rfile.readline()
        self.wfile.write(GREETING)


class Questions(socketserver.StreamRequestHandler):
    """DNS by TCP (RFC 1035, section 4.2.2)."""

    def handle(self):
        while size := int.from_bytes(self.rfile.read(2), "big"):
            reply = names.answer(self.rfile.read(size))
            self.wfile.write(len(reply).to_bytes(2, "big") + reply)


# Whom dirmngr asks, by Tor, where it finds Tor.
PUBLIC_RESOLVER = "8.8.8.8"
HANDLERS = {"whois": Line, "finger": Line, "dns": Questions}


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection, of either family."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True


def accepts(port):
    """Tell whether something listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def start(name, directory):
    """Starts a service in the background."""
    if name == "dns":
        run(needed("ip"), "address", "add", PUBLIC_RESOLVER, "dev", "lo")
    if name in HANDLERS:
        server = Server(("::", PORTS[name]), HANDLERS[name])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return None
    log = open(directory / f"{name}.log", "wb")
    return subprocess.Popen(
        globals()[name](directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def main(name, directory):
    try:
        server = start(name, directory)
        deadline = time.monotonic() + START_LIMIT
        while not accepts(PORTS[name]):
            if server and server.poll() is not None or time.monotonic() > deadline:
                log = (directory / f"{name}.log").read_text(errors="replace")
                raise NotHere(f"{name} does not listen: {log[-300:]}")
            time.sleep(0.05)
    except (NotHere, OSError, KeyError) as why:
        print(" ".join(f"{why}".split()), flush=True)
        return
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
