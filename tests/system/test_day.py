"""A bad day: everything around a backup MX fails at once, each in its own way,
and is mended after a while.  Nothing is lost, returned or delivered twice, and
all of it has arrived ten seconds after the mending.

The pace of probes and the retries are those of an installation that sets
nothing, but for drain.probe_busy, half a minute for whoever is busy.
"""

import re
import threading
import time

import pytest

from client import Raw, message, send
from daemon import PATIENCE
from dns import Relay
from faults import PLAIN, SmallDisk, offer, subjects, until

# Seconds from a mending to the last delivery.  Retries begin at a minute.
BAR = 10 * max(1, PATIENCE / 30) * (1 if PLAIN else 2)
EACH = 6  # messages of each domain before the disk is full
IN_VAIN = 4  # probes that fail before anything is mended
NO_ROOM = "452 4.3.1"
HALF_MIB = ("x" * 998 + "\r\n") * 512
LATER = "450 4.3.2 not yet"
COMMANDS = "ehlo", "helo", "mail", "rcpt", "data", "rset", "noop"

# What a primary that is there answers until it is mended, by stage.
ILL = {
    "ldap": {"rcpt": "451 4.3.0 <x>: Temporary lookup failure"},
    "room": {"mail": "452 4.3.1 Insufficient system resources"},
    "half": {"data": "451 4.3.0 queue file write error"},
    "scan": {"dot": "451 4.7.1 Service unavailable"},
    "wall": {"greeting": "554 5.7.1 no service"},
    "mute": dict.fromkeys(("greeting", *COMMANDS), LATER),
    "stub": dict.fromkeys(COMMANDS, LATER),
}
# Domains behind those in the export, whose primaries do not answer.  It will
# be cut in the line of the second; mail waits for two of those that go.
DOMAINS = [f"d{n}" for n in range(40)]
KEPT, CUT, LOST = "d0", "d1", ("d2", "d39")
AWAY = KEPT, CUT, *LOST
A, MX, AAAA = 1, 15, 28  # RFC 1035, RFC 3596


class Sender(threading.Thread):
    """A server with one message, which it offers until it is taken."""

    def __init__(self, day, subject):
        super().__init__(daemon=True)
        self.day, self.subject = day, subject
        self.refused, self.reply = [], ""
        self.start()

    def run(self):
        while not self.day.over.is_set():
            with Raw(self.day.mx20.address) as c:
                c.cmd("EHLO client.test")
                self.reply = offer(c, message(self.subject, HALF_MIB),
                                   rcpts=rcpts_of(self.subject))
            if self.reply[:1] != "4":
                return
            self.refused.append(self.reply)
            self.day.over.wait(0.2)


def rcpts_of(subject):
    """Two mailboxes: a subject starts with its domain."""
    domain = subject.split("-")[0]
    return [f"{subject}@{domain}.test", f"also-{subject}@{domain}.test"]


class Day:
    def __init__(self, mx20, primary, relay, anchor, disk):
        self.disk, self.relay = disk, relay
        self.over = threading.Event()
        # none of them has the address of the senders: that would wake it
        self.hosts = {
            name: primary(address=f"127.0.1.{n}", on=ILL.get(name))
            for n, name in enumerate((*ILL, "zone", *AWAY), 1)}
        for name in (*ILL, "zone"):
            self.hosts[name].start()
        self.reports = primary(address="127.0.2.1").start()
        self.expected = {}  # (subject, recipient): what keeps it
        self.mended = {}    # that: when
        self.zone_is(False)
        self.export = self.lines()
        self.mx20 = mx20(
            start=False, wrapper=disk.wrapper, domains=self.export, conf={
                "spool": {"path": str(disk.path), "reserve": "1M"},
                "dns": {"servers": [f"127.0.0.1@{relay.port}"],
                        "trust_anchor": str(anchor)},
                "drain": {"probe_busy": "2s",
                          "port": self.hosts["zone"].port},
                "bounce": {"relay": self.reports.route},
                "log": {"level": "debug"}})  # every probe is there
        self.mx20.ctl_wrapper = disk.wrapper

    # -- the files of the operator, and DNS ----------------------------------

    def lines(self):
        host = {name: self.hosts[CUT].route for name in DOMAINS}
        host.update((name, p.route) for name, p in self.hosts.items()
                    if name != "zone")
        return "zone.test recipients=*\n" + "".join(
            f"{name}.test recipients=* primary={host[name]}\n"
            for name in (*ILL, *DOMAINS))

    def truncated(self):
        """What is left of the last line is one, too."""
        head, line, _ = self.export.partition(f"{CUT}.test recipients=*")
        return head + line

    def zone_is(self, there):
        names = ("zone.test", (MX, A, AAAA)), ("mx.zone.test", (A, AAAA))
        self.relay.deny = set() if there else {
            (name, kind) for name, kinds in names for kind in kinds}

    # -- mail ----------------------------------------------------------------

    def expect(self, subject, rcpts, *faults):
        for rcpt in rcpts:
            domain = rcpt.split("@")[1].removesuffix(".test")
            self.expected[subject, rcpt] = {domain, *faults}

    def send(self, subject, rcpts=None):
        rcpts = rcpts or rcpts_of(subject)
        send(self.mx20.address, rcpts, message(subject))
        self.expect(subject, rcpts)

    def send_all(self):
        for n in range(EACH):
            for domain in self.hosts:
                self.send(f"{domain}-{n}")
        self.send("to-all", [f"x@{domain}.test" for domain in self.hosts])

    def arrived(self):
        """(subject, recipient): when, each time."""
        got = {}
        for host in self.hosts.values():
            for m, subject in zip(list(host.messages), subjects(host)):
                for rcpt in m.rcpts:
                    got.setdefault((subject, rcpt), []).append(m.at)
        return got

    # -- mending -------------------------------------------------------------

    def mend(self, name, how=None):
        self.mended[name] = time.monotonic()
        if how:
            how()
        else:
            self.hosts[name].on = {}

    def relist(self):
        self.mx20.domains = self.export
        for name in (CUT, *LOST):
            self.mended[name] = time.monotonic()
        done = self.mx20.reload()
        assert done.returncode == 0, done.stderr

    def wait(self):
        """Until all has arrived whose faults are mended."""
        due = {what for what, faults in self.expected.items()
               if faults <= set(self.mended)}
        until(lambda: due <= set(self.arrived()), PATIENCE + BAR)

    def delays(self):
        """For each fault: from its mending to the last of its mail."""
        got, delays = self.arrived(), {}
        for what, faults in self.expected.items():
            last = max(faults, key=self.mended.get)
            delay = got[what][0] - self.mended[last]
            delays[last] = max(delay, delays.get(last, 0))
        return delays


@pytest.fixture
def day(mx20, primary, dns, tmp_path):
    disk = SmallDisk(tmp_path / "small", "48m")
    host = "mx A 127.0.1." + str(len(ILL) + 1)
    dns.zone("zone.test", f"@ MX 10 mx\n{host}", signed=False)
    dns.start()
    relay = Relay(dns.port)
    made = Day(mx20, primary, relay, dns.anchor, disk)
    yield made
    made.over.set()
    made.mx20.stop()
    relay.close()
    disk.close()


def the_export_is_truncated(day):
    """A reload refuses it, a start has to take it."""
    d = day.mx20
    d.domains = day.truncated()
    done = d.reload()
    assert done.returncode == 1
    assert f"{len(DOMAINS) - 2} domains of " in done.stderr
    day.send(f"{LOST[0]}-more")  # it is listed as before
    since = d.mark()
    d.restart()
    for name in LOST:
        d.wait_log(rf"^held level=error domain={name}\.test .*"
                   "no longer in the allowlist", since=since)
    # without its primary= the line that was cut means MX records
    d.wait_log(rf"^route level=error domain={CUT}\.test ", since=since)


def the_disk_is_full(day):
    """Senders hear 452, and come again."""
    day.disk.fill()
    senders = [Sender(day, f"{name}-full") for name in (*ILL, "zone")]
    for s in senders:
        day.expect(s.subject, rcpts_of(s.subject), "disk")
    until(lambda: sum(len(s.refused) > 2 for s in senders) > 4)
    return senders


def all_fail_for_a_while(day, since):
    for name in ILL:
        host = re.escape(day.hosts[name].route)
        day.mx20.wait_log(rf"^probe .*host={host} result=failed", since=since,
                          count=IN_VAIN)
    until(lambda: day.relay.asked.count(("zone.test", MX)) > 2)
    assert not day.arrived()


def all_are_taken(senders):
    for s in senders:
        s.join(PATIENCE)
        assert s.reply.startswith("250"), s.reply
        assert {r[:9] for r in s.refused} <= {NO_ROOM}


def test_a_bad_day(day):
    d = day.mx20
    d.start()
    day.send_all()
    d.wait_log("^state .*to=down", count=len(ILL) + len(AWAY))
    d.wait_log(r"^route level=error domain=zone\.test .*NXDOMAIN")
    the_export_is_truncated(day)
    since = d.mark()
    senders = the_disk_is_full(day)
    all_fail_for_a_while(day, since)
    # beside the full disk
    day.mend("zone", lambda: day.zone_is(True))
    for name in ("ldap", "half", "stub"):
        day.mend(name)
    for name in AWAY:
        day.hosts[name].start()
    day.mended[KEPT] = day.hosts[KEPT].started
    day.wait()
    assert not any(day.hosts[name].messages for name in (CUT, *LOST))
    day.mend("disk", day.disk.free)
    for name in ("room", "scan", "wall", "mute"):
        day.mend(name)
    day.relist()
    all_are_taken(senders)
    day.wait()
    d.wait_empty()
    got, delays = day.arrived(), day.delays()
    assert set(got) == set(day.expected)
    assert not [what for what, times in got.items() if len(times) > 1]
    assert not day.reports.sessions
    assert not [line for line in d.log if line.startswith("bounced")]
    assert max(delays.values()) < BAR, delays
