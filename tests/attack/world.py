"""The world outside, for attacks on what goes out: names and mail hosts.

Names are answered by a rule, not by a zone, so
that there is any number of domains:

    listed.test           MX at 127.0.0.2: the listed domain's primary
    refused.test          MX at 127.0.0.4: a primary that refuses everybody
    *.sink.test           MX at 127.0.0.5: takes what comes, and counts it
    *.silent.test         no answer to anything about it
    *.huge.test           answers of 60 KB, by TCP
    *.chain.test          aliases without an end
    *.include.test        SPF records that include others, without an end
    *.macros.test         64 KiB of one, each macro of it an address
    *.terms.test          64 KiB of it, in terms
    *.hosts.test          all the hosts that one may make us ask for
    s1.KIND.test          five MX of two addresses in the network of that kind

    KIND    network      its mail hosts
    mute    127.1.0.0    accept, and say nothing
    slow    127.2.0.0    a letter of the greeting each second
    tarpit  127.3.0.0    STARTTLS, then nothing
    ending  127.4.0.0    take one message, then hang at the end of each
    lost    127.5.0.0    hang up in the middle of the content
    flood   127.6.0.0    send lines as long as anybody reads
    busy    127.7.0.0    4yz to everything

A domain _mta-sts.NAME of the kinds "policy" has a record, and its policy host
is at 127.8.0.0.
"""

import asyncio
import hashlib
import multiprocessing
import os
import socket
import struct
import time

A, NS, CNAME, SOA, MX, TXT, AAAA = 1, 2, 5, 6, 15, 16, 28
KINDS = {"mute": 1, "slow": 2, "tarpit": 3, "ending": 4, "lost": 5,
         "flood": 6, "busy": 7, "policy": 8, "sink": 9}
LISTED, REFUSED = "127.0.0.2", "127.0.0.4"


# -- names ------------------------------------------------------------------------

def wire(name):
    return b"".join(bytes([len(x)]) + x.encode("latin-1")
                    for x in name.split(".") if x) + b"\0"


def address_of(name, kind):
    h = hashlib.md5(name.encode()).digest()
    return bytes([127, KINDS[kind], h[0], 1 + h[1] % 250])


def txt(text):
    text = text.encode()
    return [(TXT, b"".join(bytes([len(text[i:i + 255])]) + text[i:i + 255]
                           for i in range(0, len(text), 255)))]


def spf_records(kind, head, rest, qtype):
    """What senders publish who want us to do much.  They can be reached."""
    if qtype == MX and head[0] == "s":
        return [(MX, b"\0\x0a" + wire(f"mx.{head}.sink.test"))]
    if qtype == MX and kind == "hosts":
        return [(MX, struct.pack("!H", i) + wire(f"h{i}{head}.{rest}"))
                for i in range(10)]
    if qtype == A and kind == "hosts":
        return [(A, bytes([192, 0, 2, i])) for i in range(100)]
    if qtype != TXT:
        return []
    return txt("v=spf1 " + {
        "include": f"include:{head}a.{rest} include:{head}b.{rest} -all",
        "macros": "exists:" + "%{S}" * 16000,
        "terms": "ip4:192.0.2.1 " * 4500 + "-all",
        "hosts": " ".join(f"mx:m{i}{head}.{rest}" for i in range(10))}[kind])


def records(name, qtype):
    """[(type, rdata)], or None for no answer at all."""
    labels = name.split(".")
    kind = labels[-2] if len(labels) > 1 else ""
    if kind == "silent":
        return None
    if kind == "huge" and qtype == MX:
        return [(MX, struct.pack("!H", i) + wire(f"m{i}.{name}"))
                for i in range(1200)]
    if kind == "huge" and qtype in (TXT, A):
        return ([(TXT, b"\xff" + b"x" * 255)] * 200 if qtype == TXT else
                [(A, bytes([127, 1, i % 250, i // 250])) for i in range(3000)])
    if kind in ("include", "macros", "terms", "hosts"):
        return spf_records(kind, labels[0], ".".join(labels[1:]), qtype)
    if kind == "chain":
        head, _, rest = labels[0].partition("-")
        return [(CNAME, wire(".".join(
            [f"{head}-{int(rest or 0) + 1}"] + labels[1:])))]
    if name in ("listed.test", "refused.test"):
        return [(MX, b"\0\x0a" + wire("mx." + name))] if qtype == MX else []
    if name in ("mx.listed.test", "mx.refused.test") and qtype == A:
        return [(A, socket.inet_aton(
            LISTED if "listed" in name else REFUSED))]
    if kind not in KINDS:
        return []
    if qtype == TXT and labels[0] == "_mta-sts" and kind == "policy":
        return [(TXT, bytes([14]) + b"v=STSv1; id=1;")]
    if qtype == A and labels[0].startswith("mx"):
        return [(A, address_of(name + str(i), kind)) for i in range(2)]
    if qtype == A and labels[0] == "mta-sts":
        return [(A, address_of(name, kind))]
    if qtype == MX and not labels[0].startswith(("mx", "_", "mta")):
        return [(MX, struct.pack("!H", i) + wire(f"mx{i}.{name}"))
                for i in range(5)]
    return []


def answer(query, most):
    """The reply to one question, or None."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    qtype, = struct.unpack("!H", query[at + 1:at + 3])
    question = query[12:at + 5]
    found = records(".".join(labels).lower(), qtype)
    if found is None:
        return None
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", t, 1, 60, len(data)) +
                    data for t, data in found)
    flags = 0x8180
    if len(body) + len(question) + 12 > most:
        body, found, flags = b"", [], flags | 0x200
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + \
        question + body


class Names(asyncio.DatagramProtocol):
    def __init__(self, world):
        self.world = world

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, peer):
        self.world.asked.value += 1
        reply = answer(query, 1232)
        if reply is not None:
            self.transport.sendto(reply, peer)


async def names_by_tcp(reader, writer):
    try:
        while True:
            n, = struct.unpack("!H", await reader.readexactly(2))
            reply = answer(await reader.readexactly(n), 65000)
            if reply is not None:
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


# -- mail hosts -------------------------------------------------------------------

class Session:
    """A plain SMTP server; subclasses do harm."""

    rcpt = "250 2.1.5 ok"
    ehlo = "250-other.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n" \
        "250-STARTTLS\r\n250 SIZE 50000000"

    def __init__(self, world, reader, writer):
        self.world, self.reader, self.writer = world, reader, writer
        self.taken = 0

    def say(self, text):
        self.writer.write(text.encode() + b"\r\n")

    async def greet(self):
        self.say("220 other.test ESMTP")

    async def starttls(self):
        self.say("454 4.7.0 not now")

    async def content(self):
        text = await self.reader.readuntil(b"\r\n.\r\n")
        await self.take(text)

    async def take(self, text):
        self.taken += 1
        self.say("250 2.0.0 taken")

    async def run(self):
        await self.greet()
        while True:
            await self.writer.drain()
            verb = (await self.reader.readline())[:4].upper()
            if verb == b"EHLO":
                self.say(self.ehlo)
            elif verb == b"STAR":
                await self.starttls()
            elif verb == b"RCPT":
                self.say(self.rcpt)
            elif verb == b"DATA":
                self.say(self.data())
                if self.data()[0] == "3":
                    await self.content()
            elif verb == b"QUIT":
                self.say("221 2.0.0 bye")
                return
            elif not verb:
                return
            else:
                self.say("250 2.0.0 ok")

    def data(self):
        return "354 go on" if self.rcpt[0] == "2" else "554 5.5.1 nobody"

    async def for_ever(self):
        await self.reader.read()


class Listed(Session):
    @property
    def ehlo(self):
        return self.world.listed_ehlo or Session.ehlo

    async def greet(self):
        if not self.world.is_up.is_set():
            raise ConnectionResetError
        await super().greet()

    async def take(self, text):
        self.world.arrived.put((time.monotonic(), text))
        await super().take(text)


class Refusing(Session):
    rcpt = "550 5.1.1 no such user here"


class Sink(Session):
    async def take(self, text):
        with self.world.reports.get_lock():
            self.world.reports.value += 1
            self.world.report_bytes.value += len(text)
        await super().take(text)


class Mute(Session):
    async def greet(self):
        await self.for_ever()


class Slow(Session):
    async def greet(self):
        for c in b"220 " + b"x" * 400:
            self.writer.write(bytes([c]))
            await asyncio.sleep(1)


class Tarpit(Session):
    async def starttls(self):
        self.say("220 2.0.0 go on")
        await self.for_ever()


class Ending(Session):
    async def take(self, text):
        if self.taken > 0:
            await asyncio.sleep(self.world.ending_s)
            raise ConnectionResetError
        await super().take(text)


class Lost(Session):
    async def content(self):
        await self.reader.readexactly(1)
        raise ConnectionResetError


class Flood(Session):
    async def greet(self):
        piece = b"220-" + b"x" * 60 + b"\r\n"
        while True:
            self.writer.write(piece * 1000)
            await self.writer.drain()


class Busy(Session):
    rcpt = "450 4.2.0 later"


BY_NETWORK = {1: Mute, 2: Slow, 3: Tarpit, 4: Ending, 5: Lost, 6: Flood,
              7: Busy, 9: Sink}


class World:
    """conf: what mx20.conf needs to live in it."""

    def __init__(self, folder, policy_tls=None, ending_s=6,
                 listed_ehlo=None):
        self.listed_ehlo = listed_ehlo
        self.arrived = multiprocessing.Queue()
        self.is_up = multiprocessing.Event()
        self.go_up()
        self.reports = multiprocessing.Value("q", 0)
        self.report_bytes = multiprocessing.Value("q", 0)
        self.asked = multiprocessing.Value("q", 0)  # questions by UDP
        self.open = multiprocessing.Value("i", 0)  # to strangers, now
        self.most = multiprocessing.Value("i", 0)  # and at most
        self.ending_s = ending_s
        self.policy_tls = policy_tls  # of policy hosts; None: they trickle
        with socket.socket() as s, socket.socket() as t:
            s.bind(("", 0))
            t.bind(("", 0))
            self.port, self.sts_port = (x.getsockname()[1] for x in (s, t))
        anchor = os.path.join(folder, "island.key")
        with open(anchor, "w") as f:  # of a name nobody asks for
            f.write("island.test. IN DS 1 13 2 " + "ab" * 32 + "\n")
        self.conf = {
            "drain": {"port": self.port},
            "tls": {"sts_port": self.sts_port},
            "dns": {"servers": [f"127.0.0.53@{self.port}"],
                    "trust_anchor": anchor},
        }
        self.processes = [self._start(self._serve_listed),
                          self._start(self._serve_strangers)]

    def _start(self, serve):
        ready = multiprocessing.Event()
        process = multiprocessing.Process(
            target=lambda: asyncio.run(serve(ready)), daemon=True)
        process.start()
        assert ready.wait(10)
        return process

    def go_up(self):
        self.up_since = time.monotonic()
        self.is_up.set()

    def go_down(self):
        self.is_up.clear()

    async def _listen(self, address, port, serve, **more):
        # the same port at all addresses, by two processes
        return await asyncio.start_server(serve, address, port, backlog=1000,
                                          limit=1 << 26, reuse_port=True,
                                          **more)

    async def _serve_listed(self, ready):
        servers = [await self._listen(LISTED, self.port, self._client),
                   await self._listen(REFUSED, self.port, self._client)]
        ready.set()
        await asyncio.gather(*(s.serve_forever() for s in servers))

    async def _serve_strangers(self, ready):
        os.nice(10)  # they are no part of this host
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Names(self), local_addr=("127.0.0.53", self.port))
        servers = [await self._listen("0.0.0.0", self.port, self._client),
                   await self._listen("0.0.0.0", self.sts_port, self._policy,
                                      ssl=self.policy_tls)]
        ready.set()
        await asyncio.gather(*(s.serve_forever() for s in servers))

    async def _policy(self, reader, writer):
        try:
            if self.policy_tls is None:
                await trickle(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        writer.close()

    async def _client(self, reader, writer):
        here = writer.get_extra_info("sockname")[0]
        if here == "127.0.0.53":
            await names_by_tcp(reader, writer)
            return
        network = int(here.split(".")[1])
        kind = BY_NETWORK.get(network, Session)
        if network == 0:
            kind = Refusing if here == REFUSED else Listed
        else:
            self.open.value += 1
            self.most.value = max(self.most.value, self.open.value)
        try:
            await kind(self, reader, writer).run()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError,
                OSError):
            pass
        if network != 0:
            self.open.value -= 1
        writer.close()

    def close(self):
        for process in self.processes:
            process.kill()
            process.join()


async def trickle(reader, writer):
    """A letter a second, before TLS."""
    for c in b"\x16\x03\x03\x40\x00" + bytes(100):
        writer.write(bytes([c]))
        await writer.drain()
        await asyncio.sleep(1)
