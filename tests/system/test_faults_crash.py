"""kill -9, SIGTERM and SIGHUP at the worst moments.  Under load from outside
alone: test_crash.py; for long: make soak."""

import collections
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from client import Raw, message, send
from daemon import BUILD
from faults import FAST, Load, allow, preload, subjects, until
from primary import Delay

LINE = "x" * 998 + "\r\n"


@pytest.fixture
def rng():
    return random.Random(os.environ.get("MX20_SEED", "1"))


def slow_disk(ms):
    """Every flush takes so long: a commit is always under way."""
    return preload("syncshim", SYNCSHIM_DELAY_MS=str(ms))


def arrived_once(p, names, most_twice=0):
    got = collections.Counter(subjects(p))
    assert set(names) <= set(got), set(names) - set(got)
    twice = sum(n - 1 for n in got.values())
    assert twice <= most_twice, twice
    return got


# -- kill -9 --------------------------------------------------------------------

def leave_unsealed(d, sessions, mib):
    """Content that reached the disk and was never finished."""
    held = []
    for _ in range(sessions):
        c = Raw(d.address)
        c.envelope()
        assert c.cmd("DATA").startswith("354")
        held.append(c)
    for c in held:
        c.send(LINE * (1000 * mib))
    data = d.dir / "spool" / "data.mdb"
    until(lambda: data.stat().st_size > sessions * mib * 900_000)
    d.kill()
    for c in held:
        c.close()


def test_killed_while_it_recovers(mx20, primary, rng):
    """Start-up after a crash with much to sweep away, cut short again and
    again."""
    p = primary()
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)})
    names = [f"m{n}" for n in range(50)]
    for name in names:
        send(d.address, content=message(name))
    leave_unsealed(d, sessions=10, mib=8)
    for n in range(10):
        d.start(ready=n % 2)
        # the moment is the input: before, while and after it opens the spool
        time.sleep(rng.uniform(0, 0.08))
        d.kill()
        if n == 4:
            d.start()
            leave_unsealed(d, sessions=4, mib=8)
    d.start()
    assert d.status()["spool"]["messages"] == 50
    until(lambda: d.status()["spool"]["used"] < 4 << 20)
    p.start()
    p.wait_messages(50)
    d.wait_empty()
    arrived_once(p, names)


def test_killed_while_it_drains(mx20, primary, rng):
    """What was on its way to the primary may come twice, no more."""
    p = primary(on={"dot": Delay(0.003)})
    d = mx20(domains=allow(p), conf={"drain": dict(FAST, connections=4)})
    names = [f"m{n}" for n in range(400)]
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for name in names:
            c.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<u@example.com>\r\n"
                   f"BDAT {len(message(name))} LAST\r\n{message(name)}")
            assert [c.reply()[:3] for _ in range(3)] == ["250"] * 3
    p.start()
    kills = 0
    for _ in range(8):
        before = len(p.messages)
        try:
            p.wait_messages(min(before + 25, len(names)))
        except AssertionError:
            break
        time.sleep(rng.uniform(0, 0.05))
        d.kill()
        kills += 1
        d.start()
    d.wait_empty()
    assert kills >= 3
    # what 4 connections had on their way, and one commit
    arrived_once(p, names, most_twice=kills * 25)


def fill(d, names):
    """As BDAT, many transactions at a time."""
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for at in range(0, len(names), 100):
            some = names[at:at + 100]
            for name in some:
                text = message(name)
                c.send("MAIL FROM:<a@sender.test>\r\n"
                       "RCPT TO:<u@example.com>\r\n"
                       f"BDAT {len(text)} LAST\r\n{text}")
            assert {c.reply()[:3] for _ in range(3 * len(some))} == {"250"}


@pytest.mark.parametrize("offers", [["PIPELINING"],
                                    ["PIPELINING", "CHUNKING"]],
                         ids=["dot", "bdat"])
def test_killed_in_a_drain_at_full_rate(mx20, primary, offers):
    """The primary is much faster than the disk: what it has taken and the
    disk does not know of is bounded all the same."""
    p = primary(offers=offers)
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)})
    names = [f"m{n}" for n in range(1500)]
    fill(d, names)
    d.stop()
    d.env = slow_disk(150)
    p.start()
    for _ in range(2):
        before = len(p.messages)
        d.start()
        p.wait_messages(before + 250)
        d.kill()
    d.env = {}
    d.start()
    d.wait_empty()
    arrived_once(p, names, most_twice=2 * 64)


def test_killed_between_the_write_and_the_flush(mx20, primary):
    """A commit takes 200 ms; who was not answered has no claim, who was has."""
    p = primary()
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)},
             env=slow_disk(200))
    acked = []
    for _ in range(3):
        load = Load(d.address, threads=8)
        load.wait(8)
        d.kill()
        acked += [(load, name) for name in load.stop()]
        d.start()
    d.env = {}
    d.restart()
    p.start()
    d.wait_empty()
    got = collections.Counter(subjects(p))
    want = collections.Counter(name for _, name in acked)
    assert all(got[name] >= n for name, n in want.items())


# -- SIGTERM --------------------------------------------------------------------

def test_stopped_while_commits_are_under_way(mx20, primary):
    """Whose content is complete hears its 250; it is mail exactly then."""
    p = primary()
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)},
             env=slow_disk(300))
    clients = []
    for n in range(30):
        c = Raw(d.address)
        c.envelope()
        assert c.cmd("DATA").startswith("354")
        clients.append(c)
    for n, c in enumerate(clients[:25]):
        c.send(message(f"m{n}") + ".\r\n")
    for c in clients[25:]:
        c.send("Subject: half\r\n")
    assert d.stop() == 0
    replies = [c.reply() for c in clients]
    acked = [f"m{n}" for n, r in enumerate(replies) if r.startswith("250")]
    assert len(acked) == 25, replies
    assert not any(r.startswith("250") for r in replies[25:])
    d.env = {}
    d.start()
    p.start()
    d.wait_empty()
    assert sorted(subjects(p)) == sorted(acked)


@pytest.mark.parametrize("draining", [False, True])
def test_stopped_again_and_again_under_load(mx20, primary, draining, rng):
    """A clean stop loses nothing, and doubles nothing."""
    p = primary(on={"dot": Delay(0.001)})
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)})
    if draining:
        p.start()
    load = Load(d.address, threads=6)
    for n in range(4):
        load.wait(len(load.acked) + rng.randrange(20, 100))
        assert d.stop() == 0
        d.start()
    load.stop()
    if not draining:
        p.start()
    d.wait_empty()
    # closed without an answer: the sender has it still, and so may we
    unsure = sum(not r for r in load.refused)
    got = arrived_once(p, load.acked)
    assert len(got) - len(load.acked) <= unsure
    assert {r[:9] for r in load.refused} <= {"421 4.3.2", ""}


def test_stopped_twice_has_no_patience(mx20):
    """Asked once it waits three seconds for a sender.  A busy machine may take
    as long, but not each time."""
    d = mx20()
    for _ in range(5):
        with Raw(d.address) as c:
            c.envelope()
            assert c.cmd("DATA").startswith("354")
            began = time.monotonic()
            d.process.send_signal(signal.SIGTERM)
            until(lambda: refused(d))
            assert d.stop() == 0
        if time.monotonic() - began < 2.5:
            return
        d.start()
    raise AssertionError("it waits as it does when asked once")


def refused(d):
    try:
        Raw(d.address, greet=False).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


# -- SIGHUP ---------------------------------------------------------------------

def test_a_storm_of_reloads_under_load(mx20, primary):
    """Good and broken files in turn, while mail comes and goes: nobody is
    refused, nothing is lost, and the last good files count."""
    p = primary().start()
    away = primary()
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)})
    load = Load(d.address, threads=6)
    load.wait(20)
    good = d.domains
    storm = threading.Event()

    def blow():
        while not storm.wait(0.002):
            d.process.send_signal(signal.SIGHUP)

    wind = threading.Thread(target=blow)
    wind.start()
    for n in range(30):
        d.domains = ["=broken\n", good + allow(away, name=f"n{n}.example"),
                     good][n % 3]
        d.write_files()
        load.wait(len(load.acked) + 10)
    storm.set()
    wind.join()
    d.domains = good + allow(away, name="last.example")
    d.write_files()
    mark = d.mark()
    assert d.ctl("reload").returncode == 0
    d.wait_log("^reload domains=2 ", since=mark)
    assert not load.refused
    load.stop()
    send(d.address, rcpts="u@last.example")
    until(lambda: d.status()["spool"]["messages"] == 1)
    assert sorted(subjects(p)) == sorted(load.acked)


def test_a_reload_is_cut_off_by_the_stop(mx20):
    """Much to load, and SIGTERM in the middle of it."""
    d = mx20()
    d.domains += "".join(f"d{n}.example recipients=*\n"
                         for n in range(100000))
    d.write_files()
    for pause in (0, 0.02, 0.05):
        d.process.send_signal(signal.SIGHUP)
        time.sleep(pause)  # the moment is the input
        assert d.stop() == 0
        d.start()


def test_a_thread_gives_back_a_configuration_at_the_end(mx20):
    """Nobody waits for it; what it needs is not taken from under it."""
    d = mx20(domains="".join(f"d{n}.example recipients=*\n"
                             for n in range(20000)),
             env=preload("exitshim"))
    assert d.ctl("reload").returncode == 0
    d.wait_log("^exitshim: in SSL_CTX_free")
    assert d.stop() == 0


def test_sigterm_while_it_starts(mx20, rng):
    """No crash, and a clean spool."""
    d = mx20()
    send(d.address)
    d.stop()
    for _ in range(8):
        process = subprocess.Popen([str(BUILD / "mx20d"), "-c",
                                    str(d.conf_path)],
                                   stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 0.1))  # the moment is the input
        process.send_signal(signal.SIGTERM)
        # before its handler is there it is ended: as good as kill -9
        assert process.wait(30) in (0, -signal.SIGTERM)
    d.start()
    assert d.status()["spool"]["messages"] == 1


def blocks_sighup(pid):
    """Does it hold the signal back?"""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("SigBlk"):
            return int(line.split()[1], 16) & 1 << signal.SIGHUP - 1


def test_sighup_while_it_starts(mx20):
    """Asked for before it is ready: done when it is."""
    d = mx20(start=False)
    d.domains += "".join(f"d{n}.example recipients=*\n"
                         for n in range(50000))
    d.write_files()
    d.start(ready=False)
    until(lambda: blocks_sighup(d.process.pid), pause=0.001)
    d.process.send_signal(signal.SIGHUP)
    d.wait_log("^start ")
    d.wait_log("^reload domains=50001")
