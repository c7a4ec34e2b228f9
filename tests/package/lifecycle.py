"""The life of the package on a machine of its own: installed in a plain chroot,
then under systemd configured, sent to, upgraded, removed and purged.

  lifecycle.py PACKAGE [OLD]

PACKAGE is what `make deb` made.  OLD is the package that is upgraded from; without
it, PACKAGE with a lower version."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import machine

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = ROOT / "build/package/base"
CONF = """hostname = "mx2.test";
domains = "domains";
dns = { private = [ "127.0.0.0/8" ]; };
"""
DOMAINS = "example.com recipients=* primary=[127.0.0.1]:2525\n"
# Send one mail, through what listens on port 25.
SEND = """
import smtplib
with smtplib.SMTP("127.0.0.1", 25, timeout=30) as s:
    s.sendmail("a@x.example", ["bob@example.com"], "Subject: hello\\n\\nhi\\n")
"""
# Connect again and again until told to stop; a line for each that failed.
KNOCK = """
import select, socket, sys
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    try:
        with socket.create_connection(("127.0.0.1", 25), 30) as s:
            if not s.recv(100).startswith(b"220 "):
                print("no greeting")
    except OSError as error:
        print(error)
"""
# Take one mail as a primary, and show it.
PRIMARY = """
import socket
with socket.create_server(("127.0.0.1", 2525)) as server:
    print("ready", flush=True)
    client = server.accept()[0].makefile("rwb", 0)
    client.write(b"220 primary.test\\r\\n")
    content = None
    for line in client:
        if content is None:
            word = line[:4].upper().strip()
            content = [] if word == b"DATA" else None
            client.write(b"354 go on\\r\\n" if word == b"DATA" else
                         b"221 bye\\r\\n" if word == b"QUIT" else b"250 ok\\r\\n")
            if word == b"QUIT":
                break
        elif line == b".\\r\\n":
            print(b"".join(content).decode(), flush=True)
            content = None
            client.write(b"250 taken\\r\\n")
        else:
            content.append(line)
"""


def step(text):
    print(f"  {text}", flush=True)


def repacked(deb, version, folder):
    """The same package as another version."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-R", str(deb), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}",
                              control.read_text()))
    made = folder / f"mx20_{version}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree),
                    str(made)], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return made


class Life:
    def __init__(self, host, deb):
        self.host = host
        self.deb = deb

    # -- what is asked in between --------------------------------------------

    def beside(self, script, **options):
        return subprocess.Popen(
            self.host.beside("/usr/bin/python3", "-c", script),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self):
        sender = self.beside(SEND)
        sender.communicate()
        assert sender.returncode == 0

    def waiting(self):
        """How many messages."""
        said = self.host.ok("mx20ctl status --json")
        return int(re.search(r'"messages": *(\d+)', said)[1])

    def active(self, unit):
        return self.host.run(f"systemctl is-active {unit}")[1].strip()

    def pid(self):
        return self.host.ok("systemctl show -p MainPID --value mx20").strip()

    def listens(self):
        return self.host.run(
            "grep -q ':0019 00000000:0000 0A' /proc/net/tcp ||"
            " grep -q ':0019 0*:0000 0A' /proc/net/tcp6")[0] == 0

    # -- the plain chroot ----------------------------------------------------

    def plain_chroot(self):
        host = self.host
        step("a plain chroot: no /proc, no systemd")
        host.ok("[ ! -e /proc/self ] && [ ! -e /run/systemd/system ]"
                " && ! command -v systemctl && ! command -v systemd-sysusers")
        host.put("/mx20.deb", self.deb)
        host.ok("apt-get update -qq")
        # what it needs stays there, and is not to be counted
        host.ok("apt-get satisfy -y -qq --no-install-recommends"
                f" '{self.field('Depends')}'")
        before = host.files()
        said = host.ok("apt-get install -y -qq --no-install-recommends /mx20.deb")
        assert "set hostname" in said, said
        assert host.ok("stat -c '%U %G %a' /var/spool/mx20") == "mx20 mx20 700\n"
        host.ok("getent group mx20-view && mx20ctl --version && mx20d --version")
        status, said = host.run("mx20d --check")
        assert status == 0, said  # the samples are right
        host.ok("dpkg --verify mx20")
        step("purged at once: nothing is left but the spool's folder")
        host.ok("apt-get purge -y -qq mx20")
        left = {name for name in host.files() - before
                if name.split()[3] not in LEFT}
        assert not left, left

    def field(self, name):
        return subprocess.run(["dpkg-deb", "-f", str(self.deb), name],
                              check=True, capture_output=True,
                              text=True).stdout.strip()

    # -- under systemd -------------------------------------------------------

    def install(self, old):
        host = self.host
        step("systemd is process 1; an older version is installed")
        host.ok("apt-get install -y -qq --no-install-recommends systemd")
        host.put("/old.deb", old)
        host.boot()
        host.ok("dpkg -i /old.deb")
        assert self.active("mx20") == "inactive"
        assert "mx20" not in host.ok("ls -R /etc/systemd/system")
        assert not self.listens()

    def configure(self):
        host = self.host
        step("configured, enabled, and started")
        host.put("/etc/mx20/mx20.conf", CONF)
        host.put("/etc/mx20/domains", DOMAINS)
        host.ok("mx20d --check && systemctl enable --now mx20.socket mx20")
        assert self.active("mx20") == "active"

    def upgrade(self):
        host = self.host
        step("a mail is taken, and waits: the primary is down")
        self.send()
        assert self.waiting() == 1
        step("upgraded: the port is held, the mail kept, the daemon new")
        before = self.pid()
        knocking = self.beside(KNOCK)
        assert knocking.stdout.readline() == "ready\n"
        host.ok("dpkg --force-confold -i /mx20.deb")
        host.wait("systemctl is-active mx20")
        assert knocking.communicate("stop\n")[0] == ""
        assert self.pid() not in ("0", before)
        assert self.waiting() == 1
        assert host.ok("cat /etc/mx20/mx20.conf") == CONF

    def broken_upgrade(self):
        host = self.host
        step("upgraded with a mistake in mx20.conf: what runs is left alone")
        host.put("/etc/mx20/mx20.conf", CONF + "nonsense = 1;\n")
        before = self.pid()
        said = host.ok("dpkg --force-confold -i /mx20.deb")
        assert "nonsense" in said and "was left alone" in said, said
        assert self.pid() == before and self.active("mx20") == "active"
        host.put("/etc/mx20/mx20.conf", CONF)

    def deliver(self):
        step("the primary is up: it has the mail")
        primary = self.beside(PRIMARY)
        assert primary.stdout.readline() == "ready\n"
        self.host.ok("mx20ctl flush")
        taken = primary.communicate()[0]
        assert "Subject: hello" in taken and "by mx2.test" in taken, taken
        self.host.wait("""mx20ctl status --json | grep -q '"messages": *0'""")

    def remove(self):
        host = self.host
        step("removed with mail in it: all is stopped, the mail stays")
        self.send()
        host.ok("dpkg -r mx20")
        assert self.active("mx20") == self.active("mx20.socket") == "inactive"
        assert not self.listens()
        assert "mx20" not in host.ok("ls -R /etc/systemd/system")
        host.ok("[ -s /var/spool/mx20/data.mdb ] && [ -e /etc/mx20/domains ]")

    def purge(self):
        host = self.host
        step("purged: the configuration goes, the mail stays")
        said = host.ok("dpkg -P mx20")
        assert "was left alone" in said, said
        host.ok("[ -s /var/spool/mx20/data.mdb ] && [ ! -e /etc/mx20 ]")
        assert host.ok("find / -xdev -name '*mx20*' -not -path '/var/log/*'"
                       " -not -path '/var/spool/mx20*' -not -path '/*.deb'"
                       " -not -path '/proc/*' -not -path '/sys/*'"
                       " -not -path '/dev/*'") == ""

    def again(self):
        host = self.host
        step("installed again: nothing starts, the mail is there")
        host.ok("dpkg -i /mx20.deb")
        assert self.active("mx20") == "inactive"
        assert self.waiting() == 1


LEFT = {"/var/spool/mx20",
        # users stay, as is the rule: their files may
        *(f"/etc/{name}{end}" for name in ("passwd", "group", "shadow",
                                           "gshadow") for end in ("", "-"))}


def main():
    reason = machine.may_run()
    if reason:
        sys.exit(f"check-package: {reason}")
    machine.make_base(BASE)
    deb = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        old = (pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else
               repacked(deb, "0.0.1", folder))
        (folder / "machine").mkdir()
        host = machine.Machine(BASE, folder / "machine")
        try:
            live(Life(host, deb), old)
        finally:
            host.close()


def live(life, old):
    life.plain_chroot()
    life.install(old)
    life.configure()
    life.upgrade()
    life.broken_upgrade()
    life.deliver()
    life.remove()
    life.purge()
    life.again()


if __name__ == "__main__":
    main()
