"""Mail that the host in use cannot take, for what it offers or lacks, goes to
another host of the route before anything is said to be impossible."""

from client import Raw, message, send
from faults import FAST, allow, subjects
from net import free_port
from primary import Drop, Hang

BIG = message("big", ("x" * 76 + "\r\n") * 1000)


def daemon(mx20, *primaries, **drain):
    return mx20(domains=allow(*primaries), conf={
        "drain": dict(FAST, **drain), "bounce": {"mode": "hold"}})


def send_utf8(d, *rcpts):
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@sender.test> SMTPUTF8").startswith("250")
        for rcpt in rcpts:
            assert c.cmd(f"RCPT TO:<{rcpt}>").startswith("250")
        assert c.data(message("utf8") + ".\r\n").startswith("250")


def test_a_larger_host(mx20, primary):
    small = primary(offers=["SIZE 70000", "PIPELINING"]).start()
    large = primary(offers=["SIZE 100000"]).start()
    d = daemon(mx20, small, large)
    for n in range(3):
        send(d.address, content=message(f"m{n}"))
        send(d.address, content=BIG)
    d.wait_empty()
    assert sorted(subjects(small)) == ["m0", "m1", "m2"]
    assert subjects(large) == ["big"] * 3
    d.wait_log("^fallback .*size. 5.3.4")


def test_a_third_host(mx20, primary):
    hosts = [primary(offers=[f"SIZE {n}"]).start()
             for n in (70000, 71000, 100000)]
    d = daemon(mx20, *hosts)
    send(d.address, content=BIG)
    d.wait_empty()
    assert [len(p.messages) for p in hosts] == [0, 0, 1]


def test_nobody_is_large_enough(mx20, primary):
    hosts = [primary(offers=[f"SIZE {n}"]).start() for n in (70000, 71000)]
    d = daemon(mx20, *hosts)
    send(d.address, content=BIG)
    d.wait_log("^held .*size. 5.3.4")
    assert [len(p.sessions) for p in hosts] == [1, 1]


def test_who_cannot_be_asked_is_waited_for(mx20, primary):
    small = primary(offers=["SIZE 70000"]).start()
    large = primary(offers=[])
    d = daemon(mx20, small, large)
    send(d.address, content=BIG)
    d.wait_log("^deferred .*size. 5.3.4")
    send(d.address, content=message("m"))
    small.wait_messages(1)
    large.start()
    large.wait_messages(1)
    d.wait_empty()
    assert subjects(large) == ["big"]
    assert "to=down" not in d.text()


def test_one_that_drops_it_is_not_asked_at_once(mx20, primary):
    small = primary(offers=["SIZE 70000"]).start()
    large = primary(offers=[], on={"mail": Drop()}).start()
    d = daemon(mx20, small, large, retry=["1h"])
    send(d.address, content=BIG)
    d.wait_log("^deferred .*due_s=3600")
    send(d.address, content=message("m"))
    small.wait_messages(1)
    assert len(large.sessions) == 1


def test_recipients_part(mx20, primary):
    """Those it can take go to the first; one with a local part that is not
    ASCII, to who offers SMTPUTF8."""
    first = primary(offers=["PIPELINING"]).start()
    second = primary(offers=["SMTPUTF8", "8BITMIME"]).start()
    d = daemon(mx20, first, second)
    send_utf8(d, "a@example.com", "jörg@example.com", "b@example.com")
    d.wait_empty()
    assert [m.rcpts for m in first.messages] == [
        ["a@example.com", "b@example.com"]]
    assert [m.rcpts for m in second.messages] == [["jörg@example.com"]]


def test_a_stop_in_the_middle(mx20, primary):
    """The unit on an errand is not lost with the connection made for it."""
    small = primary(offers=["SIZE 70000"]).start()
    large = primary(offers=[], on={"greeting": [Hang(), None]}).start()
    d = daemon(mx20, small, large, reply_timeout="1h")
    send(d.address, content=BIG)
    large.wait_sessions(1)
    assert d.stop() == 0
    d.start()
    large.wait_messages(1)
    d.wait_empty()
    assert subjects(large) == ["big"]


def test_one_address_answers_for_its_host(mx20, dns, primary):
    port = free_port()
    dns.zone("a.test", "@ MX 10 small\n@ MX 20 large\nsmall A 127.0.0.2\n"
             "large A 127.0.0.3\nlarge A 127.0.0.99\n")
    dns.start()
    for n in (2, 3):
        primary(address=f"127.0.0.{n}", port=port,
                offers=[f"SIZE 7{n}000"]).start()
    d = mx20(domains="a.test recipients=*\n", conf={
        "dns": dns.conf, "drain": dict(FAST, port=port),
        "bounce": {"mode": "hold"}})
    send(d.address, rcpts=["u@a.test"], content=BIG)
    d.wait_log("^held .*size. 5.3.4")
    assert "\ndeferred" not in d.text()


def test_an_absurd_size_is_not_believed(mx20, primary):
    """Nobody runs a server for mail of 2 kB: it is asked."""
    p = primary(offers=["SIZE 2000"]).start()
    d = daemon(mx20, p)
    send(d.address, content=BIG)
    d.wait_empty()
    assert subjects(p) == ["big"]
