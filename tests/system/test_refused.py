"""Mail that the primary refuses: not final at once, then reported, or on the
shelf.  What becomes of whom is in tests/unit/daemon/drain/test_give_up.c."""

import collections
import json
import os
import random
import re
import time

import pytest

from client import Raw, message, send
from faults import FAST, preload, until

NOBODY = "550 5.1.1 nobody here"


@pytest.fixture
def world(mx20, primary):
    """A daemon, a primary that refuses every recipient while `broken` is set,
    and the server of the senders."""

    def make(window="1s", mode="dsn", env=None, quota="0", **bounce):
        state = {"broken": True}

        def rcpt(session, argument):
            return NOBODY if state["broken"] else None

        p = primary(on={"rcpt": rcpt})
        p.state = state
        home = primary(name="home.test")
        d = mx20(domains=f"example.com recipients=* primary={p.route}\n",
                 env=env, conf={
                     # refused is refused: how it ends is what this is about
                     "drain": dict(FAST, brake_window=window,
                                   brake_share=1),
                     "policy": {"quota": quota},
                     "bounce": dict(bounce, mode=mode,
                                    relay=f"127.0.0.1:{home.port}")})
        return d, p, home

    return make


def recipients(d):
    return [r for m in d.queue() for r in m["recipients"]]


def states(d):
    return collections.Counter(r["state"] for r in recipients(d))


def row(d, name="example.com"):
    return next(r for r in d.status()["domains"] if r["domain"] == name)


def test_a_refusal_is_final_later(world):
    d, p, home = world(window="3s")
    home.start()
    p.start()
    qid = send(d.address)
    d.wait_log(f"^refused mid={qid} .* final_s=3 .*{NOBODY}")
    (r,) = recipients(d)
    assert r["state"] == "unsettled" and r["last_reply"] == NOBODY
    assert row(d)["refused_messages"] == 1 and home.messages == []
    assert re.search(r"refused, final in \d+\w* unless braked",
                     d.ctl("queue").stdout)
    assert "refused by the primary" in d.ctl("status").stdout
    home.wait_messages(1)
    d.wait_empty()
    assert f"bounced mid={qid}" in d.text()
    assert d.text().count("reply=\"250 ") == 0 or p.messages == []


def test_killed_between_refusal_and_settlement(world):
    """At every point: each message is reported on once, and the primary is
    not asked again about what it was known to have refused."""
    rng = random.Random(os.environ.get("MX20_SEED", "1"))
    d, p, home = world(env=preload("syncshim", SYNCSHIM_DELAY_MS="20"))
    names = [f"m{n}" for n in range(60)]
    for name in names:
        send(d.address, content=message(name))
    p.start()
    for _ in range(8):
        # the moment is the input: before, while and after they are settled
        time.sleep(rng.uniform(0.05, 0.5))
        d.kill()
        d.start()
    d.env = {}
    d.restart()
    until(lambda: all(r["domain"] != "example.com" for r in recipients(d)))
    home.start()
    d.wait_empty()
    told = collections.Counter(
        name for m in home.messages
        for name in set(re.findall(r"^Subject: (m\d+)", m.text, re.M)))
    assert told == {name: 1 for name in names}


def test_what_nobody_is_told_of_is_on_the_shelf(world):
    d, p, home = world(window="0", mode="proven")
    home.start()
    p.start()
    qid = send(d.address, sender="")
    d.wait_log(f"^shelved mid={qid} ")
    until(lambda: states(d) == {"refused": 1})
    assert d.status()["spool"]["messages"] == 1
    assert row(d)["refused_messages"] == 1
    assert "on the shelf, removed in" in d.ctl("queue").stdout
    told = d.ctl("status", "example.com").stdout
    assert "0 ready, 0 deferred, 0 held, 1 refused" in told
    assert "mx20ctl release --domain example.com" in told
    d.restart()
    assert states(d) == {"refused": 1}
    p.state["broken"] = False
    d.ctl("flush")
    assert states(d) == {"refused": 1}, "a flush is no release"
    assert d.ctl("release", "--domain", "example.com").stdout == (
        "1 message released\n")
    p.wait_messages(1)
    d.wait_empty()
    assert home.sessions == []


def test_the_shelf_leaves_a_quota_alone(world):
    d, p, _ = world(window="0", mode="proven", quota="100K")
    p.start()
    body = ("x" * 70 + "\r\n") * 900
    qid = send(d.address, sender="", content=message(body=body))
    d.wait_log(f"^shelved mid={qid} ")
    until(lambda: states(d) == {"refused": 1})
    assert row(d)["refused_bytes"] == row(d)["bytes"] > 60000
    p.stop()
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test> SIZE=66000")
        assert c.cmd("RCPT TO:<u@example.com>").startswith("250")
    send(d.address, content=message(body=body))
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test> SIZE=66000")
        assert c.cmd("RCPT TO:<u@example.com>").startswith("452 4.2.2")


@pytest.mark.parametrize("verb", ["bounce", "remove"])
def test_it_is_ended_by_hand(world, verb):
    d, p, home = world(window="0", mode="proven")
    home.start()
    p.start()
    qid = send(d.address, sender="")
    d.wait_log(f"^shelved mid={qid} ")
    until(lambda: states(d) == {"refused": 1})
    d.ctl(verb, "--yes", qid)
    d.wait_empty()
    assert home.sessions == [], "never to <>"


def test_the_shelf_ends_without_a_word(world):
    d, p, home = world(window="0", mode="proven", shelf="1s")
    home.start()
    p.start()
    qid = send(d.address, sender="")
    d.wait_log(f"^shelved mid={qid} ")
    d.wait_log(f"^removed by=shelf mid={qid} ")
    d.wait_empty()
    assert home.sessions == []


def test_release_of_a_domain_frees_what_is_held_for_that(world):
    d, p, home = world(window="0", mode="hold")
    p.start()
    refused = send(d.address)
    d.wait_log(f"^held .*mid={refused}")
    p.state["broken"] = False
    kept = send(d.address, content=message("kept"))
    d.ctl("hold", kept, check=False)
    answer = json.loads(d.ctl("release", "--domain", "example.com",
                              "--json").stdout)
    assert answer["count"] >= 1
    until(lambda: refused not in [m["id"] for m in d.queue()])
