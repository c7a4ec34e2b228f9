"""Two copies: what the database has when a client hears 250, and after."""

import json
import re

import pytest

from client import Raw, message, send
from faults import offer, until
from mirrored import (arrived_once, both, deliver, fill, in_step,
                      mirror, node, rows, state)
from postgres import PASSWORD
from test_ctl import Terminal

MIB = ("x" * 998 + "\r\n") * 1049
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


# -- two copies, one 250 -----------------------------------------------------------

def test_the_database_has_it_before_the_client_hears_of_it(
        mx20, pg, primary):
    p = primary()
    d = node(mx20, pg.dsn(), p=p)
    for n in range(1, 6):
        send(d.address, content=message(f"m{n}"))
        assert rows(pg) == (n, n, n)
    data = pg.one("SELECT encode(string_agg(data, '' ORDER BY id, at), 'hex')"
                  " FROM mx20.content;")
    assert bytes.fromhex(data).count(b"Subject: m") == 5
    deliver(p, 5)
    both(pg, d)
    assert rows(pg) == (0, 0, 0)
    assert pg.count("content") == 0


def test_a_long_message_is_whole_in_the_database(mx20, pg, primary):
    p = primary()
    d = node(mx20, pg.dsn(), p=p)
    send(d.address, content=message("long", MIB * 10))
    size = int(pg.one("SELECT sum(length(data)) FROM mx20.content;"))
    assert 10 << 20 < size < 11 << 20
    assert int(pg.one("SELECT max(length(data)) FROM mx20.content;")) <= 1 << 20
    deliver(p, 1)
    until(lambda: pg.count("content") == 0)


def test_what_becomes_of_it_follows(mx20, pg, primary):
    """Retry, hold and its end, removal; a hold of a domain."""
    p = primary(on={"rcpt": ["450 4.2.1 busy"]})
    d = node(mx20, pg.dsn(), p=p, conf={"drain": {
        "probe_max": "1s", "retry": ["1h"]}})

    def unit():
        return pg.sql("SELECT md5(state::text || data::text) FROM mx20.unit;")

    send(d.address)
    was = unit()
    p.start()
    until(lambda: d.queue()[0]["recipients"][0]["attempts"] == 1)
    until(lambda: unit() != was)
    was, mail_id = unit(), d.queue()[0]["id"]
    d.ctl("hold", mail_id, "--yes")
    held = until(lambda: unit() != was and unit())
    d.ctl("release", mail_id, "--yes")
    until(lambda: unit() != held)
    d.ctl("hold", "--domain", "example.com", "--reason", "by hand", "--yes")
    until(lambda: pg.count("hold") == 1)
    d.ctl("release", "--domain", "example.com", "--yes")
    until(lambda: pg.count("hold") == 0)
    d.ctl("remove", mail_id, "--yes")
    both(pg, d)
    assert rows(pg) == (0, 0, 0)


def test_a_recipient_that_is_done_is_done_in_both(mx20, pg, primary):
    """A copy made of the database would not deliver him again."""
    p = primary(on={"rcpt": lambda s, a: "450 4.2.1 busy"
                    if a.startswith("late") else None})
    p.start()
    d = node(mx20, pg.dsn(), p=p)
    send(d.address, rcpts=["late@example.com", "now@example.com"])
    p.wait_messages(1)
    until(lambda: pg.count(
        "unit", "position('now@'::bytea in data) > 0") == 0)
    assert pg.count("unit", "position('late@'::bytea in data) > 0") == 1


def test_a_synchronous_standby_has_it_too(mx20, pg, primary):
    standby = pg.add_standby()
    d = node(mx20, pg.dsn(standby), p=primary())
    names = fill(d, [f"m{n}" for n in range(20)])
    pg.kill()
    standby.promote()
    assert standby.count("message") == len(names)


# -- away ----------------------------------------------------------------------------

def test_away_and_accepting(mx20, pg, primary):
    """Mail flows; what the database lacks is told, and comes later."""
    p = primary()
    d = node(mx20, pg.dsn(), p=p)
    fill(d, ["before"])
    until(lambda: mirror(d)["nodes"])
    pg.stop()
    fill(d, [f"m{n}" for n in range(30)])
    until(lambda: state(d) == "away")
    seen = mirror(d)
    assert seen["lag"]["messages"] == 30
    assert RFC3339.fullmatch(seen["lag"]["oldest"])
    assert seen["error"]
    alarm = d.ctl("status", "--alarm", "--json", check=False)
    assert "mirror" in [a["alarm"] for a in json.loads(alarm.stdout)]
    assert "30 messages" in d.ctl("status").stdout
    # what it has heard of nodes is old
    assert re.search(r"^mx2a \* +\? +\?", d.ctl("mirror").stdout, re.M)
    pg.start()
    in_step(d)
    assert rows(pg) == (31, 31, 31)
    assert mirror(d)["lag"] == {"messages": 0, "oldest": None}
    names = ["before"] + [f"m{n}" for n in range(30)]
    deliver(p, 31)
    both(pg, d)
    arrived_once(p, names)


def test_away_and_refusing(mx20, pg, primary):
    p = primary()
    d = node(mx20, pg.dsn(), p=p, when_away="refuse")
    fill(d, ["before"])
    pg.stop()
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        assert offer(c, message("lost")).startswith("451 4.3.0")
    assert "REFUSED with 451" in d.ctl("status", "--alarm", check=False).stdout
    # what is in the database leaves when it can hear of it
    p.start()
    assert "WITHHELD" in d.ctl("status").stdout
    pg.start()
    p.wait_messages(1)
    d.wait_empty()
    in_step(d)
    fill(d, ["after"])
    p.wait_messages(2)
    both(pg, d)
    arrived_once(p, ["before", "after"])
    assert len(p.messages) == 2


def test_a_database_that_was_never_there(mx20, pg, primary):
    """The daemon starts, takes mail, and joins when it can."""
    p = primary()
    pg.stop()
    d = node(mx20, pg.dsn(), p=p, start=False).start()
    fill(d, ["m1", "m2"])
    assert state(d) == "away"
    pg.start()
    in_step(d)
    assert rows(pg) == (2, 2, 2)


def test_left_behind_by_a_stop(mx20, pg, primary):
    """What was sent while it was away is known after a restart."""
    p = primary()
    d = node(mx20, pg.dsn(), p=p)
    pg.stop()
    fill(d, [f"m{n}" for n in range(10)])
    d.stop()
    pg.start()
    d.start()
    in_step(d)
    assert rows(pg) == (10, 10, 10)


# -- what is wrong is said -------------------------------------------------------------

@pytest.mark.parametrize("how, words", [
    ("password", "password authentication failed"),
    ("rights", "permission denied"),
    ("version", "PostgreSQL 13"),
    ("database", "does not exist"),
])
def test_a_database_that_will_not_do(mx20, pg, wire, primary, how, words):
    """Clear words, and with `accept` mail goes on."""
    old = wire(to=pg.port)
    old.replace = (b"server_version\x0015.", b"server_version\x0013.")
    dsn = {"password": pg.dsn(password="wrong"),
           "rights": pg.dsn(user="bare"),
           "version": pg.dsn(port=old.port),
           "database": pg.dsn().replace("dbname=mx20", "dbname=none")}[how]
    p = primary().start()
    d = node(mx20, dsn, p=p, start=False).start()
    d.wait_log(rf"^mirror\S* .*{words}")
    fill(d, ["m1"])
    p.wait_messages(1)
    seen = mirror(d)
    assert seen["state"] == "away" and words in seen["error"]
    assert PASSWORD not in d.text() + json.dumps(seen)
    assert words in d.ctl("mirror").stdout


def test_a_bad_setting_is_an_error(mx20, pg):
    d = node(mx20, "host=127.0.0.1 nonsense=1", p=None, start=False,
             domains="example.com recipients=*\n")
    done = d.process is None and d.ctl("status", check=False)
    assert done.returncode != 0


# -- the operator's verbs -----------------------------------------------------------

def test_mirror_shows_nodes(mx20, pg, primary):
    p = primary()
    d = node(mx20, pg.dsn(), p=p)
    fill(d, ["m1", "m2"])
    until(lambda: [n["messages"] for n in mirror(d)["nodes"]] == [2],
          pause=0.2)
    seen = mirror(d)
    assert seen["node"] == "mx2a" and seen["state"] == "in-step"
    assert re.match(r"\d+\.\d+ at 127.0.0.1", seen["server"])
    assert seen["when_away"] == "accept"
    assert 0 < seen["lease_left_s"] <= seen["lease_s"] == 5
    (row,) = seen["nodes"]
    assert row["node"] == "mx2a" and row["self"] is True
    assert row["state"] == "alive"
    text = d.ctl("mirror").stdout
    assert "in-step" in text and "mx2a" in text
    status = d.status()["mirror"]
    assert status["state"] == "in-step" and status["lag"]["messages"] == 0


@pytest.mark.parametrize("columns", [40, 80])
def test_mirror_fits_a_terminal(mx20, pg, primary, columns):
    d = node(mx20, pg.dsn(), p=primary())
    t = Terminal(d, "mirror", columns=columns)
    t.exit_status()
    lines = t.text.replace("\r\n", "\n").split("\n")
    assert max(map(len, lines)) <= columns, t.text


def test_without_a_mirror(mx20):
    d = mx20()
    done = d.ctl("mirror", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "mirror.postgresql" in done.stderr
    assert "mirror" not in d.status()
    d.stop()
    assert d.ctl("mirror", check=False).returncode == 3


@pytest.mark.parametrize("args", [("mirror", "take"), ("mirror", "nonsense"),
                                  ("mirror", "leave", "a"),
                                  ("mirror", "take", "a", "b")])
def test_mirror_is_misused(mx20, args):
    d = mx20()
    done = d.ctl(*args, check=False)
    assert done.returncode == 2
    assert "mx20ctl mirror" in done.stderr


def test_nothing_is_taken_of_a_node_that_lives(mx20, pg, primary):
    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p)
    b = node(mx20, pg.dsn(), "mx2b", p=p)
    fill(a, ["m1"])
    done = b.ctl("mirror", "take", "mx2a", "--yes", check=False)
    assert done.returncode == 1 and "lease" in done.stderr
    done = b.ctl("mirror", "take", "mx2b", "--yes", check=False)
    assert done.returncode == 1 and "mirror leave" in done.stderr
    done = b.ctl("mirror", "take", "mx2z", "--yes", check=False)
    assert done.returncode == 1 and "mx2z" in done.stderr
    assert a.status()["spool"]["messages"] == 1


# -- the doctor ---------------------------------------------------------------------

def findings(d):
    out = json.loads(d.ctl("check", "example.com", "--json", "--all",
                           check=False).stdout)
    return {f["check"]: f for f in out}


def test_check_knows_the_mirror(mx20, pg, primary):
    d = node(mx20, pg.dsn(), p=primary())
    seen = findings(d)
    assert seen["mirror-lag"]["severity"] == "ok"
    assert seen["mirror-version"]["severity"] == "ok"
    assert seen["mirror-synchronous"]["severity"] == "info"
    assert "synchronous_standby_names" in seen["mirror-synchronous"]["remedy"]
    pg.stop()
    fill(d, ["m1"])
    until(lambda: state(d) == "away")
    assert findings(d)["mirror-lag"]["severity"] == "error"


def test_the_others_say_who_is_ill(mx20, pg, primary):
    """Two of one name, then one that is gone: in the log once, and what check
    finds."""
    p = primary()
    b, a, twin = [node(mx20, pg.dsn(), name, p=p, lease="2s")
                  for name in ("mx2b", "mx2a", "mx2a")]
    b.wait_log("mirror .*node=mx2b other=mx2a state=doubled")
    ill = findings(b)["mirror-nodes"]
    assert ill["severity"] == "warning" and "two nodes" in ill["what"]
    twin.stop()
    until(lambda: findings(b)["mirror-nodes"]["severity"] == "ok")
    a.kill()
    b.wait_log("level=warn node=mx2b other=mx2a state=over messages=0")
    assert "mirror take mx2a" in findings(b)["mirror-nodes"]["what"]
    a.start()
    b.wait_log("mirror node=mx2b other=mx2a state=alive")
    for said in ("other=mx2a state=over", "other=mx2a state=doubled"):
        assert b.text().count(said) == 1, b.text()


def test_check_is_silent_without_one(mx20):
    d = mx20()
    assert not [name for name in findings(d) if name.startswith("mirror")]
