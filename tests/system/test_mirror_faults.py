"""Two copies: node, database, standby and the wire between them fail."""

import collections
import os
import shutil
import signal
import threading
import time

import pytest

from client import PATIENCE, Raw, message
from faults import Load, SmallDisk, offer, until
from mirrored import (FAST, LEASE, allow, arrived_once, both, deliver,
                      fill, in_step, mirror, node, rows, state, subjects)
from net import free_port
from postgres import Cable, Postgres, open_folder
from primary import Accept, Bytes

MANY = {"errors": 100000, "connections_per_client": 1000}


def same_rows(pg, d):
    """The database has exactly the messages and domains that wait."""
    def ids():
        return sorted((int(i), name) for i, name in pg.sql(
            "SELECT id, encode(domain, 'escape') FROM mx20.unit;"))

    both(pg, d)
    assert len(ids()) == d.status()["spool"]["messages"]
    assert pg.count("content") >= len(ids())


# -- somebody is killed ------------------------------------------------------------

def test_node_killed_under_load(mx20, pg, primary):
    """What was acknowledged is in both copies after each start, and what was
    not is in both or in neither."""
    p = primary()
    d = node(mx20, pg.dsn(), p=p, conf={"limits": MANY})
    acked = []
    for _ in range(3):
        load = Load(d.address, threads=8, size=500)
        load.wait(40)
        d.kill()
        acked += [(load, name) for name in load.stop()]
        d.start()
        in_step(d)
        same_rows(pg, d)
    n = d.status()["spool"]["messages"]
    assert n >= len(acked)
    deliver(p, n)
    d.wait_empty()
    both(pg, d)
    got = collections.Counter(subjects(p))
    want = collections.Counter(name for _, name in acked)
    assert all(got[name] >= n for name, n in want.items())
    assert len(p.messages) == n


def test_database_killed_under_load(mx20, pg, primary):
    """It crashes again and again; nobody is refused, nothing is lost, and the
    two are the same when it is back."""
    p = primary()
    d = node(mx20, pg.dsn(), p=p, conf={"limits": MANY})
    acked = []
    for _ in range(3):
        load = Load(d.address, threads=4, size=500)
        load.wait(50)
        pg.kill()
        until(lambda: state(d) == "away")
        load.wait(len(load.acked) + 20)
        pg.start()
        load.wait(len(load.acked) + 20)
        acked += [(load, name) for name in load.stop()]
        assert load.refused == []
        in_step(d)
    same_rows(pg, d)
    deliver(p, len(acked))
    both(pg, d)
    got = collections.Counter(subjects(p))
    want = collections.Counter(name for _, name in acked)
    assert all(got[name] >= n for name, n in want.items())
    assert len(p.messages) == len(acked)


def goes_on_without(stop, mend, pg, d, p):
    """Mail is taken while it is away, and has its second copy afterwards."""
    fill(d, ["m1"])
    stop()
    fill(d, ["m2", "m3"])
    assert state(d) != "in-step"
    mend()
    in_step(d)
    same_rows(pg, d)
    deliver(p, 3)
    both(pg, d)
    arrived_once(p, ["m1", "m2", "m3"])


def test_standby_killed(mx20, pg, primary):
    """Commits that would wait for it for ever do not hold up mail."""
    p = primary()
    standby = pg.add_standby()
    d = node(mx20, pg.dsn(standby), p=p)
    goes_on_without(standby.kill, standby.start, pg, d, p)


def test_a_warning_is_no_failure(mx20, pg, primary):
    """Only that of a commit which is not on the standby says so."""
    p = primary()
    d = node(mx20, pg.dsn(), p=p)
    pg.sql("""
CREATE FUNCTION mx20.warn() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE WARNING 'database must be vacuumed'; RETURN NULL; END$$;
CREATE TRIGGER warn AFTER UPDATE ON mx20.node EXECUTE FUNCTION mx20.warn();
""")
    fill(d, ["m1", "m2"])
    assert "state=away" not in d.text()
    same_rows(pg, d)


# -- failover ----------------------------------------------------------------------

def test_failover_to_the_standby(mx20, pg, primary):
    """The node finds the new primary by its connection string alone."""
    p = primary()
    standby = pg.add_standby()
    d = node(mx20, pg.dsn(standby), p=p)
    names = fill(d, [f"m{n}" for n in range(20)])
    pg.kill()
    names += fill(d, ["meanwhile"])
    standby.promote()
    in_step(d)
    assert mirror(d)["server"].endswith("127.0.0.1") or \
        str(standby.port) in mirror(d)["server"]
    same_rows(standby, d)
    deliver(p, len(names))
    both(standby, d)
    arrived_once(p, names)


def test_failover_that_lost_transactions(mx20, pg, primary):
    """An asynchronous standby: what it does not have of what was committed is
    noticed, and given to it; what left meanwhile goes there, too."""
    p = primary()
    standby = pg.add_standby(synchronous=False)
    d = node(mx20, pg.dsn(standby), p=p,
             domains=allow(p) + "other.test recipients=*\n")
    early = fill(d, [f"early{n}" for n in range(10)])
    until(lambda: standby.count("message") == 10)
    standby.stop()
    late = fill(d, [f"late{n}" for n in range(10)])
    gone = [q["id"] for q in d.queue()][:3]
    d.ctl("remove", *gone, "--yes")
    until(lambda: rows(pg)[0] == 17)
    pg.kill()
    standby.start()
    assert standby.count("message") == 10
    standby.promote()
    in_step(d)
    same_rows(standby, d)
    assert rows(standby) == (17, 17, 17)
    deliver(p, 17)
    both(standby, d)
    arrived_once(p, (early + late)[3:])


# -- a spool that is not what it was ----------------------------------------------

def test_an_older_disk_loses_nothing(mx20, pg, primary):
    """The spool is put back to an old copy: what the database has of it since
    is the only copy of acknowledged mail."""
    p = primary()
    d = node(mx20, pg.dsn(), p=p)
    names = fill(d, ["m1", "m2"])
    d.stop()
    shutil.copytree(d.dir / "spool", d.dir / "old")
    d.start()
    in_step(d)
    names += fill(d, [f"n{n}" for n in range(5)])
    names += fill(d, ["large"], pad=800000)
    d.kill()
    shutil.rmtree(d.dir / "spool")
    shutil.move(d.dir / "old", d.dir / "spool")
    d.start()
    in_step(d)
    until(lambda: d.status()["spool"]["messages"] == 8, pause=0.1)
    both(pg, d)
    d.wait_log("the spool has lost them")
    deliver(p, 8)
    both(pg, d)
    arrived_once(p, names)


# -- the wire ----------------------------------------------------------------------

def test_partition_holds_what_others_may_have(mx20, pg, wire, primary):
    """Packets are lost, nobody says so.  Beyond its lease a node sends nothing
    of what is in the database, or may be; what is not, it does."""
    p = primary()
    w = wire(to=pg.port)
    d = node(mx20, pg.dsn(port=w.port), p=p, lease="2s")
    fill(d, ["both"])
    w.silence()
    fill(d, ["doubt", "alone1"])
    until(lambda: mirror(d)["lease_left_s"] < 0)
    fill(d, ["alone2"])
    deliver(p, 2)
    assert "WITHHELD" in d.ctl("flush").stderr
    assert "WITHHELD" in d.ctl("status").stdout
    assert sorted(subjects(p)) == ["alone1", "alone2"]
    until(lambda: d.status()["spool"]["messages"] == 2)
    w.heal()
    p.wait_messages(4)
    both(pg, d)
    arrived_once(p, ["both", "doubt", "alone1", "alone2"])
    assert len(p.messages) == 4


@pytest.mark.skipif(os.getuid() != 0, reason="makes a network")
def test_packets_are_lost(mx20, primary):
    """The same, and the kernel knows no more than we do."""
    p = primary()
    cable = Cable()
    pg = Postgres(behind=cable)
    try:
        d = node(mx20, pg.start().dsn(), p=p, lease="2s")
        fill(d, ["both"])
        cable.cut()
        fill(d, ["doubt", "alone"])
        until(lambda: mirror(d)["lease_left_s"] < 0)
        deliver(p, 1)
        assert subjects(p) == ["alone"]
        cable.mend()
        p.wait_messages(3)
        both(pg, d)
        arrived_once(p, ["both", "doubt", "alone"])
    finally:
        pg.close()
        cable.close()


def test_what_was_never_sent_is_not_held_back(mx20, pg, primary):
    """The database ends in good order: the first mail without it was sent to
    nobody, and goes as soon as its primary answers, lease or no lease."""
    p = primary()
    p.stop()
    d = node(mx20, pg.dsn(), p=p, lease="2s")
    fill(d, ["both"])
    pg.stop()
    until(lambda: state(d) == "away" and mirror(d)["lease_left_s"] < 0)
    fill(d, ["alone"])
    deliver(p, 1)
    assert subjects(p) == ["alone"]
    until(lambda: d.status()["spool"]["messages"] == 1)
    fill(d, ["late"])
    p.wait_messages(2)
    pg.start()
    p.wait_messages(3)
    both(pg, d)
    arrived_once(p, ["both", "alone", "late"])


def test_nothing_leaves_that_cannot_be_told(mx20, pg, wire, primary):
    """Cut off while its lease runs: what left now would be delivered again by
    who takes the rest, so it does not."""
    p = primary()
    w = wire(to=pg.port)
    a = node(mx20, pg.dsn(port=w.port), "mx2a", p=p, lease="4s")
    b = node(mx20, pg.dsn(), "mx2b", p=p, lease="4s")
    names = fill(a, [f"m{n}" for n in range(20)])
    w.to_port = free_port()
    w.cut()
    until(lambda: state(a) == "away")
    fill(a, ["alone"])
    deliver(p, 1)
    until(lambda: mirror(b)["taken_over"] == 20)
    p.wait_messages(21)
    b.wait_empty()
    w.to_port = pg.port
    a.wait_empty()
    both(pg, a, b)
    arrived_once(p, ["alone", *names])


def test_nothing_leaves_before_both_are_compared(mx20, pg, primary):
    """What leaves meanwhile is not told before the end of that."""
    p = primary()
    d = node(mx20, pg.dsn(), p=p, lease="1m")
    fill(d, ["both"])
    d.stop()
    # who knows what it has; what never came to its end is swept up last
    pg.sql("UPDATE mx20.node SET seq = seq + 1000;"
           "INSERT INTO mx20.content SELECT owner, 1, 0, '' FROM mx20.node;")
    with pg.locked("content", "id = 1"):
        d.start()
        until(lambda: state(d) == "behind")
        fill(d, ["alone"])
        deliver(p, 1)
        assert subjects(p) == ["alone"]
    p.wait_messages(2)
    both(pg, d)
    arrived_once(p, ["both", "alone"])


def test_partition_is_not_waited_for_for_ever(mx20, pg, wire, primary):
    """A duplicate is better than a loss."""
    p = primary()
    w = wire(to=pg.port)
    d = node(mx20, pg.dsn(port=w.port), p=p, lease="2s", patience="3s")
    fill(d, ["both"])
    w.silence()
    until(lambda: mirror(d)["lease_left_s"] < 0)
    deliver(p, 1)
    arrived_once(p, ["both"])


def test_slow_database(mx20, pg, wire, primary):
    """Its delay is the client's, once for each batch, and no more."""
    p = primary()
    w = wire(to=pg.port)
    d = node(mx20, pg.dsn(port=w.port), p=p, lease="30s",
             conf={"limits": MANY})
    w.delay = 0.15
    began = time.monotonic()
    fill(d, ["one"])
    assert time.monotonic() - began > 0.3
    load = Load(d.address, threads=20, size=500)
    load.wait(60)
    acked = load.stop()
    w.delay = 0
    in_step(d)
    same_rows(pg, d)
    deliver(p, 1 + len(acked))
    both(pg, d)
    arrived_once(p, ["one", *acked])


def test_database_that_stands_still(mx20, pg, primary):
    """SIGSTOP of all of it: mail waits for a part of the lease, then flows."""
    p = primary()
    d = node(mx20, pg.dsn(), p=p, lease="3s")
    goes_on_without(pg.pause, pg.resume, pg, d, p)


# -- disks that are full -------------------------------------------------------------

def test_full_disk_of_the_database(mx20, primary):
    """PostgreSQL stops; mail goes on, and it has all when there is room."""
    p = primary()
    disk = SmallDisk(open_folder(), "200m")
    pg = Postgres(on=disk)
    try:
        d = node(mx20, pg.start().dsn(), p=p)
        fill(d, ["m1"])
        disk.fill()
        names = ["m1"] + fill(d, [f"m{n}" for n in range(2, 6)])
        with Raw(d.address) as c:
            c.envelope()
            big = c.data(message("big", "x" * 76 + "\r\n" * 200000) + ".\r\n")
        assert big.startswith("250")
        until(lambda: state(d) != "in-step")
        names += fill(d, ["m6"]) + ["big"]
        disk.free()
        pg.revive()
        in_step(d)
        same_rows(pg, d)
        deliver(p, len(names))
        both(pg, d)
        arrived_once(p, names)
    finally:
        pg.close()
        disk.close()
        disk.path.rmdir()


def test_full_disk_of_the_node(mx20, pg, tmp_path, primary):
    """What does not fit here is refused, and is not in the database."""
    p = primary()
    disk = SmallDisk(tmp_path / "small", "24m")
    try:
        d = mx20(start=False, wrapper=disk.wrapper, domains=allow(p),
                 conf={"spool": {"path": str(disk.path), "reserve": "0"},
                       "limits": MANY, "drain": dict(FAST),
                       "mirror": {"postgresql": pg.dsn(), "node": "mx2a",
                                  "lease": f"{LEASE}s"}})
        d.ctl_wrapper = disk.wrapper
        d.start()
        in_step(d)
        names = fill(d, [f"m{n}" for n in range(20)])
        disk.fill()
        with Raw(d.address) as c:
            c.cmd("EHLO client.test")
            until(lambda: offer(c, message("no", "x" * 70 + "\r\n" * 5000)
                                ).startswith("452"), pause=0)
        disk.free()
        same_rows(pg, d)
        p.start()
        d.wait_empty()
        both(pg, d)
        arrived_once(p, names)
    finally:
        disk.close()


# -- the node stands still -----------------------------------------------------------

def test_stopped_beyond_its_lease(mx20, pg, primary):
    """SIGSTOP: another has its mail meanwhile.  When it goes on it delivers
    nothing of it, though it never saw its lease end."""
    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p, lease="2s")
    b = node(mx20, pg.dsn(), "mx2b", p=p, lease="2s")
    names = fill(a, [f"m{n}" for n in range(30)])
    os.kill(a.process.pid, signal.SIGSTOP)
    try:
        until(lambda: b.status()["spool"]["messages"] == 30, pause=0.2)
        p.start()
        b.wait_empty()
    finally:
        os.kill(a.process.pid, signal.SIGCONT)
    a.wait_empty()
    in_step(a)
    fill(a, ["after"])
    p.wait_messages(31)
    both(pg, a, b)
    arrived_once(p, names + ["after"])
    assert len(p.messages) == 31


def test_stopped_in_the_middle_of_a_message(mx20, pg, primary):
    """Its end never goes out from there: another has delivered it."""
    go_on, said = threading.Event(), threading.Event()

    def hold(session, _argument):
        go_on.wait(PATIENCE)
        session.say("354 go on")
        said.set()
        return Bytes(b"")

    p = primary(on={"data": [hold, Accept()]})
    a, b = (node(mx20, pg.dsn(), name, p=p, lease="2s",
                 conf={"drain": dict(FAST, reply_timeout="1h")})
            for name in ("mx2a", "mx2b"))
    fill(a, ["one"])
    p.start()
    until(lambda: any("DATA" in s.transcript for s in p.sessions))
    os.kill(a.process.pid, signal.SIGSTOP)
    try:
        p.wait_messages(1)
        b.wait_empty()
        go_on.set()
        assert said.wait(PATIENCE)
    finally:
        os.kill(a.process.pid, signal.SIGCONT)
    a.wait_empty()
    in_step(a)
    fill(a, ["after"])
    p.wait_messages(2)
    both(pg, a, b)
    arrived_once(p, ["one", "after"])
    assert "level=error" not in a.text()


def test_refused_of_a_stopped_node_is_reported_once(mx20, pg, primary):
    """It hears the refusal when it goes on; another has reported it."""
    go_on = threading.Event()

    def hold(_session, _argument):
        go_on.wait(PATIENCE)
        return "550 5.1.1 nobody here"

    p, home = primary(on={"rcpt": [hold, "550 5.1.1 nobody here"]}), primary()
    a, b = (node(mx20, pg.dsn(), name, p=p, lease="2s", conf={
        "drain": dict(FAST, reply_timeout="1h"),
        "bounce": {"mode": "dsn", "relay": f"127.0.0.1:{home.port}"}})
            for name in ("mx2a", "mx2b"))
    fill(a, ["one"])
    home.start()
    p.start()
    until(lambda: any("RCPT" in line for s in p.sessions
                      for line in s.transcript))
    os.kill(a.process.pid, signal.SIGSTOP)
    try:
        home.wait_messages(1)
        b.wait_empty()
        go_on.set()
    finally:
        os.kill(a.process.pid, signal.SIGCONT)
    a.wait_empty()
    in_step(a)
    fill(a, ["after"])
    home.wait_messages(2)
    both(pg, a, b)
    assert len(home.messages) == 2


def test_stopped_while_it_delivers(mx20, pg, primary):
    """Only what was in its hand at that moment may come twice."""
    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p, lease="2s",
             conf={"drain": dict(FAST, connections=2)})
    b = node(mx20, pg.dsn(), "mx2b", p=p, lease="2s")
    names = fill(a, [f"m{n}" for n in range(300)])
    deliver(p, 20)
    os.kill(a.process.pid, signal.SIGSTOP)
    try:
        until(lambda: mirror(b)["taken_over"] > 0, pause=0.1)
        p.wait_messages(300)
        b.wait_empty()
    finally:
        os.kill(a.process.pid, signal.SIGCONT)
    a.wait_empty()
    both(pg, a, b)
    arrived_once(p, names, most_twice=64)
