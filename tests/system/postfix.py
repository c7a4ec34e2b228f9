"""A real Postfix as the primary: own configuration, queue and mailboxes."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import pytest

from client import PATIENCE
from maildir import Maildirs
from net import free_port



class Postfix(Maildirs):
    """Accepts everything for `domains` into one maildir per recipient.

    main: settings of main.cf that differ.  Not running until start().
    """

    def __init__(self, domains=("example.com",), port=None, main=None,
                 name="primary.test"):
        if os.getuid() != 0:
            pytest.skip("Postfix needs root")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mx20-postfix-"))
        self.dir.chmod(0o755)
        self.port = port or free_port()
        self.conf = self.dir / "conf"
        self.queue = self.dir / "queue"
        self.data = self.dir / "data"
        self.mail = self.dir / "mail"
        for folder in (self.conf, self.queue, self.data, self.mail):
            folder.mkdir()
        mail_user = pwd.getpwnam("postfix")
        nobody = pwd.getpwnam("nobody")
        shutil.chown(self.data, mail_user.pw_uid)
        shutil.chown(self.mail, nobody.pw_uid)
        log = self.dir / "mail.log"
        log.touch()
        shutil.chown(log, mail_user.pw_uid)
        settings = {
            "compatibility_level": "3.6",
            "myhostname": name,
            "mydestination": "",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "queue_directory": self.queue,
            "data_directory": self.data,
            "maillog_file": log,
            "maillog_file_prefixes": self.dir,
            "virtual_mailbox_domains": " ".join(domains),
            "virtual_mailbox_base": self.mail,
            "virtual_mailbox_maps": "static:all/",
            "virtual_uid_maps": f"static:{nobody.pw_uid}",
            "virtual_gid_maps": f"static:{nobody.pw_gid}",
            "virtual_minimum_uid": "1",
            "mailbox_size_limit": "0",
            "virtual_mailbox_limit": "0",
            "message_size_limit": "100000000",
            "smtpd_recipient_restrictions":
                "permit_mynetworks, reject_unauth_destination",
            "mynetworks": "",
            "alias_maps": "",
            "smtputf8_enable": "yes",
            "disable_dns_lookups": "yes",
            "smtpd_peername_lookup": "no",
            "notify_classes": "",
        }
        settings.update(main or {})
        (self.conf / "main.cf").write_text(
            "".join(f"{k} = {v}\n" for k, v in settings.items()))
        smtpd = f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        rest = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
showq unix n - n - - showq
"""
        (self.conf / "master.cf").write_text(smtpd + rest)
        self._run("check")

    def _run(self, verb, check=True):
        return subprocess.run(["postfix", "-c", str(self.conf), verb],
                              check=check, capture_output=True,
                              timeout=PATIENCE)

    @property
    def route(self):
        return f"[127.0.0.1]:{self.port}"

    def start(self):
        self._run("start")
        return self

    def reload(self):
        self._run("reload")

    def stop(self):
        self._run("stop", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        return (self.dir / "mail.log").read_text()

    def messages(self):
        """Delivered messages as bytes, in no order."""
        return [f.read_bytes() for f in self.mail.rglob("new/*")]
