"""Files of the world's servers: certificate, repositories, keys, ssh and rsync servers."""

import hashlib
import json
import os
import subprocess
import wave
from pathlib import Path

GREETING = b"hello from the world\n"
NAMES = ("v4only.test", "v6only.test", "dual.test", "secure.test")


def make_certificate(directory):
    """A self-signed certificate for every name; clients get it as their authority."""
    names = ",".join(f"DNS:{name}" for name in NAMES)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "2", "-subj", "/CN=world", "-addext",
        f"subjectAltName={names},IP:198.51.100.1,IP:2001:db8::1",
        "-keyout", directory / "key.pem", "-out", directory / "certificate.pem")


def make_repository(directory):
    """A bare repository that plain HTTP and ssh can both serve."""
    repository = directory / "files" / "repository.git"
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", repository)
    environment = {**os.environ, "GIT_DIR": str(repository), "GIT_CONFIG_GLOBAL": "/dev/null"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "World", f"GIT_{role}_EMAIL": "world@example.test"}

    def git(*arguments, given=""):
        return subprocess.run(["git", *arguments], env=environment, input=given, text=True,
                              check=True, capture_output=True).stdout.strip()
    blob = git("hash-object", "-w", "--stdin", given=GREETING.decode())
    tree = git("mktree", given=f"100644 blob {blob}\tgreeting\n")
    git("update-ref", "refs/heads/main", git("commit-tree", "-m", "Greet", tree))
    git("update-server-info")


def make_packages(directory):
    """A repository of one package for apt, which looks at sizes and sums, not into the package."""
    packages = directory / "files" / "packages"
    packages.mkdir()
    (packages / "hello.deb").write_bytes(GREETING)
    (packages / "Packages").write_text(
        "Package: hello-world\nVersion: 1\nArchitecture: all\nMaintainer: World\n"
        f"Filename: ./hello.deb\nSize: {len(GREETING)}\n"
        f"SHA256: {hashlib.sha256(GREETING).hexdigest()}\nDescription: a greeting\n")


def make_key_server(directory):
    """Answer of a key server, whatever key it is asked for."""
    answer = directory / "files" / "pks" / "lookup"
    answer.parent.mkdir()
    answer.write_bytes(GREETING)


def make_pages(directory):
    """A feed, a sound, and what the indexes of pip and npm say of a package."""
    files = directory / "files"
    (files / "feed.xml").write_text(
        '<?xml version="1.0"?><rss version="2.0"><channel><title>world</title>'
        "<link>http://v4only.test/</link><description>world</description>"
        "<item><title>greeting</title><guid>1</guid>"
        f"<description>{GREETING.decode().strip()}</description></item></channel></rss>\n")
    with wave.open(str(files / "silence.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    index = files / "simple" / "hello" / "index.html"
    index.parent.mkdir(parents=True)
    index.write_text(
        '<!DOCTYPE html><html><body><a href="hello-1.0.tar.gz">hello</a></body></html>\n')
    version = {"name": "hello", "version": "1.2.3", "dist": {"tarball": "", "shasum": "0" * 40}}
    (files / "npm").mkdir()
    (files / "npm" / "hello").write_text(json.dumps(
        {"name": "hello", "dist-tags": {"latest": "1.2.3"}, "versions": {"1.2.3": version}}))


def make_keys(directory):
    """A host key, a user key, and the known_hosts file that trusts the first."""
    for name in ("host_key", "user_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name)
    host = (directory / "host_key.pub").read_text()
    (directory / "known_hosts").write_text(f"* {host}")


def prepare_sshd(directory, user_namespace):
    """Writes the script `sshd`, which serves ssh on its standard input, for the user `guest`.

    It runs in a mount namespace with a passwd of its own, and with the world's name server.
    """
    uid = 1000 if user_namespace else 0
    passwd = directory / "passwd"
    passwd.write_text(f"guest:x:{uid}:{uid}::/:/bin/sh\n{Path('/etc/passwd').read_text()}")
    configuration = directory / "sshd_config"
    configuration.write_text("\n".join([
        f"HostKey {directory}/host_key", f"AuthorizedKeysFile {directory}/user_key.pub",
        "StrictModes no", "UsePAM no", "UseDNS no", "PermitRootLogin yes",
        "Subsystem sftp internal-sftp"]) + "\n")
    (directory / "sshd").write_text(
        "exec unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && "
        f"mount --bind {passwd} /etc/passwd && "
        f"mount --bind {directory / 'exit-resolv.conf'} /etc/resolv.conf && "
        f"exec {unprivileged(user_namespace)} /usr/sbin/sshd -i -e -f {configuration}'\n")


def prepare_rsyncd(directory, user_namespace):
    """Writes the script `rsyncd`, which serves the world's files as the module `files`."""
    configuration = directory / "rsyncd.conf"
    stay_root = [] if user_namespace else ["uid = 0", "gid = 0"]
    configuration.write_text("\n".join([
        "use chroot = no", "reverse lookup = no", "log file = /dev/null", *stay_root,
        "[files]", f"path = {directory}/files"]) + "\n")
    (directory / "rsyncd").write_text(
        f"exec {unprivileged(user_namespace)} rsync --daemon --config={configuration}\n")


def unprivileged(user_namespace):
    """The command that makes an ordinary user of the root of a user namespace.

    One that maps a single user can't drop privileges; of an ordinary user nobody asks that.
    """
    return "unshare --user --map-user=1000 --map-group=1000" if user_namespace else ""


def run(*argv):
    """Runs a program that must succeed."""
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
