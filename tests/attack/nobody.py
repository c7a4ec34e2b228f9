"""Connections that ask for recipients who are none: as many a second as a
botnet makes, from one host, and from ever new addresses."""

import multiprocessing
import time

from client import Raw
from frame import Bound, attack, dial, tell

A_SECOND = 1000
CROWD = 100000
WORKERS = 4
USERS = {"users": "u\n" + "".join(f"user{i}\n" for i in range(1000))}
DOMAINS = "example.com recipients=recipients/users\n"


def source(n):
    """Of this machine: one address alone would run out of ports."""
    return f"127.1.{n // 200 % 200}.{n % 200 + 1}"


def ask(port, n, head=""):
    """A whole session about somebody who is not there; his reply code."""
    with Raw(None, sock=dial(port, source(n)), greet=False) as c:
        c.send(head + "EHLO attack.test\r\nMAIL FROM:<a@x.test>\r\n"
               f"RCPT TO:<nobody{n}@example.com>\r\nQUIT\r\n")
        return [c.reply()[:3] for _ in range(4)][-1]


def paced(port, seconds, worker):
    """A part of so many a second; how many of all were too few is told."""
    each = A_SECOND / WORKERS
    began, n = time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        if n > now * each:
            time.sleep(n / each - now)
        try:
            ask(port, n * WORKERS + worker)
        except OSError:
            pass
        n += 1
    tell(A_SECOND - n / (time.monotonic() - began) * WORKERS)


def together(function, *args):
    """The same as several processes, each with its number."""
    all = [multiprocessing.Process(target=function, args=(*args, worker))
           for worker in range(WORKERS)]
    for p in all:
        p.start()
    for p in all:
        p.join()


@attack("1,000 unknown a second", recipients=USERS, domains=DOMAINS,
        conf={"policy": {"rate": {"unknown": 0}}}, memory_mib=8, p99_ms=50,
        bounds=(Bound("connections a second too few", A_SECOND / 10),))
def thousand(port, seconds):
    """Each of them is looked up; nobody is turned away for his guesses."""
    together(paced, port, seconds)


def crowd_part(port, seconds, worker):
    """Its addresses in turn; how many of all there were is told."""
    ends, n = time.monotonic() + seconds, worker
    while time.monotonic() < ends:
        at = n % CROWD
        client = f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}"
        try:
            ask(port, n, f"PROXY TCP4 {client} 127.0.0.1 4711 25\r\n")
        except OSError:
            pass
        n += WORKERS
    tell(min(n, CROWD))


@attack("a crowd of 100,000", recipients=USERS, domains=DOMAINS,
        has_proxy=True, wants_daemon=True, memory_mib=16, p99_ms=50,
        bounds=(Bound("client addresses", CROWD),))
def crowd(d, seconds):
    """Every session from another one, as far as time allows.  What counts
    them was there before, but memory is the process's when it is used."""
    together(crowd_part, d.proxy_port, seconds)
