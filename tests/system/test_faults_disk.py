"""A disk that is full, and one that fails, caused for real.

The full disks are small file systems of their own; failing writes and flushes
come from tests/preload/diskshim.c.
"""

import collections
import os
import subprocess
import threading

import pytest

from client import Raw, message, send
from daemon import BUILD
from faults import (FAST, Disk, Load, SmallDisk, allow, offer,
                    subjects, until)
from primary import Accept, Delay

NO_ROOM, BROKEN = "452 4.3.1", "451 4.3.0"
MIB = ("x" * 998 + "\r\n") * 1024


@pytest.fixture
def small(tmp_path):
    """A file system of 24 MiB for the spool."""
    disk = SmallDisk(tmp_path / "small", "24m")
    yield disk
    disk.close()


def on_small(mx20, small, *primaries, reserve="0", start=True, **options):
    d = mx20(start=False, wrapper=small.wrapper,
             domains=allow(*primaries) if primaries else
             "example.com recipients=*\n",
             conf={"spool": {"path": str(small.path), "reserve": reserve},
                   "limits": {"errors": 100000}, "drain": dict(FAST)},
             **options)
    d.ctl_wrapper = small.wrapper
    return d.start() if start else d


def accepts_again(d):
    """Room is back: seen after a second at most."""
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        return until(lambda: offer(c, size=1000).startswith("250"), pause=0.1)


# -- full -----------------------------------------------------------------------

def test_full_disk_refuses_and_what_was_accepted_drains(small, mx20, primary):
    p = primary()
    d = on_small(mx20, small, p)
    for n in range(40):
        send(d.address, content=message(f"m{n}", "x" * 70 + "\r\n"))
    small.fill()
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        # the page in hand may still fit; the next does not
        replies = [offer(c, message(f"n{n}", MIB)) for n in range(30)]
    taken = [f"n{n}" for n, r in enumerate(replies) if r.startswith("250")]
    assert replies[-1].startswith(NO_ROOM) and len(taken) < 3
    assert d.status()["spool"]["messages"] == 40 + len(taken)
    p.start()
    p.wait_messages(40 + len(taken))
    d.wait_empty()
    assert sorted(subjects(p)) == sorted(
        [f"m{n}" for n in range(40)] + taken)
    small.free()
    assert accepts_again(d)


@pytest.mark.parametrize("count", [40, 75, 120, 190])
def test_nothing_is_stuck_on_a_full_disk(small, mx20, primary, count):
    """Recording what was delivered takes pages that LMDB may not have free:
    without room of its own the mail would stay, to be delivered again."""
    p = primary()
    d = on_small(mx20, small, p)
    for n in range(count):
        send(d.address, content=message(f"m{n}", "x" * 70 * (n % 12) + "\r\n"))
    small.fill()
    p.start()
    p.wait_messages(count)
    d.wait_empty()
    assert len(p.messages) == count


def test_the_reserve_stays_free(small, mx20, primary):
    p = primary()
    d = on_small(mx20, small, p, reserve="8M")
    taken = 0
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        while (reply := offer(c, message(f"m{taken}", MIB))).startswith("250"):
            taken += 1
            assert taken < 24
        assert reply.startswith(NO_ROOM)
        assert c.cmd("MAIL FROM:<a@sender.test> SIZE=1000000"
                     ).startswith(NO_ROOM)
    stat = os.statvfs(small.seen)
    assert stat.f_bavail * stat.f_frsize >= 8 << 20
    assert taken >= 10
    p.start()
    p.wait_messages(taken)
    d.wait_empty()
    # the file keeps its size, what is free in it is room
    assert accepts_again(d)


def test_the_operator_is_told_before_and_when_room_is_short(small, mx20):
    """Log, status and its JSON: tight, full by the disk, and room again."""
    def state():
        spool = d.status()["spool"]
        return spool["state"], spool["limit"]

    d = on_small(mx20, small, reserve="1M", start=False)
    d.conf["spool"]["size"] = "200M"
    d.write_files()
    d.start()
    assert state() == ("ok", "disk")
    small.fill()
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@x.test>").startswith("250")
        c.cmd("RSET")
        # the look of the last commit is a minute old at most: a commit makes
        # the next one
        until(lambda: offer(c, message("m")).startswith(NO_ROOM))
    d.wait_log("^spool level=error state=full limit=disk .*452.*remedy=")
    assert state() == ("full", "disk")
    shown = d.ctl("status").stdout
    assert "SPOOL FULL: new mail is refused with 452; disk " in shown
    small.free()
    d.wait_log("^spool state=ok")
    assert state() == ("ok", "disk")


def test_the_disk_fills_while_content_comes(small, mx20, primary):
    p = primary()
    d = on_small(mx20, small, p)
    send(d.address, content=message("before"))
    with Raw(d.address) as c:
        c.envelope()
        assert c.cmd("DATA").startswith("354")
        c.send(message("during", MIB))
        small.fill()
        c.send(MIB * 6 + ".\r\n")
        assert c.reply().startswith(NO_ROOM)
        # the session goes on
        assert c.cmd("NOOP").startswith("250")
    assert [e["from"] for e in d.queue()] == ["a@sender.test"]
    small.free()
    assert accepts_again(d)
    p.start()
    p.wait_messages(2)
    d.wait_empty()
    assert sorted(subjects(p)) == ["before", "test"]


def test_the_disk_is_full_at_the_commit(small, mx20):
    """Everything has come, and only then there is no room."""
    d = on_small(mx20, small)
    send(d.address)
    with Raw(d.address) as c:
        c.envelope()
        assert c.cmd("DATA").startswith("354")
        # below one chunk: nothing goes to the disk before the end
        c.send(message("last", "x" * 70 + "\r\n"))
        small.fill()
        replies = []
        for _ in range(50):
            c.send(".\r\n")
            replies.append(c.reply())
            if not replies[-1].startswith("250"):
                break
            if not c.cmd("MAIL FROM:<a@sender.test>").startswith("250"):
                break
            c.cmd("RCPT TO:<u@example.com>")
            if not c.cmd("DATA").startswith("354"):
                break
            c.send(message("last", ("x" * 70 + "\r\n") * 700))
    taken = sum(r.startswith("250") for r in replies)
    assert d.status()["spool"]["messages"] == 1 + taken
    assert taken < 50
    if not replies[-1].startswith("250"):
        assert replies[-1].startswith(NO_ROOM)
    small.free()
    assert accepts_again(d)


def test_the_disk_fills_under_load_while_draining(small, mx20, primary):
    """Accepting, draining and a full disk at once: nothing lost, nothing
    twice."""
    gate = threading.Event()
    gate.set()
    # a primary that is not waited for would free room as fast as it is taken
    p = primary(on={"dot": lambda session, argument: gate.wait(60) and None})
    d = on_small(mx20, small, p)
    load = Load(d.address, threads=4, size=20000)
    load.wait(150)
    p.start()
    p.wait_messages(20)
    gate.clear()
    small.fill()
    until(lambda: any(r.startswith(NO_ROOM) for r in load.refused))
    gate.set()
    p.wait_messages(len(p.messages) + 40)  # while the disk is full
    small.free()
    load.wait(len(load.acked) + 20)
    load.stop()
    d.wait_empty()
    assert set(r[:9] for r in load.refused if r) == {NO_ROOM}
    assert sorted(subjects(p)) == sorted(load.acked)


def test_start_on_a_full_disk(small, mx20, primary):
    """After a crash the spool opens, shows and drains without any room."""
    p = primary()
    d = on_small(mx20, small, p)
    for n in range(30):
        send(d.address, content=message(f"m{n}", "x" * 70 + "\r\n"))
    with Raw(d.address) as c:
        c.envelope()
        c.cmd("DATA")
        c.send(MIB * 3)  # never sealed
        until(lambda: (small.seen / "data.mdb").stat().st_size > 2 << 20)
        d.kill()
    small.fill()
    d.start()
    assert d.status()["spool"]["messages"] == 30
    assert len(d.queue()) == 30
    p.start()
    p.wait_messages(30)
    d.wait_empty()
    assert sorted(subjects(p)) == sorted(f"m{n}" for n in range(30))


def test_first_start_on_a_full_disk(small, mx20):
    """There is no room even for an empty spool: said, not crashed."""
    d = on_small(mx20, small, start=False)
    small.fill()
    status = subprocess.run(
        small.wrapper + [str(BUILD / "mx20d"), "-c", str(d.conf_path)],
        capture_output=True, text=True, timeout=30)
    assert status.returncode == 74, status.stderr
    assert str(small.path) in status.stderr
    assert "No space left" in status.stderr or "no space" in status.stderr
    small.free()
    d.start()
    send(d.address)


def test_status_beside_a_full_disk(small, mx20):
    """Readers have their slots in a file, too: that needs no room."""
    d = on_small(mx20, small)
    send(d.address)
    small.fill()
    readers = [subprocess.Popen(
        small.wrapper + [str(BUILD / "mx20ctl"), "-c", str(d.conf_path),
                         "status"], stdout=subprocess.DEVNULL)
        for _ in range(20)]
    assert [r.wait(30) for r in readers] == [0] * 20
    d.stop()
    assert d.status()["spool"]["messages"] == 1


def test_file_size_limit(mx20, primary):
    """RLIMIT_FSIZE: a write past it fails, the process does not."""
    p = primary()
    d = mx20(start=False, domains=allow(p),
             conf={"limits": {"errors": 100000}, "drain": dict(FAST)})
    d.wrapper = ["prlimit", f"--fsize={12 << 20}"]
    d.start()
    taken = []
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        while (reply := offer(c, message(f"m{len(taken)}", MIB))
               ).startswith("250"):
            taken.append(f"m{len(taken)}")
            assert len(taken) < 14
        assert reply.startswith(NO_ROOM)
    assert len(taken) >= 6
    p.start()
    p.wait_messages(len(taken))
    d.wait_empty()
    assert sorted(subjects(p)) == sorted(taken)
    assert accepts_again(d)


def test_quota(mx20, primary):
    """spool.size is kept on a disk that has room, and drains likewise."""
    p = primary()
    d = mx20(domains=allow(p), conf={
        "spool": {"size": "16M"}, "limits": {"errors": 100000},
        "drain": dict(FAST)})
    load = Load(d.address, threads=8, size=100000)
    until(lambda: any(r.startswith(NO_ROOM) for r in load.refused))
    spool = d.status()["spool"]
    assert spool["used"] <= spool["size"] == 16 << 20
    count = len(load.acked)
    p.start()
    load.wait(count + 50)  # room comes back as it drains
    load.stop()
    d.wait_empty()
    assert set(r[:9] for r in load.refused if r) == {NO_ROOM}
    assert sorted(subjects(p)) == sorted(load.acked)


def test_one_domain_does_not_fill_the_spool(mx20, primary):
    """Near full each domain has its share, and mail that passes through is
    taken all the time."""
    away, other, up = primary(), primary(), primary().start()
    d = mx20(domains=allow(away, name="away.test") +
             allow(other, name="other.test") + allow(up, name="up.test"),
             conf={"spool": {"size": "32M"}, "limits": {"errors": 100000},
                   "drain": dict(FAST)})
    taken = collections.Counter()

    def fill(c, domain):
        while (reply := offer(c, message(domain, MIB), rcpts=[f"u@{domain}"])
               ).startswith("250"):
            taken[domain] += 1
            assert taken[domain] < 32
        return reply

    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for domain in "away.test", "other.test":
            reply = fill(c, domain)
            assert reply.startswith("452 4.3.1 No space left for this domain")
        assert taken["away.test"] >= 20 and taken["other.test"] >= 1, taken
        d.wait_log("rejected .* stage=(rcpt|data) .*reason=domain_room")
        for n in range(10):
            reply = offer(c, message(f"u{n}", MIB[:250000]),
                          rcpts=["u@up.test"])
            assert reply.startswith("250"), (n, reply)
            up.wait_messages(n + 1)
        # one that has its share does not keep the session from others
        c.cmd("MAIL FROM:<a@sender.test>")
        assert c.cmd("RCPT TO:<u@away.test>").startswith("452 4.3.1")
        assert c.cmd("RCPT TO:<u@up.test>").startswith("250")
    away.start()
    other.start()
    d.wait_empty()
    assert len(away.messages) == taken["away.test"]


# -- failing --------------------------------------------------------------------

@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


def on_failing(mx20, disk, *primaries):
    return mx20(domains=allow(*primaries), env=disk.env,
                conf={"drain": dict(FAST), "limits": {"errors": 100000}})


FAULTS = ["write EIO", "sync EIO"]


@pytest.mark.parametrize("how", FAULTS)
def test_a_failing_disk_while_accepting(mx20, primary, disk, how):
    p = primary()
    d = on_failing(mx20, disk, p)
    for n in range(20):
        send(d.address, content=message(f"m{n}"))
    disk.fail(how)
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        assert offer(c, message("lost")).startswith(BROKEN)
        disk.heal()
        # nobody knows what is on the disk: nothing more until a restart
        assert offer(c, message("late")).startswith(BROKEN)
        assert c.cmd("NOOP").startswith("250")
    d.wait_log("^spool level=error .*the disk failed")
    # reading goes on, and it is the daemon that knows
    assert d.status()["spool"]["messages"] == 20
    assert d.status()["spool"]["state"] == "failed"
    assert "DISK FAILED: new mail is refused with 451" in \
        d.ctl("status").stdout
    told = d.ctl("status", "--alarm", check=False)
    assert told.returncode == 1 and "disk failed: new mail" in told.stdout
    queue = d.queue()
    assert len(queue) == 20
    assert "Subject: m0" in d.ctl("show", queue[0]["id"], "--raw").stdout
    # and nothing is delivered that could not be recorded
    p.start()
    d.ctl("flush", check=False)
    with Raw(d.address) as c:
        assert c.cmd("EHLO client.test").startswith("250")
    d.stop()
    assert p.messages == []
    d.start()
    p.wait_messages(20)
    d.wait_empty()
    assert sorted(subjects(p)) == sorted(f"m{n}" for n in range(20))
    assert accepts_again(d)


@pytest.mark.parametrize("how", FAULTS)
def test_a_failing_disk_while_draining(mx20, primary, disk, how):
    """What was on its way may come twice, nothing else does."""
    p = primary(on={"dot": Delay(0.01)})
    d = on_failing(mx20, disk, p)
    names = [f"m{n}" for n in range(300)]
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        assert {offer(c, message(n))[:3] for n in names} == {"250"}
    p.start()
    p.wait_messages(30)
    disk.fail(how)
    d.wait_log("^spool level=error .*nothing more is delivered")
    assert d.status()["spool"]["messages"] > 0
    assert d.stop() == 0
    assert len(p.messages) < 300
    p.stop()
    disk.heal()
    d.start()
    p.start()
    d.wait_empty()
    got = collections.Counter(subjects(p))
    assert set(got) == set(names) and max(got.values()) <= 2
    # at most what ten connections had on their way at the failure
    twice = sum(got.values()) - 300
    assert twice <= 10 * 12, twice


@pytest.mark.parametrize("how", FAULTS)
def test_a_failing_disk_under_load(mx20, primary, disk, how):
    p = primary()
    d = on_failing(mx20, disk, p)
    load = Load(d.address, threads=8)
    load.wait(100)
    disk.fail(how)
    until(lambda: any(r.startswith(BROKEN) for r in load.refused))
    acked = load.stop()
    assert set(r[:9] for r in load.refused if r) == {BROKEN}
    disk.heal()
    d.kill()
    d.start()
    p.start()
    d.wait_empty()
    # refused content may have reached the disk all the same: then it is mail
    # that its sender sends again
    got = collections.Counter(subjects(p))
    assert set(acked) <= set(got) and max(got.values()) == 1


def test_a_disk_that_fails_at_the_start(mx20, disk):
    d = mx20(start=False, env=disk.env)
    disk.fail("sync EIO")
    done = subprocess.run([str(BUILD / "mx20d"), "-c", str(d.conf_path)],
                          env=dict(os.environ, **disk.env), text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 74, done.stderr
    assert str(d.dir / "spool") in done.stderr
    assert "nput/output error" in done.stderr
    disk.heal()
    d.start()
    send(d.address)


def test_short_of_room_by_the_write(mx20, primary, disk):
    """ENOSPC from the call itself, wherever it strikes, heals."""
    p = primary(on={"dot": [Accept()]})
    d = on_failing(mx20, disk, p)
    load = Load(d.address, threads=4)
    load.wait(50)
    disk.fail("write ENOSPC")
    until(lambda: any(r.startswith(NO_ROOM) for r in load.refused))
    p.start()
    p.wait_messages(1)
    d.wait_log("^spool level=warn .*an outcome could not be recorded")
    disk.heal()
    load.wait(len(load.acked) + 50)
    load.stop()
    d.wait_empty()
    assert set(r[:9] for r in load.refused if r) == {NO_ROOM}
    got = collections.Counter(subjects(p))
    assert set(got) == set(load.acked) and max(got.values()) == 1
