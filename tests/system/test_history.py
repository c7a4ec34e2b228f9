"""Outages are kept, and the postmaster hears of what was refused."""

import email
import email.policy
import json
import time

from client import send
from faults import FAST, Clock, allow, until
from primary import Accept

HOUR = 3600


def outages(d, *args):
    out = d.ctl("outages", *args, "--json").stdout
    return [json.loads(line) for line in out.splitlines()]


def refused(d):
    out = d.ctl("refused", "--json").stdout
    return [json.loads(line) for line in out.splitlines()]


def test_an_outage_goes_on_behind_a_crash(mx20, primary, tmp_path):
    clock = Clock(tmp_path)
    p = primary(on={"rcpt": lambda session, argument: "550 5.1.1 gone"
                    if "bad@" in argument else Accept()})
    d = mx20(domains=allow(p), env=clock.env,
             conf={"drain": dict(FAST, brake_window="1s"),
                   "bounce": {"mode": "proven"}})
    assert d.ctl("outages").stdout == "no outage is on record\n"
    for to in ("a", "b", "bad"):
        send(d.address, rcpts=[f"{to}@example.com"], sender="")
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
    until(lambda: refused(d))  # who is shelved was counted when refused
    d.ctl("bounce", refused(d)[0]["id"])
    d.stop()
    assert outages(d) == [row]


def at_noon(clock):
    """The clock of a daemon at noon, UTC; how far ahead that is."""
    ahead = (12 * HOUR - int(time.time())) % (24 * HOUR)
    clock.set_ahead(ahead)
    return ahead


def test_a_postmaster_has_a_digest_of_the_shelf(mx20, primary, tmp_path):
    clock = Clock(tmp_path)
    ahead = at_noon(clock)
    p = primary(on={"rcpt": lambda session, argument: "550 5.7.1 Not <wanted>"
                    if "bad@" in argument else Accept()})
    p.start()
    d = mx20(domains=allow(p), env=clock.env,
             conf={"drain": FAST, "bounce": {"mode": "proven"}})
    for _ in range(2):  # from <>: nobody can be told
        send(d.address, rcpts=["bad@example.com"], sender="")
    until(lambda: len(refused(d)) == 2)
    [to] = refused(d)[0]["recipients"]
    assert (to["state"], to["address"]) == ("refused", "bad@example.com")
    assert "on the shelf, removed in" in d.ctl("refused", "example.com").stdout
    d.kill()
    assert len(refused(d)) == 2  # daemon down
    assert not p.messages
    clock.set_ahead(ahead + 19 * HOUR)
    d.start()
    [got] = p.wait_messages(1)
    assert (got.sender, got.rcpts) == ("", ["postmaster@example.com"])
    mail = email.message_from_bytes(got.content,
                                    policy=email.policy.default)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"] == "2 messages refused for example.com"
    plain, html = mail.iter_parts()
    assert "         2  550 5.7.1 Not <wanted>" in plain.get_content()
    assert "550 5.7.1 Not &lt;wanted&gt;" in html.get_content()
    d.wait_log("^delivered .*postmaster@example.com")
    d.ctl("release", "--domain", "example.com", "--yes")
