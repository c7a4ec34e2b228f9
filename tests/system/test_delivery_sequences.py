"""Replies in an order that no honest server uses: nothing is lost, nothing is
taken for delivered that was not, and nobody is asked in a tight loop."""

from collections import Counter

import pytest

from client import Raw, message, send
from faults import FAST, allow, subjects, until
from primary import Accept, Bytes, Drop


def daemon(mx20, primary, **drain):
    return mx20(domains=allow(primary), conf={
        "drain": dict(FAST, **drain), "bounce": {"mode": "hold"}})


def send_all(d, subjects_):
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for s in subjects_:
            c.envelope()
            assert c.data(message(s) + ".\r\n").startswith("250")


@pytest.mark.parametrize("ahead", [b"354 go\r\n250 taken\r\n",
                                   b"354 go\r\n451 later\r\n",
                                   b"354 go\r\n\x00\x01nonsense\r\n"])
def test_an_answer_ahead_of_the_content_is_none(mx20, primary, ahead):
    """The unit that it happens with waits its retry, the next one passes."""
    def data(session, _):
        return Bytes(ahead) if "poison@" in session.message.sender else None

    p = primary(on={"data": data})
    d = daemon(mx20, p, retry=["1h"], probe_max="1s")
    send(d.address, sender="poison@sender.test", content=message("poison"))
    send(d.address, content=message("good"))
    p.start()
    until(lambda: "good" in subjects(p))
    d.wait_log("^deferred .*attempts=1")
    for n in range(3):
        send(d.address, content=message(f"more {n}"))
        until(lambda: f"more {n}" in subjects(p))
    assert len(p.sessions) < 12  # and nobody asked meanwhile
    until(lambda: len(d.queue()) == 1)
    [entry] = d.queue()
    assert entry["from"] == "poison@sender.test"


@pytest.mark.parametrize("stage", ["mail", "rcpt", "dot", "bdat"])
@pytest.mark.parametrize("reply", ["354 what?", "334 auth?", "150 wait"])
def test_a_reply_that_says_neither_yes_nor_no(mx20, primary, stage, reply):
    offers = ["PIPELINING", "8BITMIME"]
    if stage == "bdat":
        offers.append("CHUNKING")
    p = primary(on={stage: [reply, Accept()]}, offers=offers).start()
    d = daemon(mx20, p)
    send(d.address, content=message("m"))
    d.wait_empty()
    if stage in ("dot", "bdat"): # the script counts 3yz as taken
        assert set(subjects(p)) == {"m"}
    else:
        assert subjects(p) == ["m"]


def test_lost_between_pipelined_transactions(mx20, primary):
    """What was answered is settled, what ran ahead comes again: once those
    that the server cannot have taken."""
    taken = []

    def bdat(session, _):
        taken.append(session)
        return Drop() if len(taken) == 6 else None

    p = primary(on={"bdat": bdat}, offers=["PIPELINING", "CHUNKING"])
    d = daemon(mx20, p, connections=1)
    names = [f"m{n}" for n in range(20)]
    send_all(d, names)
    p.start()
    d.wait_empty()
    assert Counter(subjects(p)) == Counter(names)


@pytest.mark.parametrize("offers", [
    [], ["PIPELINING"], ["PIPELINING", "CHUNKING"]],
    ids=["plain", "pipelining", "chunking"])
@pytest.mark.parametrize("stage", ["mail", "rcpt"])
def test_a_session_that_carries_so_many(mx20, primary, stage, offers):
    """452 4.5.3 to all beyond: the next connection takes them, at once."""
    counts = {}

    def too_many(session, _):
        counts[session] = counts.get(session, 0) + 1
        most = 5 if stage == "rcpt" else 2
        return "452 4.5.3 enough" if counts[session] > most else None

    p = primary(on={stage: too_many}, offers=offers)
    d = daemon(mx20, p, retry=["1h"])
    rcpts = [f"u{n}@example.com" for n in range(18)]
    send(d.address, rcpts=rcpts)
    send_all(d, [f"m{n}" for n in range(8)])
    p.start()
    d.wait_empty()
    assert sorted(sum((m.rcpts for m in p.messages), [])) == sorted(
        rcpts + ["u@example.com"] * 8)


def test_a_session_that_carries_nothing(mx20, primary):
    """That of a server which never takes any: the retry is kept."""
    p = primary(on={"rcpt": "452 4.5.3 enough"}).start()
    d = daemon(mx20, p, retry=["1h"])
    send_all(d, ["a", "b"])
    d.wait_log("^deferred .*attempts=1", count=2)


def test_in_doubt_again_and_again(mx20, primary):
    """The content goes out and no reply comes, for ever: the retry is kept."""
    p = primary(on={"bdat": Drop()}, offers=["PIPELINING", "CHUNKING"]).start()
    d = daemon(mx20, p, retry=["1h"], probe_max="1s", connections=1)
    send_all(d, ["a", "b", "c"])
    d.wait_log("^deferred .*attempts=1", count=3)
    tries = sum(line.startswith("BDAT") for s in p.sessions
                for line in s.transcript)
    assert tries <= 6
    assert len(d.queue()) == 3


def test_a_domain_that_is_removed_and_comes_back(mx20, primary):
    """Its mail waits, and goes when the domain is back."""
    p = primary()
    other = primary().start()
    both = allow(p) + allow(other, name="other.example")
    d = mx20(domains=both, conf={"drain": FAST, "bounce": {"mode": "hold"},
                                 "dns": {"servers": ["127.0.0.1@1"]}})
    send(d.address, content=message("waits"))
    d.wait_log("^probe .*failed")
    d.domains = allow(other, name="other.example")
    assert d.reload().returncode == 1
    d.ctl("reload", "--force")
    p.start()
    send(d.address, rcpts="u@other.example")
    other.wait_messages(1)
    until(lambda: len(d.queue()) == 1)
    assert not p.messages
    d.domains = both
    d.write_files()
    assert d.reload().returncode == 0
    until(lambda: subjects(p) == ["waits"])
    d.wait_empty()
