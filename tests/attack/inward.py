"""What strangers do to the host that listens."""

import functools
import socket
import ssl
import subprocess
import time

from client import Raw
from frame import TOOL, attack, dial, forked


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
