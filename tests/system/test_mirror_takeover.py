"""Two copies: a node is lost, another delivers."""

import json
import shutil
import time

import pytest

from client import Raw, message, send
from faults import until
from mirrored import (LEASE, allow, arrived_once, both, deliver, fill,
                      in_step, lose_disk, mirror, node, rows, state)

MIB = ("x" * 998 + "\r\n") * 1049


@pytest.fixture
def pair(mx20, pg, primary):
    """Two nodes and the primary of their domain, which is down."""
    p = primary()
    return (node(mx20, pg.dsn(), "mx2a", p=p),
            node(mx20, pg.dsn(), "mx2b", p=p), p)


def waits(d, count):
    until(lambda: d.status()["spool"]["messages"] == count, pause=0.2)


def test_node_and_disk_lost(pair, pg):
    """The other delivers, byte for byte, within three leases; a message of
    10 MiB among them."""
    a, b, p = pair
    names = fill(a, [f"m{n}" for n in range(20)])
    big = message("big", MIB * 10)
    send(a.address, content=big)
    p.start()  # and mx2a would deliver, if it lived
    lost = time.monotonic()
    lose_disk(a)
    until(lambda: "node mx2a has not been heard of" in b.ctl(
        "status", "--alarm", check=False).stdout)
    p.wait_messages(21)
    assert time.monotonic() - lost < 3 * LEASE
    b.wait_empty()
    both(pg, b)
    assert rows(pg) == (0, 0, 0)
    arrived_once(p, names + ["big"])
    (whole,) = [m for m in p.messages if b"Subject: big" in m.content[:2000]]
    assert whole.body == big.encode()
    assert mirror(b)["taken_over"] == 21


def test_what_was_known_of_it_stays(mx20, pg, primary):
    """Domains, recipients that are done, retries, holds of a message, of a
    domain and of a pattern, its age and its id in the log of the one that has it now."""
    p = primary(on={"rcpt": lambda s, a: "450 4.2.1 busy"
                    if a.startswith("late") else None})
    domains = allow(p, "one.test", "two.test", "three.test", "four.test",
                    "five.a.test")
    slow = {"drain": {"probe_max": "1s", "retry": ["1h"]}}
    a = node(mx20, pg.dsn(), "mx2a", domains=domains, conf=slow)
    b = node(mx20, pg.dsn(), "mx2b", domains=domains, conf=slow)
    send(a.address, rcpts=["u@two.test", "u@three.test"])
    send(a.address, rcpts=["u@four.test"])
    a.ctl("hold", "--domain", "four.test", "--reason", "by hand", "--yes")
    a.ctl("hold", "--domain", "*.a.test", "--reason", "moving", "--yes")
    send(a.address, rcpts=["u@five.a.test"])
    (one,) = [q["id"] for q in a.queue("two.test")]
    a.ctl("hold", one, "--yes")
    send(a.address, rcpts=["late@one.test", "now@one.test"],
         sender="kept@sender.test")
    p.start()
    until(lambda: a.queue("one.test")[0]["recipients"][0]["attempts"] == 1)
    until(lambda: len(p.messages) == 1)
    was = {q["from"] + r["address"]: (r["attempts"], q["bytes"], q["arrival"])
           for q in a.queue() for r in q["recipients"]}
    until(lambda: pg.count(
        "unit", "position('now@'::bytea in data) > 0") == 0)
    both(pg, a)
    lose_disk(a)
    waits(b, 4)
    now = {q["from"] + r["address"]: (r["attempts"], q["bytes"], q["arrival"])
           for q in b.queue() for r in q["recipients"]}
    assert now == was
    states = {r["address"]: r["state"] for q in b.queue()
              for r in q["recipients"]}
    assert states["late@one.test"] == "deferred"
    assert {states[f"u@{d}.test"]
            for d in ("two", "three", "four", "five.a")} == {"held"}
    (four,) = b.queue("four.test")
    assert "mx2a" in json.dumps(four) and "by hand" in json.dumps(four)
    assert "mx2a: moving" in json.dumps(b.queue("five.a.test"))
    b.ctl("release", *[q["id"] for q in b.queue()], "--yes")
    p.wait_messages(5)
    b.ctl("remove", b.queue("one.test")[0]["id"], "--yes")
    both(pg, b)


def test_it_comes_back(pair, pg):
    """With its disk: what was taken over is dropped, in silence, and not
    delivered again; what it took alone is its own."""
    a, b, p = pair
    names = fill(a, [f"m{n}" for n in range(10)])
    a.kill()
    waits(b, 10)
    deliver(p, 10)
    b.wait_empty()
    a.start()
    a.wait_empty()
    in_step(a)
    assert mirror(a)["dropped"] == 10
    fill(a, ["after"])
    p.wait_messages(11)
    both(pg, a, b)
    arrived_once(p, names + ["after"])
    assert len(p.messages) == 11
    assert pg.count("taken") == 0


def test_both_know_where_a_message_went(pair):
    """By the id its client heard, and by address: at the node that has it
    now, and at the one that came back."""
    a, b, p = pair
    was = send(a.address, "sought@example.com", message(
        headers="Message-ID: <one@sender.test>\r\n"))
    a.kill()
    waits(b, 1)
    (now,) = [q["id"] for q in b.queue()]
    whole = (r"msgid=<one@sender.test> from=<a@sender.test>"
             r" to=<sought@example.com> rcpts=1 ")
    b.wait_log(f"taken-over .*mid={now} was={was} node=mx2a {whole}")
    a.start()
    a.wait_empty()
    a.wait_log(f"dropped .*mid={was} now={now} by=mx2b {whole}")
    for d, other in ((b, "mx2a"), (a, "mx2b")):
        for word in (was, "sought@example.com"):
            (found,) = [o for o in map(json.loads, d.ctl(
                "find", word, "--json").stdout.splitlines())
                if o["found"] == "left"]
            assert (found["id"], found["host"]) == (was, other)
            assert now in found["reply"]


def test_it_comes_back_in_the_middle(pair, pg):
    """Each message is one node's, whatever the moment."""
    a, b, p = pair
    names = fill(a, [f"m{n}" for n in range(600)])
    a.kill()
    until(lambda: mirror(b)["taken_over"] > 0, pause=0.02)
    a.start()
    in_step(a)
    both(pg, a, b)
    assert sum(d.status()["spool"]["messages"] for d in (a, b)) == 600
    deliver(p, 600)
    both(pg, a, b)
    arrived_once(p, names)
    assert len(p.messages) == 600


def test_a_new_disk_under_the_same_name(mx20, pg, primary):
    """Alone it takes its old mail over itself."""
    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p)
    names = fill(a, [f"m{n}" for n in range(10)])
    lose_disk(a)
    a.start()
    waits(a, 10)
    deliver(p, 10)
    both(pg, a)
    arrived_once(p, names)


def test_a_copy_of_its_spool_elsewhere(mx20, pg, primary):
    """One of the two has the place, until it is gone."""
    p = primary()
    a = node(mx20, pg.dsn(), p=p, lease="2s")
    fill(a, ["m1"])
    a.stop()
    b = node(mx20, pg.dsn(), p=p, lease="2s", start=False)
    shutil.copytree(a.dir / "spool", b.dir / "spool", dirs_exist_ok=True)
    a.start()
    in_step(a)
    b.start()
    until(lambda: "elsewhere" in (mirror(b)["error"] or ""), pause=0.1)
    assert state(a) == "in-step"
    fill(a, ["m2"])
    assert "state=away" not in a.text()
    deliver(p, 2)
    both(pg, a)
    arrived_once(p, ["m1", "m2"])
    a.kill()
    in_step(b)


def test_former_lives_hide_nobody(mx20, pg, primary):
    """However many there are: each new disk is one.  Those without mail are
    forgotten after a week, with what else was there of them."""
    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p, lease="2s")
    fill(a, ["m1"])
    pg.sql("""
INSERT INTO mx20.node (name, spool, version, lease_until, lease_ms, seen)
 SELECT 'a' || n, n, '1', now() - interval '1 day', 2000,
 now() - interval '1 day' FROM generate_series(1, 70) n
 UNION ALL SELECT 'old', '0', '1', now() - interval '8 days', 2000,
 now() - interval '8 days';
INSERT INTO mx20.hold SELECT owner, 'a.test', '' FROM mx20.node
 WHERE name = 'old';
INSERT INTO mx20.content SELECT owner, 1, 0, '' FROM mx20.node
 WHERE name = 'old';
""")
    b = node(mx20, pg.dsn(), "mx2b", p=p, lease="2s")
    until(lambda: pg.count("node", "name = 'old'") == 0)
    assert pg.count("hold") == 0
    assert pg.count("content", "id = 1") == 0
    assert pg.count("node") == 72
    a.kill()
    waits(b, 1)


def test_days_that_are_over_are_dropped(mx20, pg, primary):
    """A part for each day, made ahead; one that is over goes when it is empty,
    which is what vacuum would have to do for it."""
    tables = "message", "unit", "content"

    def days():
        return {name for name, in pg.sql(
            "SELECT relname FROM pg_class WHERE relname ~ '_[0-9]{8}$'"
            " AND relkind = 'r'")}

    def make(day, then=""):
        name = time.strftime("%Y%m%d", time.gmtime(day * 86400))
        pg.sql("BEGIN;" + "".join(
            f"CREATE TABLE mx20.{t}_{name} PARTITION OF mx20.{t} FOR"
            f" VALUES FROM ({day * 86400000 << 20})"
            f" TO ({(day + 1) * 86400000 << 20});"
            f"ALTER TABLE mx20.{t}_{name} OWNER TO mx20;"
            for t in tables) + then + ";COMMIT;")
        return {f"{t}_{name}" for t in tables}

    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p, lease="2s")
    fill(a, ["m1"])
    ours = days()
    assert len(ours) == 9 and pg.count("message_rest") == 0
    # from the beginning: what mail came for is made for it no more
    assert pg.one("SELECT count(DISTINCT xmin::text) FROM pg_type WHERE typname"
                  " ~ '^((message|unit|content)_[0-9]{8}|mx20_version)$'"
                  ) == "1"
    today = int(time.time()) // 86400
    used = make(today - 11, "INSERT INTO mx20.content SELECT owner,"
                f" {((today - 11) * 86400000 << 20) + 1}, 0, ''"
                " FROM mx20.node WHERE name = 'mx2a'")
    empty = make(today - 10)
    node(mx20, pg.dsn(), "mx2b", p=p, lease="2s")
    until(lambda: not days() & empty)
    assert days() >= used | ours
    waits(a, 1)


def life(d, name):
    return [n for n in mirror(d)["nodes"] if n["node"] == name]


def test_stopped_with_nothing_is_no_accident(mx20, pg, primary):
    """A node that is stopped in good order says so, and its row goes a day
    later; not one that had mail when it was stopped."""
    p = primary()
    a, b = [node(mx20, pg.dsn(), name, p=p, lease="2s")
            for name in ("mx2a", "mx2b")]

    def becomes(*states):
        until(lambda: [n["state"] for n in life(b, "mx2a")] == list(states))

    fill(a, ["m"])
    a.stop()
    becomes("over")
    a.start()
    in_step(a)
    becomes("alive")
    for d in (a, b):
        for q in d.queue():
            d.ctl("remove", q["id"], "--yes")
    both(pg, a, b)
    a.stop()
    becomes("stopped")
    assert mirror(b)["lost"] == []
    pg.sql("UPDATE mx20.node SET seen = now() - interval '25 hours'"
           " WHERE name = 'mx2a';")
    b.restart()
    in_step(b)
    becomes()
    a.start()
    in_step(a)


def test_a_lost_disk_is_shown_for_a_day(pair, pg):
    """Then what it had is remembered, should it come back; but not shown."""
    a, b, _ = pair
    fill(a, ["m"])
    lose_disk(a)
    waits(b, 1)
    a.start()
    in_step(a)
    until(lambda: len(life(b, "mx2a")) == 2)
    pg.sql("UPDATE mx20.node SET seen = now() - interval '25 hours'"
           " WHERE name = 'mx2a' AND lease_until < now();")
    until(lambda: len(life(b, "mx2a")) == 1)
    assert pg.count("taken") == 1 and pg.count("node") == 3


def test_two_want_it(mx20, pg, primary):
    p = primary()
    a, b, c = [node(mx20, pg.dsn(), name, p=p)
               for name in ("mx2a", "mx2b", "mx2c")]
    names = fill(a, [f"m{n}" for n in range(200)])
    lose_disk(a)
    until(lambda: sum(d.status()["spool"]["messages"] for d in (b, c)) == 200,
          pause=0.2)
    deliver(p, 200)
    both(pg, b, c)
    arrived_once(p, names)
    assert len(p.messages) == 200


def test_the_one_that_takes_it_is_killed(pair, pg):
    """In the middle; it goes on when it is back."""
    a, b, p = pair
    names = fill(a, [f"m{n}" for n in range(600)])
    lose_disk(a)
    until(lambda: pg.count("taken") > 0 or pg.count("message", "incoming") > 0,
          pause=0.01)
    b.kill()
    b.start()
    waits(b, 600)
    deliver(p, 600)
    both(pg, b)
    arrived_once(p, names)
    assert len(p.messages) == 600


# -- by order ------------------------------------------------------------------------

def test_taken_by_order(mx20, pg, primary):
    """Before its time is over, when it is dead for certain: then the lease
    alone is waited for."""
    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p, lease="3s")
    b = node(mx20, pg.dsn(), "mx2b", p=p, lease="3s")
    names = fill(a, [f"m{n}" for n in range(10)])
    lose_disk(a)
    until(lambda: b.ctl("mirror", "take", "mx2a", "--yes", check=False
                        ).returncode == 0, pause=0.2)
    waits(b, 10)
    deliver(p, 10)
    both(pg, b)
    arrived_once(p, names)


def test_the_last_one_does_not_leave(mx20, pg, primary):
    """Nobody would have its mail; unless it is told to."""
    a = node(mx20, pg.dsn(), "mx2a", p=primary())
    fill(a, ["m1"])
    done = a.ctl("mirror", "leave", "--yes", check=False)
    assert done.returncode == 1 and "--force" in done.stderr
    fill(a, ["m2"])
    pg.stop()
    until(lambda: state(a) == "away")
    done = a.ctl("mirror", "leave", "--yes", "--force", check=False)
    assert done.returncode == 1 and "away" in done.stderr
    pg.start()
    in_step(a)
    assert "2 messages" in a.ctl("mirror", "leave", "--force", "--yes").stdout


def test_leave(pair, pg):
    """It hands everything over and takes no more; after a restart it is a node
    like before."""
    a, b, p = pair
    names = fill(a, [f"m{n}" for n in range(30)])
    until(lambda: ("mx2b", "alive") in [(n["node"], n["state"])
                                        for n in mirror(a)["nodes"]])
    done = a.ctl("mirror", "leave", "--yes")
    assert "30 messages" in done.stdout
    waits(b, 30)
    a.wait_empty()
    assert state(a) == "left"
    text = a.ctl("mirror").stdout
    assert "MISSING" not in text and "can be stopped" in text
    with pytest.raises(ConnectionRefusedError):
        Raw(a.address)
    assert {n["node"]: n["state"] for n in mirror(b)["nodes"]}[
        "mx2a"] in ("left", "over")
    names += fill(b, ["more"])
    deliver(p, 31)
    b.wait_empty()
    a.restart()
    in_step(a)
    names += fill(a, ["again"])
    p.wait_messages(32)
    both(pg, a, b)
    arrived_once(p, names)
    assert len(p.messages) == 32


def test_database_away_longer_than_every_lease(mx20, pg, primary):
    """All leases are over in it when it is back; nobody is dead."""
    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p, lease="2s")
    b = node(mx20, pg.dsn(), "mx2b", p=p, lease="2s")
    names = fill(a, [f"m{n}" for n in range(5)])
    names += fill(b, [f"n{n}" for n in range(5)])
    pg.stop()
    until(lambda: all(mirror(d)["lease_left_s"] < -5 for d in (a, b)))
    pg.start()
    for d in (a, b):
        in_step(d)
    until(lambda: all(mirror(d)["lease_left_s"] > 0 for d in (a, b)))
    time.sleep(5)  # twice their lease: long enough for a mistake
    assert [mirror(d)["taken_over"] for d in (a, b)] == [0, 0]
    deliver(p, 10)
    both(pg, a, b)
    arrived_once(p, names)
