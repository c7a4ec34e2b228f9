#!/usr/bin/python3
"""make bench: mx20 beside the peers found installed, in one run.

Servers take turns, so that a drifting machine hits all of them; each figure
is the median of the rounds with its range, and the ratio mx20/peer.  Nothing
here fails: it measures.  QUICK=1 takes under two minutes.
"""

import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import copies
import eyes
import servers
import table as fetched
from servers import BUILD, free_port, memory_kib
from primary import Hang, Primary

QUICK = bool(os.environ.get("QUICK"))
ROUNDS = int(os.environ.get("ROUNDS", "1" if QUICK else "3"))
ONLY = os.environ.get("ONLY", "").split()
TOOL = BUILD / "bench"

figures = {}  # (workload, figure, unit, better) -> server -> [values]


def note(workload, server, figure, value, unit, better=None):
    row = figures.setdefault((workload, figure, unit, better), {})
    row.setdefault(server, []).append(value)


def tool(name, *args, **options):
    done = subprocess.run([TOOL / name, *map(str, args)], check=True,
                          capture_output=True, text=True, **options)
    return json.loads(done.stdout) if done.stdout else None


def load(port, conns, messages, size=4096, **more):
    args = ["--port", port, "--conns", conns, "--messages", messages,
            "--size", size]
    for key, value in more.items():
        args += ["--" + key.replace("_", "-"), value]
    return tool("smtpload", *args)


class Sink:
    """A primary that forgets; result() once it has had its count."""

    def __init__(self, port, count=0, chunking=False, certificate=None):
        args = ["--chunking"] if chunking else []
        if certificate is not None:
            args += ["--cert", certificate.cert, "--key", certificate.key]
        self.process = subprocess.Popen(
            [TOOL / "smtpsink", "--port", str(port), "--count", str(count),
             *args], stdout=subprocess.PIPE, text=True)
        servers.wait_port(port)

    def result(self, timeout=600):
        try:
            out, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            out, _ = self.process.communicate()
        return json.loads(out)

    def stop(self):
        self.process.terminate()
        self.process.communicate()


# -- workloads ---------------------------------------------------------------

def accept(server_class, title, conns, messages, delay_ms=0):
    s = server_class(free_port(), delay_ms=delay_ms)
    s.start()
    try:
        load(s.port, 5, 5)  # warm up
        cpu, (flushes, written) = s.cpu(), s.counters.read()
        r = load(s.port, conns, messages)
        n = max(r["messages"], 1)
        name = s.name
        note(title, name, "rate", r["rate"], "msg/s", "more")
        note(title, name, "reply after dot, median", r["p50_ms"], "ms",
             "less")
        note(title, name, "reply after dot, p99", r["p99_ms"], "ms", "less")
        note(title, name, "CPU per 1,000",
             (s.cpu() - cpu) * 1000 / n, "s", "less")
        flushes2, written2 = s.counters.read()
        note(title, name, "flushes per message", (flushes2 - flushes) / n,
             "", "less")
        note(title, name, "written per message",
             (written2 - written) / n / 1024, "KiB", "less")
        if r["failed"] or r["refused"]:
            print(f"  {name}: {r['failed']} failed, {r['refused']} refused",
                  file=sys.stderr)
    finally:
        s.stop()


def accept_small(c):
    accept(c, "a1 accept 4 KiB, 50 x 10", 50, 10)


def accept_sustained(c):
    accept(c, "a2 accept 4 KiB, 50 x 400", 50, 100 if QUICK else 400)


def accept_burst(c):
    accept(c, "a3 accept 4 KiB, 200 x 1", 200, 1)


def accept_one(c):
    accept(c, "a4 accept 4 KiB, 1 x 500", 1, 500)


def accept_slow_disk(c):
    accept(c, "a5 accept 50 x 10, flush + 2 ms", 50, 10, delay_ms=2)


def accept_large(c, title="b 100 x 10 MiB over 10", delay_ms=0):
    s = c(free_port(), delay_ms=delay_ms)
    s.start()
    try:
        cpu, peak = s.cpu(), 0
        generator = subprocess.Popen(
            [TOOL / "smtpload", "--port", str(s.port), "--conns", "10",
             "--messages", "2" if QUICK else "10", "--size",
             str(10 << 20)], stdout=subprocess.PIPE, text=True)
        while generator.poll() is None:
            peak = max(peak, memory_kib(s.pid))
            time.sleep(0.1)
        r = json.loads(generator.stdout.read())
        note(title, s.name, "throughput", r["mb_s"], "MB/s", "more")
        note(title, s.name, "CPU per GiB",
             (s.cpu() - cpu) * 1024 / 10 / max(r["messages"], 1), "s", "less")
        note(title, s.name, "peak memory", peak / 1024, "MiB", "less")
    finally:
        s.stop()


def accept_large_slow(c):
    accept_large(c, "b2 100 x 10 MiB over 10, flush + 2 ms", delay_ms=2)


def accept_large_slower(c):
    accept_large(c, "b3 100 x 10 MiB over 10, flush + 10 ms", delay_ms=10)


def fill(s, count, size=4096):
    conns = 50
    load(s.port, conns, count // conns, size)


def drain(c):
    count = 2000 if QUICK else 20000
    title = f"c drain of {count:,} x 4 KiB"
    port = free_port()
    s = c(port)
    s.keep_mail()
    s.start()
    try:
        fill(s, count)
        cpu = s.cpu()
        sink = Sink(port, count)
        s.primary_is_back()
        r = sink.result()
        seconds = max(r["last"] - r["first"], 1e-6)
        note(title, s.name, "rate", r["messages"] / seconds, "msg/s", "more")
        note(title, s.name, "CPU per 1,000",
             (s.cpu() - cpu) * 1000 / max(r["messages"], 1), "s",
             "less")
    finally:
        s.stop()


def recovery(c):
    """Default settings; peers are given no hint that the primary is back."""
    outage = 20 if QUICK else 120
    wait = 15 if QUICK else 600
    title = f"d recovery after {outage} s"
    port = free_port()
    s = c(port)
    s.start()
    try:
        fill(s, 1000)
        time.sleep(outage)
        sink = Sink(port, 1000)
        r = sink.result(timeout=wait)
        if r["messages"] == 0:
            print(f"  {s.name}: nothing within {wait} s", file=sys.stderr)
            r["first"] = r["last"] = r["listening"] + wait
        note(title, s.name, "to the first delivery",
             r["first"] - r["listening"], "s", "less")
        note(title, s.name, "first to last of 1,000",
             r["last"] - r["first"], "s", "less")
    finally:
        s.stop()


def idle(c):
    count = 2000 if QUICK else 10000
    title = f"e {count:,} idle sessions"
    if c is not servers.Mx20Server:
        count = 200  # a process each: their memory grows by the session
    s = c(free_port())
    s.start()
    try:
        load(s.port, 1, 1)
        before = memory_kib(s.pid)
        holder = subprocess.Popen(
            [TOOL / "smtpload", "--port", str(s.port), "--conns", str(count),
             "--idle"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        r = json.loads(holder.stdout.readline())
        note(title, s.name, "memory each",
             (memory_kib(s.pid) - before) / max(r["greeted"], 1), "KiB",
             "less")
        note(title, s.name, "all greeted within", r["greeted_s"], "s", "less")
        one = load(s.port, 1, 20)
        note(title, s.name, "a new client's reply, median", one["p50_ms"],
             "ms", "less")
        holder.communicate()
    finally:
        s.stop()


def queue_length(c):
    """mx20 alone: the same at a thousand and at a million.  Both are there at
    once, freshly started, and take the same mail in turns."""
    if c is not servers.Mx20Server:
        return
    queues = {}
    try:
        for count in (1000, 20000 if QUICK else 1_000_000):
            queues[f"f {count:,} queued"] = s = c(free_port())
            s.start()
            fill(s, count, size=600)
        for title, s in queues.items():
            s.daemon.stop()
            began = time.monotonic()
            s.daemon.start()
            servers.wait_port(s.port)
            note(title, s.name, "start to greeting",
                 (time.monotonic() - began) * 1e3, "ms")
            note(title, s.name, "status",
                 servers.first_screen_ms(s.daemon, "status"), "ms")
            note(title, s.name, "first page of queue",
                 servers.first_screen_ms(s.daemon, "queue"), "ms")
        for _ in range(5):
            for title, s in queues.items():
                note(title, s.name, "accept rate",
                     load(s.port, 50, 100)["rate"], "msg/s")
        for title, s in queues.items():
            note(title, s.name, "daemon memory", memory_kib(s.pid) / 1024,
                 "MiB")
    finally:
        for s in queues.values():
            s.stop()


def long_way(c):
    """Drain over a 100 ms round trip, one connection, CHUNKING offered."""
    if c not in (servers.Mx20Server, servers.PostfixServer):
        return  # no cap on connections to one host to compare by
    count = 200 if QUICK else 2000
    title = f"g drain of {count:,} over 100 ms, one connection"
    port, sink_port = free_port(), free_port()
    relay = None
    s = c(port)
    if c is servers.Mx20Server:
        s.daemon.conf["drain"]["connections"] = 1
        s.daemon.write_files()
    else:
        s.set("relay_destination_concurrency_limit", "1")
        s.set("initial_destination_concurrency", "1")
    s.keep_mail()
    s.start()
    try:
        fill(s, count)
        sink = Sink(sink_port, count, chunking=True)
        relay = subprocess.Popen([TOOL / "delayrelay", "--port", str(port),
                                  "--to", str(sink_port), "--ms", "50"])
        servers.wait_port(port)
        s.primary_is_back()
        r = sink.result(timeout=60 if QUICK else 400)
        seconds = max(r["last"] - r["first"], 1e-6)
        note(title, s.name, "rate", r["messages"] / seconds, "msg/s", "more")
    finally:
        if relay is not None:
            relay.terminate()
            relay.wait()
        s.stop()


# -- standby=relay -------------------------------------------------------------

def relay_rate(c, conns, messages):
    """Mail through a server to a sink while it is there; the servers that can
    do so are of classes of their own."""
    title = f"h1 relay 4 KiB, {conns} x {messages}"
    port = free_port()
    sink = Sink(port)
    s = c(port)
    s.start()
    try:
        load(s.port, 5, 5)
        cpu, sunk = s.cpu(), servers.cpu_seconds(sink.process.pid)
        r = load(s.port, conns, messages)
        per_1000 = (s.cpu() - cpu) * 1000 / max(r["messages"], 1)
        note(title, s.name, "rate", r["rate"], "msg/s", "more")
        note(title, s.name, "reply after dot, p99", r["p99_ms"], "ms", "less")
        note(title, s.name, "CPU per 1,000", per_1000, "s", "less")
        note(title, s.name, "CPU of the sink per 1,000",
             (servers.cpu_seconds(sink.process.pid) - sunk) * 1000 /
             max(r["messages"], 1), "s")
        if c is servers.RelayingMx20:
            s.daemon.stop()  # the last lines of its log
            note(title, s.name, "kept instead",
                 100 - 100 * s.relayed() / (r["messages"] + 25), "%")
        return per_1000
    finally:
        s.stop()
        sink.stop()


def relay_beside_spool(per_1000):
    """The same mail taken first and delivered then."""
    count = 2000 if QUICK else 20000
    port = free_port()
    s = servers.Mx20Server(port)
    s.start()
    try:
        cpu = s.cpu()
        fill(s, count)
        sink = Sink(port, count)
        sink.result()
        apart = (s.cpu() - cpu) * 1000 / count
    finally:
        s.stop()
    title = "h2 relay beside accept, then drain"
    note(title, "mx20", "accept and drain, CPU per 1,000", apart, "s")
    note(title, "mx20", "relay / (accept + drain)", per_1000 / apart, "")


def relay_latency():
    """What it adds to a transaction of one client, all replies waited for."""
    count = 500 if QUICK else 2000
    port = free_port()
    sink = Sink(port)
    s = servers.RelayingMx20(port)
    s.start()
    try:
        load(s.port, 1, 50)
        direct, through = load(port, 1, count), load(s.port, 1, count)
        title = f"h3 one client, 1 x {count}"
        note(title, "mx20", "added to a transaction",
             1000 / through["rate"] - 1000 / direct["rate"], "ms")
        note(title, "mx20", "added to the reply after the dot, median",
             through["p50_ms"] - direct["p50_ms"], "ms")
    finally:
        s.stop()
        sink.stop()


def relay_beside_silence():
    """Fifty sessions hang at a primary that does not answer the content."""
    count = 50 if QUICK else 400
    port = free_port()
    sink = Sink(port)
    silent = Primary(address="127.0.0.1", on={"dot": Hang()}).start()
    s = servers.RelayingMx20(port, silent.port)
    s.start()
    hanging = None
    try:
        load(s.port, 10, 50)
        alone = load(s.port, 10, count)
        hanging = subprocess.Popen(
            [TOOL / "smtpload", "--port", str(s.port), "--conns", "50",
             "--messages", "1", "--rcpt", "u@second.test"],
            stdout=subprocess.DEVNULL)
        time.sleep(3)
        beside = load(s.port, 10, count)
        title = f"h4 beside 50 sessions with a silent primary, 10 x {count}"
        for when, r in (("alone", alone), ("beside", beside)):
            note(title, "mx20", f"reply after dot, p99, {when}", r["p99_ms"],
                 "ms")
            note(title, "mx20", f"rate, {when}", r["rate"], "msg/s")
    finally:
        if hanging is not None:
            hanging.terminate()
            hanging.wait()
        s.stop()
        silent.stop()
        sink.stop()


def relay(c):
    conns, messages = 50, 20 if QUICK else 200
    if c is servers.PostfixServer:
        relay_rate(servers.ProxyingPostfix, conns, messages)
    elif c is servers.Mx20Server:
        relay_rate(servers.BarePipe, conns, messages)
        relay_beside_spool(relay_rate(servers.RelayingMx20, conns, messages))
        relay_latency()
        relay_beside_silence()


def reload_config(c):
    """1,000,000 domains and 10,000,000 recipients."""
    if c is not servers.Mx20Server:
        return
    print(subprocess.run([TOOL / "bench_reload", "shared"], check=True,
                         capture_output=True, text=True).stdout)


def table_of_url(c):
    """Recipients from one URL, and from one file."""
    count = 100_000 if QUICK else 10_000_000
    if c is servers.Mx20Server:
        fetched.measure(count, lambda what, value, unit: note(
            f"t1 {count:,} recipients", c.name, what, value, unit, "less"))


def looked_at(c):
    """All that looks at a full spool, and what the loop notices of it."""
    if c is not servers.Mx20Server:
        return
    messages, domains = (20_000, 2000) if QUICK else (1_000_000, 100_000)
    eyes.measure(messages, domains, (domains // 100, domains),
                 lambda title, what, value, unit: note(
                     title, c.name, what, value, unit, "less"))


def second_copy(c):
    """TAKEOVER=n messages of a node that is lost."""
    if c is servers.Mx20Server:
        copies.rates(load, note, 40 if QUICK else 400)
        copies.takeover(load, note, int(os.environ.get(
            "TAKEOVER", 5000 if QUICK else 100_000)))


# -- encrypted ---------------------------------------------------------------

KINDS = {"RSA-2048": ("-newkey", "rsa:2048"),
         "ECDSA P-256": ("-newkey", "ec", "-pkeyopt",
                         "ec_paramgen_curve:P-256")}


class Certificate:
    """A self-signed one of a kind, and what its handshake costs here."""

    def __init__(self, kind):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mx20-bench-"))
        self.dir.chmod(0o755)
        self.cert, self.key = self.dir / "cert.pem", self.dir / "key.pem"
        subprocess.run(["openssl", "req", "-x509", *KINDS[kind], "-nodes",
                        "-subj", "/CN=mx2.test", "-days", "30", "-keyout",
                        self.key, "-out", self.cert], check=True,
                       capture_output=True)
        self.key.chmod(0o644)

    def bare_ms(self):
        return tool("tlsload", "--sessions", 300, "--bare", self.cert,
                    self.key)["handshake_ms"]

    def drop(self):
        shutil.rmtree(self.dir)


def over_tls(c, kind, work):
    """work(server, certificate) with a server that offers STARTTLS."""
    if not hasattr(c, "offer_tls"):
        return
    certificate = Certificate(kind)
    s = c(free_port())
    s.offer_tls(certificate.cert, certificate.key)
    s.know("u")
    s.start()
    try:
        # warm up; and who brings mail may ask for whom there is not
        tool("tlsload", "--port", s.port, "--conns", 4, "--sessions", 3)
        work(s, certificate)
    finally:
        s.stop()
        certificate.drop()


def tls_load(s, title, sessions, rcpt):
    """One message or one refusal a connection, a full handshake each."""
    cpu, began = s.cpu(), time.monotonic()
    r = tool("tlsload", "--port", s.port, "--conns", 100, "--sessions",
             sessions, "--rcpt", rcpt)
    each_ms = (s.cpu() - cpu) * 1e3 / max(r["sessions"], 1)
    took = time.monotonic() - began
    note(title, s.name, "rate", r["rate"], "/s", "more")
    note(title, s.name, "CPU each", each_ms, "ms", "less")
    note(title, s.name, "reply, p99", r["p99_ms"], "ms", "less")
    note(title, s.name, "processors busy", (s.cpu() - cpu) / took, "")
    note(title, s.name, "processors, generator", r["cpu_s"] / took, "")
    if r["is_limit"]:
        print(f"  {title}: {s.name}: THE GENERATOR WAS THE LIMIT",
              file=sys.stderr)
    if r["failed"]:
        print(f"  {s.name}: {r['failed']} failed", file=sys.stderr)
    return each_ms


def clear_ms(s, sessions):
    """What the same session costs the server without TLS."""
    cpu = s.cpu()
    r = tool("tlsload", "--clear", "--port", s.port, "--conns", 100,
             "--sessions", sessions, "--rcpt", "nobody@example.com")
    return (s.cpu() - cpu) * 1e3 / max(r["sessions"], 1)


def tls_refuse(c):
    sessions = 10 if QUICK else 100
    for kind in KINDS:
        def work(s, certificate, kind=kind):
            title = f"h refuse over STARTTLS, {kind}, 100 at once"
            bare = certificate.bare_ms()
            clear = clear_ms(s, sessions)
            each = tls_load(s, title, sessions, "nobody@example.com")
            note(title, s.name, "CPU each in clear", clear, "ms", "less")
            note(title, s.name, "CPU each / OpenSSL's bare handshake",
                 each / bare, "")
            note(title, s.name, "CPU each / (bare + in clear)",
                 each / (bare + clear), "")
        over_tls(c, kind, work)


def tls_accept(c):
    for kind in KINDS:
        over_tls(c, kind, lambda s, _, kind=kind: tls_load(
            s, f"i accept 4 KiB over STARTTLS, {kind}, 100 at once",
            10 if QUICK else 50, "u@example.com"))


def tls_honest(c):
    """An honest client while others are refused 300 times a second."""
    def work(s, _):
        title = "j honest client beside 300 refusals/s over STARTTLS, RSA-2048"
        strangers = subprocess.Popen(
            [TOOL / "tlsload", "--port", str(s.port), "--conns", "30",
             "--sessions", "40" if QUICK else "100", "--pause-ms", "95",
             "--rcpt", "nobody@example.com"], stdout=subprocess.PIPE,
            text=True)
        time.sleep(0.5)
        r = tool("tlsload", "--port", s.port, "--conns", 1, "--sessions",
                 100 if QUICK else 300, "--pause-ms", 10)
        refused = json.loads(strangers.communicate()[0])
        note(title, s.name, "reply, median", r["p50_ms"], "ms", "less")
        note(title, s.name, "reply, p99", r["p99_ms"], "ms", "less")
        note(title, s.name, "refused", refused["rate"], "/s")
    over_tls(c, "RSA-2048", work)


HALVES = {"hello": "before the ClientHello", "part": "in the middle of it",
          "answer": "behind our ServerHello"}


def tls_half_open(c):
    """Clients that say no more in the middle of a handshake."""
    count = 500 if QUICK else 4000
    if c is not servers.Mx20Server:
        count = 200  # a process each: their memory grows by the session

    def work(s, _, where, words):
        title = f"k {4000 if not QUICK else 500:,} half-open handshakes"
        before = memory_kib(s.pid)
        holder = subprocess.Popen(
            [TOOL / "tlsload", "--hold", where, "--port", str(s.port),
             "--conns", str(count)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        held = json.loads(holder.stdout.readline())["held"]
        note(title, s.name, f"memory each, {words}",
             (memory_kib(s.pid) - before) / max(held, 1), "KiB", "less")
        r = tool("tlsload", "--port", s.port, "--conns", 1, "--sessions", 20)
        note(title, s.name, "a new client's reply, median", r["p50_ms"], "ms",
             "less")
        holder.communicate()

    for where, words in HALVES.items():
        over_tls(c, "RSA-2048", lambda s, cert, where=where, words=words:
                 work(s, cert, where, words))


def tls_drain(c):
    """To a primary that offers STARTTLS."""
    if not hasattr(c, "use_tls"):
        return
    count = 2000 if QUICK else 20000
    for kind in KINDS:
        certificate, port = Certificate(kind), free_port()
        s = c(port)
        s.use_tls()
        s.keep_mail()
        s.start()
        try:
            fill(s, count)
            cpu = s.cpu()
            sink = Sink(port, count, certificate=certificate)
            s.primary_is_back()
            r = sink.result()
            seconds = max(r["last"] - r["first"], 1e-6)
            title = f"l drain of {count:,} x 4 KiB over STARTTLS, {kind}"
            note(title, s.name, "rate", r["messages"] / seconds, "msg/s",
                 "more")
            note(title, s.name, "CPU per 1,000",
                 (s.cpu() - cpu) * 1000 / max(r["messages"], 1), "s", "less")
            note(title, s.name, "messages a handshake",
                 r["messages"] / max(r["connections"], 1), "")
        finally:
            s.stop()
            certificate.drop()


WORKLOADS = {
    "accept": accept_small, "sustained": accept_sustained,
    "burst": accept_burst, "one": accept_one, "slow_disk": accept_slow_disk,
    "large": accept_large, "large_slow": accept_large_slow,
    "large_slower": accept_large_slower, "drain": drain,
    "recovery": recovery, "idle": idle, "queue": queue_length, "rtt": long_way, "relay": relay,
    "reload": reload_config, "table": table_of_url, "eyes": looked_at,
    "mirror": second_copy,
    "tls_refuse": tls_refuse, "tls_accept": tls_accept,
    "tls_honest": tls_honest, "tls_half_open": tls_half_open,
    "tls_drain": tls_drain,
}


# -- the limits of this machine ------------------------------------------------

def limits():
    port = free_port()
    sink = Sink(port)
    for conns, messages in ((50, 400), (1000, 1)):
        r = load(port, conns, messages)
        note("limits", "machine",
             f"generator into the sink, {conns} x {messages}", r["rate"],
             "msg/s")
    sink.stop()
    folder = tempfile.mkdtemp(prefix="mx20-bench-")
    try:
        fd = os.open(os.path.join(folder, "log"), os.O_CREAT | os.O_WRONLY |
                     os.O_APPEND)
        began, n = time.monotonic(), 0
        while time.monotonic() - began < 1:
            os.write(fd, b"x" * 4096)
            os.fdatasync(fd)
            n += 1
        note("limits", "machine", "4 KiB append + fdatasync",
             n / (time.monotonic() - began), "/s")
        began, piece = time.monotonic(), b"x" * (3 << 20)
        for n in range(100):
            os.write(fd, piece)
            os.fdatasync(fd)
        note("limits", "machine", "3 MiB append + fdatasync",
             100 * len(piece) / 1e6 / (time.monotonic() - began), "MB/s")
        os.close(fd)
        lmdb = tool("lmdbrate", folder)
        note("limits", "machine", "LMDB commits, one value", lmdb["commits"],
             "/s")
        note("limits", "machine", "LMDB values, batches of 32",
             lmdb["batched"], "/s")
    finally:
        shutil.rmtree(folder)


# -- the table -----------------------------------------------------------------

def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def table():
    last = None
    order = list(dict.fromkeys(key[0] for key in figures))
    rows = sorted(figures.items(), key=lambda item: order.index(item[0][0]))
    for (workload, figure, unit, better), row in rows:
        if workload != last:
            print(f"\n{workload}")
            last = workload
        ours = statistics.median(row["mx20"]) if "mx20" in row else None
        for server, values in row.items():
            middle = statistics.median(values)
            text = f"  {figure:<34} {server:<8} {number(middle):>10} {unit:<6}"
            if len(values) > 1:
                text += f" ({number(min(values))} .. {number(max(values))})"
            if server != "mx20" and ours and middle and better:
                text += f"  mx20/{server} {number(ours / middle)}"
            print(text)


def versions():
    print(f"machine: {os.cpu_count()} x {platform.machine()}, "
          f"Linux {platform.release()}")
    if shutil.which("postconf"):
        out = subprocess.run(["postconf", "-d", "-h", "mail_version"],
                             capture_output=True, text=True).stdout
        print("Postfix " + out.strip())
    if servers.exim_module.can_run():
        out = subprocess.run(["dpkg-query", "-W", "-f", "${Version}",
                              "exim4-daemon-light"], capture_output=True,
                             text=True).stdout
        print("Exim " + (out or "unpacked from exim4-daemon-light"))
    print(f"rounds: {ROUNDS}, servers in turn; figures are medians (range)")


def main():
    versions()
    wanted = [w for w in WORKLOADS if w in ONLY or not ONLY and
              not (QUICK and w in ("recovery", "queue", "reload", "table",
                                   "eyes", "mirror"))]
    if not ONLY or "limits" in ONLY:
        limits()
    classes = servers.found()
    for turn in range(ROUNDS):
        for name in wanted:
            for server_class in classes:
                os.sync()  # what the last one left is not this one's work
                print(f"round {turn + 1}: {name} on {server_class.name}",
                      file=sys.stderr)
                WORKLOADS[name](server_class)
        classes = classes[1:] + classes[:1]
    table()


if __name__ == "__main__":
    main()
