"""What strangers' servers and names do to the host that delivers.

Mail to a primary that refuses it, each from a forged sender, makes reports
that leave for wherever the strangers' names lead.
"""

import functools
import ssl
import subprocess
import time

from client import Raw
from frame import TOLD, Bound, attack, dial, tell
from world import World

DOMAINS = "listed.test recipients=*\nrefused.test recipients=*\n"


def forge(port, seconds, below, least=0, senders=1 << 40, local="x"):
    """One message after another, each from a sender's domain of its own, or
    one of so many."""
    ends, n = time.monotonic() + seconds, 0
    while time.monotonic() < ends or n < least:
        with Raw(None, sock=dial(port)) as c:
            c.cmd("EHLO attack.test")
            for _ in range(50):
                n += 1
                c.send(f"MAIL FROM:<{local}@s{n % senders}.{below}>\r\n"
                       "RCPT TO:<u@refused.test>\r\nBDAT 6 LAST\r\nX: y\r\n")
            tell(n)
            for _ in range(150):
                c.reply()
    time.sleep(max(0, ends - time.monotonic()))


# whatever may be reported at all, these bounds hold
REPORTS = {"limits": {"connections_per_client": 1000},
           "bounce": {"mode": "dsn"}}
STRANGERS = 32  # connections to them


def outward(name, below, comes_back=False, world=None, senders=1 << 40,
            conf=REPORTS, local="x", **more):
    attack(name, conf=conf, domains=DOMAINS, comes_back=comes_back,
           world=world or (lambda folder, pki: World(folder)), **more)(
               functools.partial(forge, below=below, senders=senders,
                                 local=local))


FEW = (Bound("connections to strangers", STRANGERS,
             lambda d, world: world.most.value),)

for kind in ("mute", "slow", "tarpit", "ending", "lost", "flood", "busy"):
    outward(f"senders' hosts: {kind}", f"{kind}.test",
            comes_back=kind == "mute", bounds=FEW)
for kind in ("ending", "lost", "busy"):
    outward(f"few senders' hosts: {kind}", f"{kind}.test", senders=60,
            bounds=FEW)
for kind in ("silent", "huge", "chain"):
    outward(f"senders' names: {kind}", f"{kind}.test")


def costly_policies(folder, pki):
    """TLS 1.2 with a finite-field group that takes both sides 100 ms."""
    cert = pki.cert("mta-sts.policy.test")
    params = folder / "dh.pem"
    params.write_bytes(subprocess.run(
        ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt",
         "group:ffdhe8192"], check=True, capture_output=True).stdout)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert.cert_path, cert.key_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DHE")
    context.load_dh_params(params)
    return World(folder, policy_tls=context)


outward("policy hosts: costly groups", "policy.test", world=costly_policies)
outward("policy hosts: trickle", "policy.test", bounds=FEW)


# -- is the sender proven? --------------------------------------------------------

PROVEN = {"limits": {"connections_per_client": 1000},
          "bounce": {"mode": "proven"}}
LONG = "!" * 60  # 180 octets in a URL
SPF_QUESTIONS = 11 + 10 * 11 + 11  # RFC 7208 section 4.6.4


def questions_a_message(d, world):
    """However little of that is asked twice."""
    return world.asked.value / max(1, TOLD.value)


for kind in ("include", "macros", "terms", "hosts", "silent", "chain"):
    outward(f"senders' SPF: {kind}", f"{kind}.test", conf=PROVEN, local=LONG,
            bounds=FEW + (
                Bound("reports", 0, lambda d, world: world.reports.value),
                Bound("questions a message", SPF_QUESTIONS,
                      questions_a_message)))


# -- one message in, many out -----------------------------------------------------

def reports_more_than_told(d, world):
    """They are under way, perhaps, and none more may come."""
    time.sleep(3)
    return world.reports.value - TOLD.value


def kib_a_report(d, world):
    return world.report_bytes.value / max(1, world.reports.value) / 1024


def one_to_all(port, seconds, sender="x@s1.sink.test"):
    """A thousand recipients who are all refused, and a forged sender; how
    many messages were taken is told."""
    ends, sent = time.monotonic() + seconds, 0
    with Raw(None, sock=dial(port)) as c:
        c.cmd("EHLO attack.test")
        while time.monotonic() < ends:
            c.send(f"MAIL FROM:<{sender}>\r\n" + "".join(
                f"RCPT TO:<u{n}@refused.test>\r\n" for n in range(1000)))
            assert all(c.reply()[:1] == "2" for _ in range(1001))
            text = b"Subject: x\r\n\r\n" + b"x" * 65536
            c.send(f"BDAT {len(text)} LAST\r\n".encode() + text)
            sent += c.reply()[:1] == "2"
            tell(sent)
            time.sleep(1)


def in_a_world(name, bounds, **more):
    return attack(name, domains=more.pop("domains", DOMAINS), bounds=bounds,
                  conf=more.pop("conf", REPORTS),
                  world=lambda folder, pki: World(folder), **more)


in_a_world("a thousand are refused", (
    Bound("reports more than messages", 0, reports_more_than_told, True),
    Bound("KiB a report", 400, kib_a_report, True)))(one_to_all)
in_a_world("many messages of one sender", (
    Bound("reports in a minute", 20, lambda d, world: world.reports.value),),
    conf=dict(REPORTS, bounce={"mode": "dsn", "rate": 20}))(
        functools.partial(forge, below="sink.test", senders=1))


def many_domains(port, seconds):
    """How many domains of recipients a transaction takes is told."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with Raw(None, sock=dial(port)) as c:
            c.cmd("EHLO attack.test")
            c.cmd("MAIL FROM:<x@s1.sink.test>")
            c.send("".join(f"RCPT TO:<u@d{n}.many.test>\r\n"
                           for n in range(300)))
            tell(sum(c.reply()[:1] == "2" for n in range(300)))


in_a_world("domains of a transaction", (Bound("domains", 100),),
           domains=DOMAINS + "*.many.test recipients=*\n")(many_domains)


@attack("a primary with an absurd SIZE", domains=DOMAINS,
        world=lambda folder, pki: World(
            folder, listed_ehlo="250-mx.test\r\n250 SIZE 100"))
def absurd_size(port, seconds):
    """It is the primary alone that does harm."""
    time.sleep(seconds)
