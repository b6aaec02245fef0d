"""What the world's servers need on disk: certificate, git repository, ssh keys, sshd."""

import os
import subprocess
from pathlib import Path

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
    blob = git("hash-object", "-w", "--stdin", given="hello from the world\n")
    tree = git("mktree", given=f"100644 blob {blob}\tgreeting\n")
    git("update-ref", "refs/heads/main", git("commit-tree", "-m", "Greet", tree))
    git("update-server-info")


def make_keys(directory):
    """A host key, a user key, and the known_hosts file that trusts the first."""
    for name in ("host_key", "user_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name)
    host = (directory / "host_key.pub").read_text()
    (directory / "known_hosts").write_text(f"* {host}")


def prepare_sshd(directory, user_namespace):
    """Returns the command that serves ssh on its standard input, for the user `guest`.

    It runs in a mount namespace with a passwd of its own. Root of a user namespace that maps one
    user can't drop privileges, so there sshd is an ordinary user, from whom nobody asks that.
    """
    uid = 1000 if user_namespace else 0
    passwd = directory / "passwd"
    passwd.write_text(f"guest:x:{uid}:{uid}::/:/bin/sh\n{Path('/etc/passwd').read_text()}")
    configuration = directory / "sshd_config"
    configuration.write_text("\n".join([
        f"HostKey {directory}/host_key", f"AuthorizedKeysFile {directory}/user_key.pub",
        "StrictModes no", "UsePAM no", "UseDNS no", "PermitRootLogin yes"]) + "\n")
    become = f"unshare --user --map-user={uid} --map-group={uid}" if user_namespace else ""
    program = directory / "sshd"
    program.write_text(
        f"mount -t tmpfs tmpfs /run && mkdir /run/sshd && mount --bind {passwd} /etc/passwd && "
        f"exec {become} /usr/sbin/sshd -i -e -f {configuration}\n")
    return ["unshare", "--mount", "sh", str(program)]


def run(*argv):
    """Runs a program that must succeed."""
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
