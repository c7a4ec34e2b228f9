"""Primaries that lie, stall, flood or talk nonsense.  What they do at each
stage of a session by closing or by silence is in test_drain_faults.py."""

import random

import pytest

from client import Raw, message, send
from faults import FAST, PLAIN, allow, quick_disk, subjects, until
from primary import Accept, Bytes, Delay, Drop, Hang


def daemon(mx20, *primaries, drain=None, **options):
    """The first is the one that misbehaves; others have domains of their
    own: other.example, third.example ..."""
    names = ["example.com", "other.example", "third.example"]
    domains = "".join(allow(p, name=n) for n, p in zip(names, primaries))
    return mx20(domains=domains, conf={
        "drain": dict(FAST, **(drain or {})), "bounce": {"mode": "hold"}},
        **options)


def other_is_served(d, other, count=1):
    """A well-behaved destination notices nothing."""
    before = len(other.messages)
    for _ in range(count):
        send(d.address, rcpts="u@other.example")
    other.wait_messages(before + count)


@pytest.fixture
def other(primary):
    return primary().start()


def test_it_says_250_and_is_gone(mx20, primary, other):
    """What it took it has: no second delivery, and the rest goes later."""
    def dot(session, _):
        if len(p.sessions) > 5:
            return None
        session.say("250 2.0.0 taken")
        p.took(session.finishing)
        return Drop(reset=True)

    p = primary(on={"dot": dot}, offers=["8BITMIME"]).start()
    d = daemon(mx20, p, other)
    for n in range(12):
        send(d.address, content=message(f"m{n}"))
    other_is_served(d, other)
    d.wait_empty()
    # RST may overtake a 250 that was sent: those come twice, and it is said
    got = subjects(p)
    assert set(got) == {f"m{n}" for n in range(12)}
    said = sum("a duplicate is possible" in line for line in d.log)
    assert len(got) - 12 <= said


@pytest.mark.parametrize("stage", ["ehlo", "mail", "rcpt", "data", "dot"])
def test_it_stalls_in_the_middle_of_a_reply(mx20, primary, other, stage):
    def stall(session, _):
        if len(p.sessions) > 1:
            return None
        session.sock.sendall(b"250-half\r\n25")
        return Hang()

    p = primary(on={stage: stall}).start()
    d = daemon(mx20, p, other)
    send(d.address)
    p.wait_sessions(1)
    other_is_served(d, other)
    p.wait_messages(1)
    d.wait_empty()
    assert len(p.messages) == 1


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "rcpt", "dot"])
def test_a_reply_by_drops_is_cut_off(mx20, primary, other, stage):
    """A byte now and then does not extend the time-out for ever."""
    def drip(session, _):
        if len(p.sessions) > 1:
            return None
        while not p.stopping.wait(0.2):
            session.sock.sendall(b"2")
        return Drop()

    p = primary(on={stage: drip}).start()
    d = daemon(mx20, p, other, drain={"reply_timeout": "1s"})
    send(d.address)
    other_is_served(d, other)
    p.wait_messages(1)
    d.wait_empty()


FLOODS = {
    "lines": b"250-" + b"x" * 500 + b"\r\n",
    "one line": b"2" * 1000,
    "short lines": b"250-\r\n" * 100,
    "zeros": b"\0" * 1000,
    "line feeds": b"\n" * 1000,
}


@pytest.mark.parametrize("stage,kind", [("greeting", k) for k in FLOODS] + [
    ("ehlo", "lines"), ("dot", "lines"), ("dot", "one line")])
def test_ten_megabytes_of_reply(mx20, primary, other, stage, kind):
    flood, poured = FLOODS[kind], []

    def pour(session, _):
        if len(p.sessions) > 1:
            return None
        for n in range(10_000_000 // len(flood)):
            session.sock.sendall(flood)
            poured.append(len(flood))
        return Drop()

    p = primary(on={stage: pour}).start()
    d = daemon(mx20, p, other)
    other_is_served(d, other)
    before = d.rss_kib()
    send(d.address)
    most = before
    while not p.messages:
        most = max(most, d.rss_kib())
        with p._change:
            p._change.wait_for(lambda: p.messages, 0.02)
    assert most - before < 4096 or not PLAIN
    other_is_served(d, other)
    d.wait_empty()
    assert sum(poured) < 10_000_000, "it was cut off long before"


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data",
                                   "dot"])
def test_binary_garbage(mx20, primary, other, stage):
    rng = random.Random(stage)
    garbage = [Bytes(rng.randbytes(2000), drop=True) for _ in range(3)]
    p = primary(on={stage: garbage + [Accept()]}).start()
    d = daemon(mx20, p, other)
    send(d.address)
    other_is_served(d, other)
    p.wait_messages(1)
    d.wait_empty()
    assert "bounced" not in d.text() and "held " not in d.text()


@pytest.mark.parametrize("answer", [
    Drop(), Drop(reset=True), Hang(),
    Bytes(b"\x15\x03\x01\x00\x02\x02\x28", drop=True),
    Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100, drop=True)],
    ids=["close", "reset", "silence", "alert", "nonsense"])
def test_tls_that_breaks_off(mx20, primary, other, answer):
    """STARTTLS is answered 220, and then there is no handshake: where TLS is
    only wanted the mail goes in clear text."""
    def starttls(session, _):
        session.say("220 2.0.0 go ahead")
        session.fill()  # the ClientHello
        return answer

    p = primary(on={"starttls": starttls},
                offers=["STARTTLS", "PIPELINING"]).start()
    d = daemon(mx20, p, other)
    send(d.address)
    other_is_served(d, other)
    d.wait_log("^tls level=warn .*then=\"clear text\"")
    p.wait_messages(1)
    d.wait_empty()


def test_greetings_after_the_time_out(mx20, primary, other):
    """Later than reply_timeout: the connection goes, the mail stays."""
    p = primary(on={"greeting": [Delay(4), Accept()]}).start()
    d = daemon(mx20, p, other, drain={"reply_timeout": "1s"})
    send(d.address)
    d.wait_log("^probe .*result=failed stage=greeting")
    other_is_served(d, other)
    p.wait_messages(1)
    d.wait_empty()


def test_content_is_taken_and_never_answered(mx20, primary, other):
    """RFC 1047: after reply_timeout it is sent again, and that is said."""
    p = primary(on={"dot": [Hang(), Hang(), Accept()]}).start()
    d = daemon(mx20, p, other, drain={"reply_timeout": "1s"})
    send(d.address)
    other_is_served(d, other, count=20)
    p.wait_messages(1)
    d.wait_empty()
    assert "a duplicate is possible" in d.text()


def test_it_reads_nothing(mx20, primary, other):
    """A window that stays closed: memory is bounded, and it ends."""
    def deaf(session, _):
        if len(p.sessions) > 1:
            return None
        session.say("354 go on")
        p.stopping.wait(20)
        return Drop()

    p = primary(on={"data": deaf}, offers=["8BITMIME"]).start()
    d = daemon(mx20, p, other, env=quick_disk())
    other_is_served(d, other)
    before = d.rss_kib()
    send(d.address, content=message(body=("x" * 998 + "\r\n") * 20000))
    most = before
    while len(p.sessions) < 2:
        most = max(most, d.rss_kib())
        with p._change:
            p._change.wait_for(lambda: len(p.sessions) > 1, 0.1)
        other_is_served(d, other)
    # 20 MB came in: what waits for the disk before backpressure, and a batch
    # of it, may be in memory, the message not
    assert most - before < 16384 or not PLAIN
    p.wait_messages(1)
    d.wait_empty()


def test_many_that_misbehave_beside_one_that_does_not(mx20, primary, other):
    """Thirty stalled destinations take nothing from the thirty-first."""
    stalled = [primary(on={"greeting": Hang()}).start() for _ in range(30)]
    d = daemon(mx20, other, other, drain={"reply_timeout": "20s"})
    d.domains += "".join(allow(p, name=f"s{n}.example")
                         for n, p in enumerate(stalled))
    assert d.reload().returncode == 0
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for n in range(30):
            c.cmd("MAIL FROM:<a@sender.test>")
            c.cmd(f"RCPT TO:<u@s{n}.example>")
            assert c.data(message() + "\r\n.\r\n").startswith("250")
    for p in stalled:
        p.wait_sessions(1)
    other_is_served(d, other, count=50)
    assert d.status()["spool"]["messages"] >= 30


def test_replies_ahead_of_their_commands(mx20, primary, other):
    """It answers what was never asked: such a connection is not trusted."""
    burst = b"250 ok\r\n" * 6 + b"354 go\r\n" + b"250 taken\r\n" * 3
    p = primary(on={"greeting": [Bytes(b"220 hi\r\n" + burst, drop=True),
                                 Bytes(b"220 hi\r\n" + burst),
                                 Accept()]}, offers=["8BITMIME"]).start()
    d = daemon(mx20, p, other)
    content = message("precious")
    send(d.address, content=content)
    other_is_served(d, other)
    until(lambda: "precious" in subjects(p))
    d.wait_empty()
