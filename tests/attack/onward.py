"""What is done to the operator's side: his tool, his socket, his log, and what
he changed."""

import fcntl
import functools
import os
import pwd
import random
import socket
import sys
import time

from client import Raw, send
from daemon import Mx20
from frame import Bound, attack, dial, forked, tell
from inward import LAX, one_session
from outward import DOMAINS
from world import World

IS_ROOT = os.getuid() == 0


# -- what root reads that others wrote --------------------------------------------

def spool_of_nobody():
    """Mail in a spool that is not root's, and no daemon."""
    d = Mx20(conf={"user": "nobody"} if IS_ROOT else {})
    d.start(ready=False)  # who is nobody cannot tell systemd
    d.wait_log("^start ")
    for _ in range(30):
        send(d.address)
    d.stop()
    return d


def with_damage(d, seconds, is_held):
    """mx20ctl reads what anybody may have written; how often that ended in
    another way than with an exit status is told.  is_held: as beside a daemon,
    where nothing is checked as a whole."""
    ends, rng, crashes, runs = time.monotonic() + seconds, random.Random(7), 0, 0
    other = spool_of_nobody()
    data = other.dir / "spool" / "data.mdb"
    good = data.read_bytes()
    held = os.open(data.parent, os.O_RDONLY | os.O_DIRECTORY)
    if is_held:
        fcntl.flock(held, fcntl.LOCK_EX)
    while time.monotonic() < ends or runs < 50:
        bad = bytearray(good)
        for _ in range(rng.choice((1, 30, 1000))):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        data.write_bytes(bad)
        done = other.ctl(rng.choice(("status", "queue")), check=False)
        crashes += done.returncode not in (0, 1, 3)
        runs += 1
        tell(crashes)
    os.close(held)
    other.close()


def with_links(d, seconds):
    """The lock file is missing, or leads to a file of root's; how often that
    was touched, or something of root's came to be, is told."""
    ends, harm = time.monotonic() + seconds, 0
    other = spool_of_nobody()
    owner = (other.dir / "spool").stat().st_uid
    precious = other.dir / "precious"
    while time.monotonic() < ends:
        for name in ("lock.mdb", "data.mdb", "listed"):
            precious.write_bytes(b"only root's\n" * 1000)
            at, kept = other.dir / "spool" / name, other.dir / "kept"
            if at.exists():
                at.rename(kept)
            for link in (None, precious, other.dir / "made"):
                if link:
                    at.symlink_to(link)
                other.ctl("queue", check=False)
                harm += precious.read_bytes() != b"only root's\n" * 1000
                harm += (other.dir / "made").exists()
                harm += any(f.lstat().st_uid != owner
                            for f in at.parent.iterdir() if not f.is_symlink())
                at.unlink(missing_ok=True)
            if kept.exists():
                kept.rename(at)
            tell(harm)
    other.close()


for words, is_held in (("and no daemon", False), ("beside a daemon", True)):
    attack(f"mx20ctl: damage, {words}", wants_daemon=True,
           bounds=(Bound("crashes", 0),))(
               functools.partial(with_damage, is_held=is_held))
if IS_ROOT:
    assert pwd.getpwnam("nobody")
    attack("mx20ctl: links of others", wants_daemon=True,
           bounds=(Bound("files of root harmed", 0),))(with_links)


# -- his log ----------------------------------------------------------------------

# a pipe that nobody reads, full from the first line on
NO_READER = [sys.executable, "-c", """
import os, sys
r, w = os.pipe()
os.set_inheritable(r, True)
os.set_blocking(w, False)
try:
    while os.write(w, b"x" * 4096): pass
except BlockingIOError:
    os.set_blocking(w, True)
os.dup2(w, 2)
os.execvp(sys.argv[1], sys.argv[1:])
"""]


def seconds_to_stop(d, world):
    began = time.monotonic()
    d.stop()
    return time.monotonic() - began


def seconds_to_reload(d, world):
    began = time.monotonic()
    d.reload()
    return time.monotonic() - began


@attack("nobody reads the log", wrapper=NO_READER, domains=DOMAINS,
        world=lambda folder, pki: World(folder), conf=LAX,
        bounds=(Bound("seconds to reload", 3, seconds_to_reload, True),
                Bound("seconds to stop", 10, seconds_to_stop, True)))
def blocked_log(port, seconds):
    forked(2, one_session, port, seconds, "\u202e" * 150 + "\r\n")


def unseen(d, world):
    """Characters that turn the text behind them around, as a person has them
    on the screen."""
    seen = d.text() + d.ctl("queue").stdout + d.ctl("status").stdout
    return sum(seen.count(chr(c)) for c in (
        *range(0x202a, 0x202f), *range(0x2066, 0x206a), 0x200e, 0x200f))


@attack("words that turn around", conf=LAX, bounds=(
    Bound("bidi controls shown", 0, unseen, True),))
def bidi(port, seconds):
    for n in range(50):
        with Raw(None, sock=dial(port)) as c:
            c.cmd("EHLO attack.test")
            c.cmd("MAIL FROM:<\u202e\u2066a\u200f@x.test> SMTPUTF8")
            c.cmd("RCPT TO:<\u202eu\u2069@example.com>")
            assert c.data("Subject: \u202ex\r\n\r\n.\r\n").startswith("250")
    one_session(port, seconds, "\u202eWHAT \u2067\r\n" * 100)


# -- his socket, and what he changed ----------------------------------------------

@attack("endless control requests", wants_daemon=True,
        bounds=(Bound("seconds until refused", 2),))
def endless_request(d, seconds):
    """64 KiB, and no newline."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(d.conf["control"])
            s.settimeout(10)
            began = time.monotonic()
            try:
                s.sendall(b"x" * 65536)
                while s.recv(65536):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass
            tell(time.monotonic() - began)


@attack("transactions kept over a reload", wants_daemon=True, has_clock=True,
        conf={"limits": {"command_timeout": "1h"}},
        bounds=(Bound("old transactions", 0),))
def old_transactions(d, seconds):
    """Kept alive by NOOP over a reload, and ten minutes more; how many there
    are then is told."""
    ends, held = time.monotonic() + seconds, []
    for _ in range(40):
        held.append(Raw(None, sock=dial(d.port)))
        held[-1].envelope(sender="a@x.test")
    d.domains += "new.test recipients=*\n"
    assert d.reload().returncode == 0
    for c in held:
        assert c.cmd("NOOP")[:3] == "250"
    d.clock.set_ahead(11 * 60)
    tell(sum(c.cmd("NOOP")[:3] != "421" for c in held))
    time.sleep(max(0, ends - time.monotonic()))
