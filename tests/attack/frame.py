"""How an attack is run: honest sessions beside it, and a row of figures.

An attack is a function that harms one daemon from another process until its
time is over.  Beside it an honest client, at an address of its own, delivers
small messages in whole sessions, one after another.  Where the attack has a
world (world.py), these are for its listed domain, and each is timed until its
primary has it.

Beside these an attack may have bounds of its own: figures that must not be
exceeded, looked at all the time while it lasts, or once when it is over.
"""

import dataclasses
import functools
import multiprocessing
import os
import pathlib
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
import typing

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "system"))

from client import Raw, message  # noqa: E402
from daemon import BUILD, Mx20, merge  # noqa: E402
from faults import Clock  # noqa: E402
from net import free_port  # noqa: E402
from pki import Pki  # noqa: E402
from world import World  # noqa: E402

SECONDS_EACH = int(os.environ.get("SECONDS_EACH", "5"))
HONEST, ATTACKER = "127.0.0.7", "127.0.0.66"
TOOL = BUILD / "attack" / "tlsattack"
MAIL_BAR_S = 5

ATTACKS = []
TOLD = multiprocessing.Value("d", 0)  # what the attacker says, of one attack


def tell(value):
    """The largest of what is told counts."""
    with TOLD.get_lock():
        TOLD.value = max(TOLD.value, value)


def told(d, world):
    return TOLD.value


def descriptors(d, world):
    return len(os.listdir(f"/proc/{d.process.pid}/fd"))


def lines_of_attacker(d, world):
    return sum(ATTACKER in line for line in d.log)


@dataclasses.dataclass
class Bound:
    name: str
    most: float
    figure: typing.Callable = told  # (daemon, world) -> number
    at_end: bool = False  # looked at once, when the attack is over
    found: float = 0

    def look(self, d, world):
        self.found = max(self.found, self.figure(d, world))


@dataclasses.dataclass
class Attack:
    name: str
    function: typing.Callable  # (port, seconds), or (daemon, seconds)
    conf: dict = dataclasses.field(default_factory=dict)
    tls: str = ""  # the daemon's certificate: "ecdsa" or "rsa4096"
    domains: str = "example.com recipients=*\n"
    recipients: dict = None
    wrapper: tuple = ()
    has_proxy: bool = False  # d.proxy_port speaks the PROXY protocol
    has_clock: bool = False  # d.clock moves all its clocks
    world: typing.Callable = None  # (folder, pki) -> World
    comes_back: bool = False  # the primary is away until half of the time
    wants_daemon: bool = False  # the function is given the daemon
    # bars: growth; honest=False: it is enough that honest sessions are
    # served, however fast; and bounds
    memory_mib: int = 64
    p99_ms: int = 0  # instead of a bar by what they take idle
    honest: bool = True
    bounds: tuple = ()


def attack(name, conf=None, **more):
    """Register one."""
    def register(function):
        ATTACKS.append(Attack(name, function, conf or {}, **more))
        return function
    return register


def forked(count, function, *args):
    """The same from several processes."""
    all = [multiprocessing.Process(target=function, args=args)
           for _ in range(count)]
    for p in all:
        p.start()
    for p in all:
        p.join()


# -- the honest client ------------------------------------------------------------

def dial(port, source=ATTACKER, timeout=20):
    return socket.create_connection(("127.0.0.1", port), timeout, (source, 0))


def honest_session(port, rcpt, subject):
    """Milliseconds of a whole session with one small message."""
    began = time.monotonic()
    with Raw(None, sock=dial(port, HONEST)) as c:
        c.envelope(rcpts=(rcpt,))
        assert c.data(message(subject) + ".\r\n").startswith("250")
        c.cmd("QUIT")
    return (time.monotonic() - began) * 1000


class Honest:
    """Sessions, one after another, and when their mail arrived."""

    def __init__(self, port, world):
        self.port, self.world = port, world
        self.rcpt = "u@listed.test" if world else "u@example.com"
        self.error = None
        self.count, self.sent, self.waits = 0, {}, []
        if world:
            threading.Thread(target=self._collect, daemon=True).start()

    def run(self, seconds):
        """Milliseconds that each took."""
        self.took, ends = [], time.monotonic() + seconds
        while time.monotonic() < ends and self.error is None:
            self.count += 1
            subject = f"n{self.count}"
            self.sent[subject] = time.monotonic()
            try:
                self.took.append(honest_session(self.port, self.rcpt, subject))
            except (AssertionError, OSError) as error:
                self.error = error
            time.sleep(0.005)
        return self.took

    def _collect(self):
        while True:
            at, text = self.world.arrived.get()
            head, _, subject = text.partition(b"\nSubject: n")
            if subject:
                word = "n" + subject.split(b"\r", 1)[0].decode()
                self.waits.append(at - max(self.sent.pop(word, at),
                                           self.world.up_since))

    def worst_wait(self, patience=20):
        """Seconds until the primary had it; what is missing waited for."""
        ends = time.monotonic() + patience
        while self.sent and time.monotonic() < ends:
            time.sleep(0.05)
        late = [time.monotonic() - at for at in self.sent.values()]
        return max(self.waits + late, default=0)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# -- the run ----------------------------------------------------------------------

def certificates(pki, kind):
    if kind != "rsa4096":
        return pki.cert("mx2.test")
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    kept = ec.generate_private_key
    ec.generate_private_key = lambda _: rsa.generate_private_key(65537, 4096)
    try:
        return pki.cert("mx2.test")
    finally:
        ec.generate_private_key = kept


def start(a, folder, world, pki):
    conf, clock = {}, Clock(folder) if a.has_clock else None
    if a.tls:
        cert = certificates(pki, a.tls)
        conf["tls"] = {"certificate": str(cert.cert_path),
                       "key": str(cert.key_path)}
    if world:
        merge(conf, world.conf)
    merge(conf, a.conf)
    d = Mx20(conf=conf, domains=a.domains, recipients=a.recipients,
             wrapper=a.wrapper,
             env=dict(clock.env, CLOCKSHIM_MONOTONIC="1") if clock else None)
    d.clock = clock
    if a.has_proxy:
        d.proxy_port = free_port()
        d.conf["listen"].append({"address": "127.0.0.1", "proxy": True,
                                 "port": d.proxy_port})
        d.write_files()
    return d.start()


def nice(function, target, seconds):
    os.nice(10)  # two processors for all: the attacker is no part of the host
    function(target, seconds)


class Watch:
    """Looks at the bounds of an attack while it lasts."""

    def __init__(self, a, d, world):
        self.bounds = [dataclasses.replace(b) for b in a.bounds]
        self.d, self.world = d, world
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _look(self, at_end):
        for b in self.bounds:
            if b.at_end == at_end:
                b.look(self.d, self.world)

    def _run(self):
        while not self.over.wait(0.2):
            self._look(False)

    def finish(self):
        self.over.set()
        self.thread.join()
        self._look(False)
        self._look(True)
        return self.bounds


def measure(a, d, world):
    """One row: idle and attacked."""
    row = {"wrong": [], "mail": None}
    honest = Honest(d.port, world)
    row["idle"] = statistics.median(honest.run(1))
    if world:
        honest.worst_wait()
        if a.comes_back:
            world.go_down()
            threading.Timer(SECONDS_EACH / 2, world.go_up).start()
    before = d.rss_kib()
    TOLD.value = 0
    watch = Watch(a, d, world)
    attacker = multiprocessing.Process(
        target=nice, args=(a.function, d if a.wants_daemon else d.port,
                           SECONDS_EACH))
    attacker.start()
    time.sleep(0.3)
    row["took"] = honest.run(SECONDS_EACH - 0.5)
    row["memory"] = (d.rss_kib() - before) / 1024
    attacker.join()
    if attacker.exitcode != 0:
        row["wrong"].append("the attacker failed")
    if world:
        row["mail"] = honest.worst_wait()
    row["error"] = honest.error
    row["bounds"] = watch.finish()
    return row


def judge(a, row, d, world):
    wrong = row["wrong"]
    bar = a.p99_ms or 20 + 10 * row["idle"]
    row["p99"] = percentile(row["took"], 0.99) if row["took"] else None
    if row["error"] is not None:
        wrong.append(f"honest session: {row['error']!r}")
    if a.honest and (not row["took"] or row["p99"] > bar):
        wrong.append(f"p99 above {bar:.0f} ms")
    if row["memory"] > a.memory_mib:
        wrong.append(f"memory above {a.memory_mib} MiB")
    if row["mail"] is not None and row["mail"] > MAIL_BAR_S:
        wrong.append(f"mail late by more than {MAIL_BAR_S} s")
    wrong += [f"more than {b.most:g} {b.name}" for b in row["bounds"]
              if b.found > b.most]


def run(a, pki):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mx20-attack-"))
    folder.chmod(0o755)
    world = a.world(folder, pki) if a.world else None
    d = start(a, folder, world, pki)
    try:
        row = measure(a, d, world)
        judge(a, row, d, world)
        return row
    finally:
        d.close()
        if world:
            world.close()
        shutil.rmtree(folder, ignore_errors=True)


def figure(value, width):
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.1f}"


def print_row(a, row):
    took = row["took"]
    print(f"{a.name:<30}" + figure(row["idle"], 7) +
          figure(statistics.median(took) if took else None, 8) +
          figure(row["p99"], 8) + f"{len(took):>7}" +
          figure(row["memory"], 7) + figure(row["mail"], 7) +
          f"  {'; '.join(row['wrong']) or 'kept'}", flush=True)
    for b in row["bounds"]:
        print(f"{'':<30}{b.found:>7.4g} {b.name}, at most {b.most:g}",
              flush=True)


def print_head():
    print(f"{os.uname().machine}, {os.cpu_count()} processors,"
          f" {SECONDS_EACH} s each; honest sessions in ms, growth in MiB,"
          " their mail's way in s\n")
    print(f"{'attack':<30}{'idle':>7}{'p50':>8}{'p99':>8}{'count':>7}"
          f"{'MiB':>7}{'mail':>7}  verdict")
