"""The wall clock is set while mail waits (tests/preload/clockshim.c)."""

import time

import pytest

from client import Raw, send
from faults import FAST, Clock, allow, until
from primary import Accept, Hang

HOUR, DAY = 3600, 86400
YEARS = 10 * 365 * DAY


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path)


def on_clock(mx20, clock, *primaries, **conf):
    return mx20(domains=allow(*primaries), env=clock.env,
                conf=dict({"drain": dict(FAST), "bounce": {"mode": "hold"},
                           "log": {"level": "debug"}}, **conf))


@pytest.mark.parametrize("ahead", [YEARS, -YEARS, 15 * DAY])
def test_nothing_ends_because_the_clock_jumped_at_the_start(
        mx20, primary, clock, ahead):
    """A machine that comes back with a wrong clock."""
    p = primary()
    d = on_clock(mx20, clock, p)
    first = send(d.address)
    d.stop()
    clock.set_ahead(ahead)
    mark = d.mark()
    d.start()
    second = send(d.address)
    assert second > first, "ids rise"
    if ahead > 0:
        d.wait_log("^spool level=warn .*the clock is ahead", since=mark)
    d.wait_log("^probe .*result=failed", since=mark)
    p.start()
    p.wait_messages(2)
    d.wait_empty()
    assert not [line for line in d.log if line.startswith(
        ("held", "bounced", "delayed"))]


def test_what_the_spool_knew_of_a_target_grows_old(mx20, primary, clock):
    """The second choice was down a day ago, and nobody asked it since."""
    first, second = primary(on={"dot": Hang()}), primary()
    d = on_clock(mx20, clock, first, second,
                 drain=dict(FAST, reply_timeout="60s"))
    send(d.address)
    d.wait_log("^state .*to=down")
    d.stop()
    clock.set_ahead(DAY)
    first.start()
    d.start()
    first.wait_sessions(1)
    until(lambda: d.status()["domains"][0]["state"] == "up")
    [row] = d.status()["domains"]
    up, old = row["targets"]
    assert up["state"] == "up" and up["checked"] == row["checked"]
    assert old["state"] == "unknown" and old["since"] is None
    assert "refused" in old["last_reply"] and old["checked"] < up["since"]


@pytest.mark.parametrize("ahead", [YEARS, -YEARS])
def test_the_clock_jumps_while_mail_waits(mx20, primary, clock, ahead):
    """Nothing ends, probes and time-outs go on at their pace, ids rise."""
    p = primary()
    d = on_clock(mx20, clock, p, limits={"command_timeout": "2s"})
    ids = [send(d.address)]
    d.wait_log("^probe .*result=failed", count=2)
    with Raw(d.address) as idle:
        began = time.monotonic()
        idle.cmd("EHLO client.test")
        clock.set_ahead(ahead)
        ids.append(send(d.address))
        mark = d.mark()
        if ahead > 0:
            d.wait_log("^spool level=warn .*the clock is ahead")
        d.wait_log("^probe .*result=failed", since=mark, count=2)
        assert idle.reply().startswith("421 4.4.2")
        assert time.monotonic() - began > 1.5
    clock.set_ahead(0)
    ids.append(send(d.address))
    assert ids == sorted(set(ids))
    p.start()
    p.wait_messages(3)
    d.wait_empty()
    assert "held " not in d.text() and "bounced" not in d.text()


@pytest.mark.parametrize("ahead", [HOUR * 5, YEARS])
def test_a_retry_from_the_future_is_not_waited_for(mx20, primary, clock,
                                                   ahead):
    """Deferred by a clock that was ahead, which is then set right."""
    p = primary(on={"rcpt": ["450 4.2.1 busy", Accept()]}).start()
    d = on_clock(mx20, clock, p)
    clock.set_ahead(ahead)
    send(d.address)
    d.wait_log("^deferred ")
    clock.set_ahead(0)
    p.wait_messages(1)
    d.wait_empty()


def test_a_retry_from_the_future_after_a_restart(mx20, primary, clock):
    p = primary(on={"rcpt": ["450 4.2.1 busy", Accept()]}).start()
    d = on_clock(mx20, clock, p)
    clock.set_ahead(5 * HOUR)
    send(d.address)
    d.wait_log("^deferred ")
    d.kill()
    clock.set_ahead(0)
    d.start()
    p.wait_messages(1)
    d.wait_empty()


def test_time_outs_of_a_delivery_do_not_follow_the_wall_clock(
        mx20, primary, clock):
    p = primary(on={"dot": [Hang(), Accept()]}).start()
    d = on_clock(mx20, clock, p)
    began = time.monotonic()
    send(d.address)
    p.wait_sessions(1)
    clock.set_ahead(-YEARS)
    p.wait_messages(1)
    assert time.monotonic() - began > 1
    d.wait_empty()


def test_a_lifetime_still_ends(mx20, primary, clock):
    """Small steps are believed: an hour passes."""
    p = primary()
    d = on_clock(mx20, clock, p, spool={"lifetime": "1h"})
    send(d.address)
    d.wait_log("^probe .*result=failed")
    clock.set_ahead(HOUR + 60)
    # the wall clock is looked at once a minute, and when mail comes
    send(d.address)
    d.wait_log("^held ", timeout=70)
    until(lambda: len(d.queue()) == 2)
