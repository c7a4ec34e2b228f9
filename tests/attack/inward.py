"""What strangers do to the host that listens."""

import functools
import pathlib
import ssl
import subprocess
import tempfile
import time

import chains
from client import Raw
from frame import (TOOL, Bound, attack, descriptors, dial, forked,
                   lines_of_attacker, tell)


@attack("(nobody)")
def nobody(port, seconds):
    """What the machine does to honest sessions by itself."""
    time.sleep(seconds)


def client_hello(**options):
    """The first flight of a handshake, to be sent again and again."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for key, value in options.items():
        setattr(context, key, value)
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaking = context.wrap_bio(into, out)
    try:
        shaking.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()


def with_groups(hello, groups):
    """The hello with other groups in it: those it has are padded out."""
    at = hello.index(b"\x00\x0a", 40)  # supported_groups
    size = int.from_bytes(hello[at + 2:at + 4], "big")
    count = (size - 2) // 2
    body = b"".join(g.to_bytes(2, "big") for g in
                    (groups * count)[:count])
    return hello[:at + 6] + body + hello[at + 6 + 2 * count:]


def starttls(port):
    c = Raw(None, sock=dial(port))
    c.cmd("EHLO attack.test")
    c.cmd("STARTTLS")
    return c


def replay(port, seconds, hello, connections=1):
    """One ClientHello after another; the answer is waited for."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            all = [starttls(port) for _ in range(connections)]
            for c in all:
                c.send(hello)
            for c in all:
                c.sock.recv(1)
                c.close()
        except OSError:
            time.sleep(0.01)


@attack("finite-field groups", tls="ecdsa")
def finite_field(port, seconds):
    """FFDHE8192 as the only group: 180 ms of CPU each."""
    replay(port, seconds, with_groups(client_hello(), [0x0104]))


@attack("handshakes, RSA-4096", tls="rsa4096")
def handshakes(port, seconds):
    forked(2, replay, port, seconds, client_hello(), 8)


@attack("key updates", tls="ecdsa")
def key_updates(port, seconds):
    subprocess.run([TOOL, "keyupdate", "127.0.0.1", str(port), str(seconds)],
                   stdout=subprocess.DEVNULL)


@attack("renegotiation", tls="ecdsa")
def renegotiation(port, seconds):
    subprocess.run([TOOL, "renegotiate", "127.0.0.1", str(port),
                    str(seconds)], stdout=subprocess.DEVNULL)


def present(port, seconds, chain, key):
    """Handshakes with a certificate of ours; the verdict is waited for."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # in TLS 1.2 it is judged before we have computed anything
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain, key)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            with starttls(port) as c, context.wrap_socket(c.sock) as s:
                s.recv(1)
        except OSError:  # that is the verdict
            pass


def client_certificates(port, seconds, links, large):
    with tempfile.TemporaryDirectory() as folder:
        made = chains.write(pathlib.Path(folder), "chain", links, large)
        forked(2, present, port, seconds, *made)


# a primary with a name has one of use: they are asked for
BY_NAME = "example.com recipients=* primary=mx.example.test\n"

for words, links, large in (("97 KB of RSA-16384", 23, True),
                            ("RSA-16384", 2, True),
                            ("200 links", 200, False)):
    attack(f"client's chain: {words}", tls="ecdsa", domains=BY_NAME)(
        functools.partial(client_certificates, links=links, large=large))


def pipeline(port, seconds, line, connections=50, begin=(), again=4000):
    """Every connection has commands waiting all the time."""
    ends = time.monotonic() + seconds
    all = []
    while time.monotonic() < ends:
        while len(all) < connections:
            try:
                c = Raw(None, sock=dial(port))
                for words in ("EHLO attack.test",) + tuple(begin):
                    c.cmd(words)
                c.sock.setblocking(False)
                all.append(c)
            except OSError:
                time.sleep(0.05)
                break
        for c in list(all):
            try:
                c.sock.send(line * again)
            except BlockingIOError:
                pass
            except OSError:
                all.remove(c)
                c.close()
                continue
            try:
                if not c.sock.recv(1 << 20):
                    all.remove(c)
                    c.close()
            except BlockingIOError:
                pass
            except OSError:
                all.remove(c)
                c.close()


def pipelined(name, line, begin=()):
    attack(f"pipelined {name}", conf={"limits": {"errors": 100000}})(
        functools.partial(pipeline, line=line, begin=begin))


pipelined("NOOP", b"NOOP\r\n")
pipelined("ETRN", b"ETRN example.com\r\n")
pipelined("unknown commands", b"WHAT\r\n")
pipelined("RCPT", b"RCPT TO:<u@example.com>\r\n", ("MAIL FROM:<a@x.test>",))
pipelined("refused RCPT", b"RCPT TO:<u@nowhere.test>\r\n",
          ("MAIL FROM:<a@x.test>",))
pipelined("MAIL and RSET", b"MAIL FROM:<a@x.test>\r\nRSET\r\n")


# -- what others need: room, memory, the spool ------------------------------------

def transaction(port, rcpt="u@example.com"):
    c = Raw(None, sock=dial(port))
    for words in ("EHLO attack.test", "MAIL FROM:<a@x.test>",
                  f"RCPT TO:<{rcpt}>"):
        c.cmd(words)
    return c


def to_the_brim(ends, fill, largest):
    """Ever smaller pieces, so that not even a small one is left."""
    size = largest
    while time.monotonic() < ends:
        if not fill(size):
            size = max(size // 4, 2000)
            time.sleep(0.01)


def until(ends, held):
    """Stay for as long as the attack lasts."""
    time.sleep(max(0, ends - time.monotonic()))
    for c in held:
        c.close()


MANY = {"limits": {"connections_per_client": 1000, "errors": 100000}}


@attack("announced sizes", conf=MANY)
def announced_sizes(port, seconds):
    """SIZE=, and nothing behind it."""
    ends, held = time.monotonic() + seconds, []

    def fill(size):
        if len(held) == 500:
            return False
        c = Raw(None, sock=dial(port))
        c.cmd("EHLO attack.test")
        held.append(c)
        return (c.cmd(f"MAIL FROM:<a@x.test> SIZE={size}")[:1] == "2" and
                c.cmd("RCPT TO:<u@example.com>")[:1] == "2" and
                c.cmd("DATA" if len(held) % 2 else "BDAT 0")[:1] in ("2", "3"))

    to_the_brim(ends, fill, 50000000)
    until(ends, held)


@attack("content without an end", honest=False,
        conf=dict(MANY, spool={"size": "128M"}))
def endless_content(port, seconds):
    """More than the spool, in messages that are not ended."""
    ends, held = time.monotonic() + seconds, []

    def fill(size):
        if len(held) == 500:
            return False
        held.append(transaction(port))
        held[-1].send(f"BDAT {size}\r\n".encode() + b"x" * size)
        return held[-1].reply()[:1] == "2"

    to_the_brim(ends, fill, 20000000)
    until(ends, held)


def long_envelopes(port, seconds, name):
    ends, held = time.monotonic() + seconds, []
    lines = "".join(f"RCPT TO:<{name(n)}@example.com>"
                    f" ORCPT=rfc822;{n:0450}\r\n" for n in range(900))
    for _ in range(200):
        c = transaction(port)
        c.send(lines)
        for _ in range(900):
            c.reply()
        held.append(c)
        if time.monotonic() > ends:
            break
    until(ends, held)


def spelling(n):
    return "".join(c.upper() if n >> i & 1 else c
                   for i, c in enumerate("postmaster"))


attack("spellings of postmaster", conf=MANY, memory_mib=16)(
    functools.partial(long_envelopes, name=spelling))
attack("long envelopes", conf=MANY)(
    functools.partial(long_envelopes, name="u{}".format))


@attack("one domain fills the spool", honest=False,
        domains="example.com recipients=*\nother.test recipients=*\n",
        conf=dict(MANY, spool={"size": "256M"}))
def one_domain(port, seconds):
    def fill(size):
        with transaction(port, "u@other.test") as c:
            c.send(f"BDAT {size} LAST\r\n".encode() + b"x" * size)
            return c.reply()[:1] == "2"

    to_the_brim(time.monotonic() + seconds, fill, 10000000)


# -- connections ------------------------------------------------------------------

LINGERING, PER_CLIENT = 256, 50


@attack("lingering connections",
        bounds=(Bound("descriptors", 64 + LINGERING + PER_CLIENT,
                      descriptors),))
def lingering(port, seconds):
    """QUIT, and more behind it than is ever read."""
    ends, held = time.monotonic() + seconds, []
    while time.monotonic() < ends:
        try:
            c = Raw(None, sock=dial(port))
            c.send(b"QUIT\r\n" + b"x" * 100000)
            held.append(c)
        except OSError:
            time.sleep(0.001)
        if len(held) > 5000:
            held.pop(0).close()


def proxied(port, client):
    """A session as of that client; None: it is turned away."""
    c = Raw(None, sock=dial(port), greet=False)
    c.send(f"PROXY TCP6 {client} ::1 1234 25\r\n")
    if c.reply()[:3] == "220":
        return c
    c.close()
    return None


def from_networks(d, seconds, networks, each=50):
    """As many sessions as each network is given; how many live is told."""
    ends, held = time.monotonic() + seconds, []
    for network in networks:
        for n in range(each):
            c = proxied(d.proxy_port, network.format(n + 1))
            if c is None:
                break
            held.append(c)
        tell(len(held))
        if time.monotonic() > ends:
            break
    until(ends, held)


def many_networks(name, networks, most, **limits):
    attack(name, has_proxy=True, wants_daemon=True,
           conf={"limits": dict(limits, connections_per_client=PER_CLIENT)},
           bounds=(Bound("sessions", most),))(
               functools.partial(from_networks, networks=networks))


many_networks("networks of one /56", [f"2001:db8:0:{n:x}::{{:x}}"
                                      for n in range(201)], 4 * PER_CLIENT)
many_networks("networks of one /48", [f"2001:db8:0:{n:04x}::{{:x}}"
                                      for n in range(0, 65536, 256)],
              16 * PER_CLIENT)


def take_all(d, seconds):
    """Sessions of ever new networks, more than there are places."""
    ends, held = time.monotonic() + seconds, []
    while time.monotonic() < ends:
        n = len(held)
        c = proxied(d.proxy_port, f"2001:{n // 20:x}::{n % 20 + 1:x}")
        if c is None:
            time.sleep(0.01)
            continue
        held.append(c)
        if n == 3000:
            break
    until(ends, held)


attack("places taken by many networks", has_proxy=True, wants_daemon=True,
       conf={"limits": {"connections": 500}}, honest=False,
       bounds=(Bound("descriptors", 64 + LINGERING + 500,
                     descriptors),))(take_all)


# -- the log, and guesses ---------------------------------------------------------

LINES_A_MINUTE = 100


def lines(name, function, **more):
    attack(f"log: {name}", bounds=(
        Bound("lines", 2 * LINES_A_MINUTE + 4, lines_of_attacker),),
           **more)(function)


def broken_handshakes(port, seconds):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            with starttls(port) as c:
                c.send(b"no handshake\r\n" * 10)
                c.sock.recv(1)
        except OSError:
            pass


def turned_away(port, seconds):
    """More connections than one may have."""
    ends = time.monotonic() + seconds
    held = [dial(port) for _ in range(PER_CLIENT)]
    while time.monotonic() < ends:
        try:
            dial(port).close()
        except OSError:
            time.sleep(0.001)
    for c in held:
        c.close()


def one_session(port, seconds, block):
    """The same again and again, session after session."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            with Raw(None, sock=dial(port)) as c:
                c.cmd("EHLO attack.test")
                while time.monotonic() < ends:
                    c.send(block)
                    if not c.sock.recv(1 << 20):
                        break
        except OSError:
            time.sleep(0.001)


LAX = {"limits": {"errors": 100000}}
for words, line in (
        ("refused commands", "\u202e" * 150),
        ("refused senders", "MAIL FROM:<" + "\u202e" * 60 + "@>"),
        ("odd orders", f"ETRN {'x' * 60}.test"),
        ("guesses", "MAIL FROM:<a@x.test>\r\nRCPT TO:<u@nowhere.test>\r\n"
                    "RSET")):
    lines(words, functools.partial(one_session, block=f"{line}\r\n" * 100),
          conf=LAX)
lines("broken handshakes", broken_handshakes, tls="ecdsa")
lines("turned away", turned_away)


@attack("guesses of addresses", recipients={"users": "u\n"},
        domains="example.com recipients=recipients/users\n",
        bounds=(Bound("guesses a session", 12),))
def guesses(port, seconds):
    """A good recipient in front of each, and RSET behind it."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        heard = 0
        with Raw(None, sock=dial(port)) as c:
            c.cmd("EHLO attack.test")
            while time.monotonic() < ends:
                c.send("MAIL FROM:<a@x.test>\r\nRCPT TO:<u@example.com>\r\n"
                       f"RCPT TO:<g{heard}@example.com>\r\nRSET\r\n")
                said = [c.reply()[:1] for _ in range(4)]
                heard += said[2] == "5"
                if "" in said:
                    break
        tell(heard)


@attack("no progress", bounds=(Bound("commands a session", 110),))
def no_progress(port, seconds):
    """Commands that are not mail, politely one by one."""
    ends = time.monotonic() + seconds
    words = ("NOOP", "VRFY u", "HELP", "RSET", "EHLO attack.test")
    while time.monotonic() < ends:
        heard = 0
        with Raw(None, sock=dial(port)) as c:
            while c.cmd(words[heard % len(words)])[:3] not in ("421", ""):
                heard += 1
        tell(heard)
