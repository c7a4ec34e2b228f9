"""A real Exim as the primary, unpacked but not installed (peers.sh)."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import pytest

from client import PATIENCE
from daemon import ROOT
from maildir import Maildirs
from net import free_port

BINARY = ROOT / "build" / "peers" / "usr" / "sbin" / "exim4"
WRAPPER = "libnss_wrapper.so"


def can_run():
    return os.getuid() == 0 and BINARY.exists()


def user_env(folder):
    """Exim insists on its package's user: lend it one that only it sees."""
    passwd = folder / "passwd"
    nobody = pwd.getpwnam("nobody")
    passwd.write_text(pathlib.Path("/etc/passwd").read_text() +
                      f"Debian-exim:x:{nobody.pw_uid}:{nobody.pw_gid}::"
                      "/nonexistent:/usr/sbin/nologin\n")
    group = folder / "group"
    group.write_text(pathlib.Path("/etc/group").read_text() +
                     f"Debian-exim:x:{nobody.pw_gid}:\n")
    for file in (passwd, group):
        file.chmod(0o644)
    return dict(os.environ, LD_PRELOAD=WRAPPER,
                NSS_WRAPPER_PASSWD=str(passwd),
                NSS_WRAPPER_GROUP=str(group))


class Exim(Maildirs):
    """Accepts everything for `domains` into one file per message.

    cert: a pki.Cert to offer STARTTLS with.  users: nobody else is there.
    """

    def __init__(self, domains=("example.com",), port=None,
                 address="127.0.0.1", cert=None, name="primary.test",
                 users=None):
        if not can_run():
            pytest.skip("Exim is not here, or we are not root")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mx20-exim-"))
        self.dir.chmod(0o755)
        self.port, self.address = port or free_port(address), address
        self.process = None
        for sub in ("spool", "log", "mail"):
            (self.dir / sub).mkdir()
            shutil.chown(self.dir / sub, "nobody", "nogroup")
        self.env = user_env(self.dir)
        tls = "tls_advertise_hosts ="
        if cert is not None:
            tls = (f"tls_advertise_hosts = *\n"
                   f"tls_certificate = {cert.cert_path}\n"
                   f"tls_privatekey = {cert.key_path}")
        known = "" if users is None else f"""\
  deny !local_parts = {" : ".join(users)}
       message = unknown user"""
        (self.dir / "exim.conf").write_text(f"""\
exim_user = nobody
exim_group = nogroup
exim_path = {BINARY}
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
deliver_drop_privilege = true
spool_directory = {self.dir}/spool
log_file_path = {self.dir}/log/%slog
primary_hostname = {name}
local_interfaces = {address}
daemon_smtp_ports = {self.port}
{tls}
smtp_accept_max_per_host = 0
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny local_parts = gone
       message = 5.1.1 no such mailbox
{known}
  accept domains = {" : ".join(domains)}
  deny
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  directory = {self.dir}/mail
  maildir_format
  create_directory
  user = nobody
  group = nogroup
begin retry
* * F,1h,1s
""")

    @property
    def route(self):
        return f"[{self.address}]:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            [BINARY, "-C", self.dir / "exim.conf", "-bdf"],
            env=self.env)
        return self

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        log = self.dir / "log" / "mainlog"
        return log.read_text() if log.exists() else ""

    def messages(self):
        return [f.read_bytes() for f in self.dir.glob("mail/new/*")]
