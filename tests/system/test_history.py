"""Outages are kept: when, for how long, and what they cost."""

import json

from client import send
from faults import FAST, Clock, allow, until
from primary import Accept

HOUR = 3600


def outages(d, *args):
    out = d.ctl("outages", *args, "--json").stdout
    return [json.loads(line) for line in out.splitlines()]


def test_an_outage_goes_on_behind_a_crash(mx20, primary, tmp_path):
    clock = Clock(tmp_path)
    p = primary(on={"rcpt": lambda session, argument: "550 5.1.1 gone"
                    if "bad@" in argument else Accept()})
    d = mx20(domains=allow(p), env=clock.env,
             conf={"drain": FAST, "bounce": {"mode": "hold"}})
    assert d.ctl("outages").stdout == "no outage is on record\n"
    for to in ("a", "b", "bad"):
        send(d.address, rcpts=[f"{to}@example.com"])
    d.wait_log("^state .*to=down")
    assert outages(d) == [], "a few seconds are none"
    clock.set_ahead(HOUR)
    until(lambda: outages(d))
    d.kill()
    [row] = outages(d)  # daemon down
    assert row["ended"] is None and row["messages"] == 3
    assert row["domains"] == ["example.com"]
    assert row["destination"].startswith(f"127.0.0.1:{p.port}")
    assert "refused" in row["reply"]
    clock.set_ahead(2 * HOUR)
    p.start()
    d.start()
    until(lambda: outages(d)[0]["refused"] == 1)
    [row] = outages(d, "example.com")
    assert row["messages"] == 3
    assert 2 * HOUR <= row["worst_wait_s"] < 2 * HOUR + 300
    assert row["began"] < row["ended"]
    assert outages(d, "example.org") == []
    shown = d.ctl("outages").stdout.splitlines()
    assert len(shown) == 2 and "2h" in shown[1] and "example.com" in shown[1]
