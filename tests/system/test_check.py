"""mx20ctl check, the doctor: a right set-up has nothing wrong, and each planted
fault is found, alone.

One world for all: NSD with a zone for each domain, a real Postfix and scripted
servers as primaries, mx20d itself behind several names, and one run of the
command.  Every domain has one fault.
"""

import fcntl
import json
import os
import pathlib
import pty
import pwd
import re
import shutil
import ssl
import struct
import subprocess
import termios
import time

import pytest

from daemon import ROOT, Mx20, libconfig
from dns import Dns
from faults import until
from net import free_port
from postfix import Postfix
from primary import Hang, Primary
from sts import PolicyHost, policy

OURS = "127.0.0.2"
SCRIPT = "127.0.0.20"  # a scripted primary
PLAIN = "127.0.0.21"   # one without TLS and XFORWARD
SELF_SIGNED = "127.0.0.22"
DEAD = "127.0.0.99"
YEAR = 365 * 86400

# What the scripted primary says to RCPT for postmaster at a domain.
REPLIES = {
    "greylist": "450 4.2.0 <postmaster>: Recipient address rejected: "
                "Greylisted, see http://postgrey.example/",
    "blocked": "554 5.7.1 Service unavailable; Client host [127.0.0.1] "
               "blocked using zen.example.org",
    "spfail": "550 5.7.23 <postmaster>: Recipient address rejected: Message "
              "rejected due to: SPF fail - not authorized",
    "nobody": "550 5.1.1 <postmaster>: User unknown",
}


class Case:
    """A domain with one fault: `check` finds it."""

    def __init__(self, name, check, mx=None, own="mx2.own.test.",
                 primary="mail.p.test.", extra="", spf='"v=spf1 mx -all"',
                 sts=None, options="recipients=all", signed=True,
                 severity=("warning", "error"), remedy=None, listed=True):
        self.name, self.check, self.severity = f"{name}.test", check, severity
        self.options, self.signed, self.listed = options, signed, listed
        self.remedy, self.sts = remedy, sts
        if mx is None:
            mx = f"@ MX 10 {primary}\n@ MX 20 {own}"
        lines = [mx, extra]
        if spf:
            lines.append(f"@ TXT {spf}")
        if sts is not None:
            lines += ["mta-sts A 127.0.0.1", '_mta-sts TXT "v=STSv1; id=1"']
        self.zone = "\n".join(lines)


RIGHT = ["mail.p.test", "mx2.own.test"]
CASES = [
    Case("listed", "mx-listed", mx="@ MX 10 mail.p.test.",
         spf='"v=spf1 a:mx2.own.test -all"',
         remedy="listed.test. 3600 IN MX 20 mx2.own.test."),
    Case("nomx", "mx-listed", mx="@ A 127.0.0.1",
         spf='"v=spf1 a:mx2.own.test -all"'),
    Case("equal", "mx-order",
         mx="@ MX 10 mail.p.test.\n@ MX 20 other.p.test.\n"
            "@ MX 20 mx2.own.test.",
         remedy="equal.test. 3600 IN MX 30 mx2.own.test."),
    Case("first", "mx-order",
         mx="@ MX 5 mx2.own.test.\n@ MX 10 mail.p.test.",
         remedy="first.test. 3600 IN MX 20 mx2.own.test."),
    Case("iptext", "mx-target",
         mx="@ MX 10 mail.p.test.\n@ MX 15 127.0.0.1.\n"
            "@ MX 20 mx2.own.test.",
         remedy="mail.iptext.test. 3600 IN A 127.0.0.1"),
    Case("alias", "mx-target",
         mx="@ MX 10 m\nm CNAME mail.p.test.\n@ MX 20 mx2.own.test.",
         remedy="alias.test. 3600 IN MX 10 mail.p.test."),
    Case("gone", "mx-target",
         mx="@ MX 10 mail.p.test.\n@ MX 15 old\n@ MX 20 mx2.own.test.",
         remedy="remove: gone.test. IN MX 15 old.gone.test."),
    Case("empty", "mx-target",
         mx="@ MX 10 mail.p.test.\n@ MX 15 old\nold TXT \"moved\"\n"
            "@ MX 20 mx2.own.test."),
    Case("null", "mx-null", mx="@ MX 0 .",
         spf='"v=spf1 a:mx2.own.test -all"',
         remedy="remove: null.test. IN MX 0 ."),
    Case("nullbeside", "mx-null",
         mx="@ MX 0 .\n@ MX 10 mail.p.test.\n@ MX 20 mx2.own.test."),
    Case("short", "mx-ttl",
         mx="@ 30 MX 10 mail.p.test.\n@ 30 MX 20 mx2.own.test.",
         remedy="short.test. 3600 IN MX 20 mx2.own.test."),
    Case("long", "mx-ttl",
         mx="@ 604800 MX 10 mail.p.test.\n@ 604800 MX 20 mx2.own.test."),
    Case("lost", "own-address", own="lost.own.test.", spf=None,
         remedy="lost.own.test. 3600 IN A "),
    Case("astray", "own-address", own="astray.own.test.", spf=None,
         remedy=f"remove: astray.own.test. IN A {DEAD}"),
    Case("posed", "own-address", own="posed.own.test.", spf=None),
    Case("noptr", "own-ptr", own="noptr.own.test.",
         remedy="6.0.0.127.in-addr.arpa. 3600 IN PTR noptr.own.test."),
    Case("badptr", "own-ptr", own="badptr.own.test.",
         remedy="7.0.0.127.in-addr.arpa. 3600 IN PTR badptr.own.test."),
    Case("named", "own-tls", own="named.own.test."),
    Case("ended", "own-tls", own="ended.own.test."),
    Case("ending", "own-tls", own="ending.own.test."),
    Case("clear", "own-tls", own="clear.own.test.",
         remedy="systemctl reload mx20"),
    Case("wrongtlsa", "own-tlsa", own="wrongtlsa.own.test.",
         remedy="._tcp.wrongtlsa.own.test. 3600 IN TLSA 3 1 1 "),
    Case("notlsa", "own-tlsa", own="notlsa.own.test.",
         primary="dane.p.test.",
         remedy="._tcp.notlsa.own.test. 3600 IN TLSA 3 1 1 "),
    Case("ststhis", "sts-policy", sts=policy(mx=["mail.p.test"]),
         remedy="mx: mx2.own.test"),
    Case("stsother", "sts-policy", sts=policy(mx=["mx2.own.test"],
                                              mode="testing"),
         remedy="mx: mail.p.test"),
    Case("stsnone", "sts-policy", sts=""),
    Case("stsbad", "sts-policy", extra='_mta-sts TXT "v=STSv1; id=!"'),
    Case("dead", "primary-answers", primary="dead.p.test."),
    Case("half", "primary-answers", primary="half.p.test."),
    Case("busy", "primary-answers", primary="busy.p.test."),
    Case("unverified", "primary-tls", primary="selfsigned.p.test.",
         options="recipients=all tls=verify"),
    Case("nodane", "primary-tls", primary="wrongdane.p.test.",
         remedy="._tcp.wrongdane.p.test. 3600 IN TLSA 3 1 1 "),
    Case("notls", "primary-tls", primary="plain.p.test.",
         options="recipients=all tls=must"),
    *(Case(name, "primary-recipient", primary="script.p.test.")
      for name in REPLIES),
    Case("relay", "primary-recipient",
         remedy="virtual_mailbox_domains (or mydestination, relay_domains) = "
                "... relay.test"),
    Case("nosender", "primary-recipient", primary="nosender.p.test."),
    Case("untrusted", "primary-trust", primary="plain.p.test.",
         severity=("info",), remedy="SpamAssassin: trusted_networks "
                                    f"{OURS}"),
    Case("spfless", "spf", spf='"v=spf1 ip4:192.0.2.1 -all"',
         remedy='spfless.test. 3600 IN TXT "v=spf1 ip4:192.0.2.1 '
                'a:mx2.own.test -all"'),
    Case("spftwice", "spf", spf='"v=spf1 mx -all"\n@ TXT "v=spf1 a -all"'),
    Case("blacklist", "dnsbl", own="blacklist.own.test."),
    Case("open", "recipients", options="recipients=*"),
    Case("nobodyhome", "recipients", options="recipients=none"),
    Case("stale", "recipients", options="recipients=old"),
    Case("unlisted", "recipients", listed=False,
         remedy="in the allowlist: unlisted.test recipients=verify"),
]
GOOD = [
    Case("good", None, sts=policy(mx=RIGHT)),
    Case("good2", None, signed=False),
    Case("good3", None, mx="@ A 127.0.0.1\n@ MX 20 mx2.own.test.\n"
                           "@ MX 10 mail.p.test.\n@ MX 30 third.p.test.",
         options="recipients=all,verify"),
    # a domain that sends nothing
    Case("good4", None, spf='"v=spf1 -all"', primary="dane.p.test."),
]

OWN = {  # our names; listening addresses, and those of servers that pose as us
    "mx2": OURS, "named": OURS, "wrongtlsa": OURS, "notlsa": OURS,
    "noptr": "127.0.0.6", "badptr": "127.0.0.7", "blacklist": "127.0.0.10",
    "astray": DEAD, "posed": "127.0.0.1",
    "ended": "127.0.0.30", "ending": "127.0.0.31", "clear": "127.0.0.32",
}
POINTERS = {2: "mx2", 7: "elsewhere", 10: "blacklist", 30: "ended",
            31: "ending", 32: "clear", 1: "posed"}


def context(cert):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(cert.cert_path, cert.key_path)
    return made


class World:
    """Everything that is asked."""

    def __init__(self, pki):
        self.port = free_port()
        self.pki, self.closing = pki, []
        self.cert = pki.cert(*(f"{n}.own.test" for n in (*OWN, "lost")
                               if n not in ("named", "clear")))
        self.primary_cert = pki.cert("mail.p.test", "script.p.test",
                                     "dane.p.test", "half.p.test",
                                     "nosender.p.test")
        self.start_postfix()
        self.start_scripted()
        self.start_policies()
        self.start_dns()
        self.start_daemon()

    def keep(self, thing, close):
        self.closing.append(lambda: close(thing))
        return thing

    def start_postfix(self):
        if shutil.which("postfix") is None:
            pytest.skip("Postfix is not installed")
        names = [c.name for c in CASES + GOOD if c.name != "relay.test"]
        server = self.keep(Postfix(
            domains=names, port=self.port, name="mail.p.test", main={
                "smtpd_tls_cert_file": self.primary_cert.cert_path,
                "smtpd_tls_key_file": self.primary_cert.key_path,
                "smtpd_tls_security_level": "may",
                "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
            }), Postfix.stop)
        server.start()

    def scripted(self, address, name, cert=None, trusts=True, **options):
        offers = ["PIPELINING", "SIZE"]
        offers += ["STARTTLS"] if cert else []
        offers += ["XFORWARD NAME ADDR"] if trusts else []
        server = Primary(address=address, port=self.port, name=name,
                         offers=offers, tls=context(cert) if cert else None,
                         **options)
        self.keep(server, Primary.stop).start()
        return server

    def start_scripted(self):
        def rcpt(session, address):
            return REPLIES.get(address.split("@")[1].removesuffix(".test"))

        self.script = self.scripted(SCRIPT, "script.p.test",
                                    self.primary_cert, on={"rcpt": rcpt})
        self.scripted(PLAIN, "plain.p.test", trusts=False)
        self.self_signed = self.pki.cert("selfsigned.p.test",
                                         self_signed=True)
        self.scripted(SELF_SIGNED, "selfsigned.p.test", self.self_signed)
        self.scripted("127.0.0.23", "nosender.p.test", self.primary_cert,
                      on={"mail": "550 5.7.1 <>: sender rejected"})
        self.scripted("127.0.0.24", "busy.p.test",
                      on={"greeting": "421 4.3.2 shutting down"})
        self.scripted("127.0.0.30", "ended.own.test",
                      self.pki.cert("ended.own.test", expired=True))
        self.scripted("127.0.0.31", "ending.own.test",
                      self.pki.cert("ending.own.test", days=9))
        self.scripted("127.0.0.32", "clear.own.test")

    def start_policies(self):
        with_policy = [c for c in CASES + GOOD if c.sts is not None]
        host = self.keep(PolicyHost(self.pki.cert(
            *(f"mta-sts.{c.name}" for c in with_policy))), PolicyHost.close)
        self.sts_port = host.port
        host.policies = {f"mta-sts.{c.name}": c.sts for c in with_policy
                         if c.sts}

    def start_dns(self):
        self.dns = dns = self.keep(Dns(ttl=3600), Dns.close)
        for case in CASES + GOOD:
            dns.zone(case.name, case.zone, signed=case.signed)
        tlsa = f"_{self.port}._tcp"
        own = [f"{name} A {address}" for name, address in OWN.items()]
        own += [f"elsewhere A {OURS}",
                f"{tlsa}.mx2 TLSA {self.cert.tlsa()}",
                f"{tlsa}.wrongtlsa TLSA {self.cert.tlsa(wrong=True)}"]
        dns.zone("own.test", "\n".join(own))
        dns.zone("p.test", "\n".join([
            "mail A 127.0.0.1", "other A 127.0.0.1", "third A 127.0.0.1",
            f"script A {SCRIPT}", f"plain A {PLAIN}",
            f"selfsigned A {SELF_SIGNED}", "dane A 127.0.0.1",
            f"wrongdane A {SELF_SIGNED}", f"dead A {DEAD}",
            f"half A {DEAD}", "half A 127.0.0.1", "busy A 127.0.0.24",
            "nosender A 127.0.0.23",
            f"{tlsa}.dane TLSA {self.primary_cert.tlsa()}",
            f"{tlsa}.wrongdane TLSA {self.self_signed.tlsa(wrong=True)}"]))
        dns.zone("bl.test", "10.0.0.127 A 127.0.0.2")
        dns.zone_outside("127.in-addr.arpa", "\n".join(
            f"{n}.0.0 PTR {name}.own.test." for n, name in POINTERS.items()))
        dns.start()

    def start_daemon(self):
        conf = {
            "hostname": "mx2.own.test",
            "aliases": ["lost.own.test",
                        *(f"{n}.own.test" for n in OWN if n != "mx2"),
                        "127.0.0.30", "127.0.0.31", "127.0.0.32"],
            "listen": [{"address": a, "port": self.port} for a in
                       (OURS, "127.0.0.6", "127.0.0.7", "127.0.0.10")],
            "dns": self.dns.conf,
            "drain": {"port": self.port, "reply_timeout": "4s"},
            "tls": {"certificate": str(self.cert.cert_path),
                    "key": str(self.cert.key_path),
                    "ca_file": self.pki.ca_file, "sts_port": self.sts_port},
            "policy": {"dnsbl": [{"zone": "bl.test", "weight": 1}]},
        }
        rows = [f"{c.name} {c.options}" for c in CASES + GOOD if c.listed]
        rows.append("*.pattern.test recipients=all")
        self.daemon = self.keep(Mx20(
            domains="\n".join(rows).replace("=all", "=recipients/all").replace(
                "=old", "=recipients/old").replace(
                "=none", "=recipients/none") + "\n",
            recipients={"all": "info\nanna\n", "old": "info\n",
                        "none": "# nobody\n"}, conf=conf), Mx20.close)
        then = time.time() - YEAR
        os.utime(self.daemon.dir / "recipients" / "old", (then, then))
        self.daemon.start()

    def close(self):
        for close in reversed(self.closing):
            close()


@pytest.fixture(scope="module")
def world(pki):
    if shutil.which("nsd") is None:
        pytest.skip("NSD is not installed")
    made = None
    try:
        made = World(pki)
        yield made
    finally:
        if made is not None:
            made.close()


@pytest.fixture(scope="module")
def findings(world):
    """{domain: [finding, ...]} of one run about all of them."""
    names = [c.name for c in CASES + GOOD]
    done = world.daemon.ctl("check", "--json", *names, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found = {}
    for one in json.loads(done.stdout):
        assert set(one) == {"domain", "check", "severity", "what", "remedy"}
        found.setdefault(one["domain"], []).append(one)
    return found


def wrong(found, severities=("warning", "error")):
    return [f for f in found if f["severity"] in severities]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_planted_fault_is_found(case, findings):
    found = findings[case.name]
    bad = wrong(found)
    hits = [f for f in found if f["check"] == case.check
            and f["severity"] in case.severity]
    assert hits, found
    assert {f["check"] for f in bad} <= {case.check}, bad
    assert all(f["remedy"] for f in hits), hits
    if case.remedy:
        assert any(case.remedy in f["remedy"] for f in hits), hits


@pytest.mark.parametrize("case", GOOD, ids=lambda c: c.name)
def test_a_right_setup_has_nothing_wrong(case, findings):
    found = findings[case.name]
    assert not wrong(found, ("info", "warning", "error")), \
        wrong(found, ("info", "warning", "error"))
    assert len({f["check"] for f in found}) == 18


# -- for people ---------------------------------------------------------------

def test_text_shows_what_is_not_ok(world):
    done = world.daemon.ctl("check", "good.test", "stale.test", check=False)
    assert done.returncode == 1
    assert "good.test\n" not in done.stdout
    assert done.stdout.startswith("stale.test\n  warning  recipients ")
    assert done.stdout.endswith("2 domains, 1 warning\n")
    done = world.daemon.ctl("check", "good2.test")
    assert done.stdout == "1 domain: ready for the day\n"
    assert not done.stderr


def test_all_shows_everything(world):
    text = world.daemon.ctl("check", "--all", "good.test").stdout
    assert text.count("\n  ok       ") == 18


def test_this_host_is_told_of_once(world):
    text = world.daemon.ctl("check", "badptr.test", "badptr.test",
                            check=False).stdout
    assert text.count(" own-ptr ") == 1


def test_without_a_domain_it_is_the_allowlist(world):
    done = world.daemon.ctl("check", "--json", check=False)
    domains = {f["domain"] for f in json.loads(done.stdout)}
    assert domains == {c.name for c in CASES + GOOD if c.listed} | {
        "*.pattern.test"}
    assert {f["check"] for f in json.loads(done.stdout)
            if f["domain"] == "*.pattern.test"} == {"recipients",
                                                    "spool-room"}


def test_a_primary_is_talked_to_once_for_all_its_domains(world):
    before = len(world.script.sessions)
    world.daemon.ctl("check", *(f"{n}.test" for n in REPLIES), check=False)
    assert len(world.script.sessions) == before + 1
    said = world.script.sessions[-1].transcript
    assert until(lambda: said[-1] == "QUIT")
    assert said[:4] == ["EHLO mx2.own.test", "STARTTLS", "EHLO mx2.own.test",
                        "MAIL FROM:<>"]
    assert said[-2] == "RSET"
    for name in REPLIES:
        assert f"RCPT TO:<postmaster@{name}.test>" in said
    assert not any(line.startswith(("DATA", "BDAT")) for line in said)


def test_a_second_domain_that_is_put_off_is_asked_alone(world):
    """Some servers take one domain in a transaction."""
    def rcpt(session, address):
        return "451 4.3.0 Multiple destination domains" \
            if session.message.rcpts else None

    world.script.on["rcpt"], before = rcpt, world.script.on["rcpt"]
    try:
        done = world.daemon.ctl("check", *(f"{n}.test" for n in REPLIES))
    finally:
        world.script.on["rcpt"] = before
    assert done.stdout.endswith("ready for the day\n")


def test_not_a_domain(world):
    done = world.daemon.ctl("check", "good.test", "a b", check=False)
    assert done.returncode == 1 and "is not a domain" in done.stderr


def test_strangers_do_not_reach_the_terminal(world):
    world.script.on["rcpt"] = "550 5.1.2 \x1b[2Jgone\u202e \xff"
    try:
        text = world.daemon.ctl("check", "greylist.test", check=False).stdout
        listed = json.loads(world.daemon.ctl(
            "check", "--json", "greylist.test", check=False).stdout)
    finally:
        world.script.on["rcpt"] = None
    assert "\x1b" not in text and "\u202e" not in text
    assert "[2Jgone" in text
    assert any("gone" in f["what"] for f in listed)


def on_terminal(command, columns):
    """What it writes to a terminal of that width."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns,
                                                     0, 0))
    ctl = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=its,
                           stderr=its)
    os.close(its)
    got = b""
    try:
        while piece := os.read(ours, 4096):
            got += piece
    except OSError:  # it has left
        pass
    os.close(ours)
    ctl.wait()
    return got.decode().replace("\r\n", "\n")


def test_on_a_terminal(world):
    """How far it is is shown and wiped; words are broken at the end of the
    line, what is to be pasted is not."""
    command = with_conf(world, "same.conf")
    text = on_terminal([*command, "nodane.test", "equal.test", "good2.test"],
                       70)
    assert re.search(r"\r\x1b\[Kchecking: [0-3] of 3", text)
    shown = re.sub(r"\r\x1b\[K(checking: \d of 3)?", "", text)
    assert "\x1b" not in shown and "\r" not in shown
    lines = shown.splitlines()
    long = [line for line in lines if len(line) > 70]
    assert [line for line in long if " TLSA 3 1 1 " in line], long
    assert all(line.startswith(" " * 11) for line in long), long
    assert lines[-1] == "3 domains, 1 error, 1 warning"


def with_conf(world, name, **changes):
    """A configuration beside the daemon's that differs in these."""
    path = world.daemon.dir / name
    conf = {**world.daemon.conf, **changes}
    path.write_text("".join(f"{k} = {libconfig(v)};\n"
                            for k, v in conf.items()))
    return [str(world.daemon.build / "mx20ctl"), "-c", str(path), "check"]


def test_a_port_that_is_led_elsewhere(world):
    """25 is led to where mx20d listens: that is tried then."""
    port = free_port()
    command = with_conf(world, "led.conf", drain={"port": port})
    done = subprocess.run([*command, "--json", "good2.test"],
                          capture_output=True, text=True, timeout=60)
    assert [f["check"] for f in wrong(json.loads(done.stdout))] == \
        ["primary-answers"], done.stdout


def test_root_is_left_before_anybody_is_asked(world):
    if os.getuid() != 0:
        pytest.skip("only root has something to leave")
    world.dns.dir.chmod(0o755)  # the trust anchor is there
    command = with_conf(world, "nobody.conf", user="nobody")
    world.script.on["greeting"] = Hang()
    before = len(world.script.sessions)
    ctl = subprocess.Popen([*command, "greylist.test"],
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    try:
        world.script.wait_sessions(before + 1)
        status = pathlib.Path(f"/proc/{ctl.pid}/status").read_text()
    finally:
        world.script.on["greeting"] = None
        ctl.kill()
        ctl.wait()
    uids = set(status.split("Uid:")[1].splitlines()[0].split())
    assert uids == {str(pwd.getpwnam("nobody").pw_uid)}
    assert not status.split("Groups:")[1].splitlines()[0].split().count("0")


def test_the_timer_is_installed(tmp_path):
    subprocess.run(["make", "-s", "-o", "all", "install", "PREFIX=/usr",
                    f"DESTDIR={tmp_path}"], cwd=ROOT, check=True,
                   capture_output=True, timeout=60)
    units = tmp_path / "usr/lib/systemd/system"
    assert "OnCalendar=" in (units / "mx20-check.timer").read_text()
    service = (units / "mx20-check.service").read_text()
    assert "\nExecStart=/usr/bin/mx20ctl check\n" in service
    assert "\nUser=mx20\n" in service and "@PREFIX@" not in service


# -- the daemon is down, or slow servers --------------------------------------

def test_without_the_daemon(world):
    world.daemon.stop()
    try:
        done = world.daemon.ctl("check", "good2.test", "--json", check=False)
    finally:
        world.daemon.start()
    assert done.returncode == 1
    found = json.loads(done.stdout)
    bad = wrong(found)
    assert [f["check"] for f in bad] == ["own-address"], bad
    assert "nobody answers at 127.0.0.2" in bad[0]["what"]
    assert "systemctl start mx20" in bad[0]["remedy"]
    ok = {f["check"]: f for f in found if f["severity"] == "ok"}
    assert "2 listed" in ok["recipients"]["what"]
    assert "MiB left" in ok["spool-room"]["what"]
    assert ok["own-tls"]["what"] == "by its file: nobody answers"


def test_a_primary_that_hangs_is_not_waited_for(world):
    world.script.on["greeting"] = Hang()
    try:
        began = time.monotonic()
        done = world.daemon.ctl("check", "--json", "greylist.test",
                                check=False)
        took = time.monotonic() - began
    finally:
        world.script.on["greeting"] = None
    assert took < 30
    bad = wrong(json.loads(done.stdout))
    assert [f["check"] for f in bad] == ["primary-answers"]
    assert "greeting: no answer in time" in bad[0]["what"]
