"""What the tests of the mirror share: nodes, and looks at both copies."""

import collections
import json
import shutil

from client import PATIENCE, Raw, message
from faults import FAST, offer, subjects, until

__all__ = ["FAST", "HOURS", "LEASE", "allow", "arrived_once", "both",
           "deliver", "fill", "in_step", "lose_disk", "mirror", "node",
           "rows", "state"]

# Long enough that a busy machine does not lose one by being late.
LEASE = 5
HOURS = "4h"


def allow(p, *names):
    """Without a route of their own where p is None."""
    return "".join(f"{name} recipients=* primary={p.route}\n"
                   for name in names or ("example.com",))


def node(mx20, dsn, name="mx2a", start=True, conf=None, domains=None, p=None,
         **mirror_conf):
    """A node of the database, in step unless it is not started."""
    conf = dict(conf or {})
    conf.setdefault("drain", dict(FAST))
    conf["mirror"] = {"postgresql": dsn, "node": name, "lease": f"{LEASE}s",
                      "patience": HOURS, **mirror_conf}
    d = mx20(start=False, domains=domains or allow(p), conf=conf)
    if start:
        d.start()
        in_step(d)
    return d


def mirror(d):
    return json.loads(d.ctl("mirror", "--json").stdout)


def state(d):
    return mirror(d)["state"]


def in_step(d, timeout=PATIENCE):
    """Until what is committed is in both copies."""
    try:
        until(lambda: state(d) == "in-step", timeout, pause=0.1)
    except AssertionError:
        raise AssertionError(f"{mirror(d)}\n{d.text()}") from None


def rows(pg):
    """How many messages, units and pieces of content the database has."""
    return tuple(map(int, pg.sql(
        "SELECT (SELECT count(*) FROM mx20.message),"
        " (SELECT count(*) FROM mx20.unit),"
        " (SELECT count(DISTINCT (owner, id)) FROM mx20.content);")[0]))


def both(pg, *daemons):
    """Until spools and database have the same number of messages."""
    def same():
        n = sum(d.status()["spool"]["messages"] for d in daemons)
        return rows(pg)[0] == rows(pg)[2] == n or None
    until(same, pause=0.2)


def fill(d, names, domains=("example.com",), pad=0):
    """Send one each, to the domains in turn."""
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for n, name in enumerate(names):
            to = f"u@{domains[n % len(domains)]}"
            said = offer(c, message(name, "x" * 70 + "\r\n" * (1 + pad)),
                         rcpts=(to,))
            assert said.startswith("250"), said
    return list(names)


def deliver(p, count, timeout=PATIENCE):
    p.start()
    return p.wait_messages(count, timeout)


def arrived_once(p, names, most_twice=0):
    got = collections.Counter(subjects(p))
    missing = [name for name in names if not got[name]]
    assert not missing, (len(missing), missing[:5])
    twice = sum(got[name] - 1 for name in names)
    assert twice <= most_twice, [n for n in names if got[n] > 1][:20]


def lose_disk(d):
    """kill -9, and the disk with it."""
    d.kill()
    shutil.rmtree(d.dir / "spool")
